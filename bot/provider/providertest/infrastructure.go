package providertest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/provider"
)

// Scale is the action of an Act that changes how many instances there are; From
// and To are then counts.
const Scale provider.Action = "scale"

// StartCount is how many instances every target runs at the beginning.
const StartCount = "2"

// The releases of every infrastructure, oldest first. V1 is live everywhere at
// the beginning; V4 never becomes healthy, so the infrastructure puts back what
// was live.
const (
	V1 = "v1"
	V2 = "v2"
	V3 = "v3"
	V4 = "v4"
)

// looksToEnd is how many looks at an operation it takes to end: time is of no
// use where clocks are fixed.
const looksToEnd = 3

// Act is one thing the infrastructure began to do.
type Act struct {
	Key    string
	Actor  string
	Action provider.Action
	Target bot.Target
	From   string
	To     string
	At     time.Time
}

// Infrastructure is a platform in memory with any number of targets, each
// running two instances of V1 when first asked about. Safe for concurrent use.
type Infrastructure struct {
	clock  bot.Clock
	fault  Fault
	tokens bool
	timing bot.Timing
	born   time.Time

	mu      sync.Mutex
	sites   map[bot.Target]*site
	ops     map[string]*operation
	pending []*operation // accepted, and not begun yet
	tokened map[string]*operation
	barred  map[string]bool // tokens that were cancelled before their start
	struck  map[string]bool
	acts    []Act
	held    bool
}

// site is what one target runs.
type site struct {
	live   string
	mixed  []string
	since  time.Time
	lastAt map[string]time.Time
	op     *operation
	count  string     // instances wanted
	actual string     // instances there, "" for as many
	sizing *operation // the newest scaling
}

// operation is one deployment as the far side knows it.
type operation struct {
	id      string
	act     Act
	state   string
	looks   int
	answers int // looks that were asked for, answered or not
	due     time.Time
	visible time.Time
	stopped bool
}

// What the far side calls its states.
const (
	rolling    = "ROLLING"
	done       = "DONE"
	unhealthy  = "UNHEALTHY_REVERTED"
	stopped    = "STOPPED"
	stoppedMix = "STOPPED_MIXED"
	replaced   = "REPLACED"
	strange    = "RECONCILING_PHASE_7"
)

// What Deployers of an Infrastructure declare as their Timing: short, since
// hanging calls really last that long.
const (
	callTime   = 100 * time.Millisecond
	settleTime = 50 * time.Millisecond
)

// NewFriendly makes an infrastructure that knows idempotency tokens and always
// answers the truth at once.
func NewFriendly(clock bot.Clock) *Infrastructure {
	i := NewHostile(clock, None)
	i.tokens = true
	return i
}

// NewHostile makes an infrastructure without idempotency tokens and with a
// fault. The settle time passes on the clock given; hanging calls end with
// their context.
func NewHostile(clock bot.Clock, fault Fault) *Infrastructure {
	return &Infrastructure{
		clock: clock, fault: fault, timing: bot.Timing{Call: callTime, Settle: settleTime}, born: clock.Now(),
		sites: map[bot.Target]*site{}, ops: map[string]*operation{}, tokened: map[string]*operation{},
		barred: map[string]bool{}, struck: map[string]bool{},
	}
}

// Fault is what it was made with; None for a friendly one.
func (i *Infrastructure) Fault() Fault { return i.fault }

// Effects counts how often the infrastructure began to act under a key.
func (i *Infrastructure) Effects(key string) int {
	n := 0
	for _, a := range i.Acts() {
		if a.Key == key {
			n++
		}
	}
	return n
}

// Acts lists all that the infrastructure began to do, in order.
func (i *Infrastructure) Acts() []Act {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.catchUp()
	return slices.Clone(i.acts)
}

// Live gives the version that a target runs.
func (i *Infrastructure) Live(t bot.Target) string {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.catchUp()
	return i.site(t).live
}

// SetLive makes a version live at once, as somebody else might do. Unknown
// versions panic: the test is wrong.
func (i *Infrastructure) SetLive(t bot.Target, version string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if !slices.Contains(versions(), version) {
		panic("providertest: there is no version " + version)
	}
	i.goLive(i.site(t), version)
}

// Count gives how many instances a target wants.
func (i *Infrastructure) Count(t bot.Target) string {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.catchUp()
	return i.site(t).count
}

// SetCount changes how many instances a target wants at once, as somebody else
// might do.
func (i *Infrastructure) SetCount(t bot.Target, count string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	s := i.site(t)
	s.count, s.actual = count, ""
}

// Hold keeps operations from ending, however often they are looked at, until
// release is called. Stopping them still works.
func (i *Infrastructure) Hold() (release func()) {
	i.setHeld(true)
	return func() { i.setHeld(false) }
}

func (i *Infrastructure) setHeld(held bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.held = held
}

func versions() []string { return []string{V1, V2, V3, V4} }

func (i *Infrastructure) artefact(version string) provider.Artefact {
	sum := sha256.Sum256([]byte("release " + version))
	hexed := hex.EncodeToString(sum[:])
	notes := "good"
	if version == V4 {
		notes = "never healthy"
	}
	return provider.Artefact{
		ID: "sha256:" + hexed, Version: version, Commit: hexed[24:], Origin: "memory", Notes: notes,
	}
}

// site gives what a target runs. The caller holds mu.
func (i *Infrastructure) site(t bot.Target) *site {
	s := i.sites[t]
	if s == nil {
		s = &site{count: StartCount, live: V1, since: i.born, lastAt: map[string]time.Time{V1: i.born}}
		i.sites[t] = s
	}
	return s
}

func (i *Infrastructure) goLive(s *site, version string) {
	now := i.clock.Now()
	s.lastAt[s.live] = now
	s.live, s.mixed, s.since = version, nil, now
	s.lastAt[version] = now
}

// catchUp begins what was accepted and is due by now. The caller holds mu.
func (i *Infrastructure) catchUp() {
	now := i.clock.Now()
	waiting := i.pending[:0]
	for _, op := range i.pending {
		if now.Before(op.due) {
			waiting = append(waiting, op)
			continue
		}
		i.begin(op)
	}
	i.pending = waiting
}

// begin is the effect that is counted.
func (i *Infrastructure) begin(op *operation) {
	op.act.At = i.clock.Now()
	i.acts = append(i.acts, op.act)
	op.id = fmt.Sprintf("op-%d", len(i.acts))
	op.state = rolling
	i.ops[op.id] = op
	s := i.site(op.act.Target)
	newest := &s.op
	if op.act.Action == Scale {
		newest = &s.sizing
	}
	if *newest != nil && (*newest).state == rolling {
		(*newest).state = replaced
	}
	*newest = op
	if op.act.Action == Scale {
		return
	}
	if op.act.To != op.act.From {
		s.mixed = []string{s.live, op.act.To}
	}
}

// The far side's own errors; the Deployer translates them.
var (
	errOutOfOrder = errors.New("500: out of order")
	errNoAnswer   = errors.New("connection closed before an answer came")
	errBarred     = errors.New("409: this token was cancelled")
)

// start is the remote call that acts. A token, where known, makes it happen
// once.
func (i *Infrastructure) start(ctx context.Context, a Act) (id string, err error) {
	i.mu.Lock()
	i.catchUp()
	if i.tokens {
		defer i.mu.Unlock()
		if i.barred[a.Key] {
			return "", errBarred
		}
		if op := i.tokened[a.Key]; op != nil {
			return op.id, nil
		}
		op := &operation{act: a}
		i.begin(op)
		i.tokened[a.Key] = op
		return op.id, nil
	}
	now := i.clock.Now()
	op := &operation{act: a, visible: now}
	late := now.Add(i.timing.Settle * 9 / 10)
	fault := i.fault
	if i.struck[a.Key] {
		fault = None
	}
	i.struck[a.Key] = true
	hang := false
	switch fault {
	case HangsBeforeActing:
		hang, err = true, errNoAnswer
	case LateAct:
		op.due, op.visible = late, late
		i.pending = append(i.pending, op)
		err = errNoAnswer
	case HangsAfterActing:
		i.begin(op)
		hang, err = true, errNoAnswer
	case ActsThenTimeout, Unsearchable:
		i.begin(op)
		err = errNoAnswer
	case LiesAfterActing:
		i.begin(op)
		err = errOutOfOrder
	case LateMarker:
		i.begin(op)
		op.visible = late
	default:
		i.begin(op)
	}
	id = op.id
	i.mu.Unlock()
	if hang {
		<-ctx.Done()
		return "", ctx.Err()
	}
	if err != nil {
		return "", err
	}
	return id, nil
}

// find is the remote call that looks for a marker.
func (i *Infrastructure) find(key string) (id string, found bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.catchUp()
	for _, op := range i.ops {
		if op.act.Key == key && !i.clock.Now().Before(op.visible) {
			return op.id, true
		}
	}
	return "", false
}

// report is what a look at an operation gives.
type report struct {
	state   string
	percent int
	live    string // of a scaling, how many are wanted
}

// status is the remote call that looks.
func (i *Infrastructure) status(ctx context.Context, id string) (report, error) {
	i.mu.Lock()
	i.catchUp()
	op, found := i.ops[id]
	if !found { // of another infrastructure
		i.mu.Unlock()
		return report{state: strange}, nil
	}
	op.answers++
	switch {
	case i.fault == HangsOnLooks && op.answers == 2:
		i.mu.Unlock()
		<-ctx.Done()
		return report{}, ctx.Err()
	case i.fault == Flaky && op.answers%2 == 0:
		i.mu.Unlock()
		return report{}, errOutOfOrder
	}
	defer i.mu.Unlock()
	s := i.site(op.act.Target)
	if op.state == rolling && op.stopped {
		i.stopNow(op, s)
	}
	if op.state == rolling && !i.held {
		op.looks++
		if op.looks >= looksToEnd {
			i.end(op, s)
		}
	}
	now := s.live
	if op.act.Action == Scale {
		now = s.count
	}
	return report{state: op.state, percent: min(100, op.looks*100/looksToEnd), live: now}, nil
}

func (i *Infrastructure) stopNow(op *operation, s *site) {
	if i.fault == CancelsPartly {
		op.state = stoppedMix
		if op.act.Action == Scale {
			s.actual, s.count = s.count, op.act.To
		}
		return // mixed stays
	}
	op.state = stopped
	if op.act.Action != Scale {
		s.mixed = nil
	}
}

func (i *Infrastructure) end(op *operation, s *site) {
	switch {
	case i.fault == UnknownState:
		op.state = strange
	case op.act.Action == Scale:
		op.state = done
		if i.fault != Reverts {
			s.count, s.actual = op.act.To, ""
		}
	case op.act.To == V4:
		op.state, s.mixed = unhealthy, nil
	case i.fault == Reverts && op.act.Action == provider.Deploy:
		op.state, s.mixed = done, nil
	default:
		op.state = done
		i.goLive(s, op.act.To)
	}
}

// stop is the remote call that asks for the end of an operation.
func (i *Infrastructure) stop(id string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.catchUp()
	if op := i.ops[id]; op != nil {
		op.stopped = true
	}
}

// bar is the remote call that cancels by token; without a start yet, there will
// never be one.
func (i *Infrastructure) bar(token string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if op := i.tokened[token]; op != nil {
		op.stopped = true
		return
	}
	i.barred[token] = true
}
