// Package run takes accepted calls to their end: it plans them, waits for
// people and for slots, drives workflows at providers and survives a crash
// between any two steps.
//
// Everything it knows about a run is in the store. A run is worked on under a
// lease that is written before each call to a provider and ends after that
// call's own deadline plus the provider's settle time, and every write of a
// run states the revision it was made from. So a process that lost its lease,
// or was stopped and continued, finds its next write refused, and whoever
// comes after it tells the provider that an earlier call may have happened.
package run

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sourcegraph/conc"

	"quarterdeck/bot"
	"quarterdeck/bot/logging"
	"quarterdeck/bot/store"
)

// Recorder writes audit records inside a transaction and hides secrets.
type Recorder interface {
	Append(tx store.Tx, r bot.Record) (store.Head, error)
	Redact(s string) string
}

// Config is what an Engine works with. All fields are needed except those with
// a default.
type Config struct {
	Store     store.Store
	Recorder  Recorder
	Policy    bot.Policy
	Directory bot.Directory
	// Commands gives a command by name; used to plan queued calls anew. It is
	// called only after New, so that commands may hold the engine.
	Commands func(name string) (bot.Command, bool)
	// Workflows by kind, over all commands; called only after New.
	Workflows func(kind string) (bot.Workflow, bool)
	// Guards, when set, says what stands against a run at a time, as a reader
	// shows it: locks, freezes, a halt.
	Guards func(rd store.Reader, r *bot.Run, at time.Time) ([]bot.Obstacle, error)
	// Direct, when set, gives the places where a person is told something directly.
	Direct func(person string) []store.Outgoing
	// InForce, when set, gives an Error that wraps ErrOutdated when a reader shows
	// other rules in force than those that the engine works by.
	InForce func(r store.Reader) error
	// AtHand, when set, says from memory why somebody may act at once on a target
	// and be reviewed after without a grant of that: they are on call for it, or
	// hold its page; "" where they may not.
	AtHand func(who bot.Identity, t bot.Target) (why string)
	// Seal marks stored runs; one that it does not know is not worked on.
	Seal   store.Seal
	Clock  bot.Clock
	IDs    bot.IDs
	Logger *slog.Logger
	// Posted is called after cards were enqueued, to hurry their delivery.
	Posted func()
	// Draining, when closed, has Run begin nothing new, wait for the steps under
	// way and return.
	Draining <-chan struct{}
	Meter    bot.Meter // default: nothing is counted
	// Reach, when set, is told the name of each point of the road as it is
	// reached, before what comes after it; tests stop the process there.
	Reach func(point string)

	ConfirmExpires  time.Duration // default 2 minutes
	ApprovalExpires time.Duration // default 30 minutes
	Parallel        int           // runs worked on at once; default 64
	Patience        time.Duration // how long a provider may stay silent; default 10 minutes
}

// Engine drives runs. Safe for concurrent use. It implements bot.Runs.
//
// What it works by does not change: another Engine takes over, see Switch, and
// whoever holds this one goes on by the rules they began with.
type Engine struct {
	Config
	*shared
}

// shared is what the Engines of one process have in common.
type shared struct {
	owner  string
	wake   chan struct{}
	now    atomic.Pointer[Engine] // works on due runs
	gate   sync.RWMutex           // held to write an intent; locked to switch
	aside  atomic.Int64           // until when nothing is begun, in microseconds; see standAside
	turned atomic.Int64           // when Run's loop last turned, in microseconds

	mu     sync.Mutex
	active map[int64]string  // runs this process is working on, with their slots
	held   map[string]int    // slots in which nothing is begun; see Emergency
	begun  map[int64]*Engine // runs under way, by what they were begun with
	mine   map[int64]bool    // runs this process worked on last, as far as it knows
}

// New makes an Engine; Run makes it work.
func New(c Config) *Engine {
	e := &Engine{Config: c.complete(), shared: &shared{owner: c.IDs.New(), wake: make(chan struct{}, 1),
		active: map[int64]string{}, held: map[string]int{}, begun: map[int64]*Engine{}, mine: map[int64]bool{}}}
	e.now.Store(e)
	return e
}

// complete gives c with its defaults.
func (c Config) complete() Config {
	if c.ConfirmExpires <= 0 {
		c.ConfirmExpires = 2 * time.Minute
	}
	if c.ApprovalExpires <= 0 {
		c.ApprovalExpires = 30 * time.Minute
	}
	if c.Parallel <= 0 {
		c.Parallel = 64
	}
	if c.Patience <= 0 {
		c.Patience = 10 * time.Minute
	}
	if c.Posted == nil {
		c.Posted = func() {}
	}
	if c.Reach == nil {
		c.Reach = func(string) {}
	}
	if c.Meter == nil {
		c.Meter = bot.NoMeter{}
	}
	return c
}

// Wake makes the engine look for due runs now.
func (e *Engine) Wake() {
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// longestNap bounds how long the engine sleeps when nothing is due, so that a
// run written by another process, or a clock that was set, is noticed.
const longestNap = time.Second

// Turned gives when Run last looked for what is due, which it does every second;
// zero before the first time.
func (e *Engine) Turned() time.Time {
	us := e.turned.Load()
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us)
}

// Run works on due runs until ctx ends or Draining is closed, then waits for the
// calls under way, whose contexts end with ctx. A call that ctx cut off leaves
// its run to whoever comes next, without a lease to wait for.
func (e *Engine) Run(ctx context.Context) error {
	var workers conc.WaitGroup
	defer workers.Wait()
	var swept time.Time
	var watch clockwatch
	for {
		select {
		case <-e.Draining:
			return nil
		default:
		}
		nap := longestNap
		e.turned.Store(e.Clock.Now().UnixMicro())
		e.lookAtClock(ctx, &watch)
		if now := e.Clock.Now(); now.Sub(swept) >= sweepEvery || now.Before(swept) {
			swept = now
			workers.Go(func() { e.sweep(ctx) })
		}
		due, next, err := e.due(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			e.Logger.Error("look for due runs", "err", err)
		default:
			for _, row := range due {
				if wait := max(e.leave(row), e.asideLeft(row)); wait > 0 {
					nap = min(nap, wait)
					continue
				}
				if e.begin(row) {
					workers.Go(func() {
						defer e.end(row.Number)
						e.now.Load().work(ctx, row)
					})
				}
			}
			if !next.IsZero() {
				nap = min(nap, max(next.Sub(e.Clock.Now()), 5*time.Millisecond))
			}
		}
		timer := time.NewTimer(nap)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-e.Draining:
			timer.Stop()
			return nil
		case <-e.wake:
			timer.Stop()
		case <-timer.C:
		}
	}
}

func (e *Engine) due(ctx context.Context) (due []store.RunRow, next time.Time, err error) {
	err = e.Store.View(ctx, func(r store.Reader) error {
		due, err = r.RunsDue(e.Clock.Now(), e.Parallel)
		if err != nil || len(due) > 0 {
			return err
		}
		next, _, err = r.NextWake()
		return err
	})
	return due, next, err
}

func (e *Engine) begin(row store.RunRow) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if _, busy := e.active[row.Number]; busy || len(e.active) >= e.Parallel || e.held[row.Slot] > 0 {
		return false
	}
	e.active[row.Number] = row.Slot
	return true
}

func (e *Engine) end(number int64) {
	e.mu.Lock()
	delete(e.active, number)
	e.mu.Unlock()
	e.Wake()
}

// work moves one due run one step on.
func (e *Engine) work(ctx context.Context, row store.RunRow) {
	ctx = logging.With(ctx, slog.Int64("run", row.Number))
	defer func() {
		if p := recover(); p != nil {
			e.Meter.Panicked("engine")
			e.Logger.ErrorContext(ctx, "panic while working on a run", "run", row.Number, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			e.snooze(ctx, row.Number, 10*time.Second)
		}
	}()
	e.own(row.Number)
	c, err := e.decode(row)
	if err == nil {
		ctx = logging.With(ctx, slog.String("request", c.run.Call.ID), slog.String("message", c.run.Call.Message), slog.String("person", c.run.Call.Who.Person))
		switch c.run.State {
		case bot.Waiting:
			err = e.expire(ctx, c)
		case bot.Queued:
			err = e.admitIfInForce(ctx, c)
		case bot.Running, bot.Cancelling:
			var held bool
			if held, err = e.slotBack(ctx, c); held && err == nil {
				err = e.advance(ctx, c)
			}
		}
	}
	if errors.Is(err, errStale) || c != nil && c.run.State.Settled() {
		e.disowned(row.Number)
	}
	if errors.Is(err, errSwitched) {
		if c, err = e.load(ctx, row.Number); err == nil {
			e.now.Load().work(ctx, c.row)
			return
		}
	}
	switch {
	case errors.Is(err, store.ErrForged) && c != nil:
		e.disown(ctx, c, err)
	case err == nil || ctx.Err() != nil || errors.Is(err, errStale):
		// A stale write means that somebody else moved the run on: their view wins.
	default:
		e.Logger.ErrorContext(ctx, "work on run", "run", row.Number, "err", err)
		e.snooze(ctx, row.Number, 2*time.Second)
	}
}

// disown ends a run that somebody else wrote into the store. What it did, if
// it began, nobody can say.
func (e *Engine) disown(ctx context.Context, c *current, why error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTimeout)
	defer cancel()
	e.Logger.ErrorContext(ctx, "a stored run was forged", "run", c.row.Number, "err", why)
	number := c.row.Number
	var ended *current
	err := e.Store.Update(ctx, func(tx store.Tx) error {
		row, found, err := tx.Run(number)
		if err != nil || !found || row.State.Settled() {
			return err
		}
		forged := &current{run: c.run, row: row}
		r := &forged.run
		r.Number, r.Tokens = number, nil
		r.Result = bot.Sentence(why, r.Call.ID)
		state, kind := bot.Failed, bot.FailedKind
		if r.Acted || r.State == bot.Running || r.State == bot.Cancelling {
			state, kind = bot.Unknown, bot.UnknownKind
		}
		ended = forged
		return e.settle(tx, forged, state, bot.Record{Kind: kind, Error: bot.Conflict, Detail: map[string]string{"forged": "true"}}, nil)
	})
	if err != nil {
		e.Logger.ErrorContext(ctx, "end a forged run", "run", number, "err", err)
		return
	}
	e.count(ended)
	e.Posted()
}

// snooze puts a run that could not be worked on off for a while, so that it
// does not spin.
func (e *Engine) snooze(ctx context.Context, number int64, d time.Duration) {
	err := e.Store.Update(ctx, func(tx store.Tx) error {
		row, found, err := tx.Run(number)
		if err != nil || !found || row.State.Settled() {
			return err
		}
		row.WakeAt = e.Clock.Now().Add(d)
		_, err = tx.PutRun(row)
		return err
	})
	if err == nil || ctx.Err() != nil {
		return
	}
	e.Logger.ErrorContext(ctx, "put a run off", "run", number, "err", err)
	// Nothing can be written now: the run is kept from being looked at again
	// at once by not letting go of it.
	pause := time.NewTimer(longestNap)
	defer pause.Stop()
	select {
	case <-ctx.Done():
	case <-pause.C:
	}
}

// guarded calls code that is not the engine's own: a command's plan, a
// workflow. A panic there becomes an Error of kind Internal with the stack for
// the operator, so that it ends one run and not the process.
func guarded(op string, f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &bot.Error{Op: op, Kind: bot.Internal, Err: fmt.Errorf("panic: %v\n%s", p, debug.Stack())}
		}
	}()
	return f()
}

// current is a run together with the row it was read from.
type current struct {
	run bot.Run
	row store.RunRow
	// passed are obstacles that an override passed and no record tells of yet.
	passed []bot.Obstacle
	// planned says that the plan was made just now, and not read from the store.
	planned bool
	// ended are the runs that settled in the transaction this was written by.
	ended []bot.Run
}

// count tells the meter of the runs that settled with c, once they are durable.
func (e *Engine) count(c *current) {
	if c == nil {
		return
	}
	for _, r := range c.ended {
		e.Meter.Settled(r)
	}
	c.ended = nil
}

// decode reads a stored run. One that somebody else wrote gives an Error that
// wraps store.ErrForged, beside what it claims to be.
func (e *Engine) decode(row store.RunRow) (*current, error) {
	c := &current{row: row}
	body, forged := e.Seal.Unwrap(sealName(row.Number), row.Body)
	if body == nil {
		return nil, forged
	}
	if err := json.Unmarshal(body, &c.run); err != nil {
		return nil, fmt.Errorf("decode run %d: %w", row.Number, err)
	}
	if forged == nil && c.run.Number != row.Number {
		forged = fmt.Errorf("run %d is stored as %d: %w", c.run.Number, row.Number, store.ErrForged)
	}
	return c, forged
}

// another is decode for a run that is not the one being worked on: that it is
// forged must not be taken for a fault of that one.
func (e *Engine) another(row store.RunRow) (*current, error) {
	c, err := e.decode(row)
	if err != nil {
		return nil, fmt.Errorf("look at run %d: %s", row.Number, err)
	}
	return c, nil
}

// SealName is what a run's stored row is marked under; see store.Seal.
func SealName(number int64) string { return sealName(number) }

func sealName(number int64) string { return fmt.Sprintf("run #%d", number) }

// errStale says that a run was moved on by somebody else meanwhile.
var errStale = errors.New("the run was moved on meanwhile")

// put writes the run into its row within tx. A row that changed since it was
// read gives errStale.
func (e *Engine) put(tx store.Tx, c *current) error {
	e.hide(&c.run)
	r := &c.run
	row := c.row
	row.Number, row.State, row.Target, row.Person = r.Number, r.State, r.Ask.Target.String(), r.Call.Who.Person
	row.Slot, row.WakeAt, row.Created = r.Plan.Slot, r.WakeAt, r.Created
	if r.State.Settled() {
		row.Holds, row.Owner, row.Lease, row.WakeAt = false, "", time.Time{}, time.Time{}
	}
	body, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("encode run %d: %w", r.Number, err)
	}
	if row.Body, err = e.Seal.Wrap(sealName(r.Number), body); err != nil {
		return fmt.Errorf("seal run %d: %w", r.Number, err)
	}
	rev, err := tx.PutRun(row)
	if err != nil {
		return err
	}
	row.Rev = rev
	c.row = row
	return nil
}

// update applies f to the run in one transaction: the row is read afresh and
// must still be the one that c was read from. On success c is what was
// written; on any error c is unchanged.
func (e *Engine) update(ctx context.Context, c *current, f func(tx store.Tx, c *current) error) error {
	var next *current
	err := e.Store.Update(ctx, func(tx store.Tx) error {
		row, found, err := tx.Run(c.row.Number)
		if err != nil {
			return err
		}
		if !found || row.Rev != c.row.Rev {
			return errStale
		}
		copied, err := e.decode(row)
		if err != nil {
			return err
		}
		// The caller's changes made outside a transaction are in c.
		// What f adds to must not be shared: f may be run again.
		copied.run, copied.row, copied.passed, copied.planned = c.run, row, c.passed, c.planned
		copied.run.Tokens = maps.Clone(c.run.Tokens)
		copied.run.Plan.Warnings = slices.Clip(c.run.Plan.Warnings)
		copied.row.Holds, copied.row.Owner, copied.row.Lease = c.row.Holds, c.row.Owner, c.row.Lease
		if err := f(tx, copied); err != nil {
			return err
		}
		next = copied
		return nil
	})
	if err != nil {
		return err
	}
	*c = *next
	e.count(c)
	e.Posted()
	return nil
}

// record appends a record about the run, which stands as it will be written in
// the same commit. Unless said otherwise the actor is who asked for the run,
// and the record names the run's state.
func (e *Engine) record(tx store.Tx, r *bot.Run, rec bot.Record) error {
	rec.Detail = maps.Clone(rec.Detail)
	if rec.Detail == nil {
		rec.Detail = map[string]string{}
	}
	if _, named := rec.Detail["state"]; !named && r.State != "" {
		rec.Detail["state"] = string(r.State)
	}
	rec.At = e.Clock.Now()
	rec.Run = r.Number
	fromJournal(r, rec)
	if rec.Request == "" {
		rec.Request = r.Call.ID
	}
	if rec.Account == "" {
		who := r.Call.Who
		rec.Account, rec.Person, rec.Standing = who.Account, who.Person, who.Standing
		rec.Channel = r.Call.Channel
	}
	rec.Verb, rec.Permission, rec.Resources = r.Call.Command, r.Ask.Permission, r.Ask.Resources
	rec.Target, rec.Spec = r.Ask.Target.String(), r.Digest
	if rec.Rule == "" {
		rec.Rule = r.Decision.Rule
	}
	_, err := e.Recorder.Append(tx, rec)
	return err
}

// by makes rec about something that the asker of the call c did.
func by(c bot.Call, rec bot.Record) bot.Record {
	rec.Account, rec.Person, rec.Standing, rec.Channel = c.Who.Account, c.Who.Person, c.Who.Standing, c.Channel
	return rec
}

// Get implements bot.Runs.
func (e *Engine) Get(ctx context.Context, number int64) (bot.Run, error) {
	c, err := e.load(ctx, number)
	if err != nil {
		return bot.Run{}, err
	}
	return c.run, nil
}

func (e *Engine) load(ctx context.Context, number int64) (c *current, err error) {
	err = e.Store.View(ctx, func(r store.Reader) error {
		row, found, err := r.Run(number)
		if err != nil {
			return err
		}
		if !found {
			return noRun(number)
		}
		c, err = e.decode(row)
		return err
	})
	return c, err
}

// Runs implements bot.Runs.
func (e *Engine) Runs(ctx context.Context, f bot.RunFilter) (runs []bot.Run, err error) {
	err = e.Store.View(ctx, func(r store.Reader) error {
		find := r.Runs
		if f.ToReview {
			find = func(f bot.RunFilter) ([]store.RunRow, error) { return toReview(r, f.Limit) }
		}
		rows, err := find(f)
		if err != nil {
			return err
		}
		runs = make([]bot.Run, 0, len(rows))
		for _, row := range rows {
			c, err := e.decode(row)
			if errors.Is(err, store.ErrForged) {
				e.Logger.Error("a stored run was forged", "run", row.Number, "err", err)
				continue // work ends it, and says so
			}
			if err != nil {
				return err
			}
			runs = append(runs, c.run)
		}
		return nil
	})
	return runs, err
}
