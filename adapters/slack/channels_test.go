package slackchat

import (
	"sync"
	"testing"
	"time"

	"quarterdeck/adapters/slack/fakeslack"
	"quarterdeck/bot"
)

// Whatever way in is taken, nobody runs anything where another organisation reads
// along, and where Slack does not say whether one does.
func TestSharedChannels(t *testing.T) {
	w := newWorld(t)
	card := fakeslack.Message{Channel: "C3", TS: "1790000000.000100", From: "UBOT",
		Blocks: []byte(`[{"type":"actions","elements":[{"type":"button","action_id":"press/1","value":"tok","text":{"type":"plain_text","text":"Approve"}}]}]`)}
	ways := map[string]func() (fakeslack.Sent, error){
		"a slash command": func() (fakeslack.Sent, error) { return w.Slash(w.ctx, fakeslack.Way{}, "UDEV", "C3", "status") },
		"a mention":       func() (fakeslack.Sent, error) { return w.Mention(w.ctx, fakeslack.Way{}, "UDEV", "C3", "status", "") },
		"a button":        func() (fakeslack.Sent, error) { return w.Click(w.ctx, fakeslack.Way{}, "UDEV", card, "Approve") },
		"a shortcut":      func() (fakeslack.Sent, error) { return w.Shortcut(w.ctx, fakeslack.Way{}, "UDEV", askShortcut, card) },
	}
	for name, way := range ways {
		if sent, err := way(); err != nil || !sent.Acked {
			t.Fatal(name, sent, err)
		}
		got := w.hub.messages()
		if m := got[len(got)-1]; m.Standing != bot.External {
			t.Errorf("by %s in a shared channel a member is %q", name, m.Standing)
		}
	}
}

// A channel is asked about once in a while, however many write there; an outage is
// no yes.
func TestChannelsFailClosed(t *testing.T) {
	fake, s, clock := quiet(t, Config{Shared: []string{"C3"}})
	inHouse(fake)
	fake.SetChannel(fakeslack.Channel{ID: "C1", Members: []string{"UBOT", "UDEV"}})
	fake.SetChannel(fakeslack.Channel{ID: "C2", Private: true, Members: []string{"UDEV"}})
	fake.SetChannel(fakeslack.Channel{ID: "C3", Shared: true, Members: []string{"UBOT", "UDEV"}})
	in := func(channel string) bot.Standing {
		return s.message(t.Context(), incoming{team: "T1", user: "UDEV", channel: channel, command: "/ops"}).Standing
	}
	if got := in("C3"); got != bot.Member {
		t.Errorf("in a shared channel that is configured a member is %q", got)
	}
	if got := in("C2"); got != bot.Member {
		t.Errorf("where the bot cannot look, and writes nothing, a member is %q", got)
	}
	if got := in("D1"); got != bot.Member {
		t.Errorf("in a direct conversation a member is %q", got)
	}
	fake.Fail("conversations.info", fakeslack.Outage{Status: 500})
	if got := in("C1"); got != bot.Unvouched {
		t.Errorf("in an outage a member is %q", got)
	}
	fake.Mend()
	asked := len(fake.Calls("conversations.info"))
	for range 2 {
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() {
				if got := in("C1"); got != bot.Member {
					t.Errorf("a member is %q", got)
				}
			})
		}
		all.Wait()
	}
	if n := len(fake.Calls("conversations.info")) - asked; n != 1 {
		t.Errorf("Slack was asked %d times about one channel", n)
	}
	clock.Advance(channelLife + time.Second)
	fake.Fail("conversations.info", fakeslack.Outage{Status: 500})
	if got := in("C1"); got != bot.Member {
		t.Errorf("where Slack said before that nobody else reads, a member is %q in an outage", got)
	}
	fake.Mend()
	clock.Advance(channelLife + time.Second)
	fake.SetChannel(fakeslack.Channel{ID: "C1", Shared: true, Members: []string{"UBOT", "UDEV"}})
	if got := in("C1"); got != bot.External {
		t.Errorf("once the channel is shared a member is %q", got)
	}
}
