package page

import (
	"context"
	"fmt"
	"slices"
	"time"

	"quarterdeck/bot"
)

// History gives what is known of a target from the runs there and from what was
// observed; slot is of its releases.
func History(runs bot.Runs, log bot.Log, clock bot.Clock, zone func() bot.Zone, slot func(bot.Target) string) func(ctx context.Context, t bot.Target) (Known, error) {
	const looked, back = 30, 14 * 24 * time.Hour
	type change struct {
		at   time.Time
		text string
	}
	return func(ctx context.Context, t bot.Target) (known Known, err error) {
		all, err := runs.Runs(ctx, bot.RunFilter{Target: t, Limit: looked})
		if err != nil {
			return known, err
		}
		z, now := zone(), clock.Now()
		var changes []change
		var newest time.Time
		for _, r := range all {
			if r.Started.IsZero() || !r.Acted || !r.Alters() {
				continue
			}
			text := fmt.Sprintf("%s #%d %s: %s, by %s", z.Minute(r.Started), r.Number, r.Plan.Summary, r.State.Word(), r.Call.Who.Name())
			changes = append(changes, change{r.Started, text})
			if r.State.Settled() && r.Number > known.Newest {
				known.Newest = r.Number
				known.Ended = fmt.Sprintf("#%d %s: %s, by %s", r.Number, r.Plan.Summary, r.State.Word(), r.Call.Who.Name())
			}
			if r.Plan.Slot == slot(t) && r.Started.After(newest) {
				newest, known.Release = r.Started, r.Digest
			}
		}
		records, err := log.Records(ctx, bot.RecordFilter{Kind: bot.ObservedKind, Target: t.String(), Since: now.Add(-back), Limit: looked})
		if err != nil {
			return known, err
		}
		for _, r := range records {
			changes = append(changes, change{r.At, z.Minute(r.At) + " " + r.Words("summary") + ", from outside"})
		}
		slices.SortStableFunc(changes, func(a, b change) int { return b.at.Compare(a.at) })
		for _, c := range changes[:min(len(changes), maxChanges)] {
			known.Changes = append(known.Changes, c.text)
		}
		return known, nil
	}
}
