package metrics

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"quarterdeck/bot"
	"quarterdeck/bot/chart"
	"quarterdeck/bot/panel"
	"quarterdeck/bot/provider"
)

const (
	// maxRows bounds the numbers of one target.
	maxRows = 24
	// textWidth is that of a chart in characters: an 80 column terminal's.
	textWidth = 76
)

// shown is one metric of a target with what came of it.
type shown struct {
	provider.Metric
	now  panel.Answer
	then *panel.Answer // of --compare
}

// one gives a target in numbers, and one of its panels as a picture.
func (n Needs) one(ctx context.Context, call bot.Call, t bot.Target, over provider.Span) (bot.Reply, error) {
	if _, err := n.Catalog.Metrics(t); err != nil {
		return bot.Reply{}, err
	}
	metrics, drawn := n.Board.Of(t), ""
	if name := call.Args["panel"]; name != "" {
		var err error
		if drawn, metrics, err = n.Board.Find(t, name); err != nil {
			return bot.Reply{}, err
		}
	}
	earlier := argument(call, "compare", 0)
	list := n.read(ctx, t, metrics, over, earlier)
	card := bot.Card{Table: table(list, over, earlier)}
	if drawn == "" {
		card.Fields = panels(metrics)
		drawn = telling(list, over)
	}
	var answers []panel.Answer
	for _, m := range list {
		answers = append(answers, m.now)
		if m.then != nil {
			answers = append(answers, *m.then)
		}
	}
	card.Text = lines(n.silent(answers), warnings(list))
	n.head(&card, t, list, over)
	marks, err := n.markers(ctx, call, t, over)
	if err != nil {
		return bot.Reply{}, err
	}
	card.Image, err = n.picture(t, drawn, list, over, earlier, marks)
	if err != nil { // the numbers say the same
		card.Text = lines(card.Text, "there is no picture: "+bot.Sentence(err, "chart"))
	}
	for _, m := range list {
		if m.Panel == drawn || m.Name == drawn {
			card.Link = n.Board.Link(t, m.Name, over)
			break
		}
	}
	card.Footer = n.Zone.Note()
	return bot.Reply{Card: card}, nil
}

// read asks for everything at once.
func (n Needs) read(ctx context.Context, t bot.Target, metrics []provider.Metric, over provider.Span, earlier time.Duration) []shown {
	var asks []panel.Ask
	for _, m := range metrics {
		asks = append(asks, panel.Ask{Target: t, Metric: m.Name, Over: over})
	}
	if earlier > 0 {
		then := provider.Span{From: over.From.Add(-earlier), To: over.To.Add(-earlier)}
		for _, m := range metrics {
			asks = append(asks, panel.Ask{Target: t, Metric: m.Name, Over: then})
		}
	}
	answers := n.Board.Gather(ctx, asks, points)
	var list []shown
	for i, m := range metrics {
		s := shown{Metric: m, now: answers[i]}
		if earlier > 0 {
			s.then = &answers[len(metrics)+i]
		}
		list = append(list, s)
	}
	return list
}

// table gives the numbers: a row for each line.
func table(list []shown, over provider.Span, earlier time.Duration) *bot.Table {
	out := &bot.Table{Columns: []string{"METRIC", "LAST", "MIN", "AVG", "MAX", "THRESHOLD"}}
	if earlier > 0 {
		out.Columns = slices.Insert(out.Columns, 5, strings.ToUpper(span(earlier))+" AGO")
	}
	left := 0
	for _, m := range list {
		unit := short(m.Unit)
		limit := panel.Words(m.Limits, unit)
		if limit == "" {
			limit = "-"
		}
		add := func(name, last, least, avg, most, then, limit string) {
			if len(out.Rows) >= maxRows {
				left++
				return
			}
			row := []string{name, last, least, avg, most, limit}
			if earlier > 0 {
				row = slices.Insert(row, 5, then)
			}
			out.Rows = append(out.Rows, row)
		}
		if m.now.Err != nil {
			add(m.Name, "not read", "?", "?", "?", before(m, "", over, earlier), limit)
			continue
		}
		some := false
		for _, s := range m.now.Measured.Series {
			sum := chart.Summarise(s.Points, over.From, over.To)
			if sum.Count == 0 {
				continue
			}
			some = true
			last, limit := chart.Value(sum.Last, m.Unit), limit
			switch {
			case !current(sum, over, m.now.Measured.Step):
				last = "no data"
			case panel.Breach(m.Limits, sum.Last):
				limit += ", breached"
			}
			add(strings.TrimSpace(m.Name+" "+s.Label), last, chart.Value(sum.Min, unit), chart.Value(sum.Avg, unit), chart.Value(sum.Max, unit), before(m, s.Label, over, earlier), limit)
		}
		if !some {
			add(m.Name, "no data", "-", "-", "-", before(m, "", over, earlier), limit)
		}
	}
	if left > 0 {
		out.Rows[len(out.Rows)-1][0] = fmt.Sprintf("and %d more", left+1)
		for i := range out.Rows[len(out.Rows)-1][1:] {
			out.Rows[len(out.Rows)-1][i+1] = ""
		}
	}
	return out
}

// short leaves a unit out that is a word: it stands beside the last value, and not
// in every cell of the row.
func short(unit string) string {
	if utf8.RuneCountInString(unit) > 3 {
		return ""
	}
	return unit
}

// before gives the mean of a line at the earlier time.
func before(m shown, label string, over provider.Span, earlier time.Duration) string {
	switch {
	case m.then == nil:
		return ""
	case m.then.Err != nil:
		return "?"
	}
	for _, s := range m.then.Measured.Series {
		if sum := chart.Summarise(s.Points, over.From.Add(-earlier), over.To.Add(-earlier)); s.Label == label && sum.Count > 0 {
			return chart.Value(sum.Avg, short(m.Unit))
		}
	}
	return "no data"
}

// panels lists what can be drawn, by level.
func panels(metrics []provider.Metric) []bot.Field {
	var fields []bot.Field
	for _, level := range provider.Levels() {
		var names []string
		for _, m := range metrics {
			if m.Level == level && !slices.Contains(names, m.Panel) {
				names = append(names, m.Panel)
			}
		}
		if len(names) > 0 {
			fields = append(fields, bot.Field{Name: string(level), Value: strings.Join(names, ", ")})
		}
	}
	return fields
}

// breached gives the first metric whose last value is beyond its threshold.
func breached(list []shown, over provider.Span) (found shown, value float64, is bool) {
	for _, m := range list {
		for _, s := range m.now.Measured.Series {
			sum := chart.Summarise(s.Points, over.From, over.To)
			if sum.Count > 0 && current(sum, over, m.now.Measured.Step) && panel.Breach(m.Limits, sum.Last) {
				return m, sum.Last, true
			}
		}
	}
	return shown{}, 0, false
}

// telling is the panel that says most: one that is beyond its threshold, or the
// first that has a value.
func telling(list []shown, over provider.Span) string {
	if m, _, is := breached(list, over); is {
		return m.Panel
	}
	for _, m := range list {
		if m.now.Err == nil && len(m.now.Measured.Series) > 0 {
			return m.Panel
		}
	}
	return list[0].Panel
}

// head says in one line how the target stands.
func (n Needs) head(card *bot.Card, t bot.Target, list []shown, over provider.Span) {
	what := fmt.Sprintf("%s, last %s", t, span(over.To.Sub(over.From)))
	unread, values, limited, judged := 0, 0, 0, 0
	for _, m := range list {
		if m.now.Err != nil {
			unread++
		}
		is := slices.ContainsFunc(m.now.Measured.Series, func(s provider.Series) bool {
			sum := chart.Summarise(s.Points, over.From, over.To)
			return sum.Count > 0 && current(sum, over, m.now.Measured.Step)
		})
		if is {
			values++
		}
		if !m.Limits.None() {
			limited++
			if is {
				judged++
			}
		}
	}
	m, v, beyond := breached(list, over)
	switch {
	case unread == len(list):
		card.Title, card.Tone, card.Outcome = what+": nothing could be read", bot.Bad, bot.OutcomeFailed
	case beyond:
		card.Title, card.Tone = fmt.Sprintf("%s: %s is %s, and %s is allowed", what, m.Name, chart.Value(v, m.Unit), panel.Words(m.Limits, m.Unit)), bot.Bad
	case values == 0:
		card.Title, card.Tone = what+": no data", bot.Warning
	case limited > 0 && judged == limited && unread == 0: // what is not measured is within nothing
		card.Title, card.Tone = what+": within its thresholds", bot.Good
	default:
		card.Title = what
	}
}

// warnings gives the sources' own, each once.
func warnings(list []shown) string {
	var all []string
	for _, m := range list {
		for _, w := range m.now.Measured.Warnings {
			if !slices.Contains(all, w) && len(all) < 3 {
				all = append(all, w)
			}
		}
	}
	return strings.Join(all, "\n")
}
