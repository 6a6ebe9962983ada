package run_test

import (
	"testing"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/provider"
)

// TestHurry: a run that waits for its next look is looked at now, on the targets
// that are named and no other.
func TestHurry(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	release := r.far.Hold()
	h := r.host().start()
	n := h.begin(dev, "deploy shop v2 to free")
	r.await("it is under way", func() bool {
		now, err := h.Get(t.Context(), n)
		return err == nil && now.State == bot.Running && now.Step > 1
	})
	h.stop()
	h.parts.Wait()
	r.clock.jump(-time.Hour) // so that its next look is far ahead
	next := r.host()
	at := func() time.Time {
		now, err := next.Get(t.Context(), n)
		if err != nil || now.InCall {
			t.Fatalf("it is %+v, %v", now, err)
		}
		return now.WakeAt
	}
	before := at()
	if !before.After(r.clock.Now()) {
		t.Fatalf("its next look is at %s already", before)
	}
	if err := next.Hurry(t.Context(), []bot.Target{target(prod)}); err != nil || !at().Equal(before) {
		t.Errorf("an event of another target brought it to %s, %v", at(), err)
	}
	if err := next.Hurry(t.Context(), []bot.Target{target(prod), target(free)}); err != nil || at().After(r.clock.Now()) {
		t.Errorf("its next look is at %s, %v", at(), err)
	}
	release()
	next.start()
	next.reaches(n, bot.Succeeded)
	if err := next.Hurry(t.Context(), []bot.Target{target(free)}); err != nil {
		t.Errorf("where nothing is under way: %v", err)
	}
}

// TestHurryLeavesWatches: how far apart a watch looks is what two looks in a row
// mean, so that no event brings the second forward.
func TestHurryLeavesWatches(t *testing.T) {
	t.Parallel()
	r := guarded(t, guard(provider.GoBack))
	h := r.host().start()
	_, child := h.watch()
	before, err := h.Get(t.Context(), child)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Hurry(t.Context(), []bot.Target{target(free)}); err != nil {
		t.Fatal(err)
	}
	if after, err := h.Get(t.Context(), child); err != nil || !after.WakeAt.Equal(before.WakeAt) || after.Progress.State != bot.OpBaking {
		t.Errorf("the watch looks at %s and not at %s any more, %v", after.WakeAt, before.WakeAt, err)
	}
}
