package app

import (
	"fmt"

	"quarterdeck/bot"
	"quarterdeck/bot/action"
	"quarterdeck/bot/config"
	"quarterdeck/bot/grammar"
	"quarterdeck/bot/provider"
)

// bindActions binds every [[action]] to its provider. One that could not be
// bound is a fault, and in the table all the same, so that nothing else is said
// of rules that name its permission.
func bindActions(c *config.Config, opened map[string]provider.Provider, f *faults) *action.Table {
	var all []action.Action
	for _, in := range c.Actions {
		a := action.Action{Definition: in.Definition}
		if p, ok := opened[in.Run.Provider]; ok {
			if binder, can := p.(provider.ActionBinder); !can {
				f.add(in.Run.Raw.Where(), bot.Errorf(bot.Invalid, "provider %q runs no actions", in.Run.Provider))
			} else if bound, err := binder.BindAction(in.Shape(), in.Run.Raw); err != nil {
				f.add(in.Run.Raw.Where(), err)
			} else {
				a.Actor, a.Digest = bound, boundDigest(c, fmt.Sprintf("run %q %q %q %v", in.Name, in.Permission, in.Slot, in.Reads), in.Run)
			}
		}
		all = append(all, a)
	}
	return action.NewTable(all)
}

// checkVerbs refuses verbs of the team's own that cannot be told from the others
// by whoever types them. What is wrong with one alone was said by its place.
func (a *App) checkVerbs(f *faults) {
	if a.tables.Commands == nil || len(a.Actions.All()) == 0 || a.Directory == nil {
		return
	}
	if _, err := grammar.New(a.tables.Commands(CommandNeeds{Actions: a.Actions}), words{a.Catalog, a.Directory}); err != nil {
		f.add(f.config(), err)
	}
}

// actionWarnings gives what the actions name and is not there on this machine.
func (a *App) actionWarnings() []string {
	var lines []string
	for i, bound := range a.Actions.All() {
		if inspected, ok := bound.Actor.(provider.Inspected); ok {
			for _, line := range inspected.Inspect() {
				lines = append(lines, fmt.Sprintf("%s: run of %s, %s", a.Config.Actions[i].Run.Raw.Where(), bound.Name, line))
			}
		}
	}
	return lines
}
