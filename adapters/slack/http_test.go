package slackchat

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"quarterdeck/adapters/slack/fakeslack"
	"quarterdeck/bot"
)

// newSigned is newWorld for signed HTTP; the way reaches the bot's listener.
func newSigned(t *testing.T) (*world, fakeslack.Way) {
	t.Helper()
	fake, err := fakeslack.New(fakeslack.Options{})
	if err != nil {
		t.Fatal(err)
	}
	o := fake.Options()
	fake.SetUser(fakeslack.User{ID: "UDEV"})
	fake.SetChannel(fakeslack.Channel{ID: "C1", Members: []string{"UBOT", "UDEV"}})
	c, err := open(bot.ChatOptions{Raw: table{Config{Teams: []string{o.TeamID}, APIURL: fake.URL(), Mode: modeHTTP}}, Clock: bot.SystemClock{}, Logger: slog.New(slog.NewTextHandler(testLog{t}, nil))})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	for _, r := range c.Routes() {
		mux.Handle(r.Method+" "+r.Path, http.MaxBytesHandler(r.Handler, r.MaxBody))
	}
	public := httptest.NewServer(mux)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	w := &world{Server: fake, chat: c, hub: &hub{}, ctx: ctx}
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx, w.hub) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run ended with %v", err)
		}
		public.Close()
		fake.Close()
		web.CloseIdleConnections()
		for _, wrong := range fake.Wrong() {
			t.Errorf("Slack's rules were broken: %s", wrong)
		}
	})
	for c.inbound() == nil { // until it knows who it is
		if !pause(ctx, time.Millisecond) {
			t.Fatal("the bot never received")
		}
	}
	return w, fakeslack.Way{HTTP: public.URL}
}

// Everything comes in by signed HTTP as by Socket Mode, once.
func TestSigned(t *testing.T) {
	w, way := newSigned(t)
	way.Twice = true
	for name, do := range map[string]func() (fakeslack.Sent, error){
		"slash":   func() (fakeslack.Sent, error) { return w.Slash(w.ctx, way, "UDEV", "C1", "status shop & prod") },
		"mention": func() (fakeslack.Sent, error) { return w.Mention(w.ctx, way, "UDEV", "C1", "status shop & prod", "") },
	} {
		before := len(w.hub.messages())
		sent, err := do()
		if err != nil || !sent.Acked {
			t.Fatalf("%s: %+v, %v", name, sent, err)
		}
		got := w.hub.messages()[before:]
		if len(got) != 1 || got[0].Account != "slack:T1/UDEV" || got[0].Standing != bot.Member || got[0].Text != "status shop & prod" {
			t.Errorf("%s: %+v", name, got)
		}
	}
	if _, err := w.chat.Deliver(w.ctx, bot.Delivery{Channel: "slack:C1", Card: bot.Card{Title: "x", Buttons: []bot.Button{{Label: "Approve", Token: "tok"}}}}); err != nil {
		t.Fatal(err)
	}
	all := w.Messages("C1")
	if _, err := w.Click(w.ctx, way, "UDEV", all[len(all)-1], "Approve"); err != nil {
		t.Fatal(err)
	}
	if got := w.hub.messages(); got[len(got)-1].Press != "tok" {
		t.Errorf("the press came as %+v", got[len(got)-1])
	}
}

// What Slack did not sign, or long ago, is refused before anything of it is
// read.
func TestForged(t *testing.T) {
	w, way := newSigned(t)
	now := time.Now()
	for name, change := range map[string]fakeslack.Way{
		"another secret": {Secret: "guessed"},
		"an old one":     {At: now.Add(-6 * time.Minute)},
		"of tomorrow":    {At: now.Add(24 * time.Hour)},
	} {
		change.HTTP = way.HTTP
		sent, err := w.Slash(w.ctx, change, "UDEV", "C1", "deploy shop v2 prod")
		if err != nil || sent.Status != http.StatusUnauthorized {
			t.Errorf("%s: %+v, %v", name, sent, err)
		}
	}
	post := func(path, body string, sign func(r *http.Request)) int {
		req, err := http.NewRequestWithContext(w.ctx, http.MethodPost, way.HTTP+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		sign(req)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		_, _ = io.Copy(io.Discard, resp.Body)
		return resp.StatusCode
	}
	body := "user_id=UDEV&team_id=T1&channel_id=C1&trigger_id=1&text=status"
	if got := post("/slack/commands", body, func(*http.Request) {}); got != http.StatusUnauthorized {
		t.Errorf("unsigned: %d", got)
	}
	if got := post("/slack/commands", body+"&text=deploy", func(r *http.Request) { w.Sign(r, fakeslack.Way{}, []byte(body)) }); got != http.StatusUnauthorized {
		t.Errorf("changed after it was signed: %d", got)
	}
	// What is in the address is not signed, and so not read.
	req := "/slack/commands?text=deploy+shop+v2+prod&user_id=USRE"
	if got := post(req, body, func(r *http.Request) { w.Sign(r, fakeslack.Way{}, []byte(body)) }); got != http.StatusOK {
		t.Errorf("with a query: %d", got)
	}
	if got := w.hub.messages(); len(got) != 1 || got[0].Text != "status" || got[0].Account != "slack:T1/UDEV" {
		t.Errorf("came in: %+v", got)
	}
	big := bytes.Repeat([]byte("x"), maxPayload+1)
	if got := post("/slack/events", string(big), func(r *http.Request) { w.Sign(r, fakeslack.Way{}, big) }); got != http.StatusRequestEntityTooLarge {
		t.Errorf("too large: %d", got)
	}
	for path, c := range map[string]string{"/slack/events": `{"type":"url_verification","challenge":"abc"}`, "/slack/commands": "ssl_check=1&token=x"} {
		if got := post(path, c, func(r *http.Request) { w.Sign(r, fakeslack.Way{}, []byte(c)) }); got != http.StatusOK {
			t.Errorf("%s: %d", path, got)
		}
	}
}
