package app

import (
	"context"

	"quarterdeck/bot"
	"quarterdeck/bot/audit"
	"quarterdeck/bot/flag"
	"quarterdeck/bot/grammar"
	"quarterdeck/bot/guard"
	"quarterdeck/bot/metrics"
	"quarterdeck/bot/page"
	"quarterdeck/bot/release"
	"quarterdeck/bot/router"
	"quarterdeck/bot/run"
	"quarterdeck/bot/stepup"
	"quarterdeck/bot/store"
)

// ground is what stays for as long as the bot runs, whatever is configured
// meanwhile.
type ground struct {
	store  store.Store
	log    *audit.Log
	seal   store.Seal
	posted func()
	// draining is closed once nothing new is to be begun.
	draining chan struct{}
	meter    *metrics.Metrics
	flags    *flag.Set

	engine *run.Engine // the newest
	router *router.Router
	codes  *stepup.Keeper // nil for none
	// emergency is the road while the log cannot be written.
	emergency *run.Emergency
	pages     *page.Keeper
}

// ways is what one configuration makes the bot work by.
type ways struct {
	engine run.Config
	router router.Config
	keeper *guard.Keeper
	// Filled in once there is an engine, which commands hold.
	commands  map[string]bot.Command
	workflows map[string]bot.Workflow
}

// ways gives what a's configuration makes of the engine; the router's part
// follows with router.
func (a *App) ways(g *ground) *ways {
	o, c := a.options, a.Config
	a.attachPager(g)
	w := &ways{keeper: guard.NewKeeper(g.store), commands: map[string]bot.Command{}, workflows: map[string]bot.Workflow{}}
	w.keeper.Weekly(a.freezes, c.Bot.Location)
	for _, p := range a.providers {
		if u, ok := p.(store.User); ok {
			u.Use(g.store)
		}
	}
	w.engine = run.Config{
		AtHand: g.pages.AtHand, Guards: w.keeper.Obstacles, InForce: a.inForce(g.seal),
		Store: g.store, Recorder: g.log, Seal: g.seal, Policy: a.Policy, Directory: a.Directory, Clock: o.Clock, IDs: o.IDs, Logger: o.Logger,
		Commands:  func(name string) (bot.Command, bool) { cmd, ok := w.commands[name]; return cmd, ok },
		Workflows: func(kind string) (bot.Workflow, bool) { wf, ok := w.workflows[kind]; return wf, ok },
		Posted:    g.posted, Reach: reach, Draining: g.draining, Meter: g.meter, Direct: a.direct,
		ConfirmExpires: c.Bot.ConfirmExpires, ApprovalExpires: c.Bot.ApprovalExpires,
	}
	return w
}

// router gives the router of a's configuration with its commands, which hold
// engine: the first of the process, or one after the router there is.
func (a *App) router(g *ground, w *ways, engine *run.Engine) (*router.Router, error) {
	o, c := a.options, a.Config
	all := a.tables.Commands(CommandNeeds{Catalog: a.Catalog, Actions: a.Actions, Board: a.Board, Ledger: release.NewLedger(g.store), Runs: engine, Guard: w.keeper, Backups: a.backups(g), Codes: g.codes, Clock: o.Clock, Log: g.log, Policy: a.Policy, Guide: a.guide, Zone: bot.Zone{Location: a.Config.Bot.Location}, Digests: a.desk(g, w, engine), Flags: g.flags, Persons: a.Directory.Persons(), Pages: g.pages})
	var verbs []string
	for _, cmd := range all {
		verbs = append(verbs, cmd.Name)
		w.commands[cmd.Name] = cmd
		for _, wf := range cmd.Workflows {
			w.workflows[wf.Kind()] = wf
		}
	}
	g.meter.Verbs(verbs)
	gr, err := grammar.New(all, words{a.Catalog, a.Directory})
	if err != nil {
		return nil, err
	}
	w.router = router.Config{Emergency: g.emergency, Codes: g.codes, Store: g.store, Recorder: g.log, Policy: a.Policy, Directory: a.Directory, Grammar: gr, Words: (&seen{policy: a.Policy, all: words{a.Catalog, a.Directory}}).of, Engine: engine, Seal: g.seal,
		Clock: o.Clock, IDs: o.IDs, Logger: o.Logger, Posted: g.posted, Reach: reach, Draining: g.draining, Meter: g.meter, Rate: c.Bot.Rate}
	if g.router != nil {
		a.guide.Router = g.router.Next(w.router)
	} else {
		a.guide.Router = router.New(w.router)
	}
	a.guide.Factor = g.codes.Standing
	a.form.Store(a.newForms(a.guide.Router))
	return a.guide.Router, nil
}

// current gives what is worked by now.
func (a *App) current() *App {
	if now := a.now.Load(); now != nil {
		return now
	}
	return a
}

func (a *App) complete(ctx context.Context, account bot.AccountID, line string) []string {
	return a.current().guide.Complete(ctx, account, line)
}

func (a *App) describe(ctx context.Context, account bot.AccountID) string {
	return a.current().guide.Describe(ctx, account)
}
