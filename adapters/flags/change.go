package flagsprovider

import (
	"context"
	"encoding/json"
	"fmt"

	"quarterdeck/bot"
	"quarterdeck/bot/provider"
	"quarterdeck/bot/store"
)

// state is what a Handle carries.
type state struct {
	Change    provider.FlagChange `json:"change"`
	Task      bot.Task            `json:"task"`
	Cancelled bool                `json:"cancelled,omitempty"`
}

func pack(h bot.Handle, s state) (bot.Handle, error) {
	raw, err := json.Marshal(s)
	h.State = raw
	return h, err
}

// Begin implements provider.Flagger.
func (b *bound) Begin(c provider.FlagChange, t bot.Task) (bot.Handle, error) {
	switch {
	case c.Target != b.target:
		return bot.Handle{}, bot.Errorf(bot.Invalid, "a change of flags of %s was given to %s", c.Target, b.target)
	case c.To != nil && (c.To.Key != c.Key || c.To.Target != c.Target):
		return bot.Handle{}, bot.Errorf(bot.Invalid, "a change of %s was given another flag", c.Key)
	case c.To != nil && c.From == "":
		return bot.Handle{}, bot.Errorf(bot.Invalid, "a change of %s does not say what it was planned from", c.Key)
	}
	if c.To != nil {
		if err := Sound(*c.To); err != nil {
			return bot.Handle{}, err
		}
	}
	return pack(bot.Handle{Key: t.Key, Target: b.target}, state{Change: c, Task: t})
}

// Cancel implements provider.Flagger: what was not done yet is not done.
func (b *bound) Cancel(_ context.Context, h bot.Handle) (bot.Handle, error) {
	var s state
	if err := json.Unmarshal(h.State, &s); err != nil {
		return h, fmt.Errorf("decode handle: %w", err)
	}
	s.Cancelled = true
	return pack(h, s)
}

// Advance implements provider.Flagger. It writes nothing: what is to be is among
// the Documents of its Progress, so that it shares the commit of its record.
func (b *bound) Advance(ctx context.Context, h bot.Handle) (bot.Handle, bot.Progress, error) {
	var s state
	if err := json.Unmarshal(h.State, &s); err != nil {
		return h, bot.Progress{}, fmt.Errorf("decode handle: %w", err)
	}
	c, id := s.Change, provider.FlagID(b.target.Environment, s.Change.Key)
	var was provider.Flag
	var rev int64
	err := b.view(ctx, func(r store.Reader) error {
		d, _, err := r.Document(provider.FlagDocument, id)
		if rev = d.Rev; err != nil || rev == 0 {
			return err
		}
		was, err = decode(d)
		return err
	})
	if err != nil {
		return h, bot.Progress{}, err
	}
	there := rev != 0 && !was.Archived
	done := func() (bot.Handle, bot.Progress, error) {
		return h, bot.Progress{State: bot.OpSucceeded, Text: fmt.Sprintf("%s in %s: %s", c.Key, b.target.Environment, was.Changed.Text)}, nil
	}
	failed := func(format string, args ...any) (bot.Handle, bot.Progress, error) {
		return h, bot.Progress{State: bot.OpFailed, Text: fmt.Sprintf(format, args...)}, nil
	}
	switch {
	case rev != 0 && was.Changed.Key == h.Key:
		return done()
	case s.Cancelled:
		return h, bot.Progress{State: bot.OpCancelled, Text: fmt.Sprintf("%s in %s was not changed", c.Key, b.target.Environment)}, nil
	case there && was.Target != b.target:
		return failed("%s in %s belongs to %s", c.Key, b.target.Environment, was.Target.Service)
	case c.To == nil && !there:
		return failed("there is no flag %q in %s any more", c.Key, b.target.Environment)
	case c.To == nil && !was.On:
		return h, bot.Progress{State: bot.OpSucceeded, Text: fmt.Sprintf("%s in %s is off already", c.Key, b.target.Environment)}, nil
	case c.To == nil:
	case c.From == provider.NoFlag && there:
		return failed("there is a flag %s in %s already", c.Key, b.target.Environment)
	case c.From != provider.NoFlag && !there:
		return failed("%s in %s was taken out of use meanwhile", c.Key, b.target.Environment)
	case c.From != provider.NoFlag && was.Revision != c.From:
		return failed("%s in %s was changed meanwhile by %s: %s", c.Key, b.target.Environment, was.Changed.Person, was.Changed.Text)
	}
	next, text := was.Copy(), c.Text
	if c.To != nil {
		next = c.To.Copy()
	} else {
		next.On, text = false, was.Reach()+" -> off"
	}
	next.Changed = provider.FlagMark{At: b.clock.Now(), Person: s.Task.Actor, Key: h.Key, Text: text, Reason: s.Task.Reason}
	body, err := json.Marshal(next)
	if err != nil {
		return h, bot.Progress{}, fmt.Errorf("encode flag %s: %w", id, err)
	}
	was = next
	h, p, err := done()
	p.Documents = []bot.Document{
		{Kind: provider.FlagDocument, ID: id, Rev: rev, Body: body},
		{Kind: provider.FlagVersionDocument, ID: fmt.Sprintf("%s#%012d", id, rev+1), Body: body},
	}
	return h, p, err
}
