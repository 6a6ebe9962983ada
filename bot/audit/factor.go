package audit

import "quarterdeck/bot"

// detailFactor names the second factor that came with what a record tells.
const detailFactor = "factor"

// actorShown names the actor of a record with the second factor that they showed:
// "sre-one (totp)".
func actorShown(r bot.Record) string {
	if f := bot.Factor(r.Detail[detailFactor]); f.Shown() {
		return Actor(r) + " (" + string(f) + ")"
	}
	return Actor(r)
}

// shownFrom gives the account of a record with the second factor that came with
// it, for rows: "slack:T1/U1, totp".
func shownFrom(r bot.Record) string {
	if f := bot.Factor(r.Detail[detailFactor]); f.Shown() {
		return string(r.Account) + ", " + string(f)
	}
	return string(r.Account)
}
