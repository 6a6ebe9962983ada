package chart

import (
	"slices"
	"testing"
	"time"
)

func labels(list []moment) []string {
	var out []string
	for _, m := range list {
		out = append(out, m.label)
	}
	return out
}

func TestCalendar(t *testing.T) {
	for name, c := range map[string]struct {
		from, to      string
		n             int
		ticks, dates  []string
		shifts, zones []string
	}{
		"six hours":    {from: "2026-11-21 08:10", to: "2026-11-21 14:10", n: 7, ticks: []string{"09:00", "10:00", "11:00", "12:00", "13:00", "14:00"}, dates: []string{"Sat 21 Nov"}},
		"over the day": {from: "2026-11-20 19:20", to: "2026-11-21 07:20", n: 7, ticks: []string{"20:00", "22:00", "00:00", "02:00", "04:00", "06:00"}, dates: []string{"Fri 20 Nov", "Sat 21 Nov"}},
		"spring":       {from: "2026-03-28 23:00", to: "2026-03-29 06:00", n: 8, ticks: []string{"23:00", "00:00", "01:00", "03:00", "04:00", "05:00", "06:00"}, dates: []string{"Sat 28 Mar", "Sun 29 Mar"}, shifts: []string{"clocks forward 1h"}},
		"autumn":       {from: "2026-10-25 00:00", to: "2026-10-25 05:00", n: 8, ticks: []string{"00:00", "01:00", "02:00", "02:00", "03:00", "04:00", "05:00"}, dates: []string{"Sun 25 Oct"}, shifts: []string{"clocks back 1h"}},
		"autumn, fine": {from: "2026-10-25 01:30", to: "2026-10-25 03:10", n: 9, ticks: []string{"01:30", "02:00", "02:30", "02:00", "02:30", "03:00"}, dates: []string{"Sun 25 Oct"}, shifts: []string{"clocks back 1h"}},
		"a week":       {from: "2026-11-14 14:10", to: "2026-11-21 14:10", n: 7, ticks: []string{"Sun 15", "Mon 16", "Tue 17", "Wed 18", "Thu 19", "Fri 20", "Sat 21"}, dates: []string{"November 2026"}},
		"over spring":  {from: "2026-03-27 12:00", to: "2026-03-31 12:00", n: 5, ticks: []string{"Sat 28", "Sun 29", "Mon 30", "Tue 31"}, dates: []string{"March 2026"}, shifts: []string{"clocks forward 1h"}},
		"two years":    {from: "2024-11-21 14:10", to: "2026-11-21 14:10", n: 7, ticks: []string{"Jan", "Jul", "Jan", "Jul"}, dates: []string{"2024", "2025", "2026"}},
		"three minutes": {from: "2026-11-21 14:07", to: "2026-11-21 14:10", n: 7, ticks: []string{"14:07:00", "14:07:30", "14:08:00", "14:08:30", "14:09:00", "14:09:30", "14:10:00"},
			dates: []string{"Sat 21 Nov"}},
	} {
		got := calendarOf(at(c.from), at(c.to), berlin, c.n)
		if !slices.Equal(labels(got.ticks), c.ticks) {
			t.Errorf("%s: ticks %q, not %q", name, labels(got.ticks), c.ticks)
		}
		if !slices.Equal(labels(got.dates), c.dates) {
			t.Errorf("%s: dates %q, not %q", name, labels(got.dates), c.dates)
		}
		if !slices.Equal(labels(got.shifts), c.shifts) {
			t.Errorf("%s: shifts %q, not %q", name, labels(got.shifts), c.shifts)
		}
		if !slices.IsSortedFunc(got.ticks, func(a, b moment) int { return a.at.Compare(b.at) }) {
			t.Errorf("%s: ticks are not in order", name)
		}
	}
}

// TestOddZone: where clocks are three quarters of an hour ahead, ticks are at the
// full hours of those clocks.
func TestOddZone(t *testing.T) {
	zone, err := time.LoadLocation("Asia/Kathmandu")
	if err != nil {
		t.Fatal(err)
	}
	from := time.Date(2026, 11, 21, 3, 0, 0, 0, time.UTC)
	if got := labels(calendarOf(from, from.Add(4*time.Hour), zone, 6).ticks); !slices.Equal(got, []string{"09:00", "10:00", "11:00", "12:00"}) {
		t.Errorf("ticks %q", got)
	}
}
