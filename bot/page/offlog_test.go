package page_test

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sourcegraph/conc"

	"quarterdeck/bot"
	"quarterdeck/bot/audit"
	"quarterdeck/bot/bottest"
	"quarterdeck/bot/notify"
	"quarterdeck/bot/page"
	"quarterdeck/bot/store"
)

// locked is a store that may be told to take no writes.
type locked struct {
	store.Store
	mu sync.Mutex
	on bool
}

func (l *locked) set(on bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.on = on
}

func (l *locked) Update(ctx context.Context, f func(tx store.Tx) error) error {
	l.mu.Lock()
	on := l.on
	l.mu.Unlock()
	if on {
		return &bot.Error{Op: "store.update", Kind: bot.Unavailable, Say: "the disk is full"}
	}
	return l.Store.Update(ctx, f)
}

// told gathers what reaches people.
type told struct {
	mu    sync.Mutex
	lines []string
	fail  bool
}

func (o *told) add(line string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.lines = append(o.lines, line)
}

func (o *told) has(text string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return strings.Contains(strings.Join(o.lines, "\n"), text)
}

// Send implements notify.Way.
func (o *told) Send(_ context.Context, n notify.Notice) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.fail {
		return bot.Errorf(bot.Unavailable, "the mail server is down")
	}
	o.lines = append(o.lines, "mail to "+n.Email+": "+n.Title)
	return nil
}

// running makes the pager of a world work over a store and tell by o.
func (w *world) running(s store.Store, o *told) {
	w.settings.Ways["mail"] = o
	w.settings.Policies["default"].Levels[0].Ways = []string{"mail"}
	w.Keeper = page.New(page.Config{Store: s, Recorder: audit.New(audit.Config{Store: s, Clock: w.clock}), Clock: w.clock, IDs: bottest.NewIDs("o"), Logger: slog.New(slog.DiscardHandler), Owner: "o",
		Settings: func() *page.Settings { return w.settings },
		Deliver: func(_ context.Context, d bot.Delivery) (string, error) {
			o.add(string(d.Channel) + ": " + d.Card.Title + " " + d.Card.Text)
			return "", nil
		}})
	ctx, cancel := context.WithCancel(w.t.Context())
	var all conc.WaitGroup
	all.Go(func() { _ = w.Run(ctx) })
	w.t.Cleanup(func() { cancel(); all.Wait() })
}

func (w *world) until(what string, ok func() bool) {
	w.t.Helper()
	for end := time.Now().Add(30 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			w.t.Fatalf("never: %s", what)
		}
		w.Wake()
	}
}

// TestOffLog: while the store takes no writes, pages are told of from memory, and
// an acknowledgement that the journal holds stops that; once the store is back, the
// page follows.
func TestOffLog(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s, o := &locked{Store: w.store}, &told{}
	w.running(s, o)
	w.take(firing("Down", "service", "shop", "env", "prod"))
	w.clock.Advance(time.Minute)
	w.until("the page is there", func() bool { return len(w.pages()) == 1 })
	w.until("mail is sent", func() bool { return o.has("mail to ann@example.com: page 1 (shop/prod): Down") })
	w.clock.Advance(3 * time.Second)
	w.until("it is known by heart", func() bool { return w.AtHand(bot.Identity{Person: "ann"}, prod) != "" })
	s.set(true)
	w.clock.Advance(5 * time.Minute)
	// The schedule of the second level has a gap now, so that the third is next.
	w.until("it is told to the wider channel", func() bool { return o.has("file:everybody: page 1 (shop/prod): Down no answer") })
	w.clock.Advance(time.Minute)
	w.until("the third level is asked", func() bool { return o.has("file:pages: page 1 (shop/prod): Down no answer; bob") })
	if p := w.do("journal-a", "bob", page.Change{Action: page.ActAck, Page: 1}); p.State != bot.OpSucceeded {
		t.Fatalf("it cannot be taken: %+v", p)
	}
	if p := w.do("journal-b", "bob", page.Change{Action: page.ActResolve, Page: 1}); p.State != bot.OpFailed {
		t.Errorf("it is resolved without a record: %+v", p)
	}
	if why := w.AtHand(bot.Identity{Person: "bob"}, prod); why != "holds page 1" {
		t.Errorf("of who holds it, it says %q", why)
	}
	spec, err := bot.NewSpec(page.Kind, "page ack", prod, nil, page.Change{Action: page.ActAck, Page: 1})
	if err != nil {
		t.Fatal(err)
	}
	docs, err := page.NewWorkflow(w.Keeper).Settle(bot.Run{Journal: &bot.Journalled{ID: "a"}, Handle: bot.Handle{Key: "journal-a"}, Call: bot.Call{Who: bot.Identity{Person: "bob"}}, Plan: bot.Plan{Spec: spec}},
		bot.Progress{State: bot.OpSucceeded}, w.clock.Now())
	if err != nil || len(docs) != 1 {
		t.Fatalf("what is merged is %v (%v)", docs, err)
	}
	s.set(false)
	if err := s.Update(t.Context(), func(tx store.Tx) error { _, err := tx.PutDocument(docs[0]); return err }); err != nil {
		t.Fatal(err)
	}
	w.until("the page follows", func() bool { return strings.Contains(strings.Join(w.pages(), ""), "acknowledged") })
	events, err := w.Events(t.Context(), 1)
	if err != nil || events[len(events)-1].Person != "bob" {
		t.Errorf("the story ends with %+v (%v)", events, err)
	}
}

// TestSecondWay: a way that does not work is told of, tried again, and gets
// through; once somebody has the page, nobody is woken by it any more.
func TestSecondWay(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	o := &told{fail: true}
	w.running(w.store, o)
	w.take(firing("Down", "service", "shop", "env", "prod"))
	w.clock.Advance(time.Minute)
	w.until("the failure is told", func() bool {
		return strings.Contains(w.posted("file:pages"), "ann could not be told by mail: the mail server is down; it is tried again")
	})
	o.mu.Lock()
	o.fail = false
	o.mu.Unlock()
	w.clock.Advance(10 * time.Second)
	w.until("the mail is sent", func() bool { return o.has("mail to ann@example.com") })
}
