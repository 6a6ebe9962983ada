package page

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/notify"
	"quarterdeck/bot/store"
)

// While the store cannot be written, a page still must not fall silent: what is due
// is told of from memory, by chat and by the second ways, and perhaps once more
// when the store is back, for a duplicate beats silence. An acknowledgement goes
// through the emergency journal and stops that from memory.

// unrecorded is how far an open page was taken without the store.
type unrecorded struct {
	page *Page // a copy
	at   time.Time
}

// offLogAck is an acknowledgement that only the emergency journal holds.
type offLogAck struct {
	Page   int64     `json:"page"`
	Person string    `json:"person"`
	At     time.Time `json:"at"`
}

func journalled(key string) bool { return strings.HasPrefix(key, "journal-") }

// ackOffLog acknowledges in memory; the intent is in the emergency journal, and
// Settle has the page itself follow when that is merged.
func (k *Keeper) ackOffLog(st state) bot.Progress {
	if st.Change.Action != ActAck {
		return bot.Progress{State: bot.OpFailed, Text: "only page ack works while the log cannot be written"}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.acks[st.Change.Page] = offLogAck{st.Change.Page, st.Actor, k.Clock.Now()}
	return bot.Progress{State: bot.OpSucceeded, Text: fmt.Sprintf("%s has page %d; nobody else is asked", st.Actor, st.Change.Page)}
}

// Settle implements bot.Settler: an acknowledgement that was noted in the journal
// is kept, in the commit that merges it, for the page to follow.
func (w *Workflow) Settle(r bot.Run, p bot.Progress, at time.Time) ([]bot.Document, error) {
	if r.Journal == nil || p.State != bot.OpSucceeded {
		return nil, nil
	}
	var c Change
	if err := json.Unmarshal(r.Plan.Spec.Body, &c); err != nil {
		return nil, fmt.Errorf("decode %s: %w", r.Plan.Spec.Kind, err)
	}
	if c.Action != ActAck {
		return nil, nil
	}
	raw, err := json.Marshal(offLogAck{c.Page, r.Call.Who.Person, at})
	return []bot.Document{{Kind: kindSettled, ID: "ack/" + r.Handle.Key, Body: raw}}, err
}

// settle has pages follow what was merged from the journal.
func (k *Keeper) settle(ctx context.Context, s *Settings) error {
	var docs []bot.Document
	err := k.Store.View(ctx, func(r store.Reader) (err error) {
		docs, err = r.Documents(kindSettled, "ack/", batch, false)
		return err
	})
	for _, d := range docs {
		if err != nil {
			return err
		}
		err = k.Store.Update(ctx, func(tx store.Tx) error {
			var a offLogAck
			if _, found, err := get(tx, kindSettled, d.ID, &a); err != nil || !found {
				return err
			}
			if err := tx.DeleteDocument(kindSettled, d.ID); err != nil {
				return err
			}
			p, err := readPage(tx, a.Page)
			if bot.KindOf(err) == bot.NotFound || err == nil && p.State != Triggered {
				return nil
			}
			if err != nil {
				return err
			}
			p.State, p.Holder, p.Acked, p.Due = Acknowledged, a.Person, a.At, k.Clock.Now().Add(s.AckTimeout)
			return k.write(tx, s, p, Event{Kind: Acked, Person: a.Person, Text: "has it, as the emergency journal tells"}, nil)
		})
		if err == nil {
			k.mu.Lock()
			clear(k.acks) // what is merged later is applied as it comes
			k.mu.Unlock()
			k.Posted()
		}
	}
	return err
}

// onLog forgets what was done from memory: the store takes writes, and knows
// better.
func (k *Keeper) onLog() {
	k.mu.Lock()
	defer k.mu.Unlock()
	clear(k.off)
}

// offLog tells of pages whose time has come while the store cannot be written;
// why is what it said.
func (k *Keeper) offLog(ctx context.Context, s *Settings, why error) {
	now := k.Clock.Now()
	type told struct {
		page Page
		who  []string
		l    Level
	}
	var due []told
	k.mu.Lock()
	for n, p := range k.open {
		if _, acked := k.acks[n]; acked || p.State == Acknowledged {
			continue
		}
		u := k.off[n]
		if u == nil {
			if p.Due.IsZero() || p.Due.After(now) {
				continue
			}
			u = &unrecorded{page: p, at: p.Due}
			k.off[n] = u
		}
		if u.at.After(now) {
			continue
		}
		c := *u.page
		policy := s.Policies[c.Policy]
		if c.Level++; c.Level >= len(policy.Levels) {
			c.Level, c.Round = 0, c.Round+1
		}
		t := told{page: c}
		u.at = now.Add(againEvery)
		if len(policy.Levels) > 0 {
			t.l = policy.Levels[c.Level]
			u.at = now.Add(t.l.Wait)
			t.who = addOnce(t.who, t.l.Persons...)
			if schedule, ok := s.Schedules[t.l.Schedule]; ok {
				if person, ok := schedule.Primary(now, k.over); ok {
					t.who = addOnce(t.who, person)
				}
			}
		}
		u.page = &c
		due = append(due, t)
	}
	k.mu.Unlock()
	if len(due) > 0 {
		k.Logger.Error("the store cannot be written; pages are told of from memory", "pages", len(due), "err", why)
	}
	for _, t := range due {
		k.tellOffLog(ctx, s, &t.page, t.l, t.who)
	}
}

func (k *Keeper) tellOffLog(ctx context.Context, s *Settings, p *Page, l Level, who []string) {
	card := bot.Card{Tone: bot.Bad, Title: k.Recorder.Redact(p.Name()), Text: fmt.Sprintf("no answer; %s, please type: page ack %d\nthe audit log cannot be written, so that this is told from memory", strings.Join(who, ", "), p.Number)}
	places := []bot.ChannelID{s.Channel}
	if p.Round > s.Policies[p.Policy].Repeat || len(who) == 0 {
		places = addOnce(places, s.Wider)
	}
	if l.Channel != "" {
		places = addOnce(places, l.Channel)
	}
	for _, name := range who {
		for _, account := range s.Persons[name].Accounts {
			card.Mention = addOnce(card.Mention, account)
			if k.Direct != nil {
				if c, ok := k.Direct(account); ok {
					places = addOnce(places, c)
				}
			}
		}
	}
	for _, place := range places {
		if k.Deliver == nil {
			break
		}
		if _, err := k.Deliver(ctx, bot.Delivery{Channel: place, Card: card}); err != nil {
			k.Logger.Error("tell of a page from memory", "page", p.Number, "channel", string(place), "err", err)
		}
	}
	for _, way := range l.Ways {
		for _, name := range who {
			n := notify.Notice{ID: "offlog-" + strconv.FormatInt(p.Number, 10) + "-" + strconv.Itoa(p.Level) + "-" + strconv.Itoa(p.Round) + "-" + name, Page: p.Number, Title: cut(p.Name(), 150),
				Text: p.plain(s, k.Zone()), Person: name, Email: s.Persons[name].Email, Target: p.Target.String(), Level: p.Level + 1, Link: p.Link}
			if err := k.sendBy(ctx, s, way, n); err != nil {
				k.Logger.Error("tell of a page from memory", "page", p.Number, "way", way, "err", err)
			}
		}
	}
}
