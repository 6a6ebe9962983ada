package router

import (
	"context"
	"time"

	"github.com/sourcegraph/conc"

	"quarterdeck/bot"
	"quarterdeck/bot/store"
)

// A message is handled by the replica that received it. For firstRefusal it does
// so without a word to the others; one that takes longer it claims. What nobody
// claimed by then, another takes over: its receiver is gone, or has no place
// free. Should both handle it all the same, the first to finish it wins.

const (
	firstRefusal = 4 * time.Second
	// claimAfter is when a message that is being handled is claimed.
	claimAfter = firstRefusal / 2
	// claimLength outlasts whatever handling a message may take; see
	// Config.ReadTimeout.
	claimBeyond = 10 * time.Second
)

func claimName(message string) string { return claimPrefix + message }

const claimPrefix = "inbox/"

// expect notes that this process received the message.
func (r *Router) expect(id string) {
	r.mu.Lock()
	r.mine[id] = true
	r.mu.Unlock()
}

// claimable gives of found what this process received, and what it may try to
// take over.
func (r *Router) claimable(found []store.Inbound) (own, others []bot.Message) {
	now, allowance := r.Clock.Now(), store.Allowance(r.Store)
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, in := range found {
		switch {
		case r.active[in.ID]:
		case r.mine[in.ID]:
			own = append(own, in.Message)
		case now.Sub(in.Received).Abs() >= firstRefusal+allowance: // or a clock was set
			others = append(others, in.Message)
		}
	}
	return own, others
}

// claim takes over what nobody else holds.
func (r *Router) claim(ctx context.Context, messages []bot.Message) (taken []bot.Message, err error) {
	if len(messages) == 0 {
		return nil, nil
	}
	err = r.Store.Update(ctx, func(tx store.Tx) error {
		taken = nil
		for _, m := range messages {
			ok, err := r.claimOne(tx, m.ID)
			if err != nil {
				return err
			}
			if ok {
				taken = append(taken, m)
			}
		}
		return nil
	})
	return taken, err
}

func (r *Router) claimOne(tx store.Tx, id string) (ok bool, err error) {
	now := r.Clock.Now()
	return store.Claim(tx, claimName(id), r.owner, now, now.Add(r.ReadTimeout+claimBeyond), store.Allowance(r.Store))
}

// keep claims a message whose handling takes long, until done is called; that
// gives the claim back. taken says that it is claimed already.
func (r *Router) keep(ctx context.Context, id string, taken bool) (done func()) {
	ended := make(chan struct{})
	var watch conc.WaitGroup
	if !taken {
		watch.Go(func() {
			timer := time.NewTimer(claimAfter)
			defer timer.Stop()
			select {
			case <-ended:
				return
			case <-ctx.Done():
				return
			case <-timer.C:
			}
			err := r.Store.Update(ctx, func(tx store.Tx) (err error) {
				taken, err = r.claimOne(tx, id)
				return err
			})
			if err != nil && ctx.Err() == nil {
				r.Logger.Warn("claim a message", "message", id, "err", err)
			}
		})
	}
	return func() {
		close(ended)
		watch.Wait()
		if !taken {
			return
		}
		err := r.Store.Update(context.WithoutCancel(ctx), func(tx store.Tx) error { return store.Release(tx, claimName(id), r.owner) })
		if err != nil { // it ends by itself, and is swept
			r.Logger.Warn("give a message back", "message", id, "err", err)
		}
	}
}

// forgetClaims removes claims on messages whose holders are gone.
func forgetClaims(tx store.Tx, before time.Time) error {
	docs, err := tx.Documents(store.KindClaim, claimPrefix, 1000, false)
	if err != nil {
		return err
	}
	for _, d := range docs {
		if d.Due.Before(before) {
			if err := tx.DeleteDocument(d.Kind, d.ID); err != nil {
				return err
			}
		}
	}
	return nil
}
