package panel

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/sourcegraph/conc"
	"github.com/sourcegraph/conc/iter"

	"quarterdeck/bot"
	"quarterdeck/bot/provider"
)

const (
	// abreast is how many queries one source is asked at a time.
	abreast = 8
	// within bounds what a source may take for all of them: somebody waits.
	within = 10 * time.Second
)

// Ask is one query: a metric of a target over a time.
type Ask struct {
	Target bot.Target
	Metric string
	Over   provider.Span
}

// Answer is what came of an Ask; Err is of a MetricSource.
type Answer struct {
	Ask
	Measured provider.Measured
	Err      error
}

// Gather asks for everything at once, every source by itself, and gives the
// answers in the order of asks. A source that is slow or down costs its own
// answers alone, and no more time than within: after its first silence nothing
// more is asked of it.
func (b *Board) Gather(ctx context.Context, asks []Ask, points int) []Answer {
	answers := make([]Answer, len(asks))
	sources := map[string][]int{}
	for i, a := range asks {
		answers[i].Ask = a
		from := b.catalog.MetricsFrom(a.Target)
		sources[from] = append(sources[from], i)
	}
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	var all conc.WaitGroup
	for _, of := range sources {
		all.Go(func() {
			var silent atomic.Pointer[error]
			each := iter.Iterator[int]{MaxGoroutines: abreast}
			each.ForEach(of, func(i *int) {
				a := &answers[*i]
				if err := silent.Load(); err != nil {
					a.Err = *err
					return
				}
				a.Measured, a.Err = b.Range(ctx, a.Target, a.Metric, a.Over, points)
				if kind := bot.KindOf(a.Err); a.Err != nil && (kind == bot.Unavailable || kind == bot.Timeout) {
					silent.Store(&a.Err)
				}
			})
		})
	}
	all.Wait()
	return answers
}
