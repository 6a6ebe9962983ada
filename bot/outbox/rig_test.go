package outbox_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sourcegraph/conc"
	"go.uber.org/goleak"

	"quarterdeck/adapters/sqlite"
	"quarterdeck/bot"
	"quarterdeck/bot/bottest"
	"quarterdeck/bot/outbox"
	"quarterdeck/bot/store"
)

func TestMain(m *testing.M) {
	flag.Parse()
	asked := false
	flag.Visit(func(f *flag.Flag) { asked = asked || f.Name == "rapid.checks" })
	if !asked { // each writes to a real database many times
		if err := flag.Set("rapid.checks", "20"); err != nil {
			panic(err)
		}
	}
	goleak.VerifyTestMain(m)
}

const patience = 5 * time.Minute

func noon() time.Time { return time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC) }

// chat is a network that notes what it is given, and answers as it is told.
type chat struct {
	mu     sync.Mutex
	posts  []bot.Delivery
	answer func(d bot.Delivery) error // nil delivers
	refs   int
}

func (c *chat) Network() string { return "chat" }

func (c *chat) Run(ctx context.Context, _ bot.Inbound) error {
	<-ctx.Done()
	return nil
}

func (c *chat) Deliver(ctx context.Context, d bot.Delivery) (string, error) {
	c.mu.Lock()
	c.posts = append(c.posts, d)
	f := c.answer
	c.mu.Unlock()
	if f != nil {
		if err := f(d); err != nil {
			return "", err
		}
	}
	if d.Ref != "" {
		return d.Ref, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refs++
	return fmt.Sprintf("m%d", c.refs), ctx.Err()
}

// answers sets what the network says to every delivery.
func (c *chat) answers(f func(d bot.Delivery) error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.answer = f
}

// titles lists what was delivered, or tried, in a channel.
func (c *chat) titles(channel bot.ChannelID) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var titles []string
	for _, d := range c.posts {
		if d.Channel == channel {
			titles = append(titles, d.Card.Title)
		}
	}
	return titles
}

func (c *chat) all() []bot.Delivery {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.posts)
}

// rig is a store with a clock that stands, and a network.
type rig struct {
	t     *testing.T
	store store.Store
	clock *bottest.Clock
	chat  *chat

	mu   sync.Mutex
	gaps []string
}

func newRig(t *testing.T) *rig {
	t.Helper()
	s, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "test.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return &rig{t: t, store: s, clock: bottest.NewClock(noon()), chat: &chat{}}
}

// deliverer gives a Deliverer that does not work yet.
func (r *rig) deliverer() *outbox.Deliverer {
	return &outbox.Deliverer{Store: r.store, Clock: r.clock, Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
		Chats: func(network string) (bot.Chat, bool) { return r.chat, network == "chat" },
		Gap: func(_ store.Tx, o store.Outgoing, cause string) error {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.gaps = append(r.gaps, fmt.Sprintf("%s %d: %s", o.Channel, o.ID, cause))
			return nil
		}}
}

// start lets a Deliverer work until stop is called or the test ends.
func (r *rig) start(d *outbox.Deliverer) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var parts conc.WaitGroup
	parts.Go(func() {
		if err := d.Run(ctx); err != nil {
			r.t.Error(err)
		}
	})
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			parts.Wait()
		})
	}
	r.t.Cleanup(stop)
	return stop
}

// enqueue puts cards into the outbox, in one commit.
func (r *rig) enqueue(cards ...store.Outgoing) {
	r.t.Helper()
	err := r.store.Update(context.Background(), func(tx store.Tx) error {
		for _, o := range cards {
			if o.Channel == "" {
				o.Channel = "chat:ops"
			}
			o.Created, o.NextAt = r.clock.Now(), r.clock.Now()
			if _, err := tx.Enqueue(o); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		r.t.Fatal(err)
	}
}

// card makes a card whose title tells it apart.
func card(key string, version int64, title string) store.Outgoing {
	body, err := json.Marshal(bot.Card{Key: key, Version: version, Title: title})
	if err != nil {
		panic(err)
	}
	return store.Outgoing{Key: key, Version: version, Card: body}
}

func ordered(o store.Outgoing, channel bot.ChannelID) store.Outgoing {
	o.Ordered, o.Channel = true, channel
	return o
}

// left counts what is still in the outbox; of an ordered channel only the first.
func (r *rig) left() int {
	r.t.Helper()
	return len(r.allPending())
}

func (r *rig) allPending() (pending []store.Outgoing) {
	r.t.Helper()
	err := r.store.View(context.Background(), func(rd store.Reader) (err error) {
		pending, err = rd.OutgoingDue(noon().Add(100*365*24*time.Hour), "", nil, 1000)
		return err
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return pending
}

func (r *rig) await(what string, ok func() bool) {
	r.t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline.C:
			r.t.Fatalf("waited too long for %s; delivered: %s", what, strings.Join(r.chat.titles("chat:ops"), ", "))
		case <-tick.C:
		}
	}
}

func (r *rig) empty() {
	r.t.Helper()
	r.await("an empty outbox", func() bool { return r.left() == 0 })
}

func (r *rig) wantTitles(channel bot.ChannelID, want ...string) {
	r.t.Helper()
	if got := r.chat.titles(channel); !slices.Equal(got, want) {
		r.t.Fatalf("%s was given %q, want %q", channel, got, want)
	}
}
