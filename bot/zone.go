package bot

import (
	"strings"
	"time"
)

// Zone is the zone in which tables tell times: that of the configuration, so that
// nobody has to reckon at night. The zero value is UTC. A table's cells leave its
// name out; Note says it once beside them.
type Zone struct{ Location *time.Location }

func (z Zone) in(t time.Time) time.Time {
	if z.Location == nil {
		return t.UTC()
	}
	return t.In(z.Location)
}

// Minute gives "11-21 14:05".
func (z Zone) Minute(t time.Time) string { return z.in(t).Format("01-02 15:04") }

// Second gives "11-21 14:05:07".
func (z Zone) Second(t time.Time) string { return z.in(t).Format("01-02 15:04:05") }

// Clock gives "14:05:07".
func (z Zone) Clock(t time.Time) string { return z.in(t).Format("15:04:05") }

// Day gives "2026-11-21".
func (z Zone) Day(t time.Time) string { return z.in(t).Format(time.DateOnly) }

// Note says which zone it is, for a card's footer: "times in Europe/Berlin".
func (z Zone) Note() string {
	if z.Location == nil {
		return "times in UTC"
	}
	return "times in " + z.Location.String()
}

// Span writes a length of time without zeros, as it can be typed: "2h", "1h30m".
func Span(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
