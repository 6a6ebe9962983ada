// Package runs lists what is under way and what ended lately.
package runs

import (
	"context"
	"fmt"

	"quarterdeck/bot"
	"quarterdeck/bot/provider"
)

// New makes the command.
func New(c *provider.Catalog, runs bot.Runs, p bot.Policy, z bot.Zone) bot.Command {
	return bot.Command{
		Name:       "runs",
		Summary:    "what is under way, and what ended lately",
		Examples:   []string{"runs"},
		Permission: bot.MaySeeRuns,
		Resolve:    bot.AskSelf, // every target is checked by itself
		Read: func(ctx context.Context, call bot.Call) (bot.Reply, error) {
			allowed := map[bot.Target]bool{}
			for _, t := range bot.Permitted(p, call, bot.MaySeeRuns, c.Targets()) {
				allowed[t] = true
			}
			if len(allowed) == 0 {
				return bot.Reply{}, bot.Errorf(bot.Denied, "no grant lets you see the runs of any target")
			}
			all, err := runs.Runs(ctx, bot.RunFilter{Limit: 50})
			if err != nil {
				return bot.Reply{}, err
			}
			table := &bot.Table{Columns: []string{"RUN", "STATE", "WHAT", "BY", "ASKED"}}
			for _, r := range all {
				// What is about no target, such as a halt, concerns everybody.
				if (allowed[r.Ask.Target] || r.Ask.Target == bot.Target{}) && len(table.Rows) < 15 {
					table.Rows = append(table.Rows, []string{fmt.Sprintf("#%d", r.Number), r.Standing(z), r.Plan.Summary, r.Call.Who.Name(), z.Second(r.Created)})
				}
			}
			if len(table.Rows) == 0 {
				return bot.Reply{Card: bot.Card{Title: "no runs yet"}}, nil
			}
			card := bot.Card{Title: "runs, newest first", Table: table, Footer: z.Note()}
			open, err := runs.Runs(ctx, bot.RunFilter{ToReview: true, Limit: 50})
			if err != nil {
				return bot.Reply{}, err
			}
			for _, r := range open {
				if allowed[r.Ask.Target] || r.Ask.Target == (bot.Target{}) {
					card.Fields = append(card.Fields, bot.Field{Name: "to review", Value: fmt.Sprintf("#%d %s, by %s on %s: %s",
						r.Number, r.Plan.Summary, r.Call.Who.Name(), z.Minute(r.Started), r.Call.BreakGlass)})
				}
			}
			return bot.Reply{Card: card}, nil
		},
	}
}
