// Package observe notices what changed without the bot: it looks at the facts
// that its sources read, now and then, and records a value that none of the
// bot's own runs explains as observed, once, however many processes look.
//
// The value that was seen last is a document. A change, its record and the new
// value share one commit that compares the document's revision and that no run
// of the bot moved since before the look, so that the bot's own doing is never
// taken for another's.
package observe

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/sourcegraph/conc/iter"
	"github.com/sourcegraph/conc/panics"

	"quarterdeck/bot"
	"quarterdeck/bot/store"
)

// Recorder writes audit records inside a transaction.
type Recorder interface {
	Append(tx store.Tx, r bot.Record) (store.Head, error)
}

// Watcher looks at what its sources read. Its fields must not change once it is
// used; all are needed except Posted.
type Watcher struct {
	Sources  []Source
	Store    store.Store
	Runs     bot.Runs
	Recorder Recorder
	Clock    bot.Clock
	Logger   *slog.Logger
	Posted   func() // called after something was recorded

	Every   time.Duration // between two looks at everything
	Timeout time.Duration // for one look
	// Jitter gives a number from 0 up to 1 for each round: several processes
	// that were started together must not look together for ever.
	Jitter func() float64

	once    sync.Once
	wake    chan struct{}
	mu      sync.Mutex
	passing map[string]string // values that wait for a second look, by document
}

// kind is the kind of the documents: the value that was seen last, under the
// fact and the subject's name.
const kind = "observed"

const (
	lookers  = 16 // looks at a time
	lookedAt = 50 // runs of a target that are looked through
	write    = 10 * time.Second
)

func (w *Watcher) init() {
	w.once.Do(func() { w.wake, w.passing = make(chan struct{}, 1), map[string]string{} })
}

// Wake makes the Watcher look now, as when a webhook tells of a change. That
// alone is never believed.
func (w *Watcher) Wake() {
	w.init()
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// Run looks at everything at once and then again and again, until ctx ends.
func (w *Watcher) Run(ctx context.Context) error {
	w.init()
	for {
		w.Round(ctx)
		timer := time.NewTimer(time.Duration(float64(w.Every) * (0.9 + 0.2*w.Jitter())))
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-w.wake:
			timer.Stop()
		case <-timer.C:
		}
	}
}

// Round looks at every subject of every source once. What goes wrong with one
// is logged and keeps nobody from the others.
func (w *Watcher) Round(ctx context.Context) {
	w.init()
	type look struct {
		source  Source
		subject Subject
	}
	var all []look
	for _, source := range w.Sources {
		for _, subject := range source.Subjects() {
			all = append(all, look{source, subject})
		}
	}
	each := iter.Iterator[look]{MaxGoroutines: lookers}
	each.ForEach(all, func(l *look) {
		if ctx.Err() != nil {
			return
		}
		var err error
		if caught := panics.Try(func() { err = w.look(ctx, l.source, l.subject) }); caught != nil {
			err = caught.AsError()
		}
		switch {
		case err == nil || ctx.Err() != nil:
		case bot.KindOf(err) == bot.Unavailable || bot.KindOf(err) == bot.Timeout || bot.KindOf(err) == bot.Busy:
			w.Logger.Debug("look at what is live", "fact", l.source.Fact(), "subject", l.subject.Name, "err", err)
		default:
			w.Logger.Error("look at what is live", "fact", l.source.Fact(), "subject", l.subject.Name, "err", err)
		}
	})
}

// baseline is the value that was seen last.
type baseline struct {
	Seen
	Basis string    `json:"basis,omitempty"`
	Run   int64     `json:"run,omitempty"`   // the newest run that was taken into account
	Moves string    `json:"moves,omitempty"` // as before.moves: nothing new to take into account
	At    time.Time `json:"at"`
}

// before is what is known before a look.
type before struct {
	base  baseline
	rev   int64  // 0 when it was never seen
	moves string // tells whether a run of the slot moved since
}

// errMoved says that the bot itself is at work there.
var errMoved = errors.New("a run holds the slot, or moved")

// read gives what is known of a subject; errMoved when a run holds its slot.
func read(rd store.Reader, id string, s Subject) (before, error) {
	var b before
	if _, held, err := rd.SlotHolder(s.Slot); err != nil || held {
		return b, errors.Join(err, errMoved)
	}
	rows, err := rd.Runs(bot.RunFilter{Target: s.Target, Limit: lookedAt})
	if err != nil {
		return b, err
	}
	var moves strings.Builder
	for _, r := range rows {
		if r.Slot != s.Slot {
			continue
		}
		if r.State == bot.Running || r.State == bot.Cancelling {
			return b, errMoved
		}
		fmt.Fprintf(&moves, "%d:%d ", r.Number, r.Rev)
	}
	b.moves = moves.String()
	d, found, err := rd.Document(kind, id)
	if err != nil || !found {
		return b, err
	}
	b.rev = d.Rev
	if err := json.Unmarshal(d.Body, &b.base); err != nil {
		return b, fmt.Errorf("decode %s %s: %w", d.Kind, d.ID, err)
	}
	return b, nil
}

// last gives the newest run that acted on the slot.
func (w *Watcher) last(ctx context.Context, s Subject) (last bot.Run, err error) {
	runs, err := w.Runs.Runs(ctx, bot.RunFilter{Target: s.Target, Limit: lookedAt})
	if err != nil {
		return last, err
	}
	for _, r := range runs {
		if r.Plan.Slot == s.Slot && r.Acted && (last.Number == 0 || r.Started.After(last.Started)) {
			last = r
		}
	}
	return last, nil
}

// look looks at one subject, and notes and tells what it shows.
func (w *Watcher) look(ctx context.Context, source Source, s Subject) error {
	id := source.Fact() + "/" + s.Name
	var known before
	err := w.Store.View(ctx, func(rd store.Reader) (err error) {
		known, err = read(rd, id, s)
		return err
	})
	if errors.Is(err, errMoved) {
		return nil
	}
	if err != nil {
		return err
	}
	last := bot.Run{Number: known.base.Run}
	moved := known.base.Moves != known.moves
	if moved {
		if last, err = w.last(ctx, s); err != nil {
			return err
		}
		if last.Number != 0 && w.Clock.Now().Sub(last.Ended) < source.Settle(s) {
			return nil
		}
	}
	call, cancel := context.WithTimeout(ctx, w.Timeout)
	now, err := source.Look(call, s)
	cancel()
	if err == nil {
		err = sound(now)
	}
	if err != nil {
		return err
	}
	if now.Moving || now.Value == "" || !w.counts(id, now) {
		return nil
	}
	loud := false
	base := known.base
	if moved && last.Number != 0 && last.Number != base.Run {
		if left, certain := source.Left(last); certain {
			base.Seen = left
		}
	}
	switch {
	case known.rev == 0 || base.Basis != s.Basis: // nothing to compare with
	case base.Value == now.Value && !moved:
		return nil
	case base.Value == now.Value:
	case base.Run != last.Number && last.Number != 0 && source.Explains(last, now):
	default:
		loud = true
	}
	ctx, done := context.WithTimeout(ctx, write)
	defer done()
	err = w.Store.Update(ctx, func(tx store.Tx) error {
		again, err := read(tx, id, s)
		switch {
		case err != nil:
			return err
		case again.moves != known.moves || again.rev != known.rev:
			return errMoved
		}
		return w.note(tx, source, id, again, Change{Subject: s, Was: base.Seen, Now: now, After: last.Number, At: w.Clock.Now()}, loud)
	})
	switch {
	case errors.Is(err, errMoved), bot.KindOf(err) == bot.Conflict: // the next look sees what came of it
		return nil
	case err == nil && loud && w.Posted != nil:
		w.Posted()
	}
	return err
}

// counts reports whether a value may be judged by this look already.
func (w *Watcher) counts(id string, now Seen) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !now.Passing || w.passing[id] == now.Value {
		delete(w.passing, id)
		return true
	}
	w.passing[id] = now.Value
	return false
}

// note writes the value and, when it is a change that nobody made through the
// bot, its record and what the source keeps of it.
func (w *Watcher) note(tx store.Tx, source Source, id string, known before, c Change, loud bool) error {
	if loud {
		rec := bot.Record{Kind: bot.ObservedKind, At: c.At, Target: targetName(c.Subject),
			Detail: map[string]string{"fact": source.Fact(), "subject": c.Subject.Name, "from": c.Was.Value, "to": c.Now.Value,
				"summary": fmt.Sprintf("%s: %s -> %s", c.Subject.Name, c.Was.Text, c.Now.Text)},
			Text: map[string]string{"result": source.Says(c)}}
		if c.Subject.Target != (bot.Target{}) {
			rec.Resources = []bot.Resource{c.Subject.Target.Resource()}
		}
		head, err := w.Recorder.Append(tx, rec)
		if err != nil {
			return err
		}
		c.Seq = head.Seq
		docs, err := source.Keep(c)
		if err != nil {
			return err
		}
		for _, d := range docs {
			if _, err := tx.PutDocument(d); err != nil {
				return err
			}
		}
	}
	body, err := json.Marshal(baseline{Seen: c.Now, Basis: c.Subject.Basis, Run: c.After, Moves: known.moves, At: c.At})
	if err != nil {
		return fmt.Errorf("encode %s: %w", id, err)
	}
	_, err = tx.PutDocument(bot.Document{Kind: kind, ID: id, Rev: known.rev, Body: body})
	return err
}

func targetName(s Subject) string {
	if s.Target == (bot.Target{}) {
		return ""
	}
	return s.Target.String()
}
