package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"quarterdeck/auth"
	"quarterdeck/bot"
	"quarterdeck/bot/audit"
	"quarterdeck/bot/config"
	"quarterdeck/bot/digest"
	"quarterdeck/bot/grammar"
	"quarterdeck/bot/nearest"
	"quarterdeck/bot/release"
	"quarterdeck/bot/run"
	"quarterdeck/bot/schedule"
	"quarterdeck/bot/store"
)

// jobPrincipal gives who the clock asks for a job as. It is not "schedule:NAME",
// which is an on-call schedule.
func jobPrincipal(name string) string { return "job:" + name }

// principals are all whom the configuration has the clock speak as.
func principals(c *config.Config) (all []string) {
	for _, d := range c.Digests {
		all = append(all, digest.Definition{Name: d.Name}.Principal())
	}
	for _, j := range c.Jobs {
		all = append(all, jobPrincipal(j.Name))
	}
	return all
}

// clockwork makes what the clock asks for of the configuration.
func (a *App) clockwork(f *faults) {
	sections := a.sections(nil, nil, nil)
	for _, d := range a.Config.Digests {
		times, err := schedule.Parse(d.At, d.Zone)
		if err != nil {
			f.add(d.AtWhere, err)
		}
		def := digest.Definition{Name: d.Name, Channel: d.Channel, Times: times, Lines: d.Lines, Environments: d.Environments, Hosts: d.Hosts, Sections: d.Sections}
		if def.Environments == nil {
			def.Environments = lastOf(a.Config)
		}
		for i, name := range d.Sections {
			if name != "" && !slices.ContainsFunc(sections, func(s digest.Section) bool { return s.Name == name }) {
				f.add(d.SectionsWhere[i], bot.Errorf(bot.Invalid, "%s", noSection(name, sections)))
			}
		}
		a.digests = append(a.digests, def)
		a.entries = append(a.entries, schedule.Entry{Principal: def.Principal(), Times: times, Line: "digest " + d.Name, Channel: d.Channel, Late: d.Late})
	}
	for _, j := range a.Config.Jobs {
		times, err := schedule.Parse(j.At, j.Zone)
		if err != nil {
			f.add(j.AtWhere, err)
		}
		a.entries = append(a.entries, schedule.Entry{Principal: jobPrincipal(j.Name), Times: times, Line: j.Run, Channel: j.Channel, Late: j.Late})
	}
}

func noSection(name string, sections []digest.Section) string {
	var names []string
	for _, s := range sections {
		names = append(names, s.Name)
	}
	if near := nearest.Of(name, names); near != "" {
		return fmt.Sprintf("there is no section %q; did you mean %q?", name, near)
	}
	return fmt.Sprintf("there is no section %q; there are %s", name, strings.Join(names, ", "))
}

// lastOf gives the environments that no other comes after: those in production.
func lastOf(c *config.Config) (last []string) {
	for _, env := range c.Environments {
		followed := false
		for _, before := range c.After {
			followed = followed || before == env
		}
		if !followed {
			last = append(last, env)
		}
	}
	return last
}

// entitled refuses what the clock is to ask for and may not: it would be denied
// every time, and nobody would be there to see it. Digests that name no sections
// get those of every day for which their rights suffice.
func (a *App) entitled(f *faults) {
	sections := a.sections(nil, nil, nil)
	for i, d := range a.Config.Digests {
		def := &a.digests[i]
		who := bot.Identity{Account: bot.ClockAccount(def.Principal()), Standing: bot.Member, Person: def.Principal()}
		lacks := func(where string, p bot.Permission) {
			f.add(where, bot.Errorf(bot.Invalid, "digest %q needs the permission %s, which no rule gives it; add a [[grant]] with persons = [%q] and permissions = [%q]", d.Name, p, def.Principal(), string(p)))
		}
		if !a.Policy.Holds(who, bot.MayDigest) {
			lacks(d.Where, bot.MayDigest)
		}
		for j, name := range d.Sections {
			if n := slices.IndexFunc(sections, func(s digest.Section) bool { return s.Name == name }); n >= 0 && !a.Policy.Holds(who, sections[n].Permission) && sections[n].Permission != bot.MayDigest {
				lacks(d.SectionsWhere[j], sections[n].Permission)
			}
		}
		if d.Sections == nil {
			for _, name := range digest.Daily {
				if n := slices.IndexFunc(sections, func(s digest.Section) bool { return s.Name == name }); n >= 0 && a.Policy.Holds(who, sections[n].Permission) {
					def.Sections = append(def.Sections, name)
				}
			}
		}
	}
	a.checkJobs(f)
}

// checkJobs refuses lines that could not be run: mistyped, not granted, or waiting
// for an answer that the clock never gives.
func (a *App) checkJobs(f *faults) {
	if len(a.Config.Jobs) == 0 || a.tables.Commands == nil {
		return
	}
	all := a.tables.Commands(CommandNeeds{Catalog: a.Catalog, Actions: a.Actions, Ledger: release.NewLedger(nil), Policy: a.Policy, Guide: a.guide, Digests: digest.New(digest.Config{Digests: a.digests})})
	g, err := grammar.New(all, words{a.Catalog, a.Directory})
	if err != nil {
		return // told already
	}
	for i, j := range a.Config.Jobs {
		e := a.entries[len(a.Config.Digests)+i]
		if err := a.checkJob(g, e); err != nil && j.Run != "" {
			f.add(j.RunWhere, bot.Errorf(bot.Invalid, "job %q: %s", j.Name, bot.Sentence(err, "run")))
		}
	}
}

func (a *App) checkJob(g *grammar.Grammar, e schedule.Entry) error {
	p, err := g.Parse(e.Line)
	if err != nil {
		return err
	}
	if p.Command.Answer != nil && !p.Command.Posts {
		return bot.Errorf(bot.Invalid, "%q is for people, and the clock is none", p.Command.Name)
	}
	who := bot.Identity{Account: bot.ClockAccount(e.Principal), Standing: bot.Member, Person: e.Principal}
	c := bot.Call{Who: who, Channel: e.Channel, At: e.Times.After(a.options.Clock.Now()), Line: p.Line, Command: p.Command.Name, Args: p.Args, Reason: p.Reason}
	ask, err := p.Command.Resolve(c)
	if err != nil {
		return err
	}
	d := a.Policy.Decide(bot.Request{Who: who, Permission: ask.Permission, Resources: ask.Resources, Channel: c.Channel, At: c.At})
	switch {
	case !d.Allowed && strings.HasPrefix(d.Rule, "deny"):
		return bot.Errorf(bot.Invalid, "%s, by %s", d.Because, d.Rule)
	case !d.Allowed:
		return bot.Errorf(bot.Invalid, "%s; add a [[grant]] with persons = [%q] and permissions = [%q]", d.Because, e.Principal, string(ask.Permission))
	case p.Command.Plan == nil:
	case d.Needs.Confirm:
		return bot.Errorf(bot.Invalid, "%s asks for a confirmation, which the clock cannot give", d.Require)
	case d.Needs.StepUp && len(d.Needs.Approvals) == 0:
		return bot.Errorf(bot.Invalid, "%s asks for a one-time code, which the clock has not", d.Require)
	case (d.Needs.Reason || len(d.Needs.Ticket) > 0) && c.Reason == "":
		return bot.Errorf(bot.Invalid, `%s asks for a reason; add --reason "..." to the line`, d.Require)
	}
	return nil
}

// sections gives the table of sections; without g it is only listed. Parts of the
// bot that bring sections of their own add them to More, one line each.
func (a *App) sections(g *ground, w *ways, runs bot.Runs) []digest.Section {
	s := digest.Sources{Catalog: a.Catalog, Zone: bot.Zone{Location: a.Config.Bot.Location}, Unused: a.unused}
	if g != nil {
		s.Runs, s.Log, s.Ledger, s.Guard, s.Store = runs, g.log, release.NewLedger(g.store), w.keeper, g.store
		s.Backups = a.backups(g)
		s.Means = func(verb string) bot.Permission { return w.commands[verb].Permission }
		s.Verify = func(ctx context.Context) (audit.Report, error) {
			public, err := audit.ReadPublicKey(a.Config.Audit.Key)
			if err != nil {
				return audit.Report{}, err
			}
			return audit.Verify(ctx, g.store, audit.VerifyOptions{PublicKey: public, Kept: a.Config.Audit.Checkpoints})
		}
	}
	return s.All()
}

// desk makes what gathers and posts digests.
func (a *App) desk(g *ground, w *ways, runs bot.Runs) *digest.Desk {
	return digest.New(digest.Config{Digests: a.digests, Sections: a.sections(g, w, runs), Store: g.store, Recorder: g.log, Policy: a.Policy,
		Clock: a.options.Clock, Logger: a.options.Logger, Posted: g.posted})
}

// unused gives what grants permit and none of the uses needed. Whoever used a
// right counts with the roles that they hold now.
func (a *App) unused(ctx context.Context, uses []digest.Use) ([]string, error) {
	roles := map[bot.AccountID][]string{}
	all := make([]auth.Use, 0, len(uses))
	for _, u := range uses {
		if _, known := roles[u.Account]; !known {
			who, err := a.Directory.Identify(ctx, u.Account, bot.Member)
			if err != nil {
				return nil, err
			}
			roles[u.Account] = who.Roles
		}
		all = append(all, auth.Use{Person: u.Person, Roles: roles[u.Account], Permission: u.Permission, Resource: u.Resource})
	}
	return a.Policy.Unused(all), ctx.Err()
}

// clock makes what asks for what is due. A replica whose configuration is not the
// one in force asks for nothing.
func (a *App) clock(g *ground) *schedule.Clock {
	return &schedule.Clock{Store: g.store, Recorder: g.log, Clock: a.options.Clock, Logger: a.options.Logger, Posted: g.posted,
		Entries: func() []schedule.Entry {
			now := a.current()
			if a.aside.Load() != nil {
				return nil
			}
			return now.entries
		},
		Due: func(ctx context.Context, next func(tx store.Tx) (bot.Message, bool, error)) error {
			now := a.current()
			inForce := now.inForce(g.seal)
			return now.guide.Router.Due(ctx, func(tx store.Tx) (bot.Message, bool, error) {
				if err := inForce(tx); errors.Is(err, run.ErrOutdated) {
					return bot.Message{}, false, &bot.Error{Op: "app.clock", Kind: bot.Conflict, Err: err}
				} else if err != nil {
					return bot.Message{}, false, err
				}
				return next(tx)
			})
		}}
}
