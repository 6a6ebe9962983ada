package providertest_test

import (
	"testing"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/bottest"
	"quarterdeck/bot/provider/providertest"
)

// The fakes pass the suite that they are used in place of, so that tests of verbs
// and engines may build on them.
func TestFlagFakes(t *testing.T) {
	for _, fault := range []providertest.FlagFault{providertest.NoFault, providertest.LostAnswer, providertest.Approval} {
		t.Run(string("fault "+fault), func(t *testing.T) {
			t.Parallel()
			providertest.Flaggers(t, func(*testing.T) providertest.FlagHarness {
				target := bot.Target{Service: "shop", Environment: "prod"}
				far := providertest.NewFlags(target, bottest.NewClock(time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC)), fault)
				return providertest.FlagHarness{Target: target, Attach: far.Flagger}
			})
		})
	}
}
