package guard

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/nearest"
)

const minutesOfDay = 24 * 60

var weekdays = []string{"mon", "tue", "wed", "thu", "fri", "sat", "sun"}

// Window is a stretch of every week, by the wall clock of a zone.
type Window struct {
	text     string
	from, to int // minutes since Monday 00:00
}

// ParseWindow reads "DAY HH:MM - DAY HH:MM", such as "fri 16:00 - mon 08:00".
func ParseWindow(s string) (Window, error) {
	first, last, found := strings.Cut(s, "-")
	from, err := minuteOf(first)
	to, endErr := 0, error(nil)
	if found && err == nil {
		to, endErr = minuteOf(last)
	}
	switch {
	case !found:
		return Window{}, bot.Errorf(bot.Invalid, "%q is no stretch of the week; write DAY HH:MM - DAY HH:MM, such as fri 16:00 - mon 08:00", s)
	case err != nil:
		return Window{}, err
	case endErr != nil:
		return Window{}, endErr
	case from == to:
		return Window{}, bot.Errorf(bot.Invalid, "%q ends when it begins; freeze add freezes without an end", s)
	}
	return Window{text: strings.Join(strings.Fields(s), " "), from: from, to: to}, nil
}

func minuteOf(s string) (int, error) {
	words := strings.Fields(strings.ToLower(s))
	if len(words) != 2 {
		return 0, bot.Errorf(bot.Invalid, "%q is not a day and a time, such as fri 16:00", strings.TrimSpace(s))
	}
	day := slices.Index(weekdays, words[0])
	if day < 0 {
		if near := nearest.Of(words[0], weekdays); near != "" {
			return 0, bot.Errorf(bot.Invalid, "%q is not a day; did you mean %q?", words[0], near)
		}
		return 0, bot.Errorf(bot.Invalid, "%q is not a day; expected %s", words[0], strings.Join(weekdays, ", "))
	}
	at, err := time.Parse("15:04", words[1])
	if err != nil {
		return 0, bot.Errorf(bot.Invalid, "%q is not a time of day; write HH:MM, such as 16:00", words[1])
	}
	return day*minutesOfDay + at.Hour()*60 + at.Minute(), nil
}

// String gives the window as it was written.
func (w Window) String() string { return w.text }

// Until gives when the window ends that t lies in; in is false when it lies in
// none. Where clocks are put back the window is the longest that its words can
// mean: from the first time that the clock shows its start to the last time that
// it shows its end. Where they are put forward, a start or an end that no clock
// shows is the moment of the change.
func (w Window) Until(t time.Time, zone *time.Location) (end time.Time, in bool) {
	local := t.In(zone)
	monday := local.Day() - (int(local.Weekday())+6)%7
	length := w.to - w.from
	if length <= 0 {
		length += 7 * minutesOfDay
	}
	for _, week := range []int{-7, 0, 7} {
		start := moment(local.Year(), local.Month(), monday+week, w.from, zone, false)
		end := moment(local.Year(), local.Month(), monday+week, w.from+length, zone, true)
		if !t.Before(start) && t.Before(end) {
			return end, true
		}
	}
	return time.Time{}, false
}

// moment gives when the clock of the zone shows a minute of a day: the first
// time, or the last.
func moment(year int, month time.Month, day, minute int, zone *time.Location, last bool) time.Time {
	wanted := time.Date(year, month, day, 0, minute, 0, 0, time.UTC)
	shown := func(t time.Time) time.Time {
		l := t.In(zone)
		return time.Date(l.Year(), l.Month(), l.Day(), l.Hour(), l.Minute(), 0, 0, time.UTC)
	}
	const around = 4 * time.Hour // no clock is put back or forward by more
	near := time.Date(year, month, day, 0, minute, 0, 0, zone)
	if !last {
		for t := near.Add(-around); t.Before(near.Add(around)); t = t.Add(time.Minute) {
			if !shown(t).Before(wanted) {
				return t
			}
		}
		return near
	}
	for t := near.Add(around); t.After(near.Add(-around)); t = t.Add(-time.Minute) {
		if shown(t).Before(wanted) {
			return t.Add(time.Minute)
		}
	}
	return near
}

// Recurring is a freeze that the configuration sets every week.
type Recurring struct {
	Environments []string
	Every        Window
	Reason       string
}

// says tells what is frozen, until when and why.
func (r Recurring) says(environment string, until time.Time, zone *time.Location) string {
	return because(fmt.Sprintf("%s is frozen every %s, now until %s", environment, r.Every, until.In(zone).Format("01-02 15:04 MST")), r.Reason)
}
