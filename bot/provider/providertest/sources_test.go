package providertest_test

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/provider"
	"quarterdeck/bot/provider/providertest"
)

// metricHarness is the far side of a source in memory.
func metricHarness(hostile bool) providertest.MetricHarness {
	to := time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC)
	r := &providertest.Readings{Hostile: hostile}
	known := func(at time.Time) (float64, bool) { return float64(at.Unix()), true }
	zero := func(time.Time) (float64, bool) { return 0, true }
	r.Line("known", "", known)
	r.Line("zero", "", zero)
	r.Line("several", "code=200", known)
	r.Line("several", "code=500", zero)
	r.Line("empty", "", nil)
	r.Line("gap", "", func(at time.Time) (float64, bool) {
		ago := to.Sub(at)
		return float64(at.Unix()), ago >= 2*time.Hour || ago <= time.Hour
	})
	query := func(name string) provider.Query { return provider.Query{Name: name, Expr: name} }
	return providertest.MetricHarness{Source: r, To: to, Finest: time.Minute, Known: query("known"), Zero: query("zero"), Several: query("several"),
		Empty: query("empty"), Gap: query("gap"), Bad: query("bad"), Said: "there is no bad", Most: 10_000,
		Bring:    func(trouble providertest.Trouble) { r.Bring("", trouble) },
		Troubles: []providertest.Trouble{providertest.Down, providertest.Hanging, providertest.Denying}}
}

func TestFriendlyReadings(t *testing.T) {
	providertest.MetricSources(t, func(*testing.T) providertest.MetricHarness { return metricHarness(false) })
}

func TestHostileReadings(t *testing.T) {
	providertest.MetricSources(t, func(*testing.T) providertest.MetricHarness { return metricHarness(true) })
}

// carelessSource is a MetricSource with one of the mistakes that the suite is
// there for.
type carelessSource struct {
	provider.MetricSource
	mistake string
}

const (
	drawsZero     = "draws a failed query as zero"
	fillsGaps     = "fills gaps"
	newestFirst   = "gives the newest first"
	hidesStep     = "takes a larger step and does not say so"
	ownTongue     = "speaks its own language"
	answersAnyway = "answers what it does not understand"
	namesTheOnly  = "names the only line"
	worksOn       = "works on when its context has ended"
)

func (c carelessSource) Range(ctx context.Context, q provider.Query, over provider.Span) (provider.Measured, error) {
	if c.mistake == worksOn {
		ctx = context.WithoutCancel(ctx)
	}
	m, err := c.MetricSource.Range(ctx, q, over)
	switch {
	case c.mistake == drawsZero && bot.KindOf(err) == bot.Unavailable:
		return provider.Measured{Step: over.Step, Series: []provider.Series{{Points: []provider.Point{{At: over.From}}}}}, nil
	case c.mistake == answersAnyway && bot.KindOf(err) == bot.Invalid:
		return provider.Measured{Step: over.Step}, nil
	case c.mistake == ownTongue && err != nil:
		return m, context.DeadlineExceeded
	}
	for i := range m.Series {
		s := &m.Series[i]
		switch {
		case c.mistake == newestFirst && len(s.Points) > 1:
			s.Points[0], s.Points[1] = s.Points[1], s.Points[0]
		case c.mistake == namesTheOnly && s.Label == "":
			s.Label = q.Name
		case c.mistake == fillsGaps:
			var all []provider.Point
			for _, p := range s.Points {
				for len(all) > 0 && p.At.Sub(all[len(all)-1].At) > m.Step {
					before := all[len(all)-1].At.Add(m.Step)
					all = append(all, provider.Point{At: before, Value: float64(before.Unix())})
				}
				all = append(all, p)
			}
			s.Points = all
		}
	}
	if c.mistake == hidesStep {
		m.Warnings = nil
	}
	return m, err
}

// TestMetricSuiteCatches runs the suite against each mistake in a process of its
// own, which has to fail.
func TestMetricSuiteCatches(t *testing.T) {
	t.Parallel()
	for _, mistake := range []string{drawsZero, fillsGaps, newestFirst, hidesStep, ownTongue, answersAnyway, namesTheOnly, worksOn} {
		t.Run(mistake, func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestCarelessSource$")
			cmd.Env = append(os.Environ(), "PROVIDERTEST_MISTAKE="+mistake)
			out, err := cmd.CombinedOutput()
			if err == nil || !strings.Contains(string(out), "--- FAIL: TestCarelessSource/") {
				t.Errorf("the suite passes: %v\n%s", err, out)
			}
		})
	}
}

// TestCarelessSource is only run by TestMetricSuiteCatches, as its child.
func TestCarelessSource(t *testing.T) {
	mistake := os.Getenv("PROVIDERTEST_MISTAKE")
	if mistake == "" {
		return // a part of TestMetricSuiteCatches, and nothing by itself
	}
	providertest.MetricSources(t, func(*testing.T) providertest.MetricHarness {
		h := metricHarness(true)
		h.Troubles = []providertest.Trouble{providertest.Down, providertest.Denying}
		h.Source = carelessSource{h.Source, mistake}
		return h
	})
}
