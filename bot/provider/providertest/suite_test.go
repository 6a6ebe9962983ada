package providertest_test

import (
	"sync"
	"testing"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/provider"
	"quarterdeck/bot/provider/providertest"
)

// clock stands still until a test moves it.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

var target = bot.Target{Service: "shop", Environment: "prod"}

func harness(i *providertest.Infrastructure, c *clock) providertest.Harness {
	return providertest.Harness{
		Target:  target,
		Attach:  func() provider.Deployer { return i.Deployer(target) },
		Effects: i.Effects,
		Pass:    c.pass,
		Good:    providertest.V2,
		Failing: providertest.V4,
		Points:  6,
	}
}

func TestFriendly(t *testing.T) {
	providertest.Deployers(t, func(t *testing.T) providertest.Harness {
		c := newClock()
		h := harness(providertest.NewFriendly(c), c)
		h.Exclusive = true
		return h
	})
}

func TestHostile(t *testing.T) {
	for _, fault := range providertest.Faults() {
		t.Run(string(fault), func(t *testing.T) {
			t.Parallel()
			providertest.Deployers(t, func(t *testing.T) providertest.Harness {
				c := newClock()
				h := harness(providertest.NewHostile(c, fault), c)
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
