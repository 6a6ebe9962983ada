package run_test

import (
	"strings"
	"testing"

	"quarterdeck/bot"
)

// inDoubt is what is not known about an approver.
var inDoubt = bot.Doubt{Role: "sre", Say: "whether sre-one is in the group is not known right now: the network cannot be reached"}

// Whoever approves is asked about afresh: what was known of them when their
// message came in does not count.
func TestApproverIsAskedAfresh(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	h := r.host().start()
	n := h.begin(dev, "deploy shop v2 to prod")
	h.mustSay(dev, "confirm")
	r.people.mu.Lock()
	r.people.then = map[string][]string{sreOne: {"sre"}}
	r.people.mu.Unlock()
	r.people.set(sreOne, "visitor")
	if err := h.say(sreOne, "approve"); bot.KindOf(err) != bot.NotFound && bot.KindOf(err) != bot.Denied {
		t.Errorf("an approval by who lost the role: %v", err)
	}
	r.people.set(sreOne, "sre")
	r.people.mu.Lock()
	r.people.doubt = map[string]bot.Doubt{sreOne: inDoubt}
	r.people.mu.Unlock()
	if err := h.say(sreOne, "approve"); bot.KindOf(err) != bot.Denied || !strings.Contains(err.Error(), inDoubt.Say) {
		t.Errorf("an approval by who is in doubt: %v", err)
	}
	if got := h.reaches(n, bot.Waiting); len(got.Approvals) != 0 {
		t.Errorf("approvals %+v", got.Approvals)
	}
	r.people.mu.Lock()
	r.people.doubt = nil
	r.people.mu.Unlock()
	h.mustSay(sreOne, "approve")
	h.reaches(n, bot.Succeeded)
}

// An approver's network does not answer at the moment of acting: the approval is
// asked for anew, and the card says why.
func TestApproverInDoubtWhenActing(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	h, there, goOn := pause(r)
	n := h.begin(dev, "deploy shop v2 to prod")
	h.mustSay(dev, "confirm")
	h.mustSay(sreOne, "approve")
	r.arrives("the last checks", there)
	r.people.mu.Lock()
	r.people.doubt = map[string]bot.Doubt{sreOne: inDoubt}
	r.people.mu.Unlock()
	goOn()
	got := h.reaches(n, bot.Waiting)
	h.shows(n, "why it is asked anew", func(c bot.Card) bool {
		return c.Version == got.Card && hasField(c, "mind", "no longer counts: "+inDoubt.Say)
	})
	if len(got.Approvals) != 0 {
		t.Errorf("approvals %+v", got.Approvals)
	}
}

// The asker's network does not answer at the moment of acting: a change is
// refused and says why, a way back that was typed just now goes on.
func TestAskerInDoubtWhenActing(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	h := r.host().start()
	h.begin(dev, "deploy shop v2 to free")
	h.reaches(1, bot.Succeeded)
	r.people.mu.Lock()
	r.people.doubt = map[string]bot.Doubt{dev: {Role: "developer", Say: "whether dev is in the group is not known right now"}}
	r.people.then = map[string][]string{dev: {"developer"}} // when they typed
	r.people.mu.Unlock()
	n := h.begin(dev, "deploy shop v1 to free")
	h.reaches(n, bot.Failed)
	h.shows(n, "why it is refused", func(c bot.Card) bool {
		return c.Outcome == bot.OutcomeDenied && strings.Contains(c.Text, "whether dev is in the group is not known right now")
	})
	if acts := len(r.far.Acts()); acts != 1 {
		t.Errorf("%d acts", acts)
	}
	h.reaches(h.begin(dev, "rollback shop free"), bot.Succeeded)
}
