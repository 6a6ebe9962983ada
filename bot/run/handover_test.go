package run_test

import (
	"context"
	"testing"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/run"
)

// gate holds the first call that comes to it until it is opened.
type gate struct {
	first   chan struct{}
	reached chan struct{}
	open    chan error
}

func newGate() *gate {
	g := &gate{first: make(chan struct{}, 1), reached: make(chan struct{}), open: make(chan error, 1)}
	g.first <- struct{}{}
	return g
}

func (g *gate) pass() error {
	select {
	case <-g.first:
		close(g.reached)
		return <-g.open
	default:
		return nil
	}
}

// held gives a process whose calls may last an hour and whose first one to the
// place that which names is held up.
func (r *rig) held(which func(*hooks, func() error), changes ...func(*run.Config)) (*host, *gate) {
	h, g := r.host(changes...), newGate()
	h.hooks.set(func(k *hooks) {
		k.longest = time.Hour
		which(k, g.pass)
	})
	return h, g
}

func inAdvance(k *hooks, f func() error) { k.advance = f }

// followed has a successor end runs, without a wait for a lease, and checks that
// the platform acted once for each.
func (r *rig) followed(numbers ...int64) {
	r.t.Helper()
	for _, n := range numbers {
		if row := r.row(n); row.Owner != "" || !row.Lease.IsZero() || row.State.Settled() {
			r.t.Fatalf("#%d is left %s, with %q until %s", n, row.State, row.Owner, row.Lease)
		}
	}
	before := r.clock.Now()
	next := r.host().start()
	for _, n := range numbers {
		got := next.reaches(n, bot.Succeeded)
		r.complete(got)
		if r.effects(got) != 1 {
			r.t.Errorf("the platform acted %d times for #%d", r.effects(got), n)
		}
	}
	if took := r.clock.Now().Sub(before); took > 30*time.Minute {
		r.t.Errorf("a lease was waited for: %s by the clock", took)
	}
}

// A process is stopped in the middle of a call, which is cut off. Its lease would
// last an hour yet, and does not hold up whoever comes next.
func TestCutOffCallIsHandedOver(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	h, g := r.held(inAdvance)
	h.start()
	n := h.begin(dev, "deploy shop v2 to free")
	<-g.reached
	if row := r.row(n); row.Owner == "" || row.Lease.Before(r.clock.Now().Add(30*time.Minute)) {
		t.Fatalf("in its call the run has the lease %q until %s", row.Owner, row.Lease)
	}
	h.stop()
	g.open <- context.Canceled
	h.parts.Wait()
	r.followed(n)
}

// A process drains in the middle of a call: it waits for it, begins nothing more,
// and leaves the run to whoever comes next.
func TestDrainFinishesCall(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	draining := make(chan struct{})
	h, g := r.held(inAdvance, func(c *run.Config) { c.Draining = draining })
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		_ = h.Engine.Run(context.Background()) // nobody but Draining ends it
	}()
	n := h.begin(dev, "deploy shop v2 to free")
	<-g.reached
	close(draining)
	other := h.begin(dev, `deploy shop v2 to ticket --reason "OPS-1"`) // comes while it drains
	g.open <- nil
	<-drained
	if row := r.row(other); row.State != bot.Queued || row.Holds {
		t.Errorf("while it drained a run was begun: %s", row.State)
	}
	r.followed(n, other)
}

// A process is stopped while it looks whether a run may begin: nothing was done,
// and nothing is said to have failed.
func TestCutOffChecksAreHandedOver(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	h, g := r.held(func(*hooks, func() error) {})
	n := h.begin(dev, "deploy shop v2 to free") // planned; nobody looks at it yet
	h.hooks.set(func(k *hooks) { k.current = g.pass })
	h.start()
	<-g.reached
	if row := r.row(n); row.Owner == "" || !row.Holds {
		t.Fatalf("while it is looked at it is %s, with %q", row.State, row.Owner)
	}
	h.stop()
	g.open <- context.Canceled
	h.parts.Wait()
	if n := len(r.records(n)); n != 1 {
		t.Errorf("%d records, want that of the request alone", n)
	}
	r.followed(n)
}
