package run

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/outbox"
	"quarterdeck/bot/store"
)

// Press is what a button's token stands for.
type Press struct {
	Run     int64     `json:"run"`
	Digest  string    `json:"digest"`
	Line    string    `json:"line"`
	Expires time.Time `json:"expires"`
	// Shown and Card say when, and with which version of the run's card, the
	// button was first offered.
	Shown time.Time `json:"shown,omitzero"`
	Card  int64     `json:"card,omitempty"`
	// Key and Places say which card it is on, and where that is, of a button that
	// no run offers; see Offer.
	Key    string          `json:"key,omitempty"`
	Places []bot.ChannelID `json:"places,omitempty"`
}

// KindPress is the document kind of button tokens.
const KindPress = "button"

// pressLife is how long a button may be pressed. What it then does is decided
// by how its run stands: an answer that came too late is told so.
const pressLife = 24 * time.Hour

// bindButtons gives every button of the card its token, made once for each
// digest and line.
func (e *Engine) bindButtons(tx store.Tx, r *bot.Run, card *bot.Card) error {
	now := e.Clock.Now()
	for i := range card.Buttons {
		b := &card.Buttons[i]
		name := r.Digest + " " + b.Line
		token, known := r.Tokens[name]
		if !known {
			press := Press{Run: r.Number, Digest: r.Digest, Line: b.Line, Expires: now.Add(pressLife), Shown: now, Card: r.Card}
			if late := r.Expires.Add(time.Hour); press.Expires.Before(late) {
				press.Expires = late
			}
			token = bucket(press.Expires) + e.IDs.New()
			body, err := json.Marshal(press)
			if err != nil {
				return fmt.Errorf("encode button of run %d: %w", r.Number, err)
			}
			if _, err := tx.PutDocument(bot.Document{Kind: KindPress, ID: token, Due: press.Expires, Body: body}); err != nil {
				return err
			}
			if r.Tokens == nil {
				r.Tokens = map[string]string{}
			}
			r.Tokens[name] = token
		}
		b.Token = token
	}
	return nil
}

// bucket begins the names of documents that are to be removed some time after
// t, so that the oldest come first: the hour as six hexadecimal digits.
func bucket(t time.Time) string { return fmt.Sprintf("%06x", t.Unix()/3600) }

const (
	sweepEvery  = 10 * time.Minute
	sweepBatch  = 200
	sweepRounds = 50
)

// sweep removes buttons that expired.
func (e *Engine) sweep(ctx context.Context) {
	for range sweepRounds {
		removed := 0
		err := e.Store.Update(ctx, func(tx store.Tx) error {
			removed = 0
			docs, err := tx.Documents(KindPress, "", sweepBatch, false)
			if err != nil {
				return err
			}
			for _, d := range docs {
				if d.Due.After(e.Clock.Now()) {
					continue
				}
				if err := tx.DeleteDocument(KindPress, d.ID); err != nil {
					return err
				}
				removed++
			}
			return nil
		})
		if err != nil && ctx.Err() == nil {
			e.Logger.Error("remove expired buttons", "err", err)
		}
		if err != nil || removed < sweepBatch {
			return
		}
	}
}

const (
	// reaction is what it takes to see that a plan is a new one: what was typed
	// sooner after it was meant for the one before.
	reaction = 2 * time.Second
	// unseen is after which time a new plan counts as known although its card
	// could not be delivered anywhere; it can be read with the verb run.
	unseen = time.Minute
)

// lookedAt refuses a typed yes to a plan that its giver cannot have seen: the
// run was planned anew after people had been asked about it, and the new card
// is not where they type, not anywhere yet, or only just. A pressed button
// carries the digest it was shown with instead.
func (e *Engine) lookedAt(tx store.Tx, r *bot.Run, c bot.Call, a bot.Answer) error {
	if c.Bound != "" || a != bot.AnswerConfirm && a != bot.AnswerApprove {
		return nil
	}
	first, anew, err := firstAsked(tx, r)
	if err != nil || !anew {
		return err
	}
	again := func(what string) error {
		return bot.Errorf(bot.Conflict, "#%d was planned anew and %s; look at it again, then %s it", r.Number, what, a)
	}
	age := e.Clock.Now().Sub(first.Shown)
	version, here, err := outbox.Shown(tx, c.Channel, bot.RunCardKey(r.Number))
	if err != nil {
		return err
	}
	if here {
		switch {
		case version < first.Card && age < unseen:
			return again("its new card is not here yet")
		case age < reaction:
			return again("its card has only just changed")
		}
		return nil
	}
	for _, p := range r.Places {
		version, found, err := outbox.Shown(tx, p.Channel, bot.RunCardKey(r.Number))
		if err != nil {
			return err
		}
		if found && version >= first.Card {
			return nil
		}
	}
	if age < unseen {
		return again("its new card is nowhere to be seen yet")
	}
	return nil
}

// firstAsked gives the first button with which people were asked about the
// present plan; anew says that they had been asked about another one before.
func firstAsked(tx store.Tx, r *bot.Run) (first Press, anew bool, err error) {
	for name, token := range r.Tokens {
		digest, line, _ := strings.Cut(name, " ")
		if !strings.HasPrefix(line, string(bot.AnswerConfirm)) && !strings.HasPrefix(line, string(bot.AnswerApprove)) {
			continue
		}
		if digest != r.Digest {
			anew = true
			continue
		}
		doc, found, err := tx.Document(KindPress, token)
		if err != nil {
			return Press{}, false, err
		}
		var p Press
		if !found {
			continue // long expired
		}
		if err := json.Unmarshal(doc.Body, &p); err != nil {
			return Press{}, false, fmt.Errorf("decode button of run %d: %w", r.Number, err)
		}
		if first.Shown.IsZero() || p.Shown.Before(first.Shown) {
			first = p
		}
	}
	return first, anew, nil
}
