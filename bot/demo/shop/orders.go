package shop

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"time"

	"modernc.org/sqlite"
)

const (
	// keptOrders bounds the database: a demo left running over a weekend must
	// not fill a disk.
	keptOrders = 50_000
	pruneEvery = 1_000

	openTimeout = 10 * time.Second
	openRetry   = 25 * time.Millisecond

	sqliteBusy = 5 // SQLITE_BUSY; the low byte of every busy error
)

// order is what a customer asks for.
type order struct {
	Item     string `json:"item"`
	Quantity int    `json:"quantity"`
	Customer string `json:"customer,omitempty"` // for flags that not everybody gets
}

// orders is the database that all instances of one environment share.
type orders struct {
	db *sql.DB
}

// openOrders opens the database at path and, where create is set, makes sure
// that the schema is there.
func openOrders(ctx context.Context, path string, create bool) (*orders, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("locate orders database: %w", err)
	}
	query := url.Values{}
	query.Add("_pragma", "busy_timeout(5000)")
	query.Add("_pragma", "journal_mode(WAL)")
	query.Add("_pragma", "synchronous(NORMAL)")
	query.Set("_txlock", "immediate")
	dsn := url.URL{Scheme: "file", Path: filepath.ToSlash(abs), RawQuery: query.Encode()}
	db, err := sql.Open("sqlite", dsn.String())
	if err != nil {
		return nil, fmt.Errorf("open orders database: %w", err)
	}
	db.SetMaxOpenConns(4)
	o := &orders{db: db}
	if err := o.prepare(ctx, create); err != nil {
		return nil, errors.Join(fmt.Errorf("prepare orders database %s: %w", path, err), db.Close())
	}
	return o, nil
}

// prepare opens the first connection. Instances start side by side, and the
// switch to WAL does not honour the busy timeout, so a busy answer is asked
// again until the others are through.
func (o *orders) prepare(ctx context.Context, create bool) error {
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	retry := time.NewTicker(openRetry)
	defer retry.Stop()
	for {
		err := o.db.PingContext(ctx)
		if err == nil && create {
			err = o.createSchema(ctx)
		}
		var se *sqlite.Error
		if err == nil || !errors.As(err, &se) || se.Code()&0xff != sqliteBusy {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-retry.C:
		}
	}
}

func (o *orders) createSchema(ctx context.Context) error {
	have, err := o.schema(ctx)
	if err != nil || have >= schemaVersion {
		return err
	}
	tx, err := o.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, fmt.Sprintf(`
		CREATE TABLE IF NOT EXISTS orders (
			id        INTEGER PRIMARY KEY AUTOINCREMENT,
			item      TEXT    NOT NULL,
			quantity  INTEGER NOT NULL,
			version   TEXT    NOT NULL,
			placed_at INTEGER NOT NULL -- milliseconds since 1970
		);
		CREATE INDEX IF NOT EXISTS orders_placed_at ON orders (placed_at);
		PRAGMA user_version = %d;`, schemaVersion))
	if err != nil {
		return errors.Join(err, tx.Rollback())
	}
	return tx.Commit()
}

// schema returns the version of the schema that the database has.
func (o *orders) schema(ctx context.Context) (int, error) {
	var v int
	err := o.db.QueryRowContext(ctx, `PRAGMA user_version`).Scan(&v)
	return v, err
}

// add writes one order and returns its number.
func (o *orders) add(ctx context.Context, in order, version string, at time.Time) (int64, error) {
	res, err := o.db.ExecContext(ctx,
		`INSERT INTO orders (item, quantity, version, placed_at) VALUES (?, ?, ?, ?)`,
		in.Item, in.Quantity, version, at.UnixMilli())
	if err != nil {
		return 0, fmt.Errorf("write order: %w", err)
	}
	id, err := res.LastInsertId()
	if err != nil {
		return 0, fmt.Errorf("number order: %w", err)
	}
	if id%pruneEvery == 0 {
		if _, err := o.db.ExecContext(ctx, `DELETE FROM orders WHERE id <= ?`, id-keptOrders); err != nil {
			return 0, fmt.Errorf("prune orders: %w", err)
		}
	}
	return id, nil
}

func (o *orders) count(ctx context.Context) (int64, error) {
	var n int64
	err := o.db.QueryRowContext(ctx, `SELECT count(*) FROM orders`).Scan(&n)
	return n, err
}

// checkDuplicate refuses an order that was placed a moment ago already. It
// reads the recent orders one by one, and that is its defect: in a busy shop
// there are more of them than it is willing to read.
func (o *orders) checkDuplicate(ctx context.Context, now time.Time) error {
	var recent int
	err := o.db.QueryRowContext(ctx, `SELECT count(*) FROM orders WHERE placed_at > ?`,
		now.Add(-duplicateWindow).UnixMilli()).Scan(&recent)
	if err != nil {
		return fmt.Errorf("duplicate check: %w", err)
	}
	if recent > duplicateLimit {
		return fmt.Errorf("duplicate check gave up: %d orders in the last %s, it reads at most %d",
			recent, duplicateWindow, duplicateLimit)
	}
	return nil
}

func (o *orders) close() error { return o.db.Close() }
