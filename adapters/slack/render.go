package slackchat

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/slack-go/slack"

	"quarterdeck/bot"
)

// maxFallback bounds the text for notifications, of which 4,000 are possible.
const maxFallback = 2500

// message is a card as Slack shows it.
type message struct {
	text   string // for notifications and for screen readers; escaped
	blocks []slack.Block
	bare   string // in place of both where Slack does not take the blocks; escaped
}

// mark gives each tone its sign. Colours alone would tell nothing to many.
func mark(c bot.Card) string {
	if c.Outcome == bot.OutcomeUnknown {
		return "question" // which is not failed, and wants somebody to look
	}
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
// markup in what people or programs wrote is read. at says who sees it, and so
// where the rest of it comes.
func render(c bot.Card, at place) message {
	b := ofCard
	if c.Rest {
		b = ofPage
	}
	shown, rest := fit(c, b)
	d := &drawing{}
	d.head(shown)
	d.mention(c.Mention)
	if shown.Text != "" {
		d.section(word(shown.Text))
	}
	if shown.Progress != nil {
		if text := gauge(shown.Progress); text != "" {
			d.section(word(text))
		}
	}
	d.fields(shown.Fields)
	if shown.Table != nil {
		d.table(shown.Table)
	}
	if len(shown.Lines) > 0 {
		d.rich = append(d.rich, &slack.RichTextPreformatted{Type: slack.RTEPreformatted, Elements: []slack.RichTextSectionElement{word(strings.Join(shown.Lines, "\n"))}})
	}
	if shown.Link != "" {
		d.section(slack.NewRichTextSectionLinkElement(shown.Link, "", nil))
	}
	if say := notice(c, rest, at); say != "" {
		d.section(italic(say))
	}
	d.flush()
	d.buttons(shown)
	if shown.Footer != "" {
		d.blocks = append(d.blocks, slack.NewContextBlock("", caption(shown.Footer)))
	}
	fallback := strings.Join(nonEmpty(shown.Title, shown.Text), "\n")
	if fallback == "" {
		fallback = "Quarterdeck"
	}
	return message{text: escaped(cut(fallback, maxFallback)), blocks: d.blocks, bare: escaped(cut(bare(shown, fallback), maxFallback))}
}

// place is where a card is shown.
type place int

const (
	inChannel place = iota
	inPrivate       // to one account alone, in a channel
	atHome          // where nothing follows
)

// placeOf gives where a delivery is shown.
func placeOf(d bot.Delivery) place {
	if d.To != "" {
		return inPrivate
	}
	return inChannel
}

// notice says where what is not shown can be read.
func notice(c, rest bot.Card, at place) string {
	what := "the rest"
	switch {
	case nothing(rest) && c.Image == nil, c.Rest:
		return ""
	case at == atHome:
		return "… there is more; ask for it in a message"
	case c.Phase == bot.PhaseWorking:
		return "… there is more; it comes when this has ended"
	case nothing(rest):
		what = "the picture"
	case c.Image != nil:
		what = "the rest and the picture"
	}
	switch {
	case at == inChannel:
		return "… " + what + " is in the thread"
	case c.Image != nil || len(pages(rest)) == 0: // a file cannot be shown to one alone
		return "… " + what + " comes as a direct message"
	}
	return "… " + what + " follows"
}

// bare draws a card without blocks: with what to type in place of its buttons.
func bare(shown bot.Card, fallback string) string {
	parts := []string{fallback}
	for _, f := range shown.Fields {
		parts = append(parts, f.Name+": "+f.Value)
	}
	for _, b := range shown.Buttons {
		parts = append(parts, "type: "+bot.LegibleLine(b.Line))
	}
	return strings.Join(nonEmpty(append(parts, shown.Footer)...), "\n")
}

// linkable reports whether an address can be shown as a link that leads where it
// says.
func linkable(link string) bool {
	u, err := url.Parse(link)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" && u.User == nil && len(link) <= maxLink && bot.LegibleLine(link) == link &&
		!strings.ContainsAny(link, " <>|\"`")
}

// drawing is a message as it grows.
type drawing struct {
	blocks []slack.Block
	rich   []slack.RichTextElement // not yet in a block
}

func word(s string) slack.RichTextSectionElement {
	return slack.NewRichTextSectionTextElement(s, nil)
}

func bold(s string) slack.RichTextSectionElement {
	return slack.NewRichTextSectionTextElement(s, &slack.RichTextSectionTextStyle{Bold: true})
}

func italic(s string) slack.RichTextSectionElement {
	return slack.NewRichTextSectionTextElement(s, &slack.RichTextSectionTextStyle{Italic: true})
}

// caption is plain text, in which Slack reads neither markup nor emoji.
func caption(s string) *slack.TextBlockObject {
	return slack.NewTextBlockObject(slack.PlainTextType, s, false, false)
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

func (d *drawing) head(c bot.Card) {
	if c.Title == "" {
		return
	}
	var line []slack.RichTextSectionElement
	if m := mark(c); m != "" {
		line = append(line, slack.NewRichTextSectionEmojiElement(m, 0, nil), word(" "))
	}
	d.section(append(line, bold(c.Title))...)
}

func (d *drawing) fields(fields []bot.Field) {
	var line []slack.RichTextSectionElement
	for _, f := range fields {
		gap := "  "
		if strings.Contains(f.Value, "\n") {
			gap = "\n"
		}
		if f.Name != "" {
			line = append(line, bold(f.Name))
		}
		line = append(line, word(gap+f.Value+"\n"))
	}
	if len(line) > 0 {
		d.rich = append(d.rich, slack.NewRichTextSection(line...))
	}
}

// table draws a table as Slack's own, of which a message may hold one.
func (d *drawing) table(t *bot.Table) {
	d.flush()
	row := func(cells []string) []slack.TableCell {
		var drawn []slack.TableCell
		for _, c := range cells {
			drawn = append(drawn, slack.NewTableRawTextCell(orElse(c, " "))) // an empty one is refused
		}
		return drawn
	}
	block := &slack.TableBlock{Type: slack.MBTTable, Rows: [][]slack.TableCell{row(t.Columns)}}
	for _, cells := range t.Rows {
		block.Rows = append(block.Rows, row(cells))
	}
	d.blocks = append(d.blocks, block)
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
// presses, where, and whether they may, is looked up when it comes back.
func (d *drawing) buttons(c bot.Card) {
	var elements []slack.BlockElement
	for i, b := range c.Buttons {
		e := slack.NewButtonBlockElement(fmt.Sprintf("%s%d", pressAction, i), b.Token, caption(b.Label))
		if b.Danger {
			e = e.WithStyle(slack.StyleDanger)
		}
		if b.Twice {
			e.Confirm = slack.NewConfirmationBlockObject(caption(cut(b.Label, 95)+"?"), caption(cut(strings.Join(nonEmpty(cut(c.Title, maxTitle/2), "This runs: "+bot.LegibleLine(b.Line)), "\n"), maxTitle)), caption(cut(b.Label, 30)), caption("No"))
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
