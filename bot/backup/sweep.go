package backup

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/provider"
	"quarterdeck/bot/store"
)

const (
	// sweepEvery is how often is looked for what restore tests left; the first time
	// is at once.
	sweepEvery = time.Hour
	// sweepWithin bounds the sweep of one target.
	sweepWithin = 10 * time.Minute
	// reportAgain is after how long the same leftover is told of again.
	reportAgain = 24 * time.Hour
	// maxOpen bounds the open runs of a target that are looked through.
	maxOpen = 1000
)

// Recorder writes the audit log.
type Recorder interface {
	Append(tx store.Tx, r bot.Record) (store.Head, error)
	Redact(s string) string
}

// Sweeper removes what restore tests left that no run needs: after a kill, or when
// a removal failed. Make it as a literal; Run it once.
type Sweeper struct {
	Catalog  func() *provider.Catalog // as it is now; a reload brings another
	Runs     bot.Runs
	Store    store.Store
	Recorder Recorder
	Clock    bot.Clock
	Logger   *slog.Logger
	Posted   func() // called when something was recorded; may be nil

	told map[string]time.Time // when it was told of a tag that cannot be removed
}

// Run sweeps at once, and then every hour until ctx ends.
func (s *Sweeper) Run(ctx context.Context) error {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		s.Sweep(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// Sweep looks at every target once. What cannot be removed is recorded: it is a
// copy of production data that lies about.
func (s *Sweeper) Sweep(ctx context.Context) {
	if s.told == nil {
		s.told = map[string]time.Time{}
	}
	c := s.Catalog()
	for _, t := range c.Targets() {
		tester, err := c.RestoreTester(t)
		if err != nil {
			continue // it has no backups
		}
		if ctx.Err() != nil {
			return
		}
		call, cancel := context.WithTimeout(ctx, sweepWithin)
		left, err := tester.Sweep(call, func(key string) bool { return s.needs(call, t, key) })
		cancel()
		if err != nil {
			s.Logger.ErrorContext(ctx, "sweep of restore tests", "target", t.String(), "err", err)
			s.report(ctx, t, "", "what restore tests of it left cannot be looked for: "+bot.Sentence(err, "sweep"))
		}
		for _, l := range left {
			if l.Err == nil {
				s.Logger.InfoContext(ctx, "removed what a restore test left", "target", t.String(), "tag", l.Tag, "of", l.Text)
				delete(s.told, t.String()+" "+l.Tag)
				continue
			}
			s.Logger.ErrorContext(ctx, "remove what a restore test left", "target", t.String(), "tag", l.Tag, "of", l.Text, "err", l.Err)
			s.report(ctx, t, l.Tag, fmt.Sprintf("a restored copy of %s (%s) cannot be removed, and is tried again every hour: %s", l.Text, l.Tag, bot.Sentence(l.Err, "sweep")))
		}
	}
}

// needs reports whether a run that is not settled uses the place of a key. When
// that cannot be known it does.
func (s *Sweeper) needs(ctx context.Context, t bot.Target, key string) bool {
	open, err := s.Runs.Runs(ctx, bot.RunFilter{Target: t, Open: true, Limit: maxOpen})
	if err != nil || len(open) == maxOpen {
		return true
	}
	for _, r := range open {
		if r.Handle.Key == key {
			return true
		}
	}
	return false
}

// report records a leftover, once a day for each.
func (s *Sweeper) report(ctx context.Context, t bot.Target, tag, text string) {
	now, id := s.Clock.Now(), t.String()+" "+tag
	if last, known := s.told[id]; known && now.Sub(last) < reportAgain {
		return
	}
	rec := bot.Record{Kind: bot.ObservedKind, At: now, Target: t.String(), Resources: []bot.Resource{t.Resource()},
		Detail: map[string]string{"fact": "restore-test leftover", "tag": tag, "summary": t.String() + ": a restored copy was not removed"},
		Text:   map[string]string{"result": s.Recorder.Redact(text)}}
	err := s.Store.Update(ctx, func(tx store.Tx) error {
		_, err := s.Recorder.Append(tx, rec)
		return err
	})
	if err != nil {
		s.Logger.ErrorContext(ctx, "record what a restore test left", "target", t.String(), "err", err)
		return
	}
	s.told[id] = now
	if s.Posted != nil {
		s.Posted()
	}
}
