package app

import (
	"context"
	"io"
	"os"
	"slices"
	"time"

	"quarterdeck/auth"
	"quarterdeck/bot"
	"quarterdeck/bot/audit"
	"quarterdeck/bot/config"
	"quarterdeck/bot/store"
)

// ReportOptions says what Report writes.
type ReportOptions struct {
	Scope  audit.Scope
	Format string // "csv" or "html"
	Made   time.Time
	// Against are further checkpoints, as for Verify; Archive is the folder of
	// archived segments, "" for the configured one.
	Against []string
	Archive string
}

// ReportFormats gives the forms that Report writes.
func ReportFormats() []string { return []string{"csv", "html"} }

// Report checks the audit log of the configured database, as Verify does, and
// writes what it tells about the scope to w. What came of the check is on the
// report's first page and given back.
func Report(ctx context.Context, c *config.Config, t Tables, w io.Writer, o ReportOptions) (audit.Report, error) {
	write := (*audit.Book).WriteCSV
	switch o.Format {
	case "csv":
	case "html":
		write = (*audit.Book).WriteHTML
	default:
		return audit.Report{}, bot.Errorf(bot.Invalid, "there is no report format %q; use csv or html", o.Format)
	}
	if o.Archive == "" && c.Audit.Archive != "" {
		if _, err := os.Stat(c.Audit.Archive); err == nil {
			o.Archive = c.Audit.Archive
		}
	}
	s, verify, err := checked(ctx, c, t, o.Against, o.Archive)
	if err != nil {
		return audit.Report{}, err
	}
	defer s.Close()
	book, err := audit.Compile(ctx, s, audit.CompileOptions{Scope: o.Scope, Verify: verify, Made: o.Made})
	if err != nil {
		return audit.Report{}, err
	}
	defer book.Close()
	return book.Cover.Verified, write(book, w)
}

// Period reads the ends of a report's period: days, of which the last is still
// in it, months, or instants as RFC 3339 writes them, of which the last is not.
func Period(from, to string, zone *time.Location) (audit.Scope, error) {
	var s audit.Scope
	for _, end := range []struct {
		flag, text string
		into       *time.Time
		last       bool
	}{{"--from", from, &s.From, false}, {"--to", to, &s.To, true}} {
		at, length, ok := readDay(end.text, zone)
		if !ok {
			return audit.Scope{}, bot.Errorf(bot.Invalid, "%s takes a day such as 2026-10-31, a month such as 2026-10, or an instant such as 2026-10-31T18:00:00Z; it is %q", end.flag, end.text)
		}
		if end.last {
			at = length(at)
		}
		*end.into = at
	}
	return s, nil
}

func readDay(text string, zone *time.Location) (at time.Time, length func(time.Time) time.Time, ok bool) {
	if at, err := time.ParseInLocation(time.DateOnly, text, zone); err == nil {
		return at, func(t time.Time) time.Time { return t.AddDate(0, 0, 1) }, true
	}
	if at, err := time.ParseInLocation("2006-01", text, zone); err == nil {
		return at, func(t time.Time) time.Time { return t.AddDate(0, 1, 0) }, true
	}
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		return at, func(t time.Time) time.Time { return t }, true
	}
	return time.Time{}, nil, false
}

// recordRules appends rec, which tells what became different, together with
// all people, rules and settings that are in force from it on.
func recordRules(tx store.Tx, log *audit.Log, rec bot.Record, now auth.Snapshot, settings map[string]setting) error {
	rules := audit.Rules{Lines: slices.Concat([]string{"+ hours are read in " + now.Zone}, auth.Diff(auth.Snapshot{}, now), diffSettings(nil, settings))}
	rec, err := rules.Describe(rec)
	if err != nil {
		return err
	}
	head, err := log.Append(tx, rec)
	if err != nil {
		return err
	}
	return rules.Keep(tx, head.Seq)
}

// Day reads the beginning of a day or month, or an instant, as Period does.
func Day(text string, zone *time.Location) (time.Time, error) {
	at, _, ok := readDay(text, zone)
	if !ok {
		return time.Time{}, bot.Errorf(bot.Invalid, "--before takes a day such as 2026-10-31, a month such as 2026-10, or an instant such as 2026-10-31T18:00:00Z; it is %q", text)
	}
	return at, nil
}
