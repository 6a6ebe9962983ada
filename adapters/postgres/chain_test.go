package postgres

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/store"
)

func appendNext(s store.Store, by string) error {
	return s.Update(context.Background(), func(tx store.Tx) error {
		head, err := tx.Head()
		if err != nil {
			return err
		}
		rec := store.Sealed{Seq: head.Seq + 1, At: time.Unix(1_700_000_000, 0).UTC(), Kind: bot.Started, Target: "shop/prod", Person: by}
		rec.Body = fmt.Appendf(nil, `{"seq":%d,"person":%q,"prev":%q}`, rec.Seq, by, head.Hash)
		sum := sha256.Sum256(rec.Body)
		rec.Hash = hex.EncodeToString(sum[:])
		return tx.Append(rec)
	})
}

// unbroken checks the whole chain and gives how many records each person wrote.
func unbroken(t *testing.T, s store.Store) map[string]int {
	t.Helper()
	by := map[string]int{}
	err := s.View(context.Background(), func(r store.Reader) error {
		list, err := r.RecordsFrom(1, 100_000)
		last := store.Head{}
		for _, rec := range list {
			if rec.Seq != last.Seq+1 || !strings.Contains(string(rec.Body), fmt.Sprintf(`"prev":%q`, last.Hash)) {
				return fmt.Errorf("the chain forks at %d: %s after %+v", rec.Seq, rec.Body, last)
			}
			by[rec.Person]++
			last = store.Head{Seq: rec.Seq, Hash: rec.Hash}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return by
}

// TestReplicasDoNotForkTheChain opens one new database from many sides at once,
// each with tables to make, and appends from all of them at once. No append
// fails: each waits for its turn.
func TestReplicasDoNotForkTheChain(t *testing.T) {
	t.Parallel()
	const replicas, callers, each = 5, 4, 20
	_, dsn := fresh(t)
	stores := make([]store.Store, replicas)
	errs := make([]error, replicas)
	var wg sync.WaitGroup
	for i := range replicas {
		wg.Go(func() { stores[i], errs[i] = Open(context.Background(), dsn) })
	}
	wg.Wait()
	for i, err := range errs {
		if err != nil {
			t.Fatalf("replica %d: %v", i, err)
		}
		t.Cleanup(func() { stores[i].Close() })
	}
	for i, s := range stores {
		for range callers {
			wg.Go(func() {
				for range each {
					if err := appendNext(s, fmt.Sprint(i)); err != nil {
						t.Errorf("replica %d: %v", i, err)
					}
				}
			})
		}
	}
	wg.Wait()
	for _, s := range stores {
		by := unbroken(t, s)
		for i := range replicas {
			if got := by[fmt.Sprint(i)]; got != callers*each {
				t.Errorf("replica %d has %d records, want %d", i, got, callers*each)
			}
		}
	}
}

// TestTablesAreMadeInTurn holds the lock under which the tables are brought up to
// date: whoever opens the database waits, and then does.
func TestTablesAreMadeInTurn(t *testing.T) {
	t.Parallel()
	schema, dsn := fresh(t)
	db := admin(t)
	held, err := db.Conn(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	if _, err := held.ExecContext(context.Background(), `SELECT pg_advisory_lock($1, hashtext($2))`, lockNumber, schema); err != nil {
		t.Fatal(err)
	}
	type result struct {
		s   store.Store
		err error
	}
	results := make(chan result, 2)
	for range cap(results) {
		go func() { s, err := Open(context.Background(), dsn); results <- result{s, err} }()
	}
	if err := until(t, db, `SELECT count(*) = 2 FROM pg_stat_activity WHERE application_name = $1 AND wait_event = 'advisory'`, schema); err != nil {
		t.Fatal(err)
	}
	var tables int
	if err := db.QueryRow(`SELECT count(*) FROM pg_tables WHERE schemaname = $1`, schema).Scan(&tables); err != nil || tables != 0 {
		t.Errorf("%d tables were made by somebody whose turn it was not (%v)", tables, err)
	}
	if _, err := held.ExecContext(context.Background(), `SELECT pg_advisory_unlock_all()`); err != nil {
		t.Fatal(err)
	}
	for range cap(results) {
		r := <-results
		if r.err != nil {
			t.Error(r.err)
			continue
		}
		if err := appendNext(r.s, "one"); err != nil {
			t.Error(err)
		}
		if err := r.s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestTheLockIsWhatKeepsTheChain: a replica that has read the end of the chain
// has the next one wait, which then reads the new end.
func TestTheLockIsWhatKeepsTheChain(t *testing.T) {
	t.Parallel()
	schema, dsn := fresh(t)
	one, two := opened(t, dsn), opened(t, dsn)
	db := admin(t)
	second := make(chan error, 1)
	err := one.Update(context.Background(), func(tx store.Tx) error {
		head, err := tx.Head()
		if err != nil {
			return err
		}
		go func() { second <- appendNext(two, "two") }()
		if err := until(t, db, `SELECT count(*) > 0 FROM pg_stat_activity WHERE application_name = $1 AND wait_event_type = 'Lock'`,
			schema); err != nil {
			return err
		}
		select {
		case err := <-second:
			return fmt.Errorf("the second did not wait: %v", err)
		default:
		}
		rec := store.Sealed{Seq: head.Seq + 1, At: time.Unix(1_700_000_000, 0).UTC(), Kind: bot.Started, Person: "one",
			Body: fmt.Appendf(nil, `{"prev":%q}`, head.Hash), Hash: "of one"}
		return tx.Append(rec)
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := <-second; err != nil {
		t.Fatal(err)
	}
	if by := unbroken(t, one); by["one"] != 1 || by["two"] != 1 {
		t.Errorf("records %v", by)
	}
}
