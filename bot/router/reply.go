package router

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"quarterdeck/bot"
	"quarterdeck/bot/run"
	"quarterdeck/bot/store"
)

// read answers a command that changes nothing. Its record and its reply share
// a commit.
func (r *Router) read(ctx context.Context, c bot.Call, ask bot.Ask, d bot.Decision, cmd bot.Command) error {
	call, cancel := context.WithTimeout(ctx, r.ReadTimeout)
	reply, err := cmd.Read(call, c)
	cancel()
	if err != nil {
		return r.refuse(ctx, c, ask, d, err)
	}
	if reply.Card.Outcome == "" {
		reply.Card.Outcome = bot.OutcomeOK
	}
	rec := r.base(c, ask, d)
	rec.Kind, rec.Read = bot.SucceededKind, true
	return r.finish(ctx, c, rec, reply.Card, reply.Private || cmd.Private)
}

// refuse answers an error: a denial says denied and why, bad input says what
// is expected, a fault of ours gives a reference. All are recorded.
func (r *Router) refuse(ctx context.Context, c bot.Call, ask bot.Ask, d bot.Decision, err error) error {
	kind := bot.KindOf(err)
	say := bot.Sentence(err, c.ID)
	rec := r.base(c, ask, d)
	rec.Error = kind
	rec.Text["result"] = say
	card := bot.Card{Tone: bot.Bad, Outcome: bot.OutcomeFailed}
	switch kind {
	case bot.Denied:
		rec.Kind = bot.DeniedRecord
		card.Title, card.Outcome = "denied: "+say, bot.OutcomeDenied
	case bot.Invalid, bot.NotFound:
		rec.Kind, rec.Read = bot.FailedKind, true
		card.Title, card.Outcome, card.Tone = say, bot.OutcomeInvalid, bot.Warning
	case bot.Conflict:
		rec.Kind = bot.FailedKind
		card.Title, card.Tone = say, bot.Warning
	default:
		rec.Kind = bot.FailedKind
		card.Title = say
		r.Logger.ErrorContext(ctx, "command failed", "request", c.ID, "command", c.Command, "kind", string(kind), "err", err)
	}
	return r.finish(ctx, c, rec, card, true)
}

func (r *Router) base(c bot.Call, ask bot.Ask, d bot.Decision) bot.Record {
	var detail map[string]string
	if c.Factor != bot.NoFactor {
		detail = map[string]string{"factor": string(c.Factor)}
	}
	return bot.Record{Detail: detail, At: r.Clock.Now(), Request: c.ID, Account: c.Who.Account, Standing: c.Who.Standing, Person: c.Who.Person,
		Channel: c.Channel, Message: c.Message, Verb: c.Command, Permission: ask.Permission, Target: ask.Target.String(),
		Resources: ask.Resources, Rule: d.Rule, Text: map[string]string{"line": c.Line}}
}

// finish writes the record, the reply and the end of the message in one commit.
func (r *Router) finish(ctx context.Context, c bot.Call, rec bot.Record, card bot.Card, private bool) error {
	return r.commit(ctx, c, &rec, card, private)
}

// commit is finish for an answer that may go without a record.
func (r *Router) commit(ctx context.Context, c bot.Call, rec *bot.Record, card bot.Card, private bool) error {
	if card.Key == "" {
		card.Key = "reply/" + c.Message
	}
	card.ReplyTo = c.Message
	card = card.Each(r.Recorder.Redact)
	if why := unrecorded(ctx); why != nil {
		return r.say(ctx, c, rec, card, private, why)
	}
	if card.Image != nil {
		if err := card.Image.Check(); err != nil { // the words stand without it
			r.Logger.ErrorContext(ctx, "an answer's image is left out", "request", c.ID, "command", c.Command, "err", err)
			card.Image = nil
		}
	}
	body, err := json.Marshal(card)
	if err != nil {
		return fmt.Errorf("encode reply: %w", err)
	}
	// Without a key of its own in the outbox: a reply is never edited.
	out := store.Outgoing{Channel: c.Channel, Thread: c.Thread, Version: card.Version, Card: body, Created: c.At, NextAt: c.At}
	if private && !c.Who.Account.IsClock() { // which has no eyes: what it gets is for its channel
		out.To = c.Who.Account
	}
	err = r.Store.Update(ctx, func(tx store.Tx) error {
		if done, err := tx.Finish(c.Message); err != nil {
			return err
		} else if !done {
			return run.ErrHandled
		}
		if rec != nil {
			if _, err := r.Recorder.Append(tx, *rec); err != nil {
				return err
			}
		}
		_, err := tx.Enqueue(out)
		return err
	})
	if err == nil {
		var kind bot.Kind
		switch {
		case card.Outcome == bot.OutcomeDenied:
			kind = bot.Denied
		case rec != nil:
			kind = rec.Error
		}
		// Counted from when it was begun to be handled, which is soon after it came.
		r.Meter.Handled(c.Command, kind, c.Who.Known(), r.Clock.Now().Sub(c.At))
		r.Posted()
	}
	return err
}

// strangers is the key that all accounts which nobody is known by share, so that
// however many there are, the log does not grow faster than by a person.
const strangers = "\x00strangers"

// tooMany answers whoever sends too much, known by key. Every line gets its
// answer, so that nobody waits for one in vain; the log gets one record a
// minute.
func (r *Router) tooMany(ctx context.Context, c bot.Call, key string) error {
	err := bot.Errorf(bot.Denied, "you sent more than %d commands in a minute; wait a little (a rollback is never held back)", r.Rate)
	if key == strangers {
		err = bot.Errorf(bot.Denied, "unknown accounts sent more than %d commands in a minute", r.Rate)
	}
	if r.limits.tell(key) {
		return r.refuse(ctx, c, bot.Ask{}, bot.Decision{Rule: "rate"}, err)
	}
	card := bot.Card{Title: "denied: " + err.Say, Tone: bot.Bad, Outcome: bot.OutcomeDenied}
	return r.commit(ctx, c, nil, card, true)
}

// limiter bounds how many commands each key may send, and how often it is
// told that it may not.
type limiter struct {
	clock bot.Clock
	per   rate.Limit
	burst int

	mu   sync.Mutex
	keys map[string]*bucket
}

type bucket struct {
	rate *rate.Limiter
	told time.Time
}

// maxBuckets bounds the limiter's memory; past it, all buckets start afresh.
const maxBuckets = 10_000

func newLimiter(clock bot.Clock, perMinute int) *limiter {
	return &limiter{clock: clock, per: rate.Limit(float64(perMinute) / 60), burst: perMinute, keys: map[string]*bucket{}}
}

func (l *limiter) bucket(key string) *bucket {
	b, ok := l.keys[key]
	if !ok {
		if len(l.keys) >= maxBuckets {
			clear(l.keys)
		}
		b = &bucket{rate: rate.NewLimiter(l.per, l.burst)}
		l.keys[key] = b
	}
	return b
}

// allow takes one command from key's bucket.
func (l *limiter) allow(key string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.bucket(key).rate.AllowN(l.clock.Now(), 1)
}

// tell reports whether key should be told now; at most once a minute.
func (l *limiter) tell(key string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	b, now := l.bucket(key), l.clock.Now()
	if now.Sub(b.told) < time.Minute {
		return false
	}
	b.told = now
	return true
}
