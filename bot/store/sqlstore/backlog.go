package sqlstore

import (
	"database/sql"
	"math"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/store"
)

const (
	countInbox = `SELECT COUNT(*), MIN(received) FROM inbox WHERE state = 'new'`

	// By halves, because an index covers each.
	countOrdered   = `SELECT COUNT(*) FROM outbox WHERE ordered = 1`
	countUnordered = `SELECT COUNT(*) FROM outbox WHERE ordered = 0`

	// For a session, whose network is the front of its channel. Every card has
	// a time, so the index of those that are due has them all.
	forSession   = `ordered = 0 AND substr(channel, 1, ?) = ?`
	countSession = `SELECT COUNT(*) FROM outbox WHERE next_at > ? AND ` + forSession

	readFirstOutgoing = `SELECT created FROM outbox WHERE id > 0`
	byAge             = ` ORDER BY id LIMIT 1`

	// In one pass and without sorting, however many are open.
	countRuns = `SELECT
		COUNT(CASE WHEN state = 'waiting' THEN 1 END), MIN(CASE WHEN state = 'waiting' THEN created END),
		COUNT(CASE WHEN state = 'queued' THEN 1 END), MIN(CASE WHEN state = 'queued' THEN created END),
		COUNT(CASE WHEN state = 'running' THEN 1 END), MIN(CASE WHEN state = 'running' THEN created END),
		COUNT(CASE WHEN state = 'cancelling' THEN 1 END), MIN(CASE WHEN state = 'cancelling' THEN created END)
		FROM runs WHERE open = 1`
)

// Backlog implements store.Counter.
func (r *reader) Backlog(fleeting ...string) (store.Backlog, error) {
	const op = "store.backlog"
	b := store.Backlog{Runs: map[bot.RunState]store.OpenRuns{}}
	var first sql.NullInt64
	if _, err := r.one(op, countInbox, nil, []any{&b.Inbox, &first}); err != nil {
		return store.Backlog{}, err
	}
	b.InboxOldest = instantOf(first)
	var ordered, unordered int
	if _, err := r.one(op, countOrdered, nil, []any{&ordered}); err != nil {
		return store.Backlog{}, err
	}
	if _, err := r.one(op, countUnordered, nil, []any{&unordered}); err != nil {
		return store.Backlog{}, err
	}
	firstOutgoing, of := readFirstOutgoing, []any(nil)
	for _, network := range fleeting {
		var away int
		name := network + ":"
		if _, err := r.one(op, countSession, []any{int64(math.MinInt64), len(name), name}, []any{&away}); err != nil {
			return store.Backlog{}, err
		}
		b.Away += away
		firstOutgoing, of = firstOutgoing+` AND NOT (`+forSession+`)`, append(of, len(name), name)
	}
	b.Outbox, first = ordered+unordered-b.Away, sql.NullInt64{}
	if _, err := r.one(op, firstOutgoing+byAge, of, []any{&first}); err != nil {
		return store.Backlog{}, err
	}
	b.OutboxOldest = instantOf(first)
	var counts [4]int
	var oldest [4]sql.NullInt64
	if _, err := r.one(op, countRuns, nil, []any{&counts[0], &oldest[0], &counts[1], &oldest[1], &counts[2], &oldest[2], &counts[3], &oldest[3]}); err != nil {
		return store.Backlog{}, err
	}
	for i, state := range store.OpenStates() {
		b.Runs[state] = store.OpenRuns{Count: counts[i], Oldest: instantOf(oldest[i])}
	}
	return b, nil
}

func instantOf(us sql.NullInt64) time.Time {
	if !us.Valid {
		return time.Time{}
	}
	return instant(us.Int64)
}

// Watch implements store.Watched.
func (s *Store) Watch(f func(updates int, took time.Duration, err error)) { s.watch.Store(&f) }

// committed tells of one commit.
func (s *Store) committed(updates int, began time.Time, err error) {
	if f := s.watch.Load(); f != nil && *f != nil {
		(*f)(updates, time.Since(began), err)
	}
}

var (
	_ store.Counter = (*reader)(nil)
	_ store.Watched = (*Store)(nil)
)
