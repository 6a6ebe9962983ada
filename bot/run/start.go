package run

import (
	"context"
	"errors"
	"fmt"
	"regexp"
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
	plan, err := cmd.Plan(ctx, c)
	if err != nil {
		return err
	}
	if plan.Noop != "" || c.DryRun {
		return e.answerOnly(ctx, c, ask, plan)
	}
	cur := &current{run: bot.Run{Call: c, Ask: ask, Plan: plan, Created: e.Clock.Now()}}
	r := &cur.run
	r.Places = []bot.Place{{Channel: c.Channel, Thread: c.Thread, ReplyTo: c.Message}}
	if err := e.decide(r, c.Who); err != nil {
		return err
	}
	return e.create(ctx, cur)
}

// decide asks the policy about the run's plan, checks the reason, the ticket
// and the obstacles, and notes the decision. Denials are Errors of kind Denied.
func (e *Engine) decide(r *bot.Run, who bot.Identity) error {
	at := e.Clock.Now()
	d := e.Policy.Decide(bot.Request{Who: who, Permission: r.Ask.Permission, Resources: r.Plan.Spec.Resources, Channel: r.Call.Channel, At: at})
	r.Decision = d
	if !d.Allowed {
		return Refusal(d)
	}
	if d.Needs.Reason && r.Call.Reason == "" {
		return bot.Errorf(bot.Denied, "%s needs a reason (%s); add --reason \"why\"", r.Plan.Summary, d.Require)
	}
	for _, ticket := range d.Needs.Ticket {
		re, err := regexp.Compile(ticket)
		if err != nil || !re.MatchString(r.Call.Reason) {
			return bot.Errorf(bot.Denied, "%s needs a ticket in its reason that matches %s (%s); add --reason \"TICKET why\"", r.Plan.Summary, ticket, d.Require)
		}
	}
	return e.passObstacles(r, who, r.Plan.Obstacles)
}

// passObstacles lets an obstacle be passed by a way back, or by a holder of
// its permission who gave an override.
func (e *Engine) passObstacles(r *bot.Run, who bot.Identity, obstacles []bot.Obstacle) error {
	if r.Plan.WayBack {
		return nil
	}
	for _, o := range obstacles {
		if r.Call.Override == "" {
			return bot.Errorf(bot.Denied, "%s; a holder of %s may pass this with --override \"why\"", o.Text, o.Permission)
		}
		d := e.Policy.Decide(bot.Request{Who: who, Permission: o.Permission, Resources: r.Plan.Spec.Resources, Channel: r.Call.Channel, At: e.Clock.Now()})
		if !d.Allowed {
			return bot.Errorf(bot.Denied, "%s, and you may not override that: %s", o.Text, d.Because)
		}
	}
	return nil
}

// Refusal makes the error for a decision that says no.
func Refusal(d bot.Decision) *bot.Error {
	say := d.Because
	if d.Near != "" {
		say += "; " + d.Near
	}
	return &bot.Error{Op: d.Rule, Kind: bot.Denied, Say: say}
}

// create writes the run for the first time: the intent to do it, its card and
// the end of its message share one commit.
func (e *Engine) create(ctx context.Context, c *current) error {
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
		retyped, err := e.retyped(tx, &r)
		if err != nil {
			return err
		}
		if retyped != 0 {
			r.Decision.Needs.Confirm = true
			r.Plan.Warnings = append(r.Plan.Warnings, fmt.Sprintf("you asked for the same less than a minute ago: #%d", retyped))
		}
		now := e.Clock.Now()
		r.State, r.WakeAt = bot.Queued, now
		holder, busy, err := tx.SlotHolder(r.Plan.Slot)
		switch {
		case err != nil:
			return err
		case busy && !r.Plan.WayBack:
			r.Replan = true
			r.Progress.Text = fmt.Sprintf("behind #%d", holder.Number)
		case missing(&r) != "":
			e.wait(&r)
		}
		next := &current{run: r}
		if err := e.recordRequested(tx, &next.run); err != nil {
			return err
		}
		if err := e.show(tx, &next.run); err != nil {
			return err
		}
		if err := e.put(tx, next); err != nil {
			return err
		}
		return nil
	})
	if err != nil {
		return err
	}
	e.Posted()
	e.Wake()
	return nil
}

func (e *Engine) recordRequested(tx store.Tx, r *bot.Run) error {
	text := map[string]string{"line": r.Call.Line}
	if r.Call.Reason != "" {
		text["reason"] = r.Call.Reason
	}
	detail := map[string]string{"summary": r.Plan.Summary, "state": string(r.State), "message": r.Call.Message}
	if r.Decision.Require != "" {
		detail["require"] = r.Decision.Require
	}
	if err := e.record(tx, r, bot.Record{Kind: bot.Requested, Message: r.Call.Message, Text: text, Detail: detail}); err != nil {
		return err
	}
	if len(r.Plan.Obstacles) == 0 {
		return nil
	}
	var passed []string
	for _, o := range r.Plan.Obstacles {
		passed = append(passed, o.Text)
	}
	reason := r.Call.Override
	if reason == "" {
		reason = "a way back passes"
	}
	return e.record(tx, r, bot.Record{Kind: bot.OverriddenKind,
		Text: map[string]string{"override": reason}, Detail: map[string]string{"passed": strings.Join(passed, "; ")}})
}

// retyped gives the run that the same person asked for with the same line
// within the last minute, or 0.
func (e *Engine) retyped(tx store.Tx, r *bot.Run) (int64, error) {
	rows, err := tx.Runs(bot.RunFilter{Target: r.Ask.Target, Limit: 10})
	if err != nil {
		return 0, err
	}
	for _, row := range rows {
		if row.Person != r.Call.Who.Person || r.Created.Sub(row.Created) >= retypeWindow {
			continue
		}
		c, err := decode(row)
		if err != nil {
			return 0, err
		}
		if c.run.Call.Line == r.Call.Line {
			return c.run.Number, nil
		}
	}
	return 0, nil
}

// wait puts the run into waiting for whoever it needs, with its deadline.
func (e *Engine) wait(r *bot.Run) {
	life := e.ApprovalExpires
	if r.Decision.Needs.Confirm && r.Confirmed.IsZero() {
		life = e.ConfirmExpires
	}
	r.State = bot.Waiting
	r.Expires = e.Clock.Now().Add(life)
	r.WakeAt = r.Expires
}

// missing says what the run still needs from people: "confirm", "approve" or
// "" for nothing. An asker confirms before anybody is asked to approve.
func missing(r *bot.Run) string {
	if r.Decision.Needs.Confirm && r.Confirmed.IsZero() {
		return "confirm"
	}
	if len(unmet(r)) > 0 {
		return "approve"
	}
	return ""
}

// unmet gives the approval rules that the approvals so far do not meet. Which
// role an approver held was checked when the approval was taken, and is checked
// again when acting; here only people are counted.
func unmet(r *bot.Run) []bot.ApprovalRule {
	var open []bot.ApprovalRule
	for i, rule := range r.Decision.Needs.Approvals {
		if len(counted(r, i)) < rule.Count {
			open = append(open, rule)
		}
	}
	return open
}

// counted gives the approvals of the present digest that count towards rule i.
func counted(r *bot.Run, i int) []bot.Approval {
	var yes []bot.Approval
	for _, a := range r.Approvals {
		if a.Digest != r.Digest {
			continue
		}
		for _, n := range a.Rules {
			if n == i {
				yes = append(yes, a)
			}
		}
	}
	return yes
}

// answerOnly answers a dry run, or a call with nothing to do, and records it
// as a read.
func (e *Engine) answerOnly(ctx context.Context, c bot.Call, ask bot.Ask, plan bot.Plan) error {
	r := bot.Run{Call: c, Ask: ask, Plan: plan, Digest: plan.Spec.Digest()}
	card := planCard(&r)
	card.Outcome, card.Tone = bot.OutcomeOK, bot.Plain
	switch {
	case plan.Noop != "":
		card = bot.Card{Title: "nothing to do: " + plan.Noop, Outcome: bot.OutcomeOK}
	default:
		card.Title = "dry run, nothing was done: " + plan.Summary
		dec := e.Policy.Decide(bot.Request{Who: c.Who, Permission: ask.Permission, Resources: plan.Spec.Resources, Channel: c.Channel, At: c.At})
		card.Fields = append(card.Fields, bot.Field{Name: "would need", Value: needsText(dec)})
		for _, o := range plan.Obstacles {
			card.Fields = append(card.Fields, bot.Field{Name: "in the way", Value: o.Text})
		}
	}
	card.Key, card.ReplyTo = "reply/"+c.Message, c.Message
	err := e.Store.Update(ctx, func(tx store.Tx) error {
		if done, err := tx.Finish(c.Message); err != nil {
			return err
		} else if !done {
			return ErrHandled
		}
		rec := bot.Record{Kind: bot.SucceededKind, Read: true, Message: c.Message,
			Text: map[string]string{"line": c.Line}, Detail: map[string]string{"answer": card.Title}}
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
