package provider

import (
	"context"
	"time"

	"quarterdeck/bot"
)

// LogQuery asks for lines of a target's logs.
type LogQuery struct {
	// Grep is a text that each line holds, whatever the case; "" for all lines.
	Grep     string
	From, To time.Time
	Limit    int // the newest so many are given; at least 1
}

// LogLine is one line as the target wrote it, not yet redacted and of any length
// that the source allows.
type LogLine struct {
	At     time.Time
	Stream string // what wrote it, such as a task; "" where the source does not say
	Text   string
}

// LogLines is what a LogQuery gave.
type LogLines struct {
	Lines []LogLine // oldest first
	// Matched is how many lines there are in all, 0 where the source does not say.
	Matched int64
	Link    string // where a person sees more
}

// LogSource reads the logs of one target. Safe for concurrent use. It bounds what
// it reads and how long it asks. Errors are of kind Unavailable or Timeout where
// the other side does not answer, and never stand for "no lines".
type LogSource interface {
	Lines(ctx context.Context, q LogQuery) (LogLines, error)
}

// LogBinder is a Provider that can bind a LogSource to a target from the target's
// logs table.
type LogBinder interface {
	BindLogs(t bot.Target, raw Raw) (LogSource, error)
}

// Logs gives the LogSource of a target, or an Error of kind NotFound that says what is missing.
func (c *Catalog) Logs(t bot.Target) (LogSource, error) {
	b, found := c.bindings[t]
	switch {
	case !found:
		return nil, bot.Errorf(bot.NotFound, "there is no target %s", t)
	case b.Logs == nil:
		return nil, bot.Errorf(bot.NotFound, "the logs of %s cannot be read: it has no logs table; give [service.%s.%s] one, as config.example.toml shows", t, t.Service, t.Environment)
	}
	return b.Logs, nil
}
