package run_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/outbox"
	"quarterdeck/bot/run"
	"quarterdeck/bot/store"
)

// Somebody else deploys between the approval and the moment of acting: the plan
// is another one, and nobody has agreed to it.
func TestPreconditionChanged(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	h, there, goOn := pause(r)
	n := h.begin(dev, "deploy shop v2 to prod")
	h.mustSay(dev, "confirm")
	h.mustSay(sreOne, "approve")
	r.arrives("the last checks", there)
	before, err := h.Get(t.Context(), n)
	if err != nil {
		t.Fatal(err)
	}
	r.far.SetLive(target(prod), "v3")
	goOn()
	got := h.reaches(n, bot.Waiting)
	if got.Digest == before.Digest || len(got.Approvals) != 0 || !got.Confirmed.IsZero() || len(r.far.Acts()) != 0 {
		t.Fatalf("digest %s then %s, approvals %v, confirmed %v, acts %v", before.Digest, got.Digest, got.Approvals, got.Confirmed, r.far.Acts())
	}
	card := h.shows(n, "the new plan", func(c bot.Card) bool { return c.Version == got.Card })
	if !hasField(card, "mind", "asked anew: v3 is live in shop/prod now, not v1") || !hasField(card, "now", "v3") {
		t.Errorf("card %+v", card)
	}
	r.clock.jump(3 * time.Second)
	h.mustSay(dev, "confirm")
	h.reaches(n, bot.Waiting)
	h.mustSay(sreOne, "approve") // once more
	got = h.reaches(n, bot.Succeeded)
	if r.effects(got) != 1 || r.far.Acts()[0].From != "v3" {
		t.Errorf("acts %+v", r.far.Acts())
	}
}

// The plan came true by itself while people thought about it.
func TestNothingLeftToDo(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	h := r.host().start()
	n := h.begin(dev, "deploy shop v2 to asks")
	r.far.SetLive(target(asks), "v2")
	h.mustSay(dev, "confirm")
	if got := h.reaches(n, bot.Cancelled); !strings.Contains(got.Result, "v2 is live") || len(r.far.Acts()) != 0 {
		t.Errorf("%q, acts %v", got.Result, r.far.Acts())
	}
	h.shows(n, "that nothing is left to do", func(c bot.Card) bool {
		return strings.HasSuffix(c.Title, "nothing left to do") && c.Outcome == bot.OutcomeOK
	})
}

// What was typed for the plan before must not become a yes to the new one.
func TestLookAgain(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	h, there, goOn := pause(r)
	n := h.begin(dev, "deploy shop v2 to asks")
	r.await("the first card", func() bool { return r.shownVersion(channel, n) > 0 })
	h.mustSay(dev, "confirm")
	r.arrives("the last checks", there)
	h.chat.set(true)
	r.far.SetLive(target(asks), "v3")
	goOn()
	got := h.reaches(n, bot.Waiting)
	// The new card cannot be delivered: what is on the screen is the old one.
	r.clock.jump(5 * time.Second)
	h.refused(bot.Conflict, "its new card is not here yet", dev, "confirm")
	// Nor has it been shown anywhere else.
	elsewhere := func() error {
		return h.road(r.receive(bot.Message{Account: "chat:dev", Text: "confirm", Channel: "chat:elsewhere"}), "")
	}
	r.mustRefuse(elsewhere(), bot.Conflict, "nowhere to be seen yet")
	h.chat.set(false)
	r.clock.jump(20 * time.Second) // past the retries' pauses
	h.posts.Wake()
	r.await("the new card", func() bool {
		return r.shownVersion(channel, n) >= got.Card
	})
	h.mustSay(dev, "confirm")
	h.reaches(n, bot.Succeeded)
}

// shownVersion gives the version of a run's card that a channel has.
func (r *rig) shownVersion(channel bot.ChannelID, number int64) (version int64) {
	r.t.Helper()
	err := r.store.View(context.Background(), func(rd store.Reader) (err error) {
		version, _, err = outbox.Shown(rd, channel, bot.RunCardKey(number))
		return err
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return version
}

// Also where the card is, it takes a moment to see that it changed.
func TestLookAgainAtOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	clock := &still{at: time.Now().UTC().Truncate(time.Microsecond)} // so that the moment does not pass
	reach, there, goOn := stopAt("slot taken")
	t.Cleanup(goOn)
	h := r.host(func(c *run.Config) { c.Reach, c.Clock = reach, clock })
	h.start()
	n := h.begin(dev, "deploy shop v2 to asks")
	h.mustSay(dev, "confirm")
	r.arrives("the last checks", there)
	r.far.SetLive(target(asks), "v3")
	goOn()
	got := h.reaches(n, bot.Waiting)
	r.await("the new card", func() bool { return r.shownVersion(channel, n) >= got.Card })
	h.refused(bot.Conflict, "its card has only just changed", dev, "confirm")
	// The button on the new card says which plan is meant.
	h.shows(n, "the new plan", func(c bot.Card) bool { return c.Version == got.Card })
	if err := h.press(dev, n, "Confirm"); err != nil {
		t.Fatal(err)
	}
	h.reaches(n, bot.Queued, bot.Running, bot.Succeeded)
}

// still is a clock that stands.
type still struct{ at time.Time }

func (s *still) Now() time.Time { return s.at }

// A run that was asked for while the slot was busy is planned when it frees,
// and the queue is served in order.
func TestQueue(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	h := r.host().start()
	first, release := holdSlot(h, "deploy shop v2 to free")
	second := h.begin(dev, "deploy shop v3 to free")
	third := h.begin(devTwo, "deploy shop v2 to free")
	elsewhere := h.begin(dev, "restart pay free") // another slot is free
	for _, n := range []int64{second, third} {
		got := h.reaches(n, bot.Queued)
		if !got.Replan {
			t.Errorf("#%d was planned while #%d was under way", n, first)
		}
		h.shows(n, "its place", func(c bot.Card) bool { return strings.HasPrefix(c.Text, "behind #") })
	}
	h.reaches(elsewhere, bot.Queued, bot.Running)
	r.await("the other slot's run", func() bool { return len(r.far.Acts()) == 2 })
	release()
	h.reaches(first, bot.Succeeded)
	h.reaches(second, bot.Succeeded)
	h.reaches(third, bot.Succeeded)
	var order []string
	for _, a := range r.far.Acts() {
		if a.Target == target(free) {
			order = append(order, a.From+">"+a.To)
		}
	}
	if got := strings.Join(order, " "); got != "v1>v2 v2>v3 v3>v2" {
		t.Errorf("the platform did %s", got)
	}
}

// That there is nothing to do is no answer while somebody else is about to
// change that.
func TestNothingToDoYet(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	h, there, goOn := pause(r)
	first := h.begin(dev, "deploy shop v2 to free")
	r.arrives("the last checks", there)
	second := h.begin(devTwo, "deploy shop v1 to free")
	if second == first {
		t.Fatal("v1 was said to be live already")
	}
	goOn()
	h.reaches(first, bot.Succeeded)
	h.reaches(second, bot.Succeeded)
	if live := r.far.Live(target(free)); live != "v1" {
		t.Errorf("%s is live", live)
	}
}

// A queued run that needs people asks them once its turn comes, and holds
// nobody up while it waits.
func TestQueuedAsksWhenItsTurnComes(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	r.past(prod, "v2", "v4")
	h := r.host().start()
	first, release := holdSlot(h, "rollback shop prod v2")
	second := h.begin(dev, "deploy shop v3 to prod")
	h.reaches(second, bot.Queued)
	release()
	h.reaches(first, bot.Succeeded)
	h.reaches(second, bot.Waiting)
}

// A queue of many is served to the end, each with its own plan.
func TestLongQueue(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	h := r.host().start()
	_, release := holdSlot(h, "restart shop free")
	const many = 8
	var queued []int64
	for i := range many {
		queued = append(queued, h.begin(dev, fmt.Sprintf("deploy shop v%d to free --reason %d", 2+i%2, i))) // not retyped
	}
	release()
	for _, n := range queued {
		h.reaches(n, bot.Succeeded)
	}
	acts := r.far.Acts()
	if len(acts) != many+1 {
		t.Fatalf("%d acts", len(acts))
	}
	for i, a := range acts[1:] {
		if want := fmt.Sprintf("v%d", 2+i%2); a.To != want {
			t.Errorf("act %d brought %s, want %s", i, a.To, want)
		}
	}
}

func TestCancelWaitingQueuedRunning(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	h := r.host().start()
	waiting := h.begin(dev, "deploy shop v2 to prod")
	running, release := holdSlot(h, "deploy shop v2 to free")
	defer release()
	queued := h.begin(dev, "deploy shop v3 to free")
	for _, n := range []int64{waiting, queued, running} {
		h.refused(bot.Denied, "may not", devTwo, fmt.Sprint("cancel ", n))
		h.refused(bot.Denied, "may not", outsider, fmt.Sprint("cancel ", n))
	}
	h.mustSay(dev, fmt.Sprint("cancel ", waiting))
	h.mustSay(sreTwo, fmt.Sprint("cancel ", queued))
	h.reaches(waiting, bot.Cancelled)
	got := h.reaches(queued, bot.Cancelled)
	if got.Result != "cancelled by sre-two before it began" {
		t.Errorf("result %q", got.Result)
	}
	recs := r.records(queued)
	if last := recs[len(recs)-1]; last.Kind != bot.CancelledKind || last.Person != sreTwo || !strings.Contains(last.Rule, "test:2") {
		t.Errorf("the last record is %+v", last)
	}
	h.mustSay(sreTwo, fmt.Sprint("cancel ", running))
	err := h.say(sreOne, fmt.Sprint("cancel ", running))
	if k := bot.KindOf(err); k != bot.Conflict {
		t.Errorf("cancelled twice: %v", err)
	}
	h.reaches(running, bot.Cancelled)
	if live := r.far.Live(target(free)); live != "v1" || len(r.far.Acts()) != 1 {
		t.Errorf("%s is live after %v", live, r.far.Acts())
	}
	h.refused(bot.Conflict, "is over: cancelled", sreOne, fmt.Sprint("cancel ", running))
	h.refused(bot.NotFound, "there is no run #99", sreOne, "cancel 99")
	h.refused(bot.NotFound, "you have no run under way", dev, "cancel")
}

// Whoever lost the right to deploy may still take back what has not begun, but
// not stop what is under way.
func TestCancelOwnWithoutTheRight(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	h := r.host().start()
	release := r.far.Hold()
	running := h.begin(dev, "deploy shop v2 to free")
	waiting := h.begin(dev, "deploy shop v2 to prod")
	r.await("the platform to act", func() bool { return len(r.far.Acts()) > 0 })
	r.people.set(dev, "visitor")
	h.refused(bot.Denied, "dev may not", dev, fmt.Sprint("cancel ", running))
	h.mustSay(dev, fmt.Sprint("cancel ", waiting))
	release()
	h.reaches(running, bot.Succeeded)
	h.reaches(waiting, bot.Cancelled)
}

// A cancellation that arrives during the last checks wins over them.
func TestCancelDuringLastChecks(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	h, there, goOn := pause(r)
	n := h.begin(dev, "deploy shop v2 to free")
	r.arrives("the last checks", there)
	h.mustSay(dev, "cancel")
	goOn()
	h.reaches(n, bot.Cancelled)
	h.reaches(h.begin(devTwo, "deploy shop v3 to free"), bot.Succeeded)
	if acts := r.far.Acts(); len(acts) != 1 || acts[0].To != "v3" {
		t.Errorf("acts %+v", acts)
	}
}

// What happens in the queue does not disturb the one that is about to begin.
func TestCancelBehindLastChecks(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	reach, there, goOn := stopAt("slot taken")
	var taken atomic.Int32
	h := r.host(func(c *run.Config) {
		c.Reach = func(p string) {
			if p == "slot taken" {
				taken.Add(1)
			}
			reach(p)
		}
	}).start()
	t.Cleanup(goOn)
	n := h.begin(dev, "deploy shop v2 to free")
	r.arrives("the last checks", there)
	behind := h.begin(devTwo, "deploy shop v3 to free")
	h.mustSay(devTwo, "cancel")
	h.reaches(behind, bot.Cancelled)
	goOn()
	h.reaches(n, bot.Succeeded)
	if taken.Load() != 1 {
		t.Errorf("the slot was taken %d times", taken.Load())
	}
}

// A provider that cannot cancel goes on and is followed.
func TestProviderCannotCancel(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	h := r.host().start()
	h.hooks.set(func(k *hooks) {
		k.cancel = func() error { return bot.Errorf(bot.Invalid, "this platform cannot stop a deployment") }
	})
	n, release := holdSlot(h, "deploy shop v2 to free")
	h.mustSay(sreOne, "cancel")
	r.await("the refusal", func() bool {
		got, err := h.Get(t.Context(), n)
		return err == nil && got.State == bot.Cancelling && got.CancelOK && got.Progress.State == bot.OpWorking
	})
	release()
	h.reaches(n, bot.Succeeded)
}

// When several runs wait for an answer, it has to be said which is meant.
func TestWhichOne(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	h := r.host().start()
	h.begin(dev, "deploy shop v2 to asks")
	h.begin(dev, "deploy shop v2 to prod")
	h.refused(bot.Invalid, "say which: #2 deploy shop v2 to prod, #1 deploy shop v2 to asks", dev, "confirm")
	h.refused(bot.NotFound, "no run waits for you to confirm it", devTwo, "confirm")
	h.refused(bot.NotFound, "no run waits for you to approve it", sreOne, "approve")
	h.mustSay(dev, "confirm 2")
	h.mustSay(dev, "confirm")
	h.reaches(1, bot.Succeeded)
	h.mustSay(sreOne, "approve")
	h.reaches(2, bot.Succeeded)
}

// A plan that cannot be made is an error of the call, and leaves nothing.
func TestPlanFails(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	h := r.host().start()
	h.refused(bot.NotFound, `there is no release "v9"`, dev, "deploy shop v9 to free")
	h.hooks.set(func(k *hooks) {
		k.current = func() error { return bot.Errorf(bot.Unavailable, "the platform is away") }
	})
	h.refused(bot.Unavailable, "the platform is away", dev, "deploy shop v2 to free")
	r.drill.set(func(d *drill) { d.plan = func() error { panic("a fault of the command") } })
	h.refused(bot.Internal, "internal error, ref", dev, "drill shop free")
	if len(r.records(0)) != 0 {
		t.Error("the engine recorded what is the caller's to record")
	}
	var e *bot.Error
	if err := h.say(dev, "drill shop free"); !errors.As(err, &e) || !strings.Contains(e.Error(), "a fault of the command") {
		t.Errorf("the operator is told %v", err)
	}
}
