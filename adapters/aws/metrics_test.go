package awsprovider

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"quarterdeck/adapters/aws/fakeaws"
	"quarterdeck/bot"
	"quarterdeck/bot/provider"
	"quarterdeck/bot/provider/providertest"
)

func (w *world) measures(page int) provider.MetricSource {
	w.t.Helper()
	now := w.clock.Now()
	unix := func(at time.Time) (float64, bool) { return float64(at.Unix()), true }
	zero := func(time.Time) (float64, bool) { return 0, true }
	w.Measure(fakeaws.Metrics{Page: page, Lines: map[string][]fakeaws.Line{
		"known": {{Label: "known", Value: unix}}, "zero": {{Label: "zero", Value: zero}},
		"several": {{Label: "web-1", Value: unix}, {Label: "web-2", Value: zero}},
		"empty":   {{Label: "empty", Value: func(time.Time) (float64, bool) { return 0, false }}},
		"gap": {{Label: "gap", Value: func(at time.Time) (float64, bool) {
			ago := now.Sub(at)
			return float64(at.Unix()), ago >= 2*time.Hour || ago <= time.Hour
		}}},
		"forbidden": {{Label: "x", Value: zero, Status: "Forbidden"}}, "broken": {{Label: "x", Value: zero, Status: "InternalError"}},
		"partial": {{Label: "x", Value: zero, Status: "PartialData"}},
	}})
	s, err := w.provider().(provider.MetricBinder).BindMetrics(prod, table(""))
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

func TestMetricConformance(t *testing.T) {
	for _, page := range []int{0, 700} {
		t.Run(fmt.Sprintf("pages of %d", page), func(t *testing.T) {
			providertest.MetricSources(t, func(t *testing.T) providertest.MetricHarness {
				w := newWorld(t)
				query := func(name string) provider.Query { return provider.Query{Name: name, Expr: name} }
				return providertest.MetricHarness{Source: w.measures(page), To: w.clock.Now(), Finest: time.Minute, Known: query("known"), Zero: query("zero"),
					Several: query("several"), Empty: query("empty"), Gap: query("gap"), Bad: query("SUMM(x)"), Said: "Unknown function SUMM(x)", Most: maxMetricPoints,
					Bring: func(trouble providertest.Trouble) {
						switch trouble {
						case providertest.Down:
							w.Inject(fakeaws.Fault{Op: "GetMetricData"})
						case providertest.Garbage:
							w.Inject(fakeaws.Fault{Op: "GetMetricData", Status: 200, Message: "welcome"})
						case providertest.Denying:
							w.Inject(fakeaws.Fault{Op: "GetMetricData", Status: 403, Code: "AccessDenied", Message: "no"})
						case providertest.Overrun:
							w.Inject(fakeaws.Fault{Op: "GetMetricData", Status: 400, Code: "ThrottlingException", Message: "Rate exceeded"})
						}
					},
					Troubles: []providertest.Trouble{providertest.Down, providertest.Garbage, providertest.Denying, providertest.Overrun}}
			})
		})
	}
}

// TestPeriods asks for what CloudWatch keeps of each age: anything finer is no
// data there.
func TestPeriods(t *testing.T) {
	w := newWorld(t)
	s := w.measures(0)
	now := w.clock.Now()
	const day = 24 * time.Hour
	for _, c := range []struct {
		ago, step, want time.Duration
		said            bool
	}{
		{time.Hour, time.Minute, time.Minute, false},
		{time.Hour, 10 * time.Second, time.Minute, true},
		{6 * time.Hour, 90 * time.Second, 2 * time.Minute, true},
		{14 * day, 15 * time.Minute, 15 * time.Minute, false},
		{15 * day, 6 * time.Minute, 10 * time.Minute, true},
		{62 * day, 30 * time.Minute, 30 * time.Minute, false},
		{63 * day, 90 * time.Minute, 2 * time.Hour, true},
		{400 * day, time.Hour, 2 * time.Hour, true},
	} {
		m, err := s.Range(context.Background(), provider.Query{Name: "known", Expr: "known"}, provider.Span{From: now.Add(-c.ago), To: now, Step: c.step})
		if err != nil || m.Step != c.want || (len(m.Warnings) > 0) != c.said {
			t.Errorf("%s ago in steps of %s: %s, %q, %v; want %s", c.ago, c.step, m.Step, m.Warnings, err, c.want)
			continue
		}
		if len(m.Series) != 1 || len(m.Series[0].Points) < int(c.ago/c.want)-1 {
			t.Errorf("%s ago in steps of %s there is no data", c.ago, c.step)
		}
	}
}

// TestHalfAMinute is not shown: its sum is not what the others are.
func TestHalfAMinute(t *testing.T) {
	w := newWorld(t)
	s := w.measures(0)
	w.clock.pass(30 * time.Second)
	now := w.clock.Now()
	m, err := s.Range(context.Background(), provider.Query{Name: "known", Expr: "known"}, provider.Span{From: now.Add(-time.Hour), To: now, Step: time.Minute})
	if err != nil || len(m.Series) != 1 {
		t.Fatalf("%+v, %v", m, err)
	}
	p := m.Series[0].Points
	if last := p[len(p)-1].At; now.Sub(last) != 90*time.Second {
		t.Errorf("the last point is at %s, %s ago", last, now.Sub(last))
	}
}

func TestStatusOfResults(t *testing.T) {
	w := newWorld(t)
	s := w.measures(0)
	now := w.clock.Now()
	over := provider.Span{From: now.Add(-time.Hour), To: now, Step: time.Minute}
	for expr, want := range map[string]string{
		"forbidden": `denied: AWS denies it: provider prod-aws may not read a metric of the query "x" in eu-central-1`,
		"broken":    `unavailable: CloudWatch could not answer the query "x" in eu-central-1`,
		"SUM(":      `invalid: CloudWatch refuses the query "x": Error in expression 'q': Unknown function SUM(`,
	} {
		_, err := s.Range(context.Background(), provider.Query{Name: "x", Expr: expr}, over)
		if got := string(bot.KindOf(err)) + ": " + bot.Sentence(err, "x"); got != want {
			t.Errorf("%s says %s, want %s", expr, got, want)
		}
	}
	m, err := s.Range(context.Background(), provider.Query{Name: "x", Expr: "partial"}, over)
	if err != nil || len(m.Series) != 1 || strings.Join(m.Warnings, "; ") != "a part of the values is missing x" {
		t.Errorf("what is partly there gives %d lines, %q, %v", len(m.Series), m.Warnings, err)
	}
	w.Expire(true)
	if _, err := s.Range(context.Background(), provider.Query{Name: "x", Expr: "known"}, over); bot.KindOf(err) != bot.Unavailable || !strings.Contains(bot.Sentence(err, "x"), "does not accept the credentials") {
		t.Errorf("expired credentials give %v", err)
	}
}
