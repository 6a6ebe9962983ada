package chart

import (
	"time"
)

// moment is one tick of the time axis.
type moment struct {
	at    time.Time
	label string
}

// calendar is what the time axis shows: ticks at round times of the zone's own
// clocks, the first moment of each day (or month) with its date, and where the
// clocks were changed.
type calendar struct {
	ticks  []moment
	dates  []moment // the scene's first moment, and each beginning of a day or month
	shifts []moment // "clocks forward 1h"
}

// steps are the distances that ticks may have under a day.
var steps = []time.Duration{
	time.Second, 5 * time.Second, 10 * time.Second, 15 * time.Second, 30 * time.Second,
	time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 15 * time.Minute, 30 * time.Minute,
	time.Hour, 2 * time.Hour, 3 * time.Hour, 6 * time.Hour, 12 * time.Hour,
}

// days are those that ticks may have from a day on.
var days = []int{1, 2, 7, 14}

// calendarOf gives at most n ticks between both times.
func calendarOf(from, to time.Time, zone *time.Location, n int) calendar {
	if zone == nil {
		zone = time.UTC
	}
	from, to = from.In(zone), to.In(zone)
	var c calendar
	if to.Sub(from) <= 8*24*time.Hour { // in more than that an hour cannot be seen
		c.shifts = shiftsOf(from, to)
	}
	n = max(n, 2)
	wish := to.Sub(from) / time.Duration(n)
	for _, step := range steps {
		if wish <= step {
			c.ticks = clockTicks(from, to, step)
			c.dates = datesOf(from, to, "Mon 2 Jan", func(d time.Time) time.Time { return nextDay(d, 1) })
			return c
		}
	}
	for _, k := range days {
		if wish <= time.Duration(k)*24*time.Hour {
			c.ticks = dayTicks(from, to, k)
			c.dates = datesOf(from, to, "January 2006", nextMonth)
			return c
		}
	}
	c.ticks = monthTicks(from, to, n)
	c.dates = datesOf(from, to, "2006", func(d time.Time) time.Time { return time.Date(d.Year()+1, 1, 1, 0, 0, 0, 0, zone) })
	return c
}

// nextDay gives the first moment of the day k days on; where the clocks skip
// midnight, that is the first moment there is.
func nextDay(d time.Time, k int) time.Time {
	return time.Date(d.Year(), d.Month(), d.Day()+k, 0, 0, 0, 0, d.Location())
}

func nextMonth(d time.Time) time.Time {
	return time.Date(d.Year(), d.Month()+1, 1, 0, 0, 0, 0, d.Location())
}

// clockTicks gives the moments at which a clock in the zone shows a multiple of
// step since midnight. An hour that comes twice has its ticks twice, one that is
// skipped has none.
func clockTicks(from, to time.Time, step time.Duration) []moment {
	layout := "15:04"
	if step < time.Minute {
		layout = "15:04:05"
	}
	var out []moment
	// Offsets are whole minutes and change at most a few times a year, so going
	// through absolute time in the step, or in half hours where it is longer, meets
	// every such moment.
	stride := min(step, 30*time.Minute)
	for t := from.Truncate(stride).Add(-stride); !t.After(to); t = t.Add(stride) {
		_, offset := t.Zone()
		odd := time.Duration(offset) * time.Second % stride // Kathmandu is 5:45 ahead
		at := t.Add(-odd)
		if at.Before(from) || at.After(to) {
			continue
		}
		past := time.Duration(at.Hour())*time.Hour + time.Duration(at.Minute())*time.Minute + time.Duration(at.Second())*time.Second
		if past%step == 0 && (len(out) == 0 || at.After(out[len(out)-1].at)) {
			out = append(out, moment{at, at.Format(layout)})
		}
	}
	return out
}

func dayTicks(from, to time.Time, k int) []moment {
	var out []moment
	day := time.Date(from.Year(), from.Month(), from.Day(), 0, 0, 0, 0, from.Location())
	if k >= 7 { // weeks begin on Monday
		day = nextDay(day, -(int(day.Weekday())+6)%7)
	}
	for ; !day.After(to); day = nextDay(day, k) {
		if !day.Before(from) {
			out = append(out, moment{day, day.Format("Mon 2")})
		}
	}
	return out
}

func monthTicks(from, to time.Time, n int) []moment {
	months := int(to.Sub(from).Hours()/24/30) + 1
	every := 12 * ((months + 12*n - 1) / (12 * n))
	for _, k := range []int{1, 2, 3, 6} {
		if months <= k*n {
			every = k
			break
		}
	}
	var out []moment
	for d := time.Date(from.Year(), 1, 1, 0, 0, 0, 0, from.Location()); !d.After(to); d = time.Date(d.Year(), d.Month()+time.Month(every), 1, 0, 0, 0, 0, d.Location()) {
		if !d.Before(from) {
			out = append(out, moment{d, d.Format("Jan")})
		}
	}
	return out
}

func datesOf(from, to time.Time, layout string, next func(time.Time) time.Time) []moment {
	out := []moment{{from, from.Format(layout)}}
	for d := next(from); !d.After(to) && len(out) < 400; d = next(d) {
		out = append(out, moment{d, d.Format(layout)})
	}
	return out
}

// shiftsOf finds where the zone's clocks were changed.
func shiftsOf(from, to time.Time) []moment {
	var out []moment
	for t := from; len(out) < 4; {
		_, end := t.ZoneBounds()
		if end.IsZero() || end.After(to) {
			break
		}
		_, before := end.Add(-time.Second).Zone()
		_, after := end.Zone()
		switch d := time.Duration(after-before) * time.Second; {
		case d > 0:
			out = append(out, moment{end, "clocks forward " + span(d)})
		case d < 0:
			out = append(out, moment{end, "clocks back " + span(-d)})
		}
		t = end
	}
	return out
}
