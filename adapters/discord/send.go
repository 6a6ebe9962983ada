package discordchat

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/bwmarrin/discordgo"

	"quarterdeck/bot"
)

// settling is how long after an interaction was answered Discord may not know its
// token yet.
const settling = 5 * time.Second

// maxThreadName is Discord's limit for the name of a thread, in characters.
const maxThreadName = 100

// Deliver implements bot.Chat. A reference is "CHANNEL/MESSAGE", where the channel
// may be a thread. The first answer to an interaction takes the place of "is
// thinking"; what one account alone may see goes by the token of an interaction, and
// later, or without one, by direct message.
func (s *chat) Deliver(ctx context.Context, d bot.Delivery) (ref string, err error) {
	defer func() { err = translated("discord.deliver", err) }()
	if d, err = s.resolved(ctx, d); err != nil {
		return "", err
	}
	m := s.drawn(d)
	i := s.answers.find(ctx, d.Card.ReplyTo)
	if i != nil {
		if user, _ := userOf(d.To); d.To != "" && user != i.user {
			i = nil // it is another's
		}
	}
	switch {
	case d.Ref != "":
		ref, err = s.edit(ctx, d, m, i)
	case d.To != "":
		return s.whisper(ctx, d, m, i)
	default:
		ref, err = s.post(ctx, d, m, i, "")
	}
	if err == nil && i != nil {
		s.settle(ctx, d, i, ref)
	}
	return ref, err
}

// drawn gives the message of a delivery: the card, or the file that it becomes.
func (s *chat) drawn(d bot.Delivery) message {
	if u, ok := attached(d.Card); ok {
		return message{content: u.say, bare: u.say, file: &u}
	}
	return render(d.Card, placeOf(d))
}

// placeOf gives where a card is shown.
func placeOf(d bot.Delivery) place {
	if d.To != "" {
		return inPrivate
	}
	return inChannel
}

// split takes a reference apart.
func split(ref string) (channel, message string) {
	channel, message, _ = strings.Cut(ref, "/")
	return channel, message
}

// posted is a message as Discord gives it back.
type posted struct {
	ID      string `json:"id"`
	Channel string `json:"channel_id"`
}

func (m posted) ref() string { return m.Channel + "/" + m.ID }

// outgoing is the body of a message. An edit replaces everything: what is left out
// would stay.
type outgoing struct {
	Content     string                            `json:"content"`
	Embeds      []*discordgo.MessageEmbed         `json:"embeds"`
	Components  []discordgo.MessageComponent      `json:"components"`
	Attachments []enclosed                        `json:"attachments"`
	Mentions    *discordgo.MessageAllowedMentions `json:"allowed_mentions"`
	Flags       int                               `json:"flags,omitempty"`
	Nonce       string                            `json:"nonce,omitempty"`
	Enforce     bool                              `json:"enforce_nonce,omitempty"`
	Reference   *reference                        `json:"message_reference,omitempty"`
}

// reference is the message that another replies to.
type reference struct {
	Message string `json:"message_id"`
	Must    bool   `json:"fail_if_not_exists"`
}

// enclosed is a file that belongs to a message.
type enclosed struct {
	ID   string `json:"id"`
	Name string `json:"filename"`
	Alt  string `json:"description,omitempty"`
}

// body makes the body of a message, and the files that go with it.
func (m message) body() (outgoing, []attachment) {
	o := outgoing{Content: m.content, Embeds: m.embeds, Components: m.components, Attachments: []enclosed{}, Mentions: nobody()}
	o.Mentions.Users = m.users
	if o.Embeds == nil {
		o.Embeds = []*discordgo.MessageEmbed{}
	}
	if o.Components == nil {
		o.Components = []discordgo.MessageComponent{}
	}
	if len(o.Embeds) == 0 {
		o.Flags = flagSuppressEmbeds // no address in it unfolds
	}
	var files []attachment
	if m.image != nil {
		files = append(files, attachment{m.image.Name, "image/png", m.image.PNG})
		o.Attachments = append(o.Attachments, enclosed{"0", m.image.Name, cutPlain(bot.LegibleLine(m.image.Alt), 1000)})
	}
	if m.file != nil {
		files = append(files, attachment{m.file.name, m.file.kind, m.file.data})
		o.Attachments = append(o.Attachments, enclosed{ID: strconv.Itoa(len(files) - 1), Name: m.file.name})
	}
	return o, files
}

// send makes one call that posts or edits a message, and makes it again without the
// image, and then in bare words, where Discord does not take the card as it was
// drawn: what a card says must be told in any case. finish adds to the body what
// the call needs.
func (s *chat) send(ctx context.Context, method, path string, m message, finish func(*outgoing)) (posted, error) {
	var got posted
	try := func(m message) error {
		o, files := m.body()
		if finish != nil {
			finish(&o)
		}
		return s.call(ctx, method, path, o, &got, files...)
	}
	err := try(m)
	if m.image != nil && (codeOf(err) == missingPermission || statusOf(err) == http.StatusRequestEntityTooLarge || codeOf(err) == invalidBody) {
		s.logger().Error("Discord does not take an image; the card is sent without it", "err", err)
		m = m.unpictured()
		err = try(m)
	}
	if codeOf(err) == invalidBody || codeOf(err) == missingPermission && len(m.embeds) > 0 {
		s.logger().Error("Discord does not take a card as it was drawn; it is sent in bare words", "err", err)
		err = try(message{content: m.bare, components: m.components})
		if codeOf(err) == invalidBody {
			err = try(message{content: m.bare})
		}
	}
	if err == nil && (got.ID == "" || got.Channel == "") {
		return got, bot.Errorf(bot.Internal, "Discord took a message and did not say which it is")
	}
	return got, err
}

// nonce makes what Discord knows the same post by for a few minutes, so that one
// whose answer was lost is not told twice. It takes 25 characters.
func nonce(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return base64.RawURLEncoding.EncodeToString(sum[:])[:25]
}

// byToken is the path of a call by the token of an interaction.
func (s *chat) byToken(i *asking, rest string) string {
	return "webhooks/" + s.own() + "/" + url.PathEscape(i.token) + rest
}

// expired reports whether an error says that a token is worth nothing any more.
func (i *asking) expired(err error) bool {
	switch codeOf(err) {
	case unknownWebhook, invalidToken, unknownInteraction:
		i.over()
		return true
	}
	return false
}

// original puts the first answer of an interaction where Discord shows "is
// thinking". done is false where that is not to be had.
func (s *chat) original(ctx context.Context, i *asking, m message) (ref string, done bool, err error) {
	got, err := s.send(ctx, http.MethodPatch, s.byToken(i, "/messages/@original"), m, noFlags)
	switch codeOf(err) {
	case unknownWebhook, unknownInteraction, unknownMessage:
		if s.o.Clock.Now().Sub(i.at) < settling {
			// Over HTTP the answer may not have reached Discord yet.
			return "", true, &bot.Error{Op: "discord.answer", Kind: bot.Busy, Say: "Discord does not know the interaction yet", RetryAfter: 200 * time.Millisecond, Err: err}
		}
	}
	if i.expired(err) || codeOf(err) == unknownMessage {
		i.settled()
		return "", false, nil
	}
	if err != nil {
		return "", true, err
	}
	i.settled()
	s.answers.note(got.ID, i)
	return got.ref(), true, nil
}

// noFlags is for edits by a token, which take no others than Discord's own.
func noFlags(o *outgoing) { o.Flags &= flagSuppressEmbeds }

// post posts a card for everybody. again tells it from the same card's post that
// is gone.
func (s *chat) post(ctx context.Context, d bot.Delivery, m message, i *asking, again string) (ref string, err error) {
	channel, err := s.thread(ctx, d)
	if err != nil {
		return "", err
	}
	if i != nil && again == "" && channel == i.channel {
		if thinking, private := i.waits(); thinking && !private {
			if ref, done, err := s.original(ctx, i, m); done {
				return ref, err
			}
		}
	}
	got, err := s.send(ctx, http.MethodPost, "channels/"+channel+"/messages", m, func(o *outgoing) {
		o.Nonce, o.Enforce = nonce(channel, d.Card.Key, fmt.Sprint(d.Card.Version), d.Card.ReplyTo, fmt.Sprint(d.Card.Rest), again, d.Card.Title), true
		if _, on := split(d.Thread); on != "" && channel != on && d.Card.Rest {
			o.Reference = &reference{Message: on} // where there are no threads
		}
	})
	switch c := codeOf(err); {
	case err == nil:
		return got.ref(), nil
	case i != nil && (c == missingAccess || c == missingPermission || c == unknownChannel):
		// The bot is no member there, and was asked there all the same.
		return s.followUp(ctx, i, m, false)
	}
	return "", err
}

// followUp posts a further answer to an interaction.
func (s *chat) followUp(ctx context.Context, i *asking, m message, private bool) (ref string, err error) {
	got, err := s.send(ctx, http.MethodPost, s.byToken(i, ""), m, func(o *outgoing) {
		if private {
			o.Flags |= flagEphemeral
		}
	})
	i.expired(err)
	if err != nil {
		return "", err
	}
	s.answers.note(got.ID, i)
	return got.ref(), nil
}

// edit changes a message in place: by the token that it was made with while that is
// good, which needs no membership, and otherwise as the bot. One that was deleted is
// posted anew, because what it says must still be told.
func (s *chat) edit(ctx context.Context, d bot.Delivery, m message, i *asking) (ref string, err error) {
	channel, id := split(d.Ref)
	if made := s.answers.made(ctx, id); made != nil {
		_, err := s.send(ctx, http.MethodPatch, s.byToken(made, "/messages/"+id), m, noFlags)
		switch {
		case err == nil:
			return d.Ref, nil
		case !made.expired(err) && codeOf(err) != unknownMessage:
			return "", err
		}
	}
	_, err = s.send(ctx, http.MethodPatch, "channels/"+channel+"/messages/"+id, m, noFlags)
	switch codeOf(err) {
	case unknownMessage, threadArchived:
		if d.To != "" {
			return s.whisper(ctx, d, m, i)
		}
		return s.post(ctx, d, m, i, d.Ref)
	}
	if err != nil {
		return "", err
	}
	return d.Ref, nil
}

// settle takes away "is thinking" where the answer went elsewhere: an edit of the
// card that is there, a thread. The answer stands in any case.
func (s *chat) settle(ctx context.Context, d bot.Delivery, i *asking, ref string) {
	thinking, private := i.waits()
	if !thinking {
		return
	}
	link := s.LinkTo(ref)
	if link == "" && !private {
		if err := s.call(ctx, http.MethodDelete, s.byToken(i, "/messages/@original"), nil, nil); err != nil {
			s.logger().Warn("what was deferred could not be taken away", "err", err)
		}
		i.settled()
		return
	}
	say := bot.Card{Tone: d.Card.Tone, Title: d.Card.Title, Text: "The card of this is where it was before.", Link: link}
	if _, _, err := s.original(ctx, i, render(say, inPrivate)); err != nil {
		s.logger().Warn("what was deferred could not be answered", "err", err)
	}
}

// whisper shows a card to one account alone.
func (s *chat) whisper(ctx context.Context, d bot.Delivery, m message, i *asking) (ref string, err error) {
	user, ok := userOf(d.To)
	if !ok {
		return "", bot.Errorf(bot.Invalid, "it is not said who alone may read the card")
	}
	if i != nil {
		thinking, private := i.waits()
		if thinking && private {
			if ref, done, err := s.original(ctx, i, m); done {
				return ref, err
			}
		}
		if thinking && !private { // the first answer to it would be for everybody
			if err := s.call(ctx, http.MethodDelete, s.byToken(i, "/messages/@original"), nil, nil); err != nil && !i.expired(err) && codeOf(err) != unknownMessage {
				return "", err
			}
			i.settled()
		}
		ref, err = s.followUp(ctx, i, m, true)
		if err == nil || s.answers.usable(ctx, i) != nil {
			return ref, err
		}
	}
	channel := d.Channel.Local()
	if !s.places.know(ctx, channel).direct {
		if channel, err = s.direct(ctx, user); err != nil {
			return s.unreachable(ctx, d, err)
		}
	}
	direct := d
	direct.Channel, direct.Thread, direct.To = bot.ChannelID(Network+":"+channel), "", ""
	if ref, err = s.post(ctx, direct, m, nil, d.Ref); codeOf(err) == closedToBot {
		return s.unreachable(ctx, d, err)
	}
	return ref, err
}

// unreachable says where somebody asked that they cannot be told in private.
func (s *chat) unreachable(ctx context.Context, d bot.Delivery, cause error) (string, error) {
	if codeOf(cause) != closedToBot || d.Card.ReplyTo == "" {
		return "", cause
	}
	say := bot.Card{Key: d.Card.Key, Version: d.Card.Version, ReplyTo: d.Card.ReplyTo, Tone: bot.Warning, Title: "I have an answer for who asked, and may not write to them",
		Text: "Ask with a slash command, whose answer nobody else sees, or allow direct messages from this server."}
	d.To, d.Ref, d.Card = "", "", say
	return s.post(ctx, d, render(say, inChannel), nil, "")
}

// thread gives the channel that a delivery goes to: the thread it names, begun
// where there is none yet. Where there are no threads, it is the channel itself.
func (s *chat) thread(ctx context.Context, d bot.Delivery) (channel string, err error) {
	channel = d.Channel.Local()
	in, on := split(d.Thread)
	if on == "" {
		return channel, nil
	}
	is := s.places.know(ctx, in)
	if is.direct || is.parent != "" {
		return in, nil // in which there are none
	}
	if s.places.know(ctx, on).parent == in {
		return on, nil // a thread has the id of the message it began with
	}
	var c channelPayload
	name := cutPlain(bot.LegibleLine(orElse(threadName(d.Card), "details")), maxThreadName)
	err = s.call(ctx, http.MethodPost, "channels/"+in+"/messages/"+on+"/threads", map[string]any{"name": name, "auto_archive_duration": 1440}, &c)
	switch codeOf(err) {
	case 0:
		if err != nil {
			return "", err
		}
		s.places.by.Learn(on, at{parent: in})
		return on, nil
	case threadExists:
		s.places.by.Learn(on, at{parent: in})
		return on, nil
	case wrongChannelType, missingAccess, missingPermission, unknownMessage:
		s.logger().Warn("a thread could not be begun; what belongs into it is said in its channel", "channel", in, "err", err)
		return in, nil
	}
	return "", err
}

// threadName names a thread after what it tells of.
func threadName(c bot.Card) string {
	if c.Run != 0 {
		return fmt.Sprintf("#%d", c.Run)
	}
	return c.Title
}

// LinkTo implements bot.Linker by the form that Discord's own links have. A direct
// conversation has none that others could follow, and neither has what one account
// alone sees.
func (s *chat) LinkTo(ref string) string {
	channel, id := split(ref)
	if channel == "" || id == "" {
		return ""
	}
	is, _ := s.places.by.Had(channel, placeLife)
	guild := is.guild
	if guild == "" && !is.direct && len(s.config.Guilds) == 1 {
		guild = s.config.Guilds[0]
	}
	if guild == "" {
		return ""
	}
	return "https://discord.com/channels/" + guild + "/" + channel + "/" + id
}

// Confide implements bot.Confidential: as an answer to an interaction that its
// asker alone sees, which is gone with the next restart of their Discord and which
// no history holds. A direct message would stay for whoever takes over the account
// later, and that is whom a second factor is to keep out.
func (s *chat) Confide(ctx context.Context, d bot.Delivery) error {
	i := s.answers.find(ctx, d.Card.ReplyTo)
	if user, ok := userOf(d.To); i == nil || !ok || user != i.user {
		return bot.Errorf(bot.NotFound, "that can only be answered to a slash command; ask with one")
	}
	m := render(d.Card, inPrivate)
	thinking, private := i.waits()
	if thinking && private {
		_, done, err := s.original(ctx, i, m)
		if done {
			return translated("discord.confide", err)
		}
	}
	if thinking && !private {
		if err := s.call(ctx, http.MethodDelete, s.byToken(i, "/messages/@original"), nil, nil); err != nil {
			return translated("discord.confide", err)
		}
		i.settled()
	}
	_, err := s.followUp(ctx, i, m, true)
	return translated("discord.confide", err)
}
