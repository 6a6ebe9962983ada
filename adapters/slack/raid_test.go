package slackchat

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"quarterdeck/adapters/slack/fakeslack"
	"quarterdeck/bot"
)

// What another workspace says of its own installation takes nothing from ours.
func TestAnotherWorkspaceUninstalls(t *testing.T) {
	_, s, _ := quiet(t, Config{Mode: modeHTTP})
	s.in = &hub{}
	s.settle()
	for _, event := range []string{`{"type":"app_uninstalled"}`, `{"type":"tokens_revoked","tokens":{"bot":["UBOT"]}}`} {
		s.event(outer{Type: "event_callback", TeamID: "T9", EventID: "Ev1", Event: json.RawMessage(event)})
		if !s.Connection().Up {
			t.Errorf("%s of another workspace cut the bot off", event)
			s.revoked(false)
		}
		s.event(outer{Type: "event_callback", TeamID: "T1", EventID: "Ev1", Event: json.RawMessage(event)})
		if s.Connection().Up {
			t.Errorf("%s of our own did not", event)
		}
		s.revoked(false)
	}
}

// Where an organisation is configured and none of its workspaces, its members may
// write and people of others may not.
func TestEventsOfAnOrganisation(t *testing.T) {
	fake, s, _ := quiet(t, Config{Teams: []string{"E1"}}, func(o *fakeslack.Options) { o.OrgWide, o.EnterpriseID = true, "E1" })
	fake.SetUser(fakeslack.User{ID: "WDEV", TeamID: "T1", Enterprise: "E1"})
	fake.SetUser(fakeslack.User{ID: "WOUT", TeamID: "T9", Kind: fakeslack.Connected})
	for event, want := range map[string]bot.Standing{
		`{"type":"app_mention","user":"WDEV","team":"T1","channel":"C1","text":"status"}`:                  bot.Member,
		`{"type":"app_mention","user":"WDEV","team":"E1","channel":"C1","text":"status"}`:                  bot.Member,
		`{"type":"app_mention","user":"WOUT","team":"T9","channel":"C1","text":"status"}`:                  bot.External,
		`{"type":"app_mention","user":"WOUT","team":"T1","channel":"C1","text":"status"}`:                  bot.External,
		`{"type":"app_mention","user":"WOUT","user_team":"T9","team":"T1","channel":"C1","text":"status"}`: bot.External,
	} {
		p, ok := s.event(outer{Type: "event_callback", TeamID: "T1", EnterpriseID: "E1", EventID: "Ev1", Event: json.RawMessage(event)})
		if !ok {
			t.Fatal(event)
		}
		m := s.message(t.Context(), p)
		if m.Standing != want {
			t.Errorf("%s is of a %q, want %q", event, m.Standing, want)
		}
		if want == bot.Member && m.Account != "slack:E1/WDEV" {
			t.Errorf("%s is of %s", event, m.Account)
		}
	}
}

// What is for one person alone and does not fit goes into their direct
// conversation, also where it was asked in a thread and the file is not taken.
func TestPrivateFileNotTaken(t *testing.T) {
	w := newWorld(t)
	w.Fail("files.getUploadURLExternal", fakeslack.Outage{Error: "missing_scope"})
	asked := fakeslack.Message{Channel: "C1", TS: "1790000000.000100"}
	for user, thread := range map[string]string{"UDEV": asked.TS, "USRE": asked.Channel + "/" + asked.TS} {
		before := len(w.Messages(""))
		d := bot.Delivery{Channel: "slack:C1", Thread: thread, To: bot.AccountID("slack:T1/" + user), Card: bot.Card{Rest: true, Title: "secret", Image: &bot.Image{Name: "x.png", Alt: "of theirs alone", PNG: []byte("png")}}}
		if _, err := w.chat.Deliver(w.ctx, d); err != nil {
			t.Fatal(err)
		}
		said := w.Messages("")[before:]
		if len(said) != 1 || said[0].Channel != "D"+user || said[0].Thread != "" {
			t.Errorf("asked in %s, it is said in %+v", thread, said)
		}
	}
}

// In a direct conversation of two people, one of whom may be from outside, only
// who asked is told anything.
func TestAskedBetweenTwoPeople(t *testing.T) {
	w := newWorld(t)
	sent, err := w.Slash(w.ctx, fakeslack.Way{}, "UDEV", "DTWO", "deploy shop v2 prod")
	if err != nil || !sent.Acked {
		t.Fatal(sent, err)
	}
	id := w.came(t, 1)[0].ID
	if _, err := w.chat.Deliver(w.ctx, bot.Delivery{Channel: "slack:DTWO", Card: bot.Card{Key: "run/1", ReplyTo: id, Title: "#1 deploy shop v2 to prod"}}); err != nil {
		t.Fatal(err)
	}
	for _, m := range w.Messages("DTWO") {
		if m.For != "UDEV" {
			t.Errorf("everybody there is told %q", m.Text)
		}
	}
}

// Whoever reaches the listener cannot fill the log.
func TestForgedRequestsAreCounted(t *testing.T) {
	var log strings.Builder
	_, s, clock := quiet(t, Config{Mode: modeHTTP})
	s.o.Logger = slog.New(slog.NewTextHandler(&log, nil))
	forge := func() {
		for range 1000 {
			w := httptest.NewRecorder()
			s.signed(eventOf).ServeHTTP(w, httptest.NewRequest("POST", "/slack/events", strings.NewReader(`{"type":"event_callback"}`)))
			if w.Code != http.StatusUnauthorized {
				t.Fatal(w.Code)
			}
		}
	}
	forge()
	clock.Advance(forgedEvery)
	forge()
	if n := strings.Count(log.String(), "did not sign"); n != 2 {
		t.Errorf("the log tells of it %d times", n)
	}
	if n := s.Connection().Forged; n != 2000 {
		t.Errorf("%d were counted", n)
	}
}
