package run_test

import (
	"context"
	"testing"
	"time"

	"quarterdeck/bot"
)

// TestSlotOfSeveralTargets: runs on different targets that share a slot go one
// at a time, and in the order in which they were asked for.
func TestSlotOfSeveralTargets(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	open := make(chan struct{})
	r.drill.set(func(d *drill) {
		d.slot = "action drill"
		d.advance = func(context.Context, bot.Handle) (bot.Progress, error) {
			select {
			case <-open:
				return bot.Progress{State: bot.OpSucceeded, Text: "drilled"}, nil
			default:
				return bot.Progress{State: bot.OpWorking, Next: time.Millisecond}, nil
			}
		}
	})
	h := r.host().start()
	first := h.begin(dev, "drill shop free")
	h.reaches(first, bot.Running)
	second := h.begin(dev, "drill pay free")
	third := h.begin(devTwo, "drill shop free")
	for _, n := range []int64{second, third} {
		if got := h.reaches(n, bot.Queued); !got.Started.IsZero() {
			t.Errorf("#%d began beside #%d", n, first)
		}
	}
	close(open)
	a, b, c := h.reaches(first, bot.Succeeded), h.reaches(second, bot.Succeeded), h.reaches(third, bot.Succeeded)
	if b.Started.Before(a.Ended) || c.Started.Before(b.Ended) {
		t.Errorf("they ran from %s to %s, %s to %s and %s to %s; want one after the other as they were asked for",
			a.Started, a.Ended, b.Started, b.Ended, c.Started, c.Ended)
	}
}
