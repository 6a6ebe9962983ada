// Package approve is a second person's yes to a plan.
package approve

import (
	"context"

	"quarterdeck/bot"
)

// New makes the command. Rights on the run itself are checked by runs.
func New(runs bot.Runs) bot.Command {
	return bot.Command{
		Name:       "approve",
		Summary:    "approve another person's run",
		Examples:   []string{"approve", "approve 12"},
		Params:     []bot.Param{{Name: "run", Type: bot.TypeRun, Optional: true, Help: "the run to approve; the one that waits unless given"}},
		Permission: bot.MayAskSelf,
		Urgent:     true,
		Resolve:    bot.AskSelf,
		Answer: func(ctx context.Context, c bot.Call) (bot.Reply, error) {
			return runs.Answer(ctx, c, bot.AnswerApprove, c.Args.Run())
		},
	}
}
