package storetest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"quarterdeck/bot"
	"quarterdeck/bot/store"
)

// world is what a store should hold, kept in memory.
type world struct {
	runs      map[int64]store.RunRow
	documents map[string]bot.Document
}

func (w world) clone() world { return world{maps.Clone(w.runs), maps.Clone(w.documents)} }

func (w world) holder(slot string) (int64, bool) {
	for n, r := range w.runs {
		if r.Holds && r.Slot == slot {
			return n, true
		}
	}
	return 0, false
}

// model: random transactions of runs, slots and documents, some of which fail
// at their end, give what an in-memory model gives.
func model(t *testing.T, open Open) {
	s, _ := open(t)
	trial := 0
	committed, conflicts := 0, 0
	rapid.Check(t, func(rt *rapid.T) {
		trial++
		m := &machine{base: int64(trial) * 1000, kind: fmt.Sprintf("kind %d", trial)}
		w := world{map[int64]store.RunRow{}, map[string]bot.Document{}}
		for range rapid.IntRange(1, 3).Draw(rt, "transactions") {
			next := w.clone()
			fails := rapid.IntRange(0, 3).Draw(rt, "fails") == 0
			err := s.Update(context.Background(), func(tx store.Tx) error {
				for range rapid.IntRange(1, 8).Draw(rt, "steps") {
					if rapid.Bool().Draw(rt, "run") {
						conflicts += m.putRun(rt, tx, next)
					} else {
						conflicts += m.putDocument(rt, tx, next)
					}
				}
				m.compare(rt, tx, next)
				if fails {
					return errTest
				}
				return nil
			})
			if fails != errors.Is(err, errTest) || !fails && err != nil {
				rt.Fatalf("Update: %v, want failure %v", err, fails)
			}
			if !fails {
				w = next
				committed++
			}
			if err := s.View(context.Background(), func(r store.Reader) error { m.compare(rt, r, w); return nil }); err != nil {
				rt.Fatal(err)
			}
		}
	})
	if !t.Failed() && (committed == 0 || conflicts == 0) {
		t.Errorf("%d transactions committed and %d conflicts: the test shows nothing", committed, conflicts)
	}
}

// machine draws steps for one trial, whose names are its own.
type machine struct {
	base int64
	kind string
}

// rev draws a revision: mostly the right one.
func rev(rt *rapid.T, right int64) int64 {
	if rapid.IntRange(0, 3).Draw(rt, "stale") == 0 {
		return max(0, right+rapid.Int64Range(-2, 1).Draw(rt, "off"))
	}
	return right
}

func (m *machine) putRun(rt *rapid.T, tx store.Tx, w world) (conflicts int) {
	number := m.base + rapid.Int64Range(1, 4).Draw(rt, "number")
	old := w.runs[number]
	row := store.RunRow{
		Number: number, Rev: rev(rt, old.Rev), Target: m.kind,
		State: rapid.SampledFrom([]bot.RunState{bot.Waiting, bot.Queued, bot.Running, bot.Succeeded}).Draw(rt, "state"),
		Slot:  m.kind + rapid.SampledFrom([]string{"a", "b"}).Draw(rt, "slot"),
		Holds: rapid.Bool().Draw(rt, "holds"),
		Body:  fmt.Appendf(nil, `%d`, rapid.IntRange(0, 99).Draw(rt, "body")), Created: noon(),
		Lease: noon().Add(time.Duration(rapid.IntRange(-3, 3).Draw(rt, "lease")) * time.Second),
		Owner: rapid.SampledFrom([]string{"", "me"}).Draw(rt, "owner"),
	}
	if at := rapid.IntRange(-4, 3).Draw(rt, "wake"); at > -4 {
		row.WakeAt = noon().Add(time.Duration(at) * time.Second)
	}
	holder, held := w.holder(row.Slot)
	allowed := row.Rev == old.Rev && !(row.Holds && held && holder != number)
	got, err := tx.PutRun(row)
	if !allowed {
		if wrong := refused(err, bot.Conflict); wrong != nil {
			rt.Fatalf("put %+v over %+v: %v", row, old, wrong)
		}
		return 1
	}
	if err != nil || got <= old.Rev {
		rt.Fatalf("put %+v over %+v: revision %d, %v", row, old, got, err)
	}
	row.Rev = got
	w.runs[number] = row
	return 0
}

func (m *machine) putDocument(rt *rapid.T, tx store.Tx, w world) (conflicts int) {
	id := rapid.SampledFrom([]string{"a", "a/1", "a/2", "b"}).Draw(rt, "id")
	old := w.documents[id]
	if rapid.IntRange(0, 5).Draw(rt, "delete") == 0 {
		if err := tx.DeleteDocument(m.kind, id); err != nil {
			rt.Fatal(err)
		}
		delete(w.documents, id)
		return 0
	}
	d := bot.Document{Kind: m.kind, ID: id, Rev: rev(rt, old.Rev), Body: fmt.Appendf(nil, `%d`, rapid.IntRange(0, 99).Draw(rt, "body"))}
	got, err := tx.PutDocument(d)
	if d.Rev != old.Rev {
		if wrong := refused(err, bot.Conflict); wrong != nil {
			rt.Fatalf("put %+v over %+v: %v", d, old, wrong)
		}
		return 1
	}
	if err != nil || got <= old.Rev {
		rt.Fatalf("put %+v over %+v: revision %d, %v", d, old, got, err)
	}
	d.Rev = got
	w.documents[id] = d
	return 0
}

// compare checks that r shows w.
func (m *machine) compare(rt *rapid.T, r store.Reader, w world) {
	must := func(what string, got, want any, err error) {
		if err != nil || !reflect.DeepEqual(got, want) {
			rt.Fatalf("%s\ngot  %+v (%v)\nwant %+v", what, got, err, want)
		}
	}
	for n := m.base + 1; n <= m.base+4; n++ {
		row, found, err := r.Run(n)
		want, there := w.runs[n]
		must("found", found, there, err)
		must("run", row, want, err)
	}
	for _, slot := range []string{"a", "b"} {
		row, found, err := r.SlotHolder(m.kind + slot)
		n, held := w.holder(m.kind + slot)
		must("held", found, held, err)
		must("holder", row.Number, n, err)
	}
	due, err := r.RunsDue(noon(), 1<<20)
	due = slices.DeleteFunc(due, func(row store.RunRow) bool { return row.Target != m.kind })
	must("due", numbers(due), w.due(), err)
	wake, found, err := r.NextWake()
	if err != nil || len(w.due()) > 0 && (!found || wake.After(noon())) {
		rt.Fatalf("next wake %v %v (%v) while %v are due", wake, found, err, w.due())
	}
	for _, prefix := range []string{"", "a", "a/"} {
		list, err := r.Documents(m.kind, prefix, 10, false)
		var want []bot.Document
		for _, id := range slices.Sorted(maps.Keys(w.documents)) {
			if strings.HasPrefix(id, prefix) {
				d := w.documents[id]
				d.Due = time.Time{}
				want = append(want, d)
			}
		}
		must("documents "+prefix, list, want, err)
	}
}

// due gives the numbers of the runs due at noon, longest waiting first.
func (w world) due() (out []int64) {
	for n, r := range w.runs {
		if !r.State.Settled() && !r.WakeAt.IsZero() && !r.WakeAt.After(noon()) && (r.Owner == "" || !r.Lease.After(noon())) {
			out = append(out, n)
		}
	}
	slices.SortFunc(out, func(a, b int64) int {
		if c := w.runs[a].WakeAt.Compare(w.runs[b].WakeAt); c != 0 {
			return c
		}
		return int(a - b)
	})
	return out
}
