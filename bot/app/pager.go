package app

import (
	"context"

	"quarterdeck/bot"
	"quarterdeck/bot/config"
	"quarterdeck/bot/page"
	"quarterdeck/bot/release"
)

// setPager checks what is configured of pages.
func (a *App) setPager(f *faults) {
	c, o := a.Config, a.options
	if c.Pager == nil {
		return
	}
	b := page.Basis{Raw: c.Pager, At: c.At, Location: c.Bot.Location, Persons: map[string]page.Person{}, Secrets: o.Secrets,
		Networks: func(name string) bool { _, ok := c.Chats[name]; return ok },
		Exposed:  c.Listen[bot.OnInternal] != "" && !config.Loopback(c.Listen[bot.OnInternal])}
	for _, p := range c.People {
		b.Persons[p.Name] = page.Person{Accounts: p.Accounts, Email: p.Email, Disabled: p.Disabled}
	}
	for _, s := range c.Services {
		if s.Alerts != nil {
			b.Services = append(b.Services, page.Service{Target: s.Target, Where: s.Alerts.Where, Match: s.Alerts.Match, Runbook: s.Alerts.Runbook, Escalation: s.Alerts.Escalation,
				Back: s.Deploy != nil || s.Components != nil})
		}
	}
	settings, warnings, faulty := page.Parse(b)
	for _, one := range faulty {
		f.add(one.Where, one.Err)
	}
	a.pagerWarnings = warnings
	if len(faulty) == 0 {
		a.pager, a.roster = settings, page.NewRoster(settings, o.Clock)
		return
	}
	if settings != nil { // what is wrong is told; that a schedule is not known is none
		a.roster = page.NewRoster(settings, o.Clock)
	}
}

// schedules gives who knows who is on call, nil for nobody.
func (a *App) schedules() bot.Schedules {
	if a.options.Schedules != nil {
		return a.options.Schedules
	}
	if a.roster != nil {
		return a.roster
	}
	return nil
}

// attachPager has a's roster know of overrides.
func (a *App) attachPager(g *ground) {
	if a.roster != nil {
		a.roster.Attach(g.store)
	}
}

// pages makes the pager, which works by what is configured at the time.
func (a *App) pages(g *ground) *page.Keeper {
	o := a.options
	zone := func() bot.Zone { return bot.Zone{Location: a.current().Config.Bot.Location} }
	return page.New(page.Config{Store: g.store, Recorder: g.log, Clock: o.Clock, IDs: o.IDs, Logger: o.Logger, Posted: g.posted, Zone: zone, Owner: o.IDs.New(),
		Settings: func() *page.Settings { return a.current().pager },
		Direct: func(account bot.AccountID) (bot.ChannelID, bool) {
			chat, ok := a.chats[account.Network()].(bot.Direct)
			if !ok {
				return "", false
			}
			return chat.DirectTo(account)
		},
		Deliver: func(ctx context.Context, d bot.Delivery) (string, error) { return g.emergency.Deliver(ctx, d) },
	})
}

// knowing has the pager know what changed at its targets; any engine of the
// process will do.
func (a *App) knowing(g *ground, runs bot.Runs) {
	g.pages.Known = page.History(runs, g.log, a.options.Clock, g.pages.Zone, release.Slot)
}
