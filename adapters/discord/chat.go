package discordchat

import (
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bwmarrin/discordgo"
	"github.com/sourcegraph/conc"

	"quarterdeck/bot"
)

// Network is the name of the network, which its channels and accounts begin
// with.
const Network = "discord"

// The ways in which interactions come.
const (
	modeGateway = "gateway"
	modeHTTP    = "http"
)

// defaultAPI is Discord's own REST API.
const defaultAPI = "https://discord.com/api/v10/"

// Config is the [chat.discord] table.
type Config struct {
	// Guilds are the ids of the servers whose members may talk to the bot. Others
	// are strangers.
	Guilds []string `toml:"guilds"`
	// BotToken is a reference; the default is "env:DISCORD_BOT_TOKEN".
	BotToken string `toml:"bot_token"`
	// Mode is "gateway", the default, or "http": then Discord posts interactions to
	// the public listener, and PublicKey, in hex as the developer portal shows it,
	// tells its requests from others. Messages come by the gateway in either.
	Mode      string `toml:"mode"`
	PublicKey string `toml:"public_key"`
	// Application is the application's id, "" for the bot token's own. Interactions
	// of another are refused in any case.
	Application string `toml:"application"`
	// Direct has commands that change something taken in direct messages too, where
	// nobody else sees them.
	Direct bool `toml:"direct"`
	// APIURL is another server: https, or loopback for tests. The gateway that it
	// names has to be of the same kind.
	APIURL string `toml:"api_url"`
}

// Type is the row of the table of chat networks.
func Type() bot.ChatType {
	return bot.ChatType{Name: Network, Groups: groupPrefix, Open: func(o bot.ChatOptions) (bot.Chat, error) {
		s, err := open(o)
		if err != nil {
			return nil, err
		}
		return s, nil
	}}
}

var snowflake = regexp.MustCompile(`^[1-9][0-9]{0,19}$`)

var (
	_ bot.Spiller      = (*chat)(nil)
	_ bot.Linker       = (*chat)(nil)
	_ bot.Confidential = (*chat)(nil)
	_ bot.Connected    = (*chat)(nil)
	_ bot.Memberships  = (*chat)(nil)
	_ bot.Vouching     = (*chat)(nil)
	_ bot.Routed       = (*chat)(nil)
)

// chat implements bot.Chat.
type chat struct {
	config Config
	o      bot.ChatOptions
	base   string // of the REST API, with the slash at its end
	key    ed25519.PublicKey

	botToken bot.Secret

	mu    sync.Mutex
	api   *discordgo.Session // made by the first use, from the token as it is then
	appID string             // the application's, which is the bot user's too
	in    bot.Inbound
	link  bot.Connection
	ever  bool // the gateway was ready once

	gate    *gate
	members *members
	places  *places
	answers *answers
	forms   *forms
	typed   shown
	rhythm  rhythm
	asked   atomic.Int64 // how often a connection was asked for
	tally   tally
}

func open(o bot.ChatOptions) (*chat, error) {
	c := Config{BotToken: "env:DISCORD_BOT_TOKEN", Mode: modeGateway, APIURL: defaultAPI}
	if err := o.Raw.Decode(&c); err != nil {
		return nil, err
	}
	where := o.Raw.Where()
	var faults []error
	fault := func(format string, args ...any) {
		faults = append(faults, bot.Errorf(bot.Invalid, "%s: "+format, append([]any{where}, args...)...))
	}
	if len(c.Guilds) == 0 && !o.Setup {
		fault(`[chat.discord] needs guilds, the ids of the servers whose members may talk to the bot: guilds = ["81384788765712384"]`)
	}
	for _, id := range c.Guilds {
		if !snowflake.MatchString(id) {
			fault("guild %q is not a server's id; expected such as \"81384788765712384\", and \"quarterdeck init discord\" lists them", id)
		}
	}
	if c.Application != "" && !snowflake.MatchString(c.Application) {
		fault("application %q is not an application's id; expected such as \"157730590492196864\"", c.Application)
	}
	if o.Secrets == nil {
		o.Secrets = &bot.Secrets{}
	}
	s := &chat{config: c, appID: c.Application, rhythm: rhythmOfDiscord}
	var err error
	if s.botToken, err = o.Secrets.Open(c.BotToken, o.Raw.Dir()); err != nil {
		fault("bot_token: %s", bot.Sentence(err, "config"))
	}
	if c.Mode != modeGateway && c.Mode != modeHTTP {
		fault("mode %q is none; expected \"gateway\" or \"http\"", c.Mode)
	}
	key, err := hex.DecodeString(c.PublicKey)
	switch {
	case err != nil || c.PublicKey != "" && len(key) != ed25519.PublicKeySize:
		fault("public_key is none; expected the 64 hexadecimal digits that the developer portal shows")
	case c.Mode == modeHTTP && c.PublicKey == "" && !o.Setup:
		fault("mode \"http\" needs public_key, the 64 hexadecimal digits that the developer portal shows: without it Discord's requests cannot be told from others")
	}
	s.key = key
	if s.base, err = baseURL(c.APIURL); err != nil {
		fault("%s", err)
	}
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	if o.Clock == nil {
		o.Clock = bot.SystemClock{}
	}
	s.o = o
	s.gate = newGate(bot.SystemClock{}, web)
	s.members, s.places, s.answers, s.forms = newMembers(s), newPlaces(s), newAnswers(o.Clock), newForms(o.Clock)
	return s, nil
}

// baseURL checks the address of the REST API.
func baseURL(s string) (string, error) {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.User != nil {
		return "", fmt.Errorf("api_url %q is not an address; expected such as %q", s, defaultAPI)
	}
	if u.Scheme != "https" && (u.Scheme != "http" || !loopback(u)) {
		return "", fmt.Errorf("api_url %q would send the token unencrypted; expected https, or http on loopback", s)
	}
	return strings.TrimSuffix(s, "/") + "/", nil
}

func loopback(u *url.URL) bool {
	return slices.Contains([]string{"127.0.0.1", "::1", "localhost"}, u.Hostname())
}

// Network implements bot.Chat.
func (s *chat) Network() string { return Network }

// Run implements bot.Chat: it receives by the gateway, and what the public
// listener is given, until ctx ends.
func (s *chat) Run(ctx context.Context, in bot.Inbound) error {
	if err := s.introduce(ctx); err != nil || ctx.Err() != nil {
		return err
	}
	s.mu.Lock()
	s.in = in
	s.mu.Unlock()
	ctx, stop := context.WithCancel(ctx)
	var beside conc.WaitGroup
	defer beside.Wait()
	defer stop()
	beside.Go(func() { s.register(ctx) })
	return s.runGateway(ctx, in)
}

// introduce asks who the bot is, so that it knows its own messages and mentions.
// It tries until it is told, the token is refused, or ctx ends.
func (s *chat) introduce(ctx context.Context) error {
	for wait := time.Second; ; wait = min(2*wait, time.Minute) {
		var me struct {
			ID string `json:"id"`
		}
		err := s.call(ctx, "GET", "applications/@me", nil, &me)
		switch {
		case err == nil && s.config.Application != "" && s.config.Application != me.ID:
			return bot.Errorf(bot.Invalid, "the bot token belongs to the application %s, and [chat.discord] says application %s", me.ID, s.config.Application)
		case err == nil && me.ID != "":
			s.mu.Lock()
			s.appID = me.ID
			s.mu.Unlock()
			return nil
		case ctx.Err() != nil:
			return nil
		case statusOf(err) == 401:
			return bot.Errorf(bot.Denied, "Discord refuses the bot token")
		case bot.KindOf(s.botTokenFault()) == bot.Unavailable:
			return s.botTokenFault()
		}
		s.logger().Warn("Discord does not say who the bot is; trying again", "err", err, "in", wait)
		if !pause(ctx, wait) {
			return nil
		}
	}
}

// botTokenFault says why the token cannot be read, nil when it can.
func (s *chat) botTokenFault() error {
	_, err := s.botToken.Value()
	return err
}

// own gives the bot's own user.
func (s *chat) own() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.appID
}

// ours reports whether a guild is among those of the configuration.
func (s *chat) ours(guild string) bool { return slices.Contains(s.config.Guilds, guild) }

func (s *chat) logger() *slog.Logger {
	if s.o.Logger == nil {
		return slog.New(slog.DiscardHandler)
	}
	return s.o.Logger
}

// inbound gives where messages go, nil before Run.
func (s *chat) inbound() bot.Inbound {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.in
}

// pause waits; false when ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
