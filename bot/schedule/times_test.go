package schedule_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"quarterdeck/bot"
	"quarterdeck/bot/schedule"
)

func zone(t rapid.TB, name string) *time.Location {
	t.Helper()
	z, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

func parse(t rapid.TB, text, in string) schedule.Times {
	t.Helper()
	times, err := schedule.Parse(text, zone(t, in))
	if err != nil {
		t.Fatal(err)
	}
	return times
}

// between gives all that is due after from and up to until, by the zone's clock.
func between(times schedule.Times, from, until time.Time) (all []string) {
	for due := times.After(from); !due.IsZero() && !due.After(until); due = times.After(due) {
		all = append(all, due.In(times.Zone()).Format("01-02 15:04 MST"))
	}
	return all
}

func at(t rapid.TB, s string) time.Time {
	t.Helper()
	when, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t.Fatal(err)
	}
	return when
}

// TestClockChanges walks over both changes of 2026 in Berlin, where 02:00 became
// 03:00 on March 29 and 03:00 became 02:00 on October 25, and over others that
// are not of one hour, or take a whole day away.
func TestClockChanges(t *testing.T) {
	for _, c := range []struct{ text, zone, from, until, want string }{
		{"30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", "2026-03-30T12:00:00Z", "03-29 03:00 CEST, 03-30 02:30 CEST"},
		{"0,15,30,45 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", "2026-03-29T12:00:00Z", "03-29 03:00 CEST"},
		{"0 2,3 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", "2026-03-29T12:00:00Z", "03-29 03:00 CEST"},
		{"30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", "2026-10-26T12:00:00Z", "10-25 02:30 CEST, 10-26 02:30 CET"},
		{"0 3 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", "2026-10-25T12:00:00Z", "10-25 03:00 CET"},
		{"59 1 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", "2026-10-25T12:00:00Z", "10-25 01:59 CEST"},
		{"*/30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", "2026-10-25T12:00:00Z", "10-25 02:00 CEST, 10-25 02:30 CEST"},
		// By elapsed time: the hour that is shown twice counts twice.
		{"30 * * * *", "Europe/Berlin", "2026-10-24T23:45:00Z", "2026-10-25T02:45:00Z", "10-25 02:30 CEST, 10-25 02:30 CET, 10-25 03:30 CET"},
		{"0 * * * *", "Europe/Berlin", "2026-10-24T23:45:00Z", "2026-10-25T02:15:00Z", "10-25 02:00 CEST, 10-25 02:00 CET, 10-25 03:00 CET"},
		{"30 * * * *", "Europe/Berlin", "2026-03-29T00:15:00Z", "2026-03-29T02:00:00Z", "03-29 01:30 CET, 03-29 03:30 CEST"},
		{"@hourly", "Europe/Berlin", "2026-03-29T00:15:00Z", "2026-03-29T02:00:00Z", "03-29 03:00 CEST, 03-29 04:00 CEST"},
		{"0 9 * * mon-fri", "Europe/Berlin", "2026-03-27T12:00:00Z", "2026-03-31T12:00:00Z", "03-30 09:00 CEST, 03-31 09:00 CEST"},
		// Half an hour, and clocks that change at midnight.
		{"15 2 * * *", "Australia/Lord_Howe", "2026-10-03T00:00:00Z", "2026-10-05T00:00:00Z", "10-04 02:30 +11, 10-05 02:15 +11"},
		{"0 0 * * *", "America/Santiago", "2026-09-05T12:00:00Z", "2026-09-07T12:00:00Z", "09-06 01:00 -03, 09-07 00:00 -03"},
		// There was no December 30, 2011 in Samoa.
		{"0 9 * * *", "Pacific/Apia", "2011-12-29T00:00:00Z", "2011-12-31T23:00:00Z", "12-29 09:00 -10, 12-31 00:00 +14, 12-31 09:00 +14, 01-01 09:00 +14"},
		{"0 12 29 2 *", "UTC", "2026-01-01T00:00:00Z", "2028-12-31T00:00:00Z", "02-29 12:00 UTC"},
	} {
		if got := strings.Join(between(parse(t, c.text, c.zone), at(t, c.from), at(t, c.until)), ", "); got != c.want {
			t.Errorf("%q in %s: due at %s; want %s", c.text, c.zone, got, c.want)
		}
	}
}

// TestOnceADay: at whatever minute, in whatever zone, over a change of the clock, what is written for one time of day is due exactly once for each day
// of the calendar, never before what the clock shows, and never in a row that
// goes back.
func TestOnceADay(t *testing.T) {
	zones := []string{"Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Santiago", "Asia/Tehran", "Africa/Casablanca", "Pacific/Auckland", "UTC", "Asia/Kolkata"}
	rapid.Check(t, func(t *rapid.T) {
		in := zone(t, rapid.SampledFrom(zones).Draw(t, "zone"))
		hour, minute := rapid.IntRange(0, 23).Draw(t, "hour"), rapid.IntRange(0, 59).Draw(t, "minute")
		times, err := schedule.Parse(fmt.Sprintf("%d %d * * *", minute, hour), in)
		if err != nil {
			t.Fatal(err)
		}
		day := time.Date(rapid.IntRange(2015, 2030).Draw(t, "year"), 1, 1, 0, 0, 0, 0, time.UTC).AddDate(0, 0, rapid.IntRange(0, 364).Draw(t, "day"))
		if _, change := day.In(in).ZoneBounds(); !change.IsZero() && change.Year() < 2038 {
			day = change.UTC().Truncate(24*time.Hour).AddDate(0, 0, -4)
		}
		due := times.After(first(day, in).Add(-time.Nanosecond))
		for range 8 {
			shown := due.In(in)
			if shown.Format(time.DateOnly) != day.Format(time.DateOnly) {
				t.Fatalf("due %s, want a time on %s", shown, day.Format(time.DateOnly))
			}
			wanted := hour*60 + minute
			switch is := shown.Hour()*60 + shown.Minute(); {
			case is < wanted:
				t.Fatalf("due %s, before %02d:%02d", shown, hour, minute)
			case is > wanted:
				before := due.Add(-time.Minute).In(in)
				if before.Day() == shown.Day() && before.Hour()*60+before.Minute() >= wanted {
					t.Fatalf("due %s, although the clock showed %s before", shown, before)
				}
			default: // the first of the two
				for back := time.Minute; back <= 2*time.Hour; back += time.Minute {
					if b := due.Add(-back).In(in); b.Hour()*60+b.Minute() == wanted && b.Day() == shown.Day() {
						t.Fatalf("due %s, although the clock showed that %s before", shown, back)
					}
				}
			}
			next := times.After(due)
			if !next.After(due) {
				t.Fatalf("after %s comes %s", due, next)
			}
			due, day = next, day.AddDate(0, 0, 1)
		}
	})
}

// first gives the first instant of a day in a zone.
func first(day time.Time, in *time.Location) time.Time {
	for at := day.Add(-26 * time.Hour); ; at = at.Add(15 * time.Minute) {
		if at.In(in).Format(time.DateOnly) >= day.Format(time.DateOnly) {
			return at
		}
	}
}

// TestLast: the latest that was missed is found, however long nobody looked.
func TestLast(t *testing.T) {
	now := at(t, "2026-11-21T12:34:56Z")
	for _, c := range []struct{ text, from, want string }{
		{"0 9 * * mon-fri", "2026-11-20T08:00:00Z", "2026-11-20T09:00:00Z"},
		{"0 9 * * mon-fri", "2026-11-20T09:00:00Z", ""},
		{"0 9 * * mon-fri", "2016-11-20T09:00:00Z", "2026-11-20T09:00:00Z"},
		{"* * * * *", "2016-11-20T09:00:00Z", "2026-11-21T12:34:00Z"},
		{"34 12 * * *", "2026-11-21T12:33:59Z", "2026-11-21T12:34:00Z"},
		{"35 12 * * *", "2026-11-21T12:00:00Z", ""},
		{"0 0 29 2 *", "2016-11-20T09:00:00Z", "2024-02-29T00:00:00Z"},
	} {
		got, found := parse(t, c.text, "UTC").Last(at(t, c.from), now)
		if want := c.want; found != (want != "") || found && got.Format(time.RFC3339) != want {
			t.Errorf("%q since %s: last %s, %v; want %q", c.text, c.from, got, found, want)
		}
	}
}

func TestNoTimes(t *testing.T) {
	for text, want := range map[string]string{
		"":                       `"" is no time: it has 0 fields; write five fields`,
		"daily":                  `"daily" is no time: it has 1 fields`,
		"0 9 * *":                `it has 4 fields`,
		"0 0 9 * * mon":          `it has 6 fields`,
		"0 25 * * *":             `write five fields`,
		"0 9 * * mo-fr":          `write five fields`,
		"0 9 * * 7":              `Sunday is 0 or sun, and not 7`,
		"0 9 30 2 *":             `no calendar has such a day`,
		"@every 1h":              `an interval begins nowhere`,
		"@reboot":                `write five fields`,
		"TZ=UTC 0 9 * * *":       `the zone has a key of its own, timezone`,
		"CRON_TZ=":               `the zone has a key of its own, timezone`,
		"99999999999999 9 * * *": `write five fields`,
	} {
		_, err := schedule.Parse(text, time.UTC)
		if bot.KindOf(err) != bot.Invalid || !strings.Contains(bot.Sentence(err, ""), want) {
			t.Errorf("%q: %v; want what has %q", text, err, want)
		}
	}
	if got := (schedule.Times{}).After(time.Unix(0, 0)); !got.IsZero() {
		t.Errorf("what was never read is due at %s", got)
	}
	if got := between(parse(t, "@weekly", "UTC"), at(t, "2026-11-20T00:00:00Z"), at(t, "2026-11-30T00:00:00Z")); !slices.Equal(got, []string{"11-22 00:00 UTC", "11-29 00:00 UTC"}) {
		t.Errorf("@weekly is due at %s", got)
	}
}
