package sqlstore

import (
	"database/sql"
	"encoding/json"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/store"
)

const (
	insertMessage = `INSERT INTO inbox (id, state, received, message) VALUES (?, 'new', ?, ?) ON CONFLICT (id) DO NOTHING`

	// Its key is kept, to know a redelivery by; what it said is in the log.
	finishMessage = `UPDATE inbox SET state = 'done', message = '' WHERE id = ? AND state = 'new'`

	knowsMessage = `SELECT 1 FROM inbox WHERE id = ?`

	forgetMessages = `DELETE FROM inbox WHERE state = 'done' AND received < ?`

	readUnfinished = `SELECT id, state, received, message FROM inbox WHERE state = 'new' ORDER BY received, n LIMIT ?`
)

// Unfinished implements store.Reader.
func (r *reader) Unfinished(limit int) (list []store.Inbound, err error) {
	if limit <= 0 {
		return nil, r.usable()
	}
	err = r.each("store.unfinished", readUnfinished, []any{int64(limit)}, func(rows *sql.Rows) error {
		var in store.Inbound
		var state string
		var received int64
		var message []byte
		if err := rows.Scan(&in.ID, &state, &received, &message); err != nil {
			return err
		}
		in.State, in.Received = store.InboxState(state), instant(received)
		if err := json.Unmarshal(message, &in.Message); err != nil {
			return err
		}
		list = append(list, in)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}

// Receive implements store.Tx.
func (t *tx) Receive(m bot.Message) (fresh bool, err error) {
	const op = "store.receive"
	if m.ID == "" {
		return false, &bot.Error{Op: op, Kind: bot.Invalid, Say: "a message without a delivery key cannot be told from its repetition"}
	}
	body, err := json.Marshal(m)
	if err != nil {
		return false, &bot.Error{Op: op, Kind: bot.Invalid, Say: "the message cannot be stored", Err: err}
	}
	n, err := t.exec(op, insertMessage, m.ID, micros(m.Received), body)
	return n == 1, err
}

// Finish implements store.Tx. A message that was never received, or was
// forgotten, gives an Error of kind NotFound.
func (t *tx) Finish(id string) (done bool, err error) {
	const op = "store.finish"
	n, err := t.exec(op, finishMessage, id)
	if err != nil || n == 1 {
		return n == 1, err
	}
	var known int64
	found, err := t.one(op, knowsMessage, []any{id}, []any{&known})
	if err == nil && !found {
		err = &bot.Error{Op: op, Kind: bot.NotFound, Say: "the message was not received, so nothing can answer it"}
	}
	return false, err
}

// Forget implements store.Tx.
func (t *tx) Forget(before time.Time) error {
	_, err := t.exec("store.forget", forgetMessages, micros(before))
	return err
}
