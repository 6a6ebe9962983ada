package providertest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/provider"
)

// ActorHarness is what the suite needs to know of one far side of an Actor.
// Every ActorHarness is a far side of its own.
type ActorHarness struct {
	// Attach gives an Actor as after a restart of the bot.
	Attach func() provider.Actor
	// Effects counts, at the far side itself, how often it began to act.
	Effects func(key string) int
	// Pass lets time pass until the next look; see Harness.
	Pass func(d time.Duration)

	Good    provider.Invocation // one that can be done
	Failing provider.Invocation // one that fails; zero if there is none
	// Text is the name of an argument of Good that takes any text, and Given
	// gives what the far side received as its value, under a key, whole and
	// alone; "" and nil where the far side takes no text.
	Text  string
	Given func(key string) string
	// End, Exclusive and Points are as in Harness.
	End       bot.OpState
	Exclusive bool
	Points    int
}

// operated lets the driver of deployments drive an Actor.
type operated struct {
	provider.Deployer // none of its own methods is called
	actor             provider.Actor
}

func (o operated) Advance(ctx context.Context, h bot.Handle) (bot.Handle, bot.Progress, error) {
	return o.actor.Advance(ctx, h)
}

func (o operated) Cancel(ctx context.Context, h bot.Handle) (bot.Handle, error) {
	return o.actor.Cancel(ctx, h)
}

func (o operated) Timing(t bot.Target) bot.Timing {
	if timed, ok := o.actor.(bot.Timed); ok {
		return timed.Timing(t)
	}
	return bot.DefaultTiming
}

// driven gives the harness as the driver takes it.
func (a ActorHarness) driven() Harness {
	return Harness{Target: a.Good.Target, Attach: func() provider.Deployer { return operated{actor: a.Attach()} },
		Effects: a.Effects, Pass: a.Pass, End: a.End, Exclusive: a.Exclusive, Points: a.Points}.withDefaults()
}

// invoke prepares one invocation.
func (a ActorHarness) invoke(t *testing.T, in provider.Invocation, key string) *caller {
	t.Helper()
	actor := a.Attach()
	handle, err := actor.Begin(in, bot.Task{Key: key, Actor: "dev-one", Reason: "conformance"})
	if err != nil {
		t.Fatalf("Begin: %v", err)
	}
	if handle.Key != key || handle.Target != in.Target {
		t.Fatalf("Begin gives a handle for %q at %s, want %q at %s", handle.Key, handle.Target, key, in.Target)
	}
	return &caller{t: t, h: a.driven(), d: operated{actor: actor}, handle: handle}
}

// Actors runs the conformance suite for the Actor port. make gives a new
// ActorHarness; the tests run in parallel.
func Actors(t *testing.T, make func(t *testing.T) ActorHarness) {
	for _, topic := range []struct {
		name string
		test func(*testing.T, ActorHarness)
	}{
		{"begin acts not", actorBegins},
		{"act", actorActs},
		{"failing", actorFails},
		{"values are data", actorTakesData},
		{"keys", actorKeys},
		{"ended context", actorEndedContext},
		{"cancel before", actorCancelledBefore},
		{"cancel during", actorCancelledDuring},
		{"cancel after", actorCancelledAfter},
		{"two callers", actorTwoCallers},
	} {
		t.Run(topic.name, func(t *testing.T) {
			t.Parallel()
			topic.test(t, make(t))
		})
	}
	for _, how := range []crash{crashAfterCall, crashBeforeCall, crashInCall, crashTwice} {
		for at := range make(t).driven().Points {
			t.Run(fmt.Sprintf("crash %s %d", how, at), func(t *testing.T) {
				t.Parallel()
				actorCrashes(t, make(t), how, at)
			})
		}
	}
}

func actorBegins(t *testing.T, a ActorHarness) {
	a.invoke(t, a.Good, "begin-only").wantEffects(0)
	other := a.Good
	other.Action += "-other"
	_, err := a.Attach().Begin(other, bot.Task{Key: "k", Actor: "dev-one"})
	if bot.KindOf(err) != bot.Invalid {
		t.Errorf("Begin of another action: %v, want an error of kind Invalid", err)
	}
}

func actorActs(t *testing.T, a ActorHarness) {
	c := a.invoke(t, a.Good, "act-good")
	p := c.run(noCrash, 0)
	if p.State != c.h.End {
		t.Errorf("ended as %s (%s), want %s", p.State, p.Text, c.h.End)
	}
	c.wantEffects(1)
	for range 2 { // settled is settled
		c.d = c.h.Attach()
		if again := c.call(t.Context()); again.State != p.State && again.State != bot.OpPending {
			t.Errorf("a later look shows %s, the first showed %s", again.State, p.State)
		}
	}
	c.wantEffects(1)
}

func actorFails(t *testing.T, a ActorHarness) {
	if a.Failing.Action == "" {
		return // nothing fails at this far side
	}
	c := a.invoke(t, a.Failing, "act-failing")
	switch p := c.run(noCrash, 0); p.State {
	case bot.OpFailed, bot.OpPartlyDone, bot.OpRolledBack, bot.OpUnknown:
	default:
		t.Errorf("a failing action ends as %s (%s)", p.State, p.Text)
	}
	c.wantEffects(1)
}

// actorTakesData: a value arrives as it was given, whatever it looks like, or
// is refused before anything is started.
func actorTakesData(t *testing.T, a ActorHarness) {
	if a.Text == "" {
		return // this far side takes no text
	}
	for n, value := range []string{
		"plain", "two words", "; touch owned", "$(touch owned)", "`touch owned`", "a\nb", "a'b\"c", "*", "~", "$HOME", "%s", "{other}", "{" + a.Text + "}",
		"&& false", "| cat", "> owned", "a\\", "--", "-rf", "--force", "-", "", "\x00", "ä€😀", "OP_ID=x", "@file",
	} {
		in := a.Good
		in.Values = map[string]string{}
		for k, v := range a.Good.Values {
			in.Values[k] = v
		}
		in.Values[a.Text] = value
		key := fmt.Sprintf("value-%d", n)
		if _, err := a.Attach().Begin(in, bot.Task{Key: key, Actor: "dev-one"}); err != nil {
			checkError(t, err)
			if bot.KindOf(err) != bot.Invalid {
				t.Errorf("the value %q is refused with %v, want kind Invalid", value, err)
			}
			if n < 2 {
				t.Errorf("the ordinary value %q is refused: %v", value, err)
			}
			continue
		}
		c := a.invoke(t, in, key)
		c.run(noCrash, 0)
		if got := a.Given(key); got != value {
			t.Errorf("the value %q arrives as %q", value, got)
		}
	}
}

func actorKeys(t *testing.T, a ActorHarness) {
	first := a.invoke(t, a.Good, "key-1")
	first.run(noCrash, 0)
	second := a.invoke(t, a.Good, "key-2")
	second.run(noCrash, 0)
	first.wantEffects(1)
	second.wantEffects(1)
}

func actorEndedContext(t *testing.T, a ActorHarness) {
	c := a.invoke(t, a.Good, "ended-context")
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	switch _, _, err := c.d.Advance(ended, c.stored()); bot.KindOf(err) {
	case bot.Timeout, bot.Unavailable:
		checkError(t, err)
	default:
		t.Errorf("Advance with an ended context: %v, want Timeout or Unavailable", err)
	}
	c.die()
	switch p := c.run(noCrash, 0); p.State {
	case bot.OpUnknown:
		if n := c.h.Effects("ended-context"); n > 1 {
			t.Errorf("the far side acted %d times", n)
		}
	case c.h.End:
		c.wantEffects(1)
	default:
		t.Errorf("ended as %s (%s), want %s", p.State, p.Text, c.h.End)
	}
}

func actorCancelledBefore(t *testing.T, a ActorHarness) {
	c := a.invoke(t, a.Good, "cancel-before")
	c.cancel()
	c.cancel()
	if p := c.run(noCrash, 0); p.State != bot.OpCancelled {
		t.Errorf("cancelled before it began, it ends as %s (%s)", p.State, p.Text)
	}
	c.wantEffects(0)
}

// actorCancelledDuring: whatever comes of it is said, and is no success that
// did not happen.
func actorCancelledDuring(t *testing.T, a ActorHarness) {
	c := a.invoke(t, a.Good, "cancel-during")
	for range maxCalls {
		p := c.call(t.Context())
		if p.State.Settled() {
			break
		}
		if p.State == bot.OpWorking {
			c.cancel()
			c.d = c.h.Attach()
			c.cancel()
			break
		}
		c.h.Pass(p.Next)
	}
	switch p := c.run(noCrash, 0); p.State {
	case bot.OpCancelled, bot.OpRolledBack, bot.OpPartlyDone, bot.OpUnknown:
	case bot.OpSucceeded: // it was faster
		c.wantEffects(1)
	default:
		t.Errorf("a cancelled action ends as %s (%s)", p.State, p.Text)
	}
	if n := c.h.Effects("cancel-during"); n > 1 {
		t.Errorf("the far side acted %d times", n)
	}
}

func actorCancelledAfter(t *testing.T, a ActorHarness) {
	c := a.invoke(t, a.Good, "cancel-after")
	end := c.run(noCrash, 0)
	c.cancel()
	if p := c.run(noCrash, 0); p.State != end.State {
		t.Errorf("cancelled after its end, it turns from %s into %s", end.State, p.State)
	}
}

func actorTwoCallers(t *testing.T, a ActorHarness) {
	if !a.Exclusive {
		return // the engine must keep callers apart: this far side cannot
	}
	c := a.invoke(t, a.Good, "two-callers")
	handle := c.stored()
	both(func(i int) {
		h := handle
		h.Interrupted = i == 1
		ctx, cancel := context.WithTimeout(t.Context(), c.h.timing().Call)
		defer cancel()
		if _, _, err := c.h.Attach().Advance(ctx, h); err != nil {
			checkError(t, err)
		}
	})
	c.interrupted = true
	if p := c.run(noCrash, 0); p.State != c.h.End {
		t.Errorf("ended as %s (%s), want %s", p.State, p.Text, c.h.End)
	}
	c.wantEffects(1)
}

// actorCrashes: after a crash around any call the far side has acted once, or
// the operation says that it does not know.
func actorCrashes(t *testing.T, a ActorHarness, how crash, at int) {
	c := a.invoke(t, a.Good, "crash")
	p := c.run(how, at)
	effects := c.h.Effects("crash")
	switch {
	case p.State == bot.OpUnknown && effects > 1, p.State != bot.OpUnknown && effects != 1:
		t.Errorf("ended as %s, and the far side acted %d times", p.State, effects)
	case p.State != bot.OpUnknown && p.State != c.h.End:
		t.Errorf("ended as %s (%s), want %s", p.State, p.Text, c.h.End)
	}
}

// Actor attaches an Actor for one action of the infrastructure, as a bot does
// when it starts. It fails where the value of "end" is "fail".
func (i *Infrastructure) Actor(action string) provider.Actor { return &actor{far: i, name: action} }

// actor acts by the same remote calls as deployer, traps included.
type actor struct {
	far  *Infrastructure
	name string
}

func (a *actor) Timing(bot.Target) bot.Timing { return a.far.timing }

func (a *actor) Begin(in provider.Invocation, t bot.Task) (bot.Handle, error) {
	if in.Action != a.name {
		return bot.Handle{}, bot.Errorf(bot.Invalid, "the action %s was given to %s", in.Action, a.name)
	}
	to := V2
	if in.Values["end"] == "fail" {
		to = V4
	}
	return pack(bot.Handle{Key: t.Key, Target: in.Target}, state{Task: t, Deployment: provider.Deployment{
		Action: provider.Action(in.Action), Target: in.Target, From: a.far.artefact(V1), To: a.far.artefact(to)}})
}

func (a *actor) Advance(ctx context.Context, h bot.Handle) (bot.Handle, bot.Progress, error) {
	return (&deployer{far: a.far, target: h.Target}).Advance(ctx, h)
}

func (a *actor) Cancel(ctx context.Context, h bot.Handle) (bot.Handle, error) {
	return (&deployer{far: a.far, target: h.Target}).Cancel(ctx, h)
}
