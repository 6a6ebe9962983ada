package digest_test

import (
	"testing"
	"time"

	"quarterdeck/bot/digest"
	"quarterdeck/bot/provider"
	"quarterdeck/bot/release"
)

// week is the window of the fixture: from Monday 2026-11-16 09:00 to the next.
var week = time.Date(2026, 11, 16, 9, 0, 0, 0, time.UTC)

func on(day int, clock string) time.Time {
	at, err := time.Parse("15:04", clock)
	if err != nil {
		panic(err)
	}
	return time.Date(2026, 11, day, at.Hour(), at.Minute(), 0, 0, time.UTC)
}

func entry(at time.Time, action provider.Action, from, to string) release.Entry {
	a := func(id string) provider.Artefact {
		if id == "" {
			return provider.Artefact{}
		}
		return provider.Artefact{ID: "sha256:" + id, Version: id}
	}
	return release.Entry{At: at, Action: action, Before: a(from), Artefact: a(to)}
}

// TestDORA holds the metrics against a week that was reckoned by hand:
//
//	Sat 14 18:00  deploy v1 -> v2     before the window
//	Mon 16 10:00  deploy v2 -> v3     lead 4 h; fails: left by a rollback 30 min later
//	Mon 16 10:30  rollback v3 -> v2   recovers; rework
//	Tue 17 12:00  deploy v2 -> v4     lead 26 h
//	Wed 18 15:00  observed v4 -> v5   by somebody else; its commit is not known
//	Thu 19 09:00  deploy v5 -> ?      v6 never came up: fails, 2 h until recovered
//	Thu 19 11:00  deploy v5 -> v7     lead 1 h; while the failure stood: rework, recovers
//	Fri 20 16:00  deploy v7 -> v8     lead 10 h
//	Sat 21 08:00  deploy v8 -> v4     was live before: no lead time
//	Sat 21 08:10  deploy v4 -> v8     likewise
//	Mon 23 08:00  deploy v8 -> v9     lead 3 h; fails: left by a rollback 90 min later
//	Mon 23 09:30  rollback v9 -> v8   after the window; still tells that v9 failed
//
// So 8 deployments went live (v3 v4 v5 v7 v8 v4 v8 v9) of 9 tried. New of them are
// v3 v4 v5 v7 v8 v9: 6, and 5 of those are dated: 1, 3, 4, 10 and 26 h, median 4 h.
// Failed: v3, v6 and v9, 3 of 9; recovered after 30 min, 2 h and 90 min: median 90
// min. Rework: a rollback and v7, 2 of 10.
func TestDORA(t *testing.T) {
	entries := []release.Entry{
		entry(on(14, "18:00"), provider.Deploy, "v1", "v2"),
		entry(on(16, "10:00"), provider.Deploy, "v2", "v3"),
		entry(on(16, "10:30"), provider.Rollback, "v3", "v2"),
		entry(on(17, "12:00"), provider.Deploy, "v2", "v4"),
		entry(on(18, "15:00"), release.Observed, "v4", "v5"),
		entry(on(19, "09:00"), provider.Deploy, "v5", ""),
		entry(on(19, "11:00"), provider.Deploy, "v5", "v7"),
		entry(on(20, "16:00"), provider.Deploy, "v7", "v8"),
		entry(on(21, "08:00"), provider.Deploy, "v8", "v4"),
		entry(on(21, "08:10"), provider.Deploy, "v4", "v8"),
		entry(on(23, "08:00"), provider.Deploy, "v8", "v9"),
		entry(on(23, "09:30"), provider.Rollback, "v9", "v8"),
	}
	committed := map[string]time.Time{
		"sha256:v3": on(16, "06:00"), "sha256:v4": on(16, "10:00"), "sha256:v7": on(19, "10:00"),
		"sha256:v8": on(20, "06:00"), "sha256:v9": on(23, "05:00"), "sha256:v5": {},
	}
	want := digest.Metrics{Days: 7, Deployments: 8, New: 6, Dated: 5, Lead: 4 * time.Hour,
		Failed: 3, Attempts: 9, Recovered: 3, Recovery: 90 * time.Minute, Rework: 2, All: 10}
	for name, order := range map[string]func(i int) int{
		"oldest first": func(i int) int { return i },
		"newest first": func(i int) int { return len(entries) - 1 - i }, // as the ledger gives them
	} {
		given := make([]release.Entry, len(entries))
		for i := range entries {
			given[i] = entries[order(i)]
		}
		got := digest.Measure(given, week, week.AddDate(0, 0, 7), committed)
		if got != want {
			t.Errorf("%s:\n got %+v\nwant %+v", name, got, want)
		}
		const line = "8 deployments in 7 days (1.1 a day); lead time 4.0 h (5 of 6 dated); failed 3 of 9 (33 %); recovery 1.5 h (3 of 3); rework 2 of 10 (20 %)"
		if got.String() != line {
			t.Errorf("%s: it says\n%s\nwant\n%s", name, got, line)
		}
	}
	// A quiet week says nothing that was not.
	quiet := digest.Measure(entries, on(1, "09:00"), on(8, "09:00"), committed)
	if quiet != (digest.Metrics{Days: 7}) {
		t.Errorf("a quiet week has %+v", quiet)
	}
	if got, want := quiet.String(), "0 deployments in 7 days (0.0 a day); failed 0 of 0; rework 0 of 0"; got != want {
		t.Errorf("it says %q, want %q", got, want)
	}
}

// TestDORAOpenFailure: what nobody recovered from yet counts as failed, and is no
// time of zero.
func TestDORAOpenFailure(t *testing.T) {
	got := digest.Measure([]release.Entry{entry(on(17, "09:00"), provider.Deploy, "v1", "")}, week, week.AddDate(0, 0, 7), nil)
	if want := (digest.Metrics{Days: 7, Failed: 1, Attempts: 1, All: 1}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got, want := got.String(), "0 deployments in 7 days (0.0 a day); failed 1 of 1 (100 %); not recovered (0 of 1); rework 0 of 1 (0 %)"; got != want {
		t.Errorf("it says %q, want %q", got, want)
	}
}
