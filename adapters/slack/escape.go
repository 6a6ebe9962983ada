package slackchat

import (
	"strings"

	"github.com/slack-go/slack/slackutilsx"

	"quarterdeck/bot"
)

// plain makes of what somebody sent a text without control characters, and
// without those that are not seen or that turn the reading order around.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if r != '\n' && r != '\t' && bot.Unseen(r) {
			return -1
		}
		return r
	}, s)
}

// escaped makes safe text safe also where Slack reads markup: what looks like a
// mention or a link is shown as it was typed.
func escaped(s string) string { return slackutilsx.EscapeMessage(s) }

// typed makes of a message's text what its writer typed: Slack escapes it, and
// writes users, channels and addresses in brackets.
func typed(s string) string {
	var b strings.Builder
	for len(s) > 0 {
		open := strings.IndexByte(s, '<')
		if open < 0 {
			b.WriteString(s)
			break
		}
		shut := strings.IndexByte(s[open:], '>')
		if shut < 0 {
			b.WriteString(s)
			break
		}
		b.WriteString(s[:open])
		b.WriteString(unbracket(s[open+1 : open+shut]))
		s = s[open+shut+1:]
	}
	return strings.NewReplacer("&lt;", "<", "&gt;", ">", "&amp;", "&").Replace(b.String())
}

// unbracket gives what stands for one reference: of an address that Slack made a
// link the words as typed, of a user or a channel its id.
func unbracket(ref string) string {
	target, label, labelled := strings.Cut(ref, "|")
	switch {
	case strings.HasPrefix(target, "@"), strings.HasPrefix(target, "#"), strings.HasPrefix(target, "!"):
		return target
	case labelled:
		return label
	}
	return target
}
