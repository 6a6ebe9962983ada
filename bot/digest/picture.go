package digest

import (
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/chart"
	"quarterdeck/bot/provider"
)

// pictured is how many days a digest's chart reaches back.
const pictured = 14

// picture draws how many changes went well and did not on each of the last days, as
// the wall clock of the digest has them. Nil where nothing ended, or where the runs
// that were read do not reach back so far: a day that is not known is not zero.
func picture(w Window, runs []bot.Run) (*bot.Image, error) {
	zone := w.Times.Zone()
	end := w.To.In(zone)
	day := func(ago int) time.Time { return time.Date(end.Year(), end.Month(), end.Day()-ago, 0, 0, 0, 0, zone) }
	if len(runs) == mostRuns && runs[len(runs)-1].Created.After(day(pictured-1)) {
		return nil, nil
	}
	well, not := make([]provider.Point, pictured), make([]provider.Point, pictured)
	for i := range pictured {
		at := day(pictured - 1 - i)
		well[i].At, not[i].At = at, at
	}
	total := 0
	for _, r := range runs {
		t := r.Ask.Target
		if !r.State.Settled() || t == (bot.Target{}) || r.Ended.After(w.To) || r.Ended.Before(day(pictured-1)) || !w.May(bot.MaySeeHistory, t) {
			continue
		}
		i := pictured - 1
		for i > 0 && r.Ended.Before(well[i].At) {
			i--
		}
		switch r.State {
		case bot.Succeeded:
			well[i].Value++
		case bot.Failed, bot.RolledBack, bot.Unknown:
			not[i].Value++
		default:
			continue
		}
		total++
	}
	if total == 0 {
		return nil, nil
	}
	const step = 24 * time.Hour
	scene := chart.Scene{Title: "changes a day", Subtitle: "the last 14 days", From: day(pictured - 1), To: day(0).Add(step), Zone: bot.Zone{Location: zone},
		Lines: []chart.Line{{Label: "done", Points: well, Step: step}, {Label: "failed", Points: not, Step: step}}}
	return scene.Picture("changes.png")
}
