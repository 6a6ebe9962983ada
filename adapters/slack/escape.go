package slackchat

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/slack-go/slack/slackutilsx"
)

// plain makes text safe to show: without control characters, and without those
// that turn the reading order around, which could show one version and mean
// another.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n', r == '\t':
			return r
		case unicode.IsControl(r), r >= 0x202a && r <= 0x202e, r >= 0x2066 && r <= 0x2069, r == 0x200e, r == 0x200f, r == 0x061c, r == 0xfeff, r == 0x200b:
			return -1
		}
		return r
	}, s)
}

// escaped makes text safe where Slack reads markup: what looks like a mention or
// a link is shown as it was typed.
func escaped(s string) string { return slackutilsx.EscapeMessage(plain(s)) }

// cut shortens s to at most n characters, saying so by an ellipsis.
func cut(s string, n int) string {
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	if n < 1 {
		return ""
	}
	runes := []rune(s)
	return string(runes[:n-1]) + "…"
}

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
