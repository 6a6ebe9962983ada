package oncall

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/nearest"
)

const (
	minutesPerDay  = 24 * 60
	minutesPerWeek = 7 * minutesPerDay
)

var weekdays = []string{"mon", "tue", "wed", "thu", "fri", "sat", "sun"}

// Window is a stretch of every week in minutes since Monday 00:00 by the clock on
// the wall, without its end.
type Window struct{ From, To int }

func minuteOfWeek(t time.Time) int {
	return (int(t.Weekday())+6)%7*minutesPerDay + t.Hour()*60 + t.Minute()
}

func weekMinute(m int) string {
	return fmt.Sprintf("%s %02d:%02d", weekdays[m/minutesPerDay], m%minutesPerDay/60, m%60)
}

const windowShape = `write such as "mon-fri 08:00-18:00", "22:00-06:00" or "sat,sun"`

// ParseWindow reads hours of the week as grants have them: days, times of day, or
// both; times may go over midnight. Its Error is of kind Invalid.
func ParseWindow(s string) ([]Window, error) {
	bad := func(why string) ([]Window, error) {
		return nil, bot.Errorf(bot.Invalid, "%q is no part of the week: %s; %s", s, why, windowShape)
	}
	days, from, to := []int{0, 1, 2, 3, 4, 5, 6}, 0, minutesPerDay
	words := strings.Fields(strings.ToLower(s))
	if len(words) == 0 || len(words) > 2 {
		return bad("it takes days, times, or both")
	}
	if !strings.Contains(words[0], ":") {
		days = nil
		for part := range strings.SplitSeq(words[0], ",") {
			first, last, ranged := strings.Cut(part, "-")
			if !ranged {
				last = first
			}
			i, j := slices.Index(weekdays, first), slices.Index(weekdays, last)
			for _, name := range []string{first, last} {
				if !slices.Contains(weekdays, name) {
					if near := nearest.Of(name, weekdays); near != "" {
						return bad(fmt.Sprintf("%q is no day, did you mean %q?", name, near))
					}
					return bad(fmt.Sprintf("%q is no day", name))
				}
			}
			for ; ; i = (i + 1) % 7 {
				days = append(days, i)
				if i == j {
					break
				}
			}
		}
		words = words[1:]
	}
	if len(words) > 1 {
		return bad("days stand before times")
	}
	if len(words) == 1 {
		a, b, found := strings.Cut(words[0], "-")
		var okA, okB bool
		from, okA = timeOfDay(a)
		to, okB = timeOfDay(b)
		if !found || !okA || !okB {
			return bad("times are written 08:00-18:00")
		}
	}
	var windows []Window
	for _, day := range days {
		start, end := day*minutesPerDay+from, day*minutesPerDay+to
		if to <= from {
			end += minutesPerDay
		}
		if end <= minutesPerWeek {
			windows = append(windows, Window{start, end})
			continue
		}
		windows = append(windows, Window{start, minutesPerWeek}, Window{0, end - minutesPerWeek})
	}
	return windows, nil
}

// timeOfDay reads "08:00" up to "24:00".
func timeOfDay(s string) (minute int, ok bool) {
	h, m, found := strings.Cut(s, ":")
	hour, err := strconv.Atoi(h)
	min, err2 := strconv.Atoi(m)
	if !found || err != nil || err2 != nil || len(m) != 2 || hour < 0 || min < 0 || min > 59 || hour*60+min > minutesPerDay {
		return 0, false
	}
	return hour*60 + min, true
}

// ParseStart reads "2026-11-02 09:00": a day and a time of day, without a zone.
func ParseStart(s string) (time.Time, error) {
	t, err := time.Parse("2006-01-02 15:04", s)
	if err != nil {
		return t, bot.Errorf(bot.Invalid, `%q is no day and time of day; write such as "2026-11-02 09:00"`, s)
	}
	return t, nil
}

// ParseTurn reads how long a turn is: "1d", "1w". It gives days.
func ParseTurn(s string) (days int, err error) {
	unit := map[string]int{"d": 1, "w": 7}
	for suffix, n := range unit {
		if count, err := strconv.Atoi(strings.TrimSuffix(s, suffix)); err == nil && strings.HasSuffix(s, suffix) && count >= 1 && count*n <= 366 {
			return count * n, nil
		}
	}
	return 0, bot.Errorf(bot.Invalid, `%q is no length of a turn; write days or weeks, such as "1d" or "1w"`, s)
}
