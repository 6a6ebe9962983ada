package storetest

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/store"
)

// documents: compare and set by revision, and lists by prefix in the order of
// their code points.
func documents(t *testing.T, open Open) {
	s, _ := open(t)
	put := func(d bot.Document) (rev int64, err error) {
		err = s.Update(context.Background(), func(tx store.Tx) error {
			rev, err = tx.PutDocument(d)
			return err
		})
		return rev, err
	}
	d := bot.Document{Kind: "lock", ID: "shop/prod", Due: noon().Add(time.Hour), Body: []byte(`{"by":"dev"}`)}
	rev, err := put(d)
	if err != nil || rev == 0 {
		t.Fatalf("put: revision %d, %v", rev, err)
	}
	_, err = put(d)
	mustRefuse(t, err, bot.Conflict) // Rev 0 says that it is not there yet
	d.Rev = rev
	view(t, s, func(r store.Reader) error {
		got, found, err := r.Document("lock", "shop/prod")
		if err != nil || !found || !reflect.DeepEqual(got, d) {
			return fmt.Errorf("got %+v (%v), want %+v", got, err, d)
		}
		_, found, err = r.Document("lock", "shop/staging")
		if err != nil || found {
			return fmt.Errorf("found what is not there (%v)", err)
		}
		_, found, err = r.Document("release", "shop/prod")
		if err != nil || found {
			return fmt.Errorf("found another kind's document (%v)", err)
		}
		return nil
	})
	d.Body, d.Due = []byte(`{"by":"ops"}`), time.Time{}
	next, err := put(d)
	if err != nil || next == rev {
		t.Fatalf("put again: revision %d, %v", next, err)
	}
	_, err = put(d) // stale now
	mustRefuse(t, err, bot.Conflict)
	_, err = put(bot.Document{Kind: "lock", ID: "nowhere", Rev: 1})
	mustRefuse(t, err, bot.Conflict)
	view(t, s, func(r store.Reader) error {
		got, _, err := r.Document("lock", "shop/prod")
		if err != nil || got.Rev != next || string(got.Body) != `{"by":"ops"}` || !got.Due.IsZero() {
			return fmt.Errorf("got %+v (%v)", got, err)
		}
		return nil
	})
	update(t, s, func(tx store.Tx) error { return tx.DeleteDocument("lock", "shop/prod") })
	update(t, s, func(tx store.Tx) error { return tx.DeleteDocument("lock", "shop/prod") })
	if _, err := put(bot.Document{Kind: "lock", ID: "shop/prod"}); err != nil {
		t.Errorf("put after delete: %v", err)
	}

	ids := []string{"", "a", "a/1", "a/10", "a/2", "a\u007f", "aé", "b", "z", "é", "\ud7ff", "\ud7ff0", "\ue000", "語", "\U0010ffff", "\U0010ffff0", "A", "_", "%"}
	update(t, s, func(tx store.Tx) error {
		for _, id := range ids {
			if _, err := tx.PutDocument(bot.Document{Kind: "list", ID: id}); err != nil {
				return err
			}
		}
		_, err := tx.PutDocument(bot.Document{Kind: "lisu", ID: "a"})
		return err
	})
	_, err = put(bot.Document{Kind: "list", ID: "\xff"})
	mustRefuse(t, err, bot.Invalid)
	sorted := slices.Sorted(slices.Values(ids))
	view(t, s, func(r store.Reader) error {
		for _, prefix := range append([]string{"a/", "nothing", "a/1", "a/\U0010ffff"}, ids...) {
			for _, limit := range []int{0, 1, 3, 100} {
				for _, last := range []bool{false, true} {
					var want []string
					for _, id := range sorted {
						if len(id) >= len(prefix) && id[:len(prefix)] == prefix {
							want = append(want, id)
						}
					}
					if last {
						slices.Reverse(want)
					}
					want = want[:min(limit, len(want))]
					list, err := r.Documents("list", prefix, limit, last)
					if err != nil {
						return err
					}
					var got []string
					for _, d := range list {
						got = append(got, d.ID)
					}
					if !slices.Equal(got, want) {
						return fmt.Errorf("prefix %q limit %d last %v: %q, want %q", prefix, limit, last, got, want)
					}
				}
			}
		}
		return nil
	})
}
