package slackchat

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/slack-go/slack"

	"quarterdeck/bot"
	"quarterdeck/bot/memo"
)

const (
	// channelLife is how long it counts whether others read a channel. Events say
	// it themselves; slash commands, buttons and shortcuts do not.
	channelLife = 5 * time.Minute
	// channelStale is how long it goes on counting while Slack does not answer: an
	// outage of Slack's must not take the on-call's own channel away.
	channelStale = 24 * time.Hour
	// maxChannels bounds how many channels are remembered.
	maxChannels = 20000
)

// channels knows which channels are shared with another organisation.
type channels struct {
	s  *chat
	by *memo.Table[bool]
}

func newChannels(s *chat) *channels {
	return &channels{s: s, by: memo.New[bool](s.o.Clock, maxChannels, lookUp)}
}

// shared reports whether another organisation reads a channel, as Slack said at
// most channelLife ago. Of one that the bot is not in Slack may say nothing: there
// the bot can post nothing either, so it counts as not shared.
func (c *channels) shared(ctx context.Context, channel string) (bool, error) {
	shared, err := c.by.Get(ctx, channel, channelLife, func(ctx context.Context) (bool, error) {
		api, err := c.s.client()
		if err != nil {
			return false, &bot.Error{Op: "slack.channels", Kind: bot.Unavailable, Say: "Slack cannot be used", Err: err}
		}
		info, err := api.GetConversationInfoContext(ctx, &slack.GetConversationInfoInput{ChannelID: channel})
		if code(err) == "channel_not_found" {
			return false, nil
		}
		if err != nil {
			return false, c.s.unanswered("slack.channels", err)
		}
		return info.IsExtShared || info.IsPendingExtShared, nil
	})
	if err != nil {
		if before, known := c.by.Had(channel, channelStale); known {
			return before, nil
		}
	}
	return shared, err
}

// outside says what becomes of a member's standing by where the payload came
// from: "member" where nobody else reads along or the channel is configured.
func (s *chat) outside(ctx context.Context, p incoming) bot.Standing {
	switch {
	case slices.Contains(s.config.Shared, p.channel):
		return bot.Member
	case p.shared:
		return bot.External // others read and may write there
	case p.event || p.channel == "" || strings.HasPrefix(p.channel, "D"):
		return bot.Member // a direct conversation is the bot's own, or one where it can post nothing
	}
	shared, err := s.channels.shared(ctx, p.channel)
	if err != nil {
		s.logger().Warn("Slack does not say whether a channel is shared with others; nothing is run from there", "channel", p.channel, "err", err)
		return bot.Unvouched
	}
	if shared {
		return bot.External
	}
	return bot.Member
}
