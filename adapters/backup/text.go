package backupprovider

import (
	"errors"
	"io"
	"strings"
	"unicode"
)

// maxSaid bounds a sentence of a program or a file's name, in bytes.
const maxSaid = 300

// clean makes what a program said, or a name in a backup, fit for people: one
// line without control characters, bounded.
func clean(text string, max int) string {
	text = strings.Map(func(r rune) rune {
		switch {
		case r == '\t' || r == '\n' || r == '\r' || r == '\u2028' || r == '\u2029':
			return ' '
		case unicode.IsControl(r), unicode.Is(unicode.Bidi_Control, r), r == '\uFEFF':
			return -1
		}
		return r
	}, strings.ToValidUTF8(text, "\uFFFD"))
	text = strings.TrimSpace(text)
	if len(text) > max {
		text = strings.ToValidUTF8(text[:max], "") + "…"
	}
	return strings.TrimSuffix(text, ".")
}

func isEOF(err error) bool { return errors.Is(err, io.EOF) }

func ignoreEOF(err error) error {
	if isEOF(err) {
		return nil
	}
	return err
}
