package page

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/sourcegraph/conc"
	"github.com/sourcegraph/conc/panics"

	"quarterdeck/bot"
	"quarterdeck/bot/notify"
	"quarterdeck/bot/store"
)

const (
	sendWithin = 30 * time.Second
	firstRetry = 2 * time.Second
	lastRetry  = time.Minute
	// keepTrying is how long a way out is tried; the page itself goes on.
	keepTrying = time.Hour
	sending    = 16 // at a time
)

// send begins to send what waits for a second way out. A notice is removed only
// once it was taken, so that a crash before that sends it twice.
func (k *Keeper) send(ctx context.Context, s *Settings, senders *conc.WaitGroup) {
	var due []bot.Document
	err := k.Store.View(ctx, func(r store.Reader) error {
		docs, err := r.Documents(kindNotice, "", 500, false)
		due = nil
		for _, d := range docs {
			if !d.Due.After(k.Clock.Now()) {
				due = append(due, d)
			}
		}
		return err
	})
	if err != nil {
		return
	}
	for _, d := range due {
		k.mu.Lock()
		_, busy := k.sends[d.ID]
		busy = busy || len(k.sends) >= sending
		if !busy {
			k.sends[d.ID] = k.Clock.Now()
		}
		k.mu.Unlock()
		if busy {
			continue
		}
		senders.Go(func() {
			if caught := panics.Try(func() { k.sendOne(ctx, s, d) }); caught != nil {
				k.Logger.Error("panic while sending a notice", "panic", caught.String())
			}
			k.mu.Lock()
			delete(k.sends, d.ID)
			k.mu.Unlock()
			k.Wake()
		})
	}
}

func (k *Keeper) sendOne(ctx context.Context, s *Settings, d bot.Document) {
	var n notice
	if err := json.Unmarshal(d.Body, &n); err != nil {
		k.Logger.Error("a notice cannot be read", "id", d.ID, "err", err)
		return
	}
	claim, wanted := "notice/"+d.ID, false
	err := k.Store.Update(ctx, func(tx store.Tx) (err error) {
		if _, found, err := tx.Document(kindNotice, d.ID); err != nil || !found {
			return err
		}
		p, err := readPage(tx, n.Page)
		if err != nil {
			return err
		}
		if p.State != Triggered { // somebody has it; nobody needs to be woken
			return tx.DeleteDocument(kindNotice, d.ID)
		}
		now := k.Clock.Now()
		wanted, err = store.Claim(tx, claim, k.Owner, now, now.Add(2*sendWithin), store.Allowance(k.Store))
		return err
	})
	if err != nil || !wanted {
		return
	}
	failed := k.sendBy(ctx, s, n.Way, n.Notice)
	if ctx.Err() != nil {
		return // whoever comes next sends it, perhaps once more
	}
	err = k.Store.Update(ctx, func(tx store.Tx) error {
		if err := store.Release(tx, claim, k.Owner); err != nil {
			return err
		}
		old, found, err := tx.Document(kindNotice, d.ID)
		if err != nil || !found {
			return err
		}
		if failed == nil {
			return tx.DeleteDocument(kindNotice, d.ID)
		}
		now := k.Clock.Now()
		gone := bot.KindOf(failed) == bot.Invalid || now.Sub(n.Since) > keepTrying
		if n.Tries == 0 || gone { // once when it begins, and once when it is given up
			p, err := readPage(tx, n.Page)
			if err != nil {
				return err
			}
			say := fmt.Sprintf("%s could not be told by %s: %s", orNobody(n.Person), n.Way, bot.Sentence(failed, d.ID))
			if !gone {
				say += "; it is tried again"
			}
			if err := k.write(tx, s, p, Event{Kind: NotTold, Text: say}, nil); err != nil {
				return err
			}
		}
		if gone {
			return tx.DeleteDocument(kindNotice, d.ID)
		}
		n.Tries++
		_, err = put(tx, kindNotice, d.ID, old.Rev, now.Add(min(firstRetry<<min(n.Tries, 6), lastRetry)), n)
		return err
	})
	if failed != nil {
		k.Logger.Error("a page could not be told by its second way", "page", n.Page, "way", n.Way, "err", failed)
	}
	if err != nil && ctx.Err() == nil {
		k.Logger.Error("note what came of a notice", "page", n.Page, "way", n.Way, "err", err)
	}
	k.Posted()
}

func (k *Keeper) sendBy(ctx context.Context, s *Settings, way string, n notify.Notice) error {
	w, ok := s.Ways[way]
	if !ok {
		return bot.Errorf(bot.Invalid, "there is no way %s any more", way)
	}
	ctx, cancel := context.WithTimeout(ctx, sendWithin)
	defer cancel()
	n.Text, n.Title = k.Recorder.Redact(n.Text), k.Recorder.Redact(n.Title)
	return w.Send(ctx, n)
}

func orNobody(person string) string {
	if person == "" {
		return "the level"
	}
	return person
}
