package guard

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/store"
)

// Kind is the workflow of all Specs whose body is a Change.
const Kind = "guard@1"

// Action is what a Change does.
type Action string

// The closed set of actions.
const (
	TakeLock    Action = "lock"  // waits until it is free
	StealLock   Action = "steal" // from whoever holds it
	ReleaseLock Action = "unlock"
	AddFreeze   Action = "freeze"
	EndFreeze   Action = "end freeze"
	SetHalt     Action = "halt"
	EndHalt     Action = "resume"
)

// Change is the body of the Specs.
type Change struct {
	Action      Action        `json:"action"`
	Target      bot.Target    `json:"target,omitzero"`      // of a lock
	Environment string        `json:"environment,omitzero"` // of a freeze
	For         time.Duration `json:"for,omitzero"`         // how long it holds; 0 for a freeze without an end
	Freeze      int64         `json:"freeze,omitzero"`      // the one to end
}

// longestWait bounds how long a lock is waited for.
const longestWait = 12 * time.Hour

// Workflow sets and ends what stands. It implements bot.Workflow; safe for
// concurrent use. Every write is compared with what it read and carries the
// operation's key, so that doing it again changes nothing.
type Workflow struct {
	keeper *Keeper
	clock  bot.Clock
}

// NewWorkflow makes the Workflow.
func NewWorkflow(k *Keeper, c bot.Clock) *Workflow { return &Workflow{k, c} }

// state is what a Handle carries.
type state struct {
	Change    Change    `json:"change"`
	Actor     string    `json:"actor"`
	Reason    string    `json:"reason,omitempty"`
	Begun     time.Time `json:"begun"`
	Cancelled bool      `json:"cancelled,omitempty"`
}

// Kind implements bot.Workflow.
func (w *Workflow) Kind() string { return Kind }

// Timing implements bot.Timed: what is written is seen at once.
func (w *Workflow) Timing(bot.Target) bot.Timing { return bot.Timing{Call: 5 * time.Second} }

// Check implements bot.Workflow; nothing has to hold.
func (w *Workflow) Check(context.Context, bot.Spec, []bot.Fact) ([]bot.Obstacle, error) {
	return nil, nil
}

// Begin implements bot.Workflow.
func (w *Workflow) Begin(s bot.Spec, t bot.Task) (bot.Handle, error) {
	var c Change
	if err := json.Unmarshal(s.Body, &c); err != nil {
		return bot.Handle{}, fmt.Errorf("decode %s: %w", s.Kind, err)
	}
	return handle(bot.Handle{Key: t.Key, Target: c.Target}, state{Change: c, Actor: t.Actor, Reason: t.Reason, Begun: w.clock.Now()})
}

func handle(h bot.Handle, s state) (bot.Handle, error) {
	raw, err := json.Marshal(s)
	h.State = raw
	return h, err
}

// Cancel implements bot.Workflow: a lock that is waited for is no longer.
func (w *Workflow) Cancel(_ context.Context, h bot.Handle) (bot.Handle, error) {
	var s state
	if err := json.Unmarshal(h.State, &s); err != nil {
		return h, fmt.Errorf("decode handle: %w", err)
	}
	s.Cancelled = true
	return handle(h, s)
}

// Advance implements bot.Workflow.
func (w *Workflow) Advance(ctx context.Context, h bot.Handle) (bot.Handle, bot.Progress, error) {
	var s state
	if err := json.Unmarshal(h.State, &s); err != nil {
		return h, bot.Progress{}, fmt.Errorf("decode handle: %w", err)
	}
	var p bot.Progress
	err := w.keeper.store.Update(ctx, func(tx store.Tx) (err error) {
		p, err = w.apply(tx, h.Key, s)
		return err
	})
	return h, p, err
}

func done(format string, args ...any) (bot.Progress, error) {
	return bot.Progress{State: bot.OpSucceeded, Text: fmt.Sprintf(format, args...)}, nil
}

func (w *Workflow) apply(tx store.Tx, key string, s state) (bot.Progress, error) {
	now := w.clock.Now()
	switch s.Change.Action {
	case TakeLock, StealLock:
		return w.lock(tx, key, s, now)
	case ReleaseLock:
		var l Lock
		return w.change(tx, lockPrefix+s.Change.Target.String(), &l, func() (bool, string) {
			if !l.Standing(now) {
				return false, fmt.Sprintf("%s is not locked", s.Change.Target)
			}
			l.Ended, l.Key = true, key
			says := fmt.Sprintf("%s is not locked any more", s.Change.Target)
			if l.Next != "" {
				says += fmt.Sprintf("; %s is next, and takes it now", l.Next)
			}
			return true, says
		})
	case AddFreeze:
		return w.freeze(tx, key, s, now)
	case EndFreeze:
		var f Freeze
		return w.change(tx, freezeID(s.Change.Freeze), &f, func() (bool, string) {
			if !f.Standing(now) {
				return false, fmt.Sprintf("freeze %d is over", s.Change.Freeze)
			}
			f.Ended, f.Key = s.Actor, key
			return true, fmt.Sprintf("%s is not frozen by freeze %d any more; to freeze it again: freeze add %s", f.Environment, f.Number, f.Environment)
		})
	case SetHalt, EndHalt:
		var h Halt
		on := s.Change.Action == SetHalt
		return w.change(tx, haltID, &h, func() (bool, string) {
			says := "changes go on"
			if on {
				says = "nothing is changed until somebody types resume; rollbacks, confirmations and cancellations go on"
			}
			if h.On == on {
				return false, says
			}
			h = Halt{On: on, Person: s.Actor, Reason: s.Reason, Since: now, Key: key}
			return true, says
		})
	}
	return bot.Progress{}, bot.Errorf(bot.Internal, "this version does not know the action %q", s.Change.Action)
}

func freezeID(number int64) string { return fmt.Sprintf("%s%012d", freezePrefix, number) }

// change reads a document, has it changed and writes it, if it was.
func (w *Workflow) change(tx store.Tx, id string, doc any, f func() (write bool, says string)) (bot.Progress, error) {
	if err := read(tx, id, doc); err != nil {
		return bot.Progress{}, err
	}
	write, says := f()
	if write {
		if err := put(tx, id, doc); err != nil {
			return bot.Progress{}, err
		}
	}
	return done("%s", says)
}

func put(tx store.Tx, id string, doc any) error {
	raw, err := json.Marshal(doc)
	if err != nil {
		return err
	}
	old, _, err := tx.Document(kind, id)
	if err != nil {
		return err
	}
	_, err = tx.PutDocument(bot.Document{Kind: kind, ID: id, Rev: old.Rev, Body: raw})
	return err
}

func (w *Workflow) lock(tx store.Tx, key string, s state, now time.Time) (bot.Progress, error) {
	t := s.Change.Target
	var l Lock
	if err := read(tx, lockPrefix+t.String(), &l); err != nil {
		return bot.Progress{}, err
	}
	if l.Key == key {
		return done("%s is %s", t, l.in(w.keeper.zone))
	}
	if s.Cancelled {
		return bot.Progress{State: bot.OpCancelled, Text: "the lock is not waited for any more"}, queue(tx, l, key, "")
	}
	if l.Standing(now) && l.Person != s.Actor && s.Change.Action == TakeLock {
		if now.Sub(s.Begun) >= longestWait {
			return bot.Progress{State: bot.OpFailed, Text: fmt.Sprintf("%s is still %s", t, l.in(w.keeper.zone))}, queue(tx, l, key, "")
		}
		if err := queue(tx, l, key, s.Actor); err != nil {
			return bot.Progress{}, err
		}
		return bot.Progress{State: bot.OpWaitingExternal, Text: fmt.Sprintf("%s; you are next, or a holder of lock.steal takes it with --steal", l.in(w.keeper.zone)), Next: time.Second}, nil
	}
	from := ""
	if l.Standing(now) && l.Person != s.Actor {
		from = ", taken from " + l.Person
	}
	next := l
	l = Lock{Target: t, Person: s.Actor, Reason: s.Reason, Since: now, Until: now.Add(s.Change.For), Key: key}
	if s.Change.Action == StealLock { // what waited by the other way is over
		l.Next, l.NextKey = next.Next, next.NextKey
	}
	if err := put(tx, lockPrefix+t.String(), l); err != nil {
		return bot.Progress{}, err
	}
	return done("%s is %s%s", t, l.in(w.keeper.zone), from)
}

// queue notes who waits for the lock, or with "" that the operation does no more.
// One at a time does: they share a slot.
func queue(tx store.Tx, l Lock, key, person string) error {
	if person == "" && l.NextKey != key || person != "" && l.NextKey == key {
		return nil
	}
	l.Next, l.NextKey = person, key
	if person == "" {
		l.NextKey = ""
	}
	return put(tx, lockPrefix+l.Target.String(), l)
}

func (w *Workflow) freeze(tx store.Tx, key string, s state, now time.Time) (bot.Progress, error) {
	all, err := freezesIn(tx)
	if err != nil {
		return bot.Progress{}, err
	}
	f := Freeze{Number: 1, Environment: s.Change.Environment, Person: s.Actor, Reason: s.Reason, Since: now, Key: key}
	if s.Change.For > 0 {
		f.Until = now.Add(s.Change.For)
	}
	for _, other := range all { // newest first
		if other.Key == key {
			return done("%s", other.in(w.keeper.zone))
		}
		f.Number = max(f.Number, other.Number+1)
	}
	if err := put(tx, freezeID(f.Number), f); err != nil {
		return bot.Progress{}, err
	}
	return done("%s; to end it: freeze end %d", f.in(w.keeper.zone), f.Number)
}
