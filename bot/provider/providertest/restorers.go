package providertest

import (
	"context"
	"testing"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/provider"
)

// RestoreHarness is what the suite needs to know of one far side, which holds two
// backups at least.
type RestoreHarness struct {
	Target bot.Target
	// Attach gives a RestoreTester as after a restart of the bot.
	Attach func() provider.RestoreTester
	// Places counts the scratch places at the far side itself.
	Places func() int
	// End is how a trial of the newest backup ends; OpSucceeded by default.
	End bot.OpState
}

// RestoreTesters runs the conformance suite for the RestoreTester port. make gives
// a new RestoreHarness; the tests run in parallel.
func RestoreTesters(t *testing.T, make func(t *testing.T) RestoreHarness) {
	for _, topic := range []struct {
		name string
		test func(*testing.T, RestoreHarness)
	}{
		{"backups", testBackups},
		{"begin refuses", testRestoreBegin},
		{"trial", testTrial},
		{"cancel", testTrialCancelled},
		{"thrown away at every call", testTrialThrownAway},
		{"destroy", testDestroy},
		{"sweep", testSweep},
		{"ended context", testRestoreEnded},
	} {
		t.Run(topic.name, func(t *testing.T) {
			t.Parallel()
			h := make(t)
			if h.End == "" {
				h.End = bot.OpSucceeded
			}
			topic.test(t, h)
		})
	}
}

func (h RestoreHarness) newest(t *testing.T) provider.Backup {
	t.Helper()
	all, err := h.Attach().Backups(t.Context(), 10)
	if err != nil || len(all) < 2 {
		t.Fatalf("Backups: %v, %v", all, err)
	}
	return all[0]
}

func (h RestoreHarness) begin(t *testing.T, b provider.RestoreTester, key string) bot.Handle {
	t.Helper()
	handle, err := b.Begin(provider.Trial{Target: h.Target, Backup: h.newest(t)}, bot.Task{Key: key, Actor: "dev-one"})
	if err != nil {
		t.Fatalf("Begin: %v", err)
	}
	return handle
}

// step makes one call, again where it is worth it. A call may also wait for what
// an earlier process left to end, so there is time between them.
func (h RestoreHarness) step(t *testing.T, b provider.RestoreTester, handle bot.Handle) (bot.Handle, bot.Progress) {
	t.Helper()
	for range maxCalls {
		next, p, err := b.Advance(t.Context(), handle)
		switch bot.KindOf(err) {
		case "":
			if !p.State.Settled() {
				time.Sleep(time.Millisecond)
			}
			return next, p
		case bot.Unavailable, bot.Timeout, bot.Busy:
			handle.Interrupted = true
			time.Sleep(5 * time.Millisecond)
		default:
			t.Fatalf("Advance: %v", err)
		}
	}
	t.Fatal("the trial is never gone on with")
	return handle, bot.Progress{}
}

func (h RestoreHarness) end(t *testing.T, b provider.RestoreTester, handle bot.Handle) (bot.Handle, bot.Progress) {
	t.Helper()
	for range maxCalls {
		var p bot.Progress
		if handle, p = h.step(t, b, handle); p.State.Settled() {
			return handle, p
		}
	}
	t.Fatal("the trial does not end")
	return handle, bot.Progress{}
}

func (h RestoreHarness) destroy(t *testing.T, b provider.RestoreTester, handle bot.Handle) {
	t.Helper()
	for range maxCalls {
		switch err := b.Destroy(t.Context(), handle); bot.KindOf(err) {
		case "":
			return
		case bot.Busy:
			time.Sleep(time.Millisecond)
		default:
			t.Fatalf("Destroy: %v", err)
		}
	}
	t.Fatal("the removal does not end")
}

func testBackups(t *testing.T, h RestoreHarness) {
	all, err := h.Attach().Backups(t.Context(), 100)
	if err != nil || len(all) < 2 {
		t.Fatalf("Backups: %v, %v", all, err)
	}
	for i, b := range all {
		if b.ID == "" || b.Created.IsZero() {
			t.Errorf("%+v cannot be named, or is of no time", b)
		}
		if i > 0 && b.Created.After(all[i-1].Created) {
			t.Errorf("%s is newer than %s before it", b.ID, all[i-1].ID)
		}
	}
	one, err := h.Attach().Backups(t.Context(), 1)
	if err != nil || len(one) != 1 || one[0].ID != all[0].ID {
		t.Errorf("of one: %v, %v", one, err)
	}
}

func testRestoreBegin(t *testing.T, h RestoreHarness) {
	good := provider.Trial{Target: h.Target, Backup: h.newest(t)}
	for name, change := range map[string]func(*provider.Trial, *bot.Task){
		"another target": func(b *provider.Trial, _ *bot.Task) { b.Target.Environment += "-other" },
		"no backup":      func(b *provider.Trial, _ *bot.Task) { b.Backup.ID = "" },
		"no key":         func(_ *provider.Trial, t *bot.Task) { t.Key = "" },
	} {
		bad, task := good, bot.Task{Key: "refused", Actor: "dev-one"}
		change(&bad, &task)
		if _, err := h.Attach().Begin(bad, task); bot.KindOf(err) != bot.Invalid {
			t.Errorf("Begin for %s: %v, want an error of kind Invalid", name, err)
		}
	}
	if n := h.Places(); n != 0 {
		t.Errorf("%d places were made", n)
	}
}

// testTrial: it ends, says rung by rung what it saw, and says the same when asked
// again.
func testTrial(t *testing.T, h RestoreHarness) {
	b := h.Attach()
	handle, p := h.end(t, b, h.begin(t, b, "trial"))
	if p.State != h.End {
		t.Fatalf("it ended as %s: %s", p.State, p.Text)
	}
	f, err := b.Findings(handle)
	if err != nil {
		t.Fatalf("Findings: %v", err)
	}
	bad := 0
	for _, r := range f.Rungs {
		switch r.State {
		case provider.RungPassed, provider.RungNotAsked:
		case provider.RungFailed:
			bad++
		default:
			t.Errorf("%s is %q at the end", r.Name, r.State)
		}
		if r.Text == "" {
			t.Errorf("%s says nothing", r.Name)
		}
	}
	if (bad > 0) != (h.End == bot.OpFailed) || bad > 1 {
		t.Errorf("%d rungs failed, and it ended as %s", bad, p.State)
	}
	if h.End == bot.OpSucceeded && (f.Ready <= 0 || f.Began.IsZero()) {
		t.Errorf("how long it took was not measured: %+v", f)
	}
	if _, again := h.end(t, h.Attach(), handle); again.State != p.State {
		t.Errorf("asked again it is %s", again.State)
	}
	h.destroy(t, b, handle)
	if n := h.Places(); n != 0 {
		t.Errorf("%d places are left", n)
	}
}

func testTrialCancelled(t *testing.T, h RestoreHarness) {
	b := h.Attach()
	handle, _ := h.step(t, b, h.begin(t, b, "cancelled"))
	handle, err := b.Cancel(t.Context(), handle)
	if err != nil {
		t.Fatalf("Cancel: %v", err)
	}
	handle, p := h.end(t, b, handle)
	if p.State != bot.OpCancelled && p.State != h.End { // it may have been quicker
		t.Errorf("it ended as %s", p.State)
	}
	h.destroy(t, b, handle)
	if n := h.Places(); n != 0 {
		t.Errorf("%d places are left", n)
	}
}

// testTrialThrownAway: whoever goes on with what another one began comes to the
// same end, and nothing of either is left.
func testTrialThrownAway(t *testing.T, h RestoreHarness) {
	handle := h.begin(t, h.Attach(), "thrown-away")
	var p bot.Progress
	for range maxCalls {
		handle.Interrupted = true
		if handle, p = h.step(t, h.Attach(), handle); p.State.Settled() {
			break
		}
	}
	if p.State != h.End {
		t.Errorf("it ended as %s: %s", p.State, p.Text)
	}
	h.destroy(t, h.Attach(), handle)
	if n := h.Places(); n != 0 {
		t.Errorf("%d places are left", n)
	}
}

// testDestroy: there need not be anything, and it may be asked at any time.
func testDestroy(t *testing.T, h RestoreHarness) {
	b := h.Attach()
	handle := h.begin(t, b, "destroyed")
	h.destroy(t, b, handle)
	handle, _ = h.step(t, b, handle)
	h.destroy(t, b, handle)
	h.destroy(t, b, handle)
	if n := h.Places(); n != 0 {
		t.Errorf("%d places are left", n)
	}
}

// testSweep removes what no run needs, and that alone.
func testSweep(t *testing.T, h RestoreHarness) {
	b := h.Attach()
	needed, _ := h.end(t, b, h.begin(t, b, "needed"))
	left, _ := h.end(t, b, h.begin(t, b, "left"))
	keep := func(key string) bool { return key == needed.Key }
	before := h.Places()
	for range maxCalls {
		all, err := h.Attach().Sweep(t.Context(), keep)
		if err != nil {
			t.Fatalf("Sweep: %v", err)
		}
		if len(all) == 0 || all[0].Err == nil {
			break
		}
		time.Sleep(time.Millisecond)
	}
	if n := h.Places(); before != 2 || n != 1 {
		t.Errorf("of %d places %d are left after the sweep, want 1 of 2", before, n)
	}
	h.destroy(t, b, left)
	h.destroy(t, b, needed)
	if n := h.Places(); n != 0 {
		t.Errorf("%d places are left", n)
	}
}

func testRestoreEnded(t *testing.T, h RestoreHarness) {
	b := h.Attach()
	handle := h.begin(t, b, "ended")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := b.Backups(ctx, 10); err == nil {
		t.Error("Backups answers though its context has ended")
	}
	if _, _, err := b.Advance(ctx, handle); err == nil {
		t.Error("Advance acts though its context has ended")
	}
	if err := b.Destroy(ctx, handle); err == nil {
		t.Error("Destroy says that nothing is there though its context has ended")
	}
	if n := h.Places(); n != 0 {
		t.Errorf("%d places were made", n)
	}
}
