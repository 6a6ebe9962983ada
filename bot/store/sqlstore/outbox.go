package sqlstore

import (
	"database/sql"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/store"
)

const cardColumns = `channel, thread, under, account, key, version, ordered, card, created, next_at, tries`

// heads are the first ordered cards of all channels. The channels are found by
// stepping from one to the next greater one, so that a long queue costs no
// more than a short one.
const heads = `WITH RECURSIVE lane (channel) AS (
		SELECT MIN(channel) FROM outbox WHERE ordered = 1
		UNION ALL
		SELECT (SELECT MIN(o.channel) FROM outbox o WHERE o.ordered = 1 AND o.channel > lane.channel)
		FROM lane WHERE lane.channel IS NOT NULL
	), head (id) AS (
		SELECT (SELECT MIN(o.id) FROM outbox o WHERE o.ordered = 1 AND o.channel = lane.channel)
		FROM lane WHERE lane.channel IS NOT NULL
	) `

const (
	// What other replicas hold is passed over.
	notElsewhere = `NOT EXISTS (SELECT 1 FROM documents d WHERE d.kind = ? AND d.id = ? || o.channel AND d.due > ? AND d.body <> ?)`

	// The channels to leave out come as one text, each between line ends: how many
	// there are changes, and a statement is prepared once. (REPLACE is the way to
	// look for a text that both engines have, without LIKE's wildcards.)
	notExcept = `REPLACE(?, ? || o.channel || ?, '') = ?`

	// Of the cards without order those longest due are taken, which the index gives
	// in turn, so that a long backlog costs no more than a short one.
	readOutgoingDue = heads + `SELECT id, ` + cardColumns + ` FROM outbox o WHERE id IN (
			SELECT due.id FROM (
				SELECT o.id FROM outbox o WHERE o.ordered = 0 AND o.next_at <= ? AND ` + notElsewhere + ` AND ` + notExcept + ` ORDER BY o.next_at LIMIT ?
			) AS due
			UNION ALL SELECT head.id FROM head
		) AND next_at <= ? AND ` + notElsewhere + ` AND ` + notExcept + ` ORDER BY id LIMIT ?`

	readNextOutgoing = heads + `SELECT MIN(due.next_at) FROM (
			SELECT MIN(next_at) AS next_at FROM outbox WHERE ordered = 0
			UNION ALL SELECT next_at FROM outbox WHERE id IN (SELECT head.id FROM head)
		) AS due`

	// A newer version of a pending card takes its place, no later than the
	// older one was to come, unless that was put off.
	placeCard = `INSERT INTO outbox (` + cardColumns + `) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (channel, key) WHERE key <> '' DO UPDATE SET
			thread = excluded.thread, under = excluded.under, account = excluded.account, version = excluded.version,
			ordered = excluded.ordered, card = excluded.card, next_at = CASE
				WHEN outbox.tries > 0 OR outbox.next_at < excluded.next_at THEN outbox.next_at ELSE excluded.next_at END
		WHERE excluded.version > outbox.version RETURNING id`

	readPending = `SELECT id FROM outbox WHERE channel = ? AND key = ? AND key <> ''`

	deleteCard = `DELETE FROM outbox WHERE id = ? AND version = ?`

	postponeCard = `UPDATE outbox SET next_at = ?, tries = ? WHERE id = ?`
)

// OutgoingDue implements store.Reader. An ordered card that waits for its time
// holds up the ordered cards behind it; cards without order pass it.
func (r *reader) OutgoingDue(now time.Time, owner string, except []bot.ChannelID, limit int) (list []store.Outgoing, err error) {
	if limit <= 0 {
		return nil, r.usable()
	}
	us := micros(now)
	const between = "\n"
	left := between
	for _, c := range except {
		left += string(c) + between
	}
	args := []any{us, store.KindClaim, store.ChannelClaim(""), us, []byte(store.Holder(owner)), left, between, between, left, int64(limit)}
	args = append(args, args...)
	err = r.each("store.outgoing", readOutgoingDue, args, func(rows *sql.Rows) error {
		var o store.Outgoing
		var channel, account string
		var ordered, created, next int64
		var card []byte
		if err := rows.Scan(&o.ID, &channel, &o.Thread, &o.Under, &account, &o.Key, &o.Version, &ordered, &card,
			&created, &next, &o.Tries); err != nil {
			return err
		}
		o.Channel, o.To, o.Ordered, o.Card = bot.ChannelID(channel), bot.AccountID(account), ordered == 1, card
		o.Created, o.NextAt = instant(created), instant(next)
		list = append(list, o)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}

// NextOutgoing implements store.Reader.
func (r *reader) NextOutgoing() (time.Time, bool, error) {
	return r.earliest("store.outgoing", readNextOutgoing)
}

// Enqueue implements store.Tx. A card that replaces a pending one takes over
// its ID and when it was created. It comes no later than the pending one was
// to come; but where delivery was tried and put off, it waits as long.
func (t *tx) Enqueue(o store.Outgoing) (int64, error) {
	const op = "store.enqueue"
	var id int64
	found, err := t.one(op, placeCard, []any{string(o.Channel), o.Thread, o.Under, string(o.To), o.Key, o.Version, flag(o.Ordered),
		blob(o.Card), micros(o.Created), micros(o.NextAt), int64(o.Tries)}, []any{&id})
	if err == nil && !found { // dropped: the pending one is as new
		_, err = t.one(op, readPending, []any{string(o.Channel), o.Key}, []any{&id})
	}
	return id, err
}

// Delivered implements store.Tx.
func (t *tx) Delivered(id, version int64) error {
	_, err := t.exec("store.delivered", deleteCard, id, version)
	return err
}

// Postpone implements store.Tx.
func (t *tx) Postpone(id int64, next time.Time, tries int) error {
	_, err := t.exec("store.postpone", postponeCard, micros(next), int64(tries), id)
	return err
}
