package digest

import (
	"strings"
	"testing"
	"time"

	"quarterdeck/bot"
)

// TestPicture: the chart counts what ended on each of the last days, by the
// digest's own wall clock, and is left out where it would have to guess.
func TestPicture(t *testing.T) {
	w := window(t, 10)
	w.May = func(bot.Permission, bot.Target) bool { return true }
	run := func(ended time.Time, state bot.RunState) bot.Run {
		return bot.Run{State: state, Created: ended, Ended: ended, Ask: bot.Ask{Target: bot.Target{Service: "shop", Environment: "prod"}}}
	}
	runs := []bot.Run{
		run(w.To.Add(-time.Hour), bot.Succeeded), run(w.To.Add(-2*time.Hour), bot.RolledBack),
		run(w.To.Add(-10*24*time.Hour), bot.Succeeded), run(w.To.Add(-10*24*time.Hour), bot.Succeeded),
		run(w.To.Add(-30*24*time.Hour), bot.Failed), run(w.To.Add(time.Hour), bot.Failed), run(w.To.Add(-time.Hour), bot.Cancelled),
	}
	image, err := picture(w, runs)
	if err != nil || image == nil {
		t.Fatalf("there is no picture: %v", err)
	}
	if err := image.Check(); err != nil {
		t.Error(err)
	}
	if !strings.Contains(image.Alt, "changes a day") || !strings.Contains(image.Alt, "done") || !strings.Contains(image.Alt, "failed") {
		t.Errorf("it says %q", image.Alt)
	}
	if image, err := picture(w, nil); image != nil || err != nil {
		t.Errorf("of nothing there is a picture, %v", err)
	}
	many := make([]bot.Run, mostRuns)
	for i := range many {
		many[i] = run(w.To.Add(-time.Duration(i)*time.Minute), bot.Succeeded)
	}
	if image, err := picture(w, many); image != nil || err != nil {
		t.Errorf("days of which not everything was read are drawn, %v", err)
	}
	w.May = func(bot.Permission, bot.Target) bool { return false }
	if image, err := picture(w, runs); image != nil || err != nil {
		t.Errorf("what may not be seen is drawn, %v", err)
	}
}
