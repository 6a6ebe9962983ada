package backup

import (
	"fmt"
	"strings"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/provider"
)

// age judges the first rung: whether the backup is young enough, before any time
// is spent on it.
func age(t Test, now time.Time) provider.Rung {
	old := now.Sub(t.Backup.Created)
	switch rpo := t.Objectives.RPO; {
	case old < -clockSkew:
		return failed(provider.RungAge, "the backup says that it was made %s from now; one of the clocks is wrong", Age(-old))
	case rpo == 0:
		return provider.Rung{Name: provider.RungAge, State: provider.RungNotAsked, Text: fmt.Sprintf("it is %s old; no rpo is configured", Age(max(old, 0)))}
	case old > rpo:
		return failed(provider.RungAge, "the backup is %s old, and the RPO is %s", Age(old), bot.Span(rpo))
	default:
		return provider.Rung{Name: provider.RungAge, State: provider.RungPassed, Text: fmt.Sprintf("it is %s old; the RPO is %s", Age(max(old, 0)), bot.Span(rpo))}
	}
}

// clockSkew is by how much two machines' clocks may differ without a word.
const clockSkew = time.Minute

func failed(name provider.RungName, format string, args ...any) provider.Rung {
	return provider.Rung{Name: name, State: provider.RungFailed, Text: fmt.Sprintf(format, args...)}
}

// fresh judges the measured RPO: how old the newest data was when the restore
// began.
func fresh(t Test, f provider.Findings) provider.Rung {
	r := provider.Rung{Name: provider.RungFresh, State: provider.RungNotAsked}
	rpo := t.Objectives.RPO
	switch lost := f.Began.Sub(f.Newest); {
	case f.Newest.IsZero():
		r.Text = "no query for the newest data is configured"
	case f.Began.IsZero():
		r.State, r.Text = provider.RungFailed, "the provider does not say when it began"
	case lost < -clockSkew:
		r.State, r.Text = provider.RungFailed, fmt.Sprintf("the newest data in it is from %s after now; one of the clocks is wrong", Age(-lost))
	case rpo == 0:
		r.Text = fmt.Sprintf("its newest data is %s old; no rpo is configured", Age(max(lost, 0)))
	case lost > rpo:
		r.State, r.Text = provider.RungFailed, fmt.Sprintf("its newest data is %s old, and the RPO is %s", Age(lost), bot.Span(rpo))
	default:
		r.State, r.Text = provider.RungPassed, fmt.Sprintf("measured RPO %s; wanted %s", Age(max(lost, 0)), bot.Span(rpo))
	}
	return r
}

// inTime judges the measured RTO: from fetching until it could be asked.
func inTime(t Test, f provider.Findings) provider.Rung {
	r := provider.Rung{Name: provider.RungInTime, State: provider.RungNotAsked}
	switch rto := t.Objectives.RTO; {
	case f.Ready <= 0:
		r.State, r.Text = provider.RungFailed, "the provider does not say how long it took"
	case rto == 0:
		r.Text = fmt.Sprintf("it took %s; no rto is configured", took(f.Ready))
	case f.Ready > rto:
		r.State, r.Text = provider.RungFailed, fmt.Sprintf("it took %s, and the RTO is %s", took(f.Ready), bot.Span(rto))
	default:
		r.State, r.Text = provider.RungPassed, fmt.Sprintf("measured RTO %s; wanted %s", took(f.Ready), bot.Span(rto))
	}
	return r
}

// took gives a measured time with as much of it as matters.
func took(d time.Duration) string {
	switch {
	case d >= time.Minute:
		return bot.Span(d.Round(time.Second))
	case d >= time.Second:
		return d.Round(10 * time.Millisecond).String()
	}
	return d.Round(10 * time.Microsecond).String()
}

// climbed puts the ladder together: ours around what the provider found. A rung
// that a provider left out although none before it failed did fail: a check that
// was not made is not passed. ended says that the trial came to its end.
func climbed(t Test, first provider.Rung, f provider.Findings, ended bool) []provider.Rung {
	found := map[provider.RungName]provider.Rung{provider.RungAge: first}
	for _, r := range f.Rungs {
		found[r.Name] = r
	}
	stopped, saysWhy := false, fault(f.Rungs) != nil
	var all []provider.Rung
	for _, name := range provider.Ladder() {
		if name == provider.RungRemoved { // it is put last, and judged whatever came before
			break
		}
		r, has := found[name]
		switch {
		case stopped:
			r = provider.Rung{Name: name, State: provider.RungNotRun}
		case name == provider.RungFresh && ended:
			r = fresh(t, f)
		case name == provider.RungInTime && ended:
			r = inTime(t, f)
		case !has && ended && !saysWhy: // the rung that failed says more
			r = failed(name, "it was not checked")
		case !has:
			r = provider.Rung{Name: name, State: provider.RungNotRun}
		case ended && r.State == provider.RungNotRun:
			r = failed(name, "it was begun and not finished")
		case r.State != provider.RungPassed && r.State != provider.RungNotAsked && r.State != provider.RungNotRun:
			r.State = provider.RungFailed // and so did one that nobody knows
		}
		r.Name = name
		stopped = stopped || r.State == provider.RungFailed
		all = append(all, r)
	}
	return all
}

// fault gives the rung that failed, nil when none did.
func fault(rungs []provider.Rung) *provider.Rung {
	for i := range rungs {
		if rungs[i].State == provider.RungFailed {
			return &rungs[i]
		}
	}
	return nil
}

// reached says how far up the ladder it went, for people: what was shown, and what
// nobody asked.
func reached(rungs []provider.Rung) string {
	var shown, open []string
	for _, r := range rungs {
		switch r.State {
		case provider.RungPassed:
			shown = append(shown, string(r.Name))
		case provider.RungNotAsked:
			open = append(open, string(r.Name))
		}
	}
	s := "checked: " + strings.Join(shown, ", ")
	if len(open) > 0 {
		s += "; not asked: " + strings.Join(open, ", ")
	}
	return s
}
