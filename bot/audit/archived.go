package audit

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"fmt"
	"path/filepath"
	"slices"

	"quarterdeck/bot"
	"quarterdeck/bot/store"
)

func sortSegments(list []segmentFile) {
	slices.SortFunc(list, func(a, b segmentFile) int {
		return cmp.Or(cmp.Compare(a.First, b.First), cmp.Compare(a.Last, b.Last), cmp.Compare(a.path, b.path))
	})
}

// archived checks the segments in dir as the beginning of the chain and calls
// seen with their records. Those from before on, which are in the database too
// because moving them was interrupted, are held against it by same, which gives
// the hash of the database's record; "" for none.
func (c *checker) archived(ctx context.Context, dir string, public ed25519.PublicKey, before int64, same func(seq int64) (string, error), seen func(store.Sealed) error) error {
	list, err := segments(dir, func(path string, err error) {
		c.problem(Unread, 0, "the segment %s cannot be read: %v", filepath.Base(path), err)
	})
	if err != nil {
		return err
	}
	for _, s := range list {
		if kind, say := s.trusted(c.report.Log, public); kind != "" {
			c.problem(kind, s.First, "%s", say)
			continue // nothing in it is worth looking at
		}
		if s.Last < c.next {
			c.problem(Reordered, s.First, "%s comes a second time", filepath.Base(s.path))
			continue
		}
		if err := c.segment(ctx, s, before, same, seen); err != nil {
			return err
		}
	}
	return nil
}

// segment checks one segment whose manifest can be relied on.
func (c *checker) segment(ctx context.Context, s segmentFile, before int64, same func(seq int64) (string, error), seen func(store.Sealed) error) error {
	if s.First == c.next && s.Before != c.prev && !c.unlinked {
		c.problem(Edited, s.First, "%s does not follow the record before it", s.name())
	}
	if c.report.Records == 0 {
		c.latest = s.Since
	}
	var n int64
	var stopped error
	content, err := s.lines(func(line []byte) error {
		n++
		if stopped = ctx.Err(); stopped != nil {
			return stopped
		}
		rec, ok := decodeLine(line)
		if !ok {
			c.problem(Edited, c.next, "a line of %s, where record %d should be, is no record", s.name(), c.next)
			return nil
		}
		if rec.Seq >= before {
			hash, err := same(rec.Seq)
			if stopped = err; err != nil {
				return err
			}
			if hash != "" && hash != rec.Hash {
				c.problem(Rewritten, rec.Seq, "record %d is another one in %s than in the database", rec.Seq, s.name())
			}
			return nil
		}
		rec.Latest = later(c.latest, rec.At)
		c.add(rec)
		if seen != nil {
			stopped = seen(rec)
		}
		return stopped
	})
	switch {
	case stopped != nil:
		return stopped
	case err != nil:
		c.problem(Edited, s.First, "%s is damaged: %v", s.name(), err)
	case content != s.Content || n != s.Count:
		c.problem(Edited, s.First, "%s was edited: it does not hold what was signed", s.name())
	}
	return nil
}

// VerifyArchive checks the segments of an archive by themselves, without a
// database. Checkpoints beyond its end are left out.
func VerifyArchive(ctx context.Context, dir string, o VerifyOptions) (Report, error) {
	list, err := segments(dir, func(string, error) {})
	if err != nil {
		return Report{}, err
	}
	if len(list) == 0 {
		return Report{}, bot.Errorf(bot.NotFound, "there is no archived segment in %s", dir)
	}
	c := newChecker(list[0].Log)
	c.partial, c.bare = true, o.bare
	if err := c.against(o); err != nil {
		return Report{}, err
	}
	none := func(int64) (string, error) { return "", nil }
	const never = int64(1) << 62
	if err := c.archived(ctx, dir, o.PublicKey, never, none, o.seen); err != nil {
		return Report{}, err
	}
	for seq, list := range c.pending {
		if seq <= c.report.To {
			continue
		}
		for _, i := range list {
			c.report.Checkpoints[i].OK, c.report.Checkpoints[i].Say = true, fmt.Sprintf("record %d is not in the archive", seq)
		}
		delete(c.pending, seq)
	}
	return c.finish(nil, witness{}), nil
}

// Archived says where the archive ends: the last record in it and the latest
// time of any; 0 when nothing was moved. What is older than that is not in the
// database.
func (l *Log) Archived(ctx context.Context) (m bot.ArchiveMark, err error) {
	err = l.store.View(ctx, func(r store.Reader) error {
		a, _, err := anchorOf(r)
		m = bot.ArchiveMark{Seq: a.Seq, Latest: a.Latest}
		return err
	})
	return m, err
}
