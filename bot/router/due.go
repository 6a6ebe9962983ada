package router

import (
	"context"
	"errors"

	"quarterdeck/bot"
	"quarterdeck/bot/store"
)

// Due takes in what the clock asks for. next makes the message, within the
// transaction that stores it, so that what says that a time was kept shares its
// commit; with found false nothing is to be asked for, and what next wrote is
// kept all the same. Its errors are given as they are, and nothing is written
// then. next may be run again.
func (r *Router) Due(ctx context.Context, next func(tx store.Tx) (m bot.Message, found bool, err error)) error {
	select {
	case <-r.Draining:
		return nil
	default:
	}
	var m bot.Message
	var fresh bool
	err := r.Store.Update(ctx, func(tx store.Tx) (err error) {
		fresh = false
		var found bool
		if m, found, err = next(tx); err != nil || !found {
			return err
		}
		if !m.Account.IsClock() {
			return &bot.Error{Op: "router.due", Kind: bot.Internal, Err: errors.New("the clock spoke for somebody else")}
		}
		m.Text = r.now.Load().Hidden(m.Text)
		if err := r.seal(&m); err != nil {
			return err
		}
		fresh, err = tx.Receive(m)
		return err
	})
	if err != nil || !fresh {
		return err
	}
	r.expect(m.ID)
	r.Reach("message received")
	select {
	case r.arrived <- m:
	default: // the sweep finds it
	}
	return nil
}
