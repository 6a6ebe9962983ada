package guard_test

import (
	"context"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"quarterdeck/adapters/sqlite"
	"quarterdeck/bot"
	"quarterdeck/bot/guard"
	"quarterdeck/bot/store"
)

var prod = bot.Target{Service: "shop", Environment: "prod"}

// clock stands until it is moved.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) move(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

type rig struct {
	t      *testing.T
	clock  *clock
	store  store.Store
	keeper *guard.Keeper
	work   *guard.Workflow
}

func newRig(t *testing.T) *rig {
	t.Helper()
	s, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "q.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	c := &clock{now: time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)}
	k := guard.NewKeeper(s)
	return &rig{t, c, s, k, guard.NewWorkflow(k, c)}
}

func (r *rig) begin(who, key string, c guard.Change) bot.Handle {
	r.t.Helper()
	spec, err := bot.NewSpec(guard.Kind, "test", c.Target, nil, c)
	if err != nil {
		r.t.Fatal(err)
	}
	h, err := r.work.Begin(spec, bot.Task{Key: key, Actor: who, Reason: "why"})
	if err != nil {
		r.t.Fatal(err)
	}
	return h
}

// look makes one call, as a process does that may have been killed after it.
func (r *rig) look(h bot.Handle, want bot.OpState, says string) {
	r.t.Helper()
	_, p, err := r.work.Advance(context.Background(), h)
	if err != nil || p.State != want || !strings.Contains(p.Text, says) {
		r.t.Errorf("%s %q (%v), want %s %q", p.State, p.Text, err, want, says)
	}
}

func (r *rig) obstacles(who string) []bot.Obstacle {
	r.t.Helper()
	var found []bot.Obstacle
	err := r.store.View(r.t.Context(), func(rd store.Reader) (err error) {
		found, err = r.keeper.Obstacles(rd, &bot.Run{Ask: bot.Ask{Target: prod}, Plan: bot.Plan{Guarded: true}, Call: bot.Call{Who: bot.Identity{Person: who}}}, r.clock.Now())
		return err
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return found
}

// A lock is one person's, ends by itself, goes to whoever waits and is done once
// however often it is asked for.
func TestLock(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	hour := guard.Change{Action: guard.TakeLock, Target: prod, For: time.Hour}
	first := r.begin("dev", "run-1", hour)
	r.look(first, bot.OpSucceeded, "locked by dev until 03-02 13:00 UTC: why")
	r.clock.move(10 * time.Minute)
	r.look(first, bot.OpSucceeded, "until 03-02 13:00 UTC") // again, after a crash: not longer
	if len(r.obstacles("dev")) != 0 || len(r.obstacles("ops")) != 1 {
		t.Errorf("it stops dev by %v, ops by %v", r.obstacles("dev"), r.obstacles("ops"))
	}
	next := r.begin("ops", "run-2", hour)
	r.look(next, bot.OpWaitingExternal, "locked by dev until 03-02 13:00 UTC: why; you are next")
	gone, err := r.work.Cancel(t.Context(), r.begin("sre", "run-3", hour))
	if err != nil {
		t.Fatal(err)
	}
	r.look(gone, bot.OpCancelled, "not waited for")
	r.clock.move(50 * time.Minute) // it expires while somebody waits
	r.look(next, bot.OpSucceeded, "locked by ops until 03-02 14:00 UTC")
	r.look(r.begin("sre", "run-4", guard.Change{Action: guard.StealLock, Target: prod, For: time.Hour}), bot.OpSucceeded, "taken from ops")
	r.look(next, bot.OpWaitingExternal, "locked by sre") // what was taken is not taken back by looking again
	end := r.begin("sre", "run-5", guard.Change{Action: guard.ReleaseLock, Target: prod})
	r.look(end, bot.OpSucceeded, "not locked any more")
	r.look(end, bot.OpSucceeded, "is not locked")
	if len(r.obstacles("dev")) != 0 {
		t.Errorf("after its end it stops %v", r.obstacles("dev"))
	}
}

// A freeze is made once however often it is asked for, and judged at the time
// that is asked about; a halt is stronger than any right.
func TestFreezeAndHalt(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	sale := r.begin("sre", "run-1", guard.Change{Action: guard.AddFreeze, Environment: "prod", For: 2 * time.Hour})
	r.look(sale, bot.OpSucceeded, "prod is frozen by sre until 03-02 14:00 UTC: why (freeze 1)")
	r.look(sale, bot.OpSucceeded, "(freeze 1)")
	r.look(r.begin("sre", "run-2", guard.Change{Action: guard.AddFreeze, Environment: "prod"}), bot.OpSucceeded, "until it is ended: why (freeze 2)")
	if o := r.obstacles("sre"); len(o) != 2 || o[0].Permission != bot.MayOverrideFreeze {
		t.Errorf("%+v", o)
	}
	r.clock.move(2 * time.Hour)
	if o := r.obstacles("sre"); len(o) != 1 || !strings.Contains(o[0].Text, "freeze 2") {
		t.Errorf("after the first one's end: %+v", o)
	}
	r.look(r.begin("ops", "run-3", guard.Change{Action: guard.EndFreeze, Freeze: 2}), bot.OpSucceeded, "not frozen by freeze 2 any more")
	if o := r.obstacles("sre"); len(o) != 0 {
		t.Errorf("after both ends: %+v", o)
	}
	halt := r.begin("ops", "run-4", guard.Change{Action: guard.SetHalt})
	r.look(halt, bot.OpSucceeded, "until somebody types resume")
	if o := r.obstacles("sre"); len(o) != 1 || o[0].Permission != "" || !strings.Contains(o[0].Text, "everything is halted by ops") {
		t.Errorf("halted: %+v", o)
	}
	r.look(r.begin("sre", "run-5", guard.Change{Action: guard.EndHalt}), bot.OpSucceeded, "changes go on")
	if s, err := r.keeper.Look(t.Context(), r.clock.Now()); err != nil || s.Halt != "" || len(s.Freezes) != 0 {
		t.Errorf("%+v (%v)", s, err)
	}
}
