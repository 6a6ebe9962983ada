// Package capacity is how much there is of a target: the workflow that changes
// it, and the return that comes by itself when it was changed for a while.
package capacity

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/provider"
)

// Kind is the workflow of all Specs whose body is a Change.
const Kind = "scale@1"

// FactValue is the precondition that a dimension is wanted to be what it was.
const FactValue = "value"

// Change is the body of the Specs: what is set, and what comes of it by itself.
type Change struct {
	provider.Scaling
	Unit string `json:"unit,omitempty"` // for sentences
	// Back is what it is set to again For after it took effect; nil for never.
	Back *Back `json:"back,omitempty"`
}

// Back is a return that comes by itself.
type Back struct {
	To  string        `json:"to"`
	For time.Duration `json:"for"` // how long the change lasts, from its success on
}

// Slot gives the slot that runs changing a target's capacity share.
func Slot(t bot.Target) string { return t.String() + " capacity" }

// Subject names the value that a change sets.
func Subject(t bot.Target, dimension string) string { return t.String() + " " + dimension }

// Amount gives a value with its unit.
func (c Change) Amount(value string) string {
	return provider.Dimension{Unit: c.Unit}.Amount(value)
}

// size gives a value with its unit, or with its name where it has none.
func (c Change) size(value string) string { return c.sizeOf(c.Dimension, value) }

func (c Change) sizeOf(dimension, value string) string {
	if c.Unit == "" {
		return dimension + " " + value
	}
	return c.Amount(value)
}

// Line gives what to type to have a dimension set to a value.
func Line(t bot.Target, dimension, value string) string {
	if value == "0" {
		value = Zero
	}
	return fmt.Sprintf("scale %s %s %s %s", t.Service, t.Environment, dimension, value)
}

// Zero is the word that takes everything away; the figure is refused, because
// one digit too few must not stop a service.
const Zero = "zero"

// Find gives the dimension with a name, the first one for "", and whether it is
// the first. Its errors say what there is.
func Find(t bot.Target, all []provider.Dimension, name string) (d provider.Dimension, first bool, err error) {
	i := slices.IndexFunc(all, func(d provider.Dimension) bool { return name == "" || d.Name == name })
	if i < 0 {
		return d, false, bot.Errorf(bot.NotFound, "%s has no dimension %q; it has: %s", t, name, Names(all))
	}
	return all[i], i == 0, nil
}

// Names lists dimensions for a sentence.
func Names(all []provider.Dimension) string {
	s := "none"
	for i, d := range all {
		if i == 0 {
			s = d.Name
		} else {
			s += ", " + d.Name
		}
	}
	return s
}

// Workflow executes Changes. It implements bot.Workflow, bot.Timed and
// bot.Follower; safe for concurrent use.
type Workflow struct {
	catalog *provider.Catalog
}

// NewWorkflow makes the Workflow.
func NewWorkflow(c *provider.Catalog) *Workflow { return &Workflow{c} }

// Kind implements bot.Workflow.
func (w *Workflow) Kind() string { return Kind }

// Body decodes the body of a Spec of this kind.
func Body(s bot.Spec) (Change, error) {
	var c Change
	if err := json.Unmarshal(s.Body, &c); err != nil {
		return c, fmt.Errorf("decode %s: %w", s.Kind, err)
	}
	return c, nil
}

// Facts gives the preconditions of a change: what is wanted now, and in which
// configuration, "" where that does not matter.
func Facts(s provider.Scaling, binding string) []bot.Fact {
	facts := []bot.Fact{{Name: FactValue, Want: s.From, Text: fmt.Sprintf("%s of %s is %s", s.Dimension, s.Target, s.From)}}
	if binding != "" {
		facts = append(facts, bot.Fact{Name: provider.FactBinding, Want: binding, Text: "the configuration of " + s.Target.String()})
	}
	return facts
}

// Check implements bot.Workflow: what was wanted must be wanted still, what is
// to be set must be inside the bounds, and a step that became too large stands
// against it. A return is no step of anybody's.
func (w *Workflow) Check(ctx context.Context, s bot.Spec, facts []bot.Fact) ([]bot.Obstacle, error) {
	c, err := Body(s)
	if err != nil {
		return nil, err
	}
	scaler, err := w.catalog.Scaler(c.Target)
	if err != nil {
		return nil, err
	}
	all, err := scaler.Dimensions(ctx)
	if err != nil {
		return nil, err
	}
	d, first, err := Find(c.Target, all, c.Dimension)
	if err != nil {
		return nil, err
	}
	for _, f := range facts {
		switch f.Name {
		case provider.FactBinding:
			if w.catalog.Digest(c.Target) != f.Want {
				return nil, bot.Errorf(bot.Conflict, "the configuration of %s was changed meanwhile", c.Target)
			}
		case FactValue:
			if d.Current != f.Want {
				return nil, bot.Errorf(bot.Conflict, "%s of %s is %s now, not %s: somebody changed it meanwhile", d.Name, c.Target, d.Current, f.Want)
			}
		default:
			return nil, bot.Errorf(bot.Internal, "this version does not know the precondition %q", f.Name)
		}
	}
	return Obstacles(w.catalog, c, d, first)
}

// Obstacles gives what stands against a change of d; what is outside of the
// bounds is an Error of kind Invalid, for nobody may pass those.
func Obstacles(catalog *provider.Catalog, c Change, d provider.Dimension, first bool) ([]bot.Obstacle, error) {
	bounds, found := catalog.Bounds(c.Target, d.Name, first)
	if !found {
		return nil, bot.Errorf(bot.Invalid, "%s of %s has no bounds in the configuration, so it is not changed from here; give its scale table dimension.%s = { max = N }", d.Name, c.Target, d.Name)
	}
	if err := bounds.Allow(c.Target, d, c.To); err != nil {
		return nil, err
	}
	from, errFrom := d.Place(c.From)
	if to, err := d.Place(c.To); d.OneWay != "" && err == nil && errFrom == nil && to < from {
		return nil, bot.Errorf(bot.Invalid, "%s of %s cannot go from %s to %s: %s", d.Name, c.Target, c.From, c.To, d.OneWay)
	}
	if c.Back != nil {
		if d.OneWay != "" {
			return nil, bot.Errorf(bot.Invalid, "%s of %s cannot come back: %s; leave --for out", d.Name, c.Target, d.OneWay)
		}
		if err := bounds.Allow(c.Target, d, c.Back.To); err != nil {
			return nil, bot.Errorf(bot.Invalid, "it could not come back by itself: %s", bot.Sentence(err, ""))
		}
	}
	if large := bounds.Large(c.Target, d, c.From, c.To); large != "" {
		return []bot.Obstacle{{Permission: bot.MayOverrideStep, Text: large}}, nil
	}
	return nil, nil
}

// Sequels implements bot.Follower: the return that the Change states.
func (w *Workflow) Sequels(s bot.Spec) ([]bot.Sequel, error) {
	c, err := Body(s)
	if err != nil || c.Back == nil {
		return nil, err
	}
	back := Change{Scaling: provider.Scaling{Target: c.Target, Dimension: c.Dimension, From: c.To, To: c.Back.To}, Unit: c.Unit}
	spec, err := bot.NewSpec(Kind, s.Verb, s.Target, s.Resources, back)
	if err != nil {
		return nil, err
	}
	return []bot.Sequel{{After: c.Back.For, Line: Line(c.Target, c.Dimension, back.To), Plan: bot.Plan{
		Spec: spec, Slot: Slot(c.Target), Subject: Subject(c.Target, c.Dimension), Guarded: true, Returning: true,
		Preconditions: Facts(back.Scaling, ""),
		Summary:       fmt.Sprintf("return %s in %s to %s", c.Target.Service, c.Target.Environment, back.size(back.To)),
		Preview:       []bot.Field{{Name: "from", Value: c.Amount(back.From)}, {Name: "to", Value: c.Amount(back.To)}},
		Undo:          Line(c.Target, c.Dimension, back.From),
	}}}, nil
}

// Begin implements bot.Workflow.
func (w *Workflow) Begin(s bot.Spec, t bot.Task) (bot.Handle, error) {
	c, err := Body(s)
	if err != nil {
		return bot.Handle{}, err
	}
	scaler, err := w.catalog.Scaler(c.Target)
	if err != nil {
		return bot.Handle{}, err
	}
	h, err := scaler.Begin(c.Scaling, t)
	h.Key, h.Target = t.Key, c.Target
	return h, err
}

// Advance implements bot.Workflow.
func (w *Workflow) Advance(ctx context.Context, h bot.Handle) (bot.Handle, bot.Progress, error) {
	scaler, err := w.catalog.Scaler(h.Target)
	if err != nil {
		return h, bot.Progress{}, err
	}
	next, p, err := scaler.Advance(ctx, h)
	next.Key, next.Target = h.Key, h.Target
	return next, p, err
}

// Cancel implements bot.Workflow.
func (w *Workflow) Cancel(ctx context.Context, h bot.Handle) (bot.Handle, error) {
	scaler, err := w.catalog.Scaler(h.Target)
	if err != nil {
		return h, err
	}
	next, err := scaler.Cancel(ctx, h)
	next.Key, next.Target = h.Key, h.Target
	return next, err
}

// Timing implements bot.Timed by asking the target's Scaler.
func (w *Workflow) Timing(t bot.Target) bot.Timing {
	if scaler, err := w.catalog.Scaler(t); err == nil {
		if timed, ok := scaler.(bot.Timed); ok {
			return timed.Timing(t)
		}
	}
	return bot.DefaultTiming
}
