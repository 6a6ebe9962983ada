package panel_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/panel"
	"quarterdeck/bot/provider"
)

// slow is a source that answers when it is let, or when its context ends.
type slow struct {
	let   chan struct{}
	asked chan<- *slow
	count atomic.Int64
}

func (s *slow) Range(ctx context.Context, _ provider.Query, over provider.Span) (provider.Measured, error) {
	s.count.Add(1)
	s.asked <- s
	select {
	case <-s.let:
		return lines(0, []float64{1}), nil
	case <-ctx.Done():
		return provider.Measured{}, bot.Errorf(bot.Timeout, "slow gives no answer in time")
	}
}

func (s *slow) Instant(context.Context, provider.Query, time.Time) (provider.Measured, error) {
	return provider.Measured{}, nil
}

// TestGatherHoldsNobodyUp asks a source that says nothing beside one that does.
func TestGatherHoldsNobodyUp(t *testing.T) {
	asked := make(chan *slow, 100)
	hung, quick := &slow{let: make(chan struct{}), asked: asked}, &slow{let: make(chan struct{}), asked: asked}
	close(quick.let)
	bindings, sets, asks := map[bot.Target]provider.Bindings{}, []panel.Set{}, []panel.Ask{}
	for i := range 40 {
		target := bot.Target{Service: fmt.Sprintf("s%d", i), Environment: "prod"}
		b := provider.Bindings{Metrics: hung, MetricsFrom: "hung"}
		if i%2 == 0 {
			b = provider.Bindings{Metrics: quick, MetricsFrom: "quick"}
		}
		bindings[target] = b
		sets = append(sets, panel.Set{Target: target, Metrics: metrics[:1]})
		asks = append(asks, panel.Ask{Target: target, Metric: "memory", Over: provider.Span{From: now.Add(-time.Hour), To: now}})
	}
	b := panel.New(provider.NewCatalog([]string{"prod"}, bindings), sets, still{})
	ctx, cancel := context.WithCancel(context.Background())
	go func() { // the reader's patience ends once the quick one has answered all
		for quickly, hanging := 0, 0; quickly < 20 || hanging < 8; {
			if s := <-asked; s == quick {
				quickly++
			} else {
				hanging++
			}
		}
		cancel()
	}()
	answers := b.Gather(ctx, asks, 60)
	for i, a := range answers {
		if a.Target != asks[i].Target {
			t.Fatalf("answer %d is about %s, want %s", i, a.Target, asks[i].Target)
		}
		if quickly := i%2 == 0; (a.Err == nil) != quickly {
			t.Errorf("answer %d: %v", i, a.Err)
		}
	}
	if n := hung.count.Load(); n > 16 {
		t.Errorf("a source that says nothing was asked %d times", n)
	}
}
