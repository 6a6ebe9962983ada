package run_test

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"quarterdeck/bot"
	"quarterdeck/bot/run"
	"quarterdeck/bot/store"
)

// Other rules come into force after a replica took the slot and before it commits
// the intent: it commits none, gives the slot back and says so, and whoever works
// by those rules carries the run out, once. What is under way goes on.
func TestOutdatedReplicaBeginsNothing(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	var outdated atomic.Bool
	old := r.host(func(c *run.Config) {
		c.InForce = func(store.Reader) error {
			if outdated.Load() {
				return fmt.Errorf("the test says so: %w", run.ErrOutdated)
			}
			return nil
		}
		c.Reach = func(point string) {
			if point == "slot taken" {
				outdated.Store(true)
			}
		}
	}).start()
	n := old.begin(dev, "deploy shop v2 to free")
	old.shows(n, "that it is left to another", func(c bot.Card) bool {
		return c.State == bot.Queued && strings.Contains(c.Text, "waits for a replica that works by the configuration in force")
	})
	if row := r.row(n); row.Holds || row.Owner != "" || r.has(n, bot.Started) != 0 {
		t.Errorf("the run is left %+v with %d intents", row, r.has(n, bot.Started))
	}
	other := r.host().start()
	other.reaches(n, bot.Succeeded)
	got, err := other.Get(t.Context(), n)
	if err != nil || r.effects(got) != 1 || r.has(n, bot.Started) != 1 {
		t.Errorf("it was done %d times with %d intents (%v)", r.effects(got), r.has(n, bot.Started), err)
	}
}
