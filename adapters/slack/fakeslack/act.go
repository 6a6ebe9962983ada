package fakeslack

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

var errNoSocket = errors.New("the bot has no socket open")

// Sent is one thing that a person did and how the bot took it.
type Sent struct {
	ID      string // event id or trigger id
	Trigger string
	// Acked says that it was acknowledged in time; Answer is what was said with
	// the acknowledgement.
	Acked  bool
	Status int // of the answer over HTTP
	Answer json.RawMessage
	// Errors are what a form was answered with, by the block id of its input.
	Errors map[string]string
}

// Way is how payloads reach the bot.
type Way struct {
	// HTTP is the base of the bot's public listener; "" is Socket Mode.
	HTTP string
	// Socket chooses the n-th socket.
	Socket int
	// Twice delivers it on every open socket, or twice over HTTP.
	Twice bool
	// Same delivers it twice on the one socket.
	Same bool
	// At is the time the signature states; zero is now.
	At time.Time
	// Secret signs instead of the real one.
	Secret string
	// NoRetry keeps an unacknowledged event from being delivered again.
	NoRetry bool
}

// newTrigger makes a trigger for the user. The lock is held.
func (s *Server) newTrigger(user string) string {
	id := s.id("trigger.")
	s.triggers[id] = &trigger{user: user, at: s.o.Clock.Now()}
	return id
}

// newHook makes a response URL. The lock is held.
func (s *Server) newHook(user, channel string) string {
	id := s.id("hook")
	s.hooks[id] = &hook{user: user, channel: channel, at: s.o.Clock.Now(), left: 5}
	return s.http.URL + "/hook/" + id
}

func (s *Server) userOf(id string) User {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.users[id]
	if u.ID == "" {
		u = User{ID: id, TeamID: s.o.TeamID}
	}
	return u
}

// Slash types "/ops TEXT".
func (s *Server) Slash(ctx context.Context, w Way, user, channel, text string) (Sent, error) {
	u := s.userOf(user)
	s.mu.Lock()
	trig, hook := s.newTrigger(user), s.newHook(user, channel)
	s.mu.Unlock()
	fields := map[string]string{"team_id": u.TeamID, "team_domain": "fake", "channel_id": channel, "channel_name": "x", "user_id": user,
		"user_name": u.Name, "command": s.o.Command, "text": text, "api_app_id": s.o.AppID, "response_url": hook, "trigger_id": trig,
		"is_enterprise_install": "false", "token": "verification-token"}
	if u.Enterprise != "" {
		fields["enterprise_id"] = u.Enterprise
	}
	sent := Sent{ID: trig, Trigger: trig}
	if w.HTTP != "" {
		form := url.Values{}
		for k, v := range fields {
			form.Set(k, v)
		}
		return s.post(ctx, w, "/slack/commands", []byte(form.Encode()), "application/x-www-form-urlencoded", sent)
	}
	return s.envelope(ctx, w, "slash_commands", fields, sent)
}

// Event delivers an Events API payload whose inner event is given; "user" in it
// says who.
func (s *Server) Event(ctx context.Context, w Way, id string, inner map[string]any) (Sent, error) {
	s.mu.Lock()
	if id == "" {
		id = s.id("Ev")
	}
	s.mu.Unlock()
	if !s.subscribed(inner) {
		return Sent{}, fmt.Errorf("the app is not subscribed to %v, or lacks its scope", inner["type"])
	}
	user, _ := inner["user"].(string)
	team := s.userOf(user).TeamID
	if _, ok := inner["team"]; !ok && team != "" && inner["type"] != "app_home_opened" {
		inner["team"] = team
	}
	channel, _ := inner["channel"].(string)
	s.mu.Lock()
	shared := s.channels[channel].Shared
	s.mu.Unlock()
	payload := map[string]any{"token": "verification-token", "team_id": s.o.TeamID, "api_app_id": s.o.AppID, "type": "event_callback", "event_id": id,
		"event_time": s.o.Clock.Now().Unix(), "event": inner, "is_ext_shared_channel": shared,
		"authorizations": []any{map[string]any{"team_id": s.o.TeamID, "user_id": s.o.BotUser, "is_bot": true, "enterprise_id": nil, "is_enterprise_install": false}}}
	sent := Sent{ID: id}
	if w.HTTP != "" {
		body, err := json.Marshal(payload)
		if err != nil {
			return sent, err
		}
		return s.post(ctx, w, "/slack/events", body, "application/json", sent)
	}
	return s.envelope(ctx, w, "events_api", payload, sent)
}

// Mention writes "@bot TEXT" in a channel, or in the thread of thread.
func (s *Server) Mention(ctx context.Context, w Way, user, channel, text, thread string) (Sent, error) {
	s.mu.Lock()
	m := s.add(&Message{Channel: channel, Thread: thread, Text: "<@" + s.o.BotUser + "> " + text, From: user})
	s.mu.Unlock()
	inner := map[string]any{"type": "app_mention", "user": user, "text": m.Text, "ts": m.TS, "event_ts": m.TS, "channel": channel}
	if thread != "" {
		inner["thread_ts"] = thread
	}
	return s.Event(ctx, w, "", inner)
}

// Direct writes TEXT to the bot in a direct message.
func (s *Server) Direct(ctx context.Context, w Way, user, text string) (Sent, error) {
	s.mu.Lock()
	channel := s.direct(user)
	m := s.add(&Message{Channel: channel, Text: text, From: user})
	s.mu.Unlock()
	return s.Event(ctx, w, "", map[string]any{"type": "message", "channel_type": "im", "user": user, "text": text, "ts": m.TS, "event_ts": m.TS, "channel": channel})
}

// interaction delivers an interactive payload.
func (s *Server) interaction(ctx context.Context, w Way, user string, payload map[string]any, sent Sent) (Sent, error) {
	u := s.userOf(user)
	payload["team"] = map[string]any{"id": s.o.TeamID, "domain": "fake"}
	payload["user"] = map[string]any{"id": user, "username": u.Name, "name": u.Name, "team_id": u.TeamID}
	payload["api_app_id"] = s.o.AppID
	payload["token"] = "verification-token"
	if w.HTTP != "" {
		body, err := json.Marshal(payload)
		if err != nil {
			return sent, err
		}
		return s.post(ctx, w, "/slack/interactivity", []byte(url.Values{"payload": {string(body)}}.Encode()), "application/x-www-form-urlencoded", sent)
	}
	return s.envelope(ctx, w, "interactive", payload, sent)
}

// Click presses the button of a message whose action id, value or label is
// name. It takes the message as the user saw it, so an old one can be pressed.
func (s *Server) Click(ctx context.Context, w Way, user string, m Message, name string) (Sent, error) {
	action, found := findAction(m.Blocks, name)
	if !found {
		return Sent{}, fmt.Errorf("the message has no button %q: %.300s", name, m.Blocks)
	}
	s.mu.Lock()
	trig, hook := s.newTrigger(user), s.newHook(user, m.Channel)
	s.mu.Unlock()
	action["action_ts"] = "1790000000.1"
	container := map[string]any{"type": "message", "message_ts": m.TS, "channel_id": m.Channel, "is_ephemeral": m.For != ""}
	if m.Thread != "" {
		container["thread_ts"] = m.Thread
	}
	payload := map[string]any{"type": "block_actions", "container": container, "trigger_id": trig, "channel": map[string]any{"id": m.Channel, "name": "x"},
		"response_url": hook, "actions": []any{action}, "state": map[string]any{"values": map[string]any{}}}
	if m.For == "" {
		payload["message"] = map[string]any{"type": "message", "ts": m.TS, "text": m.Text, "user": s.o.BotUser, "thread_ts": m.Thread, "blocks": m.Blocks}
	}
	return s.interaction(ctx, w, user, payload, Sent{ID: trig, Trigger: trig})
}

// ClickView presses a button in a form or in the App Home.
func (s *Server) ClickView(ctx context.Context, w Way, user string, v View, name string) (Sent, error) {
	var d struct {
		Blocks json.RawMessage `json:"blocks"`
	}
	if err := json.Unmarshal(v.Raw, &d); err != nil {
		return Sent{}, err
	}
	action, found := findAction(d.Blocks, name)
	if !found {
		return Sent{}, fmt.Errorf("the view has no button %q", name)
	}
	s.mu.Lock()
	trig := s.newTrigger(user)
	s.mu.Unlock()
	payload := map[string]any{"type": "block_actions", "container": map[string]any{"type": "view", "view_id": v.ID}, "trigger_id": trig, "actions": []any{action}, "view": s.viewOf(v, nil)}
	return s.interaction(ctx, w, user, payload, Sent{ID: trig, Trigger: trig})
}

// Shortcut uses a message shortcut on a message.
func (s *Server) Shortcut(ctx context.Context, w Way, user, callback string, m Message) (Sent, error) {
	s.mu.Lock()
	trig, hook := s.newTrigger(user), s.newHook(user, m.Channel)
	s.mu.Unlock()
	message := map[string]any{"type": "message", "ts": m.TS, "text": m.Text, "user": m.From}
	if m.Thread != "" {
		message["thread_ts"] = m.Thread
	}
	payload := map[string]any{"type": "message_action", "callback_id": callback, "trigger_id": trig, "response_url": hook, "message_ts": m.TS,
		"channel": map[string]any{"id": m.Channel, "name": "x"}, "message": message}
	return s.interaction(ctx, w, user, payload, Sent{ID: trig, Trigger: trig})
}

// envelope delivers a payload over a socket and waits for its acknowledgement.
// Events that are not acknowledged in time are delivered again, up to three
// times; commands and interactions are not.
func (s *Server) envelope(ctx context.Context, w Way, kind string, payload any, sent Sent) (Sent, error) {
	body, err := json.Marshal(payload)
	if err != nil {
		return sent, err
	}
	s.mu.Lock()
	e := &Envelope{ID: s.id("env"), Type: kind, Payload: body, acked: make(chan struct{})}
	s.pending[e.ID] = e
	s.past[sent.ID] = past{kind: kind, body: body}
	s.mu.Unlock()
	defer s.settled(e)
	for attempt := range 4 {
		if attempt > 0 && (kind != "events_api" || w.NoRetry) {
			break
		}
		frame := map[string]any{"type": kind, "envelope_id": e.ID, "payload": e.Payload, "accepts_response_payload": kind != "events_api"}
		if kind == "events_api" {
			frame["retry_attempt"], frame["retry_reason"] = attempt, ""
			if attempt > 0 {
				frame["retry_reason"] = "timeout"
			}
		}
		if err := s.send(ctx, w, frame); err != nil {
			return sent, err
		}
		s.mu.Lock()
		e.Sent++
		s.mu.Unlock()
		timer := time.NewTimer(s.o.AckWithin)
		select {
		case <-e.acked:
			timer.Stop()
			s.mu.Lock()
			sent.Acked, sent.Answer = true, e.Answer
			s.mu.Unlock()
			return sent, nil
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return sent, ctx.Err()
		}
	}
	s.mu.Lock()
	e.Late = true
	s.mu.Unlock()
	return sent, nil
}

func (s *Server) send(ctx context.Context, w Way, frame any) error {
	if err := s.Until(ctx, "a socket of the bot", func() bool { return s.Sockets() > w.Socket }); err != nil {
		return errors.Join(errNoSocket, err)
	}
	s.mu.Lock()
	var to []*socket
	switch {
	case w.Twice:
		to = append(to, s.sockets...)
	case w.Socket < len(s.sockets):
		to = append(to, s.sockets[w.Socket])
	}
	s.mu.Unlock()
	for _, k := range to {
		_ = k.write(frame) // it may be going; then it is delivered again
	}
	if len(to) == 1 && (w.Twice || w.Same) {
		_ = to[0].write(frame)
	}
	return nil
}

// post delivers a payload over HTTP, signed.
func (s *Server) post(ctx context.Context, w Way, path string, body []byte, kind string, sent Sent) (Sent, error) {
	s.mu.Lock()
	s.past[sent.ID] = past{path: path, body: body, mime: kind}
	s.mu.Unlock()
	times := 1
	if w.Twice {
		times = 2
	}
	for range times {
		ctx, cancel := context.WithTimeout(ctx, s.o.AckWithin)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(w.HTTP, "/")+path, bytes.NewReader(body))
		if err != nil {
			return sent, err
		}
		s.Sign(req, w, body)
		req.Header.Set("Content-Type", kind)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return sent, nil //nolint:nilerr // not taken in time is an answer
		}
		answer, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
		_ = resp.Body.Close() // read to its end
		if err != nil {
			return sent, err
		}
		sent.Status, sent.Acked = resp.StatusCode, resp.StatusCode == http.StatusOK
		if len(answer) > 0 {
			sent.Answer = answer
		}
	}
	return sent, nil
}

// Sign puts Slack's signature on a request: HMAC-SHA256 over "v0:TIME:BODY".
func (s *Server) Sign(req *http.Request, w Way, body []byte) {
	at, secret := w.At, w.Secret
	if at.IsZero() {
		at = s.o.Clock.Now()
	}
	if secret == "" {
		secret = s.o.SigningSecret
	}
	stamp := fmt.Sprint(at.Unix())
	mac := hmac.New(sha256.New, []byte(secret))
	_, _ = mac.Write([]byte("v0:" + stamp + ":" + string(body))) // never fails
	req.Header.Set("X-Slack-Request-Timestamp", stamp)
	req.Header.Set("X-Slack-Signature", "v0="+hex.EncodeToString(mac.Sum(nil)))
}

// Messages gives the messages of a channel that are there now, those for one
// user alone among them, in order; "" is every channel.
func (s *Server) Messages(channel string) []Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []Message
	for _, m := range s.messages {
		if (channel == "" || m.Channel == channel) && !m.Deleted {
			all = append(all, *m)
		}
	}
	return all
}

// Wait waits for a message for which ok holds and gives it.
func (s *Server) Wait(ctx context.Context, what string, ok func(Message) bool) (Message, error) {
	var got Message
	err := s.Until(ctx, what, func() bool {
		for _, m := range s.Messages("") {
			if ok(m) {
				got = m
				return true
			}
		}
		return false
	})
	return got, err
}

// Views gives the open forms and Homes of a user, oldest first.
func (s *Server) Views(user string) []View {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []View
	for _, id := range sortedKeys(s.views) {
		if v := s.views[id]; v.User == user && !v.Closed {
			all = append(all, *v)
		}
	}
	return all
}

// Files gives the files that were shared.
func (s *Server) Files() []File {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []File
	for _, f := range s.files {
		all = append(all, *f)
	}
	return all
}
