package release

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sourcegraph/conc/iter"

	"quarterdeck/bot"
	"quarterdeck/bot/provider"
)

// Component is one piece of a target that is deployed with the others.
type Component struct {
	Name     string
	Deployer provider.Deployer
}

// Components is a Deployer over the pieces of one target, such as web, worker
// and cron: one release is live when all of them have it. A deployment runs the
// step before once, then brings the components there one after another, each
// waited for, then runs the step after once; a rollback goes through the
// components from the last to the first and runs neither step. Safe for
// concurrent use.
type Components struct {
	list          []Component // in the order in which a deployment goes through them
	before, after provider.Step
}

// NewComponents makes a Components; before and after may be nil.
func NewComponents(list []Component, before, after provider.Step) *Components {
	return &Components{list: list, before: before, after: after}
}

var (
	_ provider.Deployer  = (*Components)(nil)
	_ provider.Limited   = (*Components)(nil)
	_ provider.Inspected = (*Components)(nil)
	_ bot.Timed          = (*Components)(nil)
)

// composedID begins the ID of an artefact of several parts.
const composedID = "sha256:"

// readers bounds how many components of one target are asked at a time.
const readers = 8

// each asks every component at the same time; the error is the first one's in
// the order of the components, with its name in front.
func each[T any](ctx context.Context, list []Component, f func(ctx context.Context, d provider.Deployer) (T, error)) ([]T, error) {
	type answer struct {
		got T
		err error
	}
	ask := iter.Mapper[Component, answer]{MaxGoroutines: readers}
	answers := ask.Map(list, func(c *Component) (a answer) {
		a.got, a.err = f(ctx, c.Deployer)
		return a
	})
	out := make([]T, 0, len(list))
	for i, a := range answers {
		if a.err != nil {
			return nil, of(list[i].Name, a.err)
		}
		out = append(out, a.got)
	}
	return out, nil
}

// of says of which component an error speaks. What it is stays as it was.
func of(component string, err error) error {
	var e *bot.Error
	if !errors.As(err, &e) || e.Say == "" {
		return fmt.Errorf("%s: %w", component, err)
	}
	named := *e
	named.Say = component + ": " + e.Say
	return &named
}

// composed gives the artefact of all components from theirs, in their order.
func (c *Components) composed(list []provider.Artefact) provider.Artefact {
	parts := make([]provider.Part, len(list))
	for i, a := range list {
		parts[i] = provider.Part{Component: c.list[i].Name, ID: a.ID, Version: a.Version, Commit: a.Commit}
	}
	return provider.Composed(parts)
}

// Fits reports whether an artefact says what each of the components gets, and
// nothing of others.
func (c *Components) Fits(a provider.Artefact) bool {
	for _, x := range c.list {
		if p, found := a.Part(x.Name); !found || p.ID == "" {
			return false
		}
	}
	return len(a.Parts) == len(c.list)
}

// Resolve gives what every component makes of the version. They must all have
// it under the same name: "latest" is the newest that all have.
func (c *Components) Resolve(ctx context.Context, version string) (provider.Artefact, error) {
	if version == "latest" {
		releases, err := c.Releases(ctx, 1)
		if err != nil {
			return provider.Artefact{}, err
		}
		if len(releases) == 0 {
			return provider.Artefact{}, bot.Errorf(bot.NotFound, "there is no release that %s all have", c.names(c.list))
		}
		return releases[0].Artefact, nil
	}
	if strings.HasPrefix(version, composedID) { // of the whole, or of a component
		releases, err := c.Releases(ctx, Depth)
		if err != nil {
			return provider.Artefact{}, err
		}
		for _, r := range releases {
			if r.ID == version {
				return r.Artefact, nil
			}
		}
	}
	list, err := each(ctx, c.list, func(ctx context.Context, d provider.Deployer) (provider.Artefact, error) {
		return d.Resolve(ctx, version)
	})
	if err != nil {
		return provider.Artefact{}, err
	}
	a := c.composed(list)
	if a.Mixed() {
		return provider.Artefact{}, bot.Errorf(bot.Invalid, "%q is not the same release in every component: %s; name one that all have", version, a.Version)
	}
	return a, nil
}

// Current gives what all of them run; Mixed when they do not run the same.
func (c *Components) Current(ctx context.Context) (provider.Live, error) {
	lives, err := each(ctx, c.list, func(ctx context.Context, d provider.Deployer) (provider.Live, error) { return d.Current(ctx) })
	if err != nil {
		return provider.Live{}, err
	}
	list := make([]provider.Artefact, len(lives))
	var all provider.Live
	for i, l := range lives {
		list[i] = l.Artefact
		if len(l.Mixed) > 0 { // no single artefact is live there
			list[i] = provider.Artefact{Version: "of " + strings.Join(l.Mixed, " and ")}
		}
		all.Running, all.Healthy, all.Desired = all.Running+l.Running, all.Healthy+l.Healthy, all.Desired+l.Desired
		all.Uncounted = all.Uncounted || l.Uncounted
		if all.Deploying == "" {
			all.Deploying = l.Deploying
		}
		if all.Link == "" {
			all.Link = l.Link
		}
		if l.Since.After(all.Since) {
			all.Since = l.Since
		}
	}
	if slices.ContainsFunc(lives, func(l provider.Live) bool { return l.Since.IsZero() }) {
		all.Since = time.Time{}
	}
	all.Artefact = c.composed(list)
	if all.Artefact.Mixed() {
		for i, x := range c.list {
			all.Mixed = append(all.Mixed, x.Name+" "+list[i].Version)
		}
	}
	return all, nil
}

// Releases gives those that every component has, by their names.
func (c *Components) Releases(ctx context.Context, limit int) ([]provider.Release, error) {
	lists, err := each(ctx, c.list, func(ctx context.Context, d provider.Deployer) ([]provider.Release, error) {
		return d.Releases(ctx, Depth)
	})
	if err != nil {
		return nil, err
	}
	var out []provider.Release
	for _, r := range lists[0] {
		list := []provider.Artefact{r.Artefact}
		for _, other := range lists[1:] {
			i := slices.IndexFunc(other, func(o provider.Release) bool { return o.Version == r.Version })
			if i < 0 {
				break
			}
			list = append(list, other[i].Artefact)
			if other[i].Created.After(r.Created) {
				r.Created = other[i].Created
			}
			if other[i].LiveAt.Before(r.LiveAt) { // zero where it never was
				r.LiveAt = other[i].LiveAt
			}
		}
		if len(list) < len(lists) {
			continue
		}
		notes, origin := r.Notes, r.Origin
		r.Artefact = c.composed(list)
		r.Notes, r.Origin = notes, origin
		if out = append(out, r); limit > 0 && len(out) == limit {
			break
		}
	}
	return out, nil
}

// Preview shows what each component has and gets. Contains names what each is
// known to contain as "COMPONENT=ID".
func (c *Components) Preview(ctx context.Context, from, to provider.Artefact) (provider.Preview, error) {
	previews := make([]provider.Preview, len(c.list))
	ask := iter.Iterator[provider.Preview]{MaxGoroutines: readers}
	errs := make([]error, len(c.list))
	ask.ForEachIdx(previews, func(i int, p *provider.Preview) {
		old, _ := from.Part(c.list[i].Name)
		next, _ := to.Part(c.list[i].Name)
		*p, errs[i] = c.list[i].Deployer.Preview(ctx, old, next)
	})
	var all provider.Preview
	for i, p := range previews {
		name := c.list[i].Name
		if errs[i] != nil {
			return provider.Preview{}, of(name, errs[i])
		}
		old, _ := from.Part(name)
		next, _ := to.Part(name)
		change := fmt.Sprintf("%s -> %s", known(old), next.Label())
		if unchanged(old, next) {
			change = next.Label() + ", as it is"
		}
		all.Fields = append(all.Fields, bot.Field{Name: name, Value: change})
		for _, w := range p.Warnings {
			all.Warnings = append(all.Warnings, name+": "+w)
		}
		for _, id := range p.Contains {
			all.Contains = append(all.Contains, partKey(name, id))
		}
	}
	if c.before != nil {
		all.Fields = append(all.Fields, bot.Field{Name: before, Value: "a step that runs once, first; a rollback does not undo it"})
	}
	if c.after != nil {
		all.Fields = append(all.Fields, bot.Field{Name: after, Value: "a step that runs once, when all components are there"})
	}
	return all, nil
}

func known(a provider.Artefact) string {
	if a.Version == "" {
		return "not known"
	}
	return a.Label()
}

// unchanged reports whether a component need not be touched to get to.
func unchanged(from, to provider.Artefact) bool { return from.ID != "" && from.ID == to.ID }

func partKey(component, id string) string { return component + "=" + id }

// Ways gives the ways of the first component; each goes its own.
func (c *Components) Ways() []provider.Way { return c.list[0].Deployer.Ways() }

// Can implements provider.Limited: what one of them cannot do, all cannot.
func (c *Components) Can(a provider.Action) error {
	for _, x := range c.list {
		if l, ok := x.Deployer.(provider.Limited); ok {
			if err := l.Can(a); err != nil {
				return of(x.Name, err)
			}
		}
	}
	return nil
}

// Inspect implements provider.Inspected.
func (c *Components) Inspect() []string {
	var lines []string
	look := func(name string, p any) {
		if d, ok := p.(provider.Inspected); ok {
			for _, line := range d.Inspect() {
				lines = append(lines, name+": "+line)
			}
		}
	}
	look(before, c.before)
	for _, x := range c.list {
		look(x.Name, x.Deployer)
	}
	look(after, c.after)
	return lines
}

// Timing implements bot.Timed: the longest of any.
func (c *Components) Timing(t bot.Target) bot.Timing {
	var longest bot.Timing
	parts := []any{c.before, c.after}
	for _, x := range c.list {
		parts = append(parts, x.Deployer)
	}
	for _, p := range parts {
		if p != nil {
			timing := timingOf(p, t)
			longest.Call, longest.Settle = max(longest.Call, timing.Call), max(longest.Settle, timing.Settle)
		}
	}
	return longest
}

// names lists components for a sentence.
func (c *Components) names(list []Component) string {
	var names []string
	for _, x := range list {
		names = append(names, x.Name)
	}
	return listed(names)
}

// listed gives "web, worker and cron".
func listed(names []string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
}
