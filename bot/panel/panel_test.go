package panel_test

import (
	"context"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/panel"
	"quarterdeck/bot/provider"
)

var (
	shop = bot.Target{Service: "shop", Environment: "prod"}
	now  = time.Date(2026, 11, 21, 14, 0, 0, 0, time.UTC)
)

type still struct{ bot.Clock }

func (still) Now() time.Time { return now }

// source answers by the query's name.
type source struct {
	answers map[string]provider.Measured
	errs    map[string]error
	asked   []provider.Query
	spans   []provider.Span
}

func (s *source) Range(_ context.Context, q provider.Query, over provider.Span) (provider.Measured, error) {
	s.asked, s.spans = append(s.asked, q), append(s.spans, over)
	m := s.answers[q.Name]
	m.Step = over.Step
	return m, s.errs[q.Name]
}

func (s *source) Instant(ctx context.Context, q provider.Query, at time.Time) (provider.Measured, error) {
	return provider.Measured{}, bot.Errorf(bot.Internal, "nobody asks for that")
}

func (s *source) Interval() time.Duration { return 15 * time.Second }

// lines gives series whose values are apart by 30 s and end at the given age.
func lines(age time.Duration, series ...[]float64) provider.Measured {
	var m provider.Measured
	for _, values := range series {
		var s provider.Series
		for i, v := range values {
			s.Points = append(s.Points, provider.Point{At: now.Add(-age - time.Duration(len(values)-1-i)*30*time.Second), Value: v})
		}
		m.Series = append(m.Series, s)
	}
	return m
}

func at(v float64) *float64 { return &v }

var metrics = []provider.Metric{
	{Query: provider.Query{Name: "memory", Expr: "mem", Unit: "B"}, Panel: "memory", Level: provider.Technical, Over: 5 * time.Minute},
	{Query: provider.Query{Name: "requests", Expr: `rate(x{s="{service}"}[{window}])`, Unit: "req/s"}, Panel: "requests", Level: provider.Service, Signal: provider.Traffic, Over: 5 * time.Minute},
	{Query: provider.Query{Name: "errors", Expr: "err", Unit: "%"}, Panel: "requests-failed", Level: provider.Service, Signal: provider.Errors, Over: 5 * time.Minute,
		Limits: provider.Limits{Above: at(2)}, Needs: map[string]float64{"requests": 1}},
	{Query: provider.Query{Name: "p50", Expr: "p50", Unit: "ms"}, Panel: "latency", Level: provider.Service, Over: 5 * time.Minute},
	{Query: provider.Query{Name: "p95", Expr: "p95", Unit: "ms"}, Panel: "latency", Level: provider.Service, Over: 5 * time.Minute, Limits: provider.Limits{Above: at(500)}},
	{Query: provider.Query{Name: "orders", Expr: "ord", Unit: "orders/min"}, Panel: "orders", Level: provider.Business, Over: 5 * time.Minute, Limits: provider.Limits{Below: at(1)}},
}

func board(s provider.MetricSource) *panel.Board {
	c := provider.NewCatalog([]string{"prod"}, map[bot.Target]provider.Bindings{shop: {Metrics: s}})
	return panel.New(c, []panel.Set{{Target: shop, Metrics: metrics}}, still{})
}

func TestJudge(t *testing.T) {
	busy := lines(0, []float64{9, 9, 9})
	long := lines(4*time.Minute, []float64{9, 9})
	for name, c := range map[string]struct {
		metric  string
		answers map[string]provider.Measured
		errs    map[string]error
		want    provider.Judgement
	}{
		"within": {metric: "p95", answers: map[string]provider.Measured{"p95": lines(0, []float64{100, 300})},
			want: provider.Judgement{Stand: provider.Within, Value: 200, Threshold: "at most 500 ms"}},
		"at the threshold": {metric: "p95", answers: map[string]provider.Measured{"p95": lines(0, []float64{500})},
			want: provider.Judgement{Stand: provider.Within, Value: 500, Threshold: "at most 500 ms"}},
		"breached by the worst line": {metric: "p95", answers: map[string]provider.Measured{"p95": lines(0, []float64{100, 100}, []float64{600, 700}, []float64{20})},
			want: provider.Judgement{Stand: provider.Breached, Value: 650, Threshold: "at most 500 ms"}},
		"breached below": {metric: "orders", answers: map[string]provider.Measured{"orders": lines(0, []float64{0, 0})},
			want: provider.Judgement{Stand: provider.Breached, Value: 0, Threshold: "at least 1 orders/min"}},
		"no series": {metric: "p95", want: provider.Judgement{Stand: provider.NoData, Threshold: "at most 500 ms", Why: "its source has no value of the last 5m"}},
		"nothing but 0/0": {metric: "p95", answers: map[string]provider.Measured{"p95": lines(0, []float64{math.NaN(), math.NaN()})},
			want: provider.Judgement{Stand: provider.NoData, Threshold: "at most 500 ms", Why: "its source has no value of the last 5m"}},
		"0/0 now and then": {metric: "p95", answers: map[string]provider.Measured{"p95": lines(0, []float64{100, math.NaN(), 300})},
			want: provider.Judgement{Stand: provider.Within, Value: 200, Threshold: "at most 500 ms"}},
		"infinite": {metric: "p95", answers: map[string]provider.Measured{"p95": lines(0, []float64{1, math.Inf(1)})},
			want: provider.Judgement{Stand: provider.NoData, Threshold: "at most 500 ms", Why: "its source gives an infinite value"}},
		"a line that ended": {metric: "p95", answers: map[string]provider.Measured{"p95": long},
			want: provider.Judgement{Stand: provider.NoData, Threshold: "at most 500 ms", Why: "its source has had no value for 4m"}},
		"source down": {metric: "p95", errs: map[string]error{"p95": bot.Errorf(bot.Unavailable, "prom does not answer")},
			want: provider.Judgement{Stand: provider.Unread, Threshold: "at most 500 ms", Why: "prom does not answer"}},
		"enough traffic": {metric: "errors", answers: map[string]provider.Measured{"errors": lines(0, []float64{30}), "requests": busy},
			want: provider.Judgement{Stand: provider.Breached, Value: 30, Threshold: "at most 2 %"}},
		"too little traffic": {metric: "errors", answers: map[string]provider.Measured{"errors": lines(0, []float64{30}), "requests": lines(0, []float64{0.5})},
			want: provider.Judgement{Stand: provider.NoData, Threshold: "at most 2 %", Why: "requests is 0.5 req/s, and it means nothing below 1 req/s"}},
		"traffic not known": {metric: "errors", answers: map[string]provider.Measured{"errors": lines(0, []float64{0})},
			want: provider.Judgement{Stand: provider.NoData, Threshold: "at most 2 %", Why: "it cannot be judged without requests: its source has no value of the last 5m"}},
		"traffic unread": {metric: "errors", answers: map[string]provider.Measured{"errors": lines(0, []float64{0})}, errs: map[string]error{"requests": bot.Errorf(bot.Timeout, "no answer in time")},
			want: provider.Judgement{Stand: provider.Unread, Threshold: "at most 2 %", Why: "it cannot be judged without requests: no answer in time"}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := board(&source{answers: c.answers, errs: c.errs}).Judge(context.Background(), shop, c.metric)
			if err != nil {
				t.Fatal(err)
			}
			if got.Stand != provider.Within && got.Stand != provider.Breached {
				got.Value = 0
			}
			got.Unit, got.Metric = "", ""
			if got != c.want {
				t.Errorf("got  %+v\nwant %+v", got, c.want)
			}
		})
	}
}

func TestJudgeRefuses(t *testing.T) {
	b := board(&source{})
	for name, want := range map[string]string{
		"error":    `shop/prod has no metric "error"; did you mean "errors"?`,
		"requests": `requests of shop/prod has no threshold to be judged by; give it above or below`,
		"xyzzy":    `shop/prod has no metric "xyzzy"; there are: memory, requests, errors, p50, p95, orders`,
	} {
		if _, err := b.Judge(context.Background(), shop, name); bot.KindOf(err) != bot.Invalid || bot.Sentence(err, "x") != want {
			t.Errorf("%s: %v, want %s", name, err, want)
		}
	}
	if _, err := b.Judge(context.Background(), bot.Target{Service: "cart", Environment: "prod"}, "errors"); bot.KindOf(err) != bot.NotFound {
		t.Errorf("a target that is not there: %v", err)
	}
	if got := b.Metrics(shop); !slices.Equal(got, []string{"orders", "errors", "p95"}) {
		t.Errorf("what can be judged is %v", got)
	}
}

// TestRangeAsks for points that people can read, and for rates over no less.
func TestRangeAsks(t *testing.T) {
	for _, c := range []struct {
		over         time.Duration
		step, window string
	}{
		{time.Minute, "15s", "60s"}, {6 * time.Hour, "2m0s", "120s"}, {7 * 24 * time.Hour, "1h0m0s", "3600s"}, {time.Hour, "15s", "60s"},
	} {
		s := &source{}
		if _, err := board(s).Range(context.Background(), shop, "requests", provider.Span{From: now.Add(-c.over), To: now}, 240); err != nil {
			t.Fatal(err)
		}
		if got := s.spans[0].Step.String(); got != c.step {
			t.Errorf("over %s the step is %s, want %s", c.over, got, c.step)
		}
		if want := `rate(x{s="shop"}[` + c.window + `])`; s.asked[0].Expr != want {
			t.Errorf("over %s it asks %s, want %s", c.over, s.asked[0].Expr, want)
		}
	}
}

func TestFind(t *testing.T) {
	b := board(&source{})
	for name, want := range map[string]string{"latency": "latency: p50 p95", "Latency": "latency: p50 p95", "p95": "p95: p95", "errors": "errors: errors", "requests-failed": "requests-failed: errors"} {
		panel, found, err := b.Find(shop, name)
		var names []string
		for _, m := range found {
			names = append(names, m.Name)
		}
		if got := panel + ": " + strings.Join(names, " "); err != nil || got != want {
			t.Errorf("%s finds %s, %v; want %s", name, got, err, want)
		}
	}
	for name, want := range map[string]string{
		"latenzy": `shop/prod has no panel "latenzy"; did you mean "latency"?`,
		"xyzzy":   `shop/prod has no panel "xyzzy"; there are: orders, requests, requests-failed, latency, memory, errors, p50, p95`,
	} {
		if _, _, err := b.Find(shop, name); bot.KindOf(err) != bot.NotFound || bot.Sentence(err, "x") != want {
			t.Errorf("%s: %v, want %s", name, err, want)
		}
	}
}

func TestWords(t *testing.T) {
	for want, l := range map[string]provider.Limits{"1 to 5 %": {Above: at(5), Below: at(1)}, "at most 2 %": {Above: at(2)}, "at least 0.5 %": {Below: at(0.5)}, "": {}} {
		if got := panel.Words(l, "%"); got != want {
			t.Errorf("limits are %q, want %q", got, want)
		}
	}
}
