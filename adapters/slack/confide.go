package slackchat

import (
	"context"
	"strings"

	"quarterdeck/bot"
)

// Confide implements bot.Confidential: by direct message, wherever it was asked,
// because what is shown in a channel to one person alone is shown on a screen that
// others look at. Nothing is tried again by another way.
func (s *chat) Confide(ctx context.Context, d bot.Delivery) (err error) {
	_, user, _ := strings.Cut(string(d.To), "/")
	if user == "" {
		return bot.Errorf(bot.Invalid, "it is not said who alone may read the card")
	}
	api, err := s.client()
	if err != nil {
		return &bot.Error{Op: "slack.confide", Kind: bot.Unavailable, Say: "Slack cannot be used", Err: err}
	}
	_, _, err = api.PostMessageContext(ctx, user, s.render(d.Card).options()...)
	if refused(err) {
		s.forget()
	}
	return translated("slack.confide", err)
}
