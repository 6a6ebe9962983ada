package discordchat

import (
	"encoding/json"
	"strconv"
	"time"
)

// Types of interactions, and of their first answers
// (docs.discord.com/developers/interactions/receiving-and-responding).
const (
	isPing         = 1
	isCommand      = 2
	isComponent    = 3
	isAutocomplete = 4
	isModal        = 5

	sayPong    = 1
	sayNow     = 4
	sayLater   = 5
	saySilent  = 6
	sayChoices = 8
)

// Flags of messages.
const (
	flagSuppressEmbeds = 1 << 2
	flagEphemeral      = 1 << 6
)

// payload is an interaction as far as the bot cares about it. It is decoded here,
// so that a field or a component that nobody has heard of takes nothing from it.
type payload struct {
	ID          string          `json:"id"`
	Application string          `json:"application_id"`
	Type        int             `json:"type"`
	Token       string          `json:"token"`
	GuildID     string          `json:"guild_id"`
	ChannelID   string          `json:"channel_id"`
	Channel     channelPayload  `json:"channel"`
	Member      *memberPayload  `json:"member"` // in a guild
	User        *userPayload    `json:"user"`   // elsewhere
	Data        json.RawMessage `json:"data"`
	Message     struct {        // that the component is on
		ID         string          `json:"id"`
		Channel    string          `json:"channel_id"`
		Content    string          `json:"content"`
		Components json.RawMessage `json:"components"`
	} `json:"message"`
}

// user gives who did it.
func (p payload) user() userPayload {
	switch {
	case p.Member != nil:
		return p.Member.User
	case p.User != nil:
		return *p.User
	}
	return userPayload{}
}

// label gives the label of a button on the message.
func (p payload) label(customID string) string {
	type part struct {
		CustomID   string `json:"custom_id"`
		Label      string `json:"label"`
		Components []part `json:"components"`
	}
	var rows []part
	if json.Unmarshal(p.Message.Components, &rows) != nil {
		return ""
	}
	for _, row := range rows {
		for _, c := range row.Components {
			if c.CustomID == customID {
				return c.Label
			}
		}
	}
	return ""
}

type userPayload struct {
	ID     string `json:"id"`
	Bot    bool   `json:"bot"`
	System bool   `json:"system"`
}

type memberPayload struct {
	User    userPayload `json:"user"`
	Roles   []string    `json:"roles"`
	Pending bool        `json:"pending"`
}

// member gives what of it counts; u is whose it is, which an event says elsewhere.
func (p memberPayload) member(u userPayload) member {
	return member{in: true, pending: p.Pending, automated: u.Bot || u.System, roles: p.Roles}
}

type channelPayload struct {
	ID     string `json:"id"`
	Type   int    `json:"type"`
	Guild  string `json:"guild_id"`
	Parent string `json:"parent_id"`
}

// at gives what of it counts. A channel has a parent too, its category, which is
// no place.
func (c channelPayload) at() at {
	is := at{guild: c.Guild, direct: c.Type == kindDirect}
	switch c.Type {
	case kindNewsThread, kindPublicThread, kindPrivateThread:
		is.parent = c.Parent
	}
	return is
}

// remark is a message that somebody wrote, as the gateway tells of it.
type remark struct {
	ID        string         `json:"id"`
	GuildID   string         `json:"guild_id"`
	ChannelID string         `json:"channel_id"`
	Author    userPayload    `json:"author"`
	Member    *memberPayload `json:"member"`
	Content   string         `json:"content"`
	WebhookID string         `json:"webhook_id"`
	Type      int            `json:"type"` // 0 of what people write, 19 of a reply
	Edited    *string        `json:"edited_timestamp"`
	Mentions  []userPayload  `json:"mentions"`
}

// Types of messages that people write.
const (
	plainRemark = 0
	replyRemark = 19
)

// epoch is when Discord's ids begin, in milliseconds.
const epoch = 1420070400000

// madeAt gives when Discord made an id; ok is false for none.
func madeAt(id string) (t time.Time, ok bool) {
	if !snowflake.MatchString(id) {
		return t, false
	}
	n, err := strconv.ParseUint(id, 10, 64)
	if err != nil {
		return t, false
	}
	return time.UnixMilli(int64(n>>22) + epoch), true
}
