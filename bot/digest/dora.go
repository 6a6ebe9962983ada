package digest

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sourcegraph/conc/iter"

	"quarterdeck/bot"
	"quarterdeck/bot/provider"
	"quarterdeck/bot/release"
)

// Metrics are the five DORA metrics of one target in one window, as
// https://dora.dev/guides/dora-metrics/ defines them, each with what it was
// reckoned from. They come from the ledger: what went live, by whom ever.
//
// A deployment failed when its run ended without success after it had begun, or
// when what it brought was left by a rollback. It is recovered from when something
// else went live after it. Rework is what was not planned but came of a failure: a
// rollback, and what was brought while a failure stood.
type Metrics struct {
	Days        float64       // the window's length
	Deployments int           // that went live: deployment frequency, over Days
	New         int           // of them, those that were live for the first time
	Dated       int           // of those, the ones whose commit's time is known
	Lead        time.Duration // median from commit to production over Dated
	Failed      int           // change fail rate, over Attempts
	Attempts    int           // deployments that were tried
	Recovered   int           // of Failed, those that were recovered from
	Recovery    time.Duration // failed deployment recovery time: median over Recovered
	Rework      int           // deployment rework rate, over All
	All         int           // Attempts and rollbacks
}

// Measure reckons the metrics of what happened after from and up to until.
// entries are a target's, in any order; those before are needed to tell what is
// new, and those after to tell what failed. committed gives when artefacts were
// committed, by ID, as far as it is known.
func Measure(entries []release.Entry, from, until time.Time, committed map[string]time.Time) Metrics {
	m := Metrics{Days: until.Sub(from).Hours() / 24}
	entries = slices.Clone(entries)
	slices.SortStableFunc(entries, func(a, b release.Entry) int { return a.At.Compare(b.At) })
	failed := make([]bool, len(entries))
	for i, e := range entries {
		switch {
		case brings(e) && e.Artefact.ID == "" && e.Action == provider.Deploy:
			failed[i] = true
		case e.Action == provider.Rollback && e.Artefact.ID != "":
			for j := i - 1; j >= 0; j-- {
				if brings(entries[j]) && entries[j].Artefact.ID != "" && entries[j].Artefact.ID == e.Before.ID {
					failed[j] = true
					break
				}
			}
		}
	}
	var leads, recoveries []time.Duration
	known := map[string]bool{}
	broken := false // a failure stands
	for i, e := range entries {
		live := e.Artefact.ID != ""
		within := e.At.After(from) && !e.At.After(until)
		if within && brings(e) && (live || e.Action == provider.Deploy) {
			m.Attempts++
			m.All++
			if live {
				m.Deployments++
			}
			if failed[i] {
				m.Failed++
				if next := slices.IndexFunc(entries[i+1:], func(n release.Entry) bool { return n.Artefact.ID != "" }); next >= 0 {
					recoveries = append(recoveries, entries[i+1+next].At.Sub(e.At))
				}
			}
			if broken {
				m.Rework++
			}
			if live && !known[e.Artefact.ID] {
				m.New++
				if at, ok := committed[e.Artefact.ID]; ok && !at.IsZero() {
					leads = append(leads, e.At.Sub(at))
				}
			}
		}
		if within && e.Action == provider.Rollback {
			m.All++
			m.Rework++
		}
		switch {
		case failed[i]:
			broken = true
		case live:
			broken = false
		}
		if e.Before.ID != "" {
			known[e.Before.ID] = true
		}
		if live {
			known[e.Artefact.ID] = true
		}
	}
	m.Dated, m.Lead = len(leads), median(leads)
	m.Recovered, m.Recovery = len(recoveries), median(recoveries)
	return m
}

// brings reports whether e is something that was to go live, and no way back.
func brings(e release.Entry) bool {
	return e.Action == provider.Deploy || e.Action == release.Observed
}

func median(list []time.Duration) time.Duration {
	if len(list) == 0 {
		return 0
	}
	slices.Sort(list)
	if half := len(list) / 2; len(list)%2 == 0 {
		return (list[half-1] + list[half]) / 2
	}
	return list[len(list)/2]
}

// String gives the metrics in one line, each with its numerator and denominator.
func (m Metrics) String() string {
	parts := []string{fmt.Sprintf("%s in %s (%.1f a day)", counted(m.Deployments, "deployment"), whole(m.Days), float64(m.Deployments)/max(m.Days, 1))}
	if m.New > 0 {
		lead := "lead time not known"
		if m.Dated > 0 {
			lead = "lead time " + rough(m.Lead)
		}
		parts = append(parts, fmt.Sprintf("%s (%d of %d dated)", lead, m.Dated, m.New))
	}
	parts = append(parts, "failed "+rate(m.Failed, m.Attempts))
	if m.Failed > 0 {
		recovery := "not recovered"
		if m.Recovered > 0 {
			recovery = "recovery " + rough(m.Recovery)
		}
		parts = append(parts, fmt.Sprintf("%s (%d of %d)", recovery, m.Recovered, m.Failed))
	}
	return strings.Join(append(parts, "rework "+rate(m.Rework, m.All)), "; ")
}

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func whole(days float64) string { return counted(int(days+0.5), "day") }

func rate(n, of int) string {
	if of == 0 {
		return "0 of 0"
	}
	return fmt.Sprintf("%d of %d (%d %%)", n, of, (100*n+of/2)/of)
}

// rough gives a time as people compare it: in days, hours or minutes.
func rough(d time.Duration) string {
	switch {
	case d >= 48*time.Hour:
		return fmt.Sprintf("%.1f days", d.Hours()/24)
	case d >= time.Hour:
		return fmt.Sprintf("%.1f h", d.Hours())
	case d >= time.Minute:
		return fmt.Sprintf("%.0f min", d.Minutes())
	}
	return fmt.Sprintf("%.0f s", d.Seconds())
}

// The bounds of what is looked through for the metrics.
const (
	mostEntries = 2000 // of a target
	mostDated   = 50   // artefacts of a target whose commits are asked for
	askers      = 8    // targets at a time
)

// dora tells the metrics of each service, those that were deployed most first.
func (s Sources) dora(ctx context.Context, w Window) (Block, error) {
	type measured struct {
		bot.Target
		Metrics
	}
	var targets []bot.Target
	for _, t := range s.Catalog.Targets() {
		if slices.Contains(w.Environments, t.Environment) && w.May(bot.MaySeeHistory, t) {
			targets = append(targets, t)
		}
	}
	each := iter.Mapper[bot.Target, measured]{MaxGoroutines: askers}
	all, err := each.MapErr(targets, func(t *bot.Target) (measured, error) {
		entries, err := s.Ledger.History(ctx, *t, mostEntries)
		if err != nil {
			return measured{}, err
		}
		return measured{*t, Measure(entries, w.From, w.To, s.dated(ctx, *t, entries, w))}, nil
	})
	if err != nil {
		return Block{}, err
	}
	slices.SortStableFunc(all, func(a, b measured) int { return cmp.Compare(b.All, a.All) })
	var lines []string
	for _, m := range all {
		if m.All > 0 {
			lines = append(lines, fmt.Sprintf("%s: %s", m.Target, m.Metrics))
		}
	}
	return Block{Lines: lines}, nil
}

// dated asks when what went live was committed. What is not known is left out:
// how many are is told.
func (s Sources) dated(ctx context.Context, t bot.Target, entries []release.Entry, w Window) map[string]time.Time {
	deployer, err := s.Catalog.Deployer(t)
	if err != nil {
		return nil
	}
	source, ok := deployer.(provider.Dated)
	if !ok {
		return nil
	}
	committed := map[string]time.Time{}
	for _, e := range entries {
		if _, done := committed[e.Artefact.ID]; done || e.Artefact.ID == "" || !w.Within(e.At) || !brings(e) {
			continue
		}
		if len(committed) == mostDated || ctx.Err() != nil {
			break
		}
		committed[e.Artefact.ID], _ = source.Committed(ctx, e.Artefact) // zero where it is not known
	}
	return committed
}
