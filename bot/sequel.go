package bot

import (
	"time"
)

// Sequel is a run that comes by itself, some time after another one's success:
// a child run, such as the way back of "--for 2h". It is there from the moment
// of that success, in the same commit, and can be seen and cancelled.
type Sequel struct {
	// Plan is all that it will do. Its Preconditions are checked when its time
	// has come; where one does not hold any more it does nothing and says so.
	Plan  Plan
	After time.Duration // from the success on; 0 for at once
	Line  string        // what a person types to have the same done
	// Verb and Permission are those of Line where it is another verb than the
	// parent's; "" for the same.
	Verb       string
	Permission Permission
}

// Follower is implemented by Workflows whose Specs state what comes after a
// success.
type Follower interface {
	// Sequels gives what comes after a success, from the Spec alone and the
	// same whenever it is asked: because approval binds to the Spec, it was
	// shown and agreed to with it, and it is not asked about again.
	Sequels(s Spec) ([]Sequel, error)
}

// Responder is implemented by Workflows whose Specs state what comes after a
// failure: a watch that saw a breach and takes back what it watched over.
type Responder interface {
	// Responses gives what comes after r, which failed as its Progress says, from
	// its Spec, Handle and Progress alone and the same whenever it is asked. What
	// may come is in the Spec, so it was agreed to with it.
	Responses(r Run) ([]Sequel, error)
}

// Pending reports whether the run is a Sequel whose time has not come.
func (r Run) Pending() bool { return r.Parent != 0 && r.State == Queued && r.Started.IsZero() }

// Standing says in words how the run stands, such as "running", or for a Sequel
// when it is due.
func (r Run) Standing(z Zone) string {
	if r.Pending() {
		return "due " + z.Minute(r.NotBefore)
	}
	return r.State.Word()
}

// Moment gives a time of these weeks as people read it, in UTC: "11-21 14:05 UTC".
func Moment(t time.Time) string { return t.UTC().Format("01-02 15:04 MST") }
