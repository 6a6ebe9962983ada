package audit

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/store"
)

// Cover is what stands on the first page of a Book.
type Cover struct {
	Scope Scope
	Made  time.Time
	// Log is the log's own identifier, Verified what came of checking the whole
	// of it; the rows were read in that same pass, so that what is reported is
	// what was checked.
	Log      string
	Verified Report
	// Checkpoint is the newest signed checkpoint that the log holds to; zero
	// when there is none.
	Checkpoint Checkpoint
	// First and Last are the sequences of the period's first and last record,
	// 0 for none; Kinds counts its records, whatever their target.
	First int64
	Last  int64
	Kinds map[bot.RecordKind]int64
	Reads int64 // of these, what changed nothing and was to change nothing
	// Unread counts records that do not decode; Verified names them.
	Unread int64
	// Rules says which record tells of the rules in force when the period
	// began, and what about it could not be shown.
	Rules string
	Rows  map[Section]int
}

// Book is what an auditor gets: a Cover and rows by section. Rows wait in a
// temporary file, so that a long period needs little memory. Close removes it.
type Book struct {
	Cover Cover

	file *os.File
	out  *bufio.Writer
	at   int64
	rows map[Section][]mark
}

// mark is where a row stands in the file, and what it is ordered by.
type mark struct {
	order int64
	at    int64
}

// CompileOptions says what a Book is made from.
type CompileOptions struct {
	Scope  Scope
	Verify VerifyOptions
	Made   time.Time
}

// Compile checks the whole log and makes a Book of what it tells about the
// scope, in one pass. That the log is not intact is no error; the Cover says
// so. The caller closes the Book.
func Compile(ctx context.Context, s store.Store, o CompileOptions) (_ *Book, err error) {
	if !o.Scope.From.Before(o.Scope.To) {
		return nil, bot.Errorf(bot.Invalid, "the period ends before it begins; write --from 2026-10-01 --to 2026-10-31")
	}
	b := &Book{rows: map[Section][]mark{}}
	if b.file, err = os.CreateTemp("", "quarterdeck-report-*"); err != nil {
		return nil, fmt.Errorf("make a temporary file: %w", err)
	}
	defer func() {
		if err != nil {
			b.Close()
		}
	}()
	b.out = bufio.NewWriterSize(b.file, 64<<10)
	p := newProjection(o.Scope, b.add, func(run int64) (bot.Spec, bool) { return specOf(ctx, s, run) })
	o.Verify.seen = p.add
	verified, err := Verify(ctx, s, o.Verify)
	if err != nil {
		return nil, err
	}
	if err := p.finish(); err != nil {
		return nil, err
	}
	b.Cover = Cover{Scope: o.Scope, Made: o.Made, Log: verified.Log, Verified: verified, First: p.first, Last: p.last,
		Kinds: p.kinds, Reads: p.reads, Unread: p.unread, Rows: map[Section]int{}}
	for _, c := range verified.Checkpoints {
		if c.OK && c.Checkpoint.Seq >= b.Cover.Checkpoint.Seq {
			b.Cover.Checkpoint = c.Checkpoint
		}
	}
	if err := b.rules(ctx, s, p.inForce); err != nil {
		return nil, err
	}
	if err := b.out.Flush(); err != nil {
		return nil, fmt.Errorf("write the temporary file: %w", err)
	}
	for section, marks := range b.rows {
		slices.SortStableFunc(marks, func(x, y mark) int { return cmp.Compare(x.order, y.order) })
		b.Cover.Rows[section] = len(marks)
	}
	return b, nil
}

// add keeps one row.
func (b *Book) add(r Row) error {
	line, err := encode(r)
	if err != nil {
		return err
	}
	order := r.Run
	if r.Section != SectionChange && r.Section != SectionReview {
		order = 0 // as they came
	}
	b.rows[r.Section] = append(b.rows[r.Section], mark{order, b.at})
	b.at += int64(len(line)) + 1
	if _, err = b.out.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("write the temporary file: %w", err)
	}
	return nil
}

// Each calls f with the rows of a section: changes and reviews by the number of
// their run, the others in the order of the log.
func (b *Book) Each(s Section, f func(Row) error) error {
	in := bufio.NewReader(nil)
	for _, m := range b.rows[s] {
		in.Reset(&at{b.file, m.at})
		line, err := in.ReadBytes('\n')
		if err != nil {
			return fmt.Errorf("read the temporary file: %w", err)
		}
		var r Row
		if err := json.Unmarshal(line, &r); err != nil {
			return fmt.Errorf("read the temporary file: %w", err)
		}
		if err := f(r); err != nil {
			return err
		}
	}
	return nil
}

// at reads a file from a place on.
type at struct {
	file *os.File
	from int64
}

func (a *at) Read(p []byte) (int, error) {
	n, err := a.file.ReadAt(p, a.from)
	a.from += int64(n)
	if n > 0 {
		err = nil
	}
	return n, err
}

// Close removes what the Book kept.
func (b *Book) Close() {
	b.file.Close()
	os.Remove(b.file.Name())
}

// specOf reads what a run was to do out of the run's own row.
func specOf(ctx context.Context, s store.Store, run int64) (bot.Spec, bool) {
	var row store.RunRow
	err := s.View(ctx, func(r store.Reader) (err error) {
		row, _, err = r.Run(run)
		return err
	})
	if err != nil || len(row.Body) == 0 {
		return bot.Spec{}, false
	}
	var marked struct {
		Value json.RawMessage `json:"value"`
	}
	body := []byte(row.Body)
	if json.Unmarshal(body, &marked) == nil && len(marked.Value) > 0 {
		body = marked.Value
	}
	var kept bot.Run
	if json.Unmarshal(body, &kept) != nil || kept.Plan.Spec.Kind == "" {
		return bot.Spec{}, false
	}
	return kept.Plan.Spec, true
}

// detailRules holds, in a record of kind configured, the digest of the Rules
// that were in force from then on.
const detailRules = "rules"

// rulesDoc begins the names of the documents that keep Rules.
const rulesDoc = "rules/"

// Rules are all people, rules and settings at one time, a line each, without
// secrets. They are kept beside the log, whose record of the same sequence
// holds their digest.
type Rules struct {
	Lines []string `json:"lines"`
}

// Describe adds to a record of kind configured the digest of rules, which Keep
// keeps under the record's sequence once it is appended.
func (r Rules) Describe(rec bot.Record) (bot.Record, error) {
	body, err := encode(r)
	if err != nil {
		return bot.Record{}, err
	}
	detail := map[string]string{detailRules: "sha256:" + hashOf(body)}
	for name, value := range rec.Detail {
		detail[name] = value
	}
	rec.Detail = detail
	return rec, nil
}

// Keep keeps the rules that the record of sequence seq tells of.
func (r Rules) Keep(tx store.Tx, seq int64) error {
	body, err := encode(r)
	if err != nil {
		return err
	}
	_, err = tx.PutDocument(bot.Document{Kind: kindAudit, ID: rulesName(seq), Body: body})
	return err
}

func rulesName(seq int64) string { return fmt.Sprintf("%s%019d", rulesDoc, seq) }

// rules adds a row for every rule and setting in force when the period began.
func (b *Book) rules(ctx context.Context, s store.Store, in bot.Record) error {
	if in.Seq == 0 {
		b.Cover.Rules = "nothing was configured before the period began; what was is under settings"
		return nil
	}
	var kept bot.Document
	var found bool
	err := s.View(ctx, func(r store.Reader) (err error) {
		kept, found, err = r.Document(kindAudit, rulesName(in.Seq))
		return err
	})
	if err != nil {
		return err
	}
	var rules Rules
	switch {
	case !found:
		b.Cover.Rules = fmt.Sprintf("record %d tells of the rules in force when the period began; their text is gone", in.Seq)
		return nil
	case "sha256:"+hashOf(kept.Body) != in.Detail[detailRules]:
		b.Cover.Rules = fmt.Sprintf("the rules kept for record %d are not what the record tells of: they were edited, or a value in them was erased", in.Seq)
		return nil
	case json.Unmarshal(kept.Body, &rules) != nil:
		b.Cover.Rules = fmt.Sprintf("the rules kept for record %d cannot be read", in.Seq)
		return nil
	}
	b.Cover.Rules = fmt.Sprintf("record %d of %s tells of the rules in force when the period began", in.Seq, instant(in.At))
	for _, line := range rules.Lines {
		err := b.add(Row{Section: SectionRule, At: in.At, What: strings.TrimPrefix(line, "+ "), Records: spans{{in.Seq, in.Seq}}.String()})
		if err != nil {
			return err
		}
	}
	return nil
}
