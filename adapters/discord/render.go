package discordchat

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/bwmarrin/discordgo"

	"quarterdeck/bot"
)

// message is a card as Discord shows it: its title as the content, which is what a
// notification says and what is left for those who have embeds turned off, and all
// else as one embed in the colour of its state. The parts of a card stand in the
// embed's description in the card's order; Discord's own fields take two lines each
// on a phone, and come after everything else.
type message struct {
	content    string
	embeds     []*discordgo.MessageEmbed
	components []discordgo.MessageComponent
	users      []string   // by id, whom the content mentions and nobody else
	image      *bot.Image // to be attached under its name, which the embed shows; nil for none
	file       *upload    // to be attached beside it; nil for none
	bare       string     // the content in place of all where Discord does not take the rest
}

// nobody is what every message says about whom it mentions. The library leaves out
// an empty list, which would have Discord read mentions in the content.
func nobody() *discordgo.MessageAllowedMentions {
	return &discordgo.MessageAllowedMentions{Parse: []discordgo.AllowedMentionType{}}
}

// look is how a card looks at a glance: by its colour and, because colours alone
// would tell nothing to many, by a sign.
func look(c bot.Card) (sign string, colour int) {
	if c.Outcome == bot.OutcomeUnknown {
		return "❓", 0x8e44ad // which is not failed, and wants somebody to look
	}
	switch c.Tone {
	case bot.Working:
		return "🔵", 0x3b82f6
	case bot.Good:
		return "✅", 0x2e9e5b
	case bot.Warning:
		return "⚠️", 0xe5a50a
	case bot.Bad:
		return "❌", 0xd33a3a
	case bot.Question:
		return "❔", 0x7c6cf0
	}
	return "", 0
}

// place is where a card is shown.
type place int

const (
	inChannel place = iota // of a guild, where a thread can follow
	inPrivate              // to one account alone, or in a direct conversation
)

// render draws a card. at says who sees it, and so where the rest of it comes.
func render(c bot.Card, at place) message {
	b := ofCard
	if c.Rest {
		b = ofPage
	}
	shown, rest := fit(c, b)
	sign, colour := look(c)
	var m message
	if shown.Title != "" {
		m.content = strings.TrimSpace(sign + " **" + escaped(shown.Title) + "**")
	}
	e := &discordgo.MessageEmbed{Color: colour, Description: description(shown, notice(c, rest, at))}
	if c.Image != nil && c.Image.Check() == nil {
		m.image = c.Image
		e.Image = &discordgo.MessageEmbedImage{URL: "attachment://" + c.Image.Name}
	}
	switch {
	case e.Image == nil && m.content == "" && e.Description == escaped(shown.Text) && len(e.Description) <= maxContent/2:
		m.content = strings.TrimSpace(sign + " " + e.Description) // a line by itself needs no frame
		fallthrough
	case e.Image == nil && e.Description == "":
		if shown.Footer != "" {
			m.content = strings.TrimPrefix(m.content+"\n-# "+escaped(shown.Footer), "\n")
		}
	default:
		if shown.Footer != "" {
			e.Footer = &discordgo.MessageEmbedFooter{Text: shown.Footer} // in which Discord reads no markup
		}
		m.embeds = []*discordgo.MessageEmbed{e}
	}
	if m.content == "" && m.embeds == nil {
		m.content = "Quarterdeck"
	}
	users, mentions := mentioned(c.Mention)
	if m.users = users; mentions != "" {
		m.content = strings.TrimPrefix(m.content+"\n"+mentions, "\n")
	}
	m.components = buttons(shown)
	m.bare = bare(shown, sign)
	return m
}

// unpictured gives the message without its image, for where Discord does not take
// that: what it shows is said in words.
func (m message) unpictured() message {
	if m.image == nil {
		return m
	}
	e := *m.embeds[0]
	e.Image = nil
	alt := "*" + escaped(cut(bot.LegibleLine("the picture could not be attached: "+m.image.Alt), maxValue)) + "*"
	if length(e.Description)+length(alt) < maxDescription {
		e.Description = strings.Join(nonEmpty(e.Description, alt), "\n")
	}
	m.image = nil
	m.embeds = []*discordgo.MessageEmbed{&e}
	return m
}

// description draws what stands between title and footer.
func description(c bot.Card, notice string) string {
	var parts []string
	add := func(s string) {
		if s != "" {
			parts = append(parts, s)
		}
	}
	add(escaped(c.Text))
	if c.Progress != nil {
		add(gauge(c.Progress))
	}
	for _, f := range c.Fields {
		gap := "  "
		if strings.Contains(f.Value, "\n") {
			gap = "\n"
		}
		name := ""
		if f.Name != "" {
			name = "**" + escaped(f.Name) + "**" + gap
		}
		add(name + escaped(f.Value))
	}
	if c.Table != nil {
		add(table(c.Table))
	}
	if text := strings.Join(c.Lines, "\n"); strings.TrimSpace(text) != "" {
		add("```\n" + fenced(text) + "\n```")
	}
	switch {
	case enrolment(c.Link):
		add("`" + c.Link + "`") // which Discord makes no link of, and a phone copies whole
	case c.Link != "":
		add("<" + c.Link + ">") // in brackets no markup is read in it
	}
	if notice != "" {
		add("*" + notice + "*")
	}
	return strings.Join(parts, "\n")
}

// table draws a table in columns where a phone shows them whole, else a line a row.
// A column in which there is nothing is left out.
func table(t *bot.Table) string {
	var columns []int
	widths, total := map[int]int{}, 0
	for i, head := range t.Columns {
		width := 0
		for _, row := range t.Rows {
			width = max(width, plainLength(row[i]))
		}
		if width == 0 && len(t.Rows) > 0 {
			continue
		}
		columns = append(columns, i)
		widths[i] = max(width, plainLength(head))
		total += widths[i] + 2
	}
	var b strings.Builder
	if total-2 <= narrow {
		b.WriteString("```\n")
		for _, row := range append([][]string{t.Columns}, t.Rows...) {
			line := ""
			for _, i := range columns {
				line += row[i] + strings.Repeat(" ", widths[i]-plainLength(row[i])+2)
			}
			b.WriteString(fenced(strings.TrimRight(line, " ")) + "\n")
		}
		b.WriteString("```")
		return b.String()
	}
	for i, row := range append([][]string{t.Columns}, t.Rows...) {
		var cells []string
		for n, c := range columns {
			cell := escaped(orElse(row[c], "–"))
			if n == 0 && i > 0 {
				cell = "**" + cell + "**"
			}
			cells = append(cells, cell)
		}
		if i == 0 {
			b.WriteString("-# ")
		} else {
			b.WriteByte('\n')
		}
		b.WriteString(strings.Join(cells, " · "))
	}
	return b.String()
}

// notice says where what is not shown can be read.
func notice(c, rest bot.Card, at place) string {
	switch {
	case nothing(rest), c.Rest:
		return ""
	case c.Phase == bot.PhaseWorking:
		return "… there is more; it comes when this has ended"
	case at == inChannel:
		return "… the rest is in the thread"
	}
	return "… the rest follows"
}

// gauge draws progress. A percentage that is not known is not drawn.
func gauge(g *bot.Gauge) string {
	if g.Percent == nil {
		return escaped(g.Text)
	}
	const width = 12
	p := max(0, min(100, *g.Percent))
	full := p * width / 100
	return strings.TrimSpace(fmt.Sprintf("%s%s %d%%  %s", strings.Repeat("▰", full), strings.Repeat("▱", width-full), p, escaped(g.Text)))
}

// bare draws a card as content alone: with what to type in place of its buttons.
func bare(shown bot.Card, sign string) string {
	parts := nonEmpty(shown.Title, shown.Text)
	if len(parts) == 0 {
		parts = []string{"Quarterdeck"}
	}
	for _, f := range shown.Fields {
		parts = append(parts, f.Name+": "+f.Value)
	}
	for _, b := range shown.Buttons {
		parts = append(parts, "type: "+bot.LegibleLine(b.Line))
	}
	parts = append(nonEmpty(parts...), nonEmpty(shown.Footer)...)
	return strings.TrimSpace(sign + " " + escaped(cut(strings.Join(parts, "\n"), maxContent-100)))
}

// linkable reports whether an address can be shown as a link that leads where it
// says.
func linkable(link string) bool {
	u, err := url.Parse(link)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" && u.User == nil && len(link) <= maxLink && bot.LegibleLine(link) == link &&
		!strings.ContainsAny(link, " <>|\"`\\")
}

// enrolment reports whether an address is what an authenticator enrols by.
func enrolment(link string) bool {
	return strings.HasPrefix(link, "otpauth://") && len(link) <= maxLink && bot.LegibleLine(link) == link && !strings.ContainsAny(link, "`<>")
}

// What the id of a button begins with. What follows is the opaque token alone;
// who presses, where, and whether they may, is looked up when it comes back.
const (
	pressID = "press:" // runs the button's line
	askID   = "ask:"   // asks whoever presses once more
	sureID  = "sure:"  // the answer to that; the message of the card follows the token
)

// buttons draws what can be pressed.
func buttons(c bot.Card) (rows []discordgo.MessageComponent) {
	var row []discordgo.MessageComponent
	flush := func() {
		if len(row) > 0 {
			rows = append(rows, discordgo.ActionsRow{Components: row})
			row = nil
		}
	}
	for _, b := range c.Buttons {
		id := pressID + b.Token
		if b.Twice {
			id = askID + b.Token
		}
		if len(id) > maxCustomID {
			continue
		}
		style := discordgo.SecondaryButton
		if b.Danger {
			style = discordgo.DangerButton
		}
		if row = append(row, discordgo.Button{Label: b.Label, Style: style, CustomID: id}); len(row) == rowOfButtons {
			flush()
		}
	}
	flush()
	return rows
}

// pressing is a button that was pressed.
type pressing struct {
	token string
	ask   bool   // whoever presses is to be asked once more
	on    string // the message of the card, where the button is on the question about it
}

// pressed reads the id of a component; ok is false for one that is no button of a
// card.
func pressed(customID string) (p pressing, ok bool) {
	if p.token, ok = strings.CutPrefix(customID, pressID); ok {
		return p, p.token != ""
	}
	if p.token, ok = strings.CutPrefix(customID, askID); ok {
		p.ask = true
		return p, p.token != ""
	}
	if rest, is := strings.CutPrefix(customID, sureID); is {
		if p.token, p.on, ok = strings.Cut(rest, "@"); ok {
			return p, p.token != "" && p.on != ""
		}
	}
	return pressing{}, false
}

// question asks whoever pressed a button once more; label is the button's, title
// the card's content, and on its message.
func question(token, on, label, title string) message {
	m := message{content: cut(bot.LegibleLine(label), maxLabel) + "?"}
	m.content = escaped(m.content)
	if title = bot.LegibleLines(title); title != "" {
		m.embeds = []*discordgo.MessageEmbed{{Description: cutPlain(title, maxTitle*2)}}
	}
	m.bare = m.content
	if id := sureID + token + "@" + on; len(id) <= maxCustomID {
		m.components = []discordgo.MessageComponent{discordgo.ActionsRow{Components: []discordgo.MessageComponent{
			discordgo.Button{Label: orElse(cutPlain(bot.LegibleLine(label), maxLabel), "Yes"), Style: discordgo.DangerButton, CustomID: id}}}}
	}
	return m
}

// cutPlain is cut for what Discord reads no markup in, or what is escaped already.
func cutPlain(s string, n int) string {
	if plainLength(s) <= n {
		return s
	}
	total, end := 1, 0
	for i, r := range s {
		if total += units(r); total > n {
			break
		}
		end = i + len(string(r))
	}
	return s[:end] + "…"
}
