// Package can tells people whether they may run a line, without running it.
package can

import (
	"context"

	"quarterdeck/bot"
)

// New makes the command.
func New(g bot.Guide) bot.Command {
	return bot.Command{
		Name:       "can",
		Summary:    "whether you may run a command, and which rule decides",
		Help:       "Runs nothing. Names the rule that decides and what would change the answer.",
		Examples:   []string{"can deploy shop v2 prod"},
		Params:     []bot.Param{{Name: "command", Type: bot.TypeLine, Help: "the command as you would type it"}},
		Permission: bot.MayAskSelf,
		Private:    true,
		Resolve:    bot.AskSelf,
		Read: func(ctx context.Context, c bot.Call) (bot.Reply, error) {
			card, err := g.Can(ctx, c, c.Args["command"])
			return bot.Reply{Card: card, Private: true}, err
		},
	}
}
