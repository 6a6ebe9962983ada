package sqlstore

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"time"

	"quarterdeck/bot"
)

// session is one connection with its prepared statements. It is used by one
// goroutine at a time.
type session struct {
	conn     *sql.Conn
	dialect  *Dialect
	prepared map[string]*sql.Stmt
}

func openSession(ctx context.Context, db *sql.DB, d *Dialect) (*session, error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, translate(d, "store.connect", err)
	}
	return &session{conn: conn, dialect: d, prepared: map[string]*sql.Stmt{}}, nil
}

// statement prepares q on first use. The number of different statements is
// bounded by the filters' fields.
func (s *session) statement(ctx context.Context, q string) (*sql.Stmt, error) {
	if st, ok := s.prepared[q]; ok {
		return st, nil
	}
	st, err := s.conn.PrepareContext(ctx, s.dialect.text(q))
	if err != nil {
		return nil, err
	}
	s.prepared[q] = st
	return st, nil
}

func (s *session) exec(ctx context.Context, q string, args ...any) (sql.Result, error) {
	st, err := s.statement(ctx, q)
	if err != nil {
		return nil, err
	}
	return st.ExecContext(ctx, args...)
}

func (s *session) query(ctx context.Context, q string, args ...any) (*sql.Rows, error) {
	st, err := s.statement(ctx, q)
	if err != nil {
		return nil, err
	}
	return st.QueryContext(ctx, args...)
}

// begin runs the statements that open a transaction and gives the last row that
// the last of them gave, nil for none.
func (s *session) begin(ctx context.Context, statements []string) (row []any, err error) {
	for _, q := range statements {
		st, err := s.statement(ctx, q)
		if err != nil {
			return nil, err
		}
		rows, err := st.QueryContext(ctx)
		if err != nil {
			return nil, err
		}
		// a lock taken by SELECT ... FOR UPDATE is held once its row was read
		if row, err = lastRow(rows); err != nil {
			return nil, err
		}
	}
	return row, nil
}

func lastRow(rows *sql.Rows) (row []any, err error) {
	columns, err := rows.Columns()
	for err == nil && rows.Next() {
		row = make([]any, len(columns))
		into := make([]any, len(columns))
		for i := range row {
			into[i] = &row[i]
		}
		err = rows.Scan(into...)
	}
	return row, errors.Join(err, rows.Err(), rows.Close())
}

// drop ends the connection, and with it whatever transaction it is in.
func (s *session) drop() {
	for _, st := range s.prepared {
		st.Close()
	}
	// ErrBadConn keeps database/sql from using the connection again.
	s.conn.Raw(func(any) error { return driver.ErrBadConn })
	s.conn.Close()
}

// translate makes an Error of a driver's error. Errors of the contexts and
// Errors of our own keep their kind.
func translate(d *Dialect, op string, err error) error {
	var known *bot.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &known):
		return err
	case errors.Is(err, context.DeadlineExceeded):
		return &bot.Error{Op: op, Kind: bot.Timeout, Say: "the database did not answer in time", Err: err}
	case errors.Is(err, context.Canceled):
		return &bot.Error{Op: op, Kind: bot.Unavailable, Say: "the question to the database was called off", Err: err}
	}
	kind, say := d.Translate(err)
	return &bot.Error{Op: op, Kind: kind, Say: say, Err: fmt.Errorf("%s: %w", d.Name, err)}
}

func micros(t time.Time) int64 { return t.UnixMicro() }

func instant(us int64) time.Time { return time.UnixMicro(us).UTC() }

func flag(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// orNull gives nil for the zero value, which is stored as NULL.
func orNull[T comparable](v T) any {
	var zero T
	if v == zero {
		return nil
	}
	return v
}

// blob gives b, or an empty value where it is nil: NULL is for what is absent.
func blob(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}
