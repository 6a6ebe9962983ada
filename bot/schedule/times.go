// Package schedule is the clock as a source of Messages: digests and lines that
// the configuration has run at set times. What is due is a Message like any
// other, from a principal of its own, on the road that every other takes: it is
// judged, recorded and answered in its channel. Nothing has a side door.
package schedule

import (
	"fmt"
	"strings"
	"time"

	"github.com/robfig/cron/v3"

	"quarterdeck/bot"
)

// Times is when something is due: five fields of cron by the wall clock of a
// zone. The zero value is never. Safe for concurrent use.
//
// Where clocks change, what is written with hours of its own is due once for
// each time that is written: where the clock shows one twice, at the first, and
// where it shows one not at all, at the first minute after the change, once for
// all that fell into it. What is written for every hour ("*" or "*/N") goes by
// elapsed time instead: it is due whenever the clock shows a minute that fits.
type Times struct {
	spec  *cron.SpecSchedule
	zone  *time.Location
	text  string
	fixed bool
}

// parser reads the fields; what is due is found here, because the library's own
// way leaves out what falls into the hour that is skipped in spring, and has
// what falls into the one that is shown twice in autumn twice.
var parser = cron.NewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow | cron.Descriptor)

// Parse reads five fields, minute to weekday, or one of @hourly, @daily,
// @weekly, @monthly and @yearly, by the wall clock of zone. Its Error of kind
// Invalid is a sentence's rest, without a place.
func Parse(text string, zone *time.Location) (Times, error) {
	text = strings.Join(strings.Fields(text), " ")
	const shape = `write five fields, minute hour day month weekday, such as "0 9 * * mon-fri"`
	invalid := func(format string, args ...any) error {
		return bot.Errorf(bot.Invalid, "%q is no time: %s", text, fmt.Sprintf(format, args...))
	}
	fields := strings.Fields(text)
	switch {
	case strings.Contains(text, "TZ="):
		return Times{}, invalid("the zone has a key of its own, timezone")
	case strings.HasPrefix(text, "@every"):
		return Times{}, invalid("an interval begins nowhere; write it by the clock, such as \"*/15 * * * *\"")
	case !strings.HasPrefix(text, "@") && len(fields) != 5:
		return Times{}, invalid("it has %d fields; %s", len(fields), shape)
	case len(fields) == 5 && strings.Contains(fields[4], "7") && !strings.ContainsAny(fields[4], "/"):
		return Times{}, invalid("Sunday is 0 or sun, and not 7")
	}
	parsed, err := parser.Parse(text)
	spec, ok := parsed.(*cron.SpecSchedule)
	if err != nil || !ok {
		return Times{}, invalid("%s", shape)
	}
	spec.Location = time.UTC // wall clocks are reckoned as if there were no zones
	t := Times{spec: spec, zone: zone, text: text}
	t.fixed = text != "@hourly" && (len(fields) < 2 || !strings.HasPrefix(fields[1], "*"))
	if spec.Next(time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)).IsZero() { // a leap year is within reach
		return Times{}, invalid("no calendar has such a day")
	}
	return t, nil
}

// String gives it as it was written.
func (t Times) String() string { return t.text }

// Zone gives the zone whose wall clock it follows; UTC for the zero value.
func (t Times) Zone() *time.Location {
	if t.zone == nil {
		return time.UTC
	}
	return t.zone
}

// After gives the first time after at that it is due; zero for never, which is
// also what lies more than five years ahead.
func (t Times) After(at time.Time) time.Time {
	switch {
	case t.spec == nil:
		return time.Time{}
	case t.fixed:
		return t.nextFixed(at)
	}
	return t.nextShown(at)
}

// shown gives what the wall clock shows at an instant, as if it were UTC.
func (t Times) shown(at time.Time) time.Time {
	_, offset := at.In(t.zone).Zone()
	return at.UTC().Add(time.Duration(offset) * time.Second)
}

func (t Times) nextFixed(at time.Time) time.Time {
	wall := t.shown(at)
	for {
		if wall = t.spec.Next(wall); wall.IsZero() {
			return time.Time{}
		}
		// An hour that is shown twice is past when it is shown for the second time.
		if due := first(wall, t.zone); due.After(at) {
			return due
		}
	}
}

// nextShown goes from one change of the clock to the next: between them wall
// clock and time run alike.
func (t Times) nextShown(at time.Time) time.Time {
	give := at.AddDate(6, 0, 0)
	for at.Before(give) {
		_, end := at.In(t.zone).ZoneBounds()
		wall := t.spec.Next(t.shown(at))
		if wall.IsZero() {
			return time.Time{}
		}
		due := at.Add(wall.Sub(t.shown(at)))
		if end.IsZero() || due.Before(end) {
			return due.UTC()
		}
		// What the new clock shows at once counts.
		if t.spec.Next(t.shown(end).Add(-time.Nanosecond)).Equal(t.shown(end)) {
			return end.UTC()
		}
		at = end
	}
	return time.Time{}
}

// first gives when the clock of a zone first shows wall, which is written as if
// it were UTC; where it never does, the first whole minute at which it shows
// something later.
func first(wall time.Time, zone *time.Location) time.Time {
	const farthest = 26 * time.Hour // no zone is further from UTC, nor ever was
	begin := wall.Add(-farthest)
	for {
		_, offset := begin.In(zone).Zone()
		_, end := begin.In(zone).ZoneBounds()
		due := wall.Add(-time.Duration(offset) * time.Second)
		switch {
		case due.Before(begin): // the clock was put forward over it
			return begin.Add(time.Minute - 1).Truncate(time.Minute).UTC()
		case end.IsZero() || due.Before(end):
			return due.UTC()
		}
		begin = end
	}
}

// Last gives the last time after from and up to until that it was due; found is
// false when it was not. It takes no longer for a long outage than for a short
// one.
func (t Times) Last(from, until time.Time) (last time.Time, found bool) {
	for back := time.Hour; ; back *= 4 {
		start := until.Add(-back)
		if start.Before(from) {
			start = from
		}
		for due := t.After(start); !due.IsZero() && !due.After(until); due = t.After(due) {
			last, found = due, true
		}
		if found || start.Equal(from) || back > 10*366*24*time.Hour {
			return last, found
		}
	}
}
