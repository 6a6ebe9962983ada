package action

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"quarterdeck/bot"
)

// Type says what values an argument takes.
type Type string

// The closed set of types.
const (
	TypeText     Type = "text"
	TypeChoice   Type = "choice"
	TypeNumber   Type = "number"   // a whole number
	TypeDuration Type = "duration" // 90s, 2h
	TypeTarget   Type = "target"   // SERVICE ENV, or SERVICE/ENV
	TypeSwitch   Type = "switch"   // --name, or not
)

// Types lists the types, in the order in which they are shown.
func Types() []string {
	return []string{string(TypeText), string(TypeChoice), string(TypeNumber), string(TypeDuration), string(TypeTarget), string(TypeSwitch)}
}

// Bounds of a text, in bytes. Whatever is longer is no name of anything.
const (
	DefaultLength = 200
	MostLength    = 1000
)

// Parameter declares one argument of an action. One that must be given is typed
// by its position, one that may be left out as --name VALUE.
type Parameter struct {
	Name     string
	Type     Type
	Help     string
	Optional bool
	Default  string // canonical; what the value is when it is left out

	Pattern           *regexp.Regexp // of a text: the whole of it must match
	MaxLength         int            // of a text, in bytes
	Choices           []string       // of a choice
	Min, Max          *int64         // of a number; nil for none
	Shortest, Longest time.Duration  // of a duration; 0 for none
}

// Check gives an Error of kind Invalid for a canonical value that the argument
// does not take. A text that begins with a dash is refused whatever the pattern
// says: a program could take it for an option.
func (p Parameter) Check(value string) error {
	called := strings.ToUpper(p.Name)
	switch p.Type {
	case TypeText:
		switch {
		case len(value) > p.MaxLength:
			return bot.Errorf(bot.Invalid, "%s has %d bytes; the most is %d", called, len(value), p.MaxLength)
		case strings.HasPrefix(value, "-"):
			return bot.Errorf(bot.Invalid, "%s cannot begin with a dash: %q could be taken for an option", called, value)
		case !utf8.ValidString(value) || strings.ContainsRune(value, 0):
			return bot.Errorf(bot.Invalid, "%s is no text", called)
		case p.Pattern != nil && !whole(p.Pattern, value):
			return bot.Errorf(bot.Invalid, "%s must match %s; %q does not", called, p.Pattern, value)
		}
	case TypeChoice:
		if !slices.Contains(p.Choices, value) {
			return bot.Errorf(bot.Invalid, "%s is one of %s, not %q", called, strings.Join(p.Choices, ", "), value)
		}
	case TypeNumber:
		n, err := strconv.ParseInt(value, 10, 64)
		switch {
		case err != nil:
			return bot.Errorf(bot.Invalid, "%s takes a whole number, not %q", called, value)
		case p.Min != nil && n < *p.Min:
			return bot.Errorf(bot.Invalid, "%s is at least %d, not %d", called, *p.Min, n)
		case p.Max != nil && n > *p.Max:
			return bot.Errorf(bot.Invalid, "%s is at most %d, not %d", called, *p.Max, n)
		}
	case TypeDuration:
		d, err := time.ParseDuration(value)
		switch {
		case err != nil || d <= 0:
			return bot.Errorf(bot.Invalid, "%s takes a duration such as 90s or 2h, not %q", called, value)
		case p.Shortest > 0 && d < p.Shortest:
			return bot.Errorf(bot.Invalid, "%s is at least %s, not %s", called, p.Shortest, d)
		case p.Longest > 0 && d > p.Longest:
			return bot.Errorf(bot.Invalid, "%s is at most %s, not %s", called, p.Longest, d)
		}
	}
	return nil
}

// whole reports whether the pattern matches all of a text, whether or not it is
// anchored: one that matched a part would let anything stand around it.
func whole(re *regexp.Regexp, text string) bool {
	all, err := regexp.Compile(`\A(?:` + re.String() + `)\z`)
	return err == nil && all.MatchString(text)
}

// Canonical gives a value of the configuration as a typed one would arrive, or
// the Error of Check.
func (p Parameter) Canonical(value string) (string, error) {
	if err := p.Check(value); err != nil {
		return "", err
	}
	switch p.Type {
	case TypeNumber:
		n, err := strconv.ParseInt(value, 10, 64)
		return strconv.FormatInt(n, 10), err
	case TypeDuration:
		d, err := time.ParseDuration(value)
		return d.String(), err
	}
	return value, nil
}
