package release_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"quarterdeck/bot"
	"quarterdeck/bot/provider"
	"quarterdeck/bot/provider/providertest"
	"quarterdeck/bot/release"
)

// pieces is a target of three components, each a platform of its own, with a
// step before and one after that are platforms too.
type pieces struct {
	*release.Components
	far   map[string]*providertest.Infrastructure
	order []string
}

// stepOf runs a Step on a platform that knows deployments alone.
type stepOf struct{ provider.Deployer }

func (s stepOf) Begin(d provider.Deployment, t bot.Task) (bot.Handle, error) {
	d.Action = provider.Deploy
	return s.Deployer.Begin(d, t)
}

func newPieces(clock bot.Clock, fault map[string]providertest.Fault) *pieces {
	p := &pieces{far: map[string]*providertest.Infrastructure{}, order: []string{"before", "web", "worker", "cron", "after"}}
	var list []release.Component
	for _, name := range p.order {
		p.far[name] = providertest.NewHostile(clock, fault[name])
		if name != "before" && name != "after" {
			list = append(list, release.Component{Name: name, Deployer: p.far[name].Deployer(prod)})
		}
	}
	p.Components = release.NewComponents(list, stepOf{p.far["before"].Deployer(prod)}, stepOf{p.far["after"].Deployer(prod)})
	return p
}

// deployment gives one over all components to a version.
func (p *pieces) deployment(t rapid.TB, a provider.Action, to string) provider.Deployment {
	t.Helper()
	live, err := p.Current(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	next, err := p.Resolve(context.Background(), to)
	if err != nil {
		t.Fatal(err)
	}
	return provider.Deployment{Action: a, Target: prod, From: live.Artefact.Identity(), To: next.Identity()}
}

// lives says what each component runs.
func (p *pieces) lives() string {
	return p.far["web"].Live(prod) + " " + p.far["worker"].Live(prod) + " " + p.far["cron"].Live(prod)
}

// drive takes an operation to its end as the engine does: a failed call is
// tried again, marked interrupted. at is called before each call.
func (p *pieces) drive(t rapid.TB, c *release.Components, h bot.Handle, at func(h bot.Handle, call int) bot.Handle) bot.Progress {
	t.Helper()
	for call := range 500 {
		if at != nil {
			h = at(h, call)
		}
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
		next, progress, err := c.Advance(ctx, h)
		cancel()
		if err != nil {
			if k := bot.KindOf(err); k != bot.Timeout && k != bot.Unavailable && k != bot.Busy {
				t.Fatalf("call %d: %v", call, err)
			}
			h.Interrupted = true
			continue
		}
		if h = next; progress.State.Settled() {
			return progress
		}
	}
	t.Fatal("it never ended")
	return bot.Progress{}
}

func said(p bot.Progress) string {
	var parts []string
	for _, x := range p.Parts {
		parts = append(parts, x.Name+": "+x.Text)
	}
	return strings.Join(parts, "; ")
}

// Components go one after another in their order, steps around them; backwards
// and without steps on the way back.
func TestComponentsInOrder(t *testing.T) {
	t.Parallel()
	p := newPieces(&ticking{}, nil)
	h, err := p.Begin(p.deployment(t, provider.Deploy, "v2"), bot.Task{Key: "run-1", Actor: "dev"})
	if err != nil {
		t.Fatal(err)
	}
	acts := func() (order []string) {
		type one struct {
			name string
			at   time.Time
		}
		var all []one
		for name, far := range p.far {
			for _, a := range far.Acts() {
				all = append(all, one{name + " " + a.To + " as " + a.Key, a.At})
			}
		}
		slices.SortFunc(all, func(a, b one) int { return a.at.Compare(b.at) })
		for _, a := range all {
			order = append(order, a.name)
		}
		return order
	}
	end := p.drive(t, p.Components, h, nil)
	if end.State != bot.OpSucceeded || end.Text != "v2 is live in web, worker and cron" || p.lives() != "v2 v2 v2" {
		t.Errorf("%s: %s; %s", end.State, end.Text, p.lives())
	}
	want := []string{"before v2 as run-1.before", "web v2 as run-1.web", "worker v2 as run-1.worker", "cron v2 as run-1.cron", "after v2 as run-1.after"}
	if got := acts(); !slices.Equal(got, want) {
		t.Errorf("done were %q", got)
	}
	if h, err = p.Begin(p.deployment(t, provider.Rollback, "v1"), bot.Task{Key: "run-2", Actor: "dev"}); err != nil {
		t.Fatal(err)
	}
	if end = p.drive(t, p.Components, h, nil); end.State != bot.OpSucceeded || p.lives() != "v1 v1 v1" {
		t.Errorf("back: %s: %s; %s", end.State, end.Text, p.lives())
	}
	if got := acts()[5:]; !slices.Equal(got, []string{"cron v1 as run-2.cron", "worker v1 as run-2.worker", "web v1 as run-2.web"}) {
		t.Errorf("the way back was %q", got)
	}
}

// ticking is a clock that never shows the same time twice.
type ticking struct{ n atomic.Int64 }

func (c *ticking) Now() time.Time {
	return noon().Add(time.Duration(c.n.Add(1)) * time.Second)
}

// refusing is a step that refuses every call.
type refusing struct {
	provider.Deployer
	kind bot.Kind
}

func (r refusing) Advance(_ context.Context, h bot.Handle) (bot.Handle, bot.Progress, error) {
	return h, bot.Progress{}, bot.Errorf(r.kind, "the door is shut")
}

// What ends a deployment in the middle is told for each component, and what was
// not begun is not.
func TestComponentsFailing(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		at    string // what refuses
		kind  bot.Kind
		state bot.OpState
		lives string
		text  string
		parts string
	}{
		{"before", bot.Conflict, bot.OpFailed, "v1 v1 v1", "before failed: the door is shut; no component was changed",
			"before: failed: the door is shut; web: not begun, unchanged; worker: not begun, unchanged; cron: not begun, unchanged; after: not begun, unchanged"},
		{"web", bot.Conflict, bot.OpFailed, "v1 v1 v1", "web failed: the door is shut; the step before is not undone", "before: done"},
		{"worker", bot.Conflict, bot.OpPartlyDone, "v2 v1 v1", "worker failed: the door is shut; the step before is not undone; v2 is in web, and not in worker and cron; to bring all back: rollback shop prod",
			"web: done: v2 is live; worker: failed: the door is shut; cron: not begun, unchanged"},
		{"after", bot.Conflict, bot.OpPartlyDone, "v2 v2 v2", "after failed: the door is shut; the step before is not undone; v2 is in web, worker and cron; to bring all back: rollback shop prod", "cron: done: v2 is live; after: failed"},
		{"worker", bot.Internal, bot.OpUnknown, "v2 v1 v1", "worker not known", "worker: not known"},
		{"before", bot.Internal, bot.OpUnknown, "v1 v1 v1", "no component was changed", "web: not begun"},
	} {
		t.Run(c.at+" "+string(c.state), func(t *testing.T) {
			t.Parallel()
			p := newPieces(&ticking{}, nil)
			var list []release.Component
			steps := map[string]provider.Step{}
			for _, name := range p.order {
				var d provider.Deployer = stepOf{p.far[name].Deployer(prod)}
				if name == c.at {
					d = refusing{d, c.kind}
				}
				if name == "before" || name == "after" {
					steps[name] = d
				} else {
					list = append(list, release.Component{Name: name, Deployer: d})
				}
			}
			p.Components = release.NewComponents(list, steps["before"], steps["after"])
			h, err := p.Begin(p.deployment(t, provider.Deploy, "v2"), bot.Task{Key: "run-1", Actor: "dev"})
			if err != nil {
				t.Fatal(err)
			}
			end := p.drive(t, p.Components, h, nil)
			if end.State != c.state || !strings.Contains(end.Text, c.text) || !strings.Contains(said(end), c.parts) || p.lives() != c.lives {
				t.Errorf("%s: %s\n%s\n%s", end.State, end.Text, said(end), p.lives())
			}
			if c.state == bot.OpUnknown && !strings.Contains(end.Check, c.at+": ") {
				t.Errorf("nothing says what to check: %q", end.Check)
			}
		})
	}
}

// A deployment that is asked to stop begins nothing more; a way back that one
// component refuses goes on with the others.
func TestComponentsStopped(t *testing.T) {
	t.Parallel()
	p := newPieces(&ticking{}, nil)
	h, err := p.Begin(p.deployment(t, provider.Deploy, "v2"), bot.Task{Key: "run-1", Actor: "dev"})
	if err != nil {
		t.Fatal(err)
	}
	asked := false
	end := p.drive(t, p.Components, h, func(h bot.Handle, _ int) bot.Handle {
		if !asked && len(p.far["web"].Acts()) == 1 && p.far["web"].Live(prod) == "v2" {
			asked = true
			if h, err = p.Cancel(t.Context(), h); err != nil {
				t.Fatal(err)
			}
		}
		return h
	})
	if end.State != bot.OpPartlyDone || p.lives() != "v2 v1 v1" || len(p.far["worker"].Acts()) != 0 {
		t.Errorf("%s: %s; %s", end.State, end.Text, p.lives())
	}
	live, err := p.Current(t.Context())
	if err != nil || strings.Join(live.Mixed, ", ") != "web v2, worker v1, cron v1" || !live.Artefact.Mixed() {
		t.Errorf("live %+v (%v)", live, err)
	}

	first := newPieces(&ticking{}, nil)
	if h, err = first.Begin(first.deployment(t, provider.Deploy, "v2"), bot.Task{Key: "run-1", Actor: "dev"}); err == nil {
		h, err = first.Cancel(t.Context(), h)
	}
	if err != nil {
		t.Fatal(err)
	}
	if end = first.drive(t, first.Components, h, nil); end.State != bot.OpCancelled || len(first.far["before"].Acts()) != 0 || first.lives() != "v1 v1 v1" {
		t.Errorf("%s: %s; %s", end.State, end.Text, first.lives())
	}

	var list []release.Component
	for _, name := range []string{"web", "worker", "cron"} {
		var d provider.Deployer = p.far[name].Deployer(prod)
		if name == "cron" {
			d = refusing{d, bot.Conflict}
		}
		list = append(list, release.Component{Name: name, Deployer: d})
	}
	c := release.NewComponents(list, nil, nil)
	if h, err = c.Begin(p.deployment(t, provider.Rollback, "v1"), bot.Task{Key: "run-2", Actor: "dev"}); err != nil {
		t.Fatal(err)
	}
	if end = p.drive(t, c, h, nil); end.State != bot.OpPartlyDone || p.lives() != "v1 v1 v1" || !strings.Contains(end.Text, "v1 is in worker and web, and not in cron") {
		t.Errorf("%s: %s; %s", end.State, end.Text, p.lives())
	}
}

// Whatever goes wrong at whichever component, and whichever calls were
// interrupted by a crash: no platform acts twice under one key, what is said of
// each component is so, and nothing is done out of turn.
func TestComponentsAtMostOnce(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		faults := map[string]providertest.Fault{}
		for _, name := range []string{"before", "web", "worker", "cron", "after"} {
			faults[name] = rapid.SampledFrom(append(providertest.Faults(), providertest.None)).Draw(rt, name)
		}
		clock := &ticking{}
		p := newPieces(clock, faults)
		action := rapid.SampledFrom([]provider.Action{provider.Deploy, provider.Rollback}).Draw(rt, "action")
		to := rapid.SampledFrom([]string{"v2", "v4"}).Draw(rt, "to")
		crash := rapid.SliceOfN(rapid.Bool(), 40, 40).Draw(rt, "crashes")
		h, err := p.Begin(p.deployment(rt, action, to), bot.Task{Key: "run-1", Actor: "dev"})
		if err != nil {
			rt.Fatal(err)
		}
		end := p.drive(rt, p.Components, h, func(h bot.Handle, call int) bot.Handle {
			if call < len(crash) && crash[call] {
				// The call happens, its answer is lost with the process, and the
				// successor knows the handle of before.
				ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
				_, _, _ = p.Advance(ctx, h)
				cancel()
				h.Interrupted = true
			}
			return h
		})
		reached := true
		for _, x := range end.Parts {
			acts := p.far[x.Name].Effects("run-1." + x.Name)
			if acts > 1 || len(p.far[x.Name].Acts()) != acts {
				rt.Fatalf("%s acted %d times, %d of them for the run: %s", x.Name, len(p.far[x.Name].Acts()), acts, said(end))
			}
			done := strings.HasPrefix(x.Text, "done") && !strings.HasPrefix(x.Text, "done in part")
			if done && p.far[x.Name].Live(prod) != to {
				rt.Fatalf("%s is said to be done and runs %s", x.Name, p.far[x.Name].Live(prod))
			}
			if acts > 0 && !reached {
				rt.Fatalf("%s acted after a failure: %s", x.Name, said(end))
			}
			if action == provider.Deploy && !done {
				reached = false
			}
		}
		if end.State == bot.OpSucceeded && p.lives() != fmt.Sprintf("%s %s %s", to, to, to) {
			rt.Fatalf("said to be done: %s", p.lives())
		}
		if end.State == bot.OpUnknown && end.Check == "" {
			rt.Fatal("unknown without a word on what to check")
		}
	})
}

// An artefact of other components is looked up again by its name, and a handle
// of another form is refused.
func TestFitting(t *testing.T) {
	t.Parallel()
	p := newPieces(&ticking{}, nil)
	whole, err := p.Resolve(t.Context(), "v2")
	if err != nil {
		t.Fatal(err)
	}
	if a, err := release.Fitting(t.Context(), p, whole); err != nil || a.ID != whole.ID {
		t.Errorf("%+v (%v)", a, err)
	}
	if a, err := release.Fitting(t.Context(), p, provider.Artefact{ID: "id", Version: "v2"}); err != nil || a.ID != whole.ID {
		t.Errorf("%+v (%v)", a, err)
	}
	one := p.far["web"].Deployer(prod)
	if a, err := release.Fitting(t.Context(), one, whole); err != nil || len(a.Parts) != 0 || a.ID == whole.ID {
		t.Errorf("%+v (%v)", a, err)
	}
	if _, err := p.Begin(provider.Deployment{Action: provider.Deploy, Target: prod, To: provider.Artefact{ID: "id", Version: "v2"}}, bot.Task{Key: "k"}); bot.KindOf(err) != bot.Invalid {
		t.Errorf("begun with half an artefact: %v", err)
	}
	h, err := one.Begin(provider.Deployment{Action: provider.Deploy, Target: prod, To: whole}, bot.Task{Key: "k"})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := p.Advance(t.Context(), h); bot.KindOf(err) != bot.Conflict {
		t.Errorf("another's handle: %v", err)
	}
}

// A bad release over components is locked out with all that contain the whole
// of it.
func TestBadComponents(t *testing.T) {
	t.Parallel()
	of := func(version, web, worker string) provider.Artefact {
		return provider.Composed([]provider.Part{{Component: "web", ID: web, Version: version}, {Component: "worker", ID: worker, Version: version}})
	}
	bad := of("v3", "w3", "k2")
	marks := map[string]release.Mark{bad.ID: {Artefact: bad, Run: 7, Person: "dev"}}
	for _, c := range []struct {
		to       provider.Artefact
		contains []string
		want     string
	}{
		{bad, nil, "v3 is marked bad in shop/prod since run #7 by dev"},
		{of("v3", "w3", "k2"), []string{"web=w3"}, "v3 is marked bad in shop/prod since run #7 by dev"},
		{of("v4", "w4", "k2"), []string{"web=w3"}, "v4 contains v3, which is marked bad in shop/prod since run #7"},
		{of("v4", "w4", "k4"), []string{"web=w3", "worker=k2"}, "v4 contains v3, which is marked bad in shop/prod since run #7"},
		{of("v4", "w4", "k4"), []string{"worker=k2"}, ""},
		{of("v2", "w2", "k2"), nil, ""},
	} {
		var says []string
		for _, o := range release.Obstacles(prod, c.to, c.contains, marks) {
			says = append(says, o.Text)
		}
		if got := strings.Join(says, "; "); got != c.want {
			t.Errorf("%s containing %v: %q, want %q", c.to.Version, c.contains, got, c.want)
		}
	}
}

// What is deployed by one provider and rolled back by another is driven by who
// began it, over a crash too.
func TestSplit(t *testing.T) {
	t.Parallel()
	clock := &ticking{}
	there, back := providertest.NewFriendly(clock), providertest.NewFriendly(clock)
	s := release.NewSplit(there.Deployer(prod), back.Deployer(prod), "rescue")
	v1, err := s.Resolve(t.Context(), "v1")
	if err != nil {
		t.Fatal(err)
	}
	v2, err := s.Resolve(t.Context(), "v2")
	if err != nil {
		t.Fatal(err)
	}
	run := func(d provider.Deployer, h bot.Handle) bot.Progress {
		for range 50 {
			again := h // the answer is lost once, each time
			again.Interrupted = true
			if _, _, err := d.Advance(t.Context(), h); err != nil {
				t.Fatal(err)
			}
			next, p, err := d.Advance(t.Context(), again)
			if err != nil {
				t.Fatal(err)
			}
			if h = next; p.State.Settled() {
				return p
			}
		}
		t.Fatal("it never ended")
		return bot.Progress{}
	}
	for _, c := range []struct {
		action      provider.Action
		to          provider.Artefact
		there, back int
	}{{provider.Deploy, v2, 1, 0}, {provider.Rollback, v1, 1, 1}, {provider.Restart, v1, 2, 1}} {
		h, err := s.Begin(provider.Deployment{Action: c.action, Target: prod, From: v1, To: c.to}, bot.Task{Key: string(c.action), Actor: "dev"})
		if err != nil {
			t.Fatal(err)
		}
		if p := run(s, h); p.State != bot.OpSucceeded || len(there.Acts()) != c.there || len(back.Acts()) != c.back {
			t.Errorf("%s: %s, %d and %d acts", c.action, p.State, len(there.Acts()), len(back.Acts()))
		}
	}
	// A rollback that was begun before there was a Roller is still the Deployer's.
	h, err := there.Deployer(prod).Begin(provider.Deployment{Action: provider.Rollback, Target: prod, From: v1, To: v2}, bot.Task{Key: "old", Actor: "dev"})
	if err != nil {
		t.Fatal(err)
	}
	if p := run(s, h); p.State != bot.OpSucceeded || there.Effects("old") != 1 || back.Effects("old") != 0 {
		t.Errorf("%s, %d and %d acts", p.State, there.Effects("old"), back.Effects("old"))
	}
	if s.By() != "rescue" {
		t.Error(s.By())
	}
}
