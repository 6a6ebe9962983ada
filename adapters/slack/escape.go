package slackchat

import (
	"fmt"
	"strings"
	"unicode"

	"github.com/slack-go/slack/slackutilsx"
)

// plain makes of what somebody sent a text without control characters, and
// without those that are not seen or that turn the reading order around.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if r != '\n' && r != '\t' && unseen(r) {
			return -1
		}
		return r
	}, s)
}

// unseen reports whether a character does something else than stand in its place.
// The two joiners are let through: scripts and emoji are written with them, and
// they move nothing.
func unseen(r rune) bool {
	if r == '\u200c' || r == '\u200d' {
		return false
	}
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Cs, unicode.Co)
}

// safe makes text safe to show: what would hide or reorder text, and so show one
// version and mean another, is written out, as \u202e. Nothing is dropped, so
// that two names never look alike for it.
func safe(s string) string {
	s = strings.ToValidUTF8(strings.ReplaceAll(s, "\r\n", "\n"), "\uFFFD")
	if !strings.ContainsFunc(s, unseen) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == '\n':
			b.WriteRune(r)
		case r == '\t', r == '\r':
			b.WriteByte(' ')
		case !unseen(r):
			b.WriteRune(r)
		case r < 0x100:
			fmt.Fprintf(&b, `\x%02x`, r)
		case r < 0x10000:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			fmt.Fprintf(&b, `\U%08x`, r)
		}
	}
	return b.String()
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
