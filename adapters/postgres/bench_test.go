package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/store"
)

// command stores what one command leaves: its message, a card and its record.
func command(s store.Store, n int64, whole bool) error {
	at := time.Now()
	id := "slack:Ev" + strconv.FormatInt(n, 36)
	return s.Update(context.Background(), func(tx store.Tx) error {
		if whole {
			m := bot.Message{ID: id, Account: "slack:T0123/U0001", Standing: bot.Member, Channel: "slack:C0OPS", Text: "deploy shop v2 prod", Received: at}
			if _, err := tx.Receive(m); err != nil {
				return err
			}
			card := json.RawMessage(`{"key":"run:17","version":1,"title":"deploy shop v2 to prod","text":"v1 is live","fields":[{"name":"by","value":"dev-one"},{"name":"run","value":"#17"}]}`)
			if _, err := tx.Enqueue(store.Outgoing{Channel: "slack:C0AUDIT", Key: "run:" + id, Version: 1, Ordered: true, Card: card, Created: at, NextAt: at}); err != nil {
				return err
			}
		}
		head, err := tx.Head()
		if err != nil {
			return err
		}
		rec := store.Sealed{Seq: head.Seq + 1, At: at, Kind: bot.Started, Run: head.Seq/3 + 1, Target: "shop/prod", Person: "p" + strconv.FormatInt(n%8, 10), Hash: head.Hash}
		rec.Text = json.RawMessage(`{"line":{"salt":"c2FsdHNhbHRzYWx0c2FsdA","value":"deploy shop v2 prod --reason \"the fix for the basket\""}}`)
		rec.Body = fmt.Appendf(nil, `{"seq":%d,"request":"kq3v5x2mzjw4tbhe","account":"slack:T0123/U0001","channel":"slack:C0OPS","verb":"deploy","permission":"deploy","resources":["target:shop/prod"],"rule":"grant 3 (config.toml:41)","commit":{"line":"f3Jd0nCw8mS7rTq2yXv5bZk1hLp6uEg4aNi9oKc8dQs"}}`, rec.Seq)
		return tx.Append(rec)
	})
}

// BenchmarkAppend measures commits a second: a record alone, and all that one
// command leaves. One iteration is a round; run it with -benchtime 5x or more.
func BenchmarkAppend(b *testing.B) {
	for _, whole := range []bool{false, true} {
		for _, callers := range []int{1, 64} {
			b.Run(fmt.Sprintf("whole=%v/callers=%d", whole, callers), func(b *testing.B) {
				const round = 400 * time.Millisecond
				_, dsn := fresh(b)
				s := opened(b, dsn)
				var n atomic.Int64
				var rates []float64
				for b.Loop() {
					var wg sync.WaitGroup
					first, start := n.Load(), time.Now()
					for range callers {
						wg.Go(func() {
							for time.Since(start) < round {
								if err := command(s, n.Add(1), whole); err != nil {
									b.Error(err)
									return
								}
							}
						})
					}
					wg.Wait()
					rates = append(rates, float64(n.Load()-first)/time.Since(start).Seconds())
				}
				slices.Sort(rates)
				b.ReportMetric(rates[len(rates)/2], "stored/s")
				b.ReportMetric(rates[len(rates)-1]/rates[0], "spread")
				b.ReportMetric(0, "ns/op")
			})
		}
	}
}

// BenchmarkReplicas measures what stores that take turns with one another make
// together.
func BenchmarkReplicas(b *testing.B) {
	const round = 400 * time.Millisecond
	_, dsn := fresh(b)
	all := []store.Store{opened(b, dsn), opened(b, dsn), opened(b, dsn)}
	var n atomic.Int64
	var total time.Duration
	for b.Loop() {
		var wg sync.WaitGroup
		start := time.Now()
		for c := range 24 {
			wg.Go(func() {
				for time.Since(start) < round {
					if err := command(all[c%len(all)], n.Add(1), false); err != nil {
						b.Error(err)
						return
					}
				}
			})
		}
		wg.Wait()
		total += time.Since(start)
	}
	b.ReportMetric(float64(n.Load())/total.Seconds(), "stored/s")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkLongLog measures searches beside 200,000 records.
func BenchmarkLongLog(b *testing.B) {
	_, dsn := fresh(b)
	s := opened(b, dsn)
	c, err := parse(dsn)
	if err != nil {
		b.Fatal(err)
	}
	db := opener{limits: usual}.pool(c, usual, 1)
	fill(b, db, 200_000)
	if err := db.Close(); err != nil {
		b.Fatal(err)
	}
	end := time.UnixMicro(200_000 * 1_000_000)
	for _, c := range []struct {
		name   string
		filter bot.RecordFilter
	}{
		{"newest", bot.RecordFilter{}},
		{"target", bot.RecordFilter{Target: "shop/prod"}},
		{"person", bot.RecordFilter{Person: "p7"}},
		{"nobody", bot.RecordFilter{Person: "nobody"}},
		{"run", bot.RecordFilter{Run: 30_000}},
		{"denied", bot.RecordFilter{Kind: bot.DeniedRecord}},
		{"person, target", bot.RecordFilter{Person: "p7", Target: "shop/dev"}},
		{"person, target that never meet", bot.RecordFilter{Person: "p7", Target: "shop/prod"}},
		{"person, denied", bot.RecordFilter{Person: "p7", Kind: bot.DeniedRecord}},
		{"target today", bot.RecordFilter{Target: "shop/test", Since: end.Add(-24 * time.Hour)}},
	} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				if err := s.View(context.Background(), func(r store.Reader) error { _, err := r.Records(c.filter); return err }); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
