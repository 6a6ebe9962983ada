package observe

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"quarterdeck/bot"
)

// The bounds of what one look may bring, in bytes. It is stored, recorded and
// posted, whoever answered.
const (
	maxValue = 16 << 10
	maxBody  = 256 << 10
)

// sound refuses what cannot be the name of anything: it would be told to people
// and kept as what was live. What is refused is as what is down: not judged.
func sound(s Seen) error {
	refused := func(why string) error {
		return &bot.Error{Op: "observe.look", Kind: bot.Unavailable, Say: "what the provider answers is no value: " + why}
	}
	if len(s.Value) > maxValue || len(s.Text) > maxValue || len(s.Body) > maxBody {
		return refused("it is too long")
	}
	for _, text := range []string{s.Value, s.Text} {
		if !utf8.ValidString(text) {
			return refused("it is no text")
		}
		if strings.ContainsFunc(text, func(r rune) bool {
			return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029'
		}) {
			return refused("it holds control characters")
		}
	}
	return nil
}
