package auth

import (
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestCoversPermission(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		pattern, permission string
		want                bool
	}{
		{"deploy", "deploy", true},
		{"*", "deploy", true},
		{"*", "run.approve", true},
		{"run.*", "run.approve", true},
		{"*.approve", "run.approve", true},
		{"run.*", "run", false},
		{"run.*", "runs.approve", false},
		{"run.*", "run.approve.all", false},
		{"run", "run.approve", false},
		{"dep", "deploy", false},
		{"deploy", "dep", false},
		{"Deploy", "deploy", false},
	} {
		if got := coversPermission(tt.pattern, tt.permission); got != tt.want {
			t.Errorf("%q covers %q: %t", tt.pattern, tt.permission, got)
		}
	}
	for permission, want := range map[string]bool{"rollback": false, "restart": true} {
		if got := coversRequired("*", permission); got != want {
			t.Errorf("a require of * covers %q: %t", permission, got)
		}
	}
	if !coversRequired("rollback", "rollback") {
		t.Error("a require of rollback does not cover it")
	}
}

// FuzzPattern compares the parser with a regular expression of its grammar,
// and matching with one made from the pattern.
func FuzzPattern(f *testing.F) {
	for _, s := range []string{"shop/prod", "*/staging", "shop/*", "*/*", "shop", "shop/", "/prod", "a/b/c", "sh*p/prod", "**/x", "a/ b", "a/\x00", "é/ü", "a/b\xff", "shop/pro"} {
		f.Add(s, "shop", "prod")
	}
	grammar := regexp.MustCompile(`^(\*|[^*/]+)/(\*|[^*/]+)$`)
	f.Fuzz(func(t *testing.T, s, first, second string) {
		p, problem := parsePattern(s)
		wellFormed := grammar.MatchString(s) && !strings.ContainsFunc(s, strange)
		if wellFormed != (problem == "") {
			t.Fatalf("%q: %q", s, problem)
		}
		if problem != "" {
			return
		}
		if p.first+"/"+p.second != s {
			t.Fatalf("%q is read as %+v", s, p)
		}
		if strings.Contains(first, "/") || strings.Contains(second, "/") || first == "" || second == "" {
			return
		}
		// Bytes that are no UTF-8 never equal a pattern, which has none.
		expression := "(?s)^" + strings.ReplaceAll(regexp.QuoteMeta(s), `\*`, `[^/]+`) + "$"
		want := regexp.MustCompile(expression).MatchString(first + "/" + second)
		if got := p.matches(first, second); got != want {
			t.Fatalf("%q matches %q/%q: %t", s, first, second, got)
		}
	})
}

// FuzzHours checks that what is read as hours covers some but never an
// impossible part of the week, and reads the same again.
func FuzzHours(f *testing.F) {
	for _, s := range []string{"mon-fri 08:00-18:00", "22:00-06:00", "sat", "fri-mon", "sun 22:00-24:00", "sun 23:00-01:00", "mon,wed 00:00-00:01", "24:00-01:00", "8:00-9:00", "mon-mon", "mon mon", "+1:00-02:00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		windows, err := parseHours(s)
		if err != nil {
			if windows != nil || err.Error() == "" {
				t.Fatalf("%q: %v and %v", s, windows, err)
			}
			return
		}
		covered := 0
		for _, w := range windows {
			if w.from < 0 || w.from > w.to || w.to > minutesPerWeek || w.to-w.from > minutesPerDay {
				t.Fatalf("%q: %+v", s, w)
			}
			covered += w.to - w.from
		}
		if covered == 0 || covered > minutesPerWeek {
			t.Fatalf("%q covers %d minutes", s, covered)
		}
		if again, err := parseHours(strings.ToUpper(s)); err != nil || len(again) != len(windows) {
			t.Fatalf("%q in capitals: %v %v", s, again, err)
		}
	})
}

func TestHours(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		hours, at string // 2026-11-16 is a Monday
		want      bool
	}{
		{"mon-fri 08:00-18:00", "2026-11-16 08:00", true},
		{"mon-fri 08:00-18:00", "2026-11-16 07:59", false},
		{"mon-fri 08:00-18:00", "2026-11-20 17:59", true},
		{"mon-fri 08:00-18:00", "2026-11-20 18:00", false},
		{"mon-fri 08:00-18:00", "2026-11-21 12:00", false},
		{"22:00-06:00", "2026-11-16 00:00", true},
		{"22:00-06:00", "2026-11-16 06:00", false},
		{"22:00-06:00", "2026-11-22 23:59", true},
		{"sun 22:00-06:00", "2026-11-16 05:59", true}, // from Sunday into Monday
		{"sun 22:00-06:00", "2026-11-17 05:59", false},
		{"sun 22:00-06:00", "2026-11-22 05:59", false},
		{"sat,sun", "2026-11-21 00:00", true},
		{"sat,sun", "2026-11-22 23:59", true},
		{"sat,sun", "2026-11-23 00:00", false},
		{"fri-mon 12:00-13:00", "2026-11-22 12:30", true},
		{"fri-mon 12:00-13:00", "2026-11-17 12:30", false},
		{"wed 18:00-00:00", "2026-11-18 23:59", true},
		{"wed 18:00-00:00", "2026-11-19 00:00", false},
		{"wed 18:00-24:00", "2026-11-18 23:59", true},
		{"wed 18:00-24:00", "2026-11-19 00:00", false},
	} {
		windows, err := parseHours(tt.hours)
		if err != nil {
			t.Errorf("%q: %v", tt.hours, err)
			continue
		}
		at, err := time.Parse("2006-01-02 15:04", tt.at)
		if err != nil {
			t.Fatal(err)
		}
		if got := inWindows(windows, minuteOfWeek(at, time.UTC)); got != tt.want {
			t.Errorf("%q at %s: %t", tt.hours, tt.at, got)
		}
	}
	for hours, want := range map[string]string{
		"":                    "expected days, a time, or both",
		"mon 08:00-09:00 utc": "expected days, a time, or both",
		"08:00-09:00 mon":     "expected days before the time",
		"monday":              `"monday" is not a day; days are mon tue wed thu fri sat sun`,
		"mon,tue,mon":         "mon is named twice",
		"mon 08:00":           `"08:00" is not a stretch of time such as 08:00-18:00`,
		"8:00-18:00":          `"8:00" is not a time from 00:00 to 24:00`,
		"08:60-18:00":         `"08:60" is not a time from 00:00 to 24:00`,
		"08:00-24:01":         `"24:01" is not a time from 00:00 to 24:00`,
		"08:00-08:00":         `"08:00-08:00" starts and ends at the same time; leave the time out for whole days`,
		"24:00-08:00":         "a stretch of time cannot start at 24:00; start at 00:00 of the next day",
	} {
		if _, err := parseHours(hours); err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %s", hours, err, want)
		}
	}
}
