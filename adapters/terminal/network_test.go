package terminal

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"quarterdeck/bot"
)

const secret = "00112233445566778899aabbccddeeff"

// wire is a client that writes what it likes.
type wire struct {
	t *testing.T
	net.Conn
	lines *lineReader
}

func dial(t *testing.T, path string) *wire {
	t.Helper()
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return &wire{t: t, Conn: conn, lines: newLineReader(conn, maxResponse)}
}

func (w *wire) write(line string) {
	w.t.Helper()
	if _, err := w.Write([]byte(line + "\n")); err != nil {
		w.t.Fatal(err)
	}
}

func (w *wire) read() response {
	w.t.Helper()
	var r response
	if err := w.lines.into(&r); err != nil {
		w.t.Fatalf("read: %v", err)
	}
	return r
}

// ended expects the server to have closed the connection.
func (w *wire) ended() {
	w.t.Helper()
	for {
		_, err := w.lines.read()
		var timeout net.Error
		switch {
		case err == nil: // what was sent before
		case errors.As(err, &timeout) && timeout.Timeout():
			w.t.Fatal("the connection stays open")
		default:
			return
		}
	}
}

// session opens a session and gives its channel.
func (w *wire) session(id string, names ...string) bot.ChannelID {
	w.t.Helper()
	raw, _ := json.Marshal(request{Type: askHello, V: protocol, Session: id, Names: names})
	w.write(string(raw))
	r := w.read()
	if r.Type != sayHello || r.V != protocol || r.Account != here || r.Channel.Network() != "terminal" || len(r.Channel.Local()) != 32 {
		w.t.Fatalf("hello was answered by %+v", r)
	}
	return r.Channel
}

func TestSocketFile(t *testing.T) {
	base := filepath.Dir(socketPath(t))
	path := filepath.Join(base, "new", "s")
	_, stop := serve(t, Options{Socket: path}, newTestBot(scripted))
	for name, want := range map[string]fs.FileMode{path: 0o600 | fs.ModeSocket, filepath.Dir(path): 0o700 | fs.ModeDir} {
		info, err := os.Stat(name)
		if err != nil || info.Mode() != want {
			t.Errorf("%s has mode %v (%v), want %v", name, info.Mode(), err, want)
		}
	}
	second, err := New(Options{Socket: path})
	if err != nil {
		t.Fatal(err)
	}
	if err := second.Run(within(t), newTestBot(scripted)); bot.KindOf(err) != bot.Conflict || !strings.Contains(err.Error(), "another bot listens") {
		t.Errorf("a second bot on the socket gave %v, want Conflict", err)
	}
	w := dial(t, path) // the first one is unharmed
	w.session(secret)
	if err := stop(); err != nil {
		t.Error(err)
	}
	w.ended()
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket is still there after Run: %v", err)
	}
}

func TestStaleSocketIsReplaced(t *testing.T) {
	path := socketPath(t)
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close() // as kill -9 leaves it
	serve(t, Options{Socket: path}, newTestBot(scripted))
	dial(t, path).session(secret)
}

func TestSocketRefusals(t *testing.T) {
	for name, make := range map[string]func(path string) error{
		"a file in the way": func(path string) error { return os.WriteFile(path, []byte("precious"), 0o600) },
		"others may write":  func(path string) error { return os.Chmod(filepath.Dir(path), 0o777) },
		"no folder can be": func(path string) error {
			dir := filepath.Dir(path)
			if err := os.Remove(dir); err != nil {
				return err
			}
			return os.WriteFile(dir, nil, 0o600)
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := socketPath(t)
			if err := make(path); err != nil {
				t.Fatal(err)
			}
			n, err := New(Options{Socket: path})
			if err != nil {
				t.Fatal(err)
			}
			err = n.Run(within(t), newTestBot(scripted))
			var e *bot.Error
			if !errors.As(err, &e) || e.Kind != bot.Invalid || e.Say == "" {
				t.Errorf("Run gave %v, want a sentence of kind Invalid", err)
			}
		})
	}
	path := socketPath(t)
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	n, _ := New(Options{Socket: path})
	_ = n.Run(within(t), newTestBot(scripted))
	if raw, err := os.ReadFile(path); err != nil || string(raw) != "precious" {
		t.Errorf("the file in the way was touched: %q, %v", raw, err)
	}
	for _, bad := range []string{"", "/tmp/" + strings.Repeat("x", maxPath)} {
		if _, err := New(Options{Socket: bad}); bot.KindOf(err) != bot.Invalid {
			t.Errorf("New with a path of %d bytes gave %v", len(bad), err)
		}
	}
}

func TestHello(t *testing.T) {
	path := socketPath(t)
	serve(t, Options{Socket: path, Version: "1.2.3"}, newTestBot(scripted))
	for name, c := range map[string]struct{ line, say string }{
		"not JSON":      {"GET / HTTP/1.1", "expected a hello"},
		"no hello":      {`{"type":"line","n":1,"text":"whoami"}`, "expected a hello"},
		"other version": {`{"type":"hello","v":99,"session":"` + secret + `"}`, "version 1.2.3"},
		"no session":    {`{"type":"hello","v":1}`, "32 hexadecimal digits"},
		"short session": {`{"type":"hello","v":1,"session":"ff"}`, "32 hexadecimal digits"},
		"too long":      {strings.Repeat("x", maxRequest), "at most"},
	} {
		t.Run(name, func(t *testing.T) {
			w := dial(t, path)
			w.write(c.line)
			r := w.read()
			if r.Type != sayBye || r.Kind != bot.Invalid || !strings.Contains(r.Say, c.say) {
				t.Errorf("answered by %+v, want a bye that says %q", r, c.say)
			}
			w.ended()
		})
	}
}

func TestBadRequests(t *testing.T) {
	o := Options{Socket: socketPath(t)}
	b := newTestBot(scripted)
	serve(t, o, b)
	for name, c := range map[string]struct {
		line string
		want response
		ends bool
	}{
		"not JSON":        {"nonsense", response{Type: sayBye, Kind: bot.Invalid}, true},
		"wrong types":     {`{"type":"line","n":"one"}`, response{Type: sayBye, Kind: bot.Invalid}, true},
		"too long":        {`{"type":"line","n":1,"text":"` + strings.Repeat("x", maxRequest) + `"}`, response{Type: sayBye, Kind: bot.Invalid}, true},
		"unknown request": {`{"type":"dance","n":4}`, response{Type: sayRefused, N: 4, Kind: bot.Invalid}, false},
		"no number":       {`{"type":"line","text":"whoami"}`, response{Type: sayRefused, Kind: bot.Invalid}, false},
		"impersonation":   {`{"type":"line","n":5,"as":"root","text":"whoami"}`, response{Type: sayRefused, N: 5, Kind: bot.Denied}, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := dial(t, o.Socket)
			w.session(secret)
			w.write(c.line)
			r := w.read()
			if r.Type != c.want.Type || r.N != c.want.N || r.Kind != c.want.Kind || r.Say == "" {
				t.Errorf("answered by %+v, want %+v and a sentence", r, c.want)
			}
			if c.ends {
				w.ended()
			} else {
				w.write(`{"type":"who","n":9}`)
				if r := w.read(); r.Type != sayWho || r.Account != here {
					t.Errorf("the session does not go on: %+v", r)
				}
			}
		})
	}
	if got := b.messages(); len(got) != 0 {
		t.Errorf("the bot was given %+v", got)
	}
}

func TestSameLineTwiceIsOneDelivery(t *testing.T) {
	o := Options{Socket: socketPath(t)}
	b := newTestBot(scripted)
	b.hold = true
	serve(t, o, b)
	var channels []bot.ChannelID
	for range 2 {
		w := dial(t, o.Socket)
		channels = append(channels, w.session(secret))
		w.write(`{"type":"line","n":7,"text":"whoami"}`)
		if r := w.read(); r.Type != sayTaken || r.N != 7 {
			t.Errorf("answered by %+v, want taken", r)
		}
		w.Close()
	}
	if channels[0] != channels[1] {
		t.Errorf("the session came back as %s after %s", channels[1], channels[0])
	}
	got := b.messages()
	if len(got) != 1 || got[0].ID != string(channels[0])+":7" {
		t.Errorf("the bot took %+v, want one message %s:7", got, channels[0])
	}
}

func TestChannelIsTheUsersOwn(t *testing.T) {
	mine, others := channelOf(1000, secret), channelOf(1001, secret)
	if mine == others {
		t.Error("another uid with the same secret gets the same channel")
	}
	if mine != channelOf(1000, secret) || mine == channelOf(1000, strings.Repeat("0", 32)) {
		t.Error("a channel does not depend on the secret alone")
	}
	if strings.Contains(string(mine), secret[:8]) {
		t.Error("the channel, which the log shows, tells the secret")
	}
}

func TestDeliver(t *testing.T) {
	o := Options{Socket: socketPath(t), Impersonate: true}
	n, _ := serve(t, o, newTestBot(scripted))
	ctx := within(t)
	card := bot.Card{Key: "k", Version: 1, Title: "hello"}
	_, err := n.Deliver(ctx, bot.Delivery{Channel: "terminal:" + secret, Card: card})
	var e *bot.Error
	if !errors.As(err, &e) || e.Kind != bot.Unavailable || e.RetryAfter <= 0 {
		t.Errorf("a session that may come back after a restart gave %v, want Unavailable and to be tried soon", err)
	}
	if _, err := n.Deliver(ctx, bot.Delivery{Channel: "slack:C1", Card: card}); bot.KindOf(err) != bot.Invalid {
		t.Errorf("another network's channel gave %v", err)
	}

	w := dial(t, o.Socket)
	channel := w.session(secret, "dev")
	for to, want := range map[bot.AccountID]bot.Kind{"": "", here: "", "terminal:dev": "", "terminal:sre": bot.Denied, "os:4242": bot.Denied, "slack:T1/U1": bot.Denied} {
		type result struct {
			ref string
			err error
		}
		done := make(chan result, 1)
		go func() {
			ref, err := n.Deliver(ctx, bot.Delivery{Channel: channel, To: to, Card: card})
			done <- result{ref, err}
		}()
		if want == "" {
			r := w.read()
			if r.Type != sayCard || r.Card == nil || r.Card.Title != "hello" {
				t.Errorf("to %q: the session got %+v", to, r)
			}
			select {
			case got := <-done:
				t.Errorf("to %q: delivered (%+v) before the client said so", to, got)
			default:
			}
			w.write(fmt.Sprintf(`{"type":"got","n":%d}`, r.N))
		}
		if got := <-done; bot.KindOf(got.err) != want || want == "" && got.ref != "k" {
			t.Errorf("to %q: %+v, want %q", to, got, want)
		}
	}
	huge := bot.Card{Key: "h", Text: strings.Repeat("x", maxResponse)}
	if _, err := n.Deliver(ctx, bot.Delivery{Channel: channel, Card: huge}); bot.KindOf(err) != bot.Invalid {
		t.Errorf("a card over the bound gave %v", err)
	}
	done := make(chan error, 1)
	go func() {
		_, err := n.Deliver(ctx, bot.Delivery{Channel: channel, Card: card})
		done <- err
	}()
	w.read()
	w.Close()
	if err := <-done; bot.KindOf(err) != bot.Unavailable {
		t.Errorf("a session that went away before it said that it has the card gave %v, want Unavailable", err)
	}
}

func TestSpeakingAsANameOpensItsPrivateCards(t *testing.T) {
	o := Options{Socket: socketPath(t), Impersonate: true}
	b := newTestBot(scripted)
	serve(t, o, b)
	w := dial(t, o.Socket)
	w.session(secret)
	w.write(`{"type":"line","n":1,"as":"sre","text":"secret"}`)
	var got []string
	for range 2 {
		got = append(got, w.read().Type)
	}
	if fmt.Sprint(got) != "[taken card]" && fmt.Sprint(got) != "[card taken]" {
		t.Errorf("the session got %v", got)
	}
}

// TestDeafClient never reads: it is disconnected, and nobody waits for it for
// longer than a delivery may take.
func TestDeafClient(t *testing.T) {
	o := Options{Socket: socketPath(t)}
	n, _ := serve(t, o, newTestBot(scripted))
	w := dial(t, o.Socket)
	channel := w.session(secret)
	ctx := within(t)
	big := bot.Card{Key: "k", Text: strings.Repeat("x", maxResponse/2)}
	results := make(chan error, maxUnsent+50)
	for range cap(results) {
		go func() {
			_, err := n.Deliver(ctx, bot.Delivery{Channel: channel, Card: big})
			results <- err
		}()
	}
	for range cap(results) {
		if k := bot.KindOf(<-results); k != bot.Unavailable && k != bot.Timeout {
			t.Errorf("a delivery to a deaf client gave %q", k)
		}
	}
	until(t, "the deaf client to be gone", func() bool { p, _ := n.session(channel); return p == nil })
	dial(t, o.Socket).session(strings.Repeat("1", 32)) // others are served
}

func TestFloodIsPushedBack(t *testing.T) {
	o := Options{Socket: socketPath(t)}
	release := make(chan struct{})
	b := newTestBot(func(b *testBot, m bot.Message) { <-release })
	serve(t, o, b)
	w := dial(t, o.Socket)
	w.session(secret)
	for i := range maxQueued + 20 {
		w.write(fmt.Sprintf(`{"type":"line","n":%d,"text":"x"}`, i+1))
	}
	retry := w.read()
	if retry.Type != sayRetry || retry.Kind != bot.Busy {
		t.Errorf("the first answer to a flood is %+v, want to be sent again later", retry)
	}
	close(release)
}

func TestTooManySessions(t *testing.T) {
	o := Options{Socket: socketPath(t)}
	serve(t, o, newTestBot(scripted))
	for i := range maxSessions {
		dial(t, o.Socket).session(fmt.Sprintf("%032x", i))
	}
	w := dial(t, o.Socket)
	if r := w.read(); r.Type != sayBye || r.Kind != bot.Busy {
		t.Errorf("one session too many got %+v", r)
	}
	w.ended()
}

func TestComebackReplacesTheOldConnection(t *testing.T) {
	o := Options{Socket: socketPath(t)}
	n, _ := serve(t, o, newTestBot(scripted))
	old, fresh := dial(t, o.Socket), dial(t, o.Socket)
	channel := old.session(secret)
	fresh.session(secret)
	old.ended()
	go n.Deliver(within(t), bot.Delivery{Channel: channel, Card: bot.Card{Key: "k"}})
	r := fresh.read()
	if r.Type != sayCard {
		t.Errorf("the newer connection got %+v", r)
	}
	fresh.write(fmt.Sprintf(`{"type":"got","n":%d}`, r.N))
}

func TestPanicEndsOneSession(t *testing.T) {
	o := Options{Socket: socketPath(t)}
	b := newTestBot(func(b *testBot, m bot.Message) {
		if m.Text == "boom" {
			panic("boom")
		}
	})
	serve(t, o, b)
	w := dial(t, o.Socket)
	w.session(secret)
	w.write(`{"type":"line","n":1,"text":"boom"}`)
	w.ended()
	w = dial(t, o.Socket)
	w.session(secret)
	w.write(`{"type":"line","n":2,"text":"fine"}`)
	if r := w.read(); r.Type != sayTaken {
		t.Errorf("after a panic: %+v", r)
	}
}

type table struct{ impersonate bool }

func (r table) Decode(dst any) error {
	dst.(*Settings).Impersonate = r.impersonate
	return nil
}
func (table) Dir() string   { return "" }
func (table) Where() string { return "config.toml:1" }

func TestOpen(t *testing.T) {
	for _, raw := range []bot.Raw{nil, table{false}, table{true}} {
		chat, err := Type().Open(bot.ChatOptions{Raw: raw, Socket: socketPath(t), Clock: bot.SystemClock{}})
		if err != nil {
			t.Fatal(err)
		}
		if chat.Network() != Type().Name {
			t.Errorf("the network is %q and the row %q", chat.Network(), Type().Name)
		}
		if got, want := chat.(*Network).o.Impersonate, raw == (table{true}); got != want {
			t.Errorf("with %v impersonation is %v", raw, got)
		}
	}
}
