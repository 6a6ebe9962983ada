// Package confirm is the asker's yes to a plan.
package confirm

import (
	"context"

	"quarterdeck/bot"
)

// New makes the command. Rights on the run itself are checked by runs.
func New(runs bot.Runs) bot.Command {
	return bot.Command{
		Name:       "confirm",
		Summary:    "confirm what you asked for",
		Examples:   []string{"confirm", "confirm 12"},
		Params:     []bot.Param{{Name: "run", Type: bot.TypeRun, Optional: true, Help: "the run to confirm; the one that waits unless given"}},
		Permission: bot.MayAskSelf,
		Urgent:     true,
		Resolve:    bot.AskSelf,
		Answer: func(ctx context.Context, c bot.Call) (bot.Reply, error) {
			return runs.Answer(ctx, c, bot.AnswerConfirm, c.Args.Run())
		},
	}
}
