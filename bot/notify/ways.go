package notify

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/smtp"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"time"

	"quarterdeck/bot"
)

// mail sends by SMTP. TLS is used wherever the server offers it, and a password
// is never sent without, but to this machine.
type mail struct {
	server, host, from string
	to                 []string
	user               string
	password           bot.Secret
}

// Send implements Way.
func (m *mail) Send(ctx context.Context, n Notice) error {
	to := append([]string(nil), m.to...)
	if n.Email != "" {
		to = append(to, n.Email)
	}
	if len(to) == 0 {
		return bot.Errorf(bot.Invalid, "%s has no e-mail address, and the way names none", n.Person)
	}
	dialer := net.Dialer{}
	conn, err := dialer.DialContext(ctx, "tcp", m.server)
	if err != nil {
		return unavailable("smtp", err, "the mail server %s cannot be reached", m.server)
	}
	defer conn.Close()
	if end, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(end) // a connection that cannot take one fails soon anyway
	}
	if err := m.talk(conn, to, n); err != nil {
		return unavailable("smtp", err, "the mail server %s did not take the mail", m.server)
	}
	return nil
}

func (m *mail) talk(conn net.Conn, to []string, n Notice) error {
	c, err := smtp.NewClient(conn, m.host)
	if err != nil {
		return err
	}
	defer c.Close()
	if ok, _ := c.Extension("STARTTLS"); ok {
		if err := c.StartTLS(&tls.Config{ServerName: m.host, MinVersion: tls.VersionTLS12}); err != nil {
			return err
		}
	}
	if m.user != "" {
		password, err := m.password.Value()
		if err != nil {
			return err
		}
		if err := c.Auth(smtp.PlainAuth("", m.user, password, m.host)); err != nil { // refuses to without TLS
			return errors.New("it refused the user or the password")
		}
	}
	if err := c.Mail(m.from); err != nil {
		return err
	}
	for _, address := range to {
		if err := c.Rcpt(address); err != nil {
			return err
		}
	}
	w, err := c.Data()
	if err != nil {
		return err
	}
	title := strings.Join(strings.Fields(n.Title), " ")
	if _, err := fmt.Fprintf(w, "From: %s\r\nTo: %s\r\nSubject: %s\r\nMessage-ID: <%s@quarterdeck>\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nX-Priority: 1\r\n\r\n%s\r\n",
		m.from, strings.Join(to, ", "), mime.QEncoding.Encode("utf-8", title), n.ID, strings.ReplaceAll(n.Text, "\n", "\r\n")); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	return c.Quit()
}

// webhook posts the notice as JSON.
type webhook struct {
	url    bot.Secret
	plain  string // where the address is no secret
	bearer bot.Secret
	client *http.Client
}

// newClient makes a client that follows nobody elsewhere.
func newClient() *http.Client {
	return &http.Client{Timeout: 30 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// Send implements Way.
func (w *webhook) Send(ctx context.Context, n Notice) error {
	address := w.plain
	if address == "" {
		v, err := w.url.Value()
		if err != nil {
			return err
		}
		if address = strings.TrimSpace(v); !mayBeTold(address) {
			return bot.Errorf(bot.Unavailable, "what the way's url refers to is no address that begins with https://")
		}
	}
	body, err := json.Marshal(n)
	if err != nil {
		return fmt.Errorf("encode notice: %w", err)
	}
	q, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return bot.Errorf(bot.Unavailable, "the way's url is no address") // err repeats it
	}
	q.Header.Set("Content-Type", "application/json")
	q.Header.Set("User-Agent", "quarterdeck")
	q.Header.Set("Idempotency-Key", n.ID)
	if w.bearer.Set() {
		token, err := w.bearer.Value()
		if err != nil {
			return err
		}
		q.Header.Set("Authorization", "Bearer "+token)
	}
	r, err := w.client.Do(q)
	if err != nil {
		var known *url.Error
		if errors.As(err, &known) { // it begins with the address
			err = known.Err
		}
		return unavailable("webhook", err, "the webhook cannot be reached")
	}
	defer r.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(r.Body, 64<<10)) // so that the connection can be used again
	if r.StatusCode < 200 || r.StatusCode > 299 {
		return unavailable("webhook", nil, "the webhook answers %d", r.StatusCode)
	}
	return nil
}

// program runs a program of the team's own, which reads the notice as JSON; what
// it is about is in its environment too.
type program struct {
	argv []string
	dir  string
}

// Send implements Way.
func (p *program) Send(ctx context.Context, n Notice) error {
	body, err := json.Marshal(n)
	if err != nil {
		return fmt.Errorf("encode notice: %w", err)
	}
	cmd := exec.CommandContext(ctx, p.argv[0], p.argv[1:]...)
	cmd.Dir, cmd.Stdin, cmd.WaitDelay = p.dir, bytes.NewReader(body), time.Second
	for _, name := range []string{"PATH", "HOME", "TMPDIR", "LANG"} { // not the bot's secrets
		if v, ok := os.LookupEnv(name); ok {
			cmd.Env = append(cmd.Env, name+"="+v)
		}
	}
	clean := func(s string) string { return strings.ReplaceAll(s, "\x00", "") }
	cmd.Env = append(cmd.Env, "PAGE="+fmt.Sprint(n.Page), "PAGE_TITLE="+clean(n.Title), "PAGE_PERSON="+clean(n.Person), "PAGE_EMAIL="+clean(n.Email), "PAGE_TARGET="+clean(n.Target))
	if err := cmd.Run(); err != nil {
		return unavailable("exec", err, "the program %s failed", p.argv[0])
	}
	return nil
}
