package slackchat

import (
	"encoding/json"
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
