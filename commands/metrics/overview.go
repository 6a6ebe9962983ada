package metrics

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/chart"
	"quarterdeck/bot/panel"
	"quarterdeck/bot/provider"
)

const (
	// sparkColumns is how long a sparkline is: four of them stand in 80 columns.
	sparkColumns = 6
	// maxTargets bounds the table, and with it what is asked for at once.
	maxTargets = 60
)

func count(n int, unit string) string { return strconv.Itoa(n) + unit }

// all gives the golden signals of every target that may be seen.
func (n Needs) all(ctx context.Context, call bot.Call, over provider.Span) (bot.Reply, error) {
	var watched []bot.Target
	for _, t := range n.Catalog.Matching(call.Args["service"], call.Args["environment"]) {
		if len(n.Board.Of(t)) > 0 {
			watched = append(watched, t)
		}
	}
	if len(watched) == 0 {
		return bot.Reply{}, bot.Errorf(bot.NotFound, "nothing is measured there: give a service a metrics table, as config.example.toml shows")
	}
	targets := bot.Permitted(n.Policy, call, bot.MaySeeMetrics, watched)
	if len(targets) == 0 {
		return bot.Reply{}, bot.Errorf(bot.Denied, "no grant lets you see the metrics of that")
	}
	card := bot.Card{Title: "golden signals, last " + span(over.To.Sub(over.From))}
	if more := len(targets) - maxTargets; more > 0 {
		targets = targets[:maxTargets]
		card.Text = fmt.Sprintf("%d more are not shown; name a service", more)
	}
	signals := n.signals(targets)
	if len(signals) == 0 {
		return bot.Reply{}, bot.Errorf(bot.NotFound, "no metric there is said to be a golden signal; name a service and an environment")
	}
	var asks []panel.Ask
	for _, t := range targets {
		for _, m := range n.Board.Of(t) {
			if m.Signal != "" {
				asks = append(asks, panel.Ask{Target: t, Metric: m.Name, Over: over})
			}
		}
	}
	answers := n.Board.Gather(ctx, asks, 60)
	table := &bot.Table{Columns: []string{"TARGET"}}
	for _, s := range signals {
		table.Columns = append(table.Columns, strings.ToUpper(string(s)))
	}
	read, beyond := 0, 0
	for _, t := range targets {
		row := []string{t.String()}
		for _, s := range signals {
			text := "-"
			for _, m := range n.Board.Of(t) {
				if m.Signal != s {
					continue
				}
				for _, a := range answers {
					if a.Target == t && a.Metric == m.Name {
						var isBeyond bool
						if text, isBeyond = cell(a, m, over); isBeyond {
							beyond++
						}
						if a.Err == nil {
							read++
						}
					}
				}
			}
			row = append(row, text)
		}
		table.Rows = append(table.Rows, row)
	}
	card.Table = table
	card.Text = lines(card.Text, n.silent(answers))
	switch {
	case read == 0:
		card.Title, card.Tone, card.Outcome = "the golden signals are not known: nothing answers", bot.Bad, bot.OutcomeFailed
	case beyond > 0:
		card.Tone, card.Footer = bot.Warning, "! is beyond its threshold"
	}
	return bot.Reply{Card: card}, nil
}

// signals lists those that any of the targets has.
func (n Needs) signals(targets []bot.Target) []provider.Signal {
	var all []provider.Signal
	for _, s := range provider.Signals() {
		if slices.ContainsFunc(targets, func(t bot.Target) bool {
			return slices.ContainsFunc(n.Board.Of(t), func(m provider.Metric) bool { return m.Signal == s })
		}) {
			all = append(all, s)
		}
	}
	return all
}

// cell is the last value of a metric with its course; of several lines the one
// that stands worst against the threshold, or else the largest.
func cell(a panel.Answer, m provider.Metric, over provider.Span) (text string, beyond bool) {
	if a.Err != nil {
		return "?", false
	}
	text = "no data"
	var worst float64
	for _, s := range a.Measured.Series {
		sum := chart.Summarise(s.Points, over.From, over.To)
		if sum.Count == 0 || !current(sum, over, a.Measured.Step) {
			continue
		}
		if d := panel.Beyond(m.Limits, sum.Last); text == "no data" || d > worst {
			worst = d
			text, beyond = chart.Value(sum.Last, m.Unit), panel.Breach(m.Limits, sum.Last)
			if beyond {
				text += " !"
			}
			text += " " + chart.Spark(s.Points, over.From, over.To, sparkColumns)
		}
	}
	return text, beyond
}

// current reports whether the last value says what is now: what ended long ago is
// no data, whatever it was.
func current(s chart.Summary, over provider.Span, step time.Duration) bool {
	return over.To.Sub(s.LastAt) <= max(2*step, over.To.Sub(over.From)/20)
}

// silent says which sources did not answer, and what could not be read of them.
func (n Needs) silent(answers []panel.Answer) string {
	of := map[string][]string{}
	var order []string
	for _, a := range answers {
		if a.Err == nil {
			continue
		}
		say := bot.Sentence(a.Err, "metrics")
		if of[say] == nil {
			order = append(order, say)
		}
		what := a.Target.String()
		if a.Metric != "" && bot.KindOf(a.Err) == bot.Invalid {
			what = a.Metric + " of " + what
		}
		if !slices.Contains(of[say], what) {
			of[say] = append(of[say], what)
		}
	}
	var all []string
	for _, say := range order {
		what := of[say]
		if more := len(what) - 4; more > 0 {
			what = append(what[:4:4], fmt.Sprintf("%d more", more))
		}
		all = append(all, fmt.Sprintf("not read: %s (%s)", strings.Join(what, ", "), say))
	}
	return strings.Join(all, "\n")
}

// lines joins what is not empty.
func lines(all ...string) string {
	return strings.Join(slices.DeleteFunc(all, func(s string) bool { return s == "" }), "\n")
}
