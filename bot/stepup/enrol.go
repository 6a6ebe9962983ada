package stepup

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/totp"

	"quarterdeck/bot"
	"quarterdeck/bot/run"
	"quarterdeck/bot/store"
)

// Enrol makes a secret for the asker of c and shows it to their account alone.
// It counts for nothing before Confirm. Who is enrolled already must have shown a
// code of the present authenticator, which counts until then. When Enrol returns
// nil the message is finished; any error is for the caller to answer with, and the
// secret counts for nothing then.
func (k *Keeper) Enrol(ctx context.Context, c bot.Call) error {
	if err := k.off(); err != nil {
		return err
	}
	person := c.Who.Person
	if person == "" { // the router lets none through; codes are a person's and not an account's
		return bot.Errorf(bot.Denied, "%s belongs to no declared person, and only persons enrol", c.Who.Account)
	}
	made, err := totp.Generate(totp.GenerateOpts{Issuer: k.Issuer, AccountName: person, Digits: digits, Period: period, Algorithm: otp.AlgorithmSHA1})
	if err != nil {
		return fmt.Errorf("make a secret: %w", err)
	}
	err = k.Store.Update(ctx, func(tx store.Tx) error {
		e, err := k.read(tx, person)
		if errors.Is(err, errKey) {
			return &bot.Error{Op: "stepup.enrol", Kind: bot.Unavailable, Say: sayLost, Err: err}
		}
		if err != nil {
			return err
		}
		if e.Secret != "" && !c.Factor.Shown() {
			return bot.Errorf(bot.Denied, "you are enrolled since %s; to enrol another authenticator, show a code of the present one: totp enrol --code 123456 (lost it? another person types totp reset %s)", e.Since.Format("2006-01-02"), person)
		}
		notice := person + " begins to enrol an authenticator"
		if e.Secret != "" {
			notice = person + " begins to enrol another authenticator"
		}
		if err := k.record(tx, c, notice, ""); err != nil {
			return err
		}
		e.Pending = &pending{Secret: made.Secret(), At: k.Clock.Now()}
		return k.write(tx, person, &e)
	})
	if err != nil {
		return err
	}
	d := bot.Delivery{Channel: c.Channel, Thread: c.Thread, To: c.Who.Account, Card: secretCard(c, made)}
	if err := k.Confide(ctx, d); err != nil {
		k.Logger.WarnContext(ctx, "a secret could not be shown", "kind", string(bot.KindOf(err)))
		// Without the cause, which may quote what was to be shown.
		switch bot.KindOf(err) {
		case bot.Unavailable, bot.Timeout, bot.Busy: // it may have been seen, and is worth nothing unless it was
			return &bot.Error{Op: "stepup.enrol", Kind: bot.Unavailable, Say: "it is not sure that the secret was shown to you; if you saw none, type totp enrol again"}
		}
		if err := k.drop(ctx, person, made.Secret()); err != nil { // it ends by itself
			k.Logger.WarnContext(ctx, "drop a secret that nobody saw", "err", err)
		}
		if bot.KindOf(err) == bot.Denied {
			return bot.Errorf(bot.Denied, "%s", bot.Sentence(err, c.ID))
		}
		return &bot.Error{Op: "stepup.enrol", Kind: bot.Unavailable, Say: "the secret could not be shown to you alone, so it is void; type totp enrol again"}
	}
	return k.Store.Update(ctx, func(tx store.Tx) error {
		if done, err := tx.Finish(c.Message); err != nil {
			return err
		} else if !done {
			return run.ErrHandled
		}
		return nil
	})
}

// drop takes a secret back that was not shown.
func (k *Keeper) drop(ctx context.Context, person, secret string) error {
	return k.Store.Update(ctx, func(tx store.Tx) error {
		e, err := k.read(tx, person)
		if err != nil || e.Pending == nil || e.Pending.Secret != secret {
			return err
		}
		e.Pending = nil
		return k.write(tx, person, &e)
	})
}

// secretCard shows a secret; it must never be stored.
func secretCard(c bot.Call, made *otp.Key) bot.Card {
	return bot.Card{Key: "reply/" + c.Message, ReplyTo: c.Message, Tone: bot.Question, Outcome: bot.OutcomeOK,
		Title: "add this to your authenticator; it is shown this once, to you alone",
		Fields: []bot.Field{
			{Name: "secret", Value: grouped(made.Secret())},
			{Name: "kind", Value: fmt.Sprintf("TOTP, %s digits, every %d seconds", digits, period)},
			{Name: "then", Value: "totp confirm 123456"},
		},
		Link:   made.URL(),
		Text:   "It counts once you have confirmed it with a first code, within " + strings.TrimSuffix(pendingFor.String(), "0s") + ". Whoever has it can be you: delete this message then.",
		Footer: "another person can end it with: totp reset " + c.Who.Person}
}

// grouped writes a secret so that it can be typed: in groups of four.
func grouped(secret string) string {
	var parts []string
	for len(secret) > 4 {
		parts, secret = append(parts, secret[:4]), secret[4:]
	}
	return strings.Join(append(parts, secret), " ")
}

// Confirm makes the authenticator that is being enrolled count, once its first
// code came with c. The message is finished, what changed is recorded and the
// answer posted in one commit; with an error nothing was written.
func (k *Keeper) Confirm(ctx context.Context, c bot.Call) error {
	if err := k.off(); err != nil {
		return err
	}
	switch c.Factor {
	case bot.FactorNew:
	case bot.FactorNone:
		return bot.Errorf(bot.Conflict, "nothing waits to be confirmed; begin with: totp enrol (the secret it shows is good for %s)", strings.TrimSuffix(pendingFor.String(), "0s"))
	case bot.FactorLost:
		return bot.Errorf(bot.Unavailable, "%s", sayLost)
	default:
		return bot.Errorf(bot.Invalid, "totp confirm takes the code that your authenticator shows now: totp confirm 123456")
	}
	person := c.Who.Person
	err := k.Store.Update(ctx, func(tx store.Tx) error {
		if done, err := tx.Finish(c.Message); err != nil {
			return err
		} else if !done {
			return run.ErrHandled
		}
		e, err := k.read(tx, person)
		if err != nil {
			return err
		}
		now := k.Clock.Now()
		waiting := e.waiting(now)
		if waiting == nil || waiting.Proved != c.Message {
			return bot.Errorf(bot.Conflict, "the secret was replaced or reset meanwhile; begin again with: totp enrol")
		}
		notice := person + " enrolled an authenticator; their codes count from now on"
		if e.Secret != "" {
			notice = person + " enrolled another authenticator; the codes of the old one count no more"
		}
		e.Secret, e.Since, e.Last, e.Pending = waiting.Secret, now, waiting.Last, nil
		if err := k.record(tx, c, notice, ""); err != nil {
			return err
		}
		if err := k.write(tx, person, &e); err != nil {
			return err
		}
		return k.reply(tx, c, bot.Card{Tone: bot.Good, Outcome: bot.OutcomeOK, Title: "enrolled: your codes count from now on",
			Text: "Where a card asks for a code, type it behind the line: approve 12 --code 123456. Each code works once."})
	})
	if err == nil {
		k.Posted()
	}
	return err
}

// reply enqueues an answer for the asker alone.
func (k *Keeper) reply(tx store.Tx, c bot.Call, card bot.Card) error {
	card.Key, card.ReplyTo = "reply/"+c.Message, c.Message
	body, err := json.Marshal(card)
	if err != nil {
		return fmt.Errorf("encode reply: %w", err)
	}
	now := k.Clock.Now()
	_, err = tx.Enqueue(store.Outgoing{Channel: c.Channel, Thread: c.Thread, To: c.Who.Account, Card: body, Created: now, NextAt: now})
	return err
}

// Since says since when a person is enrolled; zero when they are not.
func (k *Keeper) Since(ctx context.Context, person string) (time.Time, error) {
	e, err := k.look(ctx, person)
	return e.Since, err
}
