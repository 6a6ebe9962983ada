package run_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/provider"
)

func guard(c provider.Consequence) *provider.Guard {
	return &provider.Guard{Metrics: []string{"errors", "latency"}, Bake: 10 * time.Minute, Every: time.Minute, OnBreach: c, OnSilence: provider.Offer}
}

// guarded is a rig where shop/free has v1 live and is watched over.
func guarded(t *testing.T, g *provider.Guard) *rig {
	t.Helper()
	r := newRig(t, nil)
	r.guards = map[string]*provider.Guard{free: g, prod: g}
	return r
}

// watch deploys v2 and gives the deployment and its watch, which has looked once.
func (h *host) watch() (deployed, bake int64) {
	h.rig.t.Helper()
	n := h.begin(dev, "deploy shop v2 to free")
	h.reaches(n, bot.Succeeded)
	child := h.child(n).Number
	h.looks(child, 1)
	return n, child
}

// looks lets time pass until a run's provider was called n times in all, and that
// was written.
func (h *host) looks(number int64, n int) {
	h.rig.t.Helper()
	h.rig.await(fmt.Sprintf("look %d of #%d", n, number), func() bool {
		r, err := h.Get(h.rig.t.Context(), number)
		if err != nil {
			h.rig.t.Fatal(err)
		}
		if r.Step >= n || r.State.Settled() {
			return true
		}
		if r.State == bot.Running && !r.InCall && r.WakeAt.After(h.rig.clock.Now()) {
			h.rig.clock.jump(time.Minute)
			h.Wake()
		}
		return false
	})
}

// A deployment is watched for the bake time, in a card of its own that says how
// each metric stands, and the watch keeps nobody from the release slot.
func TestBakeWithin(t *testing.T) {
	t.Parallel()
	r := guarded(t, guard(provider.GoBack))
	h := r.host().start()
	n, child := h.watch()
	p, err := h.Get(t.Context(), n)
	if err != nil || !strings.Contains(p.Result, fmt.Sprintf("#%d follows by itself: watch shop v2 in free for 10m", child)) {
		t.Errorf("the deployment says %q (%v)", p.Result, err)
	}
	h.shows(child, "how the metrics stand", func(c bot.Card) bool {
		return strings.Contains(c.Progress.Text, "watched until ") && fieldOf(c, "errors") == "0.5 %, at most 2 %" && fieldOf(c, "latency") != "" &&
			strings.Contains(c.Footer, fmt.Sprintf("by itself after #%d, asked by dev", n))
	})
	if b, err := h.Get(t.Context(), child); err != nil || b.Progress.State != bot.OpBaking {
		t.Errorf("it is %s (%v)", b.Progress.State, err)
	}
	h.reaches(h.begin(dev, "restart shop free"), bot.Succeeded) // the slot of the release is free
	h.looks(child, 20)
	got := h.reaches(child, bot.Succeeded)
	if got.Result != "errors, latency: within bounds for 10m" {
		t.Errorf("it says %q", got.Result)
	}
	if live := r.far.Live(target(free)); live != "v2" {
		t.Errorf("%s is live", live)
	}
	if asked := r.judge.Asked("errors"); asked < 10 || asked > 14 { // one of them to plan
		t.Errorf("looked %d times in 10 minutes", asked)
	}
	if n := r.has(child, bot.SucceededKind); n != 1 {
		t.Errorf("%d records say that it is done", n)
	}
}

func fieldOf(c bot.Card, name string) string {
	for _, f := range c.Fields {
		if f.Name == name {
			return f.Value
		}
	}
	return ""
}

// One look over the threshold is looked at again; two go back by themselves, to
// what was live before, as a run of its own that names who asked for the
// deployment, says that nobody typed it, and marks the release bad.
func TestBakeGoesBack(t *testing.T) {
	t.Parallel()
	r := guarded(t, guard(provider.GoBack))
	h := r.host().start()
	n, child := h.watch()
	r.judge.Set("errors", provider.Breached, 31)
	h.looks(child, 2)
	h.shows(child, "one look over it", func(c bot.Card) bool {
		return c.State == bot.Running && strings.Contains(c.Progress.Text, "errors is 31 %, and must be at most 2 %, it is looked at once more")
	})
	h.looks(child, 3)
	bake := h.reaches(child, bot.Failed)
	back := h.reaches(h.child(child).Number, bot.Succeeded)
	if want := fmt.Sprintf("errors is 31 %%, and must be at most 2 %%; #%d follows by itself: roll back shop in free to v1", back.Number); bake.Result != want {
		t.Errorf("the watch says %q, want %q", bake.Result, want)
	}
	if live := r.far.Live(target(free)); live != "v1" {
		t.Errorf("%s is live", live)
	}
	marks, err := h.ledger.Bad(t.Context(), target(free))
	if err != nil || len(marks) != 1 {
		t.Fatalf("marked bad: %v (%v)", marks, err)
	}
	for _, m := range marks {
		if m.Artefact.Version != "v2" || m.Person != "dev, by itself" || m.Reason != fmt.Sprintf("the guard of #%d: errors is 31 %%, and must be at most 2 %%", n) {
			t.Errorf("marked bad: %+v", m)
		}
	}
	requested := r.records(back.Number)[0]
	if requested.Verb != "rollback" || requested.Permission != bot.MayRollback || requested.Person != dev || requested.Detail["parent"] != fmt.Sprint(child) || requested.Text["line"] != "rollback shop free v1" {
		t.Errorf("recorded as %+v", requested)
	}
	acts := r.far.Acts()
	if last := acts[len(acts)-1]; last.Action != provider.Rollback || last.Actor != dev {
		t.Errorf("the platform was told %+v", last)
	}
	h.shows(back.Number, "no button to undo it", func(c bot.Card) bool {
		return c.State == bot.Succeeded && len(c.Buttons) == 0 && strings.Contains(c.Footer, fmt.Sprintf("by itself after #%d, asked by dev", child))
	})
	r.complete(bake)
	r.complete(back)
}

// Where nothing else is configured the way back is offered: a button, pressed with
// the presser's own rights.
func TestBakeOffers(t *testing.T) {
	t.Parallel()
	r := guarded(t, guard(provider.Offer))
	h := r.host().start()
	_, child := h.watch()
	r.judge.Set("latency", provider.Breached, 9)
	h.looks(child, 3)
	got := h.reaches(child, bot.Failed)
	h.shows(child, "the offer", func(c bot.Card) bool {
		return c.State == bot.Failed && len(c.Buttons) == 1 && c.Buttons[0].Label == "Roll back" && c.Buttons[0].Line == "rollback shop free" && fieldOf(c, "to go back") == "rollback shop free"
	})
	if live := r.far.Live(target(free)); live != "v2" {
		t.Errorf("%s is live", live)
	}
	r.complete(got)
	back := h.begin(devTwo, "rollback shop free")
	h.reaches(back, bot.Succeeded)
	if live := r.far.Live(target(free)); live != "v1" {
		t.Errorf("%s is live", live)
	}
}

// What could not be measured is never taken for good: while there is time it is
// looked at again, and at the end it is treated as configured.
func TestBakeUnseen(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		stand provider.Stand
		does  provider.Consequence
		says  string
	}{
		{provider.NoData, provider.Offer, "errors could not be measured: its source has no value; so nobody can say whether v2 is good"},
		{provider.Unread, provider.GoBack, "errors could not be measured: its source does not answer; so nobody can say whether v2 is good"},
	} {
		t.Run(string(c.stand), func(t *testing.T) {
			t.Parallel()
			g := guard(provider.Offer)
			g.OnSilence = c.does
			r := guarded(t, g)
			h := r.host().start()
			_, child := h.watch()
			r.judge.Set("errors", c.stand, 0)
			h.looks(child, 5)
			if b, err := h.Get(t.Context(), child); err != nil || b.State != bot.Running {
				t.Errorf("it is %s before its time is over (%v)", b.State, err)
			}
			h.looks(child, 30)
			if got := h.reaches(child, bot.Failed); !strings.HasPrefix(got.Result, c.says) {
				t.Errorf("it says %q", got.Result)
			}
			want := "v2"
			if c.does == provider.GoBack {
				h.reaches(h.child(child).Number, bot.Succeeded)
				want = "v1"
			}
			if live := r.far.Live(target(free)); live != want {
				t.Errorf("%s is live", live)
			}
		})
	}
	t.Run("for a while", func(t *testing.T) {
		t.Parallel()
		r := guarded(t, guard(provider.GoBack))
		h := r.host().start()
		_, child := h.watch()
		r.judge.Set("errors", provider.Unread, 0)
		h.looks(child, 5)
		r.judge.Set("errors", provider.Within, 1)
		h.looks(child, 30)
		h.reaches(child, bot.Succeeded)
	})
}

// A watch whose bot was killed goes on where it was: no look is lost, the time is
// not begun anew, and what it saw before still counts.
func TestBakeSurvivesAKill(t *testing.T) {
	t.Parallel()
	r := guarded(t, guard(provider.GoBack))
	first := r.host().start()
	_, child := first.watch()
	r.judge.Set("errors", provider.Breached, 31)
	first.looks(child, 2)
	first.kill()
	before, err := first.Get(t.Context(), child)
	if err != nil {
		t.Fatal(err)
	}
	second := r.host().start()
	second.looks(child, before.Step+1)
	second.reaches(child, bot.Failed)
	second.reaches(second.child(child).Number, bot.Succeeded)
	if live := r.far.Live(target(free)); live != "v1" {
		t.Errorf("%s is live", live)
	}
	rollbacks := 0
	for _, a := range r.far.Acts() {
		if a.Action == provider.Rollback {
			rollbacks++
		}
	}
	if rollbacks != 1 {
		t.Errorf("went back %d times", rollbacks)
	}
}

// Once something else is live there is nothing left to watch over, and nothing is
// taken back that is no longer there.
func TestBakeIsOvertaken(t *testing.T) {
	t.Parallel()
	r := guarded(t, guard(provider.GoBack))
	h := r.host().start()
	_, child := h.watch()
	next := h.begin(devTwo, "deploy shop v3 to free")
	h.reaches(next, bot.Succeeded)
	r.judge.Set("errors", provider.Breached, 31)
	h.looks(child, 9)
	if got := h.reaches(child, bot.Cancelled); got.Result != "v2 is not watched any more: v3 is live in shop/free now" {
		t.Errorf("it says %q", got.Result)
	}
	newer := h.child(next).Number
	h.looks(newer, 9)
	h.reaches(newer, bot.Failed)
	h.reaches(h.child(newer).Number, bot.Succeeded)
	if live := r.far.Live(target(free)); live != "v2" {
		t.Errorf("%s is live", live)
	}
}

// What somebody brought without the bot is left alone: the way back checks at its
// own time what is live.
func TestBakeLeavesWhatOthersBrought(t *testing.T) {
	t.Parallel()
	r := guarded(t, guard(provider.GoBack))
	h := r.host().start()
	_, child := h.watch()
	r.judge.Set("errors", provider.Breached, 31)
	r.far.SetLive(target(free), "v3")
	h.looks(child, 3)
	h.reaches(child, bot.Failed)
	if got := h.reaches(h.child(child).Number, bot.Cancelled); got.Result != "not done: v3 is live in shop/free now, not v2" {
		t.Errorf("it says %q", got.Result)
	}
}

// Who asked may be stopped from everything meanwhile: what they deployed is watched
// and taken back all the same, and that is recorded.
func TestBakeOfALeaver(t *testing.T) {
	t.Parallel()
	r := guarded(t, guard(provider.GoBack))
	h := r.host().start()
	_, child := h.watch()
	r.people.leaves(dev)
	if err := h.StopDisabled(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.judge.Set("errors", provider.Breached, 31)
	h.looks(child, 3)
	h.reaches(child, bot.Failed)
	back := h.child(child).Number
	h.reaches(back, bot.Succeeded)
	passed := ""
	for _, rec := range r.records(back) {
		if rec.Kind == bot.OverriddenKind {
			passed = rec.Text["override"] + ": " + rec.Text["passed"]
		}
	}
	if !strings.Contains(passed, "an automatic return passes") || !strings.Contains(passed, "disabled") {
		t.Errorf("what it passed is recorded as %q", passed)
	}
}

// A person who has looked stops a watch; then nothing follows.
func TestBakeIsCancelled(t *testing.T) {
	t.Parallel()
	r := guarded(t, guard(provider.GoBack))
	h := r.host().start()
	_, child := h.watch()
	h.mustSay(dev, fmt.Sprint("cancel ", child))
	if got := h.reaches(child, bot.Cancelled); !strings.Contains(got.Result, "v2 is not watched any more, and stays") {
		t.Errorf("it says %q", got.Result)
	}
	r.judge.Set("errors", provider.Breached, 31)
	r.clock.jump(time.Hour)
	h.Wake()
	h.reaches(h.begin(dev, "drill shop free"), bot.Succeeded)
	if live := r.far.Live(target(free)); live != "v2" {
		t.Errorf("%s is live", live)
	}
}

// What was agreed to holds the guard: what is approved is what will be taken back.
func TestBakeIsAgreedTo(t *testing.T) {
	t.Parallel()
	r := guarded(t, guard(provider.GoBack))
	h := r.host().start()
	n := h.begin(dev, "deploy shop v2 to prod")
	h.reaches(n, bot.Waiting)
	h.shows(n, "the guard", func(c bot.Card) bool {
		return fieldOf(c, "guard") == "errors, latency for 10m; a breach goes back to v1 by itself, no data offers the way back" && fieldOf(c, "errors") == "0.5 %, at most 2 %"
	})
	h.mustSay(dev, "confirm")
	h.mustSay(sreOne, fmt.Sprint("approve ", n))
	h.reaches(n, bot.Succeeded)
	child := h.child(n).Number
	h.looks(child, 1)
	r.judge.Set("errors", provider.Breached, 31)
	h.looks(child, 3)
	h.reaches(child, bot.Failed)
	h.reaches(h.child(child).Number, bot.Succeeded)
	if live := r.far.Live(target(prod)); live != "v1" {
		t.Errorf("%s is live", live)
	}
}
