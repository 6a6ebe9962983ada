package run_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"quarterdeck/bot"
	"quarterdeck/bot/provider"
	"quarterdeck/bot/provider/providertest"
	"quarterdeck/bot/run"
	"quarterdeck/bot/store"
)

// What every target of the rig may be scaled to, and by how much at once.
const (
	most = 20
	step = 10
)

// sizing is a Scaler with the hooks of a Deployer's reads, and with its time.
type sizing struct {
	provider.Scaler
	hooks *hooks
}

func (s sizing) Timing(t bot.Target) bot.Timing {
	timing := s.Scaler.(bot.Timed).Timing(t)
	timing.Call = max(timing.Call, 500*time.Millisecond)
	return timing
}

func (s sizing) Dimensions(ctx context.Context) ([]provider.Dimension, error) {
	if err := s.hooks.call(func(h *hooks) func() error { return h.current }); err != nil {
		return nil, err
	}
	return s.Scaler.Dimensions(ctx)
}

// sizes gives the scalings that the platform began at a target, "2>5".
func (r *rig) sizes(where string) string {
	var all []string
	for _, a := range r.far.Acts() {
		if a.Action == providertest.Scale && a.Target == target(where) {
			all = append(all, a.From+">"+a.To)
		}
	}
	return strings.Join(all, " ")
}

func (r *rig) wantSizes(where, acts, count string) {
	r.t.Helper()
	if got := r.sizes(where); got != acts {
		r.t.Errorf("the platform scaled %s, want %s", got, acts)
	}
	if got := r.far.Count(target(where)); got != count {
		r.t.Errorf("there are %s, want %s", got, count)
	}
}

// child gives the sequel that a run is followed by.
func (h *host) child(parent int64) bot.Run {
	h.rig.t.Helper()
	runs, err := h.Runs(context.Background(), bot.RunFilter{Limit: 200})
	if err != nil {
		h.rig.t.Fatal(err)
	}
	for _, r := range runs {
		if r.Parent == parent {
			return r
		}
	}
	h.rig.t.Fatalf("nothing follows #%d", parent)
	return bot.Run{}
}

// forAWhile scales from 2 to 5 for two hours and gives both runs.
func (h *host) forAWhile(where string) (parent, child int64) {
	h.rig.t.Helper()
	n := h.begin(dev, "scale "+strings.Replace(where, "/", " ", 1)+" 5 --for 2h")
	h.reaches(n, bot.Succeeded)
	return n, h.child(n).Number
}

// Who left cannot take back what they set for a while; it still goes back by
// itself, while what else they asked for and has not begun is stopped.
func TestReturnOfALeaver(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	h := r.host().start()
	_, child := h.forAWhile(free)
	waits := h.begin(dev, "deploy shop v2 to prod")
	h.reaches(waits, bot.Waiting)
	r.people.leaves(dev)
	if err := h.StopDisabled(t.Context()); err != nil {
		t.Fatal(err)
	}
	if x := h.reaches(waits, bot.Failed); !strings.Contains(x.Result, "account disabled") {
		t.Errorf("what waited ended with %q", x.Result)
	}
	r.clock.jump(2 * time.Hour)
	h.Wake()
	h.reaches(child, bot.Succeeded)
	r.wantSizes(free, "2>5 5>2", "2")
}

// What was scaled for a while comes back when its time is over, not before, and
// keeps nobody from the slot until then.
func TestReturn(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	h := r.host().start()
	parent, child := h.forAWhile(free)
	p, err := h.Get(t.Context(), parent)
	if err != nil || !strings.Contains(p.Result, fmt.Sprintf("#%d will return shop in free to 2 instances", child)) {
		t.Errorf("its result is %q (%v)", p.Result, err)
	}
	err = r.store.View(t.Context(), func(rd store.Reader) error {
		if _, held, err := rd.SlotHolder("shop/free capacity"); err != nil || held {
			t.Errorf("the slot is held: %v (%v)", held, err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	r.clock.jump(2*time.Hour - time.Minute)
	h.Wake()
	h.reaches(h.begin(dev, "drill shop free"), bot.Succeeded) // the engine has been round
	r.wantSizes(free, "2>5", "5")
	r.clock.jump(time.Minute)
	h.Wake()
	r.complete(h.reaches(child, bot.Succeeded))
	r.complete(p)
	r.wantSizes(free, "2>5 5>2", "2")
	if runs, err := h.Runs(t.Context(), bot.RunFilter{Open: true}); err != nil || len(runs) != 0 {
		t.Errorf("%d runs are open (%v)", len(runs), err)
	}
}

// A return rests on what was agreed to with its parent: it comes after any time
// away, though its asker may do nothing any more, and asks nobody.
func TestReturnIsNotAskedAnew(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	first := r.host().start()
	n := first.begin(dev, "scale shop prod 5 --for 2h")
	first.reaches(n, bot.Waiting)
	first.mustSay(dev, "confirm")
	first.mustSay(sreOne, fmt.Sprint("approve ", n))
	first.reaches(n, bot.Succeeded)
	child := first.child(n).Number
	first.kill()
	r.people.set(dev)
	r.people.set(sreOne)
	r.clock.jump(3 * 24 * time.Hour)
	second := r.host().start()
	r.complete(second.reaches(child, bot.Succeeded))
	r.wantSizes(prod, "2>5 5>2", "2")
}

// What somebody else has set since is left alone, and that is said aloud.
func TestReturnFindsAnotherValue(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	h := r.host().start()
	_, child := h.forAWhile(free)
	r.far.SetCount(target(free), "7")
	r.clock.jump(2 * time.Hour)
	h.Wake()
	got := h.reaches(child, bot.Cancelled)
	if want := "not done: replicas of shop/free is 7 now, not 5: somebody changed it meanwhile"; got.Result != want {
		t.Errorf("it says %q, want %q", got.Result, want)
	}
	h.shows(child, "why", func(c bot.Card) bool { return strings.Contains(c.Text, "somebody changed it meanwhile") })
	r.complete(got)
	r.wantSizes(free, "2>5", "7")
}

// A platform that does not answer when the time has come is asked again; one that
// stays silent is not waited for without end.
func TestReturnMeetsASilentPlatform(t *testing.T) {
	t.Parallel()
	for _, mends := range []bool{true, false} {
		t.Run(fmt.Sprint(mends), func(t *testing.T) {
			t.Parallel()
			r := newRig(t, nil)
			h := r.host(func(c *run.Config) { c.Patience = 5 * time.Minute }).start()
			_, child := h.forAWhile(free)
			h.hooks.set(func(k *hooks) { k.current = func() error { return bot.Errorf(bot.Unavailable, "it is away") } })
			r.clock.jump(2 * time.Hour)
			h.Wake()
			r.await("a vain try", func() bool {
				x, err := h.Get(t.Context(), child)
				return err == nil && !x.Silent.IsZero()
			})
			if mends {
				h.hooks.set(func(k *hooks) { k.current = nil })
				r.clock.jump(time.Minute)
				h.Wake()
				r.complete(h.reaches(child, bot.Succeeded))
				r.wantSizes(free, "2>5 5>2", "2")
				return
			}
			r.clock.jump(6 * time.Minute)
			h.Wake()
			got := h.reaches(child, bot.Failed)
			if !strings.Contains(got.Result, "it is away") || !strings.HasSuffix(got.Result, "to return: scale shop free replicas 2") {
				t.Errorf("it says %q", got.Result)
			}
		})
	}
}

// A newer change ends the return of an older one, and what is for a while again
// comes back to what was there before all of it.
func TestNewerScaleSupersedes(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	h := r.host().start()
	_, old := h.forAWhile(free)
	second := h.begin(devTwo, "scale shop free 8 --for 5h")
	s := h.reaches(second, bot.Succeeded)
	if got := h.reaches(old, bot.Cancelled); !strings.Contains(got.Result, fmt.Sprintf("superseded by #%d", second)) {
		t.Errorf("it says %q", got.Result)
	}
	if !strings.Contains(s.Result, fmt.Sprintf("#%d does not come any more", old)) {
		t.Errorf("the newer one says %q", s.Result)
	}
	next := h.child(second).Number
	r.clock.jump(2 * time.Hour)
	h.Wake()
	h.reaches(h.begin(dev, "drill shop free"), bot.Succeeded)
	r.wantSizes(free, "2>5 5>8", "8")
	r.clock.jump(3 * time.Hour)
	h.Wake()
	h.reaches(next, bot.Succeeded)
	r.wantSizes(free, "2>5 5>8 8>2", "2")
}

// Whoever may, cancels a return by its number; what is there stays.
func TestCancelledReturn(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	h := r.host().start()
	parent, child := h.forAWhile(free)
	h.refused(bot.NotFound, "you have no run under way", dev, "cancel")
	h.refused(bot.Denied, fmt.Sprintf("#%d is dev's", child), devTwo, fmt.Sprint("cancel ", child))
	h.mustSay(sreOne, fmt.Sprint("cancel ", child))
	if got := h.reaches(child, bot.Cancelled); got.Result != fmt.Sprintf("cancelled by sre-one: what #%d did stays", parent) {
		t.Errorf("it says %q", got.Result)
	}
	r.clock.jump(5 * time.Hour)
	h.Wake()
	h.reaches(h.begin(dev, "drill shop free"), bot.Succeeded)
	r.wantSizes(free, "2>5", "5")
}

// A sequel that its parent did not state, or that the log does not tell of, runs
// nothing, whoever sealed it.
func TestForgedSequel(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		edit func(x *bot.Run)
		says string
	}{
		{"earlier", func(x *bot.Run) { x.NotBefore = x.Created }, "no record says that #1 is followed by it at that time"},
		{"of another run", func(x *bot.Run) { x.Parent = 3 }, "no record says that #3, which it follows, succeeded"},
		{"of no run", func(x *bot.Run) { x.Parent = 99 }, "#99, which it follows, is not there"},
		{"to another value", func(x *bot.Run) {
			x.Plan.Spec.Body = json.RawMessage(strings.ReplaceAll(string(x.Plan.Spec.Body), `"to":"2"`, `"to":"9"`))
		}, "what it would do is not what was planned"},
		{"to another value, with its digest", func(x *bot.Run) {
			x.Plan.Spec.Body = json.RawMessage(strings.ReplaceAll(string(x.Plan.Spec.Body), `"to":"2"`, `"to":"9"`))
			x.Digest = x.Plan.Spec.Digest()
		}, "no record says that this was planned"},
		{"without its parent", func(x *bot.Run) { x.Parent, x.NotBefore = 0, time.Time{} }, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, nil)
			h := r.host().start()
			_, child := h.forAWhile(free)
			failing := h.begin(dev, "deploy shop v4 to free")
			h.reaches(failing, bot.RolledBack)
			h.kill()
			r.clock.jump(3 * time.Hour) // the return's own time has come
			r.tamper(child, true, c.edit)
			h = r.host().start()
			got := h.reaches(child, bot.Failed, bot.Waiting)
			if !strings.Contains(got.Result, c.says) {
				t.Errorf("it says %q, want %q", got.Result, c.says)
			}
			r.wantSizes(free, "2>5", "5")
		})
	}
}

// A process dies at every point of the road of the change and of its return:
// its successor takes both to their ends, with one effect each.
func TestReturnCrashMatrix(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"friendly", "hostile"} {
		for _, point := range crashPoints {
			t.Run(kind+"/"+point, func(t *testing.T) {
				t.Parallel()
				r := newRig(t, func(c bot.Clock) *providertest.Infrastructure {
					if kind == "friendly" {
						return providertest.NewFriendly(c)
					}
					return providertest.NewHostile(c, providertest.ActsThenTimeout)
				})
				n, child := int64(0), int64(0)
				for round := range 2 {
					dead, stop := r.dying(point, 1)
					if round == 0 {
						n = dead.begin(dev, "scale shop free 5 --for 2h")
					} else {
						r.clock.jump(2 * time.Hour)
						dead.Wake()
					}
					r.arrives(point, stop)
					r.clock.jump(11 * time.Second) // whatever lease it held
					h := r.host().start()
					if round == 0 {
						h.reaches(n, bot.Succeeded)
						child = h.child(n).Number
					} else {
						h.reaches(child, bot.Succeeded)
					}
					h.kill()
				}
				r.wantSizes(free, "2>5 5>2", "2")
				last := r.host()
				for _, number := range []int64{n, child} {
					got, err := last.Get(t.Context(), number)
					if err != nil {
						t.Fatal(err)
					}
					r.complete(got)
				}
			})
		}
	}
}

// dying gives a process that dies when it gets to a point for the nth time.
func (r *rig) dying(point string, nth int) (*host, chan struct{}) {
	r.t.Helper()
	var (
		mu   sync.Mutex
		seen int
		stop context.CancelFunc
	)
	dead, free := make(chan struct{}), make(chan struct{})
	h := r.host(func(c *run.Config) {
		c.Reach = func(p string) {
			mu.Lock()
			if p == point {
				seen++
			}
			now := p == point && seen == nth
			mu.Unlock()
			if now {
				stop()
				close(dead)
				<-free
			}
		}
	})
	ctx, cancel := context.WithCancel(context.Background())
	stop, h.stop = cancel, cancel
	h.parts.Go(func() { _ = h.Engine.Run(ctx) })
	r.t.Cleanup(func() { // its goroutines end after all
		cancel()
		close(free)
		h.parts.Wait()
	})
	return h, dead
}

// Again and again the process dies, anywhere, while time passes in leaps: in the
// end there was one change and one return.
func TestRestartStorm(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for i := range 6 {
		far := providertest.NewFriendly
		if fault := providertest.Faults()[random.IntN(6)]; i%2 == 1 {
			far = func(c bot.Clock) *providertest.Infrastructure { return providertest.NewHostile(c, fault) }
		}
		points, jumps := make([]string, 6), make([]time.Duration, 6)
		for i := range points {
			points[i] = crashPoints[random.IntN(len(crashPoints))]
			if i > 1 { // before that it would be asked anew
				jumps[i] = time.Duration(random.IntN(100)) * time.Minute
			}
		}
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			r := newRig(t, far)
			h, stop := r.dying(points[0], 1)
			n := h.begin(dev, "scale shop free 5 --for 2h")
			for i, point := range points[1:] {
				r.await("the process to die, or to have nothing to do", func() bool {
					select {
					case <-stop:
						return true
					default:
						return r.idle(h)
					}
				})
				h.stop()
				r.clock.jump(11*time.Second + jumps[i])
				h, stop = r.dying(point, 1)
			}
			h = r.host().start()
			h.reaches(n, bot.Succeeded, bot.Expired, bot.Waiting)
			if x, err := h.Get(t.Context(), n); err != nil || x.State != bot.Succeeded {
				// It was away for so long before it began that it is asked anew.
				r.wantSizes(free, "", "2")
				return
			}
			child := h.child(n).Number
			r.clock.jump(3 * time.Hour)
			h.Wake()
			r.complete(h.reaches(child, bot.Succeeded))
			r.wantSizes(free, "2>5 5>2", "2")
		})
	}
}

// Whatever is typed and whoever types it, there is never more or less than the
// bounds allow, and once everything that was for a while is over, there is what
// was last meant to stay.
func TestAlwaysInsideAndBack(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp(t.TempDir(), "")
		if err != nil {
			rt.Fatal(err)
		}
		r := newRigIn(rt, dir, nil)
		h := r.host().start()
		defer h.kill()
		base, now, until := 2, 2, time.Time{}
		for range rapid.IntRange(2, 8).Draw(rt, "lines") {
			if rapid.Bool().Draw(rt, "time passes") {
				r.clock.jump(time.Duration(rapid.IntRange(1, 120).Draw(rt, "minutes")) * time.Minute)
				h.Wake()
			}
			if !until.IsZero() && !r.clock.Now().Before(until) {
				now, until = base, time.Time{}
				r.await("the return", func() bool { return r.far.Count(target(free)) == fmt.Sprint(base) && r.idle(h) })
			}
			amount := rapid.SampledFrom([]string{"1", "2", "3", "7", "12", "20", "21", "+1", "+4", "+9", "-1", "-3", "-9", "zero", "0"}).Draw(rt, "amount")
			who := rapid.SampledFrom([]string{dev, devTwo, sreOne, outsider}).Draw(rt, "who")
			line := "scale shop free " + amount
			while := rapid.Bool().Draw(rt, "for a while")
			if while {
				line += " --for 1h"
			}
			r.clock.jump(2 * time.Minute) // nobody types the same again at once
			if !until.IsZero() && !r.clock.Now().Before(until) {
				now, until = base, time.Time{}
				h.Wake()
				r.await("the return", func() bool { return r.far.Count(target(free)) == fmt.Sprint(base) && r.idle(h) })
			}
			before := r.far.Count(target(free))
			err := h.say(who, line)
			rt.Logf("%s: %s: %v", who, line, err)
			if k := bot.KindOf(err); k == bot.Internal || k == bot.Unavailable {
				rt.Fatalf("%s: %v", line, err)
			}
			if err != nil {
				if got := r.far.Count(target(free)); got != before {
					rt.Fatalf("%s was refused, and there are %s instead of %s", line, got, before)
				}
				continue
			}
			r.await("the end of "+line, func() bool { return r.idle(h) })
			got, err := strconv.Atoi(r.far.Count(target(free)))
			if err != nil || got < 0 || got > most || got == 0 && amount != "zero" && base != 0 {
				rt.Fatalf("%s: there are %d (%v)", line, got, err)
			}
			if who == outsider || abs(got-now) > step {
				rt.Fatalf("%s by %s took there from %d to %d", line, who, now, got)
			}
			if got == now && (!while || until.IsZero()) { // nothing to do
				continue
			}
			if now = got; while {
				until = r.clock.Now().Add(time.Hour)
			} else {
				base, until = got, time.Time{}
			}
		}
		r.clock.jump(3 * time.Hour)
		h.Wake()
		r.await("everything to be back", func() bool {
			runs, err := h.Runs(context.Background(), bot.RunFilter{Open: true})
			return err == nil && len(runs) == 0
		})
		if got := r.far.Count(target(free)); got != fmt.Sprint(base) {
			rt.Fatalf("there are %s in the end, want %d: %s", got, base, r.sizes(free))
		}
	})
}

func abs(n int) int { return max(n, -n) }

// idle reports whether nothing is under way but what waits for its time or for a
// person.
func (r *rig) idle(h *host) bool {
	runs, err := h.Runs(context.Background(), bot.RunFilter{Open: true})
	if err != nil {
		r.t.Fatal(err)
	}
	for _, x := range runs {
		if x.State != bot.Waiting && (!x.Pending() || !r.clock.Now().Before(x.NotBefore)) {
			return false
		}
	}
	return true
}
