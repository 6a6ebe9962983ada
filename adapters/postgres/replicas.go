package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"quarterdeck/bot"
)

// maxSkew is how far this machine's clock may be from the database's. Leases
// are times, so a process whose clock is further off would act on one that
// others take for ended; it must not write.
const maxSkew = time.Second

// lockWriter takes the lock of all writers. What it gives beside is the
// database's clock, the transaction's number and the timeline of the server's
// log, which changes when a standby takes over.
const lockWriter = `SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint, pg_current_xact_id()::text,
	left(pg_walfile_name(pg_current_wal_lsn()), 8) FROM counters WHERE name = 'writer' FOR UPDATE`

// began implements sqlstore.Dialect. The database read its clock at some time
// between before and after, however long the lock was waited for.
func began(row []any, before, after time.Time) (mark string, err error) {
	if len(row) != 3 {
		return "", &bot.Error{Op: "postgres.begin", Kind: bot.Unavailable, Say: "the database is damaged: its table of counters lacks a row; restore it from a backup"}
	}
	us, isTime := row[0].(int64)
	number, isNumber := row[1].(string)
	timeline, isTimeline := row[2].(string)
	if !isTime || !isNumber || !isTimeline {
		return "", fmt.Errorf("the lock of the writers gives %T, %T, %T", row[0], row[1], row[2])
	}
	// Without the monotonic clocks, which leave out what the machine slept.
	if off := skew(time.UnixMicro(us), before.Round(0), after.Round(0)); off.Abs() > maxSkew {
		say := "behind"
		if off > 0 {
			say = "ahead of"
		}
		return "", &bot.Error{Op: "postgres.begin", Kind: bot.Unavailable,
			Say: fmt.Sprintf("this machine's clock is %s %s the database's, and replicas need them to agree; mend the clock (NTP); nothing was changed",
				off.Abs().Round(100*time.Millisecond), say)}
	}
	return timeline + " " + number, nil
}

// skew gives how far this machine's clock is ahead of the database's at least,
// negative when it is behind. The database's was read between before and after.
func skew(database, before, after time.Time) time.Duration {
	if ahead := before.Sub(database); ahead > 0 {
		return ahead
	}
	return min(after.Sub(database), 0)
}

// committed implements sqlstore.Dialect: it asks the server, for as long as
// within, what became of a transaction.
func committed(ctx context.Context, db *sql.DB, mark string, within time.Duration) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	timeline, number, _ := strings.Cut(mark, " ")
	pause := time.NewTicker(50 * time.Millisecond)
	defer pause.Stop()
	for {
		var status, now sql.NullString
		err := db.QueryRowContext(ctx, `SELECT pg_xact_status($1::text::xid8), left(pg_walfile_name(pg_current_wal_lsn()), 8)`, number).Scan(&status, &now)
		switch {
		case err != nil:
		case now.String != timeline:
			return false, errors.New("another server has taken over, which may have given the transaction's number anew")
		case status.String == "committed":
			return true, nil
		case status.String == "aborted":
			return false, nil
		case !status.Valid:
			return false, errors.New("the server has forgotten the transaction")
		}
		select { // under way still, or not to be asked
		case <-ctx.Done():
			return false, errors.Join(ctx.Err(), err)
		case <-pause.C:
		}
	}
}
