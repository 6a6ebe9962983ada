package app

import (
	"quarterdeck/bot"
	"quarterdeck/bot/provider"
	"quarterdeck/bot/store"
)

// flagKeys gives what opens the flags of each target that the bot answers for.
func (a *App) flagKeys() map[bot.Target][]bot.Secret {
	keys := map[bot.Target][]bot.Secret{}
	for _, t := range a.Catalog.Flagged("") {
		flagger, err := a.Catalog.Flagger(t)
		if err != nil {
			continue
		}
		if r, ok := flagger.(provider.FlagReader); ok && len(r.Keys()) > 0 {
			keys[t] = r.Keys()
		}
	}
	return keys
}

// direct gives the places where a person is told something directly: each account
// on a network that can be written to without being asked first.
func (a *App) direct(person string) (places []store.Outgoing) {
	p, found := a.Directory.Person(person)
	if !found || p.Disabled {
		return nil
	}
	for _, account := range p.Accounts {
		network := account.Network()
		if _, open := a.chats[network]; !open || network == "terminal" {
			continue // a session of the terminal is only there while somebody sits at it
		}
		places = append(places, store.Outgoing{Channel: bot.ChannelID(account), To: account})
	}
	return places
}
