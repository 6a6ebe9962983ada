// Package audit keeps the audit log: it writes records into a hash chain,
// signs checkpoints of it that leave the database, verifies it, mirrors it to
// the audit channels, exports and follows it.
//
// A record's canonical JSON is stored as it was written and hashed as it is
// stored; each record holds the hash of the one before. What people typed and
// programs printed stands beside that text and enters it as salted
// commitments, so that a value can be erased one day without breaking the
// chain. Whoever can write to the database can recompute the whole chain; the
// signed checkpoints, whose key is elsewhere, are what finds that out.
package audit

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/nearest"
	"quarterdeck/bot/store"
)

// Config is what a Log works with.
type Config struct {
	// Store is read by Records and ID; Append writes to the transaction it is
	// given.
	Store store.Store
	// Clock stamps records that come without a time.
	Clock bot.Clock
	// Salts gives the random bytes of salts; default crypto/rand. It must be
	// safe for concurrent use.
	Salts io.Reader
	// Redact holds the configured patterns. What one matches is replaced by
	// Redacted, whole.
	Redact []*regexp.Regexp
	// Secrets, when set, are the secrets in use: every value that was ever read
	// is replaced as what a pattern matches is, from when it was read.
	Secrets *bot.Secrets
}

// Log writes and reads the audit log. Safe for concurrent use. It implements
// bot.Log.
type Log struct {
	store  store.Store
	clock  bot.Clock
	salts  io.Reader
	redact *redactor
}

// New makes a Log.
func New(c Config) *Log {
	if c.Salts == nil {
		c.Salts = rand.Reader
	}
	l := &Log{store: c.Store, clock: c.Clock, salts: c.Salts, redact: newRedactor(c.Redact)}
	l.redact.secrets = c.Secrets
	return l
}

// The bounds of what one record keeps, in bytes. What is cut says so.
const (
	maxText   = 8 << 10 // of each Text value
	maxDetail = 2 << 10 // of each Detail value
	maxField  = 512     // of each other string that comes from outside
)

// Append writes r as the next record of the chain within tx and gives the new
// head. It stamps version, sequence, previous hash and, if r.At is zero, the
// time; it redacts, cleans and bounds the values of Text and Detail, and
// commits to those of Text. Empty values are left out. r and its maps are not
// changed, so a transaction may be run again with the same r.
func (l *Log) Append(tx store.Tx, r bot.Record) (store.Head, error) {
	head, err := tx.Head()
	if err != nil {
		return store.Head{}, fmt.Errorf("read head of the audit log: %w", err)
	}
	r.V, r.Seq, r.Prev = bot.RecordVersion, head.Seq+1, head.Hash
	if r.At.IsZero() {
		r.At = l.clock.Now()
	}
	r.At = r.At.UTC().Truncate(time.Microsecond)
	r.Detail = l.cleanMap(r.Detail, maxDetail)
	r.Text = l.cleanMap(r.Text, maxText)
	for _, s := range []*string{&r.Request, &r.Person, &r.Message, &r.Verb, &r.Target, &r.Spec, &r.Rule,
		(*string)(&r.Account), (*string)(&r.Channel)} {
		*s = clean(*s, maxField)
	}
	var values map[string]textValue
	if r.Commit, values, err = l.commit(r.Text); err != nil {
		return store.Head{}, err
	}
	body, err := encode(r)
	if err != nil {
		return store.Head{}, fmt.Errorf("encode record: %w", err)
	}
	text, err := encodeText(values)
	if err != nil {
		return store.Head{}, fmt.Errorf("encode text of record: %w", err)
	}
	next := store.Head{Seq: r.Seq, Hash: hashOf(body)}
	err = tx.Append(store.Sealed{Seq: r.Seq, At: r.At, Kind: r.Kind, Run: r.Run, Target: r.Target, Person: r.Person,
		Body: body, Hash: next.Hash, Text: text})
	if err != nil {
		return store.Head{}, fmt.Errorf("append record %d: %w", r.Seq, err)
	}
	return next, nil
}

// Redact gives s with every known shape of secret, and what the configured
// patterns match, replaced by Redacted. Applying it twice changes nothing more.
func (l *Log) Redact(s string) string { return l.redact.redact(s) }

// Records implements bot.Log: newest first, each with its Text and what of it
// was erased. A record that no longer decodes is an Error of kind Internal;
// Verify names it.
func (l *Log) Records(ctx context.Context, f bot.RecordFilter) ([]bot.Record, error) {
	var sealed []store.Sealed
	err := l.store.View(ctx, func(r store.Reader) (err error) {
		sealed, err = r.Records(f)
		return err
	})
	if err != nil {
		return nil, err
	}
	records := make([]bot.Record, 0, len(sealed))
	for _, s := range sealed {
		rec, err := Decode(s)
		if err != nil {
			return nil, err
		}
		records = append(records, rec)
	}
	return records, nil
}

// Erase replaces the value called name of record seq by a mark that it was
// erased, and appends a record of kind configured that says so and by whom. The
// chain stays whole, because it holds only a salted commitment of the value and
// the salt goes with it. A record or value that is not there is an Error of
// kind NotFound; one that is erased already a Conflict.
func (l *Log) Erase(tx store.Tx, seq int64, name string, by bot.Identity) (store.Head, error) {
	return l.erase(tx, seq, name, by, "")
}

// erase is Erase with the words why.
func (l *Log) erase(tx store.Tx, seq int64, name string, by bot.Identity, why string) (store.Head, error) {
	s, found, err := tx.Record(seq)
	if err != nil {
		return store.Head{}, err
	}
	if !found {
		return store.Head{}, bot.Errorf(bot.NotFound, "the log has no record %d", seq)
	}
	values, err := decodeText(s.Text)
	if err != nil {
		return store.Head{}, fmt.Errorf("decode text of record %d: %w", seq, err)
	}
	if _, err := erasable(values, seq, name); err != nil {
		return store.Head{}, err
	}
	values[name] = textValue{Erased: true}
	text, err := encodeText(values)
	if err != nil {
		return store.Head{}, fmt.Errorf("encode text of record %d: %w", seq, err)
	}
	if err := tx.SetText(seq, text); err != nil {
		return store.Head{}, err
	}
	return l.Append(tx, erasure(seq, name, by, why))
}

// erasable gives a value that is there and was not erased.
func erasable(values map[string]textValue, seq int64, name string) (textValue, error) {
	v, found := values[name]
	switch {
	case !found:
		names := sortedKeys(values)
		if near := nearest.Of(name, names); near != "" {
			return v, bot.Errorf(bot.NotFound, "record %d has no value %q; did you mean %q?", seq, name, near)
		}
		return v, bot.Errorf(bot.NotFound, "record %d has no value %q; it has %s", seq, name, listed(names))
	case v.Erased:
		return v, bot.Errorf(bot.Conflict, "%s of record %d was erased already", name, seq)
	}
	return v, nil
}

// erasure is the record of an erasure.
func erasure(seq int64, name string, by bot.Identity, why string) bot.Record {
	return bot.Record{Kind: bot.ConfiguredKind, Account: by.Account, Standing: by.Standing, Person: by.Person,
		Detail: map[string]string{detailErased: strconv.FormatInt(seq, 10), detailName: name}, Text: map[string]string{"reason": why}}
}

// Detail keys of records that this package writes.
const (
	detailErased = "erased" // sequence of the record of which a value was erased
	detailName   = "name"   // and the name of that value
	detailPlaces = "places" // in how many places outside the log something was erased
	detailGap    = "gap"    // channel that refused a post
	detailAudit  = "audit"  // sequences that the refused post told of
	detailCause  = "cause"
)

// kindAudit is the kind of the documents of this package.
const kindAudit = "audit"

// identityID is the document that holds the log's own random name.
const identityID = "log"

type identity struct {
	Log string `json:"log"`
}

// ID gives the log's random identifier, which checkpoints carry so that one
// log's cannot be held against another. It is made on first use.
func (l *Log) ID(ctx context.Context, ids bot.IDs) (string, error) {
	id, err := readID(ctx, l.store)
	if err != nil || id != "" {
		return id, err
	}
	err = l.store.Update(ctx, func(tx store.Tx) error {
		if id, err = idOf(tx); err != nil || id != "" {
			return err
		}
		id = ids.New()
		body, err := json.Marshal(identity{Log: id})
		if err != nil {
			return err
		}
		_, err = tx.PutDocument(bot.Document{Kind: kindAudit, ID: identityID, Body: body})
		return err
	})
	if err != nil {
		return "", fmt.Errorf("name the audit log: %w", err)
	}
	return id, nil
}

func readID(ctx context.Context, s store.Store) (id string, err error) {
	err = s.View(ctx, func(r store.Reader) error {
		id, err = idOf(r)
		return err
	})
	return id, err
}

func idOf(r store.Reader) (string, error) {
	d, found, err := r.Document(kindAudit, identityID)
	if err != nil || !found {
		return "", err
	}
	var i identity
	if err := json.Unmarshal(d.Body, &i); err != nil {
		return "", fmt.Errorf("decode the audit log's identity: %w", err)
	}
	return i.Log, nil
}

// Decode gives the record that s seals, with Text and Erased filled in. It
// checks nothing but that it decodes.
func Decode(s store.Sealed) (bot.Record, error) {
	var r bot.Record
	if err := json.Unmarshal(s.Body, &r); err != nil {
		return bot.Record{}, &bot.Error{Op: "audit.decode", Kind: bot.Internal, Say: fmt.Sprintf("record %d cannot be read", s.Seq), Err: err}
	}
	values, err := decodeText(s.Text)
	if err != nil {
		return bot.Record{}, &bot.Error{Op: "audit.decode", Kind: bot.Internal, Say: fmt.Sprintf("the text of record %d cannot be read", s.Seq), Err: err}
	}
	if len(values) > 0 {
		r.Text = make(map[string]string, len(values))
	}
	for name, v := range values {
		if v.Erased {
			r.Erased = append(r.Erased, name)
		} else {
			r.Text[name] = v.Value
		}
	}
	slices.Sort(r.Erased)
	return r, nil
}

func hashOf(body []byte) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:])
}

// encoder is a JSON encoder that leaves <, > and & as they are, with the
// buffer it writes to.
type encoder struct {
	buf  bytes.Buffer
	json *json.Encoder
}

// encoders keeps buffers between calls; it holds no state that matters.
var encoders = sync.Pool{New: func() any {
	e := &encoder{}
	e.json = json.NewEncoder(&e.buf)
	e.json.SetEscapeHTML(false)
	return e
}}

// encode gives v as JSON on one line, without HTML escapes.
func encode(v any) ([]byte, error) {
	e := encoders.Get().(*encoder)
	defer encoders.Put(e)
	e.buf.Reset()
	if err := e.json.Encode(v); err != nil {
		return nil, err
	}
	return bytes.Clone(bytes.TrimSuffix(e.buf.Bytes(), []byte("\n"))), nil
}
