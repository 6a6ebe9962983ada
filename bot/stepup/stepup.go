// Package stepup keeps people's authenticators (RFC 6238 one-time codes) and
// says what a code that came with a message is worth. A stolen chat session can
// type anything as its owner; what it cannot do is show a code.
//
// A code is checked in the commit that stores its message, so that a time step is
// taken once, over restarts and replicas, and never without the message that took
// it. What is kept is encrypted under a key that lies outside the database. A
// secret is shown once, by bot.Confidential, and is in no outbox, inbox or record.
package stepup

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/store"
)

// Recorder writes audit records inside a transaction.
type Recorder interface {
	Append(tx store.Tx, r bot.Record) (store.Head, error)
}

// Config is what a Keeper works with. All fields are needed, but for Key where
// there is a Fault.
type Config struct {
	Store    store.Store
	Recorder Recorder
	Key      Key
	// Fault says why there is no Key although one is configured; every code is
	// refused then.
	Fault  error
	Clock  bot.Clock
	IDs    bot.IDs
	Logger *slog.Logger
	// Confide hands a card to one account alone, at once; see bot.Confidential.
	Confide func(ctx context.Context, d bot.Delivery) error
	Posted  func() // called after a reply was enqueued
	// Issuer is what authenticators call these codes.
	Issuer string
}

// Keeper keeps enrolments and checks codes. A nil Keeper is one where nothing is
// configured: nobody can enrol and no code counts. Safe for concurrent use.
type Keeper struct{ Config }

// New makes a Keeper.
func New(c Config) *Keeper { return &Keeper{c} }

// How codes are bounded. Five guesses of a million, three of which are right at
// any time, are nothing; what matters is that they do not come again and again,
// so that each lock in a row lasts twice as long as the one before.
const (
	maxWrong   = 5
	wrongFor   = 15 * time.Minute
	firstLock  = 15 * time.Minute
	longestBan = 24 * time.Hour
	// pendingFor is how long a secret that was shown may take to be confirmed.
	pendingFor = 10 * time.Minute
)

// What people are told; each is one sentence.
const (
	sayOff  = `second factors are not set up here; add [auth] with totp_key = "file:data/totp.key"`
	sayLost = "what is kept of second factors cannot be read with the key there is ([auth] totp_key), so no code counts; put the old key back, or have another person type totp reset"
)

// Enrolled counts how many people are enrolled, for the first thousand: held is
// all, other those whose enrolment cannot be read with k.
func Enrolled(ctx context.Context, s store.Store, k Key) (held, other int, err error) {
	err = s.View(ctx, func(r store.Reader) error {
		docs, err := r.Documents(Kind, "", 1000, false)
		if err != nil {
			return err
		}
		held, other = len(docs), 0
		for _, d := range docs {
			if _, _, err := k.open(d.ID, d.Body); err != nil {
				other++
			}
		}
		return nil
	})
	return held, other, err
}

// off gives the Error of a Keeper that can check nothing, nil of one that can.
func (k *Keeper) off() error {
	switch {
	case k == nil:
		return &bot.Error{Op: "stepup", Kind: bot.Invalid, Say: sayOff}
	case k.Fault != nil:
		return &bot.Error{Op: "stepup", Kind: bot.Unavailable, Say: sayLost, Err: k.Fault}
	}
	return nil
}

// Refusal gives the Error for a message whose code did not hold: one sentence
// with what to do. Nil for a factor that is no refusal.
func (k *Keeper) Refusal(ctx context.Context, person string, f bot.Factor) error {
	switch f {
	case bot.FactorWrong:
		left := maxWrong
		if e, err := k.look(ctx, person); err == nil {
			left -= len(e.recent(k.Clock.Now()))
		}
		tries := "tries are"
		if left == 1 {
			tries = "try is"
		}
		return bot.Errorf(bot.Denied, "that code is not right, %d more %s left; a new one comes every %d seconds, and here it is %s: is the clock of your authenticator right?", left, tries, period, k.Clock.Now().UTC().Format("15:04:05 MST"))
	case bot.FactorUsed:
		return bot.Errorf(bot.Denied, "that code was used already, and each works once; wait for the next one (%d seconds at most)", period)
	case bot.FactorLocked:
		until := ""
		if e, err := k.look(ctx, person); err == nil && e.Locked.After(k.Clock.Now()) {
			until = " until " + bot.Moment(e.Locked)
		}
		return bot.Errorf(bot.Denied, "too many codes were wrong, so none of yours is taken%s; if that was not you, your chat session is in other hands: tell the others now, one of them can type totp reset %s", until, person)
	}
	return nil
}

func (k *Keeper) look(ctx context.Context, person string) (e row, err error) {
	if err := k.off(); err != nil {
		return row{}, err
	}
	err = k.Store.View(ctx, func(r store.Reader) error {
		e, err = k.read(r, person)
		return err
	})
	if errors.Is(err, errKey) {
		err = &bot.Error{Op: "stepup", Kind: bot.Unavailable, Say: sayLost, Err: err}
	}
	return e, err
}

// recent gives the wrong codes that still count at now. One from the future, by a
// clock that was set back, counts.
func (e *enrolment) recent(now time.Time) []time.Time {
	var kept []time.Time
	for _, at := range e.Wrong {
		if now.Sub(at) < wrongFor {
			kept = append(kept, at)
		}
	}
	return kept
}

// waiting gives the authenticator that is being enrolled, nil when there is none
// or its time is over.
func (e *enrolment) waiting(now time.Time) *pending {
	if e.Pending == nil || now.Sub(e.Pending.At).Abs() >= pendingFor {
		return nil
	}
	return e.Pending
}

// record appends a record that tells of a person's second factor.
// With an error the audit channels show it as bad news.
func (k *Keeper) record(tx store.Tx, c bot.Call, notice string, why bot.Kind) error {
	rec := bot.Record{Kind: bot.ConfiguredKind, Error: why, At: k.Clock.Now(), Request: c.ID, Account: c.Who.Account, Standing: c.Who.Standing, Person: c.Who.Person,
		Channel: c.Channel, Message: c.Message, Verb: c.Command, Resources: []bot.Resource{bot.TheBot}, Rule: "second factor",
		Text: map[string]string{"notice": notice}}
	if c.Factor != bot.NoFactor {
		rec.Detail = map[string]string{"factor": string(c.Factor)}
	}
	if _, err := k.Recorder.Append(tx, rec); err != nil {
		return fmt.Errorf("record a second factor: %w", err)
	}
	return nil
}
