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

// careless is a Deployer with one of the mistakes that the suite is there for.
type careless struct {
	provider.Deployer
	mistake string
}

const (
	forgetsInterruption = "forgets the interruption"
	guessesSuccess      = "guesses success"
	inventsState        = "invents a state"
	swallowsCancel      = "swallows the cancel"
	speaksVendor        = "speaks the vendor's language"
	saysNothing         = "says unknown and not what to check"
)

func (c careless) Timing(t bot.Target) bot.Timing { return c.Deployer.(bot.Timed).Timing(t) }

func (c careless) Advance(ctx context.Context, h bot.Handle) (bot.Handle, bot.Progress, error) {
	if c.mistake == forgetsInterruption {
		h.Interrupted = false
	}
	h, p, err := c.Deployer.Advance(ctx, h)
	switch c.mistake {
	case guessesSuccess:
		if err == nil && p.State.Settled() {
			p.State = bot.OpSucceeded
		}
	case inventsState:
		if p.State == bot.OpSucceeded {
			p.State = "fine"
		}
	case saysNothing:
		p.Check = ""
		if err == nil && p.State == bot.OpSucceeded {
			p.State, p.Text = bot.OpUnknown, "who knows"
		}
	}
	return h, p, err
}

func (c careless) Cancel(ctx context.Context, h bot.Handle) (bot.Handle, error) {
	if c.mistake == swallowsCancel {
		return h, nil
	}
	return c.Deployer.Cancel(ctx, h)
}

func (c careless) Resolve(ctx context.Context, version string) (provider.Artefact, error) {
	a, err := c.Deployer.Resolve(ctx, version)
	if err != nil && c.mistake == speaksVendor {
		err = context.Canceled
	}
	return a, err
}

// TestSuiteCatches runs the suite against each mistake in a process of its own,
// which has to fail.
func TestSuiteCatches(t *testing.T) {
	t.Parallel()
	for _, mistake := range []string{
		forgetsInterruption, guessesSuccess, inventsState, swallowsCancel, speaksVendor, saysNothing,
	} {
		t.Run(mistake, func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestCareless$")
			cmd.Env = append(os.Environ(), "PROVIDERTEST_MISTAKE="+mistake)
			out, err := cmd.CombinedOutput()
			if err == nil || !strings.Contains(string(out), "--- FAIL: TestCareless/") {
				t.Errorf("the suite passes: %v\n%s", err, out)
			}
		})
	}
}

// TestCareless is only run by TestSuiteCatches, as its child.
func TestCareless(t *testing.T) {
	mistake := os.Getenv("PROVIDERTEST_MISTAKE")
	if mistake == "" {
		return // a part of TestSuiteCatches, and nothing by itself
	}
	providertest.Deployers(t, func(t *testing.T) providertest.Harness {
		c := newClock()
		i := providertest.NewHostile(c, providertest.ActsThenTimeout)
		h := harness(i, c)
		h.Attach = func() provider.Deployer { return careless{i.Deployer(target), mistake} }
		return h
	})
}
