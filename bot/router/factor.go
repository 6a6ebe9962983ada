package router

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"quarterdeck/bot"
	"quarterdeck/bot/run"
	"quarterdeck/bot/stepup"
	"quarterdeck/bot/store"
)

// maxTyped bounds the text that is looked through for a code, in bytes. More than
// that is no line, and what is behind it is not kept.
const maxTyped = 64 << 10

// takeCode takes the one-time code off a message that is being received, so that
// it is nowhere but here, and gives it with whose it is; nil when there is none
// to be checked. What an adapter says of a factor is not believed.
func (r *Router) takeCode(ctx context.Context, m *bot.Message) *stepup.Shown {
	code, own := m.Code, false
	m.Code, m.Factor = "", bot.NoFactor
	if m.Press == "" {
		if len(m.Text) > maxTyped {
			m.Text = m.Text[:maxTyped]
		}
		var typed string
		if m.Text, typed, own = r.Grammar.TakeCode(m.Text); code == "" {
			code = typed
		}
	}
	if code == "" || r.Codes == nil {
		return nil
	}
	who, err := r.Directory.Identify(ctx, m.Account, m.Standing)
	if err != nil || !who.Known() {
		return nil // and they are refused
	}
	return &stepup.Shown{Who: who, Message: *m, Code: code, Enrolling: own}
}

// errSeen undoes what was written for a message that was received before.
var errSeen = errors.New("the message was received before")

// store puts the message into the inbox with what its code is worth, in one
// commit: a code that is used up is used up by a message that is there.
func (r *Router) store(ctx context.Context, m *bot.Message, shown *stepup.Shown) (fresh bool, err error) {
	if shown == nil {
		if err := r.seal(m); err != nil {
			return false, err
		}
	}
	kept := *m
	err = r.Store.Update(ctx, func(tx store.Tx) (err error) {
		kept = *m
		if shown != nil {
			if kept.Factor, err = r.now.Load().Codes.Check(tx, *shown); err != nil {
				return err
			}
			if err := r.seal(&kept); err != nil {
				return err
			}
		}
		fresh, err = tx.Receive(kept)
		if err == nil && !fresh && shown != nil {
			return errSeen
		}
		return err
	})
	if errors.Is(err, errSeen) {
		return false, nil
	}
	if err == nil {
		*m = kept
	}
	return fresh, err
}

// Wanted is what a one-time code is wanted for. Somebody gives a code for what they
// are shown, so an answer that brings one is bound to the run that they saw.
type Wanted struct {
	Line  string // what is to come with the code, which names its run; "" for a button
	Bound string // the digest of that run; "" for a button, which is bound itself, and for what is no answer
	What  string // in a few words what it would do; "" where Line says it
}

// NeedsCode reports whether the line or the pressed button must come with a
// one-time code of its account to be done, and has none: so that a network with
// forms can ask for it. It does nothing with the message, keeps nothing of it, and
// gives false for what it cannot tell and for what the account may not know of;
// whether a code is needed is judged again when it is acted on.
func (r *Router) NeedsCode(ctx context.Context, m bot.Message) (w Wanted, needed bool) {
	r = r.now.Load()
	if r.Codes == nil || m.Code != "" {
		return w, false
	}
	who, err := r.Directory.Identify(ctx, m.Account, m.Standing)
	if err != nil || !who.Known() {
		return w, false
	}
	text, code, own := r.Grammar.TakeCode(m.Text)
	w.Line = text
	if m.Press != "" {
		pressed, err := r.Engine.Pressed(ctx, m)
		if err != nil {
			return w, false
		}
		text = pressed.Line
	}
	p, err := r.Grammar.ParseFor(text, r.Visible(who))
	if err != nil || code != "" {
		return w, false
	}
	c := r.call(m, who, p)
	if own {
		return w, true
	}
	if p.Command.Name == "totp enrol" { // the present one must be shown for another
		since, err := r.Codes.Since(ctx, who.Person)
		return w, err == nil && !since.IsZero()
	}
	_, _, d, err := r.decide(c, p.Command)
	switch {
	case err != nil || !d.Allowed:
		return w, false
	case p.Command.Answer != nil:
		answers := []bot.Answer{bot.AnswerApprove, bot.AnswerConfirm, bot.AnswerReview}
		a := bot.Answer(p.Command.Name)
		if !slices.Contains(answers, a) {
			return w, false
		}
		of, needed := r.Engine.NeedsCode(ctx, c, a, c.Args.Run())
		if !needed {
			return w, false
		}
		w.What = fmt.Sprintf("%s #%d: %s", a, of.Number, of.Plan.Summary)
		if m.Press != "" {
			return Wanted{What: w.What}, true
		}
		w.Bound = of.Digest
		if c.Args.Run() == 0 {
			w.Line = fmt.Sprintf("%s %d%s", a, of.Number, strings.TrimPrefix(p.Line, p.Command.Name))
		}
		return w, true
	case p.Command.Plan == nil || c.DryRun:
		return w, false
	}
	return w, run.AskerShows(d.Needs, c.BreakGlass != "")
}
