package schedule

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"time"

	"github.com/sourcegraph/conc/panics"

	"quarterdeck/bot"
	"quarterdeck/bot/store"
)

// Entry is one thing that the clock asks for.
type Entry struct {
	// Principal is who asks, as rules and records name it: "digest:daily". No two
	// entries share one.
	Principal string
	Times     Times
	Line      string        // what is typed
	Channel   bot.ChannelID // where it is typed, and answered
	Late      time.Duration // how late it may be; 0: until it is due again
}

// Allowed gives until when what was due at a time may still be done.
func (e Entry) Allowed(due time.Time) time.Time {
	if e.Late > 0 {
		return due.Add(e.Late)
	}
	if next := e.Times.After(due); !next.IsZero() {
		return next
	}
	return due.Add(24 * time.Hour)
}

// basis tells one manner of being due from another.
func (e Entry) basis() string { return e.Times.String() + " " + e.Times.Zone().String() }

// MessageID gives the delivery key of what was due at a time; Period reads it.
func (e Entry) MessageID(due time.Time) string {
	return fmt.Sprintf("%s:%s@%s", bot.ClockNetwork, e.Principal, due.UTC().Format(time.RFC3339))
}

// Period gives when what the clock asked for with c was due; found is false for
// what somebody typed.
func Period(c bot.Call) (due time.Time, found bool) {
	if !c.Who.Account.IsClock() {
		return time.Time{}, false
	}
	prefix := string(c.Who.Account) + "@"
	if len(c.Message) <= len(prefix) || c.Message[:len(prefix)] != prefix {
		return time.Time{}, false
	}
	due, err := time.Parse(time.RFC3339, c.Message[len(prefix):])
	return due, err == nil
}

// Recorder writes audit records inside a transaction.
type Recorder interface {
	Append(tx store.Tx, r bot.Record) (store.Head, error)
}

// Clock asks for what is due, once for each time that it is, however many
// processes share the store: the last time that was kept is a document, and it
// moves on in the commit that stores the message. Whoever was down when something
// was due asks for it when it is back, for the latest of several missed times
// alone, and says so of what is too late by then. Fields must not change once it
// is used; all are needed.
type Clock struct {
	// Entries gives what is configured now. It is asked again and again.
	Entries func() []Entry
	// Due stores what next makes, in one transaction with what next writes; see
	// router.Router.Due.
	Due      func(ctx context.Context, next func(tx store.Tx) (bot.Message, bool, error)) error
	Store    store.Store
	Recorder Recorder
	Clock    bot.Clock
	Logger   *slog.Logger
	Posted   func() // called after something was recorded or posted here

	known map[string]time.Time // when each entry is due next, by principal and basis
}

// kind documents say which time of an entry was kept last, under its principal.
const kind = "schedule"

// kept is the body of such a document.
type kept struct {
	Basis string    `json:"basis"`
	Last  time.Time `json:"last"`
}

// tick is how often it is looked whether something is due. Between, nothing but
// memory is read.
const tick = time.Second

const write = 10 * time.Second

// Run asks for what is due until ctx ends.
func (c *Clock) Run(ctx context.Context) error {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for {
		if caught := panics.Try(func() { c.Round(ctx) }); caught != nil {
			c.Logger.Error("look what is due", "err", caught.AsError())
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// Round asks for everything that is due now. What goes wrong with one entry is
// logged, keeps no other waiting and is tried again in the next round.
func (c *Clock) Round(ctx context.Context) {
	next := map[string]time.Time{}
	for _, e := range c.Entries() {
		key := e.Principal + "\n" + e.basis()
		at, known := c.known[key]
		now := c.Clock.Now()
		if !known || !at.IsZero() && !now.Before(at) {
			last, err := c.keep(ctx, e, now)
			if err != nil {
				// A conflict says that another replica was first, which is seen next time.
				if ctx.Err() == nil && bot.KindOf(err) != bot.Conflict {
					c.Logger.Error("ask for what is due", "principal", e.Principal, "err", err)
				}
				continue // not known, so it is looked at again
			}
			at = e.Times.After(last)
		}
		next[key] = at
	}
	c.known = next
}

// keep asks for what e was due for last, unless somebody did, and gives the last
// time that was kept.
func (c *Clock) keep(ctx context.Context, e Entry, now time.Time) (last time.Time, err error) {
	ctx, cancel := context.WithTimeout(ctx, write)
	defer cancel()
	var told bool
	err = c.Due(ctx, func(tx store.Tx) (m bot.Message, ask bool, err error) {
		told = false
		doc, found, err := tx.Document(kind, e.Principal)
		if err != nil {
			return m, false, err
		}
		var k kept
		if found {
			if err := json.Unmarshal(doc.Body, &k); err != nil {
				return m, false, fmt.Errorf("decode %s %s: %w", kind, e.Principal, err)
			}
		}
		if last = k.Last; !found || k.Basis != e.basis() {
			last = now // what was due before it was configured so is not missed
			return m, false, put(tx, doc, e, last)
		}
		due, missed := e.Times.Last(k.Last, now)
		if !missed {
			return m, false, nil
		}
		last = due
		if err := put(tx, doc, e, last); err != nil {
			return m, false, err
		}
		m = bot.Message{ID: e.MessageID(due), Account: bot.ClockAccount(e.Principal), Standing: bot.Member,
			Channel: e.Channel, Text: e.Line, Received: now, Until: e.Allowed(due)}
		if !now.Before(m.Until) {
			told = true
			return m, false, c.tooLate(tx, e, m, due)
		}
		return m, true, nil
	})
	if err == nil && told {
		c.Posted()
	}
	return last, err
}

func put(tx store.Tx, doc bot.Document, e Entry, last time.Time) error {
	body, err := json.Marshal(kept{Basis: e.basis(), Last: last.UTC()})
	if err != nil {
		return fmt.Errorf("encode %s %s: %w", kind, e.Principal, err)
	}
	_, err = tx.PutDocument(bot.Document{Kind: kind, ID: e.Principal, Rev: doc.Rev, Body: body})
	return err
}

// tooLate records and posts that something was not asked for in time.
func (c *Clock) tooLate(tx store.Tx, e Entry, m bot.Message, due time.Time) error {
	now := c.Clock.Now()
	local := due.In(e.Times.Zone()).Format("2006-01-02 15:04 MST")
	say := fmt.Sprintf("not run: it was due %s, and at %s that was too late", local, now.In(e.Times.Zone()).Format("01-02 15:04"))
	_, err := c.Recorder.Append(tx, bot.Record{Kind: bot.ExpiredKind, At: now, Account: m.Account, Standing: m.Standing, Person: e.Principal,
		Channel: m.Channel, Message: m.ID, Rule: "late", Detail: map[string]string{"due": due.UTC().Format(time.RFC3339)},
		Text: map[string]string{"line": e.Line, "result": say}})
	if err != nil {
		return err
	}
	card := bot.Card{Key: "reply/" + m.ID, ReplyTo: m.ID, Tone: bot.Warning, Outcome: bot.OutcomeFailed,
		Title: e.Line + ": " + say, Footer: "asked for by " + e.Principal}
	body, err := json.Marshal(card)
	if err != nil {
		return fmt.Errorf("encode card: %w", err)
	}
	_, err = tx.Enqueue(store.Outgoing{Channel: e.Channel, Card: body, Created: now, NextAt: now})
	return err
}
