package prometheusprovider

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/provider"
)

const (
	// maxPoints is the server's own bound: it refuses a range of more than 11,000
	// steps (web/api/v1 of Prometheus).
	maxPoints = 11_000
	// maxSeries bounds how many lines are kept: no chart shows as many.
	maxSeries = 200
	// maxWarnings bounds how many of the server's warnings are kept.
	maxWarnings = 5
)

// source is the MetricSource of every target: which one is asked about stands in
// the query.
type source struct{ *prometheus }

var (
	_ provider.MetricSource = (*source)(nil)
	_ provider.Sampled      = (*source)(nil)
	_ provider.Linked       = (*source)(nil)
)

// Interval implements provider.Sampled.
func (s *source) Interval() time.Duration { return s.scrape }

// Range implements provider.MetricSource by query_range.
func (s *source) Range(ctx context.Context, q provider.Query, over provider.Span) (provider.Measured, error) {
	length := over.To.Sub(over.From)
	if length < 0 || over.Step <= 0 {
		return provider.Measured{}, bot.Errorf(bot.Invalid, "a range needs a step, and an end that is not before its beginning")
	}
	m := provider.Measured{Step: max(over.Step, time.Millisecond)}
	if asked := int64(length / m.Step); asked > maxPoints {
		m.Step = provider.NiceStep((length + maxPoints - 1) / maxPoints)
		m.Warnings = append(m.Warnings, fmt.Sprintf("%d points were asked for and Prometheus gives %d at most, so they are %s apart", asked, maxPoints, bot.Span(m.Step)))
	}
	form := url.Values{"query": {q.Expr}, "start": {seconds(over.From)}, "end": {seconds(over.To)},
		"step": {strconv.FormatFloat(m.Step.Seconds(), 'f', 3, 64)}, "limit": {strconv.Itoa(maxSeries)}}
	a, err := s.client.ask(ctx, "/api/v1/query_range", form, q.Name)
	if err != nil {
		return provider.Measured{}, err
	}
	return s.measured(a, q, m)
}

// Instant implements provider.MetricSource by query.
func (s *source) Instant(ctx context.Context, q provider.Query, at time.Time) (provider.Measured, error) {
	form := url.Values{"query": {q.Expr}, "time": {seconds(at)}, "limit": {strconv.Itoa(maxSeries)}}
	a, err := s.client.ask(ctx, "/api/v1/query", form, q.Name)
	if err != nil {
		return provider.Measured{}, err
	}
	return s.measured(a, q, provider.Measured{})
}

// Link implements provider.Linked with the server's own page of a query.
func (s *source) Link(q provider.Query, over provider.Span) string {
	if s.web == "" {
		return ""
	}
	page := url.Values{"g0.expr": {q.Expr}, "g0.tab": {"0"}, "g0.range_input": {fmt.Sprintf("%ds", int64(over.To.Sub(over.From).Seconds()))},
		"g0.end_input": {over.To.UTC().Format("2006-01-02 15:04:05")}}
	return s.web + "/graph?" + page.Encode()
}

// seconds writes a time as the API wants it, to the millisecond, which is all that
// Prometheus keeps.
func seconds(t time.Time) string {
	return strconv.FormatFloat(float64(t.UnixMilli())/1000, 'f', 3, 64)
}

// line is one series of an answer; Value stands in a vector, Values in a matrix.
type line struct {
	Metric     map[string]string `json:"metric"`
	Value      *sample           `json:"value"`
	Values     []sample          `json:"values"`
	Histogram  json.RawMessage   `json:"histogram"`
	Histograms json.RawMessage   `json:"histograms"`
}

// sample is [seconds, "value"].
type sample provider.Point

// UnmarshalJSON reads a sample.
func (s *sample) UnmarshalJSON(raw []byte) error {
	var pair []json.RawMessage
	if err := json.Unmarshal(raw, &pair); err != nil {
		return err
	}
	if len(pair) != 2 {
		return fmt.Errorf("a sample of %d parts", len(pair))
	}
	at, err := strconv.ParseFloat(string(pair[0]), 64)
	if err != nil || at < -1e11 || at > 1e11 { // what Go's times can hold, and ours need
		return fmt.Errorf("the time of a sample is %.40s", pair[0])
	}
	var text string
	if err := json.Unmarshal(pair[1], &text); err != nil {
		return err
	}
	if s.Value, err = strconv.ParseFloat(text, 64); err != nil { // "NaN", "+Inf" and "-Inf" too
		return fmt.Errorf("the value of a sample is %.40q", text)
	}
	s.At = time.UnixMilli(int64(at*1000 + 0.5)).UTC()
	return nil
}

// measured reads an answer into m.
func (s *source) measured(a answer, q provider.Query, m provider.Measured) (provider.Measured, error) {
	for _, w := range a.Warnings[:min(len(a.Warnings), maxWarnings)] {
		m.Warnings = append(m.Warnings, s.client.said(w))
	}
	var data struct {
		ResultType string          `json:"resultType"`
		Result     json.RawMessage `json:"result"`
	}
	if err := json.Unmarshal(a.Data, &data); err != nil {
		return provider.Measured{}, s.client.senseless(err)
	}
	var lines []line
	switch data.ResultType {
	case "matrix", "vector":
		if m.Step == 0 && data.ResultType == "matrix" {
			return provider.Measured{}, bot.Errorf(bot.Invalid, "the query %q gives many values at one time; put a function such as rate around it", q.Name)
		}
		if err := json.Unmarshal(data.Result, &lines); err != nil {
			return provider.Measured{}, s.client.senseless(err)
		}
	case "scalar":
		var one sample
		if err := json.Unmarshal(data.Result, &one); err != nil {
			return provider.Measured{}, s.client.senseless(err)
		}
		lines = []line{{Value: &one}}
	case "string":
		return provider.Measured{}, bot.Errorf(bot.Invalid, "the query %q gives a text and no number", q.Name)
	default:
		return provider.Measured{}, s.client.senseless(fmt.Errorf("the result is a %.40q", data.ResultType))
	}
	if len(lines) > maxSeries {
		m.Warnings = append(m.Warnings, fmt.Sprintf("there are %d lines, of which %d are read; aggregate them", len(lines), maxSeries))
		lines = lines[:maxSeries]
	}
	labels := labelsOf(lines)
	histograms := 0
	for i, l := range lines {
		series := provider.Series{Label: labels[i]}
		for _, v := range l.Values {
			series.Points = append(series.Points, provider.Point(v))
		}
		if l.Value != nil {
			series.Points = append(series.Points, provider.Point(*l.Value))
		}
		if len(series.Points) == 0 && (l.Histogram != nil || l.Histograms != nil) {
			histograms++
			continue
		}
		if !slices.IsSortedFunc(series.Points, byTime) {
			slices.SortFunc(series.Points, byTime)
		}
		if len(series.Points) > 0 {
			m.Series = append(m.Series, series)
		}
	}
	if histograms > 0 {
		m.Warnings = append(m.Warnings, fmt.Sprintf("%d lines are histograms, which are no numbers; put histogram_quantile around them", histograms))
	}
	slices.SortStableFunc(m.Series, func(a, b provider.Series) int { return strings.Compare(a.Label, b.Label) })
	return m, nil
}

func byTime(a, b provider.Point) int { return a.At.Compare(b.At) }

// labelsOf gives what tells each line from the others: the labels that are not
// the same in all of them.
func labelsOf(lines []line) []string {
	texts := make([]string, len(lines))
	if len(lines) < 2 {
		return texts
	}
	names := map[string]bool{}
	for _, l := range lines {
		for name, value := range l.Metric {
			if !names[name] {
				names[name] = slices.ContainsFunc(lines, func(other line) bool { return other.Metric[name] != value })
			}
		}
	}
	var differ []string
	for name, is := range names {
		if is {
			differ = append(differ, name)
		}
	}
	sort.Strings(differ)
	for i, l := range lines {
		var parts []string
		for _, name := range differ {
			value := strings.Join(strings.Fields(l.Metric[name]), " ")
			switch {
			case value == "":
			case name == "__name__":
				parts = append(parts, value)
			default:
				parts = append(parts, name+"="+value)
			}
		}
		texts[i] = strings.Join(parts, ", ")
	}
	return texts
}
