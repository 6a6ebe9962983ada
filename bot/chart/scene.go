// Package chart draws what a metric source measured: as a picture for networks
// that show one, and in characters for a terminal. It reckons nothing that was
// not measured: a gap stays a gap, a value that is missing is never zero, and a
// scene without a single value says so in words.
package chart

import (
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"quarterdeck/bot"
	"quarterdeck/bot/provider"
)

// The bounds of a scene. What is over them is left out, and the picture says so.
const (
	// MaxColours is how many lines get a colour of their own; more of them cannot be
	// told apart. The others are drawn thin and grey, and named "other" together.
	MaxColours = 6
	maxLines   = 60
	maxPoints  = 50_000 // of one line
	maxMarkers = 200
	maxGuides  = 6 // thresholds
	maxNotes   = 3
)

// Scene says what a chart shows. The same scene gives the same bytes.
type Scene struct {
	Title    string // what is measured, and where: "error rate of shop/prod"
	Subtitle string // what else there is to say, such as "last 6h"; unit and zone are added
	Unit     string // of all values, as in provider.Query
	From, To time.Time
	Zone     bot.Zone
	Lines    []Line
	// Thresholds and Markers stand behind and over the lines.
	Thresholds []Threshold
	Markers    []Marker
	// Floating lets the axis of values begin elsewhere than at zero, for what has no
	// meaningful zero, such as a temperature. Counts, rates and times are to be seen
	// against zero, or a ripple looks like a wave.
	Floating bool
	// Empty is what is said when there is no value at all; "" is "no data". A source
	// that did not answer is told from one that had nothing.
	Empty string
	// Notes are sentences that belong to the data, such as a source's warnings.
	Notes []string
	Dark  bool
}

// Line is one series of a scene.
type Line struct {
	Label  string           // "" takes the scene's title
	Points []provider.Point // oldest first; NaN and infinities are gaps
	// Step is how far apart the points were asked for: neighbours further apart than
	// one and a half of it are not joined. 0 takes the distance most of them have.
	Step time.Duration
	// Ago is how much older than the scene the points are: they are moved forward by
	// it, and drawn as the ghost of the line with the same label. 0 is now.
	Ago time.Duration
}

// Threshold is a value that must be kept.
type Threshold struct {
	Value float64
	Label string // in words: "at most 2 %"
	Floor bool   // a breach is what is below it, not above
}

// Marker is something that was done at one moment: a deployment, a flip, a scaling.
type Marker struct {
	At    time.Time
	Label string // short: "deploy v3"
}

// Check gives an Error of kind Invalid for a scene that cannot be drawn.
func (s Scene) Check() error {
	switch {
	case !s.To.After(s.From):
		return bot.Errorf(bot.Invalid, "a chart needs a time that has passed; %s to %s has not", s.From.UTC().Format(time.RFC3339), s.To.UTC().Format(time.RFC3339))
	case s.To.Sub(s.From) > 20*365*24*time.Hour:
		return bot.Errorf(bot.Invalid, "a chart shows at most 20 years, not %d days", int(s.To.Sub(s.From).Hours()/24))
	case strings.TrimSpace(s.Title) == "":
		return bot.Errorf(bot.Invalid, "a chart needs a title")
	}
	return nil
}

// empty is what is said in place of lines.
func (s Scene) empty() string {
	if s.Empty != "" {
		return clean(s.Empty)
	}
	return "no data"
}

// clean makes a text one line of printable characters.
func clean(text string) string {
	text = strings.Map(func(r rune) rune {
		switch {
		case r == utf8.RuneError || unicode.Is(unicode.Bidi_Control, r) || unicode.Is(unicode.Cf, r):
			return -1
		case unicode.IsSpace(r):
			return ' '
		case !unicode.IsPrint(r):
			return -1
		}
		return r
	}, text)
	return strings.Join(strings.Fields(text), " ")
}

// shortened gives the text with at most n characters, the middle left out.
func shortened(text string, n int) string {
	runes := []rune(text)
	if len(runes) <= n {
		return text
	}
	if n < 2 {
		return "…"[:min(n, 1)*len("…")]
	}
	head := (n - 1 + 1) / 2
	return string(runes[:head]) + "…" + string(runes[len(runes)-(n-1-head):])
}

// markers gives the scene's markers within its time, oldest first.
func (s Scene) markers() []Marker {
	var out []Marker
	for _, m := range s.Markers {
		if !m.At.Before(s.From) && !m.At.After(s.To) && clean(m.Label) != "" {
			out = append(out, Marker{At: m.At, Label: shortened(clean(m.Label), 28)})
		}
	}
	slices.SortStableFunc(out, func(a, b Marker) int { return a.At.Compare(b.At) })
	return out[max(0, len(out)-maxMarkers):]
}
