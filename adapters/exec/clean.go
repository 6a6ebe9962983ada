package execprovider

import (
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// redacted stands where a secret stood.
const redacted = "redacted"

// minSecret is the length from which a value is worth hiding: shorter ones
// would blank out ordinary words.
const minSecret = 4

// secrets are values to hide, the longest first.
type secrets []string

// with adds a value, and each line of it, since output is shown by lines.
func (s secrets) with(value string) secrets {
	s = slices.Clone(s)
	for line := range strings.Lines(value) {
		if line = strings.TrimSpace(line); len(line) >= minSecret && !slices.Contains(s, line) {
			s = append(s, line)
		}
	}
	slices.SortFunc(s, func(a, b string) int { return len(b) - len(a) })
	return s
}

// hide replaces every secret in text, and the beginning of one at its end: a
// long line may have been cut there.
func (s secrets) hide(text string) string {
	for _, secret := range s {
		text = strings.ReplaceAll(text, secret, redacted)
	}
	for _, secret := range s {
		for n := len(secret) - 1; n >= minSecret; n-- {
			if strings.HasSuffix(text, secret[:n]) {
				return text[:len(text)-n] + redacted
			}
		}
	}
	return text
}

// terminalSequence matches what moves cursors and sets colours: CSI and OSC
// sequences, then other two-character escapes.
var terminalSequence = regexp.MustCompile(`\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(\x07|\x1b\\)?|\x1b[@-_]?`)

// plain makes one line of text fit for showing: no control characters, nothing
// that turns the direction of writing, valid UTF-8.
func plain(text string) string {
	if isPlainASCII(text) {
		return text
	}
	text = strings.ToValidUTF8(text, "\uFFFD")
	text = terminalSequence.ReplaceAllString(text, "")
	text = strings.Map(func(r rune) rune {
		switch {
		case r == '\t' || r == '\n' || r == '\r' || r == '\u2028' || r == '\u2029':
			return ' '
		case unicode.IsControl(r), unicode.Is(unicode.Bidi_Control, r), r == '\uFEFF':
			return -1
		}
		return r
	}, text)
	return strings.TrimSpace(text)
}

func isPlainASCII(text string) bool {
	for i := range len(text) {
		if text[i] < ' ' || text[i] > '~' {
			return false
		}
	}
	return true
}

// show makes what a program wrote fit for leaving the process: plain, without
// secrets, at most max bytes long.
func (d *deployer) show(text string, hide secrets, max int) string {
	return cut(d.redact(hide.hide(plain(text))), max)
}

// cut shortens text to at most max bytes, at a character's border.
func cut(text string, max int) string {
	if len(text) <= max {
		return text
	}
	const mark = "…"
	end := max - len(mark)
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + mark
}
