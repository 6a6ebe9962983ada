package store

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"

	"quarterdeck/bot"
)

// Seal marks what is stored, so that what somebody else wrote into the
// database is told from what the bot wrote: a waiting run, a received message.
// Its key lies outside the database. The zero Seal marks nothing and believes
// everything. Safe for concurrent use.
type Seal struct {
	key []byte
}

// NewSeal makes a Seal from a secret, which must not be empty.
func NewSeal(secret []byte) Seal {
	key := hmac.New(sha256.New, secret)
	key.Write([]byte("quarterdeck stored values v1"))
	return Seal{key: key.Sum(nil)}
}

// sealed is the stored form: the value as it was marked, and its mark.
type sealed struct {
	Mark  string          `json:"mark"`
	Value json.RawMessage `json:"value"`
}

// Wrap gives the stored form of value, which is JSON on behalf of name, such
// as "run 12". A value cannot be passed off under another name.
func (s Seal) Wrap(name string, value []byte) ([]byte, error) {
	if s.key == nil {
		return value, nil
	}
	return json.Marshal(sealed{Mark: s.Mark(name, value), Value: value})
}

// Unwrap gives the value in stored. When nobody who has the key wrote it there
// it gives the value all the same, for a report, and an Error that wraps ErrForged.
func (s Seal) Unwrap(name string, stored []byte) ([]byte, error) {
	if s.key == nil {
		return stored, nil
	}
	var w sealed
	if err := json.Unmarshal(stored, &w); err != nil {
		return nil, fmt.Errorf("decode %s: %w", name, err)
	}
	if len(w.Value) == 0 {
		return stored, errForged(name)
	}
	return w.Value, s.Check(name, w.Value, w.Mark)
}

// Mark gives the mark of value under name; "" from the zero Seal.
func (s Seal) Mark(name string, value []byte) string {
	if s.key == nil {
		return ""
	}
	mac := hmac.New(sha256.New, s.key)
	fmt.Fprintf(mac, "%d:%s", len(name), name)
	mac.Write(value)
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// Check gives an Error that wraps ErrForged unless mark is what Mark gives.
func (s Seal) Check(name string, value []byte, mark string) error {
	if s.key == nil || hmac.Equal([]byte(mark), []byte(s.Mark(name, value))) {
		return nil
	}
	return errForged(name)
}

// ErrForged is the cause of the Error of kind Conflict that a stored value
// gives which this bot did not write.
var ErrForged = errors.New("the mark does not match")

func errForged(name string) error {
	return &bot.Error{Op: "store.seal", Kind: bot.Conflict, Err: ErrForged,
		Say: fmt.Sprintf("what is stored of %s was not written by this bot, or the audit key was replaced; nothing is done with it", name)}
}
