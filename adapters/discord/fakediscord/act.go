package fakediscord

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Way is how what people do reaches the bot.
type Way struct {
	// HTTP, when set, is the address of its listener, without a path; otherwise it
	// comes by the gateway.
	HTTP  string
	Twice bool          // it is delivered twice
	Age   time.Duration // how long ago it happened
	// Forge changes a signed request before it is sent, after it was signed.
	Forge func(r *http.Request)
	// Change changes a payload before it is sent or signed.
	Change func(payload map[string]any)
}

// Sent is what became of something that was done.
type Sent struct {
	ID     string // of the interaction or message
	Token  string // of the interaction
	Acked  bool   // it was answered in time
	Status int    // of a signed request
	Answer Answer
	Said   string // the body that a signed request was answered with
}

// Option is one option of a slash command as it was filled in.
type Option struct {
	Name    string   `json:"name"`
	Type    int      `json:"type"`
	Value   any      `json:"value,omitempty"`
	Focused bool     `json:"focused,omitempty"`
	Options []Option `json:"options,omitempty"`
}

// Slash has somebody use a slash command.
func (s *Server) Slash(ctx context.Context, w Way, user, channel, name string, options ...Option) (Sent, error) {
	return s.act(ctx, w, &interaction{kind: Command, user: user, channel: channel}, map[string]any{"id": "1", "name": name, "type": 1, "options": options})
}

// Complete has somebody type into an option with Focused set, and gives what they
// may choose from.
func (s *Server) Complete(ctx context.Context, w Way, user, channel, name string, options ...Option) ([]string, Sent, error) {
	sent, err := s.act(ctx, w, &interaction{kind: Autocomplete, user: user, channel: channel}, map[string]any{"id": "1", "name": name, "type": 1, "options": options})
	var d struct {
		Choices []struct {
			Value any `json:"value"`
		} `json:"choices"`
	}
	if err == nil && len(sent.Answer.Data) > 0 {
		err = json.Unmarshal(sent.Answer.Data, &d)
	}
	var values []string
	for _, c := range d.Choices {
		values = append(values, fmt.Sprint(c.Value))
	}
	return values, sent, err
}

// On has somebody use a message command on a message.
func (s *Server) On(ctx context.Context, w Way, user, name string, m Message) (Sent, error) {
	s.mu.Lock()
	shown := s.messageOf(&m)
	s.mu.Unlock()
	return s.act(ctx, w, &interaction{kind: Command, user: user, channel: m.Channel}, map[string]any{"id": "1", "name": name, "type": 3, "target_id": m.ID,
		"resolved": map[string]any{"messages": map[string]any{m.ID: shown}}})
}

// Button is one button of a message.
type Button struct {
	Label, ID, URL string
	Disabled       bool
}

// Buttons gives the buttons of a message.
func (m Message) Buttons() []Button {
	var rows []component
	var all []Button
	if json.Unmarshal(m.Components, &rows) != nil {
		return nil
	}
	for _, row := range rows {
		for _, c := range row.Components {
			if c.Type == 2 {
				all = append(all, Button{c.Label, c.CustomID, c.URL, c.Disabled})
			}
		}
	}
	return all
}

// ErrNoButton is that a message has no such button that can be pressed.
var ErrNoButton = errors.New("there is no such button")

// Press has somebody press a button of a message as they see it, by its label or
// custom id.
func (s *Server) Press(ctx context.Context, w Way, user string, m Message, button string) (Sent, error) {
	for _, b := range m.Buttons() {
		if (b.Label == button || b.ID == button) && !b.Disabled {
			return s.component(ctx, w, user, m, map[string]any{"component_type": 2, "custom_id": b.ID})
		}
	}
	return Sent{}, fmt.Errorf("%w: %q among %v", ErrNoButton, button, m.Buttons())
}

// Forged has somebody press a button that the message does not have.
func (s *Server) Forged(ctx context.Context, w Way, user string, m Message, id string) (Sent, error) {
	return s.component(ctx, w, user, m, map[string]any{"component_type": 2, "custom_id": id})
}

// Select has somebody choose from a menu of a message.
func (s *Server) Select(ctx context.Context, w Way, user string, m Message, id string, values ...string) (Sent, error) {
	return s.component(ctx, w, user, m, map[string]any{"component_type": 3, "custom_id": id, "values": values})
}

func (s *Server) component(ctx context.Context, w Way, user string, m Message, data map[string]any) (Sent, error) {
	s.mu.Lock()
	on := s.find(m.ID)
	s.mu.Unlock()
	if on == nil {
		return Sent{}, errors.New("the message is gone")
	}
	return s.act(ctx, w, &interaction{kind: Component, user: user, channel: m.Channel, on: on}, data)
}

// Submit has somebody fill in the form that something was answered with, and send
// it; values are by custom id.
func (s *Server) Submit(ctx context.Context, w Way, user, channel string, form Sent, values map[string]string) (Sent, error) {
	if form.Answer.Type != openModal {
		return Sent{}, fmt.Errorf("it was not answered with a form but with type %d", form.Answer.Type)
	}
	var d struct {
		CustomID   string      `json:"custom_id"`
		Components []component `json:"components"`
	}
	if err := json.Unmarshal(form.Answer.Data, &d); err != nil {
		return Sent{}, err
	}
	given := map[string]bool{}
	filled := func(c component) map[string]any {
		value, has := values[c.CustomID]
		given[c.CustomID] = true
		if !has {
			value = c.Value
		}
		out := map[string]any{"type": c.Type, "custom_id": c.CustomID, "id": 1}
		if c.Type == 4 {
			out["value"] = value
		} else if value != "" {
			out["values"] = []string{value}
		} else {
			out["values"] = []string{}
		}
		return out
	}
	var rows []any
	for _, row := range d.Components {
		switch {
		case row.Component != nil:
			rows = append(rows, map[string]any{"type": row.Type, "id": 1, "component": filled(*row.Component)})
		case row.Type == 1:
			var inner []any
			for _, c := range row.Components {
				inner = append(inner, filled(c))
			}
			rows = append(rows, map[string]any{"type": 1, "id": 1, "components": inner})
		}
	}
	for name := range values {
		if !given[name] {
			return Sent{}, fmt.Errorf("the form has no input %q", name)
		}
	}
	s.mu.Lock()
	var on *Message
	if i := s.interactions[form.ID]; i != nil {
		on = i.on
	}
	s.mu.Unlock()
	return s.act(ctx, w, &interaction{kind: Modal, user: user, channel: channel, on: on}, map[string]any{"custom_id": d.CustomID, "components": rows})
}

// act delivers an interaction and waits for its answer.
func (s *Server) act(ctx context.Context, w Way, i *interaction, data map[string]any) (Sent, error) {
	s.mu.Lock()
	c := s.channels[i.channel]
	if c == nil {
		s.mu.Unlock()
		return Sent{}, fmt.Errorf("there is no channel %s", i.channel)
	}
	i.made = s.o.Clock.Now().Add(-w.Age)
	i.id = s.snowflakeOf(i.made)
	i.token = "interaction-token-" + i.id
	i.done = make(chan struct{})
	s.interactions[i.id], s.tokens[i.token] = i, i
	payload := map[string]any{"id": i.id, "application_id": s.o.AppID, "type": i.kind, "token": i.token, "version": 1, "data": data, "channel_id": c.ID, "channel": s.channelOf(c),
		"locale": "en-US", "entitlements": []any{}, "app_permissions": strconv.Itoa(Everything), "attachment_size_limit": 10485760}
	if c.Guild != "" {
		payload["guild_id"], payload["guild"], payload["context"], payload["guild_locale"] = c.Guild, map[string]any{"id": c.Guild, "features": []any{}, "locale": "en-US"}, 0, "en-US"
		m := s.memberOf(c.Guild, i.user, true)
		if m == nil {
			m = map[string]any{"roles": []string{}, "user": s.userOf(i.user)}
		}
		m["permissions"] = strconv.FormatInt(s.allowed(c.Guild, i.user), 10)
		payload["member"] = m
		payload["authorizing_integration_owners"] = map[string]any{"0": c.Guild}
	} else {
		payload["user"], payload["context"], payload["authorizing_integration_owners"] = s.userOf(i.user), 1, map[string]any{"0": "0"}
	}
	if i.on != nil {
		payload["message"] = s.messageOf(i.on)
	}
	if w.Change != nil {
		w.Change(payload)
	}
	s.keep(i.id, past{"INTERACTION_CREATE", 0, payload})
	s.mu.Unlock()
	sent := Sent{ID: i.id, Token: i.token}
	times := 1
	if w.Twice {
		times = 2
	}
	for range times {
		if w.HTTP == "" {
			s.Dispatch("INTERACTION_CREATE", 0, payload)
			continue
		}
		status, said, err := s.request(ctx, w, payload)
		if err != nil {
			return sent, err
		}
		sent.Status, sent.Said = status, string(said)
		if status != http.StatusOK {
			continue
		}
		value, err := generic(said)
		if err != nil {
			return sent, fmt.Errorf("%s was answered with %.200q: %w", i.id, said, err)
		}
		s.checkContract("POST /interactions/{interaction_id}/{interaction_token}/callback", ask{raw: said, value: value})
		s.mu.Lock()
		if fault := s.taken(i, said, nil); fault.status != 0 && i.answered == 0 && s.o.Clock.Now().Sub(i.made) <= s.o.AckWithin {
			s.note("Discord does not take %.300s: %v", said, fault.body)
		}
		s.announce()
		s.mu.Unlock()
	}
	if w.HTTP != "" && sent.Status != http.StatusOK {
		return sent, nil
	}
	late := time.NewTimer(max(0, s.o.AckWithin-w.Age) + 100*time.Millisecond)
	defer late.Stop()
	select {
	case <-i.done:
		s.mu.Lock()
		sent.Acked, sent.Answer = true, Answer{i.answered, i.data}
		s.mu.Unlock()
	case <-late.C:
	case <-ctx.Done():
		return sent, ctx.Err()
	}
	return sent, nil
}

// Ping asks the bot's listener as Discord does when its address is saved.
func (s *Server) Ping(ctx context.Context, w Way) (status int, said []byte, err error) {
	s.mu.Lock()
	id := s.snowflakeOf(s.o.Clock.Now().Add(-w.Age))
	s.mu.Unlock()
	return s.request(ctx, w, map[string]any{"id": id, "application_id": s.o.AppID, "type": Ping, "token": "ping-token", "version": 1})
}

// Path is where the bot is reached on its listener.
const Path = "/discord/interactions"

// request sends a payload to the bot's listener, signed.
func (s *Server) request(ctx context.Context, w Way, payload any) (status int, said []byte, err error) {
	raw, err := json.Marshal(payload)
	if err != nil {
		return 0, nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.HTTP+Path, bytes.NewReader(raw))
	if err != nil {
		return 0, nil, err
	}
	stamp := strconv.FormatInt(s.o.Clock.Now().Add(-w.Age).Unix(), 10)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Signature-Timestamp", stamp)
	req.Header.Set("X-Signature-Ed25519", hex.EncodeToString(ed25519.Sign(s.private, append([]byte(stamp), raw...))))
	if w.Forge != nil {
		w.Forge(req)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	said, err = io.ReadAll(resp.Body)
	return resp.StatusCode, said, err
}

// Remark is a message that somebody writes.
type Remark struct {
	Text    string
	ReplyTo string // the message it refers to
	Webhook bool   // a webhook says it
	Edits   string // the message that it changes
	Twice   bool
	Change  func(payload map[string]any)
}

// Say has somebody write a message. The bot is told of it by the gateway; what it
// says only where it mentions the bot or is written to it, unless the bot may read
// everything.
func (s *Server) Say(user, channel string, r Remark) (Message, error) {
	s.mu.Lock()
	c := s.channels[channel]
	if c == nil {
		s.mu.Unlock()
		return Message{}, fmt.Errorf("there is no channel %s", channel)
	}
	m := s.find(r.Edits)
	if m == nil {
		m = &Message{ID: s.snowflake(), Channel: channel, Author: user, ReplyTo: r.ReplyTo}
		s.put(m)
	}
	m.Content = r.Text
	payload := s.messageOf(m)
	mentions := []any{}
	mentioned := strings.Contains(r.Text, "<@"+s.o.AppID+">") || strings.Contains(r.Text, "<@!"+s.o.AppID+">")
	if on := s.find(r.ReplyTo); on != nil && on.Author == s.o.AppID { // a reply mentions whom it replies to
		payload["message_reference"] = map[string]any{"message_id": on.ID, "channel_id": on.Channel}
		mentioned = true
	}
	if mentioned {
		mentions = append(mentions, s.userOf(s.o.AppID))
	}
	payload["mentions"] = mentions
	intent, kind := intentDirectMessages, "MESSAGE_CREATE"
	if c.Guild != "" {
		intent = intentGuildMessages
		payload["guild_id"] = c.Guild
		if m := s.memberOf(c.Guild, user, false); m != nil && !r.Webhook {
			payload["member"] = m
		}
		if !mentioned && !s.o.Content {
			payload["content"], payload["embeds"], payload["attachments"], payload["components"] = "", []any{}, []any{}, []any{}
		}
	}
	if r.Webhook {
		payload["webhook_id"] = "8001"
		payload["author"] = map[string]any{"id": "8001", "username": "hook", "discriminator": "0000", "bot": true, "avatar": nil}
	}
	if r.Edits != "" {
		kind = "MESSAGE_UPDATE"
		payload["edited_timestamp"] = "2026-11-21T00:00:01+00:00"
	}
	if r.Change != nil {
		r.Change(payload)
	}
	said := *m
	s.keep(m.ID, past{kind, intent, payload})
	s.announce()
	s.mu.Unlock()
	s.Dispatch(kind, intent, payload)
	if r.Twice {
		s.Dispatch(kind, intent, payload)
	}
	return said, nil
}

// Shown gives what one person sees in a channel, oldest first.
func (s *Server) Shown(user, channel string) []Message {
	return slices.DeleteFunc(s.Messages(channel), func(m Message) bool { return m.For != "" && m.For != user })
}
