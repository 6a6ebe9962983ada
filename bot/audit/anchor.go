package audit

import (
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/store"
)

// Anchor is what is left in the database of records that were moved to the
// archive: the end of what was moved, signed, so that the chain can be checked
// from there on and nobody without the key can cut off its beginning.
type Anchor struct {
	V      int       `json:"v"`
	Log    string    `json:"log"`
	Seq    int64     `json:"seq"`    // the last record that was moved
	Hash   string    `json:"hash"`   // of that record
	Latest time.Time `json:"latest"` // the greatest time of all records up to it
	// Rules is the newest record among those moved that tells of rules in
	// force, and Digest what it says of them; 0 for none.
	Rules     int64     `json:"rules,omitempty"`
	Digest    string    `json:"digest,omitempty"`
	At        time.Time `json:"at"` // when it was moved
	Key       string    `json:"key"`
	Signature string    `json:"signature"`
}

// anchorID is the document that holds the Anchor.
const anchorID = "anchor"

func (a Anchor) signed() string {
	return fmt.Sprintf("quarterdeck-anchor v%d log=%s seq=%d hash=%s latest=%s rules=%d digest=%s at=%s key=%s", a.V, a.Log, a.Seq, a.Hash,
		a.Latest.UTC().Format(time.RFC3339Nano), a.Rules, a.Digest, a.At.UTC().Format(time.RFC3339Nano), a.Key)
}

func (k Key) signAnchor(a Anchor) Anchor {
	a.V, a.Key = 1, KeyID(k.Public())
	a.Signature = k.signText(a.signed())
	return a
}

// signText gives base64url of the signature over text.
func (k Key) signText(text string) string {
	return noPadding.EncodeToString(ed25519.Sign(k.private, []byte(text)))
}

// signedText reports whether signature is that of public's owner over text.
func signedText(public ed25519.PublicKey, text, signature string) bool {
	sig, err := noPadding.DecodeString(signature)
	return err == nil && len(public) == ed25519.PublicKeySize && ed25519.Verify(public, []byte(text), sig)
}

// anchorOf reads the Anchor; the zero Anchor when nothing was moved.
func anchorOf(r store.Reader) (a Anchor, rev int64, err error) {
	d, found, err := r.Document(kindAudit, anchorID)
	if err != nil || !found {
		return Anchor{}, 0, err
	}
	if err := json.Unmarshal(d.Body, &a); err != nil {
		return Anchor{}, d.Rev, &bot.Error{Op: "audit.anchor", Kind: bot.Internal, Say: "the mark of where the archive ends cannot be read", Err: err}
	}
	return a, d.Rev, nil
}

func (a Anchor) save(tx store.Tx, rev int64) error {
	body, err := json.Marshal(a)
	if err != nil {
		return err
	}
	_, err = tx.PutDocument(bot.Document{Kind: kindAudit, ID: anchorID, Rev: rev, Body: body})
	return err
}

// anchored begins the check after a, or where the archive that was read ends.
// signed is false where nobody can say whether the anchor is the key owner's.
func (c *checker) anchored(a Anchor, public ed25519.PublicKey) {
	if a.Seq == 0 {
		return
	}
	what := fmt.Sprintf("the mark that records up to %d were moved to the archive", a.Seq)
	switch {
	case len(public) == 0:
		if !c.copied { // who made a copy could make its mark; a checkpoint tells
			c.problem(Unread, a.Seq, "%s cannot be checked without the public key", what)
			return
		}
	case a.Key != KeyID(public) || !signedText(public, a.signed(), a.Signature):
		c.problem(Forged, a.Seq, "%s is forged: its signature is not that of the audit key", what)
		return
	case a.Log != c.report.Log:
		c.problem(Foreign, a.Seq, "%s is of another log: it names log %s", what, bounded(a.Log, 40))
		return
	}
	c.report.Archived = a.Seq
	if c.next > a.Seq || c.report.Records > 0 {
		return // the archive itself was read, and the chain goes on from it
	}
	c.next, c.prev, c.latest = a.Seq+1, a.Hash, a.Latest
	for seq, list := range c.pending {
		if seq > a.Seq {
			continue
		}
		for _, i := range list {
			checked := &c.report.Checkpoints[i]
			checked.OK, checked.Say = true, fmt.Sprintf("record %d lies in the archive", seq)
			if seq == a.Seq && checked.Checkpoint.Hash != a.Hash {
				checked.OK, checked.Say = false, fmt.Sprintf("record %d, the last one in the archive, is not the one that was signed at %s", seq, stamp(checked.Checkpoint.At))
				c.problem(Rewritten, seq, "%s", checked.Say)
			}
		}
		delete(c.pending, seq)
	}
}
