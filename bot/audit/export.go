package audit

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"

	"quarterdeck/bot"
	"quarterdeck/bot/store"
)

// Format is a form that Export writes.
type Format string

// JSONL is one JSON object a line: a first line that names the log, each record
// as it was hashed with its hash and the values beside it, and a last line that
// says how many there were. VerifyExport needs nothing else.
const JSONL Format = "jsonl"

// Formats lists the forms that Export writes.
func Formats() []Format { return []Format{JSONL, OCSF, CloudEvents} }

// The lines of an export. Record is kept to the byte, because that is what was
// hashed.
type (
	exportBegin struct {
		Version int    `json:"quarterdeck_audit"`
		Log     string `json:"log"`
		// Anchor is where the archive ends, when old records lie there.
		Anchor *Anchor `json:"anchor,omitempty"`
	}
	exportRecord struct {
		Seq    int64           `json:"seq"`
		Hash   string          `json:"hash"`
		Record json.RawMessage `json:"record,omitempty"`
		Text   json.RawMessage `json:"text,omitempty"`
		// Raw and RawText stand in for what somebody edited so that it cannot
		// be shown as a part of this line.
		Raw     []byte `json:"raw,omitempty"`
		RawText []byte `json:"raw_text,omitempty"`
	}
	exportEnd struct {
		End     bool   `json:"end"`
		Records int64  `json:"records"`
		Seq     int64  `json:"seq"`
		Hash    string `json:"hash"`
	}
)

const exportVersion = 1

// Export writes the whole log to w, reading it in bounded chunks; records that
// are appended meanwhile may or may not be in it. An unknown format is an Error
// of kind Invalid. JSONL is what is stored, whether or not it is intact.
func Export(ctx context.Context, s store.Store, w io.Writer, f Format) error {
	if !slices.Contains(Formats(), f) {
		return bot.Errorf(bot.Invalid, "there is no export format %q; use jsonl, ocsf or cloudevents", f)
	}
	id, err := readID(ctx, s)
	if err != nil {
		return err
	}
	if f != JSONL {
		out := bufio.NewWriterSize(w, 64<<10)
		err := each(ctx, s, 1, func(rec store.Sealed) error {
			e, err := project(f, id, rec)
			if err != nil {
				return err
			}
			return writeLine(out, e)
		})
		if err != nil {
			return err
		}
		return out.Flush()
	}
	begin := exportBegin{Version: exportVersion, Log: id}
	err = s.View(ctx, func(r store.Reader) error {
		a, _, err := anchorOf(r)
		if a.Seq > 0 {
			begin.Anchor = &a
		}
		return err
	})
	if err != nil && bot.KindOf(err) != bot.Internal { // one that cannot be read is for the verification to name
		return err
	}
	out := bufio.NewWriterSize(w, 64<<10)
	if err := writeLine(out, begin); err != nil {
		return err
	}
	var end exportEnd
	end.End = true
	err = each(ctx, s, 1, func(rec store.Sealed) error {
		end.Records, end.Seq, end.Hash = end.Records+1, rec.Seq, rec.Hash
		return writeRecord(out, rec)
	})
	if err != nil {
		return err
	}
	if err := writeLine(out, end); err != nil {
		return err
	}
	return out.Flush()
}

func writeLine(w *bufio.Writer, v any) error {
	line, err := encode(v)
	if err != nil {
		return err
	}
	if _, err := w.Write(line); err != nil {
		return err
	}
	return w.WriteByte('\n')
}

// writeRecord writes the stored bytes as they are; an encoder might write them
// otherwise.
func writeRecord(w *bufio.Writer, s store.Sealed) error {
	text := []byte(s.Text)
	if len(text) == 0 {
		text = []byte("{}")
	}
	if !oneLine(s.Body) || !oneLine(text) {
		return writeLine(w, exportRecord{Seq: s.Seq, Hash: s.Hash, Raw: s.Body, RawText: s.Text})
	}
	hash, err := encode(s.Hash)
	if err != nil {
		return err
	}
	w.WriteString(`{"seq":`)
	w.WriteString(strconv.FormatInt(s.Seq, 10))
	w.WriteString(`,"hash":`)
	w.Write(hash)
	w.WriteString(`,"record":`)
	w.Write(s.Body)
	w.WriteString(`,"text":`)
	w.Write(text)
	_, err = w.WriteString("}\n") // a bufio.Writer keeps its first error
	return err
}

// oneLine reports whether b is JSON that can stand within a line as it is.
func oneLine(b []byte) bool { return json.Valid(b) && !bytes.ContainsAny(b, "\r\n") }

// each calls f with every record from seq on, in order, reading in chunks.
func each(ctx context.Context, s store.Store, seq int64, f func(store.Sealed) error) error {
	const chunk = 500
	for {
		var sealed []store.Sealed
		err := s.View(ctx, func(r store.Reader) (err error) {
			sealed, err = r.RecordsFrom(seq, chunk)
			return err
		})
		if err != nil {
			return fmt.Errorf("read the audit log from record %d: %w", seq, err)
		}
		from := seq
		for _, rec := range sealed {
			if err := f(rec); err != nil {
				return err
			}
			seq = max(seq, rec.Seq+1)
		}
		if len(sealed) < chunk || seq == from {
			return nil
		}
	}
}

// maxExportLine bounds the length of one line that VerifyExport reads.
const maxExportLine = 8 << 20

// VerifyExport verifies what Export wrote, like Verify, without a database. An
// export that was cut short, or to which something was added, is a problem. It
// gives an error only when in cannot be read or is no export at all.
func VerifyExport(ctx context.Context, in io.Reader, o VerifyOptions) (Report, error) {
	lines := bufio.NewScanner(in)
	lines.Buffer(make([]byte, 64<<10), maxExportLine)
	var begin exportBegin
	if !lines.Scan() || json.Unmarshal(lines.Bytes(), &begin) != nil || begin.Version == 0 {
		if err := lines.Err(); err != nil && !errors.Is(err, bufio.ErrTooLong) {
			return Report{}, fmt.Errorf("read export: %w", err)
		}
		return Report{}, bot.Errorf(bot.Invalid, "this is no export of an audit log; make one with: quarterdeck audit export")
	}
	if begin.Version != exportVersion {
		return Report{}, bot.Errorf(bot.Invalid, "this export is of version %d; this program reads version %d", begin.Version, exportVersion)
	}
	c := newChecker(begin.Log)
	if err := c.against(o); err != nil {
		return Report{}, err
	}
	if c.copied = len(o.PublicKey) == 0; begin.Anchor != nil {
		c.anchored(*begin.Anchor, o.PublicKey)
	}
	var end *exportEnd
	for n := 2; lines.Scan(); n++ {
		if err := ctx.Err(); err != nil {
			return Report{}, err
		}
		if end != nil {
			c.problem(Edited, 0, "line %d stands after the end of the export", n)
			break
		}
		end = c.exportLine(n, lines.Bytes())
	}
	if err := lines.Err(); err != nil {
		if !errors.Is(err, bufio.ErrTooLong) {
			return Report{}, fmt.Errorf("read export: %w", err)
		}
		c.problem(Edited, c.next, "a line after record %d is longer than any record", c.report.To)
	}
	var head *store.Head
	switch {
	case end == nil:
		c.problem(CutOff, c.report.To+1, "the export is cut off after record %d: its last line is missing", c.report.To)
	default:
		head = &store.Head{Seq: end.Seq, Hash: end.Hash}
		if end.Records != c.report.Records {
			c.problem(Removed, 0, "the export holds %s, and its last line says %d", count(c.report.Records, "record"), end.Records)
		}
	}
	return c.finish(head, witness{}), nil
}

// exportLine checks one line of an export and gives its end when this is it.
func (c *checker) exportLine(n int, line []byte) *exportEnd {
	var end exportEnd
	if bytes.HasPrefix(line, []byte(`{"end":`)) && json.Unmarshal(line, &end) == nil && end.End {
		return &end
	}
	s, ok := decodeLine(line)
	if !ok {
		c.problem(Edited, c.next, "line %d, where record %d should be, is no record", n, c.next)
		return nil
	}
	c.add(s)
	return nil
}
