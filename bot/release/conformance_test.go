package release_test

import (
	"testing"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/bottest"
	"quarterdeck/bot/provider"
	"quarterdeck/bot/provider/providertest"
	"quarterdeck/bot/release"
)

// Components are a Deployer like any other, whatever is wrong with what they
// consist of.
func TestComponentsConform(t *testing.T) {
	for _, fault := range append(providertest.Faults(), providertest.None) {
		t.Run(string(fault), func(t *testing.T) {
			t.Parallel()
			providertest.Deployers(t, func(*testing.T) providertest.Harness {
				clock := bottest.NewClock(noon())
				web, worker := providertest.NewHostile(clock, fault), providertest.NewHostile(clock, providertest.None)
				h := providertest.Harness{
					Target: prod,
					Attach: func() provider.Deployer {
						return release.NewComponents([]release.Component{{Name: "web", Deployer: web.Deployer(prod)}, {Name: "worker", Deployer: worker.Deployer(prod)}}, nil, nil)
					},
					Effects: func(key string) int { return max(web.Effects(key+".web"), worker.Effects(key+".worker")) },
					Pass:    func(d time.Duration) { clock.Set(clock.Now().Add(d)) },
					Good:    providertest.V2, Failing: providertest.V4, Points: 8,
				}
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

// So is one that goes back through another.
func TestSplitConforms(t *testing.T) {
	providertest.Deployers(t, func(*testing.T) providertest.Harness {
		clock := bottest.NewClock(noon())
		there, back := providertest.NewHostile(clock, providertest.ActsThenTimeout), providertest.NewFriendly(clock)
		return providertest.Harness{
			Target:  prod,
			Attach:  func() provider.Deployer { return release.NewSplit(there.Deployer(prod), back.Deployer(prod), "rescue") },
			Effects: func(key string) int { return there.Effects(key) + back.Effects(key) },
			Pass:    func(d time.Duration) { clock.Set(clock.Now().Add(d)) },
			Good:    providertest.V2, Failing: providertest.V4,
		}
	})
}
