package router

import (
	"context"
	"fmt"
	"log/slog"
	"strings"

	"quarterdeck/bot"
	"quarterdeck/bot/logging"
	"quarterdeck/bot/run"
	"quarterdeck/bot/store"
)

// Look answers a line that reads, for somebody who opened the bot instead of
// writing to it: there is no message to answer, and what is shown is shown to
// them alone. Rights, rate and record are those of a line that is typed; where the
// log cannot be written, the card says so. found is false where there is nothing
// to show: the line is not for them, changes something, or has no answer now.
func (r *Router) Look(ctx context.Context, who bot.Identity, channel bot.ChannelID, line string) (card bot.Card, found bool) {
	c := bot.Call{ID: r.IDs.New(), Who: who, Channel: channel, At: r.Clock.Now(), Line: line}
	ctx = logging.With(ctx, slog.String("request", c.ID), slog.String("person", who.Person))
	visible := r.Visible(who)
	p, err := r.telling(who).ParseFor(line, visible)
	if err != nil || p.Command.Read == nil || !visible(p.Command) {
		return bot.Card{}, false
	}
	c.Line, c.Command, c.Args = p.Line, p.Command.Name, p.Args
	ask, resources, d, err := r.decide(c, p.Command)
	if err != nil || !d.Allowed || !r.limits.allow(who.Person) {
		return bot.Card{}, false
	}
	ask.Resources = resources
	call, cancel := context.WithTimeout(ctx, r.ReadTimeout)
	defer cancel()
	reply, err := p.Command.Read(call, c)
	if err != nil {
		if bot.KindOf(err) != bot.Denied { // no target that they may see is nothing to tell of
			r.Logger.WarnContext(ctx, "a read of a home failed", "command", c.Command, "err", err)
		}
		return bot.Card{}, false
	}
	rec := r.base(c, ask, d)
	rec.Kind, rec.Read = bot.SucceededKind, true
	reply.Card.Text = strings.TrimSuffix(r.note(ctx, rec)+reply.Card.Text, "\n")
	return reply.Card, true
}

// Showed records that these runs were shown to somebody who opened the bot, because
// they wait for them. banner is "" or says that it could not be recorded.
func (r *Router) Showed(ctx context.Context, who bot.Identity, channel bot.ChannelID, runs []int64) (banner string) {
	c := bot.Call{ID: r.IDs.New(), Who: who, Channel: channel, At: r.Clock.Now(), Command: "home", Line: "home"}
	for _, n := range runs {
		c.Line += fmt.Sprintf(" #%d", n)
	}
	rec := r.base(c, bot.Ask{}, bot.Decision{Rule: "waits for them"})
	rec.Kind, rec.Read = bot.SucceededKind, true
	return strings.TrimSuffix(r.note(ctx, rec), "\n")
}

// Refuse says to a stranger who opened the bot why they see nothing there, and
// records it, once a minute at most.
func (r *Router) Refuse(ctx context.Context, who bot.Identity, channel bot.ChannelID) bot.Card {
	c := bot.Call{ID: r.IDs.New(), Who: who, Channel: channel, At: r.Clock.Now()}
	ask := bot.Ask{Permission: bot.MayAskSelf, Resources: []bot.Resource{bot.TheBot}}
	d := r.Policy.Decide(bot.Request{Who: who, Permission: ask.Permission, Resources: ask.Resources, Channel: channel, At: c.At})
	say := run.Refusal(d).Say
	if r.limits.allow(string(who.Account)) && r.limits.allow(strangers) && r.limits.tell("home/"+string(who.Account)) {
		rec := r.base(c, ask, d)
		rec.Kind, rec.Error = bot.DeniedRecord, bot.Denied
		rec.Text["result"] = say
		r.note(ctx, rec)
	}
	return bot.Card{Title: "denied: " + say, Tone: bot.Bad, Outcome: bot.OutcomeDenied}
}

// note records what is shown. banner is "" or a line that says that it could not.
func (r *Router) note(ctx context.Context, rec bot.Record) (banner string) {
	err := r.Store.Update(ctx, func(tx store.Tx) error {
		_, err := r.Recorder.Append(tx, rec)
		return err
	})
	if err != nil {
		r.Logger.ErrorContext(ctx, "record what is shown", "err", err)
		return notRecorded(err) + "\n"
	}
	r.Posted()
	return ""
}
