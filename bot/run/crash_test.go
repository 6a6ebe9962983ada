package run_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/provider/providertest"
	"quarterdeck/bot/run"
)

// complete checks that the log tells the whole of a settled run, and how often
// the platform acted for it.
func (r *rig) complete(x bot.Run) {
	r.t.Helper()
	kinds := map[bot.RecordKind]int{}
	for _, rec := range r.records(x.Number) {
		kinds[rec.Kind]++
	}
	outcomes := 0
	for _, k := range []bot.RecordKind{bot.SucceededKind, bot.FailedKind, bot.CancelledKind, bot.UnknownKind, bot.ExpiredKind, bot.DeniedRecord} {
		outcomes += kinds[k]
	}
	if kinds[bot.Requested] != 1 || outcomes != 1 || kinds[bot.Started] > 1 {
		r.t.Errorf("the log of #%d holds %v", x.Number, kinds)
	}
	n := r.effects(x)
	if n > 1 {
		r.t.Errorf("the platform acted %d times for #%d", n, x.Number)
	}
	if n > 0 && kinds[bot.Started] == 0 {
		r.t.Errorf("the platform acted for #%d without a record of its start", x.Number)
	}
	if x.State == bot.Succeeded && n != 1 {
		r.t.Errorf("#%d is said to be done, and the platform acted %d times", x.Number, n)
	}
	if x.State == bot.Unknown && !strings.Contains(x.Result, "check: ") && !strings.Contains(x.Result, "look at the provider") {
		r.t.Errorf("#%d is unknown without a word on what to check: %s", x.Number, x.Result)
	}
}

// Every fault of a platform, for both ways: once, or unknown; never more.
func TestFaults(t *testing.T) {
	t.Parallel()
	unknown := []providertest.Fault{providertest.Unsearchable, providertest.UnknownState}
	for _, fault := range providertest.Faults() {
		for _, line := range []string{"deploy shop v2 to free", "rollback shop free v2"} {
			t.Run(fmt.Sprintf("%s/%s", fault, strings.Fields(line)[0]), func(t *testing.T) {
				t.Parallel()
				r := newRig(t, func(c bot.Clock) *providertest.Infrastructure { return providertest.NewHostile(c, fault) })
				r.past(free, "v2")
				h := r.host().start()
				n := h.begin(dev, line)
				got := h.reaches(n, bot.Succeeded, bot.RolledBack, bot.Unknown)
				r.complete(got)
				if slices.Contains(unknown, fault) != (got.State == bot.Unknown) {
					t.Errorf("ended as %s: %s", got.State, got.Result)
				}
				live := r.far.Live(target(free))
				if (got.State == bot.Succeeded) != (live == "v2") && fault != providertest.Unsearchable {
					t.Errorf("ended as %s, and %s is live", got.State, live)
				}
				// A release counts as bad only once it was left.
				if bad := h.bad(free); (len(bad) == 1) != (got.State == bot.Succeeded && strings.HasPrefix(line, "rollback")) {
					t.Errorf("ended as %s, bad are %v", got.State, bad)
				}
				h.reaches(h.begin(devTwo, "restart shop free"), bot.Succeeded, bot.Unknown, bot.Failed, bot.Waiting) // the slot is free
			})
		}
	}
}

// Every fault, and a rollback in the middle of it.
func TestFaultsUnderRollback(t *testing.T) {
	t.Parallel()
	for _, fault := range providertest.Faults() {
		t.Run(string(fault), func(t *testing.T) {
			t.Parallel()
			r := newRig(t, func(c bot.Clock) *providertest.Infrastructure { return providertest.NewHostile(c, fault) })
			h := r.host().start()
			release := r.far.Hold()
			front := h.begin(dev, "deploy shop v2 to free")
			r.await("the deployment to be under way", func() bool {
				got, err := h.Get(t.Context(), front)
				return err == nil && (got.State == bot.Running && got.Acted || got.State.Settled())
			})
			back := h.begin(sreOne, "rollback shop free v1")
			release()
			f := h.reaches(front, bot.Succeeded, bot.Cancelled, bot.Failed, bot.RolledBack, bot.Unknown)
			r.complete(f)
			b := h.reaches(back, bot.Succeeded, bot.Unknown, bot.Waiting)
			if b.State == bot.Waiting { // planned anew, because the deployment was through
				r.await("its card", func() bool { return r.shownVersion(channel, back) >= b.Card })
				r.clock.jump(3 * time.Second)
				h.mustSay(sreOne, fmt.Sprint("confirm ", back))
				b = h.reaches(back, bot.Succeeded, bot.Unknown, bot.Cancelled)
			}
			r.complete(b)
			if live := r.far.Live(target(free)); b.State == bot.Succeeded && live != "v1" {
				t.Errorf("%s is live after the rollback", live)
			}
		})
	}
}

// crashPoints are the points of the road where a process can die.
var crashPoints = []string{"slot taken", "intent committed", "call begun", "call returned", "outcome known"}

// A process dies at every point of the road; its successor takes the run to its
// end, with one effect.
func TestCrashMatrix(t *testing.T) {
	t.Parallel()
	for _, point := range crashPoints {
		for _, nth := range []int{1, 2} {
			if nth == 2 && !strings.HasPrefix(point, "call ") {
				continue // a run gets there once
			}
			for _, kind := range []string{"friendly", "hostile"} {
				t.Run(fmt.Sprintf("%s %d/%s", point, nth, kind), func(t *testing.T) {
					t.Parallel()
					r := newRig(t, func(c bot.Clock) *providertest.Infrastructure {
						if kind == "friendly" {
							return providertest.NewFriendly(c)
						}
						return providertest.NewHostile(c, providertest.ActsThenTimeout)
					})
					var stop context.CancelFunc
					free := make(chan struct{})
					var release sync.Once
					dead := make(chan struct{})
					var seen atomic.Int32
					first := r.host(func(c *run.Config) {
						c.Reach = func(p string) {
							if p == point && seen.Add(1) == int32(nth) {
								stop()
								close(dead)
								<-free
							}
						}
					})
					ctx, cancel := context.WithCancel(context.Background())
					stop = cancel
					first.parts.Go(func() { _ = first.Engine.Run(ctx) })
					t.Cleanup(func() { // the dead one's goroutines end after all
						cancel()
						release.Do(func() { close(free) })
						first.parts.Wait()
					})
					n := first.begin(dev, "deploy shop v2 to free")
					r.arrives(point, dead)
					if point == "slot taken" {
						r.clock.jump(11 * time.Second) // the lease for the last checks
					}
					second := r.host().start()
					got := second.reaches(n, bot.Succeeded)
					r.complete(got)
					// The dead one wakes up again, as after SIGCONT: nothing it says counts.
					before := r.records(n)
					release.Do(func() { close(free) })
					first.parts.Wait()
					after, err := second.Get(t.Context(), n)
					if err != nil || after.State != bot.Succeeded || after.Card != got.Card || len(r.records(n)) != len(before) {
						t.Errorf("the dead process wrote: %+v (%v)", after, err)
					}
					r.complete(after)
				})
			}
		}
	}
}

// A process is stopped in the middle, loses its lease, and goes on later
// without knowing: it must neither call nor write.
func TestStaleProcess(t *testing.T) {
	t.Parallel()
	for _, point := range []string{"slot taken", "call begun", "call returned"} {
		t.Run(point, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, func(c bot.Clock) *providertest.Infrastructure { return providertest.NewHostile(c, providertest.None) })
			reach, there, goOn := stopAt(point)
			var calls atomic.Int32
			first := r.host(func(c *run.Config) { c.Reach = reach }).start()
			first.hooks.set(func(k *hooks) { k.advance = func() error { calls.Add(1); return nil } })
			t.Cleanup(goOn)
			n := first.begin(dev, "deploy shop v2 to free")
			r.arrives(point, there)
			before := calls.Load()
			if point == "slot taken" {
				r.clock.jump(11 * time.Second) // its lease for the last checks
			}
			second := r.host().start()
			got := second.reaches(n, bot.Succeeded)
			log := len(r.records(n))
			goOn()
			first.kill() // waits for what it was doing
			after, err := second.Get(t.Context(), n)
			if err != nil || after.Card != got.Card || after.Fence != got.Fence || len(r.records(n)) != log {
				t.Errorf("the stale process wrote: %+v (%v)", after, err)
			}
			if calls.Load() != before {
				t.Errorf("the stale process called the platform %d times", calls.Load()-before)
			}
			r.complete(after)
		})
	}
}

// A process that comes back with an answer while its successor is calling has
// nothing to say any more, whatever the answer was.
func TestOldAnswerIsNotWritten(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	reach, there, goOn := stopAt("call returned")
	t.Cleanup(goOn)
	called, answer := make(chan struct{}), make(chan struct{})
	release := sync.OnceFunc(func() { close(answer) })
	r.drill.set(func(d *drill) {
		d.timing = bot.Timing{Call: patience, Settle: time.Second}
		d.advance = func(_ context.Context, h bot.Handle) (bot.Progress, error) {
			if !h.Interrupted {
				return bot.Progress{State: bot.OpFailed, Text: "old news"}, nil
			}
			close(called)
			<-answer
			return bot.Progress{State: bot.OpSucceeded, Text: "found again"}, nil
		}
	})
	first := r.host(func(c *run.Config) { c.Reach = reach }).start()
	n := first.begin(dev, "drill shop free")
	r.arrives("the first answer", there)
	r.clock.jump(patience + 2*time.Second) // the lease is over
	second := r.host().start()
	t.Cleanup(release)
	r.arrives("the second call", called)
	goOn()
	first.kill()
	if x, err := second.Get(t.Context(), n); err != nil || x.State != bot.Running || !x.InCall {
		t.Errorf("the old answer made it %s: %s (%v)", x.State, x.Result, err)
	}
	release()
	if x := second.reaches(n, bot.Succeeded); x.Result != "found again" {
		t.Errorf("result %q", x.Result)
	}
}

// While a process is calling, nobody else calls for the same run.
func TestNobodyCallsDuringALease(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	var mu sync.Mutex
	calls := map[string]int{}
	called, answer := make(chan struct{}), make(chan struct{})
	r.drill.set(func(d *drill) {
		d.timing = bot.Timing{Call: patience, Settle: patience}
		d.advance = func(_ context.Context, h bot.Handle) (bot.Progress, error) {
			mu.Lock()
			calls[h.Key]++
			first := len(calls) == 1
			mu.Unlock()
			if first {
				close(called)
				<-answer
			}
			return bot.Progress{State: bot.OpSucceeded}, nil
		}
	})
	// The first process can do one thing at a time, so that what else is done
	// is the second one's doing.
	first := r.host(func(c *run.Config) { c.Parallel = 1 }).start()
	release := sync.OnceFunc(func() { close(answer) })
	t.Cleanup(release)
	n := first.begin(dev, "drill shop free")
	r.arrives("the call", called)
	second := r.host().start()
	for _, where := range []string{"pay free", "shop ticket"} {
		second.reaches(second.begin(devTwo, "drill "+where), bot.Succeeded)
	}
	mu.Lock()
	x, err := second.Get(t.Context(), n)
	if err != nil || calls[key(x)] != 1 || x.State != bot.Running {
		t.Errorf("%d calls, %s (%v)", calls[key(x)], x.State, err)
	}
	mu.Unlock()
	release()
	second.reaches(n, bot.Succeeded)
}

// Two processes over one database share the work, and do all of it once.
func TestTwoProcesses(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	a, b := r.host().start(), r.host().start()
	var numbers []int64
	for i := range 6 {
		from := a
		if i%2 == 1 {
			from = b
		}
		numbers = append(numbers, from.begin(dev, fmt.Sprintf("deploy shop v%d to free --reason %d", 2+i%2, i)))
	}
	for _, n := range numbers {
		r.complete(a.reaches(n, bot.Succeeded))
	}
	if len(r.far.Acts()) != len(numbers) {
		t.Errorf("%d acts for %d runs", len(r.far.Acts()), len(numbers))
	}
}

// A platform that stays silent ends the run as unknown, with what to look at.
func TestSilentProvider(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	h := r.host(func(c *run.Config) { c.Patience = time.Minute }).start()
	var calls atomic.Int32
	h.hooks.set(func(k *hooks) {
		k.advance = func() error {
			calls.Add(1)
			return bot.Errorf(bot.Unavailable, "the platform is away")
		}
	})
	n := h.begin(dev, "deploy shop v2 to free")
	r.await("the first call", func() bool { return calls.Load() > 0 })
	got := h.reaches(n, bot.Running)
	r.await("the answer to be noted", func() bool {
		x, err := h.Get(t.Context(), n)
		return err == nil && !x.Silent.IsZero()
	})
	r.clock.jump(2 * time.Minute)
	h.Wake()
	got = h.reaches(n, bot.Unknown)
	if !strings.Contains(got.Result, key(got)) || !strings.Contains(got.Result, "the platform is away") || got.Progress.State == bot.OpSucceeded {
		t.Errorf("result %q", got.Result)
	}
	card := h.shows(n, "its end", func(c bot.Card) bool { return c.State == bot.Unknown })
	if card.Outcome != bot.OutcomeUnknown {
		t.Errorf("card %+v", card)
	}
	h.hooks.set(func(k *hooks) { k.advance = nil })
	h.reaches(h.begin(devTwo, "deploy shop v3 to free"), bot.Succeeded)
}

// Whoever looks after a failed call waits until what it may have done is
// visible.
func TestSettleTimeAfterAFailedCall(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	h := r.host().start()
	r.drill.set(func(d *drill) {
		d.timing = bot.Timing{Call: time.Second, Settle: time.Hour}
		d.advance = func(context.Context, bot.Handle) (bot.Progress, error) {
			return bot.Progress{}, bot.Errorf(bot.Timeout, "no answer")
		}
	})
	n := h.begin(dev, "drill shop free")
	r.await("the failed call", func() bool {
		got, err := h.Get(t.Context(), n)
		return err == nil && got.Attempt == 1
	})
	got, err := h.Get(t.Context(), n)
	if err != nil || got.WakeAt.Before(got.Silent.Add(time.Hour)) || !got.InCall {
		t.Errorf("it looks again at %s after %s (%v)", got.WakeAt, got.Silent, err)
	}
	// Nor does a cancellation hurry it: it would stop what cannot be seen yet.
	h.mustSay(dev, "cancel")
	r.await("the cancellation to be on the card", func() bool {
		return h.chat.card(channel, bot.RunCardKey(n)).State == bot.Cancelling
	})
	if after, err := h.Get(t.Context(), n); err != nil || after.WakeAt.Before(got.Silent.Add(time.Hour)) {
		t.Errorf("after the cancellation it looks again at %s (%v)", after.WakeAt, err)
	}
	r.drill.set(func(d *drill) { d.advance = nil })
	r.clock.jump(time.Hour)
	h.Wake()
	h.reaches(n, bot.Succeeded)
	if found := r.drill.found; len(found) != 2 || found[0] || !found[1] {
		t.Errorf("interrupted: %v", found)
	}
}

// A workflow's panic ends its run, not the process: failed before anything was
// begun, unknown after.
func TestPanics(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	h := r.host().start()
	ends := func(state bot.RunState, set func(*drill)) {
		t.Helper()
		r.drill.set(set)
		got := h.reaches(h.begin(dev, "drill shop free"), state)
		if !strings.Contains(got.Result, "internal error, ref") {
			t.Errorf("%s: %s", got.State, got.Result)
		}
		r.complete(got)
		r.drill.set(func(d *drill) { d.check, d.begin, d.advance, d.cancel, d.settle = nil, nil, nil, nil, nil })
		r.clock.jump(time.Minute + time.Second)
	}
	ends(bot.Failed, func(d *drill) { d.check = func() ([]bot.Obstacle, error) { panic("check") } })
	ends(bot.Failed, func(d *drill) { d.begin = func() error { panic("begin") } })
	ends(bot.Unknown, func(d *drill) {
		d.advance = func(context.Context, bot.Handle) (bot.Progress, error) { panic("advance") }
	})
	ends(bot.Unknown, func(d *drill) { d.settle = func() error { panic("settle") } })
	h.reaches(h.begin(dev, "drill shop free"), bot.Succeeded)
}

// Errors of a call: which end a run, and as what.
func TestCallErrors(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	h := r.host().start()
	for _, kind := range []bot.Kind{bot.Invalid, bot.Denied, bot.NotFound, bot.Conflict} {
		r.drill.set(func(d *drill) {
			d.advance = func(context.Context, bot.Handle) (bot.Progress, error) {
				return bot.Progress{}, bot.Errorf(kind, "refused")
			}
		})
		// Nothing was begun: the platform refused the first call.
		h.reaches(h.begin(dev, "drill shop free"), bot.Failed)
		r.clock.jump(time.Minute + time.Second)
		looks := 0
		r.drill.set(func(d *drill) {
			d.advance = func(context.Context, bot.Handle) (bot.Progress, error) {
				if looks++; looks > 1 {
					return bot.Progress{}, bot.Errorf(kind, "refused")
				}
				return bot.Progress{State: bot.OpWorking, Next: time.Millisecond}, nil
			}
		})
		h.reaches(h.begin(dev, "drill shop free"), bot.Unknown)
		r.clock.jump(time.Minute + time.Second)
	}
	// What a provider says without knowing is never taken for success.
	for _, state := range []bot.OpState{"", "green", bot.OpUnknown} {
		r.drill.set(func(d *drill) {
			d.advance = func(context.Context, bot.Handle) (bot.Progress, error) {
				return bot.Progress{State: state, Check: "the dashboard"}, nil
			}
		})
		got := h.reaches(h.begin(dev, "drill shop free"), bot.Unknown)
		if !strings.Contains(got.Result, "check: the dashboard") {
			t.Errorf("result %q", got.Result)
		}
		r.clock.jump(time.Minute + time.Second)
	}
}

// A run whose workflow this version does not know was not begun by it, or
// cannot be known.
func TestUnknownWorkflow(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	reach, there, goOn := stopAt("intent committed")
	first := r.host(func(c *run.Config) { c.Reach = reach }).start()
	t.Cleanup(goOn)
	n := first.begin(dev, "drill shop free")
	r.arrives("the intent", there)
	older := r.host(func(c *run.Config) { c.Workflows = func(string) (bot.Workflow, bool) { return nil, false } }).start()
	got := older.reaches(n, bot.Failed)
	if !strings.Contains(got.Result, "does not know drill@1") {
		t.Errorf("result %q", got.Result)
	}
	r.complete(got)
}

// Secrets in what a provider prints are hidden before they are stored.
func TestOutputIsRedacted(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	h := r.host().start()
	const secret = "password=hunter2hunter2"
	looks := 0
	r.drill.set(func(d *drill) {
		d.advance = func(context.Context, bot.Handle) (bot.Progress, error) {
			looks++
			p := bot.Progress{State: bot.OpWorking, Text: "with " + secret, Lines: []string{secret}, Link: "https://x/?" + secret, Next: time.Millisecond}
			if looks > 3 {
				p.State, p.Check = bot.OpUnknown, secret
			}
			return p, nil
		}
	})
	n := h.begin(dev, "drill shop free")
	got := h.reaches(n, bot.Unknown)
	card := h.shows(n, "its end", func(c bot.Card) bool { return c.State.Settled() })
	for _, s := range []string{fmt.Sprintf("%+v", got), fmt.Sprintf("%+v", card), fmt.Sprintf("%+v", r.records(n))} {
		if strings.Contains(s, "hunter2") {
			t.Errorf("a secret is in %s", s)
		}
	}
	if len(got.Tail) == 0 {
		t.Error("no output was kept")
	}
}
