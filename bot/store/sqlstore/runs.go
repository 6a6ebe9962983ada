package sqlstore

import (
	"database/sql"
	"errors"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/store"
)

const runColumns = `number, rev, state, target, person, slot, holds, owner, lease, wake_at, body, created`

const (
	readRun = `SELECT ` + runColumns + ` FROM runs WHERE number = ?`

	// open, holds and ordered stand as literals wherever an index covers only
	// those rows, so that the planner can prove that it serves.
	readRunsDue = `SELECT ` + runColumns + ` FROM runs WHERE open = 1 AND wake_at <= ? AND (owner = '' OR lease <= ?)
		ORDER BY wake_at, number LIMIT ?`

	readNextWake = `SELECT MIN(CASE WHEN owner <> '' AND lease > wake_at THEN lease ELSE wake_at END)
		FROM runs WHERE open = 1 AND wake_at IS NOT NULL`

	readHolder = `SELECT ` + runColumns + ` FROM runs WHERE slot = ? AND holds = 1`

	takeNumber = `UPDATE counters SET value = value + 1 WHERE name = 'run'`

	readNumber = `SELECT value FROM counters WHERE name = 'run'`

	insertRun = `INSERT INTO runs (` + runColumns + `, open) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (number) DO NOTHING`

	updateRun = `UPDATE runs SET rev = ?, state = ?, target = ?, person = ?, slot = ?, holds = ?, owner = ?, lease = ?,
		wake_at = ?, body = ?, created = ?, open = ? WHERE number = ? AND rev = ?`
)

// Run implements store.Reader.
func (r *reader) Run(number int64) (store.RunRow, bool, error) {
	return r.run("store.run", readRun, number)
}

// SlotHolder implements store.Reader.
func (r *reader) SlotHolder(slot string) (store.RunRow, bool, error) {
	return r.run("store.slot", readHolder, slot)
}

func (r *reader) run(op, q string, args ...any) (store.RunRow, bool, error) {
	list, err := r.runs(op, q, args)
	if err != nil || len(list) == 0 {
		return store.RunRow{}, false, err
	}
	return list[0], true, nil
}

// Runs implements store.Reader.
func (r *reader) Runs(f bot.RunFilter) ([]store.RunRow, error) {
	var where conditions
	if f.Target != (bot.Target{}) {
		where.add("target = ?", f.Target.String())
	}
	switch {
	case f.State == "" && f.Open:
		where.add("open = 1")
	case f.State.Settled() && f.State != "" && f.Open:
		return nil, r.usable()
	case f.State != "":
		where.add("state = ?", string(f.State))
	}
	return r.runs("store.runs", `SELECT `+runColumns+` FROM runs`+where.text+` ORDER BY number DESC LIMIT ?`,
		append(where.args, limitOf(f.Limit)))
}

// RunsDue implements store.Reader.
func (r *reader) RunsDue(now time.Time, limit int) ([]store.RunRow, error) {
	if limit <= 0 {
		return nil, r.usable()
	}
	return r.runs("store.due", readRunsDue, []any{micros(now), micros(now), int64(limit)})
}

// NextWake implements store.Reader.
func (r *reader) NextWake() (time.Time, bool, error) { return r.earliest("store.wake", readNextWake) }

// earliest reads one time, which may be NULL.
func (r *reader) earliest(op, q string) (time.Time, bool, error) {
	var at sql.NullInt64
	if _, err := r.one(op, q, nil, []any{&at}); err != nil || !at.Valid {
		return time.Time{}, false, err
	}
	return instant(at.Int64), true, nil
}

func (r *reader) runs(op, q string, args []any) (list []store.RunRow, err error) {
	var (
		state                 string
		holds, lease, created int64
		wake                  sql.NullInt64
	)
	err = r.each(op, q, args, func(rows *sql.Rows) error {
		var row store.RunRow
		var body []byte
		if err := rows.Scan(&row.Number, &row.Rev, &state, &row.Target, &row.Person, &row.Slot, &holds,
			&row.Owner, &lease, &wake, &body, &created); err != nil {
			return err
		}
		row.State, row.Holds, row.Body = bot.RunState(state), holds == 1, body
		row.Lease, row.Created = instant(lease), instant(created)
		if wake.Valid {
			row.WakeAt = instant(wake.Int64)
		}
		list = append(list, row)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}

// NextRun implements store.Tx.
func (t *tx) NextRun() (int64, error) {
	n, err := t.exec("store.number", takeNumber)
	if err != nil {
		return 0, err
	}
	var number int64
	found, err := t.one("store.number", readNumber, nil, []any{&number})
	if err == nil && (n != 1 || !found) {
		err = t.fail("store.number", errors.New("the counter of run numbers is missing"))
	}
	return number, err
}

// PutRun implements store.Tx.
func (t *tx) PutRun(r store.RunRow) (rev int64, err error) {
	const op = "store.put run"
	if r.Number <= 0 {
		return 0, &bot.Error{Op: op, Kind: bot.Invalid, Say: "a run is numbered from 1 on"}
	}
	if r.Holds {
		// Asked first, and not left to the unique index, because some
		// databases end the transaction on the index's error.
		holder, found, err := t.SlotHolder(r.Slot)
		if err != nil {
			return 0, err
		}
		if found && holder.Number != r.Number {
			return 0, bot.Errorf(bot.Conflict, "#%d is under way for %s", holder.Number, r.Slot)
		}
	}
	var wake any
	if !r.WakeAt.IsZero() {
		wake = micros(r.WakeAt)
	}
	rev = r.Rev + 1
	open := flag(!r.State.Settled())
	var n int64
	if r.Rev == 0 {
		n, err = t.exec(op, insertRun, r.Number, rev, string(r.State), r.Target, r.Person, r.Slot, flag(r.Holds),
			r.Owner, micros(r.Lease), wake, blob(r.Body), micros(r.Created), open)
	} else {
		n, err = t.exec(op, updateRun, rev, string(r.State), r.Target, r.Person, r.Slot, flag(r.Holds),
			r.Owner, micros(r.Lease), wake, blob(r.Body), micros(r.Created), open, r.Number, r.Rev)
	}
	if err != nil {
		return 0, err
	}
	if n == 0 {
		return 0, bot.Errorf(bot.Conflict, "run #%d was changed by somebody else meanwhile", r.Number)
	}
	return rev, nil
}
