package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"strings"
)

// reader implements store.Reader within one transaction of a session.
type reader struct {
	ctx     context.Context
	s       *session
	failure error // the first error of the database, after which nothing more is tried
	wrote   bool  // something was written, or may have been
	over    bool
}

// usable says whether the transaction may still be used.
func (r *reader) usable() error {
	if r.over {
		return errOver()
	}
	return r.failure
}

// fail notes that the database failed, so that nothing of this function is
// committed even if it swallows the error.
func (r *reader) fail(op string, err error) error {
	err = translate(r.s.dialect, op, err)
	if r.failure == nil {
		r.failure = err
	}
	return err
}

func (r *reader) exec(op, q string, args ...any) (affected int64, err error) {
	if err := r.usable(); err != nil {
		return 0, err
	}
	r.wrote = true
	res, err := r.s.exec(r.ctx, q, args...)
	if err == nil {
		affected, err = res.RowsAffected()
	}
	if err != nil {
		return 0, r.fail(op, err)
	}
	return affected, nil
}

// one reads the only row of q, or found false.
func (r *reader) one(op, q string, args, into []any) (found bool, err error) {
	err = r.each(op, q, args, func(rows *sql.Rows) error {
		found = true
		return rows.Scan(into...)
	})
	return found, err
}

// each calls f on every row of q.
func (r *reader) each(op, q string, args []any, f func(rows *sql.Rows) error) error {
	if err := r.usable(); err != nil {
		return err
	}
	r.wrote = r.wrote || !strings.HasPrefix(q, "SELECT")
	rows, err := r.s.query(r.ctx, q, args...)
	if err != nil {
		return r.fail(op, err)
	}
	for rows.Next() {
		if err := f(rows); err != nil {
			rows.Close()
			return r.fail(op, err)
		}
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return r.fail(op, err)
	}
	return nil
}

// conditions collects the parts of a WHERE clause and their arguments.
type conditions struct {
	text string
	args []any
}

func (c *conditions) add(text string, args ...any) {
	if c.text == "" {
		c.text = " WHERE " + text
	} else {
		c.text += " AND " + text
	}
	c.args = append(c.args, args...)
}

// listed is how many entries a filter without a limit gives.
const listed = 20

func limitOf(n int) int64 {
	if n <= 0 {
		return listed
	}
	return int64(n)
}

// tx implements store.Tx for one function within a batch.
type tx struct {
	reader
	end *ending // shared by the batch; the writer puts it back when a function fails
}
