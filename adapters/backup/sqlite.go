package backupprovider

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	_ "modernc.org/sqlite" // the driver named "sqlite"

	"quarterdeck/bot"
)

// sqliteFile is a copy of an SQLite database. It is opened read-only and without
// trusting what its schema names, for it may come from anybody.
type sqliteFile struct {
	path string
	db   *sql.DB
}

// askWithin bounds one question.
const askWithin = 10 * time.Minute

func openSQLite(path string) (*sql.DB, error) {
	q := url.Values{"mode": {"ro"}, "immutable": {"1"},
		"_pragma": {"trusted_schema(0)", "cell_size_check(1)", "query_only(1)", "busy_timeout(2000)"}}
	dsn := url.URL{Scheme: "file", Path: filepath.ToSlash(path), RawQuery: q.Encode()}
	db, err := sql.Open("sqlite", dsn.String())
	if err == nil {
		db.SetMaxOpenConns(1)
	}
	return db, err
}

func (s *sqliteFile) engine(ctx context.Context) (string, []string, error) {
	db, err := sql.Open("sqlite", ":memory:")
	if err != nil {
		return "", nil, err
	}
	var version string
	err = db.QueryRowContext(ctx, "SELECT sqlite_version()").Scan(&version)
	if err = errors.Join(err, db.Close()); err != nil {
		return "", nil, err
	}
	return "SQLite " + version, []string{"SQLite " + version}, nil
}

func (s *sqliteFile) restore(ctx context.Context) (string, error) {
	db, err := openSQLite(s.path)
	if err != nil {
		return "", err
	}
	s.db = db
	var pages int64
	if err := db.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_schema").Scan(&pages); err != nil {
		return "", sqliteError("it does not open", err)
	}
	return "it opens", nil
}

func sqliteError(say string, err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	e := bot.Errorf(bot.Conflict, "%s: SQLite says: %s", say, clean(err.Error(), maxSaid))
	e.Err = err
	return e
}

func (s *sqliteFile) verify(ctx context.Context) (string, error) {
	rows, err := s.ask(ctx, "PRAGMA integrity_check(5)", 5)
	if err != nil {
		return "", err
	}
	if len(rows) != 1 || len(rows[0]) == 0 || rows[0][0] != "ok" {
		first := "nothing"
		if len(rows) > 0 && len(rows[0]) > 0 {
			first = rows[0][0]
		}
		return "", bot.Errorf(bot.Conflict, "its integrity check says: %s", clean(first, maxSaid))
	}
	rows, err = s.ask(ctx, "PRAGMA foreign_key_check", 1)
	if err != nil {
		return "", err
	}
	if len(rows) > 0 && len(rows[0]) >= 3 {
		return "", bot.Errorf(bot.Conflict, "a row of %s refers to one of %s that is not there", clean(rows[0][0], 100), clean(rows[0][2], 100))
	}
	return "integrity and foreign keys checked", nil
}

func (s *sqliteFile) tables(ctx context.Context) (map[string]int64, error) {
	return countTables(ctx, s.db)
}

// countSQLite counts the rows of a database file.
func countSQLite(ctx context.Context, path string) (map[string]int64, error) {
	db, err := openSQLite(path)
	if err != nil {
		return nil, err
	}
	counts, err := countTables(ctx, db)
	return counts, errors.Join(err, db.Close())
}

// maxTables bounds the tables of one database.
const maxTables = 5000

func countTables(ctx context.Context, db *sql.DB) (map[string]int64, error) {
	rows, err := queryAll(ctx, db, `SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\_%' ESCAPE '\' AND sql NOT LIKE 'CREATE VIRTUAL%'`, maxTables+1)
	if err != nil {
		return nil, sqliteError("its tables cannot be listed", err)
	}
	if len(rows) > maxTables {
		return nil, bot.Errorf(bot.Invalid, "it has more than %d tables", maxTables)
	}
	counts := make(map[string]int64, len(rows))
	for _, row := range rows {
		var n int64
		quoted := `"` + strings.ReplaceAll(row[0], `"`, `""`) + `"`
		if err := db.QueryRowContext(ctx, "SELECT count(*) FROM "+quoted).Scan(&n); err != nil {
			return nil, sqliteError("the rows of "+clean(row[0], 100)+" cannot be counted", err)
		}
		counts[row[0]] = n
	}
	return counts, nil
}

func (s *sqliteFile) ask(ctx context.Context, query string, most int) ([][]string, error) {
	rows, err := queryAll(ctx, s.db, query, most)
	if err != nil {
		return nil, sqliteError("it cannot be asked", err)
	}
	return rows, nil
}

func queryAll(ctx context.Context, db *sql.DB, query string, most int) (all [][]string, err error) {
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	rows, err := db.QueryContext(ctx, query)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	columns, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	for rows.Next() && len(all) < most {
		cells := make([]any, len(columns))
		for i := range cells {
			cells[i] = new(any)
		}
		if err := rows.Scan(cells...); err != nil {
			return nil, err
		}
		row := make([]string, len(columns))
		for i, c := range cells {
			row[i] = text(*c.(*any))
		}
		all = append(all, row)
	}
	return all, rows.Err()
}

func text(v any) string {
	switch x := v.(type) {
	case nil:
		return ""
	case []byte:
		return string(x)
	case time.Time:
		return x.UTC().Format(time.RFC3339Nano)
	}
	return fmt.Sprint(v)
}

func (s *sqliteFile) close() {
	if s.db != nil {
		_ = s.db.Close() // it was only read
	}
}
