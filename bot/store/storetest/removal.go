package storetest

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"testing"

	"quarterdeck/bot"
	"quarterdeck/bot/store"
)

// removal: old records go, the last one never does, and the chain goes on from
// it with the next number, also after the database was opened again.
func removal(t *testing.T, open Open) {
	s, reopen := open(t)
	remove := func(through int64) (n int64, err error) {
		err = s.Update(context.Background(), func(tx store.Tx) error {
			n, err = tx.RemoveRecords(through)
			return err
		})
		return n, err
	}
	_, err := remove(0)
	mustRefuse(t, err, bot.Conflict)
	update(t, s, func(tx store.Tx) error {
		for range 10 {
			if err := add(tx, func(r *store.Sealed) { r.Run = 7 }); err != nil {
				return err
			}
		}
		return nil
	})
	for _, c := range []struct{ through, removed int64 }{{-1, 0}, {0, 0}, {4, 4}, {4, 0}, {6, 2}} {
		if n, err := remove(c.through); err != nil || n != c.removed {
			t.Errorf("removing up to %d took away %d, want %d (%v)", c.through, n, c.removed, err)
		}
	}
	for _, through := range []int64{10, 11} {
		_, err := remove(through)
		mustRefuse(t, err, bot.Conflict)
	}
	// What fails afterwards takes nothing away.
	err = s.Update(context.Background(), func(tx store.Tx) error {
		if n, err := tx.RemoveRecords(9); err != nil || n != 3 {
			return fmt.Errorf("removing up to 9 took away %d (%v)", n, err)
		}
		return errTest
	})
	if err == nil {
		t.Error("a failed transaction succeeded")
	}
	check := func(want ...int64) {
		t.Helper()
		view(t, s, func(r store.Reader) error {
			list, err := r.RecordsFrom(1, 100)
			if got := seqs(list); err != nil || !slices.Equal(got, want) {
				return fmt.Errorf("%v are left, want %v (%v)", got, want, err)
			}
			found, err := r.Records(bot.RecordFilter{Run: 7, Limit: 100})
			if err != nil || len(found) != len(want) {
				return fmt.Errorf("%d are found by their run, want %d (%v)", len(found), len(want), err)
			}
			head, err := r.Head()
			if err != nil || head.Seq != want[len(want)-1] || head.Hash != list[len(list)-1].Hash {
				return fmt.Errorf("the head is %v (%v)", head, err)
			}
			return nil
		})
	}
	check(7, 8, 9, 10)
	if n, err := remove(9); err != nil || n != 3 {
		t.Errorf("removing up to 9 took away %d (%v)", n, err)
	}
	s = reopen()
	check(10)
	update(t, s, func(tx store.Tx) error { return add(tx, func(r *store.Sealed) { r.Run = 7 }) })
	check(10, 11)
}

// bodies: every stored value is seen once, page by page, and can be replaced in
// place; whoever held the old one is refused afterwards.
func bodies(t *testing.T, open Open) {
	s, reopen := open(t)
	const each = 7
	doc := bot.Document{Kind: "b", ID: "x3", Body: []byte("hunter2")}
	row := store.RunRow{State: bot.Succeeded, Slot: "s", Body: []byte(`{"line":"hunter2"}`), Created: noon()}
	update(t, s, func(tx store.Tx) error {
		for i := range each {
			number, err := tx.NextRun()
			if err != nil {
				return err
			}
			row.Number = number
			if _, err := tx.PutRun(row); err != nil {
				return err
			}
			d := doc
			d.Kind, d.ID = []string{"a", "b", "c"}[i%3], fmt.Sprintf("x%d", i)
			if i == 3 {
				d = doc
			}
			if _, err := tx.PutDocument(d); err != nil {
				return err
			}
			m := bot.Message{ID: fmt.Sprintf("m%d", i), Text: "hunter2"}
			if _, err := tx.Receive(m); err != nil {
				return err
			}
			if _, err := tx.Enqueue(store.Outgoing{Channel: "x:a", Card: []byte(`{"title":"hunter2"}`), Created: noon(), NextAt: noon()}); err != nil {
				return err
			}
		}
		return nil
	})
	all := func(shelf store.Shelf) (list []store.Body) {
		t.Helper()
		view(t, s, func(r store.Reader) error {
			list = nil
			for after := ""; ; {
				page, err := r.Bodies(shelf, after, 2)
				if err != nil || len(page) == 0 {
					return err
				}
				list = append(list, page...)
				after = page[len(page)-1].ID
			}
		})
		return list
	}
	for _, shelf := range store.Shelves() {
		list := all(shelf)
		ids := map[string]bool{}
		for _, b := range list {
			ids[b.ID] = true
			if b.Shelf != shelf || !bytes.Contains(b.Value, []byte("hunter2")) {
				t.Errorf("%s %q holds %q", b.Shelf, b.ID, b.Value)
			}
		}
		if len(list) != each || len(ids) != each {
			t.Fatalf("%d values of %d places on %s, want %d", len(list), len(ids), shelf, each)
		}
		update(t, s, func(tx store.Tx) error {
			for _, b := range list {
				if err := tx.Rewrite(b, bytes.ReplaceAll(b.Value, []byte("hunter2"), []byte("gone"))); err != nil {
					return err
				}
			}
			return nil
		})
		for _, b := range all(shelf) {
			if bytes.Contains(b.Value, []byte("hunter2")) || !bytes.Contains(b.Value, []byte("gone")) {
				t.Errorf("after it was replaced, %s %q holds %q", b.Shelf, b.ID, b.Value)
			}
		}
		for _, stale := range []store.Body{{Shelf: shelf, ID: "999999", Value: []byte("x")}, list[0]} {
			err := s.Update(context.Background(), func(tx store.Tx) error { return tx.Rewrite(stale, []byte("y")) })
			mustRefuse(t, err, bot.Conflict)
		}
	}
	for _, b := range []store.Body{{Shelf: "attic", ID: "1"}, {Shelf: store.RunShelf, ID: "x"}} {
		mustRefuse(t, s.Update(context.Background(), func(tx store.Tx) error { return tx.Rewrite(b, nil) }), bot.Invalid)
	}
	// Whoever read before the replacement writes in vain.
	doc.Rev = 1
	err := s.Update(context.Background(), func(tx store.Tx) error { _, err := tx.PutDocument(doc); return err })
	mustRefuse(t, err, bot.Conflict)
	row.Number, row.Rev = 1, 1
	err = s.Update(context.Background(), func(tx store.Tx) error { _, err := tx.PutRun(row); return err })
	mustRefuse(t, err, bot.Conflict)
	if p, ok := s.(store.Purger); ok {
		if err := p.Purge(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	s = reopen()
	for _, shelf := range store.Shelves() {
		if n := len(all(shelf)); n != each {
			t.Errorf("after a purge and another start there are %d values on %s", n, shelf)
		}
	}
	view(t, s, func(r store.Reader) error {
		d, found, err := r.Document("b", "x3")
		if err != nil || !found || d.Rev != 2 || string(d.Body) != "gone" {
			return fmt.Errorf("the document is %+v (%v)", d, err)
		}
		return nil
	})
}
