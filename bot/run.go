package bot

import (
	"context"
	"strings"
	"time"
)

// RunState is where a run stands.
type RunState string

// The closed set of run states.
const (
	Waiting    RunState = "waiting"    // for a person
	Queued     RunState = "queued"     // for its slot
	Running    RunState = "running"    // at the provider
	Cancelling RunState = "cancelling" // asked to stop, not yet settled
	Succeeded  RunState = "succeeded"
	Failed     RunState = "failed"
	RolledBack RunState = "rolled back"
	Cancelled  RunState = "cancelled"
	Expired    RunState = "expired"
	Unknown    RunState = "unknown" // what happened cannot be known; a person must look
)

// Settled reports whether the run has ended.
func (s RunState) Settled() bool {
	switch s {
	case Waiting, Queued, Running, Cancelling:
		return false
	}
	return true
}

// Word is how people are told of the state, the same in every place.
func (s RunState) Word() string {
	switch s {
	case Succeeded:
		return "done"
	case RolledBack:
		return "failed, rolled back"
	}
	return string(s)
}

// Approval is one person's yes to one digest.
type Approval struct {
	Account AccountID `json:"account"`
	Person  string    `json:"person"`
	Digest  string    `json:"digest"`
	Rules   []int     `json:"rules"` // indexes of the approval rules it counts towards
	At      time.Time `json:"at"`
	Factor  Factor    `json:"factor,omitempty"` // the second factor that came with it
}

// Review is one person's look at what another did by break-glass.
type Review struct {
	Account AccountID `json:"account"`
	Person  string    `json:"person"`
	Note    string    `json:"note,omitempty"`
	At      time.Time `json:"at"`
	Factor  Factor    `json:"factor,omitempty"` // the second factor that came with it
}

// Run is one accepted call on its way. It is persisted as JSON; fields are
// only ever added.
type Run struct {
	Number   int64    `json:"number"`
	State    RunState `json:"state"`
	Call     Call     `json:"call"` // who asked for what, where; enough to plan it anew
	Ask      Ask      `json:"ask"`
	Plan     Plan     `json:"plan,omitzero"`     // zero while queued before its slot was free
	Digest   string   `json:"digest,omitempty"`  // of Plan.Spec
	Decision Decision `json:"decision,omitzero"` // the one Needs were taken from

	Confirmed time.Time `json:"confirmed,omitzero"`
	// ConfirmFactor is the second factor that came with the confirmation.
	ConfirmFactor Factor     `json:"confirm_factor,omitempty"`
	Approvals     []Approval `json:"approvals,omitempty"`
	// Waived is what rules ask for and break-glass did without.
	Waived Needs `json:"waived,omitzero"`
	// Broke says that it acted by break-glass; then Review is another person's
	// look at it afterwards, zero until there was one.
	Broke   bool      `json:"broke,omitempty"`
	Review  Review    `json:"review,omitzero"`
	Expires time.Time `json:"expires,omitzero"` // when waiting ends

	Created time.Time `json:"created"`
	Started time.Time `json:"started,omitzero"`
	Ended   time.Time `json:"ended,omitzero"`

	// Replan says that the slot was busy when this was asked: it is planned
	// when the slot frees.
	Replan bool `json:"replan,omitempty"`
	// Anew says why it must be confirmed once it is planned again.
	Anew string `json:"anew,omitempty"`

	// What the engine needs to go on after a crash.
	Handle   Handle    `json:"handle,omitzero"`
	Step     int       `json:"step,omitempty"`    // counts calls that returned
	Attempt  int       `json:"attempt,omitempty"` // counts failed tries of the present step
	InCall   bool      `json:"in_call,omitempty"` // a call was begun and its answer not yet noted
	Acted    bool      `json:"acted,omitempty"`   // at least one call was begun
	Fence    int64     `json:"fence,omitempty"`   // counts calls begun; only the newest may write its result
	Steps    int       `json:"steps,omitempty"`   // step records written
	Silent   time.Time `json:"silent,omitzero"`   // since when the provider has not answered
	WakeAt   time.Time `json:"wake_at,omitzero"`
	Aside    bool      `json:"aside,omitempty"`     // it gave its slot back while it bakes
	CancelBy string    `json:"cancel_by,omitempty"` // who asked for cancellation
	CancelAt time.Time `json:"cancel_at,omitzero"`
	CancelOK bool      `json:"cancel_ok,omitempty"` // Cancel was delivered to the provider
	Replaced int64     `json:"replaced,omitempty"`  // the run that pre-empts this one
	Parent   int64     `json:"parent,omitempty"`    // the run whose Sequel this is
	// NotBefore is when a Sequel's time comes; until then it takes part in
	// nothing.
	NotBefore time.Time `json:"not_before,omitzero"`
	// Journal is set for a run that was noted in the emergency journal first.
	Journal *Journalled `json:"journal,omitempty"`

	Progress Progress          `json:"progress,omitzero"` // the last look
	Tail     []string          `json:"tail,omitempty"`    // newest lines of output, redacted
	Result   string            `json:"result,omitempty"`  // the sentence it ended with
	Card     int64             `json:"card,omitempty"`    // version of its card
	Tokens   map[string]string `json:"tokens,omitempty"`  // of its buttons, by digest and line
	Places   []Place           `json:"places,omitempty"`  // where its card is shown
}

// Journalled says when a run was noted in the emergency journal, because the log
// could not be written.
type Journalled struct {
	ID      string    `json:"id"`
	Intent  time.Time `json:"intent"`
	Outcome time.Time `json:"outcome,omitzero"` // zero when the journal does not tell how it ended
}

// Place is one spot where a run's card is shown.
type Place struct {
	Channel ChannelID `json:"channel"`
	Thread  string    `json:"thread,omitempty"`
	ReplyTo string    `json:"reply_to,omitempty"`
	// Ends says that the message answered there asked for the run to end.
	Ends bool `json:"ends,omitempty"`
	// Reviews says that the message answered there was a review, which is done
	// whatever became of the run.
	Reviews bool `json:"reviews,omitempty"`
}

// RunFilter selects runs; zero fields select all. Newest first.
type RunFilter struct {
	Target Target
	Open   bool // only runs that are not settled
	State  RunState
	// ToReview selects only runs that acted by break-glass and that nobody
	// reviewed yet; no other field but Limit counts then. Oldest first.
	ToReview bool
	Limit    int // 0 means 20
}

// Answer is what a person says to a run.
type Answer string

// The closed set of answers.
const (
	AnswerConfirm Answer = "confirm"
	AnswerApprove Answer = "approve"
	AnswerDeny    Answer = "deny"
	AnswerCancel  Answer = "cancel"
	AnswerReview  Answer = "review"
)

// Runs is what commands may ask of the engine. Safe for concurrent use.
type Runs interface {
	// Get gives one run, or an Error of kind NotFound.
	Get(ctx context.Context, number int64) (Run, error)
	Runs(ctx context.Context, f RunFilter) ([]Run, error)
	// Answer applies c.Who's answer to the run; number 0 means the one run
	// that waits for it. Rights are checked, and every try is recorded.
	Answer(ctx context.Context, c Call, a Answer, number int64) (Reply, error)
}

// Alters reports whether the run is of a kind that changes what people use: not one
// that only watches, tries a backup in a place of its own, or is about a page.
func (r Run) Alters() bool {
	return !r.Plan.Watches && r.Ask.Permission != MayTestRestore && !strings.HasPrefix(string(r.Ask.Permission), "page.")
}
