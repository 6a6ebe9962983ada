package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"quarterdeck/bot"
	"quarterdeck/bot/store"
)

const password = "h0nter-2/ü?@ 100%"

// role makes a user that is dropped when t ends, with a schema of its own, and
// gives its name and the DSN that it comes with.
func role(t testing.TB, options string) (user string, u *url.URL) {
	t.Helper()
	db := admin(t)
	user = name()
	do(t, db, fmt.Sprintf("CREATE ROLE %s LOGIN PASSWORD '%s' %s", user, password, options))
	do(t, db, fmt.Sprintf("CREATE SCHEMA %s AUTHORIZATION %s", user, user))
	t.Cleanup(func() {
		do(t, db, "DROP OWNED BY "+user)
		do(t, db, "DROP SCHEMA IF EXISTS "+user+" CASCADE")
		do(t, db, "DROP ROLE "+user)
	})
	u = serverURL(t)
	u.User = url.UserPassword(user, password)
	return user, u
}

// silent checks that neither the sentence nor the cause holds a secret.
func silent(t testing.TB, err error, secrets ...string) {
	t.Helper()
	texts := []string{fmt.Sprintf("%v %+v %s %q", err, err, err, err), bot.Sentence(err, "ref")}
	for e := err; e != nil; e = errors.Unwrap(e) {
		texts = append(texts, e.Error())
		var known *bot.Error
		if errors.As(e, &known) && known.Err != nil {
			texts = append(texts, fmt.Sprintf("%v %+v %#v", known.Err, known.Err, known.Err))
		}
	}
	for _, s := range secrets {
		if all := strings.Join(texts, "\n"); strings.Contains(all, s) || strings.Contains(all, url.QueryEscape(s)) || strings.Contains(all, url.PathEscape(s)) {
			t.Errorf("%q is told: %s", s, all)
		}
	}
}

// TestPasswordIsNeverTold gives addresses with a password, whole and broken, to
// servers that are there and that are not.
func TestPasswordIsNeverTold(t *testing.T) {
	t.Parallel()
	const secret = "hunter2secret"
	for _, dsn := range []string{
		"//bot:" + secret + "@127.0.0.1:1/ops",
		"//bot:" + secret + "@127.0.0.1:1/ops?sslmode=require",
		"//127.0.0.1:1/ops?user=bot&password=" + secret,
		"//127.0.0.1:1/ops?user=bot&pass%77ord=" + secret,
		"//bot:" + secret + "@127.0.0.1:notaport/ops",
		"//bot:" + secret + "%zz@127.0.0.1/ops",
		"//bot:a/" + secret + "@127.0.0.1/ops",
		"//bot:5/" + secret + "@127.0.0.1/ops",
		"//bot:5?" + secret + "@127.0.0.1/ops",
		"//bot:5?x=" + secret + "@127.0.0.1/ops",
		"//bot:a@" + secret + "@127.0.0.1/ops",
		"//bot:" + secret + "@host.invalid/ops",
		"//bot:" + secret + "@127.0.0.1:1/ops?sslmode=" + secret,
		"bot:" + secret + "@127.0.0.1/ops",
		"//bot:" + secret + "@127.0.0.1:1/ops?connect_timeout=" + secret,
		"//bot:" + secret + "@127.0.0.1:1/ops?sslrootcert=/nowhere/" + secret,
	} {
		_, err := Open(context.Background(), dsn)
		if err == nil {
			t.Fatalf("%s was opened", dsn)
		}
		var e *bot.Error
		if !errors.As(err, &e) {
			t.Errorf("%s: no sentence: %v", dsn, err)
		}
		silent(t, err, secret)
	}
}

func TestAddressIsWritten(t *testing.T) {
	t.Parallel()
	for _, dsn := range []string{"", "ops", "/ops", "//u@h:port/q", "//u@h/q?sslmode=perhaps"} {
		_, err := Open(context.Background(), dsn)
		said(t, err, bot.Invalid, "postgres://USER@HOST:PORT/NAME")
	}
}

// TestNobodyListens asks where no server is.
func TestNobodyListens(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := l.Addr().String()
	l.Close()
	_, err = Open(context.Background(), "//u@"+at+"/ops?sslmode=disable")
	said(t, err, bot.Unavailable, "refused", at, `"ops"`)
	_, err = Open(context.Background(), "//u@host.invalid/ops?sslmode=disable")
	said(t, err, bot.Unavailable, "host.invalid")
}

// TestNotLetIn: a wrong password, an unknown user, a missing database, a server
// without encryption.
func TestNotLetIn(t *testing.T) {
	t.Parallel()
	user, u := role(t, "")
	if s, err := Open(context.Background(), with(u, "search_path", user)); err != nil {
		t.Errorf("a password with special characters: %v", err)
	} else {
		s.Close()
	}
	wrong := *u
	wrong.User = url.UserPassword(user, password+"x")
	_, err := Open(context.Background(), with(&wrong))
	said(t, err, bot.Unavailable, "does not let the user", user, "PGPASSWORD")
	silent(t, err, password)

	wrong.User = url.UserPassword("no"+user, password)
	_, err = Open(context.Background(), with(&wrong))
	said(t, err, bot.Unavailable, "does not let the user")
	silent(t, err, password)

	missing := *u
	missing.Path = "/no" + user
	_, err = Open(context.Background(), with(&missing))
	said(t, err, bot.Unavailable, "does not exist", "no"+user)
	silent(t, err, password)

	_, err = Open(context.Background(), with(u, "sslmode", "require"))
	said(t, err, bot.Unavailable, "sslmode")
	silent(t, err, password)
}

func TestTooManyConnections(t *testing.T) {
	t.Parallel()
	user, u := role(t, "CONNECTION LIMIT 2")
	s, err := Open(context.Background(), with(u, "search_path", user)) // migrating takes two, and gives them back
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	err = s.Update(context.Background(), func(tx store.Tx) error {
		return s.View(context.Background(), func(r store.Reader) error {
			return s.View(context.Background(), func(r store.Reader) error { return nil })
		})
	})
	said(t, err, bot.Unavailable, "too many connections")
	silent(t, err, password)
	if err := s.Update(context.Background(), put("a")); err != nil {
		t.Errorf("with connections free again: %v", err)
	}
}

// TestClosedForWriting: the database's owner, or its nearly full disk, has
// closed it for writing.
func TestClosedForWriting(t *testing.T) {
	t.Parallel()
	_, dsn := fresh(t)
	if err := opened(t, dsn).Update(context.Background(), put("a")); err != nil {
		t.Fatal(err)
	}
	s := opened(t, dsn+"&default_transaction_read_only=on")
	for range 2 {
		said(t, s.Update(context.Background(), put("b")), bot.Unavailable, "only be read", "nothing was changed")
	}
	if got := documents(t, s); got != "a" {
		t.Errorf("documents %q", got)
	}
	_, empty := fresh(t)
	_, err := Open(context.Background(), empty+"&default_transaction_read_only=on")
	said(t, err, bot.Unavailable, "only be read")
}

// TestNotPermitted: the tables cannot be made, or were taken away.
func TestNotPermitted(t *testing.T) {
	t.Parallel()
	schema, dsn := fresh(t)
	_, u := role(t, "")
	do(t, admin(t), "GRANT USAGE ON SCHEMA "+schema+" TO "+u.User.Username())
	_, err := Open(context.Background(), with(u, "search_path", schema))
	said(t, err, bot.Unavailable, "does not permit")
	_, err = Open(context.Background(), with(u, "search_path", "no"+schema))
	said(t, err, bot.Unavailable, "missing")

	s := opened(t, dsn)
	do(t, admin(t), "ALTER TABLE "+schema+".documents RENAME TO gone")
	said(t, s.Update(context.Background(), put("a")), bot.Unavailable, "tables of the bot are missing")

	other, dsn := fresh(t)
	do(t, admin(t), "CREATE TABLE "+other+".runs (distance int)")
	_, err = Open(context.Background(), dsn)
	said(t, err, bot.Unavailable, "another program")
}

func TestNewerDatabase(t *testing.T) {
	t.Parallel()
	schema, dsn := fresh(t)
	if err := opened(t, dsn).Update(context.Background(), put("a")); err != nil {
		t.Fatal(err)
	}
	do(t, admin(t), "INSERT INTO "+schema+"."+versionTable+" (version_id, is_applied) VALUES (99, true)")
	_, err := Open(context.Background(), dsn)
	said(t, err, bot.Invalid, "version 99", "up to 2", "newer program")
	do(t, admin(t), "DELETE FROM "+schema+"."+versionTable+" WHERE version_id = 99")
	do(t, admin(t), "DELETE FROM "+schema+".counters WHERE name = 'writer'")
	_, err = Open(context.Background(), dsn)
	said(t, err, bot.Unavailable, "damaged", "backup")
}

// TestDurabilityIsProven asks for settings under which a commit is no promise.
func TestDurabilityIsProven(t *testing.T) {
	t.Parallel()
	schema, dsn := fresh(t)
	for _, weak := range []string{"off", "local"} {
		_, err := Open(context.Background(), dsn+"&synchronous_commit="+weak)
		said(t, err, bot.Unavailable, "synchronous_commit at "+weak, "lose records")
	}
	// What the server or the user would have is not asked.
	user, u := role(t, "SUPERUSER")
	do(t, admin(t), "ALTER ROLE "+user+" SET synchronous_commit = off")
	s, err := Open(context.Background(), with(u, "search_path", schema))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	db := admin(t)
	bytes := name()
	do(t, db, "CREATE DATABASE "+bytes+" ENCODING 'SQL_ASCII' LOCALE_PROVIDER libc LOCALE 'C' TEMPLATE template0")
	t.Cleanup(func() { do(t, db, "DROP DATABASE "+bytes+" WITH (FORCE)") })
	plain := serverURL(t)
	plain.Path = "/" + bytes
	_, err = Open(context.Background(), with(plain))
	said(t, err, bot.Unavailable, "SQL_ASCII", "UTF8")
}

// TestLimits: nothing waits for ever, and what was cut short changed nothing.
func TestLimits(t *testing.T) {
	t.Parallel()
	hold := func(t *testing.T, schema string) (release func()) {
		t.Helper()
		held, err := admin(t).Begin()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := held.Exec("SELECT 1 FROM " + schema + ".counters WHERE name = 'writer' FOR UPDATE"); err != nil {
			t.Fatal(err)
		}
		return func() {
			if err := held.Rollback(); err != nil && !errors.Is(err, sql.ErrTxDone) {
				t.Error(err)
			}
		}
	}
	begin := func(t *testing.T, change func(l *limits)) (s store.Store, schema string) {
		t.Helper()
		schema, dsn := fresh(t)
		l := usual
		change(&l)
		s, err := opener{limits: l}.open(context.Background(), dsn)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		return s, schema
	}
	t.Run("lock", func(t *testing.T) {
		t.Parallel()
		s, schema := begin(t, func(l *limits) { l.lock = 50 * time.Millisecond })
		release := hold(t, schema)
		ran := false
		said(t, s.Update(context.Background(), func(store.Tx) error { ran = true; return nil }), bot.Unavailable, "locked by another", "nothing was changed")
		if got := documents(t, s); got != "" || ran {
			t.Errorf("documents %q, ran %v", got, ran)
		}
		release()
		if err := s.Update(context.Background(), put("a")); err != nil {
			t.Errorf("with the lock given up: %v", err)
		}
	})
	t.Run("statement", func(t *testing.T) {
		t.Parallel()
		s, schema := begin(t, func(l *limits) { l.statement = 200 * time.Millisecond })
		release := hold(t, schema)
		said(t, s.Update(context.Background(), put("a")), bot.Timeout, "did not answer in time")
		release()
		if err := s.Update(context.Background(), put("a")); err != nil {
			t.Errorf("with the lock given up: %v", err)
		}
	})
	t.Run("transaction", func(t *testing.T) {
		t.Parallel()
		s, schema := begin(t, func(l *limits) { l.idle = 100 * time.Millisecond })
		db := admin(t)
		err := s.Update(context.Background(), func(tx store.Tx) error {
			if err := put("a")(tx); err != nil {
				return err
			}
			if err := until(t, db, `SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name = $1 AND state = 'idle in transaction'`,
				schema); err != nil {
				return err
			}
			return put("b")(tx)
		})
		said(t, err, bot.Unavailable, "lost", "nothing was changed")
		if err := s.Update(context.Background(), put("c")); err != nil {
			t.Error(err)
		}
		if got := documents(t, s); got != "c" {
			t.Errorf("documents %q", got)
		}
	})
}

// TestDeadlock lets somebody who does not take the writers' lock first run into
// the store.
func TestDeadlock(t *testing.T) {
	t.Parallel()
	schema, dsn := fresh(t)
	s := opened(t, dsn+"&deadlock_timeout=50")
	if err := s.Update(context.Background(), put("a")); err != nil {
		t.Fatal(err)
	}
	db := admin(t)
	other, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer other.Rollback()
	for _, q := range []string{"SET LOCAL deadlock_timeout = '1min'", "SELECT 1 FROM " + schema + ".documents FOR UPDATE"} {
		if _, err := other.Exec(q); err != nil {
			t.Fatal(err)
		}
	}
	done := make(chan error, 1)
	err = s.Update(context.Background(), func(tx store.Tx) error {
		var pid int
		if err := other.QueryRow("SELECT pg_backend_pid()").Scan(&pid); err != nil {
			return err
		}
		go func() {
			_, err := other.Exec("SELECT 1 FROM " + schema + ".counters WHERE name = 'writer' FOR UPDATE")
			done <- err
		}()
		if err := until(t, db, `SELECT wait_event_type IS NOT DISTINCT FROM 'Lock' FROM pg_stat_activity WHERE pid = $1`, pid); err != nil {
			return err
		}
		return tx.DeleteDocument("k", "a")
	})
	said(t, err, bot.Unavailable, "waited for it", "nothing was changed")
	if err := <-done; err != nil {
		t.Errorf("the other: %v", err)
	}
	other.Rollback()
	if got := documents(t, s); got != "a" {
		t.Errorf("documents %q", got)
	}
}

// TestTextsTheDatabaseCannotKeep is told to its caller alone.
func TestTextsTheDatabaseCannotKeep(t *testing.T) {
	t.Parallel()
	_, dsn := fresh(t)
	s := opened(t, dsn)
	said(t, s.Update(context.Background(), put("a\x00b")), bot.Invalid, "characters")
	said(t, s.Update(context.Background(), put(strings.Repeat("long and not to be compressed "+name(), 3)+random(t, 20_000))), bot.Invalid, "too large")
	if err := s.Update(context.Background(), put("a")); err != nil {
		t.Error(err)
	}
}

func random(t *testing.T, n int) string {
	t.Helper()
	var b strings.Builder
	for b.Len() < n {
		b.WriteString(name())
	}
	return b.String()
}

// TestCodes: the codes that no test can bring about.
func TestCodes(t *testing.T) {
	t.Parallel()
	for code, want := range map[string]struct {
		kind bot.Kind
		say  string
	}{
		"53100": {bot.Unavailable, "disk that holds the database is full"},
		"53200": {bot.Unavailable, "memory"},
		"53400": {bot.Unavailable, "limits"},
		"58030": {bot.Unavailable, "disk that holds the database reports an error"},
		"XX001": {bot.Unavailable, "damage"},
		"23505": {bot.Conflict, "somebody else"},
		"40001": {bot.Unavailable, "same moment"},
		"57P01": {bot.Unavailable, "lost"},
		"57P03": {bot.Unavailable, "lost"},
		"08006": {bot.Unavailable, "lost"},
		"42601": {bot.Internal, "failed"},
		"":      {bot.Internal, "failed"},
	} {
		kind, say := translate(fmt.Errorf("while asking: %w", &pgconn.PgError{Code: code}))
		if kind != want.kind || !strings.Contains(say, want.say) {
			t.Errorf("%s: %s, %q", code, kind, say)
		}
	}
}
