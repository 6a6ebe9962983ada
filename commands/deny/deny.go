// Package deny is a no to a plan that waits.
package deny

import (
	"context"

	"quarterdeck/bot"
)

// New makes the command. Rights on the run itself are checked by runs.
func New(runs bot.Runs) bot.Command {
	return bot.Command{
		Name:       "deny",
		Summary:    "deny a run that waits",
		Examples:   []string{"deny", "deny 12"},
		Params:     []bot.Param{{Name: "run", Type: bot.TypeRun, Optional: true, Help: "the run to deny; the one that waits unless given"}},
		Permission: bot.MayAskSelf,
		Urgent:     true,
		Resolve:    bot.AskSelf,
		Answer: func(ctx context.Context, c bot.Call) (bot.Reply, error) {
			return runs.Answer(ctx, c, bot.AnswerDeny, c.Args.Run())
		},
	}
}
