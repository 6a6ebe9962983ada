package slackchat

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/slack-go/slack"

	"quarterdeck/bot"
)

// Deliver implements bot.Chat. A reference is "CHANNEL/TS".
//
// Where the bot is no member of the channel, an answer goes by the response URL
// of what it answers, which works five times in half an hour, and then by direct
// message. Private answers are shown to the asker alone where they asked, and
// by direct message where that cannot be.
func (s *chat) Deliver(ctx context.Context, d bot.Delivery) (ref string, err error) {
	api, err := s.client()
	if err != nil {
		return "", &bot.Error{Op: "slack.deliver", Kind: bot.Unavailable, Say: "Slack cannot be used", Err: err}
	}
	defer func() {
		if refused(errors.Unwrap(err)) {
			s.forget()
		}
	}()
	m := s.render(d.Card)
	channel := d.Channel.Local()
	switch {
	case d.To != "":
		return s.whisper(ctx, api, d, channel, m)
	case d.Ref != "":
		return s.edit(ctx, api, d, m)
	}
	return s.post(ctx, api, d, channel, m)
}

// calm are the options of everything posted: nothing unfolds, nobody is
// notified by what a card quotes.
func (m message) options(more ...slack.MsgOption) []slack.MsgOption {
	return append([]slack.MsgOption{slack.MsgOptionText(m.text, false), slack.MsgOptionBlocks(m.blocks...), slack.MsgOptionDisableLinkUnfurl(),
		slack.MsgOptionDisableMediaUnfurl(), slack.MsgOptionParse(false)}, more...)
}

// busy is the error for a channel that must wait its turn.
func (s *chat) busy(key string, every time.Duration, burst int) error {
	if wait := s.pace.take(key, every, burst); wait > 0 {
		return &bot.Error{Op: "slack.deliver", Kind: bot.Busy, Say: "the channel takes one message a second", RetryAfter: wait}
	}
	return nil
}

func (s *chat) post(ctx context.Context, api *slack.Client, d bot.Delivery, channel string, m message) (string, error) {
	if err := s.busy("post "+channel, postEvery, postBurst); err != nil {
		return "", err
	}
	options := m.options()
	if _, ts := split(d.Thread); ts != "" {
		options = append(options, slack.MsgOptionTS(ts))
	}
	_, ts, err := api.PostMessageContext(ctx, channel, options...)
	switch code(err) {
	case "not_in_channel", "channel_not_found":
		if d.Card.ReplyTo == "" {
			return "", translated("slack.post", err)
		}
		return "", s.answer(ctx, api, d, m, "in_channel", err)
	}
	if err != nil {
		return "", translated("slack.post", err)
	}
	if ts == "" {
		return "", bot.Errorf(bot.Internal, "Slack took a message and did not say which it is")
	}
	return channel + "/" + ts, nil
}

// split takes a reference, or a bare timestamp, apart.
func split(ref string) (channel, ts string) {
	channel, ts, found := strings.Cut(ref, "/")
	if !found {
		return "", ref
	}
	return channel, ts
}

func (s *chat) edit(ctx context.Context, api *slack.Client, d bot.Delivery, m message) (string, error) {
	channel, ts := split(d.Ref)
	if err := s.busy("edit", editEvery, editBurst); err != nil {
		return "", err
	}
	_, _, _, err := api.UpdateMessageContext(ctx, channel, ts, m.options()...)
	if c := code(err); c == "message_not_found" || c == "edit_window_closed" || c == "cant_update_message" {
		// It was deleted, or is too old: what it says must still be told.
		return s.post(ctx, api, d, channel, m)
	}
	if err != nil {
		return "", translated("slack.edit", err)
	}
	return d.Ref, nil
}

// whisper shows the card to one account alone.
func (s *chat) whisper(ctx context.Context, api *slack.Client, d bot.Delivery, channel string, m message) (string, error) {
	_, user, _ := strings.Cut(string(d.To), "/")
	if strings.HasPrefix(channel, "D") {
		return s.post(ctx, api, d, channel, m) // it is theirs alone
	}
	if err := s.busy("post "+channel, postEvery, postBurst); err != nil {
		return "", err
	}
	options := m.options()
	if _, ts := split(d.Thread); ts != "" {
		options = append(options, slack.MsgOptionTS(ts))
	}
	_, err := api.PostEphemeralContext(ctx, channel, user, options...)
	switch code(err) {
	case "not_in_channel", "channel_not_found", "user_not_in_channel", "is_archived":
		return "", s.answer(ctx, api, d, m, "ephemeral", err)
	}
	return "", translated("slack.whisper", err)
}

// answer reaches whoever asked where the bot may not post: by the response URL,
// and else by direct message.
func (s *chat) answer(ctx context.Context, api *slack.Client, d bot.Delivery, m message, kind string, cause error) error {
	if hook, ok := s.answers.use(d.Card.ReplyTo); ok && s.trusted(hook) {
		if s.respond(ctx, hook, kind, m) == nil {
			return nil
		}
	}
	_, user, _ := strings.Cut(string(d.To), "/")
	if user == "" {
		return translated("slack.post", cause)
	}
	if _, _, err := api.PostMessageContext(ctx, user, m.options()...); err != nil {
		return translated("slack.direct", err)
	}
	return nil
}

// respond posts by a response URL. Its errors do not say the address, which is
// as good as a password.
func (s *chat) respond(ctx context.Context, hook, kind string, m message) error {
	body, err := json.Marshal(map[string]any{"response_type": kind, "text": m.text, "blocks": m.blocks, "replace_original": false})
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, hook, bytes.NewReader(body))
	if err != nil {
		return errors.New("the response URL is none")
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := (&http.Client{Timeout: callTimeout, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}).Do(req)
	if err != nil {
		return errors.New("the response URL did not answer")
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10)) // so that the connection can be used again
	if resp.StatusCode != http.StatusOK {
		return errors.New("the response URL is used up")
	}
	return nil
}
