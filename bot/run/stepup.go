package run

import (
	"context"

	"quarterdeck/bot"
	"quarterdeck/bot/store"
)

// askerShows reports whether it is the asker who must show a second factor: the
// rules ask for one, and for nobody else's yes that could bring it.
func askerShows(n bot.Needs) bool { return n.StepUp && len(n.Approvals) == 0 }

// AskerShows reports whether who asks for an action with these needs must show a
// second factor with that very line: by break-glass, and where no yes follows that
// could bring it.
func AskerShows(n bot.Needs, breakGlass bool) bool {
	return n.StepUp && (breakGlass || askerShows(n) && !n.Confirm)
}

// shown refuses a call that came without a second factor; what is what it is
// needed for, and line what to type with it.
func shown(c bot.Call, what, line string) error {
	switch c.Factor {
	case bot.FactorTOTP:
		return nil
	case bot.FactorNone:
		return bot.Errorf(bot.Denied, "%s takes a one-time code, and you have no authenticator enrolled; do that first: totp enrol", what)
	case bot.FactorLost:
		return bot.Errorf(bot.Denied, "%s takes a one-time code, and what is kept of yours cannot be read with the key there is ([auth] totp_key); put the old key back, or have another person type totp reset %s", what, c.Who.Person)
	}
	return bot.Errorf(bot.Denied, "%s takes a one-time code of your authenticator with it: %s --code 123456 (none enrolled yet? totp enrol)", what, line)
}

// detailFactor names, in records, the second factor that came with what they tell.
const detailFactor = "factor"

// named gives a person's name and the second factor that they showed.
func named(person string, f bot.Factor) string {
	if f.Shown() {
		return person + " (" + string(f) + ")"
	}
	return person
}

// NeedsCode reports whether the answer of c's asker to a run needs a second factor
// with it, as far as is known now, and gives that run; number 0 means the one run
// that waits for it. What the asker may not know of needs none.
func (e *Engine) NeedsCode(ctx context.Context, c bot.Call, a bot.Answer, number int64) (of bot.Run, needs bool) {
	if number == 0 {
		var err error
		if number, err = e.theOne(ctx, c, a); err != nil {
			return bot.Run{}, false
		}
	}
	err := e.Store.View(ctx, func(rd store.Reader) error {
		row, found, err := rd.Run(number)
		if err != nil || !found {
			return err
		}
		cur, err := e.decode(row)
		if err != nil {
			return err
		}
		r := &cur.run
		switch {
		case !e.mayKnow(r, c) || !r.Decision.Needs.StepUp:
		case a == bot.AnswerApprove:
			needs = r.State == bot.Waiting && len(e.approves(r, c.Who)) > 0
		case a == bot.AnswerConfirm:
			needs = r.State == bot.Waiting && askerShows(r.Decision.Needs) && c.Who.Person == r.Call.Who.Person
		case a == bot.AnswerReview:
			needs = r.Broke && r.Review.Person == "" && e.mayReview(r, c.Who).Allowed
		}
		of = *r
		return nil
	})
	if err != nil || !needs {
		return bot.Run{}, false
	}
	return of, true
}
