package release

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/provider"
)

// FactLive is the precondition that an artefact, by its ID, is what is live.
const FactLive = "live"

// FactBinding is the precondition that a target's bindings are configured as
// they were: what is run there for a deployment is part of what was agreed to.
const FactBinding = provider.FactBinding

// Facts gives the preconditions of a change of a target where a is live.
func Facts(c *provider.Catalog, t bot.Target, a provider.Artefact) []bot.Fact {
	facts := []bot.Fact{{Name: FactLive, Want: a.ID, Text: a.Version + " is live"}}
	if digest := c.Digest(t); digest != "" {
		facts = append(facts, bot.Fact{Name: FactBinding, Want: digest, Text: "the configuration of " + t.String()})
	}
	return facts
}

// Workflow executes deployments, rollbacks and restarts: the Specs whose body
// is a provider.Deployment. Each verb registers it under a kind of its own. It
// implements bot.Workflow, bot.Timed and bot.Settler; safe for concurrent use.
type Workflow struct {
	kind     string
	composed bool // its Specs say what every component gets
	catalog  *provider.Catalog
	ledger   *Ledger
}

// Version gives the version of a verb's workflow that changes t: 1 for a target
// of one piece, 2 for one of several components. A program that knows version 1
// alone, or a configuration with which t is the other thing, must not take the
// one Spec for the other.
func Version(c *provider.Catalog, t bot.Target) int {
	if d, err := c.Deployer(t); err == nil && isComposed(d) {
		return 2
	}
	return 1
}

// Kind gives the workflow of a verb that changes t: "deploy@1".
func Kind(verb string, c *provider.Catalog, t bot.Target) string {
	return fmt.Sprintf("%s@%d", verb, Version(c, t))
}

func isComposed(d provider.Deployer) bool {
	_, ok := d.(interface{ Fits(provider.Artefact) bool })
	return ok
}

// Fitting gives a as d can be given it. What was recorded when the target had
// other components is looked up again by its name.
func Fitting(ctx context.Context, d provider.Deployer, a provider.Artefact) (provider.Artefact, error) {
	whole, composed := d.(interface{ Fits(provider.Artefact) bool })
	if composed && whole.Fits(a) || !composed && len(a.Parts) == 0 {
		return a, nil
	}
	return d.Resolve(ctx, a.Version)
}

// Workflows gives every version of a verb's workflow.
func Workflows(verb string, c *provider.Catalog, l *Ledger) []bot.Workflow {
	return []bot.Workflow{NewWorkflow(verb+"@1", c, l), NewWorkflow(verb+"@2", c, l)}
}

// NewWorkflow makes a Workflow for kind, such as "deploy@1"; see Version.
func NewWorkflow(kind string, c *provider.Catalog, l *Ledger) *Workflow {
	return &Workflow{kind: kind, composed: strings.HasSuffix(kind, "@2"), catalog: c, ledger: l}
}

// deployer gives the Deployer of t, if it still is of the form that the
// workflow is for.
func (w *Workflow) deployer(t bot.Target) (provider.Deployer, error) {
	d, err := w.catalog.Deployer(t)
	if err != nil {
		return nil, err
	}
	if isComposed(d) != w.composed {
		return nil, bot.Errorf(bot.Conflict, "the configuration of %s was changed meanwhile: its components are not what they were", t)
	}
	return d, nil
}

// Kind implements bot.Workflow.
func (w *Workflow) Kind() string { return w.kind }

func body(s bot.Spec) (provider.Deployment, error) {
	var d provider.Deployment
	if err := json.Unmarshal(s.Body, &d); err != nil {
		return d, fmt.Errorf("decode %s: %w", s.Kind, err)
	}
	return d, nil
}

// Check implements bot.Workflow: what was live must still be live, nobody else
// may be deploying there, and what is deployed may have been marked bad.
func (w *Workflow) Check(ctx context.Context, s bot.Spec, facts []bot.Fact) ([]bot.Obstacle, error) {
	d, err := body(s)
	if err != nil {
		return nil, err
	}
	deployer, err := w.deployer(d.Target)
	if err != nil {
		return nil, err
	}
	for _, f := range facts {
		if f.Name == FactBinding {
			if w.catalog.Digest(d.Target) != f.Want {
				return nil, bot.Errorf(bot.Conflict, "the configuration of %s was changed meanwhile", d.Target)
			}
			continue
		}
		if f.Name != FactLive {
			return nil, bot.Errorf(bot.Internal, "this version does not know the precondition %q", f.Name)
		}
		live, err := deployer.Current(ctx)
		if err != nil {
			return nil, err
		}
		if live.Deploying != "" {
			return nil, bot.Errorf(bot.Conflict, "somebody else is deploying %s to %s", live.Deploying, d.Target)
		}
		if live.Artefact.ID != f.Want {
			return nil, bot.Errorf(bot.Conflict, "%s is live in %s now, not %s", live.Artefact.Version, d.Target, d.From.Version)
		}
	}
	if d.Action == provider.Restart {
		return nil, nil
	}
	var order []bot.Obstacle
	if d.Action == provider.Deploy {
		if order, err = Order(ctx, w.catalog, w.ledger, d.Target, d.To); err != nil {
			return nil, err
		}
		order = append(order, Vet(ctx, deployer, d.To)...)
	}
	marks, err := w.ledger.Bad(ctx, d.Target)
	if err != nil || len(marks) == 0 {
		return order, err
	}
	var contains []string
	if d.Action == provider.Deploy {
		preview, err := deployer.Preview(ctx, d.From, d.To)
		if err != nil {
			return nil, err
		}
		contains = preview.Contains
	}
	return append(order, Obstacles(d.Target, d.To, contains, marks)...), nil
}

// Obstacles gives what stands against bringing an artefact to a target: its
// being marked bad there, or its being known to contain one that is.
func Obstacles(t bot.Target, to provider.Artefact, contains []string, marks map[string]Mark) []bot.Obstacle {
	var found []bot.Obstacle
	if m, bad := marks[to.ID]; bad {
		found = append(found, bot.Obstacle{Permission: bot.MayOverrideBad,
			Text: fmt.Sprintf("%s is marked bad in %s since run #%d by %s", to.Version, t, m.Run, m.Person)})
	}
	for _, id := range slices.Sorted(maps.Keys(marks)) {
		if m := marks[id]; id != to.ID && within(m.Artefact, to, contains) {
			found = append(found, bot.Obstacle{Permission: bot.MayOverrideBad,
				Text: fmt.Sprintf("%s contains %s, which is marked bad in %s since run #%d", to.Version, m.Artefact.Version, t, m.Run)})
		}
	}
	return found
}

// within reports whether to, which contains what is listed, contains the whole
// of a: of a release over components, what every component of it is.
func within(a, to provider.Artefact, contains []string) bool {
	if len(a.Parts) == 0 {
		return slices.Contains(contains, a.ID)
	}
	for _, p := range a.Parts {
		same, has := to.Part(p.Component)
		if !(has && same.ID == p.ID) && !slices.Contains(contains, partKey(p.Component, p.ID)) {
			return false
		}
	}
	return true
}

// Begin implements bot.Workflow.
func (w *Workflow) Begin(s bot.Spec, t bot.Task) (bot.Handle, error) {
	d, err := body(s)
	if err != nil {
		return bot.Handle{}, err
	}
	deployer, err := w.deployer(d.Target)
	if err != nil {
		return bot.Handle{}, err
	}
	h, err := deployer.Begin(d, t)
	h.Key, h.Target = t.Key, d.Target
	return h, err
}

// Advance implements bot.Workflow.
func (w *Workflow) Advance(ctx context.Context, h bot.Handle) (bot.Handle, bot.Progress, error) {
	deployer, err := w.deployer(h.Target)
	if err != nil {
		return h, bot.Progress{}, err
	}
	next, p, err := deployer.Advance(ctx, h)
	next.Key, next.Target = h.Key, h.Target
	return next, p, err
}

// Cancel implements bot.Workflow.
func (w *Workflow) Cancel(ctx context.Context, h bot.Handle) (bot.Handle, error) {
	deployer, err := w.deployer(h.Target)
	if err != nil {
		return h, err
	}
	next, err := deployer.Cancel(ctx, h)
	next.Key, next.Target = h.Key, h.Target
	return next, err
}

// Timing implements bot.Timed by asking the target's Deployer.
func (w *Workflow) Timing(t bot.Target) bot.Timing {
	if deployer, err := w.catalog.Deployer(t); err == nil {
		if timed, ok := deployer.(bot.Timed); ok {
			return timed.Timing(t)
		}
	}
	return bot.DefaultTiming
}

// Sequels implements bot.Follower: a deployment with a guard is watched.
func (w *Workflow) Sequels(s bot.Spec) ([]bot.Sequel, error) {
	d, err := body(s)
	if err != nil || d.Guard == nil || d.Action != provider.Deploy {
		return nil, err
	}
	return baking(s, d)
}

// Settle implements bot.Settler: what went live is noted, what had been live
// before in any case, and what a rollback left is marked bad.
func (w *Workflow) Settle(r bot.Run, p bot.Progress, at time.Time) ([]bot.Document, error) {
	d, err := body(r.Plan.Spec)
	if err != nil {
		return nil, err
	}
	if d.Action == provider.Restart {
		return nil, nil
	}
	who, reason := r.Call.Who.Person, r.Call.Reason
	if d.Why != "" { // nobody typed it
		who, reason = who+", by itself", d.Why
	}
	entry := Entry{Artefact: d.To, Before: d.From, Run: r.Number, Person: who, Action: d.Action, At: at}
	if p.State != bot.OpSucceeded {
		entry.Artefact = provider.Artefact{}
	}
	live, err := LiveDocument(d.Target, entry)
	if err != nil {
		return nil, err
	}
	docs := []bot.Document{live}
	if p.State == bot.OpSucceeded && d.Action == provider.Rollback && d.From.ID != "" && d.From.ID != d.To.ID {
		bad, err := BadDocument(d.Target, Mark{Artefact: d.From, Run: r.Number, Person: who, Reason: reason, At: at})
		if err != nil {
			return nil, err
		}
		docs = append(docs, bad)
	}
	return docs, nil
}

// Depth is how many entries of a target's history are looked through.
const Depth = 200

// Slot gives the slot that runs changing a target's release share.
func Slot(t bot.Target) string { return t.String() + " release" }

// Resolve gives the Resolve function of a command about one target.
func Resolve(p bot.Permission) func(bot.Call) (bot.Ask, error) {
	return func(c bot.Call) (bot.Ask, error) {
		t := c.Args.Target()
		return bot.Ask{Permission: p, Resources: []bot.Resource{t.Resource()}, Target: t}, nil
	}
}
