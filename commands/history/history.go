// Package history shows what changed, newest first.
package history

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"quarterdeck/bot"
	"quarterdeck/bot/provider"
)

const (
	shown  = 12
	looked = 200
)

// New makes the command.
func New(c *provider.Catalog, runs bot.Runs, p bot.Policy) bot.Command {
	return bot.Command{
		Name:     "history",
		Summary:  "what changed, by whom, with what outcome",
		Examples: []string{"history", "history shop prod"},
		Params: []bot.Param{
			{Name: "service", Type: bot.TypeService, Optional: true, Help: "only this service"},
			{Name: "environment", Type: bot.TypeEnvironment, Optional: true, Help: "only this environment"},
		},
		Permission: bot.MaySeeHistory,
		Resolve:    bot.AskAbout(bot.MaySeeHistory), // of several, each is checked by itself
		Read: func(ctx context.Context, call bot.Call) (bot.Reply, error) {
			allowed := map[bot.Target]bool{}
			for _, t := range bot.Permitted(p, call, bot.MaySeeHistory, c.Matching(call.Args["service"], call.Args["environment"])) {
				allowed[t] = true
			}
			if len(allowed) == 0 {
				return bot.Reply{}, bot.Errorf(bot.Denied, "no grant lets you see that history")
			}
			f := bot.RunFilter{Limit: looked}
			if t := call.Args.Target(); t.Service != "" && t.Environment != "" {
				f.Target = t
			}
			all, err := runs.Runs(ctx, f)
			if err != nil {
				return bot.Reply{}, err
			}
			table := &bot.Table{Columns: []string{"AT", "RUN", "WHAT", "BY", "OUTCOME"}}
			for _, r := range all {
				// What is about no target, such as a halt, concerns everybody.
				if !allowed[r.Ask.Target] && r.Ask.Target != (bot.Target{}) || r.Started.IsZero() || len(table.Rows) == shown {
					continue
				}
				table.Rows = append(table.Rows, []string{r.Started.Format("01-02 15:04"), fmt.Sprintf("#%d", r.Number), r.Plan.Summary, r.Call.Who.Name(), string(r.State)})
			}
			if len(table.Rows) == 0 {
				return bot.Reply{Card: bot.Card{Title: "nothing has changed yet in " + where(allowed)}}, nil
			}
			return bot.Reply{Card: bot.Card{Title: "changes, newest first", Table: table}}, nil
		},
	}
}

// where names the targets that were looked at.
func where(targets map[bot.Target]bool) string {
	const most = 5
	var names []string
	for t := range targets {
		names = append(names, t.String())
	}
	slices.Sort(names)
	if more := len(names) - most; more > 0 {
		names = append(names[:most], fmt.Sprintf("%d more", more))
	}
	return strings.Join(names, ", ")
}
