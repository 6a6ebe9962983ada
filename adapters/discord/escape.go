package discordchat

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// marked reports whether Discord would read the character r between before and
// after, with which rest begins, as more than itself. Those that only mean something where a line begins,
// or before a word, are left alone elsewhere, so that notifications, which show
// the backslashes, stay readable. start says that only spaces and digits stand
// before r in its line.
func marked(r, before, after rune, rest string, start bool) bool {
	space := after == 0 || unicode.IsSpace(after)
	switch r {
	case '\\', '*', '_', '`', '[', '<', '@':
		return true
	case '~', '|': // struck through, hidden until touched
		return before == r || after == r
	case '>': // a quotation
		return start
	case '#', '-', '+': // a heading, small print, a list
		return start && (space || after == '#')
	case '.', ')': // a numbered list, or an invitation, which is drawn as a card of its own
		return start && space && unicode.IsDigit(before) ||
			(after == 'g' || after == 'c') && strings.ContainsRune("dDpPsS", before)
	case ':': // an address, or an emoji by its name; times are neither
		if strings.HasPrefix(rest, "//") {
			return true
		}
		end := strings.IndexFunc(rest, func(r rune) bool {
			return r != '_' && r != '+' && r != '-' && !unicode.IsLetter(r) && !unicode.IsDigit(r)
		})
		return end > 0 && rest[end] == ':' && !(unicode.IsDigit(before) && unicode.IsDigit(after))
	}
	return false
}

// each walks over text with how many UTF-16 units each character takes where
// Discord reads markup, its backslash included.
func each(s string, f func(at int, r rune, size int) (more bool)) {
	before, start := rune('\n'), true
	for i, r := range s {
		if before == '\n' {
			start = true
		}
		after, _ := utf8.DecodeRuneInString(s[i+utf8.RuneLen(r):])
		if i+utf8.RuneLen(r) == len(s) {
			after = 0
		}
		size := units(r)
		if marked(r, before, after, s[i+utf8.RuneLen(r):], start) {
			size++
		}
		if !f(i, r, size) {
			return
		}
		if r != ' ' && !unicode.IsDigit(r) {
			start = false
		}
		before = r
	}
}

// units is how long a character is as Discord counts, which is not written down;
// in UTF-16 units nothing is longer by any way of counting that is in use.
func units(r rune) int {
	if r > 0xFFFF {
		return 2
	}
	return 1
}

// escaped makes safe text safe also where Discord reads markup: what looks like a
// mention, a link under other words or an emoji is shown as it was written.
func escaped(s string) string {
	var b strings.Builder
	each(s, func(_ int, r rune, size int) bool {
		if size > units(r) {
			b.WriteByte('\\')
		}
		b.WriteRune(r)
		return true
	})
	return b.String()
}

// fenced makes safe text safe within a block of code, which three backticks would
// end.
func fenced(s string) string { return strings.ReplaceAll(s, "```", "ˋˋˋ") }

// plainLength counts characters of what is shown as it is.
func plainLength(s string) (n int) {
	for _, r := range s {
		n += units(r)
	}
	return n
}

// length counts characters as Discord does, which counts them escaped.
func length(s string) (n int) {
	each(s, func(_ int, _ rune, size int) bool { n += size; return true })
	return n
}

// cut shortens s to at most n characters as Discord counts them escaped, saying so
// by an ellipsis.
func cut(s string, n int) string {
	if length(s) <= n {
		return s
	}
	if n < 1 {
		return ""
	}
	total, end := 1, 0
	each(s, func(at int, r rune, size int) bool {
		if total += size; total > n {
			return false
		}
		end = at + utf8.RuneLen(r)
		return true
	})
	return s[:end] + "…"
}

// divide divides safe text after at most so many characters, at the end of a line
// or a word where there is one near.
func divide(s string, most int) (head, tail string) {
	if length(s) <= most {
		return s, ""
	}
	total, end := 0, 0
	each(s, func(at int, r rune, size int) bool {
		if total += size; total > most {
			return false
		}
		end = at + utf8.RuneLen(r)
		return true
	})
	for _, at := range []string{"\n", " "} {
		if i := strings.LastIndex(s[:end], at); i > end*3/4 {
			return s[:i], s[i+1:]
		}
	}
	return s[:end], s[end:]
}

func nonEmpty(parts ...string) []string {
	var kept []string
	for _, p := range parts {
		if p != "" {
			kept = append(kept, p)
		}
	}
	return kept
}

func orElse(s, other string) string {
	if s != "" {
		return s
	}
	return other
}
