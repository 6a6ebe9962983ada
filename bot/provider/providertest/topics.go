package providertest

import (
	"context"
	"strings"
	"testing"

	"quarterdeck/bot"
	"quarterdeck/bot/provider"
)

func testResolve(t *testing.T, h Harness) {
	d := h.Attach()
	first, err := d.Resolve(t.Context(), h.Good)
	if err != nil {
		t.Fatalf("Resolve(%q): %v", h.Good, err)
	}
	if first.ID == "" || first.Version == "" {
		t.Fatalf("Resolve(%q) = %+v, want an ID and a version", h.Good, first)
	}
	again, err := h.Attach().Resolve(t.Context(), h.Good)
	if err != nil || again.ID != first.ID {
		t.Errorf("a second Resolve gives %q and %v, want %q", again.ID, err, first.ID)
	}
	byID, err := d.Resolve(t.Context(), first.ID)
	if err != nil || byID.ID != first.ID {
		t.Errorf("Resolve of the ID gives %q and %v, want %q", byID.ID, err, first.ID)
	}
	const absent = "no-such-version-9"
	_, err = d.Resolve(t.Context(), absent)
	if bot.KindOf(err) != bot.NotFound {
		t.Fatalf("Resolve of what does not exist: %v, want an error of kind NotFound", err)
	}
	checkError(t, err)
	if say := bot.Sentence(err, ""); !strings.Contains(say, absent) {
		t.Errorf("the sentence %q does not name what was asked for", say)
	}
}

func testReads(t *testing.T, h Harness) {
	d := h.Attach()
	live, err := d.Current(t.Context())
	if err != nil {
		t.Fatalf("Current: %v", err)
	}
	releases, err := d.Releases(t.Context(), 100)
	if err != nil {
		t.Fatalf("Releases: %v", err)
	}
	found := false
	for n, r := range releases {
		found = found || r.ID == live.Artefact.ID
		if n > 0 && r.Created.After(releases[n-1].Created) {
			t.Errorf("release %s is newer than %s before it", r.Version, releases[n-1].Version)
		}
	}
	if !found {
		t.Errorf("what is live (%+v) is not among the releases", live.Artefact)
	}
	one, err := d.Releases(t.Context(), 1)
	if err != nil || len(one) != 1 || one[0].ID != releases[0].ID {
		t.Errorf("Releases(1) gives %d releases and %v, want the newest", len(one), err)
	}
	if len(d.Ways()) == 0 {
		t.Error("there is no way back")
	}
}

func testPreview(t *testing.T, h Harness) {
	d := h.Attach()
	live, err := d.Current(t.Context())
	if err != nil {
		t.Fatalf("Current: %v", err)
	}
	good, err := d.Resolve(t.Context(), h.Good)
	if err != nil {
		t.Fatalf("Resolve: %v", err)
	}
	if _, err := d.Preview(t.Context(), live.Artefact, good); err != nil {
		t.Fatalf("Preview: %v", err)
	}
	after, err := d.Current(t.Context())
	if err != nil || after.Artefact.ID != live.Artefact.ID {
		t.Errorf("a preview changed what is live from %q to %q (%v)", live.Artefact.ID, after.Artefact.ID, err)
	}
}

// testEndedContext: reads and calls with an ended context give a retriable
// error and no guess.
func testEndedContext(t *testing.T, h Harness) {
	c := begin(t, h, h.Good, "ended-context")
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_, current := c.d.Current(ended)
	_, releases := c.d.Releases(ended, 5)
	_, _, advance := c.d.Advance(ended, c.stored())
	for name, err := range map[string]error{"Current": current, "Releases": releases, "Advance": advance} {
		switch bot.KindOf(err) {
		case bot.Timeout, bot.Unavailable:
			checkError(t, err)
		default:
			t.Errorf("%s with an ended context: %v, want Timeout or Unavailable", name, err)
		}
	}
	c.die()
	switch p := c.run(noCrash, 0); p.State {
	case bot.OpUnknown: // it cannot tell an ended call from one that acted
		if n := h.Effects("ended-context"); n > 1 {
			t.Errorf("the far side acted %d times", n)
		}
	case h.End:
		c.wantEffects(1)
	default:
		t.Errorf("ended as %s (%s), want %s", p.State, p.Text, h.End)
	}
}

func testBegin(t *testing.T, h Harness) {
	c := begin(t, h, h.Good, "begin-only")
	c.wantEffects(0)
	other := h.Target
	other.Environment += "-other"
	art, err := c.d.Resolve(t.Context(), h.Good)
	if err != nil {
		t.Fatalf("Resolve: %v", err)
	}
	_, err = c.d.Begin(provider.Deployment{Action: provider.Deploy, Target: other, To: art}, bot.Task{Key: "k", Actor: "dev-one"})
	if bot.KindOf(err) != bot.Invalid {
		t.Errorf("Begin for another target: %v, want an error of kind Invalid", err)
	}
}

func testDeploy(t *testing.T, h Harness) {
	c := begin(t, h, h.Good, "deploy-good")
	before, err := c.d.Current(t.Context())
	if err != nil {
		t.Fatalf("Current: %v", err)
	}
	p := c.run(noCrash, 0)
	switch p.State {
	case bot.OpSucceeded:
		c.wantLive(h.Good)
	case bot.OpRolledBack:
		c.wantLive(before.Artefact.Version)
	}
	if p.State != h.End {
		t.Errorf("ended as %s (%s), want %s", p.State, p.Text, h.End)
	}
	c.wantEffects(1)
	// Settled is settled: whoever looks again learns the same.
	for range 2 {
		c.d = h.Attach()
		if again := c.call(t.Context()); again.State != p.State {
			if again.State == bot.OpPending { // one look may fail
				continue
			}
			t.Errorf("a later look shows %s, the first showed %s", again.State, p.State)
		}
	}
	c.wantEffects(1)
}

func testFailing(t *testing.T, h Harness) {
	if h.Failing == "" {
		return // this far side has no version that fails
	}
	c := begin(t, h, h.Failing, "deploy-failing")
	switch p := c.run(noCrash, 0); p.State {
	case bot.OpFailed, bot.OpPartlyDone, bot.OpUnknown:
	case bot.OpRolledBack:
		live, err := c.d.Current(t.Context())
		if err != nil || live.Artefact.Version == h.Failing {
			t.Errorf("it says rolled back, and %s is live (%v)", live.Artefact.Version, err)
		}
	default:
		t.Errorf("a failing version ends as %s (%s)", p.State, p.Text)
	}
	c.wantEffects(1)
}

// testKeys: one key is one operation, another key another.
func testKeys(t *testing.T, h Harness) {
	first := begin(t, h, h.Good, "key-1")
	first.run(noCrash, 0)
	second := begin(t, h, h.Good, "key-2")
	second.run(noCrash, 0)
	first.wantEffects(1)
	second.wantEffects(1)
}

func testCancelBefore(t *testing.T, h Harness) {
	c := begin(t, h, h.Good, "cancel-before")
	for range 2 {
		c.cancel()
	}
	if p := c.run(noCrash, 0); p.State != bot.OpCancelled {
		t.Errorf("cancelled before it began, it ends as %s (%s)", p.State, p.Text)
	}
	c.wantEffects(0)
}

func (c *caller) cancel() {
	c.t.Helper()
	handle, err := c.d.Cancel(c.t.Context(), c.stored())
	if err != nil {
		c.t.Fatalf("Cancel: %v", err)
	}
	interrupted := c.interrupted
	c.handle, c.interrupted = handle, interrupted
}

// testCancelDuring: whatever comes of it is said, and a successor that never
// heard of the wish can finish it.
func testCancelDuring(t *testing.T, h Harness) {
	c := begin(t, h, h.Good, "cancel-during")
	for range maxCalls {
		p := c.call(t.Context())
		if p.State.Settled() {
			break
		}
		if p.State == bot.OpWorking {
			c.cancel()
			c.d = h.Attach()
			c.cancel()
			break
		}
		h.Pass(p.Next)
	}
	switch p := c.run(noCrash, 0); p.State {
	case bot.OpCancelled, bot.OpRolledBack:
		live, err := h.Attach().Current(t.Context())
		if err != nil || live.Artefact.Version == h.Good {
			t.Errorf("it says %s, and %s is live (%v)", p.State, live.Artefact.Version, err)
		}
	case bot.OpPartlyDone:
		live, err := h.Attach().Current(t.Context())
		if err != nil || len(live.Mixed) < 2 {
			t.Errorf("it says partly done, and %v runs (%v)", live.Mixed, err)
		}
	case bot.OpSucceeded: // it was faster
		c.wantLive(h.Good)
		c.wantEffects(1)
	case bot.OpUnknown:
	default:
		t.Errorf("a cancelled deployment ends as %s (%s)", p.State, p.Text)
	}
	// None at all if it was stopped between being started and acting.
	if n := h.Effects(c.handle.Key); n > 1 {
		t.Errorf("the far side acted %d times", n)
	}
}

func testCancelAfter(t *testing.T, h Harness) {
	c := begin(t, h, h.Good, "cancel-after")
	end := c.run(noCrash, 0)
	c.cancel()
	if p := c.run(noCrash, 0); p.State != end.State {
		t.Errorf("cancelled after its end, it turns from %s into %s", end.State, p.State)
	}
}

// testTwoCallers: a stale bot and its successor act at the same time.
func testTwoCallers(t *testing.T, h Harness) {
	if !h.Exclusive {
		return // the engine must keep callers apart: this far side cannot
	}
	c := begin(t, h, h.Good, "two-callers")
	handle := c.stored()
	both(func(i int) {
		h := handle
		h.Interrupted = i == 1
		ctx, cancel := context.WithTimeout(t.Context(), c.h.timing().Call)
		defer cancel()
		if _, _, err := c.h.Attach().Advance(ctx, h); err != nil {
			checkError(t, err)
		}
	})
	c.interrupted = true
	if p := c.run(noCrash, 0); p.State != h.End {
		t.Errorf("ended as %s (%s), want %s", p.State, p.Text, h.End)
	}
	c.wantEffects(1)
}

// testCrash: after a crash around any call the far side has acted once, or the
// operation says that it does not know.
func testCrash(t *testing.T, h Harness, how crash, at int) {
	c := begin(t, h, h.Good, "crash")
	p := c.run(how, at)
	effects := h.Effects("crash")
	switch {
	case p.State == bot.OpUnknown && effects > 1, p.State != bot.OpUnknown && effects != 1:
		t.Errorf("ended as %s, and the far side acted %d times", p.State, effects)
	case p.State != bot.OpUnknown && p.State != h.End:
		t.Errorf("ended as %s (%s), want %s", p.State, p.Text, h.End)
	}
	if p.State == bot.OpSucceeded {
		c.wantLive(h.Good)
	}
}
