package sqlstore

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"
	"strings"

	"quarterdeck/bot"
	"quarterdeck/bot/store"
)

// shelf says how the values of one shelf are read and replaced. All but
// documents are found by a whole number.
type shelf struct {
	read    string
	rewrite string
}

var shelves = map[store.Shelf]shelf{
	store.RunShelf: {`SELECT number, body FROM runs WHERE number > ? ORDER BY number LIMIT ?`,
		`UPDATE runs SET body = ?, rev = rev + 1 WHERE number = ? AND body = ?`},
	store.InboxShelf: {`SELECT n, message FROM inbox WHERE n > ? ORDER BY n LIMIT ?`,
		`UPDATE inbox SET message = ? WHERE n = ? AND message = ?`},
	store.OutboxShelf: {`SELECT id, card FROM outbox WHERE id > ? ORDER BY id LIMIT ?`,
		`UPDATE outbox SET card = ? WHERE id = ? AND card = ?`},
}

const (
	readBodies = `SELECT kind, id, body FROM documents WHERE (kind, id) > (?, ?) ORDER BY kind, id LIMIT ?`

	rewriteDocument = `UPDATE documents SET body = ?, rev = rev + 1 WHERE kind = ? AND id = ? AND body = ?`
)

// Bodies implements store.Reader.
func (r *reader) Bodies(s store.Shelf, after string, limit int) (list []store.Body, err error) {
	const op = "store.bodies"
	if limit <= 0 {
		return nil, r.usable()
	}
	if s == store.DocumentShelf {
		kind, id, _ := strings.Cut(after, "\n")
		err = r.each(op, readBodies, []any{kind, id, int64(limit)}, func(rows *sql.Rows) error {
			b := store.Body{Shelf: s}
			if err := rows.Scan(&kind, &id, &b.Value); err != nil {
				return err
			}
			b.ID = kind + "\n" + id
			list = append(list, b)
			return nil
		})
		return list, err
	}
	var last int64
	if after != "" {
		if last, err = strconv.ParseInt(after, 10, 64); err != nil {
			return nil, noPlace(op, s, after)
		}
	}
	how, known := shelves[s]
	if !known {
		return nil, noPlace(op, s, after)
	}
	err = r.each(op, how.read, []any{last, int64(limit)}, func(rows *sql.Rows) error {
		b := store.Body{Shelf: s}
		if err := rows.Scan(&last, &b.Value); err != nil {
			return err
		}
		b.ID = strconv.FormatInt(last, 10)
		list = append(list, b)
		return nil
	})
	return list, err
}

// Rewrite implements store.Tx.
func (t *tx) Rewrite(b store.Body, value []byte) error {
	const op = "store.rewrite"
	var n int64
	var err error
	if b.Shelf == store.DocumentShelf {
		kind, id, _ := strings.Cut(b.ID, "\n")
		n, err = t.exec(op, rewriteDocument, blob(value), kind, id, blob(b.Value))
	} else {
		how, known := shelves[b.Shelf]
		number, bad := strconv.ParseInt(b.ID, 10, 64)
		if !known || bad != nil {
			return noPlace(op, b.Shelf, b.ID)
		}
		n, err = t.exec(op, how.rewrite, blob(value), number, blob(b.Value))
	}
	if err == nil && n == 0 {
		return bot.Errorf(bot.Conflict, "the %s %s was changed by somebody else meanwhile", b.Shelf, strings.ReplaceAll(b.ID, "\n", " "))
	}
	return err
}

func noPlace(op string, s store.Shelf, id string) error {
	return &bot.Error{Op: op, Kind: bot.Invalid, Say: fmt.Sprintf("nothing is stored on %q at %q", s, id)}
}

// Purge implements store.Purger.
func (s *Store) Purge(ctx context.Context) error {
	if s.purge == nil {
		return &bot.Error{Op: "store.purge", Kind: bot.Unavailable, Say: "this database was opened for reading only; nothing was taken out of its files"}
	}
	return s.purge(ctx)
}
