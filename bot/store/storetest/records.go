package storetest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/store"
)

// records: the chain grows by one at a time, is kept byte for byte, and only
// the erasable text beside it changes.
func records(t *testing.T, open Open) {
	s, _ := open(t)
	view(t, s, func(r store.Reader) error {
		if head, err := r.Head(); err != nil || head != (store.Head{}) {
			return fmt.Errorf("an empty log has head %v (%v)", head, err)
		}
		if _, found, err := r.Record(1); err != nil || found {
			return fmt.Errorf("an empty log has a record (%v)", err)
		}
		return nil
	})
	full := sealed(store.Head{}, func(s *store.Sealed) {
		s.Kind, s.Run, s.Target, s.Person = bot.Started, 7, "shop/prod", "dev"
	})
	full.Body = append(full.Body, "\x00 \xff Grüße"...)
	bare := store.Sealed{Seq: 2, At: noon(), Kind: bot.ObservedKind, Body: []byte(`{}`), Hash: "00"}
	update(t, s, func(tx store.Tx) error {
		if err := tx.Append(full); err != nil {
			return err
		}
		return tx.Append(bare)
	})
	full.Latest, bare.Latest = full.At, later(full.At, bare.At)
	for _, seq := range []int64{0, 1, 2, 4, -1} {
		err := s.Update(context.Background(), func(tx store.Tx) error {
			return tx.Append(store.Sealed{Seq: seq, At: noon(), Kind: bot.Started, Body: []byte(`{}`), Hash: "ff"})
		})
		mustRefuse(t, err, bot.Conflict)
	}
	view(t, s, func(r store.Reader) error {
		for _, want := range []store.Sealed{full, bare} {
			got, found, err := r.Record(want.Seq)
			if err != nil || !found || !reflect.DeepEqual(got, want) {
				return fmt.Errorf("record %d\ngot  %+v (%v)\nwant %+v", want.Seq, got, err, want)
			}
		}
		return nil
	})

	erased := json.RawMessage(`{"line":{"salt":"","erased":true}}`)
	update(t, s, func(tx store.Tx) error { return tx.SetText(1, erased) })
	mustRefuse(t, s.Update(context.Background(), func(tx store.Tx) error { return tx.SetText(9, erased) }), bot.Conflict)
	view(t, s, func(r store.Reader) error {
		got, _, err := r.Record(1)
		if err != nil || !bytes.Equal(got.Text, erased) || !bytes.Equal(got.Body, full.Body) || got.Hash != full.Hash {
			return fmt.Errorf("after erasing: %+v (%v)", got, err)
		}
		for _, c := range []struct {
			seq   int64
			limit int
			want  []int64
		}{{1, 5, []int64{1, 2}}, {2, 5, []int64{2}}, {-4, 1, []int64{1}}, {3, 5, nil}, {1, 0, nil}} {
			list, err := r.RecordsFrom(c.seq, c.limit)
			if got := seqs(list); err != nil || !slices.Equal(got, c.want) {
				return fmt.Errorf("from %d up to %d: %v, want %v (%v)", c.seq, c.limit, got, c.want, err)
			}
		}
		return nil
	})

	// Two that append the same next record: one of them is refused.
	var wg sync.WaitGroup
	results := make(chan error, 8)
	for range cap(results) {
		wg.Go(func() {
			results <- s.Update(context.Background(), func(tx store.Tx) error {
				return tx.Append(sealed(store.Head{Seq: 2, Hash: "00"}, nil))
			})
		})
	}
	wg.Wait()
	close(results)
	won := 0
	for err := range results {
		if err == nil {
			won++
			continue
		}
		mustRefuse(t, err, bot.Conflict)
	}
	if won != 1 {
		t.Errorf("%d of %d became record 3", won, cap(results))
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func seqs(list []store.Sealed) (out []int64) {
	for _, s := range list {
		out = append(out, s.Seq)
	}
	return out
}

// search: every filter and every combination gives what a look at all records
// gives, also when clocks went back.
func search(t *testing.T, open Open) {
	s, _ := open(t)
	targets, people := []string{"", "shop/prod", "shop/staging"}, []string{"", "dev", "ops"}
	kinds := []bot.RecordKind{bot.Requested, bot.Started, bot.DeniedRecord}
	var all []store.Sealed
	update(t, s, func(tx store.Tx) error {
		for i := range 120 {
			head, err := tx.Head()
			if err != nil {
				return err
			}
			rec := sealed(head, func(r *store.Sealed) {
				r.Target, r.Person = targets[i%3], people[i/3%3]
				r.Kind, r.Run = kinds[i/2%3], int64(i/30)
				if i%10 == 7 {
					r.At = r.At.Add(-45500 * time.Millisecond) // another machine's clock
				}
			})
			if err := tx.Append(rec); err != nil {
				return err
			}
			all = append(all, rec)
		}
		return nil
	})
	look := func(f bot.RecordFilter) (out []int64) {
		limit := f.Limit
		if limit == 0 {
			limit = 20
		}
		for _, s := range slices.Backward(all) {
			if (f.Target == "" || f.Target == s.Target) && (f.Person == "" || f.Person == s.Person) &&
				(f.Kind == "" || f.Kind == s.Kind) && (f.Run == 0 || f.Run == s.Run) && !s.At.Before(f.Since) && len(out) < limit {
				out = append(out, s.Seq)
			}
		}
		return out
	}
	sinces := []time.Time{{}, noon(), noon().Add(31200 * time.Millisecond), noon().Add(33 * time.Second), noon().Add(62*time.Second + time.Microsecond), noon().Add(time.Hour)}
	found := 0
	view(t, s, func(r store.Reader) error {
		for mask := range 16 {
			for _, since := range sinces {
				for _, limit := range []int{0, 3, 500} {
					f := bot.RecordFilter{Since: since, Limit: limit}
					if mask&1 != 0 {
						f.Target = "shop/prod"
					}
					if mask&2 != 0 {
						f.Person = "dev"
					}
					if mask&4 != 0 {
						f.Kind = bot.Started
					}
					if mask&8 != 0 {
						f.Run = 2
					}
					list, err := r.Records(f)
					if err != nil {
						return err
					}
					want := look(f)
					if got := seqs(list); !slices.Equal(got, want) {
						return fmt.Errorf("%+v: %v, want %v", f, got, want)
					}
					found += len(want)
				}
			}
		}
		return nil
	})
	if found == 0 {
		t.Error("no filter found anything: the test shows nothing")
	}
}
