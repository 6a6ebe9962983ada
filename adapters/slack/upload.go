package slackchat

import (
	"bytes"
	"context"
	"errors"
	"strings"

	"github.com/slack-go/slack"

	"quarterdeck/bot"
)

// maxFile bounds the text file that what does not fit becomes, in bytes.
const maxFile = 1 << 20

// upload is a file to be shown in a thread.
type upload struct {
	name, title, alt string
	data             []byte
}

// attached gives the file that a card in a thread becomes: its image, or a text
// that is longer than a message; ok is false when it is a message.
func attached(c bot.Card) (u upload, ok bool) {
	if !c.Rest {
		return u, false
	}
	if c.Image != nil {
		return upload{name: c.Image.Name, title: cut(bot.LegibleLine(orElse(c.Title, c.Image.Alt)), maxTitle), alt: bot.LegibleLine(c.Image.Alt), data: c.Image.PNG}, true
	}
	if _, rest := fit(c, ofPage); nothing(rest) {
		return u, false
	}
	data := []byte(c.Plain())
	if len(data) > maxFile {
		data = []byte(strings.ToValidUTF8(string(data[:maxFile]), "") + "\n… and more, which is not here\n")
	}
	return upload{name: c.FileName(), title: cut(bot.LegibleLine(orElse(c.Title, c.FileName())), maxTitle), data: data}, true
}

// attach uploads a file into the card's thread: a private one into the direct
// conversation with whom it is for, because files cannot be shown to one alone.
// Where Slack does not take it for good, the thread is told so in words.
func (s *chat) attach(ctx context.Context, api *slack.Client, d bot.Delivery, u upload) (string, error) {
	channel, ts := split(d.Thread)
	if channel == "" {
		channel = d.Channel.Local()
	}
	if d.To != "" && !strings.HasPrefix(channel, "D") {
		_, user, _ := strings.Cut(string(d.To), "/")
		direct, _, _, err := api.OpenConversationContext(ctx, &slack.OpenConversationParameters{Users: []string{user}})
		if err != nil {
			return "", translated("slack.attach", err)
		}
		channel, ts = direct.ID, ""
		d.Channel, d.Thread = bot.ChannelID(Network+":"+channel), "" // whatever else is said of it too
	}
	if err := s.busy("post "+channel, postEvery, postBurst); err != nil {
		return "", err
	}
	_, err := api.UploadFileContext(ctx, slack.UploadFileParameters{Reader: bytes.NewReader(u.data), FileSize: len(u.data), Filename: u.name,
		Title: u.title, AltTxt: u.alt, Channel: channel, ThreadTimestamp: ts})
	if err == nil && d.Ref != "" { // what was here before is not true any more
		was := d
		was.Card = bot.Card{Rest: true, Text: "This has changed; see " + u.name + " below."}
		return s.edit(ctx, api, was, render(was.Card, placeOf(d)))
	}
	if err == nil {
		return "", nil // a file's message has no reference that could be edited
	}
	err = translated("slack.attach", err)
	switch bot.KindOf(err) {
	case bot.Unavailable, bot.Busy, bot.Timeout:
		if code(errors.Unwrap(err)) != "missing_scope" { // which waiting does not mend
			return "", err
		}
	}
	s.logger().Error("Slack does not take a file", "channel", channel, "file", u.name, "err", err)
	say := bot.Card{Rest: true, Tone: bot.Warning, Title: u.name + " could not be attached: " + bot.Sentence(err, "slack"), Text: u.alt}
	d.Card, d.Ref = say, ""
	return s.post(ctx, api, d, channel, render(say, placeOf(d)))
}
