package audit

import (
	"encoding/json"
	"slices"
	"strconv"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/store"
)

// checker checks records as they come, by ascending sequence. It keeps nothing
// of them but the last one's hash and what was erased.
type checker struct {
	report  Report
	pending map[int64][]int // checkpoints to compare, by sequence; indexes into report.Checkpoints
	held    int64           // the last record that a checkpoint holds

	next     int64     // sequence that comes next
	latest   time.Time // greatest time so far, as stored
	prev     string    // hash of the record before
	unlinked bool      // prev says nothing about the next record's: a gap or a moved record lies between

	copied  bool // what is checked is a copy that somebody made
	partial bool // what is checked ends before the log does
	bare    bool // what is checked has the commitments alone, see Copier

	erased map[valueName]bool // erased values; true once a later record says so
}

// valueName names one erasable value.
type valueName struct {
	seq  int64
	name string
}

func newChecker(log string) *checker {
	return &checker{report: Report{OK: true, Log: log}, pending: map[int64][]int{}, next: 1,
		erased: map[valueName]bool{}}
}

// add checks one stored record.
func (c *checker) add(s store.Sealed) {
	if s.Seq < c.next {
		c.problem(Reordered, s.Seq, "record %d comes a second time, after record %d", s.Seq, c.next-1)
		return
	}
	if c.report.Records == 0 {
		c.report.From = s.Seq
	}
	if s.Seq > c.next {
		c.problem(Removed, c.next, "%s removed: record %d stands where record %d should", wereRecords(c.next, s.Seq-1), s.Seq, c.next)
		c.unlinked = true
	}
	c.report.Records++
	c.report.To, c.report.Hash = s.Seq, s.Hash

	whole := c.checkBody(s)
	c.compare(s.Seq, s.Hash, whole)
	c.next, c.prev, c.unlinked, c.latest = s.Seq+1, s.Hash, !whole, s.Latest
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// checkBody checks one record in itself and against the one before. It gives
// whether the record's own text is what its hash says and belongs in its place;
// only then may the hash be held against the next record and checkpoints.
func (c *checker) checkBody(s store.Sealed) bool {
	if hashOf(s.Body) != s.Hash {
		c.problem(Edited, s.Seq, "record %d was edited: its text no longer matches its hash", s.Seq)
		return false
	}
	var r bot.Record
	if err := json.Unmarshal(s.Body, &r); err != nil {
		c.problem(Edited, s.Seq, "record %d was edited: its text is no record", s.Seq)
		return false
	}
	if r.V < 1 || r.V > bot.RecordVersion {
		c.problem(Unread, s.Seq, "record %d is of version %d, which this program does not know", s.Seq, r.V)
	}
	if r.Seq != s.Seq {
		c.problem(Reordered, s.Seq, "record %d was moved: what stands in its place was written as record %d", s.Seq, r.Seq)
		return false
	}
	switch {
	case c.unlinked:
	case r.Prev == c.prev:
	case s.Seq == 1:
		c.problem(Edited, s.Seq, "record 1 is not the first: it was chained to an earlier one")
	default:
		c.problem(Edited, s.Seq-1, "record %d was edited: record %d was chained to another text of it", s.Seq-1, s.Seq)
	}
	c.checkColumns(s, r)
	c.checkText(s, r.Commit)
	if r.Kind == bot.ConfiguredKind && r.Detail[detailErased] != "" {
		if seq, err := strconv.ParseInt(r.Detail[detailErased], 10, 64); err == nil {
			c.tellErased(valueName{seq, r.Detail[detailName]})
		}
	}
	return true
}

// checkColumns compares what is searched with what was written.
func (c *checker) checkColumns(s store.Sealed, r bot.Record) {
	differs := func(column string, stored, written string) {
		if stored != written {
			c.problem(Edited, s.Seq, "record %d was edited: it is searched by %s %q, and its text says %q", s.Seq, column, bounded(stored, 80), bounded(written, 80))
		}
	}
	differs("kind", string(s.Kind), string(r.Kind))
	differs("run", strconv.FormatInt(s.Run, 10), strconv.FormatInt(r.Run, 10))
	differs("target", s.Target, r.Target)
	differs("person", s.Person, r.Person)
	if want := later(c.latest, r.At); !c.unlinked && !s.Latest.IsZero() && !s.Latest.Equal(want) {
		c.problem(Edited, s.Seq, "record %d was edited: it is searched by the latest time %s, which is %s", s.Seq, stamp(s.Latest), stamp(want))
	}
	if !s.At.Equal(r.At) {
		c.problem(Edited, s.Seq, "record %d was edited: it is searched by time %s, and its text says %s", s.Seq, stamp(s.At), stamp(r.At))
	}
}

// checkText compares the values beside a record with their commitments.
func (c *checker) checkText(s store.Sealed, commits map[string]string) {
	values, err := decodeTextStrictly(s.Text)
	if err != nil {
		c.problem(Edited, s.Seq, "record %d was edited: the values beside it are not in the form they were written in", s.Seq)
		return
	}
	if c.bare && len(values) == 0 {
		return
	}
	for _, name := range sortedKeys(commits) {
		v, found := values[name]
		switch {
		case !found:
			c.problem(Edited, s.Seq, "record %d was edited: its %s was taken away", s.Seq, bounded(name, 40))
		case v.Erased && v.Salt == "" && v.Value == "":
			c.report.Erased++
			c.erased[valueName{s.Seq, name}] = false
		case v.Erased || !v.opens(commits[name]):
			c.problem(Edited, s.Seq, "record %d was edited: its %s is not what was written", s.Seq, bounded(name, 40))
		}
	}
	for _, name := range sortedKeys(values) {
		if _, found := commits[name]; !found {
			c.problem(Edited, s.Seq, "record %d was edited: a value %q was added to it", s.Seq, bounded(name, 40))
		}
	}
}

// tellErased notes that a record tells of the erasure of n.
func (c *checker) tellErased(n valueName) {
	if _, found := c.erased[n]; found {
		c.erased[n] = true
	}
}

// checkErased names the erasures that no record tells of.
func (c *checker) checkErased() {
	if c.partial {
		return // the record that tells of it may come later
	}
	var silent []valueName
	for n, told := range c.erased {
		if !told {
			silent = append(silent, n)
		}
	}
	slices.SortFunc(silent, func(a, b valueName) int {
		if a.seq != b.seq {
			return int(a.seq - b.seq)
		}
		if a.name < b.name {
			return -1
		}
		return 1
	})
	for _, n := range silent {
		c.problem(Edited, n.seq, "record %d was edited: its %s was erased, and no record says by whom", n.seq, bounded(n.name, 40))
	}
}

// unmet gives the checkpoints that nothing was compared with, by sequence.
func (c *checker) unmet() []int {
	var list []int
	for _, indexes := range c.pending {
		list = append(list, indexes...)
	}
	slices.SortFunc(list, func(a, b int) int {
		return int(c.report.Checkpoints[a].Checkpoint.Seq - c.report.Checkpoints[b].Checkpoint.Seq)
	})
	return list
}
