package audit

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/store"
)

// claim is one process's word that it alone archives, until a time. It is
// checked again in every transaction that takes records away, so that a process
// that slept through its claim takes none.
type claim struct {
	Owner string    `json:"owner"`
	Until time.Time `json:"until"`

	rev int64
}

const (
	claimID   = "archiving" // the document
	claimTime = 10 * time.Minute
)

func errArchiving() error {
	return bot.Errorf(bot.Conflict, "another process archives this log at the same time; try again when it is done")
}

// claim takes the word, unless another process has it.
func (a *Archiver) claim(ctx context.Context) (c claim, err error) {
	owner := a.IDs.New()
	err = a.Store.Update(ctx, func(tx store.Tx) error {
		d, found, err := tx.Document(kindAudit, claimID)
		if err != nil {
			return err
		}
		var other claim
		if found && json.Unmarshal(d.Body, &other) == nil && a.Clock.Now().Before(other.Until) {
			return errArchiving()
		}
		c = claim{Owner: owner, rev: d.Rev}
		return a.put(tx, &c)
	})
	return c, err
}

func (a *Archiver) put(tx store.Tx, c *claim) error {
	c.Until = a.Clock.Now().Add(claimTime)
	body, err := json.Marshal(c)
	if err != nil {
		return err
	}
	c.rev, err = tx.PutDocument(bot.Document{Kind: kindAudit, ID: claimID, Rev: c.rev, Body: body})
	return err
}

// hold renews the claim within tx, or gives a Conflict when it is another's.
func (a *Archiver) hold(tx store.Tx, c *claim) error {
	d, found, err := tx.Document(kindAudit, claimID)
	if err != nil {
		return err
	}
	var now claim
	if !found || json.Unmarshal(d.Body, &now) != nil || now.Owner != c.Owner {
		return errArchiving()
	}
	c.rev = d.Rev
	return a.put(tx, c)
}

// release gives the word back; where that fails it ends by itself.
func (a *Archiver) release(ctx context.Context, c claim) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	err := a.Store.Update(ctx, func(tx store.Tx) error {
		if err := a.hold(tx, &c); err != nil {
			return err
		}
		return tx.DeleteDocument(kindAudit, claimID)
	})
	if err != nil && a.Logger != nil {
		a.Logger.Warn("another process may archive only in a few minutes", "err", err)
	}
}

// clean takes away the segments that a crash left between writing them and
// taking their records out of the store: copies of what is still there. An
// archive that tells of more than the store holds is left alone and refused,
// since it may be the only witness of what was lost.
func (a *Archiver) clean(ctx context.Context) error {
	var bad error
	list, err := segments(a.Dir, func(path string, err error) {
		bad = &bot.Error{Op: "audit.archive", Kind: bot.Conflict, Say: fmt.Sprintf("the segment %s cannot be read; nothing more is archived beside it", path), Err: err}
	})
	if err != nil {
		return err
	}
	if bad != nil {
		return bad
	}
	var leftovers []string
	err = a.Store.View(ctx, func(r store.Reader) error {
		leftovers = nil
		anchor, _, err := anchorOf(r)
		if err != nil {
			return err
		}
		log, err := idOf(r)
		if err != nil {
			return err
		}
		for _, s := range list {
			if s.Log != log {
				return bot.Errorf(bot.Conflict, "the archive %s holds %s, which is of another log; give each log a folder of its own", a.Dir, filepath.Base(s.path))
			}
			if s.Last <= anchor.Seq {
				continue
			}
			rec, found, err := r.Record(s.Last)
			if err != nil {
				return err
			}
			if !found || rec.Hash != s.After {
				return bot.Errorf(bot.Conflict, "the archive goes on to record %d, which the database does not hold; it may have been restored from a backup: keep the archive, and archive to another folder", s.Last)
			}
			leftovers = append(leftovers, s.path)
		}
		return nil
	})
	if err != nil {
		return err
	}
	unfinished, _ := filepath.Glob(filepath.Join(a.Dir, ".writing-*")) // the pattern is good
	for _, path := range append(leftovers, unfinished...) {
		if err := os.Remove(path); err != nil {
			return &bot.Error{Op: "audit.archive", Kind: bot.Unavailable, Say: fmt.Sprintf("%s, which is left from an interrupted pass, cannot be removed", path), Err: err}
		}
	}
	return nil
}
