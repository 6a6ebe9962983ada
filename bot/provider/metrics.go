package provider

import (
	"context"
	"time"

	"quarterdeck/bot"
)

// Query is what a MetricSource is asked, in its own language.
type Query struct {
	Name string // how people and messages call it: "error rate"
	Expr string // PromQL, a CloudWatch expression, ...
	Unit string // of its values: "req/s", "ms", "%", "" for a plain number
}

// Point is one value of a Series.
type Point struct {
	At    time.Time
	Value float64 // may be NaN or an infinity, as the source has it
}

// Series is one line of a Query's answer.
type Series struct {
	Label  string  // what tells it from the others: "code=500"; "" where it is the only one
	Points []Point // oldest first; where the source has no value there is no Point
}

// Measured is what a Query gave. No Series at all is "no data", which is neither
// zero nor a source that is down: that one is an Error.
type Measured struct {
	Series   []Series
	Step     time.Duration // the distance of the points asked for, which may be more than was wished; 0 of an instant
	Warnings []string      // the source's own sentences, such as that a part is missing
}

// Span is the time a range is asked for, both ends included.
type Span struct {
	From, To time.Time
	// Step is how far apart the points should be; a source may take a larger one
	// that it can answer, and says so in Measured.
	Step time.Duration
}

// MetricSource answers queries about one target. Safe for concurrent use. Errors
// are of kind Invalid for a query that the source does not understand, with its
// own sentence, Denied where it refuses us, and Unavailable or Timeout where it
// does not answer. It bounds what it reads, and never invents a value.
type MetricSource interface {
	// Range gives the values over a time.
	Range(ctx context.Context, q Query, over Span) (Measured, error)
	// Instant gives at most one Point for each Series, as of at.
	Instant(ctx context.Context, q Query, at time.Time) (Measured, error)
}

// Stand is how a metric stands against its threshold.
type Stand string

// The closed set of stands. Only Within lets a change go on: what cannot be
// measured is no good news.
const (
	Within   Stand = "within"
	Breached Stand = "breached"
	NoData   Stand = "no data" // the source answered, and has no value
	Unread   Stand = "unread"  // the source did not answer
)

// Judgement is one metric of a target held against its threshold at one moment.
type Judgement struct {
	Metric    string  `json:"metric"`
	Stand     Stand   `json:"stand"`
	Value     float64 `json:"value"` // of Within and Breached
	Unit      string  `json:"unit,omitempty"`
	Threshold string  `json:"threshold"`      // in words: "at most 2 %"
	Why       string  `json:"why,omitempty"`  // of NoData and Unread: one sentence
	Link      string  `json:"link,omitempty"` // where a person sees more
}

// Judge holds metrics against the thresholds that the configuration gives them.
// Safe for concurrent use.
type Judge interface {
	// Metrics names what can be judged about a target, in the configured order.
	Metrics(t bot.Target) []string
	// Judge looks at one of them as of now. An unknown name gives Invalid with the
	// nearest; what the source does is never an Error but a Stand.
	Judge(ctx context.Context, t bot.Target, metric string) (Judgement, error)
}
