package audit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/store"
)

// Checkpointer writes checkpoints while the bot runs: to a file outside the
// database, and to the audit channels through the outbox. Every replica keeps a
// file of its own; of the same stretch of the log, one of them tells the
// channels. All fields are needed
// except those with a default. Its fields must not change once it is used.
type Checkpointer struct {
	Store store.Store
	Log   *Log
	Key   Key
	Clock bot.Clock
	IDs   bot.IDs
	// File is the checkpoint file, one line each; its folder is made.
	File     string
	Channels []bot.ChannelID
	// Every is after how many new records a checkpoint is written; default
	// 1000.
	Every int64
	// Interval is after how long one is written when there is anything new;
	// default 30 minutes.
	Interval time.Duration
	// Posted is called after cards were enqueued; default nothing.
	Posted func()
	Logger *slog.Logger

	mu   sync.Mutex
	last Checkpoint
	read bool // last was looked up in File
	by   string
}

// look is how often the head is looked at.
const look = time.Second

// Run writes a checkpoint at once, then whenever one is due, and a last one
// when ctx ends. A checkpoint that cannot be written is logged and tried again
// at the next look.
func (c *Checkpointer) Run(ctx context.Context) error {
	ticker := time.NewTicker(look)
	defer ticker.Stop()
	c.try(ctx, true)
	for {
		select {
		case <-ctx.Done():
			end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
			defer cancel()
			c.try(end, true)
			return nil
		case <-ticker.C:
			c.try(ctx, false)
		}
	}
}

func (c *Checkpointer) try(ctx context.Context, now bool) {
	due, err := c.due(ctx, now)
	if err == nil && due {
		_, err = c.Write(ctx)
	}
	if err != nil && ctx.Err() == nil {
		c.Logger.Error("write checkpoint", "file", c.File, "err", err)
	}
}

// due reports whether there is something new, and enough of it unless now.
func (c *Checkpointer) due(ctx context.Context, now bool) (bool, error) {
	head, err := headOf(ctx, c.Store)
	if err != nil {
		return false, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.lookUp(); err != nil {
		return false, err
	}
	every, interval := c.every(), c.Interval
	if interval <= 0 {
		interval = 30 * time.Minute
	}
	switch {
	case head.Seq == 0 || head.Seq == c.last.Seq && head.Hash == c.last.Hash:
		return false, nil
	case now, head.Seq < c.last.Seq, head.Seq-c.last.Seq >= every:
		return true, nil
	}
	return c.Clock.Now().Sub(c.last.At) >= interval, nil
}

func (c *Checkpointer) every() int64 {
	if c.Every <= 0 {
		return 1000
	}
	return c.Every
}

// lookUp finds the last checkpoint of the file, once.
func (c *Checkpointer) lookUp() error {
	if c.read {
		return nil
	}
	list, err := ReadCheckpoints(c.File)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		// A garbled file is for verify to report; new checkpoints are the more
		// needed.
		c.Logger.Error("read checkpoint file", "file", c.File, "err", err)
	}
	if len(list) > 0 {
		c.last = list[len(list)-1]
	}
	c.read = true
	return nil
}

// Last gives the last checkpoint that was written, also by an earlier process;
// found is false when there is none that is known of.
func (c *Checkpointer) Last() (cp Checkpoint, found bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.last, c.last.Seq > 0
}

// Write signs the present head, appends the checkpoint to the file durably and
// then enqueues it to the channels. It does so whether or not one is due. An
// empty log is an Error of kind Conflict.
func (c *Checkpointer) Write(ctx context.Context) (Checkpoint, error) {
	id, err := c.Log.ID(ctx, c.IDs)
	if err != nil {
		return Checkpoint{}, err
	}
	head, err := headOf(ctx, c.Store)
	if err != nil {
		return Checkpoint{}, err
	}
	if head.Seq == 0 {
		return Checkpoint{}, bot.Errorf(bot.Conflict, "the audit log is empty; there is nothing to sign")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := os.MkdirAll(filepath.Dir(c.File), 0o700); err != nil {
		return Checkpoint{}, fmt.Errorf("make the checkpoint file's folder: %w", err)
	}
	cp := c.Key.Sign(id, head.Seq, head.Hash, c.Clock.Now())
	if err := appendCheckpoint(c.File, cp); err != nil {
		return Checkpoint{}, fmt.Errorf("append to the checkpoint file: %w", err)
	}
	c.last, c.read = cp, true
	if len(c.Channels) == 0 {
		return cp, nil
	}
	if c.by == "" {
		c.by = c.IDs.New()
	}
	if err := c.Store.Update(ctx, func(tx store.Tx) error { return c.post(tx, cp) }); err != nil {
		return Checkpoint{}, fmt.Errorf("post checkpoint: %w", err)
	}
	if c.Posted != nil {
		c.Posted()
	}
	return cp, nil
}

// keyCheckpoint begins the keys of checkpoint cards. One that a channel refuses
// leaves no gap: the next one covers what it covered.
const keyCheckpoint = "audit/checkpoint/"

func (c *Checkpointer) post(tx store.Tx, cp Checkpoint) error {
	if fresh, err := c.fresh(tx, cp); err != nil || !fresh {
		return err
	}
	card := bot.Card{
		Key:   fmt.Sprintf("%s%d", keyCheckpoint, cp.Seq),
		Title: fmt.Sprintf("checkpoint: %s up to %d, hash %s", count(cp.Seq, "record"), cp.Seq, short(cp.Hash)),
		Text:  cp.String(),
	}
	body, err := json.Marshal(card)
	if err != nil {
		return err
	}
	now := c.Clock.Now()
	for _, channel := range c.Channels {
		_, err := tx.Enqueue(store.Outgoing{Channel: channel, Key: card.Key, Ordered: true, Card: body, Created: now, NextAt: now})
		if err != nil {
			return err
		}
	}
	return nil
}

// posted is the checkpoint that the channels were told last.
type posted struct {
	Seq int64     `json:"seq"`
	At  time.Time `json:"at"`
	By  string    `json:"by"` // which start of which replica
}

// together is how soon after a checkpoint that the channels were told another
// replica's, which was due at the same moment, is left out.
const together = 30 * time.Second

// fresh reports whether the channels are to be told cp, and notes that they
// are. A log that became shorter is always told of.
func (c *Checkpointer) fresh(tx store.Tx, cp Checkpoint) (bool, error) {
	d, found, err := tx.Document(kindAudit, "checkpoint")
	if err != nil {
		return false, err
	}
	var last posted
	if found {
		if err := json.Unmarshal(d.Body, &last); err != nil {
			return false, fmt.Errorf("decode the last checkpoint that was posted: %w", err)
		}
	}
	ahead := cp.Seq - last.Seq
	if found && last.By != c.by && ahead >= 0 && ahead < c.every() && cp.At.Sub(last.At).Abs() < together {
		return false, nil
	}
	body, err := json.Marshal(posted{Seq: cp.Seq, At: cp.At, By: c.by})
	if err != nil {
		return false, err
	}
	_, err = tx.PutDocument(bot.Document{Kind: kindAudit, ID: "checkpoint", Rev: d.Rev, Body: body})
	return err == nil, err
}

func headOf(ctx context.Context, s store.Store) (head store.Head, err error) {
	err = s.View(ctx, func(r store.Reader) error {
		head, err = r.Head()
		return err
	})
	return head, err
}

// short gives the first digits of a hash, enough to compare by eye.
func short(hash string) string { return bounded(hash, 12+len("…")) }

// count gives "1 record", "2 records".
func count(n int64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
