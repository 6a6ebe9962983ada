// Package deploy is the verb that brings a version to a target.
package deploy

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"quarterdeck/bot"
	"quarterdeck/bot/provider"
	"quarterdeck/bot/release"
)

// New makes the command.
func New(c *provider.Catalog, l *release.Ledger, runs bot.Runs, judge provider.Judge, clock bot.Clock) bot.Command {
	d := planner{catalog: c, ledger: l, runs: runs, judge: judge}
	return bot.Command{
		Name:    "deploy",
		Summary: "bring a version to an environment",
		Help: "Resolves the version to one immutable artefact, shows what would change, asks for what the rules ask for, " +
			"and rolls out. VERSION is a release, latest, previous, or an environment whose live release is meant.",
		Examples: []string{"deploy shop v2 to staging", "deploy shop/prod staging", `deploy shop v2 prod --dry-run`},
		Params: []bot.Param{
			{Name: "service", Type: bot.TypeService, Help: "what to deploy"},
			{Name: "version", Type: bot.TypeVersion, Help: "a release, latest, previous, or an environment"},
			{Name: "environment", Type: bot.TypeEnvironment, Filler: "to", Help: "where to"},
		},
		Permission: bot.MayDeploy,
		Resolve:    release.Resolve(bot.MayDeploy),
		Plan:       d.plan,
		Workflows:  append(release.Workflows("deploy", c, l), release.NewBake(l, judge, clock)),
	}
}

type planner struct {
	catalog *provider.Catalog
	ledger  *release.Ledger
	runs    bot.Runs
	judge   provider.Judge
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
	marks, err := d.ledger.Bad(ctx, t)
	if err != nil {
		return bot.Plan{}, err
	}
	to, err := d.resolve(ctx, deployer, t, c.Args["version"], live, marks)
	if err != nil {
		return bot.Plan{}, err
	}
	summary := fmt.Sprintf("deploy %s %s to %s", t.Service, to.Version, t.Environment)
	noop := ""
	if to.ID == live.Artefact.ID && len(live.Mixed) == 0 && live.Deploying == "" {
		noop = fmt.Sprintf("%s is live in %s already", to.Version, t)
	}
	preview, err := deployer.Preview(ctx, live.Artefact, to)
	if err != nil {
		return bot.Plan{}, err
	}
	guard, watch, blind := d.guard(ctx, t, live.Artefact, marks, noop == "")
	spec, err := bot.NewSpec(release.Kind("deploy", d.catalog, t), "deploy", t, []bot.Resource{t.Resource()},
		provider.Deployment{Action: provider.Deploy, Target: t, From: live.Artefact.Identity(), To: to.Identity(), Guard: guard})
	if err != nil {
		return bot.Plan{}, err
	}
	order, err := release.Order(ctx, d.catalog, d.ledger, t, to)
	if err != nil {
		return bot.Plan{}, err
	}
	if noop == "" {
		order = append(order, release.Vet(ctx, deployer, to)...)
	}
	warnings := append(slices.Clone(preview.Warnings), blind...)
	if live.Deploying != "" {
		warnings = append(warnings, live.Deploying+" is being deployed there now")
	}
	if len(live.Mixed) > 0 {
		warnings = append(warnings, "several versions are live now: "+strings.Join(live.Mixed, ", "))
	}
	return bot.Plan{
		Spec:          spec,
		Slot:          release.Slot(t),
		Guarded:       true,
		Preconditions: release.Facts(d.catalog, t, live.Artefact),
		Summary:       summary,
		Preview:       append([]bot.Field{{Name: "now", Value: live.Artefact.Label()}, {Name: "new", Value: to.Label()}}, append(preview.Fields, watch...)...),
		Warnings:      warnings,
		Obstacles:     append(order, release.Obstacles(t, to, preview.Contains, marks)...),
		Undo:          fmt.Sprintf("rollback %s %s", t.Service, t.Environment),
		Noop:          noop,
	}, nil
}

// resolve turns what was typed into one artefact: the words previous and the
// name of another environment are ours, the rest is the provider's.
func (d planner) resolve(ctx context.Context, deployer provider.Deployer, t bot.Target, version string, live provider.Live, marks map[string]release.Mark) (provider.Artefact, error) {
	if version == "previous" {
		entries, err := d.ledger.History(ctx, t, release.Depth)
		if err != nil {
			return provider.Artefact{}, err
		}
		if a, found := release.Previous(entries, marks, live.Artefact.ID); found {
			return release.Fitting(ctx, deployer, a)
		}
		return provider.Artefact{}, bot.Errorf(bot.NotFound, "%s has no earlier release on record", t)
	}
	if version != t.Environment && slices.Contains(d.catalog.Environments(t.Service), version) {
		other := bot.Target{Service: t.Service, Environment: version}
		source, err := d.catalog.Deployer(other)
		if err != nil {
			return provider.Artefact{}, err
		}
		there, err := source.Current(ctx)
		if err != nil {
			return provider.Artefact{}, err
		}
		if len(there.Mixed) > 0 || there.Deploying != "" {
			return provider.Artefact{}, bot.Errorf(bot.Conflict, "%s has no single live release now; name a version", other)
		}
		a, err := deployer.Resolve(ctx, there.Artefact.Version)
		if err == nil && a.ID != there.Artefact.ID && len(a.Parts) == 0 {
			// The name went on to another release since, as a tag can.
			if same, err := deployer.Resolve(ctx, there.Artefact.ID); err == nil && same.ID == there.Artefact.ID {
				return same, nil
			}
		}
		return a, err
	}
	a, err := deployer.Resolve(ctx, version)
	if err != nil || version != "latest" {
		return a, err
	}
	return a, d.proven(ctx, t, a)
}

// proven refuses to take a release for "latest" whose last deployment, in any
// environment of the service, did not succeed: whoever writes the word means the
// newest that works, and whoever means this one can name it.
func (d planner) proven(ctx context.Context, t bot.Target, a provider.Artefact) error {
	for _, environment := range d.catalog.Environments(t.Service) {
		there := bot.Target{Service: t.Service, Environment: environment}
		runs, err := d.runs.Runs(ctx, bot.RunFilter{Target: there, Limit: release.Depth})
		if err != nil {
			return err
		}
		for _, r := range runs { // newest first
			var last provider.Deployment
			if r.Plan.Slot != release.Slot(there) || !r.Acted || !r.State.Settled() || json.Unmarshal(r.Plan.Spec.Body, &last) != nil || last.To.ID != a.ID || last.Action == provider.Restart {
				continue
			}
			if r.State != bot.Succeeded {
				return bot.Errorf(bot.Conflict, "latest is %s, whose deployment to %s ended %s (#%d); name a version, as in: deploy %s %s %s",
					a.Version, there, r.State.Word(), r.Number, t.Service, a.Version, t.Environment)
			}
			break
		}
	}
	return nil
}
