package storetest

import (
	"fmt"
	"reflect"
	"testing"

	"quarterdeck/bot"
	"quarterdeck/bot/store"
)

// durability: everything is there after the database was opened again, and
// goes on from where it was.
func durability(t *testing.T, open Open) {
	s, reopen := open(t)
	row := store.RunRow{Number: 1, State: bot.Running, Slot: "a", Holds: true, WakeAt: noon(), Created: noon(), Body: []byte(`{}`)}
	doc := bot.Document{Kind: "release", ID: "shop/prod/1", Body: []byte(`{"v":2}`)}
	card := store.Outgoing{Channel: "slack:A", Ordered: true, Key: "k", Version: 1, Card: []byte(`{}`), Created: noon(), NextAt: noon()}
	update(t, s, func(tx store.Tx) (err error) {
		for range 3 {
			if err := add(tx, nil); err != nil {
				return err
			}
		}
		if _, err = tx.NextRun(); err != nil {
			return err
		}
		if row, err = put(tx, row); err != nil {
			return err
		}
		if doc.Rev, err = tx.PutDocument(doc); err != nil {
			return err
		}
		if _, err = tx.Receive(bot.Message{ID: "m", Received: noon()}); err != nil {
			return err
		}
		card.ID, err = tx.Enqueue(card)
		return err
	})
	s = reopen()
	intact(t, s, 3)
	view(t, s, func(r store.Reader) error {
		if got, _, err := r.Run(1); err != nil || !reflect.DeepEqual(got, row) {
			return fmt.Errorf("run %+v (%v), want %+v", got, err, row)
		}
		if got, found, err := r.SlotHolder("a"); err != nil || !found || got.Number != 1 {
			return fmt.Errorf("slot holder %+v %v (%v)", got, found, err)
		}
		if got, _, err := r.Document("release", "shop/prod/1"); err != nil || !reflect.DeepEqual(got, doc) {
			return fmt.Errorf("document %+v (%v), want %+v", got, err, doc)
		}
		if got, err := r.Unfinished(5); err != nil || len(got) != 1 || got[0].ID != "m" {
			return fmt.Errorf("inbox %+v (%v)", got, err)
		}
		if got, err := r.OutgoingDue(noon(), "", nil, 5); err != nil || !reflect.DeepEqual(got, []store.Outgoing{card}) {
			return fmt.Errorf("outbox %+v (%v), want %+v", got, err, card)
		}
		return nil
	})
	update(t, s, func(tx store.Tx) error {
		if fresh, err := tx.Receive(bot.Message{ID: "m", Received: noon()}); err != nil || fresh {
			return fmt.Errorf("fresh %v after a restart (%v)", fresh, err)
		}
		if number, err := tx.NextRun(); err != nil || number != 2 {
			return fmt.Errorf("run %d after 1 (%v)", number, err)
		}
		return add(tx, nil)
	})
	intact(t, reopen(), 4)
}
