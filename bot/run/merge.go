package run

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"time"

	"github.com/sourcegraph/conc"

	"quarterdeck/bot"
	"quarterdeck/bot/store"
)

// KindJournal is the document kind that names what was merged from the emergency
// journal, so that it is merged once, however often that is begun.
const KindJournal = "journal"

// mergeEvery is how often it is tried to merge while there is something to.
const mergeEvery = time.Second

// fromJournal marks a record of a run that was noted in the emergency journal
// with when that was.
func fromJournal(r *bot.Run, rec bot.Record) {
	if r.Journal == nil {
		return
	}
	at := r.Journal.Intent
	switch rec.Kind {
	case bot.Requested, bot.Started, bot.OverriddenKind:
	default:
		if at = r.Journal.Outcome; at.IsZero() {
			return // it happened after it was merged
		}
	}
	rec.Detail["journalled"], rec.Detail["journal"] = at.Format(time.RFC3339Nano), r.Journal.ID
}

// Run merges what is in the journal whenever the store takes it, until ctx ends.
// What an earlier process began and did not see end goes over to the engine; while
// that cannot be, it is followed here.
func (m *Emergency) Run(ctx context.Context) error {
	if m.Journal == nil {
		return nil
	}
	var followers conc.WaitGroup
	defer followers.Wait()
	m.merge(ctx)
	m.mu.Lock()
	for _, j := range m.pending {
		if wf, ok := m.engine().Workflows(j.run.Plan.Spec.Kind); ok && j.begun && !j.settled && !j.working {
			j.working = true
			followers.Go(func() {
				j.run.Handle.Interrupted = true
				m.follow(ctx, j, wf, m.teller(&j.run, m.Audit))
				m.mu.Lock()
				j.working = false
				m.mu.Unlock()
			})
		}
	}
	m.mu.Unlock()
	tick := time.NewTicker(mergeEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			m.merge(ctx)
		}
	}
}

// merge brings into the log what it takes, oldest first, and empties the journal
// once there is nothing left.
func (m *Emergency) merge(ctx context.Context) {
	m.mu.Lock()
	runs, refusals := append([]*journalled(nil), m.pending...), append([]refusal(nil), m.refusals...)
	m.mu.Unlock()
	if len(runs)+len(refusals) == 0 {
		return
	}
	for _, r := range refusals {
		if !m.done(ctx, m.mergeRefusal(ctx, r)) {
			return
		}
		m.mu.Lock()
		m.refusals = m.refusals[1:] // only added to at its end, and taken from here
		m.mu.Unlock()
	}
	for _, j := range runs {
		m.mu.Lock()
		working := j.working
		m.mu.Unlock()
		if working {
			continue
		}
		if !m.done(ctx, m.mergeRun(ctx, j)) {
			return
		}
		m.drop(j)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.pending)+len(m.refusals) > 0 {
		return
	}
	if err := m.Journal.Empty(); err != nil {
		m.engine().Logger.Error("empty the emergency journal", "err", err)
		return
	}
	m.engine().Logger.Warn("the log can be written again; the emergency journal was merged into it")
	m.engine().Posted()
	m.engine().Wake()
}

// done notes what came of a try to merge; only the first failure is told.
func (m *Emergency) done(ctx context.Context, err error) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err != nil && ctx.Err() == nil && !m.complain {
		m.engine().Logger.Warn("the emergency journal cannot be merged yet", "err", err)
	}
	m.complain = err != nil
	return err == nil
}

// once runs f in one commit that notes id as merged, unless an earlier one did.
// The message behind it is done with.
func (m *Emergency) once(ctx context.Context, id string, message bot.Message, f func(tx store.Tx) error) error {
	e := m.engine()
	body, err := json.Marshal(map[string]time.Time{"merged": e.Clock.Now()})
	if err != nil {
		return err
	}
	return e.Store.Update(ctx, func(tx store.Tx) error {
		if _, found, err := tx.Document(KindJournal, id); err != nil || found {
			return err
		}
		if message.ID != "" {
			if _, err := tx.Receive(message); err != nil {
				return err
			}
			if _, err := tx.Finish(message.ID); err != nil {
				return err
			}
		}
		if err := f(tx); err != nil {
			return err
		}
		_, err := tx.PutDocument(bot.Document{Kind: KindJournal, ID: id, Body: body})
		return err
	})
}

func (m *Emergency) mergeRefusal(ctx context.Context, r refusal) error {
	message := bot.Message{ID: r.Message, Account: r.Record.Account, Channel: r.Record.Channel, Standing: r.Record.Standing, Received: r.At}
	return m.once(ctx, r.ID, message, func(tx store.Tx) error {
		rec := r.Record
		rec.Detail = maps.Clone(rec.Detail)
		if rec.Detail == nil {
			rec.Detail = map[string]string{}
		}
		rec.At, rec.Detail["journalled"], rec.Detail["journal"] = m.engine().Clock.Now(), r.At.Format(time.RFC3339Nano), r.ID
		_, err := m.engine().Recorder.Append(tx, rec)
		return err
	})
}

// mergeRun makes a run of j: one that has ended, or one that the engine goes on
// with.
func (m *Emergency) mergeRun(ctx context.Context, j *journalled) error {
	e, call := m.engine(), j.run.Call
	wf, ok := e.Workflows(j.run.Plan.Spec.Kind)
	if !ok {
		return fmt.Errorf("this version does not know %s", j.run.Plan.Spec.Kind)
	}
	message := bot.Message{ID: call.Message, Account: call.Who.Account, Standing: call.Who.Standing, Channel: call.Channel, Thread: call.Thread, Received: call.At}
	var written *current
	var others []*current
	err := m.once(ctx, call.ID, message, func(tx store.Tx) error {
		number, err := tx.NextRun()
		if err != nil {
			return err
		}
		c := &current{run: j.run, planned: true}
		r := &c.run
		r.Number, r.Tokens, r.WakeAt = number, nil, e.Clock.Now()
		r.Acted, r.InCall = j.begun, j.begun && !j.settled
		if !j.begun && !j.settled { // nothing was begun, and nothing is begun late
			r.State, r.Started, r.Handle = bot.Queued, time.Time{}, bot.Handle{}
			r.Replan, r.Anew = true, "the bot stopped before it began"
		}
		if others, err = m.displace(tx, j, r); err != nil {
			return err
		}
		if err := e.recordRequested(tx, r); err != nil {
			return err
		}
		if !r.Started.IsZero() {
			if err := e.recordBroken(tx, r); err != nil {
				return err
			}
			if err := e.record(tx, r, bot.Record{Kind: bot.Started, Detail: map[string]string{"key": r.Handle.Key}, Text: map[string]string{"summary": r.Plan.Summary}}); err != nil {
				return err
			}
		}
		written = c
		if j.settled {
			return e.conclude(tx, c, wf, r.Progress)
		}
		if r.State == bot.Running {
			_, taken, err := tx.SlotHolder(r.Plan.Slot)
			if err != nil {
				return err
			}
			c.row.Holds = !taken
		}
		if err := e.show(tx, r); err != nil {
			return err
		}
		return e.put(tx, c)
	})
	if err != nil {
		return err
	}
	for _, c := range append(others, written) {
		e.count(c)
	}
	e.Posted()
	return nil
}

// displace writes within tx what the way back r did to the other runs of its
// slot: those that it stopped have ended, and what had begun nothing yet is gone.
func (m *Emergency) displace(tx store.Tx, j *journalled, r *bot.Run) (changed []*current, err error) {
	e, ended := m.engine(), map[int64]displaced{}
	for _, s := range j.stopped {
		ended[s.Number] = s
	}
	rows, err := tx.Runs(bot.RunFilter{Target: r.Ask.Target, Open: true, Limit: maxQueue})
	if err != nil {
		return nil, err
	}
	detail := map[string]string{"by": fmt.Sprintf("run #%d", r.Number)}
	for _, row := range rows {
		if row.Slot != r.Plan.Slot {
			continue
		}
		c, err := e.another(row)
		if err != nil {
			return nil, err
		}
		front := &c.run
		s, was := ended[row.Number]
		wf, known := e.workflow(front)
		switch {
		case was && known && s.Progress.State.Settled():
			front.Handle, front.InCall, front.Replaced = s.Handle, false, r.Number
			if front.CancelBy == "" {
				e.stop(front, r.Call.Who)
			}
			err = e.conclude(tx, c, wf, s.Progress)
		case front.Call.ID == r.Call.ID || front.Call.Message == r.Call.Message, front.State == bot.Running && !front.Acted:
			front.Replaced, front.Result = r.Number, fmt.Sprintf("replaced by #%d before it began", r.Number)
			err = e.finish(tx, c, bot.Cancelled, by(r.Call, bot.Record{Kind: bot.CancelledKind, Detail: detail}), nil)
		case front.State == bot.Running && front.CancelBy == "":
			e.stop(front, r.Call.Who)
			front.Replaced = r.Number
			if err = e.record(tx, front, by(r.Call, bot.Record{Kind: bot.Step, Detail: detail})); err == nil {
				err = e.put(tx, c)
			}
		}
		if err != nil {
			return nil, err
		}
		changed = append(changed, c)
	}
	return changed, nil
}
