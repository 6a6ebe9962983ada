// Package outbox brings durable cards to where they are shown. A card is
// enqueued in the same commit as the change it tells of; this package delivers
// it at least once, however often the network fails in between.
//
// Cards of one channel are delivered one after another in the order they were
// enqueued, channels side by side. The cards of ordered channels (the audit
// channel) never overtake one another; others step aside for a while when
// their delivery fails.
package outbox

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/sourcegraph/conc"

	"quarterdeck/bot"
	"quarterdeck/bot/store"
)

// Deliverer delivers what is due. Safe for concurrent use.
type Deliverer struct {
	// Store holds the cards.
	Store store.Store
	// Chats gives the network that a channel belongs to.
	Chats func(network string) (bot.Chat, bool)
	Clock bot.Clock
	// Gap is called in the transaction that gives up an ordered card which the
	// network refuses for good.
	Gap    func(tx store.Tx, o store.Outgoing, cause string) error
	Logger *slog.Logger
	// Timeout bounds one delivery; default 15 seconds.
	Timeout time.Duration

	once sync.Once
	wake chan struct{}

	mu   sync.Mutex
	busy map[bot.ChannelID]bool
}

const (
	batch      = 256
	firstRetry = time.Second
	lastRetry  = time.Minute
	// keep is how long an unordered card is tried before it is given up: the
	// session it was for is gone.
	keep      = 24 * time.Hour
	longest   = time.Second // nap when nothing is due
	kindShown = "shown"     // documents: where a card's message is
)

func (d *Deliverer) init() {
	d.once.Do(func() {
		d.wake = make(chan struct{}, 1)
		d.busy = map[bot.ChannelID]bool{}
		if d.Timeout <= 0 {
			d.Timeout = 15 * time.Second
		}
	})
}

// Wake makes the Deliverer look for due cards now.
func (d *Deliverer) Wake() {
	d.init()
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// Run delivers until ctx ends, then waits for the deliveries under way, whose
// contexts end with ctx.
func (d *Deliverer) Run(ctx context.Context) error {
	d.init()
	var channels conc.WaitGroup
	defer channels.Wait()
	for {
		nap := longest
		due, next, err := d.due(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			d.Logger.Error("look for due cards", "err", err)
		default:
			for channel, cards := range byChannel(due) {
				if d.take(channel) {
					channels.Go(func() {
						defer d.release(channel)
						d.deliverAll(ctx, cards)
					})
				}
			}
			if !next.IsZero() {
				nap = min(nap, max(next.Sub(d.Clock.Now()), 5*time.Millisecond))
			}
		}
		timer := time.NewTimer(nap)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-d.wake:
			timer.Stop()
		case <-timer.C:
		}
	}
}

func (d *Deliverer) due(ctx context.Context) (due []store.Outgoing, next time.Time, err error) {
	err = d.Store.View(ctx, func(r store.Reader) error {
		if due, err = r.OutgoingDue(d.Clock.Now(), batch); err != nil || len(due) > 0 {
			return err
		}
		next, _, err = r.NextOutgoing()
		return err
	})
	return due, next, err
}

func byChannel(due []store.Outgoing) map[bot.ChannelID][]store.Outgoing {
	m := map[bot.ChannelID][]store.Outgoing{}
	for _, o := range due {
		m[o.Channel] = append(m[o.Channel], o)
	}
	return m
}

func (d *Deliverer) take(c bot.ChannelID) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.busy[c] {
		return false
	}
	d.busy[c] = true
	return true
}

func (d *Deliverer) release(c bot.ChannelID) {
	d.mu.Lock()
	delete(d.busy, c)
	d.mu.Unlock()
	d.Wake()
}

// deliverAll delivers the cards of one channel in order. After a failure the
// rest waits for the next round.
func (d *Deliverer) deliverAll(ctx context.Context, cards []store.Outgoing) {
	for _, o := range cards {
		if ctx.Err() != nil {
			return
		}
		if err := d.deliver(ctx, o); err != nil {
			if ctx.Err() == nil {
				d.Logger.Error("deliver card", "channel", string(o.Channel), "card", o.Key, "err", err)
			}
			return
		}
	}
}

// shown is where a card's message is.
type shown struct {
	Ref     string `json:"ref"`
	Version int64  `json:"version"`
}

func shownID(c bot.ChannelID, key string) string { return string(c) + "|" + key }

// deliver delivers one card. An error means that the channel should rest.
func (d *Deliverer) deliver(ctx context.Context, o store.Outgoing) error {
	chat, ok := d.Chats(o.Channel.Network())
	if !ok {
		return d.giveUp(ctx, o, fmt.Sprintf("no chat network %q is configured", o.Channel.Network()))
	}
	var card bot.Card
	if err := json.Unmarshal(o.Card, &card); err != nil {
		return d.giveUp(ctx, o, "the stored card does not decode")
	}
	delivery := bot.Delivery{Channel: o.Channel, Thread: o.Thread, To: o.To, Card: card}
	if err := d.address(ctx, o, &delivery); err != nil {
		return err
	}
	call, cancel := context.WithTimeout(ctx, d.Timeout)
	ref, err := chat.Deliver(call, delivery)
	cancel()
	switch {
	case err == nil:
		return d.delivered(ctx, o, ref)
	case ctx.Err() != nil:
		return ctx.Err()
	}
	switch kind := bot.KindOf(err); kind {
	case bot.Unavailable, bot.Busy, bot.Timeout:
		if !o.Ordered && d.Clock.Now().Sub(o.Created) > keep {
			return d.giveUp(ctx, o, "nobody was there to read it for "+keep.String())
		}
		return d.postpone(ctx, o, err)
	default:
		d.Logger.Error("a card was refused for good", "channel", string(o.Channel), "card", o.Key, "kind", string(kind), "err", err)
		return d.giveUp(ctx, o, bot.Sentence(err, "outbox"))
	}
}

// address finds the message to edit and the thread to answer in.
func (d *Deliverer) address(ctx context.Context, o store.Outgoing, to *bot.Delivery) error {
	if o.Key == "" && (o.Under == "" || o.Thread != "") {
		return nil
	}
	return d.Store.View(ctx, func(r store.Reader) error {
		if o.Key != "" {
			at, err := where(r, o.Channel, o.Key)
			if err != nil {
				return err
			}
			to.Ref = at.Ref
		}
		if o.Under != "" && o.Thread == "" {
			at, err := where(r, o.Channel, o.Under)
			if err != nil {
				return err
			}
			to.Thread = at.Ref
		}
		return nil
	})
}

func where(r store.Reader, c bot.ChannelID, key string) (at shown, err error) {
	doc, found, err := r.Document(kindShown, shownID(c, key))
	if err != nil || !found {
		return shown{}, err
	}
	if err := json.Unmarshal(doc.Body, &at); err != nil {
		return shown{}, fmt.Errorf("decode where %s is shown: %w", key, err)
	}
	return at, nil
}

func (d *Deliverer) delivered(ctx context.Context, o store.Outgoing, ref string) error {
	return d.Store.Update(ctx, func(tx store.Tx) error {
		if err := tx.Delivered(o.ID, o.Version); err != nil {
			return err
		}
		if o.Key == "" || ref == "" {
			return nil
		}
		body, err := json.Marshal(shown{Ref: ref, Version: o.Version})
		if err != nil {
			return err
		}
		doc := bot.Document{Kind: kindShown, ID: shownID(o.Channel, o.Key), Body: body}
		old, found, err := tx.Document(doc.Kind, doc.ID)
		if err != nil {
			return err
		}
		if found {
			doc.Rev = old.Rev
		}
		_, err = tx.PutDocument(doc)
		return err
	})
}

func (d *Deliverer) postpone(ctx context.Context, o store.Outgoing, cause error) error {
	wait := min(firstRetry<<min(o.Tries, 6), lastRetry)
	if be, ok := cause.(*bot.Error); ok && be.RetryAfter > 0 {
		wait = be.RetryAfter
	}
	err := d.Store.Update(ctx, func(tx store.Tx) error {
		return tx.Postpone(o.ID, d.Clock.Now().Add(wait), o.Tries+1)
	})
	if err != nil {
		return err
	}
	if o.Ordered {
		return cause // nothing may overtake it
	}
	return nil
}

func (d *Deliverer) giveUp(ctx context.Context, o store.Outgoing, cause string) error {
	return d.Store.Update(ctx, func(tx store.Tx) error {
		if err := tx.Delivered(o.ID, o.Version); err != nil {
			return err
		}
		if o.Ordered && d.Gap != nil {
			return d.Gap(tx, o, cause)
		}
		return nil
	})
}
