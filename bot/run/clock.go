package run

import (
	"fmt"

	"quarterdeck/bot"
	"quarterdeck/bot/store"
)

// tellOfClock posts a message of its own when what the clock asked for ends
// without success: its card is edited in place, perhaps hours after it was
// posted, and nobody waits for it.
func (e *Engine) tellOfClock(tx store.Tx, r *bot.Run) error {
	if !r.Call.Who.Account.IsClock() {
		return nil
	}
	switch r.State {
	case bot.Failed, bot.RolledBack, bot.Unknown, bot.Expired:
	default: // all is well, or somebody cancelled it and knows
		return nil
	}
	card := bot.Card{Run: r.Number, State: r.State, Tone: bot.Bad, Outcome: bot.OutcomeFailed, Text: r.Result,
		Title:  fmt.Sprintf("#%d %s: %s", r.Number, r.State.Word(), r.Call.Line),
		Footer: "asked for by " + r.Call.Who.Person}
	if r.State == bot.Unknown {
		card.Outcome = bot.OutcomeUnknown
	}
	for _, p := range r.Places {
		if p.Thread == "" {
			card.About = &bot.Shown{Channel: p.Channel, Key: bot.RunCardKey(r.Number)}
			return e.post(tx, bot.Place{Channel: p.Channel}, card)
		}
	}
	return nil
}
