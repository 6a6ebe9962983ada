package slackchat

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/slack-go/slack"

	"quarterdeck/adapters/slack/fakeslack"
	"quarterdeck/bot"
	"quarterdeck/bot/bottest"
)

// forget opens the gate.
func (g *gate) forget() {
	g.mu.Lock()
	defer g.mu.Unlock()
	clear(g.until)
}

// TestEveryMethodObeys429: after a 429, a method is not called again before its
// time, whoever wants to; other methods, and posts to other channels, are.
func TestEveryMethodObeys429(t *testing.T) {
	w := newWorld(t)
	now := bottest.NewClock(time.Date(2026, 11, 21, 3, 0, 0, 0, time.UTC))
	w.chat.gate.clock = now
	api, err := w.chat.client()
	if err != nil {
		t.Fatal(err)
	}
	w.SetChannel(fakeslack.Channel{ID: "C4", Name: "more", Members: []string{"UBOT", "UDEV"}})
	ctx := w.ctx
	view := slack.HomeTabViewRequest{Type: slack.VTHomeTab, Blocks: slack.Blocks{BlockSet: []slack.Block{slack.NewDividerBlock()}}}
	ts := ""
	calls := []struct {
		method string
		call   func() error
	}{
		{"chat.postMessage", func() (err error) {
			_, ts, err = api.PostMessageContext(ctx, "C1", message{text: "x"}.plain()...)
			return err
		}},
		{"chat.postEphemeral", func() error {
			_, err := api.PostEphemeralContext(ctx, "C4", "UDEV", message{text: "x"}.plain()...)
			return err
		}},
		{"chat.update", func() error {
			_, _, _, err := api.UpdateMessageContext(ctx, "C1", ts, message{text: "y"}.plain()...)
			return err
		}},
		{"users.info", func() error { _, err := api.GetUserInfoContext(ctx, "UDEV"); return err }},
		{"auth.test", func() error { _, err := api.AuthTestContext(ctx); return err }},
		{"conversations.open", func() error {
			_, _, _, err := api.OpenConversationContext(ctx, &slack.OpenConversationParameters{Users: []string{"UDEV"}})
			return err
		}},
		{"conversations.info", func() error {
			_, err := api.GetConversationInfoContext(ctx, &slack.GetConversationInfoInput{ChannelID: "C1"})
			return err
		}},
		{"usergroups.list", func() error { _, err := api.GetUserGroupsContext(ctx); return err }},
		{"views.publish", func() error {
			_, err := api.PublishViewContext(ctx, slack.PublishViewContextRequest{UserID: "UDEV", View: view})
			return err
		}},
		{"files.getUploadURLExternal", func() error {
			_, err := api.GetUploadURLExternalContext(ctx, slack.GetUploadURLExternalParameters{FileName: "x", FileSize: 1})
			return err
		}},
	}
	for _, c := range calls {
		if err := c.call(); err != nil {
			t.Fatalf("%s: %v", c.method, err)
		}
		before := len(w.Calls(c.method))
		w.Fail(c.method, fakeslack.Outage{Status: 429, RetryAfter: 20 * time.Second, Times: 1})
		for i, wait := range []time.Duration{20 * time.Second, 20 * time.Second, time.Second} {
			var limited *slack.RateLimitedError
			if err := c.call(); !errors.As(err, &limited) || limited.RetryAfter != wait {
				t.Errorf("%s, call %d: %v, want to wait %s", c.method, i, err, wait)
			}
			if n := len(w.Calls(c.method)) - before; n != 1 {
				t.Errorf("%s was called %d times before its time", c.method, n)
			}
			if i == 1 {
				now.Advance(19 * time.Second)
			}
		}
		now.Advance(time.Second)
		if err := c.call(); err != nil {
			t.Errorf("%s, after its time: %v", c.method, err)
		}
	}
	// One hot channel does not hold back the others.
	w.Fail("chat.postMessage", fakeslack.Outage{Status: 429, Times: 1})
	if _, _, err := api.PostMessageContext(ctx, "C1", message{text: "x"}.plain()...); err == nil {
		t.Error("the hot channel took a post")
	}
	if _, _, err := api.PostMessageContext(ctx, "C4", message{text: "x"}.plain()...); err != nil {
		t.Errorf("another channel: %v", err)
	}
}

// plain gives the options of a message of words.
func (m message) plain() []slack.MsgOption {
	return []slack.MsgOption{slack.MsgOptionText(m.text, false), slack.MsgOptionDisableLinkUnfurl(), slack.MsgOptionDisableMediaUnfurl()}
}

// TestPace posts no faster than a message a second and channel after a small
// burst, and edits no faster than their tier: Slack never has to ask.
func TestPace(t *testing.T) {
	now := bottest.NewClock(time.Date(2026, 11, 21, 3, 0, 0, 0, time.UTC))
	p := newPace(now)
	sent := map[string]int{}
	for range 600 { // a minute in tenths of a second
		for _, c := range []string{"post C1", "post C2"} {
			if p.take(c, postEvery, postBurst) == 0 {
				sent[c]++
			}
		}
		if p.take("edit", editEvery, editBurst) == 0 {
			sent["edit"]++
		}
		now.Advance(100 * time.Millisecond)
	}
	for key, want := range map[string]int{"post C1": 60 + postBurst - 1, "post C2": 60 + postBurst - 1, "edit": 50 + editBurst - 1} {
		if sent[key] < want-1 || sent[key] > want {
			t.Errorf("%s: %d in a minute, want %d", key, sent[key], want)
		}
	}
	wait := p.take("post C1", postEvery, postBurst)
	for wait == 0 {
		wait = p.take("post C1", postEvery, postBurst)
	}
	now.Advance(wait)
	if p.take("post C1", postEvery, postBurst) != 0 {
		t.Error("the time that was named was too short")
	}
}

// TestHookThatIsLimited waits where a response URL says 429, and uses another way
// where it is used up.
func TestHookThatIsLimited(t *testing.T) {
	w := newWorld(t)
	sent, err := w.Slash(w.ctx, fakeslack.Way{}, "UDEV", "C2", "help")
	if err != nil {
		t.Fatal(err)
	}
	d := bot.Delivery{Channel: "slack:C2", To: "slack:T1/UDEV", Card: bot.Card{Title: "help", ReplyTo: "slack:" + once("command", sent.Trigger)}}
	w.Fail("hook", fakeslack.Outage{Status: 429, RetryAfter: 9 * time.Second, Times: 1})
	_, err = w.chat.Deliver(w.ctx, d)
	var known *bot.Error
	if !errors.As(err, &known) || known.Kind != bot.Busy || known.RetryAfter != 9*time.Second {
		t.Errorf("a limited response URL: %v", err)
	}
	if _, err := w.chat.Deliver(context.WithoutCancel(w.ctx), d); err != nil {
		t.Error(err)
	}
	if all := w.Messages("C2"); len(all) != 1 || !all[0].Hook {
		t.Errorf("answered by %+v", all)
	}
}
