package app

import (
	"context"
	"slices"
	"strings"

	"quarterdeck/auth/directory"
	"quarterdeck/bot"
)

// networks gives what is asked about groups, by what their ids begin with, and
// about accounts, by network.
func (a *App) networks() (sources map[string]directory.Groups, vouching map[string]bot.Vouching) {
	sources, vouching = map[string]directory.Groups{}, map[string]bot.Vouching{}
	if s := a.schedules(); s != nil {
		sources["schedule"] = directory.OnCall(s)
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

// unheard refuses networks that are to be reached by a listener which is not
// configured: nothing would ever come in.
func (a *App) unheard(f *faults) {
	for _, ct := range a.tables.Chats {
		chat, ok := a.chats[ct.Name].(bot.Routed)
		if !ok {
			continue
		}
		for _, r := range chat.Routes() {
			if a.Config.Listen[r.On] == "" {
				where := a.Config.Chats[ct.Name].Where()
				f.add(where, bot.Errorf(bot.Invalid, "%s: [chat.%s] is reached by the %s listener, which is not configured; set %s in [listen], such as %q", where, ct.Name, r.On, r.On, "127.0.0.1:8080"))
				break
			}
		}
	}
}

// faulty stands for a network that did not open; nothing is run with it.
type faulty struct{}

// Holds implements directory.Groups.
func (faulty) Holds(context.Context, string, bot.AccountID) (bool, error) { return false, nil }

// Probed is what one network found out about itself.
type Probed struct {
	Network string
	bot.Finding
}

// Probe has every configured network that can find out whether what is configured
// works, in the order of the table; with post, each posts a test message to its
// audit channels. The bot must not have been run.
func (a *App) Probe(ctx context.Context, post bool) []Probed {
	var found []Probed
	for _, ct := range a.tables.Chats {
		chat, ok := a.chats[ct.Name].(bot.Prober)
		if !ok {
			continue
		}
		o := bot.ProbeOptions{Post: post}
		for _, c := range a.Config.Audit.Channels {
			if c.Network() == ct.Name {
				o.Audit = append(o.Audit, c)
			}
		}
		for _, c := range a.channels() {
			if c.Network() == ct.Name && c.Local() != "*" {
				o.Channels = append(o.Channels, c)
			}
		}
		for _, r := range a.Config.Roles {
			for _, g := range r.Groups {
				if local, ok := strings.CutPrefix(g, ct.Groups+":"); ok && ct.Groups != "" {
					o.Groups = append(o.Groups, local)
				}
			}
		}
		for _, person := range a.Config.People {
			for _, account := range person.Accounts {
				if account.Network() == ct.Name && !person.Disabled {
					o.Accounts = append(o.Accounts, account)
				}
			}
		}
		for _, finding := range chat.Probe(ctx, o) {
			found = append(found, Probed{ct.Name, finding})
		}
	}
	return found
}

// channels gives the channels that rules name, each once.
func (a *App) channels() (all []bot.ChannelID) {
	add := func(channels []string) {
		for _, c := range channels {
			if !slices.Contains(all, bot.ChannelID(c)) {
				all = append(all, bot.ChannelID(c))
			}
		}
	}
	for _, g := range a.Config.Grants {
		add(g.Channels)
	}
	for _, e := range a.entries {
		add([]string{string(e.Channel)})
	}
	for _, d := range a.Config.Denies {
		add(d.Channels)
	}
	return all
}
