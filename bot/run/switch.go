package run

import (
	"context"
	"errors"

	"quarterdeck/bot"
	"quarterdeck/bot/store"
)

// errSwitched says that other rules took over before the intent was committed.
var errSwitched = errors.New("other rules took over meanwhile")

// Next gives an Engine that works by c instead, on the same runs and in the same
// process. It works on due runs once Switch made it the one that does.
func (e *Engine) Next(c Config) *Engine {
	return &Engine{Config: c.complete(), shared: e.shared}
}

// Switch makes next the Engine that works on due runs, once commit succeeded.
// No intent is committed while it runs: what was committed before was judged by
// the old rules, and everything after it by the new ones. commit must not wait
// for a run.
func (e *Engine) Switch(next *Engine, commit func() error) error {
	e.gate.Lock()
	defer e.gate.Unlock()
	if err := commit(); err != nil {
		return err
	}
	e.now.Store(next)
	e.aside.Store(0)
	return nil
}

// enter holds off a switch until leave is called; it gives errSwitched to an
// Engine that another took over from.
func (e *Engine) enter() (leave func(), err error) {
	e.gate.RLock()
	if e.now.Load() != e {
		e.gate.RUnlock()
		return nil, errSwitched
	}
	return e.gate.RUnlock, nil
}

// began notes by what a run was begun.
func (e *Engine) began(number int64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.begun[number] = e
}

func (e *Engine) forget(number int64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.begun, number)
}

// workflow gives what takes a run on that is under way: what it was begun with,
// because its target or its provider may not be configured any more, or after a
// restart what there is.
func (e *Engine) workflow(r *bot.Run) (bot.Workflow, bool) {
	e.mu.Lock()
	by := e.begun[r.Number]
	e.mu.Unlock()
	if by == nil {
		by = e
	}
	return by.Workflows(r.Plan.Spec.Kind)
}

// maxOpen bounds how many open runs are looked through for those of people who
// left; what is beyond is refused when its turn comes.
const maxOpen = 10_000

// StopDisabled ends what disabled people asked for and what has not begun. What
// is under way goes on: half a deployment helps nobody, and whoever may cancel it
// can.
func (e *Engine) StopDisabled(ctx context.Context) error {
	var open []store.RunRow
	err := e.Store.View(ctx, func(rd store.Reader) error {
		open = nil
		for _, state := range []bot.RunState{bot.Waiting, bot.Queued} {
			rows, err := rd.Runs(bot.RunFilter{State: state, Limit: maxOpen})
			if err != nil {
				return err
			}
			open = append(open, rows...)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, row := range open {
		if err := e.stopDisabled(ctx, row); err != nil {
			return err
		}
	}
	return nil
}

// stopDisabled ends one run that has not begun if its asker is disabled. Should
// somebody be moving it on, it is looked at afresh.
func (e *Engine) stopDisabled(ctx context.Context, row store.RunRow) error {
	for {
		c, err := e.decode(row)
		if errors.Is(err, store.ErrForged) {
			return nil // work ends it, and says so
		}
		if err != nil {
			return err
		}
		if c.run.State != bot.Waiting && c.run.State != bot.Queued {
			return nil
		}
		if c.run.Parent != 0 && c.run.Plan.Returning {
			return nil // what they set for a while still goes back by itself
		}
		// As nobody a network vouches for: then no network is asked, which may not
		// be reached yet, and who is declared disabled is told all the same.
		who, err := e.Directory.Identify(ctx, c.run.Call.Who.Account, bot.Unvouched)
		if err != nil || who.Standing != bot.Disabled {
			return err
		}
		err = e.refuse(ctx, c, bot.Errorf(bot.Denied, "account disabled: %s asked for this and may not run anything any more", c.run.Call.Who.Name()))
		if !errors.Is(err, errStale) {
			return err
		}
		if c, err = e.load(ctx, row.Number); err != nil {
			return err
		}
		row = c.row
	}
}
