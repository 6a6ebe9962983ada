package audit

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"slices"
	"strings"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/store"
)

// ProblemKind says what was done to the log.
type ProblemKind string

// The closed set of problem kinds.
const (
	Edited    ProblemKind = "edited"    // a record is not what was written
	Removed   ProblemKind = "removed"   // records in the middle are missing
	Reordered ProblemKind = "reordered" // a record stands in another's place
	CutOff    ProblemKind = "cut off"   // records at the end are missing
	Rewritten ProblemKind = "rewritten" // the chain is whole but not the one that was signed
	Forged    ProblemKind = "forged"    // a checkpoint that the key's owner did not sign
	Foreign   ProblemKind = "foreign"   // a checkpoint of another log
	Unread    ProblemKind = "unread"    // something could not be checked
)

// Problem is one thing found wrong. Seq is the record it is about, or the first
// of several; 0 where it is about none.
type Problem struct {
	Kind ProblemKind `json:"kind"`
	Seq  int64       `json:"seq,omitempty"`
	Say  string      `json:"say"` // one sentence, without a final full stop
}

// Checked is what came of one checkpoint.
type Checked struct {
	Checkpoint Checkpoint `json:"checkpoint"`
	OK         bool       `json:"ok"`
	Say        string     `json:"say"`
}

// Report is the outcome of a verification.
type Report struct {
	OK      bool   `json:"ok"` // nothing is wrong
	Log     string `json:"log,omitempty"`
	Records int64  `json:"records"`
	From    int64  `json:"from"` // first and last sequence found; 0 for none
	To      int64  `json:"to"`
	Hash    string `json:"hash,omitempty"` // of the last record
	Erased  int64  `json:"erased"`         // values erased on purpose
	// Archived is the last record that was moved to the archive; 0 for none.
	Archived    int64     `json:"archived,omitempty"`
	Problems    []Problem `json:"problems,omitempty"`
	More        int64     `json:"more,omitempty"` // problems beyond those listed
	Checkpoints []Checked `json:"checkpoints,omitempty"`
}

// Summary gives the report in one sentence.
func (r Report) Summary() string {
	if !r.OK {
		return fmt.Sprintf("the audit log is not intact: %s in %s", count(int64(len(r.Problems))+r.More, "problem"), count(r.Records, "record"))
	}
	if r.Records == 0 {
		return "the audit log is empty"
	}
	s := fmt.Sprintf("the audit log is intact: %s (%d to %d), head %s", count(r.Records, "record"), r.From, r.To, short(r.Hash))
	if r.Archived > 0 && r.From > r.Archived {
		s += fmt.Sprintf(", the %d before are in the archive", r.Archived)
	}
	if r.Erased > 0 {
		s += fmt.Sprintf(", %s erased on purpose", count(r.Erased, "value"))
	}
	if n := len(r.Checkpoints); n > 0 {
		s += fmt.Sprintf(", %s hold", count(int64(n), "checkpoint"))
		if n == 1 {
			s += "s"
		}
		newest := int64(0)
		for _, c := range r.Checkpoints {
			newest = max(newest, c.Checkpoint.Seq)
		}
		if left := r.To - newest; left > 0 {
			s += fmt.Sprintf("; the last %s came after the newest of them", count(left, "record"))
		}
	}
	return s
}

// VerifyOptions says what to hold the log against. Without a checkpoint, a log
// whose whole chain was recomputed, or whose end was cut off together with the
// stored head, looks intact.
type VerifyOptions struct {
	Against []Checkpoint
	// Files are checkpoint files, read in addition to Against.
	Files []string
	// Kept is the checkpoint file that the bot keeps; "" for none. It is
	// written when the bot starts, so where there are records and no such file,
	// somebody took it away, and that is a problem.
	Kept string
	// PublicKey verifies the checkpoints; without it none can be relied on,
	// and each is a problem.
	PublicKey ed25519.PublicKey
	// Chunk is how many records are read at a time; default 1000.
	Chunk int

	// Archive is the folder of archived segments, "" for none: they are checked
	// as the beginning of the same chain.
	Archive string

	// seen is called with every record, in the order in which it is checked.
	seen func(store.Sealed) error
	// bare says that the values beside the records were left out.
	bare bool
}

// Verify finds what was done to the log: edited, removed, reordered and cut-off
// records, and checkpoints that do not fit. It reads in bounded chunks,
// each from a snapshot of its own, so that writing goes on meanwhile. It gives an error only when the log
// could not be read; what is wrong with it is in the report.
func Verify(ctx context.Context, s store.Store, o VerifyOptions) (Report, error) {
	id, err := readID(ctx, s)
	if err != nil {
		return Report{}, err
	}
	if o.Kept != "" {
		if _, err := os.Stat(o.Kept); !errors.Is(err, fs.ErrNotExist) {
			o.Files = append(slices.Clip(o.Files), o.Kept)
			o.Kept = ""
		}
	}
	c := newChecker(id)
	if err := c.against(o); err != nil {
		return Report{}, err
	}
	if err := c.beginning(ctx, s, o); err != nil {
		return Report{}, err
	}
	chunk := o.Chunk
	if chunk <= 0 {
		chunk = 1000
	}
	for next := int64(1); ; {
		var sealed []store.Sealed
		var head store.Head
		var seen witness
		err := s.View(ctx, func(r store.Reader) (err error) {
			if sealed, err = r.RecordsFrom(next, chunk); err != nil {
				return err
			}
			if head, err = r.Head(); err != nil || len(sealed) == chunk {
				return err
			}
			seen, err = witnessed(r)
			return err
		})
		if err != nil {
			return Report{}, fmt.Errorf("read the audit log from record %d: %w", next, err)
		}
		from := next
		for _, rec := range sealed {
			c.add(rec)
			next = max(next, rec.Seq+1)
			if o.seen == nil {
				continue
			}
			if err := o.seen(rec); err != nil {
				return Report{}, err
			}
		}
		if len(sealed) < chunk || next == from {
			if o.Kept != "" && head.Seq > 0 {
				c.problem(Unread, 0, "the checkpoint file %s, which the bot writes when it starts, is gone; hold the log against a checkpoint from an audit channel, with --against", o.Kept)
			}
			return c.finish(&head, seen), nil
		}
	}
}

// beginning checks what was moved to the archive, as far as it is there to be
// checked, and begins the check of the database after it.
func (c *checker) beginning(ctx context.Context, s store.Store, o VerifyOptions) error {
	var a Anchor
	var first []store.Sealed
	err := s.View(ctx, func(r store.Reader) (err error) {
		if first, err = r.RecordsFrom(math.MinInt64, 1); err != nil {
			return err
		}
		a, _, err = anchorOf(r)
		return err
	})
	if err != nil && bot.KindOf(err) != bot.Internal {
		return fmt.Errorf("read where the audit log begins: %w", err)
	} else if err != nil {
		c.problem(Edited, 0, "%s", bot.Sentence(err, ""))
	}
	if o.Archive != "" && len(first) > 0 {
		same := func(seq int64) (hash string, err error) {
			err = s.View(ctx, func(r store.Reader) error {
				rec, _, err := r.Record(seq)
				hash = rec.Hash
				return err
			})
			return hash, err
		}
		if err := c.archived(ctx, o.Archive, o.PublicKey, first[0].Seq, same, o.seen); err != nil {
			return err
		}
	}
	c.anchored(a, o.PublicKey)
	return nil
}

// witness is how far into the log an audit channel was told.
type witness struct {
	channel string
	seq     int64
}

// maxWitnesses bounds how many channels are asked.
const maxWitnesses = 100

// witnessed gives the channel that was told most. The database holds that too,
// so it convicts only somebody who forgot about it; checkpoints convict all.
func witnessed(r store.Reader) (most witness, err error) {
	docs, err := r.Documents(kindAudit, mirrorDoc, maxWitnesses, false)
	if err != nil {
		return witness{}, err
	}
	for _, d := range docs {
		var c cursor
		if json.Unmarshal(d.Body, &c) == nil && c.Next-1 > most.seq {
			most = witness{channel: strings.TrimPrefix(d.ID, mirrorDoc), seq: c.Next - 1}
		}
	}
	return most, nil
}

// maxProblems bounds how many problems a report lists.
const maxProblems = 100

func (c *checker) problem(kind ProblemKind, seq int64, format string, args ...any) {
	c.report.OK = false
	if len(c.report.Problems) >= maxProblems {
		c.report.More++
		return
	}
	c.report.Problems = append(c.report.Problems, Problem{Kind: kind, Seq: seq, Say: fmt.Sprintf(format, args...)})
}

// against takes the checkpoints to hold the log against. Those that cannot be
// relied on are problems at once.
func (c *checker) against(o VerifyOptions) error {
	list := o.Against
	for _, path := range o.Files {
		more, err := ReadCheckpoints(path)
		if err != nil {
			if bot.KindOf(err) != bot.Invalid {
				return err
			}
			c.problem(Unread, 0, "%s", bot.Sentence(err, ""))
		}
		list = append(list, more...)
	}
	for _, cp := range list {
		i := len(c.report.Checkpoints)
		checked := Checked{Checkpoint: cp}
		what := fmt.Sprintf("the checkpoint of %s for record %d", stamp(cp.At), cp.Seq)
		switch {
		case len(o.PublicKey) == 0:
			checked.Say = what + " cannot be checked without the public key"
			c.problem(Unread, cp.Seq, "%s", checked.Say)
		case cp.Key != KeyID(o.PublicKey):
			checked.Say = fmt.Sprintf("%s was signed with key %s; this log's key is %s", what, bounded(cp.Key, 24), KeyID(o.PublicKey))
			c.problem(Forged, cp.Seq, "%s", checked.Say)
		case !cp.SignedBy(o.PublicKey):
			checked.Say = what + " is forged: its signature is not that of the audit key"
			c.problem(Forged, cp.Seq, "%s", checked.Say)
		case cp.Log != c.report.Log:
			checked.Say = fmt.Sprintf("%s is of another log: it names log %s, this is %s", what, bounded(cp.Log, 40), orNone(c.report.Log))
			c.problem(Foreign, cp.Seq, "%s", checked.Say)
		default:
			c.pending[cp.Seq] = append(c.pending[cp.Seq], i)
		}
		c.report.Checkpoints = append(c.report.Checkpoints, checked)
	}
	return nil
}

// compare holds record seq's hash against the checkpoints that cover it. whole
// is false for a record that is a problem in itself already.
func (c *checker) compare(seq int64, hash string, whole bool) {
	for _, i := range c.pending[seq] {
		checked := &c.report.Checkpoints[i]
		signed := checked.Checkpoint
		switch {
		case !whole:
			checked.Say = fmt.Sprintf("record %d is no longer the one that was signed at %s", seq, stamp(signed.At))
		case signed.Hash == hash:
			checked.OK, checked.Say = true, fmt.Sprintf("record %d is the one that was signed at %s", seq, stamp(signed.At))
			c.held = max(c.held, seq)
		default:
			since := ""
			if c.held > 0 {
				since = fmt.Sprintf(", after record %d, which an earlier checkpoint still holds", c.held)
			}
			checked.Say = fmt.Sprintf("the log was rewritten at record %d or earlier%s: its hash was %s when it was signed at %s, and is %s",
				seq, since, short(signed.Hash), stamp(signed.At), short(hash))
			c.problem(Rewritten, seq, "%s", checked.Say)
		}
	}
	delete(c.pending, seq)
}

// finish compares the end of what was read with the stored head, if there is
// one, with what was told to an audit channel, and with the checkpoints that
// cover records beyond it.
func (c *checker) finish(head *store.Head, seen witness) Report {
	last := c.report.To
	end := last
	if head != nil {
		switch {
		case head.Seq > last:
			c.problem(CutOff, last+1, "%s cut off: the log's head is record %d", wereRecords(last+1, head.Seq), head.Seq)
			end = head.Seq
		case head.Seq < last:
			c.problem(Edited, last, "the log's head says record %d, and the log goes on to record %d", head.Seq, last)
		case head.Hash != c.report.Hash:
			c.problem(Edited, last, "the log's head was edited: it no longer holds the hash of record %d", last)
		}
	}
	if seen.seq > end {
		c.problem(CutOff, last+1, "%s cut off: %s was told up to record %d", wereRecords(last+1, seen.seq), seen.channel, seen.seq)
		end = seen.seq
	}
	for _, i := range c.unmet() {
		checked := &c.report.Checkpoints[i]
		seq := checked.Checkpoint.Seq
		if seq <= last || seq < 1 {
			checked.Say = fmt.Sprintf("record %d, which was signed at %s, is missing", seq, stamp(checked.Checkpoint.At))
			c.problem(Removed, seq, "%s", checked.Say)
			continue
		}
		checked.Say = fmt.Sprintf("%s cut off: record %d was signed at %s", wereRecords(last+1, seq), seq, stamp(checked.Checkpoint.At))
		if seq > end {
			c.problem(CutOff, last+1, "%s", checked.Say)
			end = seq
		}
	}
	c.checkErased()
	return c.report
}

func wereRecords(from, to int64) string {
	if from == to {
		return fmt.Sprintf("record %d was", from)
	}
	return fmt.Sprintf("records %d to %d were", from, to)
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 MST") }

func orNone(s string) string {
	if s == "" {
		return "one without a name"
	}
	return s
}
