package providertest

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/provider"
)

// ScaleHarness is what the suite needs to know of one far side; the fields are
// as those of Harness.
type ScaleHarness struct {
	Target  bot.Target
	Attach  func() provider.Scaler
	Effects func(key string) int
	Pass    func(d time.Duration)

	Dimension string // the first one
	Good      string // a value that it has not and can be given
	End       bot.OpState
	Exclusive bool
	Points    int
}

// Scalers runs the conformance suite for the Scaler port. make gives a new
// ScaleHarness; the tests run in parallel. Whatever is asked of every operation
// is asked by the topics of Deployers: a value takes the place of a version.
func Scalers(t *testing.T, make func(t *testing.T) ScaleHarness) {
	for _, topic := range []struct {
		name string
		test func(*testing.T, ScaleHarness)
	}{
		{"dimensions", testDimensions},
		{"begin refuses", testScaleBegin},
	} {
		t.Run(topic.name, func(t *testing.T) {
			t.Parallel()
			topic.test(t, make(t))
		})
	}
	for _, topic := range []struct {
		name string
		test func(*testing.T, Harness)
	}{
		{"ended context", testEndedContext},
		{"begin acts not", testBegin},
		{"scale", testDeploy},
		{"keys", testKeys},
		{"cancel before", testCancelBefore},
		{"cancel during", testCancelDuring},
		{"cancel after", testCancelAfter},
		{"two callers", testTwoCallers},
	} {
		t.Run(topic.name, func(t *testing.T) {
			t.Parallel()
			topic.test(t, make(t).harness())
		})
	}
	for _, how := range []crash{crashAfterCall, crashBeforeCall, crashInCall, crashTwice} {
		for at := range make(t).harness().Points {
			t.Run(fmt.Sprintf("crash %s %d", how, at), func(t *testing.T) {
				t.Parallel()
				testCrash(t, make(t).harness(), how, at)
			})
		}
	}
}

// testDimensions: what is offered can be shown, bounded and chosen from.
func testDimensions(t *testing.T, h ScaleHarness) {
	all, err := h.Attach().Dimensions(t.Context())
	if err != nil {
		t.Fatalf("Dimensions: %v", err)
	}
	if len(all) == 0 || all[0].Name != h.Dimension {
		t.Fatalf("the dimensions are %+v, want %s first", all, h.Dimension)
	}
	seen := map[string]bool{}
	for _, d := range all {
		if d.Name == "" || strings.ContainsAny(d.Name, " /\t\n") || seen[d.Name] {
			t.Errorf("%q cannot be typed as the name of one dimension", d.Name)
		}
		seen[d.Name] = true
		if _, err := d.Place(d.Current); err != nil {
			t.Errorf("%s is %q: %v", d.Name, d.Current, err)
		}
		if d.Max != 0 && d.Max < d.Min {
			t.Errorf("%s goes from %d to %d", d.Name, d.Min, d.Max)
		}
	}
	if _, err := all[0].Place(h.Good); err != nil || all[0].Current == h.Good {
		t.Errorf("%q is no other value of %+v (%v)", h.Good, all[0], err)
	}
}

// testScaleBegin: what another target has, and what this one has not, is refused
// before anything is done.
func testScaleBegin(t *testing.T, h ScaleHarness) {
	s := h.Attach()
	all, err := s.Dimensions(t.Context())
	if err != nil {
		t.Fatalf("Dimensions: %v", err)
	}
	good := provider.Scaling{Target: h.Target, Dimension: h.Dimension, From: all[0].Current, To: h.Good}
	for name, change := range map[string]func(*provider.Scaling){
		"another target": func(b *provider.Scaling) { b.Target.Environment += "-other" },
		"no value":       func(b *provider.Scaling) { b.To = "" },
	} {
		bad := good
		change(&bad)
		if _, err := s.Begin(bad, bot.Task{Key: "refused", Actor: "dev-one"}); bot.KindOf(err) != bot.Invalid {
			t.Errorf("Begin for %s: %v, want an error of kind Invalid", name, err)
		}
	}
	if n := h.Effects("refused"); n != 0 {
		t.Errorf("the far side acted %d times", n)
	}
}

func (h ScaleHarness) harness() Harness {
	return Harness{Target: h.Target, Effects: h.Effects, Pass: h.Pass, Good: h.Good, End: h.End, Exclusive: h.Exclusive, Points: h.Points,
		Attach: func() provider.Deployer { return valued{h.Attach(), h} }}.withDefaults()
}

// valued shows a Scaler to the topics about operations: its values are what
// versions are to a Deployer.
type valued struct {
	provider.Scaler
	h ScaleHarness
}

func (v valued) Timing(t bot.Target) bot.Timing {
	if timed, ok := v.Scaler.(bot.Timed); ok {
		return timed.Timing(t)
	}
	return bot.DefaultTiming
}

func (v valued) Ways() []provider.Way { return nil }

func (v valued) Resolve(_ context.Context, value string) (provider.Artefact, error) {
	return provider.Artefact{ID: value, Version: value}, nil
}

func (v valued) first(ctx context.Context) (provider.Dimension, error) {
	all, err := v.Dimensions(ctx)
	if err != nil {
		return provider.Dimension{}, err
	}
	return all[0], nil
}

func (v valued) Current(ctx context.Context) (provider.Live, error) {
	d, err := v.first(ctx)
	if err != nil {
		return provider.Live{}, err
	}
	live := provider.Live{Artefact: provider.Artefact{ID: d.Current, Version: d.Current}}
	if d.Actual != "" && d.Actual != d.Current {
		live.Mixed = []string{d.Actual, d.Current}
	}
	return live, nil
}

func (v valued) Releases(ctx context.Context, _ int) ([]provider.Release, error) {
	d, err := v.first(ctx)
	return []provider.Release{{Artefact: provider.Artefact{ID: d.Current, Version: d.Current}}}, err
}

func (v valued) Preview(context.Context, provider.Artefact, provider.Artefact) (provider.Preview, error) {
	return provider.Preview{}, nil
}

func (v valued) Begin(d provider.Deployment, t bot.Task) (bot.Handle, error) {
	return v.Scaler.Begin(provider.Scaling{Target: d.Target, Dimension: v.h.Dimension, From: d.From.Version, To: d.To.Version}, t)
}
