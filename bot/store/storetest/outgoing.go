package storetest

import (
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/store"
)

// enqueue adds a card and gives its ID.
func enqueue(t testing.TB, s store.Store, o store.Outgoing) (id int64) {
	t.Helper()
	update(t, s, func(tx store.Tx) (err error) {
		id, err = tx.Enqueue(o)
		return err
	})
	return id
}

// due gives the IDs of what is due, and checks NextOutgoing against it.
func due(t testing.TB, s store.Store, now time.Time, limit int) (ids []int64) {
	t.Helper()
	view(t, s, func(r store.Reader) error {
		list, err := r.OutgoingDue(now, "", nil, limit)
		for _, o := range list {
			ids = append(ids, o.ID)
		}
		if err != nil || limit == 0 {
			return err
		}
		next, found, err := r.NextOutgoing()
		if err != nil {
			return err
		}
		if ripe := found && !next.After(now); ripe != (len(ids) > 0) {
			return fmt.Errorf("%d cards are due, but the next is due at %v (%v)", len(ids), next, found)
		}
		return nil
	})
	return ids
}

// outgoing: cards are given by ID once their time has come, until delivered.
func outgoing(t *testing.T, open Open) {
	s, _ := open(t)
	if got := due(t, s, noon(), 5); got != nil {
		t.Fatalf("an empty store has cards: %v", got)
	}
	full := store.Outgoing{Channel: "slack:C1", Thread: "171.5", Under: "run:1", To: "slack:T1/U1", Key: "run:1", Version: 3, Ordered: true,
		Card: []byte(`{"title":"é"}`), Created: noon().Add(-time.Hour), NextAt: noon(), Tries: 2}
	full.ID = enqueue(t, s, full)
	bare := store.Outgoing{Channel: "slack:C1", Card: []byte(`{}`)}
	bare.ID = enqueue(t, s, bare)
	if bare.ID <= full.ID {
		t.Fatalf("IDs %d, %d do not ascend", full.ID, bare.ID)
	}
	view(t, s, func(r store.Reader) error {
		got, err := r.OutgoingDue(noon(), "", nil, 5)
		if err != nil || !reflect.DeepEqual(got, []store.Outgoing{full, bare}) {
			return fmt.Errorf("got %+v (%v)\nwant %+v", got, err, []store.Outgoing{full, bare})
		}
		return nil
	})
	if got := due(t, s, noon().Add(-time.Microsecond), 5); !slices.Equal(got, []int64{bare.ID}) {
		t.Errorf("due before noon: %v, want what may come at any time", got)
	}
	if got := due(t, s, noon(), 1); !slices.Equal(got, []int64{full.ID}) {
		t.Errorf("one due: %v", got)
	}
	if got := due(t, s, noon(), 0); got != nil {
		t.Errorf("none due: %v", got)
	}
	update(t, s, func(tx store.Tx) error {
		if err := tx.Delivered(bare.ID, 7); err != nil { // another version
			return err
		}
		if err := tx.Postpone(full.ID, noon().Add(time.Minute), 3); err != nil {
			return err
		}
		return tx.Delivered(9999, 0) // delivered twice is no error
	})
	if got := due(t, s, noon(), 5); !slices.Equal(got, []int64{bare.ID}) {
		t.Errorf("due after putting one off: %v", got)
	}
	update(t, s, func(tx store.Tx) error { return tx.Delivered(bare.ID, 0) })
	view(t, s, func(r store.Reader) error {
		next, found, err := r.NextOutgoing()
		if err != nil || !found || !next.Equal(noon().Add(time.Minute)) {
			return fmt.Errorf("next at %v %v (%v)", next, found, err)
		}
		list, err := r.OutgoingDue(next, "", nil, 5)
		if err != nil || len(list) != 1 || list[0].Tries != 3 {
			return fmt.Errorf("got %+v (%v)", list, err)
		}
		return nil
	})
	update(t, s, func(tx store.Tx) error { return tx.Delivered(full.ID, 3) })
	if id := enqueue(t, s, bare); id <= bare.ID {
		t.Errorf("ID %d was given again after %d", id, bare.ID)
	}
}

// leftOut: what waits for channels that are left out hides nothing that is due
// elsewhere, and a channel is left out by its whole name.
func leftOut(t *testing.T, open Open) {
	s, _ := open(t)
	const many = 40
	for range many {
		enqueue(t, s, store.Outgoing{Channel: "slack:C1", Card: []byte(`{}`), NextAt: noon().Add(-time.Hour)})
	}
	for _, c := range []store.Outgoing{{Channel: "slack:C11"}, {Channel: "slack:C_"}, {Channel: "lack:C1"}, {Channel: "slack:C1", Ordered: true}, {Channel: "slack:C2", Ordered: true}} {
		c.Card, c.NextAt = []byte(`{}`), noon()
		enqueue(t, s, c)
	}
	for _, c := range []struct {
		except []bot.ChannelID
		want   []bot.ChannelID
	}{
		{[]bot.ChannelID{"slack:C1"}, []bot.ChannelID{"slack:C11", "slack:C_", "lack:C1", "slack:C2"}},
		{[]bot.ChannelID{"slack:C1", "slack:C2", "slack:C11"}, []bot.ChannelID{"slack:C_", "lack:C1"}},
		{[]bot.ChannelID{"slack:C%", "slack:"}, slices.Repeat([]bot.ChannelID{"slack:C1"}, 5)},
	} {
		var got []bot.ChannelID
		view(t, s, func(r store.Reader) error {
			list, err := r.OutgoingDue(noon(), "", c.except, 5)
			for _, o := range list {
				got = append(got, o.Channel)
			}
			return err
		})
		if !slices.Equal(got, c.want) {
			t.Errorf("without %v: due for %v, want %v", c.except, got, c.want)
		}
	}
}

// coalescing: of one card in one channel the newest version is pending, at the
// place where the first one stood.
func coalescing(t *testing.T, open Open) {
	s, _ := open(t)
	card := func(key string, version int64, at int) store.Outgoing {
		return store.Outgoing{Channel: "slack:C1", Key: key, Version: version, Card: fmt.Appendf(nil, `{"version":%d}`, version),
			Created: noon(), NextAt: noon().Add(time.Duration(at) * time.Second)}
	}
	pending := func() (list []store.Outgoing) {
		view(t, s, func(r store.Reader) (err error) {
			list, err = r.OutgoingDue(noon().Add(time.Hour), "", nil, 10)
			return err
		})
		return list
	}
	first := enqueue(t, s, card("a", 1, 0))
	other := enqueue(t, s, card("b", 1, 0))
	newer := card("a", 4, 5)
	newer.Thread, newer.Under, newer.To, newer.Created = "t", "u", "slack:T1/U2", noon().Add(time.Minute)
	for _, o := range []store.Outgoing{newer, card("a", 2, 0), card("a", 4, 0)} { // newer, older, the same again
		if id := enqueue(t, s, o); id != first {
			t.Fatalf("version %d of a pending card is %d, want %d", o.Version, id, first)
		}
	}
	list := pending()
	if len(list) != 2 || list[0].ID != first || list[1].ID != other {
		t.Fatalf("pending %+v", list)
	}
	if got := list[0]; got.Version != 4 || string(got.Card) != `{"version":4}` || got.Thread != "t" || got.Under != "u" || got.To != "slack:T1/U2" {
		t.Errorf("pending %+v, want version 4 in place", got)
	}
	if got := list[0]; !got.NextAt.Equal(noon()) || !got.Created.Equal(noon()) {
		t.Errorf("pending since %v for %v; a newer version must not come later than the one it replaces", got.Created, got.NextAt)
	}
	// What is under way while a newer version comes stays pending.
	update(t, s, func(tx store.Tx) error { return tx.Delivered(first, 1) })
	if got := pending(); len(got) != 2 {
		t.Errorf("a newer version went with the older one: %+v", got)
	}
	// A channel that asked for patience is not pressed by newer versions.
	update(t, s, func(tx store.Tx) error { return tx.Postpone(first, noon().Add(30*time.Second), 1) })
	enqueue(t, s, card("a", 5, 0))
	if got := pending()[0]; got.Version != 5 || got.Tries != 1 || !got.NextAt.Equal(noon().Add(30*time.Second)) {
		t.Errorf("%+v, want version 5 put off as version 4 was", got)
	}
	// Another channel, another key and no key at all are cards of their own.
	elsewhere := card("a", 1, 0)
	elsewhere.Channel = "slack:C2"
	ids := map[int64]bool{first: true, other: true}
	for _, o := range []store.Outgoing{elsewhere, card("c", 1, 0), card("", 0, 0), card("", 0, 0), card("", 9, 0)} {
		id := enqueue(t, s, o)
		if ids[id] {
			t.Errorf("%+v was taken for another card", o)
		}
		ids[id] = true
	}
	// Once delivered, the next version is a card of its own.
	update(t, s, func(tx store.Tx) error { return tx.Delivered(first, 5) })
	if id := enqueue(t, s, card("a", 6, 0)); ids[id] {
		t.Errorf("a delivered card's ID %d was given again", id)
	}
	if got := len(pending()); got != 7 {
		t.Errorf("%d pending, want 7", got)
	}
}

// lanes: within a channel ordered cards come one after the other, and one that
// waits holds up those behind it, but nothing else.
func lanes(t *testing.T, open Open) {
	s, _ := open(t)
	at := func(seconds int) time.Time { return noon().Add(time.Duration(seconds) * time.Second) }
	post := func(channel bot.ChannelID, ordered bool, seconds int) int64 {
		return enqueue(t, s, store.Outgoing{Channel: channel, Ordered: ordered, Card: []byte(`{}`), NextAt: at(seconds)})
	}
	a1, a2, loose, b1 := post("slack:A", true, 0), post("slack:A", true, 0), post("slack:A", false, 0), post("slack:B", true, 0)
	a3, b2, c1, c2 := post("slack:A", true, 0), post("slack:B", true, 0), post("slack:C", true, 10), post("slack:C", true, 0)
	check := func(seconds int, want ...int64) {
		t.Helper()
		if got := due(t, s, at(seconds), 10); !slices.Equal(got, want) {
			t.Errorf("due at %d s: %v, want %v", seconds, got, want)
		}
	}
	delivered := func(id int64) {
		t.Helper()
		update(t, s, func(tx store.Tx) error { return tx.Delivered(id, 0) })
	}
	check(0, a1, loose, b1)
	update(t, s, func(tx store.Tx) error { return tx.Postpone(a1, at(20), 1) })
	check(0, loose, b1)
	delivered(loose)
	delivered(b1)
	check(0, b2)
	delivered(b2)
	check(0)
	check(9)
	check(10, c1)
	delivered(c1)
	check(0, c2)
	delivered(c2)
	check(19)
	check(20, a1)
	if got := due(t, s, at(20), 1); !slices.Equal(got, []int64{a1}) {
		t.Errorf("one due: %v", got)
	}
	delivered(a1)
	check(0, a2)
	delivered(a2)
	check(0, a3)
	// A card that was ordered keeps its place when it is replaced.
	k1 := enqueue(t, s, store.Outgoing{Channel: "slack:K", Ordered: true, Key: "k", Version: 1, Card: []byte(`{}`), NextAt: at(0)})
	k2 := enqueue(t, s, store.Outgoing{Channel: "slack:K", Ordered: true, Card: []byte(`{}`), NextAt: at(0)})
	enqueue(t, s, store.Outgoing{Channel: "slack:K", Ordered: true, Key: "k", Version: 2, Card: []byte(`{}`), NextAt: at(0)})
	check(0, a3, k1)
	update(t, s, func(tx store.Tx) error { return tx.Delivered(k1, 2) })
	check(0, a3, k2)
}
