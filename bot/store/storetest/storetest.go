// Package storetest is the suite that every store.Store passes: what the port
// promises, in one function per topic.
package storetest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/store"
)

// Open gives a store on an empty database of its own, which it closes when t
// ends, and reopen, which closes the store given last and opens the same
// database again.
type Open func(t *testing.T) (s store.Store, reopen func() store.Store)

// Exercise runs the whole suite. The topics run in parallel, each on databases
// of its own.
func Exercise(t *testing.T, open Open) {
	for _, topic := range []struct {
		name string
		run  func(t *testing.T, open Open)
	}{
		{"transactions", transactions},
		{"sharing", sharing},
		{"leaving", leaving},
		{"waiting", waiting},
		{"closing", closing},
		{"records", records},
		{"search", search},
		{"removal", removal},
		{"bodies", bodies},
		{"runs", runs},
		{"slots", slots},
		{"due runs", dueRuns},
		{"documents", documents},
		{"inbox", inbox},
		{"outgoing", outgoing},
		{"left out", leftOut},
		{"coalescing", coalescing},
		{"lanes", lanes},
		{"claims", claims},
		{"backlog", backlog},
		{"watching", watching},
		{"durability", durability},
		{"model", model},
	} {
		t.Run(topic.name, func(t *testing.T) {
			t.Parallel()
			topic.run(t, open)
		})
	}
}

// noon is when the suite takes place.
func noon() time.Time { return time.Date(2026, 3, 2, 12, 0, 0, 123456000, time.UTC) }

// update runs f and ends the test when it does not succeed.
func update(t testing.TB, s store.Store, f func(tx store.Tx) error) {
	t.Helper()
	if err := s.Update(context.Background(), f); err != nil {
		t.Fatalf("Update: %v", err)
	}
}

// view runs f and ends the test when it does not succeed.
func view(t testing.TB, s store.Store, f func(r store.Reader) error) {
	t.Helper()
	if err := s.View(context.Background(), f); err != nil {
		t.Fatalf("View: %v", err)
	}
}

// refused checks that err is an Error of a kind, with a sentence.
func refused(err error, kind bot.Kind) error {
	var e *bot.Error
	switch {
	case !errors.As(err, &e):
		return fmt.Errorf("got %v, want an Error of kind %s", err, kind)
	case e.Kind != kind:
		return fmt.Errorf("got kind %s (%v), want %s", e.Kind, err, kind)
	case e.Say == "" || strings.HasSuffix(e.Say, "."):
		return fmt.Errorf("%q is no sentence without a full stop", e.Say)
	}
	return nil
}

func mustRefuse(t testing.TB, err error, kind bot.Kind) {
	t.Helper()
	if wrong := refused(err, kind); wrong != nil {
		t.Fatal(wrong)
	}
}

// sealed makes the record that comes after head.
func sealed(head store.Head, change func(s *store.Sealed)) store.Sealed {
	s := store.Sealed{
		Seq: head.Seq + 1, At: noon().Add(time.Duration(head.Seq) * time.Second), Kind: bot.Requested,
		Text: json.RawMessage(`{"line":{"salt":"c2FsdA","value":"deploy shop v2 prod"}}`),
	}
	if change != nil {
		change(&s)
	}
	s.Body = fmt.Appendf(nil, `{"v":1,"seq":%d,"kind":%q,"prev":%q}`, s.Seq, s.Kind, head.Hash)
	sum := sha256.Sum256(s.Body)
	s.Hash = hex.EncodeToString(sum[:])
	return s
}

// add appends the next record of the chain.
func add(tx store.Tx, change func(s *store.Sealed)) error {
	head, err := tx.Head()
	if err != nil {
		return err
	}
	return tx.Append(sealed(head, change))
}

// intact checks that the log holds n records in an unbroken chain.
func intact(t testing.TB, s store.Store, n int64) {
	t.Helper()
	view(t, s, func(r store.Reader) error {
		head, err := r.Head()
		if err != nil {
			return err
		}
		if head.Seq != n {
			return fmt.Errorf("the log ends at %d, want %d", head.Seq, n)
		}
		list, err := r.RecordsFrom(1, int(n)+1)
		if err != nil {
			return err
		}
		if int64(len(list)) != n {
			return fmt.Errorf("%d records, want %d", len(list), n)
		}
		last := store.Head{}
		for _, rec := range list {
			if rec.Seq != last.Seq+1 || !strings.Contains(string(rec.Body), fmt.Sprintf(`"prev":%q`, last.Hash)) {
				return fmt.Errorf("record %d does not follow %d: %s", rec.Seq, last.Seq, rec.Body)
			}
			sum := sha256.Sum256(rec.Body)
			if rec.Hash != hex.EncodeToString(sum[:]) {
				return fmt.Errorf("record %d has another hash than its body", rec.Seq)
			}
			last = store.Head{Seq: rec.Seq, Hash: rec.Hash}
		}
		if last != head {
			return fmt.Errorf("head %v, but the last record is %v", head, last)
		}
		return nil
	})
}
