// Package help shows what the asker may run.
package help

import (
	"context"

	"quarterdeck/bot"
)

// New makes the command.
func New(g bot.Guide) bot.Command {
	return bot.Command{
		Name:       "help",
		Summary:    "what you may run, or one command in full",
		Examples:   []string{"help", "help deploy"},
		Params:     []bot.Param{{Name: "verb", Type: bot.TypeLine, Optional: true, Help: "the command to explain"}},
		Permission: bot.MayAskSelf,
		Private:    true,
		Resolve:    bot.AskSelf,
		Read: func(_ context.Context, c bot.Call) (bot.Reply, error) {
			card, err := g.Help(c, c.Args["verb"])
			return bot.Reply{Card: card, Private: true}, err
		},
	}
}
