// Package review is another person's look at what was done by break-glass.
package review

import (
	"context"

	"quarterdeck/bot"
)

// New makes the command. Rights on the run itself are checked by runs.
func New(runs bot.Runs) bot.Command {
	return bot.Command{
		Name:       "review",
		Summary:    "say that you looked at what was done by break-glass",
		Help:       "Who broke the glass acted without the approvals that the rules ask for. Somebody who could have approved it looks at it afterwards; with --reason they say what they think of it. Until then it stays on the list that the verb runs shows.",
		Examples:   []string{"review", `review 12 --reason "right call; the runbook needs this case"`},
		Params:     []bot.Param{{Name: "run", Type: bot.TypeRun, Optional: true, Help: "the run to review; the one that waits unless given"}},
		Permission: bot.MayAskSelf,
		Resolve:    bot.AskSelf,
		Answer: func(ctx context.Context, c bot.Call) (bot.Reply, error) {
			return runs.Answer(ctx, c, bot.AnswerReview, c.Args.Run())
		},
	}
}
