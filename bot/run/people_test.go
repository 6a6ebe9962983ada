package run_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/run"
)

func TestDeployWithoutNeeds(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	h := r.host().start()
	n := h.begin(dev, "deploy shop v2 to free")
	got := h.reaches(n, bot.Succeeded)
	if r.effects(got) != 1 || r.far.Live(target(free)) != "v2" {
		t.Errorf("%d effects, %s is live", r.effects(got), r.far.Live(target(free)))
	}
	if acts := r.far.Acts(); acts[0].Actor != dev {
		t.Errorf("the platform was told that %q acts", acts[0].Actor)
	}
	card := h.shows(n, "its end", func(c bot.Card) bool { return c.State == bot.Succeeded })
	if card.Outcome != bot.OutcomeOK || card.Phase != bot.PhaseDone {
		t.Errorf("card %+v", card)
	}
	var kinds []bot.RecordKind
	for _, rec := range r.records(n) {
		if rec.Kind != bot.Step {
			kinds = append(kinds, rec.Kind)
		}
	}
	if want := []bot.RecordKind{bot.Requested, bot.Started, bot.SucceededKind}; !slices.Equal(kinds, want) {
		t.Errorf("the log holds %v, want %v", kinds, want)
	}
}

func TestConfirm(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	h := r.host().start()
	n := h.begin(dev, "deploy shop v2 to asks")
	h.reaches(n, bot.Waiting)
	h.refused(bot.Denied, "only dev can confirm", devTwo, fmt.Sprint("confirm ", n))
	h.refused(bot.Conflict, "dev has not confirmed #1 yet", devTwo, fmt.Sprint("approve ", n))
	if len(r.far.Acts()) != 0 {
		t.Fatal("it acted before it was confirmed")
	}
	h.mustSay(dev+"-phone", "confirm") // the person counts, not the account
	h.reaches(n, bot.Succeeded)
	h.refused(bot.Conflict, "is over", dev, fmt.Sprint("confirm ", n))
	if r.has(n, bot.ConfirmedKind) != 1 {
		t.Error("the confirmation is not on record")
	}
}

func TestApproval(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	h := r.host().start()
	n := h.begin(dev, "deploy shop v2 to prod")
	h.refused(bot.Conflict, "has not confirmed", sreOne, fmt.Sprint("approve ", n))
	h.mustSay(dev, "confirm")
	h.refused(bot.Conflict, "does not wait for a confirmation", dev, fmt.Sprint("confirm ", n))
	h.refused(bot.Denied, "you asked for", dev, "approve")
	h.refused(bot.Denied, "you asked for", dev+"-phone", fmt.Sprint("approve ", n))
	h.refused(bot.Denied, "does not count", devTwo, fmt.Sprint("approve ", n))
	h.refused(bot.Denied, "does not count", outsider, fmt.Sprint("approve ", n))
	if len(r.far.Acts()) != 0 {
		t.Fatal("it acted before it was approved")
	}
	h.mustSay(sreOne, "approve")
	h.reaches(n, bot.Succeeded)
	card := h.shows(n, "its end", func(c bot.Card) bool { return c.State == bot.Succeeded })
	if !strings.Contains(card.Footer, "approved by sre-one") {
		t.Errorf("footer %q", card.Footer)
	}
}

// An sre who asks needs another sre.
func TestOwnApprovalOfAnApprover(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	h := r.host().start()
	n := h.begin(sreOne, "deploy shop v2 to prod")
	h.mustSay(sreOne, "confirm")
	h.refused(bot.Denied, "another person must approve", sreOne, "approve")
	h.refused(bot.Denied, "another person must approve", sreOne+"-phone", fmt.Sprint("approve ", n))
	h.mustSay(sreTwo, "approve")
	h.reaches(n, bot.Succeeded)
}

// The same approval, sent many times at once, counts once.
func TestApprovalAtOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	h := r.host().start()
	n := h.begin(dev, "deploy shop v2 to two")
	h.reaches(n, bot.Waiting)
	token := h.token(n, "Approve")
	const clicks = 16
	errs := make([]error, clicks)
	var all sync.WaitGroup
	for i := range clicks {
		all.Go(func() { errs[i] = h.pressToken(sreOne, token) })
	}
	all.Wait()
	counted := 0
	for _, err := range errs {
		if err == nil {
			counted++
			continue
		}
		r.mustRefuse(err, bot.Conflict, "you approved #1 already")
	}
	got := h.reaches(n, bot.Waiting)
	if counted != 1 || len(got.Approvals) != 1 || r.has(n, bot.Approved) != 1 {
		t.Errorf("%d clicks counted, %d approvals, %d records", counted, len(got.Approvals), r.has(n, bot.Approved))
	}
	h.mustSay(sreTwo, "approve")
	h.reaches(n, bot.Succeeded)
}

// A message that is delivered twice acts once.
func TestSameMessageTwice(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	h := r.host().start()
	m := r.receive(bot.Message{Account: "chat:dev", Text: "deploy shop v2 to free"})
	first, second := h.road(m, ""), h.road(m, "")
	if first != nil || second != run.ErrHandled {
		t.Fatalf("got %v and %v", first, second)
	}
	n := h.newest()
	h.reaches(n, bot.Succeeded)
	m = r.receive(bot.Message{Account: "chat:dev", Text: "rollback shop free --dry-run"})
	first, second = h.road(m, ""), h.road(m, "")
	if first != nil || second != run.ErrHandled || h.newest() != n {
		t.Fatalf("a dry run: got %v and %v, newest run #%d", first, second, h.newest())
	}
	n = h.begin(dev, "deploy shop v2 to asks")
	m = r.receive(bot.Message{Account: "chat:dev", Text: "confirm"})
	_ = h.road(m, "")
	if err := h.road(m, ""); bot.KindOf(err) != bot.NotFound && bot.KindOf(err) != bot.Conflict && err != run.ErrHandled {
		t.Fatalf("a second confirmation: %v", err)
	}
	h.reaches(n, bot.Succeeded)
	if r.has(n, bot.ConfirmedKind) != 1 {
		t.Error("one confirmation is on record more than once")
	}
}

func TestTwoApprovers(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	h := r.host().start()
	n := h.begin(dev, "deploy shop v2 to two")
	h.mustSay(sreOne, "approve")
	h.refused(bot.Conflict, "you approved #1 already", sreOne, "approve 1")
	h.refused(bot.Conflict, "you approved #1 already", sreOne+"-phone", "approve 1")
	if got := h.reaches(n, bot.Waiting); len(got.Approvals) != 1 {
		t.Fatalf("%d approvals", len(got.Approvals))
	}
	h.mustSay(sreTwo, "approve")
	got := h.reaches(n, bot.Succeeded)
	if len(got.Approvals) != 2 {
		t.Errorf("%d approvals", len(got.Approvals))
	}
	for _, rec := range r.records(n) {
		if rec.Kind == bot.Started && rec.Detail["approved_by"] != "sre-one, sre-two" {
			t.Errorf("started with %v", rec.Detail)
		}
	}
}

// holdSlot makes a run that holds the release slot of a target until release is
// called.
func holdSlot(h *host, line string) (n int64, release func()) {
	h.rig.t.Helper()
	before := len(h.rig.far.Acts())
	release = h.rig.far.Hold()
	n = h.begin(sreOne, line)
	h.rig.await("the platform to act", func() bool { return len(h.rig.far.Acts()) > before })
	return n, release
}

// stopAt gives a Reach that lets nothing past a point the first time it gets
// there, and says when it does.
func stopAt(point string) (reach func(string), there chan struct{}, goOn func()) {
	there, free := make(chan struct{}), make(chan struct{})
	var first, last sync.Once
	return func(p string) {
		if p != point {
			return
		}
		stop := false
		first.Do(func() { stop = true })
		if stop {
			close(there)
			<-free
		}
	}, there, func() { last.Do(func() { close(free) }) }
}

func (r *rig) arrives(what string, there <-chan struct{}) {
	r.t.Helper()
	select {
	case <-there:
	case <-time.After(patience):
		r.t.Fatalf("waited too long for %s", what)
	}
}

// pause gives a host that stops once after a run has its slot, before its last
// checks.
func pause(r *rig) (h *host, there chan struct{}, goOn func()) {
	reach, there, goOn := stopAt("slot taken")
	h = r.host(func(c *run.Config) { c.Reach = reach }).start()
	r.t.Cleanup(goOn)
	return h, there, goOn
}

// An approver loses the role between the approval and the moment of acting.
func TestApproverLosesRole(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	h, there, goOn := pause(r)
	n := h.begin(dev, "deploy shop v2 to prod")
	h.mustSay(dev, "confirm")
	h.mustSay(sreOne, "approve")
	r.arrives("the last checks", there)
	r.people.set(sreOne, "visitor")
	goOn()
	got := h.reaches(n, bot.Waiting)
	card := h.shows(n, "what is asked anew", func(c bot.Card) bool { return c.State == bot.Waiting && c.Version == got.Card })
	if !hasField(card, "mind", "the approval of sre-one no longer counts") || len(got.Approvals) != 0 {
		t.Errorf("card %+v, approvals %+v", card, got.Approvals)
	}
	if len(r.far.Acts()) != 0 {
		t.Error("it acted")
	}
	h.refused(bot.Denied, "does not count", sreOne, "approve 1")
	h.mustSay(sreTwo, "approve 1")
	h.reaches(n, bot.Succeeded)
}

func hasField(c bot.Card, name, text string) bool {
	return slices.ContainsFunc(c.Fields, func(f bot.Field) bool { return f.Name == name && strings.Contains(f.Value, text) })
}

// The asker loses the right, or the account, before the moment of acting.
func TestAskerLosesRight(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	h, there, goOn := pause(r)
	n := h.begin(dev, "deploy shop v2 to prod")
	h.mustSay(dev, "confirm")
	h.mustSay(sreOne, "approve")
	r.arrives("the last checks", there)
	r.people.set(dev, "visitor")
	goOn()
	h.reaches(n, bot.Failed)
	card := h.shows(n, "its end", func(c bot.Card) bool { return c.State == bot.Failed })
	if card.Outcome != bot.OutcomeDenied || !strings.HasPrefix(card.Text, "denied: dev may not deploy") {
		t.Errorf("card %+v", card)
	}
	recs := r.records(n)
	if last := recs[len(recs)-1]; last.Kind != bot.DeniedRecord || last.Error != bot.Denied {
		t.Errorf("the last record is %+v", last)
	}
	if len(r.far.Acts()) != 0 {
		t.Error("it acted")
	}
}

// A directory that does not answer is no denial, and nothing is done.
func TestDirectoryDown(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	h, there, goOn := pause(r)
	n := h.begin(dev, "deploy shop v2 to free")
	r.arrives("the last checks", there)
	r.people.mu.Lock()
	r.people.down = true
	r.people.mu.Unlock()
	goOn()
	got := h.reaches(n, bot.Failed)
	if !got.Decision.Allowed || r.has(n, bot.FailedKind) != 1 || r.has(n, bot.DeniedRecord) != 0 || len(r.far.Acts()) != 0 {
		t.Errorf("%+v, %d acts", got.Decision, len(r.far.Acts()))
	}
}

func TestExpiry(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	h := r.host().start()
	first := h.begin(dev, "deploy shop v2 to prod")
	second := h.begin(dev, "deploy shop v2 to asks")
	h.mustSay(dev, fmt.Sprint("confirm ", first))
	r.clock.jump(2*time.Minute + time.Second)
	h.Wake()
	h.reaches(second, bot.Expired)
	h.reaches(first, bot.Waiting) // an approval has 30 minutes
	h.refused(bot.Conflict, "is over: expired", dev, fmt.Sprint("confirm ", second))
	r.clock.jump(30 * time.Minute)
	// Also when nobody has come to say so yet.
	err := h.say(sreOne, fmt.Sprint("approve ", first))
	r.mustRefuse(err, bot.Conflict, "expired")
	h.Wake()
	h.reaches(first, bot.Expired)
	if r.has(first, bot.ExpiredKind) != 1 || r.has(second, bot.ExpiredKind) != 1 || len(r.far.Acts()) != 0 {
		t.Error("an expiry is not on record, or it acted")
	}
	h.shows(first, "its end", func(c bot.Card) bool { return c.State == bot.Expired && len(c.Buttons) == 0 })
}

// The first of two approvals does not give the second one more time.
func TestApprovalsShareOneDeadline(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	h := r.host().start()
	n := h.begin(dev, "deploy shop v2 to two")
	before := h.reaches(n, bot.Waiting).Expires
	r.clock.jump(20 * time.Minute)
	h.mustSay(sreOne, "approve")
	if after := h.reaches(n, bot.Waiting).Expires; !after.Equal(before) {
		t.Errorf("the deadline moved by %s", after.Sub(before))
	}
}

// Buttons work as long as what they answer does, and carry what they were
// shown with.
func TestButtons(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	h := r.host().start()
	n := h.begin(dev, "deploy shop v2 to prod")
	if err := h.press(dev, n, "Confirm"); err != nil {
		t.Fatal(err)
	}
	stale := h.token(n, "Approve")
	r.far.SetLive(target(prod), "v3") // somebody else
	h.mustSay(sreOne, fmt.Sprint("approve ", n))
	r.await("a new plan", func() bool { return r.has(n, bot.Step) > 0 })
	got := h.reaches(n, bot.Waiting)
	r.mustRefuse(h.pressToken(sreTwo, stale), bot.Conflict, "planned anew")
	h.shows(n, "the new plan", func(c bot.Card) bool { return c.Version == got.Card })
	if err := h.press(dev, n, "Confirm"); err != nil {
		t.Fatal(err)
	}
	r.mustRefuse(h.pressToken(sreTwo, stale), bot.Conflict, "planned anew")
	h.shows(n, "the question to approve", func(c bot.Card) bool { return c.Version > got.Card })
	if err := h.press(sreTwo, n, "Approve"); err != nil {
		t.Fatal(err)
	}
	h.reaches(n, bot.Succeeded)
	r.mustRefuse(h.pressToken(sreTwo, stale), bot.Conflict, "planned anew")
}

// The button that cancels works for as long as the run does.
func TestCancelButtonOutlivesTheQuestion(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	h := r.host().start()
	defer r.far.Hold()()
	n := h.begin(dev, "deploy shop v2 to asks")
	h.token(n, "Cancel")
	h.mustSay(dev, "confirm")
	h.reaches(n, bot.Running)
	r.await("the platform to act", func() bool { return len(r.far.Acts()) > 0 })
	r.clock.jump(3 * time.Hour)
	h.shows(n, "running", func(c bot.Card) bool { return c.State == bot.Running })
	token := h.token(n, "Cancel")
	doc := r.document(run.KindPress, token)
	if doc.Due.Before(r.clock.Now()) {
		t.Errorf("the button of a running run expired at %s", doc.Due)
	}
	if err := h.pressToken(dev, token); err != nil {
		t.Fatal(err)
	}
	h.reaches(n, bot.Cancelled)
}

// "Roll back" on a card is about what that card brought, not about what came
// after it.
func TestOldRollBackButton(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	h := r.host().start()
	n := h.begin(dev, "deploy shop v2 to free")
	h.reaches(n, bot.Succeeded)
	h.shows(n, "its end", func(c bot.Card) bool { return c.State == bot.Succeeded })
	token := h.token(n, "Roll back")
	next := h.begin(dev, "deploy shop v3 to free")
	h.reaches(next, bot.Succeeded)
	r.mustRefuse(h.pressToken(dev, token), bot.Conflict, "#2 changed shop/free since")
	if r.far.Live(target(free)) != "v3" {
		t.Fatal("an old button rolled back")
	}
	h.shows(next, "its end", func(c bot.Card) bool { return c.State == bot.Succeeded })
	if err := h.press(dev, next, "Roll back"); err != nil {
		t.Fatal(err)
	}
	back := h.newest()
	h.reaches(back, bot.Succeeded)
	if r.far.Live(target(free)) != "v2" {
		t.Errorf("%s is live", r.far.Live(target(free)))
	}
	r.mustRefuse(h.pressToken(dev, h.token(next, "Roll back")), bot.Conflict, "#3 changed shop/free since")
	card := h.shows(back, "its end", func(c bot.Card) bool { return c.State == bot.Succeeded })
	if len(card.Buttons) != 0 || !hasField(card, "undo", "--override") {
		t.Errorf("a way back offers %+v, fields %+v", card.Buttons, card.Fields)
	}
}

func TestReasonAndTicket(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	h := r.host().start()
	h.refused(bot.Denied, "needs a reason", dev, "deploy shop v2 to ticket")
	h.refused(bot.Denied, "ticket in its reason that matches OPS-", dev, `deploy shop v2 to ticket --reason "because"`)
	n := h.begin(dev, `deploy shop v2 to ticket --reason "OPS-7 sale"`)
	h.reaches(n, bot.Succeeded)
	if rec := r.records(n)[0]; rec.Text["reason"] != "OPS-7 sale" {
		t.Errorf("record %+v", rec)
	}
}

// A dry run and a call with nothing to do leave a read record and nothing else.
func TestDryRunAndNoop(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	h := r.host().start()
	h.mustSay(dev, "deploy shop v2 to prod --dry-run")
	h.mustSay(dev, "deploy shop v1 to prod")
	recs := r.records(0)
	if len(recs) != 2 || !recs[0].Read || !recs[1].Read || recs[0].Kind != bot.SucceededKind || recs[0].Run != 0 || recs[1].Spec != "" {
		t.Fatalf("records %+v", recs)
	}
	r.await("both answers", func() bool {
		return h.chat.card(channel, "reply/chat-1").Title != "" && h.chat.card(channel, "reply/chat-2").Title != ""
	})
	dry, noop := h.chat.card(channel, "reply/chat-1"), h.chat.card(channel, "reply/chat-2")
	if !strings.Contains(dry.Title, "nothing was done") || !hasField(dry, "would need", "your confirmation, then 1 approval from sre") {
		t.Errorf("card %+v", dry)
	}
	if !strings.Contains(noop.Title, "v1 is live in shop/prod already") || noop.Outcome != bot.OutcomeOK {
		t.Errorf("card %+v", noop)
	}
	if runs, err := h.Runs(t.Context(), bot.RunFilter{}); err != nil || len(runs) != 0 || len(r.far.Acts()) != 0 {
		t.Errorf("runs %v (%v), acts %v", runs, err, r.far.Acts())
	}
}

func TestRetyped(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	h := r.host().start()
	h.reaches(h.begin(dev, "restart shop free"), bot.Succeeded)
	n := h.begin(dev, "restart shop/free")
	got := h.reaches(n, bot.Waiting)
	card := h.shows(n, "the question", func(c bot.Card) bool { return c.Version == got.Card })
	if !hasField(card, "mind", "you asked for the same less than a minute ago: #1") {
		t.Errorf("card %+v", card)
	}
	h.mustSay(dev, "confirm")
	h.reaches(n, bot.Succeeded)
	h.reaches(h.begin(devTwo, "restart shop free"), bot.Succeeded) // another person is not in a hurry
	r.clock.jump(time.Minute)
	h.reaches(h.begin(dev, "restart shop free"), bot.Succeeded)
}

// The same line while the first is under way asks too, once it is its turn.
func TestRetypedWhileBusy(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	h := r.host().start()
	release := r.far.Hold()
	first := h.begin(dev, "restart shop free")
	r.await("the platform to act", func() bool { return len(r.far.Acts()) > 0 })
	n := h.begin(dev, "restart shop free")
	release()
	h.reaches(first, bot.Succeeded)
	h.reaches(n, bot.Waiting)
	h.mustSay(dev, "cancel")
	h.reaches(n, bot.Cancelled)
	if len(r.far.Acts()) != 1 {
		t.Errorf("%d acts", len(r.far.Acts()))
	}
}

func TestDeny(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	h := r.host().start()
	n := h.begin(dev, `deploy shop v2 to prod --reason "OPS-7 basket"`)
	h.shows(n, "the reason", func(c bot.Card) bool { return hasField(c, "why", "OPS-7 basket") })
	h.mustSay(dev, "confirm")
	h.refused(bot.Denied, "you may not deny", devTwo, "deny 1")
	h.refused(bot.Denied, "you may not deny", outsider, "deny 1")
	r.people.set(outsider)
	for _, line := range []string{"deny 1", "approve 1", "confirm 1", "cancel 1", "cancel 99"} {
		h.refused(bot.NotFound, "there is no run #"+line[strings.IndexByte(line, ' ')+1:], outsider, line) // who may see nothing learns nothing
	}
	h.mustSay(sreOne, `deny 1 --reason "not on Friday"`)
	h.reaches(n, bot.Cancelled)
	card := h.shows(n, "its end", func(c bot.Card) bool { return c.State == bot.Cancelled })
	// It answers the one who denied it, who got what was wanted.
	if card.Outcome != bot.OutcomeOK || card.Text != "denied by sre-one: not on Friday" {
		t.Errorf("card %+v", card)
	}
	recs := r.records(n)
	if last := recs[len(recs)-1]; last.Kind != bot.DeniedRecord || last.Person != sreOne || last.Error != "" || last.Detail["state"] != "cancelled" {
		t.Errorf("the last record is %+v", last)
	}
}
