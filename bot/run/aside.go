package run

import (
	"context"
	"errors"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/store"
)

// Replicas of one bot must not act by different rules side by side. Which rules
// are in force stands in the store, where the commit of an intent looks: an
// engine that works by others commits none. It leaves what has not begun to one
// that works by those in force, and goes on with what is under way.

// ErrOutdated is wrapped by what Config.InForce gives when other rules are in
// force than those that the engine works by.
var ErrOutdated = errors.New("another configuration is in force")

// asideFor is how long an engine that found its rules outdated begins nothing
// before it looks again.
const asideFor = 2 * time.Second

const waitsForOther = "waits for a replica that works by the configuration in force"

// inForce gives ErrOutdated when other rules are in force.
func (e *Engine) inForce(r store.Reader) error {
	if e.InForce == nil {
		return nil
	}
	return e.InForce(r)
}

// asideLeft gives how long a run that has not begun is still left alone.
func (e *Engine) asideLeft(row store.RunRow) time.Duration {
	if row.State != bot.Queued {
		return 0
	}
	left := time.UnixMicro(e.aside.Load()).Sub(e.Clock.Now())
	if left > asideFor { // the clock was set back
		return 0
	}
	return max(0, left)
}

// standAside leaves the run to another replica, and has its card say so. Its slot
// is given back; since when it waits stays, so that nothing runs late.
func (e *Engine) standAside(ctx context.Context, c *current, why error) error {
	e.aside.Store(e.Clock.Now().Add(asideFor).UnixMicro())
	e.Logger.WarnContext(ctx, "a run is left to another replica", "run", c.run.Number, "err", why)
	defer e.disowned(c.run.Number)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTimeout)
	defer cancel()
	return e.update(ctx, c, func(tx store.Tx, c *current) error {
		r := &c.run
		if !c.row.Holds && r.Progress.Text == waitsForOther {
			return nil
		}
		c.row.Holds, c.row.Owner, c.row.Lease = false, "", time.Time{}
		if r.Progress.Text != waitsForOther {
			r.Progress.Text = waitsForOther
			if err := e.show(tx, r); err != nil {
				return err
			}
		}
		return e.put(tx, c)
	})
}

// admitIfInForce is admit, by an engine whose rules are in force.
func (e *Engine) admitIfInForce(ctx context.Context, c *current) error {
	err := e.Store.View(ctx, e.inForce)
	if err == nil {
		err = e.admit(ctx, c)
	}
	if errors.Is(err, ErrOutdated) {
		return e.standAside(ctx, c, err)
	}
	return err
}
