package run

import (
	"context"
	"errors"

	"quarterdeck/bot"
	"quarterdeck/bot/store"
)

// Hurry has the runs under way on these targets looked at now, as when a webhook
// tells of something there. That alone is never believed: it brings the next look
// forward and nothing else. Left as they are: a run that is being looked at, one
// whose last call did not return, because the time until its successor may act is
// what keeps it from acting twice, one whose provider asked to be left alone, and a
// watch, whose looks mean something by how far apart they are.
func (e *Engine) Hurry(ctx context.Context, targets []bot.Target) error {
	var due []int64
	err := e.Store.View(ctx, func(r store.Reader) error {
		due = nil
		for _, t := range targets {
			rows, err := r.Runs(bot.RunFilter{Target: t, Open: true, Limit: maxQueue})
			if err != nil {
				return err
			}
			for _, row := range rows {
				if row.State == bot.Running || row.State == bot.Cancelling {
					due = append(due, row.Number)
				}
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	var errs []error
	for _, number := range due {
		errs = append(errs, e.modify(ctx, number, func(tx store.Tx, c *current) error {
			now := e.Clock.Now()
			r := &c.run
			if r.State != bot.Running && r.State != bot.Cancelling || r.InCall || r.Attempt > 0 || r.Progress.State == bot.OpBaking || c.row.Owner != "" || !r.WakeAt.After(now) {
				return nil
			}
			r.WakeAt = now
			return e.put(tx, c)
		}))
	}
	return errors.Join(errs...)
}
