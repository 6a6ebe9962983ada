package slackchat

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/slack-go/slack"

	"quarterdeck/bot"
)

const (
	// skewDoubtful and skewBroken are how far this machine's clock may be off
	// Slack's; requests signed more than five minutes ago are refused.
	skewDoubtful = 30 * time.Second
	skewBroken   = 4 * time.Minute
	// maxProbed bounds how many channels and groups are asked about, and maxVouched
	// how many accounts: Slack lets a hundred be asked about in a minute.
	maxProbed  = 50
	maxVouched = 100
)

// kinds are the beginnings of tokens and what they are.
var kinds = []struct{ prefix, what string }{
	{"xoxb-", "a bot token (xoxb-...)"}, {"xoxe.xoxb-", "a bot token (xoxb-...)"}, {"xapp-", "an app-level token (xapp-...)"},
	{"xoxp-", "a user's token (xoxp-...)"}, {"xoxe.xoxp-", "a user's token (xoxp-...)"}, {"xoxe-", "a refresh token (xoxe-...)"},
	{"xoxa-", "a workspace token (xoxa-...)"}, {"xoxc-", "a browser's token (xoxc-...)"}, {"xoxd-", "a browser's cookie (xoxd-...)"},
}

// tokenKind says what a token is, never which.
func tokenKind(token string) string {
	for _, k := range kinds {
		if strings.HasPrefix(token, k.prefix) {
			return k.what
		}
	}
	return "no token of Slack's"
}

// misplaced says what is wrong with a token that is not of the kind that its key
// wants, "" for nothing.
func misplaced(key, token string) string {
	what := tokenKind(token)
	switch {
	case key == "bot_token" && what != kinds[0].what:
		return "bot_token holds " + what + "; put the Bot User OAuth Token (xoxb-...) from OAuth & Permissions there"
	case key == "app_token" && what != kinds[2].what:
		return "app_token holds " + what + "; put an App-Level Token (xapp-...) with the scope connections:write from Basic Information there"
	}
	return ""
}

// probe gathers what is found.
type probe struct {
	s     *chat
	o     bot.ProbeOptions
	found []bot.Finding
}

func (p *probe) say(level bot.FindingLevel, format string, args ...any) {
	p.found = append(p.found, bot.Finding{Level: level, Say: fmt.Sprintf(format, args...)})
}

// Probe implements bot.Prober. It opens no socket: one that is open is handed part
// of what people write, which a bot that serves meanwhile would miss.
func (s *chat) Probe(ctx context.Context, o bot.ProbeOptions) []bot.Finding {
	p := &probe{s: s, o: o}
	whole := p.secret("bot_token", s.botToken)
	if s.config.Mode == modeHTTP {
		p.signing()
	} else if p.secret("app_token", s.appToken) {
		p.socket(ctx)
	}
	if !whole || !p.identity(ctx) {
		return p.found
	}
	for i, channel := range o.Audit {
		if i == maxProbed {
			p.say(bot.Doubtful, "only the first %d audit channels were asked about", maxProbed)
			break
		}
		if p.channel(ctx, channel) && o.Post {
			p.post(ctx, channel)
		}
	}
	for i, group := range o.Groups {
		if i == maxProbed {
			p.say(bot.Doubtful, "only the first %d user groups were asked about", maxProbed)
			break
		}
		p.group(ctx, group)
	}
	p.accounts(ctx)
	return p.found
}

// accounts says which of the people's accounts Slack does not take for full
// members: whoever owns one cannot do what the configuration gives them.
func (p *probe) accounts(ctx context.Context) {
	var none []string
	for i, account := range p.o.Accounts {
		if i == maxVouched {
			p.say(bot.Doubtful, "only the first %d accounts of people were asked about", maxVouched)
			break
		}
		standing := bot.External
		home, user, ok := apart(account)
		if ok && p.s.ours(home) {
			err := patient(ctx, func(ctx context.Context) (err error) {
				standing, err = p.s.people.ask(ctx, user)
				return errors.Unwrap(err)
			})
			if err != nil {
				p.say(bot.Broken, "who %s is, is not told: %s", account, bot.Sentence(unsurveyed("it", err), "slack"))
				return
			}
		}
		if standing != bot.Member {
			none = append(none, fmt.Sprintf("%s (%s)", account, standing))
		}
	}
	switch {
	case len(none) > 0:
		p.say(bot.Doubtful, "not full members in Slack, so that they may not run anything: %s; disable the person, or mend the account", strings.Join(none, ", "))
	case len(p.o.Accounts) > 0:
		p.say(bot.InOrder, "the people's accounts are full members")
	}
}

// secret checks that a token is there and of its kind.
func (p *probe) secret(key string, secret bot.Secret) bool {
	token, err := secret.Value()
	if err != nil {
		p.say(bot.Broken, "%s: %s", key, bot.Sentence(err, "secret"))
		return false
	}
	if fault := misplaced(key, token); fault != "" {
		p.say(bot.Broken, "%s", fault)
		return false
	}
	return true
}

// signing checks the signing secret, which Slack makes of 32 hexadecimal digits;
// whether it is the right one shows with the first request.
func (p *probe) signing() {
	secret, err := p.s.signing.Value()
	switch {
	case err != nil:
		p.say(bot.Broken, "signing_secret: %s; it is under Basic Information", bot.Sentence(err, "secret"))
	case tokenKind(secret) != tokenKind(""):
		p.say(bot.Broken, "signing_secret holds %s; the Signing Secret is under Basic Information", tokenKind(secret))
	case len(secret) != 32 || strings.Trim(secret, "0123456789abcdef") != "":
		p.say(bot.Doubtful, "signing_secret does not look like one, which is 32 digits and letters from a to f; compare it with Basic Information")
	default:
		p.say(bot.InOrder, "the signing secret is there; whether it is the right one shows when Slack saves the request URLs")
	}
}

// socket has Slack hand out the address of a socket, and leaves it unused.
func (p *probe) socket(ctx context.Context) {
	token, err := p.s.appToken.Value()
	if err != nil {
		p.say(bot.Broken, "app_token: %s", bot.Sentence(err, "secret"))
		return
	}
	api := slack.New("", slack.OptionAppLevelToken(token), slack.OptionAPIURL(p.s.base), slack.OptionHTTPClient(&http.Client{Timeout: callTimeout}))
	address := ""
	err = patient(ctx, func(ctx context.Context) (err error) { _, address, err = api.StartSocketModeContext(ctx); return err })
	switch c := code(err); {
	case c == "missing_scope":
		p.say(bot.Broken, "the app-level token lacks the scope connections:write; generate another under Basic Information, App-Level Tokens")
	case refused(err):
		p.say(bot.Broken, "Slack refuses the app-level token (%s); generate another under Basic Information, App-Level Tokens", c)
	case err != nil:
		p.say(bot.Broken, "no socket can be opened: %s; is Socket Mode on in the app?", bot.Sentence(translated("slack.probe", err), "slack"))
	case address == "":
		p.say(bot.Broken, "no socket can be opened: Slack gives no address for it; is Socket Mode on in the app?")
	default:
		p.say(bot.InOrder, "a socket can be opened")
	}
}

// identity checks whose the bot token is, what it may do, and the clock.
func (p *probe) identity(ctx context.Context) bool {
	api, err := p.s.client()
	if err != nil {
		p.say(bot.Broken, "bot_token: %s", bot.Sentence(err, "secret"))
		return false
	}
	var me *slack.AuthTestResponse
	var asked, told time.Time
	err = patient(ctx, func(ctx context.Context) (err error) {
		asked = p.s.o.Clock.Now()
		me, err = api.AuthTestContext(ctx)
		told = p.s.o.Clock.Now()
		return err
	})
	switch {
	case refused(err):
		p.say(bot.Broken, "Slack refuses the bot token (%s); reinstall the app and copy the Bot User OAuth Token (xoxb-...) anew", code(err))
		return false
	case err != nil:
		p.say(bot.Broken, "%s; look at the network between here and %s", bot.Sentence(translated("slack.probe", err), "slack"), p.s.base)
		return false
	}
	if !p.s.ours(me.TeamID) && !p.s.ours(me.EnterpriseID) {
		p.say(bot.Broken, "the bot token belongs to the workspace %s (%s), which is not among teams; add it, or use the token of another installation", me.TeamID, me.Team)
	} else {
		p.say(bot.InOrder, "the bot is %s in %s (%s)", me.UserID, me.Team, me.TeamID)
	}
	p.scopes(me.Header)
	p.clock(me.Header, asked.Add(told.Sub(asked)/2))
	return true
}

// scopes compares what the token was given with what the bot uses.
func (p *probe) scopes(header http.Header) {
	if header.Get("X-OAuth-Scopes") == "" {
		p.say(bot.Doubtful, "Slack does not tell the scopes of the bot token; a proxy in between may take the header X-OAuth-Scopes away")
		return
	}
	var given []string
	for scope := range strings.SplitSeq(header.Get("X-OAuth-Scopes"), ",") {
		given = append(given, strings.TrimSpace(scope))
	}
	needed, why := scopes()
	var missing, surplus []string
	for _, scope := range needed {
		if !slices.Contains(given, scope) {
			missing = append(missing, fmt.Sprintf("%s (to %s)", scope, why[scope]))
		}
	}
	for _, scope := range given {
		if !slices.Contains(needed, scope) {
			surplus = append(surplus, scope)
		}
	}
	if len(missing) > 0 {
		p.say(bot.Broken, "the bot token lacks %s; add it under OAuth & Permissions, or paste the manifest again, and reinstall the app", strings.Join(missing, ", "))
	}
	if len(surplus) > 0 {
		p.say(bot.Doubtful, "the bot token may do more than the bot needs: %s; take it away under OAuth & Permissions and reinstall the app", strings.Join(surplus, ", "))
	}
	if len(missing)+len(surplus) == 0 {
		p.say(bot.InOrder, "the bot token has the scopes that are needed and no others")
	}
}

// clock compares this machine's clock with Slack's, which is told in seconds.
func (p *probe) clock(header http.Header, now time.Time) {
	theirs, err := http.ParseTime(header.Get("Date"))
	if err != nil {
		return // a proxy took it away, and nothing follows from that
	}
	skew := now.Sub(theirs)
	direction := "ahead of"
	if skew < 0 {
		skew, direction = -skew, "behind"
	}
	const remedy = "keep it in step with NTP"
	switch {
	case skew >= skewBroken && p.s.config.Mode == modeHTTP:
		p.say(bot.Broken, "this machine's clock is %s %s Slack's, so that signed requests are refused as too old; %s", skew.Round(time.Second), direction, remedy)
	case skew >= skewDoubtful:
		p.say(bot.Doubtful, "this machine's clock is %s %s Slack's; %s", skew.Round(time.Second), direction, remedy)
	default:
		p.say(bot.InOrder, "the clock agrees with Slack's")
	}
}

// channel checks an audit channel; ok says that it can be posted to.
func (p *probe) channel(ctx context.Context, id bot.ChannelID) (ok bool) {
	if strings.HasPrefix(id.Local(), "D") {
		p.say(bot.Doubtful, "the audit channel %s is a direct message, which nobody else reads; choose a channel", id)
		return true
	}
	api, err := p.s.client()
	if err != nil {
		p.say(bot.Broken, "bot_token: %s", bot.Sentence(err, "secret"))
		return false
	}
	var c *slack.Channel
	err = patient(ctx, func(ctx context.Context) (err error) {
		c, err = api.GetConversationInfoContext(ctx, &slack.GetConversationInfoInput{ChannelID: id.Local()})
		return err
	})
	switch {
	case code(err) == "channel_not_found":
		p.say(bot.Broken, "the bot does not see the audit channel %s: the id is wrong, or it is private and the bot was not invited; type /invite @bot there", id)
		return false
	case err != nil:
		p.say(bot.Broken, "the audit channel %s cannot be looked at: %s", id, bot.Sentence(unsurveyed("about it", err), "slack"))
		return false
	}
	name := fmt.Sprintf("the audit channel %s (#%s)", id, c.Name)
	switch {
	case c.IsArchived:
		p.say(bot.Broken, "%s is archived; unarchive it, or choose another", name)
		return false
	case !c.IsMember:
		p.say(bot.Broken, "the bot is not in %s; type /invite @bot there", name)
		return false
	case (c.IsExtShared || c.IsPendingExtShared) && !slices.Contains(p.s.config.Shared, c.ID):
		p.say(bot.Broken, "%s is shared with another organisation, which reads the log; choose a channel of your own, or name it in shared if that is meant", name)
		return true
	case c.IsExtShared || c.IsPendingExtShared:
		p.say(bot.Doubtful, "%s is shared with another organisation, which reads the log", name)
	default:
		p.say(bot.InOrder, "the bot is in %s", name)
	}
	return true
}

// post shows that a message arrives, where that was asked for.
func (p *probe) post(ctx context.Context, id bot.ChannelID) {
	card := bot.Card{Title: "A test message", Text: "Posted by check --live --post; nothing needs to be done."}
	if _, err := p.s.Deliver(ctx, bot.Delivery{Channel: id, Card: card}); err != nil {
		p.say(bot.Broken, "the test message does not arrive in %s: %s", id, bot.Sentence(err, "slack"))
		return
	}
	p.say(bot.InOrder, "a test message was posted to %s", id)
}

// group checks a user group that gives a role.
func (p *probe) group(ctx context.Context, id string) {
	var of members
	err := patient(ctx, func(ctx context.Context) (err error) { of, err = p.s.groups.ask(ctx, id); return errors.Unwrap(err) })
	name := groupPrefix + ":" + id
	switch {
	case err != nil:
		p.say(bot.Broken, "who is in %s is not told: %s", name, bot.Sentence(unsurveyed("it", err), "slack"))
	case of.gone:
		p.say(bot.Broken, "there is no user group %s; quarterdeck init slack lists those there are", name)
	case len(of.users) == 0:
		p.say(bot.Doubtful, "nobody is in the user group %s, or it is disabled; whoever needs its role is without it", name)
	default:
		p.say(bot.InOrder, "%d in the user group %s", len(of.users), name)
	}
}
