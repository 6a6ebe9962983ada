package audit

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/provider"
	"quarterdeck/bot/store"
)

// Copier copies the log into a Vault as signed segments, which whoever owns the
// database cannot take back. What may have to be erased stays out: of texts
// beside the chain the copy has the commitments alone. What was copied is read
// from the vault itself, so nothing is lost or doubled over a restart, an outage
// or several replicas. Its fields must not change once it is used.
type Copier struct {
	Store store.Store
	Key   Key
	Clock bot.Clock
	Vault provider.Vault
	// Retain is how long the vault keeps a segment.
	Retain time.Duration
	// Interval is after how long what is new is copied; default 15 minutes.
	// Every is after how many new records that is done at once; default 1000.
	Interval time.Duration
	Every    int64
	Logger   *slog.Logger

	// The last segment that is known of, and its place.
	name string
	last Manifest
	at   time.Time // of the last look at the vault
	told string    // the trouble that the log was told of
}

const (
	copyRecords = 2000
	copyBytes   = 8 << 20
	// maxCopied bounds one segment that is read back.
	maxCopied = 64 << 20
	// maxNames bounds the segments of a vault: a million of them.
	maxNames = 1 << 20
	copyCall = time.Minute
)

// Run copies until ctx ends, and what is left then.
func (c *Copier) Run(ctx context.Context) error {
	ticker := time.NewTicker(look)
	defer ticker.Stop()
	for first := true; ; first = false {
		c.try(ctx, first)
		select {
		case <-ctx.Done():
			end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
			defer cancel()
			c.try(end, true)
			return nil
		case <-ticker.C:
		}
	}
}

// try copies what is due. The log is told of a trouble once, not at every look.
func (c *Copier) try(ctx context.Context, now bool) {
	due, err := c.due(ctx, now)
	if err == nil && due {
		c.at = c.Clock.Now()
		_, err = c.Copy(ctx)
	}
	switch {
	case ctx.Err() != nil:
	case err == nil && due:
		c.told = ""
	case err != nil && c.told != err.Error():
		c.told = err.Error()
		c.Logger.Error("the audit log is not copied", "to", c.Vault.Place(), "err", err)
	}
}

func (c *Copier) due(ctx context.Context, now bool) (bool, error) {
	interval, every := c.Interval, c.Every
	if interval <= 0 {
		interval = 15 * time.Minute
	}
	if every <= 0 {
		every = 1000
	}
	since := c.Clock.Now().Sub(c.at)
	if now || since >= interval {
		return true, nil
	}
	if c.told != "" { // what fails is tried a few times in each interval
		return since >= interval/15, nil
	}
	head, err := headOf(ctx, c.Store)
	return err == nil && head.Seq-c.last.Last >= every, err
}

// Copy copies what the vault does not have yet, and gives how many records that
// were. A vault that holds another log, or another record than the database, gives
// Conflict, and nothing is added to it: it is evidence.
func (c *Copier) Copy(ctx context.Context) (copied int64, err error) {
	for {
		if err := c.lookUp(ctx); err != nil {
			return copied, err
		}
		records, m, err := c.next(ctx)
		if err != nil || len(records) == 0 {
			return copied, err
		}
		m, file, err := c.Key.encodeSegment(m, records)
		if err != nil {
			return copied, err
		}
		name := copyName(m.First)
		call, cancel := context.WithTimeout(ctx, copyCall)
		err = c.Vault.Put(call, name, file, m.At.Add(c.Retain))
		cancel()
		switch {
		case err == nil:
			c.name, c.last, copied = name, m, copied+m.Count
		case bot.KindOf(err) == bot.Conflict:
			// Another replica was faster, or an answer was lost: the next look tells.
			if had := c.name; c.lookUp(ctx) == nil && c.name == had {
				return copied, err
			}
		default:
			return copied, err
		}
	}
}

// copyName is a segment's name in the vault. It says only where the segment
// begins: of two replicas that copy at once, one finds the name taken.
func copyName(first int64) string { return fmt.Sprintf("audit-%012d%s", first, segmentSuffix) }

// lookUp finds the newest segment of the vault.
func (c *Copier) lookUp(ctx context.Context) error {
	name := c.name
	for range maxNames {
		call, cancel := context.WithTimeout(ctx, copyCall)
		names, err := c.Vault.Names(call, name)
		cancel()
		if err != nil {
			return err
		}
		if len(names) == 0 {
			break
		}
		name = names[len(names)-1]
	}
	if name == c.name {
		return nil
	}
	call, cancel := context.WithTimeout(ctx, copyCall)
	defer cancel()
	file, err := c.Vault.Get(call, name, maxCopied)
	if err != nil {
		return err
	}
	id, err := readID(ctx, c.Store)
	if err != nil {
		return err
	}
	s, err := manifestOf(bytes.NewReader(file))
	if err != nil {
		return bot.Errorf(bot.Conflict, "%s in %s is no segment of an audit log; nothing is copied there", name, c.Vault.Place())
	}
	if kind, say := (segmentFile{path: name, Manifest: s}).trusted(id, c.Key.Public()); kind != "" {
		return bot.Errorf(bot.Conflict, "%s holds what is not of this log: %s; nothing is copied there", c.Vault.Place(), say)
	}
	c.name, c.last = name, s
	return nil
}

// next gives the records that come after the last segment, and what is known of
// their segment.
func (c *Copier) next(ctx context.Context) (records []store.Sealed, m Manifest, err error) {
	m = Manifest{Before: c.last.After, Since: c.last.Latest, At: c.Clock.Now().UTC().Truncate(time.Microsecond)}
	if m.Log, err = readID(ctx, c.Store); err != nil {
		return nil, m, err
	}
	from := c.last.Last + 1
	var head store.Head
	var anchor Anchor
	var list []store.Sealed
	err = c.Store.View(ctx, func(r store.Reader) error {
		if head, err = r.Head(); err != nil {
			return err
		}
		if anchor, _, err = anchorOf(r); err != nil {
			return err
		}
		list, err = r.RecordsFrom(max(from-1, 1), copyRecords+1)
		return err
	})
	if err != nil {
		return nil, m, err
	}
	switch {
	case c.last.Last > head.Seq:
		return nil, m, bot.Errorf(bot.Conflict, "%s holds records up to %d, and the database ends with %d: it was cut off or restored from a backup; nothing is copied there", c.Vault.Place(), c.last.Last, head.Seq)
	case c.last.Last > 0 && c.last.Last > anchor.Seq:
		if len(list) == 0 || list[0].Seq != c.last.Last || list[0].Hash != c.last.After {
			return nil, m, bot.Errorf(bot.Conflict, "record %d is another one in %s than in the database; nothing is copied there", c.last.Last, c.Vault.Place())
		}
		list = list[1:]
	case from <= anchor.Seq && c.last.Last != anchor.Seq:
		return nil, m, bot.Errorf(bot.Conflict, "records %d to %d are in the archive and not in %s; copy the archive's files there by hand", from, anchor.Seq, c.Vault.Place())
	}
	size := 0
	for _, r := range list {
		if size += len(r.Body); len(records) > 0 && (size > copyBytes || len(records) == copyRecords) {
			break
		}
		r.Text = []byte("{}")
		records = append(records, r)
	}
	return records, m, nil
}

// VerifyCopy checks the copy in a vault by itself, against the checkpoints of o,
// and holds every record of it against the database.
func VerifyCopy(ctx context.Context, s store.Store, v provider.Vault, o VerifyOptions) (Report, error) {
	dir, err := os.MkdirTemp("", "quarterdeck-copy-*")
	if err != nil {
		return Report{}, err
	}
	defer os.RemoveAll(dir)
	n, err := fetch(ctx, v, dir)
	if err != nil {
		return Report{}, err
	}
	var differ []Problem
	o.bare = true
	h := &held{store: s}
	o.seen = func(rec store.Sealed) error {
		say, kind, err := h.against(ctx, rec)
		if err == nil && say != "" {
			differ = append(differ, Problem{Kind: kind, Seq: rec.Seq, Say: say + " in " + v.Place()})
		}
		return err
	}
	report, err := VerifyArchive(ctx, dir, o)
	if err != nil {
		if bot.KindOf(err) == bot.NotFound {
			return Report{}, bot.Errorf(bot.NotFound, "there is no copy of the audit log in %s that can be read; it holds %s", v.Place(), count(int64(n), "segment"))
		}
		return Report{}, err
	}
	if report.From > 1 {
		differ = append(differ, Problem{Kind: Removed, Seq: 1, Say: fmt.Sprintf("records 1 to %d are missing in %s, which begins with %d", report.From-1, v.Place(), report.From)})
	}
	for _, p := range differ {
		if report.OK = false; len(report.Problems) < maxProblems {
			report.Problems = append(report.Problems, p)
		} else {
			report.More++
		}
	}
	return report, nil
}

// fetch brings every segment into a folder and counts them.
func fetch(ctx context.Context, v provider.Vault, dir string) (n int, err error) {
	after := ""
	for range maxNames {
		names, err := v.Names(ctx, after)
		if err != nil {
			return n, err
		}
		if len(names) == 0 {
			return n, nil
		}
		for _, name := range names {
			after = name
			if !strings.HasSuffix(name, segmentSuffix) || filepath.Base(name) != name {
				continue
			}
			call, cancel := context.WithTimeout(ctx, copyCall)
			file, err := v.Get(call, name, maxCopied)
			cancel()
			if err != nil {
				return n, err
			}
			n++
			if err := os.WriteFile(filepath.Join(dir, name), file, 0o600); err != nil {
				return n, err
			}
		}
	}
	return n, nil
}

// held holds records of a copy against the database, which it reads in stretches.
type held struct {
	store  store.Store
	list   []store.Sealed
	anchor int64
	head   int64
	begun  bool
}

func (h *held) against(ctx context.Context, rec store.Sealed) (say string, kind ProblemKind, err error) {
	if len(h.list) == 0 || h.list[len(h.list)-1].Seq < rec.Seq {
		err = h.store.View(ctx, func(r store.Reader) error {
			if !h.begun {
				a, _, err := anchorOf(r)
				if err != nil {
					return err
				}
				head, err := r.Head()
				if err != nil {
					return err
				}
				h.anchor, h.head, h.begun = a.Seq, head.Seq, true
			}
			h.list, err = r.RecordsFrom(rec.Seq, 500)
			return err
		})
		if err != nil {
			return "", "", err
		}
	}
	for len(h.list) > 0 && h.list[0].Seq < rec.Seq {
		h.list = h.list[1:]
	}
	switch {
	case rec.Seq <= h.anchor:
		return "", "", nil // it is in the archive
	case len(h.list) > 0 && h.list[0].Seq == rec.Seq:
		if h.list[0].Hash != rec.Hash || !bytes.Equal(h.list[0].Body, rec.Body) {
			return fmt.Sprintf("record %d is another one in the database than", rec.Seq), Rewritten, nil
		}
		return "", "", nil
	case rec.Seq > h.head:
		return fmt.Sprintf("record %d is missing at the end of the database; it is", rec.Seq), CutOff, nil
	}
	return fmt.Sprintf("record %d is missing in the database; it is", rec.Seq), Removed, nil
}
