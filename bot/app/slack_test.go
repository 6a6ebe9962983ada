package app_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	slackchat "quarterdeck/adapters/slack"
	"quarterdeck/adapters/slack/fakeslack"
	"quarterdeck/bot"
	"quarterdeck/bot/bottest"
	"quarterdeck/bot/provider/providertest"
)

// slackTalk is a Slack that people talk on: what they say goes through the fake
// server and the adapter, and so does what the bot posts, of which the FakeChat
// keeps the cards.
type slackTalk struct {
	*bottest.FakeChat
	bot.Chat // the adapter
	fake     *fakeslack.Server
	base     string // where it receives signed HTTP; "" for Socket Mode
	twice    bool   // everything is delivered twice

	one   sync.Mutex // one thing is said at a time
	lines int

	mu    sync.Mutex
	got   []received
	sent  map[string]string            // by message: the event or trigger id
	refs  map[string]string            // by reference in Slack: the FakeChat's
	shown map[string]fakeslack.Message // by token: the message as it was with it
	wrong []string
}

// received is a message that came in by the adapter.
type received struct {
	id      string
	receipt bot.Receipt
}

func newSlackTalk(t *testing.T, twice bool) *slackTalk {
	t.Helper()
	fake, err := fakeslack.New(fakeslack.Options{PerChannel: 1e9, Burst: 3})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		fake.Close()
		http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	})
	for _, id := range []string{"UDEV", "USRE", "UGUEST", "UTRAINEE", "USTRANGER"} {
		fake.SetUser(fakeslack.User{ID: id})
	}
	fake.SetChannel(fakeslack.Channel{ID: "CAUDIT", Members: []string{"UBOT", "USRE"}})
	return &slackTalk{FakeChat: bottest.NewFakeChat(slackchat.Network, bot.SystemClock{}), fake: fake, twice: twice,
		sent: map[string]string{}, refs: map[string]string{}, shown: map[string]fakeslack.Message{}}
}

func (s *slackTalk) Network() string { return slackchat.Network }

func (s *slackTalk) Open(o bot.ChatOptions) (c bot.Chat, err error) {
	s.Chat, err = slackchat.Type().Open(o)
	return s, err
}

// Routes implements bot.Routed as the adapter does.
func (s *slackTalk) Routes() []bot.Route {
	routed, ok := s.Chat.(bot.Routed)
	if !ok {
		return nil
	}
	return routed.Routes()
}

func (s *slackTalk) Run(ctx context.Context, in bot.Inbound) error {
	return s.Chat.Run(ctx, listener{s, in})
}

// listener notes what comes in.
type listener struct {
	s  *slackTalk
	in bot.Inbound
}

func (l listener) Receive(ctx context.Context, m bot.Message) (bot.Receipt, error) {
	r, err := l.in.Receive(ctx, m)
	if err == nil {
		l.s.mu.Lock()
		defer l.s.mu.Unlock()
		l.s.got = append(l.s.got, received{m.ID, r})
	}
	return r, err
}

// Deliver posts in Slack, looks there for what was posted, and keeps the card.
func (s *slackTalk) Deliver(ctx context.Context, d bot.Delivery) (string, error) {
	ref, err := s.Chat.Deliver(ctx, d)
	if err != nil {
		return ref, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	_, user, _ := strings.Cut(string(d.To), "/")
	found := false
	for _, m := range s.fake.Messages("") {
		if d.To == "" && m.Channel+"/"+m.TS != ref || d.To != "" && m.For != user && m.Channel != "D"+user {
			continue
		}
		found = true
		for _, b := range d.Card.Buttons {
			if strings.Contains(string(m.Blocks), b.Token) {
				s.shown[b.Token] = m
			}
		}
	}
	if !found && ref != "" {
		s.wrong = append(s.wrong, fmt.Sprintf("%q is said to be posted as %s to %q, and is not there", d.Card.Title, ref, d.To))
	}
	mine := d
	mine.Ref = s.refs[d.Ref]
	kept, err := s.FakeChat.Deliver(ctx, mine)
	if ref != "" {
		s.refs[ref] = kept
	}
	return ref, err
}

// Violations gives what went against Slack's rules.
func (s *slackTalk) Violations() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append(s.fake.Wrong(), s.wrong...)
}

func slackUser(a bot.AccountID) string {
	_, user, _ := strings.Cut(string(a), "/")
	return user
}

func (s *slackTalk) SetStanding(a bot.AccountID, standing bot.Standing) {
	kind := fakeslack.Full
	if standing == bot.Guest {
		kind = fakeslack.Guest
	}
	s.fake.SetUser(fakeslack.User{ID: slackUser(a), Kind: kind})
}

// way gives how the bot is reached.
func (s *slackTalk) way() fakeslack.Way {
	return fakeslack.Way{Twice: s.twice, HTTP: s.base}
}

// say has something happen in Slack and gives what came in of it: the message
// again, or one that did not come before where that is "".
func (s *slackTalk) say(again string, do func(w fakeslack.Way, channel string) (fakeslack.Sent, error)) (bottest.Said, error) {
	s.one.Lock()
	defer s.one.Unlock()
	s.lines++
	// A channel for each line, because one takes but one post a second.
	channel := fmt.Sprintf("CLINE%d", s.lines)
	s.fake.SetChannel(fakeslack.Channel{ID: channel, Members: []string{"UBOT", "UDEV", "USRE", "UGUEST", "UTRAINEE", "USTRANGER"}})
	s.mu.Lock()
	before := len(s.got)
	s.mu.Unlock()
	sent, err := do(s.way(), channel)
	if err != nil || !sent.Acked {
		return bottest.Said{}, fmt.Errorf("it was not acknowledged: %+v, %w", sent, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	// What was delivered twice before may come in only now.
	fresh := slices.DeleteFunc(slices.Clone(s.got[before:]), func(g received) bool { return g.id != again && (again != "" || s.sent[g.id] != "") })
	if len(fresh) == 0 {
		return bottest.Said{}, fmt.Errorf("%s %w", sent.ID, errNothing)
	}
	first := fresh[0]
	s.sent[first.id] = sent.ID
	return bottest.Said{ID: first.id, Receipt: first.receipt}, nil
}

// errNothing is that the bot acknowledged something and took no message from it.
var errNothing = errors.New("was acknowledged, and nothing came in")

// Say types a line in one of the ways there are. A slash command that opened a
// form is typed again in a mention, which cannot open one.
func (s *slackTalk) Say(ctx context.Context, a bot.AccountID, text string) (bottest.Said, error) {
	mention := func(w fakeslack.Way, channel string) (fakeslack.Sent, error) {
		return s.fake.Mention(ctx, w, slackUser(a), channel, text, "")
	}
	said, err := s.say("", func(w fakeslack.Way, channel string) (fakeslack.Sent, error) {
		if s.lines%2 == 0 {
			return mention(w, channel)
		}
		return s.fake.Slash(ctx, w, slackUser(a), channel, text)
	})
	if errors.Is(err, errNothing) && slices.ContainsFunc(s.fake.Views(slackUser(a)), func(v fakeslack.View) bool { return !v.Closed }) {
		return s.say("", mention)
	}
	return said, err
}

// Press presses the button as it was shown, though it may be gone.
func (s *slackTalk) Press(ctx context.Context, a bot.AccountID, token string) (bottest.Said, error) {
	s.mu.Lock()
	m, known := s.shown[token]
	s.mu.Unlock()
	if !known {
		block, err := json.Marshal([]any{map[string]any{"type": "actions", "elements": []any{map[string]any{"type": "button", "action_id": "press/0", "value": token,
			"text": map[string]any{"type": "plain_text", "text": "x"}}}}})
		if err != nil {
			return bottest.Said{}, err
		}
		m = fakeslack.Message{Channel: "CAUDIT", TS: "1.1", Blocks: block}
	}
	return s.say("", func(w fakeslack.Way, _ string) (fakeslack.Sent, error) {
		return s.fake.Click(ctx, w, slackUser(a), m, token)
	})
}

func (s *slackTalk) Edit(ctx context.Context, a bot.AccountID, text string) (bottest.Said, error) {
	return s.say("", func(w fakeslack.Way, channel string) (fakeslack.Sent, error) {
		return s.fake.Event(ctx, w, "", map[string]any{"type": "app_mention", "user": slackUser(a), "text": "<@UBOT> " + text, "ts": "1.1", "channel": channel,
			"edited": map[string]any{"user": slackUser(a), "ts": "1.2"}})
	})
}

func (s *slackTalk) Redeliver(ctx context.Context, id string) (bottest.Said, error) {
	s.mu.Lock()
	of := s.sent[id]
	s.mu.Unlock()
	return s.say(id, func(w fakeslack.Way, _ string) (fakeslack.Sent, error) { return s.fake.Again(ctx, w, of) })
}

// startSlack runs the bot with Slack as the network of the standard
// configuration.
func startSlack(t *testing.T, mode string, twice bool) *world {
	t.Helper()
	s := newSlackTalk(t, twice)
	w := newWorld(t, func(bot.Clock) chat { return s }, providertest.NewFriendly)
	s.SetStanding("slack:T1/UGUEST", bot.Guest)
	o := s.fake.Options()
	for name, secret := range map[string]string{"bot": o.BotToken, "app": o.AppToken, "signing": o.SigningSecret} {
		if err := os.WriteFile(w.dir+"/"+name, []byte(secret), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	w.configure(strings.NewReplacer("x:audit", "slack:CAUDIT", "x:dev", "slack:T1/UDEV", "x:sre", "slack:T1/USRE", "x:guest", "slack:T1/UGUEST", "x:trainee", "slack:T1/UTRAINEE",
		"[chat.x]", fmt.Sprintf("[listen]\npublic = \"127.0.0.1:0\"\n[chat.slack]\nteams = [\"T1\"]\nmode = %q\napi_url = %q\nbot_token = \"file:bot\"\napp_token = \"file:app\"\nsigning_secret = \"file:signing\"", mode, s.fake.URL())).Replace(standard))
	w.Dev, w.SRE, w.Guest, w.Stranger = "slack:T1/UDEV", "slack:T1/USRE", "slack:T1/UGUEST", "slack:T1/USTRANGER"
	w.run()
	if mode == "http" {
		mux := http.NewServeMux() // what the public listener does with them is package listen's
		for _, r := range s.Routes() {
			mux.Handle(r.Method+" "+r.Path, http.MaxBytesHandler(r.Handler, r.MaxBody))
		}
		server := httptest.NewServer(mux)
		t.Cleanup(server.Close)
		s.base = server.URL
	}
	w.until("the bot receives", func() bool {
		c, ok := s.Chat.(bot.Connected)
		return ok && c.Connection().Up && (mode == "http" || s.fake.Sockets() == 2)
	})
	return w
}

// TestConversationsInSlack holds every conversation with the bot as it is
// shipped, on Slack: by both ways in which it delivers, and with everything
// delivered twice.
func TestConversationsInSlack(t *testing.T) {
	for _, c := range bottest.All() {
		for name, how := range map[string]struct {
			mode  string
			twice bool
		}{"socket": {"socket", false}, "http": {"http", false}, "socket, everything twice": {"socket", true}, "http, everything twice": {"http", true}} {
			t.Run(strings.ReplaceAll(name+"/"+c.Name, " ", "_"), func(t *testing.T) {
				t.Parallel()
				w := startSlack(t, how.mode, how.twice)
				if err := c.Run(t.Context(), &w.World); err != nil {
					t.Error(err)
				}
				w.violations()
			})
		}
	}
}
