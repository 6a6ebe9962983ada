package run

import (
	"fmt"
	"strings"

	"quarterdeck/bot"
)

// Advice is given to those alone who may follow it: what is refused when it is
// typed costs the minute in which it was needed.

func (e *Engine) mayOverride(r *bot.Run, who bot.Identity, o bot.Obstacle) bot.Decision {
	req := e.request(r, who)
	req.Permission = o.Permission
	return e.Policy.Decide(req)
}

// passes says how the obstacle is passed, and by whom where that is not who.
func (e *Engine) passes(r *bot.Run, who bot.Identity, o bot.Obstacle) string {
	holder := "a holder of " + string(o.Permission)
	if e.mayOverride(r, who, o).Allowed {
		holder = "you"
	}
	return fmt.Sprintf("; %s may pass this with --override \"why\"", holder)
}

// remedy says what who may type to end the obstacle, or whom to ask for it; "" for
// nothing.
func (e *Engine) remedy(r *bot.Run, who bot.Identity, o bot.Obstacle) string {
	if o.Remedy.Line == "" {
		return ""
	}
	req := e.request(r, who)
	req.Permission, req.Resources = o.Remedy.Permission, []bot.Resource{o.Remedy.Resource}
	if !e.Policy.Decide(req).Allowed {
		return fmt.Sprintf("; a holder of %s can %s", o.Remedy.Permission, strings.TrimPrefix(o.Remedy.Does, "to "))
	}
	return fmt.Sprintf("; %s: %s", o.Remedy.Does, o.Remedy.Line)
}

// showNext adds to the card of a run that acted and did not succeed what its
// asker may do about it, and where the rest of it is told.
func (e *Engine) showNext(r *bot.Run, card *bot.Card) {
	if !r.Acted || r.State != bot.Failed && r.State != bot.RolledBack && r.State != bot.Unknown {
		return
	}
	if r.State != bot.RolledBack && r.Plan.Undo != "" && !r.Plan.WayBack && e.mayUndo(r) {
		card.Fields = append(card.Fields, bot.Field{Name: "to go back", Value: r.Plan.Undo})
		if line, typed := strings.CutPrefix(r.Plan.Undo, "rollback "); typed {
			card.Buttons = append(card.Buttons, bot.Button{Label: "Roll back", Line: "rollback " + line, Danger: true})
		}
	}
	card.Fields = append(card.Fields, bot.Field{Name: "more", Value: fmt.Sprintf("run %d", r.Number)})
}

// mayUndo reports whether the run's asker may type its undo. One by another verb
// than rollback takes what the run itself took.
func (e *Engine) mayUndo(r *bot.Run) bool {
	req := e.request(r, r.Call.Who)
	if strings.HasPrefix(r.Plan.Undo, "rollback ") {
		req.Permission = bot.MayRollback
	}
	return e.Policy.Decide(req).Allowed
}

// showPassed adds to the card of a run what it passes, and why: who looks at it
// must not take it for an ordinary one.
func showPassed(r *bot.Run, card *bot.Card) {
	if r.State == bot.Waiting || broken(r) || len(r.Plan.Obstacles) == 0 || r.Started.IsZero() && r.State.Settled() {
		return
	}
	for _, o := range r.Plan.Obstacles {
		card.Fields = append(card.Fields, bot.Field{Name: "overrides", Value: o.Text})
	}
	if r.Call.Override != "" {
		card.Fields = append(card.Fields, bot.Field{Name: "override", Value: r.Call.Override})
	}
}

// judged adds to the card of a dry run what stands in its way, or else what it
// would need. What would be refused as it was typed is told as a refusal is.
func (e *Engine) judged(r *bot.Run, card *bot.Card) {
	needs := needsText(r.Decision)
	if e.passObstacles(r, r.Call.Who, r.Plan.Obstacles) == nil {
		for _, o := range r.Plan.Obstacles {
			if r.Call.Override == "" { // else the plan's card has it
				card.Fields = append(card.Fields, bot.Field{Name: "overrides", Value: o.Text})
			}
		}
		card.Fields = append(card.Fields, bot.Field{Name: "would need", Value: needs})
		return
	}
	card.Outcome, card.Tone = bot.OutcomeDenied, bot.Warning
	for _, o := range r.Plan.Obstacles {
		how := e.remedy(r, r.Call.Who, o)
		if o.Permission != "" {
			how = e.passes(r, r.Call.Who, o)
		}
		card.Fields = append(card.Fields, bot.Field{Name: "in the way", Value: o.Text + how})
	}
	if !r.Decision.Needs.None() {
		card.Fields = append(card.Fields, bot.Field{Name: "also needs", Value: needs})
	}
}
