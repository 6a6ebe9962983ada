package slackchat

import (
	"context"
	"strings"

	"github.com/slack-go/slack"

	"quarterdeck/bot"
)

// Confide implements bot.Confidential: as an ephemeral message where it was
// asked, which only that user is shown, which is gone with the next reload, and
// which no history holds. A direct message would stay for whoever takes over the
// session later, and that is whom a second factor is to keep out.
func (s *chat) Confide(ctx context.Context, d bot.Delivery) (err error) {
	_, user, _ := strings.Cut(string(d.To), "/")
	if user == "" {
		return bot.Errorf(bot.Invalid, "it is not said who alone may read the card")
	}
	api, err := s.client()
	if err != nil {
		return &bot.Error{Op: "slack.confide", Kind: bot.Unavailable, Say: "Slack cannot be used", Err: err}
	}
	m := render(d.Card, inPrivate)
	err = s.send(m, "", func(options ...slack.MsgOption) error {
		_, err := api.PostEphemeralContext(ctx, d.Channel.Local(), user, options...)
		return err
	})
	switch code(err) {
	case "not_in_channel", "channel_not_found", "user_not_in_channel", "is_archived":
		if err := s.hooked(ctx, d, "ephemeral", m); err != nil {
			return &bot.Error{Op: "slack.confide", Kind: bot.NotFound, Say: "I am no member of this channel; ask me in our direct conversation", Err: err}
		}
		return nil
	}
	if refused(err) {
		s.forget()
	}
	return translated("slack.confide", err)
}
