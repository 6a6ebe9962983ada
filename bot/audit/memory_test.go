package audit

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/store"
)

// memory is a store of records, documents and outgoing cards whose rows a test
// can change behind the log's back. The other methods of the port are not there.
type memory struct {
	mu sync.Mutex
	state
	refuse error // given by the next Update after its function ran
}

type state struct {
	rows []store.Sealed
	head *store.Head // overrides the last row when set
	docs map[string]bot.Document
	out  []store.Outgoing
	id   int64
	open []store.RunRow // that have not ended
}

func (s state) clone() state {
	s.rows, s.out = slices.Clone(s.rows), slices.Clone(s.out)
	docs := map[string]bot.Document{}
	for k, v := range s.docs {
		docs[k] = v
	}
	s.docs = docs
	return s
}

func (m *memory) Update(ctx context.Context, f func(tx store.Tx) error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	draft := m.state.clone()
	if err := f(&session{state: &draft}); err != nil {
		return err
	}
	if err := m.refuse; err != nil {
		m.refuse = nil
		return err
	}
	m.state = draft
	return nil
}

func (m *memory) View(ctx context.Context, f func(r store.Reader) error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	return f(&session{state: &m.state})
}

func (m *memory) Close() error { return nil }

type session struct {
	store.Tx // the methods that the audit log does not use
	*state
}

func (s *session) Head() (store.Head, error) {
	switch {
	case s.head != nil:
		return *s.head, nil
	case len(s.rows) == 0:
		return store.Head{}, nil
	}
	last := s.rows[len(s.rows)-1]
	return store.Head{Seq: last.Seq, Hash: last.Hash}, nil
}

func (s *session) Record(seq int64) (store.Sealed, bool, error) {
	for _, r := range s.rows {
		if r.Seq == seq {
			return r, true, nil
		}
	}
	return store.Sealed{}, false, nil
}

func (s *session) Records(f bot.RecordFilter) (list []store.Sealed, err error) {
	limit := f.Limit
	if limit == 0 {
		limit = 20
	}
	for _, r := range slices.Backward(s.rows) {
		if len(list) < limit && (f.Run == 0 || f.Run == r.Run) && (f.Kind == "" || f.Kind == r.Kind) &&
			(f.Person == "" || f.Person == r.Person) && (f.Target == "" || f.Target == r.Target) {
			list = append(list, r)
		}
	}
	return list, nil
}

func (s *session) RecordsFrom(seq int64, limit int) (list []store.Sealed, err error) {
	rows := slices.Clone(s.rows)
	slices.SortStableFunc(rows, func(a, b store.Sealed) int {
		switch {
		case a.Seq < b.Seq:
			return -1
		case a.Seq > b.Seq:
			return 1
		}
		return 0
	})
	for _, r := range rows {
		if r.Seq >= seq && len(list) < limit {
			list = append(list, r)
		}
	}
	return list, nil
}

func (s *session) Append(r store.Sealed) error {
	head, _ := s.Head()
	if r.Seq != head.Seq+1 {
		return bot.Errorf(bot.Conflict, "record %d does not follow %d", r.Seq, head.Seq)
	}
	r.Latest = r.At
	if n := len(s.rows); n > 0 {
		r.Latest = later(s.rows[n-1].Latest, r.At)
	}
	s.rows = append(s.rows, r)
	return nil
}

func (s *session) RemoveRecords(through int64) (n int64, err error) {
	if head, _ := s.Head(); through >= head.Seq {
		return 0, bot.Errorf(bot.Conflict, "record %d is the last one", head.Seq)
	}
	before := len(s.rows)
	s.rows = slices.DeleteFunc(s.rows, func(r store.Sealed) bool { return r.Seq <= through })
	return int64(before - len(s.rows)), nil
}

func (s *session) Runs(bot.RunFilter) ([]store.RunRow, error) { return s.open, nil }

func (s *session) Run(int64) (store.RunRow, bool, error) { return store.RunRow{}, false, nil }

func (s *session) DeleteDocument(kind, id string) error {
	delete(s.docs, kind+"\n"+id)
	return nil
}

func (s *session) SetText(seq int64, text json.RawMessage) error {
	for i := range s.rows {
		if s.rows[i].Seq == seq {
			s.rows[i].Text = text
			return nil
		}
	}
	return bot.Errorf(bot.NotFound, "no record %d", seq)
}

func (s *session) Document(kind, id string) (bot.Document, bool, error) {
	d, found := s.docs[kind+"\n"+id]
	return d, found, nil
}

func (s *session) Documents(kind, prefix string, limit int, last bool) (list []bot.Document, err error) {
	if last {
		return nil, errors.New("only ascending here")
	}
	for _, key := range sortedKeys(s.docs) {
		if strings.HasPrefix(key, kind+"\n"+prefix) && len(list) < limit {
			list = append(list, s.docs[key])
		}
	}
	return list, nil
}

func (s *session) PutDocument(d bot.Document) (int64, error) {
	if s.docs[d.Kind+"\n"+d.ID].Rev != d.Rev {
		return 0, bot.Errorf(bot.Conflict, "stale document")
	}
	d.Rev++
	s.docs[d.Kind+"\n"+d.ID] = d
	return d.Rev, nil
}

func (s *session) Enqueue(o store.Outgoing) (int64, error) {
	for i, p := range s.out {
		if o.Key != "" && p.Key == o.Key && p.Channel == o.Channel {
			if o.Version > p.Version {
				o.ID = p.ID
				s.out[i] = o
			}
			return p.ID, nil
		}
	}
	s.id++
	o.ID = s.id
	s.out = append(s.out, o)
	return o.ID, nil
}

func (s *session) Delivered(id, version int64) error {
	s.out = slices.DeleteFunc(s.out, func(o store.Outgoing) bool { return o.ID == id && o.Version == version })
	return nil
}

// steady is a clock that stands until it is moved.
type steady struct {
	mu sync.Mutex
	at time.Time
}

func (c *steady) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *steady) move(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// counting gives bytes that differ and are the same in every test.
type counting struct {
	mu sync.Mutex
	n  uint64
}

func (c *counting) Read(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range p {
		c.n++
		p[i] = byte(c.n * 0x9E3779B97F4A7C15 >> 56)
	}
	return len(p), nil
}

// names gives identifiers that count.
type names struct{ n uint64 }

func (i *names) New() string {
	i.n++
	return fmt.Sprintf("id%d", binary.BigEndian.Uint16([]byte{0, byte(i.n)}))
}

type rig struct {
	*testing.T
	store *memory
	clock *steady
	log   *Log
	key   Key
	id    string
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{T: t, store: &memory{state: state{docs: map[string]bot.Document{}}}, clock: &steady{at: time.Date(2026, 11, 21, 3, 0, 0, 0, time.UTC)}}
	r.log = New(Config{Store: r.store, Clock: r.clock, Salts: &counting{}})
	id, err := r.log.ID(t.Context(), &names{})
	if err != nil {
		t.Fatal(err)
	}
	r.id = id
	r.key = Key{private: ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))}
	return r
}

func (r *rig) append(records ...bot.Record) store.Head {
	r.Helper()
	var head store.Head
	for _, rec := range records {
		err := r.store.Update(context.Background(), func(tx store.Tx) (err error) {
			head, err = r.log.Append(tx, rec)
			return err
		})
		if err != nil {
			r.Fatal(err)
		}
	}
	return head
}

// story is a log of one run with reads and a denial around it.
func (r *rig) story() {
	r.Helper()
	read := bot.Record{Kind: bot.SucceededKind, Read: true, Account: "slack:T1/U1", Standing: bot.Member, Person: "dev-one", Verb: "status",
		Text: map[string]string{"line": "status shop"}}
	run := func(kind bot.RecordKind, detail, text map[string]string) bot.Record {
		return bot.Record{Kind: kind, Run: 12, Account: "slack:T1/U1", Standing: bot.Member, Person: "dev-one", Channel: "slack:C1",
			Verb: "deploy", Permission: bot.MayDeploy, Target: "shop/prod", Resources: []bot.Resource{"target:shop/prod"}, Rule: "grant 1 (config.toml:41)", Detail: detail, Text: text}
	}
	yes := run(bot.Approved, map[string]string{"answer": "approve"}, nil)
	yes.Account, yes.Person = "slack:T1/U2", "sre-one"
	r.append(read,
		run(bot.Requested, map[string]string{"summary": "deploy shop v2 to prod", "state": "waiting"}, map[string]string{"line": "deploy shop v2 prod", "reason": "fixes <the> cart & more"}),
		yes,
		bot.Record{Kind: bot.DeniedRecord, Account: "slack:T1/U9", Standing: bot.Guest, Channel: "slack:C1", Rule: "guests", Error: bot.Denied,
			Text: map[string]string{"line": "deploy shop v2 prod", "result": "guests never run anything"}},
		run(bot.Started, map[string]string{"summary": "deploy shop v2 to prod", "approved_by": "sre-one"}, nil),
		run(bot.Step, map[string]string{"state": "running"}, map[string]string{"progress": "2 of 4 replicas"}),
		run(bot.SucceededKind, map[string]string{"state": "succeeded"}, map[string]string{"result": "v2 is live"}),
		read)
}

func (r *rig) verify(o VerifyOptions) Report {
	r.Helper()
	if o.PublicKey == nil {
		o.PublicKey = r.key.Public()
	}
	report, err := Verify(r.Context(), r.store, o)
	if err != nil {
		r.Fatal(err)
	}
	return report
}

func (r *rig) sign() Checkpoint {
	r.Helper()
	head, err := headOf(r.Context(), r.store)
	if err != nil {
		r.Fatal(err)
	}
	return r.key.Sign(r.id, head.Seq, head.Hash, r.clock.Now())
}

// logger collects what is logged.
type logger struct {
	mu sync.Mutex
	bytes.Buffer
}

func (l *logger) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.Buffer.Write(p)
}

func (l *logger) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.Buffer.String()
}

func logTo(w io.Writer) *slog.Logger { return slog.New(slog.NewTextHandler(w, nil)) }

func has(t *testing.T, what, part string) {
	t.Helper()
	if !strings.Contains(what, part) {
		t.Errorf("got  %q\nwant %q in it", what, part)
	}
}

func decoded(t *testing.T, o store.Outgoing) bot.Card {
	t.Helper()
	var c bot.Card
	if err := json.Unmarshal(o.Card, &c); err != nil {
		t.Fatal(err)
	}
	return c
}
