package slackchat

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"quarterdeck/adapters/slack/fakeslack"
	"quarterdeck/adapters/sqlite"
	"quarterdeck/bot"
	"quarterdeck/bot/bottest"
	"quarterdeck/bot/outbox"
	"quarterdeck/bot/store"
)

// TestRunWhereTheBotIsNoMember runs a deployment that was asked for in a channel
// where the bot may not write: its card lives in a direct message, the channel is
// told so, and its buttons work there.
func TestRunWhereTheBotIsNoMember(t *testing.T) {
	w := newWhole(t)
	w.SetChannel(fakeslack.Channel{ID: "CPRIVATE", Name: "dev", Private: true, Members: []string{"UDEV", "USRE"}})
	asked := w.types(t, "UDEV", "CPRIVATE", "deploy shop v2 prod")
	if !strings.HasPrefix(asked.Ref, "DUDEV/") {
		t.Fatalf("the card is at %q", asked.Ref)
	}
	w.clicks(t, "UDEV", w.message(t, asked), "Confirm")
	sent, err := w.Slash(w.ctx, fakeslack.Way{}, "USRE", "COPS", "approve 1")
	if err != nil || !sent.Acked {
		t.Fatal(sent, err)
	}
	done := w.run(t, 1, "slack:CPRIVATE", bot.Succeeded)
	if m := w.message(t, done); done.Ref != asked.Ref || m.Edits == 0 || !strings.Contains(decoded(t, m), "v2 is live") {
		t.Errorf("the end is at %s: %s", done.Ref, m.Blocks)
	}
	var told []fakeslack.Message
	for _, m := range w.Messages("CPRIVATE") {
		if m.Hook {
			told = append(told, m)
		}
	}
	if len(told) != 1 || told[0].For != "" || !strings.Contains(told[0].Text, "in a direct message to who asked") || strings.Contains(string(told[0].Blocks), "button") {
		t.Errorf("the channel was told %+v", told)
	}
	if got := w.acts(); !slices.Equal(got, []string{"shop/prod v2"}) {
		t.Errorf("the platform did %q", got)
	}
}

// posting is an outbox on the adapter.
type posting struct {
	*world
	store store.Store
}

func newPosting(t *testing.T, change ...func(*fakeslack.Options)) *posting {
	t.Helper()
	w := newWorld(t, change...)
	s, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "q.db"))
	if err != nil {
		t.Fatal(err)
	}
	d := &outbox.Deliverer{Store: s, Clock: bot.SystemClock{}, Owner: "a", Logger: slog.New(slog.NewTextHandler(testLog{t}, nil)),
		Chats: func(string) (bot.Chat, bool) { return w.chat, true }}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return &posting{w, s}
}

func (p *posting) enqueue(t *testing.T, c bot.Card) {
	t.Helper()
	body, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	err = p.store.Update(t.Context(), func(tx store.Tx) error {
		_, err := tx.Enqueue(store.Outgoing{Channel: "slack:C1", Key: c.Key, Version: c.Version, Card: body, Created: now, NextAt: now})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func (p *posting) noted(t *testing.T, key string, version int64) (ref string) {
	t.Helper()
	err := p.Until(p.ctx, "the card to be noted", func() bool { return true })
	for err == nil && p.ctx.Err() == nil {
		at := int64(0)
		err = p.store.View(p.ctx, func(r store.Reader) (err error) {
			ref, at, _, err = outbox.At(r, "slack:C1", key)
			return err
		})
		if ref != "" && at >= version {
			return ref
		}
		pause(p.ctx, 5*time.Millisecond)
	}
	t.Fatalf("the card %s was not noted: %v, %v", key, err, p.ctx.Err())
	return ""
}

// TestEditsAreCoalesced shows the last of a hundred versions of a card, and asks
// Slack for far fewer edits than there were.
func TestEditsAreCoalesced(t *testing.T) {
	p := newPosting(t, func(o *fakeslack.Options) { o.PerChannel, o.Burst = postEvery, postBurst })
	for v := range int64(100) {
		p.enqueue(t, bot.Card{Key: "run/1", Version: v + 1, Title: fmt.Sprintf("#1: %d %%", v+1)})
	}
	p.noted(t, "run/1", 100)
	all := p.Messages("C1")
	if len(all) != 1 || all[0].Text != "#1: 100 %" {
		t.Fatalf("shown: %+v", all)
	}
	if all[0].Edits > editBurst+3 {
		t.Errorf("%d edits", all[0].Edits)
	}
}

// TestTroubleOnTheWay posts through what Slack and the way there do on a bad day:
// once where nothing was posted before, twice at most where the answer was lost,
// and then the later message is the one that goes on.
func TestTroubleOnTheWay(t *testing.T) {
	for name, c := range map[string]struct {
		o    fakeslack.Outage
		most int
	}{
		"5xx":                     {fakeslack.Outage{Status: 503, Times: 1}, 1},
		"a page":                  {fakeslack.Outage{HTML: true, Times: 1}, 1},
		"429":                     {fakeslack.Outage{Status: 429, RetryAfter: time.Second, Times: 1}, 1},
		"the answer lost, 5xx":    {fakeslack.Outage{Status: 500, After: true, Times: 1}, 2},
		"the answer lost, a page": {fakeslack.Outage{HTML: true, After: true, Times: 1}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPosting(t)
			p.Fail("chat.postMessage", c.o)
			p.enqueue(t, bot.Card{Key: "run/1", Version: 1, Title: "first", Buttons: []bot.Button{{Label: "Go", Line: "go", Token: "t"}}})
			ref := p.noted(t, "run/1", 1)
			p.enqueue(t, bot.Card{Key: "run/1", Version: 2, Title: "second"})
			if again := p.noted(t, "run/1", 2); again != ref {
				t.Errorf("edited as %s, posted as %s", again, ref)
			}
			all := p.Messages("C1")
			if len(all) < 1 || len(all) > c.most {
				t.Errorf("%d messages, want %d at most", len(all), c.most)
			}
			if last := all[len(all)-1]; "C1/"+last.TS != ref || last.Text != "second" {
				t.Errorf("the last message is %s %q; the card is %s", last.TS, last.Text, ref)
			}
		})
	}
}

// TestOverflowOnce posts what does not fit a card once, however often the card is
// edited, and again where it changed.
func TestOverflowOnce(t *testing.T) {
	p := newPosting(t)
	long := strings.Repeat("word ", 1000)
	card := bot.Card{Key: "run/1", Version: 1, Title: "v1", Text: long + "one", Phase: bot.PhaseWaiting, Image: bottest.Picture()}
	follows := func(version int64, messages, files int) []fakeslack.Message {
		t.Helper()
		card.Version, card.Title = version, fmt.Sprint("v", version)
		p.enqueue(t, card)
		p.noted(t, "run/1", version)
		err := p.Until(p.ctx, "the thread", func() bool { return len(p.Messages("C1")) >= messages && len(p.Files()) >= files })
		if err != nil || len(p.Messages("C1")) != messages || len(p.Files()) != files {
			t.Fatalf("version %d: %d messages and %d files, %v", version, len(p.Messages("C1")), len(p.Files()), err)
		}
		return p.Messages("C1")
	}
	follows(1, 2, 1)
	card.Phase = bot.PhaseWorking
	card.Text = long + "while it works"
	follows(2, 2, 1)
	card.Text, card.Phase = long+"one", bot.PhaseDone
	follows(3, 2, 1)
	card.Text, card.Image = long+"two", nil
	follows(4, 2, 1)
	err := p.Until(p.ctx, "the rest to be edited", func() bool {
		m := p.Messages("C1")[1]
		return strings.Contains(decoded(t, m), "two") && m.Edits == 1
	})
	if err != nil {
		t.Error(err)
	}
}
