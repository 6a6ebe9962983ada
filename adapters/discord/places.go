package discordchat

import (
	"context"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/memo"
)

const (
	// placeLife is how long what Discord said of a channel counts: what kind it is,
	// and whose, never changes.
	placeLife = 24 * time.Hour
	maxPlaces = 20000
)

// Kinds of channel (docs.discord.com/developers/resources/channel).
const (
	kindDirect        = 1
	kindNewsThread    = 10
	kindPublicThread  = 11
	kindPrivateThread = 12
)

// at is what is known of a channel.
type at struct {
	guild  string // "" of a direct conversation
	parent string // of a thread
	direct bool
}

// places knows what kind of channel each is.
type places struct {
	s  *chat
	by *memo.Table[at]
}

func newPlaces(s *chat) *places {
	return &places{s: s, by: memo.New[at](s.o.Clock, maxPlaces, lookUp)}
}

// know gives what a channel is. What Discord does not say counts as a channel of
// no guild, in which nothing is private.
func (p *places) know(ctx context.Context, channel string) at {
	is, err := p.by.Get(ctx, channel, placeLife, func(ctx context.Context) (at, error) {
		var c channelPayload
		if err := p.s.call(ctx, "GET", "channels/"+channel, nil, &c); err != nil {
			return at{}, translated("discord.channel", err)
		}
		return c.at(), nil
	})
	if err != nil {
		p.s.logger().Debug("Discord does not say what a channel is", "channel", channel, "err", err)
	}
	return is
}

// direct gives the direct conversation with a user.
func (s *chat) direct(ctx context.Context, user string) (channel string, err error) {
	var c channelPayload
	if err := s.call(ctx, "POST", "users/@me/channels", map[string]string{"recipient_id": user}, &c); err != nil {
		return "", err
	}
	if c.ID == "" {
		return "", bot.Errorf(bot.Internal, "Discord does not say which direct conversation is a user's")
	}
	s.places.by.Learn(c.ID, at{direct: true})
	return c.ID, nil
}
