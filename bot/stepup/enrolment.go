package stepup

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/store"
)

// Kind is the document kind of enrolments, one for each person by name.
const Kind = "totp"

// kept is an enrolment as it is stored. Only ID and Key can be read without the
// key, and neither can be changed without it being noticed.
type kept struct {
	ID     string `json:"id"`  // of this enrolment, for as long as it lasts
	Key    string `json:"key"` // Key.ID of the key it is sealed with
	Nonce  []byte `json:"nonce"`
	Sealed []byte `json:"sealed"` // an enrolment, AES-256-GCM
}

// enrolment is what is known of a person's authenticator.
type enrolment struct {
	Secret string    `json:"secret,omitempty"` // base32; "" until the first is confirmed
	Since  time.Time `json:"since,omitzero"`
	Last   int64     `json:"last,omitempty"` // the newest time step that a code was taken of

	// Pending is the authenticator that is being enrolled, nil for none.
	Pending *pending `json:"pending,omitempty"`

	Wrong  []time.Time `json:"wrong,omitempty"` // when codes were wrong that still count
	Locked time.Time   `json:"locked,omitzero"` // until when no code is looked at
	Locks  int         `json:"locks,omitempty"` // in a row, without a good code between
}

// pending is an authenticator that no code has shown to work yet, or whose
// message that does is on its way.
type pending struct {
	Secret string    `json:"secret"`
	At     time.Time `json:"at"`
	Proved string    `json:"proved,omitempty"` // the message that brought a good code
	Last   int64     `json:"last,omitempty"`
}

// errKey says that an enrolment cannot be read with the key there is.
var errKey = errors.New("sealed with another key, or changed by somebody else")

// row is an enrolment with its place in the store.
type row struct {
	enrolment
	id  string // "" when it is not stored yet
	rev int64
}

// additional is what a sealed enrolment is bound to, so that it cannot be passed
// off as another person's, or as an earlier one of the same.
func additional(person, id string) []byte {
	return []byte(fmt.Sprintf("quarterdeck totp v1\x00%d:%s\x00%s", len(person), person, id))
}

func (k Key) aead() (cipher.AEAD, error) {
	if k.secret == nil {
		return nil, errKey
	}
	block, err := aes.NewCipher(k.secret)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// seal gives the stored form of a person's enrolment.
func (k Key) seal(person, id string, e enrolment) ([]byte, error) {
	aead, err := k.aead()
	if err != nil {
		return nil, err
	}
	plain, err := json.Marshal(e)
	if err != nil {
		return nil, err
	}
	nonce := make([]byte, aead.NonceSize())
	if _, err := rand.Read(nonce); err != nil {
		return nil, err
	}
	return json.Marshal(kept{ID: id, Key: k.ID(), Nonce: nonce, Sealed: aead.Seal(nil, nonce, plain, additional(person, id))})
}

// open gives the enrolment in its stored form; what cannot be read with the key
// is errKey.
func (k Key) open(person string, body []byte) (id string, e enrolment, err error) {
	var s kept
	if err := json.Unmarshal(body, &s); err != nil {
		return "", enrolment{}, fmt.Errorf("%w: %v", errKey, err)
	}
	aead, err := k.aead()
	if err != nil {
		return s.ID, enrolment{}, err
	}
	if s.Key != k.ID() || len(s.Nonce) != aead.NonceSize() {
		return s.ID, enrolment{}, errKey
	}
	plain, err := aead.Open(nil, s.Nonce, s.Sealed, additional(person, s.ID))
	if err != nil {
		return s.ID, enrolment{}, errKey
	}
	if err := json.Unmarshal(plain, &e); err != nil {
		return s.ID, enrolment{}, fmt.Errorf("decode an enrolment: %w", err)
	}
	return s.ID, e, nil
}

// read gives a person's enrolment; the zero row when there is none.
func (k *Keeper) read(r store.Reader, person string) (row, error) {
	doc, found, err := r.Document(Kind, person)
	if err != nil || !found {
		return row{}, err
	}
	id, e, err := k.Key.open(person, doc.Body)
	return row{enrolment: e, id: id, rev: doc.Rev}, err
}

// write writes a person's enrolment over the one that was read.
func (k *Keeper) write(tx store.Tx, person string, e *row) error {
	if e.id == "" {
		e.id = k.IDs.New()
	}
	body, err := k.Key.seal(person, e.id, e.enrolment)
	if err != nil {
		return &bot.Error{Op: "stepup.write", Kind: bot.Unavailable, Err: err, Say: sayLost}
	}
	e.rev, err = tx.PutDocument(bot.Document{Kind: Kind, ID: person, Rev: e.rev, Body: body})
	return err
}
