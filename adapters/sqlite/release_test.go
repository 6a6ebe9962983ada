package sqlite

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/store"
	"quarterdeck/bot/store/storetest"
)

// expansion is what a step of a next release may do.
const expansion = `-- +goose Up
CREATE TABLE later (id INTEGER PRIMARY KEY, note TEXT NOT NULL);
ALTER TABLE runs ADD COLUMN shade TEXT NOT NULL DEFAULT 'none';
ALTER TABLE documents ADD COLUMN weight INTEGER;
CREATE INDEX runs_shade ON runs (shade);
-- +goose Down
DROP TABLE later;
`

// release gives the opener of a program so many releases after this one.
func release(t *testing.T, after int) opener {
	t.Helper()
	folder := fstest.MapFS{}
	entries, err := migrations.ReadDir("migrations")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		raw, err := migrations.ReadFile("migrations/" + e.Name())
		if err != nil {
			t.Fatal(err)
		}
		folder[e.Name()] = &fstest.MapFile{Data: raw}
	}
	for i := 1; i <= after; i++ {
		text := expansion
		if i > 1 {
			text = fmt.Sprintf("-- +goose Up\nCREATE TABLE later%d (id INTEGER PRIMARY KEY);\n", i)
		}
		folder[fmt.Sprintf("%05d_later.sql", len(entries)+i)] = &fstest.MapFile{Data: []byte(text)}
	}
	return opener{filesystem: local, migrations: folder}
}

func (o opener) mustOpen(t *testing.T, path string) store.Store {
	t.Helper()
	s, err := o.open(context.Background(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// TestWorksOnTheNextRelease: this program passes the whole suite on a database
// that the next release has brought up to date, as it must during a rolling
// update.
func TestWorksOnTheNextRelease(t *testing.T) {
	next := release(t, 1)
	storetest.Exercise(t, func(t *testing.T) (store.Store, func() store.Store) {
		path := filepath.Join(t.TempDir(), "quarterdeck.db")
		next.mustOpen(t, path).Close()
		s := opened(t, path)
		return s, func() store.Store {
			s.Close()
			s = opened(t, path)
			return s
		}
	})
}

// TestRollingUpdate: the next release takes over a database on which this one is
// at work, with a run in flight, and both go on side by side.
func TestRollingUpdate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "quarterdeck.db")
	old := opened(t, path)
	now := time.Now().UTC().Truncate(time.Microsecond)
	put := func(s store.Store, r store.RunRow) int64 {
		t.Helper()
		var rev int64
		err := s.Update(t.Context(), func(tx store.Tx) (err error) {
			if r.Number == 0 {
				if r.Number, err = tx.NextRun(); err != nil {
					return err
				}
			}
			rev, err = tx.PutRun(r)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return rev
	}
	flight := store.RunRow{State: bot.Running, Target: "shop/prod", Slot: "shop/prod release", Holds: true, Owner: "old", Lease: now, Body: []byte(`{}`), Created: now}
	rev := put(old, flight)
	young := release(t, 1).mustOpen(t, path)
	flight.Number, flight.Rev, flight.Owner = 1, rev, "young"
	rev = put(young, flight)
	flight.Rev, flight.Owner = rev, "old"
	rev = put(old, flight) // its prepared statements outlive the change of the tables
	put(old, store.RunRow{State: bot.Queued, Target: "shop/prod", Slot: "shop/prod release", Body: []byte(`{}`), Created: now})
	for name, s := range map[string]store.Store{"old": old, "young": young} {
		err := s.View(t.Context(), func(r store.Reader) error {
			row, found, err := r.Run(1)
			if err != nil || !found || row.Owner != "old" || row.Rev != rev || !row.Holds {
				t.Errorf("%s reads %+v, %v, %v", name, row, found, err)
			}
			rows, err := r.Runs(bot.RunFilter{Open: true})
			if len(rows) != 2 {
				t.Errorf("%s finds %d open runs, want 2", name, len(rows))
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestTwoReleasesOn: a database that is newer than by one release is left alone,
// with a sentence.
func TestTwoReleasesOn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "quarterdeck.db")
	release(t, 2).mustOpen(t, path).Close()
	_, err := Open(t.Context(), path)
	said(t, err, bot.Invalid, "version 3", "up to 2", "newer program")
	_, err = OpenReadOnly(t.Context(), path)
	said(t, err, bot.Invalid, "version 3", "newer program")
}

// TestStepsExpand holds the steps to the rule: nothing that the release before
// reads or writes is taken away or narrowed.
func TestStepsExpand(t *testing.T) {
	entries, err := migrations.ReadDir("migrations")
	if err != nil {
		t.Fatal(err)
	}
	for i, e := range entries {
		raw, err := migrations.ReadFile("migrations/" + e.Name())
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			continue // there was nothing before it
		}
		up, _, _ := strings.Cut(strings.ToUpper(string(raw)), "-- +GOOSE DOWN")
		for _, word := range []string{"RENAME ", "UNIQUE", "CREATE TRIGGER", "DELETE FROM"} {
			if strings.Contains(up, word) {
				t.Errorf("%s has %q, which the release before does not know of", e.Name(), strings.TrimSpace(word))
			}
		}
	}
}
