// Package backup is the restore test: the workflow that has a backup restored into
// a throw-away place, judges what was found there rung by rung, sees to it that
// nothing of it stays, and keeps the evidence.
package backup

import (
	"encoding/json"
	"fmt"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/provider"
)

// Kind is the workflow of all Specs whose body is a Test.
const Kind = "restore-test@1"

// FactBackup is the precondition that a backup is what it was.
const FactBackup = "backup"

// Test is the body of the Specs: what is restored, and what is wanted of it.
type Test struct {
	provider.Trial
	Objectives provider.Objectives `json:"objectives"`
}

// Slot gives the slot that restore tests of a target share.
func Slot(t bot.Target) string { return t.String() + " backup" }

// Line gives what to type to have a backup tested.
func Line(t bot.Target) string {
	return fmt.Sprintf("restore-test %s %s", t.Service, t.Environment)
}

// Body decodes the body of a Spec of this kind.
func Body(s bot.Spec) (Test, error) {
	var t Test
	if err := json.Unmarshal(s.Body, &t); err != nil {
		return t, fmt.Errorf("decode %s: %w", s.Kind, err)
	}
	return t, nil
}

// Facts gives the preconditions of a test: that the backup is what it was, and the
// configuration too.
func Facts(t Test, binding string) []bot.Fact {
	facts := []bot.Fact{{Name: FactBackup, Want: mark(t.Backup), Text: fmt.Sprintf("%s is there, made %s", t.Backup.ID, bot.Moment(t.Backup.Created))}}
	if binding != "" {
		facts = append(facts, bot.Fact{Name: provider.FactBinding, Want: binding, Text: "the configuration of " + t.Target.String()})
	}
	return facts
}

// mark tells one backup from another of the same name.
func mark(b provider.Backup) string {
	return fmt.Sprintf("%s %d %d", b.ID, b.Created.UnixMicro(), b.Bytes)
}

// maxListed bounds how many backups are looked through for one.
const maxListed = 2000

// Find gives the backup with an id among those listed, the newest for "". Its
// errors say what there is.
func Find(t bot.Target, all []provider.Backup, id string) (provider.Backup, error) {
	if len(all) == 0 {
		return provider.Backup{}, bot.Errorf(bot.NotFound, "there are no backups of %s where they should be", t)
	}
	for _, b := range all {
		if id == "" || b.ID == id {
			return b, nil
		}
	}
	return provider.Backup{}, bot.Errorf(bot.NotFound, "%s has no backup %q; the newest is %s, and backup list %s %s shows all", t, id, all[0].ID, t.Service, t.Environment)
}

// Age gives how old something is in words that last: seconds up to ten minutes,
// then minutes.
func Age(d time.Duration) string {
	unit := time.Second
	switch {
	case d >= 48*time.Hour:
		return fmt.Sprintf("%dd", int(d/(24*time.Hour)))
	case d >= 10*time.Minute:
		unit = time.Minute
	case d < time.Second:
		unit = time.Millisecond
	}
	return bot.Span(d.Round(unit))
}

// Size gives a number of bytes as people say it; "-" where it is not known.
func Size(n int64) string {
	switch {
	case n <= 0:
		return "-"
	case n < 1<<10:
		return fmt.Sprintf("%d B", n)
	}
	size, units := float64(n), []string{"KiB", "MiB", "GiB", "TiB"}
	for i, u := range units {
		if size /= 1 << 10; size < 1<<10 || i == len(units)-1 {
			return fmt.Sprintf("%.1f %s", size, u)
		}
	}
	return "-"
}
