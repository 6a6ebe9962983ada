package panel

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/chart"
	"quarterdeck/bot/provider"
)

const (
	// patience bounds how long one judgement may take: a change waits for it, and
	// what takes longer is no news.
	patience = 15 * time.Second
	// looks is how many values of a metric a judgement takes the mean of, where
	// its source has as many.
	looks = 10
)

// Metrics implements [provider.Judge]: what has a threshold, by level and then
// as configured.
func (b *Board) Metrics(t bot.Target) []string {
	var names []string
	for _, m := range b.Of(t) {
		if !m.Limits.None() {
			names = append(names, m.Name)
		}
	}
	return names
}

// Judge implements [provider.Judge]. Of several lines of a metric the worst
// counts.
func (b *Board) Judge(ctx context.Context, t bot.Target, name string) (provider.Judgement, error) {
	m, _, err := b.metric(t, name)
	if err != nil {
		return provider.Judgement{}, err
	}
	if m.Limits.None() {
		return provider.Judgement{}, bot.Errorf(bot.Invalid, "%s of %s has no threshold to be judged by; give it above or below", name, t)
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	now := b.clock.Now()
	over := provider.Span{From: now.Add(-m.Over), To: now}
	j := provider.Judgement{Metric: name, Unit: m.Unit, Threshold: Words(m.Limits, m.Unit), Link: b.Link(t, name, over)}
	for _, needed := range slices.Sorted(maps.Keys(m.Needs)) {
		low, at, stand, why := b.mean(ctx, t, needed, now, provider.Limits{Below: new(float64)})
		least := m.Needs[needed]
		switch {
		case stand != provider.Within:
			j.Stand, j.Why = stand, fmt.Sprintf("it cannot be judged without %s: %s", needed, why)
			return j, nil
		case low < least:
			j.Stand, j.Why = provider.NoData, fmt.Sprintf("%s is %s, and it means nothing below %s", needed, chart.Value(low, at.Unit), chart.Value(least, at.Unit))
			return j, nil
		}
	}
	j.Value, _, j.Stand, j.Why = b.mean(ctx, t, name, now, m.Limits)
	if j.Stand == provider.Within && Breach(m.Limits, j.Value) {
		j.Stand = provider.Breached
	}
	return j, nil
}

// mean gives the mean over the metric's own time of that of its lines which
// stands worst against limits. stand is Within for a value that there is.
func (b *Board) mean(ctx context.Context, t bot.Target, name string, now time.Time, limits provider.Limits) (value float64, m metric, stand provider.Stand, why string) {
	m, _, err := b.metric(t, name)
	if err != nil {
		return 0, m, provider.Unread, bot.Sentence(err, "the metric")
	}
	over := provider.Span{From: now.Add(-m.Over), To: now}
	got, err := b.Range(ctx, t, name, over, looks)
	if err != nil {
		return 0, m, provider.Unread, bot.Sentence(err, "the metric")
	}
	worst := math.Inf(-1)
	found := false
	var last time.Time
	for _, s := range got.Series {
		sum, n, fresh := 0.0, 0, false
		for _, p := range s.Points {
			if math.IsInf(p.Value, 0) {
				return 0, m, provider.NoData, "its source gives an infinite value"
			}
			if math.IsNaN(p.Value) {
				continue // 0/0: nothing happened then
			}
			sum, n = sum+p.Value, n+1
			if p.At.After(last) {
				last = p.At
			}
			fresh = fresh || now.Sub(p.At) <= m.Over/2+got.Step
		}
		if !fresh {
			continue // what was says nothing of what is
		}
		found = true
		if mean := sum / float64(n); Beyond(limits, mean) > worst {
			worst, value = Beyond(limits, mean), mean
		}
	}
	switch {
	case last.IsZero():
		return 0, m, provider.NoData, "its source has no value of the last " + bot.Span(m.Over)
	case !found:
		return 0, m, provider.NoData, fmt.Sprintf("its source has had no value for %s", bot.Span(now.Sub(last).Round(time.Second)))
	}
	return value, m, provider.Within, ""
}
