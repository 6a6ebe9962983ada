package slackchat

import (
	"strings"

	"github.com/slack-go/slack"

	"quarterdeck/bot"
)

// isUser reports whether an id is a user's, which messages may be posted to as to
// a channel: they reach that user alone.
func isUser(id string) bool { return strings.HasPrefix(id, "U") || strings.HasPrefix(id, "W") }

// DirectTo implements bot.Direct, for the members of our own workspaces.
func (s *chat) DirectTo(account bot.AccountID) (bot.ChannelID, bool) {
	team, user, ok := strings.Cut(strings.TrimPrefix(string(account), "slack:"), "/")
	if !ok || account.Network() != "slack" || !s.ours(team) || !isUser(user) {
		return "", false
	}
	return bot.ChannelID("slack:" + user), true
}

// mention draws the attention of those of the accounts that are Slack's.
func (d *drawing) mention(accounts []bot.AccountID) {
	var elements []slack.RichTextSectionElement
	for _, a := range accounts {
		_, user, ok := strings.Cut(string(a), "/")
		if a.Network() != "slack" || !ok || !isUser(user) {
			continue
		}
		if len(elements) > 0 {
			elements = append(elements, word(" "))
		}
		elements = append(elements, slack.NewRichTextSectionUserElement(user, nil))
	}
	if len(elements) > 0 {
		d.section(elements...)
	}
}
