package providertest_test

import (
	"testing"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/provider/providertest"
)

func TestVaults(t *testing.T) {
	for _, fault := range providertest.VaultFaults() {
		t.Run(string("vault "+fault), func(t *testing.T) {
			t.Parallel()
			providertest.RestoreTesters(t, func(t *testing.T) providertest.RestoreHarness {
				shop := bot.Target{Service: "shop", Environment: "prod"}
				v := providertest.NewVault(shop, fault, time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC))
				h := providertest.RestoreHarness{Target: shop, Attach: v.Restorer, Places: v.Places}
				if fault == providertest.VaultFails {
					h.End = bot.OpFailed
				}
				return h
			})
		})
	}
}
