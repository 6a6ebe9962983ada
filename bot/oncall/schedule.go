// Package oncall reckons who is on call: rotations in a zone of their own,
// through changes of the clocks, with overrides above them. It is pure; package
// page keeps the overrides and asks it.
package oncall

import (
	"fmt"
	"slices"
	"time"
)

// Schedule is one on-call schedule. Of its rotations, the first that is on duty
// at a time says who is on call; an override says it before all of them.
type Schedule struct {
	Name      string
	Zone      *time.Location
	Rotations []Rotation
}

// Rotation is people who take turns. Turns begin and end by the clock on the
// wall of the schedule's zone, so that one hands over at 9 in winter as in
// summer.
type Rotation struct {
	Persons []string
	// Start is the day and the time of day, without a zone, at which the first
	// person's turn begins. Turns go on in both directions from there.
	Start time.Time
	Days  int      // how long one turn is, in days; 1 or more
	Hours []Window // when the rotation is on duty; always when there are none
}

// Override puts one person on call for a while, whoever's turn it is.
type Override struct {
	Number   int64     `json:"number"`
	Schedule string    `json:"schedule"`
	Person   string    `json:"person"`
	From     time.Time `json:"from"`
	Until    time.Time `json:"until"` // not included
	By       string    `json:"by"`
	Reason   string    `json:"reason,omitempty"`
	At       time.Time `json:"at"` // when it was made
	Key      string    `json:"key,omitempty"`
}

// Holds reports whether the override is in force at a time.
func (o Override) Holds(t time.Time) bool { return !t.Before(o.From) && t.Before(o.Until) }

// Check says what is wrong with the schedule as sentences, nil for nothing.
func (s Schedule) Check() (faults []string) {
	if len(s.Rotations) == 0 {
		faults = append(faults, fmt.Sprintf("schedule %q has no rotation, so that nobody is ever on call", s.Name))
	}
	for i, r := range s.Rotations {
		if len(r.Persons) == 0 {
			faults = append(faults, fmt.Sprintf("rotation %d of schedule %q is empty; name its persons", i+1, s.Name))
		}
		if r.Days < 1 {
			faults = append(faults, fmt.Sprintf("a turn of rotation %d of schedule %q lasts less than a day", i+1, s.Name))
		}
	}
	return faults
}

// Primary gives who is on call at a time: at most one person. ok is false in a
// gap, which Gaps told of.
func (s Schedule) Primary(t time.Time, overrides []Override) (person string, ok bool) {
	var newest *Override
	for i, o := range overrides {
		if o.Schedule == s.Name && o.Holds(t) && (newest == nil || o.Number > newest.Number) {
			newest = &overrides[i]
		}
	}
	if newest != nil {
		return newest.Person, true
	}
	for _, r := range s.Rotations {
		if r.onDuty(t, s.Zone) && len(r.Persons) > 0 && r.Days > 0 {
			return r.Persons[r.turn(t, s.Zone)], true
		}
	}
	return "", false
}

// onDuty reports whether the rotation counts at a time.
func (r Rotation) onDuty(t time.Time, zone *time.Location) bool {
	if len(r.Hours) == 0 {
		return true
	}
	minute := minuteOfWeek(t.In(zone))
	return slices.ContainsFunc(r.Hours, func(w Window) bool { return w.From <= minute && minute < w.To })
}

// turn gives the index of whose turn it is.
func (r Rotation) turn(t time.Time, zone *time.Location) int {
	local := t.In(zone)
	days := civilDay(local) - civilDay(r.Start)
	n := floorDiv(days, r.Days)
	for t.Before(r.handover(n, zone)) {
		n--
	}
	for !t.Before(r.handover(n+1, zone)) {
		n++
	}
	count := len(r.Persons)
	return ((n % count) + count) % count
}

// handover gives when the n-th turn begins.
func (r Rotation) handover(n int, zone *time.Location) time.Time {
	s := r.Start
	return Wall(s.Year(), s.Month(), s.Day()+n*r.Days, s.Hour(), s.Minute(), zone)
}

// civilDay numbers the days of the calendar, by what the wall shows.
func civilDay(t time.Time) int {
	return int(time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, time.UTC).Unix() / 86400)
}

func floorDiv(a, b int) int {
	q := a / b
	if a%b != 0 && (a < 0) != (b < 0) {
		q--
	}
	return q
}

// Wall gives when the clock on the wall of a zone shows a time: the first time
// where it shows it twice, and the first minute after the gap where it never
// does.
func Wall(year int, month time.Month, day, hour, minute int, zone *time.Location) time.Time {
	t := time.Date(year, month, day, hour, minute, 0, 0, zone)
	want := time.Date(year, month, day, hour, minute, 0, 0, time.UTC)
	shown := func(t time.Time) time.Time {
		return time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), 0, 0, time.UTC)
	}
	start, end := t.ZoneBounds()
	switch {
	case shown(t).After(want): // a gap; this is beyond it
		return start
	case shown(t).Before(want):
		return end
	case start.IsZero():
		return t
	}
	_, before := start.Add(-time.Second).Zone()
	_, now := t.Zone()
	if earlier := t.Add(-time.Duration(before-now) * time.Second); before > now && shown(earlier).Equal(want) {
		return earlier
	}
	return t
}

// Turn is one stretch during which one person is on call.
type Turn struct {
	Person      string // "" in a gap
	From, Until time.Time
}

// Turns gives who is on call from a time until another, in order. It looks at
// most two months ahead.
func (s Schedule) Turns(from, until time.Time, overrides []Override) []Turn {
	if limit := from.AddDate(0, 2, 0); until.After(limit) {
		until = limit
	}
	var turns []Turn
	for at := from; at.Before(until); {
		person, _ := s.Primary(at, overrides)
		next := until
		for _, edge := range s.edges(at, until, overrides) {
			if edge.After(at) && edge.Before(next) {
				next = edge
			}
		}
		if n := len(turns); n > 0 && turns[n-1].Person == person {
			turns[n-1].Until = next
		} else {
			turns = append(turns, Turn{person, at, next})
		}
		at = next
	}
	return turns
}

// edges gives the times soon after one at which somebody else may be on call;
// the next of all is among them.
func (s Schedule) edges(at, until time.Time, overrides []Override) (edges []time.Time) {
	for _, o := range overrides {
		if o.Schedule == s.Name {
			edges = append(edges, o.From, o.Until)
		}
	}
	local := at.In(s.Zone)
	for _, r := range s.Rotations {
		if r.Days < 1 {
			continue
		}
		n := floorDiv(civilDay(local)-civilDay(r.Start), r.Days)
		for i := n - 1; i <= n+2; i++ {
			edges = append(edges, r.handover(i, s.Zone))
		}
		for day := range 8 {
			for _, w := range r.Hours {
				for _, minute := range []int{w.From, w.To} {
					if weekday := minute / minutesPerDay % 7; weekday == (int(local.Weekday())+6+day)%7 {
						edges = append(edges, Wall(local.Year(), local.Month(), local.Day()+day, minute%minutesPerDay/60, minute%60, s.Zone))
					}
				}
			}
			// What the wall shows jumps when the clocks change.
		}
	}
	if _, end := local.ZoneBounds(); !end.IsZero() && end.Before(until) {
		edges = append(edges, end)
	}
	return edges
}

// Gaps gives the stretches of the week, by the clock on the wall, during which
// no rotation is on duty: "sat 00:00 - mon 08:00". An override can fill one.
func (s Schedule) Gaps() []string {
	covered := make([]bool, minutesPerWeek)
	for _, r := range s.Rotations {
		if len(r.Persons) == 0 {
			continue
		}
		if len(r.Hours) == 0 {
			return nil
		}
		for _, w := range r.Hours {
			for m := w.From; m < w.To; m++ {
				covered[m] = true
			}
		}
	}
	first := slices.Index(covered, true)
	if first < 0 {
		return []string{"always"}
	}
	var gaps []string
	for i := 0; i < minutesPerWeek; {
		m := (first + i) % minutesPerWeek
		if covered[m] {
			i++
			continue
		}
		start := m
		for !covered[(first+i)%minutesPerWeek] && i < minutesPerWeek {
			i++
		}
		gaps = append(gaps, weekMinute(start)+" - "+weekMinute((first+i)%minutesPerWeek))
	}
	return gaps
}

// InGap reports whether the wall of the zone shows a time at which no rotation is
// on duty: what Gaps announces.
func (s Schedule) InGap(t time.Time) bool {
	return !slices.ContainsFunc(s.Rotations, func(r Rotation) bool { return len(r.Persons) > 0 && r.onDuty(t, s.Zone) })
}
