package run

import (
	"context"

	"quarterdeck/bot"
)

// maxAwaiting bounds how many runs are looked at for what waits for somebody.
const maxAwaiting = 200

// Awaiting gives the cards of at most limit runs that wait for an answer of who,
// newest first: their own to confirm, others' to approve, and what was done by
// break-glass for them to review. Each has the buttons that its card offers
// elsewhere, with the same tokens, so that an answer disarms it everywhere.
func (e *Engine) Awaiting(ctx context.Context, who bot.Identity, limit int) ([]bot.Card, error) {
	if !who.Known() {
		return nil, nil
	}
	waiting, err := e.Runs(ctx, bot.RunFilter{Open: true, State: bot.Waiting, Limit: maxAwaiting})
	if err != nil {
		return nil, err
	}
	review, err := e.Runs(ctx, bot.RunFilter{ToReview: true, Limit: maxAwaiting})
	if err != nil {
		return nil, err
	}
	now := e.Clock.Now()
	var cards []bot.Card
	for _, r := range append(waiting, review...) {
		if len(cards) >= limit {
			break
		}
		mine := r.Call.Who.Person == who.Person
		awaited := false
		switch {
		case r.State.Settled():
			awaited = e.mayReview(&r, who).Allowed
		case r.State != bot.Waiting || !now.Before(r.Expires):
		case missing(&r) == "confirm":
			awaited = mine
		default:
			awaited = !mine && len(e.approves(&r, who)) > 0 && !approvedBy(&r, who)
		}
		if awaited {
			cards = append(cards, e.armed(&r, who))
		}
	}
	return cards, nil
}

func approvedBy(r *bot.Run, who bot.Identity) bool {
	for _, a := range r.Approvals {
		if a.Person == who.Person && a.Digest == r.Digest {
			return true
		}
	}
	return false
}

// armed draws the run's card for who alone, with those buttons that have a token
// already: it is written nowhere, so none can be made.
func (e *Engine) armed(r *bot.Run, who bot.Identity) bot.Card {
	card := e.runCard(r)
	var buttons []bot.Button
	for _, b := range card.Buttons {
		if token := r.Tokens[r.Digest+" "+b.Line]; token != "" && (b.Not == "" || b.Not != who.Account) {
			b.Token = token
			buttons = append(buttons, b)
		}
	}
	card.Buttons = buttons
	return card
}
