package store

import (
	"slices"
	"time"

	"quarterdeck/bot"
)

// Backlog is how much waits in the store, and since when. A time is zero where
// nothing waits.
type Backlog struct {
	Inbox       int       // messages received and not acted on
	InboxOldest time.Time // when the first of them was received

	Outbox       int       // cards not delivered, but those in Away
	OutboxOldest time.Time // when the one of them that was enqueued first was made
	// Away is cards for sessions that may never come back: nobody waits for
	// them, so that they are no lag.
	Away int

	// Runs holds every state that is not a settled one.
	Runs map[bot.RunState]OpenRuns
}

// OpenRuns is the runs of one state.
type OpenRuns struct {
	Count  int
	Oldest time.Time // when the first of them was created
}

// OpenStates gives the states of runs that are not settled.
func OpenStates() []bot.RunState {
	return []bot.RunState{bot.Waiting, bot.Queued, bot.Running, bot.Cancelling}
}

// Counter is a Reader that counts what waits, in time proportional to that
// alone. It is apart from Reader because nothing that the bot does rests on it;
// every store has it.
type Counter interface {
	// Backlog takes the networks whose channels are sessions; see Fleeting.
	Backlog(fleeting ...string) (Backlog, error)
}

// Fleeting gives those of the networks whose channels are there only while
// somebody is: unordered cards wait for them a while and are dropped then.
func Fleeting(chats map[string]bot.Chat) (networks []string) {
	for name, chat := range chats {
		if _, ok := chat.(bot.ComesAndGoes); ok {
			networks = append(networks, name)
		}
	}
	slices.Sort(networks)
	return networks
}

// Watched is a Store that tells of its commits. Every store is one.
type Watched interface {
	// Watch has f called after each commit that was tried, with how many calls
	// of Update shared it and how long it took from the begin of its
	// transaction. f must return at once. There is one f; nil takes it away.
	Watch(f func(updates int, took time.Duration, err error))
}
