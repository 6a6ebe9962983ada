package provider

import (
	"time"

	"quarterdeck/bot"
)

// Level says whom a Metric speaks to. Business and service metrics are symptoms,
// which people are woken for; technical ones explain them.
type Level string

// The closed set of levels, in the order in which they are shown.
const (
	Business  Level = "business"  // orders a minute, sign-ups
	Service   Level = "service"   // rate, errors, duration
	Technical Level = "technical" // utilisation, saturation
)

// Levels lists the levels in their order.
func Levels() []Level { return []Level{Business, Service, Technical} }

// Signal says which of the golden signals a Metric is; "" for none of them.
type Signal string

// The closed set of golden signals, in the order in which they are shown.
const (
	Traffic    Signal = "traffic"
	Errors     Signal = "errors"
	Latency    Signal = "latency"
	Saturation Signal = "saturation"
)

// Signals lists the golden signals in their order.
func Signals() []Signal { return []Signal{Traffic, Errors, Latency, Saturation} }

// Metric is one thing that is watched about a target. Its Expr may hold
// {service}, {env} and the target's own variables, and {window}: the time that a
// rate is taken over.
type Metric struct {
	Query
	// Panel is the chart that it is drawn in together with others of its unit; its
	// own name where none is said.
	Panel  string
	Level  Level
	Signal Signal
	Limits Limits
	// Over is how far back a judgement looks; it takes the mean, so that one
	// value alone condemns nothing.
	Over time.Duration
	// Needs is what other metrics of the set must come to at least, by their names,
	// for this one to mean anything: one error in two requests is no error rate.
	Needs map[string]float64
}

// Limits is the threshold of a Metric; nil where there is none on that side.
type Limits struct {
	Above *float64 // what is more than this is a breach
	Below *float64 // what is less than this is a breach
}

// None reports whether there is no threshold.
func (l Limits) None() bool { return l.Above == nil && l.Below == nil }

// MetricBinder is a Provider that can bind a MetricSource to a target from the
// target's metrics table, without the keys that are the bot's own: panels and
// variables.
type MetricBinder interface {
	BindMetrics(t bot.Target, raw Raw) (MetricSource, error)
}

// Presetter is a Provider that brings a set of metrics for targets that name no
// set of their own: the golden signals under the names that are usual there.
type Presetter interface {
	Preset() []Metric
}

// Sampled is a MetricSource that knows how far apart the values are that it is
// given; a finer Step shows nothing more, and a rate needs several of them.
type Sampled interface {
	Interval() time.Duration
}

// Linked is a MetricSource that has pages for people. Link gives the one that
// shows a query over a span, "" for none.
type Linked interface {
	Link(q Query, over Span) string
}

// Steps are the distances of points that people can read off a chart.
var steps = []time.Duration{time.Second, 2 * time.Second, 5 * time.Second, 15 * time.Second, 30 * time.Second,
	time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 15 * time.Minute, 30 * time.Minute,
	time.Hour, 2 * time.Hour, 6 * time.Hour, 12 * time.Hour, 24 * time.Hour}

// NiceStep gives the smallest step that people can read that is not smaller than
// least: a second to a day, and whole days past that.
func NiceStep(least time.Duration) time.Duration {
	for _, s := range steps {
		if s >= least {
			return s
		}
	}
	const day = 24 * time.Hour
	return (least + day - 1) / day * day
}

// MetricsFrom names the provider of a target's metrics, "" where it has none.
func (c *Catalog) MetricsFrom(t bot.Target) string { return c.bindings[t].MetricsFrom }

// Metrics gives the MetricSource of a target, or an Error of kind NotFound.
func (c *Catalog) Metrics(t bot.Target) (MetricSource, error) {
	b, ok := c.bindings[t]
	if !ok {
		return nil, bot.Errorf(bot.NotFound, "there is no target %s", t)
	}
	if b.Metrics == nil {
		return nil, bot.Errorf(bot.NotFound, "%s has no metrics: give [service.%s.%s] a metrics table, as config.example.toml shows", t, t.Service, t.Environment)
	}
	return b.Metrics, nil
}
