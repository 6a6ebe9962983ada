package discordchat

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/bwmarrin/discordgo"

	"quarterdeck/bot"
)

// callTimeout bounds one call of the REST API.
const callTimeout = 10 * time.Second

// web makes the calls of every chat of this process, and keeps its connections for
// the next one: with the two that net/http keeps, most calls of a busy hour would
// open one anew.
var web = func() *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxIdleConnsPerHost = 64
	return t
}()

// session gives the REST API with the bot's token as it is now; the token is read
// again when Discord refused it. The gateway of the session is never opened.
func (s *chat) session() (*discordgo.Session, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.api != nil {
		return s.api, nil
	}
	token, err := s.botToken.Value()
	if err != nil {
		return nil, err
	}
	api, err := discordgo.New("Bot " + token)
	if err != nil {
		return nil, err
	}
	api.Client = &http.Client{Timeout: callTimeout, Transport: s.gate, CheckRedirect: noRedirect}
	api.UserAgent = "DiscordBot (https://quarterdeck.invalid, " + orElse(s.o.Version, "dev") + ")"
	api.ShouldRetryOnRateLimit, api.MaxRestRetries, api.StateEnabled = false, 0, false
	s.api = api
	return api, nil
}

// noRedirect keeps the token from following a redirect to somewhere else.
func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// forget has the token read anew, after Discord refused it.
func (s *chat) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.api = nil
}

// attachment is a file that goes with a call.
type attachment struct {
	name, kind string
	data       []byte
}

// call asks the REST API. path is below the base: "channels/1/messages". out, when
// not nil, is what the answer is decoded into. The error holds neither the address,
// in which a token may be, nor more of the answer than Discord's own words.
//
// The library's own limiter is passed by: it sleeps where no context ends it, and
// keeps an entry for every token there ever was. The gate does its work.
func (s *chat) call(ctx context.Context, method, path string, body, out any, files ...attachment) error {
	api, err := s.session()
	if err != nil {
		return err
	}
	kind, raw := "application/json", []byte(nil)
	switch {
	case len(files) > 0:
		list := make([]*discordgo.File, len(files))
		for i, f := range files {
			list[i] = &discordgo.File{Name: f.name, ContentType: f.kind, Reader: bytes.NewReader(f.data)}
		}
		if kind, raw, err = discordgo.MultipartBodyWithJSON(body, list); err != nil {
			return err
		}
	case body != nil:
		if raw, err = json.Marshal(body); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	answer, err := api.RequestWithLockedBucket(method, s.base+path, kind, raw, discordgo.NewRatelimiter().LockBucket(""), 0, discordgo.WithContext(ctx))
	if err == nil && out != nil {
		err = json.Unmarshal(answer, out)
	}
	if err = safely(ctx, err); statusOf(err) == http.StatusUnauthorized && codeOf(err) != invalidToken {
		s.forget()
	}
	return err
}

// Codes of Discord's errors (docs.discord.com/developers/topics/
// opcodes-and-status-codes).
const (
	unknownChannel     = 10003
	unknownMember      = 10007
	unknownMessage     = 10008
	unknownUser        = 10013
	unknownWebhook     = 10015
	unknownInteraction = 10062
	alreadyAnswered    = 40060
	missingAccess      = 50001
	closedToBot        = 50007
	missingPermission  = 50013
	wrongChannelType   = 50024
	invalidToken       = 50027
	invalidBody        = 50035
	threadArchived     = 50083
	threadExists       = 160004
)

// failure is what Discord answered instead of doing what it was asked.
type failure struct {
	status int
	code   int    // its own, 0 for none
	say    string // its own words
}

func (f *failure) Error() string {
	return fmt.Sprintf("HTTP %d, %d: %s", f.status, f.code, f.say)
}

// limited is that Discord, or the gate, has a call wait.
type limited struct{ wait time.Duration }

func (l *limited) Error() string { return fmt.Sprintf("not before %s", l.wait) }

// safely gives an error of a call without what must not be told: the library's
// hold the address, in which the token of an interaction is.
func safely(ctx context.Context, err error) error {
	var rest *discordgo.RESTError
	var rate *discordgo.RateLimitError
	var at *url.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &rest):
		f := &failure{status: rest.Response.StatusCode, say: http.StatusText(rest.Response.StatusCode)}
		if rest.Message != nil && rest.Message.Message != "" {
			f.code, f.say = rest.Message.Code, cut(bot.LegibleLine(rest.Message.Message), 200)
		}
		return f
	case errors.As(err, &rate):
		return &limited{rate.RetryAfter}
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.As(err, &at):
		return at.Err
	}
	var syntax *json.SyntaxError
	var odd *json.UnmarshalTypeError
	if errors.As(err, &syntax) || errors.As(err, &odd) || errors.Is(err, discordgo.ErrJSONUnmarshal) {
		return errors.New("the answer is none of Discord's")
	}
	return &failure{status: http.StatusBadGateway, say: "no answer"} // the library's own word for a 502
}

// codeOf gives Discord's own code of what went wrong, or 0.
func codeOf(err error) int {
	var f *failure
	if errors.As(err, &f) {
		return f.code
	}
	return 0
}

func statusOf(err error) int {
	var f *failure
	if errors.As(err, &f) {
		return f.status
	}
	return 0
}

// translated gives the error of a call as the outbox understands it.
func translated(op string, err error) error {
	if err == nil {
		return nil
	}
	var ours *bot.Error
	var wait *limited
	var f *failure
	switch {
	case errors.As(err, &ours):
		return err
	case errors.As(err, &wait):
		return &bot.Error{Op: op, Kind: bot.Busy, Say: "Discord asks to wait", RetryAfter: max(wait.wait, 100*time.Millisecond), Err: err}
	case errors.Is(err, context.DeadlineExceeded):
		return &bot.Error{Op: op, Kind: bot.Timeout, Say: "Discord did not answer in time", Err: err}
	case !errors.As(err, &f):
		return &bot.Error{Op: op, Kind: bot.Unavailable, Say: "Discord cannot be reached", Err: err}
	}
	switch {
	case f.status >= 500:
		return &bot.Error{Op: op, Kind: bot.Unavailable, Say: "Discord has a fault", Err: err}
	case f.status == http.StatusUnauthorized && f.code != invalidToken:
		return &bot.Error{Op: op, Kind: bot.Unavailable, Say: "Discord refuses the bot token", RetryAfter: time.Minute, Err: err}
	case f.code == missingAccess, f.code == missingPermission, f.code == closedToBot:
		return &bot.Error{Op: op, Kind: bot.Denied, Say: "Discord does not let the bot: " + f.say, Err: err}
	case f.status == http.StatusNotFound:
		return &bot.Error{Op: op, Kind: bot.NotFound, Say: "Discord says: " + f.say, Err: err}
	}
	return &bot.Error{Op: op, Kind: bot.Invalid, Say: "Discord does not take it: " + f.say, Err: err}
}
