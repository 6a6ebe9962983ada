package app_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"quarterdeck/bot"
	"quarterdeck/bot/bottest"
	"quarterdeck/bot/provider/providertest"
)

// beyond are the faults with which a deployment cannot be said to have
// succeeded, so that conversations in which one does cannot be held. TestFaults
// says what comes instead.
var beyond = map[providertest.Fault]string{
	providertest.Reverts:      "the platform puts the old version back by itself, which is a failure however often it says done",
	providertest.UnknownState: "the platform reports a state that nobody has heard of, which is never taken for success",
	providertest.Unsearchable: "whether the platform acted cannot be known, and so is not claimed",
}

// acting is the conversation held with faulty platforms: a deployment and the
// way back from it. TestFaults has every verb meet every fault by itself.
const acting = "the way back"

// TestConversations holds every conversation with the bot as it is shipped.
func TestConversations(t *testing.T) {
	for name, n := range map[string]network{"friendly": friendly, "hostile": hostile} {
		for _, c := range bottest.All() {
			converse(t, name+"/friendly platform", c, n, providertest.NewFriendly)
		}
	}
	held := false
	for _, c := range bottest.All() {
		if c.Name != acting {
			continue
		}
		held = true
		for _, f := range providertest.Faults() {
			if beyond[f] == "" {
				converse(t, "friendly/"+string(f), c, friendly, faulty(f))
			}
		}
		for _, f := range []providertest.Fault{providertest.ActsThenTimeout, providertest.LiesAfterActing, providertest.Flaky} {
			converse(t, "hostile/"+string(f), c, hostile, faulty(f))
		}
	}
	if !held {
		t.Errorf("there is no conversation %q any more", acting)
	}
}

func converse(t *testing.T, name string, c bottest.Conversation, n network, p platform) {
	t.Run(name+"/"+strings.ReplaceAll(c.Name, " ", "_"), func(t *testing.T) {
		t.Parallel()
		w := start(t, n, p)
		if err := c.Run(t.Context(), &w.World); err != nil {
			t.Error(err)
		}
		w.violations()
	})
}

// verbs are the ways to act on staging, each with what it makes of v2 being
// live there.
var verbs = []struct {
	line   string
	action string
	brings string
}{
	{"deploy shop v3 staging", "deploy", "v3"},
	{"rollback shop staging", "rollback", "v1"},
	{"restart shop staging", "restart", "v2"},
}

// TestFaults has every verb meet every fault of a platform: it is acted once,
// and said to be done only if it is; or what happened is said to be unknown.
func TestFaults(t *testing.T) {
	for name, n := range map[string]network{"friendly": friendly, "hostile": hostile} {
		for _, fault := range providertest.Faults() {
			if name == "hostile" && !slices.Contains([]providertest.Fault{providertest.LateAct, providertest.Reverts, providertest.UnknownState, providertest.Unsearchable}, fault) {
				continue
			}
			for _, v := range verbs {
				t.Run(fmt.Sprintf("%s/%s/%s", name, fault, v.action), func(t *testing.T) {
					t.Parallel()
					w := start(t, n, faulty(fault))
					w.far.SetLive(staging, "v2")
					p := w.says(w.Dev, v.line)

					want, outcome := bot.Succeeded, bot.OutcomeOK
					switch {
					case fault == providertest.UnknownState || fault == providertest.Unsearchable:
						want, outcome = bot.Unknown, bot.OutcomeUnknown
					case fault == providertest.Reverts && v.action == "deploy":
						want, outcome = bot.RolledBack, bot.OutcomeFailed
					}
					if p.Card.State != want || p.Card.Outcome != outcome {
						t.Errorf("answered %q %q: %s, outcome %q; want %s, %q", p.Card.Title, p.Card.Text, p.Card.State, p.Card.Outcome, want, outcome)
					}
					// On a slow machine the first call may be given up before it began.
					got := effects(w.far)
					if !slices.Equal(got, []string{"shop/staging " + v.brings}) && (want != bot.Unknown || len(got) > 0) {
						t.Errorf("the platform was made to do %q, want one %s", got, v.action)
					}
					if live := w.far.Live(staging); want == bot.Succeeded && live != v.brings {
						t.Errorf("it is said to be done, and %s is live", live)
					}
					if want == bot.Unknown && !strings.Contains(p.Card.Text, "check: look whether "+v.brings+" is live in shop/staging") {
						t.Errorf("the card does not say what to look at: %q", p.Card.Text)
					}
					w.told(p.Card.Run, want)
					w.violations()
				})
			}
		}
	}
}

// told checks that the log has the whole of a run: that it was asked for and
// started, each once, and one outcome after that.
func (w *world) told(number int64, state bot.RunState) {
	w.t.Helper()
	outcome := map[bot.RunState]bot.RecordKind{bot.Succeeded: bot.SucceededKind, bot.RolledBack: bot.FailedKind, bot.Failed: bot.FailedKind,
		bot.Cancelled: bot.CancelledKind, bot.Unknown: bot.UnknownKind}[state]
	var kinds []bot.RecordKind
	for _, r := range w.records() {
		if r.Run == number && r.Kind != bot.Step {
			kinds = append(kinds, r.Kind)
		}
	}
	if want := []bot.RecordKind{bot.Requested, bot.Started, outcome}; !slices.Equal(kinds, want) {
		w.t.Errorf("the log of #%d has %v besides steps, want %v", number, kinds, want)
	}
}
