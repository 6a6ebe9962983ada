package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"

	"github.com/pressly/goose/v3"

	"quarterdeck/bot"
)

// migrations are the steps that the tables were brought up by, one for each
// release that changed them at most. A release must read what the one before it
// left, and during a rolling update the one before goes on working on what the
// new one made. So a step only expands: it adds tables, indexes that are not
// unique, and columns that may be NULL or have a default. It does not rename,
// drop, narrow or give another meaning to anything that the release before reads
// or writes; what is no longer used is dropped one release later. A step that was
// released is never edited.
//
//go:embed migrations/*.sql
var migrations embed.FS

// steps gives the folder of migrations.
func (o opener) steps() (fs.FS, error) {
	if o.migrations != nil {
		return o.migrations, nil
	}
	return fs.Sub(migrations, "migrations")
}

// migrateTries bounds how often a migration is begun again because another
// process was migrating the same file.
const migrateTries = 5

// migrate brings the tables up to date. Each step is one transaction; of
// several processes that open a new file at once one does each step, and the
// others find it done.
func (o opener) migrate(ctx context.Context, db *sql.DB) error {
	folder, err := o.steps()
	if err != nil {
		return openError(err)
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, db, folder, goose.WithDisableGlobalRegistry(true), goose.WithLogger(goose.NopLogger()))
	if err != nil {
		return openError(err)
	}
	sources := p.ListSources()
	newest := sources[len(sources)-1].Version
	for try := 1; ; try++ {
		at, err := version(ctx, db)
		switch {
		case err != nil:
			return openError(err)
		case at > newest+1:
			return errNewer(at, newest)
		case at >= newest: // one step newer is what the next release made
			return nil
		}
		if _, err = p.Up(ctx); err != nil && (try == migrateTries || ctx.Err() != nil) {
			return openError(fmt.Errorf("bring the tables up to date: %w", err))
		}
	}
}

// compatible checks that a database which may not be changed can be read.
func (o opener) compatible(ctx context.Context, db *sql.DB) error {
	folder, err := o.steps()
	if err != nil {
		return openError(err)
	}
	names, err := fs.Glob(folder, "*.sql")
	if err != nil {
		return openError(err)
	}
	at, err := version(ctx, db)
	switch newest := int64(len(names)); {
	case err != nil:
		return openError(err)
	case at > newest+1:
		return errNewer(at, newest)
	case at < 1:
		return &bot.Error{Op: "sqlite.open", Kind: bot.Invalid, Say: "the file holds no log of this program"}
	}
	return nil
}

func errNewer(at, newest int64) error {
	return &bot.Error{Op: "sqlite.open", Kind: bot.Invalid,
		Say: fmt.Sprintf("the database has version %d, this program works on up to %d; use the newer program that wrote it", at, newest+1)}
}

// version gives the newest step applied, 0 for a new file.
func version(ctx context.Context, db *sql.DB) (at int64, err error) {
	var tables int
	if err := db.QueryRowContext(ctx, `SELECT count(*) FROM sqlite_schema WHERE name = 'goose_db_version'`).Scan(&tables); err != nil || tables == 0 {
		return 0, err
	}
	err = db.QueryRowContext(ctx, `SELECT coalesce(max(version_id), 0) FROM goose_db_version WHERE is_applied = 1`).Scan(&at)
	return at, err
}
