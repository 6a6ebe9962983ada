package bot

import "time"

// Meter counts what the bot does, for whoever watches it. Its methods return at
// once, never fail and are safe for concurrent use. What they are given never
// reaches a label unless it is from a closed set: a verb is a command's name
// from the table or "".
type Meter interface {
	// Received is told of each message that became durable, and how long that
	// took since the network handed it over: the time to its acknowledgement.
	Received(took time.Duration)
	// Handled is told of each message that got its answer, since when it waited
	// for it, and the kind of the error it was answered with, "" for none. known
	// is whether a declared person sent it.
	Handled(verb string, kind Kind, known bool, took time.Duration)
	// Settled is told of each run that this process ended, after the commit.
	Settled(r Run)
	// Panicked is told of each panic that was caught, and in which part.
	Panicked(part string)
}

// NoMeter counts nothing.
type NoMeter struct{}

// Received implements Meter.
func (NoMeter) Received(time.Duration) {}

// Handled implements Meter.
func (NoMeter) Handled(string, Kind, bool, time.Duration) {}

// Settled implements Meter.
func (NoMeter) Settled(Run) {}

// Panicked implements Meter.
func (NoMeter) Panicked(string) {}

// Connection is how a chat network is reached.
type Connection struct {
	Up         bool
	Since      time.Time // since when it is so
	Reconnects int64     // how often it was made anew since the start
	// Asked is how often the network was asked for a connection, which is far
	// more than Reconnects where it ends each at once.
	Asked int64
	// Unreadable counts what came and could not be read, or is of a kind that
	// nobody has heard of; it was acknowledged all the same.
	Unreadable int64
	// Forged counts requests that the network did not sign.
	Forged int64
	// Others is how many connections beside the bot's own the network told of
	// last: somebody else holds the credentials.
	Others int
}

// Connected is a Chat that holds a connection it can lose. That it is lost is
// an alarm and a metric; the bot goes on.
type Connected interface{ Connection() Connection }

// ComesAndGoes is a Chat whose channels exist only while somebody is there,
// such as a terminal's sessions. Kept is how long an unordered card waits for
// somebody to come back. It is dropped then without a word, unless the network's
// error says when to come again: nothing was lost, for the log and the audit
// channel have what it told.
type ComesAndGoes interface{ Kept() time.Duration }
