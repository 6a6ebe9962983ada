package run_test

import (
	"context"
	"strings"
	"testing"

	"quarterdeck/bot"
	"quarterdeck/bot/provider/providertest"
	"quarterdeck/bot/run"
)

func (h *host) bad(name string) []string {
	h.rig.t.Helper()
	marks, err := h.ledger.Bad(h.rig.t.Context(), target(name))
	if err != nil {
		h.rig.t.Fatal(err)
	}
	var versions []string
	for _, m := range marks {
		versions = append(versions, m.Artefact.Version)
	}
	return versions
}

// A rollback stops the deployment under way, waits until it is settled, and
// goes back to what was live before; nothing of another slot is touched.
func TestRollbackPreempts(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	h := r.host().start()
	h.reaches(h.begin(dev, "deploy shop v2 to free"), bot.Succeeded)
	release := r.far.Hold()
	front := h.begin(dev, "deploy shop v3 to free")
	elsewhere := h.begin(dev, "deploy pay v2 to free")
	r.await("the platform to act", func() bool { return len(r.far.Acts()) == 3 })
	back := h.begin(sreOne, "rollback shop free")
	got := h.reaches(front, bot.Cancelled)
	if got.CancelBy != sreOne || got.Replaced != back || !strings.Contains(got.Result, "#4 takes its place") {
		t.Errorf("stopped by %q for #%d: %s", got.CancelBy, got.Replaced, got.Result)
	}
	h.reaches(elsewhere, bot.Running)
	release()
	rolled := h.reaches(back, bot.Succeeded)
	h.reaches(elsewhere, bot.Succeeded)
	if !rolled.Started.After(got.Ended) {
		t.Error("the rollback began before the deployment was settled")
	}
	if live := r.far.Live(target(free)); live != "v2" {
		t.Errorf("%s is live", live)
	}
	if bad := h.bad(free); len(bad) != 1 || bad[0] != "v3" {
		t.Errorf("marked bad: %v", bad)
	}
	var stopped bot.Record
	for _, rec := range r.records(front) {
		if rec.Detail["by"] != "" {
			stopped = rec
		}
	}
	if stopped.Person != sreOne || stopped.Standing != bot.Member || stopped.Detail["state"] != string(bot.Cancelling) {
		t.Errorf("who stopped it is recorded as %+v", stopped)
	}
}

// A deployment in its last checks has started nothing: the rollback takes its
// place at once.
func TestRollbackPreemptsAdmission(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	h := r.host().start()
	h.reaches(h.begin(dev, "deploy shop v2 to free"), bot.Succeeded)
	two, there, goOn := pause(r)
	h.kill()
	front := two.begin(dev, "deploy shop v3 to free")
	r.arrives("the last checks", there)
	back := two.begin(sreOne, "rollback shop free v1")
	two.reaches(back, bot.Succeeded)
	goOn()
	got := two.reaches(front, bot.Cancelled)
	recs := r.records(front)
	if last := recs[len(recs)-1]; got.Result != "replaced by #3 before it began" || last.Person != sreOne || last.Kind != bot.CancelledKind {
		t.Errorf("%q, recorded as %+v", got.Result, last)
	}
	if acts := r.far.Acts(); len(acts) != 2 || r.far.Live(target(free)) != "v1" {
		t.Errorf("acts %+v", acts)
	}
}

// Two people go back at the same time: the second must not go back twice, let
// alone to what the first one left.
func TestTwoRollbacks(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	h := r.host().start()
	h.reaches(h.begin(dev, "deploy shop v2 to free"), bot.Succeeded)
	h.reaches(h.begin(dev, "deploy shop v3 to free"), bot.Succeeded)
	release := r.far.Hold()
	first := h.begin(sreOne, "rollback shop free")
	r.await("the platform to act", func() bool { return len(r.far.Acts()) == 3 })
	h.mustSay(sreTwo, "rollback shop free")
	if n := h.newest(); n != first {
		t.Fatalf("a second rollback became #%d", n)
	}
	r.await("the answer", func() bool {
		return strings.Contains(h.chat.card(channel, "reply/chat-4").Title, "#3 is going back to v2 in shop/free already")
	})
	// One that names another release does not wait for the first to be through:
	// it stops it and takes its place.
	named := h.begin(sreTwo, "rollback shop free v1")
	got := h.reaches(first, bot.Cancelled)
	if got.Replaced != named {
		t.Errorf("#%d was replaced by #%d", first, got.Replaced)
	}
	release()
	h.reaches(named, bot.Succeeded)
	if live, bad := r.far.Live(target(free)), h.bad(free); live != "v1" || len(bad) != 1 || bad[0] != "v3" {
		t.Errorf("%s is live, bad are %v", live, bad)
	}
}

// startAs starts a line whose plan is what replan makes of the command's own.
func (h *host) startAs(who, line string, replan func(plan bot.Plan) bot.Plan) error {
	h.rig.t.Helper()
	m := h.rig.receive(bot.Message{Account: bot.AccountID("chat:" + who), Text: line})
	p, err := h.grammar.Parse(m.Text)
	if err != nil {
		h.rig.t.Fatal(err)
	}
	id, err := h.rig.people.Recall(context.Background(), m.Account)
	if err != nil {
		h.rig.t.Fatal(err)
	}
	c := bot.Call{ID: h.rig.ids.New(), Who: id, Message: m.ID, Channel: m.Channel, At: h.rig.clock.Now(), Line: p.Line, Command: p.Command.Name, Args: p.Args}
	ask, err := p.Command.Resolve(c)
	if err != nil {
		h.rig.t.Fatal(err)
	}
	own := p.Command.Plan
	p.Command.Plan = func(ctx context.Context, c bot.Call) (bot.Plan, error) {
		plan, err := own(ctx, c)
		if err != nil {
			return plan, err
		}
		return replan(plan), nil
	}
	return h.Start(context.Background(), c, ask, p.Command)
}

// Two rollbacks that were planned at the same moment, before either was
// written: the second does not go back once more.
func TestTwoRollbacksPlannedAtOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	h := r.host().start()
	h.reaches(h.begin(dev, "deploy shop v2 to free"), bot.Succeeded)
	h.reaches(h.begin(dev, "deploy shop v3 to free"), bot.Succeeded)
	err := h.startAs(sreOne, "rollback shop free", func(plan bot.Plan) bot.Plan {
		h.mustSay(sreTwo, "rollback shop free")
		return plan
	})
	if err != nil {
		t.Fatal(err)
	}
	h.reaches(3, bot.Succeeded)
	h.reaches(4, bot.Waiting)
	if bad := h.bad(free); r.far.Live(target(free)) != "v2" || len(bad) != 1 || bad[0] != "v3" {
		t.Errorf("%s is live, bad are %v", r.far.Live(target(free)), bad)
	}
}

// A rollback that was planned without knowing of a deployment that began
// meanwhile stops it, and asks before it goes back from what was live then.
func TestRollbackPlannedBeforeTheDeploymentBegan(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	h := r.host().start()
	h.reaches(h.begin(dev, "deploy shop v2 to free"), bot.Succeeded)
	defer r.far.Hold()()
	err := h.startAs(sreOne, "rollback shop free", func(plan bot.Plan) bot.Plan {
		h.mustSay(dev, "deploy shop v3 to free")
		r.await("the platform to act", func() bool { return len(r.far.Acts()) == 2 })
		return plan
	})
	if err != nil {
		t.Fatal(err)
	}
	h.reaches(2, bot.Cancelled)
	got := h.reaches(3, bot.Waiting)
	card := h.shows(3, "the question", func(c bot.Card) bool { return c.Version == got.Card })
	if !hasField(card, "mind", "#2 had begun meanwhile") || len(r.far.Acts()) != 2 || r.far.Live(target(free)) != "v2" {
		t.Errorf("card %+v, acts %+v", card, r.far.Acts())
	}
}

// What was queued when somebody went back does not undo that by itself.
func TestQueuedBehindRollbackAsksAnew(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	h := r.host().start()
	h.reaches(h.begin(dev, "deploy shop v2 to free"), bot.Succeeded)
	front, release := holdSlot(h, "deploy shop v3 to free")
	queued := h.begin(dev, "deploy shop v4 to free")
	back := h.begin(sreTwo, "rollback shop free")
	h.reaches(front, bot.Cancelled)
	release()
	h.reaches(back, bot.Succeeded)
	got := h.reaches(queued, bot.Waiting)
	card := h.shows(queued, "the question", func(c bot.Card) bool { return c.Version == got.Card })
	if !hasField(card, "mind", "#4 went back to an earlier release meanwhile") {
		t.Errorf("card %+v", card)
	}
	if live := r.far.Live(target(free)); live != "v2" {
		t.Errorf("%s is live", live)
	}
}

// In the queue a way back comes first, whatever was there before it.
func TestRollbackFirst(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	r.past(free, "v2")
	h := r.host(func(c *run.Config) { c.Parallel = 1 }) // looks at one after the other
	queued := h.begin(dev, "deploy shop v3 to free")
	back := h.begin(dev, "rollback shop free v2")
	h.start()
	h.reaches(back, bot.Succeeded)
	h.reaches(queued, bot.Waiting)
	if acts := r.far.Acts(); len(acts) != 1 || acts[0].To != "v2" {
		t.Errorf("acts %+v", acts)
	}
}

// A rollback that was itself given up tells nobody that it went back.
func TestCancelledRollbackTellsNothing(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	r.past(free, "v2")
	h, there, goOn := pause(r)
	back := h.begin(sreTwo, "rollback shop free v2")
	r.arrives("the last checks", there)
	queued := h.begin(dev, "deploy shop v3 to free")
	h.mustSay(sreTwo, "cancel")
	goOn()
	h.reaches(back, bot.Cancelled)
	h.reaches(queued, bot.Succeeded)
}

// A release that was left by a rollback needs an override, by whoever may.
func TestBadRelease(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	h := r.host().start()
	h.reaches(h.begin(dev, "deploy shop v2 to free"), bot.Succeeded)
	h.reaches(h.begin(dev, `rollback shop free --reason "orders fail"`), bot.Succeeded)
	h.refused(bot.Denied, "v2 is marked bad in shop/free since run #2 by dev", dev, "deploy shop v2 to free")
	h.refused(bot.Denied, "you may not override that", dev, `deploy shop v2 to free --override "it was the data"`)
	// Going back to it by name is no way around that.
	h.refused(bot.Denied, "v2 is marked bad", dev, "rollback shop free v2")
	h.refused(bot.Denied, "you may not override that", dev, `rollback shop free v2 --override "it was the data"`)
	n := h.begin(sreOne, `deploy shop v2 to free --override "it was the data"`)
	h.reaches(n, bot.Succeeded)
	over := 0
	for _, rec := range r.records(n) {
		if rec.Kind == bot.OverriddenKind {
			over++
			if rec.Person != sreOne || rec.Text["override"] != "it was the data" || !strings.Contains(rec.Text["passed"], "v2 is marked bad") {
				t.Errorf("record %+v", rec)
			}
		}
	}
	if over != 1 {
		t.Errorf("%d records of the override", over)
	}
	h.reaches(h.begin(sreOne, "deploy shop v1 to free"), bot.Succeeded)
	back := h.begin(sreOne, `rollback shop free v2 --override "it was the data"`)
	h.reaches(back, bot.Succeeded)
	if r.has(back, bot.OverriddenKind) != 1 {
		t.Error("going back to a bad release with an override is not on record")
	}
}

// An obstacle that came up after the plan is checked, and recorded, too.
func TestObstacleAtTheMomentOfActing(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	h := r.host().start()
	stands := []bot.Obstacle{{Permission: bot.MayOverrideBad, Text: "the bridge is up"}}
	r.drill.set(func(d *drill) { d.check = func() ([]bot.Obstacle, error) { return stands, nil } })
	n := h.begin(dev, "drill shop free")
	h.reaches(n, bot.Failed)
	if r.has(n, bot.DeniedRecord) != 1 {
		t.Error("the denial is not on record")
	}
	card := h.shows(n, "its end", func(c bot.Card) bool { return c.State == bot.Failed })
	if card.Outcome != bot.OutcomeDenied || !strings.HasPrefix(card.Text, "denied: the bridge is up; a holder of release.override") {
		t.Errorf("card %+v", card)
	}
	n = h.begin(devTwo, `drill shop free --override "I swim"`)
	if got := h.reaches(n, bot.Failed); !strings.Contains(got.Result, "you may not override that") {
		t.Errorf("result %q", got.Result)
	}
	n = h.begin(sreOne, `drill shop free --override "I swim"`)
	h.reaches(n, bot.Succeeded)
	if r.has(n, bot.OverriddenKind) != 1 {
		t.Error("what was passed is not on record")
	}
	// The right to override is asked for again, as it is then.
	two, there, goOn := pause(r)
	h.kill()
	n = two.begin(sreTwo, `drill shop free --override "I swim"`)
	r.arrives("the last checks", there)
	r.people.set(sreTwo, "developer")
	goOn()
	if got := two.reaches(n, bot.Failed); !strings.Contains(got.Result, "you may not override that") {
		t.Errorf("result %q", got.Result)
	}
}

// A rollback whose platform only half obeys still ends with the earlier
// release.
func TestRollbackOverAPartlyCancelledDeployment(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c bot.Clock) *providertest.Infrastructure {
		return providertest.NewHostile(c, providertest.CancelsPartly)
	})
	h := r.host().start()
	release := r.far.Hold()
	front := h.begin(dev, "deploy shop v2 to free")
	r.await("the platform to act", func() bool { return len(r.far.Acts()) == 1 })
	back := h.begin(dev, "rollback shop free")
	h.reaches(front, bot.Failed)
	release()
	h.reaches(back, bot.Succeeded)
	if live := r.far.Live(target(free)); live != "v1" {
		t.Errorf("%s is live", live)
	}
}
