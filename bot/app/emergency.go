package app

import (
	"context"

	"quarterdeck/bot"
	"quarterdeck/bot/guard"
	"quarterdeck/bot/journal"
	"quarterdeck/bot/release"
	"quarterdeck/bot/router"
	"quarterdeck/bot/run"
	"quarterdeck/bot/store"
)

// emergency opens the emergency journal and makes the road that leads through it,
// by the configuration that is worked by at the time. A bot that runs beside
// another one, which has the journal open, or that cannot have one, goes without:
// what only that could note is refused then.
func (a *App) emergency(g *ground, engine *run.Engine) (done func(), err error) {
	o, c := a.options, a.Config
	m := &run.Emergency{Engine: engine, Audit: c.Audit.Channels,
		Blind: func(name string) (bot.Command, bool) { return a.current().blind(g, name) },
	}
	direct := router.Direct(func(network string) (bot.Chat, bool) { chat, ok := a.chats[network]; return chat, ok })
	m.Deliver = func(ctx context.Context, d bot.Delivery) (string, error) {
		d.Card = d.Card.Each(g.log.Redact)
		return direct(ctx, d)
	}
	g.emergency = m
	var found journal.Found
	if c.Bot.Journal != "" {
		j, in, err := journal.Open(c.Bot.Journal, g.seal)
		switch {
		case bot.KindOf(err) == bot.Busy: // whoever has it merges it
			o.Logger.Info("the emergency journal is in use; this process does without", "err", err)
		case err != nil:
			o.Logger.Error("there is no emergency journal, so that nothing can be rolled back while the database cannot be written", "err", err)
		default:
			m.Journal, found = j, in
		}
	}
	done = func() {
		if m.Journal != nil {
			m.Journal.Close()
		}
	}
	if err := m.Load(found); err != nil {
		done()
		return nil, err
	}
	return done, nil
}

// blind gives a command of a's configuration that works without the record.
func (a *App) blind(g *ground, name string) (bot.Command, bool) {
	o, nothing := a.options, store.Nothing{}
	runs := run.New(run.Config{Store: nothing, Recorder: g.log, Policy: a.Policy, Directory: a.Directory, Seal: g.seal, Clock: o.Clock, IDs: o.IDs, Logger: o.Logger})
	for _, cmd := range a.tables.Commands(CommandNeeds{Catalog: a.Catalog, Actions: a.Actions, Board: a.Board, Ledger: release.NewLedger(nothing), Runs: runs,
		Guard: guard.NewKeeper(nothing), Clock: o.Clock, Log: g.log, Policy: a.Policy, Guide: a.guide, Zone: bot.Zone{Location: a.Config.Bot.Location}, Pages: g.pages}) {
		if cmd.Name == name {
			return cmd, true
		}
	}
	return bot.Command{}, false
}
