package app_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/bottest"
	"quarterdeck/bot/provider/providertest"
)

// TestClockJumps: whichever way the clock jumps while people and runs wait,
// nothing is run twice or late, what waits goes on, and the jump is told.
func TestClockJumps(t *testing.T) {
	for name, jump := range map[string]time.Duration{"an hour back": -time.Hour, "a day forward": 24 * time.Hour} {
		for _, stopped := range []bool{false, true} {
			t.Run(name+map[bool]string{true: ", while stopped", false: ""}[stopped], func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, friendly, providertest.NewFriendly)
				w.configure(standard + "[stop]\nwithin = \"1s\"\n")
				w.run()
				w.gets(w.Dev, "deploy shop v2 prod", bot.OutcomeWaiting) // #1 waits for its asker
				release := w.far.Hold()
				defer release()
				if _, err := w.x.Say(t.Context(), w.Dev, "deploy shop v2 staging"); err != nil { // #2
					t.Fatal(err)
				}
				w.until("#2 is under way", func() bool { return len(effects(w.far)) == 1 })
				if _, err := w.x.Say(t.Context(), w.SRE, "deploy shop v3 staging"); err != nil { // #3
					t.Fatal(err)
				}
				w.until("#3 is queued", func() bool { return len(w.runs()) == 3 })
				if stopped {
					w.stop()
				}
				w.clock.forward(jump)
				if stopped {
					w.run()
				}
				release()
				w.until("#2 goes on and ends", func() bool { return w.runs()[1] == bot.Succeeded })
				if jump > 0 && !stopped {
					w.until("the operator is told", func() bool { return strings.Contains(w.output.String(), "the clock jumped forward") })
				}
				if jump < 0 {
					w.wait("the jump is told", func(p bottest.Post) bool {
						return p.Channel == "x:audit" && strings.Contains(shown(p.Card), "clock")
					})
				}
				if jump > 0 {
					w.until("#1 expires", func() bool { return w.runs()[0] == bot.Expired })
				} else {
					w.gets(w.Dev, "cancel 1", bot.OutcomeOK)
				}
				w.until("#3 runs, or asks anew", func() bool { return w.runs()[2] == bot.Succeeded || w.runs()[2] == bot.Waiting })
				if jump > 0 && w.runs()[2] == bot.Succeeded {
					t.Error("what was asked a day ago was run without asking anew")
				}
				w.gets(w.Dev, "status shop", bot.OutcomeOK)
				if n := count(effects(w.far), "shop/staging v2"); n != 1 {
					t.Errorf("v2 was deployed %d times", n)
				}
				if slices.Contains(effects(w.far), "shop/prod v2") {
					t.Error("what nobody confirmed was run")
				}
				w.verified()
			})
		}
	}
}
