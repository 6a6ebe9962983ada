package sqlite

import (
	"context"
	"fmt"
	"time"

	"quarterdeck/bot"
)

// purge writes the whole database anew without what was removed or replaced,
// and empties the write-ahead log, where older pages lie: after it the bytes
// are in neither file (https://www.sqlite.org/lang_vacuum.html). It needs as
// much free disk again as the database has, and keeps writers waiting.
func purge(ctx context.Context, path string) error {
	// Temporary files hold what is kept alone, and a large database does not
	// fit into memory.
	db, err := connect(path, nil, "mode=rw", "_pragma=synchronous(FULL)", "_pragma=temp_store(FILE)", "_pragma=secure_delete(1)")
	if err != nil {
		return err
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	for {
		if _, err := db.ExecContext(ctx, "VACUUM"); err == nil {
			break
		} else if !isBusy(err) {
			return purgeError(err)
		} else if err := pause(ctx); err != nil {
			return err
		}
	}
	for {
		var busy, log, done int
		if err := db.QueryRowContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)").Scan(&busy, &log, &done); err != nil && !isBusy(err) {
			return purgeError(err)
		} else if err == nil && busy == 0 {
			return nil
		}
		if err := pause(ctx); err != nil {
			return err
		}
	}
}

// pause lets others finish who read or write just now.
func pause(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return &bot.Error{Op: "sqlite.purge", Kind: bot.Unavailable, Err: ctx.Err(),
			Say: "the database was busy all the time; what was replaced may still be in its files"}
	case <-time.After(50 * time.Millisecond):
		return nil
	}
}

func purgeError(err error) error {
	kind, _ := translate(err)
	return &bot.Error{Op: "sqlite.purge", Kind: kind, Say: "the database could not be written anew; what was replaced may still be in its files", Err: fmt.Errorf("sqlite: %w", err)}
}
