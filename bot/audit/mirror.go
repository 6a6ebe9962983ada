package audit

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/store"
)

// Mirror writes the log back to the audit channels: one post for each run with
// its records in the thread, denials and overrides each, reads gathered into
// one line a minute. Every post but a run's first names the records it tells of
// in its footer; see Sequences. Its fields must not change once it is used.
//
// The place in the log up to which a channel was told is stored in the commit
// that enqueues the posts, so that a restart loses and doubles nothing, and
// several processes may mirror the same log.
type Mirror struct {
	Store    store.Store
	Log      *Log // writes the record of a gap
	Channels []bot.ChannelID
	Clock    bot.Clock
	// Posted is called after cards were enqueued; default nothing.
	Posted func()
	Logger *slog.Logger

	once sync.Once
	wake chan struct{}
}

const (
	mirrorBatch = 200          // records taken at a time
	mirrorLook  = time.Second  // how often is looked when nothing wakes it
	gather      = time.Minute  // how long reads, and denials beyond singly, are gathered
	singly      = 5            // denials of one kind within gather that are posted one by one
	maxBursts   = 200          // kinds of denials told apart within gather
	maxReaders  = 20           // different reads told apart in one line
	backlog     = int64(500)   // how much of an older log a new channel is told
	keyRun      = "audit/run/" // a run's first post
	keyGap      = "audit/gap/" // markers, and what tells other channels of a gap
	keyMarker   = keyGap + "marker/"
	rootFooter  = "as of "         // before the sequence in the footer of a run's first post
	mirrorDoc   = "mirror/"        // documents: how far a channel was told
	threadLines = 15               // records in one post of a thread
	maxSpans    = 40               // runs of sequences that one footer holds
	passTimeout = 20 * time.Second // for one look at one channel
	lastPass    = 5 * time.Second  // for the looks at the end
)

// Wake makes the Mirror look at the log now.
func (m *Mirror) Wake() {
	m.init()
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

func (m *Mirror) init() {
	m.once.Do(func() { m.wake = make(chan struct{}, 1) })
}

// Run mirrors until ctx ends, and then what there is once more. What cannot be
// written is logged and tried again.
func (m *Mirror) Run(ctx context.Context) error {
	m.init()
	ticker := time.NewTicker(mirrorLook)
	defer ticker.Stop()
	for {
		for _, channel := range m.Channels {
			m.catchUp(ctx, channel)
		}
		select {
		case <-ctx.Done():
			end, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastPass)
			defer cancel()
			for _, channel := range m.Channels {
				m.catchUp(end, channel)
			}
			return nil
		case <-m.wake:
		case <-ticker.C:
		}
	}
}

// catchUp tells the channel everything there is to tell now.
func (m *Mirror) catchUp(ctx context.Context, channel bot.ChannelID) {
	for ctx.Err() == nil {
		more, err := m.pass(ctx, channel)
		if err != nil && ctx.Err() == nil {
			m.Logger.Error("mirror the audit log", "channel", string(channel), "err", err)
		}
		if err != nil || !more {
			return
		}
	}
}

// cursor is how far one channel was told, and what is gathered for it.
type cursor struct {
	Next   int64            `json:"next"` // the first record not yet told or gathered
	Reads  *reads           `json:"reads,omitempty"`
	Bursts map[string]burst `json:"bursts,omitempty"`
	Gap    *gap             `json:"gap,omitempty"`
}

// due reports whether something gathered is to be told at now.
func (c *cursor) due(now time.Time) bool {
	if c.Reads != nil && !now.Before(c.Reads.Since.Add(gather)) {
		return true
	}
	for _, b := range c.Bursts {
		if !now.Before(b.Since.Add(gather)) {
			return true
		}
	}
	return false
}

func loadCursor(r store.Reader, channel bot.ChannelID) (c cursor, rev int64, found bool, err error) {
	d, found, err := r.Document(kindAudit, mirrorDoc+string(channel))
	if err != nil || !found {
		return cursor{}, 0, false, err
	}
	if err := json.Unmarshal(d.Body, &c); err != nil {
		return cursor{}, 0, false, fmt.Errorf("decode how far %s was told: %w", channel, err)
	}
	return c, d.Rev, true, nil
}

func (c *cursor) save(tx store.Tx, channel bot.ChannelID, rev int64) error {
	body, err := json.Marshal(c)
	if err != nil {
		return err
	}
	_, err = tx.PutDocument(bot.Document{Kind: kindAudit, ID: mirrorDoc + string(channel), Rev: rev, Body: body})
	return err
}

// pass takes the next records to the channel; more is whether others may
// follow at once.
func (m *Mirror) pass(ctx context.Context, channel bot.ChannelID) (more bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, passTimeout)
	defer cancel()
	needed := false
	err = m.Store.View(ctx, func(r store.Reader) error {
		head, err := r.Head()
		if err != nil {
			return err
		}
		c, _, found, err := loadCursor(r, channel)
		needed = !found || head.Seq+1 != c.Next || c.due(m.Clock.Now())
		return err
	})
	if err != nil || !needed {
		return false, err
	}
	posted := false
	err = m.Store.Update(ctx, func(tx store.Tx) (err error) {
		more, posted, err = m.tell(tx, channel)
		return err
	})
	if err == nil && posted && m.Posted != nil {
		m.Posted()
	}
	return more && err == nil, err
}

// tell enqueues posts for the next records and moves the cursor.
func (m *Mirror) tell(tx store.Tx, channel bot.ChannelID) (more, posted bool, err error) {
	head, err := tx.Head()
	if err != nil {
		return false, false, err
	}
	c, rev, found, err := loadCursor(tx, channel)
	if err != nil {
		return false, false, err
	}
	next := c.Next
	t := &telling{tx: tx, channel: channel, now: m.Clock.Now(), cursor: &c}
	if !found {
		a, _, err := anchorOf(tx)
		if err != nil {
			return false, false, err
		}
		t.begin(head, a)
	}
	if c.Next > head.Seq+1 {
		t.alarm(fmt.Sprintf("the audit log was cut off: it ends with record %d, and this channel was told up to record %d", head.Seq, c.Next-1))
		c.Next = head.Seq + 1
	}
	sealed, err := tx.RecordsFrom(c.Next, mirrorBatch)
	if err != nil {
		return false, false, err
	}
	for _, s := range sealed {
		if s.Seq > c.Next {
			t.alarm(fmt.Sprintf("the audit log has a hole: %s removed", wereRecords(c.Next, s.Seq-1)))
		}
		t.record(s)
		c.Next = s.Seq + 1
	}
	t.flush(t.now)
	if found && len(sealed) == 0 && len(t.posts) == 0 && c.Next == next {
		return false, false, nil // another replica was faster
	}
	if err := t.enqueue(); err != nil {
		return false, false, err
	}
	return len(sealed) == mirrorBatch, t.posted > 0, c.save(tx, channel, rev)
}

// begin sets where a channel that was never told anything starts: with the
// whole log while that is short, else at its end. What lies in the archive is
// not told.
func (t *telling) begin(head store.Head, a Anchor) {
	t.cursor.Next = a.Seq + 1
	if head.Seq-a.Seq > backlog {
		t.cursor.Next = head.Seq + 1
		t.single(bot.Card{Tone: bot.Plain, Title: fmt.Sprintf("the audit log is written here from record %d on", head.Seq+1),
			Text: "What came before is in the log itself."})
	}
}

// alarm posts what somebody did to the log behind the bot's back.
func (t *telling) alarm(say string) {
	t.single(bot.Card{Tone: bot.Bad, Title: say, Text: "Somebody changed the database. Run: quarterdeck audit verify"})
}
