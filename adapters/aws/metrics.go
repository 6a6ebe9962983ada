package awsprovider

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	cwtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/smithy-go"

	"quarterdeck/bot"
	"quarterdeck/bot/provider"
)

// MetricsTable is what of a target's metrics table is the provider's: nothing. A
// query is one CloudWatch expression: metric math, SEARCH, or Metrics Insights.
type MetricsTable struct{}

const (
	// metricPeriod is how far apart the values of most metrics are.
	metricPeriod = time.Minute
	// maxMetricPoints bounds a line: CloudWatch gives 100,800 for each request, of
	// all lines together.
	maxMetricPoints = 5000
	// maxMetricPages bounds an answer that goes on.
	maxMetricPages = 20
	maxMetricLines = 200
	// metricDelay is how long after its time a value may come.
	metricDelay = 10 * time.Minute
)

// metricAges are CloudWatch's rules: what began longer ago than after is kept in
// periods of that length alone, and asked for in others it is no data.
//
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_GetMetricData.html
var metricAges = []struct{ after, period time.Duration }{
	{63 * 24 * time.Hour, time.Hour},
	{15 * 24 * time.Hour, 5 * time.Minute},
	{0, metricPeriod},
}

// BindMetrics checks a target's metrics table and binds it.
func (p *awsProvider) BindMetrics(_ bot.Target, raw provider.Raw) (provider.MetricSource, error) {
	var table MetricsTable
	if err := raw.Decode(&table); err != nil {
		return nil, err
	}
	return &metricSource{p}, nil
}

var (
	_ provider.MetricBinder = (*awsProvider)(nil)
	_ provider.Sampled      = (*metricSource)(nil)
)

// metricSource reads CloudWatch in the provider's region.
type metricSource struct{ *awsProvider }

// Interval implements provider.Sampled.
func (s *metricSource) Interval() time.Duration { return metricPeriod }

// periodOf gives the period for a step over a time that began at from: a multiple
// of what is kept of that age, and never so short that there are too many points.
func (s *metricSource) periodOf(step time.Duration, from, to time.Time) time.Duration {
	step = max(step, to.Sub(from)/maxMetricPoints)
	for _, a := range metricAges {
		// A little early: what is on the edge now is over it when it is looked up.
		if s.clock.Now().Sub(from) > a.after-time.Hour || a.after == 0 {
			return max(a.period, (step+a.period-1)/a.period*a.period)
		}
	}
	return step
}

// Range implements provider.MetricSource by GetMetricData. A period that is not
// over is left out: a sum of half a minute looks like a breakdown.
func (s *metricSource) Range(ctx context.Context, q provider.Query, over provider.Span) (provider.Measured, error) {
	if over.To.Before(over.From) || over.Step <= 0 {
		return provider.Measured{}, bot.Errorf(bot.Invalid, "a range needs a step, and an end that is not before its beginning")
	}
	m := provider.Measured{Step: s.periodOf(over.Step, over.From, over.To)}
	if m.Step != over.Step {
		m.Warnings = append(m.Warnings, fmt.Sprintf("CloudWatch was asked for periods of %s and not %s, which it does not have of that time", bot.Span(m.Step), bot.Span(over.Step)))
	}
	return s.get(ctx, q, over, m)
}

// Instant implements provider.MetricSource by the newest value of the last
// minutes: CloudWatch gets its values late.
func (s *metricSource) Instant(ctx context.Context, q provider.Query, at time.Time) (provider.Measured, error) {
	from := at.Add(-metricDelay)
	m, err := s.get(ctx, q, provider.Span{From: from, To: at}, provider.Measured{Step: s.periodOf(metricPeriod, from, at)})
	if err != nil {
		return provider.Measured{}, err
	}
	m.Step = 0
	for i := range m.Series {
		m.Series[i].Points = m.Series[i].Points[len(m.Series[i].Points)-1:]
	}
	return m, nil
}

func (s *metricSource) get(ctx context.Context, q provider.Query, over provider.Span, m provider.Measured) (provider.Measured, error) {
	c, err := s.session(ctx, "")
	if err != nil {
		return provider.Measured{}, s.unread(q, err)
	}
	client := cloudwatch.NewFromConfig(c, func(o *cloudwatch.Options) { o.Retryer = retrier(bot.Task{}) })
	// Aligned to the period, or CloudWatch does it, and gives others.
	start, end := over.From.Truncate(m.Step), over.To.Truncate(m.Step)
	if start.Before(over.From) {
		start = start.Add(m.Step)
	}
	if !start.Before(end) {
		return m, nil
	}
	in := &cloudwatch.GetMetricDataInput{StartTime: aws.Time(start), EndTime: aws.Time(end), ScanBy: cwtypes.ScanByTimestampAscending, // it is descending otherwise
		MetricDataQueries: []cwtypes.MetricDataQuery{{Id: aws.String("q"), Expression: aws.String(q.Expr), Period: aws.Int32(int32(m.Step / time.Second))}}}
	lines := &metricLines{by: map[string]int{}}
	for page := 1; ; page++ {
		out, err := client.GetMetricData(ctx, in)
		if err != nil {
			return provider.Measured{}, s.unread(q, err)
		}
		for _, r := range out.MetricDataResults {
			if err := s.take(lines, q, r, over); err != nil {
				return provider.Measured{}, err
			}
		}
		for _, said := range out.Messages {
			lines.warn(s.said(said))
		}
		if aws.ToString(out.NextToken) == "" {
			break
		}
		if page == maxMetricPages {
			lines.warn("a part of the answer is missing: it goes on for too long")
			break
		}
		in.NextToken = out.NextToken
	}
	for label, status := range lines.partial {
		if status == cwtypes.StatusCodePartialData {
			lines.warn(strings.TrimSpace("a part of the values is missing " + label))
		}
	}
	return lines.measured(m), nil
}

// take adds one result, or a page of one.
func (s *metricSource) take(lines *metricLines, q provider.Query, r cwtypes.MetricDataResult, over provider.Span) error {
	for _, said := range r.Messages {
		lines.warn(s.said(said))
	}
	switch r.StatusCode {
	case cwtypes.StatusCodeForbidden:
		return bot.Errorf(bot.Denied, "AWS denies it: provider %s may not read a metric of the query %q in %s", s.name, q.Name, s.settings.Region)
	case cwtypes.StatusCodeComplete, cwtypes.StatusCodePartialData:
	default: // InternalError, and what is not known yet
		return bot.Errorf(bot.Unavailable, "CloudWatch could not answer the query %q in %s", q.Name, s.settings.Region)
	}
	if len(r.Timestamps) != len(r.Values) {
		return bot.Errorf(bot.Unavailable, "CloudWatch's answer to the query %q makes no sense", q.Name)
	}
	lines.add(r, over)
	return nil
}

func (s *metricSource) said(m cwtypes.MessageData) string {
	return clean(s.redact(aws.ToString(m.Value)), maxText)
}

// metricLines gathers the pages of an answer.
type metricLines struct {
	series   []provider.Series
	by       map[string]int // place of a label in series
	partial  map[string]cwtypes.StatusCode
	warnings []string
	dropped  int
}

func (l *metricLines) warn(text string) {
	if text != "" && !slices.Contains(l.warnings, text) && len(l.warnings) < 5 {
		l.warnings = append(l.warnings, text)
	}
}

func (l *metricLines) add(r cwtypes.MetricDataResult, over provider.Span) {
	label := clean(aws.ToString(r.Label), maxText)
	i, known := l.by[label]
	if !known {
		if len(l.series) >= maxMetricLines {
			l.dropped++
			return
		}
		i = len(l.series)
		l.by[label] = i
		l.series = append(l.series, provider.Series{Label: label})
	}
	if l.partial == nil {
		l.partial = map[string]cwtypes.StatusCode{}
	}
	l.partial[label] = r.StatusCode // the last page's counts
	for k, at := range r.Timestamps {
		if at = at.UTC(); !at.Before(over.From) && !at.After(over.To) {
			l.series[i].Points = append(l.series[i].Points, provider.Point{At: at, Value: r.Values[k]})
		}
	}
}

func (l *metricLines) measured(m provider.Measured) provider.Measured {
	byTime := func(a, b provider.Point) int { return a.At.Compare(b.At) }
	for _, s := range l.series {
		if len(s.Points) == 0 {
			continue // an expression without data has a line all the same
		}
		slices.SortStableFunc(s.Points, byTime)
		s.Points = slices.CompactFunc(s.Points, func(a, b provider.Point) bool { return a.At.Equal(b.At) })
		m.Series = append(m.Series, s)
	}
	if len(m.Series) == 1 {
		m.Series[0].Label = ""
	}
	if l.dropped > 0 {
		l.warn(fmt.Sprintf("there are more than %d lines, of which the first are read; aggregate them", maxMetricLines))
	}
	m.Warnings = append(m.Warnings, l.warnings...)
	return m
}

// unread translates what went wrong with a query: what it does not understand
// comes with CloudWatch's own sentence, for whoever wrote the expression.
func (s *metricSource) unread(q provider.Query, err error) error {
	var answer smithy.APIError
	if errors.As(err, &answer) && status(err) == http.StatusBadRequest {
		switch answer.ErrorCode() {
		case "ValidationError", "InvalidParameterValue", "InvalidParameterValueException", "InvalidParameterCombination", "MissingRequiredParameterException", "MissingParameter":
			return &bot.Error{Op: "aws", Kind: bot.Invalid, Err: fmt.Errorf("cloudwatch:GetMetricData: %s", answer.ErrorCode()),
				Say: fmt.Sprintf("CloudWatch refuses the query %q: %s", q.Name, clean(s.redact(answer.ErrorMessage()), maxText))}
		}
	}
	failed := s.failed(call{"cloudwatch:GetMetricData", "the query", q.Name}, err)
	var known *bot.Error
	if errors.As(failed, &known) && known.Kind == bot.Busy {
		known.Kind = bot.Unavailable // nobody waits for a number
	}
	return failed
}
