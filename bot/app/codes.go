package app

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/stepup"
)

// issuer is what authenticators call the codes of this bot.
const issuer = "Quarterdeck"

// codes opens the key of second factors, and makes what keeps them. Where that
// cannot be had, the bot runs, so that what needs no code can be done, and refuses
// every code.
func (a *App) codes(ctx context.Context, g *ground) error {
	o, path := a.options, a.Config.Auth.TOTPKey
	if path == "" {
		return nil
	}
	held, _, err := stepup.Enrolled(ctx, g.store, stepup.Key{})
	if err != nil {
		return err
	}
	key, fault := stepup.OpenKey(path, held > 0)
	if fault == nil {
		var other int
		if held, other, err = stepup.Enrolled(ctx, g.store, key); err != nil {
			return err
		}
		if other > 0 {
			o.Logger.Error("second factors were kept under another key than [auth] totp_key, and do not count; put the old key back, or have each person reset", "people", other, "of", held)
		}
	} else {
		o.Logger.Error("one-time codes cannot be checked, so whatever asks for one is refused", "err", fault)
	}
	g.codes = stepup.New(stepup.Config{Store: g.store, Recorder: g.log, Key: key, Fault: fault, Clock: o.Clock, IDs: o.IDs, Logger: o.Logger,
		Confide: a.confide, Posted: g.posted, Issuer: issuer})
	return nil
}

// confideWithin bounds how long showing something to one account may take.
const confideWithin = 10 * time.Second

// confide shows a card to one account alone, on the network it asked from.
func (a *App) confide(ctx context.Context, d bot.Delivery) (err error) {
	network := d.Channel.Network()
	chat, ok := a.chats[network]
	if !ok {
		return bot.Errorf(bot.NotFound, "no chat network %q is configured", network)
	}
	c, ok := chat.(bot.Confidential)
	if !ok || d.To.Network() == "" {
		return bot.Errorf(bot.Denied, "nothing can be shown to you alone here, and a secret is shown in no other way; type it where you are alone, such as in quarterdeck chat")
	}
	defer func() {
		if p := recover(); p != nil { // without what it says, which may quote the card
			a.options.Logger.ErrorContext(ctx, "panic while showing a card to one account", "network", network, "stack", string(debug.Stack()))
			err = &bot.Error{Op: network + ".confide", Kind: bot.Internal, Err: fmt.Errorf("panic")}
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, confideWithin)
	defer cancel()
	return c.Confide(ctx, d)
}

// NeedsCode reports whether the line or the pressed button must come with a
// one-time code of its account; see router.Router.NeedsCode. It is for chat
// networks with forms, and for a bot that runs.
func (a *App) NeedsCode(ctx context.Context, m bot.Message) bool {
	_, needed := a.current().guide.Router.NeedsCode(ctx, m)
	return needed
}
