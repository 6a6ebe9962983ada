//go:build linux || darwin

package main

import (
	"context"
	"crypto/rand"
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/rogpeppe/go-internal/testscript"
	_ "modernc.org/sqlite" // attackers open the database behind the bot's back

	"quarterdeck/adapters/postgres"
	"quarterdeck/adapters/sqlite"
	"quarterdeck/bot"
	"quarterdeck/bot/store"
)

// The scripts and the crash tests are played on SQLite and, where there is a
// server, on PostgreSQL: see .ci/postgres. What runs on which is in the names of
// the subtests.

// databaseVar is where the bot finds the address of its database on a server.
const databaseVar = "QUARTERDECK_DATABASE"

// everywhere runs f on every kind of database.
func everywhere(t *testing.T, f func(t *testing.T)) {
	t.Parallel()
	t.Run("sqlite", f)
	if os.Getenv("QUARTERDECK_POSTGRES") != "" {
		t.Run("postgres", f)
	} else if all() {
		t.Fatal("QUARTERDECK_POSTGRES names no server; run the tests under .ci/postgres")
	}
}

// onServer reports whether t runs on a database server.
func onServer(t *testing.T) bool { return strings.Contains(t.Name()+"/", "/postgres/") }

// schema makes an empty schema on the server and gives the address that uses
// it, and what removes it.
func schema() (address string, remove func() error, err error) {
	u, err := url.Parse(os.Getenv("QUARTERDECK_POSTGRES"))
	if err != nil {
		return "", nil, fmt.Errorf("QUARTERDECK_POSTGRES is no address")
	}
	name := "q" + strings.ToLower(rand.Text()[:12])
	do := func(statement string) error {
		db, err := server(u.String())
		if err != nil {
			return err
		}
		defer db.Close()
		_, err = db.Exec(statement)
		return err
	}
	if err := do("CREATE SCHEMA " + name); err != nil {
		return "", nil, err
	}
	q := u.Query()
	q.Set("search_path", name)
	u.RawQuery = q.Encode()
	return u.String(), func() error { return do("DROP SCHEMA " + name + " CASCADE") }, nil
}

func server(address string) (*sql.DB, error) {
	c, err := pgx.ParseConfig(address)
	if err != nil {
		return nil, err
	}
	return stdlib.OpenDB(*c), nil
}

// useServer has the script's bot keep everything on the server, in a schema of
// the script's own.
func useServer(env *testscript.Env) error {
	address, remove, err := schema()
	if err != nil {
		return err
	}
	env.Defer(func() { _ = remove() }) // the server goes with the tests
	env.Setenv(databaseVar, address)
	return referDatabase(filepath.Join(env.WorkDir, "config.toml"))
}

// referDatabase has a configuration name its database by reference.
func referDatabase(path string) error {
	raw, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	const before = `database = "sqlite:quarterdeck.db"`
	if strings.Count(string(raw), before) != 1 {
		return fmt.Errorf("%s does not say %s once", path, before)
	}
	return os.WriteFile(path, []byte(strings.Replace(string(raw), before, `database = "env:`+databaseVar+`"`, 1)), 0o600)
}

// behind opens the script's database behind the bot's back.
func behind(ts *testscript.TestScript) (db *sql.DB, onServer bool) {
	address := ts.Getenv(databaseVar)
	var err error
	if address != "" {
		db, err = server(address)
	} else {
		db, err = sql.Open("sqlite", "file:"+ts.MkAbs("quarterdeck.db")+"?_pragma=busy_timeout(5000)")
	}
	ts.Check(err)
	return db, address != ""
}

func execute(ts *testscript.TestScript, db *sql.DB, statement string, args ...any) int64 {
	done, err := db.Exec(statement, args...)
	if err != nil {
		ts.Fatalf("%s: %v", statement, err)
	}
	n, err := done.RowsAffected()
	ts.Check(err)
	return n
}

// sql STATEMENT changes the bot's database as somebody who can write to it would.
func runSQL(ts *testscript.TestScript, _ bool, args []string) {
	db, _ := behind(ts)
	defer db.Close()
	if execute(ts, db, args[0]) == 0 {
		ts.Fatalf("%s changed nothing", args[0])
	}
}

// edit COLUMN OLD NEW WHERE replaces bytes in the stored records.
func edit(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 4 {
		ts.Fatalf("usage: edit COLUMN OLD NEW WHERE")
	}
	db, onServer := behind(ts)
	defer db.Close()
	statement := `UPDATE records SET %[1]s = CAST(replace(CAST(%[1]s AS TEXT), $1, $2) AS BLOB) WHERE %[2]s`
	if onServer {
		statement = `UPDATE records SET %[1]s = convert_to(replace(convert_from(%[1]s, 'UTF8'), $1, $2), 'UTF8') WHERE %[2]s`
	}
	if execute(ts, db, fmt.Sprintf(statement, args[0], args[3]), args[1], args[2]) == 0 {
		ts.Fatalf("nothing is where %s", args[3])
	}
}

// tableNames lists the tables of the script's schema.
func tableNames(ts *testscript.TestScript, db *sql.DB) (names []string) {
	rows, err := db.Query(`SELECT table_name FROM information_schema.tables WHERE table_schema = current_schema() AND table_name NOT LIKE 'kept\_%' ORDER BY 1`)
	ts.Check(err)
	defer rows.Close()
	for rows.Next() {
		var name string
		ts.Check(rows.Scan(&name))
		names = append(names, name)
	}
	ts.Check(rows.Err())
	return names
}

// set-aside keeps a copy of the database, while no bot runs; put-back brings
// that copy back.
func setAside(ts *testscript.TestScript, _ bool, _ []string) {
	db, onServer := behind(ts)
	defer db.Close()
	if !onServer {
		copyFiles(ts, "quarterdeck.db", "kept.db")
		return
	}
	for _, name := range tableNames(ts, db) {
		execute(ts, db, fmt.Sprintf("CREATE TABLE kept_%[1]s AS TABLE %[1]s", name))
	}
}

func putBack(ts *testscript.TestScript, _ bool, _ []string) {
	db, onServer := behind(ts)
	defer db.Close()
	if !onServer {
		copyFiles(ts, "kept.db", "quarterdeck.db")
		return
	}
	for _, name := range tableNames(ts, db) {
		execute(ts, db, "TRUNCATE "+name)
		execute(ts, db, fmt.Sprintf("INSERT INTO %[1]s OVERRIDING SYSTEM VALUE SELECT * FROM kept_%[1]s", name))
	}
}

// copyFiles copies a database that nobody has open.
func copyFiles(ts *testscript.TestScript, from, to string) {
	for _, rest := range []string{"", "-wal", "-shm"} {
		raw, err := os.ReadFile(ts.MkAbs(from + rest))
		if os.IsNotExist(err) {
			_ = os.Remove(ts.MkAbs(to + rest)) // may not be there either
			continue
		}
		ts.Check(err)
		ts.Check(os.WriteFile(ts.MkAbs(to+rest), raw, 0o600))
	}
}

// bytesIn counts the rows of the database on the server that hold text.
func bytesIn(ts *testscript.TestScript, db *sql.DB, text string) (found int) {
	for _, name := range tableNames(ts, db) {
		rows, err := db.Query(`SELECT column_name, data_type FROM information_schema.columns
			WHERE table_schema = current_schema() AND table_name = $1 AND data_type IN ('bytea', 'text')`, name)
		ts.Check(err)
		var where []string
		for rows.Next() {
			var column, kind string
			ts.Check(rows.Scan(&column, &kind))
			if kind == "text" {
				column = "convert_to(" + column + ", 'UTF8')"
			}
			where = append(where, "position($1::bytea in "+column+") > 0")
		}
		ts.Check(rows.Err())
		if len(where) == 0 {
			continue
		}
		var n int
		ts.Check(db.QueryRow("SELECT count(*) FROM "+name+" WHERE "+strings.Join(where, " OR "), []byte(text)).Scan(&n))
		found += n
	}
	return found
}

// environ gives the environment of the stage's processes.
func (s *stage) environ(more ...string) []string {
	if s.address == "" {
		return append(os.Environ(), more...)
	}
	return append(slices.Concat(os.Environ(), []string{databaseVar + "=" + s.address}), more...)
}

// useServer has the stage's bots keep everything on the server.
func (s *stage) useServer() {
	s.t.Helper()
	address, remove, err := schema()
	if err != nil {
		s.t.Fatal(err)
	}
	s.address = address
	s.t.Cleanup(func() {
		if err := remove(); err != nil {
			s.t.Error(err)
		}
	})
	if err := referDatabase(s.path("config.toml")); err != nil {
		s.t.Fatal(err)
	}
}

// open opens the stage's database beside its bots.
func (s *stage) open(ctx context.Context) (store.Store, error) {
	if s.address == "" {
		return sqlite.Open(ctx, s.path("quarterdeck.db"))
	}
	return postgres.Open(ctx, strings.TrimPrefix(s.address, "postgres:"))
}

// openRuns counts the runs that are not settled.
func (s *stage) openRuns(db store.Store) (n int) {
	s.t.Helper()
	err := db.View(s.t.Context(), func(r store.Reader) error {
		rows, err := r.Runs(bot.RunFilter{Open: true, Limit: 1000})
		n = len(rows)
		return err
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return n
}
