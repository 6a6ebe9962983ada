package run

import (
	"context"
	"errors"
	"time"

	"quarterdeck/bot/store"
)

// handOver gives up the lease of a run that was worked on when the engine was
// stopped, so that a successor need not wait for it to end, and has it looked at
// again at wake. Nothing else of the run is written: that a call was begun stays
// noted, and whoever comes next looks for what it did first. A lease that cannot
// be given up is waited for.
//
// It is called only when what was done under the lease has returned. A call that
// does not return when it is told to is left to its lease.
func (e *Engine) handOver(ctx context.Context, c *current, wake time.Time) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTimeout)
	defer cancel()
	err := e.Store.Update(ctx, func(tx store.Tx) error {
		row, found, err := tx.Run(c.row.Number)
		if err != nil {
			return err
		}
		if !found || row.Rev != c.row.Rev {
			return errStale
		}
		row.Owner, row.Lease, row.WakeAt = "", time.Time{}, wake
		_, err = tx.PutRun(row)
		return err
	})
	switch {
	case errors.Is(err, errStale): // somebody else has moved it on
	case err != nil:
		e.Logger.WarnContext(ctx, "hand a run over", "run", c.row.Number, "err", err)
	default:
		e.Logger.InfoContext(ctx, "a run is left to whoever comes next", "run", c.row.Number)
	}
	return nil
}

// stopped reports whether ctx ended because the engine stops, and not because
// its time was over.
func stopped(ctx context.Context) bool { return errors.Is(ctx.Err(), context.Canceled) }
