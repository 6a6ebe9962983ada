package auth

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"quarterdeck/bot/nearest"
)

const (
	minutesPerDay  = 24 * 60
	minutesPerWeek = 7 * minutesPerDay
	// noMinute is the minute of a request that carries no time.
	noMinute = -1
)

var weekdays = [...]string{"mon", "tue", "wed", "thu", "fri", "sat", "sun"}

// window is a stretch of the week in minutes since Monday 00:00, without its
// end. It does not wrap.
type window struct {
	from, to int
}

// minuteOfWeek reads the wall clock of the zone; noMinute for the zero time.
func minuteOfWeek(t time.Time, zone *time.Location) int {
	if t.IsZero() {
		return noMinute
	}
	t = t.In(zone)
	hour, minute, _ := t.Clock()
	return (int(t.Weekday())+6)%7*minutesPerDay + hour*60 + minute
}

// inWindows reports whether the minute lies in one of the windows.
func inWindows(windows []window, minute int) bool {
	for _, w := range windows {
		if w.from <= minute && minute < w.to {
			return true
		}
	}
	return false
}

// parseHours reads "[DAYS] [HH:MM-HH:MM]", of which one may be left out. DAYS
// is a comma list of days and ranges of days. A time that ends at or before it
// starts runs over midnight into the next day; it belongs to the day on which
// it starts.
func parseHours(s string) ([]window, error) {
	days := []int{0, 1, 2, 3, 4, 5, 6}
	from, to := 0, minutesPerDay
	words := strings.Fields(strings.ToLower(s))
	if len(words) == 0 || len(words) > 2 {
		return nil, fmt.Errorf("expected days, a time, or both")
	}
	if !strings.Contains(words[0], ":") {
		var err error
		if days, err = parseDays(words[0]); err != nil {
			return nil, err
		}
		words = words[1:]
	} else if len(words) == 2 {
		return nil, fmt.Errorf("expected days before the time")
	}
	if len(words) == 1 {
		var err error
		if from, to, err = parseTimes(words[0]); err != nil {
			return nil, err
		}
	}
	var windows []window
	for _, day := range days {
		start, end := day*minutesPerDay+from, day*minutesPerDay+to
		if to <= from {
			end += minutesPerDay
		}
		if end <= minutesPerWeek {
			windows = append(windows, window{start, end})
		} else {
			windows = append(windows, window{start, minutesPerWeek}, window{0, end - minutesPerWeek})
		}
	}
	return windows, nil
}

func parseDays(s string) ([]int, error) {
	var days []int
	for part := range strings.SplitSeq(s, ",") {
		first, last, ranged := strings.Cut(part, "-")
		if !ranged {
			last = first
		}
		i, err := parseDay(first)
		if err != nil {
			return nil, err
		}
		j, err := parseDay(last)
		if err != nil {
			return nil, err
		}
		for ; ; i = (i + 1) % 7 {
			if slices.Contains(days, i) {
				return nil, fmt.Errorf("%s is named twice", weekdays[i])
			}
			days = append(days, i)
			if i == j {
				break
			}
		}
	}
	return days, nil
}

func parseDay(s string) (int, error) {
	i := slices.Index(weekdays[:], s)
	if i < 0 {
		if near := nearest.Of(s, weekdays[:]); near != "" {
			return 0, fmt.Errorf("%q is not a day; did you mean %q?", s, near)
		}
		return 0, fmt.Errorf("%q is not a day; days are %s", s, strings.Join(weekdays[:], " "))
	}
	return i, nil
}

func parseTimes(s string) (from, to int, err error) {
	first, last, ok := strings.Cut(s, "-")
	if !ok {
		return 0, 0, fmt.Errorf("%q is not a stretch of time such as 08:00-18:00", s)
	}
	if from, err = parseTime(first); err != nil {
		return 0, 0, err
	}
	if to, err = parseTime(last); err != nil {
		return 0, 0, err
	}
	if from == minutesPerDay {
		return 0, 0, fmt.Errorf("a stretch of time cannot start at 24:00; start at 00:00 of the next day")
	}
	if from == to {
		return 0, 0, fmt.Errorf("%q starts and ends at the same time; leave the time out for whole days", s)
	}
	return from, to, nil
}

// parseTime reads HH:MM from 00:00 to 24:00.
func parseTime(s string) (int, error) {
	bad := fmt.Errorf("%q is not a time from 00:00 to 24:00", s)
	if len(s) != 5 || s[2] != ':' {
		return 0, bad
	}
	digit := func(i int) int { return int(s[i]) - '0' }
	for _, i := range []int{0, 1, 3, 4} {
		if digit(i) < 0 || digit(i) > 9 {
			return 0, bad
		}
	}
	hour, minute := digit(0)*10+digit(1), digit(3)*10+digit(4)
	if minute > 59 || hour > 24 || hour == 24 && minute > 0 {
		return 0, bad
	}
	return hour*60 + minute, nil
}
