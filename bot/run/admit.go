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
	err = e.update(ctx, c, func(tx store.Tx, c *current) error {
		held = false
		r, now := &c.run, e.Clock.Now()
		ahead, err := e.ahead(tx, c)
		if err != nil {
			return err
		}
		if ahead != nil && r.Plan.WayBack && !ahead.run.Plan.WayBack && ahead.run.State == bot.Queued {
			// It holds the slot for its last checks and has started nothing.
			ahead.run.Result = fmt.Sprintf("replaced by #%d before it began", r.Number)
			if err := e.settle(tx, ahead, bot.Cancelled, bot.Record{Kind: bot.CancelledKind}, nil); err != nil {
				return err
			}
			ahead = nil
		}
		if ahead != nil {
			if err := e.preempt(tx, r, ahead); err != nil {
				return err
			}
			behind := fmt.Sprintf("behind #%d", ahead.run.Number)
			if r.Plan.WayBack && !ahead.run.Plan.WayBack {
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
		c.row.Holds, c.row.Owner, c.row.Lease = true, e.owner, now.Add(admitLease)
		return e.put(tx, c)
	})
	return held, err
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
		return decode(holder)
	}
	rows, err := tx.Runs(bot.RunFilter{Target: c.run.Ask.Target, State: bot.Queued, Limit: maxQueue})
	if err != nil {
		return nil, err
	}
	for _, row := range slices.Backward(rows) {
		if row.Number == c.run.Number || row.Slot != c.run.Plan.Slot {
			continue
		}
		other, err := decode(row)
		if err != nil {
			return nil, err
		}
		if other.run.Plan.WayBack != c.run.Plan.WayBack {
			if other.run.Plan.WayBack {
				return other, nil
			}
			continue
		}
		if other.run.Number < c.run.Number {
			return other, nil
		}
	}
	return nil, nil
}

// maxQueue bounds how many queued runs of one target are looked through.
const maxQueue = 200

// preempt asks the run in front of a way back to stop.
func (e *Engine) preempt(tx store.Tx, r *bot.Run, ahead *current) error {
	front := &ahead.run
	if !r.Plan.WayBack || front.Plan.WayBack || front.State != bot.Running || front.CancelBy != "" {
		return nil
	}
	front.CancelBy = r.Call.Who.Name()
	front.CancelAt = e.Clock.Now()
	front.Replaced = r.Number
	front.WakeAt = e.Clock.Now()
	front.State = bot.Cancelling
	if err := e.record(tx, front, bot.Record{Kind: bot.Step, Account: r.Call.Who.Account, Person: r.Call.Who.Person,
		Detail: map[string]string{"state": string(front.State), "by": fmt.Sprintf("run #%d", r.Number)}}); err != nil {
		return err
	}
	if err := e.show(tx, front); err != nil {
		return err
	}
	return e.put(tx, ahead)
}

// verify checks everything that must hold at the moment of acting. When it
// does, the intent is committed; when facts changed, the run is planned anew,
// if mayReplan.
func (e *Engine) verify(ctx context.Context, c *current, mayReplan bool) error {
	r := &c.run
	if err := e.recheckRights(ctx, r); err != nil {
		return e.refuse(ctx, c, bot.Failed, bot.DeniedRecord, err)
	}
	if missing(r) != "" {
		return e.askAnew(ctx, c, r.Result)
	}
	wf, ok := e.Workflows(r.Plan.Spec.Kind)
	if !ok {
		return e.refuse(ctx, c, bot.Failed, bot.FailedKind, bot.Errorf(bot.Internal, "this version does not know %s", r.Plan.Spec.Kind))
	}
	obstacles, err := wf.Check(ctx, r.Plan.Spec, r.Plan.Preconditions)
	switch {
	case bot.KindOf(err) == bot.Conflict && mayReplan:
		return e.replan(ctx, c, bot.Sentence(err, r.Call.ID))
	case err != nil:
		return e.refuse(ctx, c, bot.Failed, bot.FailedKind, err)
	}
	if err := e.passObstacles(r, r.Call.Who, obstacles); err != nil {
		return e.refuse(ctx, c, bot.Failed, bot.DeniedRecord, err)
	}
	return e.intend(ctx, c, wf)
}

// recheckRights asks afresh who asker and approvers are now and what they may.
// Approvals that no longer count are dropped, with r.Result saying so; a denial
// of the asker is an Error.
func (e *Engine) recheckRights(ctx context.Context, r *bot.Run) error {
	asker, err := e.Directory.Recall(ctx, r.Call.Who.Account)
	if err != nil {
		return err
	}
	if asker.Person != r.Call.Who.Person {
		return bot.Errorf(bot.Denied, "%s no longer belongs to %s", r.Call.Who.Account, r.Call.Who.Person)
	}
	if err := e.decide(r, asker); err != nil {
		return err
	}
	r.Result = ""
	var kept []bot.Approval
	var dropped []string
	for _, a := range r.Approvals {
		who, err := e.Directory.Recall(ctx, a.Account)
		if err != nil || who.Person != a.Person {
			dropped = append(dropped, a.Person)
			continue
		}
		a.Rules = e.approves(r, who)
		if len(a.Rules) == 0 {
			dropped = append(dropped, a.Person)
			continue
		}
		kept = append(kept, a)
	}
	r.Approvals = kept
	if len(dropped) > 0 {
		r.Result = fmt.Sprintf("the approval of %s no longer counts: the right to give it is gone", strings.Join(dropped, " and "))
	}
	return nil
}

// approves gives the indexes of the approval rules that who's yes counts
// towards. The asker's own never counts, whichever account it comes from.
func (e *Engine) approves(r *bot.Run, who bot.Identity) []int {
	if who.Person == "" || who.Person == r.Call.Who.Person || who.Account == r.Call.Who.Account {
		return nil
	}
	var rules []int
	for i, rule := range r.Decision.Needs.Approvals {
		req := bot.Request{Who: who, Permission: r.Ask.Permission, Resources: r.Plan.Spec.Resources, Channel: r.Call.Channel, At: e.Clock.Now()}
		if e.Policy.MayApprove(req, rule).Allowed {
			rules = append(rules, i)
		}
	}
	return rules
}

// replan plans the call anew because of why, while the slot is held. What
// people said to the old plan does not carry over.
func (e *Engine) replan(ctx context.Context, c *current, why string) error {
	r := &c.run
	cmd, ok := e.Commands(r.Call.Command)
	if !ok || cmd.Plan == nil {
		return e.refuse(ctx, c, bot.Failed, bot.FailedKind, bot.Errorf(bot.Internal, "this version does not know %q", r.Call.Command))
	}
	asker, err := e.Directory.Recall(ctx, r.Call.Who.Account)
	if err != nil {
		return e.refuse(ctx, c, bot.Failed, bot.FailedKind, err)
	}
	call := r.Call
	call.Who = asker
	plan, err := cmd.Plan(ctx, call)
	if err != nil {
		return e.refuse(ctx, c, bot.Failed, bot.FailedKind, err)
	}
	if plan.Noop != "" {
		r.Result = "nothing left to do: " + plan.Noop
		return e.refuse(ctx, c, bot.Cancelled, bot.CancelledKind, nil)
	}
	slot := r.Plan.Slot
	r.Plan = plan
	r.Plan.Slot = slot
	r.Digest = plan.Spec.Digest()
	r.Replan, r.Anew = false, ""
	r.Confirmed = time.Time{}
	if err := e.decide(r, asker); err != nil {
		return e.refuse(ctx, c, bot.Failed, bot.DeniedRecord, err)
	}
	if why != "" && !plan.WayBack {
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
		r.Result = ""
		r.Progress = bot.Progress{}
		if why != "" {
			r.Plan.Warnings = append([]string{"asked anew: " + why}, r.Plan.Warnings...)
		}
		c.row.Holds, c.row.Owner, c.row.Lease = false, "", time.Time{}
		if err := e.record(tx, r, bot.Record{Kind: bot.Step, Detail: map[string]string{"state": string(bot.Waiting), "why": why, "needs": needsText(r.Decision)}}); err != nil {
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

// intend commits the intent to act. Only after it may anything be started.
func (e *Engine) intend(ctx context.Context, c *current, wf bot.Workflow) error {
	r := &c.run
	task := bot.Task{Key: fmt.Sprintf("run-%d-%s", r.Number, r.Call.ID), Actor: r.Call.Who.Person, Reason: r.Call.Reason}
	handle, err := wf.Begin(r.Plan.Spec, task)
	if err != nil {
		return e.refuse(ctx, c, bot.Failed, bot.FailedKind, err)
	}
	err = e.update(ctx, c, func(tx store.Tx, c *current) error {
		r := &c.run
		r.State, r.Handle, r.Started, r.WakeAt = bot.Running, handle, e.Clock.Now(), e.Clock.Now()
		r.Step, r.Attempt, r.InCall, r.Acted = 0, 0, false, false
		r.Progress, r.Result = bot.Progress{State: bot.OpPending}, ""
		c.row.Owner, c.row.Lease = "", time.Time{}
		detail := map[string]string{"summary": r.Plan.Summary, "key": handle.Key}
		var by []string
		for _, a := range r.Approvals {
			by = append(by, a.Person)
		}
		if len(by) > 0 {
			detail["approved_by"] = strings.Join(by, ", ")
		}
		if err := e.record(tx, r, bot.Record{Kind: bot.Started, Detail: detail}); err != nil {
			return err
		}
		if err := e.show(tx, r); err != nil {
			return err
		}
		return e.put(tx, c)
	})
	if err != nil {
		return err
	}
	e.Reach("intent committed")
	return nil
}

// refuse ends a run before anything was started, saying why.
func (e *Engine) refuse(ctx context.Context, c *current, state bot.RunState, kind bot.RecordKind, why error) error {
	if why != nil {
		if k := bot.KindOf(why); k == bot.Internal {
			e.Logger.Error("run not started", "run", c.run.Number, "request", c.run.Call.ID, "err", why)
		}
		c.run.Result = bot.Sentence(why, c.run.Call.ID)
	}
	// The reads' own deadline must not keep the end from being written.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), readTimeout)
	defer cancel()
	return e.update(ctx, c, func(tx store.Tx, c *current) error {
		return e.settle(tx, c, state, bot.Record{Kind: kind, Error: bot.KindOf(why)}, nil)
	})
}

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

// settle ends the run within tx: record, documents, state, slot and card share
// the commit.
func (e *Engine) settle(tx store.Tx, c *current, state bot.RunState, rec bot.Record, docs []bot.Document) error {
	r := &c.run
	r.State, r.Ended, r.InCall = state, e.Clock.Now(), false
	if rec.Detail == nil {
		rec.Detail = map[string]string{}
	}
	rec.Detail["state"] = string(state)
	if !r.Started.IsZero() {
		rec.Detail["started"] = "true"
	}
	if rec.Text == nil {
		rec.Text = map[string]string{}
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
	if err := e.put(tx, c); err != nil {
		return err
	}
	return e.wakeQueue(tx, r)
}

// wakeQueue makes the runs that wait for r's slot due now.
func (e *Engine) wakeQueue(tx store.Tx, r *bot.Run) error {
	rows, err := tx.Runs(bot.RunFilter{Target: r.Ask.Target, State: bot.Queued, Limit: maxQueue})
	if err != nil {
		return err
	}
	for _, row := range rows {
		if row.Number == r.Number || row.Slot != r.Plan.Slot {
			continue
		}
		other, err := decode(row)
		if err != nil {
			return err
		}
		other.run.WakeAt = e.Clock.Now()
		if r.Plan.WayBack {
			// Somebody went back while this waited: it must not undo that by itself.
			other.run.Replan, other.run.Anew = true, fmt.Sprintf("#%d went back to an earlier release meanwhile", r.Number)
		}
		if err := e.put(tx, other); err != nil && !errors.Is(err, errStale) {
			return err
		}
	}
	return nil
}
