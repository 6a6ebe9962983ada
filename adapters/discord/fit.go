package discordchat

import (
	"fmt"
	"strings"

	"quarterdeck/bot"
)

// Limits of what a message shows of a card, in characters as Discord counts them,
// which is after escaping. Discord's own (docs.discord.com/developers/resources/
// message): content 2,000; of an embed the description 4,096, the footer 2,048 and
// everything together 6,000; 5 rows of 5 buttons of 80 with ids of 100.
const (
	maxContent     = 2000
	maxDescription = 4000
	maxTitle       = 300
	maxGauge       = 300
	maxFields      = 30
	maxName        = 70
	maxValue       = 700
	maxColumns     = 20
	maxCell        = 150
	maxFooter      = 500
	maxLink        = 500
	maxLabel       = 80
	maxCustomID    = 100
	maxButtons     = 25
	rowOfButtons   = 5
	maxNotice      = 100
	restPages      = 4
	// narrow is how wide a table may be to stand in columns: what a phone held
	// upright shows of a block of code without breaking its lines.
	narrow = 46
)

// bounds is how much of the parts that may be long is shown.
type bounds struct{ text, output, rows int }

var (
	// ofCard keeps a card short enough to be read on a phone.
	ofCard = bounds{text: 2000, output: 1200, rows: 40}
	// ofPage is for what follows in the thread, whose only use is to be whole.
	ofPage = bounds{text: maxDescription, output: maxDescription, rows: 99}
)

// fit divides a card into what its message shows and the rest, which holds
// nothing when everything is shown. What is shown in part alone is in the rest
// as a whole. All strings come out safe to show, and are yet to be escaped.
func fit(c bot.Card, b bounds) (shown, rest bot.Card) {
	left := maxDescription - maxNotice
	shown = c
	shown.Buttons, shown.Fields, shown.Table, shown.Lines, shown.Text = nil, nil, nil, nil, ""
	var whole []string // what is shown in part

	short := func(s string, most int) string {
		s = bot.LegibleLine(s)
		head := cut(s, most)
		if head != s {
			whole = append(whole, s)
		}
		return head
	}
	// Title and footer have room of their own.
	shown.Title = short(c.Title, maxTitle)
	shown.Footer = short(c.Footer, maxFooter)
	if shown.Link = ""; c.Link != "" {
		if linkable(c.Link) || enrolment(c.Link) {
			shown.Link = c.Link
			left -= plainLength(c.Link) + 3
		} else {
			whole = append(whole, bot.LegibleLine(c.Link))
		}
	}
	for _, b := range c.Buttons {
		if b.Token == "" || len(shown.Buttons) == maxButtons {
			continue
		}
		b.Label = orElse(cut(bot.LegibleLine(b.Label), maxLabel), "…")
		shown.Buttons = append(shown.Buttons, b)
	}
	if c.Progress != nil {
		g := *c.Progress
		g.Text = short(g.Text, maxGauge)
		shown.Progress = &g
		left -= length(g.Text) + 30 // the bar
	}
	shown.Text, rest.Text = divide(bot.LegibleLines(c.Text), min(b.text, left))
	left -= length(shown.Text) + 1
	for i, f := range c.Fields {
		name, value := bot.LegibleLine(f.Name), bot.LegibleLines(f.Value)
		part := bot.Field{Name: cut(name, maxName), Value: cut(value, maxValue)}
		n := length(part.Name) + length(part.Value) + 8
		if i >= maxFields || n > left {
			for _, f := range c.Fields[i:] {
				if len(f.Name) <= maxName/5 && len(f.Value) <= maxValue/5 { // however much escaping adds
					rest.Fields = append(rest.Fields, f)
				} else {
					whole = append(whole, bot.LegibleLine(f.Name)+": "+bot.LegibleLines(f.Value))
				}
			}
			break
		}
		left -= n
		shown.Fields = append(shown.Fields, part)
		if part.Name != name || part.Value != value {
			whole = append(whole, name+": "+value)
		}
	}
	shown.Lines, rest.Lines = output(c.Lines, min(b.output, left-fences), b == ofCard)
	for _, l := range shown.Lines {
		left -= length(l) + 1
	}
	if len(shown.Lines) > 0 {
		left -= fences
	}
	if c.Table != nil && len(c.Table.Columns) > 0 {
		var long []string
		shown.Table, rest.Table, long = rows(c.Table, b.rows, left-fences)
		whole = append(whole, long...)
	}
	if len(whole) > 0 {
		rest.Text = strings.Join(nonEmpty(strings.Join(whole, "\n\n"), rest.Text), "\n\n")
	}
	return shown, rest
}

// fences is what surrounds a block of code, or begins a table.
const fences = 20

// nothing reports whether a card that fit gave holds nothing.
func nothing(c bot.Card) bool {
	return c.Text == "" && len(c.Fields) == 0 && len(c.Lines) == 0 && c.Table == nil
}

// output takes of an operation's own output what fits: the newest where newest is
// set, with everything in the rest; else the first, with what follows in the rest.
func output(all []string, most int, newest bool) (shown, rest []string) {
	if len(all) == 0 {
		return nil, nil
	}
	clean := make([]string, len(all))
	for i, l := range all {
		clean[i] = bot.LegibleLines(l)
	}
	if !newest {
		head, tail := divide(strings.Join(clean, "\n"), max(0, most))
		return nonEmpty(head), nonEmpty(tail)
	}
	size, from := 0, len(clean)
	for from > 0 && size+length(clean[from-1])+1 <= most {
		from--
		size += length(clean[from]) + 1
	}
	if from == 0 {
		return clean, nil
	}
	if from == len(clean) { // one line that is longer than all there is room for
		if last := cut(clean[from-1], most); last != "" {
			return []string{last}, clean
		}
		return nil, clean
	}
	return clean[from:], clean
}

// rows takes of a table what fits within left characters, however it is drawn.
// long is what cells hold that are shown in part.
func rows(t *bot.Table, most, left int) (shown, rest *bot.Table, long []string) {
	columns := min(len(t.Columns), maxColumns)
	row := func(cells []string) (drawn []string, size int, cutOff []string) {
		for i := range columns {
			cell := ""
			if i < len(cells) {
				cell = bot.LegibleLine(cells[i])
			}
			part := cut(cell, maxCell)
			drawn = append(drawn, part)
			size += max(1, length(part)) + 3
			if part != cell {
				cutOff = append(cutOff, bot.LegibleLine(t.Columns[i])+": "+cell)
			}
		}
		for i := columns; i < len(cells); i++ { // more columns than there can be
			cutOff = append(cutOff, bot.LegibleLine(cells[i]))
		}
		return drawn, max(size+4, narrow+1), cutOff
	}
	head, size, cutOff := row(t.Columns)
	if size > left {
		return nil, t, nil
	}
	left -= size
	long = append(long, cutOff...)
	shown = &bot.Table{Columns: head}
	for i, cells := range t.Rows {
		drawn, size, cutOff := row(cells)
		if i >= most || size > left {
			return shown, &bot.Table{Columns: t.Columns, Rows: t.Rows[i:]}, long
		}
		left -= size
		shown.Rows = append(shown.Rows, drawn)
		long = append(long, cutOff...)
	}
	return shown, nil, long
}

// pages divides the rest of a card into a few messages; none when it is longer
// than they can hold.
func pages(rest bot.Card) (all []bot.Card) {
	for !nothing(rest) {
		if len(all) == restPages {
			return nil
		}
		rest.Title = fmt.Sprintf("the rest, part %d", len(all)+1) // and not the card's title, which changes
		var page bot.Card
		page, rest = fit(rest, ofPage)
		all = append(all, page)
	}
	return all
}

// spill gives what follows a card: what does not fit as a few messages, and what is
// longer than that as one text file. The image is in the card's own message.
func spill(c bot.Card) []bot.Card {
	c.Image = nil
	_, rest := fit(c, ofCard)
	if nothing(rest) {
		return nil
	}
	if all := pages(rest); all != nil {
		return all
	}
	c.Buttons = nil
	if c.Run != 0 { // what changes as a run goes on would have the file posted again
		c.Title, c.Footer, c.Progress, c.Tone, c.Outcome = "", "", nil, "", ""
	}
	return []bot.Card{c} // longer than a few messages, and so a file
}
