package guard

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"quarterdeck/bot"
)

func TestParseWindow(t *testing.T) {
	t.Parallel()
	for text, says := range map[string]string{
		"fri 16:00 - mon 08:00": "", "Fri 16:00-MON 08:00": "", "mon 00:00 - sun 23:59": "",
		"":                      "write DAY HH:MM - DAY HH:MM",
		"fri 16:00":             "write DAY HH:MM - DAY HH:MM",
		"fry 16:00 - mon 08:00": `"fry" is not a day; did you mean "fri"?`,
		"fri 25:00 - mon 08:00": `"25:00" is not a time of day`,
		"fri - mon 08:00":       `"fri" is not a day and a time`,
		"fri 08:00 - fri 08:00": "ends when it begins",
	} {
		_, err := ParseWindow(text)
		if (err == nil) != (says == "") || err != nil && !strings.Contains(bot.Sentence(err, ""), says) {
			t.Errorf("%q: %v, want %q", text, err, says)
		}
	}
}

// Over both changes of the clocks in three zones: while the wall clock shows a
// time within the window, it is frozen, and where no clock was changed nearby
// it is frozen at no other time.
func TestWindowFollowsTheWallClock(t *testing.T) {
	t.Parallel()
	in, out := 0, 0
	for name, changes := range map[string][]time.Time{
		"Europe/Berlin":       {time.Date(2026, 3, 29, 1, 0, 0, 0, time.UTC), time.Date(2026, 10, 25, 1, 0, 0, 0, time.UTC)},
		"America/New_York":    {time.Date(2026, 3, 8, 7, 0, 0, 0, time.UTC), time.Date(2026, 11, 1, 6, 0, 0, 0, time.UTC)},
		"Australia/Lord_Howe": {time.Date(2026, 4, 4, 15, 0, 0, 0, time.UTC), time.Date(2026, 10, 3, 15, 30, 0, 0, time.UTC)},
	} {
		zone, err := time.LoadLocation(name)
		if err != nil {
			t.Fatal(err)
		}
		rapid.Check(t, func(rt *rapid.T) {
			change := rapid.SampledFrom(changes).Draw(rt, "change")
			at := change.Add(time.Duration(rapid.IntRange(-5*minutesOfDay, 5*minutesOfDay).Draw(rt, "minutes")) * time.Minute)
			if rapid.Bool().Draw(rt, "close") {
				at = change.Add(time.Duration(rapid.IntRange(-150, 150).Draw(rt, "close minutes")) * time.Minute)
			}
			minute := func(t time.Time) int {
				l := t.In(zone)
				return (int(l.Weekday())+6)%7*minutesOfDay + l.Hour()*60 + l.Minute()
			}
			w := Window{from: rapid.IntRange(0, 7*minutesOfDay-1).Draw(rt, "from"), to: rapid.IntRange(0, 7*minutesOfDay-1).Draw(rt, "to")}
			if rapid.Bool().Draw(rt, "near") { // an edge near the change
				w.from = minute(change.Add(time.Duration(rapid.IntRange(-90, 90).Draw(rt, "edge")) * time.Minute))
			}
			if w.from == w.to {
				return
			}
			m := minute(at)
			shows := w.from <= m && m < w.to
			if w.to < w.from {
				shows = m >= w.from || m < w.to
			}
			end, frozen := w.Until(at, zone)
			if shows && !frozen {
				rt.Fatalf("%s: %d to %d: not frozen at %s", name, w.from, w.to, at.In(zone))
			}
			if frozen && !end.After(at) {
				rt.Fatalf("ends at %s, before %s", end, at)
			}
			if far := at.Sub(change).Abs() > 3*time.Hour; far && frozen != shows {
				rt.Fatalf("%s: %d to %d: frozen %v at %s", name, w.from, w.to, frozen, at.In(zone))
			}
			if frozen {
				in++
			} else {
				out++
			}
		})
	}
	if in < 30 || out < 30 {
		t.Errorf("%d times frozen, %d not: the test says too little", in, out)
	}
}
