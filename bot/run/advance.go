package run

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/store"
)

const (
	defaultNext = 500 * time.Millisecond
	maxBackoff  = 30 * time.Second
	maxTail     = 8  // lines of output kept for the card
	maxSteps    = 40 // step records of one run; its card shows the rest
)

// modify applies f to the run as it stands in the store, in one transaction.
func (e *Engine) modify(ctx context.Context, number int64, f func(tx store.Tx, c *current) error) error {
	var written *current
	err := e.Store.Update(ctx, func(tx store.Tx) error {
		row, found, err := tx.Run(number)
		if err != nil {
			return err
		}
		if !found {
			return noRun(number)
		}
		c, err := e.decode(row)
		if err != nil {
			return err
		}
		written = c
		return f(tx, c)
	})
	if err == nil {
		e.count(written)
		e.Posted()
		e.Wake()
	}
	return err
}

// advance makes one call to the provider for a running run. The call's
// deadline is durable before the call is made, and what it brought is written
// only if the fence taken with it is still the newest.
func (e *Engine) advance(ctx context.Context, c *current) error {
	wf, ok := e.workflow(&c.run)
	if !ok {
		return e.modify(ctx, c.row.Number, func(tx store.Tx, c *current) error {
			c.run.Result = "this version does not know " + c.run.Plan.Spec.Kind
			if !c.run.Acted {
				return e.settle(tx, c, bot.Failed, bot.Record{Kind: bot.FailedKind, Error: bot.Internal}, nil)
			}
			c.run.Result = "what happened cannot be known: " + c.run.Result + "; look at the provider itself for " + c.run.Handle.Key
			return e.settle(tx, c, bot.Unknown, bot.Record{Kind: bot.UnknownKind, Error: bot.Internal}, nil)
		})
	}
	timing := timingOf(wf, c.run.Ask.Target)
	interrupted := c.run.InCall
	var deadline, begun time.Time
	err := e.update(ctx, c, func(tx store.Tx, c *current) error {
		r, now := &c.run, e.Clock.Now()
		// Counted from before the commit, as the lease is: a process that was
		// stopped in between must not call when its lease is over.
		deadline, begun = time.Now().Add(timing.Call), now
		r.Fence++
		r.InCall, r.Acted, r.WakeAt = true, true, now
		c.row.Owner, c.row.Lease = e.owner, now.Add(timing.Call+timing.Settle+e.allowance())
		return e.put(tx, c)
	})
	if err != nil {
		return err
	}
	e.Reach("call begun")
	call, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	// The provider's settle time counts from here on: what was cut off may still
	// show. What the call itself has left of its time does not.
	later := func() time.Time { return e.Clock.Now().Add(timing.Settle + e.allowance()) }
	if call.Err() != nil || e.overslept(begun, timing.Call) {
		if stopped(ctx) {
			return e.handOver(ctx, c, later())
		}
		return nil // too late to call; whoever comes next looks first
	}
	handle := c.run.Handle
	handle.Interrupted, handle.Aside = interrupted, c.run.Aside
	cancelling := c.run.CancelBy != "" && !c.run.CancelOK && !interrupted
	var p bot.Progress
	err = guarded(c.run.Plan.Spec.Kind, func() (err error) {
		if cancelling {
			handle, err = wf.Cancel(call, handle)
		} else {
			handle, p, err = wf.Advance(call, handle)
		}
		return err
	})
	if ctx.Err() != nil && err != nil { // stopping: whoever comes next knows that a call was begun
		return e.handOver(ctx, c, later())
	}
	e.Reach("call returned")
	if err == nil && p.State.Settled() {
		e.Reach("outcome known")
	}
	// What a call brought is written also when the engine is told to stop.
	ctx, done := context.WithTimeout(context.WithoutCancel(ctx), writeTimeout)
	defer done()
	fence, row := c.run.Fence, c.row.Number
	err = e.modify(ctx, row, func(tx store.Tx, c *current) error {
		if c.run.Fence != fence || c.run.State.Settled() {
			return errStale
		}
		c.row.Owner, c.row.Lease = "", time.Time{}
		switch {
		case err != nil:
			return e.callFailed(ctx, tx, c, err, failedCall{wf, timing, interrupted, cancelling})
		case cancelling:
			return e.cancelAsked(tx, c, handle)
		}
		if err := keep(tx, p.Documents); err != nil {
			return err
		}
		return e.progressed(tx, c, wf, handle, p)
	})
	if errors.Is(err, errMoved) {
		err = e.modify(ctx, row, func(tx store.Tx, c *current) error {
			if c.run.Fence != fence || c.run.State.Settled() {
				return errStale
			}
			c.row.Owner, c.row.Lease = "", time.Time{}
			return e.callFailed(ctx, tx, c, bot.Errorf(bot.Busy, "it was changed at the same moment"), failedCall{wf, timing, interrupted, cancelling})
		})
	}
	return err
}

// timingOf gives the timing that a workflow declares, or the default.
func timingOf(wf bot.Workflow, t bot.Target) bot.Timing {
	timing := bot.DefaultTiming
	if timed, ok := wf.(bot.Timed); ok {
		timing = timed.Timing(t)
	}
	if timing.Call <= 0 {
		timing.Call = bot.DefaultTiming.Call
	}
	timing.Settle = max(timing.Settle, 0)
	return timing
}

// progressed notes what one look brought.
func (e *Engine) progressed(tx store.Tx, c *current, wf bot.Workflow, h bot.Handle, p bot.Progress) error {
	r := &c.run
	h.Interrupted, h.Aside = false, false
	p.Text, p.Link, p.Check = e.Recorder.Redact(p.Text), e.Recorder.Redact(p.Link), e.Recorder.Redact(p.Check)
	p.Parts = slices.Clone(p.Parts)
	for i := range p.Parts {
		p.Parts[i].Text = e.Recorder.Redact(p.Parts[i].Text)
	}
	for _, line := range p.Lines {
		r.Tail = append(r.Tail, e.Recorder.Redact(line))
	}
	if len(r.Tail) > maxTail {
		r.Tail = append([]string(nil), r.Tail[len(r.Tail)-maxTail:]...)
	}
	p.Lines = nil
	was := r.Progress
	r.Handle, r.InCall, r.Attempt, r.Silent = h, false, 0, time.Time{}
	r.Step++
	if p.State.Settled() {
		return e.conclude(tx, c, wf, p)
	}
	if p.State == bot.OpWorking && r.Aside && p.Text == "" {
		p.Text = was.Text // what keeps it from going on is not told of again and again
	}
	docs := len(p.Documents)
	p.Documents = nil
	r.Progress = p
	if err := e.giveSlot(tx, c); err != nil {
		return err
	}
	next := p.Next
	if next <= 0 {
		next = defaultNext
	}
	r.WakeAt = e.Clock.Now().Add(next)
	if r.CancelBy != "" && !r.CancelOK {
		r.WakeAt = e.Clock.Now()
	}
	if docs > 0 || (was.Text != p.Text && p.Text != "" || was.State != p.State && told(p.State)) && r.Steps < maxSteps {
		r.Steps++
		rec := bot.Record{Kind: bot.Step, Detail: map[string]string{"state": string(p.State)}, Text: map[string]string{"progress": p.Text}}
		if err := e.record(tx, r, rec); err != nil {
			return err
		}
	}
	if was.State != p.State || was.Text != p.Text || !samePercent(was.Percent, p.Percent) {
		if err := e.show(tx, r); err != nil {
			return err
		}
	}
	return e.put(tx, c)
}

// told reports whether reaching a state is worth a record of its own; that an
// operation is under way was recorded when it started.
func told(s bot.OpState) bool { return s == bot.OpWaitingExternal || s == bot.OpBaking }

func samePercent(a, b *int) bool {
	return (a == nil) == (b == nil) && (a == nil || *a == *b)
}

// conclude ends a run with what its provider said.
func (e *Engine) conclude(tx store.Tx, c *current, wf bot.Workflow, p bot.Progress) error {
	r := &c.run
	p.Documents = nil
	r.Progress = p
	if err := e.tellDirectly(tx, r, p); err != nil {
		return err
	}
	var (
		state bot.RunState
		kind  bot.RecordKind
	)
	switch p.State {
	case bot.OpSucceeded:
		state, kind = bot.Succeeded, bot.SucceededKind
	case bot.OpRolledBack:
		state, kind = bot.RolledBack, bot.FailedKind
	case bot.OpFailed, bot.OpPartlyDone, bot.OpSuperseded:
		state, kind = bot.Failed, bot.FailedKind
	case bot.OpCancelled:
		state, kind = bot.Cancelled, bot.CancelledKind
	default:
		state, kind = bot.Unknown, bot.UnknownKind
	}
	r.Result = p.Text
	if state == bot.Unknown {
		r.Result = "what happened cannot be known: " + p.Text
		if p.Check != "" {
			r.Result += "; check: " + p.Check
		}
	}
	docs, err := e.keeps(r, wf)
	var next []bot.Sequel
	if err == nil && state == bot.Succeeded {
		next, err = stated(wf, r.Plan.Spec)
	}
	if err == nil && state == bot.Failed {
		next, err = responses(wf, r)
	}
	if err != nil {
		state, kind = bot.Unknown, bot.UnknownKind
		r.Result = fmt.Sprintf("the provider says %s, and what that means could not be noted (%s); look at the provider itself for %s", p.State, bot.Sentence(err, r.Call.ID), r.Handle.Key)
	}
	if r.Replaced != 0 && state == bot.Cancelled {
		r.Result = strings.TrimPrefix(fmt.Sprintf("%s; #%d takes its place", r.Result, r.Replaced), "; ")
	}
	rec := bot.Record{Kind: kind, Detail: map[string]string{"operation": string(p.State), "key": r.Handle.Key}}
	if state != bot.Succeeded {
		remind(r, wf, state)
		if state != bot.Failed {
			next = nil
		}
		children, err := e.expecting(tx, r, next, e.Clock.Now())
		if err != nil {
			return err
		}
		if err := e.settle(tx, c, state, rec, docs); err != nil {
			return err
		}
		return e.follow(tx, r, children)
	}
	old, err := e.outdated(tx, r)
	if err != nil {
		return err
	}
	for _, o := range old {
		tell(r, fmt.Sprintf("#%d does not come any more", o.run.Number))
	}
	children, err := e.expecting(tx, r, next, e.Clock.Now())
	if err != nil {
		return err
	}
	if err := e.settle(tx, c, state, rec, docs); err != nil {
		return err
	}
	if err := e.supersede(tx, r); err != nil {
		return err
	}
	if err := e.wakeBaking(tx, r); err != nil {
		return err
	}
	return e.follow(tx, r, children)
}

// keeps gives the documents that the workflow keeps of a run that ends as
// r.Progress says.
func (e *Engine) keeps(r *bot.Run, wf bot.Workflow) (docs []bot.Document, err error) {
	s, ok := wf.(bot.Settler)
	if !ok {
		return nil, nil
	}
	err = guarded(r.Plan.Spec.Kind+".settle", func() (err error) {
		docs, err = s.Settle(*r, r.Progress, e.Clock.Now())
		return err
	})
	if err != nil {
		e.Logger.Error("note what a run did", "run", r.Number, "request", r.Call.ID, "message", r.Call.Message, "person", r.Call.Who.Person, "err", err)
		return nil, err
	}
	return docs, nil
}

// failedCall is what is known of a call that brought an error.
type failedCall struct {
	wf          bot.Workflow
	timing      bot.Timing
	interrupted bool // an earlier one may or may not have happened
	cancelling  bool // it asked to stop
}

// callFailed decides what a failed call means: try again, failed, or unknown.
func (e *Engine) callFailed(ctx context.Context, tx store.Tx, c *current, callErr error, call failedCall) error {
	r, now := &c.run, e.Clock.Now()
	kind := bot.KindOf(callErr)
	e.Logger.WarnContext(ctx, "provider call", "run", r.Number, "request", r.Call.ID, "step", r.Step, "attempt", r.Attempt, "kind", string(kind), "err", callErr)
	switch kind {
	case bot.Unavailable, bot.Timeout, bot.Busy:
		if r.Silent.IsZero() {
			r.Silent = now
		}
		if now.Sub(r.Silent) >= e.Patience {
			r.Result = fmt.Sprintf("what happened cannot be known: no answer for %s (%s); look at the provider itself for %s", e.Patience, bot.Sentence(callErr, r.Call.ID), r.Handle.Key)
			return e.gaveUp(tx, c, call.wf, kind)
		}
		r.Attempt++
		wait := min(defaultNext<<min(r.Attempt-1, 6), maxBackoff)
		var be *bot.Error
		if errors.As(callErr, &be) && be.RetryAfter > 0 {
			wait = min(be.RetryAfter, e.Patience)
		}
		// What the call may have done must be visible before it is looked for.
		r.WakeAt = now.Add(max(wait, call.timing.Settle+e.allowance()))
		// Whether the call acted is not known: InCall stays, so that the next
		// one looks for its marker first.
		if r.Attempt == 2 {
			r.Progress.Text = bot.Sentence(callErr, r.Call.ID) + "; trying again"
			if err := e.show(tx, r); err != nil {
				return err
			}
		}
		return e.put(tx, c)
	case bot.Invalid, bot.Denied, bot.NotFound, bot.Conflict:
		if call.cancelling {
			// The provider cannot cancel this: it goes on, and is followed.
			r.CancelOK, r.InCall = true, false
			r.WakeAt = now
			r.Progress.Text = "it cannot be cancelled: " + bot.Sentence(callErr, r.Call.ID)
			if err := e.show(tx, r); err != nil {
				return err
			}
			return e.put(tx, c)
		}
		if r.Step == 0 && !call.interrupted {
			r.Result = bot.Sentence(callErr, r.Call.ID)
			missed(r)
			return e.settle(tx, c, bot.Failed, bot.Record{Kind: bot.FailedKind, Error: kind}, nil)
		}
	}
	r.Result = fmt.Sprintf("what happened cannot be known: %s; look at the provider itself for %s", bot.Sentence(callErr, r.Call.ID), r.Handle.Key)
	return e.gaveUp(tx, c, call.wf, kind)
}

// gaveUp ends a run of which nobody can say what came of it.
func (e *Engine) gaveUp(tx store.Tx, c *current, wf bot.Workflow, kind bot.Kind) error {
	c.run.Progress.State = bot.OpUnknown
	remind(&c.run, wf, bot.Unknown)
	docs, err := e.keeps(&c.run, wf)
	if err != nil {
		docs = nil // it was logged, and unknown is what the run is already
	}
	return e.settle(tx, c, bot.Unknown, bot.Record{Kind: bot.UnknownKind, Error: kind}, docs)
}

// cancelAsked notes that the provider was asked to stop; what came of it shows
// in later looks.
func (e *Engine) cancelAsked(tx store.Tx, c *current, h bot.Handle) error {
	r := &c.run
	h.Interrupted = false
	r.Handle, r.InCall, r.CancelOK, r.Attempt, r.Silent = h, false, true, 0, time.Time{}
	r.Step++
	r.WakeAt = e.Clock.Now()
	if err := e.record(tx, r, bot.Record{Kind: bot.Step, Detail: map[string]string{"state": string(bot.Cancelling), "asked": "the provider was asked to stop"}}); err != nil {
		return err
	}
	return e.put(tx, c)
}
