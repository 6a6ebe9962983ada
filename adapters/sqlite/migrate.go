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

//go:embed migrations/*.sql
var migrations embed.FS

// migrateTries bounds how often a migration is begun again because another
// process was migrating the same file.
const migrateTries = 5

// migrate brings the tables up to date. Each step is one transaction; of
// several processes that open a new file at once one does each step, and the
// others find it done.
func migrate(ctx context.Context, db *sql.DB) error {
	folder, err := fs.Sub(migrations, "migrations")
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
		case at == newest:
			return nil
		case at > newest:
			return errNewer(at, newest)
		}
		if _, err = p.Up(ctx); err != nil && (try == migrateTries || ctx.Err() != nil) {
			return openError(fmt.Errorf("bring the tables up to date: %w", err))
		}
	}
}

// compatible checks that a database which may not be changed can be read.
func compatible(ctx context.Context, db *sql.DB) error {
	names, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		return openError(err)
	}
	at, err := version(ctx, db)
	switch newest := int64(len(names)); {
	case err != nil:
		return openError(err)
	case at > newest:
		return errNewer(at, newest)
	case at < 1:
		return &bot.Error{Op: "sqlite.open", Kind: bot.Invalid, Say: "the file holds no log of this program"}
	}
	return nil
}

func errNewer(at, newest int64) error {
	return &bot.Error{Op: "sqlite.open", Kind: bot.Invalid,
		Say: fmt.Sprintf("the database has version %d, this program knows up to %d; use the newer program that wrote it", at, newest)}
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
