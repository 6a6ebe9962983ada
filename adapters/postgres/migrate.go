package postgres

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"embed"
	"errors"
	"fmt"
	"io/fs"

	"github.com/pressly/goose/v3"

	"quarterdeck/bot"
)

// migrations are the steps that the tables were brought up by, one for each
// release that changed them at most. A step only expands, as package sqlite says
// of its own: the release before goes on working on what this one made.
//
//go:embed migrations/*.sql
var migrations embed.FS

// versionTable is goose's own, under a name that no other program's goose uses.
const versionTable = "quarterdeck_version"

// lockNumber tells the lock under which the tables of a schema are brought up to
// date from other programs' in the same database.
const lockNumber = 0x51444b // "QDK"

// takeTurn waits until this is the one process of all that may change the
// tables. The turn ends with its connection, whatever becomes of the process.
// goose's own locker is not used: goose makes its table before it locks.
func takeTurn(ctx context.Context, db *sql.DB) (done func(), err error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := conn.ExecContext(ctx, `SELECT pg_advisory_lock($1, hashtext(coalesce(current_schema(), '')))`, lockNumber); err != nil {
		conn.Close()
		return nil, err
	}
	return func() {
		conn.Raw(func(any) error { return driver.ErrBadConn }) // closes it, and so gives up the lock
		conn.Close()
	}, nil
}

// migrate brings the tables up to date. Each step is one transaction; of
// several processes that open a new database at once one does each step, and
// the others find it done.
func migrate(ctx context.Context, db *sql.DB) error {
	at, err := version(ctx, db)
	if err != nil {
		return err
	}
	folder, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	p, err := goose.NewProvider(goose.DialectPostgres, db, folder, goose.WithTableName(versionTable),
		goose.WithDisableGlobalRegistry(true), goose.WithLogger(goose.NopLogger()))
	if err != nil {
		return err
	}
	sources := p.ListSources()
	newest := sources[len(sources)-1].Version
	if at < newest {
		done, err := takeTurn(ctx, db)
		if err != nil {
			return err
		}
		defer done()
		if _, err := p.Up(ctx); err != nil {
			return fmt.Errorf("bring the tables up to date: %w", err)
		}
		if at, err = version(ctx, db); err != nil {
			return err
		}
	}
	switch {
	case at > newest+1: // one step newer is what the next release made
		return &bot.Error{Op: "postgres.open", Kind: bot.Invalid,
			Say: fmt.Sprintf("the database has version %d, this program works on up to %d; use the newer program that wrote it", at, newest+1)}
	case at < newest:
		return fmt.Errorf("the tables have version %d after they were brought up to %d", at, newest)
	}
	// Without its row nobody would wait for anybody.
	var rows int
	if err := db.QueryRowContext(ctx, `SELECT count(*) FROM counters WHERE name IN ('run', 'writer')`).Scan(&rows); err != nil {
		return err
	}
	if rows != 2 {
		return &bot.Error{Op: "postgres.open", Kind: bot.Unavailable, Say: "the database is damaged: its table of counters lacks a row; restore it from a backup",
			Err: errors.New("counters needs the rows run and writer")}
	}
	return nil
}

// version gives the newest step applied, 0 for a new database.
func version(ctx context.Context, db *sql.DB) (at int64, err error) {
	var there bool
	if err := db.QueryRowContext(ctx, `SELECT to_regclass('`+versionTable+`') IS NOT NULL`).Scan(&there); err != nil || !there {
		return 0, err
	}
	err = db.QueryRowContext(ctx, `SELECT coalesce(max(version_id), 0) FROM `+versionTable+` WHERE is_applied`).Scan(&at)
	return at, err
}
