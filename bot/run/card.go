package run

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/store"
)

// show enqueues the run's card, in a new version, to every place it is shown.
// The run must be put afterwards.
func (e *Engine) show(tx store.Tx, r *bot.Run) error {
	r.Card++
	card := e.runCard(r)
	if err := e.bindButtons(tx, r, &card); err != nil {
		return err
	}
	for _, p := range r.Places {
		card := card
		if p.Ends && r.State == bot.Cancelled || p.Reviews {
			card.Outcome = bot.OutcomeOK // here, that is what was asked for
		}
		if err := e.post(tx, p, card); err != nil {
			return err
		}
	}
	return nil
}

// post enqueues a card to one place.
func (e *Engine) post(tx store.Tx, p bot.Place, card bot.Card) error {
	card.ReplyTo = p.ReplyTo
	card = card.Each(e.Recorder.Redact)
	body, err := json.Marshal(card)
	if err != nil {
		return fmt.Errorf("encode card %s: %w", card.Key, err)
	}
	now := e.Clock.Now()
	_, err = tx.Enqueue(store.Outgoing{Channel: p.Channel, Thread: p.Thread, Key: card.Key, Version: card.Version, Card: body, Created: now, NextAt: now})
	return err
}

// standing says in words how a run stands, for sentences.
func standing(r *bot.Run) string {
	switch {
	case r.State == bot.Waiting && missing(r) == "confirm":
		return "waiting for the confirmation of " + r.Call.Who.Person
	case r.State == bot.Waiting:
		return "waiting for " + approvalsText(r)
	}
	return string(r.State)
}

// approvalsText says which approvals are still open.
func approvalsText(r *bot.Run) string {
	var parts []string
	for i, rule := range r.Decision.Needs.Approvals {
		if left := rule.Count - len(counted(r, i)); left > 0 {
			parts = append(parts, ruleText(left, rule.From))
		}
	}
	s := strings.Join(parts, " and ")
	if s != "" && r.Decision.Needs.StepUp {
		s += ", with a code"
	}
	return s
}

func ruleText(count int, from []string) string {
	noun := "approvals"
	if count == 1 {
		noun = "approval"
	}
	s := fmt.Sprintf("%d %s", count, noun)
	if len(from) > 0 {
		s += " from " + strings.Join(from, " or ")
	}
	return s
}

// needsText says what a decision asks for before the action runs.
func needsText(d bot.Decision) string {
	var parts []string
	if d.Needs.Confirm && askerShows(d.Needs) {
		parts = append(parts, "your confirmation with a code")
	} else if d.Needs.Confirm {
		parts = append(parts, "your confirmation")
	} else if askerShows(d.Needs) {
		parts = append(parts, "a code of yours")
	}
	for _, rule := range d.Needs.Approvals {
		s := ruleText(rule.Count, rule.From)
		if d.Needs.StepUp {
			s += " with a code"
		}
		parts = append(parts, s)
	}
	if d.Needs.Reason {
		parts = append(parts, "a reason")
	}
	if len(d.Needs.Ticket) > 0 {
		parts = append(parts, "a ticket in the reason")
	}
	if len(parts) == 0 {
		return "nothing more"
	}
	return strings.Join(parts, ", then ")
}

// planCard shows what would be done.
func planCard(r *bot.Run) bot.Card {
	card := bot.Card{Run: r.Number, State: r.State, Fields: append([]bot.Field(nil), r.Plan.Preview...)}
	if r.Call.Reason != "" {
		card.Fields = append(card.Fields, bot.Field{Name: "why", Value: r.Call.Reason})
	}
	if r.Call.Override != "" && len(r.Plan.Obstacles) > 0 {
		for _, o := range r.Plan.Obstacles {
			card.Fields = append(card.Fields, bot.Field{Name: "overrides", Value: o.Text})
		}
		card.Fields = append(card.Fields, bot.Field{Name: "override", Value: r.Call.Override})
	}
	for _, w := range r.Plan.Warnings {
		card.Fields = append(card.Fields, bot.Field{Name: "mind", Value: w})
	}
	if r.Plan.Undo != "" {
		card.Fields = append(card.Fields, bot.Field{Name: "undo", Value: r.Plan.Undo})
	}
	if broken(r) {
		card.Fields = append(card.Fields, bot.Field{Name: "break-glass", Value: r.Call.BreakGlass}, bot.Field{Name: "does without", Value: without(r)})
	}
	return card
}

// runCard draws a run as it stands.
func (e *Engine) runCard(r *bot.Run) bot.Card {
	title := func(format string, args ...any) string {
		return fmt.Sprintf("#%d %s: ", r.Number, r.Plan.Summary) + fmt.Sprintf(format, args...)
	}
	card := bot.Card{Run: r.Number, State: r.State, Phase: bot.PhaseWorking, Outcome: bot.OutcomeOK, Tone: bot.Working}
	number := fmt.Sprint(r.Number)
	switch r.State {
	case bot.Waiting:
		card = planCard(r)
		card.Phase, card.Outcome, card.Tone = bot.PhaseWaiting, bot.OutcomeWaiting, bot.Question
		until := r.Expires.Sub(e.Clock.Now()).Round(time.Second)
		if missing(r) == "confirm" {
			card.Title = title("confirm?")
			if later := approvalsText(r); later != "" {
				card.Fields = append(card.Fields, bot.Field{Name: "then", Value: later})
			}
			card.Buttons = []bot.Button{{Label: "Confirm", Line: "confirm " + number, Danger: true, Code: askerShows(r.Decision.Needs)}, {Label: "Cancel", Line: "cancel " + number}}
		} else {
			card.Title = title("waits for %s", approvalsText(r))
			if e.mayBreakGlass(r, r.Call.Who).Allowed {
				how := r.Call.Line + ` --break-glass "why"`
				if r.Decision.Needs.StepUp {
					how += " --code 123456"
				}
				card.Fields = append(card.Fields, bot.Field{Name: "cannot wait?", Value: how + ", and it is reviewed after"})
			}
			card.Buttons = []bot.Button{{Label: "Approve", Line: "approve " + number, Danger: true, Code: r.Decision.Needs.StepUp, Not: r.Call.Who.Account}, {Label: "Deny", Line: "deny " + number}}
		}
		card.Footer = "expires in " + strings.Replace(until.String(), "m0s", "m", 1)
	case bot.Queued:
		if r.Pending() {
			pendingCard(r, &card)
			break
		}
		card.Title = title("queued")
		if r.Progress.Text == "" { // nothing is ahead of it
			card.Title = title("starting")
		}
		card.Text = r.Progress.Text
		card.Buttons = []bot.Button{{Label: "Cancel", Line: "cancel " + number}}
	case bot.Running:
		card.Title = title("running")
		if r.Aside { // it may be for hours, and nobody needs to wait for it
			card.Title, card.Phase = title("under way"), bot.PhaseDone
			card.Fields = append(card.Fields, bot.Field{Name: "to stop it here", Value: "cancel " + number})
		}
		card.Progress = &bot.Gauge{Percent: r.Progress.Percent, Text: r.Progress.Text}
		card.Link = r.Progress.Link
		card.Buttons = []bot.Button{{Label: "Cancel", Line: "cancel " + number}}
	case bot.Cancelling:
		card.Title = title("being cancelled by %s", r.CancelBy)
		card.Progress = &bot.Gauge{Percent: r.Progress.Percent, Text: r.Progress.Text}
		card.Tone = bot.Warning
	case bot.Succeeded:
		card = settledCard(r, title("done"), bot.OutcomeOK, bot.Good)
		if r.Plan.Undo != "" {
			card.Fields = append(card.Fields, bot.Field{Name: "undo", Value: r.Plan.Undo})
		}
		if r.Plan.Undo != "" && !r.Plan.WayBack && !goesBack(r) { // to undo a way back takes more thought than a tap
			label := "Undo"
			if strings.HasPrefix(r.Plan.Undo, "rollback ") {
				label = "Roll back"
			}
			card.Buttons = []bot.Button{{Label: label, Line: r.Plan.Undo, Danger: true}}
		}
	case bot.Failed:
		card = settledCard(r, title("failed"), bot.OutcomeFailed, bot.Bad)
	case bot.RolledBack:
		card = settledCard(r, title("failed, the old release is back"), bot.OutcomeFailed, bot.Bad)
	case bot.Cancelled:
		if r.Plan.Noop != "" { // what was wanted is so
			card = settledCard(r, title("nothing left to do"), bot.OutcomeOK, bot.Plain)
			break
		}
		card = settledCard(r, title("cancelled"), bot.OutcomeFailed, bot.Warning)
	case bot.Expired:
		card = settledCard(r, title("expired"), bot.OutcomeFailed, bot.Warning)
	case bot.Unknown:
		card = settledCard(r, title("unknown, please look"), bot.OutcomeUnknown, bot.Bad)
	}
	if r.Acted {
		for _, part := range r.Progress.Parts {
			card.Fields = append(card.Fields, bot.Field{Name: part.Name, Value: part.Text})
		}
	}
	showPassed(r, &card)
	e.showNext(r, &card)
	if r.Broke {
		e.showBroken(r, &card)
	}
	twice(r, &card)
	card.Key, card.Version, card.Run, card.State = bot.RunCardKey(r.Number), r.Card, r.Number, r.State
	card.Footer = strings.Join(nonEmpty(card.Footer, e.who(r)), "; ")
	return card
}

// goesBack reports whether an automatic return leaves a release.
func goesBack(r *bot.Run) bool { return r.Plan.Returning && r.Call.Command == "rollback" }

// twice has whoever presses a button that changes something asked once more, where
// the rules ask for a confirmation before anything changes there. The
// confirmation itself is that second tap already.
func twice(r *bot.Run, card *bot.Card) {
	if !r.Decision.Needs.Confirm {
		return
	}
	for i := range card.Buttons {
		b := &card.Buttons[i]
		b.Twice = b.Danger && !strings.HasPrefix(b.Line, string(bot.AnswerConfirm)+" ")
	}
}

// pendingCard shows a sequel: nobody needs to wait for it or to answer.
func pendingCard(r *bot.Run, card *bot.Card) {
	card.Title = fmt.Sprintf("#%d %s: comes at %s", r.Number, r.Plan.Summary, bot.Moment(r.NotBefore))
	card.Text = strings.Join(nonEmpty(fmt.Sprintf("follows #%d by itself", r.Parent), r.Progress.Text), "; ")
	card.Fields = append([]bot.Field(nil), r.Plan.Preview...)
	card.Phase, card.Tone = bot.PhaseDone, bot.Plain
	card.Buttons = []bot.Button{{Label: "Do not", Line: fmt.Sprintf("cancel %d", r.Number)}}
}

func settledCard(r *bot.Run, title string, o bot.Outcome, t bot.Tone) bot.Card {
	card := bot.Card{Title: title, Text: r.Result, Outcome: o, Tone: t, Link: r.Progress.Link}
	if !r.Decision.Allowed {
		card.Outcome = bot.OutcomeDenied
		if !strings.HasPrefix(card.Text, "denied") {
			card.Text = "denied: " + card.Text
		}
	}
	if t == bot.Bad || r.Plan.Shows {
		card.Lines = r.Tail
	}
	return card
}

// who says who stands behind a run.
func (e *Engine) who(r *bot.Run) string {
	s := "asked by " + r.Call.Who.Name()
	if r.Parent != 0 {
		s = fmt.Sprintf("by itself after #%d, asked by %s", r.Parent, r.Call.Who.Name())
	}
	var yes []string
	for _, a := range r.Approvals {
		if a.Digest == r.Digest {
			yes = append(yes, named(a.Person, a.Factor))
		}
	}
	if len(yes) > 0 {
		s += ", approved by " + strings.Join(yes, " and ")
	}
	if !r.Started.IsZero() && !r.Ended.IsZero() {
		s += ", took " + r.Ended.Sub(r.Started).Round(100*time.Millisecond).String()
	}
	return s
}

func nonEmpty(parts ...string) []string {
	var kept []string
	for _, p := range parts {
		if p != "" {
			kept = append(kept, p)
		}
	}
	return kept
}
