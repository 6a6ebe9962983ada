package storetest

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/store"
)

// put writes a run and gives it with its new revision.
func put(tx store.Tx, r store.RunRow) (store.RunRow, error) {
	rev, err := tx.PutRun(r)
	r.Rev = rev
	return r, err
}

// runs: numbers are given once, rows are compared and set, lists are newest
// first.
func runs(t *testing.T, open Open) {
	s, _ := open(t)
	var row store.RunRow
	update(t, s, func(tx store.Tx) error {
		number, err := tx.NextRun()
		if err != nil || number != 1 {
			return fmt.Errorf("the first run is %d (%v)", number, err)
		}
		row, err = put(tx, store.RunRow{Number: number, State: bot.Waiting, Target: "shop/prod", Person: "dev", Slot: "shop/prod release",
			WakeAt: noon().Add(time.Minute), Body: []byte(`{"number":1}`), Created: noon()})
		return err
	})
	stale := row
	view(t, s, func(r store.Reader) error {
		got, found, err := r.Run(1)
		if err != nil || !found || !reflect.DeepEqual(got, row) {
			return fmt.Errorf("got %+v (%v), want %+v", got, err, row)
		}
		if _, found, err := r.Run(2); err != nil || found {
			return fmt.Errorf("found a run that is not there (%v)", err)
		}
		return nil
	})
	row.State, row.Owner, row.Lease, row.Holds, row.WakeAt = bot.Running, "me", noon().Add(time.Second), true, time.Time{}
	row.Body = []byte(`{"number":1,"state":"running"}`)
	update(t, s, func(tx store.Tx) (err error) {
		row, err = put(tx, row)
		if err != nil || row.Rev == stale.Rev {
			return fmt.Errorf("revision %d after %d (%v)", row.Rev, stale.Rev, err)
		}
		got, _, err := tx.Run(1)
		if err != nil || !reflect.DeepEqual(got, row) {
			return fmt.Errorf("got %+v (%v), want %+v", got, err, row)
		}
		return nil
	})
	for _, bad := range []store.RunRow{stale, {Number: 1, State: bot.Queued}, {Number: 5, Rev: 1, State: bot.Queued}} {
		mustRefuse(t, s.Update(context.Background(), func(tx store.Tx) error { _, err := tx.PutRun(bad); return err }), bot.Conflict)
	}
	mustRefuse(t, s.Update(context.Background(), func(tx store.Tx) error { _, err := tx.PutRun(store.RunRow{State: bot.Queued}); return err }), bot.Invalid)

	// A number is not given again, whoever fails in between.
	s.Update(context.Background(), func(tx store.Tx) error { tx.NextRun(); return errTest })
	states := []bot.RunState{bot.Waiting, bot.Succeeded, bot.Queued, bot.Failed}
	targets := []string{"shop/prod", "shop/staging", "pay/prod"}
	all := []store.RunRow{row}
	update(t, s, func(tx store.Tx) error {
		for i := range 60 {
			number, err := tx.NextRun()
			if err != nil || number <= all[len(all)-1].Number {
				return fmt.Errorf("run %d after %d (%v)", number, all[len(all)-1].Number, err)
			}
			r, err := put(tx, store.RunRow{Number: number, State: states[i%4], Target: targets[i/4%3], Created: noon()})
			if err != nil {
				return err
			}
			all = append(all, r)
		}
		return nil
	})
	view(t, s, func(r store.Reader) error {
		for _, target := range []bot.Target{{}, {Service: "shop", Environment: "prod"}, {Service: "no", Environment: "where"}} {
			for _, state := range []bot.RunState{"", bot.Queued, bot.Failed, bot.Unknown} {
				for _, open := range []bool{false, true} {
					for _, limit := range []int{0, 4, 100} {
						f := bot.RunFilter{Target: target, State: state, Open: open, Limit: limit}
						most := limit
						if most == 0 {
							most = 20
						}
						var want []int64
						for _, r := range slices.Backward(all) {
							if (target == bot.Target{} || r.Target == target.String()) && (state == "" || r.State == state) &&
								(!open || !r.State.Settled()) && len(want) < most {
								want = append(want, r.Number)
							}
						}
						list, err := r.Runs(f)
						if got := numbers(list); err != nil || !slices.Equal(got, want) {
							return fmt.Errorf("%+v: %v, want %v (%v)", f, got, want, err)
						}
					}
				}
			}
		}
		return nil
	})
}

func numbers(list []store.RunRow) (out []int64) {
	for _, r := range list {
		out = append(out, r.Number)
	}
	return out
}

// slots: one holder each, also when many reach for it at once.
func slots(t *testing.T, open Open) {
	s, _ := open(t)
	const n = 12
	update(t, s, func(tx store.Tx) error {
		if _, found, err := tx.SlotHolder("a"); err != nil || found {
			return fmt.Errorf("a free slot is held (%v)", err)
		}
		for i := range int64(n) {
			if _, err := put(tx, store.RunRow{Number: i + 1, State: bot.Queued, Slot: "a"}); err != nil {
				return err
			}
		}
		return nil
	})
	results := make(chan error, n)
	var wg sync.WaitGroup
	for i := range int64(n) {
		wg.Go(func() {
			results <- s.Update(context.Background(), func(tx store.Tx) error {
				_, err := tx.PutRun(store.RunRow{Number: i + 1, Rev: 1, State: bot.Running, Slot: "a", Holds: true})
				return err
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
		t.Fatalf("%d runs hold one slot", won)
	}
	update(t, s, func(tx store.Tx) error {
		holder, found, err := tx.SlotHolder("a")
		if err != nil || !found || !holder.Holds {
			return fmt.Errorf("holder %+v %v %v", holder, found, err)
		}
		if holder, err = put(tx, holder); err != nil { // keeps what it holds
			return err
		}
		other := holder.Number%n + 1
		if _, err := put(tx, store.RunRow{Number: 100, State: bot.Running, Slot: "b", Holds: true}); err != nil {
			return fmt.Errorf("another slot: %w", err)
		}
		_, err = tx.PutRun(store.RunRow{Number: 101, State: bot.Running, Slot: "a", Holds: true})
		if wrong := refused(err, bot.Conflict); wrong != nil {
			return wrong
		}
		holder.Holds, holder.State = false, bot.Succeeded
		if _, err := put(tx, holder); err != nil {
			return err
		}
		if _, found, err := tx.SlotHolder("a"); err != nil || found {
			return fmt.Errorf("the slot was given up and is held (%v)", err)
		}
		if _, err := put(tx, store.RunRow{Number: other, Rev: 1, State: bot.Running, Slot: "a", Holds: true}); err != nil {
			return err
		}
		now, found, err := tx.SlotHolder("a")
		if err != nil || !found || now.Number != other {
			return fmt.Errorf("holder %d, want %d (%v)", now.Number, other, err)
		}
		return nil
	})
}

// dueRuns: what is to be looked at, and when to look again.
func dueRuns(t *testing.T, open Open) {
	s, _ := open(t)
	at := func(seconds int) time.Time { return noon().Add(time.Duration(seconds) * time.Second) }
	view(t, s, func(r store.Reader) error {
		if _, found, err := r.NextWake(); err != nil || found {
			return fmt.Errorf("an empty store wants to wake (%v)", err)
		}
		return nil
	})
	rows := []store.RunRow{
		1: {State: bot.Queued, WakeAt: at(-10)},
		2: {State: bot.Queued, WakeAt: at(-20)},
		3: {State: bot.Queued},                                                         // never
		4: {State: bot.Succeeded, WakeAt: at(-99)},                                     // settled
		5: {State: bot.Running, WakeAt: at(-30), Owner: "x", Lease: at(20)},            // leased
		6: {State: bot.Running, WakeAt: at(-30), Owner: "x", Lease: at(0)},             // the lease has just ended
		7: {State: bot.Cancelling, WakeAt: at(-30), Owner: "", Lease: at(99)},          // nobody's lease
		8: {State: bot.Waiting, WakeAt: at(5)},                                         // later
		9: {State: bot.Running, WakeAt: at(0).Add(time.Microsecond), Lease: at(-1000)}, // a moment later
	}
	update(t, s, func(tx store.Tx) error {
		for n, r := range rows[1:] {
			r.Number = int64(n + 1)
			if _, err := tx.PutRun(r); err != nil {
				return err
			}
		}
		return nil
	})
	view(t, s, func(r store.Reader) error {
		for _, c := range []struct {
			now   int
			limit int
			want  []int64
		}{
			{0, 10, []int64{6, 7, 2, 1}}, {0, 2, []int64{6, 7}}, {-31, 10, nil}, {0, 0, nil},
			{1, 10, []int64{6, 7, 2, 1, 9}}, {20, 10, []int64{5, 6, 7, 2, 1, 9, 8}},
		} {
			list, err := r.RunsDue(at(c.now), c.limit)
			if got := numbers(list); err != nil || !slices.Equal(got, c.want) {
				return fmt.Errorf("due at %d: %v, want %v (%v)", c.now, got, c.want, err)
			}
		}
		return nil
	})
	// Taking away what is due in turn, the next wake is each time what is left.
	for _, c := range []struct {
		settle int64
		wake   time.Time
	}{{7, at(-20)}, {2, at(-10)}, {1, at(0)}, {6, at(0).Add(time.Microsecond)}, {9, at(5)}, {8, at(20)}} {
		update(t, s, func(tx store.Tx) error {
			row, _, err := tx.Run(c.settle)
			if err != nil {
				return err
			}
			row.State = bot.Failed
			if _, err := tx.PutRun(row); err != nil {
				return err
			}
			wake, found, err := tx.NextWake()
			if err != nil || !found || !wake.Equal(c.wake) {
				return fmt.Errorf("next wake %v %v after settling %d, want %v (%v)", wake, found, c.settle, c.wake, err)
			}
			list, err := tx.RunsDue(wake, 10)
			if err != nil || len(list) == 0 {
				return fmt.Errorf("nothing is due at the next wake %v (%v)", wake, err)
			}
			list, err = tx.RunsDue(wake.Add(-time.Microsecond), 10)
			if err != nil || len(list) > 0 {
				return fmt.Errorf("%v are due before the next wake %v (%v)", numbers(list), wake, err)
			}
			return nil
		})
	}
	update(t, s, func(tx store.Tx) error {
		row, _, err := tx.Run(5)
		if err != nil {
			return err
		}
		row.State = bot.Unknown
		if _, err := tx.PutRun(row); err != nil {
			return err
		}
		if wake, found, err := tx.NextWake(); err != nil || found {
			return fmt.Errorf("wants to wake at %v with nothing to do (%v)", wake, err)
		}
		return nil
	})
}
