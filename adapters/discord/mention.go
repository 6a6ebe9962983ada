package discordchat

import (
	"context"
	"strings"

	"quarterdeck/bot"
)

// maxMentions bounds whose attention one message draws; Discord takes 100.
const maxMentions = 20

var _ bot.Direct = (*chat)(nil)

// toUser is what the local part of a channel begins with that stands for the direct
// conversation with a user, whose own id only Discord knows.
const toUser = "@"

// DirectTo implements bot.Direct. Whether the user takes direct messages shows when
// one is delivered.
func (s *chat) DirectTo(account bot.AccountID) (bot.ChannelID, bool) {
	user, ok := userOf(account)
	if !ok {
		return "", false
	}
	return bot.ChannelID(Network + ":" + toUser + user), true
}

// resolved gives a delivery with the channel that it really goes to.
func (s *chat) resolved(ctx context.Context, d bot.Delivery) (bot.Delivery, error) {
	user, direct := strings.CutPrefix(d.Channel.Local(), toUser)
	if !direct {
		return d, nil
	}
	channel, err := s.direct(ctx, user)
	d.Channel = bot.ChannelID(Network + ":" + channel)
	return d, err
}

// mentioned gives the users among the accounts whose attention a card draws, and
// what mentions them.
func mentioned(accounts []bot.AccountID) (users []string, text string) {
	for _, a := range accounts {
		if user, ok := userOf(a); ok && len(users) < maxMentions {
			users = append(users, user)
			text += " <@" + user + ">"
		}
	}
	return users, strings.TrimSpace(text)
}
