// Package sqlstore implements store.Store over database/sql, once for every
// database: the SQL text, the group commit and the checks are the same, and a
// Dialect says where databases differ. The adapters open connections, create
// the tables and translate their driver's errors.
//
// The tables are records, runs, documents, inbox, outbox and counters. Times
// are whole microseconds since 1970 in UTC, truth values are 0 and 1, and an
// empty search field of a record is NULL, so that partial indexes leave it out.
package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/store"
)

// Dialect is what differs between databases. It is read only once given to New.
type Dialect struct {
	// Name is the database's name, for the operator's errors: "sqlite".
	Name string
	// Placeholder gives the text of the n-th parameter, counted from 1; nil
	// means "?" for all.
	Placeholder func(n int) string
	// BeginWrite opens a write transaction and takes the one lock that every
	// writer of every process takes, before anything is read: the end of the
	// chain read afterwards is the end until the commit.
	BeginWrite []string
	// Began, when set, is given the row that the last of BeginWrite gave, and
	// this machine's clock before and after. It gives the transaction's mark, by
	// which Committed knows it, or why nothing may be written.
	Began func(row []any, before, after time.Time) (mark string, err error)
	// Committed, when set, finds out on a fresh connection of db what became of
	// a transaction whose commit got no answer, within a bounded time. An error
	// says that it cannot.
	Committed func(ctx context.Context, db *sql.DB, mark string) (bool, error)
	// Allowance is what store.Clocked gives: how far the clocks of two processes
	// can be apart that Began lets write.
	Allowance time.Duration
	// Turn, when set, is called before BeginWrite and waits, for a bounded
	// time, until it is this process's turn among those that write; done is
	// called once BeginWrite has the lock or failed.
	Turn func() (done func())
	// BeginRead opens a transaction in which every read sees one snapshot.
	BeginRead []string
	// Patience bounds one write transaction; zero leaves the bound to the
	// driver, for a database in the same process.
	Patience time.Duration
	// Translate gives the kind and the sentence for a driver's error.
	Translate func(err error) (kind bot.Kind, say string)
	// Lost, when set, reports whether an error means that the connection is
	// gone. A transaction that could not be begun on a kept connection for that
	// is begun on a fresh one; a commit whose answer was lost is said to be
	// uncertain. Nil is for a database in the same process.
	Lost func(err error) bool
}

// lost is Lost, which may be nil.
func (d *Dialect) lost(err error) bool { return err != nil && d.Lost != nil && d.Lost(err) }

// unanswered reports whether a COMMIT that failed with err may have been
// carried out all the same.
func (d *Dialect) unanswered(err error) bool {
	return d.Lost != nil && (errors.Is(err, context.DeadlineExceeded) || d.Lost(err))
}

// uncertain says that nobody can say whether a COMMIT that failed with err was
// carried out; why is why that could not be found out.
func (d *Dialect) uncertain(err, why error) error {
	kind := bot.Unavailable
	if errors.Is(err, context.DeadlineExceeded) {
		kind = bot.Timeout
	}
	return &bot.Error{Op: "store.commit", Kind: kind, Err: fmt.Errorf("%s: %w: %w", d.Name, store.ErrUncertain, errors.Join(err, why)),
		Say: "the database was lost while the change was being written; it may or may not have been made"}
}

// text gives a statement with this database's placeholders. The statements of
// this package hold no question mark but placeholders.
func (d *Dialect) text(q string) string {
	if d.Placeholder == nil {
		return q
	}
	var b strings.Builder
	n := 0
	for {
		before, after, found := strings.Cut(q, "?")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		n++
		b.WriteString(d.Placeholder(n))
		q = after
	}
}
