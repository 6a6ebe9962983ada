package slackchat

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"quarterdeck/adapters/slack/fakeslack"
	"quarterdeck/adapters/sqlite"
	"quarterdeck/bot"
	"quarterdeck/bot/bottest"
	"quarterdeck/bot/outbox"
	"quarterdeck/bot/store"
)

// putOff counts the cards that the outbox puts off.
type putOff struct {
	slog.Handler
	n    *atomic.Int64
	news chan struct{}
}

func (p putOff) Enabled(context.Context, slog.Level) bool { return true }

func (p putOff) Handle(_ context.Context, r slog.Record) error {
	if r.Message == "a card is put off" {
		p.n.Add(1)
		select {
		case p.news <- struct{}{}:
		default:
		}
	}
	return nil
}

// TestDeliveryAtThePermittedRate delivers 20,000 cards over 50 channels (a
// twentieth of them unless everything is tested) through the real outbox to a
// Slack that takes one a second in each channel after three at once.
//
// No time is measured: outbox, adapter and Slack share a clock that stands, and
// moves on by a second only once Slack has taken every post that it permits by
// then and every channel has put its next card off. So a bot slower than what is
// permitted comes to no end, and a faster one is answered with 429. The claims on
// the channels go by that clock too and are lengthened all the while.
func TestDeliveryAtThePermittedRate(t *testing.T) {
	each := 20
	if os.Getenv("QUARTERDECK_TEST_ALL") != "" {
		each = 400
	}
	deliverAtRate(t, each, func(i int) (channel, number int) { return i % paceChannels, i / paceChannels })
}

const paceChannels = 50

func deliverAtRate(t *testing.T, each int, order func(i int) (channel, number int)) {
	clock := bottest.NewClock(time.Date(2026, 11, 21, 3, 0, 0, 0, time.UTC))
	w := newWorld(t, func(o *fakeslack.Options) { o.Clock, o.PerChannel, o.Burst = clock, postEvery, postBurst })
	chat, err := open(bot.ChatOptions{Raw: table{w.chat.config}, Clock: clock})
	if err != nil {
		t.Fatal(err)
	}
	st, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "test.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	// The first channel is as strict as the audit channel.
	channel := func(i int) string { return fmt.Sprintf("CPACE%d", i) }
	for i := range paceChannels {
		w.SetChannel(fakeslack.Channel{ID: channel(i), Members: []string{"UBOT"}})
	}
	total := each * paceChannels
	for from := 0; from < total; from += 500 {
		err := st.Update(ctx, func(tx store.Tx) error {
			for i := from; i < min(from+500, total); i++ {
				c, n := order(i)
				card, err := json.Marshal(bot.Card{Title: fmt.Sprintf("card %d of %s", n, channel(c))})
				if err != nil {
					return err
				}
				if _, err := tx.Enqueue(store.Outgoing{Channel: bot.ChannelID(Network + ":" + channel(c)), Ordered: c == 0, Card: card, Created: clock.Now(), NextAt: clock.Now()}); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	puts := putOff{slog.DiscardHandler, &atomic.Int64{}, make(chan struct{}, 1)}
	d := &outbox.Deliverer{Store: st, Clock: clock, Logger: slog.New(puts), Owner: "me",
		Chats: func(network string) (bot.Chat, bool) { return chat, network == Network }}
	before, _ := w.Posts()
	running, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- d.Run(running) }()
	wanted := int64(0) // put off
	for permitted := postBurst; ; permitted++ {
		want := before + paceChannels*min(permitted, each)
		if err := w.Until(ctx, "what is permitted", func() bool { n, _ := w.Posts(); return n >= want }); err != nil {
			n, limited := w.Posts()
			t.Fatalf("%d of %d posts after %d seconds of the clock, %d refused: %v", n-before, want-before, permitted-postBurst, limited, err)
		}
		if permitted >= each {
			break
		}
		for wanted += paceChannels; puts.n.Load() < wanted; {
			select {
			case <-puts.news:
			case <-ctx.Done():
				t.Fatalf("%d cards were put off, want %d", puts.n.Load(), wanted)
			}
		}
		clock.Advance(postEvery)
		d.Wake()
	}
	empty := func() bool {
		left := 0
		if err := st.View(ctx, func(r store.Reader) error {
			list, err := r.OutgoingDue(clock.Now().Add(24*time.Hour), "", nil, 1)
			left = len(list)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		return left == 0
	}
	for !empty() && ctx.Err() == nil {
		d.Wake() // what was posted is noted soon after
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if !empty() {
		t.Error("cards are left in the outbox")
	}
	if _, limited := w.Posts(); limited != 0 {
		t.Errorf("Slack had to refuse %d posts", limited)
	}
	seen := map[string]int{}
	for _, m := range w.Messages("") {
		seen[m.Channel+" "+m.Text]++
	}
	for i := range paceChannels {
		for n := range each {
			if times := seen[fmt.Sprintf("%[1]s card %[2]d of %[1]s", channel(i), n)]; times != 1 {
				t.Errorf("card %d of %s was delivered %d times", n, channel(i), times)
			}
		}
	}
	if len(seen) != total {
		t.Errorf("%d different messages are there, want %d", len(seen), total)
	}
	for n, m := range w.Messages(channel(0)) {
		if want := fmt.Sprintf("card %d of %s", n, channel(0)); m.Text != want {
			t.Errorf("message %d of the ordered channel is %q, want %q", n, m.Text, want)
		}
	}
}
