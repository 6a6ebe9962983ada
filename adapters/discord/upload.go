package discordchat

import (
	"fmt"
	"regexp"
	"strings"

	"quarterdeck/bot"
)

// maxFile bounds the text file that what does not fit becomes, in bytes.
const maxFile = 1 << 20

// upload is a file to be posted by itself.
type upload struct {
	name, kind string
	say        string // the content of its message
	data       []byte
}

// attached gives the file that a card which follows another becomes where it is
// longer than a few messages; ok is false when it is a message.
func attached(c bot.Card) (u upload, ok bool) {
	if !c.Rest {
		return u, false
	}
	c.Image = nil
	if _, rest := fit(c, ofPage); nothing(rest) {
		return u, false
	}
	data := []byte(asText(c))
	if len(data) > maxFile {
		data = []byte(strings.ToValidUTF8(string(data[:maxFile]), "") + "\n… and more, which is not here\n")
	}
	name := fileName(c)
	return upload{name: name, kind: "text/plain; charset=utf-8", say: escaped(cut(oneLine(orElse(c.Title, name)), maxTitle)), data: data}, true
}

var runKey = regexp.MustCompile(`^run/(\d+)/`)

func fileName(c bot.Card) string {
	if m := runKey.FindStringSubmatch(c.Key); m != nil {
		return "run-" + m[1] + ".txt"
	}
	return "answer.txt"
}

// asText gives a whole card as plain text.
func asText(c bot.Card) string {
	var b strings.Builder
	add := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	if c.Title != "" {
		add("%s\n", oneLine(c.Title))
	}
	if c.Text != "" {
		add("%s\n", lines(c.Text))
	}
	for _, f := range c.Fields {
		add("%s: %s", oneLine(f.Name), lines(f.Value))
	}
	if c.Table != nil {
		for _, cells := range append([][]string{c.Table.Columns}, c.Table.Rows...) {
			for i, cell := range cells {
				if i > 0 {
					b.WriteByte('\t')
				}
				b.WriteString(oneLine(cell))
			}
			b.WriteByte('\n')
		}
	}
	for _, l := range c.Lines {
		add("%s", lines(l))
	}
	for _, s := range nonEmpty(c.Link, c.Footer) {
		add("%s", oneLine(s))
	}
	return b.String()
}
