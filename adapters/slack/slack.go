// Package slackchat is Slack as a chat network, on slack-go: slash commands,
// mentions, direct messages and buttons come in by Socket Mode or by signed
// HTTP; cards go out as Block Kit messages that are edited in place.
//
// Payloads are decoded here from their raw form and not by the library, whose
// stricter decoding drops a whole event for one field it does not know; a
// dropped event is redelivered for ever. Who somebody is comes from the team or
// enterprise id and the user id of the verified payload alone, and from
// users.info for what kind of user that is.
package slackchat

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/slack-go/slack"
	"github.com/sourcegraph/conc"

	"quarterdeck/bot"
)

// Network is the name of the network, which its channels and accounts begin
// with.
const Network = "slack"

// The ways in which payloads come.
const (
	modeSocket = "socket"
	modeHTTP   = "http"
)

// Config is the [chat.slack] table.
type Config struct {
	// Teams are the ids of the workspaces ("T0123") or of the organisation
	// ("E0123") whose members may talk to the bot. Others are strangers.
	Teams []string `toml:"teams"`
	// BotToken and AppToken are references; the defaults are
	// "env:SLACK_BOT_TOKEN" and "env:SLACK_APP_TOKEN".
	BotToken string `toml:"bot_token"`
	AppToken string `toml:"app_token"`
	// Mode is "socket", the default, or "http": then Slack posts to the public
	// listener, and SigningSecret, "env:SLACK_SIGNING_SECRET" unless said
	// otherwise, tells its requests from others.
	Mode          string `toml:"mode"`
	SigningSecret string `toml:"signing_secret"`
	// Command is the slash command; default "/ops".
	Command string `toml:"command"`
	// APIURL is another server: https, or loopback for tests.
	APIURL string `toml:"api_url"`
	// Shared lists the channels shared with other organisations in which
	// members may still run commands.
	Shared []string `toml:"shared"`
	// Replicas is how many serve with the same app token; default 1. Connections
	// beyond theirs are somebody else's.
	Replicas int `toml:"replicas"`
}

// maxReplicas is how many replicas find room among the ten connections that
// Slack gives an app (docs.slack.dev/apis/events-api/using-socket-mode).
const maxReplicas = 10 / sockets

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

var (
	teamID    = regexp.MustCompile(`^[TE][A-Z0-9]{1,20}$`)
	channelID = regexp.MustCompile(`^[CGD][A-Z0-9]{1,20}$`)
	command   = regexp.MustCompile(`^/[a-z0-9_-]{1,31}$`)
)

var _ bot.Spiller = (*chat)(nil)

// chat implements bot.Chat.
type chat struct {
	config Config
	o      bot.ChatOptions
	base   string // of the Web API, with the slash at its end

	botToken, appToken, signing bot.Secret
	homes                       *homes

	mu    sync.Mutex
	api   *slack.Client // made by the first use, from the token as it is then
	ownID string        // the bot's own user
	home  string        // the workspace's address, "https://team.slack.com/"
	in    bot.Inbound
	link  bot.Connection
	up    [sockets]bool // which sockets are
	ever  [sockets]bool // which were
	gone  bool          // Slack took the bot's token away

	people   *people
	groups   *groups
	channels *channels
	answers  *answers
	pace     *pace
	spacing  *spacing
	gate     *gate
	tally    tally
}

func open(o bot.ChatOptions) (*chat, error) {
	c := Config{BotToken: "env:SLACK_BOT_TOKEN", AppToken: "env:SLACK_APP_TOKEN", SigningSecret: "env:SLACK_SIGNING_SECRET", Mode: modeSocket, Command: "/ops", APIURL: slack.APIURL, Replicas: 1}
	if err := o.Raw.Decode(&c); err != nil {
		return nil, err
	}
	where := o.Raw.Where()
	var faults []error
	fault := func(format string, args ...any) {
		faults = append(faults, bot.Errorf(bot.Invalid, "%s: "+format, append([]any{where}, args...)...))
	}
	if len(c.Teams) == 0 && !o.Setup {
		fault(`[chat.slack] needs teams, the ids of the workspaces whose members may talk to the bot: teams = ["T0123"]`)
	}
	for _, id := range c.Teams {
		if !teamID.MatchString(id) {
			fault("team %q is not a workspace's id; expected such as \"T0123\", or \"E0123\" of an organisation", id)
		}
	}
	for _, id := range c.Shared {
		if !channelID.MatchString(id) {
			fault("shared channel %q is not a channel's id; expected such as \"C0123\"", id)
		}
	}
	if !command.MatchString(c.Command) {
		fault("command %q is not a slash command; expected such as \"/ops\"", c.Command)
	}
	if c.Replicas < 1 || c.Replicas > maxReplicas {
		fault("replicas %d does not do; expected 1 to %d, because Slack gives an app 10 connections and each replica holds %d", c.Replicas, maxReplicas, sockets)
	}
	if o.Secrets == nil {
		o.Secrets = &bot.Secrets{}
	}
	s := &chat{config: c, homes: newHomes()}
	for _, secret := range []struct {
		name, ref string
		into      *bot.Secret
	}{{"bot_token", c.BotToken, &s.botToken}, {"app_token", c.AppToken, &s.appToken}, {"signing_secret", c.SigningSecret, &s.signing}} {
		opened, err := o.Secrets.Open(secret.ref, o.Raw.Dir())
		if err != nil {
			fault("%s: %s", secret.name, bot.Sentence(err, "config"))
		}
		*secret.into = opened
	}
	if c.Mode != modeSocket && c.Mode != modeHTTP {
		fault("mode %q is none; expected \"socket\" or \"http\"", c.Mode)
	}
	base, err := baseURL(c.APIURL)
	if err != nil {
		fault("%s", err)
	}
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	if o.Clock == nil {
		o.Clock = bot.SystemClock{}
	}
	s.o, s.base = o, base
	s.answers, s.pace, s.spacing = newAnswers(o.Clock), newPace(o.Clock), newSpacing()
	s.gate = newGate(bot.SystemClock{}, s.spacing)
	s.people, s.groups, s.channels = newPeople(s), newGroups(s), newChannels(s)
	return s, nil
}

// baseURL checks the address of the Web API.
func baseURL(s string) (string, error) {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" {
		return "", fmt.Errorf("api_url %q is not an address; expected such as %q", s, slack.APIURL)
	}
	loopback := slices.Contains([]string{"127.0.0.1", "::1", "localhost"}, u.Hostname())
	if u.Scheme != "https" && (u.Scheme != "http" || !loopback) {
		return "", fmt.Errorf("api_url %q would send the token unencrypted; expected https, or http on loopback", s)
	}
	return strings.TrimSuffix(s, "/") + "/", nil
}

// Network implements bot.Chat.
func (s *chat) Network() string { return Network }

// callTimeout bounds one call of the Web API.
const callTimeout = 10 * time.Second

// client gives the Web API with the bot's token as it is now; the token is read
// again when Slack refused it.
func (s *chat) client() (*slack.Client, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.api != nil {
		return s.api, nil
	}
	token, err := s.botToken.Value()
	if err != nil {
		return nil, err
	}
	s.api = slack.New(token, slack.OptionAPIURL(s.base), slack.OptionHTTPClient(&http.Client{Timeout: callTimeout, Transport: s.gate, CheckRedirect: noRedirect}))
	return s.api, nil
}

// forget has the tokens read anew, after Slack refused them.
func (s *chat) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.api = nil
}

// Run implements bot.Chat: it receives by Socket Mode, or what the public
// listener is given, until ctx ends.
func (s *chat) Run(ctx context.Context, in bot.Inbound) error {
	api, err := s.client()
	if err != nil {
		return err
	}
	if err := s.introduce(ctx, api); err != nil {
		return err
	}
	s.mu.Lock()
	s.in = in
	s.settle()
	s.mu.Unlock()
	var homes conc.WaitGroup
	defer homes.Wait()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	homes.Go(func() { s.runHomes(ctx) })
	if s.config.Mode == modeHTTP {
		<-ctx.Done()
		return nil
	}
	return s.runSockets(ctx, in)
}

// introduce asks who the bot is, so that it knows its own messages and mentions.
// It tries until it is told, the token is refused, or ctx ends.
func (s *chat) introduce(ctx context.Context, api *slack.Client) error {
	for wait := time.Second; ; wait = min(2*wait, time.Minute) {
		call, cancel := context.WithTimeout(ctx, callTimeout)
		me, err := api.AuthTestContext(call)
		cancel()
		switch {
		case err == nil:
			if !s.ours(me.TeamID) && !s.ours(me.EnterpriseID) {
				return bot.Errorf(bot.Invalid, "the bot token belongs to the workspace %s, which is not among the teams of [chat.slack]", me.TeamID)
			}
			s.mu.Lock()
			s.ownID, s.home = me.UserID, me.URL
			s.mu.Unlock()
			return nil
		case ctx.Err() != nil:
			return nil
		case refused(err):
			return bot.Errorf(bot.Denied, "Slack refuses the bot token: %s", code(err))
		}
		s.logger().Warn("Slack does not say who the bot is; trying again", "err", err, "in", wait)
		if !pause(ctx, wait) {
			return nil
		}
	}
}

// ours reports whether a workspace or an organisation is among the teams.
func (s *chat) ours(team string) bool { return slices.Contains(s.config.Teams, team) }

func (s *chat) own() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ownID
}

func (s *chat) logger() *slog.Logger {
	if s.o.Logger == nil {
		return slog.New(slog.DiscardHandler)
	}
	return s.o.Logger
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

// code gives Slack's own word for what went wrong, or "".
func code(err error) string {
	var known slack.SlackErrorResponse
	if errors.As(err, &known) {
		return known.Err
	}
	return ""
}

// refused reports whether the token will not be accepted however often it is
// tried.
func refused(err error) bool {
	switch code(err) {
	case "invalid_auth", "account_inactive", "not_authed", "token_revoked", "token_expired", "not_allowed_token_type":
		return true
	}
	return false
}

// translated gives the error of a call as the outbox understands it.
func translated(op string, err error) error {
	if err == nil {
		return nil
	}
	var limited *slack.RateLimitedError
	var status slack.StatusCodeError
	switch {
	case errors.As(err, &limited):
		return &bot.Error{Op: op, Kind: bot.Busy, Say: "Slack asks to wait", RetryAfter: max(limited.RetryAfter, time.Second), Err: err}
	case errors.As(err, &status) && status.Code == http.StatusTooManyRequests:
		return &bot.Error{Op: op, Kind: bot.Busy, Say: "Slack asks to wait", RetryAfter: 30 * time.Second, Err: err}
	case errors.Is(err, context.DeadlineExceeded):
		return &bot.Error{Op: op, Kind: bot.Timeout, Say: "Slack did not answer in time", Err: err}
	}
	switch c := code(err); c {
	case "":
		return &bot.Error{Op: op, Kind: bot.Unavailable, Say: "Slack cannot be reached", Err: err}
	case "internal_error", "fatal_error", "service_unavailable", "request_timeout", "team_added_to_org", "ratelimited", "rate_limited":
		return &bot.Error{Op: op, Kind: bot.Unavailable, Say: "Slack has a fault: " + c, Err: err}
	case "channel_not_found", "not_in_channel", "is_archived", "user_not_in_channel", "message_not_found", "user_not_found":
		return &bot.Error{Op: op, Kind: bot.NotFound, Say: "Slack says " + c, Err: err}
	case "invalid_auth", "account_inactive", "not_authed", "token_revoked", "token_expired", "missing_scope":
		return &bot.Error{Op: op, Kind: bot.Unavailable, Say: "Slack refuses the bot: " + c, RetryAfter: time.Minute, Err: err}
	default:
		return &bot.Error{Op: op, Kind: bot.Invalid, Say: "Slack does not take it: " + c, Err: err}
	}
}
