package release_test

import (
	"encoding/json"
	"strings"
	"testing"

	"quarterdeck/bot"
	"quarterdeck/bot/observe"
	"quarterdeck/bot/provider"
	"quarterdeck/bot/release"
)

// What a run left is its own: what it brought, or, when it ended otherwise,
// anything between what was and what it was bringing.
func TestWatchExplains(t *testing.T) {
	t.Parallel()
	p := newPieces(&ticking{}, nil)
	catalog := provider.NewCatalog(nil, map[bot.Target]provider.Bindings{prod: {Deploy: p, Digest: "d"}})
	w := release.NewWatch(func() *provider.Catalog { return catalog })
	subject := w.Subjects()[0]
	if subject.Name != "shop/prod" || subject.Slot != release.Slot(prod) || subject.Basis != "d" {
		t.Fatalf("subject %+v", subject)
	}
	d := p.deployment(t, provider.Deploy, "v2")
	for _, c := range []struct {
		lives     string // web, worker, cron
		succeeded bool
		failed    bool
	}{
		{"v2 v2 v2", true, true},
		{"v1 v1 v1", false, true},
		{"v2 v1 v1", false, true},
		{"v2 v3 v1", false, false},
		{"v3 v3 v3", false, false},
	} {
		for i, v := range strings.Fields(c.lives) {
			p.far[p.order[i+1]].SetLive(prod, v)
		}
		seen, err := w.Look(t.Context(), subject)
		if err != nil {
			t.Fatal(err)
		}
		if mixed := c.lives[:2] != c.lives[3:5] || c.lives[3:5] != c.lives[6:]; seen.Passing != mixed || seen.Moving {
			t.Errorf("%s is seen as %+v", c.lives, seen)
		}
		for state, want := range map[bot.RunState]bool{bot.Succeeded: c.succeeded, bot.Failed: c.failed, bot.Unknown: c.failed, bot.Cancelled: c.failed} {
			spec, err := bot.NewSpec("deploy@2", "deploy", prod, nil, d)
			if err != nil {
				t.Fatal(err)
			}
			if got := w.Explains(bot.Run{State: state, Plan: bot.Plan{Spec: spec}}, seen); got != want {
				t.Errorf("%s after a run that ended as %s: %v, want %v", c.lives, state, got, want)
			}
		}
	}
}

// An observed release was live: a rollback goes back to what was before it, and
// to it; one that was a mixture is nothing to go to.
func TestWatchKeeps(t *testing.T) {
	t.Parallel()
	s := open(t)
	w := release.NewWatch(func() *provider.Catalog { return provider.NewCatalog(nil, nil) })
	see := func(a provider.Artefact, mixed bool) observe.Seen {
		body, err := json.Marshal(a)
		if err != nil {
			t.Fatal(err)
		}
		return observe.Seen{Value: a.ID, Text: a.Version, Body: body, Passing: mixed}
	}
	put(t, s, live(t, prod, release.Entry{Artefact: artefact("v2"), Before: artefact("v1"), Run: 12, At: noon()}))
	docs, err := w.Keep(observe.Change{Subject: observe.Subject{Target: prod}, Was: see(artefact("v2"), false), Now: see(artefact("v9"), false), After: 12, Seq: 40, At: noon().Add(1)})
	if err != nil {
		t.Fatal(err)
	}
	put(t, s, docs...)
	docs, err = w.Keep(observe.Change{Subject: observe.Subject{Target: prod}, Was: see(artefact("v9"), false), Now: see(artefact("v5"), true), After: 12, Seq: 41, At: noon().Add(2)})
	if err != nil {
		t.Fatal(err)
	}
	put(t, s, docs...)
	// A run of an earlier number that waited and was done last.
	put(t, s, live(t, prod, release.Entry{Artefact: artefact("v3"), Before: artefact("v9"), Run: 4, At: noon().Add(3)}))
	entries, err := release.NewLedger(s).History(t.Context(), prod, 10)
	if err != nil || len(entries) != 4 {
		t.Fatalf("%+v (%v)", entries, err)
	}
	var order []string
	for _, e := range entries {
		order = append(order, e.Artefact.Version)
	}
	if strings.Join(order, " ") != "v3  v9 v2" || entries[1].Action != release.Observed {
		t.Errorf("the ledger holds %q: %+v", order, entries)
	}
	if a, found := release.Previous(entries, nil, "id-v3"); !found || a.Version != "v9" {
		t.Errorf("before v3 was %+v", a)
	}
}
