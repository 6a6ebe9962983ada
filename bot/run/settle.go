package run

import (
	"context"
	"fmt"
	"maps"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/store"
)

// refuse ends a run before anything was started, saying why: as denied when
// somebody lacks a right, and as failed otherwise.
func (e *Engine) refuse(ctx context.Context, c *current, why error) error {
	if stopped(ctx) { // the reads were cut off: what was asked still stands
		return e.handOver(ctx, c, e.Clock.Now())
	}
	r, kind := &c.run, bot.KindOf(why)
	rec := bot.Record{Kind: bot.FailedKind, Error: kind}
	r.Result = bot.Sentence(why, r.Call.ID)
	missed(r)
	switch kind {
	case bot.Denied:
		rec.Kind = bot.DeniedRecord
		deny(r)
	case bot.Internal:
		e.Logger.ErrorContext(ctx, "run not started", "run", r.Number, "request", r.Call.ID, "err", why)
	}
	return e.endUnstarted(ctx, c, bot.Failed, rec)
}

// deny notes that the run ends by a denial, which r.Result words.
func deny(r *bot.Run) {
	r.Decision.Allowed, r.Decision.Because = false, r.Result
}

// drop ends a run for which nothing is left to do; r.Result says why.
func (e *Engine) drop(ctx context.Context, c *current) error {
	return e.endUnstarted(ctx, c, bot.Cancelled, bot.Record{Kind: bot.CancelledKind})
}

func (e *Engine) endUnstarted(ctx context.Context, c *current, state bot.RunState, rec bot.Record) error {
	// The reads' own deadline must not keep the end from being written.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTimeout)
	defer cancel()
	return e.update(ctx, c, func(tx store.Tx, c *current) error {
		return e.settle(tx, c, state, rec, nil)
	})
}

// writeTimeout bounds a write that is made although the engine is stopping or
// the time for reading is over.
const writeTimeout = 8 * time.Second

// expire ends a run that nobody answered in time.
func (e *Engine) expire(ctx context.Context, c *current) error {
	if e.Clock.Now().Before(c.run.Expires) {
		return e.update(ctx, c, func(tx store.Tx, c *current) error {
			c.run.WakeAt = c.run.Expires
			return e.put(tx, c)
		})
	}
	return e.update(ctx, c, func(tx store.Tx, c *current) error {
		c.run.Result = "nobody answered in time; ask again if it is still wanted"
		return e.settle(tx, c, bot.Expired, bot.Record{Kind: bot.ExpiredKind}, nil)
	})
}

// settle ends the run within tx and wakes the runs that wait for its slot.
func (e *Engine) settle(tx store.Tx, c *current, state bot.RunState, rec bot.Record, docs []bot.Document) error {
	if err := e.finish(tx, c, state, rec, docs); err != nil {
		return err
	}
	return e.wakeQueue(tx, &c.run)
}

// finish ends the run within tx: record, documents, state, slot and card share
// the commit.
func (e *Engine) finish(tx store.Tx, c *current, state bot.RunState, rec bot.Record, docs []bot.Document) error {
	r := &c.run
	r.State, r.Ended, r.InCall = state, e.Clock.Now(), false
	if r.Journal != nil && !r.Journal.Outcome.IsZero() {
		r.Ended = r.Journal.Outcome
	}
	e.forget(r.Number)
	rec.Detail, rec.Text = maps.Clone(rec.Detail), maps.Clone(rec.Text)
	if rec.Detail == nil {
		rec.Detail = map[string]string{}
	}
	if rec.Text == nil {
		rec.Text = map[string]string{}
	}
	rec.Detail["state"] = string(state)
	if !r.Started.IsZero() {
		rec.Detail["started"] = "true"
	}
	if r.Result != "" {
		rec.Text["result"] = r.Result
	}
	if err := e.record(tx, r, rec); err != nil {
		return err
	}
	for _, d := range docs {
		old, found, err := tx.Document(d.Kind, d.ID)
		if err != nil {
			return err
		}
		if found {
			d.Rev = old.Rev
		}
		if _, err := tx.PutDocument(d); err != nil {
			return err
		}
	}
	if err := e.show(tx, r); err != nil {
		return err
	}
	if err := e.tellOfClock(tx, r); err != nil {
		return err
	}
	c.ended = append(c.ended, *r)
	return e.put(tx, c)
}

// later gives the later of two times.
func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// wakeQueue makes the runs that wait for r's slot due now.
func (e *Engine) wakeQueue(tx store.Tx, r *bot.Run) error {
	rows, err := tx.Runs(bot.RunFilter{Target: sharers(r), State: bot.Queued, Limit: maxQueue})
	if err != nil {
		return err
	}
	for _, row := range rows {
		if row.Number == r.Number || row.Slot != r.Plan.Slot || row.Holds {
			continue // the one that holds the slot is at work, and not waiting
		}
		other, err := e.another(row)
		if err != nil {
			return err
		}
		other.run.WakeAt = later(e.Clock.Now(), other.run.NotBefore)
		if other.run.Parent == 0 && r.Plan.WayBack && r.Acted && r.State.Settled() && r.Replaced != other.run.Number {
			// Somebody went back while this waited: it must not undo that by
			// itself, nor go back once more.
			other.run.Replan, other.run.Anew = true, fmt.Sprintf("#%d went back to an earlier release meanwhile", r.Number)
			if r.State != bot.Succeeded {
				other.run.Anew = fmt.Sprintf("#%d tried to go back to an earlier release meanwhile", r.Number)
			}
		}
		if err := e.put(tx, other); err != nil {
			return err
		}
	}
	return nil
}
