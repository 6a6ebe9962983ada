// Package cancel stops a run: at once while it waits, by its provider once it runs.
package cancel

import (
	"context"

	"quarterdeck/bot"
)

// New makes the command. Rights on the run itself are checked by runs.
func New(runs bot.Runs) bot.Command {
	return bot.Command{
		Name:       "cancel",
		Summary:    "stop a run",
		Examples:   []string{"cancel", "cancel 12"},
		Params:     []bot.Param{{Name: "run", Type: bot.TypeRun, Optional: true, Help: "the run to stop; the one you have unless given"}},
		Permission: bot.MayAskSelf,
		Urgent:     true,
		Resolve:    bot.AskSelf,
		Answer: func(ctx context.Context, c bot.Call) (bot.Reply, error) {
			return runs.Answer(ctx, c, bot.AnswerCancel, c.Args.Run())
		},
	}
}
