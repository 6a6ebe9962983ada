package slackchat

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"quarterdeck/bot"
)

// Limits of what a message shows of a card, in characters as Slack counts them,
// which is after escaping. Slack's own: 50 blocks, text of 3,000 in a section,
// one table of 100 rows and 20 columns, 25 buttons of 75 with values of 2,000,
// and a total that is not documented and lies a little above 13,000.
const (
	maxTotal   = 12000
	maxTitle   = 300
	maxGauge   = 300
	maxFields  = 30
	maxName    = 70
	maxValue   = 700
	maxOutput  = 2000
	maxColumns = 20
	maxCell    = 150
	maxFooter  = 500
	maxLink    = 1000
	maxLabel   = 70
	maxButtons = 25
	maxNotice  = 100
	restPages  = 3
)

// bounds is how much of the parts that may be long is shown.
type bounds struct{ text, output, rows int }

var (
	// ofCard keeps a card short enough to be read on a phone.
	ofCard = bounds{text: 3000, output: maxOutput, rows: 40}
	// ofPage is for what follows in the thread, whose only use is to be whole.
	ofPage = bounds{text: maxTotal, output: maxTotal, rows: 99}
)

// fit divides a card into what its message shows and the rest, which holds
// nothing when everything is shown. What is shown in part alone is in the rest
// as a whole. All strings come out safe to show.
func fit(c bot.Card, b bounds) (shown, rest bot.Card) {
	left := maxTotal - maxNotice
	shown = c
	shown.Buttons, shown.Fields, shown.Table, shown.Lines, shown.Text, shown.Image = nil, nil, nil, nil, "", nil
	var whole []string // what is shown in part

	// short takes a part that belongs on the card whatever else there is.
	short := func(name, s string, most int) string {
		s = bot.LegibleLine(s)
		head := cut(s, most)
		left -= length(head)
		if head != s {
			whole = append(whole, strings.TrimSpace(name+" "+s))
		}
		return head
	}
	shown.Title = short("", c.Title, maxTitle)
	shown.Footer = short("", c.Footer, maxFooter)
	if shown.Link = ""; c.Link != "" {
		if linkable(c.Link) {
			shown.Link = c.Link
			left -= length(c.Link)
		} else {
			whole = append(whole, bot.LegibleLine(c.Link))
		}
	}
	for i, b := range c.Buttons {
		if b.Token == "" || i >= maxButtons {
			continue
		}
		b.Label = orElse(cut(bot.LegibleLine(b.Label), maxLabel), "…")
		left -= length(b.Label)
		if b.Twice {
			left -= length(b.Label) + maxTitle
		}
		shown.Buttons = append(shown.Buttons, b)
	}
	if c.Progress != nil {
		g := *c.Progress
		g.Text = short("", g.Text, maxGauge)
		shown.Progress = &g
		left -= 30 // the bar
	}
	shown.Text, rest.Text = divide(bot.LegibleLines(c.Text), min(b.text, left))
	left -= length(shown.Text)
	for i, f := range c.Fields {
		name, value := bot.LegibleLine(f.Name), bot.LegibleLines(f.Value)
		part := bot.Field{Name: cut(name, maxName), Value: cut(value, maxValue)}
		n := length(part.Name) + length(part.Value) + 3
		if i >= maxFields || n > left {
			for _, f := range c.Fields[i:] {
				if len(f.Name) <= maxName && len(f.Value) <= maxValue/5 { // however much escaping adds
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
	shown.Lines, rest.Lines = output(c.Lines, min(b.output, left), b == ofCard)
	for _, l := range shown.Lines {
		left -= length(l) + 1
	}
	if c.Table != nil && len(c.Table.Columns) > 0 {
		var long []string
		shown.Table, rest.Table, long = rows(c.Table, b.rows, left)
		whole = append(whole, long...)
	}
	if len(whole) > 0 {
		rest.Text = strings.Join(nonEmpty(strings.Join(whole, "\n\n"), rest.Text), "\n\n")
	}
	return shown, rest
}

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
		head, tail := divide(strings.Join(clean, "\n"), most)
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

// rows takes of a table what fits within left characters. long is what cells hold
// that are shown in part.
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
			size += max(1, length(part))
			if part != cell {
				cutOff = append(cutOff, bot.LegibleLine(t.Columns[i])+": "+cell)
			}
		}
		for i := columns; i < len(cells); i++ { // more columns than there can be
			cutOff = append(cutOff, bot.LegibleLine(cells[i]))
		}
		return drawn, size, cutOff
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

// divide divides clean text after at most so many characters, at the end of a
// line or a word where there is one near.
func divide(s string, most int) (head, tail string) {
	if length(s) <= most {
		return s, ""
	}
	size, end := 0, 0
	for i, r := range s {
		if size += length(string(r)); size > most {
			break
		}
		end = i + utf8.RuneLen(r)
	}
	for _, at := range []string{"\n", " "} {
		if i := strings.LastIndex(s[:end], at); i > end*3/4 {
			return s[:i], s[i+1:]
		}
	}
	return s[:end], s[end:]
}

// length counts characters as Slack does, which counts them escaped.
func length(s string) int {
	return utf8.RuneCountInString(s) + 4*strings.Count(s, "&") + 3*strings.Count(s, "<") + 3*strings.Count(s, ">")
}

// cut shortens s to at most n characters as Slack counts them, saying so by an
// ellipsis.
func cut(s string, n int) string {
	if length(s) <= n {
		return s
	}
	if n < 1 {
		return ""
	}
	size, end := 1, 0
	for i, r := range s {
		if size += length(string(r)); size > n {
			break
		}
		end = i + utf8.RuneLen(r)
	}
	return s[:end] + "…"
}

func nonEmpty(parts ...string) []string {
	var kept []string
	for _, p := range parts {
		if p != "" {
			kept = append(kept, p)
		}
	}
	return kept
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

// Spill implements bot.Spiller: what does not fit follows as a few messages; what
// is longer than that as one text file; and the image.
func (s *chat) Spill(c bot.Card, _ bool) []bot.Card {
	image := c.Image
	c.Image = nil
	_, rest := fit(c, ofCard)
	all := pages(rest)
	if all == nil && !nothing(rest) {
		c.Buttons = nil
		if c.Run != 0 { // what changes as a run goes on would have the file posted again
			c.Title, c.Footer, c.Progress, c.Tone, c.Outcome = "", "", nil, "", ""
		}
		all = []bot.Card{c} // longer than a message, and so a file
	}
	if image != nil {
		all = append(all, bot.Card{Title: cut(bot.LegibleLine(image.Alt), maxCell), Image: image})
	}
	return all
}
