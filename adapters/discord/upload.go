package discordchat

import (
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
	data := []byte(c.Plain())
	if len(data) > maxFile {
		data = []byte(strings.ToValidUTF8(string(data[:maxFile]), "") + "\n… and more, which is not here\n")
	}
	name := c.FileName()
	return upload{name: name, kind: "text/plain; charset=utf-8", say: escaped(cut(bot.LegibleLine(orElse(c.Title, name)), maxTitle)), data: data}, true
}
