package backupprovider

import (
	"os"
	"path/filepath"
	"testing"

	"quarterdeck/bot/provider"
	"quarterdeck/bot/provider/providertest"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	providertest.RestoreTesters(t, func(t *testing.T) providertest.RestoreHarness {
		w := newWorld(t, "", ordersTable)
		for _, id := range []string{"one.db", "two.db"} {
			orders(t, w.path(id))
			w.describe(t, id)
		}
		return providertest.RestoreHarness{Target: shop,
			Attach: func() provider.RestoreTester { return w.tester(t) },
			Places: func() int {
				all, err := filepath.Glob(filepath.Join(w.Dir, "s", "restore-tests", "files", "*.json"))
				if err != nil {
					t.Fatal(err)
				}
				if _, err := os.Stat(w.Dir); err != nil {
					t.Fatal(err)
				}
				return len(all)
			}}
	})
}
