package grammar

import (
	"strconv"
	"strings"
	"time"
)

// unit is one letter of a duration.
type unit struct {
	letter byte
	length time.Duration
}

// units lists the units of durations, the longest first.
func units() []unit {
	return []unit{
		{'w', 7 * 24 * time.Hour},
		{'d', 24 * time.Hour},
		{'h', time.Hour},
		{'m', time.Minute},
		{'s', time.Second},
	}
}

// maxDuration is far beyond any sensible window and well below overflow.
const maxDuration = 3650 * 24 * time.Hour

// parseDuration reads whole numbers with units, the longest first, each at
// most once: 90s, 1h30m, 2w. What is too long is reported by over.
func parseDuration(s string) (d time.Duration, over, ok bool) {
	if s == "" {
		return 0, false, false
	}
	rest := units()
	for s != "" {
		digits := len(s) - len(strings.TrimLeft(s, "0123456789"))
		if digits == 0 || digits == len(s) {
			return 0, false, false
		}
		for len(rest) > 0 && rest[0].letter != s[digits] {
			rest = rest[1:]
		}
		if len(rest) == 0 {
			return 0, false, false
		}
		n, err := strconv.ParseInt(s[:digits], 10, 64)
		if err != nil || n > int64(maxDuration/rest[0].length) {
			over = true
		} else {
			d += time.Duration(n) * rest[0].length
		}
		s, rest = s[digits+1:], rest[1:]
	}
	return d, over || d > maxDuration, true
}

// shortDuration writes whole seconds in the longest unit that divides them.
func shortDuration(d time.Duration) string {
	for _, u := range units() {
		if d%u.length == 0 {
			return strconv.FormatInt(int64(d/u.length), 10) + string(u.letter)
		}
	}
	return d.String()
}
