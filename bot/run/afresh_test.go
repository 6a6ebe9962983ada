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
