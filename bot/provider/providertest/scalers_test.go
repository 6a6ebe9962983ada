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

func scaleHarness(i *providertest.Infrastructure, c *clock) providertest.ScaleHarness {
	return providertest.ScaleHarness{
		Target:    target,
		Attach:    func() provider.Scaler { return i.Scaler(target) },
		Effects:   i.Effects,
		Pass:      c.pass,
		Dimension: providertest.Replicas,
		Good:      "5",
		Points:    6,
	}
}

func TestFriendlyScaler(t *testing.T) {
	providertest.Scalers(t, func(t *testing.T) providertest.ScaleHarness {
		c := newClock()
		h := scaleHarness(providertest.NewFriendly(c), c)
		h.Exclusive = true
		return h
	})
}

func TestHostileScaler(t *testing.T) {
	for _, fault := range providertest.Faults() {
		t.Run(string(fault), func(t *testing.T) {
			t.Parallel()
			providertest.Scalers(t, func(t *testing.T) providertest.ScaleHarness {
				c := newClock()
				h := scaleHarness(providertest.NewHostile(c, fault), c)
				switch fault {
				case providertest.Reverts:
					h.End = bot.OpRolledBack
				case providertest.UnknownState, providertest.Unsearchable:
					h.End = bot.OpUnknown
				}
				return h
			})
		})
	}
}

// carelessScaler is a Scaler with one of the mistakes that the suite is there for.
type carelessScaler struct {
	provider.Scaler
	careless careless
	mistake  string
}

const (
	forgetsCurrent = "does not say what there is"
	takesForeign   = "takes what is for another target"
)

func (c carelessScaler) Advance(ctx context.Context, h bot.Handle) (bot.Handle, bot.Progress, error) {
	return c.careless.Advance(ctx, h)
}

func (c carelessScaler) Cancel(ctx context.Context, h bot.Handle) (bot.Handle, error) {
	return c.careless.Cancel(ctx, h)
}

func (c carelessScaler) Timing(t bot.Target) bot.Timing { return c.Scaler.(bot.Timed).Timing(t) }

func (c carelessScaler) Begin(body provider.Scaling, t bot.Task) (bot.Handle, error) {
	if c.mistake == takesForeign {
		body.Target = target
	}
	return c.Scaler.Begin(body, t)
}

func (c carelessScaler) Dimensions(ctx context.Context) ([]provider.Dimension, error) {
	all, err := c.Scaler.Dimensions(ctx)
	if err == nil && c.mistake == forgetsCurrent {
		all[0].Current = ""
	}
	return all, err
}

// TestScalerSuiteCatches runs the suite against each mistake in a process of its
// own, which has to fail.
func TestScalerSuiteCatches(t *testing.T) {
	t.Parallel()
	for _, mistake := range []string{forgetsInterruption, guessesSuccess, inventsState, swallowsCancel, saysNothing, forgetsCurrent, takesForeign} {
		t.Run(mistake, func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestCarelessScaler$")
			cmd.Env = append(os.Environ(), "PROVIDERTEST_SCALE_MISTAKE="+mistake)
			out, err := cmd.CombinedOutput()
			if err == nil || !strings.Contains(string(out), "--- FAIL: TestCarelessScaler/") {
				t.Errorf("the suite passes: %v\n%s", err, out)
			}
		})
	}
}

// TestCarelessScaler is only run by TestScalerSuiteCatches, as its child.
func TestCarelessScaler(t *testing.T) {
	mistake := os.Getenv("PROVIDERTEST_SCALE_MISTAKE")
	if mistake == "" {
		return // a part of TestScalerSuiteCatches, and nothing by itself
	}
	providertest.Scalers(t, func(t *testing.T) providertest.ScaleHarness {
		c := newClock()
		i := providertest.NewHostile(c, providertest.ActsThenTimeout)
		h := scaleHarness(i, c)
		h.Attach = func() provider.Scaler {
			s := i.Scaler(target)
			return carelessScaler{s, careless{mistake: mistake, Deployer: operationOnly{scaler: s}}, mistake}
		}
		return h
	})
}

// operationOnly lets careless spoil an operation that is no Deployer's.
type operationOnly struct {
	provider.Deployer // never asked
	scaler            provider.Scaler
}

func (o operationOnly) Advance(ctx context.Context, h bot.Handle) (bot.Handle, bot.Progress, error) {
	return o.scaler.Advance(ctx, h)
}

func (o operationOnly) Cancel(ctx context.Context, h bot.Handle) (bot.Handle, error) {
	return o.scaler.Cancel(ctx, h)
}
