package app

import (
	"context"
	"strings"

	"quarterdeck/bot"
	"quarterdeck/bot/digest"
	"quarterdeck/bot/grammar"
	"quarterdeck/bot/release"
	"quarterdeck/bot/router"
)

// Explain says whether an account, or a person by name, may run a line, which
// rule decides and what would change it. It runs nothing and opens no store.
func (a *App) Explain(ctx context.Context, who, line string) (string, error) {
	account := bot.AccountID(who)
	if !strings.Contains(who, ":") {
		p, ok := a.Directory.Person(who)
		if !ok {
			return "", bot.Errorf(bot.NotFound, "there is no person %q; name one, or an account such as slack:T0123/U0001", who)
		}
		if len(p.Accounts) == 0 {
			return "", bot.Errorf(bot.NotFound, "%s has no account", who)
		}
		account = p.Accounts[0]
	}
	id, err := a.Directory.Identify(ctx, account, bot.Member)
	if err != nil {
		return "", err
	}
	all := a.tables.Commands(CommandNeeds{Catalog: a.Catalog, Actions: a.Actions, Board: a.Board, Ledger: release.NewLedger(nil), Policy: a.Policy, Guide: a.guide, Zone: bot.Zone{Location: a.Config.Bot.Location}, Digests: digest.New(digest.Config{Digests: a.digests})})
	g, err := grammar.New(all, words{a.Catalog, a.Directory})
	if err != nil {
		return "", err
	}
	guide := &router.Guide{Catalog: a.Catalog, Permissions: a.Actions.Permissions(), Router: router.New(router.Config{Policy: a.Policy, Directory: a.Directory, Grammar: g,
		Clock: a.options.Clock, IDs: a.options.IDs, Logger: a.options.Logger})}
	card, err := guide.Can(ctx, bot.Call{Who: id, At: a.options.Clock.Now()}, line)
	if err != nil {
		return "", err
	}
	return card.Title + "\n" + card.Text, nil
}
