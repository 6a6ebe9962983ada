// Package panel holds what is watched about each target: its set of metrics, how
// they are asked for, and how they stand against their thresholds.
package panel

import (
	"context"
	"slices"
	"strings"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/nearest"
	"quarterdeck/bot/provider"
)

// Set is what is asked about one target.
type Set struct {
	Target    bot.Target
	Metrics   []provider.Metric
	Variables map[string]string
}

// Board is what is watched about every target. It implements [provider.Judge].
// It is built once and then only read, so it is safe for concurrent use.
type Board struct {
	clock   bot.Clock
	catalog *provider.Catalog
	sets    map[bot.Target][]metric
}

var _ provider.Judge = (*Board)(nil)

type metric struct {
	provider.Metric
	expr expression
}

// New makes a Board that asks the sources of a catalog. What a set's expressions
// hold was checked with Check; one that is faulty all the same is left out.
func New(c *provider.Catalog, sets []Set, clock bot.Clock) *Board {
	b := &Board{clock: clock, catalog: c, sets: map[bot.Target][]metric{}}
	for _, s := range sets {
		for _, m := range s.Metrics {
			if expr, err := fill(m.Expr, s.Target, s.Variables); err == nil {
				b.sets[s.Target] = append(b.sets[s.Target], metric{m, expr})
			}
		}
	}
	return b
}

// Check gives the Error of kind Invalid of a Metric that cannot be asked about a
// target: it holds what the target has no word for.
func Check(m provider.Metric, t bot.Target, variables map[string]string) error {
	_, err := fill(m.Expr, t, variables)
	return err
}

// Of lists what is watched about a target, by level and then as configured; nil
// where nothing is. Their Exprs are as they are configured.
func (b *Board) Of(t bot.Target) []provider.Metric {
	var all []provider.Metric
	for _, level := range provider.Levels() {
		for _, m := range b.sets[t] {
			if m.Level == level {
				all = append(all, m.Metric)
			}
		}
	}
	return all
}

// Targets lists those that something is watched about, in the catalog's order.
func (b *Board) Targets() []bot.Target {
	return slices.DeleteFunc(b.catalog.Targets(), func(t bot.Target) bool { return len(b.sets[t]) == 0 })
}

// Panels lists the charts of a target, by level and then as configured.
func (b *Board) Panels(t bot.Target) []string {
	var names []string
	for _, m := range b.Of(t) {
		if !slices.Contains(names, m.Panel) {
			names = append(names, m.Panel)
		}
	}
	return names
}

// Find gives the metrics of one panel of a target, or the one metric of that
// name, and the name of the panel. Its Error is of kind NotFound with the nearest.
func (b *Board) Find(t bot.Target, name string) (panel string, found []provider.Metric, err error) {
	all := b.Of(t)
	names := b.Panels(t)
	for _, m := range all {
		if strings.EqualFold(m.Panel, name) {
			found = append(found, m)
			panel = m.Panel
		}
	}
	if len(found) > 0 {
		return panel, found, nil
	}
	for _, m := range all {
		if strings.EqualFold(m.Name, name) {
			return m.Name, []provider.Metric{m}, nil
		}
		if !slices.Contains(names, m.Name) {
			names = append(names, m.Name)
		}
	}
	if near := nearest.Of(name, names); near != "" {
		return "", nil, bot.Errorf(bot.NotFound, "%s has no panel %q; did you mean %q?", t, name, near)
	}
	return "", nil, bot.Errorf(bot.NotFound, "%s has no panel %q; there are: %s", t, name, strings.Join(names, ", "))
}

// Range asks for a metric of a target over a time. A Span without Step gets the
// one that suits points in a row. Errors are those of a MetricSource, and
// NotFound for what is not watched.
func (b *Board) Range(ctx context.Context, t bot.Target, name string, over provider.Span, points int) (provider.Measured, error) {
	m, source, err := b.metric(t, name)
	if err != nil {
		return provider.Measured{}, err
	}
	if over.Step <= 0 {
		over.Step = Step(over.To.Sub(over.From), points, interval(source))
	}
	q := m.Query
	q.Expr = m.expr.in(rateWindow(source, over.Step))
	return source.Range(ctx, q, over)
}

// Link gives a page of the source for people that shows a metric over a time, ""
// where there is none.
func (b *Board) Link(t bot.Target, name string, over provider.Span) string {
	m, source, err := b.metric(t, name)
	if err != nil {
		return ""
	}
	linked, ok := source.(provider.Linked)
	if !ok {
		return ""
	}
	q := m.Query
	q.Expr = m.expr.in(rateWindow(source, over.Step))
	return linked.Link(q, over)
}

func (b *Board) metric(t bot.Target, name string) (metric, provider.MetricSource, error) {
	source, err := b.catalog.Metrics(t)
	if err != nil {
		return metric{}, nil, err
	}
	var names []string
	for _, m := range b.sets[t] {
		if m.Name == name {
			return m, source, nil
		}
		names = append(names, m.Name)
	}
	if near := nearest.Of(name, names); near != "" {
		return metric{}, nil, bot.Errorf(bot.Invalid, "%s has no metric %q; did you mean %q?", t, name, near)
	}
	return metric{}, nil, bot.Errorf(bot.Invalid, "%s has no metric %q; there are: %s", t, name, strings.Join(names, ", "))
}

// Step gives the distance of at most so many points over a time: one that people
// can read, and not finer than the source's own values are apart.
func Step(over time.Duration, points int, interval time.Duration) time.Duration {
	return provider.NiceStep(max(interval, over/time.Duration(max(1, points))))
}
