package bot

import (
	"context"
	"encoding/json"
	"time"
)

// Task names one execution towards a provider: the key its marker carries,
// derived from the run and the same however often it is asked for, and the
// person who acts.
type Task struct {
	Key    string `json:"key"`
	Actor  string `json:"actor"`
	Reason string `json:"reason,omitempty"`
}

// Handle is the serialisable state of one operation at a provider. State is
// the provider's own.
type Handle struct {
	Key    string          `json:"key"`
	Target Target          `json:"target"`
	State  json.RawMessage `json:"state,omitempty"`
	// Interrupted is set by the engine, and never stored, when an earlier call
	// may or may not have happened: the provider must first look for its own
	// marker. Found: go on. Provably absent: it may act. Otherwise it answers
	// OpUnknown.
	Interrupted bool `json:"-"`
	// Aside is set by the engine, and never stored, while the run has given its
	// slot back: Advance may only look. See OpBaking.
	Aside bool `json:"-"`
}

// OpState is where an operation stands at its provider.
type OpState string

// The closed set of operation states. A remote value a provider does not know
// is OpUnknown, never OpSucceeded.
const (
	OpPending         OpState = "pending"
	OpWorking         OpState = "working"
	OpWaitingExternal OpState = "waiting-external" // a gate outside, which only people there can open
	// OpBaking: done, being watched. The run gives its slot back meanwhile, so
	// Advance only looks; it is given the slot again once it answered OpWorking.
	OpBaking     OpState = "baking"
	OpSucceeded  OpState = "succeeded"
	OpFailed     OpState = "failed"
	OpRolledBack OpState = "rolled-back" // failed, and the old state is back
	OpPartlyDone OpState = "partly-done" // failed, and the state is mixed
	OpSuperseded OpState = "superseded"
	OpCancelled  OpState = "cancelled"
	OpUnknown    OpState = "unknown"
)

// Settled reports whether nothing more will come of the operation by itself.
func (s OpState) Settled() bool {
	switch s {
	case OpPending, OpWorking, OpWaitingExternal, OpBaking:
		return false
	}
	return true
}

// Progress is what one look at an operation showed.
type Progress struct {
	State   OpState       `json:"state"`
	Percent *int          `json:"percent,omitempty"` // nil where the provider does not say
	Text    string        `json:"text,omitempty"`    // one sentence; on failure the reason
	Lines   []string      `json:"lines,omitempty"`   // new lines of output since the last look
	Link    string        `json:"link,omitempty"`
	Next    time.Duration `json:"-"`               // when to look again; 0 means soon
	Check   string        `json:"check,omitempty"` // for OpUnknown: what a person should look at
	// Parts is how each piece of the operation stands, in the order in which
	// they are done; nil where it is one piece.
	Parts []ProgressPart `json:"parts,omitempty"`
	// Documents are what the operation keeps in the bot's own store. They are
	// written in the commit that notes this progress, each only if it is still at
	// the Rev that it has here; where one is not, nothing is noted, and Advance is
	// called again as after a call that may have happened.
	Documents []Document `json:"-"`
	// Returning says of an operation that was baking, and is to act again, that
	// it goes back: then no lock, freeze or halt stops it.
	Returning bool `json:"returning,omitempty"`
	// Tell names the persons who are told of it directly once it has ended.
	Tell []string `json:"tell,omitempty"`
}

// ProgressPart is how one piece of an operation stands: a component, or the
// step before or after.
type ProgressPart struct {
	Name string `json:"name"`
	Text string `json:"text"` // "done", "waits", "failed: the disk is full"
}

// Operation is the one shape of everything that takes time at a provider; an
// engine that can crash between any two calls drives it. B is the body of the
// Spec that starts it.
//
// Begin does no I/O. Advance makes at most one remote call that acts or
// observes, and is bounded by ctx. Cancel asks; what came of it arrives by
// Progress of later Advances. Errors of kinds Unavailable, Timeout and Busy are
// tried again, with the handle marked interrupted where the call may have
// acted; any other kind ends the operation as failed, or as unknown once
// something may have been started.
type Operation[B any] interface {
	Begin(body B, t Task) (Handle, error)
	Advance(ctx context.Context, h Handle) (Handle, Progress, error)
	Cancel(ctx context.Context, h Handle) (Handle, error)
}

// Workflow executes one kind of Spec. It is an Operation on whole Specs, with
// a name that is persisted and a check of what must hold when it starts.
type Workflow interface {
	// Kind gives name@version, such as "deploy@1".
	Kind() string
	// Check reads, at the moment of acting, whether the facts still hold and
	// what obstacles stand now. A fact that no longer holds gives an Error of
	// kind Conflict that says what is so instead.
	Check(ctx context.Context, s Spec, facts []Fact) ([]Obstacle, error)
	Operation[Spec]
}

// Timing bounds the calls of one operation: how long one call may take, and
// how long after its end its effects may still be becoming visible.
type Timing struct {
	Call   time.Duration
	Settle time.Duration
}

// DefaultTiming is used for operations that do not say.
var DefaultTiming = Timing{Call: 10 * time.Second, Settle: 2 * time.Second}

// Timed is implemented by Operations and Workflows that know their timing.
type Timed interface {
	Timing(t Target) Timing
}

// Settler is implemented by Workflows that keep documents of what they did
// (which release was live, which is bad). The documents share the commit of
// the run's outcome.
type Settler interface {
	Settle(r Run, p Progress, at time.Time) ([]Document, error)
}

// Document is one small durable value of some kind, such as a release that was
// live or a lock. Body is JSON.
type Document struct {
	Kind string          `json:"kind"`
	ID   string          `json:"id"`
	Rev  int64           `json:"rev"` // counts writes; set by the store
	Due  time.Time       `json:"due,omitzero"`
	Body json.RawMessage `json:"body"`
}
