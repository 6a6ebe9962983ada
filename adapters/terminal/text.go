package terminal

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/mattn/go-runewidth"
)

// measure counts columns the same on every machine: without it, ambiguous
// characters would be as wide as the locale says.
func measure(s string) int {
	c := runewidth.Condition{StrictEmojiNeutral: true}
	return c.StringWidth(s)
}

// clean makes one line of text safe to print: tabs and line ends become
// spaces, and characters that would steer the terminal, hide or reorder text
// are written out, as \x1b or \u202e.
func clean(s string) string {
	if !strings.ContainsFunc(s, steers) && utf8.ValidString(s) {
		return s
	}
	var b strings.Builder
	for i, r := range s {
		switch {
		case r == '\t', r == '\n', r == '\r':
			b.WriteByte(' ')
		case r == utf8.RuneError && !strings.HasPrefix(s[i:], "\uFFFD"):
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case !steers(r):
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

// steers reports whether a character does something else than stand in its
// place. The two joiners are let through: scripts and emoji are written with
// them, and they move nothing.
func steers(r rune) bool {
	if r == '\u200c' || r == '\u200d' {
		return false
	}
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Cs, unicode.Co)
}

// paragraphs splits text into clean lines.
func paragraphs(s string) []string {
	s = strings.ReplaceAll(s, "\r\n", "\n")
	lines := strings.Split(strings.TrimRight(s, "\n "), "\n")
	for i, l := range lines {
		lines[i] = strings.TrimRight(clean(strings.ReplaceAll(l, "\t", "    ")), " ")
	}
	return lines
}

// wrap breaks one clean line into lines of at most width columns, at spaces
// where there are any. Lines after the first are indented by hang spaces more
// than the line itself is; or, where the line has a first column set off by two
// or more spaces, to where its second column begins.
func wrap(line string, width, hang int) []string {
	if measure(line) <= width {
		return []string{line}
	}
	text := strings.TrimLeft(line, " ")
	own := min(len(line)-len(text), width/2)
	indent := own + hang
	if first, second, found := strings.Cut(text, "  "); found {
		indent = own + measure(first) + 2 + len(second) - len(strings.TrimLeft(second, " "))
	}
	if indent > width/2 {
		indent = min(own+4, width/2)
	}
	var lines []string
	current, empty := strings.Repeat(" ", own), true
	for text != "" {
		rest := strings.TrimLeft(text, " ")
		gap := text[:len(text)-len(rest)]
		word := rest
		if end := strings.IndexByte(rest, ' '); end >= 0 {
			word = rest[:end]
		}
		text = rest[len(word):]
		if measure(current)+len(gap)+measure(word) <= width {
			current, empty = current+gap+word, false
			continue
		}
		if !empty {
			lines = append(lines, current)
			current = strings.Repeat(" ", indent)
		}
		for wider(word, width-measure(current)) {
			head, tail := split(word, width-measure(current))
			lines = append(lines, current+head)
			current, word = strings.Repeat(" ", indent), tail
		}
		current, empty = current+word, false
	}
	return append(lines, current)
}

// wider reports whether s takes more than width columns, without measuring all of
// a long one again for each of its lines.
func wider(s string, width int) bool {
	n := 0
	for i := range s {
		if n++; n > 4*max(width, 1) {
			if measure(s[:i]) > width {
				return true
			}
			break
		}
	}
	return measure(s) > width
}

// split divides a word after as many characters as fit width columns, at least
// one.
func split(word string, width int) (head, tail string) {
	end := 0
	for i := range word {
		if i > 0 && measure(word[:i]) > width {
			break
		}
		end = i
	}
	if end == 0 {
		_, end = utf8.DecodeRuneInString(word)
	}
	return word[:end], word[end:]
}

// cut shortens clean text to width columns; what was cut shows as an ellipsis.
func cut(s string, width int) string {
	if measure(s) <= width {
		return s
	}
	if width <= 1 {
		return strings.Repeat("…", width)
	}
	end := 0
	for i := range s {
		if measure(s[:i]) > width-1 {
			break
		}
		end = i
	}
	return strings.TrimRight(s[:end], " ") + "…"
}

// pad fills clean text with spaces up to width columns.
func pad(s string, width int, right bool) string {
	fill := strings.Repeat(" ", max(0, width-measure(s)))
	if right {
		return fill + s
	}
	return s + fill
}
