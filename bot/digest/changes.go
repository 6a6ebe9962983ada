package digest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"quarterdeck/bot"
)

// The bounds of what a section looks through.
const (
	mostRuns    = 1000
	mostRecords = 500
)

// order is that in which outcomes are summed up: what went wrong is first told
// of, and what went well first counted.
var order = []bot.RunState{bot.Succeeded, bot.Failed, bot.RolledBack, bot.Unknown, bot.Expired, bot.Cancelled}

// changes tells what ended in the window, ours and observed.
func (s Sources) changes(ctx context.Context, w Window) (Block, error) {
	runs, err := s.Runs.Runs(ctx, bot.RunFilter{Limit: mostRuns})
	if err != nil {
		return Block{}, err
	}
	count := map[bot.RunState]int{}
	var bad, good []string
	for _, r := range runs {
		t := r.Ask.Target
		if !r.State.Settled() || !w.Within(r.Ended) || t == (bot.Target{}) || !w.May(bot.MaySeeHistory, t) {
			continue
		}
		count[r.State]++
		line := fmt.Sprintf("#%d %s: %s (%s)", r.Number, r.Plan.Summary, r.State.Word(), r.Call.Who.Name())
		if r.Plan.Summary == "" {
			line = fmt.Sprintf("#%d %s: %s (%s)", r.Number, r.Call.Line, r.State.Word(), r.Call.Who.Name())
		}
		switch r.State {
		case bot.Succeeded:
			good = append(good, line)
		case bot.Expired, bot.Cancelled:
			good = append(good, line)
		default:
			bad = append(bad, line)
		}
	}
	records, err := s.Log.Records(ctx, bot.RecordFilter{Kind: bot.ObservedKind, Since: w.From, Limit: mostRecords})
	if err != nil {
		return Block{}, err
	}
	var seen []string
	for _, r := range records {
		t, ok := bot.ParseTarget(r.Target)
		if !ok || !w.Within(r.At) || !w.May(bot.MaySeeHistory, t) {
			continue
		}
		seen = append(seen, "not through the bot: "+r.Words("summary"))
	}
	total := len(bad) + len(good) + len(seen)
	if total == 0 {
		return Block{}, nil
	}
	var parts []string
	for _, state := range order {
		if n := count[state]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, strings.ReplaceAll(state.Word(), ", ", " and ")))
		}
	}
	if len(seen) > 0 {
		parts = append(parts, fmt.Sprintf("%d observed", len(seen)))
	}
	sum := fmt.Sprintf("%d: %s", total, strings.Join(parts, ", "))
	if len(runs) == mostRuns && runs[len(runs)-1].Created.After(w.From) {
		sum = "more than " + sum
	}
	image, err := picture(w, runs)
	return Block{Lines: slices.Concat([]string{sum}, bad, seen, good), Image: image}, err
}

// The ages from which on something counts as stuck, and for how long a run whose
// outcome is not known is told of.
const (
	stuckAfter = time.Hour
	unknownFor = 7 * 24 * time.Hour
)

// stuck tells of runs that want somebody to look.
func (s Sources) stuck(ctx context.Context, w Window) (Block, error) {
	open, err := s.Runs.Runs(ctx, bot.RunFilter{Open: true, Limit: mostRuns})
	if err != nil {
		return Block{}, err
	}
	unknown, err := s.Runs.Runs(ctx, bot.RunFilter{State: bot.Unknown, Limit: 50})
	if err != nil {
		return Block{}, err
	}
	var lines []string
	add := func(r bot.Run, since time.Time, how string) {
		if t := r.Ask.Target; t != (bot.Target{}) && !w.May(bot.MaySeeRuns, t) {
			return
		}
		what := r.Plan.Summary
		if what == "" {
			what = r.Call.Line
		}
		lines = append(lines, fmt.Sprintf("#%d %s: %s since %s (%s)", r.Number, what, how, w.Zone.Minute(since), r.Call.Who.Name()))
	}
	for _, r := range unknown {
		if w.Now.Sub(r.Ended) < unknownFor {
			add(r, r.Ended, "unknown")
		}
	}
	for _, r := range open {
		switch {
		case r.Pending():
		case r.State == bot.Waiting:
			add(r, r.Created, "waiting for a person")
		case r.State == bot.Queued && w.Now.Sub(r.Created) >= stuckAfter:
			add(r, r.Created, "queued")
		case !r.Started.IsZero() && w.Now.Sub(r.Started) >= stuckAfter:
			add(r, r.Started, string(r.State))
		}
	}
	return headed(lines, "run"), nil
}

// headed puts a sum before lines, where there is more than one.
func headed(lines []string, what string) Block {
	if len(lines) > 1 {
		lines = slices.Insert(lines, 0, fmt.Sprintf("%d %ss", len(lines), what))
	}
	return Block{Lines: lines}
}

// reviews tells of break-glass that waits for another person's look.
func (s Sources) reviews(ctx context.Context, w Window) (Block, error) {
	runs, err := s.Runs.Runs(ctx, bot.RunFilter{ToReview: true, Limit: mostRuns})
	if err != nil {
		return Block{}, err
	}
	var lines []string
	for _, r := range runs {
		if t := r.Ask.Target; t != (bot.Target{}) && !w.May(bot.MaySeeRuns, t) {
			continue
		}
		lines = append(lines, fmt.Sprintf("#%d %s: by break-glass on %s (%s); review %d", r.Number, r.Plan.Summary, w.Zone.Minute(r.Created), r.Call.Who.Name(), r.Number))
	}
	return headed(lines, "open review"), nil
}

// ahead is how far the freezes of every week are told of before they begin.
const ahead = 7 * 24 * time.Hour

// holds tells what keeps people from changing things, now and soon.
func (s Sources) holds(ctx context.Context, w Window) (Block, error) {
	standing, err := s.Guard.Look(ctx, w.Now)
	if err != nil {
		return Block{}, err
	}
	var lines []string
	if standing.Halt != "" {
		lines = append(lines, standing.Halt)
	}
	seen := map[string]bool{} // environments of which the principal sees something
	for _, t := range s.Catalog.Targets() {
		if !w.May(bot.MaySeeStatus, t) {
			continue
		}
		seen[t.Environment] = true
		if l := standing.Locks[t]; l != "" {
			lines = append(lines, fmt.Sprintf("%s is %s", t, l))
		}
	}
	for _, f := range standing.Freezes {
		if seen[f.Environment] {
			lines = append(lines, f.String())
		}
	}
	for _, env := range slices.Sorted(maps.Keys(seen)) {
		lines = append(lines, standing.Weekly[env]...)
	}
	for _, c := range s.Guard.Ahead(w.Now, w.Now.Add(ahead)) {
		if seen[c.Environment] {
			line := fmt.Sprintf("%s will be frozen from %s to %s", c.Environment, w.Zone.Minute(c.From), w.Zone.Minute(c.Until))
			if c.Reason != "" {
				line += ": " + c.Reason
			}
			lines = append(lines, line)
		}
	}
	return Block{Lines: lines}, nil
}

// verified tells whether the audit log is intact.
func (s Sources) verified(ctx context.Context, w Window) (Block, error) {
	if !w.May(bot.MayReadAudit, bot.Target{}) {
		return Block{}, bot.Errorf(bot.Denied, "%s may not read the audit log", w.Principal())
	}
	report, err := s.Verify(ctx)
	if err != nil {
		return Block{}, err
	}
	lines := []string{report.Summary()}
	for _, p := range report.Problems {
		lines = append(lines, p.Say)
	}
	return Block{Lines: lines}, nil
}
