package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"quarterdeck/bot"
	"quarterdeck/bot/store"
)

func local(string) (string, error) { return "", nil }

// weakness is a setting that makes the connections which write fail.
type weakness struct {
	mu      sync.Mutex
	pragma  string
	current driver.Conn
}

func run(c driver.Conn, q string) error {
	_, err := c.(driver.ExecerContext).ExecContext(context.Background(), q, nil)
	return err
}

// connected gives a new connection the weakness.
func (w *weakness) connected(c driver.Conn) (driver.Conn, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.current = c
	if w.pragma == "" {
		return c, nil
	}
	return c, run(c, w.pragma)
}

// set gives it to the present connection, which nobody may be using, and to
// all new ones; "" ends it for new ones.
func (w *weakness) set(t *testing.T, pragma string) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.pragma = pragma; pragma == "" {
		return
	}
	if err := run(w.current, pragma); err != nil {
		t.Fatal(err)
	}
}

// faulty opens a store that can be made to fail.
func faulty(t *testing.T) (s store.Store, path string, w *weakness) {
	t.Helper()
	w = &weakness{}
	path = filepath.Join(t.TempDir(), "quarterdeck.db")
	s, err := opener{filesystem: local, onWriter: w.connected}.open(context.Background(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s, path, w
}

// unavailable checks the kind and that the sentence says what.
func unavailable(t *testing.T, err error, what string) {
	t.Helper()
	var e *bot.Error
	if !errors.As(err, &e) || e.Kind != bot.Unavailable || !strings.Contains(e.Say, what) {
		t.Fatalf("got %v, want an Error of kind unavailable that says %q", err, what)
	}
	if said := bot.Sentence(err, "ref"); said != e.Say {
		t.Errorf("a person reads %q", said)
	}
}

func bigDocument(id string, size int) func(tx store.Tx) error {
	return func(tx store.Tx) error {
		if _, err := tx.PutDocument(bot.Document{Kind: "small", ID: id, Body: []byte("{}")}); err != nil {
			return err
		}
		_, err := tx.PutDocument(bot.Document{Kind: "big", ID: id, Body: make([]byte, size)})
		return err
	}
}

func documents(t *testing.T, s store.Store, kind string) (ids []string) {
	t.Helper()
	err := s.View(context.Background(), func(r store.Reader) error {
		list, err := r.Documents(kind, "", 100, false)
		for _, d := range list {
			ids = append(ids, d.ID)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return ids
}

// TestFullDatabase stands for a full disk: SQLite gives the same code. The one
// whose write does not fit is told so, the others who shared its commit are
// not harmed, nothing is half written, and later all is well.
func TestFullDatabase(t *testing.T) {
	t.Parallel()
	s, _, fault := faulty(t)
	fault.set(t, "PRAGMA max_page_count = 200") // 800 kB

	inside, leave := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := s.Update(context.Background(), func(store.Tx) error { close(inside); <-leave; return nil }); err != nil {
			t.Error(err)
		}
	})
	<-inside
	results := make([]error, 9)
	begun := make(chan struct{}, len(results))
	for i := range results {
		size := 100
		if i == 4 {
			size = 2 << 20
		}
		wg.Go(func() {
			begun <- struct{}{}
			results[i] = s.Update(context.Background(), bigDocument(strconv.Itoa(i), size))
		})
	}
	for range results {
		<-begun
	}
	close(leave)
	wg.Wait()
	for i, err := range results {
		if i == 4 {
			unavailable(t, err, "full")
		} else if err != nil {
			t.Errorf("%d shared a commit with one that did not fit: %v", i, err)
		}
	}
	for _, kind := range []string{"small", "big"} {
		if got := strings.Join(documents(t, s, kind), ""); got != "01235678" {
			t.Errorf("%s documents %q, want all but 4", kind, got)
		}
	}
	unavailable(t, s.Update(context.Background(), bigDocument("x", 2<<20)), "full")

	fault.set(t, "")
	if err := s.Update(context.Background(), bigDocument("y", 2<<20)); err != nil {
		t.Errorf("with room again: %v", err)
	}
	if got := strings.Join(documents(t, s, "big"), ""); got != "01235678y" {
		t.Errorf("documents %q after mending", got)
	}
}

// TestReadOnlyDatabase stands for a disk that was mounted read only.
func TestReadOnlyDatabase(t *testing.T) {
	t.Parallel()
	s, _, fault := faulty(t)
	if err := s.Update(context.Background(), bigDocument("a", 10)); err != nil {
		t.Fatal(err)
	}
	fault.set(t, "PRAGMA query_only = 1")
	for range 2 {
		unavailable(t, s.Update(context.Background(), bigDocument("b", 10)), "only be read")
	}
	if got := documents(t, s, "small"); len(got) != 1 {
		t.Errorf("documents %q", got)
	}
	fault.set(t, "")
	if err := s.Update(context.Background(), bigDocument("b", 10)); err != nil {
		t.Errorf("writable again: %v", err)
	}
}

// TestLockedDatabase: another process keeps the lock longer than we wait.
func TestLockedDatabase(t *testing.T) {
	t.Parallel()
	s, path, fault := faulty(t)
	fault.set(t, "PRAGMA busy_timeout = 10")
	other, err := connect(path, nil, "mode=rw")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	conn, err := other.Conn(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.ExecContext(context.Background(), "BEGIN IMMEDIATE"); err != nil {
		t.Fatal(err)
	}
	ran := false
	unavailable(t, s.Update(context.Background(), func(tx store.Tx) error { ran = true; return nil }), "locked")
	if ran {
		t.Error("the function ran without the lock")
	}
	if got := documents(t, s, "small"); got != nil {
		t.Errorf("reading beside the lock gives %q", got)
	}
	if _, err := conn.ExecContext(context.Background(), "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	if err := s.Update(context.Background(), bigDocument("a", 10)); err != nil {
		t.Errorf("with the lock given up: %v", err)
	}
}
