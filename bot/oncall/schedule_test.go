package oncall_test

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"quarterdeck/bot/oncall"
)

func berlin(t interface{ Fatal(...any) }) *time.Location {
	z, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	return z
}

func start(t interface{ Fatal(...any) }, s string) time.Time {
	at, err := oncall.ParseStart(s)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// TestHandoverByTheWall: a turn begins when the clock on the wall says so, in both
// weeks in which the clocks change.
func TestHandoverByTheWall(t *testing.T) {
	zone := berlin(t)
	s := oncall.Schedule{Name: "primary", Zone: zone, Rotations: []oncall.Rotation{{Persons: []string{"ann", "bob"}, Start: start(t, "2026-03-23 09:00"), Days: 7}}}
	for _, c := range []struct{ at, want string }{
		{"2026-03-23T07:59:00Z", "bob"}, // 08:59 in winter
		{"2026-03-23T08:00:00Z", "ann"},
		{"2026-03-30T06:59:00Z", "ann"}, // the clocks went forward on the 29th: 08:59
		{"2026-03-30T07:00:00Z", "bob"},
		{"2026-10-19T06:59:00Z", "bob"},
		{"2026-10-19T07:00:00Z", "ann"},
		{"2026-10-26T07:59:00Z", "ann"}, // and back on the 25th: 08:59
		{"2026-10-26T08:00:00Z", "bob"},
	} {
		at, _ := time.Parse(time.RFC3339, c.at)
		if got, ok := s.Primary(at, nil); !ok || got != c.want {
			t.Errorf("%s: %q is on call, want %q", c.at, got, c.want)
		}
	}
}

// TestHandoverInTheGap: a turn that begins at a time which the wall never shows
// begins right after, and one whose time is shown twice begins the first time.
func TestHandoverInTheGap(t *testing.T) {
	zone := berlin(t)
	daily := oncall.Rotation{Persons: []string{"ann", "bob"}, Start: start(t, "2026-03-28 02:30"), Days: 1}
	s := oncall.Schedule{Name: "night", Zone: zone, Rotations: []oncall.Rotation{daily}}
	for _, c := range []struct{ at, want string }{
		{"2026-03-29T00:59:59Z", "ann"},
		{"2026-03-29T01:00:00Z", "bob"}, // 03:00: there is no 02:30
		{"2026-03-30T00:29:59Z", "bob"},
		{"2026-03-30T00:30:00Z", "ann"},
		{"2026-10-25T00:29:59Z", "ann"},
		{"2026-10-25T00:30:00Z", "bob"}, // the first 02:30
		{"2026-10-25T01:30:00Z", "bob"}, // the second changes nothing
		{"2026-10-26T01:30:00Z", "ann"},
	} {
		at, _ := time.Parse(time.RFC3339, c.at)
		if got, _ := s.Primary(at, nil); got != c.want {
			t.Errorf("%s: %q is on call, want %q", c.at, got, c.want)
		}
	}
}

// TestOverrideOverMidnight: an override holds from its first to its last instant,
// and the newest of several wins.
func TestOverrideOverMidnight(t *testing.T) {
	zone := berlin(t)
	s := oncall.Schedule{Name: "primary", Zone: zone, Rotations: []oncall.Rotation{{Persons: []string{"ann"}, Start: start(t, "2026-01-05 09:00"), Days: 7}}}
	from := time.Date(2026, 10, 24, 22, 0, 0, 0, zone)
	until := time.Date(2026, 10, 25, 6, 0, 0, 0, zone) // nine hours: the clocks go back
	over := []oncall.Override{{Number: 1, Schedule: "primary", Person: "bob", From: from, Until: until},
		{Number: 2, Schedule: "primary", Person: "cid", From: from.Add(time.Hour), Until: from.Add(2 * time.Hour)},
		{Number: 3, Schedule: "other", Person: "dan", From: from, Until: until}}
	if until.Sub(from) != 9*time.Hour {
		t.Fatalf("the night has %s", until.Sub(from))
	}
	turns := s.Turns(from.Add(-time.Hour), until.Add(time.Hour), over)
	var said []string
	for _, turn := range turns {
		said = append(said, turn.Person+" "+turn.From.In(zone).Format("15:04"))
	}
	if got := strings.Join(said, ", "); got != "ann 21:00, bob 22:00, cid 23:00, bob 00:00, ann 06:00" {
		t.Errorf("turns are %s", got)
	}
}

// TestGapsAreAnnounced: hours in which nobody is on duty, and what is no rotation
// at all, are said.
func TestGapsAreAnnounced(t *testing.T) {
	hours, err := oncall.ParseWindow("mon-fri 08:00-18:00")
	if err != nil {
		t.Fatal(err)
	}
	s := oncall.Schedule{Name: "office", Zone: berlin(t), Rotations: []oncall.Rotation{{Persons: []string{"ann"}, Start: start(t, "2026-01-05 09:00"), Days: 7, Hours: hours}}}
	if got := strings.Join(s.Gaps(), "; "); got != "mon 18:00 - tue 08:00; tue 18:00 - wed 08:00; wed 18:00 - thu 08:00; thu 18:00 - fri 08:00; fri 18:00 - mon 08:00" {
		t.Errorf("gaps are %s", got)
	}
	if got := (oncall.Schedule{Name: "none", Rotations: []oncall.Rotation{{Days: 7}}}).Check(); len(got) != 1 || !strings.Contains(got[0], `rotation 1 of schedule "none" is empty`) {
		t.Errorf("of an empty rotation it says %q", got)
	}
	for _, bad := range []string{"", "mon-fri 8-18", "funday", "08:00-18:00 mon", "mon 25:00-26:00"} {
		if _, err := oncall.ParseWindow(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

// TestOnePrimaryOrAnAnnouncedGap: at every instant one person is on call, or the
// gap was told of; and turns agree with that at their edges and inside.
func TestOnePrimaryOrAnAnnouncedGap(t *testing.T) {
	zones := []string{"UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "America/Sao_Paulo", "Pacific/Apia"}
	windows := []string{"mon-fri 08:00-18:00", "22:00-06:00", "sat,sun", "fri 16:00-24:00", "00:00-24:00", "02:00-03:00"}
	people := []string{"ann", "bob", "cid"}
	rapid.Check(t, func(t *rapid.T) {
		zone, err := time.LoadLocation(rapid.SampledFrom(zones).Draw(t, "zone"))
		if err != nil {
			t.Fatal(err)
		}
		s := oncall.Schedule{Name: "primary", Zone: zone}
		for range rapid.IntRange(1, 3).Draw(t, "rotations") {
			r := oncall.Rotation{Persons: people[:rapid.IntRange(1, 3).Draw(t, "persons")], Days: rapid.SampledFrom([]int{1, 2, 7, 14}).Draw(t, "days"),
				Start: time.Date(2026, time.Month(rapid.IntRange(1, 12).Draw(t, "month")), rapid.IntRange(1, 28).Draw(t, "day"), rapid.IntRange(0, 23).Draw(t, "hour"), rapid.SampledFrom([]int{0, 15, 30}).Draw(t, "minute"), 0, 0, time.UTC)}
			for range rapid.IntRange(0, 2).Draw(t, "windows") {
				w, err := oncall.ParseWindow(rapid.SampledFrom(windows).Draw(t, "window"))
				if err != nil {
					t.Fatal(err)
				}
				r.Hours = append(r.Hours, w...)
			}
			s.Rotations = append(s.Rotations, r)
		}
		from := time.Unix(rapid.Int64Range(1767225600, 1798761600).Draw(t, "from"), 0) // in 2026
		if rapid.Bool().Draw(t, "near a change of the clocks") {
			if _, end := from.In(zone).ZoneBounds(); !end.IsZero() {
				from = end.Add(-time.Duration(rapid.IntRange(0, 60*60*30).Draw(t, "before")) * time.Second)
			}
		}
		var over []oncall.Override
		for n := range rapid.IntRange(0, 3).Draw(t, "overrides") {
			at := from.Add(time.Duration(rapid.IntRange(0, 2000).Draw(t, "at")) * time.Minute)
			over = append(over, oncall.Override{Number: int64(n + 1), Schedule: "primary", Person: "eve", From: at, Until: at.Add(time.Duration(rapid.IntRange(1, 1500).Draw(t, "for")) * time.Minute)})
		}
		until := from.Add(3 * 24 * time.Hour)
		turns := s.Turns(from, until, over)
		at := from
		for _, turn := range turns {
			if !turn.From.Equal(at) || !turn.Until.After(turn.From) {
				t.Fatalf("a turn from %s until %s follows %s", turn.From, turn.Until, at)
			}
			at = turn.Until
		}
		if !at.Equal(until) {
			t.Fatalf("turns end at %s", at)
		}
		announced := len(s.Gaps()) > 0
		for i := range 200 {
			at := from.Add(time.Duration(i) * until.Sub(from) / 200)
			person, ok := s.Primary(at, over)
			if (person != "") != ok {
				t.Fatalf("%s: %q, %v", at, person, ok)
			}
			if !ok && (!announced || !s.InGap(at)) {
				t.Fatalf("%s: nobody is on call, and no gap was announced", at)
			}
			for _, turn := range turns {
				if !at.Before(turn.From) && at.Before(turn.Until) && turn.Person != person {
					t.Fatalf("%s: %q is on call, and the turn is of %q", at, person, turn.Person)
				}
			}
		}
	})
}
