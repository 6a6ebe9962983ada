package notify

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"quarterdeck/bot"
)

var notice = Notice{ID: "page/7/1/oncall", Page: 7, Title: "page 7 (shop/prod): Ørders fail\r\nBcc: everybody@example.com", Text: "one order in three fails\n.\nack it", Person: "oncall", Email: "oncall@example.com", Target: "shop/prod", Level: 1}

func open(t *testing.T, table Table, dir string) Way {
	t.Helper()
	w, err := Open("test", table, dir, new(bot.Secrets))
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// post is a mail server that takes one mail; a reply to a verb may be put in place
// of its own.
type post struct {
	net.Listener
	replies map[string]string

	mu   sync.Mutex
	said []string
	mail string
	done chan struct{}
}

func newPost(t *testing.T, replies map[string]string) *post {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &post{Listener: l, replies: replies, done: make(chan struct{})}
	go p.serve()
	t.Cleanup(func() {
		_ = l.Close() // it ends serve, also when nobody came
		<-p.done
	})
	return p
}

func (p *post) serve() {
	defer close(p.done)
	conn, err := p.Accept()
	if err != nil {
		return
	}
	defer conn.Close()
	in := bufio.NewReader(conn)
	fmt.Fprint(conn, "220 mail\r\n")
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimSpace(line)
		verb, _, _ := strings.Cut(line, " ")
		p.mu.Lock()
		p.said = append(p.said, line)
		p.mu.Unlock()
		reply := map[string]string{"EHLO": "250-mail\r\n250 AUTH PLAIN", "DATA": "354 go on", "QUIT": "221 bye", "AUTH": "235 ok"}[verb]
		if r := p.replies[verb]; r != "" {
			reply = r
		} else if reply == "" {
			reply = "250 ok"
		}
		fmt.Fprint(conn, reply+"\r\n")
		if verb != "DATA" || reply[0] != '3' {
			continue
		}
		var mail strings.Builder
		for {
			line, err := in.ReadString('\n')
			if err != nil {
				return
			}
			if line == ".\r\n" {
				break
			}
			mail.WriteString(line)
		}
		p.mu.Lock()
		p.mail = mail.String()
		p.mu.Unlock()
		fmt.Fprint(conn, "250 taken\r\n")
	}
}

func (p *post) heard() (said, mail string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.said, "\n"), p.mail
}

// A mail goes to the person and to whom the way names, says what is the matter, and
// no word in it becomes a header or its end.
func TestMail(t *testing.T) {
	t.Setenv("MAIL_PASSWORD", "hunter2hunter2")
	p := newPost(t, nil)
	w := open(t, Table{Type: "smtp", Server: p.Addr().String(), From: "ops@example.com", To: []string{"team@example.com"}, User: "ops", Password: "env:MAIL_PASSWORD"}, ".")
	if err := w.Send(t.Context(), notice); err != nil {
		t.Fatal(err)
	}
	said, mail := p.heard()
	for _, want := range []string{"AUTH PLAIN ", "MAIL FROM:<ops@example.com>", "RCPT TO:<team@example.com>", "RCPT TO:<oncall@example.com>"} {
		if !strings.Contains(said, want) {
			t.Errorf("the server was not told %q:\n%s", want, said)
		}
	}
	head, body, _ := strings.Cut(mail, "\r\n\r\n")
	if strings.Contains(head, "\r\nBcc:") || !strings.Contains(head, "Subject: =?utf-8?q?page_7_") || !strings.Contains(head, "Message-ID: <page/7/1/oncall@quarterdeck>") {
		t.Errorf("the head is %q", head)
	}
	if body != "one order in three fails\r\n..\r\nack it\r\n" {
		t.Errorf("the body is %q", body)
	}
}

func TestMailIsNotTaken(t *testing.T) {
	for verb, reply := range map[string]string{"MAIL": "550 no", "RCPT": "550 nobody", "DATA": "451 later"} {
		p := newPost(t, map[string]string{verb: reply})
		err := open(t, Table{Type: "smtp", Server: p.Addr().String(), From: "ops@example.com"}, ".").Send(t.Context(), notice)
		if bot.KindOf(err) != bot.Unavailable || !strings.Contains(bot.Sentence(err, ""), "did not take the mail") {
			t.Errorf("%s: %v", verb, err)
		}
	}
	nobody := notice
	nobody.Email = ""
	if err := open(t, Table{Type: "smtp", Server: "127.0.0.1:1", From: "ops@example.com"}, ".").Send(t.Context(), nobody); bot.KindOf(err) != bot.Invalid {
		t.Errorf("a mail to nobody gives %v", err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0") // it takes connections and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := open(t, Table{Type: "smtp", Server: l.Addr().String(), From: "ops@example.com"}, ".").Send(ctx, notice); bot.KindOf(err) != bot.Unavailable {
		t.Errorf("a silent server gives %v", err)
	}
}

// A webhook gets the notice once for each Send, with its key, and nobody is followed
// elsewhere with what was told.
func TestWebhook(t *testing.T) {
	t.Setenv("SMS_TOKEN", "hunter2hunter2")
	status := http.StatusOK
	asked := 0
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		body, err := io.ReadAll(r.Body)
		var n Notice
		if err != nil || json.Unmarshal(body, &n) != nil || n != notice || r.Header.Get("Authorization") != "Bearer hunter2hunter2" || r.Header.Get("Idempotency-Key") != notice.ID {
			t.Errorf("it is asked %s %q (%v)", r.Header, body, err)
		}
		w.Header().Set("Location", "http://127.0.0.1:1/")
		w.WriteHeader(status)
	}))
	defer s.Close()
	w := open(t, Table{Type: "webhook", URL: s.URL, Bearer: "env:SMS_TOKEN"}, ".")
	if err := w.Send(t.Context(), notice); err != nil {
		t.Error(err)
	}
	for _, status = range []int{http.StatusFound, http.StatusTooManyRequests, http.StatusInternalServerError} {
		if err := w.Send(t.Context(), notice); bot.KindOf(err) != bot.Unavailable || strings.Contains(fmt.Sprint(err), "hunter2") {
			t.Errorf("%d gives %v", status, err)
		}
	}
	if asked != 4 {
		t.Errorf("it was asked %d times", asked)
	}
	t.Setenv("SMS_URL", "http://sms.example.com/hunter2hunter2")
	err := open(t, Table{Type: "webhook", URL: "env:SMS_URL"}, ".").Send(t.Context(), notice)
	if bot.KindOf(err) != bot.Unavailable || strings.Contains(fmt.Sprint(err), "hunter2") {
		t.Errorf("an address without TLS gives %v", err)
	}
}

// A program reads the notice, has none of the bot's secrets, and may fail.
func TestProgram(t *testing.T) {
	t.Setenv("BOT_SECRET", "hunter2hunter2")
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "siren"), []byte("#!/bin/sh\n{ cat; echo; env; } > heard\nexit ${1:-0}\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := open(t, Table{Type: "exec", Argv: []string{"./siren"}}, dir).Send(t.Context(), notice); err != nil {
		t.Fatal(err)
	}
	heard, err := os.ReadFile(filepath.Join(dir, "heard"))
	if err != nil || !strings.Contains(string(heard), `"page":7`) || !strings.Contains(string(heard), "PAGE_PERSON=oncall") || strings.Contains(string(heard), "hunter2") {
		t.Errorf("it heard %s (%v)", heard, err)
	}
	if err := open(t, Table{Type: "exec", Argv: []string{"./siren", "3"}}, dir).Send(t.Context(), notice); bot.KindOf(err) != bot.Unavailable {
		t.Errorf("one that fails gives %v", err)
	}
	if err := open(t, Table{Type: "exec", Argv: []string{"./nothing"}}, dir).Send(t.Context(), notice); bot.KindOf(err) != bot.Unavailable {
		t.Errorf("one that is not there gives %v", err)
	}
}

func TestOpen(t *testing.T) {
	for want, table := range map[string]Table{
		`needs a type`: {}, `has the unknown type "sms"`: {Type: "sms"}, `needs server = "HOST:PORT"`: {Type: "smtp", Server: "mail"},
		`needs from = "ops@example.com"`:                   {Type: "smtp", Server: "mail:25", From: "ops"},
		`has the address "a b@example.com", which is none`: {Type: "smtp", Server: "mail:25", From: "a@b", To: []string{"a b@example.com"}},
		`needs user and password together`:                 {Type: "smtp", Server: "mail:25", From: "a@b", User: "ops"},
		`needs url = "https://..." or a reference to it`:   {Type: "webhook", URL: "http://example.com"},
		`needs argv = ["PROGRAM", ...]`:                    {Type: "exec"},
		`has a password that is none`:                      {Type: "smtp", Server: "mail:25", From: "a@b", User: "ops", Password: "hunter2"},
	} {
		if _, err := Open("test", table, ".", new(bot.Secrets)); bot.KindOf(err) != bot.Invalid || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}
