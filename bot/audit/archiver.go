package audit

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/store"
)

// Archiver moves old records out of the store into signed segments. The order
// is: write the file, bring it to the disk, read it back, and only then take
// the records out of the store, together with the Anchor, in one transaction. A
// crash in between leaves records in both, which the next pass mends by
// writing the same segment again; nothing is lost or doubled. Its fields must
// not change once it is used.
type Archiver struct {
	Store store.Store
	Key   Key
	Clock bot.Clock
	// Dir is the archive's folder, which is made.
	Dir string
	// Retain is how long Run leaves records in the store.
	Retain time.Duration
	// Channels are the audit channels: what they were not told yet stays.
	Channels []bot.ChannelID
	Logger   *slog.Logger

	// IDs names this process among those that might archive the same log.
	IDs bot.IDs

	// reach is called by name at the places where a crash would hurt most.
	reach func(place string)
}

// ArchiveOptions says what an operator wants moved.
type ArchiveOptions struct {
	Before time.Time
	// Purge writes the database anew afterwards, so that its files shrink.
	Purge bool
}

// Moved says what a pass moved.
type Moved struct {
	Records  int64
	Through  int64    // the last record in the archive
	Files    []string // written by this pass
	Kept     int64    // the record before which more could not be moved; 0 when all could
	KeptSays string   // why
}

// sweep is how often Run looks for records that are old enough.
const sweep = 6 * time.Hour

// Run moves what is older than Retain, at once and every few hours, until ctx
// ends. What fails is logged and tried again.
func (a *Archiver) Run(ctx context.Context) error {
	ticker := time.NewTicker(sweep)
	defer ticker.Stop()
	for {
		moved, err := a.Move(ctx, a.Clock.Now().Add(-a.Retain))
		switch {
		case err != nil && ctx.Err() == nil:
			a.Logger.Error("archive old records", "dir", a.Dir, "err", err)
		case moved.Records > 0:
			a.Logger.Info("archived old records", "dir", a.Dir, "records", moved.Records, "through", moved.Through)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// Move moves every record of before that time that nothing needs any more. The
// newest record, the records of runs that have not ended, of acts that are to be
// reviewed, and what an audit channel was not told yet stay, with all that
// follow them. The rules in force stay in the store in any case.
func (a *Archiver) Move(ctx context.Context, before time.Time) (moved Moved, err error) {
	if err := os.MkdirAll(a.Dir, 0o700); err != nil {
		return Moved{}, &bot.Error{Op: "audit.archive", Kind: bot.Invalid, Say: fmt.Sprintf("the archive %s cannot be made", a.Dir), Err: err}
	}
	public := a.Key.Public()
	claim, err := a.claim(ctx)
	if err != nil {
		return Moved{}, err
	}
	defer a.release(ctx, claim)
	if err := a.clean(ctx); err != nil {
		return Moved{}, err
	}
	for ctx.Err() == nil {
		batch, anchor, err := a.next(ctx, before, &moved)
		if err != nil || len(batch) == 0 {
			return moved, err
		}
		m := Manifest{Log: anchor.Log, Before: anchor.Hash, Since: anchor.Latest, At: a.Clock.Now().UTC().Truncate(time.Microsecond)}
		if err := a.whole(batch, anchor); err != nil {
			return moved, err
		}
		m, file, err := a.Key.encodeSegment(m, batch)
		if err != nil {
			return moved, err
		}
		path := filepath.Join(a.Dir, m.name())
		if err := writeDurably(path, file); err != nil {
			return moved, &bot.Error{Op: "audit.archive", Kind: bot.Unavailable, Say: fmt.Sprintf("the segment %s cannot be written; its records stay in the database", path), Err: err}
		}
		a.at("written")
		if err := readBack(path, m, batch); err != nil {
			return moved, err
		}
		next := anchor
		next.Seq, next.Hash, next.Latest, next.At = m.Last, m.After, m.Latest, m.At
		for _, s := range batch {
			if s.Kind != bot.ConfiguredKind {
				continue
			}
			if r, err := Decode(s); err == nil && r.Detail[detailRules] != "" {
				next.Rules, next.Digest = s.Seq, r.Detail[detailRules]
			}
		}
		next = a.Key.signAnchor(next)
		err = a.Store.Update(ctx, func(tx store.Tx) error {
			if err := a.hold(tx, &claim); err != nil {
				return err
			}
			now, rev, err := anchorOf(tx)
			if err != nil {
				return err
			}
			if now.Seq != anchor.Seq {
				return errArchiving()
			}
			// Somebody may have erased a value meanwhile: then the file holds it.
			for _, s := range batch {
				if rec, found, err := tx.Record(s.Seq); err != nil {
					return err
				} else if !found || !bytes.Equal(rec.Text, s.Text) || rec.Hash != s.Hash {
					return bot.Errorf(bot.Conflict, "record %d was changed while it was being archived; archive again", s.Seq)
				}
			}
			if _, err := tx.RemoveRecords(m.Last); err != nil {
				return err
			}
			return next.save(tx, rev)
		})
		if err != nil {
			return moved, err // the file is a copy of what is still there; the next pass clears it away
		}
		a.at("removed")
		moved.Records += m.Count
		moved.Through = m.Last
		moved.Files = append(moved.Files, path)
		if s, err := readManifest(path); err != nil {
			return moved, err
		} else if kind, say := s.trusted(anchor.Log, public); kind != "" {
			return moved, bot.Errorf(bot.Internal, "%s", say)
		}
	}
	return moved, ctx.Err()
}

func (a *Archiver) at(place string) {
	if a.reach != nil {
		a.reach(place)
	}
}

// next gives the records of the next segment, and the anchor they follow.
func (a *Archiver) next(ctx context.Context, before time.Time, moved *Moved) (batch []store.Sealed, anchor Anchor, err error) {
	err = a.Store.View(ctx, func(r store.Reader) error {
		if anchor, _, err = anchorOf(r); err != nil {
			return err
		}
		if anchor.Log, err = idOf(r); err != nil {
			return err
		}
		limit, why, err := a.keep(r, anchor.Seq)
		if err != nil {
			return err
		}
		moved.Through = max(moved.Through, anchor.Seq)
		size := 0
		for from := anchor.Seq + 1; len(batch) < segmentRecords && size < segmentBytes; {
			page, err := r.RecordsFrom(from, 500)
			if err != nil {
				return err
			}
			for _, s := range page {
				if !s.Latest.Before(before) || len(batch) == segmentRecords || size >= segmentBytes {
					return nil
				}
				if s.Seq >= limit {
					moved.Kept, moved.KeptSays = limit, why
					return nil
				}
				batch = append(batch, s)
				size += len(s.Body) + len(s.Text)
				from = s.Seq + 1
			}
			if len(page) < 500 {
				return nil
			}
		}
		return nil
	})
	return batch, anchor, err
}

// keep gives the first record that must stay, and why.
func (a *Archiver) keep(r store.Reader, anchored int64) (limit int64, why string, err error) {
	head, err := r.Head()
	if err != nil {
		return 0, "", err
	}
	limit, why = head.Seq, "it is the newest one"
	atMost := func(seq int64, say string) {
		if seq < limit {
			limit, why = seq, say
		}
	}
	for _, channel := range a.Channels {
		c, _, found, err := loadCursor(r, channel)
		switch {
		case err != nil:
			return 0, "", err
		case !found:
			atMost(anchored+1, fmt.Sprintf("%s was told nothing yet", channel))
		default:
			atMost(c.Next, fmt.Sprintf("%s was not told it yet", channel))
		}
	}
	open, err := r.Runs(bot.RunFilter{Open: true, Limit: math.MaxInt32})
	if err != nil {
		return 0, "", err
	}
	for _, run := range open {
		first, err := firstOf(r, run.Number)
		if err != nil {
			return 0, "", err
		}
		if first > 0 {
			atMost(first, fmt.Sprintf("run #%d, which it tells of, has not ended", run.Number))
		}
		// What comes by itself rests on what was said to the run that it follows.
		parent, err := followed(r, first)
		if err != nil {
			return 0, "", err
		}
		if parent == 0 {
			continue
		}
		if first, err = firstOf(r, parent); err != nil {
			return 0, "", err
		}
		if first > 0 {
			atMost(first, fmt.Sprintf("run #%d, which follows what it tells of, has not ended", run.Number))
		}
	}
	seq, run, err := oldestReview(r)
	if err != nil {
		return 0, "", err
	}
	if seq > 0 {
		atMost(seq, fmt.Sprintf("run #%d, which it tells of, is to be reviewed", run))
	}
	return limit, why, nil
}

// firstOf gives the first record of a run; 0 for none.
func firstOf(r store.Reader, run int64) (int64, error) {
	list, err := r.Records(bot.RecordFilter{Run: run, Limit: math.MaxInt32})
	if err != nil || len(list) == 0 {
		return 0, err
	}
	return list[len(list)-1].Seq, nil
}

// followed gives the run that the one which was asked for by a record follows; 0
// for none.
func followed(r store.Reader, seq int64) (int64, error) {
	s, found, err := r.Record(seq)
	if err != nil || !found {
		return 0, err
	}
	rec, err := Decode(s)
	if err != nil || rec.Detail["parent"] == "" {
		return 0, nil // what cannot be read names nobody
	}
	n, err := strconv.ParseInt(rec.Detail["parent"], 10, 64)
	if err != nil {
		return 0, nil
	}
	return n, nil
}

// oldestReview gives the first record of the oldest run whose review is owed.
func oldestReview(r store.Reader) (seq, run int64, err error) {
	list, err := r.Records(bot.RecordFilter{Kind: bot.OverriddenKind, Limit: math.MaxInt32})
	if err != nil {
		return 0, 0, err
	}
	for i := len(list) - 1; i >= 0; i-- { // oldest first
		rec, err := Decode(list[i])
		if err != nil || rec.Run == 0 || breakGlass(rec) == "" {
			continue
		}
		done, err := r.Records(bot.RecordFilter{Run: rec.Run, Kind: bot.ReviewedKind, Limit: 1})
		if err != nil {
			return 0, 0, err
		}
		if len(done) == 0 {
			seq, err = firstOf(r, rec.Run)
			return seq, rec.Run, err
		}
	}
	return 0, 0, nil
}

// whole refuses to archive, and so to sign, what is not the chain that was
// written.
func (a *Archiver) whole(batch []store.Sealed, anchor Anchor) error {
	c := newChecker(anchor.Log)
	c.partial = true
	c.next, c.prev, c.latest = anchor.Seq+1, anchor.Hash, anchor.Latest
	for _, s := range batch {
		c.add(s)
	}
	if report := c.finish(nil, witness{}); !report.OK {
		return bot.Errorf(bot.Conflict, "the log is not intact, so that nothing more is moved out of the database: %s", report.Problems[0].Say)
	}
	return nil
}

// readBack checks that the file holds what was written, to the byte.
func readBack(path string, m Manifest, batch []store.Sealed) error {
	fault := func(err error) error {
		return &bot.Error{Op: "audit.archive", Kind: bot.Unavailable, Say: fmt.Sprintf("the segment %s does not read back as it was written; its records stay in the database", path), Err: err}
	}
	s, err := readManifest(path)
	if err != nil {
		return fault(err)
	}
	i := 0
	content, err := s.lines(func(line []byte) error {
		rec, ok := decodeLine(line)
		if !ok || i >= len(batch) || rec.Seq != batch[i].Seq || rec.Hash != batch[i].Hash || !bytes.Equal(rec.Body, batch[i].Body) {
			return fmt.Errorf("line %d differs", i+2)
		}
		i++
		return nil
	})
	if err != nil || content != m.Content || i != len(batch) || s.Signature != m.Signature {
		return fault(err)
	}
	return nil
}
