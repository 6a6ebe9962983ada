// Package rollback is the verb that goes back to the newest good release. It
// is the way out of an incident: it pre-empts a deployment under way and
// nothing but a missing right or a rule that names it stands in its way.
package rollback

import (
	"context"
	"encoding/json"
	"fmt"

	"quarterdeck/bot"
	"quarterdeck/bot/provider"
	"quarterdeck/bot/release"
)

// Kind is the workflow that rollback's Specs name.
const Kind = "rollback@1"

// New makes the command.
func New(c *provider.Catalog, l *release.Ledger, runs bot.Runs) bot.Command {
	d := planner{catalog: c, ledger: l, runs: runs}
	return bot.Command{
		Name:    "rollback",
		Summary: "go back to the newest good release, now",
		Help: "Stops a deployment under way, waits until it is settled and goes back to the newest release that was live and is not " +
			"marked bad, or to the one named. The release it leaves is marked bad there. It does not undo database migrations, secrets or other configuration.",
		Examples: []string{"rollback shop prod", "rollback shop/prod v1"},
		Params: []bot.Param{
			{Name: "service", Type: bot.TypeService, Help: "what to roll back"},
			{Name: "environment", Type: bot.TypeEnvironment, Help: "where"},
			{Name: "version", Type: bot.TypeVersion, Optional: true, Help: "the release to go back to; the newest good one unless named"},
		},
		Permission: bot.MayRollback,
		Urgent:     true,
		Resolve:    release.Resolve(bot.MayRollback),
		Plan:       d.plan,
		Workflows:  []bot.Workflow{release.NewWorkflow(Kind, c, l)},
	}
}

type planner struct {
	catalog *provider.Catalog
	ledger  *release.Ledger
	runs    bot.Runs
}

func (d planner) plan(ctx context.Context, c bot.Call) (bot.Plan, error) {
	t := c.Args.Target()
	deployer, err := d.catalog.Deployer(t)
	if err != nil {
		return bot.Plan{}, err
	}
	live, err := deployer.Current(ctx)
	if err != nil {
		return bot.Plan{}, err
	}
	from, under, err := d.leaving(ctx, deployer, t, live)
	if err != nil {
		return bot.Plan{}, err
	}
	to, err := d.destination(ctx, deployer, t, c, live, from, under)
	if err != nil {
		return bot.Plan{}, err
	}
	summary := fmt.Sprintf("roll back %s in %s to %s", t.Service, t.Environment, to.Version)
	if to.ID == live.Artefact.ID && under == nil && live.Deploying == "" && len(live.Mixed) == 0 {
		return bot.Plan{Summary: summary, Noop: fmt.Sprintf("%s is live in %s already", to.Version, t)}, nil
	}
	spec, err := bot.NewSpec(Kind, "rollback", t, []bot.Resource{t.Resource()},
		provider.Deployment{Action: provider.Rollback, Target: t, From: from.Identity(), To: to.Identity()})
	if err != nil {
		return bot.Plan{}, err
	}
	p := bot.Plan{
		Spec:    spec,
		Slot:    release.Slot(t),
		Summary: summary,
		Preview: []bot.Field{{Name: "now", Value: from.Label()}, {Name: "new", Value: to.Label()},
			{Name: "not undone", Value: "database migrations, secrets and other configuration"}},
		Undo:    fmt.Sprintf("deploy %s %s %s --override \"why\"", t.Service, from.Version, t.Environment),
		WayBack: true,
	}
	if under == nil && live.Deploying == "" {
		p.Preconditions = []bot.Fact{{Name: release.FactLive, Want: live.Artefact.ID, Text: live.Artefact.Version + " is live"}}
	}
	return p, nil
}

// leaving gives the release to get away from: the one a deployment under way
// is bringing, or else what is live; and our own run that is bringing it.
func (d planner) leaving(ctx context.Context, deployer provider.Deployer, t bot.Target, live provider.Live) (provider.Artefact, *provider.Deployment, error) {
	open, err := d.runs.Runs(ctx, bot.RunFilter{Target: t, Open: true})
	if err != nil {
		return provider.Artefact{}, nil, err
	}
	for _, r := range open {
		if r.Plan.Slot != release.Slot(t) || (r.State != bot.Running && r.State != bot.Cancelling) || r.Plan.WayBack {
			continue
		}
		var under provider.Deployment
		if err := json.Unmarshal(r.Plan.Spec.Body, &under); err != nil {
			return provider.Artefact{}, nil, fmt.Errorf("decode run %d: %w", r.Number, err)
		}
		if under.Action == provider.Deploy {
			return under.To, &under, nil
		}
	}
	if live.Deploying != "" && live.Deploying != live.Artefact.Version {
		if a, err := deployer.Resolve(ctx, live.Deploying); err == nil {
			return a, nil, nil
		}
	}
	return live.Artefact, nil, nil
}

// destination gives the release to go to.
func (d planner) destination(ctx context.Context, deployer provider.Deployer, t bot.Target, c bot.Call, live provider.Live, from provider.Artefact, under *provider.Deployment) (provider.Artefact, error) {
	marks, err := d.ledger.Bad(ctx, t)
	if err != nil {
		return provider.Artefact{}, err
	}
	if version := c.Args["version"]; version != "" && version != "previous" {
		to, err := deployer.Resolve(ctx, version)
		if err != nil {
			return provider.Artefact{}, err
		}
		if m, bad := marks[to.ID]; bad && c.Override == "" {
			return provider.Artefact{}, bot.Errorf(bot.Denied, "%s is marked bad in %s since run #%d by %s; name another, or add --override \"why\"", to.Version, t, m.Run, m.Person)
		}
		return to, nil
	}
	entries, err := d.ledger.History(ctx, t, release.Depth)
	if err != nil {
		return provider.Artefact{}, err
	}
	// What was live before the deployment under way comes first, since it still is.
	if under != nil {
		entries = append([]release.Entry{{Artefact: under.From}}, entries...)
	} else if from.ID != live.Artefact.ID {
		entries = append([]release.Entry{{Artefact: live.Artefact}}, entries...)
	}
	if to, found := release.Previous(entries, marks, from.ID); found {
		return to, nil
	}
	// Nothing of ours: the provider may remember what was live there.
	known, err := deployer.Releases(ctx, release.Depth)
	if err != nil {
		return provider.Artefact{}, err
	}
	var newest provider.Release
	for _, k := range known {
		if _, bad := marks[k.ID]; !bad && k.ID != from.ID && k.LiveAt.After(newest.LiveAt) {
			newest = k
		}
	}
	if newest.ID != "" {
		return newest.Artefact, nil
	}
	return provider.Artefact{}, bot.Errorf(bot.NotFound, "no earlier good release of %s is on record; name one: rollback %s %s VERSION", t, t.Service, t.Environment)
}
