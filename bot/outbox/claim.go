package outbox

import (
	"context"
	"errors"
	"time"

	"github.com/sourcegraph/conc"

	"quarterdeck/bot"
	"quarterdeck/bot/store"
)

// Several replicas deliver from one outbox. Each channel is delivered to by the
// one that holds the claim on it, so that the cards of a channel come in order,
// and an older version of a card never after a newer one. What became of a card
// is noted only under a claim that is still held; a replica that lost its claim
// between posting and noting leaves the card to its successor, who posts it
// again: at least once.

const (
	// lease is how long a claim lasts, and so how long a channel waits after its
	// replica was killed. It is lengthened for as long as a delivery takes.
	lease = 6 * time.Second
	// idle is after how long a channel with nothing to deliver is given back.
	idle = 2 * time.Second
	// elsewhere is how long a card for a session that is not connected here is
	// left to the replica to which it may be.
	elsewhere = 3 * time.Second
	// lookElsewhere is how often it is looked whether that session came back.
	lookElsewhere = 200 * time.Millisecond
)

// present is a bot.ComesAndGoes that can say who is there.
type present interface {
	Has(c bot.ChannelID) bool
}

// held is a claim of this replica on a channel.
type held struct {
	until time.Time // what this replica counts on
	used  time.Time
}

// hold sees to it that the claim on the channel is this replica's; ok is false
// while it is another's.
func (d *Deliverer) hold(ctx context.Context, c bot.ChannelID) (ok bool, err error) {
	if d.left(c) < lease/2 {
		if ok, err = d.claim(ctx, c); err != nil || !ok {
			d.let(c)
			return false, err
		}
	}
	d.mu.Lock()
	d.claims[c] = held{until: d.claims[c].until, used: d.Clock.Now()}
	d.mu.Unlock()
	return true, nil
}

// claim takes or lengthens the claim on the channel.
func (d *Deliverer) claim(ctx context.Context, c bot.ChannelID) (ok bool, err error) {
	until := d.Clock.Now().Add(lease) // counted from before the commit
	err = d.Store.Update(ctx, func(tx store.Tx) (err error) {
		ok, err = store.Claim(tx, store.ChannelClaim(c), d.Owner, d.Clock.Now(), until, store.Allowance(d.Store))
		return err
	})
	if err != nil || !ok {
		return false, err
	}
	d.mu.Lock()
	d.claims[c] = held{until: until, used: d.claims[c].used}
	d.mu.Unlock()
	return true, nil
}

// during gives a context for a delivery: the claim is lengthened again and
// again until done is called, and where that does not succeed the context ends
// with the claim.
func (d *Deliverer) during(ctx context.Context, c bot.ChannelID) (_ context.Context, done func()) {
	ctx, cancel := context.WithCancel(ctx)
	over := time.AfterFunc(d.left(c), cancel)
	ended := make(chan struct{})
	var keeping conc.WaitGroup
	keeping.Go(func() {
		tick := time.NewTicker(lease / 3)
		defer tick.Stop()
		for {
			select {
			case <-ended:
				return
			case <-tick.C:
			}
			if ok, err := d.claim(ctx, c); err == nil && ok {
				over.Reset(d.left(c))
			}
		}
	})
	return ctx, func() {
		close(ended)
		over.Stop()
		cancel()
		keeping.Wait()
	}
}

// left gives how long the claim on the channel can still be counted on.
func (d *Deliverer) left(c bot.ChannelID) time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.claims[c].until.Sub(d.Clock.Now())
}

// let forgets a claim.
func (d *Deliverer) let(c bot.ChannelID) {
	d.mu.Lock()
	delete(d.claims, c)
	d.mu.Unlock()
}

// under runs f in a transaction in which this replica still holds the claim on
// the channel. It notes what was done already, and so also when the Deliverer
// is told to stop.
func (d *Deliverer) under(ctx context.Context, c bot.ChannelID, f func(tx store.Tx) error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), commit)
	defer cancel()
	err := d.Store.Update(ctx, func(tx store.Tx) error {
		if err := store.Held(tx, store.ChannelClaim(c), d.Owner); err != nil {
			return err
		}
		return f(tx)
	})
	if errors.Is(err, store.ErrClaimLost) {
		d.let(c)
	}
	return err
}

// giveBack releases the claims on channels that nothing is delivered to now:
// those that were not used for idle, or all.
func (d *Deliverer) giveBack(ctx context.Context, all bool) {
	now := d.Clock.Now()
	var channels []bot.ChannelID
	d.mu.Lock()
	for c, h := range d.claims {
		if !d.busy[c] && (all || now.Sub(h.used) >= idle) {
			channels = append(channels, c)
			delete(d.claims, c)
		}
	}
	d.mu.Unlock()
	if len(channels) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), commit)
	defer cancel()
	err := d.Store.Update(ctx, func(tx store.Tx) error {
		for _, c := range channels {
			if err := store.Release(tx, store.ChannelClaim(c), d.Owner); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil { // they end by themselves
		d.Logger.Warn("give channels back", "err", err)
	}
}

// away reports whether the cards are for a session that may be connected to
// another replica, which looks for them itself.
func (d *Deliverer) away(c bot.ChannelID, cards []store.Outgoing) bool {
	chat, ok := d.Chats(c.Network())
	if !ok {
		return false
	}
	sessions, ok := chat.(present)
	return ok && !sessions.Has(c) && d.Clock.Now().Sub(cards[0].Created) < elsewhere
}
