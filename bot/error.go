package bot

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Kind says what sort of failure an [Error] is. It decides what the person is
// told, which exit code the command line gives and whether a retry makes sense.
type Kind string

// The closed set of kinds.
const (
	Invalid     Kind = "invalid"     // the input is wrong; repeating it cannot help
	Denied      Kind = "denied"      // the person may not
	NotFound    Kind = "not found"   // the thing named does not exist
	Conflict    Kind = "conflict"    // the world is not as was expected
	Busy        Kind = "busy"        // something else is under way; later may work
	Unavailable Kind = "unavailable" // the other side cannot be reached; later may work
	Timeout     Kind = "timeout"     // no answer in time; what happened there is not known
	Internal    Kind = "internal"    // a fault of ours
)

// Error is the one error type that crosses a package boundary on purpose. Say
// is one sentence for the person and must hold no secret and no vendor text;
// Err is the cause for the operator's log. Vendor errors are translated into
// this type at the adapter's edge.
type Error struct {
	Op         string        // what was being done: "exec.deploy"
	Kind       Kind          // what sort of failure
	Say        string        // the sentence for the person, without a final full stop
	Err        error         // the cause, for the operator; may be nil
	RetryAfter time.Duration // how long the other side asked us to wait; 0 when it did not
}

// Error gives the operator's view: operation, sentence and cause.
func (e *Error) Error() string {
	s := e.Say
	if s == "" {
		s = string(e.Kind)
	}
	if e.Op != "" {
		s = e.Op + ": " + s
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap gives the cause to errors.Is and errors.As.
func (e *Error) Unwrap() error { return e.Err }

// Errorf makes an Error of the given kind whose sentence is formatted as by
// fmt.Sprintf. It wraps no cause; set Err on the result where there is one.
func Errorf(kind Kind, format string, args ...any) *Error {
	return &Error{Kind: kind, Say: fmt.Sprintf(format, args...)}
}

// KindOf gives the kind of the first Error in err's chain; context deadline
// errors are Timeout, anything unclassified is Internal. It gives "" for nil.
func KindOf(err error) Kind {
	if err == nil {
		return ""
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return Timeout
	}
	return Internal
}

// Sentence gives what a person may read about err: the sentence of the first
// Error in its chain, or "internal error, ref REF" for anything unclassified.
// The caller logs err under the same ref.
func Sentence(err error, ref string) string {
	var e *Error
	if errors.As(err, &e) && e.Kind != Internal && e.Say != "" {
		return e.Say
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return "no answer in time"
	}
	return "internal error, ref " + ref
}
