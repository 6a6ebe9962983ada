// Package history shows what changed, newest first.
package history

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/guard"
	"quarterdeck/bot/provider"
)

const (
	shown  = 12
	looked = 200
	// lookedBack bounds how far back in the log is searched for what changed
	// without the bot: the log is long, and holds few of those.
	lookedBack = 90 * 24 * time.Hour
)

// New makes the command.
func New(c *provider.Catalog, runs bot.Runs, p bot.Policy, log bot.Log, z bot.Zone) bot.Command {
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
			var changes []change
			for _, r := range all {
				// What is about no target, such as a halt, concerns everybody.
				if !allowed[r.Ask.Target] && r.Ask.Target != (bot.Target{}) || r.Started.IsZero() || !concerns(r, allowed) {
					continue
				}
				changes = append(changes, change{r.Started, []string{fmt.Sprintf("#%d", r.Number), r.Plan.Summary, r.Call.Who.Name(), r.State.Word()}})
			}
			latest := func(a, b change) int { return b.at.Compare(a.at) }
			slices.SortStableFunc(changes, latest)
			since := call.At.Add(-lookedBack)
			if len(changes) >= shown && changes[shown-1].at.After(since) {
				since = changes[shown-1].at // what is older is not shown
			}
			others, err := seen(ctx, log, f, since, allowed)
			if err != nil {
				return bot.Reply{}, err
			}
			changes = append(changes, others...)
			slices.SortStableFunc(changes, latest)
			table := &bot.Table{Columns: []string{"AT", "RUN", "WHAT", "BY", "OUTCOME"}}
			for _, x := range changes[:min(shown, len(changes))] {
				table.Rows = append(table.Rows, append([]string{z.Minute(x.at)}, x.cells...))
			}
			if len(table.Rows) == 0 {
				return bot.Reply{Card: bot.Card{Title: "nothing has changed yet in " + where(allowed)}}, nil
			}
			return bot.Reply{Card: bot.Card{Title: "changes, newest first", Table: table, Footer: z.Note()}}, nil
		},
	}
}

// concerns reports whether a run that is about no target is about one of these
// all the same: a freeze is about those of its environment.
func concerns(r bot.Run, targets map[bot.Target]bool) bool {
	var c guard.Change
	if r.Plan.Spec.Kind != guard.Kind || json.Unmarshal(r.Plan.Spec.Body, &c) != nil || c.Environment == "" {
		return true
	}
	for t := range targets {
		if t.Environment == c.Environment {
			return true
		}
	}
	return false
}

// change is one row, by when it was.
type change struct {
	at    time.Time
	cells []string
}

// seen gives what changed without the bot since a time.
func seen(ctx context.Context, log bot.Log, f bot.RunFilter, since time.Time, allowed map[bot.Target]bool) ([]change, error) {
	filter := bot.RecordFilter{Kind: bot.ObservedKind, Since: since, Limit: looked}
	if f.Target != (bot.Target{}) {
		filter.Target = f.Target.String()
	}
	records, err := log.Records(ctx, filter)
	if err != nil {
		return nil, err
	}
	var changes []change
	for _, r := range records {
		if t, ok := bot.ParseTarget(r.Target); r.Target != "" && (!ok || !allowed[t]) {
			continue
		}
		changes = append(changes, change{r.At, []string{"-", r.Words("summary"), "outside", "observed"}})
	}
	return changes, nil
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
