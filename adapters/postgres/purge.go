package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"quarterdeck/bot"
)

// purge writes the tables anew without what was removed or replaced. It locks
// each while it does so. The server's write-ahead log, replicas and backups
// keep the old bytes until they are recycled
// (https://www.postgresql.org/docs/current/sql-vacuum.html).
func (o opener) purge(ctx context.Context, c *pgx.ConnConfig) error {
	db := o.pool(c, o.limits.forMigrating(), 1)
	defer db.Close()
	for _, table := range []string{"records", "runs", "documents", "inbox", "outbox"} {
		if _, err := db.ExecContext(ctx, "VACUUM (FULL) "+table); err != nil {
			kind, _ := translate(err)
			return &bot.Error{Op: "postgres.purge", Kind: kind, Err: fmt.Errorf("postgres: vacuum %s: %w", table, err),
				Say: "the tables could not be written anew; what was replaced may still be in the server's files"}
		}
	}
	return nil
}
