package release_test

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"quarterdeck/adapters/sqlite"
	"quarterdeck/bot"
	"quarterdeck/bot/provider"
	"quarterdeck/bot/provider/providertest"
	"quarterdeck/bot/release"
	"quarterdeck/bot/store"
)

var prod = bot.Target{Service: "shop", Environment: "prod"}

func noon() time.Time { return time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC) }

func artefact(version string) provider.Artefact {
	return provider.Artefact{ID: "id-" + version, Version: version}
}

func open(t *testing.T) store.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "test.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func put(t *testing.T, s store.Store, docs ...bot.Document) {
	t.Helper()
	err := s.Update(t.Context(), func(tx store.Tx) error {
		for _, d := range docs {
			if _, err := tx.PutDocument(d); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func live(t *testing.T, target bot.Target, e release.Entry) bot.Document {
	t.Helper()
	d, err := release.LiveDocument(target, e)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func bad(t *testing.T, target bot.Target, m release.Mark) bot.Document {
	t.Helper()
	d, err := release.BadDocument(target, m)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// The ledger keeps targets apart whose names begin alike, and gives the newest
// entry first, whatever the number of digits.
func TestLedger(t *testing.T) {
	t.Parallel()
	s := open(t)
	l := release.NewLedger(s)
	near := bot.Target{Service: "shop", Environment: "prod2"}
	put(t, s, live(t, near, release.Entry{Artefact: artefact("v9"), Run: 5}), bad(t, near, release.Mark{Artefact: artefact("v9")}))
	for _, run := range []int64{9, 10, 2, 100} {
		put(t, s, live(t, prod, release.Entry{Artefact: artefact(fmt.Sprint("v", run)), Run: run, Person: "dev", Action: provider.Deploy, At: noon()}))
	}
	put(t, s, bad(t, prod, release.Mark{Artefact: artefact("v2"), Run: 3, Person: "dev", Reason: "slow", At: noon()}))
	entries, err := l.History(t.Context(), prod, 3)
	if err != nil || len(entries) != 3 || entries[0].Run != 100 || entries[1].Run != 10 || entries[2].Run != 9 {
		t.Fatalf("history %+v (%v)", entries, err)
	}
	if e := entries[0]; e.Person != "dev" || e.Action != provider.Deploy || !e.At.Equal(noon()) {
		t.Errorf("entry %+v", e)
	}
	marks, err := l.Bad(t.Context(), prod)
	if err != nil || len(marks) != 1 || marks["id-v2"].Reason != "slow" {
		t.Errorf("marks %+v (%v)", marks, err)
	}
}

// Previous never gives what is to be left or is marked bad, and gives the
// newest of the others.
func TestPrevious(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		version := rapid.Custom(func(rt *rapid.T) provider.Artefact {
			if v := rapid.IntRange(0, 5).Draw(rt, "v"); v > 0 {
				return artefact(fmt.Sprint("v", v))
			}
			return provider.Artefact{}
		})
		var entries []release.Entry
		var order []string
		for range rapid.IntRange(0, 6).Draw(rt, "entries") {
			e := release.Entry{Artefact: version.Draw(rt, "live"), Before: version.Draw(rt, "before")}
			entries = append(entries, e)
			order = append(order, e.Artefact.ID, e.Before.ID)
		}
		marks := map[string]release.Mark{}
		for range rapid.IntRange(0, 3).Draw(rt, "marks") {
			a := version.Draw(rt, "bad")
			marks[a.ID] = release.Mark{Artefact: a}
		}
		leaving := version.Draw(rt, "leaving").ID
		got, found := release.Previous(entries, marks, leaving)
		want := ""
		for _, id := range order {
			if _, marked := marks[id]; id != "" && id != leaving && !marked {
				want = id
				break
			}
		}
		if got.ID != want || found != (want != "") {
			rt.Fatalf("got %q (%v), want %q", got.ID, found, want)
		}
	})
}

func TestObstacles(t *testing.T) {
	t.Parallel()
	marks := map[string]release.Mark{"id-v2": {Artefact: artefact("v2"), Run: 4, Person: "dev"}}
	for _, c := range []struct {
		to       string
		contains []string
		want     []string
	}{
		{"v1", nil, nil},
		{"v1", []string{"id-v0"}, nil},
		{"v2", nil, []string{"v2 is marked bad in shop/prod since run #4 by dev"}},
		{"v2", []string{"id-v2"}, []string{"v2 is marked bad in shop/prod since run #4 by dev"}},
		{"v3", []string{"id-v1", "id-v2"}, []string{"v3 contains v2, which is marked bad in shop/prod since run #4"}},
	} {
		got := release.Obstacles(prod, artefact(c.to), c.contains, marks)
		if len(got) != len(c.want) {
			t.Errorf("%s: %v, want %v", c.to, got, c.want)
			continue
		}
		for i := range got {
			if got[i].Text != c.want[i] || got[i].Permission != bot.MayOverrideBad {
				t.Errorf("%s: %+v, want %q", c.to, got[i], c.want[i])
			}
		}
	}
}

// containing is a Deployer that knows what its releases contain, and can be
// out of order.
type containing struct {
	provider.Deployer
	contains []string
	err      error
}

func (c containing) Preview(context.Context, provider.Artefact, provider.Artefact) (provider.Preview, error) {
	return provider.Preview{Contains: c.contains}, c.err
}

// What must hold at the moment of acting.
func TestCheck(t *testing.T) {
	t.Parallel()
	s := open(t)
	ledger := release.NewLedger(s)
	clock := bot.SystemClock{}
	far := providertest.NewFriendly(clock)
	deployer := &containing{Deployer: far.Deployer(prod)}
	w := release.NewWorkflow("deploy@1", provider.NewCatalog(nil, map[bot.Target]provider.Bindings{prod: {Deploy: deployer}}), ledger)
	version := func(v string) provider.Artefact {
		a, err := deployer.Resolve(t.Context(), v)
		if err != nil {
			t.Fatal(err)
		}
		return a.Identity()
	}
	spec := func(action provider.Action, from, to string) bot.Spec {
		s, err := bot.NewSpec("deploy@1", string(action), prod, nil, provider.Deployment{Action: action, Target: prod, From: version(from), To: version(to)})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	fact := func(v string) []bot.Fact { return []bot.Fact{{Name: release.FactLive, Want: version(v).ID}} }
	check := func(s bot.Spec, facts []bot.Fact, kind bot.Kind, say string, obstacles ...string) {
		t.Helper()
		got, err := w.Check(t.Context(), s, facts)
		if bot.KindOf(err) != kind || !strings.Contains(bot.Sentence(err, ""), say) && kind != "" {
			t.Fatalf("got %v, want %s %q", err, kind, say)
		}
		if len(got) != len(obstacles) {
			t.Fatalf("obstacles %v, want %v", got, obstacles)
		}
		for i := range got {
			if !strings.Contains(got[i].Text, obstacles[i]) {
				t.Fatalf("obstacles %v, want %v", got, obstacles)
			}
		}
	}
	check(spec(provider.Deploy, "v1", "v2"), fact("v1"), "", "")
	check(spec(provider.Deploy, "v3", "v2"), fact("v3"), bot.Conflict, "v1 is live in shop/prod now, not v3")
	check(spec(provider.Deploy, "v1", "v2"), []bot.Fact{{Name: "moon"}}, bot.Internal, "")
	put(t, s, bad(t, prod, release.Mark{Artefact: version("v3"), Run: 7, Person: "dev"}))
	check(spec(provider.Deploy, "v1", "v2"), fact("v1"), "", "")
	check(spec(provider.Deploy, "v1", "v3"), fact("v1"), "", "", "v3 is marked bad")
	check(spec(provider.Rollback, "v1", "v3"), nil, "", "", "v3 is marked bad")
	check(spec(provider.Restart, "v1", "v1"), fact("v1"), "", "")
	deployer.contains = []string{version("v3").ID}
	check(spec(provider.Deploy, "v1", "v4"), fact("v1"), "", "", "v4 contains v3, which is marked bad")
	check(spec(provider.Rollback, "v4", "v1"), nil, "", "") // the way back is not asked what it contains
	deployer.err = bot.Errorf(bot.Unavailable, "away")
	check(spec(provider.Deploy, "v1", "v4"), fact("v1"), bot.Unavailable, "away")

	// Somebody else's deployment is under way.
	deployer.err = nil
	defer far.Hold()()
	h, err := deployer.Begin(provider.Deployment{Action: provider.Deploy, Target: prod, From: version("v1"), To: version("v2")}, bot.Task{Key: "theirs"})
	for range 3 {
		if err == nil {
			h, _, err = deployer.Advance(t.Context(), h)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	check(spec(provider.Deploy, "v1", "v4"), fact("v1"), bot.Conflict, "somebody else is deploying v2 to shop/prod")
}

// What an outcome leaves in the ledger.
func TestSettle(t *testing.T) {
	t.Parallel()
	w := release.NewWorkflow("deploy@1", provider.NewCatalog(nil, nil), nil)
	for _, c := range []struct {
		action   provider.Action
		from, to string
		state    bot.OpState
		kinds    string
	}{
		{provider.Deploy, "v1", "v2", bot.OpSucceeded, "release"},
		{provider.Rollback, "v2", "v1", bot.OpSucceeded, "release release-bad"},
		{provider.Rollback, "v1", "v1", bot.OpSucceeded, "release"},
		{provider.Restart, "v1", "v1", bot.OpSucceeded, ""},
		{provider.Deploy, "v1", "v2", bot.OpRolledBack, "release"},
		{provider.Rollback, "v2", "v1", bot.OpUnknown, "release"},
		{provider.Rollback, "v2", "v1", bot.OpPartlyDone, "release"},
		{provider.Deploy, "v1", "v2", bot.OpCancelled, "release"},
	} {
		spec, err := bot.NewSpec("deploy@1", "x", prod, nil, provider.Deployment{Action: c.action, Target: prod, From: artefact(c.from), To: artefact(c.to)})
		if err != nil {
			t.Fatal(err)
		}
		docs, err := w.Settle(bot.Run{Number: 8, Plan: bot.Plan{Spec: spec}, Call: bot.Call{Who: bot.Identity{Person: "dev"}}}, bot.Progress{State: c.state}, noon())
		if err != nil {
			t.Fatal(err)
		}
		var kinds []string
		for _, d := range docs {
			kinds = append(kinds, d.Kind)
		}
		if got := strings.Join(kinds, " "); got != c.kinds {
			t.Errorf("%s %s to %s, %s: left %q, want %q", c.action, c.from, c.to, c.state, got, c.kinds)
		}
	}
}
