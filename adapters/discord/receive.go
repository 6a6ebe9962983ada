package discordchat

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"time"

	"github.com/bwmarrin/discordgo"

	"quarterdeck/bot"
)

const (
	// handlers bounds how many payloads are handled at once. Whoever sent what comes
	// beyond is told by Discord that nothing happened.
	handlers = 256
	// ackWithin is when Discord gives up on an answer, and handleWithin when what to
	// answer must be known, so that it gets there in time.
	ackWithin    = 3 * time.Second
	handleWithin = 2200 * time.Millisecond
	// freshFor is how long the roles in a payload are news.
	freshFor = time.Minute
	// behind is how old a message has to be for its own time to count and not that
	// of its arrival.
	behind = 10 * time.Second
)

// sorry is said when what somebody asked cannot be kept, and so is not done.
const sorry = "not run: it cannot be recorded right now; please ask again"

// tally counts what those who watch the bot want to know of.
type tally struct {
	unreadable, forged, late atomic.Int64
	warned                   atomic.Int64 // when the log last told of a forged request, in microseconds
}

// unreadable counts and logs a payload of which nothing can be made.
func (s *chat) unreadable(kind string, err error) {
	s.tally.unreadable.Add(1)
	s.logger().Warn("a payload could not be read", "kind", kind, "err", err)
}

// guarded runs what handles one payload; a panic ends that alone.
func (s *chat) guarded(kind string, handle func()) {
	defer func() {
		if p := recover(); p != nil {
			s.logger().Error("panic while handling a payload", "kind", kind, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
		}
	}()
	handle()
}

// now gives Discord's time.
func (s *chat) now() time.Time { return s.o.Clock.Now().Add(s.gate.skew()) }

// first is how an interaction is answered first; data is nil for none.
type first struct {
	Type int `json:"type"`
	Data any `json:"data,omitempty"`
}

// told says something to the asker alone.
func told(m message) first {
	return first{sayNow, discordgo.InteractionResponseData{Content: m.content, Embeds: m.embeds, Components: m.components, Flags: flagEphemeral, AllowedMentions: nobody()}}
}

func inWords(say string) first {
	return told(message{content: escaped(cut(bot.LegibleLine(say), 1500))})
}

// replier answers an interaction for the first time.
type replier func(ctx context.Context, answer any) error

// errLate is that an interaction came when Discord had told its sender already that
// nothing happened. Running it then would run it unseen, and once more when they
// ask again.
var errLate = errors.New("it came too late to be answered")

// interaction takes one interaction. It is kept before it is answered, and what
// cannot be kept is not run.
func (s *chat) interaction(ctx context.Context, in bot.Inbound, raw json.RawMessage, reply replier) error {
	var p payload
	if err := json.Unmarshal(raw, &p); err != nil {
		return err
	}
	made, ok := madeAt(p.ID)
	switch {
	case p.Application != s.own():
		return errors.New("it is for another application")
	case !ok || p.Token == "":
		return errors.New("it has no id or no token")
	case p.Type == isPing:
		return reply(ctx, first{Type: sayPong})
	case p.user().ID == "" || p.ChannelID == "":
		return errors.New("it does not say who did it, or where")
	}
	age := s.now().Sub(made)
	if age > ackWithin || age < -ackWithin {
		s.tally.late.Add(1)
		s.logger().Warn("an interaction came too late to be answered, and is not run", "id", p.ID, "age", age)
		return errLate
	}
	ctx, cancel := context.WithTimeout(ctx, ackWithin-max(0, age))
	defer cancel()
	soon, cancel := context.WithTimeout(ctx, min(handleWithin, ackWithin-max(0, age)))
	defer cancel()
	switch p.Type {
	case isCommand:
		return s.commanded(soon, in, p, reply)
	case isComponent:
		return s.componentUsed(soon, in, p, reply)
	case isModal:
		return s.formed(soon, in, p, reply)
	case isAutocomplete:
		return s.completed(soon, p, reply)
	}
	s.tally.unreadable.Add(1)
	s.logger().Debug("an interaction of an unknown type was left unanswered", "type", p.Type)
	return nil
}

// commanded takes a slash command, or the command on a message, which is answered
// in that message's thread. What the message says is not read: others wrote it.
func (s *chat) commanded(ctx context.Context, in bot.Inbound, p payload, reply replier) error {
	var d commandData
	if err := json.Unmarshal(p.Data, &d); err != nil {
		return err
	}
	m := s.message(ctx, p)
	switch {
	case d.Type > 1 && d.Name == askCommand:
		if m.Thread == "" && p.GuildID != "" && snowflake.MatchString(d.Target) {
			m.Thread = p.ChannelID + "/" + d.Target
		}
	case d.Type > 1:
		return reply(ctx, inWords("this bot has no such command any more"))
	default:
		t, _ := s.surface().read(d)
		m.Text = t.verb.Name
		if s.o.Typed != nil {
			m.Text = s.o.Typed.Line(t.verb.Name, t.values)
		}
	}
	return s.taken(ctx, in, p, m, reply)
}

// componentUsed takes a button.
func (s *chat) componentUsed(ctx context.Context, in bot.Inbound, p payload, reply replier) error {
	var d struct {
		CustomID string `json:"custom_id"`
	}
	if err := json.Unmarshal(p.Data, &d); err != nil {
		return err
	}
	if token, ok := reopens(d.CustomID); ok {
		return s.reopen(ctx, p, token, reply)
	}
	b, ok := pressed(d.CustomID)
	if !ok {
		return reply(ctx, inWords("this button is none of mine any more"))
	}
	on := p.Message.ID
	if p.Message.Channel != "" && p.Message.Channel != p.ChannelID {
		on = "?" // the payload names two places
	}
	if b.ask {
		return reply(ctx, told(question(b.token, on, orElse(p.label(d.CustomID), "Do it"), p.Message.Content)))
	}
	if b.on != "" {
		on = b.on
	}
	m := s.message(ctx, p)
	m.Press, m.On = b.token, p.ChannelID+"/"+on
	return s.taken(ctx, in, p, m, reply)
}

// message makes what the hub understands of an interaction: who, as Discord vouches
// for them, where.
func (s *chat) message(ctx context.Context, p payload) bot.Message {
	m := bot.Message{ID: Network + ":interaction/" + p.ID, Account: bot.AccountID(Network + ":" + p.user().ID),
		Standing: s.standing(ctx, p.ID, p.GuildID, p.Member, p.user())}
	is := at{direct: p.GuildID == ""}
	if p.Channel.ID == p.ChannelID {
		is = p.Channel.at()
		is.guild, is.direct = p.GuildID, p.GuildID == "" // which are told twice
		s.places.by.Learn(p.ChannelID, is)
	} else if !is.direct {
		is = s.places.know(ctx, p.ChannelID)
	}
	s.put(&m, p.ChannelID, is)
	return m
}

// put says where a message was said. What is said in a thread is said in its
// channel, for the rules about channels.
func (s *chat) put(m *bot.Message, channel string, is at) {
	m.Channel = bot.ChannelID(Network + ":" + channel)
	if is.parent != "" {
		m.Channel, m.Thread = bot.ChannelID(Network+":"+is.parent), is.parent+"/"+channel
	}
	m.Aside = is.direct && !s.config.Direct
}

// standing says what Discord vouches for about who sent a payload. Roles come with
// it in a guild; elsewhere nothing does, and the guilds are asked.
func (s *chat) standing(ctx context.Context, id, guild string, m *memberPayload, u userPayload) bot.Standing {
	switch {
	case u.Bot || u.System:
		return bot.Automated
	case guild == "":
		standing, err := s.anywhere(ctx, u.ID, memberLife)
		if err != nil {
			s.logger().Warn("Discord does not say who a user is; they are refused", "user", u.ID, "err", err)
		}
		return standing
	case !s.ours(guild):
		return bot.External
	case m == nil:
		return bot.Unvouched
	}
	is := m.member(u)
	if made, ok := madeAt(id); ok && s.now().Sub(made) < freshFor {
		s.members.by.Learn(guild+"/"+u.ID, is)
	}
	return is.standing()
}

// taken asks for what a message lacks, or hands it to the hub and answers the
// interaction: in private where the hub's answer will be.
func (s *chat) taken(ctx context.Context, in bot.Inbound, p payload, m bot.Message, reply replier) error {
	if s.asks(ctx, p, m, reply) {
		return nil
	}
	return s.received(ctx, in, p, m, reply)
}

// received hands a message to the hub and answers the interaction.
func (s *chat) received(ctx context.Context, in bot.Inbound, p payload, m bot.Message, reply replier) error {
	i := s.answers.begin(m.ID, p)
	receipt, err := in.Receive(ctx, m)
	// The answer gets what is left of the three seconds.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), ackWithin)
	defer cancel()
	switch {
	case err != nil:
		if i != nil {
			i.lost()
			s.answers.drop(m.ID)
		}
		s.logger().Error("a message could not be kept", "message", m.ID, "err", err)
		return reply(ctx, inWords(sorry))
	case i == nil:
		return errRepeated
	case receipt.Duplicate:
		i.lost()
		return reply(ctx, inWords("that was received before"))
	}
	answer, thinking := first{Type: saySilent}, false
	if p.Message.ID == "" {
		answer, thinking = first{Type: sayLater}, true
		if receipt.Private {
			answer.Data = map[string]any{"flags": flagEphemeral}
		}
	}
	if err := reply(ctx, answer); err != nil {
		i.lost()
		return err
	}
	i.answered(thinking, receipt.Private)
	return nil
}

// errRepeated is that an interaction is being handled already.
var errRepeated = errors.New("it was delivered twice")

// completed offers choices for what is being typed.
func (s *chat) completed(ctx context.Context, p payload, reply replier) error {
	var d commandData
	if err := json.Unmarshal(p.Data, &d); err != nil {
		return err
	}
	choices := []*discordgo.ApplicationCommandOptionChoice{}
	if t, ok := s.surface().read(d); ok && t.argument.Name != "" && s.o.Typed != nil {
		m := s.message(ctx, p)
		choices = offered(s.o.Typed.Choices(ctx, bot.Picking{Account: m.Account, Standing: m.Standing, Channel: m.Channel, Verb: t.verb.Name,
			Values: t.values, Argument: t.argument.Name, Typed: t.typed, Limit: maxOptions}), t.argument)
	}
	return reply(ctx, first{sayChoices, map[string]any{"choices": choices}})
}

// remarked takes a message that somebody wrote: one that mentions the bot, or is
// written to it alone.
func (s *chat) remarked(ctx context.Context, in bot.Inbound, raw json.RawMessage) error {
	var r remark
	if err := json.Unmarshal(raw, &r); err != nil {
		return err
	}
	own := s.own()
	text, addressed := unaddressed(r.Content, own)
	made, ok := madeAt(r.ID)
	switch {
	case !ok || r.Author.ID == "" || r.ChannelID == "":
		return errors.New("it does not say what it is, whose, or where")
	case r.Author.ID == own, r.Type != plainRemark && r.Type != replyRemark, r.GuildID != "" && !addressed:
		return nil // not said to the bot
	}
	m := bot.Message{ID: Network + ":message/" + r.ID, Account: bot.AccountID(Network + ":" + r.Author.ID), Text: text, Edited: r.Edited != nil}
	is := at{direct: r.GuildID == ""}
	switch {
	case r.WebhookID != "":
		m.Standing = bot.Automated
	default:
		m.Standing = s.standing(ctx, r.ID, r.GuildID, r.Member, r.Author)
	}
	if !is.direct && s.ours(r.GuildID) {
		is = s.places.know(ctx, r.ChannelID)
		is.direct = false
	} else if is.direct {
		s.places.by.Learn(r.ChannelID, is)
	}
	s.put(&m, r.ChannelID, is)
	if age := s.now().Sub(made); age > behind { // it waited for the connection; the hub says if that was too long
		m.Received = s.o.Clock.Now().Add(-age)
	}
	if _, err := in.Receive(ctx, m); err != nil {
		s.logger().Error("a message could not be kept", "message", m.ID, "err", err)
		call, cancel := context.WithTimeout(context.WithoutCancel(ctx), callTimeout)
		defer cancel()
		// Discord does not deliver it again, so that its sender has to.
		return s.call(call, http.MethodPost, "channels/"+r.ChannelID+"/messages", map[string]any{"content": sorry, "allowed_mentions": nobody(),
			"nonce": nonce("sorry", r.ID), "enforce_nonce": true, "message_reference": map[string]any{"message_id": r.ID, "fail_if_not_exists": false}}, nil)
	}
	return nil
}

// unaddressed gives the text without the mention of the bot; addressed says that
// there was one.
func unaddressed(text, own string) (rest string, addressed bool) {
	for _, mention := range []string{"<@" + own + ">", "<@!" + own + ">"} {
		if before, after, found := strings.Cut(text, mention); found {
			return strings.TrimSpace(strings.TrimSpace(before) + " " + strings.TrimLeft(after, " :,\u00a0")), true
		}
	}
	return strings.TrimSpace(text), false
}
