package app

import (
	"quarterdeck/bot"
	"quarterdeck/bot/audit"
	"quarterdeck/bot/guard"
	"quarterdeck/bot/journal"
	"quarterdeck/bot/release"
	"quarterdeck/bot/router"
	"quarterdeck/bot/run"
	"quarterdeck/bot/store"
)

// emergency opens the emergency journal and makes the road that leads through it.
// A bot that runs beside another one, which has the journal open, or that cannot
// have one, goes without: what only that could note is refused then.
func (a *App) emergency(engine *run.Engine, seal store.Seal, keeper *guard.Keeper, log *audit.Log) (*run.Emergency, func(), error) {
	o, c := a.options, a.Config
	without := run.New(run.Config{Store: store.Nothing{}, Recorder: log, Policy: a.Policy, Directory: a.Directory, Seal: seal, Clock: o.Clock, IDs: o.IDs, Logger: o.Logger})
	blind := map[string]bot.Command{}
	for _, cmd := range a.tables.Commands(CommandNeeds{Catalog: a.Catalog, Ledger: release.NewLedger(store.Nothing{}), Runs: without,
		Guard: keeper, Clock: o.Clock, Log: log, Policy: a.Policy, Guide: a.guide}) {
		blind[cmd.Name] = cmd
	}
	m := &run.Emergency{Engine: engine, Audit: c.Audit.Channels,
		Blind:   func(name string) (bot.Command, bool) { cmd, ok := blind[name]; return cmd, ok },
		Deliver: router.Direct(func(network string) (bot.Chat, bool) { chat, ok := a.chats[network]; return chat, ok })}
	var found journal.Found
	if c.Bot.Journal != "" {
		j, in, err := journal.Open(c.Bot.Journal, seal)
		switch {
		case bot.KindOf(err) == bot.Busy: // whoever has it merges it
			o.Logger.Info("the emergency journal is in use; this process does without", "err", err)
		case err != nil:
			o.Logger.Error("there is no emergency journal, so that nothing can be rolled back while the database cannot be written", "err", err)
		default:
			m.Journal, found = j, in
		}
	}
	done := func() {
		if m.Journal != nil {
			m.Journal.Close()
		}
	}
	if err := m.Load(found); err != nil {
		done()
		return nil, nil, err
	}
	return m, done, nil
}
