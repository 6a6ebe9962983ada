package discordchat

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/bwmarrin/discordgo"

	"quarterdeck/bot"
)

const (
	// skewDoubtful and skewBroken are how far this machine's clock may be off
	// Discord's: interactions are told from old ones by their time.
	skewDoubtful = 2 * time.Second
	skewBroken   = 30 * time.Second
	// maxProbed bounds how many channels and roles are asked about, and maxVouched
	// how many accounts.
	maxProbed  = 50
	maxVouched = 100
	// fewSessions is how many connections have to be left of a day's thousand.
	fewSessions = 100
)

// privileged are the intents that Discord gives on request, by the bits of an
// application's flags (docs.discord.com/developers/resources/application).
var privileged = []struct {
	bits int64
	name string
}{{1<<12 | 1<<13, "Presence"}, {1<<14 | 1<<15, "Server Members"}, {1<<18 | 1<<19, "Message Content"}}

// probe gathers what is found.
type probe struct {
	s      *chat
	o      bot.ProbeOptions
	guilds map[string]standing
	found  []bot.Finding
}

func (p *probe) say(level bot.FindingLevel, format string, args ...any) {
	p.found = append(p.found, bot.Finding{Level: level, Say: fmt.Sprintf(format, args...)})
}

// Probe implements bot.Prober. It opens no connection to the gateway: each takes
// one of a day's thousand.
func (s *chat) Probe(ctx context.Context, o bot.ProbeOptions) []bot.Finding {
	p := &probe{s: s, o: o, guilds: map[string]standing{}}
	token, err := s.botToken.Value()
	if err != nil {
		p.say(bot.Broken, "bot_token: %s", bot.Sentence(err, "secret"))
		return p.found
	}
	if fault := misplaced(token); fault != "" {
		p.say(bot.Broken, "%s", fault)
		return p.found
	}
	if !p.identity(ctx) {
		return p.found
	}
	p.gateway(ctx)
	p.clock()
	for _, guild := range s.config.Guilds {
		p.guild(ctx, guild)
	}
	p.leftovers(ctx)
	for i, channel := range o.Audit {
		if i == maxProbed {
			p.say(bot.Doubtful, "only the first %d audit channels were asked about", maxProbed)
			break
		}
		if p.channel(ctx, channel, "the audit channel") && o.Post {
			p.post(ctx, channel)
		}
	}
	for i, channel := range o.Channels {
		if i == maxProbed {
			p.say(bot.Doubtful, "only the first %d channels of rules were asked about", maxProbed)
			break
		}
		if !slices.Contains(o.Audit, channel) {
			p.channel(ctx, channel, "the channel")
		}
	}
	for i, group := range o.Groups {
		if i == maxProbed {
			p.say(bot.Doubtful, "only the first %d roles were asked about", maxProbed)
			break
		}
		p.role(group)
	}
	p.accounts(ctx)
	return p.found
}

// application is what Discord says of the bot's application.
type application struct {
	ID       string `json:"id"`
	Name     string `json:"name"`
	Key      string `json:"verify_key"`
	Public   bool   `json:"bot_public"`
	Grant    bool   `json:"bot_require_code_grant"`
	Flags    int64  `json:"flags"`
	Endpoint string `json:"interactions_endpoint_url"`
}

// identity checks whose the bot token is, and how its application is set up.
func (p *probe) identity(ctx context.Context) bool {
	s := p.s
	var app application
	err := s.patiently(ctx, "applications/@me", &app)
	switch {
	case statusOf(err) == http.StatusUnauthorized:
		p.say(bot.Broken, "Discord refuses the bot token; choose Reset Token under Bot and take the new one")
		return false
	case err != nil:
		p.say(bot.Broken, "%s; look at the network between here and %s", bot.Sentence(translated("discord.probe", err), "discord"), s.base)
		return false
	case s.config.Application != "" && s.config.Application != app.ID:
		p.say(bot.Broken, "the bot token belongs to the application %s (%s), and application says %s; take one of them from the other's page", app.ID, app.Name, s.config.Application)
		return false
	}
	s.mu.Lock()
	s.appID = app.ID
	s.mu.Unlock()
	p.say(bot.InOrder, "the bot is %s (%s)", app.Name, app.ID)
	if app.Public {
		p.say(bot.Doubtful, "anybody can invite the bot to a server of theirs; untick Public Bot under Bot")
	}
	if app.Grant {
		p.say(bot.Broken, "the invite link cannot work while Requires OAuth2 Code Grant is ticked; untick it under Bot")
	}
	var given []string
	for _, i := range privileged {
		if app.Flags&i.bits != 0 {
			given = append(given, i.name)
		}
	}
	if len(given) > 0 {
		p.say(bot.Doubtful, "the application has more than the bot needs: the %s intent; switch it off under Bot", strings.Join(given, " and the "))
	} else {
		p.say(bot.InOrder, "the application has no privileged intent, and needs none")
	}
	switch {
	case s.config.Mode != modeHTTP && app.Endpoint != "":
		p.say(bot.Broken, "Discord sends interactions to %s, so none comes by the gateway; clear the Interactions Endpoint URL under General Information, or set mode = \"http\"", app.Endpoint)
	case s.config.Mode == modeHTTP && app.Endpoint == "":
		p.say(bot.Broken, "Discord does not know where to send interactions; save the address of the public listener with /discord/interactions as Interactions Endpoint URL under General Information, while the bot serves")
	case s.config.Mode == modeHTTP && !strings.EqualFold(s.config.PublicKey, app.Key):
		p.say(bot.Broken, "public_key is another application's, so that every interaction would be refused; take the one under General Information")
	case s.config.Mode == modeHTTP:
		p.say(bot.InOrder, "Discord sends interactions to %s, and public_key is the application's", app.Endpoint)
	}
	return true
}

// gateway checks that a connection can be opened, and opens none.
func (p *probe) gateway(ctx context.Context) {
	var g struct {
		URL    string `json:"url"`
		Shards int    `json:"shards"`
		Starts struct {
			Total     int   `json:"total"`
			Remaining int   `json:"remaining"`
			Reset     int64 `json:"reset_after"` // milliseconds
		} `json:"session_start_limit"`
	}
	err := p.s.patiently(ctx, "gateway/bot", &g)
	switch {
	case err != nil:
		p.say(bot.Broken, "no connection can be opened: %s", bot.Sentence(translated("discord.probe", err), "discord"))
	case g.Starts.Remaining < fewSessions && g.Starts.Total > 0:
		p.say(bot.Doubtful, "only %d of %d connections are left, until %s from now; something opens them again and again, and beyond the last Discord takes the token away", g.Starts.Remaining, g.Starts.Total, bot.Span(time.Duration(g.Starts.Reset)*time.Millisecond))
	default:
		p.say(bot.InOrder, "a connection can be opened")
	}
}

// clock compares this machine's clock with Discord's.
func (p *probe) clock() {
	skew := p.s.gate.skew()
	direction := "behind"
	if skew < 0 {
		direction = "ahead of"
	}
	switch skew = skew.Abs(); {
	case skew >= skewBroken:
		p.say(bot.Broken, "this machine's clock is %s %s Discord's; keep it in step with NTP", skew.Round(time.Second), direction)
	case skew > skewDoubtful:
		p.say(bot.Doubtful, "this machine's clock is %s %s Discord's; keep it in step with NTP", skew.Round(time.Second), direction)
	default:
		p.say(bot.InOrder, "the clock agrees with Discord's")
	}
}

// guild checks a configured guild: that the bot is in it, with the permissions that
// it uses and no others, and that its commands are registered.
func (p *probe) guild(ctx context.Context, id string) {
	s := p.s
	g, err := s.stand(ctx, id)
	switch {
	case statusOf(err) == http.StatusNotFound, statusOf(err) == http.StatusForbidden:
		p.say(bot.Broken, "the bot is not in the server %s: the id is wrong, or the bot was not invited; open %s", id, inviteURL(s.own()))
		return
	case err != nil:
		p.say(bot.Broken, "the server %s cannot be looked at: %s", id, bot.Sentence(unsurveyed("about it", err), "discord"))
		return
	}
	p.guilds[id] = g
	name := fmt.Sprintf("%s (%s)", bot.LegibleLine(g.guild.Name), id)
	base := g.base()
	switch lacks := lacking(base); {
	case base&administrator != 0:
		p.say(bot.Doubtful, "the bot is Administrator in %s, which it must not need; take that from its role, and open %s again", name, inviteURL(s.own()))
	case len(lacks) > 0:
		p.say(bot.Doubtful, "the bot lacks %s in %s, unless its channels give it; open %s again", strings.Join(lacks, ", "), name, inviteURL(s.own()))
	default:
		p.say(bot.InOrder, "the bot is in %s with the permissions that it needs", name)
	}
	if s.o.Typed == nil {
		return
	}
	var there []*discordgo.ApplicationCommand
	err = s.patiently(ctx, "applications/"+s.own()+"/guilds/"+id+"/commands", &there)
	made := s.surface()
	switch drift := made.drift(there); {
	case statusOf(err) == http.StatusForbidden:
		p.say(bot.Broken, "the bot may not have slash commands in %s: it was invited without them; open %s again", name, inviteURL(s.own()))
	case err != nil:
		p.say(bot.Broken, "the slash commands in %s cannot be looked at: %s", name, bot.Sentence(unsurveyed("them", err), "discord"))
	case len(there) == 0:
		p.say(bot.Doubtful, "no slash command is registered in %s yet; serve registers them when it starts", name)
	case drift != "":
		p.say(bot.Doubtful, "the slash commands in %s are not those of this configuration (%s); serve registers them when it starts", name, drift)
	default:
		p.say(bot.InOrder, "%d slash commands are registered in %s", len(there), name)
	}
}

// leftovers finds commands that are registered everywhere, which people then see
// twice, and verbs for which Discord has no place.
func (p *probe) leftovers(ctx context.Context) {
	if p.s.o.Typed == nil {
		return
	}
	for _, left := range p.s.surface().left {
		p.say(bot.Doubtful, "%s", left)
	}
	var everywhere []*discordgo.ApplicationCommand
	if err := p.s.patiently(ctx, "applications/"+p.s.own()+"/commands", &everywhere); err == nil && len(everywhere) > 0 {
		p.say(bot.Doubtful, "%d commands are registered for every server as well, which are not the bot's and are shown beside its own; remove them, such as %q", len(everywhere), everywhere[0].Name)
	}
}

// channel checks a configured channel; ok says that it can be posted to.
func (p *probe) channel(ctx context.Context, id bot.ChannelID, what string) (ok bool) {
	var c channelInfo
	err := p.s.patiently(ctx, "channels/"+id.Local(), &c)
	switch {
	case statusOf(err) == http.StatusNotFound, statusOf(err) == http.StatusForbidden:
		p.say(bot.Broken, "the bot does not see %s %s: the id is wrong, or the bot lacks View Channels there", what, id)
		return false
	case err != nil:
		p.say(bot.Broken, "%s %s cannot be looked at: %s", what, id, bot.Sentence(unsurveyed("about it", err), "discord"))
		return false
	case c.Type == channelDirect:
		p.say(bot.Doubtful, "%s %s is a direct message, which nobody else reads; choose a channel", what, id)
		return true
	}
	name := fmt.Sprintf("%s %s (#%s)", what, id, bot.LegibleLine(c.Name))
	thread := c.Type == threadPublic || c.Type == threadPrivate || c.Type == threadAnnouncement
	g, known := p.guilds[c.Guild]
	switch {
	case !p.s.ours(c.Guild):
		p.say(bot.Broken, "%s is in the server %s, which is not among guilds", name, c.Guild)
		return false
	case !known:
		return false // which was said of the guild
	case thread:
		p.say(bot.Doubtful, "%s is a thread, which Discord closes when it is quiet; choose a channel", name)
		return true
	case c.Type != channelText && c.Type != channelAnnouncement:
		p.say(bot.Broken, "%s is no channel in which people write; choose another", name)
		return false
	}
	if lacks := lacking(g.in(c, p.s.own())); len(lacks) > 0 {
		p.say(bot.Broken, "the bot lacks %s in %s; give it to the bot's role under Edit Channel, Permissions", strings.Join(lacks, ", "), name)
		return !slices.Contains(lacks, needs[1].name) && !slices.Contains(lacks, needs[0].name)
	}
	p.say(bot.InOrder, "the bot can post to %s", name)
	return true
}

// post shows that a message arrives, where that was asked for.
func (p *probe) post(ctx context.Context, id bot.ChannelID) {
	card := bot.Card{Title: "A test message", Text: "Posted by check --live --post; nothing needs to be done."}
	if _, err := p.s.Deliver(ctx, bot.Delivery{Channel: id, Card: card}); err != nil {
		p.say(bot.Broken, "the test message does not arrive in %s: %s", id, bot.Sentence(err, "discord"))
		return
	}
	p.say(bot.InOrder, "a test message was posted to %s", id)
}

// role checks a role of Discord's that gives one of the configuration.
func (p *probe) role(group string) {
	guild, id, _ := strings.Cut(group, "/")
	name := groupPrefix + ":" + group
	g, known := p.guilds[guild]
	switch {
	case !p.s.ours(guild):
		p.say(bot.Broken, "%s is of the server %s, which is not among guilds", name, guild)
		return
	case !known:
		return // which was said of the guild
	case id == guild:
		p.say(bot.Broken, "%s is @everyone; whoever is let into the server would have its role", name)
		return
	}
	i := slices.IndexFunc(g.roles, func(r roleInfo) bool { return r.ID == id })
	switch {
	case i < 0:
		p.say(bot.Broken, "there is no role %s; quarterdeck init discord lists those there are", name)
	case g.roles[i].Managed:
		p.say(bot.Doubtful, "%s (@%s) is given by an integration and not by people", name, bot.LegibleLine(g.roles[i].Name))
	default:
		p.say(bot.InOrder, "%s is @%s", name, bot.LegibleLine(g.roles[i].Name))
	}
}

// accounts says which of the people's accounts are no members of the configured
// guilds: whoever owns one cannot do what the configuration gives them.
func (p *probe) accounts(ctx context.Context) {
	var none []string
	for i, account := range p.o.Accounts {
		if i == maxVouched {
			p.say(bot.Doubtful, "only the first %d accounts of people were asked about", maxVouched)
			break
		}
		in := false
		user, ok := userOf(account)
		for guild := range p.guilds {
			if !ok {
				break
			}
			var m memberInfo
			err := p.s.patiently(ctx, "guilds/"+guild+"/members/"+user, &m)
			if err != nil && statusOf(err) != http.StatusNotFound {
				p.say(bot.Broken, "who %s is, is not told: %s", account, bot.Sentence(unsurveyed("it", err), "discord"))
				return
			}
			in = in || err == nil && !m.User.Bot
		}
		if !in {
			none = append(none, string(account))
		}
	}
	switch {
	case len(none) > 0:
		p.say(bot.Doubtful, "not people of the configured servers, so that they may not run anything: %s; disable the person, or mend the account", strings.Join(none, ", "))
	case len(p.o.Accounts) > 0 && len(p.guilds) > 0:
		p.say(bot.InOrder, "the people's accounts are members")
	}
}
