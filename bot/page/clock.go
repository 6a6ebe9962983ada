package page

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/sourcegraph/conc"

	"quarterdeck/bot"
	"quarterdeck/bot/store"
)

const (
	longestNap = time.Second
	batch      = 64 // of what is due, at a time
	// followEvery is how often the targets of open pages are looked at, and follows
	// how many of them.
	followEvery = 2 * time.Second
	follows     = 20
	sweepEvery  = 10 * time.Minute
	writeWithin = 5 * time.Second // then it is told from memory
	lookWithin  = 5 * time.Second
)

// Run does what is due until ctx ends. Any number of processes may do so on one
// store: each thing that is due is done in one serialised commit with the end of
// its timer, by whoever comes first.
func (k *Keeper) Run(ctx context.Context) error {
	var followed, swept time.Time
	var senders conc.WaitGroup
	defer senders.Wait()
	k.arm(ctx)
	for {
		nap := longestNap
		if s, err := k.settings(); err == nil {
			now := k.Clock.Now()
			if now.Sub(followed).Abs() >= followEvery {
				followed = now
				k.follow(ctx, s)
			}
			if now.Sub(swept).Abs() >= sweepEvery {
				swept = now
				k.sweep(ctx)
			}
			next, err := k.Tick(ctx)
			switch {
			case ctx.Err() != nil:
			case err != nil:
				k.offLog(ctx, s, err)
			default:
				k.onLog()
			}
			if !next.IsZero() {
				nap = min(nap, max(next.Sub(k.Clock.Now()), 5*time.Millisecond))
			}
			k.send(ctx, s, &senders)
		}
		t := time.NewTimer(nap)
		select {
		case <-ctx.Done():
			t.Stop()
			return nil
		case <-k.wake:
			t.Stop()
		case <-t.C:
		}
	}
}

// arm has the silence of a monitor that was never heard be an alarm too.
func (k *Keeper) arm(ctx context.Context) {
	s, err := k.settings()
	if err != nil || s.Monitor.Watchdog == "" {
		return
	}
	err = k.Store.Update(ctx, func(tx store.Tx) error {
		const source = "alertmanager"
		var w watchdog
		if _, found, err := get(tx, kindWatchdog, source, &w); err != nil || found {
			return err
		}
		w, err := k.rearm(tx, s, source)
		if err != nil {
			return err
		}
		return set(tx, kindWatchdog, source, time.Time{}, w)
	})
	if err != nil && ctx.Err() == nil {
		k.Logger.Error("begin to wait for the watchdog", "err", err)
	}
}

// Tick does everything that is due now, and gives when something is next, zero for
// nothing. What is overdue, because nobody was there, is done at once.
func (k *Keeper) Tick(ctx context.Context) (next time.Time, err error) {
	s, err := k.settings()
	if err != nil {
		return time.Time{}, err
	}
	if err := k.settle(ctx, s); err != nil {
		return time.Time{}, err
	}
	for {
		var due []string
		err := k.Store.View(ctx, func(r store.Reader) error {
			due, next = nil, time.Time{}
			docs, err := r.Documents(kindDue, "", batch, false)
			if err != nil {
				return err
			}
			now := k.Clock.Now()
			for _, d := range docs {
				at, _, ok := timerOf(d.ID)
				if ok && at.After(now) {
					next = at
					break
				}
				due = append(due, d.ID)
			}
			return nil
		})
		if err != nil || len(due) == 0 {
			return next, err
		}
		for _, id := range due {
			if err := k.fire(ctx, s, id); err != nil {
				return time.Time{}, err
			}
		}
	}
}

// fire does what one timer is for, if nobody else did.
func (k *Keeper) fire(ctx context.Context, s *Settings, id string) error {
	_, what, _ := timerOf(id)
	kind, name, _ := strings.Cut(what, "/")
	k.look(ctx, kind, name)
	write, cancel := context.WithTimeout(ctx, writeWithin)
	defer cancel()
	err := k.Store.Update(write, func(tx store.Tx) error {
		if _, found, err := tx.Document(kindDue, id); err != nil || !found {
			return err
		}
		if err := tx.DeleteDocument(kindDue, id); err != nil {
			return err
		}
		switch kind {
		case "group":
			return k.page(tx, s, name)
		case "watchdog":
			return k.silent(tx, s, name, id)
		case "page":
			number, err := strconv.ParseInt(name, 10, 64)
			if err != nil {
				return nil
			}
			p, err := readPage(tx, number)
			if bot.KindOf(err) == bot.NotFound || err == nil && p.Timer != id {
				return nil
			}
			if err != nil {
				return err
			}
			p.Timer = ""
			k.fill(p)
			return k.again(tx, s, p)
		}
		return nil
	})
	if err == nil {
		k.Posted()
	}
	return err
}

// look reads what is known of the target that a timer is about, which takes too
// long for a transaction.
func (k *Keeper) look(ctx context.Context, kind, name string) {
	if k.Known == nil {
		return
	}
	var target bot.Target
	_ = k.Store.View(ctx, func(r store.Reader) error { // a page is told of without it
		switch kind {
		case "group":
			var g group
			_, _, err := get(r, kindGroup, name, &g)
			target = g.Target
			return err
		case "page":
			var p Page
			_, _, err := get(r, kindPage, name, &p)
			target = p.Target
			return err
		}
		return nil
	})
	k.lookAt(ctx, target)
}

func (k *Keeper) lookAt(ctx context.Context, t bot.Target) (known Known, ok bool) {
	if t == (bot.Target{}) || k.Known == nil {
		return known, false
	}
	ctx, cancel := context.WithTimeout(ctx, lookWithin)
	defer cancel()
	known, err := k.Known(ctx, t)
	if err != nil {
		k.Logger.Warn("look up what changed at the target of a page", "target", t.String(), "err", err)
		return known, false
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.known) > 10*follows {
		clear(k.known)
	}
	k.known[t] = known
	return known, true
}

// follow keeps what may be needed when the store cannot be read, and tells pages
// of what was done at their targets.
func (k *Keeper) follow(ctx context.Context, s *Settings) {
	open, err := k.refresh(ctx)
	if err != nil {
		return
	}
	looked := map[bot.Target]Known{}
	for _, p := range open {
		known, seen := looked[p.Target]
		if !seen {
			if len(looked) >= follows {
				return
			}
			ok := false
			if known, ok = k.lookAt(ctx, p.Target); !ok {
				continue
			}
			looked[p.Target] = known
		}
		if known.Newest <= p.Seen {
			continue
		}
		err := k.Store.Update(ctx, func(tx store.Tx) error {
			p, err := readPage(tx, p.Number)
			if err != nil || !p.Open() || known.Newest <= p.Seen {
				return err
			}
			k.fill(p)
			return k.write(tx, s, p, Event{Kind: Changed, Text: known.Ended, Run: 0}, nil)
		})
		if err != nil && ctx.Err() == nil {
			k.Logger.Warn("tell a page of a change", "page", p.Number, "err", err)
		} else {
			k.Posted()
		}
	}
}

// sweep forgets alerts, and what was calm, that are long over.
func (k *Keeper) sweep(ctx context.Context) {
	for _, kind := range []string{kindAlert, kindCalm} {
		for range 50 {
			full := false
			err := k.Store.Update(ctx, func(tx store.Tx) error {
				docs, err := tx.Documents(kind, "", 200, false)
				if err != nil {
					return err
				}
				full = len(docs) == 200
				for _, d := range docs {
					if d.Due.After(k.Clock.Now()) {
						full = false
						return nil
					}
					if err := tx.DeleteDocument(kind, d.ID); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil && ctx.Err() == nil {
				k.Logger.Error("forget old alerts", "err", err)
			}
			if err != nil || !full {
				break
			}
		}
	}
}
