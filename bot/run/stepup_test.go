package run_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"quarterdeck/auth"
	"quarterdeck/bot"
	"quarterdeck/bot/run"
)

// goodCode stands for whatever code an authenticator shows; all others are none.
const goodCode = "424242"

const withCode = " --code " + goodCode

// stepUp gives the rules with a second factor asked for in all of them, and
// nothing else on free.
func stepUp(t *testing.T) *auth.Policy {
	t.Helper()
	r := rules()
	for i := range r.Requires {
		r.Requires[i].StepUp = true
	}
	r.Requires = append(r.Requires, auth.Require{Where: "test:8", Permissions: []string{"deploy"}, Targets: []string{free}, StepUp: true})
	p, err := auth.New(r)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// Only approvals that came with a code count; saying no takes none.
func TestStepUpApproval(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	r.policy = stepUp(t)
	h := r.host().start()
	n := h.begin(dev, "deploy shop v2 to two")
	h.shows(n, "that a code is wanted", func(c bot.Card) bool {
		return strings.Contains(c.Title, "waits for 2 approvals from sre, with a code") && c.Buttons[0].Code && !c.Buttons[1].Code
	})
	h.refused(bot.Denied, fmt.Sprintf("approving #%d takes a one-time code of your authenticator with it: approve %d --code 123456", n, n), sreOne, "approve")
	h.refused(bot.Denied, "takes a one-time code", sreOne, "approve --code 111111")
	if r.has(n, bot.Approved) != 0 {
		t.Error("an approval without a code is on record")
	}
	if err := h.press(sreOne, n, "Approve"); bot.KindOf(err) != bot.Denied {
		t.Errorf("a pressed button without a code: %v", err)
	}
	h.mustSay(sreOne, "approve"+withCode)
	h.refused(bot.Conflict, "you approved", sreOne, fmt.Sprint("approve ", n, withCode))
	h.mustSay(sreTwo, "approve"+withCode)
	x := h.reaches(n, bot.Succeeded)
	for _, a := range x.Approvals {
		if a.Factor != bot.FactorTOTP {
			t.Errorf("the approval of %s is kept with the factor %q", a.Person, a.Factor)
		}
	}
	for _, rec := range r.records(n) {
		if rec.Kind == bot.Approved && rec.Detail["factor"] != "totp" {
			t.Errorf("recorded without the factor: %v", rec.Detail)
		}
		if rec.Kind == bot.Started && rec.Detail["approved_by"] != "sre-one (totp), sre-two (totp)" {
			t.Errorf("started by the approval of %s", rec.Detail["approved_by"])
		}
	}
	h.shows(n, "who showed a code", func(c bot.Card) bool {
		return strings.Contains(c.Footer, "approved by sre-one (totp) and sre-two (totp)")
	})
	n = h.begin(dev, "deploy shop v1 to two")
	h.mustSay(sreOne, "deny")
	h.reaches(n, bot.Cancelled)
}

// What was approved before the rules asked for codes waits for them.
func TestStepUpComesLater(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	h := r.host().start()
	n := h.begin(dev, "deploy shop v2 to two")
	h.mustSay(sreOne, "approve")
	h.kill()
	r.policy = stepUp(t)
	h = r.host().start()
	h.mustSay(sreTwo, "approve"+withCode)
	h.shows(n, "that one approval came without a code", func(c bot.Card) bool {
		return strings.Contains(fmt.Sprint(c.Fields), "the approval of sre-one came without a one-time code, which the rules ask for now")
	})
	if len(r.far.Acts()) != 0 {
		t.Error("it acted on an approval without a code")
	}
	h.refused(bot.Denied, "takes a one-time code", sreOne, fmt.Sprint("approve ", n))
	r.await("the new card to be known", func() bool { return h.say(sreOne, fmt.Sprint("approve ", n, withCode)) == nil })
	h.reaches(n, bot.Succeeded)
}

// Where nobody else is asked, the asker shows it: with the confirmation, or else
// with the line. A way back is not named by the rules and takes none.
func TestStepUpOfTheAsker(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	r.policy = stepUp(t)
	h := r.host().start()
	h.refused(bot.Denied, "takes a one-time code of your authenticator with it: deploy shop v2 free --code 123456", dev, "deploy shop v2 to free")
	n := h.begin(dev, "deploy shop v2 to free"+withCode)
	if x := h.reaches(n, bot.Succeeded); x.Call.Factor != bot.FactorTOTP || strings.Contains(x.Call.Line, "code") {
		t.Errorf("kept as %q with %q", x.Call.Line, x.Call.Factor)
	}
	n = h.begin(dev, "deploy shop v2 to asks"+withCode) // which is not with the confirmation
	h.refused(bot.Denied, fmt.Sprintf("confirming #%d takes a one-time code", n), dev, "confirm")
	if err := h.press(dev, n, "Confirm"); bot.KindOf(err) != bot.Denied {
		t.Errorf("a pressed button without a code: %v", err)
	}
	h.mustSay(dev, "confirm"+withCode)
	if x := h.reaches(n, bot.Succeeded); x.ConfirmFactor != bot.FactorTOTP {
		t.Errorf("confirmed with %q", x.ConfirmFactor)
	}
	// Where others approve, the asker's own yes takes none.
	n = h.begin(dev, "deploy shop v2 to prod")
	h.mustSay(dev, "confirm")
	h.mustSay(sreOne, "approve"+withCode)
	h.reaches(n, bot.Succeeded)
	h.reaches(h.begin(dev, "rollback shop free"), bot.Succeeded)
}

// Break-glass does without everything but the code, and so does its review.
func TestStepUpBreakGlass(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	r.policy = stepUp(t)
	h := r.host().start()
	line := `deploy shop v2 to two --break-glass "checkout is down"`
	h.refused(bot.Denied, "break-glass here takes a one-time code of your authenticator with it", sreOne, line)
	h.refused(bot.Denied, "you may not break glass here", dev, line+withCode)
	h.mustSay(sreOne, line+" --dry-run")
	n := h.begin(sreOne, line+withCode)
	x := h.reaches(n, bot.Succeeded)
	if !x.Broke || len(x.Waived.Approvals) != 1 || x.Waived.StepUp || x.Call.Factor != bot.FactorTOTP {
		t.Errorf("broke %v, waived %+v, factor %q", x.Broke, x.Waived, x.Call.Factor)
	}
	for _, rec := range r.records(n) {
		if rec.Kind == bot.OverriddenKind && (rec.Detail["factor"] != "totp" || strings.Contains(rec.Text["passed"], "code")) {
			t.Errorf("recorded as %v", rec.Detail)
		}
	}
	h.refused(bot.Denied, fmt.Sprintf("reviewing #%d takes a one-time code", n), sreTwo, "review")
	h.mustSay(sreTwo, "review"+withCode)
	if got, err := h.Get(context.Background(), n); err != nil || got.Review.Factor != bot.FactorTOTP {
		t.Errorf("reviewed with %q, %v", got.Review.Factor, err)
	}
	// A code alone is nothing to break.
	n = h.begin(sreOne, `deploy shop v2 to free --break-glass "to be sure"`+withCode)
	if x := h.reaches(n, bot.Succeeded); x.Broke {
		t.Error("what needs a code alone was noted as break-glass")
	}
}

// A form asks for a code where the engine would refuse without one, and nowhere
// else.
func TestNeedsCode(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	r.policy = stepUp(t)
	h := r.host().start()
	waits, asked := h.begin(dev, "deploy shop v2 to two"), h.begin(devTwo, "deploy shop v2 to asks")
	for _, c := range []struct {
		who    string
		answer bot.Answer
		number int64
		want   bool
	}{
		{sreOne, bot.AnswerApprove, waits, true},
		{sreOne, bot.AnswerApprove, 0, true},
		{dev, bot.AnswerApprove, waits, false}, // it does not count in any case
		{outsider, bot.AnswerApprove, waits, false},
		{sreOne, bot.AnswerDeny, waits, false},
		{devTwo, bot.AnswerConfirm, asked, true},
		{devTwo, bot.AnswerConfirm, 0, true},
		{sreOne, bot.AnswerConfirm, asked, false},
		{sreOne, bot.AnswerReview, waits, false},
		{sreOne, bot.AnswerApprove, 99, false},
	} {
		who, err := r.people.Identify(context.Background(), bot.AccountID("chat:"+c.who), bot.Member)
		if err != nil {
			t.Fatal(err)
		}
		call := bot.Call{Who: who, Channel: channel, At: r.clock.Now()}
		if _, got := h.NeedsCode(context.Background(), call, c.answer, c.number); got != c.want {
			t.Errorf("%s %s %d: %v", c.who, c.answer, c.number, got)
		}
	}
	for _, c := range []struct {
		needs bot.Needs
		glass bool
		want  bool
	}{
		{bot.Needs{}, true, false},
		{bot.Needs{StepUp: true}, false, true},
		{bot.Needs{StepUp: true, Confirm: true}, false, false},
		{bot.Needs{StepUp: true, Confirm: true}, true, true},
		{bot.Needs{StepUp: true, Approvals: []bot.ApprovalRule{{Count: 1}}}, false, false},
		{bot.Needs{StepUp: true, Approvals: []bot.ApprovalRule{{Count: 1}}}, true, true},
	} {
		if got := run.AskerShows(c.needs, c.glass); got != c.want {
			t.Errorf("%+v, break-glass %v: %v", c.needs, c.glass, got)
		}
	}
}
