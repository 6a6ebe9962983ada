package observe

import (
	"context"
	"encoding/json"
	"time"

	"quarterdeck/bot"
)

// Subject is one thing that a fact is about.
type Subject struct {
	Name   string     // tells it from the source's other ones, the same at every start: "shop/prod"
	Target bot.Target // zero for what belongs to none
	Slot   string     // the slot of the runs that change it
	// Basis tells one way of looking from another, such as a digest of the
	// configuration: what was seen on another basis is not compared.
	Basis string
}

// Seen is what one look at a subject showed.
type Seen struct {
	Value string          `json:"value"` // what equality means; "" where there is nothing to tell
	Text  string          `json:"text"`  // as people say it: "v2"
	Body  json.RawMessage `json:"body,omitempty"`
	// Moving says that it is being changed right now: it is judged when that is
	// over.
	Moving bool `json:"-"`
	// Passing says that it may be on its way from one value to another: it
	// counts when the next look shows the same.
	Passing bool `json:"passing,omitempty"`
}

// Change is one fact that became another without the bot's doing.
type Change struct {
	Subject Subject
	Was     Seen
	Now     Seen
	After   int64 // the newest run of the bot that acted on it before; 0 for none
	Seq     int64 // of the record that tells of it
	At      time.Time
}

// Source reads one kind of fact: what is live, how many run, how a flag stands.
// Its methods but Look do no I/O. Safe for concurrent use.
type Source interface {
	// Fact names the kind, in records and in the store: "release".
	Fact() string
	Subjects() []Subject
	// Look reads a subject from its provider. An error is no change: what is
	// down is not judged.
	Look(ctx context.Context, s Subject) (Seen, error)
	// Settle is how long after the bot's own change its effects may still be
	// becoming visible.
	Settle(s Subject) time.Duration
	// Explains reports whether what is seen now may be what r left: the newest
	// run on the subject's slot that acted, now over, whatever its outcome.
	Explains(r bot.Run, now Seen) bool
	// Left gives what r left, where that is certain: the value that a later one
	// is told to have replaced.
	Left(r bot.Run) (Seen, bool)
	// Says tells of a change in one sentence.
	Says(c Change) string
	// Keep gives the documents that note a change, for its commit.
	Keep(c Change) ([]bot.Document, error)
}
