// Package whoami tells people who the bot takes them for.
package whoami

import (
	"context"

	"quarterdeck/bot"
)

// New makes the command.
func New(g bot.Guide) bot.Command {
	return bot.Command{
		Name:       "whoami",
		Summary:    "who you are here, and what you may do where",
		Examples:   []string{"whoami"},
		Permission: bot.MayAskSelf,
		Private:    true,
		Resolve:    bot.AskSelf,
		Read: func(ctx context.Context, c bot.Call) (bot.Reply, error) {
			return bot.Reply{Card: g.Whoami(ctx, c), Private: true}, nil
		},
	}
}
