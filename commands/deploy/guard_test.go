package deploy_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/provider"
	"quarterdeck/bot/provider/providertest"
	"quarterdeck/bot/release"
	"quarterdeck/bot/store"
	"quarterdeck/commands/deploy"
)

// guardedStage is a stage whose prod is watched over.
func guardedStage(t *testing.T, g *provider.Guard) (*stage, *providertest.Judge) {
	t.Helper()
	s, _ := newStage(t)
	judge := providertest.NewJudge("errors")
	c := provider.NewCatalog([]string{"prod"}, map[bot.Target]provider.Bindings{prod: {Deploy: s.far.Deployer(prod), Guard: g}})
	s.command = deploy.New(c, release.NewLedger(s.store), noRuns{}, judge, bot.SystemClock{})
	return s, judge
}

func shown(p bot.Plan, name string) string {
	for _, f := range p.Preview {
		if f.Name == name {
			return f.Value
		}
	}
	return ""
}

// The guard stands in the Spec, so that it is agreed to; how its metrics stand now
// is shown and drifts.
func TestGuardIsPlanned(t *testing.T) {
	t.Parallel()
	s, judge := guardedStage(t, &provider.Guard{Metrics: []string{"errors"}, Bake: 10 * time.Minute, Every: time.Minute, OnBreach: provider.GoBack, OnSilence: provider.Offer})
	p := s.mustPlan("v2", "prod")
	if got := shown(p, "guard"); got != "errors for 10m; a breach goes back to v1 by itself, no data offers the way back" {
		t.Errorf("the guard is shown as %q", got)
	}
	if got := shown(p, "errors"); got != "0.5 %, at most 2 %" || len(p.Warnings) > 0 {
		t.Errorf("errors are shown as %q, mind %q", got, p.Warnings)
	}
	if !strings.Contains(string(p.Spec.Body), `"guard":{"metrics":["errors"],"bake":600000000000`) {
		t.Errorf("the Spec is %s", p.Spec.Body)
	}
	for stand, want := range map[provider.Stand]string{
		provider.Breached: "errors is over its threshold already, before the deployment",
		provider.NoData:   "errors cannot be measured now, so the guard may not see a breach",
		provider.Unread:   "errors cannot be measured now, so the guard may not see a breach",
	} {
		judge.Set("errors", stand, 40)
		q := s.mustPlan("v2", "prod")
		if !slices.Contains(q.Warnings, want) {
			t.Errorf("%s: mind %q", stand, q.Warnings)
		}
		if q.Spec.Digest() != p.Spec.Digest() {
			t.Errorf("%s: what drifts is in the Spec", stand)
		}
	}
	asked := judge.Asked("errors")
	if q := s.mustPlan("v1", "prod"); q.Noop == "" || judge.Asked("errors") != asked {
		t.Errorf("nothing to do, and the guard looks: %+v", q)
	}
}

// Whoever deploys may have the guard go back by itself, not keep it from doing so.
func TestAutoRollback(t *testing.T) {
	t.Parallel()
	s, _ := guardedStage(t, &provider.Guard{Metrics: []string{"errors"}, Bake: 10 * time.Minute, Every: time.Minute, OnBreach: provider.Offer, OnSilence: provider.Offer})
	if got := shown(s.mustPlan("v2", "prod"), "guard"); got != "errors for 10m; a breach, or no data, offers the way back" {
		t.Errorf("the guard is shown as %q", got)
	}
	p, err := s.command.Plan(t.Context(), bot.Call{Args: bot.Args{"service": "shop", "version": "v2", "environment": "prod", "auto-rollback": "true"}})
	if err != nil {
		t.Fatal(err)
	}
	if got := shown(p, "guard"); got != "errors for 10m; a breach goes back to v1 by itself, no data offers the way back" || !strings.Contains(string(p.Spec.Body), `"on_breach":"rollback"`) {
		t.Errorf("the guard is shown as %q, and planned as %s", got, p.Spec.Body)
	}
	bare, _ := newStage(t)
	_, err = bare.command.Plan(t.Context(), bot.Call{Args: bot.Args{"service": "shop", "version": "v2", "environment": "prod", "auto-rollback": "true"}})
	if bot.KindOf(err) != bot.Invalid || !strings.Contains(bot.Sentence(err, ""), "shop/prod has no guard that would see a breach") {
		t.Errorf("without a guard it says %v", err)
	}
}

// What is not good cannot be gone back to by itself: then it is offered, which the
// Spec and the plan say.
func TestGuardHasNothingToGoBackTo(t *testing.T) {
	t.Parallel()
	s, _ := guardedStage(t, &provider.Guard{Metrics: []string{"errors"}, Bake: 10 * time.Minute, Every: time.Minute, OnBreach: provider.GoBack, OnSilence: provider.GoBack})
	live, err := s.far.Deployer(prod).Current(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	bad, err := release.BadDocument(prod, release.Mark{Artefact: live.Artefact, Run: 3, Person: "ann"})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.store.Update(t.Context(), func(tx store.Tx) error { _, err := tx.PutDocument(bad); return err }); err != nil {
		t.Fatal(err)
	}
	p := s.mustPlan("v2", "prod")
	if !slices.Contains(p.Warnings, "the guard cannot go back by itself, and offers the way back: v1 is marked bad") {
		t.Errorf("mind %q", p.Warnings)
	}
	if got := shown(p, "guard"); got != "errors for 10m; a breach, or no data, offers the way back" || strings.Contains(string(p.Spec.Body), `"rollback"`) {
		t.Errorf("the guard is shown as %q, and planned as %s", got, p.Spec.Body)
	}
}
