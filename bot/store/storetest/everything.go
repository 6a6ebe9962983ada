package storetest

import (
	"context"
	"errors"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/store"
)

// Everything calls every method of the port, with every combination of what a
// filter may hold, so that a store can look at all the statements it makes. It
// may be called on a store that holds much already.
func Everything(s store.Store) error {
	at := time.Unix(1_700_000_000, 0)
	readings := func(r store.Reader) error {
		var errs []error
		note := func(err error) { errs = append(errs, err) }
		for mask := range 32 {
			f := bot.RecordFilter{Limit: 5}
			for bit, set := range []func(){
				func() { f.Target = "shop/prod" }, func() { f.Person = "dev" }, func() { f.Run = 1 }, func() { f.Since = at },
				func() { f.Kind = bot.Started },
			} {
				if mask&(1<<bit) != 0 {
					set()
				}
			}
			_, err := r.Records(f)
			note(err)
		}
		for mask := range 8 {
			f := bot.RunFilter{Open: mask&1 != 0}
			if mask&2 != 0 {
				f.State = bot.Queued
			}
			if mask&4 != 0 {
				f.Target = bot.Target{Service: "shop", Environment: "prod"}
			}
			_, err := r.Runs(f)
			note(err)
		}
		for _, last := range []bool{false, true} {
			for _, prefix := range []string{"", "a"} {
				_, err := r.Documents("lock", prefix, 5, last)
				note(err)
			}
		}
		_, err := r.Head()
		note(err)
		_, _, err = r.Record(1)
		note(err)
		_, err = r.RecordsFrom(1, 5)
		note(err)
		_, _, err = r.Run(1)
		note(err)
		_, err = r.RunsDue(at, 5)
		note(err)
		_, _, err = r.SlotHolder("a")
		note(err)
		_, _, err = r.NextWake()
		note(err)
		_, _, err = r.Document("lock", "a")
		note(err)
		_, err = r.Unfinished(5)
		note(err)
		_, err = r.OutgoingDue(at, "me", nil, 5)
		note(err)
		_, _, err = r.NextOutgoing()
		note(err)
		_, err = r.(store.Counter).Backlog()
		note(err)
		_, err = r.(store.Counter).Backlog("terminal")
		note(err)
		return errors.Join(errs...)
	}
	writings := func(tx store.Tx) error {
		var errs []error
		note := func(err error) { errs = append(errs, err) }
		head, err := tx.Head()
		note(err)
		note(tx.Append(store.Sealed{Seq: head.Seq + 1, At: at, Kind: bot.Started, Target: "shop/prod", Person: "dev", Body: []byte(`{}`), Hash: "00"}))
		note(tx.SetText(head.Seq+1, []byte(`{}`)))
		number, err := tx.NextRun()
		note(err)
		row := store.RunRow{Number: number + 1_000_000, State: bot.Running, Slot: "mine", Holds: true, Body: []byte(`{}`)}
		row.Rev, err = tx.PutRun(row)
		note(err)
		_, err = tx.PutRun(row)
		note(err)
		d := bot.Document{Kind: "lock", ID: "mine"}
		d.Rev, err = tx.PutDocument(d)
		note(err)
		_, err = tx.PutDocument(d)
		note(err)
		note(tx.DeleteDocument("lock", "mine"))
		for range 2 {
			_, err = tx.Receive(bot.Message{ID: "mine", Received: at})
			note(err)
			_, err = tx.Finish("mine")
			note(err)
		}
		note(tx.Forget(at))
		var id int64
		for _, version := range []int64{2, 1} {
			id, err = tx.Enqueue(store.Outgoing{Channel: "slack:A", Key: "mine", Version: version, Created: at, NextAt: at})
			note(err)
		}
		note(tx.Postpone(id, at, 1))
		note(tx.Delivered(id, 2))
		return errors.Join(errs...)
	}
	return errors.Join(s.Update(context.Background(), writings), s.View(context.Background(), readings))
}
