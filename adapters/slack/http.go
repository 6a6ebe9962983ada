package slackchat

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/slack-go/slack"

	"quarterdeck/bot"
)

// maxPayload bounds one signed request.
const maxPayload = 512 << 10

// Routes implements bot.Routed: what Slack posts to where the app is set up for
// request URLs and not for Socket Mode.
func (s *chat) Routes() []bot.Route {
	if s.config.Mode != modeHTTP {
		return nil
	}
	var routes []bot.Route
	for path, read := range map[string]reader{"/slack/commands": commandOf, "/slack/events": eventOf, "/slack/interactivity": interactionOf} {
		routes = append(routes, bot.Route{On: bot.OnPublic, Method: http.MethodPost, Path: path, MaxBody: maxPayload, Handler: s.signed(read)})
	}
	return routes
}

// reader gives the payload in a request's body; reply, when not nil, is the
// answer to one that asks nothing of the bot.
type reader func(body []byte) (kind string, payload json.RawMessage, reply []byte, err error)

func commandOf(body []byte) (string, json.RawMessage, []byte, error) {
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return "", nil, nil, err
	}
	if form.Get("ssl_check") == "1" {
		return "", nil, []byte{}, nil
	}
	fields := map[string]any{}
	for name := range form {
		fields[name] = form.Get(name)
	}
	payload, err := json.Marshal(fields)
	return kindCommand, payload, nil, err
}

func eventOf(body []byte) (string, json.RawMessage, []byte, error) {
	var p struct {
		Type      string `json:"type"`
		Challenge string `json:"challenge"`
	}
	if err := json.Unmarshal(body, &p); err != nil {
		return "", nil, nil, err
	}
	if p.Type == "url_verification" {
		reply, err := json.Marshal(map[string]string{"challenge": p.Challenge})
		return "", nil, reply, err
	}
	return kindEvents, body, nil, nil
}

func interactionOf(body []byte) (string, json.RawMessage, []byte, error) {
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return "", nil, nil, err
	}
	return kindInteractive, json.RawMessage(form.Get("payload")), nil, nil
}

// signed answers requests that carry Slack's signature over their raw body, not
// older than five minutes. The body alone is read, never the query, which is not
// signed.
func (s *chat) signed(read reader) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, "the body cannot be read", http.StatusRequestEntityTooLarge)
			return
		}
		if err := s.verify(r.Header, body); err != nil {
			s.forged(r.URL.Path, err)
			http.Error(w, "not signed by Slack", http.StatusUnauthorized)
			return
		}
		kind, payload, reply, err := read(body)
		if err != nil {
			s.unreadable(r.URL.Path, err)
			reply = []byte{}
		}
		if reply != nil {
			answer(w, reply)
			return
		}
		in := s.inbound()
		if in == nil {
			http.Error(w, "the bot is starting", http.StatusServiceUnavailable)
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), handleWithin)
		defer cancel()
		p, ours, err := s.decode(kind, payload)
		if err != nil {
			s.unreadable(kind, err)
		}
		if err != nil || !ours {
			answer(w, nil)
			return
		}
		t := s.take(ctx, in, p)
		switch {
		case t.again && kind == kindEvents:
			http.Error(w, "not kept", http.StatusServiceUnavailable) // it is delivered again
		case t.reply != nil:
			reply, err := json.Marshal(t.reply)
			if err != nil {
				reply = nil
			}
			answer(w, reply)
		case t.say != "" && kind == kindCommand:
			say, err := json.Marshal(map[string]string{"response_type": "ephemeral", "text": t.say})
			if err != nil {
				say = nil
			}
			answer(w, say)
		default:
			answer(w, nil)
		}
	})
}

// forgedEvery is how often at most the log tells of forged requests: anybody can
// send them. All are counted.
const forgedEvery = time.Minute

func (s *chat) forged(path string, err error) {
	all, now := s.tally.forged.Add(1), s.o.Clock.Now().UnixMicro()
	last := s.tally.warned.Load()
	if last != 0 && now-last < forgedEvery.Microseconds() && now >= last || !s.tally.warned.CompareAndSwap(last, now) {
		return
	}
	s.logger().Warn("a request that Slack did not sign was refused", "path", path, "err", err, "all", all)
}

func answer(w http.ResponseWriter, body []byte) {
	if len(body) > 0 {
		w.Header().Set("Content-Type", "application/json")
	}
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(body) // Slack may be gone; then it delivers again
}

// verify checks the signature and that the request is no older than five
// minutes (docs.slack.dev/authentication/verifying-requests-from-slack). The
// secret is read
// anew, so that it can be rotated.
func (s *chat) verify(header http.Header, body []byte) error {
	secret, err := s.signing.Value()
	if err != nil {
		return err
	}
	if secret == "" {
		return errors.New("the signing secret is empty")
	}
	v, err := slack.NewSecretsVerifier(header, secret)
	if err != nil {
		return err
	}
	if _, err := v.Write(body); err != nil {
		return err
	}
	return v.Ensure()
}

// inbound gives where messages go, nil before Run.
func (s *chat) inbound() bot.Inbound {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.in
}
