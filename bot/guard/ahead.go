package guard

import (
	"cmp"
	"slices"
	"time"
)

// Coming is a freeze of every week that begins soon.
type Coming struct {
	Environment string
	From, Until time.Time
	Reason      string
}

// Ahead gives the freezes of every week that begin after at and up to until,
// soonest first; those that stand at that time are not among them.
func (k *Keeper) Ahead(at, until time.Time) []Coming {
	var all []Coming
	for _, r := range k.recurring {
		start := r.Every.next(at, k.zone)
		if start.After(until) {
			continue
		}
		end, _ := r.Every.Until(start, k.zone)
		for _, e := range r.Environments {
			all = append(all, Coming{Environment: e, From: start.In(k.zone), Until: end.In(k.zone), Reason: r.Reason})
		}
	}
	slices.SortStableFunc(all, func(a, b Coming) int {
		return cmp.Or(a.From.Compare(b.From), cmp.Compare(a.Environment, b.Environment))
	})
	return all
}

// next gives when the window begins next after t.
func (w Window) next(t time.Time, zone *time.Location) time.Time {
	local := t.In(zone)
	monday := local.Day() - (int(local.Weekday())+6)%7
	for week := 0; ; week += 7 {
		if start := moment(local.Year(), local.Month(), monday+week, w.from, zone, false); start.After(t) {
			return start
		}
	}
}
