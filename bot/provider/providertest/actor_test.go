package providertest_test

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"

	"quarterdeck/bot"
	"quarterdeck/bot/provider"
	"quarterdeck/bot/provider/providertest"
)

func actorHarness(i *providertest.Infrastructure, c *clock) providertest.ActorHarness {
	return providertest.ActorHarness{
		Attach: func() provider.Actor { return i.Actor("reindex") }, Effects: i.Effects, Pass: c.pass, Points: 6,
		Good:    provider.Invocation{Action: "reindex", Target: target, Values: map[string]string{"end": "well"}},
		Failing: provider.Invocation{Action: "reindex", Target: target, Values: map[string]string{"end": "fail"}},
	}
}

func TestFriendlyActor(t *testing.T) {
	providertest.Actors(t, func(t *testing.T) providertest.ActorHarness {
		c := newClock()
		h := actorHarness(providertest.NewFriendly(c), c)
		h.Exclusive = true
		return h
	})
}

func TestHostileActor(t *testing.T) {
	for _, fault := range providertest.Faults() {
		t.Run(string(fault), func(t *testing.T) {
			t.Parallel()
			providertest.Actors(t, func(t *testing.T) providertest.ActorHarness {
				c := newClock()
				h := actorHarness(providertest.NewHostile(c, fault), c)
				if fault == providertest.UnknownState || fault == providertest.Unsearchable {
					h.End = bot.OpUnknown
				}
				return h
			})
		})
	}
}

// carelessActor makes the mistakes that the suite is there for.
type carelessActor struct {
	provider.Actor
	mistake string
}

const takesAnything = "takes any action"

func (c carelessActor) Timing(t bot.Target) bot.Timing { return c.Actor.(bot.Timed).Timing(t) }

func (c carelessActor) Begin(in provider.Invocation, t bot.Task) (bot.Handle, error) {
	if c.mistake == takesAnything {
		in.Action = "reindex"
	}
	return c.Actor.Begin(in, t)
}

func (c carelessActor) Advance(ctx context.Context, h bot.Handle) (bot.Handle, bot.Progress, error) {
	if c.mistake == forgetsInterruption {
		h.Interrupted = false
	}
	h, p, err := c.Actor.Advance(ctx, h)
	if c.mistake == guessesSuccess && err == nil && p.State.Settled() {
		p.State = bot.OpSucceeded
	}
	return h, p, err
}

func (c carelessActor) Cancel(ctx context.Context, h bot.Handle) (bot.Handle, error) {
	if c.mistake == swallowsCancel {
		return h, nil
	}
	return c.Actor.Cancel(ctx, h)
}

// TestCarelessActor is run by the test below, once for every mistake.
func TestCarelessActor(t *testing.T) {
	mistake := os.Getenv("CARELESS_ACTOR")
	if mistake == "" {
		return // only what TestActorSuiteFindsMistakes starts makes one
	}
	providertest.Actors(t, func(t *testing.T) providertest.ActorHarness {
		c := newClock()
		i := providertest.NewHostile(c, providertest.ActsThenTimeout)
		h := actorHarness(i, c)
		h.Attach = func() provider.Actor { return carelessActor{i.Actor("reindex"), mistake} }
		return h
	})
}

// TestActorSuiteFindsMistakes keeps the suite from passing everything.
func TestActorSuiteFindsMistakes(t *testing.T) {
	for mistake, finds := range map[string]string{
		takesAnything: "begin_acts_not", forgetsInterruption: "acted 2 times", guessesSuccess: "failing", swallowsCancel: "cancel_before",
	} {
		t.Run(mistake, func(t *testing.T) {
			t.Parallel()
			cmd := exec.Command(os.Args[0], "-test.run=^TestCarelessActor$")
			cmd.Env = append(os.Environ(), "CARELESS_ACTOR="+mistake)
			out, err := cmd.CombinedOutput()
			if err == nil || !strings.Contains(string(out), finds) {
				t.Errorf("the suite does not find it (%v):\n%s", err, out)
			}
		})
	}
}
