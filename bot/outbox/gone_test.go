package outbox_test

import (
	"bytes"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"quarterdeck/bot"
)

// sessions is a network whose channels come and go.
type sessions struct{ *chat }

func (sessions) Kept() time.Duration { return 10 * time.Minute }

// journal is a log that can be read while it is written.
type journal struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.b.Write(p)
}

func (j *journal) count(what string) int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return strings.Count(j.b.String(), what)
}

func (j *journal) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(io.Writer(j), &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// A closed terminal left cards that were tried once a minute for ever, with a
// warning each time: the log of a day held nothing else.
func TestSessionGoneForGood(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	var mu sync.Mutex
	back := time.Duration(0)
	r.chat.answers(func(bot.Delivery) error {
		mu.Lock()
		defer mu.Unlock()
		return &bot.Error{Kind: bot.Unavailable, Say: "the session is not connected", RetryAfter: back}
	})
	r.enqueue(card("run/1", 1, "waits"))
	var log journal
	d := r.deliverer()
	d.Logger = log.logger()
	d.Chats = func(string) (bot.Chat, bool) { return sessions{r.chat}, true }
	r.start(d)
	for i := range 10 {
		r.await("a try", func() bool { return r.tries() == i+1 })
		r.clock.Advance(time.Minute)
		d.Wake()
	}
	r.await("a try", func() bool { return r.tries() == 11 })
	// One that may be back at any moment is waited for, also when it is late.
	mu.Lock()
	back = 2 * time.Second
	mu.Unlock()
	r.clock.Advance(time.Minute)
	d.Wake()
	r.await("a try", func() bool { return r.tries() == 12 })
	mu.Lock()
	back = 0
	mu.Unlock()
	r.clock.Advance(2 * time.Second)
	d.Wake()
	r.empty()
	if n := log.count("level=WARN") + log.count("level=ERROR"); n != 0 {
		t.Errorf("%d warnings: %s", n, log.b.String())
	}
}

// A channel that takes nothing is one warning, and another one the next time.
func TestLastingTroubleIsToldOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	down := func(bot.Delivery) error { return bot.Errorf(bot.Unavailable, "down") }
	var log journal
	d := r.deliverer()
	d.Logger = log.logger()
	r.start(d)
	for round := 1; round <= 2; round++ {
		r.chat.answers(down)
		r.enqueue(card("a", int64(round), "a"), card("b", int64(round), "b"))
		d.Wake()
		for i, wait := range []time.Duration{time.Second, 29 * time.Second, 30 * time.Second, time.Minute, time.Minute} {
			r.await("a try", func() bool { return r.triesOf("a") > i && r.triesOf("b") > i })
			if i < 3 && log.count("level=WARN") != round-1 {
				t.Fatalf("a warning at once: %s", log.b.String())
			}
			r.clock.Advance(wait)
			d.Wake()
		}
		r.await("a warning", func() bool { return log.count("level=WARN") == round })
		r.chat.answers(nil)
		r.clock.Advance(time.Minute)
		d.Wake()
		r.empty()
		if n := log.count("level=WARN"); n != round {
			t.Fatalf("%d warnings after %d troubles: %s", n, round, log.b.String())
		}
	}
}
