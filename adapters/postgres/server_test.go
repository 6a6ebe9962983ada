package postgres

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"quarterdeck/bot"
	"quarterdeck/bot/store"
)

// serverURL gives the server that the tests use, as a superuser of it: see
// .ci/postgres.
func serverURL(t testing.TB) *url.URL {
	t.Helper()
	raw := os.Getenv("QUARTERDECK_POSTGRES")
	if raw == "" {
		if os.Getenv("QUARTERDECK_TEST_ALL") != "" {
			t.Fatal("QUARTERDECK_POSTGRES names no server; run the tests under .ci/postgres")
		}
		t.Skip("needs a PostgreSQL server: .ci/postgres go test ./adapters/postgres")
	}
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatal("QUARTERDECK_POSTGRES is no address")
	}
	return u
}

// admin gives a connection that is not the store's.
func admin(t testing.TB) *sql.DB {
	t.Helper()
	c, err := pgx.ParseConfig(serverURL(t).String())
	if err != nil {
		t.Fatal(err)
	}
	db := stdlib.OpenDB(*c)
	t.Cleanup(func() { db.Close() })
	return db
}

func do(t testing.TB, db *sql.DB, q string, args ...any) {
	t.Helper()
	if _, err := db.Exec(q, args...); err != nil {
		t.Fatalf("%s: %v", q, err)
	}
}

// name gives a name that nobody else uses.
func name() string { return "t" + strings.ToLower(rand.Text()[:12]) }

// with gives what follows "postgres:" for u with a parameter set.
func with(u *url.URL, pairs ...string) string {
	q := u.Query()
	for i := 0; i < len(pairs); i += 2 {
		q.Set(pairs[i], pairs[i+1])
	}
	c := *u
	c.RawQuery = q.Encode()
	return strings.TrimPrefix(c.String(), c.Scheme+":")
}

// fresh makes an empty schema that is dropped when t ends, and gives its name
// and the DSN that uses it.
func fresh(t testing.TB) (schema, dsn string) {
	t.Helper()
	db := admin(t)
	schema = name()
	do(t, db, "CREATE SCHEMA "+schema)
	t.Cleanup(func() { do(t, db, "DROP SCHEMA "+schema+" CASCADE") })
	// What a connection is called tells this test's from all others.
	return schema, with(serverURL(t), "search_path", schema, "application_name", schema)
}

// opened opens a store that is closed when t ends.
func opened(t testing.TB, dsn string) store.Store {
	t.Helper()
	s, err := Open(context.Background(), dsn)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

// said checks that err is an Error of a kind whose sentence holds every part.
func said(t testing.TB, err error, kind bot.Kind, parts ...string) {
	t.Helper()
	var e *bot.Error
	if !errors.As(err, &e) || e.Kind != kind {
		t.Fatalf("got %v, want an Error of kind %s", err, kind)
	}
	for _, p := range parts {
		if !strings.Contains(e.Say, p) {
			t.Errorf("%q does not say %q", e.Say, p)
		}
	}
	if strings.HasSuffix(e.Say, ".") {
		t.Errorf("%q ends with a full stop", e.Say)
	}
}

func put(id string) func(tx store.Tx) error {
	return func(tx store.Tx) error {
		_, err := tx.PutDocument(bot.Document{Kind: "k", ID: id, Body: []byte("{}")})
		return err
	}
}

// documents gives the IDs that put wrote, joined.
func documents(t testing.TB, s store.Store) string {
	t.Helper()
	var ids []string
	err := s.View(context.Background(), func(r store.Reader) error {
		list, err := r.Documents("k", "", 1000, false)
		for _, d := range list {
			ids = append(ids, d.ID)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(ids, "")
}

// terminate ends the server's side of this test's connections, those in an
// open transaction or those without, and waits until they are gone.
func terminate(t testing.TB, db *sql.DB, application, state string) (ended int) {
	t.Helper()
	err := db.QueryRow(`SELECT count(*) FROM (SELECT pg_terminate_backend(pid, 10000) AS ended FROM pg_stat_activity
		WHERE application_name = $1 AND state = $2) AS all_of_them WHERE ended`, application, state).Scan(&ended)
	if err != nil {
		t.Fatal(err)
	}
	return ended
}

// until asks the server again and again until it says yes, for a limited time.
func until(t testing.TB, db *sql.DB, q string, args ...any) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	for yes := false; !yes; {
		if err := db.QueryRowContext(ctx, q, args...).Scan(&yes); err != nil {
			return fmt.Errorf("wait until %s: %w", q, err)
		}
	}
	return nil
}
