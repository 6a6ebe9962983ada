package storetest

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"quarterdeck/bot/store"
)

// claims: one holds a claim until it ends or is given back, others take it over
// only then, and the cards of a claimed channel are for its holder alone.
func claims(t *testing.T, open Open) {
	s, _ := open(t)
	take := func(name, owner string, now time.Time, length, allowance time.Duration) (ok bool) {
		t.Helper()
		update(t, s, func(tx store.Tx) (err error) {
			ok, err = store.Claim(tx, name, owner, now, now.Add(length), allowance)
			return err
		})
		return ok
	}
	holds := func(name, owner string) (held bool) {
		t.Helper()
		view(t, s, func(r store.Reader) error {
			err := store.Held(r, name, owner)
			held = err == nil
			if errors.Is(err, store.ErrClaimLost) {
				return nil
			}
			return err
		})
		return held
	}
	name := store.ChannelClaim("slack:C1")
	if holds(name, "a") {
		t.Error("a claim that nobody took is held")
	}
	steps := []struct {
		owner   string
		after   time.Duration
		ok      bool
		holding string
	}{
		{"a", 0, true, "a"},
		{"b", time.Second, false, "a"},
		{"a", 2 * time.Second, true, "a"}, // lengthened to 12 s, and 3 s for the clocks
		{"b", 14 * time.Second, false, "a"},
		{"b", 15 * time.Second, true, "b"},
		{"a", 16 * time.Second, false, "b"},
	}
	for _, step := range steps {
		if ok := take(name, step.owner, noon().Add(step.after), 10*time.Second, 3*time.Second); ok != step.ok {
			t.Errorf("%s takes it after %v: %v", step.owner, step.after, ok)
		}
		for _, owner := range []string{"a", "b", ""} {
			if holds(name, owner) != (owner == step.holding) {
				t.Errorf("after %v %q holds it: %v", step.after, owner, holds(name, owner))
			}
		}
	}
	update(t, s, func(tx store.Tx) error { return store.Release(tx, name, "a") })
	if !holds(name, "b") {
		t.Error("who does not hold it gave it back")
	}
	update(t, s, func(tx store.Tx) error { return store.Release(tx, name, "b") })
	update(t, s, func(tx store.Tx) error { return store.Release(tx, name, "b") })
	if !take(name, "a", noon(), time.Minute, 0) {
		t.Error("what was given back is not to be had")
	}

	// Two who try at the same moment: one gets it.
	got := make(chan bool, 8)
	for i := range cap(got) {
		go func() {
			won := false
			err := s.Update(t.Context(), func(tx store.Tx) (err error) {
				won, err = store.Claim(tx, "one", fmt.Sprint(i), noon(), noon().Add(time.Minute), 0)
				return err
			})
			if err != nil {
				t.Error(err)
			}
			got <- won
		}()
	}
	winners := 0
	for range cap(got) {
		if <-got {
			winners++
		}
	}
	if winners != 1 {
		t.Errorf("%d got the claim", winners)
	}

	mine := enqueue(t, s, store.Outgoing{Channel: "slack:C1", Ordered: true, Card: []byte(`{}`), NextAt: noon()})
	loose := enqueue(t, s, store.Outgoing{Channel: "slack:C1", Card: []byte(`{}`), NextAt: noon()})
	other := enqueue(t, s, store.Outgoing{Channel: "slack:C2", Card: []byte(`{}`), NextAt: noon()})
	for _, c := range []struct {
		owner string
		at    time.Time
		want  []int64
	}{
		{"a", noon(), []int64{mine, loose, other}},
		{"b", noon(), []int64{other}},
		{"", noon(), []int64{other}},
		{"b", noon().Add(time.Minute - time.Microsecond), []int64{other}},
		{"b", noon().Add(time.Minute), []int64{mine, loose, other}},
	} {
		var ids []int64
		view(t, s, func(r store.Reader) error {
			list, err := r.OutgoingDue(c.at, c.owner, nil, 5)
			for _, o := range list {
				ids = append(ids, o.ID)
			}
			return err
		})
		if !slices.Equal(ids, c.want) {
			t.Errorf("%q is given %v at %v, want %v", c.owner, ids, c.at, c.want)
		}
	}
}
