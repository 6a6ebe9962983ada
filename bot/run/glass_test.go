package run_test

import (
	"fmt"
	"strings"
	"testing"

	"quarterdeck/bot"
)

// Who may break glass acts at once; another person looks at it afterwards, once.
func TestBreakGlass(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	h := r.host().start()
	n := h.begin(sreOne, `deploy shop v2 to two --break-glass "checkout is down"`)
	x := h.reaches(n, bot.Succeeded)
	if !x.Broke || len(x.Waived.Approvals) != 1 || r.effects(x) != 1 {
		t.Errorf("broke %v, waived %+v, effects %d", x.Broke, x.Waived, r.effects(x))
	}
	if r.has(n, bot.OverriddenKind) != 1 {
		t.Error("it is not on record once")
	}
	h.refused(bot.Denied, "another person must review", sreOne, "review")
	h.refused(bot.Denied, "another person must review", sreOne+"-phone", fmt.Sprint("review ", n))
	h.refused(bot.Denied, "you may not review", devTwo, fmt.Sprint("review ", n))
	h.refused(bot.NotFound, "nothing waits for your review", devTwo, "review")
	token := h.token(n, "Reviewed")
	h.kill()
	h = r.host().start()
	if err := h.pressToken(sreTwo, token); err != nil {
		t.Fatal(err)
	}
	if r.has(n, bot.ReviewedKind) != 1 {
		t.Error("the review is not on record")
	}
	h.refused(bot.Conflict, "was reviewed by sre-two already", sreTwo, fmt.Sprint("review ", n))
	h.refused(bot.NotFound, "nothing waits for your review", sreTwo, "review")
}

// Break-glass is a right of its own, and does without what is asked for, not
// without the right itself.
func TestBreakGlassNeedsARight(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	h := r.host().start()
	h.refused(bot.Denied, "you may not break glass here", dev, `deploy shop v2 to prod --break-glass "me too"`)
	h.refused(bot.Denied, "outsider may not deploy", outsider, `deploy shop v2 to free --break-glass "please"`)
	n := h.begin(sreOne, `deploy shop v2 to ticket --break-glass "no time for a ticket"`)
	h.reaches(n, bot.Succeeded)
	// Where nothing stands against it, there is nothing to break and to review.
	n = h.begin(sreOne, `deploy shop v2 to free --break-glass "to be sure"`)
	if x := h.reaches(n, bot.Succeeded); x.Broke || r.has(n, bot.OverriddenKind) != 0 {
		t.Error("what needs nothing was noted as break-glass")
	}
	h.refused(bot.Conflict, "there is nothing to review", sreTwo, fmt.Sprint("review ", n))
}

// The right to break glass is asked about again when it acts.
func TestBreakGlassRightLost(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	h := r.host()
	n := h.begin(sreOne, `deploy shop v2 to prod --break-glass "checkout is down"`)
	r.people.set(sreOne, "developer")
	h.start()
	x := h.reaches(n, bot.Failed)
	if len(r.far.Acts()) != 0 || !strings.Contains(x.Result, "you may not break glass here") {
		t.Errorf("it ended with %q after %d effects", x.Result, len(r.far.Acts()))
	}
	if open, err := h.Runs(t.Context(), bot.RunFilter{ToReview: true}); err != nil || len(open) != 0 {
		t.Errorf("open reviews: %v, %v", open, err)
	}
}

// What the log does not bear out is not done, though the key be known.
func TestForgedBreakGlass(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	h := r.host().start()
	n := h.begin(sreOne, "deploy shop v2 to two")
	h.reaches(n, bot.Waiting)
	h.kill()
	r.tamper(n, true, func(x *bot.Run) {
		x.Call.BreakGlass, x.State = "I say so", bot.Queued
	})
	r.host().start()
	r.await("the forged run ends", func() bool { return r.row(n).State.Settled() })
	if acts := r.far.Acts(); len(acts) != 0 {
		t.Errorf("the platform acted: %+v", acts)
	}
	if !strings.Contains(r.records(n)[len(r.records(n))-1].Text["result"]+r.records(n)[0].Text["result"], "no record says that sre-one asked to break glass") {
		t.Errorf("the log says %+v", r.records(n))
	}
}
