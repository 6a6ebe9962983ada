package run

import (
	"context"
	"fmt"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/store"
)

// How far a clock may be from where it should be before that is a jump, and how
// far ahead times may lie that have nothing to do with a person or a plan.
const (
	clockSlack  = 30 * time.Second
	longestLook = 5 * time.Minute
)

// clockwatch finds out when the wall clock jumps, by a clock that cannot.
type clockwatch struct {
	wall time.Time // at the last look
	mono time.Time
	// until is when cards made before a jump back are due at last by themselves.
	until time.Time
}

// jumped gives by how much the wall clock jumped since the last look; 0 when it
// did not.
func (w *clockwatch) jumped(now time.Time) time.Duration {
	mono := time.Now()
	defer func() { w.wall, w.mono = now, mono }()
	if w.wall.IsZero() {
		return 0
	}
	d := now.Sub(w.wall) - mono.Sub(w.mono)
	if d < clockSlack && d > -clockSlack {
		return 0
	}
	return d
}

// lookAtClock says aloud that the clock jumped and, when it went back, has what
// waited for times that are far off now looked at again. At the first look, it
// holds the clock against the newest record.
func (e *Engine) lookAtClock(ctx context.Context, w *clockwatch) {
	first, now := w.wall.IsZero(), e.Clock.Now()
	by := w.jumped(now)
	if !first && by == 0 {
		if now.Before(w.until) {
			e.hurryCards(ctx, now)
		}
		return
	}
	if by >= clockSlack { // or the machine slept, which is no event of the log
		e.Logger.Warn("the clock jumped forward; what expired by that is asked for again, and nothing is run late", "by", by.Round(time.Second))
		return
	}
	var say string
	err := e.Store.Update(ctx, func(tx store.Tx) error {
		say = ""
		if first {
			head, err := tx.Head()
			if err != nil {
				return err
			}
			last, found, err := tx.Record(head.Seq)
			if err != nil || !found || last.Latest.Sub(now) < clockSlack {
				return err
			}
			by = now.Sub(last.Latest)
			say = fmt.Sprintf("the clock is at least %s behind the newest record: it was set back, or was wrong before", (-by).Round(time.Second))
		} else {
			say = fmt.Sprintf("the clock jumped back by %s", (-by).Round(time.Second))
		}
		if err := e.rewind(tx, now); err != nil {
			return err
		}
		_, err := e.Recorder.Append(tx, bot.Record{At: now, Kind: bot.ConfiguredKind, Resources: []bot.Resource{bot.TheBot},
			Detail: map[string]string{"clock": by.Round(time.Millisecond).String()}, Text: map[string]string{"notice": say}})
		return err
	})
	switch {
	case err != nil && ctx.Err() == nil:
		e.Logger.Error("note that the clock jumped", "by", by, "err", err)
	case say != "":
		if by < 0 {
			w.until = now.Add(-by + longestLook)
			e.hurryCards(ctx, now)
		}
		e.Logger.Warn(say)
		e.Posted()
	}
}

// rewind brings, within tx, times of open runs that lie further
// ahead than they can have been meant to back to now: leases to what they can
// still be good for, looks at once, and what people are given to answer to all
// of it again. What is planned for a time, such as a return, stays.
func (e *Engine) rewind(tx store.Tx, now time.Time) error {
	rows, err := tx.Runs(bot.RunFilter{Open: true, Limit: maxOpen})
	if err != nil {
		return err
	}
	for _, row := range rows {
		c, err := e.decode(row)
		if err != nil {
			continue // work ends it, and says so
		}
		r, changed := &c.run, false
		timing := bot.DefaultTiming
		if wf, ok := e.workflow(r); ok {
			timing = timingOf(wf, r.Ask.Target)
		}
		lease := max(timing.Call+timing.Settle, admitLease) + e.allowance()
		if row.Owner != "" && row.Lease.After(now.Add(lease)) {
			c.row.Lease, changed = now.Add(lease), true
		}
		switch life := max(e.ConfirmExpires, e.ApprovalExpires); {
		case r.State == bot.Waiting && r.Expires.After(now.Add(life)):
			r.Expires, r.WakeAt, changed = now.Add(life), now.Add(life), true
		case r.State != bot.Waiting && r.NotBefore.IsZero() && r.WakeAt.After(now.Add(longestLook)):
			r.WakeAt, changed = now, true
		}
		if !changed {
			continue
		}
		if err := e.put(tx, c); err != nil {
			return err
		}
	}
	return nil
}

// hurryCards has cards delivered now that were made before the clock went back.
// Of ordered ones the store gives the first of each channel alone, so that it is
// called at every look until there can be none.
func (e *Engine) hurryCards(ctx context.Context, now time.Time) {
	var cards []store.Outgoing
	err := e.Store.View(ctx, func(rd store.Reader) (err error) {
		cards, err = rd.OutgoingDue(now.Add(100*365*24*time.Hour), "", nil, maxOpen)
		return err
	})
	late := cards[:0]
	for _, o := range cards {
		if o.NextAt.After(now.Add(longestLook)) {
			late = append(late, o)
		}
	}
	if err == nil && len(late) > 0 {
		err = e.Store.Update(ctx, func(tx store.Tx) error {
			for _, o := range late {
				if err := tx.Postpone(o.ID, now, o.Tries); err != nil {
					return err
				}
			}
			return nil
		})
		e.Posted()
	}
	if err != nil && ctx.Err() == nil {
		e.Logger.Error("deliver what was made before the clock went back", "err", err)
	}
}
