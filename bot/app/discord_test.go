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
	"time"

	discordchat "quarterdeck/adapters/discord"
	"quarterdeck/adapters/discord/fakediscord"
	"quarterdeck/bot"
	"quarterdeck/bot/app"
	"quarterdeck/bot/bottest"
	"quarterdeck/bot/grammar"
	"quarterdeck/bot/provider/providertest"
	"quarterdeck/commands"
)

// discordTalk is a Discord that people talk on: what they say goes through the fake
// server and the adapter, and so does what the bot posts, of which the FakeChat
// keeps the cards.
type discordTalk struct {
	*bottest.FakeChat
	bot.Chat // the adapter
	fake     *fakediscord.Server
	base     string // where it receives signed HTTP; "" for the gateway
	twice    bool   // everything is delivered twice
	grammar  *grammar.Grammar

	one   sync.Mutex // one thing is said at a time
	lines int

	mu    sync.Mutex
	got   []received
	sent  map[string]string // by message: the interaction's or message's id
	refs  map[string]string // by reference in Discord: the FakeChat's
	shown map[string]fakediscord.Message
	wrong []string
}

// The ids of those who talk on Discord.
const (
	inGuild = "500"
	inAudit = "600"
)

var discordPeople = map[string]string{"dev": "101", "sre": "102", "guest": "103", "trainee": "104", "stranger": "105"}

// standardWords are what the standard configuration names.
type standardWords struct{}

func (standardWords) Services() []string           { return []string{"shop"} }
func (standardWords) Environments(string) []string { return []string{"staging", "prod"} }
func (standardWords) Persons() []string            { return []string{"dev", "sre", "visitor", "trainee"} }

func newDiscordTalk(t *testing.T, twice bool) *discordTalk {
	t.Helper()
	o := fakediscord.Options{PerChannel: 5}
	if dir := os.Getenv("CONTRACTS_DIR"); dir != "" {
		o.Contract = dir + "/discord/openapi.json"
	}
	fake, err := fakediscord.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		fake.Close()
		http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	})
	fake.SetGuild(fakediscord.Guild{ID: inGuild, Name: "Acme"})
	for name, id := range discordPeople {
		fake.SetUser(fakediscord.User{ID: id, Name: name, Roles: map[string][]string{inGuild: {}}})
	}
	fake.SetChannel(fakediscord.Channel{ID: inAudit, Guild: inGuild, Name: "audit"})
	g, err := grammar.New(commands.All(app.CommandNeeds{}), standardWords{})
	if err != nil {
		t.Fatal(err)
	}
	return &discordTalk{FakeChat: bottest.NewFakeChat(discordchat.Network, bot.SystemClock{}), fake: fake, twice: twice, grammar: g,
		sent: map[string]string{}, refs: map[string]string{}, shown: map[string]fakediscord.Message{}}
}

func (s *discordTalk) Network() string { return discordchat.Network }

func (s *discordTalk) Open(o bot.ChatOptions) (c bot.Chat, err error) {
	s.Chat, err = discordchat.Type().Open(o)
	return s, err
}

// Routes implements bot.Routed as the adapter does.
func (s *discordTalk) Routes() []bot.Route {
	routed, ok := s.Chat.(bot.Routed)
	if !ok {
		return nil
	}
	return routed.Routes()
}

func (s *discordTalk) Run(ctx context.Context, in bot.Inbound) error {
	return s.Chat.Run(ctx, discordListener{s, in})
}

// discordListener notes what comes in.
type discordListener struct {
	s  *discordTalk
	in bot.Inbound
}

func (l discordListener) Receive(ctx context.Context, m bot.Message) (bot.Receipt, error) {
	r, err := l.in.Receive(ctx, m)
	if err == nil {
		l.s.mu.Lock()
		defer l.s.mu.Unlock()
		l.s.got = append(l.s.got, received{m.ID, r})
	}
	return r, err
}

// Deliver posts in Discord, looks there for what was posted, and keeps the card.
func (s *discordTalk) Deliver(ctx context.Context, d bot.Delivery) (string, error) {
	ref, err := s.Chat.Deliver(ctx, d)
	if err != nil {
		return ref, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	_, id, _ := strings.Cut(ref, "/")
	m, there := s.fake.Message(id)
	user := strings.TrimPrefix(string(d.To), "discord:")
	switch {
	case !there:
		s.wrong = append(s.wrong, fmt.Sprintf("%q is said to be posted as %s, and is not there", d.Card.Title, ref))
	case d.To != "" && m.For != user && m.Channel != s.fake.DirectWith(user):
		s.wrong = append(s.wrong, fmt.Sprintf("%q is for %s alone, and all see it", d.Card.Title, d.To))
	case m.Flags&fakediscord.Loading != 0:
		s.wrong = append(s.wrong, fmt.Sprintf("%q is not shown", d.Card.Title))
	}
	for _, b := range d.Card.Buttons {
		if strings.Contains(string(m.Components), b.Token) {
			s.shown[b.Token] = m
		}
	}
	mine := d
	mine.Ref = s.refs[d.Ref]
	kept, err := s.FakeChat.Deliver(ctx, mine)
	s.refs[ref] = kept
	return ref, err
}

// Violations gives what went against Discord's rules.
func (s *discordTalk) Violations() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append(s.fake.Wrong(), s.wrong...)
}

func discordUser(a bot.AccountID) string { return strings.TrimPrefix(string(a), "discord:") }

func (s *discordTalk) SetStanding(a bot.AccountID, standing bot.Standing) {
	s.fake.SetUser(fakediscord.User{ID: discordUser(a), Name: "somebody", Roles: map[string][]string{inGuild: {}}, Pending: standing == bot.Guest})
}

// say has something happen in Discord and gives what came in of it: the message
// again, or one that did not come before where that is "".
func (s *discordTalk) say(ctx context.Context, again string, do func(w fakediscord.Way, channel string) (string, error)) (bottest.Said, error) {
	s.one.Lock()
	defer s.one.Unlock()
	s.lines++
	// A channel for each line, because one takes but few posts a second.
	channel := fmt.Sprint(8000 + s.lines)
	s.fake.SetChannel(fakediscord.Channel{ID: channel, Guild: inGuild, Name: "line"})
	s.mu.Lock()
	before := len(s.got)
	s.mu.Unlock()
	id, err := do(fakediscord.Way{Twice: s.twice, HTTP: s.base}, channel)
	if err != nil {
		return bottest.Said{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	for {
		s.mu.Lock()
		// What was delivered twice before may come in only now.
		fresh := slices.DeleteFunc(slices.Clone(s.got[before:]), func(g received) bool { return g.id != again && (again != "" || s.sent[g.id] != "") })
		if len(fresh) > 0 {
			defer s.mu.Unlock()
			s.sent[fresh[0].id] = id
			return bottest.Said{ID: fresh[0].id, Receipt: fresh[0].receipt}, nil
		}
		s.mu.Unlock()
		select {
		case <-ctx.Done():
			return bottest.Said{}, fmt.Errorf("nothing came in of %s", id)
		case <-time.After(time.Millisecond):
		}
	}
}

// Say asks in one of the ways there are: by a slash command where one asks for the
// same, and in a message that mentions the bot.
func (s *discordTalk) Say(ctx context.Context, a bot.AccountID, text string) (bottest.Said, error) {
	return s.say(ctx, "", func(w fakediscord.Way, channel string) (string, error) {
		if p, err := s.grammar.Parse(text); err == nil && s.lines%2 == 1 {
			sent, err := s.fake.Typed(ctx, w, discordUser(a), channel, p.Command.Name, p.Args)
			if err == nil && !sent.Acked {
				err = errors.New("it was not answered")
			}
			return sent.ID, err
		}
		m, err := s.fake.Say(discordUser(a), channel, fakediscord.Remark{Text: "<@9001> " + text, Twice: w.Twice})
		return m.ID, err
	})
}

// Press presses the button as it was shown, though it may be gone.
func (s *discordTalk) Press(ctx context.Context, a bot.AccountID, token string) (bottest.Said, error) {
	s.mu.Lock()
	m, known := s.shown[token]
	s.mu.Unlock()
	return s.say(ctx, "", func(w fakediscord.Way, channel string) (string, error) {
		if !known {
			somewhere, err := s.fake.Say("9001", channel, fakediscord.Remark{Text: "of long ago"})
			if err != nil {
				return "", err
			}
			sent, err := s.fake.Forged(ctx, w, discordUser(a), somewhere, "press:"+token)
			return sent.ID, err
		}
		for _, b := range m.Buttons() {
			if !strings.Contains(b.ID, token) {
				continue
			}
			sent, err := s.fake.Forged(ctx, w, discordUser(a), m, b.ID)
			if err != nil || strings.HasPrefix(b.ID, "press:") {
				return sent.ID, err
			}
			for _, q := range slices.Backward(s.fake.Shown(discordUser(a), m.Channel)) {
				for _, sure := range q.Buttons() {
					if q.For == discordUser(a) && strings.Contains(sure.ID, token) {
						sent, err := s.fake.Press(ctx, w, discordUser(a), q, sure.ID)
						return sent.ID, err
					}
				}
			}
			return "", fmt.Errorf("the button %q does not ask once more", b.Label)
		}
		return "", fmt.Errorf("no button with %s was shown", token)
	})
}

// Edit changes a message of before, of which nothing comes.
func (s *discordTalk) Edit(_ context.Context, a bot.AccountID, text string) (bottest.Said, error) {
	m, err := s.fake.Say(discordUser(a), inAudit, fakediscord.Remark{Text: "something else"})
	if err == nil {
		_, err = s.fake.Say(discordUser(a), inAudit, fakediscord.Remark{Text: "<@9001> " + text, Edits: m.ID})
	}
	return bottest.Said{ID: "edit"}, err
}

func (s *discordTalk) Redeliver(ctx context.Context, id string) (bottest.Said, error) {
	s.mu.Lock()
	of := s.sent[id]
	s.mu.Unlock()
	return s.say(ctx, id, func(w fakediscord.Way, _ string) (string, error) { return of, s.fake.Again(ctx, w, of) })
}

// startDiscord runs the bot with Discord as the network of the standard
// configuration.
func startDiscord(t *testing.T, mode string, twice bool) *world {
	t.Helper()
	s := newDiscordTalk(t, twice)
	w := newWorld(t, func(bot.Clock) chat { return s }, providertest.NewFriendly)
	s.SetStanding("discord:103", bot.Guest)
	if err := os.WriteFile(w.dir+"/bot", []byte(s.fake.Options().Token), 0o600); err != nil {
		t.Fatal(err)
	}
	w.configure(strings.NewReplacer("x:audit", "discord:"+inAudit, "x:dev", "discord:101", "x:sre", "discord:102", "x:guest", "discord:103", "x:trainee", "discord:104",
		"[chat.x]", fmt.Sprintf("[listen]\npublic = \"127.0.0.1:0\"\n[chat.discord]\nguilds = [%q]\nmode = %q\npublic_key = %q\napi_url = %q\nbot_token = \"file:bot\"", inGuild, mode, s.fake.PublicKey(), s.fake.URL())).Replace(standard))
	w.Dev, w.SRE, w.Guest, w.Stranger = "discord:101", "discord:102", "discord:103", "discord:105"
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
	w.until("the bot receives, and its commands are there", func() bool {
		c, ok := s.Chat.(bot.Connected)
		return ok && c.Connection().Up && s.fake.Sessions() == 1 && len(s.fake.Commands(inGuild)) > 0
	})
	return w
}

// TestConversationsInDiscord holds every conversation with the bot as it is
// shipped, on Discord: by slash command and by message, by both ways in which it
// delivers, and with everything delivered twice.
func TestConversationsInDiscord(t *testing.T) {
	for _, c := range bottest.All() {
		for name, how := range map[string]struct {
			mode  string
			twice bool
		}{"gateway": {"gateway", false}, "http": {"http", false}, "gateway, everything twice": {"gateway", true}, "http, everything twice": {"http", true}} {
			t.Run(strings.ReplaceAll(name+"/"+c.Name, " ", "_"), func(t *testing.T) {
				t.Parallel()
				w := startDiscord(t, how.mode, how.twice)
				if err := c.Run(t.Context(), &w.World); err != nil {
					t.Error(err)
				}
				w.violations()
			})
		}
	}
}

// The commands that are registered are those of the table, and registered once.
func TestDiscordCommands(t *testing.T) {
	w := startDiscord(t, "gateway", false)
	s := w.x.(*discordTalk)
	have := map[string]bool{}
	for _, raw := range s.fake.Commands(inGuild) {
		var c struct{ Name string }
		if err := json.Unmarshal(raw, &c); err != nil {
			t.Fatal(err)
		}
		have[c.Name] = true
	}
	for _, c := range commands.All(app.CommandNeeds{}) {
		if head, _, _ := strings.Cut(c.Name, " "); !have[head] {
			t.Errorf("%s is no slash command", c.Name)
		}
	}
	if n := len(s.fake.Calls("PUT /applications/{application_id}/guilds/{guild_id}/commands")); n != 1 {
		t.Errorf("they were registered %d times", n)
	}
}
