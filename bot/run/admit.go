package run

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/store"
)

const (
	// readTimeout bounds the reads of providers before a run starts.
	readTimeout = 8 * time.Second
	// admitLease outlives readTimeout: a process that is admitting a run holds
	// its slot for this long before another may look again.
	admitLease = 10 * time.Second
	// queueRecheck is how often a queued run looks by itself; it is woken
	// earlier when its slot frees.
	queueRecheck = 15 * time.Second
)

// admit takes a queued run from its slot to its first step: it takes the slot,
// plans what was not planned yet, checks preconditions, guards and the rights
// of asker and approvers once more, and only then commits the intent.
func (e *Engine) admit(ctx context.Context, c *current) error {
	held, err := e.takeSlot(ctx, c)
	if err != nil || !held {
		return err
	}
	e.Reach("slot taken")
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	if c.run.Replan {
		return e.replan(ctx, c, c.run.Anew)
	}
	return e.verify(ctx, c, true)
}

// takeSlot takes the slot and a lease for the checks, or leaves the run queued.
func (e *Engine) takeSlot(ctx context.Context, c *current) (held bool, err error) {
	var over *current
	err = e.update(ctx, c, func(tx store.Tx, c *current) error {
		held, over = false, nil
		r, now := &c.run, e.Clock.Now()
		if now.Before(r.NotBefore) {
			r.WakeAt = r.NotBefore
			return e.put(tx, c)
		}
		e.outlived(r, now)
		ahead, err := e.ahead(tx, c)
		if err != nil {
			return err
		}
		if ahead != nil && supersedes(r, &ahead.run) {
			gone, err := e.preempt(tx, r, ahead)
			if err != nil {
				return err
			}
			if gone {
				over, ahead = ahead, nil
			}
		}
		if ahead != nil {
			behind := fmt.Sprintf("behind #%d", ahead.run.Number)
			if supersedes(r, &ahead.run) {
				behind = fmt.Sprintf("#%d is being stopped first", ahead.run.Number)
			}
			r.WakeAt = now.Add(queueRecheck)
			if r.Progress.Text != behind {
				r.Progress.Text = behind
				if err := e.show(tx, r); err != nil {
					return err
				}
			}
			return e.put(tx, c)
		}
		held = true
		r.WakeAt = now
		c.row.Holds, c.row.Owner, c.row.Lease = true, e.owner, now.Add(admitLease+e.allowance())
		return e.put(tx, c)
	})
	if err == nil {
		e.count(over)
	}
	return held, err
}

// supersedes reports whether a way back takes the place of the run that is
// ahead of it: of whatever is no way back, and of an older way back that goes
// elsewhere, because who typed last knows most.
func supersedes(r, ahead *bot.Run) bool {
	if !r.Plan.WayBack || !ahead.Plan.WayBack {
		return r.Plan.WayBack
	}
	return ahead.Number < r.Number && ahead.Digest != r.Digest && !r.Replan
}

// longAgo is how late a queued run may be looked at and still be what was
// meant: nothing is executed late after the bot was away.
const longAgo = 2 * time.Minute

// outlived has a queued run planned and confirmed anew when nobody looked at it
// for long, or when what people said to it is older than what they are given
// to say it.
func (e *Engine) outlived(r *bot.Run, now time.Time) {
	if r.Replan && r.Anew != "" || r.Parent != 0 { // a sequel comes when it comes
		return
	}
	if late := now.Sub(r.WakeAt); late >= longAgo {
		r.Replan, r.Anew = true, fmt.Sprintf("the bot was away for %s", late.Round(time.Second))
		return
	}
	said := r.Confirmed
	for _, a := range r.Approvals {
		if a.Digest == r.Digest && a.At.After(said) {
			said = a.At
		}
	}
	if !said.IsZero() && now.Sub(said) >= e.ApprovalExpires {
		r.Replan, r.Anew = true, fmt.Sprintf("it was agreed to %s ago", now.Sub(said).Round(time.Second))
	}
}

// ahead gives the run that c has to wait for: the one that holds its slot, or
// one that waits for the same slot with a better claim. Ways back come first,
// then lower numbers.
func (e *Engine) ahead(tx store.Tx, c *current) (*current, error) {
	if c.row.Holds {
		return nil, nil
	}
	holder, found, err := tx.SlotHolder(c.run.Plan.Slot)
	if err != nil {
		return nil, err
	}
	if found && holder.Number != c.run.Number {
		return e.another(holder)
	}
	rows, err := tx.Runs(bot.RunFilter{Target: sharers(&c.run), State: bot.Queued, Limit: maxQueue})
	if err != nil {
		return nil, err
	}
	for _, row := range slices.Backward(rows) {
		if row.Number == c.run.Number || row.Slot != c.run.Plan.Slot {
			continue
		}
		other, err := e.another(row)
		if err != nil {
			return nil, err
		}
		if e.Clock.Now().Before(other.run.NotBefore) {
			continue // its time has not come
		}
		if other.run.Plan.WayBack != c.run.Plan.WayBack {
			if other.run.Plan.WayBack {
				return other, nil
			}
			continue
		}
		if other.run.Number < c.run.Number || supersedes(&other.run, &c.run) {
			return other, nil
		}
	}
	return nil, nil
}

// sharers gives the target of the runs that may share the slot of r; the zero
// Target where those of every target may.
func sharers(r *bot.Run) bot.Target {
	if strings.HasPrefix(r.Plan.Slot, r.Ask.Target.String()+" ") {
		return r.Ask.Target
	}
	return bot.Target{}
}

// maxQueue bounds how many queued runs of one target are looked through.
const maxQueue = 200

// preempt stops the run that holds the slot of r, which is a way back. What has
// started nothing yet is gone at once; what is running is asked to stop, and r
// waits until it is settled.
func (e *Engine) preempt(tx store.Tx, r *bot.Run, ahead *current) (gone bool, err error) {
	front := &ahead.run
	detail := map[string]string{"by": fmt.Sprintf("run #%d", r.Number)}
	if front.State == bot.Queued {
		front.Replaced, front.Result = r.Number, fmt.Sprintf("replaced by #%d before it began", r.Number)
		return true, e.finish(tx, ahead, bot.Cancelled, by(r.Call, bot.Record{Kind: bot.CancelledKind, Detail: detail}), nil)
	}
	if len(r.Plan.Preconditions) > 0 && !r.Replan {
		// It was planned from what was live, without knowing of this one.
		r.Replan, r.Anew = true, fmt.Sprintf("#%d had begun meanwhile", front.Number)
	}
	if front.State != bot.Running || front.CancelBy != "" {
		return false, nil
	}
	e.stop(front, r.Call.Who)
	front.Replaced = r.Number
	if err := e.record(tx, front, by(r.Call, bot.Record{Kind: bot.Step, Detail: detail})); err != nil {
		return false, err
	}
	if err := e.show(tx, front); err != nil {
		return false, err
	}
	return false, e.put(tx, ahead)
}

// verify checks everything that must hold at the moment of acting. When it
// does, the intent is committed; when facts changed, the run is planned anew,
// if mayReplan.
func (e *Engine) verify(ctx context.Context, c *current, mayReplan bool) error {
	r := &c.run
	if r.Parent != 0 {
		wf, ok := e.Workflows(r.Plan.Spec.Kind)
		if !ok {
			return e.refuse(ctx, c, bot.Errorf(bot.Internal, "this version does not know %s", r.Plan.Spec.Kind))
		}
		return e.verifySequel(ctx, c, wf)
	}
	asker, dropped, err := e.recheckRights(ctx, r)
	if err != nil {
		return e.refuse(ctx, c, err)
	}
	if missing(r) != "" {
		if dropped == "" {
			dropped = "the rules ask for more now"
		}
		return e.askAnew(ctx, c, dropped)
	}
	wf, ok := e.Workflows(r.Plan.Spec.Kind)
	if !ok {
		return e.refuse(ctx, c, bot.Errorf(bot.Internal, "this version does not know %s", r.Plan.Spec.Kind))
	}
	var obstacles []bot.Obstacle
	err = guarded(r.Plan.Spec.Kind+".check", func() (err error) {
		obstacles, err = wf.Check(ctx, r.Plan.Spec, r.Plan.Preconditions)
		return err
	})
	switch {
	case bot.KindOf(err) == bot.Conflict && mayReplan:
		return e.replan(ctx, c, bot.Sentence(err, r.Call.ID))
	case err != nil:
		return e.refuse(ctx, c, err)
	}
	if err := e.passObstacles(r, asker, obstacles); err != nil {
		return e.refuse(ctx, c, err)
	}
	r.Plan.Obstacles = append(slices.Clip(r.Plan.Obstacles), c.found(r.Plan.Obstacles, obstacles)...)
	return e.intend(ctx, c, wf, asker)
}

// found gives the obstacles that are not among known, and notes that they were
// passed, so that it is recorded with the run's next change.
func (c *current) found(known, obstacles []bot.Obstacle) []bot.Obstacle {
	var fresh []bot.Obstacle
	for _, o := range obstacles {
		if !slices.Contains(known, o) {
			fresh = append(fresh, o)
		}
	}
	c.passed = append(c.passed, fresh...)
	return fresh
}

// replan plans the call anew while the slot is held; why, when not empty, must
// be confirmed. What people said to the old plan does not carry over.
func (e *Engine) replan(ctx context.Context, c *current, why string) error {
	r := &c.run
	cmd, ok := e.Commands(r.Call.Command)
	if !ok || cmd.Plan == nil {
		return e.refuse(ctx, c, bot.Errorf(bot.Internal, "this version does not know %q", r.Call.Command))
	}
	asker, err := e.asker(ctx, r)
	if err != nil {
		return e.refuse(ctx, c, err)
	}
	call := r.Call
	call.Who = asker
	plan, err := planned(ctx, cmd, call)
	if err != nil {
		return e.refuse(ctx, c, err)
	}
	if plan.Noop != "" {
		r.Result, r.Plan.Noop = plan.Noop, plan.Noop
		return e.drop(ctx, c)
	}
	if plan, err = e.guardedPlan(ctx, call, r.Ask, plan); err != nil {
		return err
	}
	known := r.Plan.Obstacles
	plan.Slot = r.Plan.Slot // it is the one held
	r.Plan, r.Digest, c.planned = plan, plan.Spec.Digest(), true
	r.Replan, r.Anew, r.Confirmed, r.ConfirmFactor, r.Approvals = false, "", time.Time{}, bot.NoFactor, nil
	if err := e.decide(r, asker); err != nil {
		return e.refuse(ctx, c, err)
	}
	if err := e.passObstacles(r, asker, plan.Obstacles); err != nil {
		return e.refuse(ctx, c, err)
	}
	c.found(known, plan.Obstacles)
	if why != "" {
		r.Decision.Needs.Confirm = true
	}
	if missing(r) != "" {
		return e.askAnew(ctx, c, why)
	}
	return e.verify(ctx, c, false)
}

// askAnew gives the slot back and waits for people.
func (e *Engine) askAnew(ctx context.Context, c *current, why string) error {
	return e.update(ctx, c, func(tx store.Tx, c *current) error {
		r := &c.run
		e.wait(r)
		r.Result, r.Progress = "", bot.Progress{}
		if why != "" {
			r.Plan.Warnings = append([]string{"asked anew: " + why}, r.Plan.Warnings...)
		}
		c.row.Holds, c.row.Owner, c.row.Lease = false, "", time.Time{}
		if err := e.recordPassed(tx, r, c.passed); err != nil {
			return err
		}
		if err := e.record(tx, r, bot.Record{Kind: bot.Step, Detail: map[string]string{"needs": needsText(r.Decision)}, Text: map[string]string{"why": why}}); err != nil {
			return err
		}
		if err := e.show(tx, r); err != nil {
			return err
		}
		if err := e.put(tx, c); err != nil {
			return err
		}
		return e.wakeQueue(tx, r)
	})
}

// unguarded judges, in the commit of the intent, what stands against the run
// now. A freeze that began while it waited stops it as one that was there.
func (e *Engine) unguarded(tx store.Tx, c *current, asker bot.Identity) error {
	if e.Guards == nil {
		return nil
	}
	r := &c.run
	obstacles, err := e.Guards(tx, r, e.Clock.Now())
	if err != nil {
		return err
	}
	if err := e.passObstacles(r, asker, obstacles); err != nil {
		return err
	}
	r.Plan.Obstacles = append(slices.Clip(r.Plan.Obstacles), c.found(r.Plan.Obstacles, obstacles)...)
	return nil
}

// intend commits the intent to act. Only after it may anything be started.
func (e *Engine) intend(ctx context.Context, c *current, wf bot.Workflow, asker bot.Identity) error {
	r := &c.run
	task := bot.Task{Key: fmt.Sprintf("run-%d-%s", r.Number, r.Call.ID), Actor: r.Call.Who.Person, Reason: r.Call.Reason}
	var handle bot.Handle
	err := guarded(r.Plan.Spec.Kind+".begin", func() (err error) {
		handle, err = wf.Begin(r.Plan.Spec, task)
		return err
	})
	if err != nil {
		return e.refuse(ctx, c, err)
	}
	leave, err := e.enter()
	if err != nil {
		return err
	}
	defer leave()
	var blocked error
	err = e.update(ctx, c, func(tx store.Tx, c *current) error {
		r := &c.run
		blocked = nil // this may be run again
		if err := e.inForce(tx); err != nil {
			return err
		}
		if err := e.evidence(tx, c); err != nil {
			return err
		}
		if err := e.unguarded(tx, c, asker); err != nil {
			if bot.KindOf(err) == bot.Denied {
				blocked = err
			}
			return err
		}
		r.State, r.Handle, r.Started, r.WakeAt = bot.Running, handle, e.Clock.Now(), e.Clock.Now()
		r.Step, r.Attempt, r.InCall, r.Acted = 0, 0, false, false
		r.Progress, r.Result = bot.Progress{State: bot.OpPending}, ""
		c.row.Owner, c.row.Lease = "", time.Time{}
		detail := map[string]string{"key": handle.Key}
		var approvers []string
		for _, a := range r.Approvals {
			approvers = append(approvers, named(a.Person, a.Factor))
		}
		if len(approvers) > 0 {
			detail["approved_by"] = strings.Join(approvers, ", ")
		}
		if err := e.recordPassed(tx, r, c.passed); err != nil {
			return err
		}
		if err := e.recordBroken(tx, r); err != nil {
			return err
		}
		if err := e.record(tx, r, bot.Record{Kind: bot.Started, Detail: detail, Text: map[string]string{"summary": r.Plan.Summary}}); err != nil {
			return err
		}
		if err := e.show(tx, r); err != nil {
			return err
		}
		return e.put(tx, c)
	})
	if blocked != nil {
		return e.refuse(ctx, c, blocked)
	}
	if err != nil {
		return err
	}
	e.began(r.Number)
	e.Reach("intent committed")
	return nil
}
