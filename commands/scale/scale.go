// Package scale is the verb that changes how much there is of a target.
package scale

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/capacity"
	"quarterdeck/bot/provider"
	"quarterdeck/bot/release"
)

// Bounds of --for. The least is for trying it out; what is to stay for longer
// than a month is no exception any more.
const (
	least   = time.Second
	longest = 30 * 24 * time.Hour
)

// New makes the command.
func New(c *provider.Catalog, runs bot.Runs) bot.Command {
	p := planner{c, runs}
	return bot.Command{
		Name:    "scale",
		Summary: "change how much there is of a service",
		Help: "AMOUNT is what it is to be: 4, two more: +2, or two less: -2. To take everything away, write zero. DIMENSION is what is meant " +
			"where there is more than one, such as replicas or storage. With --for it comes back by itself: cancel the run that waits " +
			"to do that, and it stays.",
		Examples: []string{"scale shop prod 4", "scale shop/prod +2 --for 2h", "scale shop staging zero", `scale shop prod 8 --override "the sale begins"`},
		Params: []bot.Param{
			{Name: "service", Type: bot.TypeService, Help: "what to scale"},
			{Name: "environment", Type: bot.TypeEnvironment, Help: "where"},
			{Name: "dimension", Type: bot.TypeText, Optional: true, Help: "what of it: replicas, class, storage, limits"},
			{Name: "amount", Type: bot.TypeText, Help: "how much: 4, +2, -2, zero, or the name of a size"},
		},
		Options: []bot.Param{
			{Name: "for", Type: bot.TypeDuration, Help: "how long; then it comes back by itself"},
		},
		Permission: bot.MayScale,
		Resolve:    release.Resolve(bot.MayScale),
		Plan:       p.plan,
		Workflows:  []bot.Workflow{capacity.NewWorkflow(c)},
	}
}

type planner struct {
	catalog *provider.Catalog
	runs    bot.Runs
}

func (p planner) plan(ctx context.Context, c bot.Call) (bot.Plan, error) {
	t := c.Args.Target()
	scaler, err := p.catalog.Scaler(t)
	if err != nil {
		return bot.Plan{}, err
	}
	all, err := scaler.Dimensions(ctx)
	if err != nil {
		return bot.Plan{}, err
	}
	d, first, err := capacity.Find(t, all, c.Args["dimension"])
	if err != nil {
		return bot.Plan{}, err
	}
	bounds, _ := p.catalog.Bounds(t, d.Name, first)
	to, err := absolute(t, d, bounds, c.Args["amount"])
	if err != nil {
		return bot.Plan{}, err
	}
	waiting, err := p.waiting(ctx, t, d.Name)
	if err != nil {
		return bot.Plan{}, err
	}
	change := capacity.Change{Unit: d.Unit, Scaling: provider.Scaling{Target: t, Dimension: d.Name, From: d.Current, To: to}}
	if s := c.Args["for"]; s != "" {
		last, err := time.ParseDuration(s)
		if err != nil || last < least || last > longest {
			return bot.Plan{}, bot.Errorf(bot.Invalid, "--for takes a second to 30 days; type --for 2h")
		}
		change.Back = &capacity.Back{To: d.Current, For: last}
		if waiting != nil { // what is there now is for a while already
			change.Back.To = waiting.to
		}
		if change.Back.To == to {
			return bot.Plan{}, bot.Errorf(bot.Invalid, "%s of %s is to come back to %s, so setting it to that for a while changes nothing; leave --for out", d.Name, t, to)
		}
	}
	obstacles, err := capacity.Obstacles(p.catalog, change, d, first)
	if err != nil {
		return bot.Plan{}, err
	}
	spec, err := bot.NewSpec(capacity.Kind, "scale", t, []bot.Resource{t.Resource()}, change)
	if err != nil {
		return bot.Plan{}, err
	}
	plan := bot.Plan{
		Spec: spec, Slot: capacity.Slot(t), Subject: capacity.Subject(t, d.Name), Guarded: true,
		Preconditions: capacity.Facts(change.Scaling, p.catalog.Digest(t)),
		Summary:       fmt.Sprintf("scale %s in %s to %s", t.Service, t.Environment, size(d, first, to)),
		Preview:       preview(d, bounds, change),
		Warnings:      warnings(d, waiting),
		Obstacles:     obstacles,
	}
	if d.OneWay == "" && bounds.Allow(t, d, d.Current) == nil {
		plan.Undo = capacity.Line(t, d.Name, d.Current)
	}
	if change.Back != nil {
		plan.Summary += " for " + bot.Span(change.Back.For)
	}
	if to == d.Current && (change.Back == nil || waiting == nil) {
		plan.Noop = fmt.Sprintf("%s has %s already", t, size(d, first, to))
		if waiting != nil {
			plan.Noop += fmt.Sprintf("; #%d brings it back to %s at %s, unless: cancel %d", waiting.run, d.Amount(waiting.to), bot.Moment(waiting.at), waiting.run)
		}
	}
	return plan, nil
}

// absolute turns what was typed into the value that is to be set.
func absolute(t bot.Target, d provider.Dimension, b provider.Bounds, typed string) (string, error) {
	typed = strings.TrimSpace(typed)
	relative := strings.HasPrefix(typed, "+") || strings.HasPrefix(typed, "-")
	switch {
	case typed == capacity.Zero && d.Numeric():
		return "0", nil
	case !relative && !d.Numeric():
		_, err := d.Place(typed)
		return typed, err
	}
	n, err := strconv.ParseInt(typed, 10, 32)
	if err != nil {
		zero := ""
		if b.Zero {
			zero = ", or " + capacity.Zero
		}
		return "", bot.Errorf(bot.Invalid, "%q is no amount; write a number such as 4, +2 or -2%s", typed, zero)
	}
	if relative {
		now, err := d.Place(d.Current)
		if err != nil {
			return "", bot.Errorf(bot.Conflict, "%s of %s is %s now, which cannot be counted from; write what it is to be", d.Name, t, d.Current)
		}
		n += now
	}
	if !d.Numeric() {
		if n < 0 || n >= int64(len(d.Choices)) {
			return "", bot.Errorf(bot.Invalid, "%s of %s is %s, and %s goes past the end of: %s", d.Name, t, d.Current, typed, strings.Join(d.Choices, ", "))
		}
		return d.Choices[n], nil
	}
	switch {
	case n == 0 && !b.Zero: // the word would be refused too
		return "", b.Allow(t, d, "0")
	case n == 0:
		return "", bot.Errorf(bot.Invalid, "that takes all of %s away; if it is meant, write the word: %s", t, capacity.Line(t, d.Name, "0"))
	case n < 0:
		return "", bot.Errorf(bot.Invalid, "%s of %s is %s, so %s would be less than nothing", d.Name, t, d.Current, typed)
	}
	return strconv.FormatInt(n, 10), nil
}

// goingBack is a return that waits for its time.
type goingBack struct {
	run int64
	to  string
	at  time.Time
}

// maxOpen bounds how many open runs are looked through for a return.
const maxOpen = 500

// waiting gives the return of a dimension that waits for its time, or nil.
func (p planner) waiting(ctx context.Context, t bot.Target, dimension string) (*goingBack, error) {
	open, err := p.runs.Runs(ctx, bot.RunFilter{Target: t, State: bot.Queued, Limit: maxOpen})
	if err != nil {
		return nil, err
	}
	for _, r := range open {
		if !r.Pending() || r.Plan.Subject != capacity.Subject(t, dimension) || r.Plan.Spec.Kind != capacity.Kind {
			continue
		}
		c, err := capacity.Body(r.Plan.Spec)
		if err != nil {
			return nil, err
		}
		return &goingBack{run: r.Number, to: c.To, at: r.NotBefore}, nil
	}
	return nil, nil
}

// size gives a value in words; the first dimension needs no name where it has a
// unit.
func size(d provider.Dimension, first bool, value string) string {
	if first && d.Unit != "" {
		return d.Amount(value)
	}
	return d.Name + " " + d.Amount(value)
}

func preview(d provider.Dimension, b provider.Bounds, c capacity.Change) []bot.Field {
	now := d.Amount(d.Current)
	if d.Actual != "" && d.Actual != d.Current {
		now += fmt.Sprintf(" wanted, %s there", d.Actual)
	}
	fields := []bot.Field{{Name: d.Name, Value: now + " -> " + d.Amount(c.To)}}
	if d.Numeric() {
		allowed := fmt.Sprintf("%d to %d", max(b.Min, d.Min, 1), b.Max)
		if b.Step > 0 {
			allowed += fmt.Sprintf(", %d at once", b.Step)
		}
		fields = append(fields, bot.Field{Name: "allowed", Value: allowed})
	}
	if c.Back != nil {
		fields = append(fields, bot.Field{Name: "back", Value: fmt.Sprintf("to %s, %s after it took effect", d.Amount(c.Back.To), bot.Span(c.Back.For))})
	}
	if d.Disrupts != "" {
		fields = append(fields, bot.Field{Name: "interrupts", Value: d.Disrupts})
	}
	return fields
}

func warnings(d provider.Dimension, waiting *goingBack) []string {
	var all []string
	if d.Control != "" {
		all = append(all, fmt.Sprintf("%s also sets %s, and may set it otherwise at any time", d.Control, d.Name))
	}
	if d.OneWay != "" {
		all = append(all, "it cannot be set back: "+d.OneWay)
	}
	if waiting != nil {
		all = append(all, fmt.Sprintf("#%d, which brings it back to %s at %s, does not come then", waiting.run, d.Amount(waiting.to), bot.Moment(waiting.at)))
	}
	return all
}
