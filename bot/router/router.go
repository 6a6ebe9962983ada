// Package router takes one message in, does one recorded and authorised
// action, and gives one reply out.
package router

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sourcegraph/conc"

	"quarterdeck/bot"
	"quarterdeck/bot/grammar"
	"quarterdeck/bot/logging"
	"quarterdeck/bot/run"
	"quarterdeck/bot/stepup"
	"quarterdeck/bot/store"
)

// Config is what a Router works with; all fields but those with a default are
// needed.
type Config struct {
	Store     store.Store
	Recorder  run.Recorder
	Policy    bot.Policy
	Directory bot.Directory
	Grammar   *grammar.Grammar
	Engine    *run.Engine
	// Words, when set, gives the names that somebody is told of in hints and
	// completions.
	Words func(who bot.Identity) grammar.Words
	// Codes checks one-time codes as messages are received; nil where there are none.
	Codes *stepup.Keeper
	// Seal marks stored messages; one that it does not know runs nothing.
	Seal   store.Seal
	Clock  bot.Clock
	IDs    bot.IDs
	Logger *slog.Logger
	Posted func()             // called after a reply was enqueued
	Reach  func(point string) // see run.Config
	Meter  bot.Meter          // default: nothing is counted
	// Draining, when closed, has Receive take nothing more, so that networks
	// deliver it to whoever comes next, and has Run begin nothing new, wait for
	// what is under way and return.
	Draining <-chan struct{}
	// Emergency is the road while the log cannot be written; without it, nothing
	// is answered then.
	Emergency *run.Emergency

	Rate        int           // commands a minute and person; default 60
	Stale       time.Duration // how old a message may be when it is acted on; default 2 minutes
	ReadTimeout time.Duration // for commands that read; default 30 seconds
	Parallel    int           // messages handled at once; default 128
}

// Router implements bot.Inbound. Safe for concurrent use.
type Router struct {
	Config
	limits *limiter
	*shared
}

// shared is what the Routers of one process have in common.
type shared struct {
	owner   string                 // this start of this process, for claims
	now     atomic.Pointer[Router] // handles what arrives
	arrived chan bot.Message
	outside chan offLog // messages that the store did not take
	slots   chan struct{}
	freed   chan struct{} // a place became free
	turned  atomic.Int64  // when Run's loop last turned, in microseconds

	mu     sync.Mutex
	active map[string]bool // message IDs being handled by this process
	mine   map[string]bool // received by this process, and not handled yet
}

// New makes a Router; Run makes it handle what Receive takes in.
func New(c Config) *Router {
	c = c.complete()
	r := &Router{Config: c, limits: newLimiter(c.Clock, c.Rate), shared: &shared{owner: c.IDs.New(), mine: map[string]bool{}, arrived: make(chan bot.Message, 1024), outside: make(chan offLog, 256),
		freed: make(chan struct{}, 1), slots: make(chan struct{}, c.Parallel), active: map[string]bool{}}}
	r.now.Store(r)
	return r
}

// Next gives a Router that works by c instead, in the same process: on what
// arrives once Switch made it the one that does.
func (r *Router) Next(c Config) *Router {
	next := &Router{Config: c.complete(), limits: r.limits, shared: r.shared}
	if next.Rate != r.Rate {
		next.limits = newLimiter(next.Clock, next.Rate)
	}
	return next
}

// Switch makes next the Router that handles what arrives from now on. What is
// being handled is handled to its end by the Router that began it.
func (r *Router) Switch(next *Router) { r.now.Store(next) }

// complete gives c with its defaults.
func (c Config) complete() Config {
	if c.Rate <= 0 {
		c.Rate = 60
	}
	if c.Stale <= 0 {
		c.Stale = 2 * time.Minute
	}
	if c.ReadTimeout <= 0 {
		c.ReadTimeout = 30 * time.Second
	}
	if c.Parallel <= 0 {
		c.Parallel = 128
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

// Receive implements bot.Inbound: the message is in the inbox when it returns.
// Edits are dropped without a trace, because they never run anything.
func (r *Router) Receive(ctx context.Context, m bot.Message) (bot.Receipt, error) {
	if m.Edited || m.ID == "" {
		return bot.Receipt{Duplicate: true}, nil
	}
	select {
	case <-r.Draining:
		return bot.Receipt{}, &bot.Error{Op: "router.receive", Kind: bot.Unavailable, Say: "the bot is stopping; please repeat it in a moment"}
	default:
	}
	if m.Account.IsClock() { // only Due speaks for it
		return bot.Receipt{}, bot.Errorf(bot.Denied, "no network speaks for the clock")
	}
	m.Until = time.Time{}
	if m.Received.IsZero() {
		m.Received = r.Clock.Now()
	}
	shown := r.now.Load().takeCode(ctx, &m)
	if len(m.Text) > maxStored {
		// The grammar refuses it; what is kept is enough for that.
		m.Text = strings.ToValidUTF8(m.Text[:maxStored], "")
	}
	if m.Text != "" {
		m.Text = r.now.Load().Hidden(m.Text)
	}
	fresh, err := r.store(ctx, &m, shown)
	if err != nil {
		return r.notTaken(ctx, m, err)
	}
	if !fresh || r.answered(m) {
		return bot.Receipt{Duplicate: true}, nil
	}
	r.expect(m.ID)
	r.Meter.Received(r.Clock.Now().Sub(m.Received))
	r.Reach("message received")
	select {
	case r.arrived <- m:
	default: // the sweep finds it
	}
	return bot.Receipt{Private: r.now.Load().private(ctx, m)}, nil
}

// maxStored bounds the text of a stored message, in bytes. It is more than the
// grammar takes, and little enough that a flood does not fill the disk.
const maxStored = grammar.MaxLine + 64

// seal marks m with what it says.
func (r *Router) seal(m *bot.Message) error {
	m.Seal = ""
	body, err := asStored(*m)
	if err != nil {
		return &bot.Error{Op: "router.receive", Kind: bot.Invalid, Say: "the message cannot be stored", Err: err}
	}
	m.Seal = r.Seal.Mark("message", body)
	return nil
}

// asStored encodes a message as it is encoded once it was read back: bytes that
// are no UTF-8 are replaced when it is stored, and are written otherwise the first
// time than the second.
func asStored(m bot.Message) ([]byte, error) {
	body, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	var read bot.Message
	if err := json.Unmarshal(body, &read); err != nil {
		return nil, err
	}
	return json.Marshal(read)
}

// genuine checks the mark of a message that was read from the inbox.
func (r *Router) genuine(m bot.Message) error {
	mark := m.Seal
	m.Seal = ""
	body, err := asStored(m)
	if err != nil {
		return err
	}
	return r.Seal.Check("message", body, mark)
}

// sweepEvery is how often the inbox is looked through for messages that were
// received but not handled, by this process or by one that is gone.
const sweepEvery = 2 * time.Second

// Turned gives when Run's loop last turned, which it does every few seconds; zero
// before the first time.
func (r *Router) Turned() time.Time {
	us := r.turned.Load()
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us)
}

// Run handles messages until ctx ends or Draining is closed, then waits for those
// under way, whose contexts end with ctx.
func (r *Router) Run(ctx context.Context) error {
	var workers conc.WaitGroup
	defer workers.Wait()
	sweep := time.NewTicker(sweepEvery)
	defer sweep.Stop()
	forget := time.NewTicker(time.Hour)
	defer forget.Stop()
	var waiting queue
	r.sweep(ctx, &workers)
	for {
		select {
		case <-r.Draining: // before anything that waits beside it
			return nil
		default:
		}
		r.turned.Store(r.Clock.Now().UnixMicro())
		select {
		case <-ctx.Done():
			return nil
		case <-r.Draining:
			return nil
		case m := <-r.arrived:
			if len(waiting) > 0 && !r.now.Load().isUrgent(m) || !r.dispatch(ctx, &workers, m, false) {
				waiting.add(m)
			}
		case <-r.freed:
			waiting.next(func(m bot.Message) bool { return !r.awaits(m.ID) || r.dispatch(ctx, &workers, m, false) })
		case m := <-r.outside:
			workers.Go(func() { r.now.Load().offLog(ctx, m) })
		case <-sweep.C:
			r.sweep(ctx, &workers)
		case <-forget.C:
			r.forget(ctx)
		}
	}
}

// claims is how long a message's ID is remembered, so that a redelivery is
// recognised.
const claims = 24 * time.Hour

func (r *Router) forget(ctx context.Context) {
	err := r.Store.Update(ctx, func(tx store.Tx) error {
		if err := forgetClaims(tx, r.Clock.Now().Add(-time.Hour)); err != nil {
			return err
		}
		return tx.Forget(r.Clock.Now().Add(-claims))
	})
	if err != nil && ctx.Err() == nil {
		r.Logger.Error("forget old messages", "err", err)
	}
}

func (r *Router) sweep(ctx context.Context, workers *conc.WaitGroup) {
	var found []store.Inbound
	err := r.Store.View(ctx, func(rd store.Reader) (err error) {
		found, err = rd.Unfinished(4 * cap(r.slots)) // other replicas have theirs among them
		return err
	})
	if err != nil {
		if ctx.Err() == nil {
			r.Logger.Error("look through the inbox", "err", err)
		}
		return
	}
	kept := found[:0]
	for _, in := range found {
		if r.answered(in.Message) {
			r.close(ctx, in.Message)
			continue
		}
		kept = append(kept, in)
	}
	own, others := r.claimable(kept)
	for _, m := range own {
		r.dispatch(ctx, workers, m, false)
	}
	taken, err := r.claim(ctx, others)
	if err != nil && ctx.Err() == nil {
		r.Logger.Error("take messages over", "err", err)
	}
	for _, m := range taken {
		r.dispatch(ctx, workers, m, true)
	}
}

// dispatch hands a message to a worker. Urgent lines do not wait for one of
// the bounded places; the others do, in the inbox. taken says that it is claimed.
// It reports false when there is no place.
func (r *Router) dispatch(ctx context.Context, workers *conc.WaitGroup, m bot.Message, taken bool) bool {
	r.mu.Lock()
	if r.active[m.ID] {
		r.mu.Unlock()
		return true
	}
	bounded := true
	select {
	case r.slots <- struct{}{}:
	default:
		if !r.now.Load().isUrgent(m) {
			r.mu.Unlock()
			return false
		}
		bounded = false
	}
	r.active[m.ID] = true
	r.mu.Unlock()
	workers.Go(func() {
		defer func() {
			r.mu.Lock()
			delete(r.active, m.ID)
			delete(r.mine, m.ID)
			r.mu.Unlock()
			if bounded {
				<-r.slots
				select {
				case r.freed <- struct{}{}:
				default:
				}
			}
		}()
		done := r.keep(ctx, m.ID, taken)
		defer done()
		r.now.Load().handle(ctx, m)
	})
	return true
}

func (r *Router) isUrgent(m bot.Message) bool {
	p, err := r.Grammar.Parse(m.Text)
	return err == nil && urgent(p)
}

// urgent reports whether nothing may hold the line back: a way back that is to
// be gone, not only looked at.
func urgent(p grammar.Parsed) bool { return p.Command.Urgent && !p.DryRun }

// private says whether the answer to m is for the asker alone, from memory.
func (r *Router) private(ctx context.Context, m bot.Message) bool {
	who, err := r.Directory.Identify(ctx, m.Account, m.Standing)
	if err != nil || !who.Known() {
		return true
	}
	if m.Press != "" {
		return false
	}
	p, err := r.Grammar.Parse(m.Text)
	if err != nil || p.Command.Private || m.Aside {
		return true
	}
	_, _, d, err := r.decide(r.call(m, who, p), p.Command)
	return err != nil || !d.Allowed
}

// handle takes one message to its answer. Whatever goes wrong, the asker gets
// a sentence and the log an entry.
func (r *Router) handle(ctx context.Context, m bot.Message) {
	request := r.IDs.New()
	ctx = logging.With(ctx, slog.String("request", request), slog.String("message", m.ID))
	err := r.guarded(ctx, m, request)
	switch {
	case err == nil || errors.Is(err, run.ErrHandled) || ctx.Err() != nil:
	default:
		// The log itself cannot be written, or the end of a refusal could not be.
		r.Logger.ErrorContext(ctx, "handle message", "err", err)
		// Where others share the inbox, one of them acts on the message, or says
		// that it went stale.
		if r.Emergency != nil && store.Allowance(r.Store) == 0 && r.Emergency.Take(m.ID) {
			r.offLog(ctx, offLog{m, err})
		}
	}
}

func (r *Router) guarded(ctx context.Context, m bot.Message, request string) (err error) {
	defer func() {
		if p := recover(); p != nil {
			r.Meter.Panicked("router")
			r.Logger.ErrorContext(ctx, "panic while handling a message", "request", request, "message", m.ID, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			c := bot.Call{ID: request, Message: m.ID, Channel: m.Channel, Thread: m.Thread, At: r.Clock.Now(), Who: bot.Identity{Account: m.Account, Standing: m.Standing}}
			err = r.refuse(ctx, c, bot.Ask{}, bot.Decision{}, &bot.Error{Kind: bot.Internal, Err: fmt.Errorf("panic: %v", p)})
		}
	}()
	return r.road(ctx, m, request)
}

// road is the one direction a message flows.
func (r *Router) road(ctx context.Context, m bot.Message, request string) error {
	c := bot.Call{ID: request, Message: m.ID, Channel: m.Channel, Thread: m.Thread, At: r.Clock.Now(), Line: m.Text,
		Factor: m.Factor, Bound: m.Bound, Who: bot.Identity{Account: m.Account, Standing: m.Standing}}
	err := r.genuine(m)
	if m.Press == "" { // once more: what is a secret may have become known since
		m.Text = r.Hidden(m.Text)
		c.Line = m.Text
	}
	if err != nil {
		r.Logger.ErrorContext(ctx, "a stored message was forged", "message", m.ID, "err", err)
		return r.refuse(ctx, c, bot.Ask{}, bot.Decision{Rule: "forged"}, bot.Errorf(bot.Denied, "that message was not written by this bot, or the audit key was replaced; please repeat it"))
	}
	if ahead := m.Received.Sub(c.At); ahead >= r.Stale { // how old it is cannot be known
		return r.refuse(ctx, c, bot.Ask{}, bot.Decision{}, bot.Errorf(bot.Timeout, "not run: the clock was set back by %s since it was received; please repeat it if it is still wanted", ahead.Round(time.Second)))
	}
	if age := c.At.Sub(m.Received); age >= r.Stale && !c.At.Before(m.Until) {
		return r.refuse(ctx, c, bot.Ask{}, bot.Decision{}, bot.Errorf(bot.Timeout, "not run: it was received %s ago; please repeat it if it is still wanted", age.Round(time.Second)))
	}
	who, err := r.Directory.Identify(ctx, m.Account, m.Standing)
	if err != nil {
		return r.refuse(ctx, c, bot.Ask{}, bot.Decision{}, err)
	}
	c.Who = who
	ctx = logging.With(ctx, slog.String("person", who.Person))
	if m.Press != "" {
		p, err := r.Engine.Pressed(ctx, m)
		c.Line = p.Line
		if err != nil {
			return r.refuse(ctx, c, bot.Ask{}, bot.Decision{Rule: "button"}, err)
		}
		m.Text, c.Bound = p.Line, p.Digest
		if p.Key != "" && m.Thread == "" { // what a page's buttons do gathers in its thread
			m.Thread, c.Thread = m.On, m.On
		}
	}
	if !who.Known() {
		if !r.limits.allow(string(m.Account)) {
			return r.tooMany(ctx, c, string(m.Account))
		}
		if !r.limits.allow(strangers) { // many accounts of nobody's, each with little to say
			return r.tooMany(ctx, c, strangers)
		}
		d := r.Policy.Decide(bot.Request{Who: who, Permission: bot.MayAskSelf, Resources: []bot.Resource{bot.TheBot}, Channel: m.Channel, At: c.At})
		return r.refuse(ctx, c, bot.Ask{}, d, run.Refusal(d))
	}
	visible := r.Visible(who)
	p, err := r.telling(who).ParseFor(m.Text, visible)
	if err != nil || !urgent(p) {
		if !r.limits.allow(who.Person) {
			return r.tooMany(ctx, c, who.Person)
		}
	}
	if err == nil {
		err = withoutSecrets(p)
	}
	if err != nil {
		return r.refuse(ctx, c, bot.Ask{}, bot.Decision{}, err)
	}
	bound := c.Bound
	c = r.call(m, who, p)
	c.ID, c.Bound = request, bound
	ask, resources, d, err := r.decide(c, p.Command)
	if err != nil {
		return r.refuse(ctx, c, ask, d, err)
	}
	ask.Resources = resources
	if !d.Allowed {
		return r.refuse(ctx, c, ask, d, run.Refusal(d))
	}
	if m.Aside && p.Command.Read == nil && !p.DryRun && !p.Command.Private {
		return r.refuse(ctx, c, ask, d, bot.Errorf(bot.Denied, "nothing is changed from a direct message, where nobody else sees it; ask in a channel, or have the configuration allow it"))
	}
	// A way back waits for no code that the rules do not ask for.
	if m.Factor.Refused() && (p.Command.Plan == nil || !urgent(p)) {
		return r.refuse(ctx, c, ask, d, r.Codes.Refusal(ctx, who.Person, m.Factor))
	}
	switch why := unrecorded(ctx); {
	case why != nil && p.Command.Read == nil:
		err = r.Emergency.Act(ctx, c, ask, p.Command, why)
	case p.Command.Plan != nil:
		plan, cancel := context.WithTimeout(ctx, r.ReadTimeout)
		defer cancel()
		err = r.Engine.Start(plan, c, ask, p.Command)
	case p.Command.Answer != nil:
		_, err = p.Command.Answer(ctx, c)
	default:
		return r.read(ctx, c, ask, d, p.Command)
	}
	if err == nil {
		r.Meter.Handled(c.Command, "", true, r.Clock.Now().Sub(m.Received))
	}
	if err == nil || errors.Is(err, run.ErrHandled) {
		return err
	}
	return r.refuse(ctx, c, ask, d, err)
}

func (r *Router) call(m bot.Message, who bot.Identity, p grammar.Parsed) bot.Call {
	return bot.Call{Who: who, Message: m.ID, Channel: m.Channel, Thread: m.Thread, At: r.Clock.Now(), Line: p.Line,
		Command: p.Command.Name, Args: p.Args, DryRun: p.DryRun, Reason: p.Reason, Override: p.Override, BreakGlass: p.BreakGlass, Factor: m.Factor}
}

func (r *Router) decide(c bot.Call, cmd bot.Command) (bot.Ask, []bot.Resource, bot.Decision, error) {
	ask, err := cmd.Resolve(c)
	if err != nil {
		return ask, nil, bot.Decision{}, err
	}
	d := r.Policy.Decide(bot.Request{Who: c.Who, Permission: ask.Permission, Resources: ask.Resources, Channel: c.Channel, At: c.At})
	return ask, ask.Resources, d, nil
}

// Visible gives what help and hints show to who: commands whose permission a
// grant gives them somewhere.
func (r *Router) Visible(who bot.Identity) func(bot.Command) bool {
	held, ok := r.Policy.(interface {
		Holds(who bot.Identity, p bot.Permission) bool
	})
	return func(c bot.Command) bool {
		if !who.Known() {
			return false
		}
		if c.Permission == bot.MayAskSelf {
			return true
		}
		return ok && held.Holds(who, c.Permission)
	}
}

// telling gives the grammar as it speaks to who.
func (r *Router) telling(who bot.Identity) *grammar.Grammar {
	if r.Words == nil {
		return r.Grammar
	}
	return r.Grammar.Telling(r.Words(who))
}
