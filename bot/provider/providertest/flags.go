package providertest

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"quarterdeck/bot"
	"quarterdeck/bot/provider"
)

// FlagFault is what is wrong with a far side that keeps flags.
type FlagFault string

// The faults.
const (
	NoFault    FlagFault = ""
	LostAnswer FlagFault = "lost answer" // the first answer to each change is lost, though it was made
	Approval   FlagFault = "approval"    // changes wait for somebody over there
	FlagsDown  FlagFault = "down"        // nothing answers
)

// Flags is a service that keeps flags of one target in memory: the far side of a
// Flagger. It may be used by several Flaggers at once.
type Flags struct {
	Target bot.Target
	Clock  bot.Clock

	mu      sync.Mutex
	fault   FlagFault
	flags   map[string]provider.Flag
	rev     int
	effects map[string]int
	looks   map[string]int
}

// NewFlags makes one without flags.
func NewFlags(t bot.Target, clock bot.Clock, fault FlagFault) *Flags {
	return &Flags{Target: t, Clock: clock, fault: fault, flags: map[string]provider.Flag{}, effects: map[string]int{}, looks: map[string]int{}}
}

// Fault sets what is wrong from now on.
func (f *Flags) Fault(fault FlagFault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fault = fault
}

// Put sets a flag behind everybody's back.
func (f *Flags) Put(flag provider.Flag, person string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.put(flag, provider.FlagMark{At: f.Clock.Now(), Person: person, Text: "set by hand"})
}

func (f *Flags) put(flag provider.Flag, mark provider.FlagMark) {
	f.rev++
	flag.Changed, flag.Revision = mark, fmt.Sprint(f.rev)
	f.flags[flag.Key] = flag
}

// Effects counts how often a change under a key was made.
func (f *Flags) Effects(key string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.effects[key]
}

// Flagger attaches one.
func (f *Flags) Flagger() provider.Flagger { return &flagger{f} }

type flagger struct{ far *Flags }

func (g *flagger) answers(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return translate(err)
	}
	if g.far.fault == FlagsDown {
		return bot.Errorf(bot.Unavailable, "the flags of %s cannot be reached", g.far.Target)
	}
	return nil
}

func (g *flagger) Flags(ctx context.Context) ([]provider.Flag, error) {
	g.far.mu.Lock()
	defer g.far.mu.Unlock()
	if err := g.answers(ctx); err != nil {
		return nil, err
	}
	var all []provider.Flag
	for _, key := range slices.Sorted(maps.Keys(g.far.flags)) {
		if f := g.far.flags[key]; !f.Archived {
			all = append(all, f.Copy())
		}
	}
	return all, nil
}

func (g *flagger) Get(ctx context.Context, key string) (provider.Flag, error) {
	g.far.mu.Lock()
	defer g.far.mu.Unlock()
	if err := g.answers(ctx); err != nil {
		return provider.Flag{}, err
	}
	f, found := g.far.flags[key]
	if !found || f.Archived {
		return provider.Flag{}, bot.Errorf(bot.NotFound, "there is no flag %q in %s; there are: %s", key, g.far.Target.Environment, strings.Join(slices.Sorted(maps.Keys(g.far.flags)), ", "))
	}
	return f.Copy(), nil
}

func (g *flagger) Powers() provider.FlagPowers {
	return provider.FlagPowers{Create: true, Types: provider.FlagTypes(), Rules: true, Steps: true}
}

type flagState struct {
	Change    provider.FlagChange
	Task      bot.Task
	Cancelled bool
}

func (g *flagger) Begin(c provider.FlagChange, t bot.Task) (bot.Handle, error) {
	if c.Target != g.far.Target {
		return bot.Handle{}, bot.Errorf(bot.Invalid, "a change of %s was given to %s", c.Target, g.far.Target)
	}
	if c.To != nil && (c.From == "" || c.To.Key != c.Key || c.To.Percent < 0 || c.To.Percent > 100) {
		return bot.Handle{}, bot.Errorf(bot.Invalid, "a change of %s is none", c.Key)
	}
	raw, err := json.Marshal(flagState{Change: c, Task: t})
	return bot.Handle{Key: t.Key, Target: c.Target, State: raw}, err
}

func (g *flagger) Cancel(_ context.Context, h bot.Handle) (bot.Handle, error) {
	var s flagState
	if err := json.Unmarshal(h.State, &s); err != nil {
		return h, err
	}
	s.Cancelled = true
	raw, err := json.Marshal(s)
	h.State = raw
	return h, err
}

func (g *flagger) Advance(ctx context.Context, h bot.Handle) (bot.Handle, bot.Progress, error) {
	var s flagState
	if err := json.Unmarshal(h.State, &s); err != nil {
		return h, bot.Progress{}, err
	}
	g.far.mu.Lock()
	defer g.far.mu.Unlock()
	if err := g.answers(ctx); err != nil {
		return h, bot.Progress{}, err
	}
	far, c := g.far, s.Change
	was, there := far.flags[c.Key]
	there = there && !was.Archived
	text := fmt.Sprintf("%s in %s: %s", c.Key, far.Target.Environment, c.Text)
	switch {
	case far.effects[h.Key] > 0:
		return h, bot.Progress{State: bot.OpSucceeded, Text: text}, nil
	case s.Cancelled:
		return h, bot.Progress{State: bot.OpCancelled, Text: "nothing was changed"}, nil
	case c.To == nil && !there, c.To != nil && (c.From == provider.NoFlag) == there, c.To != nil && there && was.Revision != c.From:
		return h, bot.Progress{State: bot.OpFailed, Text: fmt.Sprintf("%s was changed meanwhile by %s: %s", c.Key, was.Changed.Person, was.Changed.Text)}, nil
	case far.fault == Approval && far.looks[h.Key] < looksToEnd:
		far.looks[h.Key]++
		return h, bot.Progress{State: bot.OpWaitingExternal, Text: "somebody over there must approve it"}, nil
	}
	next := was.Copy()
	next.On = false
	if c.To != nil {
		next = c.To.Copy()
	}
	far.put(next, provider.FlagMark{At: far.Clock.Now(), Person: s.Task.Actor, Key: h.Key, Text: c.Text, Reason: s.Task.Reason})
	far.effects[h.Key]++
	if far.fault == LostAnswer {
		return h, bot.Progress{}, bot.Errorf(bot.Timeout, "no answer in time")
	}
	return h, bot.Progress{State: bot.OpSucceeded, Text: text}, nil
}
