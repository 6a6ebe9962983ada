package providertest

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/provider"
)

// Trouble is what becomes of a source of metrics.
type Trouble string

// The troubles that a far side may be brought into.
const (
	Down     Trouble = "down"     // nobody answers there
	Hanging  Trouble = "hanging"  // it takes the question and says nothing
	Cut      Trouble = "cut"      // it breaks off in the middle of its answer
	Garbage  Trouble = "garbage"  // it answers something else
	Denying  Trouble = "denying"  // it takes us for somebody who may not
	Overrun  Trouble = "overrun"  // it says that it has too much to do
	Flooding Trouble = "flooding" // its answer has no end
)

// MetricHarness is what the suite needs to know of one far side of metrics. Every
// MetricHarness is a far side of its own.
type MetricHarness struct {
	Source provider.MetricSource
	// To is the last moment of which the far side has values, on a whole hour; it
	// has them from two days before on.
	To     time.Time
	Finest time.Duration // the smallest step that it knows values of its own for

	Known   provider.Query // one line, whose value is the time in whole seconds since 1970
	Zero    provider.Query // one line of zeros
	Several provider.Query // two lines or more
	Empty   provider.Query // understood, and without a value
	// Gap is Known without what is between two hours and one hour before To.
	Gap provider.Query
	Bad provider.Query // not understood
	// Said is a part of the far side's own sentence about Bad.
	Said string
	// Most is how many points it gives at most; 0 for no such bound.
	Most int

	// Bring brings the far side into one of Troubles.
	Bring    func(Trouble)
	Troubles []Trouble
}

// MetricSources runs the conformance suite for the MetricSource port. make gives
// a new MetricHarness; the tests run in parallel.
func MetricSources(t *testing.T, make func(t *testing.T) MetricHarness) {
	for _, topic := range []struct {
		name string
		test func(*testing.T, MetricHarness)
	}{
		{"range", testRange},
		{"zero is no gap", testZero},
		{"several lines", testSeveral},
		{"no data", testNoData},
		{"gap", testGap},
		{"instant", testInstant},
		{"not understood", testBad},
		{"too many points", testManyPoints},
		{"senseless spans", testSenseless},
		{"ended context", testMetricEnded},
		{"side by side", testSideBySide},
	} {
		t.Run(topic.name, func(t *testing.T) {
			t.Parallel()
			topic.test(t, make(t))
		})
	}
	for _, trouble := range make(t).Troubles {
		t.Run(string(trouble), func(t *testing.T) {
			t.Parallel()
			testTrouble(t, make(t), trouble)
		})
	}
}

// patient bounds every call of the suite.
func patient(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func (h MetricHarness) last(d time.Duration) provider.Span {
	return provider.Span{From: h.To.Add(-d), To: h.To, Step: h.Finest}
}

func (h MetricHarness) read(t *testing.T, q provider.Query, over provider.Span) provider.Measured {
	t.Helper()
	m, err := h.Source.Range(patient(t), q, over)
	if err != nil {
		t.Fatalf("%s over %s: %v", q.Name, over.To.Sub(over.From), err)
	}
	checkMeasured(t, m, over)
	return m
}

// checkMeasured holds what is true of every answer.
func checkMeasured(t *testing.T, m provider.Measured, over provider.Span) {
	t.Helper()
	if m.Step < over.Step {
		t.Errorf("the step is %s, finer than the %s asked for", m.Step, over.Step)
	}
	if m.Step > over.Step && len(m.Warnings) == 0 {
		t.Errorf("the step is %s and not %s, which is not said", m.Step, over.Step)
	}
	var labels []string
	for _, s := range m.Series {
		if slices.Contains(labels, s.Label) {
			t.Errorf("two lines are called %q", s.Label)
		}
		labels = append(labels, s.Label)
		if len(s.Points) == 0 {
			t.Errorf("the line %q has no point; it should not be there", s.Label)
		}
		for i, p := range s.Points {
			if p.At.Before(over.From) || p.At.After(over.To) {
				t.Fatalf("the line %q has a point at %s, outside of %s to %s", s.Label, p.At, over.From, over.To)
			}
			if i == 0 {
				continue
			}
			if d := p.At.Sub(s.Points[i-1].At); d <= 0 || d%m.Step != 0 {
				t.Fatalf("two points of the line %q are %s apart, where the step is %s", s.Label, d, m.Step)
			}
		}
	}
	if len(m.Series) == 1 && m.Series[0].Label != "" {
		t.Errorf("the only line is called %q; there is nothing to tell it from", m.Series[0].Label)
	}
}

// times holds that every value is the time that it was measured at.
func times(t *testing.T, s provider.Series) {
	t.Helper()
	for _, p := range s.Points {
		if p.Value != float64(p.At.Unix()) {
			t.Fatalf("the value at %s is %v, want %d", p.At, p.Value, p.At.Unix())
		}
	}
}

func testRange(t *testing.T, h MetricHarness) {
	for _, d := range []time.Duration{time.Hour, 6 * time.Hour, 36 * time.Hour} {
		m := h.read(t, h.Known, h.last(d))
		if len(m.Series) != 1 {
			t.Fatalf("over %s there are %d lines, want one", d, len(m.Series))
		}
		if n, least := len(m.Series[0].Points), int(d/m.Step)-1; n < least {
			t.Errorf("over %s there are %d points, want at least %d", d, n, least)
		}
		times(t, m.Series[0])
	}
	wide := h.last(time.Hour)
	wide.Step = 15 * time.Minute
	m := h.read(t, h.Known, wide)
	if n, want := len(m.Series[0].Points), int(time.Hour/m.Step); n < want-1 || n > want+1 {
		t.Errorf("an hour in steps of %s gives %d points", m.Step, n)
	}
}

func testZero(t *testing.T, h MetricHarness) {
	m := h.read(t, h.Zero, h.last(time.Hour))
	if len(m.Series) != 1 || len(m.Series[0].Points) < 10 {
		t.Fatalf("zeros give %+v; nothing is a value too", m)
	}
	for _, p := range m.Series[0].Points {
		if p.Value != 0 {
			t.Fatalf("a zero is %v", p.Value)
		}
	}
}

func testSeveral(t *testing.T, h MetricHarness) {
	m := h.read(t, h.Several, h.last(time.Hour))
	if len(m.Series) < 2 {
		t.Fatalf("there are %d lines, want several", len(m.Series))
	}
	again := h.read(t, h.Several, h.last(time.Hour))
	for i := range m.Series {
		if m.Series[i].Label == "" || again.Series[i].Label != m.Series[i].Label {
			t.Errorf("line %d is called %q and then %q", i, m.Series[i].Label, again.Series[i].Label)
		}
	}
}

func testNoData(t *testing.T, h MetricHarness) {
	if m := h.read(t, h.Empty, h.last(time.Hour)); len(m.Series) != 0 {
		t.Errorf("what has no value gives %+v", m.Series)
	}
	m, err := h.Source.Instant(patient(t), h.Empty, h.To)
	if err != nil || len(m.Series) != 0 {
		t.Errorf("what has no value gives %+v, %v as of now", m.Series, err)
	}
}

func testGap(t *testing.T, h MetricHarness) {
	m := h.read(t, h.Gap, h.last(3*time.Hour))
	if len(m.Series) != 1 {
		t.Fatalf("there are %d lines, want one with a gap", len(m.Series))
	}
	times(t, m.Series[0])
	before, after := 0, 0
	from, to := h.To.Add(-2*time.Hour), h.To.Add(-time.Hour)
	for _, p := range m.Series[0].Points {
		switch {
		case p.At.After(from) && p.At.Before(to):
			t.Fatalf("the gap is filled with %v at %s", p.Value, p.At)
		case p.At.After(from):
			after++
		default:
			before++
		}
	}
	if before < 2 || after < 2 {
		t.Errorf("there are %d points before the gap and %d after it", before, after)
	}
}

func testInstant(t *testing.T, h MetricHarness) {
	for _, q := range []provider.Query{h.Known, h.Zero, h.Several} {
		m, err := h.Source.Instant(patient(t), q, h.To)
		if err != nil {
			t.Fatalf("%s: %v", q.Name, err)
		}
		if len(m.Series) == 0 || m.Step != 0 {
			t.Errorf("%s gives %+v", q.Name, m)
		}
		for _, s := range m.Series {
			if len(s.Points) != 1 || s.Points[0].At.After(h.To) {
				t.Errorf("%s gives the points %v, want one that is not of the future", q.Name, s.Points)
			}
		}
		if q.Name == h.Known.Name {
			times(t, m.Series[0])
		}
	}
	if m, err := h.Source.Instant(patient(t), h.Gap, h.To.Add(-90*time.Minute)); err != nil || len(m.Series) != 0 {
		t.Errorf("in the gap there is %+v, %v", m.Series, err)
	}
}

func testBad(t *testing.T, h MetricHarness) {
	_, err := h.Source.Range(patient(t), h.Bad, h.last(time.Hour))
	_, errNow := h.Source.Instant(patient(t), h.Bad, h.To)
	for _, err := range []error{err, errNow} {
		if bot.KindOf(err) != bot.Invalid || !strings.Contains(bot.Sentence(err, "x"), h.Said) {
			t.Errorf("a query that is not understood gives %v, want kind invalid and %q in it", err, h.Said)
		}
	}
}

func testManyPoints(t *testing.T, h MetricHarness) {
	over := provider.Span{From: h.To.Add(-40_000 * time.Second), To: h.To, Step: time.Second}
	m := h.read(t, h.Known, over)
	if len(m.Series) != 1 {
		t.Fatalf("there are %d lines, want one", len(m.Series))
	}
	if n := len(m.Series[0].Points); h.Most > 0 && n > h.Most+1 || n < 100 {
		t.Errorf("%d points came, want some, and at most %d", n, h.Most)
	}
}

func testSenseless(t *testing.T, h MetricHarness) {
	for name, over := range map[string]provider.Span{
		"no step":        {From: h.To.Add(-time.Hour), To: h.To},
		"negative step":  {From: h.To.Add(-time.Hour), To: h.To, Step: -time.Minute},
		"back to front":  {From: h.To, To: h.To.Add(-time.Hour), Step: time.Minute},
		"ages of points": {From: h.To, To: h.To.Add(-time.Nanosecond), Step: time.Minute},
	} {
		if _, err := h.Source.Range(patient(t), h.Known, over); bot.KindOf(err) != bot.Invalid {
			t.Errorf("%s gives %v, want kind invalid", name, err)
		}
	}
}

func testMetricEnded(t *testing.T, h MetricHarness) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := h.Source.Range(ctx, h.Known, h.last(time.Hour))
	_, errNow := h.Source.Instant(ctx, h.Known, h.To)
	for _, err := range []error{err, errNow} {
		if kind := bot.KindOf(err); kind != bot.Timeout && kind != bot.Unavailable {
			t.Errorf("with an ended context it gives %v, want kind timeout or unavailable", err)
		}
	}
}

func testSideBySide(t *testing.T, h MetricHarness) {
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			m, err := h.Source.Range(patient(t), h.Known, h.last(time.Hour))
			if err != nil || len(m.Series) != 1 {
				t.Errorf("of eight at once one gets %d lines, %v", len(m.Series), err)
			}
		})
	}
	all.Wait()
}

// testTrouble holds that a source in trouble is said to be so: no value comes of
// it, and the sentence is one for people.
func testTrouble(t *testing.T, h MetricHarness, trouble Trouble) {
	h.read(t, h.Known, h.last(time.Hour)) // there were values before
	h.Bring(trouble)
	ask := func() (provider.Measured, error) { return h.Source.Range(patient(t), h.Known, h.last(time.Hour)) }
	if trouble == Hanging {
		ask = func() (provider.Measured, error) {
			ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
			defer cancel()
			return h.Source.Range(ctx, h.Known, h.last(time.Hour))
		}
	}
	m, err := ask()
	var said *bot.Error
	if !errors.As(err, &said) || said.Say == "" || len(m.Series) > 0 {
		t.Fatalf("it gives %d lines and %v, want an error with a sentence", len(m.Series), err)
	}
	want := []bot.Kind{bot.Unavailable, bot.Timeout}
	switch trouble {
	case Denying:
		want = []bot.Kind{bot.Denied}
	case Hanging:
		want = []bot.Kind{bot.Timeout}
	case Flooding: // to ask for less may help
		want = append(want, bot.Invalid)
	}
	if !slices.Contains(want, said.Kind) {
		t.Errorf("it is of kind %s (%v), want %v", said.Kind, err, want)
	}
}
