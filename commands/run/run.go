// Package run shows one run and everything recorded about it.
package run

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"quarterdeck/bot"
)

// New makes the command.
func New(runs bot.Runs, log bot.Log, p bot.Policy, z bot.Zone) bot.Command {
	return bot.Command{
		Name:       "run",
		Summary:    "one run with everything recorded about it",
		Examples:   []string{"run 12"},
		Params:     []bot.Param{{Name: "run", Type: bot.TypeRun, Help: "the run's number"}},
		Permission: bot.MaySeeRuns,
		Resolve:    bot.AskSelf, // the run's target is checked below
		Read: func(ctx context.Context, c bot.Call) (bot.Reply, error) {
			r, err := runs.Get(ctx, c.Args.Run())
			if err != nil {
				return bot.Reply{}, err
			}
			// What is about no target, such as a halt, concerns everybody.
			if r.Ask.Target != (bot.Target{}) && len(bot.Permitted(p, c, bot.MaySeeRuns, []bot.Target{r.Ask.Target})) == 0 {
				return bot.Reply{}, bot.Errorf(bot.Denied, "no grant lets you see the runs of %s", r.Ask.Target)
			}
			records, err := log.Records(ctx, bot.RecordFilter{Run: r.Number, Limit: 60})
			if err != nil {
				return bot.Reply{}, err
			}
			slices.Reverse(records)
			table := &bot.Table{Columns: []string{"SEQ", "AT", "WHO", "WHAT"}}
			for _, rec := range records {
				table.Rows = append(table.Rows, []string{fmt.Sprint(rec.Seq), z.Clock(rec.At), rec.Person, what(rec)})
			}
			card := bot.Card{Title: fmt.Sprintf("#%d %s: %s", r.Number, r.Plan.Summary, r.Standing(z)), Text: r.Result, Fields: preview(r), Table: table, Footer: z.Note()}
			if rule := r.Decision.Rule; rule != "" {
				if r.Decision.Require != "" {
					rule += "; asked for by " + r.Decision.Require
				}
				card.Fields = append(card.Fields, bot.Field{Name: "rule", Value: rule})
			}
			if r.Digest != "" {
				card.Fields = append(card.Fields, bot.Field{Name: "spec", Value: r.Digest})
			}
			return bot.Reply{Card: card}, nil
		},
	}
}

// preview gives what the plan showed. What was so then is not so now when the
// run has ended.
func preview(r bot.Run) []bot.Field {
	fields := slices.Clone(r.Plan.Preview)
	for i := range fields {
		if r.State.Settled() && fields[i].Name == "now" {
			fields[i].Name = "was"
		}
	}
	return fields
}

func what(r bot.Record) string {
	parts := []string{string(r.Kind)}
	answer := r.Words("answer")
	if r.Kind == bot.Approved || r.Kind == bot.ConfirmedKind {
		answer = "" // the kind says it
	}
	if parent := r.Detail["parent"]; parent != "" {
		parts = append(parts, "follows #"+parent)
	}
	for _, s := range []string{answer, r.Detail["state"], r.Words("why"), r.Words("passed"), unsaid(r, "override"), r.Text["line"], r.Text["progress"], r.Text["result"], unsaid(r, "reason")} {
		if s != "" && !slices.Contains(parts, s) {
			parts = append(parts, s)
		}
	}
	return strings.Join(parts, ": ")
}

// unsaid gives a text of the record, "" where the line that was typed shows it
// already: the words behind --reason and --override are kept on their own too.
func unsaid(r bot.Record, name string) string {
	text := r.Text[name]
	quoted := strconv.Quote(text)
	if line := r.Text["line"]; strings.Contains(line, text) || strings.Contains(line, quoted[1:len(quoted)-1]) {
		return ""
	}
	return text
}
