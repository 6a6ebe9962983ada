package grammar

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"quarterdeck/bot"
)

func invalid(format string, args ...any) error {
	e := bot.Errorf(bot.Invalid, format, args...)
	e.Op = "grammar"
	return e
}

// checkLine refuses what no line may hold. Positions are counted in
// characters from 1, as a person counts them.
func checkLine(line string) error {
	if len(line) > MaxLine {
		return invalid("the line is %d bytes long; the most is %d", len(line), MaxLine)
	}
	position, before := 0, rune(0)
	for i, r := range line {
		position++
		if r == utf8.RuneError {
			if _, size := utf8.DecodeRuneInString(line[i:]); size <= 1 {
				return invalid("character %d is not valid UTF-8; type the line again", position)
			}
		}
		switch {
		case r == '\n', r == '\r', r == '\u2028', r == '\u2029':
			return invalid("character %d is a line break; a command is one line", position)
		case unicode.Is(unicode.Cc, r):
			return invalid("character %d is a control character (U+%04X); type the line again without it", position, r)
		case joiner(r) && joinable(before):
			// Emoji and several scripts are written with these.
		case unicode.Is(unicode.Cf, r):
			return invalid("character %d is invisible (U+%04X); type the line again without it", position, r)
		}
		before = r
	}
	return nil
}

// joiner reports whether r is one of the two invisible characters that have a
// use inside words: zero-width non-joiner and joiner.
func joiner(r rune) bool { return r == '\u200C' || r == '\u200D' }

// joinable reports whether a joiner has a use behind r: a letter or sign beyond
// ASCII that is not itself read as a dash.
func joinable(r rune) bool {
	return r > unicode.MaxASCII && !dash(r) && (unicode.IsLetter(r) || unicode.IsMark(r) || unicode.IsSymbol(r))
}

// dash reports whether r is a hyphen or what phones make of one or two.
func dash(r rune) bool {
	switch r {
	case '-', '\u2010', '\u2011', '\u2012', '\u2013', '\u2014', '\u2015', '\u2212', '\uFE58', '\uFE63', '\uFF0D':
		return true
	}
	return false
}

// doubleQuote reports whether r is a double quotation mark of any keyboard.
func doubleQuote(r rune) bool {
	switch r {
	case '"', '\u201C', '\u201D', '\u201E', '\u201F', '«', '»', '\u301D', '\u301E', '\u301F', '\uFF02':
		return true
	}
	return false
}

// singleQuote reports whether r is a single quotation mark of any keyboard.
func singleQuote(r rune) bool {
	switch r {
	case '\'', '\u2018', '\u2019', '\u201A', '\u201B', '\u2039', '\u203A', '\uFF07':
		return true
	}
	return false
}

// hyphens writes every dash of s as a plain hyphen.
func hyphens(s string) string {
	return strings.Map(func(r rune) rune {
		if dash(r) {
			return '-'
		}
		return r
	}, s)
}

// word is one word of a line: bare, quoted, or an option with or without "=".
type word struct {
	text   string // without quotes and escapes; of an option, its value
	quoted bool   // the text was in quotation marks
	option string // the option's name in lower case, "" for other words
	valued bool   // the option came with "=" and a value
	typed  string // the word as it was typed, for sentences
}

// name gives the text as an identifier: the dashes of bare words are hyphens.
func (w word) name() string {
	if w.quoted {
		return w.text
	}
	return hyphens(w.text)
}

// scanner reads words off a checked line from the left.
type scanner struct {
	line string
	at   int // byte offset of what comes next
}

func (s *scanner) peek() rune {
	r, _ := utf8.DecodeRuneInString(s.line[s.at:])
	return r
}

func (s *scanner) done() bool { return s.at >= len(s.line) }

func (s *scanner) skipSpace() {
	s.at = len(s.line) - len(strings.TrimLeftFunc(s.line[s.at:], unicode.IsSpace))
}

// rest takes everything that is left, as typed.
func (s *scanner) rest() string {
	rest := strings.TrimSpace(s.line[s.at:])
	s.at = len(s.line)
	return rest
}

// bare takes everything up to the next space.
func (s *scanner) bare() string {
	end := strings.IndexFunc(s.line[s.at:], unicode.IsSpace)
	if end < 0 {
		end = len(s.line) - s.at
	}
	text := s.line[s.at : s.at+end]
	s.at += end
	return text
}

// optionAhead reports whether the next word is an option: dashes and then a
// letter. A number with a sign and a lone dash are ordinary words.
func (s *scanner) optionAhead() bool {
	after := strings.TrimLeftFunc(s.line[s.at:], dash)
	first, _ := utf8.DecodeRuneInString(after)
	return len(after) < len(s.line)-s.at && unicode.IsLetter(first)
}

// next reads one word. The caller has skipped space and seen that there is one.
func (s *scanner) next() (word, error) {
	start := s.at
	w := word{}
	var err error
	switch {
	case s.optionAhead():
		w, err = s.nextOption()
	case doubleQuote(s.peek()), singleQuote(s.peek()):
		w.quoted = true
		w.text, err = s.quoted()
	default:
		w.text = s.bare()
		if first, size := utf8.DecodeRuneInString(w.text); dash(first) && digitAt(w.text, size) {
			w.text = "-" + w.text[size:]
		}
	}
	w.typed = s.line[start:s.at]
	return w, err
}

func digitAt(s string, i int) bool { return i < len(s) && s[i] >= '0' && s[i] <= '9' }

// nextOption reads --name, --name=value or --name="value"; one dash of any
// kind is as good as two.
func (s *scanner) nextOption() (word, error) {
	tail := s.line[s.at:]
	end := strings.IndexFunc(tail, func(r rune) bool { return r == '=' || unicode.IsSpace(r) })
	if end < 0 {
		end = len(tail)
	}
	w := word{option: strings.ToLower(hyphens(strings.TrimLeftFunc(tail[:end], dash)))}
	s.at += end
	if s.done() || s.peek() != '=' {
		return w, nil
	}
	s.at++
	w.valued = true
	if !s.done() && (doubleQuote(s.peek()) || singleQuote(s.peek())) {
		w.quoted = true
		var err error
		w.text, err = s.quoted()
		return w, err
	}
	w.text = s.bare()
	return w, nil
}

// quoted reads text in quotation marks. Any double mark closes any other, so
// that a phone's choice of marks never lets a quote run on over the options
// after it; a backslash takes the next double mark or backslash literally.
// Between single marks there are no escapes, and a mark inside a word is an
// apostrophe.
func (s *scanner) quoted() (string, error) {
	position := utf8.RuneCountInString(s.line[:s.at]) + 1
	opening := s.peek()
	double := doubleQuote(opening)
	s.at += utf8.RuneLen(opening)
	var text strings.Builder
	for !s.done() {
		r, size := utf8.DecodeRuneInString(s.line[s.at:])
		s.at += size
		switch {
		case double && r == '\\' && !s.done() && (s.peek() == '\\' || doubleQuote(s.peek())):
			escaped := s.peek()
			text.WriteRune(escaped)
			s.at += utf8.RuneLen(escaped)
		case double && doubleQuote(r):
			if !s.done() && !unicode.IsSpace(s.peek()) {
				return "", invalid("character %d follows a closing quotation mark; put a space between",
					utf8.RuneCountInString(s.line[:s.at])+1)
			}
			return text.String(), nil
		case !double && singleQuote(r) && (s.done() || unicode.IsSpace(s.peek())):
			return text.String(), nil
		case unicode.IsSpace(r):
			text.WriteByte(' ')
		default:
			text.WriteRune(r)
		}
	}
	return "", invalid("the quotation mark at character %d is never closed; add one at the end of the text", position)
}
