package bot

import (
	"fmt"
	"regexp"
	"strings"
	"unicode"
)

// Unseen reports whether a character does something else than stand in its place:
// it cannot be seen, or moves or hides what stands beside it. The two joiners are
// none of those: scripts and emoji are written with them, and they move nothing.
func Unseen(r rune) bool {
	if r >= ' ' && r < 0x7f || r == '\u200c' || r == '\u200d' {
		return false
	}
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Cs, unicode.Co)
}

// Legible makes text safe to show: what would hide or reorder text, and so show one
// version and mean another, is written out, as \u202e. Nothing is dropped, so that
// two names never look alike for it. Lines stay; a network's own markup is for the
// network to escape.
func Legible(s string) string {
	s = strings.ToValidUTF8(strings.ReplaceAll(s, "\r\n", "\n"), "\uFFFD")
	if !strings.ContainsFunc(s, Unseen) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == '\n':
			b.WriteRune(r)
		case r == '\t', r == '\r':
			b.WriteByte(' ')
		case !Unseen(r):
			b.WriteRune(r)
		case r < 0x100:
			fmt.Fprintf(&b, `\x%02x`, r)
		case r < 0x10000:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			fmt.Fprintf(&b, `\U%08x`, r)
		}
	}
	return b.String()
}

// LegibleLine is Legible for what is shown in one line.
func LegibleLine(s string) string {
	return strings.TrimSpace(strings.ReplaceAll(Legible(s), "\n", " "))
}

// LegibleLines is Legible without empty lines around it.
func LegibleLines(s string) string { return strings.Trim(Legible(s), "\n") }

// Plain gives a whole card as legible text, for a file: its table with tabs between
// the cells, nothing cut.
func (c Card) Plain() string {
	var b strings.Builder
	add := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	if c.Title != "" {
		add("%s\n", LegibleLine(c.Title))
	}
	if c.Text != "" {
		add("%s\n", LegibleLines(c.Text))
	}
	for _, f := range c.Fields {
		add("%s: %s", LegibleLine(f.Name), LegibleLines(f.Value))
	}
	if c.Table != nil {
		for _, cells := range append([][]string{c.Table.Columns}, c.Table.Rows...) {
			for i, cell := range cells {
				if i > 0 {
					b.WriteByte('\t')
				}
				b.WriteString(LegibleLine(cell))
			}
			b.WriteByte('\n')
		}
	}
	for _, l := range c.Lines {
		add("%s", LegibleLines(l))
	}
	for _, s := range []string{c.Link, c.Footer} {
		if s != "" {
			add("%s", LegibleLine(s))
		}
	}
	return b.String()
}

var ofRun = regexp.MustCompile(`^run/(\d+)/`)

// FileName names the file that a card becomes: "run-12.txt" for what belongs to a
// run.
func (c Card) FileName() string {
	if m := ofRun.FindStringSubmatch(c.Key); m != nil {
		return "run-" + m[1] + ".txt"
	}
	return "answer.txt"
}
