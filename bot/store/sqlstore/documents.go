package sqlstore

import (
	"database/sql"
	"unicode/utf8"

	"quarterdeck/bot"
)

const documentColumns = `kind, id, rev, due, body`

const (
	readDocument = `SELECT ` + documentColumns + ` FROM documents WHERE kind = ? AND id = ?`

	insertDocument = `INSERT INTO documents (` + documentColumns + `) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT (kind, id) DO NOTHING`

	updateDocument = `UPDATE documents SET rev = ?, due = ?, body = ? WHERE kind = ? AND id = ? AND rev = ?`

	deleteDocument = `DELETE FROM documents WHERE kind = ? AND id = ?`
)

// Document implements store.Reader.
func (r *reader) Document(kind, id string) (bot.Document, bool, error) {
	list, err := r.documents("store.document", readDocument, []any{kind, id})
	if err != nil || len(list) == 0 {
		return bot.Document{}, false, err
	}
	return list[0], true, nil
}

// Documents implements store.Reader.
func (r *reader) Documents(kind, prefix string, limit int, last bool) ([]bot.Document, error) {
	if limit <= 0 {
		return nil, r.usable()
	}
	var where conditions
	where.add("kind = ?", kind)
	where.add("id >= ?", prefix)
	if bound, ok := after(prefix); ok {
		where.add("id < ?", bound)
	}
	order := " ORDER BY id LIMIT ?"
	if last {
		order = " ORDER BY id DESC LIMIT ?"
	}
	return r.documents("store.documents", `SELECT `+documentColumns+` FROM documents`+where.text+order,
		append(where.args, int64(limit)))
}

// after gives the least text that is greater than every text starting with
// prefix; ok is false when there is none.
func after(prefix string) (bound string, ok bool) {
	for prefix != "" {
		last, size := utf8.DecodeLastRuneInString(prefix)
		prefix = prefix[:len(prefix)-size]
		switch {
		case last == utf8.MaxRune:
			// nothing greater of the same length: the one before must grow
		case last == '\uD7FF':
			return prefix + "\uE000", true // surrogates are no text
		default:
			return prefix + string(last+1), true
		}
	}
	return "", false
}

func (r *reader) documents(op, q string, args []any) (list []bot.Document, err error) {
	err = r.each(op, q, args, func(rows *sql.Rows) error {
		var d bot.Document
		var due int64
		var body []byte
		if err := rows.Scan(&d.Kind, &d.ID, &d.Rev, &due, &body); err != nil {
			return err
		}
		d.Due, d.Body = instant(due), body
		list = append(list, d)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}

// PutDocument implements store.Tx.
func (t *tx) PutDocument(d bot.Document) (rev int64, err error) {
	const op = "store.put document"
	if !utf8.ValidString(d.ID) || !utf8.ValidString(d.Kind) {
		return 0, &bot.Error{Op: op, Kind: bot.Invalid, Say: "a document's name must be UTF-8 text"}
	}
	rev = d.Rev + 1
	var n int64
	if d.Rev == 0 {
		n, err = t.exec(op, insertDocument, d.Kind, d.ID, rev, micros(d.Due), blob(d.Body))
	} else {
		n, err = t.exec(op, updateDocument, rev, micros(d.Due), blob(d.Body), d.Kind, d.ID, d.Rev)
	}
	if err != nil {
		return 0, err
	}
	if n == 0 {
		return 0, bot.Errorf(bot.Conflict, "the %s %s was changed by somebody else meanwhile", d.Kind, d.ID)
	}
	return rev, nil
}

// DeleteDocument implements store.Tx.
func (t *tx) DeleteDocument(kind, id string) error {
	_, err := t.exec("store.delete document", deleteDocument, kind, id)
	return err
}
