package slackchat

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/slack-go/slack"

	"quarterdeck/bot"
)

// Limits of Block Kit, in characters, and what is used of them; the total is
// not documented and lies a little above 13,000.
const (
	maxFallback = 2500 // escaping can make it longer; 4,000 is the most
	maxTitle    = 300
	maxText     = 2500
	maxFields   = 30
	maxValue    = 700
	maxLines    = 2000
	maxRows     = 40
	maxColumns  = 20
	maxCell     = 150
	maxFooter   = 500
	maxLabel    = 70
	maxTotal    = 12000
	maxButtons  = 25
)

// message is a card as Slack shows it.
type message struct {
	text   string // for notifications and for screen readers; escaped
	blocks []slack.Block
}

// mark gives each tone its sign. Colours alone would tell nothing to many.
func mark(c bot.Card) string {
	switch c.Tone {
	case bot.Working:
		return "large_blue_circle"
	case bot.Good:
		return "white_check_mark"
	case bot.Warning:
		return "warning"
	case bot.Bad:
		return "x"
	case bot.Question:
		return "grey_question"
	}
	return ""
}

// render draws a card in rich and plain text, which Slack shows as it is: no
// markup in what people or programs wrote is read.
func (s *chat) render(c bot.Card) message {
	d := &drawing{left: maxTotal}
	if title := d.take(strings.ReplaceAll(c.Title, "\n", " "), maxTitle); title != "" {
		var line []slack.RichTextSectionElement
		if m := mark(c); m != "" {
			line = append(line, slack.NewRichTextSectionEmojiElement(m, 0, nil), word(" "))
		}
		d.section(append(line, bold(title))...)
	}
	if t := d.take(c.Text, maxText); t != "" {
		d.section(word(t))
	}
	if c.Progress != nil {
		d.section(word(d.take(gauge(c.Progress), maxText)))
	}
	d.fields(c.Fields)
	if c.Table != nil {
		d.table(c.Table)
	}
	if lines := d.take(strings.Join(c.Lines, "\n"), maxLines); lines != "" {
		d.rich = append(d.rich, &slack.RichTextPreformatted{Type: slack.RTEPreformatted, Elements: []slack.RichTextSectionElement{word(lines)}})
	}
	if strings.HasPrefix(c.Link, "https://") || strings.HasPrefix(c.Link, "http://") {
		d.section(slack.NewRichTextSectionLinkElement(cut(plain(c.Link), 1000), "", nil))
	}
	d.flush()
	d.buttons(c)
	if footer := d.take(c.Footer, maxFooter); footer != "" {
		d.blocks = append(d.blocks, slack.NewContextBlock("", slack.NewTextBlockObject(slack.PlainTextType, footer, false, false)))
	}
	fallback := c.Title
	if c.Text != "" {
		fallback += "\n" + c.Text
	}
	if strings.TrimSpace(plain(fallback)) == "" {
		fallback = "Quarterdeck"
	}
	return message{text: escaped(cut(fallback, maxFallback/4)), blocks: d.blocks}
}

// drawing is a message as it grows.
type drawing struct {
	blocks []slack.Block
	rich   []slack.RichTextElement // not yet in a block
	left   int                     // characters that still fit
}

// take gives as much of text as fits, bounded by most, and counts it.
func (d *drawing) take(text string, most int) string {
	text = cut(strings.TrimSpace(plain(text)), min(most, d.left))
	for length(text) > d.left { // escaping makes it longer
		text = cut(text, max(0, utf8.RuneCountInString(text)-(length(text)-d.left)/5-1))
	}
	d.left -= length(text)
	return text
}

// length counts characters as Slack does, which counts them escaped.
func length(s string) int {
	return utf8.RuneCountInString(s) + 4*strings.Count(s, "&") + 3*strings.Count(s, "<") + 3*strings.Count(s, ">")
}

func word(s string) slack.RichTextSectionElement {
	return slack.NewRichTextSectionTextElement(s, nil)
}

func bold(s string) slack.RichTextSectionElement {
	return slack.NewRichTextSectionTextElement(s, &slack.RichTextSectionTextStyle{Bold: true})
}

func (d *drawing) section(elements ...slack.RichTextSectionElement) {
	d.rich = append(d.rich, slack.NewRichTextSection(append(elements, word("\n"))...))
}

// flush puts what was drawn in rich text into a block.
func (d *drawing) flush() {
	if len(d.rich) > 0 {
		d.blocks = append(d.blocks, slack.NewRichTextBlock("", d.rich...))
		d.rich = nil
	}
}

func (d *drawing) fields(fields []bot.Field) {
	var line []slack.RichTextSectionElement
	for i, f := range fields {
		name, value := d.take(f.Name, maxLabel), d.take(f.Value, maxValue)
		if i >= maxFields || name == "" && value == "" {
			line = append(line, word(fmt.Sprintf("… and %d more\n", len(fields)-i)))
			break
		}
		line = append(line, bold(name), word("  "+value+"\n"))
	}
	if len(line) > 0 {
		d.rich = append(d.rich, slack.NewRichTextSection(line...))
	}
}

// table draws a table as Slack's own, of which a message may hold one.
func (d *drawing) table(t *bot.Table) {
	if len(t.Columns) == 0 {
		return
	}
	d.flush()
	columns := min(len(t.Columns), maxColumns)
	row := func(cells []string) []slack.TableCell {
		var drawn []slack.TableCell
		for i := range columns {
			cell := " " // an empty one is refused
			if i < len(cells) {
				if c := d.take(strings.ReplaceAll(cells[i], "\n", " "), maxCell); c != "" {
					cell = c
				}
			}
			drawn = append(drawn, slack.NewTableRawTextCell(cell))
		}
		return drawn
	}
	block := &slack.TableBlock{Type: slack.MBTTable, Rows: [][]slack.TableCell{row(t.Columns)}}
	more := 0
	for i, cells := range t.Rows {
		if i >= maxRows || d.left < 500 {
			more = len(t.Rows) - i
			break
		}
		block.Rows = append(block.Rows, row(cells))
	}
	d.blocks = append(d.blocks, block)
	if more > 0 {
		d.section(word(fmt.Sprintf("… and %d more rows", more)))
	}
}

// gauge draws progress. A percentage that is not known is not drawn.
func gauge(g *bot.Gauge) string {
	if g.Percent == nil {
		return g.Text
	}
	const width = 12
	p := max(0, min(100, *g.Percent))
	full := p * width / 100
	return strings.TrimSpace(fmt.Sprintf("%s%s %d%%  %s", strings.Repeat("▰", full), strings.Repeat("▱", width-full), p, g.Text))
}

// buttons draws what can be pressed. The value is the opaque token alone; who
// presses, and whether they may, is looked up when it comes back. What is
// dangerous asks once more.
func (d *drawing) buttons(c bot.Card) {
	var elements []slack.BlockElement
	for i, b := range c.Buttons {
		if b.Token == "" || i >= maxButtons {
			continue
		}
		e := slack.NewButtonBlockElement(fmt.Sprintf("%s%d", pressAction, i), b.Token, slack.NewTextBlockObject(slack.PlainTextType, cut(plain(b.Label), maxLabel), false, false))
		if b.Danger {
			e = e.WithStyle(slack.StyleDanger)
			e.Confirm = slack.NewConfirmationBlockObject(
				slack.NewTextBlockObject(slack.PlainTextType, "Sure?", false, false),
				slack.NewTextBlockObject(slack.PlainTextType, cut(plain(orElse(c.Title, b.Line)), 280), false, false),
				slack.NewTextBlockObject(slack.PlainTextType, cut(plain(b.Label), 28), false, false),
				slack.NewTextBlockObject(slack.PlainTextType, "No", false, false))
		}
		elements = append(elements, e)
	}
	if len(elements) > 0 {
		d.blocks = append(d.blocks, slack.NewActionBlock("", elements...))
	}
}

func orElse(s, other string) string {
	if s != "" {
		return s
	}
	return other
}
