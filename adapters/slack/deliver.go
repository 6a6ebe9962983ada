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
// Where the bot is no member of the channel, a private answer goes by the response
// URL of what it answers, which works five times in half an hour, and then by
// direct message; what all should see goes by direct message to who asked.
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
	if u, ok := attached(d.Card); ok {
		return s.attach(ctx, api, d, u)
	}
	m := render(d.Card, placeOf(d))
	channel := d.Channel.Local()
	switch {
	case d.To != "":
		return s.whisper(ctx, api, d, channel, m)
	case d.Ref != "":
		return s.edit(ctx, api, d, m)
	}
	return s.post(ctx, api, d, channel, m)
}

// send has call post or edit the message, and once more in bare words where Slack
// does not take the blocks: what a card says must be told in any case. Nothing
// posted unfolds, and nobody is notified by what a card quotes.
func (s *chat) send(m message, thread string, call func(options ...slack.MsgOption) error) error {
	options := []slack.MsgOption{slack.MsgOptionText(m.text, false), slack.MsgOptionBlocks(m.blocks...), slack.MsgOptionDisableLinkUnfurl(),
		slack.MsgOptionDisableMediaUnfurl(), slack.MsgOptionParse(false)}
	if _, ts := split(thread); ts != "" {
		options = append(options, slack.MsgOptionTS(ts))
	}
	err := call(options...)
	switch c := code(err); c {
	case "invalid_blocks", "invalid_blocks_format", "msg_blocks_too_long", "msg_too_long", "too_many_attachments":
		s.logger().Error("Slack does not take a card as it was drawn; it is sent in bare words", "answer", c)
		options[0], options[1] = slack.MsgOptionText(m.bare, false), slack.MsgOptionBlocks([]slack.Block{}...)
		return call(options...)
	}
	return err
}

// busy is the error for a channel that must wait its turn.
func (s *chat) busy(key string, every time.Duration, burst int) error {
	if wait := s.pace.take(key, every, burst); wait > 0 {
		return &bot.Error{Op: "slack.deliver", Kind: bot.Busy, Say: "the channel takes one message a second", RetryAfter: wait}
	}
	return nil
}

func (s *chat) post(ctx context.Context, api *slack.Client, d bot.Delivery, channel string, m message) (string, error) {
	if in, ts := split(d.Thread); in != "" && ts != "" {
		channel = in // where the thread is, which may be a direct conversation
	}
	if err := s.busy("post "+channel, postEvery, postBurst); err != nil {
		return "", err
	}
	ts := ""
	err := s.send(m, d.Thread, func(options ...slack.MsgOption) (err error) {
		in := ""
		in, ts, err = api.PostMessageContext(ctx, channel, options...)
		if err == nil && isUser(channel) && in != "" {
			channel = in // the conversation with that user, where it can be edited
		}
		return err
	})
	switch code(err) {
	case "not_in_channel", "channel_not_found":
		if d.Card.ReplyTo == "" {
			return "", translated("slack.post", err)
		}
		return s.answer(ctx, api, d, m, err)
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
	err := s.send(m, "", func(options ...slack.MsgOption) error {
		_, _, _, err := api.UpdateMessageContext(ctx, channel, ts, options...)
		return err
	})
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
	err := s.send(m, d.Thread, func(options ...slack.MsgOption) error {
		_, err := api.PostEphemeralContext(ctx, channel, user, options...)
		return err
	})
	switch code(err) {
	case "not_in_channel", "channel_not_found", "user_not_in_channel", "is_archived":
		return s.answer(ctx, api, d, m, err)
	}
	return "", translated("slack.whisper", err)
}

// answer reaches whoever asked where the bot may not post. A private answer goes
// by the response URL, and else by direct message. What all should see goes by
// direct message, where it can be edited again and again, and the response URL
// says so in the channel; a response URL alone is used up before a run ends.
func (s *chat) answer(ctx context.Context, api *slack.Client, d bot.Delivery, m message, cause error) (ref string, err error) {
	if d.To == "" {
		everybody := "in_channel"
		if strings.HasPrefix(d.Channel.Local(), "D") { // of two people, of whom one may be from outside
			everybody = "ephemeral"
		}
		if user := s.answers.asker(d.Card.ReplyTo); user != "" {
			if ref, err := s.direct(ctx, api, user, m); err == nil {
				_ = s.hooked(ctx, d, everybody, render(bot.Card{Title: d.Card.Title, Tone: d.Card.Tone,
					Text: "I am no member of this channel, so the card of this is in a direct message to who asked. Invite me to have it here."}, inChannel)) // the card is there
				return ref, nil
			} else if bot.KindOf(err) == bot.Busy {
				return "", err
			}
		}
		if err := s.hooked(ctx, d, everybody, m); err == nil || bot.KindOf(err) == bot.Busy {
			return "", err
		}
		return "", translated("slack.post", cause)
	}
	if err := s.hooked(ctx, d, "ephemeral", m); err == nil || bot.KindOf(err) == bot.Busy {
		return "", err
	}
	_, user, _ := strings.Cut(string(d.To), "/")
	return s.direct(ctx, api, user, m)
}

// direct writes to a user.
func (s *chat) direct(ctx context.Context, api *slack.Client, user string, m message) (ref string, err error) {
	if err := s.busy("post "+user, postEvery, postBurst); err != nil {
		return "", err
	}
	channel, ts := "", ""
	err = s.send(m, "", func(options ...slack.MsgOption) (err error) {
		channel, ts, err = api.PostMessageContext(ctx, user, options...)
		return err
	})
	if err != nil {
		return "", translated("slack.direct", err)
	}
	return channel + "/" + ts, nil
}

// hooked answers by the response URL of what a card answers.
func (s *chat) hooked(ctx context.Context, d bot.Delivery, kind string, m message) error {
	hook, ok := s.answers.use(d.Card.ReplyTo)
	if !ok || !s.trusted(hook) {
		return errors.New("there is no response URL")
	}
	return s.respond(ctx, hook, kind, m)
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
	resp, err := (&http.Client{Timeout: callTimeout, Transport: web, CheckRedirect: noRedirect}).Do(req)
	if err != nil {
		return errors.New("the response URL did not answer")
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10)) // so that the connection can be used again
	switch resp.StatusCode {
	case http.StatusOK:
		return nil
	case http.StatusTooManyRequests:
		return &bot.Error{Op: "slack.respond", Kind: bot.Busy, Say: "Slack asks to wait", RetryAfter: retryAfter(resp.Header)}
	}
	return errors.New("the response URL is used up")
}

// LinkTo implements bot.Linker by the form that Slack's own permalinks have. A
// direct conversation has none that others could follow.
func (s *chat) LinkTo(ref string) string {
	channel, ts := split(ref)
	s.mu.Lock()
	home := s.home
	s.mu.Unlock()
	if home == "" || channel == "" || strings.HasPrefix(channel, "D") {
		return ""
	}
	return strings.TrimSuffix(home, "/") + "/archives/" + channel + "/p" + strings.ReplaceAll(ts, ".", "")
}
