package providertest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/provider"
)

// Harness is what the suite needs to know of one far side. Every Harness is a
// far side of its own.
type Harness struct {
	Target bot.Target
	// Attach gives a Deployer as after a restart of the bot: nothing that an
	// earlier one kept in memory is in it.
	Attach func() provider.Deployer
	// Effects counts, at the far side itself, how often it began to act.
	Effects func(key string) int
	// Pass lets time pass until the next look; far sides on a clock of their
	// own move it, others wait, and may wait for less than asked where their
	// marker decides.
	Pass func(d time.Duration)

	Good    string // a version that is not live and can be
	Failing string // a version whose deployment fails; "" if there is none
	// End is how a deployment of Good ends; OpSucceeded by default.
	End bot.OpState
	// Exclusive far sides tell two callers with one key apart themselves, so
	// both may act at once.
	Exclusive bool
	// Points is after how many calls the caller is made to crash; 4 by default.
	Points int
}

// maxCalls bounds every operation of the suite.
const maxCalls = 3000

// Deployers runs the conformance suite for the Deployer port. make gives a new
// Harness; the tests run in parallel.
func Deployers(t *testing.T, make func(t *testing.T) Harness) {
	for _, topic := range []struct {
		name string
		test func(*testing.T, Harness)
	}{
		{"resolve", testResolve},
		{"current and releases", testReads},
		{"preview", testPreview},
		{"ended context", testEndedContext},
		{"begin acts not", testBegin},
		{"deploy", testDeploy},
		{"failing", testFailing},
		{"keys", testKeys},
		{"cancel before", testCancelBefore},
		{"cancel during", testCancelDuring},
		{"cancel after", testCancelAfter},
		{"two callers", testTwoCallers},
	} {
		t.Run(topic.name, func(t *testing.T) {
			t.Parallel()
			topic.test(t, make(t).withDefaults())
		})
	}
	for _, how := range []crash{crashAfterCall, crashBeforeCall, crashInCall, crashTwice} {
		points := make(t).withDefaults().Points
		for at := range points {
			t.Run(fmt.Sprintf("crash %s %d", how, at), func(t *testing.T) {
				t.Parallel()
				testCrash(t, make(t).withDefaults(), how, at)
			})
		}
	}
}

func (h Harness) withDefaults() Harness {
	if h.End == "" {
		h.End = bot.OpSucceeded
	}
	if h.Points == 0 {
		h.Points = 4
	}
	return h
}

// crash is how a caller dies around one call.
type crash string

const (
	noCrash         crash = ""
	crashAfterCall  crash = "after call"  // what it answered is lost
	crashBeforeCall crash = "before call" // it was noted and not made
	crashInCall     crash = "in call"     // its context ends in the middle
	crashTwice      crash = "twice"       // the successor's first call is lost too
)

// caller drives one operation as an engine does.
type caller struct {
	t           *testing.T
	h           Harness
	d           provider.Deployer
	handle      bot.Handle
	interrupted bool
}

func (h Harness) timing() bot.Timing {
	if timed, ok := h.Attach().(bot.Timed); ok {
		return timed.Timing(h.Target)
	}
	return bot.DefaultTiming
}

// begin prepares a deployment of a version, asserting that reads work.
func begin(t *testing.T, h Harness, version, key string) *caller {
	t.Helper()
	d := h.Attach()
	ctx := t.Context()
	to, err := d.Resolve(ctx, version)
	if err != nil {
		t.Fatalf("Resolve(%q): %v", version, err)
	}
	live, err := d.Current(ctx)
	if err != nil {
		t.Fatalf("Current: %v", err)
	}
	handle, err := d.Begin(
		provider.Deployment{Action: provider.Deploy, Target: h.Target, From: live.Artefact, To: to},
		bot.Task{Key: key, Actor: "dev-one", Reason: "conformance"})
	if err != nil {
		t.Fatalf("Begin: %v", err)
	}
	if handle.Key != key || handle.Target != h.Target {
		t.Fatalf("Begin gives a handle for %q at %s, want %q at %s", handle.Key, handle.Target, key, h.Target)
	}
	return &caller{t: t, h: h, d: d, handle: handle}
}

// stored gives the handle as it comes back from a store.
func (c *caller) stored() bot.Handle {
	c.t.Helper()
	raw, err := json.Marshal(c.handle)
	if err != nil {
		c.t.Fatalf("encode handle: %v", err)
	}
	var h bot.Handle
	if err := json.Unmarshal(raw, &h); err != nil {
		c.t.Fatalf("decode handle: %v", err)
	}
	h.Interrupted = c.interrupted
	return h
}

// die makes the next call one of a successor.
func (c *caller) die() {
	timing := c.h.timing()
	c.d, c.interrupted = c.h.Attach(), true
	c.h.Pass(timing.Call + timing.Settle)
}

// call advances once. A retriable error counts as no progress.
func (c *caller) call(ctx context.Context) bot.Progress {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(ctx, c.h.timing().Call)
	defer cancel()
	handle, p, err := c.d.Advance(ctx, c.stored())
	if err != nil {
		c.checkError(err)
		switch bot.KindOf(err) {
		case bot.Unavailable, bot.Timeout, bot.Busy:
			c.interrupted = true
			timing := c.h.timing()
			c.h.Pass(timing.Call + timing.Settle)
			return bot.Progress{State: bot.OpPending}
		}
		c.t.Fatalf("Advance: %v", err)
	}
	c.handle, c.interrupted = handle, false
	checkProgress(c.t, p)
	return p
}

// run advances until the operation is settled, and crashes around one call.
func (c *caller) run(how crash, at int) bot.Progress {
	c.t.Helper()
	for n := range maxCalls {
		if n == at {
			switch how {
			case crashBeforeCall:
				c.die()
			case crashAfterCall, crashTwice:
				c.lose(c.h.timing().Call)
				if how == crashTwice {
					c.lose(c.h.timing().Call)
				}
			case crashInCall:
				c.lose(2 * time.Millisecond)
			}
		}
		p := c.call(c.t.Context())
		if p.State.Settled() {
			return p
		}
		c.h.Pass(p.Next)
	}
	c.t.Fatalf("not settled after %d calls", maxCalls)
	return bot.Progress{}
}

// lose makes a call whose answer nobody gets.
func (c *caller) lose(call time.Duration) {
	ctx, cancel := context.WithTimeout(c.t.Context(), call)
	defer cancel()
	_, _, err := c.d.Advance(ctx, c.stored())
	if err != nil {
		c.checkError(err)
	}
	c.die()
}

func (c *caller) checkError(err error) {
	c.t.Helper()
	checkError(c.t, err)
}

// checkError asks of an error what the port promises.
func checkError(t *testing.T, err error) {
	t.Helper()
	var e *bot.Error
	if !errors.As(err, &e) {
		t.Errorf("error of type %T (%v), want *bot.Error", err, err)
		return
	}
	if e.Kind != bot.Internal && (e.Say == "" || strings.HasSuffix(e.Say, ".")) {
		t.Errorf("error says %q, want a sentence without a final full stop", e.Say)
	}
}

func checkProgress(t *testing.T, p bot.Progress) {
	t.Helper()
	switch p.State {
	case bot.OpPending, bot.OpWorking, bot.OpWaitingExternal, bot.OpBaking, bot.OpSucceeded, bot.OpFailed,
		bot.OpRolledBack, bot.OpPartlyDone, bot.OpSuperseded, bot.OpCancelled:
	case bot.OpUnknown:
		if p.Check == "" {
			t.Errorf("unknown without what to check: %+v", p)
		}
	default:
		t.Errorf("state %q is not of the closed set", p.State)
	}
	if p.Percent != nil && (*p.Percent < 0 || *p.Percent > 100) {
		t.Errorf("percent %d", *p.Percent)
	}
	if p.State.Settled() && p.State != bot.OpSucceeded && p.Text == "" {
		t.Errorf("%s without a reason", p.State)
	}
	if p.Next < 0 || p.Next > time.Hour {
		t.Errorf("next look after %v", p.Next)
	}
}

// wantEffects asks the far side how often it acted under the key.
func (c *caller) wantEffects(want int) {
	c.t.Helper()
	if got := c.h.Effects(c.handle.Key); got != want {
		c.t.Errorf("the far side acted %d times, want %d", got, want)
	}
}

// wantLive asserts what is live in the end.
func (c *caller) wantLive(version string) {
	c.t.Helper()
	live, err := c.h.Attach().Current(c.t.Context())
	if err != nil {
		c.t.Fatalf("Current: %v", err)
	}
	if live.Artefact.Version != version {
		c.t.Errorf("%s is live, want %s", live.Artefact.Version, version)
	}
}

// both runs f in two goroutines at once.
func both(f func(i int)) {
	var wait sync.WaitGroup
	for i := range 2 {
		wait.Go(func() { f(i) })
	}
	wait.Wait()
}
