package terminal

import (
	"fmt"
	"strings"

	"quarterdeck/bot"
)

const (
	// defaultWidth is used where the terminal's width is not known.
	defaultWidth = 80
	// leastWidth is the narrowest that text is laid out for.
	leastWidth = 20
	// barWidth is the length of a progress bar between its brackets.
	barWidth = 20
)

// Render draws a card as text of at most width columns (0 or less means 80),
// in lines separated by \n and without a final one; an empty card gives "".
// Only links and lines to type, which must stay whole to be of use, may be
// longer. With color,
// ANSI colours decorate it; nothing is said by colour alone. Characters that
// would steer the terminal are written out, so that no card can do more than
// be read. Buttons appear as the lines to type. It is pure.
func Render(card bot.Card, width int, color bool) string {
	if width <= 0 {
		width = defaultWidth
	}
	width = max(width, leastWidth)
	p := palette{on: color}
	var out []string
	head, body := headline(card)
	if head != "" {
		for _, l := range wrap(head, width, 2) {
			out = append(out, p.headline(l, card.Tone))
		}
	}
	for _, l := range body {
		out = append(out, wrap(l, width, 0)...)
	}
	out = append(out, progressLines(card.Progress, width, p)...)
	out = append(out, fieldLines(card, width)...)
	if card.Table != nil {
		out = append(out, tableLines(card.Table, width, p)...)
	}
	for _, l := range card.Lines {
		out = append(out, p.dim("  | "+cut(clean(l), width-4)))
	}
	out = append(out, buttonLines(card, width, p)...)
	out = append(out, imageLines(card.Image, width)...)
	if card.Link != "" {
		out = append(out, "  "+clean(card.Link))
	}
	if card.Footer != "" {
		for _, l := range wrap("  "+clean(card.Footer), width, 0) {
			out = append(out, p.dim(l))
		}
	}
	return strings.Join(out, "\n")
}

// headline gives the first line, which must make sense without a colour, and
// the lines of text that follow it.
func headline(card bot.Card) (head string, body []string) {
	head = clean(card.Title)
	if card.Text != "" {
		body = paragraphs(card.Text)
	}
	if word := verdict(card); word != "" {
		first := head
		if head == "" && len(body) > 0 {
			first = body[0]
		}
		if !strings.Contains(strings.ToLower(first), word) {
			first = strings.TrimRight(word+": "+first, ": ")
		}
		if head == "" && len(body) > 0 {
			body = body[1:]
		}
		head = first
	}
	return head, body
}

// verdict gives the word that the first line of a card must have, so that
// nobody takes it for something better than it is.
func verdict(card bot.Card) string {
	if card.State != "" {
		return "" // a run's title says how the run stands
	}
	switch card.Outcome {
	case bot.OutcomeDenied:
		return "denied"
	case bot.OutcomeUnknown:
		return "unknown"
	}
	return ""
}

func progressLines(g *bot.Gauge, width int, p palette) []string {
	if g == nil {
		return nil
	}
	text := clean(g.Text)
	if g.Percent == nil {
		if text == "" {
			return nil
		}
		return wrap("  "+text, width, 0)
	}
	percent := min(max(*g.Percent, 0), 100)
	full := percent * barWidth / 100
	bar := fmt.Sprintf("  [%s%s] %3d %%", strings.Repeat("#", full), strings.Repeat(".", barWidth-full), percent)
	room := width - measure(bar) - 2
	if text == "" || room < measure(text) {
		lines := []string{cut(bar, width)}
		if text != "" {
			lines = append(lines, wrap("  "+text, width, 0)...)
		}
		return lines
	}
	return []string{bar + "  " + text}
}

// maxLabel is how wide a field's name may be and still have its value beside it.
const maxLabel = 16

// fieldLines lines the values up behind their names.
func fieldLines(card bot.Card, width int) []string {
	label := 0
	for _, f := range card.Fields {
		if w := measure(clean(f.Name)); w <= maxLabel {
			label = max(label, w)
		}
	}
	var out []string
	for _, f := range card.Fields {
		name := clean(f.Name)
		values := paragraphs(f.Value)
		if measure(name) > maxLabel || width < label+leastWidth {
			out = append(out, wrap("  "+name+":", width, 0)...)
			for _, v := range values {
				out = append(out, wrap("    "+v, width, 0)...)
			}
			continue
		}
		lead := "  " + pad(name, label, false) + "  "
		for _, v := range values {
			for _, l := range wrap(v, width-measure(lead), 0) {
				out = append(out, strings.TrimRight(lead+l, " "))
				lead = strings.Repeat(" ", measure(lead))
			}
		}
	}
	return out
}

// buttonLines says what to type in place of pressing. A line that a field
// shows already is not repeated.
func buttonLines(card bot.Card, width int, p palette) []string {
	var choices []string
	for _, b := range card.Buttons {
		line := clean(b.Line)
		if line == "" || shown(card.Fields, b.Line) {
			continue
		}
		if b.Code {
			line += " --code 123456"
		}
		if label := clean(b.Label); !evident(label, line) {
			line += " (" + label + ")"
		}
		choices = append(choices, line)
	}
	if len(choices) == 0 {
		return nil
	}
	if all := "  type: " + strings.Join(choices, "  or  "); measure(all) <= width {
		return []string{p.bold(all)}
	}
	out := []string{p.bold("  type: " + choices[0])}
	for _, c := range choices[1:] {
		out = append(out, p.bold("    or: "+c))
	}
	return out
}

func shown(fields []bot.Field, line string) bool {
	for _, f := range fields {
		if f.Value == line {
			return true
		}
	}
	return false
}

// evident reports whether the line to type says what the button's label says.
func evident(label, line string) bool {
	fold := func(s string) string { return strings.ReplaceAll(strings.ToLower(s), " ", "") }
	return strings.HasPrefix(fold(line), fold(label))
}

// palette decorates text, or leaves it alone.
type palette struct{ on bool }

func (p palette) paint(code, s string) string {
	if !p.on || s == "" {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

func (p palette) bold(s string) string { return p.paint("1", s) }
func (p palette) dim(s string) string  { return p.paint("2", s) }

func (p palette) headline(s string, t bot.Tone) string {
	switch t {
	case bot.Good:
		return p.paint("1;32", s)
	case bot.Bad:
		return p.paint("1;31", s)
	case bot.Warning, bot.Question:
		return p.paint("1;33", s)
	case bot.Working:
		return p.paint("1", s)
	}
	return s
}
