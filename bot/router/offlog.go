package router

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strings"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/logging"
	"quarterdeck/bot/run"
	"quarterdeck/bot/store"
)

// offLog is a message that is answered although nothing can be recorded, and what
// the store said. It takes the same road as every other; only the end differs:
// what reads is answered with a banner, a way back goes through the emergency
// journal, and everything else is refused.
type offLog struct {
	message bot.Message
	why     error
}

type unrecordedKey struct{}

// unrecorded gives why nothing can be recorded of what is being handled, nil
// where it can.
func unrecorded(ctx context.Context) error {
	why, _ := ctx.Value(unrecordedKey{}).(error)
	return why
}

// notTaken has a message answered that the store did not take. An error says that
// the network should deliver it again.
func (r *Router) notTaken(ctx context.Context, m bot.Message, why error) (bot.Receipt, error) {
	switch {
	case r.Emergency == nil || ctx.Err() != nil || errors.Is(why, store.ErrUncertain):
		return bot.Receipt{}, why // it may be in the inbox, and be acted on from there
	case !r.Emergency.Take(m.ID):
		return bot.Receipt{Duplicate: true}, nil
	}
	select {
	case r.outside <- offLog{m, why}:
		return bot.Receipt{Private: r.now.Load().private(ctx, m)}, nil
	default:
		return bot.Receipt{}, bot.Errorf(bot.Unavailable, "not run: the audit log cannot be written, and too many ask at once; please repeat it in a moment")
	}
}

// answered reports whether the message was answered off the log.
func (r *Router) answered(m bot.Message) bool {
	return r.Emergency != nil && r.Emergency.Taken(m.ID)
}

// offLog takes one message along the road without the log, to a sentence in any
// case.
func (r *Router) offLog(ctx context.Context, m offLog) {
	request := r.IDs.New()
	ctx = logging.With(ctx, slog.String("request", request), slog.String("message", m.message.ID))
	ctx = context.WithValue(ctx, unrecordedKey{}, m.why)
	if err := r.guarded(ctx, m.message, request); err != nil && ctx.Err() == nil {
		r.Logger.ErrorContext(ctx, "answer off the log", "err", err)
	}
}

// notRecorded is what a read says that could not be recorded.
func notRecorded(why error) string {
	return "not recorded: the audit log cannot be written (" + run.Cause(why) + ")"
}

// say delivers an answer at once. A refusal of a change, and a denial, is noted in
// the journal, if that has room.
func (r *Router) say(ctx context.Context, c bot.Call, rec *bot.Record, card bot.Card, private bool, why error) error {
	if rec != nil && !rec.Read {
		r.Emergency.Refused(*rec)
	} else {
		card.Text = strings.TrimSuffix(notRecorded(why)+"\n"+card.Text, "\n")
	}
	d := bot.Delivery{Channel: c.Channel, Thread: c.Thread, Card: card}
	if private {
		d.To = c.Who.Account
	}
	_, err := r.Emergency.Deliver(ctx, d)
	var kind bot.Kind
	if rec != nil {
		kind = rec.Error
	}
	r.Meter.Handled(c.Command, kind, c.Who.Known(), r.Clock.Now().Sub(c.At))
	return err
}

// close marks a message as acted on that was answered off the log.
func (r *Router) close(ctx context.Context, m bot.Message) {
	err := r.Store.Update(ctx, func(tx store.Tx) error {
		_, err := tx.Finish(m.ID)
		return err
	})
	if err != nil && ctx.Err() == nil {
		r.Logger.Debug("a message that was answered off the log stays in the inbox", "message", m.ID, "err", err)
	}
}

// directWithin bounds how long a card is tried to be delivered that no outbox
// keeps.
const directWithin = 10 * time.Second

// pause waits before a card that the network did not take is tried again; false
// when there is no time left.
func pause(ctx context.Context, failed error) bool {
	wait := 300 * time.Millisecond
	var known *bot.Error
	if errors.As(failed, &known) && known.RetryAfter > 0 {
		wait = known.RetryAfter
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// Direct gives what hands a card to its network at once. A panic there is an
// error.
func Direct(chats func(network string) (bot.Chat, bool)) func(ctx context.Context, d bot.Delivery) (string, error) {
	return func(ctx context.Context, d bot.Delivery) (ref string, err error) {
		chat, ok := chats(d.Channel.Network())
		if !ok {
			return "", bot.Errorf(bot.NotFound, "no chat network %q is configured", d.Channel.Network())
		}
		defer func() {
			if p := recover(); p != nil {
				err = &bot.Error{Op: chat.Network() + ".deliver", Kind: bot.Internal, Err: fmt.Errorf("panic: %v\n%s", p, debug.Stack())}
			}
		}()
		ctx, cancel := context.WithTimeout(ctx, directWithin)
		defer cancel()
		for {
			ref, err = chat.Deliver(ctx, d)
			kind := bot.KindOf(err)
			if kind != bot.Unavailable && kind != bot.Busy && kind != bot.Timeout {
				return ref, err
			}
			if !pause(ctx, err) {
				return ref, err
			}
		}
	}
}
