package flag_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/bottest"
	"quarterdeck/bot/flag"
	"quarterdeck/bot/provider"
	"quarterdeck/bot/provider/providertest"
)

// judge says of every metric what it is told to say.
type judge struct{ stand provider.Stand }

func (j *judge) Metrics(bot.Target) []string { return []string{"error rate"} }

func (j *judge) Judge(_ context.Context, _ bot.Target, metric string) (provider.Judgement, error) {
	if metric != "error rate" {
		return provider.Judgement{}, bot.Errorf(bot.Invalid, "there is no metric %q; did you mean %q?", metric, "error rate")
	}
	return provider.Judgement{Metric: metric, Stand: j.stand, Value: 7, Unit: "%", Threshold: "at most 2 %"}, nil
}

// ramp is one ramp to 5, 25 and 100 percent, driven by hand.
type ramp struct {
	t      *testing.T
	clock  *bottest.Clock
	far    *providertest.Flags
	judge  *judge
	wf     *flag.RampWorkflow
	handle bot.Handle
	last   bot.Progress
	aside  bool
}

var target = bot.Target{Service: "shop", Environment: "prod"}

func newRamp(t *testing.T, fault providertest.FlagFault, metric string) *ramp {
	t.Helper()
	r := &ramp{t: t, clock: bottest.NewClock(time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC)), judge: &judge{provider.Within}}
	r.far = providertest.NewFlags(target, r.clock, fault)
	f := boolean("new-checkout")
	f.On, f.Owner = false, "dev"
	r.far.Put(f, "dev")
	catalog := provider.NewCatalog(nil, map[bot.Target]provider.Bindings{target: {Flags: r.far.Flagger()}})
	r.wf = flag.NewRampWorkflow(catalog, r.judge, r.clock)
	base := r.flag()
	body := flag.Ramp{Base: base, From: base.Revision, Every: 30 * time.Minute, Metric: metric}
	for _, word := range []string{"5%", "25%", "100%"} {
		s, err := flag.Parse(word, base, provider.FlagPowers{})
		if err != nil {
			t.Fatal(err)
		}
		body.Steps = append(body.Steps, s.Apply(base))
	}
	spec, err := bot.NewSpec(flag.RampKind, "flag ramp", target, []bot.Resource{base.Resource()}, body)
	if err != nil {
		t.Fatal(err)
	}
	if r.handle, err = r.wf.Begin(spec, bot.Task{Key: "run-1-x", Actor: "dev"}); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *ramp) flag() provider.Flag {
	r.t.Helper()
	f, err := r.far.Flagger().Get(r.t.Context(), "new-checkout")
	if err != nil {
		r.t.Fatal(err)
	}
	return f
}

// look makes one call as the engine does: it gives the slot back while the ramp
// bakes, and has it again once it wants to act. A lost answer is a crash.
func (r *ramp) look() bot.Progress {
	r.t.Helper()
	r.handle.Aside = r.aside
	next, p, err := r.wf.Advance(r.t.Context(), r.handle)
	if err != nil {
		if bot.KindOf(err) != bot.Timeout && bot.KindOf(err) != bot.Unavailable {
			r.t.Fatal(err)
		}
		r.handle.Interrupted = true
		return r.last
	}
	r.handle, r.last = next, p
	r.aside = p.State == bot.OpBaking
	return p
}

// until looks until the ramp bakes or has ended.
func (r *ramp) until() bot.Progress {
	r.t.Helper()
	for range 20 {
		if p := r.look(); !r.handle.Interrupted && (p.State == bot.OpBaking || p.State.Settled()) {
			return p
		}
		r.handle.Interrupted = false
	}
	r.t.Fatalf("it neither bakes nor ends: %+v", r.last)
	return bot.Progress{}
}

func (r *ramp) stands(reach string) {
	r.t.Helper()
	if got := r.flag().Reach(); got != reach {
		r.t.Errorf("the flag is %s, want %s", got, reach)
	}
}

func TestRampGoesStepByStep(t *testing.T) {
	for _, fault := range []providertest.FlagFault{providertest.NoFault, providertest.LostAnswer, providertest.Approval} {
		for _, metric := range []string{"", "error rate"} {
			r := newRamp(t, fault, metric)
			for _, step := range []string{"5%", "25%"} {
				if p := r.until(); p.State != bot.OpBaking {
					t.Fatalf("it is %s: %s", p.State, p.Text)
				}
				r.stands(step)
				r.clock.Advance(29 * time.Minute)
				if p := r.look(); p.State != bot.OpBaking {
					t.Fatalf("after 29 minutes it is %s", p.State)
				}
				r.stands(step)
				r.clock.Advance(time.Minute)
				if p := r.look(); p.State != bot.OpWorking || p.Returning {
					t.Fatalf("after 30 minutes it is %+v, want that it asks for its slot", p)
				}
				r.stands(step) // without the slot, nothing is set
				if p := r.look(); p.State != bot.OpWorking {
					t.Fatalf("with its slot it is %s", p.State)
				}
			}
			p := r.until()
			if metric != "" {
				r.clock.Advance(30 * time.Minute)
				p = r.until()
			}
			if p.State != bot.OpSucceeded {
				t.Errorf("it ends as %s: %s", p.State, p.Text)
			}
			r.stands("on")
		}
	}
}

// TestRampGoesBack: a breach at once, and no answer after a while, take the flag
// back to the last good step, and its owner is told.
func TestRampGoesBack(t *testing.T) {
	for _, row := range []struct {
		stand provider.Stand
		looks int
		why   string
	}{
		{provider.Breached, 1, "error rate is 7 %, and may be at most 2 %"},
		{provider.NoData, 3, "error rate has no data"},
		{provider.Unread, 3, "error rate cannot be read"},
	} {
		for steps, back := range []string{"off", "5%", "25%"} {
			r := newRamp(t, providertest.LostAnswer, "error rate")
			r.until()
			for range steps {
				r.clock.Advance(30 * time.Minute)
				r.look()
				r.until()
			}
			r.judge.stand = row.stand
			for i := range row.looks {
				p := r.look()
				if going := p.State == bot.OpWorking && p.Returning; going != (i == row.looks-1) {
					t.Fatalf("%s, look %d: %+v", row.stand, i+1, p)
				}
			}
			p := r.until()
			if p.State != bot.OpRolledBack || !strings.Contains(p.Text, row.why) || len(p.Tell) != 1 || p.Tell[0] != "dev" {
				t.Errorf("%s at step %d: %+v", row.stand, steps, p)
			}
			r.stands(back)
		}
	}
}

// TestRampForgetsABlink: one query that was lost is no reason to go back, and the
// next step waits until there is an answer.
func TestRampForgetsABlink(t *testing.T) {
	r := newRamp(t, providertest.NoFault, "error rate")
	r.until()
	r.clock.Advance(30 * time.Minute)
	r.judge.stand = provider.Unread
	for range 2 {
		if p := r.look(); p.State != bot.OpBaking || !strings.Contains(p.Text, "cannot be read") {
			t.Fatalf("it is %+v", p)
		}
	}
	r.judge.stand = provider.Within
	if p := r.look(); p.State != bot.OpWorking || p.Returning {
		t.Errorf("it is %+v, want that it goes on", p)
	}
}

// TestRampLeavesWhatOthersSet: whoever sets the flag meanwhile means it, also when
// the ramp wants to go back at that moment.
func TestRampLeavesWhatOthersSet(t *testing.T) {
	for _, stand := range []provider.Stand{provider.Within, provider.Breached} {
		r := newRamp(t, providertest.NoFault, "error rate")
		r.until()
		r.look() // which notes how it stands where nobody says whose change it was
		f := r.flag()
		f.Percent = 50
		r.far.Put(f, "oncall")
		r.judge.stand = stand
		if p := r.until(); p.State != bot.OpCancelled || !strings.Contains(p.Text, "oncall") {
			t.Errorf("%s: %+v", stand, p)
		}
		r.stands("50%")
	}
}

func TestRampCancelled(t *testing.T) {
	r := newRamp(t, providertest.NoFault, "")
	r.until()
	var err error
	if r.handle, err = r.wf.Cancel(t.Context(), r.handle); err != nil {
		t.Fatal(err)
	}
	if p := r.until(); p.State != bot.OpCancelled || !strings.Contains(p.Text, "stays at 5%") {
		t.Errorf("it is %+v", p)
	}
	r.stands("5%")
}

// TestRampThatCannotBeWatched is refused before anything is set.
func TestRampThatCannotBeWatched(t *testing.T) {
	r := newRamp(t, providertest.NoFault, "")
	for stand, why := range map[provider.Stand]string{provider.NoData: "has no data", provider.Unread: "cannot be read", provider.Breached: "may be at most 2 %"} {
		r.judge.stand = stand
		err := r.wf.Watchable(t.Context(), target, "error rate")
		if bot.KindOf(err) != bot.Conflict || !strings.Contains(bot.Sentence(err, ""), why) {
			t.Errorf("%s: %v", stand, err)
		}
	}
	if err := r.wf.Watchable(t.Context(), target, "eror rate"); bot.KindOf(err) != bot.Invalid {
		t.Errorf("an unknown metric: %v", err)
	}
	without := flag.NewRampWorkflow(provider.NewCatalog(nil, nil), nil, r.clock)
	if err := without.Watchable(t.Context(), target, "error rate"); bot.KindOf(err) != bot.Invalid {
		t.Errorf("without metrics: %v", err)
	}
}
