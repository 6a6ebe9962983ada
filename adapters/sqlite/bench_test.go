package sqlite

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/store"
)

// payload is what one command leaves: its message, its record and a card.
type payload struct {
	message bot.Message
	text    json.RawMessage
	body    []byte
	card    json.RawMessage
}

func payloadOf(n int64, at time.Time) payload {
	id := "slack:Ev" + strconv.FormatInt(n, 36)
	p := payload{message: bot.Message{ID: id, Account: "slack:T0123/U0001", Standing: bot.Member, Channel: "slack:C0OPS", Text: "deploy shop v2 prod", Received: at}}
	p.text = json.RawMessage(`{"line":{"salt":"c2FsdHNhbHRzYWx0c2FsdA","value":"deploy shop v2 prod --reason \"the fix for the basket\""}}`)
	p.body = fmt.Appendf(nil, `{"v":1,"seq":%d,"at":%q,"kind":"requested","request":"kq3v5x2mzjw4tbhe","run":%d,"account":"slack:T0123/U0001","standing":"member","person":"dev-one","channel":"slack:C0OPS","message":%q,"verb":"deploy","permission":"deploy","target":"shop/prod","resources":["target:shop/prod"],"rule":"grant 3 (config.toml:41)","commit":{"line":"f3Jd0nCw8mS7rTq2yXv5bZk1hLp6uEg4aNi9oKc8dQs"},"prev":"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"}`,
		n, at.Format(time.RFC3339Nano), n, id)
	p.card = json.RawMessage(`{"key":"run:17","version":1,"title":"deploy shop v2 to prod","text":"v1 is live","fields":[{"name":"by","value":"dev-one"},{"name":"run","value":"#17"}]}`)
	return p
}

// bytes gives the same values as one appended line.
func (p payload) bytes(whole bool) []byte {
	if !whole {
		return slices.Concat(p.body, p.text, []byte("\n"))
	}
	message, err := json.Marshal(p.message)
	if err != nil {
		panic(err)
	}
	return slices.Concat(message, p.body, p.text, p.card, []byte("\n"))
}

// command stores p as the router does: the message, its record and a card in
// one transaction.
func command(s store.Store, p payload, n int64) error {
	return s.Update(context.Background(), func(tx store.Tx) error {
		if _, err := tx.Receive(p.message); err != nil {
			return err
		}
		if _, err := tx.Enqueue(store.Outgoing{Channel: "slack:C0AUDIT", Key: "run:" + p.message.ID, Version: 1, Ordered: true, Card: p.card,
			Created: p.message.Received, NextAt: p.message.Received}); err != nil {
			return err
		}
		return p.record(tx, n)
	})
}

// record appends p's record alone.
func (p payload) record(tx store.Tx, n int64) error {
	head, err := tx.Head()
	if err != nil {
		return err
	}
	return tx.Append(store.Sealed{Seq: head.Seq + 1, At: p.message.Received, Kind: bot.Requested, Run: n, Target: "shop/" + targets[n%4], Person: people[n%8],
		Body: p.body, Hash: "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", Text: p.text})
}

func record(s store.Store, p payload, n int64) error {
	return s.Update(context.Background(), func(tx store.Tx) error { return p.record(tx, n) })
}

var (
	targets = [...]string{"prod", "staging", "test", "dev"}
	people  = [...]string{"a", "b", "c", "d", "e", "f", "g", "h"}
)

// groupedFile appends lines to a file; many callers share one write and fsync.
type groupedFile struct {
	f     *os.File
	lines chan groupedLine
	done  chan struct{}
}

type groupedLine struct {
	line []byte
	err  chan error
}

func newGroupedFile(path string) (*groupedFile, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	g := &groupedFile{f: f, lines: make(chan groupedLine, 512), done: make(chan struct{})}
	go g.run()
	return g, nil
}

func (g *groupedFile) run() {
	defer close(g.done)
	var buf []byte
	var batch []groupedLine
	for first := range g.lines {
		batch = append(batch[:0], first)
		buf = append(buf[:0], first.line...)
	drain:
		for len(batch) < 512 {
			select {
			case l, ok := <-g.lines:
				if !ok {
					break drain
				}
				batch, buf = append(batch, l), append(buf, l.line...)
			default:
				break drain
			}
		}
		_, err := g.f.Write(buf)
		if err == nil {
			err = g.f.Sync()
		}
		for _, l := range batch {
			l.err <- err
		}
	}
}

func (g *groupedFile) append(line []byte) error {
	l := groupedLine{line, make(chan error, 1)}
	g.lines <- l
	return <-l.err
}

func (g *groupedFile) close() error {
	close(g.lines)
	<-g.done
	return g.f.Close()
}

// rate lets callers call f for a while and gives calls a second.
func rate(b *testing.B, callers int, d time.Duration, f func(n int64) error, counter *atomic.Int64) float64 {
	b.Helper()
	var wg sync.WaitGroup
	var calls atomic.Int64
	errs := make(chan error, callers)
	start := time.Now()
	for range callers {
		wg.Go(func() {
			for time.Since(start) < d {
				if err := f(counter.Add(1)); err != nil {
					errs <- err
					return
				}
				calls.Add(1)
			}
		})
	}
	wg.Wait()
	took := time.Since(start)
	select {
	case err := <-errs:
		b.Fatal(err)
	default:
	}
	return float64(calls.Load()) / took.Seconds()
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	return v[len(v)/2]
}

// BenchmarkAppend measures the durable store against a grouped raw file with
// the same bytes and the same callers, in alternating rounds: a record with its
// indexes alone, and all that one command leaves. One iteration is one pair of
// rounds; run it with -benchtime 7x or more.
func BenchmarkAppend(b *testing.B) {
	for _, shape := range []struct {
		name  string
		whole bool
		write func(s store.Store, p payload, n int64) error
	}{{"record", false, record}, {"command", true, command}} {
		for _, callers := range []int{1, 64} {
			b.Run(fmt.Sprintf("%s/callers=%d", shape.name, callers), func(b *testing.B) {
				const round = 400 * time.Millisecond
				s := opened(b, filepath.Join(b.TempDir(), "q.db"))
				g, err := newGroupedFile(filepath.Join(b.TempDir(), "raw"))
				if err != nil {
					b.Fatal(err)
				}
				b.Cleanup(func() { g.close() })
				var n atomic.Int64
				var ratios, ours, raws []float64
				for b.Loop() {
					raw := rate(b, callers, round, func(n int64) error { return g.append(payloadOf(n, time.Now()).bytes(shape.whole)) }, &n)
					our := rate(b, callers, round, func(n int64) error { return shape.write(s, payloadOf(n, time.Now()), n) }, &n)
					ratios, ours, raws = append(ratios, our/raw), append(ours, our), append(raws, raw)
				}
				b.ReportMetric(median(ours), "stored/s")
				b.ReportMetric(median(raws), "raw/s")
				b.ReportMetric(median(ratios), "ratio")
				b.ReportMetric(slices.Max(ratios)/slices.Min(ratios), "spread")
				b.ReportMetric(0, "ns/op")
			})
		}
	}
}

// BenchmarkLongLog measures what a log of many records costs, against an empty one.
func BenchmarkLongLog(b *testing.B) {
	for _, size := range []int{0, 1_000_000} {
		b.Run(fmt.Sprintf("records=%d", size), func(b *testing.B) {
			s := opened(b, filepath.Join(b.TempDir(), "q.db"))
			start := time.Unix(1_700_000_000, 0).UTC()
			if err := fill(s, size, start); err != nil {
				b.Fatal(err)
			}
			n := int64(size)
			at := start.Add(time.Duration(size) * time.Second)
			b.Run("append", func(b *testing.B) {
				for b.Loop() {
					n++
					if err := command(s, payloadOf(n, at), n); err != nil {
						b.Fatal(err)
					}
				}
			})
			for name, f := range map[string]bot.RecordFilter{
				"newest":         {},
				"target":         {Target: "shop/prod"},
				"person":         {Person: "a"},
				"run":            {Run: int64(size / 2)},
				"person, denied": {Person: "a", Kind: bot.DeniedRecord},
				"target today":   {Target: "shop/test", Since: at.Add(-24 * time.Hour)},
				"nothing lately": {Person: "nobody", Since: at.Add(-time.Hour)},
			} {
				b.Run(name, func(b *testing.B) {
					for b.Loop() {
						err := s.View(context.Background(), func(r store.Reader) error { _, err := r.Records(f); return err })
						if err != nil {
							b.Fatal(err)
						}
					}
				})
			}
		})
	}
}

func fill(s store.Store, size int, at time.Time) error {
	for done := 0; done < size; {
		err := s.Update(context.Background(), func(tx store.Tx) error {
			head, err := tx.Head()
			if err != nil {
				return err
			}
			var errs []error
			for range min(5000, size-done) {
				n := head.Seq + 1
				rec := store.Sealed{Seq: n, At: at.Add(time.Duration(n) * time.Second), Kind: bot.Started, Run: n/3 + 1, Target: "shop/" + targets[n%4],
					Person: people[n/4%8], Body: payloadOf(n, at).body, Hash: "00"}
				if n%50_000 == 7 {
					rec.Kind = bot.DeniedRecord
				}
				errs = append(errs, tx.Append(rec))
				head.Seq++
				done++
			}
			return errors.Join(errs...)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// BenchmarkOpen measures how soon an existing database is ready.
func BenchmarkOpen(b *testing.B) {
	path := filepath.Join(b.TempDir(), "q.db")
	s := opened(b, path)
	if err := fill(s, 10_000, time.Unix(1_700_000_000, 0)); err != nil {
		b.Fatal(err)
	}
	s.Close()
	for b.Loop() {
		s, err := Open(context.Background(), path)
		if err != nil {
			b.Fatal(err)
		}
		if err := s.View(context.Background(), func(r store.Reader) error { _, err := r.Head(); return err }); err != nil {
			b.Fatal(err)
		}
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
