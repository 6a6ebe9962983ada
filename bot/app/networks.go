package app

import (
	"context"

	"quarterdeck/auth/directory"
	"quarterdeck/bot"
)

// networks gives what is asked about groups, by what their ids begin with, and
// about accounts, by network.
func (a *App) networks() (sources map[string]directory.Groups, vouching map[string]bot.Vouching) {
	sources, vouching = map[string]directory.Groups{}, map[string]bot.Vouching{}
	if a.options.Schedules != nil {
		sources["schedule"] = directory.OnCall(a.options.Schedules)
	}
	for _, ct := range a.tables.Chats {
		chat, open := a.chats[ct.Name]
		if _, configured := a.Config.Chats[ct.Name]; configured && !open && ct.Groups != "" {
			sources[ct.Groups] = faulty{} // its own fault is told; that its groups are not known is none
		}
		if m, ok := chat.(bot.Memberships); ok && ct.Groups != "" {
			sources[ct.Groups] = m
		}
		if v, ok := chat.(bot.Vouching); ok {
			vouching[ct.Name] = v
		}
	}
	return sources, vouching
}

// faulty stands for a network that did not open; nothing is run with it.
type faulty struct{}

// Holds implements directory.Groups.
func (faulty) Holds(context.Context, string, bot.AccountID) (bool, error) { return false, nil }
