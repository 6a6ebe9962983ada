package outbox

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/store"
)

const (
	// kindShown documents say where a card's message is: ID CHANNEL|KEY.
	kindShown = "shown"
	// kindStale documents list those of kindShown by the hour in which they may
	// be forgotten: ID HOUR CHANNEL|KEY.
	kindStale = "shown-until"
	// remember is how long after its last delivery a card can still be edited,
	// or answered in its thread.
	remember = 30 * 24 * time.Hour
)

// shown is where a card's message is.
type shown struct {
	Ref     string `json:"ref"`
	Version int64  `json:"version"`
	// Spilled is the digest of what followed the message in its thread.
	Spilled string `json:"spilled,omitempty"`
	Count   int    `json:"count,omitempty"` // how many cards that were
}

func shownID(c bot.ChannelID, key string) string { return string(c) + "|" + key }

// Shown gives the version in which the card with this key was last delivered to
// the channel; found is false when it never was, or long ago.
func Shown(r store.Reader, c bot.ChannelID, key string) (version int64, found bool, err error) {
	at, found, err := where(r, c, key)
	return at.Version, found, err
}

// At gives the network's reference of the message that shows the card with this
// key in the channel, and the version in which it was last delivered there;
// found is false when it never was, or long ago.
func At(r store.Reader, c bot.ChannelID, key string) (ref string, version int64, found bool, err error) {
	at, found, err := where(r, c, key)
	return at.Ref, at.Version, found, err
}

func where(r store.Reader, c bot.ChannelID, key string) (at shown, found bool, err error) {
	doc, found, err := r.Document(kindShown, shownID(c, key))
	if err != nil || !found {
		return shown{}, false, err
	}
	if err := json.Unmarshal(doc.Body, &at); err != nil {
		return shown{}, false, fmt.Errorf("decode where %s is shown: %w", key, err)
	}
	return at, true, nil
}

// noteShown notes how o was delivered.
func noteShown(tx store.Tx, o store.Outgoing, at shown, now time.Time) error {
	body, err := json.Marshal(at)
	if err != nil {
		return fmt.Errorf("encode where %s is shown: %w", o.Key, err)
	}
	doc := bot.Document{Kind: kindShown, ID: shownID(o.Channel, o.Key), Due: now.Add(remember), Body: body}
	old, found, err := tx.Document(doc.Kind, doc.ID)
	if err != nil {
		return err
	}
	if found {
		doc.Rev = old.Rev
	} else if err := noteStale(tx, doc); err != nil {
		return err
	}
	_, err = tx.PutDocument(doc)
	return err
}

// noteStale lists doc under the hour in which it may be forgotten.
func noteStale(tx store.Tx, doc bot.Document) error {
	entry := bot.Document{Kind: kindStale, ID: fmt.Sprintf("%06x ", doc.Due.Unix()/3600) + doc.ID, Due: doc.Due, Body: []byte("{}")}
	old, found, err := tx.Document(entry.Kind, entry.ID)
	if err != nil {
		return err
	}
	if found {
		entry.Rev = old.Rev
	}
	_, err = tx.PutDocument(entry)
	return err
}

const (
	sweepEvery  = 10 * time.Minute
	sweepBatch  = 200
	sweepRounds = 50
)

// sweep forgets where cards are that were delivered long ago.
func (d *Deliverer) sweep(ctx context.Context) {
	for range sweepRounds {
		full := false
		err := d.Store.Update(ctx, func(tx store.Tx) error {
			entries, err := tx.Documents(kindStale, "", sweepBatch, false)
			if err != nil {
				return err
			}
			full = len(entries) == sweepBatch
			for _, entry := range entries {
				if entry.Due.After(d.Clock.Now()) {
					full = false // those that follow may be forgotten later still
					return nil
				}
				if err := forget(tx, entry, d.Clock.Now()); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil && ctx.Err() == nil {
			d.Logger.Error("forget where old cards are", "err", err)
		}
		if err != nil || !full {
			return
		}
	}
}

// forget removes an entry and what it lists, or lists that for later when it
// was delivered again meanwhile.
func forget(tx store.Tx, entry bot.Document, now time.Time) error {
	if err := tx.DeleteDocument(kindStale, entry.ID); err != nil {
		return err
	}
	_, id, ok := strings.Cut(entry.ID, " ")
	if !ok {
		return nil
	}
	doc, found, err := tx.Document(kindShown, id)
	if err != nil || !found {
		return err
	}
	if doc.Due.After(now) {
		return noteStale(tx, doc)
	}
	return tx.DeleteDocument(kindShown, id)
}

// link has the card point to where the card that it is about is shown. Without
// that it says the same.
func (d *Deliverer) link(ctx context.Context, card *bot.Card) {
	if card.About == nil || card.Link != "" {
		return
	}
	chat, ok := d.Chats(card.About.Channel.Network())
	linker, can := chat.(bot.Linker)
	if !ok || !can {
		return
	}
	err := d.Store.View(ctx, func(r store.Reader) error {
		ref, _, found, err := At(r, card.About.Channel, card.About.Key)
		if err == nil && found && ref != "" {
			card.Link = linker.LinkTo(ref)
		}
		return err
	})
	if err != nil && ctx.Err() == nil {
		d.Logger.Warn("look where a card is shown", "card", card.About.Key, "err", err)
	}
}
