package run

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"strings"
	"sync"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/journal"
	"quarterdeck/bot/logging"
	"quarterdeck/bot/store"
)

// Emergency is the road of a way back while the store cannot be written. The
// decision is made in memory, the intent is noted in the journal before the first
// side effect, and what came of it after; both are merged into the log, in one
// commit for each run, when it can be written again. Until then no other run
// begins anything in the same slot.
//
// Set the fields, call Load, then Run. Safe for concurrent use.
type Emergency struct {
	Engine *Engine
	// Journal is where intents are noted; nil where there is none, and then
	// every change is refused.
	Journal *journal.Journal
	// Blind gives a command that plans without the bot's own record, for when
	// that cannot even be read.
	Blind func(name string) (bot.Command, bool)
	// Deliver hands a card to its network at once, since the outbox is in the
	// store; it gives the reference for later edits.
	Deliver func(ctx context.Context, d bot.Delivery) (ref string, err error)
	// Audit are the channels that hear of it at once.
	Audit []bot.ChannelID

	mu       sync.Mutex
	pending  []*journalled
	refusals []refusal
	taken    map[string]bool // IDs of the messages that were answered
	complain bool            // the last try to merge failed, and was told
}

// engine gives the Engine that works by what is configured now.
func (m *Emergency) engine() *Engine { return m.Engine.now.Load() }

// journalled is one run of which the journal holds the only record.
type journalled struct {
	run     bot.Run
	stopped []displaced
	begun   bool // a call may have been made
	settled bool // run.Progress is how it ended
	working bool // this process is at it
}

// The kinds of journal entries. Those of a run share its call's ID.
const (
	entryIntent  = "intent"  // bot.Run: will be done; nothing was begun
	entryStopped = "stopped" // displaced: what was under way is no longer
	entryBegun   = "begun"   // the first call comes now
	entryHandle  = "handle"  // bot.Handle
	entryOutcome = "outcome" // bot.Run as it ended
	entryRefused = "refused" // refusal
)

// displaced is a run of the store that was ended to make room.
type displaced struct {
	Number   int64        `json:"number"`
	Handle   bot.Handle   `json:"handle"`
	Progress bot.Progress `json:"progress"`
}

// refusal is a change that was refused, or a denial, while nothing else could
// take its record.
type refusal struct {
	ID      string     `json:"id"`
	Record  bot.Record `json:"record"`
	Message string     `json:"message"`
	At      time.Time  `json:"at"`
}

// Load takes over what an earlier process left in the journal: its slots are
// held and its messages not acted on again from here on.
func (m *Emergency) Load(found journal.Found) error {
	m.taken = map[string]bool{}
	log := m.engine().Logger
	if found.Missing > 0 || found.Forged > 0 {
		log.Error("the emergency journal was damaged or changed by somebody else; what is left of it is merged", "missing", found.Missing, "forged", found.Forged)
	}
	byID := map[string]*journalled{}
	for _, en := range found.Entries {
		j := byID[en.ID]
		if j == nil && en.Kind != entryIntent && en.Kind != entryRefused {
			log.Error("the emergency journal tells of a run without its intent", "id", en.ID, "kind", en.Kind)
			continue
		}
		var err error
		switch en.Kind {
		case entryIntent:
			j = &journalled{}
			err = json.Unmarshal(en.Body, &j.run)
			byID[en.ID] = j
			m.pending = append(m.pending, j)
			m.engine().hold(j.run.Plan.Slot, 1)
			m.taken[j.run.Call.Message] = true
		case entryStopped:
			var s displaced
			err = json.Unmarshal(en.Body, &s)
			j.stopped = append(j.stopped, s)
		case entryBegun:
			j.begun = true
		case entryHandle:
			err = json.Unmarshal(en.Body, &j.run.Handle)
		case entryOutcome:
			err = json.Unmarshal(en.Body, &j.run)
			j.settled = true
		case entryRefused:
			var r refusal
			err = json.Unmarshal(en.Body, &r)
			m.refusals = append(m.refusals, r)
			m.taken[r.Message] = true
		default:
			err = fmt.Errorf("it is of no known kind")
		}
		if err != nil {
			return fmt.Errorf("read entry %d (%s) of the emergency journal: %w", en.N, en.Kind, err)
		}
	}
	return nil
}

// Take claims a message for being answered off the log; false when it was
// claimed before. What was claimed is never acted on from the inbox.
func (m *Emergency) Take(message string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.taken[message] {
		return false
	}
	if m.taken == nil || len(m.taken) >= maxTaken {
		m.taken = map[string]bool{}
	}
	m.taken[message] = true
	return true
}

// maxTaken bounds the memory of messages; a redelivery comes within minutes.
const maxTaken = 100_000

// Taken reports whether the message was answered off the log.
func (m *Emergency) Taken(message string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.taken[message]
}

// Refused notes that a call was refused, if the journal has room for that.
func (m *Emergency) Refused(rec bot.Record) {
	if m.Journal == nil {
		return
	}
	r := refusal{ID: rec.Request, Record: rec, Message: rec.Message, At: m.engine().Clock.Now()}
	r.Record.Text = maps.Clone(rec.Text)
	for name, value := range r.Record.Text {
		r.Record.Text[name] = m.engine().Recorder.Redact(clip(value))
	}
	if err := m.note(entryRefused, r.ID, r, journal.ReserveRefusal); err != nil {
		m.engine().Logger.Warn("a refusal is in no log", "request", rec.Request, "person", rec.Person, "err", err)
		return
	}
	m.mu.Lock()
	m.refusals = append(m.refusals, r)
	m.mu.Unlock()
}

func clip(s string) string { return strings.ToValidUTF8(s[:min(len(s), 2<<10)], "") }

func (m *Emergency) note(kind, id string, body any, reserve int64) error {
	raw, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("encode an entry of the emergency journal: %w", err)
	}
	return m.Journal.Write(journal.Entry{Kind: kind, ID: id, Body: raw}, reserve)
}

// errStays is what a command that is no way back is told.
func errStays(why error) *bot.Error {
	return &bot.Error{Op: "emergency", Kind: bot.Unavailable, Err: why,
		Say: "not run: the audit log cannot be written (" + Cause(why) + "); only what reads, page ack and rollback work now, please repeat it later"}
}

// Cause says in a few words why the log cannot be written.
func Cause(why error) string {
	say, _, _ := strings.Cut(bot.Sentence(why, "the bot's log"), ";")
	return say
}

// Act takes a way back to its end, or gives why not as an Error with a sentence;
// then nothing was done. why is what the store said.
func (m *Emergency) Act(ctx context.Context, c bot.Call, ask bot.Ask, cmd bot.Command, why error) error {
	if !cmd.Urgent || cmd.Plan == nil {
		return errStays(why)
	}
	if m.Journal == nil && !c.DryRun {
		return &bot.Error{Op: "emergency", Kind: bot.Unavailable, Err: why,
			Say: "not run: the audit log cannot be written (" + Cause(why) + "), and there is no emergency journal (bot.journal) to note it in; use the platform's own tools"}
	}
	if c.Bound != "" {
		return bot.Errorf(bot.Conflict, "the log cannot be written, so buttons are not trusted now; type it instead: %s", c.Line)
	}
	r, err := m.plan(ctx, c, ask, cmd)
	if err != nil {
		return err
	}
	if r.Plan.Noop != "" || c.DryRun {
		card := planCard(r)
		card.Title, card.Outcome = "dry run, nothing was done: "+r.Plan.Summary, bot.OutcomeOK
		if r.Plan.Noop != "" {
			card = bot.Card{Title: "nothing to do: " + r.Plan.Noop, Outcome: bot.OutcomeOK}
		}
		card.Text = "not recorded: " + Cause(why)
		m.teller(r, nil)(ctx, card)
		return nil
	}
	if !r.Plan.WayBack && !r.Plan.OffLog {
		return errStays(why)
	}
	j := &journalled{run: *r, working: true}
	if err := m.claim(j); err != nil {
		return err
	}
	return m.act(logging.With(ctx, slog.String("journal", c.ID)), j, why)
}

// plan plans and decides as Engine.Start does, from memory and from whatever can
// still be read.
func (m *Emergency) plan(ctx context.Context, c bot.Call, ask bot.Ask, cmd bot.Command) (*bot.Run, error) {
	e := m.engine()
	read, cancel := context.WithTimeout(ctx, 3*readTimeout)
	defer cancel()
	plan, err := planned(read, cmd, c)
	if fromStore(err) && m.Blind != nil {
		if blind, ok := m.Blind(cmd.Name); ok {
			plan, err = planned(read, blind, c)
			plan.Warnings = append(plan.Warnings, "the bot's own record cannot be read: what is marked bad, what was live and what is under way is taken from the platform alone")
		}
	}
	if err != nil {
		return nil, err
	}
	now := e.Clock.Now()
	r := &bot.Run{Call: c, Ask: ask, Plan: plan, Created: now, Places: []bot.Place{{Channel: c.Channel, Thread: c.Thread, ReplyTo: c.Message}}}
	if plan.Noop != "" {
		return r, nil
	}
	if guardedPlan, err := e.guardedPlan(read, c, ask, plan); err == nil {
		r.Plan = guardedPlan // what cannot be read of locks and freezes never stops a way back
	}
	r.Digest = plan.Spec.Digest()
	if err := e.decide(r, c.Who); err != nil {
		if n := r.Decision.Needs; n.StepUp && c.Factor == bot.NoFactor && (c.BreakGlass != "" || askerShows(n)) {
			err = bot.Errorf(bot.Denied, "%s takes a one-time code (%s), and none can be checked while the log cannot be written; use the platform's own tools", plan.Summary, r.Decision.Require)
		}
		return nil, err
	}
	if err := e.passObstacles(r, c.Who, r.Plan.Obstacles); err != nil {
		return nil, err
	}
	if missing(r) != "" {
		return nil, bot.Errorf(bot.Denied, "%s needs %s (%s), and no answer can be recorded now; who may break glass can type it with --break-glass \"why\"", plan.Summary, needsText(r.Decision), r.Decision.Require)
	}
	return r, nil
}

// fromStore reports whether err came from reading the store.
func fromStore(err error) bool {
	var e *bot.Error
	return errors.As(err, &e) && strings.HasPrefix(e.Op, "store.")
}

// claim holds the slot for j. What the journal holds already of the slot is not
// in the record that plans are made from, so a further way back must be named.
func (m *Emergency) claim(j *journalled) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, other := range m.pending {
		if other.run.Plan.Slot != j.run.Plan.Slot {
			continue
		}
		if !other.settled {
			return bot.Errorf(bot.Conflict, "%s asked for this already: %s is under way, written to the emergency journal", other.run.Call.Who.Name(), other.run.Plan.Summary)
		}
		if !j.run.Plan.WayBack {
			return bot.Errorf(bot.Conflict, "%s has been done by %s, which only the emergency journal knows of yet", other.run.Plan.Summary, other.run.Call.Who.Name())
		}
		if v := j.run.Call.Args["version"]; v == "" || v == "previous" {
			return bot.Errorf(bot.Conflict, "%s has been done, which only the emergency journal knows of; to go on from there, name the release: %s VERSION", other.run.Plan.Summary, j.run.Call.Line)
		}
	}
	m.pending = append(m.pending, j)
	m.engine().hold(j.run.Plan.Slot, 1)
	return nil
}

// drop takes j back, of which the journal holds nothing or no more.
func (m *Emergency) drop(j *journalled) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i, other := range m.pending {
		if other == j {
			m.pending = append(m.pending[:i:i], m.pending[i+1:]...)
			m.engine().hold(j.run.Plan.Slot, -1)
			return
		}
	}
}

// act notes the intent, makes room, acts and notes what came of it.
func (m *Emergency) act(ctx context.Context, j *journalled, why error) error {
	e, r := m.engine(), &j.run
	wf, ok := e.Workflows(r.Plan.Spec.Kind)
	if !ok {
		m.drop(j)
		return bot.Errorf(bot.Internal, "this version does not know %s", r.Plan.Spec.Kind)
	}
	e.hide(r)
	task := bot.Task{Key: "journal-" + r.Call.ID, Actor: r.Call.Who.Person, Reason: r.Call.Reason}
	err := guarded(r.Plan.Spec.Kind+".begin", func() (err error) {
		r.Handle, err = wf.Begin(r.Plan.Spec, task)
		return err
	})
	if err == nil {
		r.State, r.Started = bot.Running, e.Clock.Now()
		r.Journal = &bot.Journalled{ID: r.Call.ID, Intent: r.Started}
		err = m.note(entryIntent, r.Call.ID, r, journal.ReserveIntent)
	}
	if err != nil {
		m.drop(j)
		return err
	}
	e.Reach("journal: intent")
	e.Logger.WarnContext(ctx, "a way back is noted in the emergency journal", "request", r.Call.ID, "person", r.Call.Who.Person, "summary", r.Plan.Summary, "err", why)
	tell := m.teller(r, m.Audit)
	card := planCard(r)
	card.Title, card.Phase, card.Outcome, card.Tone = r.Plan.Summary+": running", bot.PhaseWorking, bot.OutcomeOK, bot.Working
	card.Text = "the audit log cannot be written (" + Cause(why) + "); this is written to the emergency journal and merged into the log later"
	tell(ctx, card)
	if m.makeRoom(ctx, j) {
		if err := m.note(entryBegun, r.Call.ID, nil, journal.ReserveStep); err != nil {
			m.settle(ctx, j, bot.Progress{State: bot.OpFailed, Text: bot.Sentence(err, r.Call.ID)}, tell)
			return nil
		}
		j.begun = true
		m.follow(ctx, j, wf, tell)
	} else if ctx.Err() == nil {
		m.settle(ctx, j, bot.Progress{State: bot.OpFailed, Text: "what was under way there could not be stopped, so nothing was begun"}, tell)
	}
	m.mu.Lock()
	j.working = false
	m.mu.Unlock()
	return nil
}

// follow drives the operation to its end and settles j. When ctx ends before,
// the journal says that it was begun, and whoever comes next looks first.
func (m *Emergency) follow(ctx context.Context, j *journalled, wf bot.Workflow, tell func(context.Context, bot.Card)) {
	r, noted := &j.run, string(j.run.Handle.State)
	h, p, err := m.drive(ctx, wf, r.Plan.Spec.Target, r.Handle, false, func(h bot.Handle) {
		if string(h.State) == noted {
			return
		}
		noted = string(h.State)
		if err := m.note(entryHandle, r.Call.ID, h, journal.ReserveStep); err != nil {
			m.engine().Logger.WarnContext(ctx, "note a step in the emergency journal", "err", err)
		}
	})
	if err != nil {
		return
	}
	r.Handle = h
	m.settle(ctx, j, p, tell)
}

// settle notes how j ended, and says it.
func (m *Emergency) settle(ctx context.Context, j *journalled, p bot.Progress, tell func(context.Context, bot.Card)) {
	e, r := m.engine(), &j.run
	p.Text, p.Check, p.Link = e.Recorder.Redact(clip(p.Text)), e.Recorder.Redact(clip(p.Check)), e.Recorder.Redact(clip(p.Link))
	p.Lines = nil
	m.mu.Lock()
	r.Progress, r.Journal.Outcome, j.settled = p, e.Clock.Now(), true
	m.mu.Unlock()
	e.Reach("journal: outcome known")
	kept := "written to the emergency journal, and merged into the log later"
	if err := m.note(entryOutcome, r.Call.ID, r, journal.ReserveOutcome); err != nil {
		kept = "that it ended could not be noted (" + bot.Sentence(err, r.Call.ID) + "); the log will say what is found later"
		e.Logger.ErrorContext(ctx, "note an outcome in the emergency journal", "err", err)
	}
	card := bot.Card{Title: r.Plan.Summary + ": done", Outcome: bot.OutcomeOK, Tone: bot.Good}
	switch p.State {
	case bot.OpSucceeded:
	case bot.OpFailed, bot.OpPartlyDone, bot.OpSuperseded, bot.OpRolledBack, bot.OpCancelled:
		card = bot.Card{Title: r.Plan.Summary + ": failed", Outcome: bot.OutcomeFailed, Tone: bot.Bad}
	default:
		card = bot.Card{Title: r.Plan.Summary + ": unknown, please look", Outcome: bot.OutcomeUnknown, Tone: bot.Bad}
		if p.Check != "" {
			kept += "\ncheck: " + p.Check
		}
	}
	card.Text = strings.Join(nonEmpty(p.Text, kept), "\n")
	card.Footer = e.who(r)
	tell(ctx, card)
}

// teller gives what shows the run's card, as one message in each place: where it
// was asked for, and in the channels given. That nobody can be told stops
// nothing.
func (m *Emergency) teller(r *bot.Run, audit []bot.ChannelID) func(ctx context.Context, card bot.Card) {
	key, version, refs := "journal/"+r.Call.ID, int64(0), map[bot.ChannelID]string{}
	who := r.Call.Who.Name()
	return func(ctx context.Context, card bot.Card) {
		version++
		card.Key, card.Version = key, version
		for i, to := range append([]bot.ChannelID{r.Call.Channel}, audit...) {
			d := bot.Delivery{Channel: to, Ref: refs[to], Card: card}
			if i == 0 {
				d.Thread, d.Card.ReplyTo = r.Call.Thread, r.Call.Message
			} else if d.Channel == r.Call.Channel {
				continue
			} else {
				d.Card.Footer = strings.Join(nonEmpty("asked by "+who, "not in the log yet"), "; ")
			}
			ref, err := m.Deliver(ctx, d)
			if err != nil {
				m.engine().Logger.WarnContext(ctx, "tell of what is in the emergency journal", "channel", string(to), "err", err)
			} else if ref != "" {
				refs[to] = ref
			}
		}
	}
}

// drive takes an operation to its end; with stop, it first asks for that. It
// gives an error only when ctx ended.
func (m *Emergency) drive(ctx context.Context, wf bot.Workflow, t bot.Target, h bot.Handle, stop bool, note func(bot.Handle)) (bot.Handle, bot.Progress, error) {
	e, timing := m.engine(), timingOf(wf, t)
	acted := h.Interrupted || stop
	var silent time.Time
	for {
		var p bot.Progress
		asks, next := stop && !h.Interrupted, h
		call, cancel := context.WithTimeout(ctx, timing.Call)
		err := guarded(wf.Kind(), func() (err error) {
			if asks {
				next, err = wf.Cancel(call, h)
			} else {
				next, p, err = wf.Advance(call, h)
			}
			return err
		})
		cancel()
		if ctx.Err() != nil {
			return h, p, ctx.Err()
		}
		wait := defaultNext
		switch kind := bot.KindOf(err); {
		case err == nil && p.State.Settled() && !asks:
			return next, p, nil
		case err == nil:
			h, silent, acted = next, time.Time{}, true
			h.Interrupted = false
			stop = stop && !asks
			if p.Next > 0 {
				wait = p.Next
			}
			note(h)
		case kind == bot.Unavailable || kind == bot.Timeout || kind == bot.Busy:
			now := e.Clock.Now()
			if silent.IsZero() || now.Before(silent) {
				silent = now
			}
			if now.Sub(silent) >= e.Patience {
				return h, bot.Progress{State: bot.OpUnknown, Text: fmt.Sprintf("no answer for %s (%s)", e.Patience, bot.Sentence(err, h.Key)), Check: "the provider itself, for " + h.Key}, nil
			}
			h.Interrupted, acted, wait = true, true, max(wait, timing.Settle)
		case asks:
			stop = false // it cannot be stopped, and is followed
		case acted:
			return h, bot.Progress{State: bot.OpUnknown, Text: bot.Sentence(err, h.Key), Check: "the provider itself, for " + h.Key}, nil
		default:
			return h, bot.Progress{State: bot.OpFailed, Text: bot.Sentence(err, h.Key)}, nil
		}
		if err := sleep(ctx, wait); err != nil {
			return h, p, err
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// makeRoom stops what is under way in the slot of j, as far as the store can
// tell, and waits until it is settled; false when it is not.
func (m *Emergency) makeRoom(ctx context.Context, j *journalled) bool {
	e := m.engine()
	if err := e.quiet(ctx, j.run.Plan.Slot); err != nil {
		return false
	}
	var rows []store.RunRow
	err := e.Store.View(ctx, func(rd store.Reader) (err error) {
		rows, err = rd.Runs(bot.RunFilter{Target: j.run.Ask.Target, Open: true, Limit: maxQueue})
		return err
	})
	if err != nil {
		e.Logger.WarnContext(ctx, "what is under way cannot be read", "err", err)
		return ctx.Err() == nil
	}
	for _, row := range rows {
		c, err := e.decode(row)
		if err != nil || row.Slot != j.run.Plan.Slot || !c.run.Acted || c.run.State != bot.Running && c.run.State != bot.Cancelling {
			continue
		}
		wf, ok := e.workflow(&c.run)
		if !ok {
			return false
		}
		h := c.run.Handle
		h.Interrupted = c.run.InCall
		h, p, err := m.drive(ctx, wf, c.run.Ask.Target, h, !c.run.CancelOK, func(bot.Handle) {})
		if err != nil {
			return false
		}
		p.Lines = nil // what cannot be known of it does not hold a way back up
		s := displaced{Number: row.Number, Handle: h, Progress: p}
		if err := m.note(entryStopped, j.run.Call.ID, s, journal.ReserveStep); err != nil {
			e.Logger.WarnContext(ctx, "note in the emergency journal what was stopped", "run", row.Number, "err", err)
		}
		j.stopped = append(j.stopped, s)
	}
	return true
}

// hold keeps the runs of a slot from being worked on, as often as it is called
// with 1 and not with -1.
func (e *Engine) hold(slot string, n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.held[slot] += n
	if e.held[slot] <= 0 {
		delete(e.held, slot)
	}
}

// quiet waits until this process works on no run of the slot, which must be held.
func (e *Engine) quiet(ctx context.Context, slot string) error {
	for {
		busy := false
		e.mu.Lock()
		for _, other := range e.active {
			busy = busy || other == slot
		}
		e.mu.Unlock()
		if !busy {
			return nil
		}
		if err := sleep(ctx, 20*time.Millisecond); err != nil {
			return err
		}
	}
}
