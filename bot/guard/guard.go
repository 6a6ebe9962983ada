// Package guard keeps what stands in the way of changes for a while: locks,
// which are held by a person, freezes, during which an environment is left
// alone, and the halt of everything. They are documents in the store; the verbs
// that set and end them take the same road as every other change.
package guard

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/store"
)

// kind is the kind of the documents; their IDs are "halt", "lock/TARGET" and
// "freeze/NUMBER", zero-padded.
const kind = "guard"

const (
	haltID       = "halt"
	lockPrefix   = "lock/"
	freezePrefix = "freeze/"
	// maxListed bounds how many locks or freezes are looked through.
	maxListed = 2000
)

// Lock says that one person alone may change a target for a while.
type Lock struct {
	Target bot.Target `json:"target"`
	Person string     `json:"person"`
	Reason string     `json:"reason,omitempty"`
	Since  time.Time  `json:"since"`
	Until  time.Time  `json:"until"`
	Key    string     `json:"key"` // of the operation that wrote it last
	Ended  bool       `json:"ended,omitempty"`
	// Next waits for it, and takes it when it is free; NextKey is of that
	// operation.
	Next    string `json:"next,omitempty"`
	NextKey string `json:"next_key,omitempty"`
}

// Standing reports whether the lock holds at a time.
func (l Lock) Standing(at time.Time) bool { return !l.Ended && at.Before(l.Until) }

// String says who holds it, until when and why.
func (l Lock) String() string {
	return because(fmt.Sprintf("locked by %s until %s", l.Person, clock(l.Until)), l.Reason)
}

// Freeze says that an environment is left alone for a while.
type Freeze struct {
	Number      int64     `json:"number"`
	Environment string    `json:"environment"`
	Person      string    `json:"person"`
	Reason      string    `json:"reason,omitempty"`
	Since       time.Time `json:"since"`
	Until       time.Time `json:"until,omitzero"` // zero: until somebody ends it
	Key         string    `json:"key"`
	Ended       string    `json:"ended,omitempty"` // by whom
}

// Standing reports whether the freeze holds at a time.
func (f Freeze) Standing(at time.Time) bool {
	return f.Ended == "" && (f.Until.IsZero() || at.Before(f.Until))
}

// String says what is frozen, by whom, until when and why.
func (f Freeze) String() string {
	s := fmt.Sprintf("%s is frozen by %s", f.Environment, f.Person)
	if f.Until.IsZero() {
		s += " until it is ended"
	} else {
		s += " until " + clock(f.Until)
	}
	return because(s, f.Reason) + fmt.Sprintf(" (freeze %d)", f.Number)
}

// Halt says that nothing is changed at all.
type Halt struct {
	On     bool      `json:"on"`
	Person string    `json:"person"`
	Reason string    `json:"reason,omitempty"`
	Since  time.Time `json:"since"`
	Key    string    `json:"key"`
}

// String says who halted everything and why.
func (h Halt) String() string {
	return because(fmt.Sprintf("everything is halted by %s since %s", h.Person, clock(h.Since)), h.Reason)
}

func because(s, reason string) string {
	if reason == "" {
		return s
	}
	return s + ": " + reason
}

// clock gives a time in the zone that it carries: UTC as it is stored, and that of
// the configuration where people read it.
func clock(t time.Time) string { return t.Format("01-02 15:04 MST") }

func (l Lock) in(zone *time.Location) Lock {
	l.Until = l.Until.In(zone)
	return l
}

func (f Freeze) in(zone *time.Location) Freeze {
	if !f.Until.IsZero() {
		f.Until = f.Until.In(zone)
	}
	return f
}

func (h Halt) in(zone *time.Location) Halt {
	h.Since = h.Since.In(zone)
	return h
}

// Keeper reads what stands. Safe for concurrent use.
type Keeper struct {
	store     store.Store
	recurring []Recurring
	zone      *time.Location
}

// NewKeeper makes a Keeper over s.
func NewKeeper(s store.Store) *Keeper { return &Keeper{store: s, zone: time.UTC} }

// Weekly sets, before the Keeper is used, the freezes of every week and the zone
// whose wall clock they follow.
func (k *Keeper) Weekly(list []Recurring, zone *time.Location) { k.recurring, k.zone = list, zone }

// weekly gives what the freezes of every week say of an environment at a time.
func (k *Keeper) weekly(environment string, at time.Time) []string {
	var says []string
	for _, r := range k.recurring {
		if until, in := r.Every.Until(at, k.zone); in && slices.Contains(r.Environments, environment) {
			says = append(says, r.says(environment, until, k.zone))
		}
	}
	return says
}

// Obstacles gives what stands against r at a time, as rd shows it. Only runs
// whose plan is guarded are stopped. A freeze can be overridden; a lock is
// taken from its holder and a halt is ended, so those can be passed by ways
// back alone.
func (k *Keeper) Obstacles(rd store.Reader, r *bot.Run, at time.Time) ([]bot.Obstacle, error) {
	if !r.Plan.Guarded {
		return nil, nil
	}
	var found []bot.Obstacle
	var h Halt
	if err := read(rd, haltID, &h); err != nil {
		return nil, err
	}
	if h.On {
		found = append(found, bot.Obstacle{Text: h.in(k.zone).String(),
			Remedy: bot.Remedy{Line: "resume", Does: "to end that", Permission: bot.MayHalt, Resource: bot.TheBot}})
	}
	t := r.Ask.Target
	var l Lock
	if err := read(rd, lockPrefix+t.String(), &l); err != nil {
		return nil, err
	}
	if l.Standing(at) && l.Person != r.Call.Who.Person {
		found = append(found, bot.Obstacle{Text: fmt.Sprintf("%s is %s", t, l.in(k.zone)),
			Remedy: bot.Remedy{Line: fmt.Sprintf("lock %s %s --steal", t.Service, t.Environment), Does: "to take it", Permission: bot.MayStealLock, Resource: t.Resource()}})
	}
	freezes, err := freezesIn(rd)
	if err != nil {
		return nil, err
	}
	for _, f := range freezes {
		if f.Environment == t.Environment && f.Standing(at) {
			found = append(found, bot.Obstacle{Permission: bot.MayOverrideFreeze, Text: f.in(k.zone).String()})
		}
	}
	for _, s := range k.weekly(t.Environment, at) {
		found = append(found, bot.Obstacle{Permission: bot.MayOverrideFreeze, Text: s})
	}
	return found, nil
}

func read(rd store.Reader, id string, into any) error {
	d, found, err := rd.Document(kind, id)
	if err != nil || !found {
		return err
	}
	if err := json.Unmarshal(d.Body, into); err != nil {
		return fmt.Errorf("decode %s %s: %w", kind, id, err)
	}
	return nil
}

func freezesIn(rd store.Reader) ([]Freeze, error) {
	docs, err := rd.Documents(kind, freezePrefix, maxListed, true)
	if err != nil {
		return nil, err
	}
	list := make([]Freeze, 0, len(docs))
	for _, d := range docs {
		var f Freeze
		if err := json.Unmarshal(d.Body, &f); err != nil {
			return nil, fmt.Errorf("decode %s %s: %w", kind, d.ID, err)
		}
		list = append(list, f)
	}
	return list, nil
}

// Standing is all that stands at one time.
type Standing struct {
	Halt    string                // "" when nothing is halted
	Locks   map[bot.Target]string // what each lock says
	Freezes []Freeze              // newest first
	Weekly  map[string][]string   // by environment, what the freezes of every week say
}

// On says what stands on one target, "" for nothing.
func (s Standing) On(t bot.Target) string {
	var parts []string
	if l := s.Locks[t]; l != "" {
		parts = append(parts, l)
	}
	for _, f := range s.Freezes {
		if f.Environment == t.Environment {
			parts = append(parts, f.String())
		}
	}
	return strings.Join(append(parts, s.Weekly[t.Environment]...), "; ")
}

// Look gives what stands at a time.
func (k *Keeper) Look(ctx context.Context, at time.Time) (s Standing, err error) {
	s.Locks, s.Weekly = map[bot.Target]string{}, map[string][]string{}
	for _, r := range k.recurring {
		for _, environment := range r.Environments {
			s.Weekly[environment] = k.weekly(environment, at)
		}
	}
	err = k.store.View(ctx, func(rd store.Reader) error {
		var h Halt
		if err := read(rd, haltID, &h); err != nil {
			return err
		}
		if h.On {
			s.Halt = h.in(k.zone).String()
		}
		docs, err := rd.Documents(kind, lockPrefix, maxListed, false)
		if err != nil {
			return err
		}
		for _, d := range docs {
			var l Lock
			if err := json.Unmarshal(d.Body, &l); err != nil {
				return fmt.Errorf("decode %s %s: %w", kind, d.ID, err)
			}
			if l.Standing(at) {
				s.Locks[l.Target] = l.in(k.zone).String()
			}
		}
		freezes, err := freezesIn(rd)
		for _, f := range freezes {
			if f.Standing(at) {
				s.Freezes = append(s.Freezes, f.in(k.zone))
			}
		}
		return err
	})
	return s, err
}

// Lock gives the lock of a target; the zero Lock when it never had one.
func (k *Keeper) Lock(ctx context.Context, t bot.Target) (l Lock, err error) {
	err = k.store.View(ctx, func(rd store.Reader) error { return read(rd, lockPrefix+t.String(), &l) })
	return l.in(k.zone), err
}
