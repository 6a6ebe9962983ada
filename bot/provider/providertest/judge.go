package providertest

import (
	"context"
	"maps"
	"slices"
	"sync"

	"quarterdeck/bot"
	"quarterdeck/bot/provider"
)

// Judge is a provider.Judge whose metrics stand as a test sets them, the same for
// every target. Safe for concurrent use.
type Judge struct {
	mu     sync.Mutex
	stands map[string]provider.Judgement
	asked  map[string]int
}

// NewJudge makes a Judge; its metrics are within their bounds until they are set.
func NewJudge(metrics ...string) *Judge {
	j := &Judge{stands: map[string]provider.Judgement{}, asked: map[string]int{}}
	for _, m := range metrics {
		j.stands[m] = provider.Judgement{Metric: m, Stand: provider.Within, Value: 0.5, Unit: "%", Threshold: "at most 2 %"}
	}
	return j
}

// Set has a metric stand so from now on.
func (j *Judge) Set(metric string, stand provider.Stand, value float64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	g := provider.Judgement{Metric: metric, Stand: stand, Value: value, Unit: "%", Threshold: "at most 2 %"}
	switch stand {
	case provider.NoData:
		g.Value, g.Why = 0, "its source has no value"
	case provider.Unread:
		g.Value, g.Why = 0, "its source does not answer"
	}
	j.stands[metric] = g
}

// Asked says how often a metric was looked at.
func (j *Judge) Asked(metric string) int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.asked[metric]
}

// Metrics implements provider.Judge.
func (j *Judge) Metrics(bot.Target) []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Sorted(maps.Keys(j.stands))
}

// Judge implements provider.Judge.
func (j *Judge) Judge(_ context.Context, t bot.Target, metric string) (provider.Judgement, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	g, known := j.stands[metric]
	if !known {
		return provider.Judgement{}, bot.Errorf(bot.Invalid, "%s has no metric %q", t, metric)
	}
	j.asked[metric]++
	return g, nil
}
