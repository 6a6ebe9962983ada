package run_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/run"
	"quarterdeck/bot/store"
)

func (r *rig) buttons() (n int) {
	r.t.Helper()
	err := r.store.View(context.Background(), func(rd store.Reader) error {
		docs, err := rd.Documents(run.KindPress, "", 10_000, false)
		n = len(docs)
		return err
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return n
}

// Buttons are removed once they can no longer be pressed, and not before.
func TestExpiredButtonsAreRemoved(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	err := r.store.Update(t.Context(), func(tx store.Tx) error {
		for i := range 450 { // more than two batches
			due := r.clock.Now().Add(-time.Hour)
			doc := bot.Document{Kind: run.KindPress, ID: fmt.Sprintf("000001old%d", i), Due: due, Body: []byte("{}")}
			if _, err := tx.PutDocument(doc); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	h := r.host()
	n := h.begin(dev, "deploy shop v2 to asks")
	h.start()
	r.await("the old ones to be gone", func() bool { return r.buttons() == 2 })
	h.mustSay(dev, "confirm")
	h.reaches(n, bot.Succeeded)
	r.clock.jump(26 * time.Hour)
	h.Wake()
	r.await("the others to be gone", func() bool { return r.buttons() == 0 })
}

// full is a store that cannot be written to while told so.
type full struct {
	store.Store
	bad   atomic.Bool
	tries atomic.Int32
}

func (f *full) Update(ctx context.Context, do func(tx store.Tx) error) error {
	if f.bad.Load() {
		f.tries.Add(1)
		return bot.Errorf(bot.Unavailable, "the disk is full")
	}
	return f.Store.Update(ctx, do)
}

// While nothing can be recorded nothing is done, the line is refused, and the
// engine does not spin; what was under way goes on afterwards.
func TestNoRecordNoAction(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	f := &full{Store: r.store}
	reach, there, goOn := stopAt("slot taken")
	t.Cleanup(goOn)
	h := r.host(func(c *run.Config) { c.Store, c.Reach = f, reach }).start()
	n := h.begin(dev, "deploy shop v2 to free")
	r.arrives("the last checks", there)
	m := r.receive(bot.Message{Account: "chat:dev", Text: "deploy shop v3 to free"})
	f.bad.Store(true)
	r.mustRefuse(h.road(m, ""), bot.Unavailable, "the disk is full")
	goOn()
	r.await("the intent to fail", func() bool { return f.tries.Load() >= 2 })
	for range 1000 {
		h.Wake()
	}
	if tries := f.tries.Load(); tries > 20 {
		t.Errorf("%d writes were tried", tries)
	}
	if len(r.far.Acts()) != 0 {
		t.Fatal("it acted without a record")
	}
	f.bad.Store(false)
	r.clock.jump(11 * time.Second) // its lease
	h.Wake()
	r.complete(h.reaches(n, bot.Succeeded))
	if err := h.road(m, ""); err != nil { // the message was not lost
		t.Fatal(err)
	}
}

// again is a store that loses the race for the commit once, so that what was
// to be written is written by a second run of the same function.
type again struct{ store.Store }

func (a again) Update(ctx context.Context, do func(tx store.Tx) error) error {
	lost := bot.Errorf(bot.Unavailable, "lost the race")
	err := a.Store.Update(ctx, func(tx store.Tx) error {
		if err := do(tx); err != nil {
			return err
		}
		return lost
	})
	if err != error(lost) {
		return err
	}
	return a.Store.Update(ctx, do)
}

// Functions that run twice, as the store may have them do, write once: nothing
// of the first time is left, in memory either.
func TestTransactionsRunTwice(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	h := r.host(func(c *run.Config) { c.Store = again{r.store} }).start()
	n := h.begin(dev, "deploy shop v3 to prod")
	if err := h.press(dev, n, "Confirm"); err != nil { // the button's document is there
		t.Fatal(err)
	}
	r.far.SetLive(target(prod), "v2")
	h.mustSay(sreOne, fmt.Sprint("approve ", n))
	r.await("a new plan", func() bool { return r.has(n, bot.Step) == 1 })
	got := h.reaches(n, bot.Waiting)
	h.shows(n, "the new plan", func(c bot.Card) bool { return c.Version == got.Card })
	if err := h.press(dev, n, "Confirm"); err != nil {
		t.Fatal(err)
	}
	h.shows(n, "the question to approve", func(c bot.Card) bool { return c.Version > got.Card })
	if err := h.press(sreOne, n, "Approve"); err != nil {
		t.Fatal(err)
	}
	got = h.reaches(n, bot.Succeeded)
	r.complete(got)
	if len(got.Plan.Warnings) != 1 {
		t.Errorf("warnings %q", got.Plan.Warnings)
	}
}

// Many people at many targets at once.
func TestCrowd(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	h := r.host(func(c *run.Config) { c.Parallel = 4 }).start()
	var all sync.WaitGroup
	for _, name := range targets() {
		r.past(name, "v2")
	}
	where := []string{"shop free", "pay free", "shop asks", "shop prod", "shop two", "shop ticket"}
	for i := range 24 {
		all.Go(func() {
			if err := h.say([]string{dev, devTwo, sreOne, sreTwo}[i%4], "rollback "+where[i%len(where)]+" v2"); err != nil {
				t.Errorf("%s: %v", where[i%len(where)], err)
			}
		})
	}
	all.Wait()
	h.quiet()
	h.consistent()
	if acts := r.far.Acts(); len(acts) != len(where) {
		t.Errorf("%d acts for %d targets", len(acts), len(where))
	}
	for _, name := range targets() {
		if live := r.far.Live(target(name)); live != "v2" {
			t.Errorf("%s runs %s", name, live)
		}
	}
}
