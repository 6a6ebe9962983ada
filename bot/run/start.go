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

// ErrHandled says that the message behind a call was acted on already, by a
// redelivery or by another process; there is nothing more to do or to say.
var ErrHandled = errors.New("the message was acted on already")

// retypeWindow is how long the same line of the same person asks first.
const retypeWindow = time.Minute

// Start plans an allowed call and makes it a run, or answers why not. The
// message is marked as acted on in the same commit. Its errors are for the
// caller to record and to answer with; nothing was written then.
func (e *Engine) Start(ctx context.Context, c bot.Call, ask bot.Ask, cmd bot.Command) error {
	plan, err := planned(ctx, cmd, c)
	if err != nil {
		return err
	}
	if plan.Noop != "" && (c.DryRun || plan.Slot == "") {
		return e.answerOnly(ctx, c, ask, plan)
	}
	if plan, err = e.guardedPlan(ctx, c, ask, plan); err != nil {
		return err
	}
	if c.DryRun {
		return e.answerOnly(ctx, c, ask, plan)
	}
	cur := &current{run: bot.Run{Call: c, Ask: ask, Plan: plan, Created: e.Clock.Now()}}
	r := &cur.run
	r.Places = []bot.Place{{Channel: c.Channel, Thread: c.Thread, ReplyTo: c.Message}}
	if plan.Noop != "" {
		// Should somebody be ahead, it is planned and decided on in its turn.
		if r.Decision = e.Policy.Decide(e.request(r, c.Who)); !r.Decision.Allowed {
			return Refusal(r.Decision)
		}
		r.Plan.Obstacles = nil
	} else {
		if err := e.decide(r, c.Who); err != nil {
			return err
		}
		if err := e.passObstacles(r, c.Who, r.Plan.Obstacles); err != nil {
			return err
		}
	}
	if err := e.create(ctx, cur); !errors.Is(err, errNoop) {
		return err
	}
	return e.answerOnly(ctx, c, ask, plan)
}

// guardedPlan gives the plan with what stands against it now among its
// obstacles.
func (e *Engine) guardedPlan(ctx context.Context, c bot.Call, ask bot.Ask, plan bot.Plan) (bot.Plan, error) {
	if e.Guards == nil {
		return plan, nil
	}
	err := e.Store.View(ctx, func(rd store.Reader) error {
		obstacles, err := e.Guards(rd, &bot.Run{Call: c, Ask: ask, Plan: plan}, e.Clock.Now())
		plan.Obstacles = append(slices.Clip(plan.Obstacles), obstacles...)
		return err
	})
	return plan, err
}

// errNoop says that there is nothing to do and nothing to wait for.
var errNoop = errors.New("there is nothing to do")

// planned lets the command plan.
func planned(ctx context.Context, cmd bot.Command, c bot.Call) (plan bot.Plan, err error) {
	err = guarded(cmd.Name+".plan", func() (err error) {
		plan, err = cmd.Plan(ctx, c)
		return err
	})
	return plan, err
}

// create writes the run for the first time: the intent to do it, its card and
// the end of its message share one commit.
func (e *Engine) create(ctx context.Context, c *current) error {
	var created int64
	err := e.Store.Update(ctx, func(tx store.Tx) error {
		r := c.run // a copy, since f may run again
		if done, err := tx.Finish(r.Call.Message); err != nil {
			return err
		} else if !done {
			return ErrHandled
		}
		number, err := tx.NextRun()
		if err != nil {
			return err
		}
		r.Number = number
		r.Digest = r.Plan.Spec.Digest()
		if err := e.newest(tx, &r); err != nil {
			return err
		}
		retyped, err := e.retyped(tx, &r)
		if err != nil {
			return err
		}
		again := ""
		if retyped != 0 {
			again = fmt.Sprintf("you asked for the same less than a minute ago: #%d", retyped)
			r.Decision.Needs.Confirm = true
			r.Plan.Warnings = append(slices.Clip(r.Plan.Warnings), again)
		}
		r.State, r.WakeAt = bot.Queued, e.Clock.Now()
		next := &current{run: r}
		ahead, err := e.ahead(tx, next)
		switch {
		case err != nil:
			return err
		case ahead != nil && !r.Plan.WayBack:
			next.run.Replan, next.run.Anew = true, again
			next.run.Progress.Text = fmt.Sprintf("behind #%d", ahead.run.Number)
		case r.Plan.Noop != "":
			return errNoop // with somebody ahead, it may be otherwise when its turn comes
		case missing(&r) != "":
			e.wait(&next.run)
		}
		if err := e.recordRequested(tx, &next.run); err != nil {
			return err
		}
		if err := e.show(tx, &next.run); err != nil {
			return err
		}
		if err := e.put(tx, next); err != nil {
			return err
		}
		created = number
		return e.takeOver(tx, &next.run)
	})
	if err != nil {
		return err
	}
	e.own(created)
	e.Posted()
	e.Wake()
	return nil
}

func (e *Engine) recordRequested(tx store.Tx, r *bot.Run) error {
	text := map[string]string{"line": r.Call.Line, "summary": r.Plan.Summary}
	if r.Call.Reason != "" {
		text["reason"] = r.Call.Reason
	}
	detail := map[string]string{"message": r.Call.Message}
	if r.Decision.Require != "" {
		detail["require"] = r.Decision.Require
	}
	if r.Call.Factor != bot.NoFactor {
		detail[detailFactor] = string(r.Call.Factor)
	}
	if r.Call.BreakGlass != "" {
		detail[detailBroke], text["break_glass"] = "true", r.Call.BreakGlass
	}
	if err := e.record(tx, r, bot.Record{Kind: bot.Requested, Message: r.Call.Message, Text: text, Detail: detail}); err != nil {
		return err
	}
	return e.recordPassed(tx, r, r.Plan.Obstacles)
}

// recordPassed records that obstacles, if there are any, were overridden.
func (e *Engine) recordPassed(tx store.Tx, r *bot.Run, obstacles []bot.Obstacle) error {
	if len(obstacles) == 0 || broken(r) && r.Call.Override == "" {
		return nil // by break-glass: recordBroken tells of everything at once
	}
	var passed []string
	for _, o := range obstacles {
		passed = append(passed, o.Text)
	}
	reason := r.Call.Override
	switch {
	case reason != "":
	case r.Plan.Returning:
		reason = fmt.Sprintf("an automatic return passes, as #%d announced", r.Parent)
	default:
		reason = "a way back passes"
	}
	return e.record(tx, r, bot.Record{Kind: bot.OverriddenKind,
		Text: map[string]string{"override": reason, "passed": strings.Join(passed, "; ")}})
}

// newest refuses a line that came from the button of a run which is not the
// last one that changed what r is about: "Roll back" on an old card is not
// meant for what is live now.
func (e *Engine) newest(tx store.Tx, r *bot.Run) error {
	if r.Call.Bound == "" {
		return nil
	}
	rows, err := tx.Runs(bot.RunFilter{Target: r.Ask.Target, Limit: maxQueue})
	if err != nil {
		return err
	}
	var last *bot.Run
	for _, row := range rows {
		if row.Slot != r.Plan.Slot {
			continue
		}
		c, err := e.another(row)
		if err != nil {
			return err
		}
		if c.run.Acted && (last == nil || c.run.Started.After(last.Started)) {
			last = &c.run
		}
	}
	switch {
	case last == nil:
		return bot.Errorf(bot.Conflict, "the run of that button is long over; type the command instead: %s", r.Call.Line)
	case last.Digest != r.Call.Bound:
		return bot.Errorf(bot.Conflict, "#%d changed %s since that button was shown; type the command if it is still wanted: %s", last.Number, r.Ask.Target, r.Call.Line)
	}
	return nil
}

// retyped gives the run that the same person asked for with the same line
// within the last minute, or 0. Once something else was done there since, the
// line is meant anew: who deployed again after a rollback may go back again.
func (e *Engine) retyped(tx store.Tx, r *bot.Run) (int64, error) {
	if r.Call.Who.Account.IsClock() { // it does not type, and nobody could answer
		return 0, nil
	}
	rows, err := tx.Runs(bot.RunFilter{Target: r.Ask.Target, Limit: maxQueue})
	if err != nil {
		return 0, err
	}
	for _, row := range rows {
		if row.Slot != r.Plan.Slot || r.Created.Sub(row.Created) >= retypeWindow {
			continue
		}
		c, err := e.another(row)
		if err != nil {
			return 0, err
		}
		if row.Person == r.Call.Who.Person && c.run.Parent == 0 && c.run.Call.Line == r.Call.Line {
			return c.run.Number, nil
		}
		if c.run.Acted && c.run.State.Settled() {
			return 0, nil // newest first: this came after whatever else is found
		}
	}
	return 0, nil
}

// answerOnly answers a dry run, or a call with nothing to do, and records it
// as a read.
func (e *Engine) answerOnly(ctx context.Context, c bot.Call, ask bot.Ask, plan bot.Plan) error {
	r := bot.Run{Call: c, Ask: ask, Plan: plan}
	card := bot.Card{Title: "nothing to do: " + plan.Noop, Outcome: bot.OutcomeOK}
	if plan.Noop == "" {
		dec := e.Policy.Decide(bot.Request{Who: c.Who, Permission: ask.Permission, Resources: plan.Spec.Resources, Channel: c.Channel, At: c.At})
		if !dec.Allowed {
			return Refusal(dec)
		}
		r.Digest, r.Decision = plan.Spec.Digest(), dec
		if c.BreakGlass != "" {
			if err := e.breakGlass(&r, c.Who); err != nil {
				return err
			}
		}
		card = planCard(&r)
		card.Outcome, card.Tone = bot.OutcomeOK, bot.Plain
		card.Title = "dry run, nothing was done: " + plan.Summary
		e.judged(&r, &card)
	}
	card.Key, card.ReplyTo = "reply/"+c.Message, c.Message
	err := e.Store.Update(ctx, func(tx store.Tx) error {
		if done, err := tx.Finish(c.Message); err != nil {
			return err
		} else if !done {
			return ErrHandled
		}
		rec := bot.Record{Kind: bot.SucceededKind, Read: true, Message: c.Message,
			Text: map[string]string{"line": c.Line, "answer": card.Title}}
		if err := e.record(tx, &r, rec); err != nil {
			return err
		}
		return e.post(tx, bot.Place{Channel: c.Channel, Thread: c.Thread, ReplyTo: c.Message}, card)
	})
	if err == nil {
		e.Posted()
	}
	return err
}
