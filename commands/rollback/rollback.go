// Package rollback is the verb that goes back to the newest good release. It
// is the way out of an incident: it pre-empts a deployment under way and
// nothing but a missing right or a rule that names it stands in its way.
package rollback

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/provider"
	"quarterdeck/bot/release"
)

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
		Workflows:  release.Workflows("rollback", c, l),
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
	live, blind, err := current(ctx, deployer)
	if err != nil {
		return bot.Plan{}, err
	}
	marks, err := d.ledger.Bad(ctx, t)
	if err != nil {
		return bot.Plan{}, err
	}
	at, err := d.starting(ctx, deployer, t, c.ID, live)
	if err != nil {
		return bot.Plan{}, err
	}
	if blind != "" {
		if at, err = d.believed(ctx, t, at); err != nil {
			return bot.Plan{}, err
		}
	}
	if named := c.Args["version"]; at.back != 0 && (named == "" || named == previous) {
		return bot.Plan{Summary: fmt.Sprintf("roll back %s in %s", t.Service, t.Environment),
			Noop: fmt.Sprintf("#%d is going back to %s in %s already", at.back, at.going.Version, t)}, nil
	}
	to, err := d.destination(ctx, deployer, t, c.Args["version"], at, marks)
	if err != nil {
		return bot.Plan{}, err
	}
	if to, err = release.Fitting(ctx, deployer, to); err != nil {
		return bot.Plan{}, err
	}
	if at.after != "" && to.ID != at.before.ID && live.Artefact.ID == at.before.ID && len(live.Mixed) == 0 {
		// Named: past what is live, which is then what was meant to be left.
		at.from = live.Artefact
	}
	summary := fmt.Sprintf("roll back %s in %s to %s", t.Service, t.Environment, to.Version)
	switch {
	case at.back != 0 && to.ID == at.going.ID:
		return bot.Plan{Summary: summary, Noop: fmt.Sprintf("#%d is going back to %s in %s already", at.back, to.Version, t)}, nil
	case !at.moving && !at.doubt && to.ID == live.Artefact.ID && len(live.Mixed) == 0 && live.Healthy >= live.Desired:
		return bot.Plan{Summary: summary, Noop: fmt.Sprintf("%s is live in %s already", to.Version, t)}, nil
	}
	spec, err := bot.NewSpec(release.Kind("rollback", d.catalog, t), "rollback", t, []bot.Resource{t.Resource()},
		provider.Deployment{Action: provider.Rollback, Target: t, From: at.from.Identity(), To: to.Identity()})
	if err != nil {
		return bot.Plan{}, err
	}
	p := bot.Plan{
		Spec:    spec,
		Slot:    release.Slot(t),
		Guarded: true,
		Summary: summary,
		Preview: []bot.Field{{Name: "now", Value: cmp.Or(at.now(live), "not known")}, {Name: "new", Value: to.Label()},
			{Name: "way", Value: way(deployer)}, {Name: "not undone", Value: "database migrations, secrets and other configuration"}},
		Obstacles: release.Obstacles(t, to, nil, marks),
		WayBack:   true,
	}
	if at.from.ID != "" && at.from.ID != to.ID {
		p.Preview = append(p.Preview, bot.Field{Name: "marked bad", Value: at.from.Label()})
	}
	if at.from.Version != "" && !at.from.Mixed() {
		p.Undo = fmt.Sprintf("deploy %s %s %s --override \"why\"", t.Service, at.from.Version, t.Environment)
	}
	if blind != "" {
		p.Warnings = append(p.Warnings, "what is live could not be read, so nothing is checked against it: "+blind)
	}
	if !at.moving && !at.doubt {
		p.Preconditions = []bot.Fact{{Name: release.FactLive, Want: at.from.ID, Text: at.from.Version + " is live"}}
	}
	return p, nil
}

// way names how the target is taken back, and by which provider where that is
// not the one that deploys: "rollback" means different things.
func way(d provider.Deployer) string {
	var ways []string
	for _, w := range d.Ways() {
		ways = append(ways, string(w))
	}
	s := strings.Join(ways, " or ")
	if other, ok := d.(interface{ By() string }); ok {
		s += ", by the provider " + other.By()
	}
	return s
}

// liveWithin bounds how long a rollback waits to hear what is live.
const liveWithin = 3 * time.Second

// current gives what is live. When that cannot be read, blind says why: a way
// back is needed most when a platform does not answer.
func current(ctx context.Context, deployer provider.Deployer) (live provider.Live, blind string, err error) {
	read, cancel := context.WithTimeout(ctx, liveWithin)
	defer cancel()
	live, err = deployer.Current(read)
	switch {
	case err == nil:
		return live, "", nil
	case ctx.Err() != nil:
		return provider.Live{}, "", err
	}
	return provider.Live{}, bot.Sentence(err, "the bot's log"), nil
}

// believed gives at, started from what our record says is live when nothing
// else is known.
func (d planner) believed(ctx context.Context, t bot.Target, at start) (start, error) {
	at.doubt = true
	if at.from.ID != "" {
		return at, nil
	}
	entries, err := d.ledger.History(ctx, t, 1)
	if err == nil && len(entries) > 0 {
		at.from = entries[0].Artefact
	}
	return at, err
}

// recorded gives the release of our record that people call version.
func recorded(entries []release.Entry, version string) (provider.Artefact, bool) {
	for _, e := range entries {
		for _, a := range []provider.Artefact{e.Artefact, e.Before} {
			if a.ID != "" && a.Version == version {
				return a, true
			}
		}
	}
	return provider.Artefact{}, false
}

// previous is the word for the release that was live before.
const previous = "previous"

// start is where a rollback starts from.
type start struct {
	// from is the release to get away from: the one a deployment under way is
	// bringing, what a rollback under way is leaving, or else what is live.
	from   provider.Artefact
	before provider.Artefact // what is still live while from is being brought
	moving bool              // something is under way
	doubt  bool              // the last change left who knows what behind
	after  string            // which change that was, and how it ended
	back   int64             // number of another rollback that is under way or next,
	going  provider.Artefact // and where that one goes
}

// now says what is live, as far as that is known. What is being brought, or was
// not brought to its end, is named beside it and not instead of it.
func (s start) now(live provider.Live) string {
	is := live.Artefact
	switch {
	case s.after != "" && is.ID != "":
		return is.Label() + ", after " + s.after
	case s.after != "":
		return s.after
	case s.moving && is.ID != "" && is.ID != s.from.ID && is.ID == s.before.ID:
		return is.Label() + ", while " + s.from.Label() + " is being brought"
	}
	return s.from.Label()
}

// starting finds out where a rollback starts from. request is the one that is
// being planned, whose own run may be waiting.
func (d planner) starting(ctx context.Context, deployer provider.Deployer, t bot.Target, request string, live provider.Live) (start, error) {
	open, err := d.runs.Runs(ctx, bot.RunFilter{Target: t, Open: true, Limit: release.Depth})
	if err != nil {
		return start{}, err
	}
	at, ours := start{from: live.Artefact}, false
	for _, r := range open { // newest first
		if r.Plan.Slot != release.Slot(t) || r.Call.ID == request || r.Plan.Spec.Kind == "" {
			continue
		}
		var under provider.Deployment
		if err := json.Unmarshal(r.Plan.Spec.Body, &under); err != nil {
			return start{}, fmt.Errorf("decode run %d: %w", r.Number, err)
		}
		acting := r.State == bot.Running || r.State == bot.Cancelling
		ours = ours || acting
		back := r.Plan.WayBack || under.Action == provider.Rollback // one that came by itself pre-empts nothing
		switch {
		case back && (r.State == bot.Running || r.State == bot.Queued):
			return start{from: under.From, moving: true, back: r.Number, going: under.To}, nil
		case back && acting: // being cancelled: what it wanted to leave stays
			at = start{from: under.From}
		case acting && under.Action == provider.Restart:
			at.moving = true
		case acting:
			at = start{from: under.To, before: under.From, moving: true}
		}
	}
	if !ours && live.Deploying == "" && !at.moving && at.back == 0 {
		return d.doubted(ctx, t, at)
	}
	if !ours && live.Deploying != "" {
		at.moving = true
		if live.Deploying != live.Artefact.Version {
			if a, err := deployer.Resolve(ctx, live.Deploying); err == nil {
				at.from, at.before = a, live.Artefact
			}
		}
	}
	return at, nil
}

// doubted gives at, or where to start from when the last change of the target
// was a deployment that did not come to its end: it failed, was cancelled, or
// nobody knows. Then what it was bringing is what to get away from, although
// what was live before may look live: whoever types rollback after a failure
// means the failure, and must not be taken past the release that was good.
func (d planner) doubted(ctx context.Context, t bot.Target, at start) (start, error) {
	runs, err := d.runs.Runs(ctx, bot.RunFilter{Target: t, Limit: release.Depth})
	if err != nil {
		return start{}, err
	}
	for _, r := range runs { // newest first
		if r.Plan.Slot != release.Slot(t) || !r.Acted || !r.State.Settled() || untouched(r) {
			continue
		}
		var last provider.Deployment
		if err := json.Unmarshal(r.Plan.Spec.Body, &last); err != nil {
			return start{}, fmt.Errorf("decode run %d: %w", r.Number, err)
		}
		there := at.from.ID == "" || at.from.ID == last.From.ID || at.from.ID == last.To.ID || at.from.Between(last.From, last.To)
		if r.State != bot.Succeeded && last.Action == provider.Deploy && last.From.ID != "" && last.From.ID != last.To.ID && there {
			return start{from: last.To, before: last.From, doubt: true, after: fmt.Sprintf("#%d deploy %s ended %s", r.Number, last.To.Version, r.State)}, nil
		}
		return at, nil
	}
	return at, nil
}

// untouched reports that the provider refused the run's first call, so that
// nothing was begun.
func untouched(r bot.Run) bool { return r.State == bot.Failed && r.Step == 0 }

// destination gives the release to go to: the one named, or the newest that was
// live and is not marked bad.
func (d planner) destination(ctx context.Context, deployer provider.Deployer, t bot.Target, version string, at start, marks map[string]release.Mark) (provider.Artefact, error) {
	entries, err := d.ledger.History(ctx, t, release.Depth)
	if err != nil {
		return provider.Artefact{}, err
	}
	if at.before.ID != "" { // it is still live, so it comes first
		entries = append([]release.Entry{{Artefact: at.before}}, entries...)
	}
	if version != "" && version != previous {
		to, err := deployer.Resolve(ctx, version)
		if known, found := recorded(entries, version); found && err != nil && bot.KindOf(err) != bot.NotFound {
			to, err = known, nil // the platform's list does not answer, and ours has it
		}
		if err != nil {
			return provider.Artefact{}, err
		}
		return to, d.wasLive(ctx, deployer, t, to, at, entries)
	}
	if to, found := release.Previous(entries, marks, at.from.ID); found {
		return to, nil
	}
	// Nothing of ours: the provider may remember what was live there.
	known, err := deployer.Releases(ctx, release.Depth)
	if err != nil {
		return provider.Artefact{}, err
	}
	var newest provider.Release
	for _, k := range known {
		if _, bad := marks[k.ID]; !bad && k.ID != at.from.ID && k.LiveAt.After(newest.LiveAt) {
			newest = k
		}
	}
	if newest.ID != "" {
		return newest.Artefact, nil
	}
	return provider.Artefact{}, bot.Errorf(bot.NotFound, "no earlier good release of %s is on record; to bring another there: deploy %s VERSION %s", t, t.Service, t.Environment)
}

// wasLive refuses a release that is not on record as having been live at t:
// bringing a new one there is a deployment and follows the rules of those.
func (d planner) wasLive(ctx context.Context, deployer provider.Deployer, t bot.Target, to provider.Artefact, at start, entries []release.Entry) error {
	if to.ID == at.from.ID || to.ID == at.before.ID || to.ID == at.going.ID {
		return nil
	}
	for _, e := range entries {
		if to.ID == e.Artefact.ID || to.ID == e.Before.ID {
			return nil
		}
	}
	known, err := deployer.Releases(ctx, release.Depth)
	if err != nil {
		return err
	}
	for _, k := range known {
		if k.ID == to.ID && !k.LiveAt.IsZero() {
			return nil
		}
	}
	return bot.Errorf(bot.Conflict, "%s is not on record as having been live in %s, so going there is a deployment: deploy %s %s %s", to.Version, t, t.Service, to.Version, t.Environment)
}
