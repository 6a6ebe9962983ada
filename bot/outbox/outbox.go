// Package outbox brings durable cards to where they are shown. A card is
// enqueued in the same commit as the change it tells of; this package delivers
// it at least once, however often the network fails in between.
//
// Cards of one channel are delivered one after another in the order they were
// enqueued, channels side by side, over all replicas; see claim.go. The cards of ordered channels (the audit
// channel) never overtake one another; others step aside for a while when
// their delivery fails.
package outbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"runtime/debug"
	"slices"
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
	// Owner tells this start of this process from all others on the same
	// database.
	Owner string
	// Draining, when closed, has Run deliver what is due and return when nothing
	// more is.
	Draining <-chan struct{}
	Meter    bot.Meter // default: nothing is counted

	once sync.Once
	wake chan struct{}

	mu    sync.Mutex
	busy  map[bot.ChannelID]bool
	rests map[bot.ChannelID]time.Time // until when nothing is delivered there
	told  map[bot.ChannelID]bool      // the log has that nothing is taken there
	// claims are the channels that this replica holds.
	claims map[bot.ChannelID]held
}

const (
	batch      = 256
	firstRetry = time.Second
	lastRetry  = time.Minute
	// keep is how long an unordered card is tried before it is given up, unless
	// its network says otherwise; see bot.ComesAndGoes.
	keep    = 24 * time.Hour
	longest = time.Second // nap when nothing is due
	// apart is how far apart two looks for due cards are: under load every card
	// that is enqueued or delivered asks for one, and each reads a whole batch.
	apart = 5 * time.Millisecond
	// attempts is how often a card is tried when the network's errors say
	// nothing about whether trying again makes sense.
	attempts = 12
	// lasting is how long a channel takes nothing before that is worth a
	// warning, and maxTold bounds the channels of which that is remembered.
	lasting = time.Minute
	maxTold = 1024
	// commit bounds noting what was delivered, which is done also when the
	// Deliverer is told to stop: it would be delivered twice otherwise. It is
	// more than finding out what became of a lost commit takes.
	commit = 15 * time.Second
)

func (d *Deliverer) init() {
	d.once.Do(func() {
		d.wake = make(chan struct{}, 1)
		d.busy, d.rests, d.told = map[bot.ChannelID]bool{}, map[bot.ChannelID]time.Time{}, map[bot.ChannelID]bool{}
		d.claims = map[bot.ChannelID]held{}
		if d.Timeout <= 0 {
			d.Timeout = 15 * time.Second
		}
		if d.Meter == nil {
			d.Meter = bot.NoMeter{}
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

// Run delivers until ctx ends, or until nothing is due once Draining was closed,
// then waits for the deliveries under way, whose contexts end with ctx.
func (d *Deliverer) Run(ctx context.Context) error {
	d.init()
	var channels conc.WaitGroup
	defer func() {
		channels.Wait()
		d.giveBack(ctx, true)
	}()
	var swept time.Time
	for {
		draining, begun := closed(d.Draining), 0
		if now := d.Clock.Now(); now.Sub(swept) >= sweepEvery {
			swept = now
			channels.Go(func() { d.sweep(ctx) })
		}
		// What is being delivered while this looks may be gone when it has looked.
		looked, atWork := time.Now(), d.atWork()
		d.giveBack(ctx, false)
		now := d.Clock.Now()
		except, nap := d.leave(now, atWork)
		due, next, err := d.due(ctx, now, except)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			d.Logger.Error("look for due cards", "err", err)
		default:
			for channel, cards := range byChannel(due) {
				if d.away(channel, cards) {
					nap = min(nap, lookElsewhere)
					continue
				}
				ok, rest := d.take(channel)
				if rest > 0 {
					nap = min(nap, rest)
				}
				if ok {
					begun++
					channels.Go(func() {
						d.release(channel, d.deliverAll(ctx, cards))
					})
				}
			}
			if next.After(now) { // else another replica has a claim on it
				nap = min(nap, max(next.Sub(d.Clock.Now()), 5*time.Millisecond))
			}
		}
		if draining && begun == 0 && len(atWork) == 0 {
			return nil // and what cannot be looked up now is not to be had in time
		}
		drain := d.Draining
		if draining {
			drain = nil // it was seen; the end of a delivery wakes this
		}
		timer := time.NewTimer(nap)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-drain:
			timer.Stop()
		case <-d.wake:
			timer.Stop()
		case <-timer.C:
		}
		time.Sleep(apart - time.Since(looked))
	}
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// leave gives the channels that nothing is to be looked up for: those that are
// delivered to, and those that must be left alone, the first of them for rest.
// What waits for them would hide what is due elsewhere.
func (d *Deliverer) leave(now time.Time, atWork map[bot.ChannelID]bool) (except []bot.ChannelID, rest time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	except, rest = slices.Collect(maps.Keys(atWork)), longest
	for c, until := range d.rests {
		if !until.After(now) {
			delete(d.rests, c)
		} else if !atWork[c] {
			except, rest = append(except, c), min(rest, until.Sub(now))
		}
	}
	return except, rest
}

func (d *Deliverer) due(ctx context.Context, now time.Time, except []bot.ChannelID) (due []store.Outgoing, next time.Time, err error) {
	err = d.Store.View(ctx, func(r store.Reader) error {
		if due, err = r.OutgoingDue(now, d.Owner, except, batch); err != nil || len(due) > 0 {
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

// atWork gives the channels that are being delivered to.
func (d *Deliverer) atWork() map[bot.ChannelID]bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return maps.Clone(d.busy)
}

// take claims a channel that nobody delivers to; rest is how long it must
// still be left alone.
func (d *Deliverer) take(c bot.ChannelID) (ok bool, rest time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if rest := d.rests[c].Sub(d.Clock.Now()); rest > 0 {
		return false, rest
	}
	delete(d.rests, c)
	if d.busy[c] {
		return false, 0
	}
	d.busy[c] = true
	return true, 0
}

// release lets others deliver to the channel, not before until.
func (d *Deliverer) release(c bot.ChannelID, until time.Time) {
	d.mu.Lock()
	delete(d.busy, c)
	if !until.IsZero() {
		d.rests[c] = until
	}
	d.mu.Unlock()
	d.Wake()
}

// deliverAll delivers the cards of one channel in order. It gives the time until
// which the channel must be left alone, zero for none; what is not delivered by
// then waits for the next round.
func (d *Deliverer) deliverAll(ctx context.Context, cards []store.Outgoing) (until time.Time) {
	defer func() {
		if p := recover(); p != nil {
			d.Meter.Panicked("outbox")
			d.Logger.Error("panic while delivering", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			until = d.Clock.Now().Add(lastRetry)
		}
	}()
	for _, o := range cards {
		if ctx.Err() != nil {
			return time.Time{}
		}
		ok, err := d.hold(ctx, o.Channel)
		if err != nil && ctx.Err() == nil {
			d.Logger.Error("claim a channel", "channel", string(o.Channel), "err", err)
			return d.Clock.Now().Add(firstRetry)
		}
		if !ok {
			return time.Time{}
		}
		until, err := d.deliver(ctx, o)
		if errors.Is(err, store.ErrClaimLost) {
			d.Logger.Warn("another replica delivers to the channel now; the card may come twice", "channel", string(o.Channel), "card", o.Key)
			return time.Time{}
		}
		if err != nil && ctx.Err() == nil {
			// What became of it cannot be noted: not again at once, or a store
			// that cannot write would flood the channel.
			d.Logger.Error("deliver card", "channel", string(o.Channel), "card", o.Key, "err", err)
			return d.Clock.Now().Add(firstRetry)
		}
		if !until.IsZero() || err != nil {
			return until
		}
	}
	return time.Time{}
}

// deliver delivers one card and notes what became of it; an error says that it
// could not be noted. until is how long the network asked for the channel to be
// left alone, zero when it did not. That nothing overtakes an ordered card is the store's doing, which
// gives only the first of them.
func (d *Deliverer) deliver(ctx context.Context, o store.Outgoing) (until time.Time, err error) {
	chat, ok := d.Chats(o.Channel.Network())
	if !ok {
		return time.Time{}, d.giveUp(ctx, o, fmt.Sprintf("no chat network %q is configured", o.Channel.Network()))
	}
	var card bot.Card
	if err := json.Unmarshal(o.Card, &card); err != nil {
		return time.Time{}, d.giveUp(ctx, o, "the stored card does not decode")
	}
	delivery := bot.Delivery{Channel: o.Channel, Thread: o.Thread, To: o.To, Card: card}
	if err := d.address(ctx, o, &delivery); err != nil {
		return time.Time{}, err
	}
	d.link(ctx, &delivery.Card)
	ref, err := d.hand(ctx, chat, delivery)
	if err == nil {
		d.Logger.Debug("a card was delivered", "channel", string(o.Channel), "card", o.Key, "version", o.Version, "ref", ref,
			"message", card.ReplyTo, "run", card.Run, "phase", string(card.Phase), "outcome", string(card.Outcome), "state", string(card.State))
		return time.Time{}, d.delivered(ctx, o, ref, d.spill(chat, delivery, ref))
	}
	if ctx.Err() != nil {
		return time.Time{}, ctx.Err()
	}
	if errors.Is(err, store.ErrClaimLost) {
		d.let(o.Channel)
		return time.Time{}, err
	}
	if !passing(err, o.Tries) {
		d.Logger.Error("a card was refused for good", "channel", string(o.Channel), "card", o.Key, "kind", string(bot.KindOf(err)), "err", err)
		return time.Time{}, d.giveUp(ctx, o, bot.Sentence(err, "outbox"))
	}
	age, kept := d.Clock.Now().Sub(o.Created), keep
	passer, passes := chat.(bot.ComesAndGoes)
	if passes && retryAfter(err) == 0 {
		kept = passer.Kept()
	}
	if !o.Ordered && age > kept {
		return time.Time{}, d.giveUp(ctx, o, "nobody was there to read it for "+kept.String())
	}
	// That somebody has left is no news for the log, and a channel that takes
	// nothing is one piece of news, however many cards wait and are tried.
	level := slog.LevelDebug
	if (!passes || o.Ordered) && age >= lasting && d.tell(o.Channel) {
		level = slog.LevelWarn
	}
	return d.postpone(ctx, o, level, err)
}

// tell notes that the log is told of a channel that takes nothing; false when it
// was before, and nothing was taken there since.
func (d *Deliverer) tell(c bot.ChannelID) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.told[c] {
		return false
	}
	if len(d.told) >= maxTold {
		clear(d.told)
	}
	d.told[c] = true
	return true
}

// retryAfter gives when the network wants to be asked again, 0 when it does not
// say.
func retryAfter(err error) time.Duration {
	var known *bot.Error
	if errors.As(err, &known) {
		return known.RetryAfter
	}
	return 0
}

// hand gives the card to the network, whose panic is an error of this card.
func (d *Deliverer) hand(ctx context.Context, chat bot.Chat, delivery bot.Delivery) (ref string, err error) {
	defer func() {
		if p := recover(); p != nil {
			d.Meter.Panicked("chat")
			err = &bot.Error{Op: chat.Network() + ".deliver", Kind: bot.Internal, Err: fmt.Errorf("panic: %v\n%s", p, debug.Stack())}
		}
	}()
	// Whoever was stopped and continued finds its claim over here.
	if d.left(delivery.Channel) <= 0 {
		return "", &bot.Error{Op: "outbox.deliver", Kind: bot.Conflict, Say: "the claim on the channel is over", Err: store.ErrClaimLost}
	}
	ctx, done := d.during(ctx, delivery.Channel)
	defer done()
	ctx, cancel := context.WithTimeout(ctx, d.Timeout)
	defer cancel()
	return chat.Deliver(ctx, delivery)
}

// passing says whether a card that failed may yet succeed. An error that no
// adapter classified gets the benefit of the doubt for a while.
func passing(err error, tries int) bool {
	switch bot.KindOf(err) {
	case bot.Unavailable, bot.Busy, bot.Timeout:
		return true
	}
	var known *bot.Error
	return !errors.As(err, &known) && tries < attempts
}

// address finds the message to edit and the thread to answer in.
func (d *Deliverer) address(ctx context.Context, o store.Outgoing, to *bot.Delivery) error {
	if o.Key == "" && (o.Under == "" || o.Thread != "") {
		return nil
	}
	return d.Store.View(ctx, func(r store.Reader) error {
		if o.Key != "" {
			at, _, err := where(r, o.Channel, o.Key)
			if err != nil {
				return err
			}
			to.Ref = at.Ref
		}
		if o.Under != "" && o.Thread == "" {
			at, _, err := where(r, o.Channel, o.Under)
			if err != nil {
				return err
			}
			to.Thread = at.Ref
		}
		return nil
	})
}

func (d *Deliverer) delivered(ctx context.Context, o store.Outgoing, ref string, rest spilled) error {
	d.mu.Lock()
	delete(d.told, o.Channel)
	d.mu.Unlock()
	return d.under(ctx, o.Channel, func(tx store.Tx) error {
		if err := tx.Delivered(o.ID, o.Version); err != nil {
			return err
		}
		digest, count, err := rest.enqueue(tx, o, d.Clock.Now())
		if err != nil || o.Key == "" || ref == "" {
			return err
		}
		return noteShown(tx, o, shown{Ref: ref, Version: o.Version, Spilled: digest, Count: count}, d.Clock.Now())
	})
}

// postpone puts the card off, and tells until when its channel must rest.
func (d *Deliverer) postpone(ctx context.Context, o store.Outgoing, level slog.Level, cause error) (until time.Time, err error) {
	now, wait := d.Clock.Now(), min(firstRetry<<min(o.Tries, 6), lastRetry)
	if asked := retryAfter(cause); asked > 0 {
		wait = asked
		if bot.KindOf(cause) == bot.Busy {
			until = now.Add(wait)
		}
	}
	d.Logger.Log(ctx, level, "a card is put off", "channel", string(o.Channel), "card", o.Key, "tries", o.Tries+1, "for", wait, "err", cause)
	err = d.under(ctx, o.Channel, func(tx store.Tx) error {
		if err := tx.Postpone(o.ID, now.Add(wait), o.Tries+1); err != nil {
			return err
		}
		return store.Release(tx, store.ChannelClaim(o.Channel), d.Owner) // another may reach it
	})
	if err == nil {
		d.let(o.Channel)
	}
	return until, err
}

func (d *Deliverer) giveUp(ctx context.Context, o store.Outgoing, cause string) error {
	return d.under(ctx, o.Channel, func(tx store.Tx) error {
		if err := tx.Delivered(o.ID, o.Version); err != nil {
			return err
		}
		if o.Ordered && d.Gap != nil {
			return d.Gap(tx, o, cause)
		}
		return nil
	})
}
