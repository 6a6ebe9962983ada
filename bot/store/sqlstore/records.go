package sqlstore

import (
	"database/sql"
	"encoding/json"

	"quarterdeck/bot"
	"quarterdeck/bot/store"
)

const recordColumns = `seq, at, kind, run, target, person, body, hash, text, latest`

const (
	readHead = `SELECT seq, hash, latest FROM records ORDER BY seq DESC LIMIT 1`

	readRecord = `SELECT ` + recordColumns + ` FROM records WHERE seq = ?`

	readRecordsFrom = `SELECT ` + recordColumns + ` FROM records WHERE seq >= ? ORDER BY seq LIMIT ?`

	writeRecord = `INSERT INTO records (` + recordColumns + `) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`

	dropRecords = `DELETE FROM records WHERE seq <= ?`

	writeText = `UPDATE records SET text = ? WHERE seq = ?`
)

// ending is the end of the chain as the write transaction sees it. It is read
// once under the writers' lock and kept up from there.
type ending struct {
	known  bool
	head   store.Head
	latest int64 // the greatest time of all records, in microseconds
}

func (r *reader) readEnding() (e ending, err error) {
	var seq, latest int64
	var hash string
	found, err := r.one("store.head", readHead, nil, []any{&seq, &hash, &latest})
	if err != nil {
		return ending{}, err
	}
	e.known = true
	if found {
		e.head, e.latest = store.Head{Seq: seq, Hash: hash}, latest
	}
	return e, nil
}

// Head implements store.Reader.
func (r *reader) Head() (store.Head, error) {
	e, err := r.readEnding()
	return e.head, err
}

// Head implements store.Reader.
func (t *tx) Head() (store.Head, error) {
	if err := t.usable(); err != nil {
		return store.Head{}, err
	}
	if !t.end.known {
		e, err := t.readEnding()
		if err != nil {
			return store.Head{}, err
		}
		*t.end = e
	}
	return t.end.head, nil
}

// Append implements store.Tx.
func (t *tx) Append(s store.Sealed) error {
	head, err := t.Head()
	if err != nil {
		return err
	}
	if s.Seq != head.Seq+1 {
		return &bot.Error{Op: "store.append", Kind: bot.Conflict,
			Say: bot.Errorf(bot.Conflict, "the next record of the log is %d, not %d", head.Seq+1, s.Seq).Say}
	}
	at := micros(s.At)
	latest := at
	if head.Seq > 0 {
		latest = max(latest, t.end.latest)
	}
	_, err = t.exec("store.append", writeRecord, s.Seq, at, string(s.Kind), orNull(s.Run),
		orNull(s.Target), orNull(s.Person), blob(s.Body), s.Hash, []byte(s.Text), latest)
	if err != nil {
		return err
	}
	t.end.head, t.end.latest = store.Head{Seq: s.Seq, Hash: s.Hash}, latest
	return nil
}

// SetText implements store.Tx.
func (t *tx) SetText(seq int64, text json.RawMessage) error {
	n, err := t.exec("store.text", writeText, []byte(text), seq)
	if err == nil && n == 0 {
		return bot.Errorf(bot.Conflict, "the log has no record %d", seq)
	}
	return err
}

// RemoveRecords implements store.Tx.
func (t *tx) RemoveRecords(through int64) (int64, error) {
	head, err := t.Head()
	if err != nil {
		return 0, err
	}
	if through >= head.Seq {
		return 0, &bot.Error{Op: "store.remove records", Kind: bot.Conflict,
			Say: bot.Errorf(bot.Conflict, "record %d is the last one of the log; it stays", head.Seq).Say}
	}
	return t.exec("store.remove records", dropRecords, through)
}

// Record implements store.Reader.
func (r *reader) Record(seq int64) (s store.Sealed, found bool, err error) {
	list, err := r.records("store.record", readRecord, []any{seq})
	if err != nil || len(list) == 0 {
		return store.Sealed{}, false, err
	}
	return list[0], true, nil
}

// Records implements store.Reader. The records of a run are few and have an
// index; the others are found in one that follows the log and holds what is
// searched by, so that no record is read that is not given.
//
// latest never falls from one record to the next, whatever the clocks of
// several machines do, so its order is the log's, and a record made at or after
// a time has a latest at or after it.
func (r *reader) Records(f bot.RecordFilter) ([]store.Sealed, error) {
	var where conditions
	if f.Run != 0 {
		where.add("run = ?", f.Run)
	} else {
		where.add("latest >= ?", micros(f.Since))
	}
	if f.Person != "" {
		where.add("person = ?", f.Person)
	}
	if f.Target != "" {
		where.add("target = ?", f.Target)
	}
	if f.Kind != "" {
		where.add("kind = ?", string(f.Kind))
	}
	if !f.Since.IsZero() {
		where.add("at >= ?", micros(f.Since))
	}
	where.args = append(where.args, limitOf(f.Limit))
	if f.Run != 0 {
		return r.records("store.records", `SELECT `+recordColumns+` FROM records`+where.text+` ORDER BY seq DESC LIMIT ?`, where.args)
	}
	return r.records("store.records", `SELECT `+recordColumns+` FROM records WHERE seq IN (SELECT seq FROM records`+where.text+
		` ORDER BY latest DESC, seq DESC LIMIT ?) ORDER BY seq DESC`, where.args)
}

// RecordsFrom implements store.Reader.
func (r *reader) RecordsFrom(seq int64, limit int) ([]store.Sealed, error) {
	if limit <= 0 {
		return nil, r.usable()
	}
	return r.records("store.records", readRecordsFrom, []any{seq, int64(limit)})
}

func (r *reader) records(op, q string, args []any) (list []store.Sealed, err error) {
	var (
		at, latest     int64
		kind           string
		run            sql.NullInt64
		target, person sql.NullString
		text           []byte
	)
	err = r.each(op, q, args, func(rows *sql.Rows) error {
		var s store.Sealed
		text = nil
		if err := rows.Scan(&s.Seq, &at, &kind, &run, &target, &person, &s.Body, &s.Hash, &text, &latest); err != nil {
			return err
		}
		s.Latest = instant(latest)
		s.At, s.Kind, s.Run = instant(at), bot.RecordKind(kind), run.Int64
		s.Target, s.Person = target.String, person.String
		if len(text) > 0 {
			s.Text = text
		}
		list = append(list, s)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}
