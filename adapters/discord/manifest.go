package discordchat

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"quarterdeck/bot"
)

// need is one permission that the bot uses in a guild, and what for.
type need struct {
	bit  int64 // docs.discord.com/developers/topics/permissions
	name string
	why  string
}

// needs is everything that the bot uses; the invite link and the check of what it
// was given follow from it. Administrator, and mentioning everybody, are not among
// it and must not be.
var needs = []need{
	{1 << 10, "View Channels", "see the channels that it posts to"},
	{1 << 11, "Send Messages", "post"},
	{1 << 14, "Embed Links", "show cards"},
	{1 << 15, "Attach Files", "post charts and what is too long for a message"},
	{1 << 16, "Read Message History", "answer in reply to a message"},
	{1 << 35, "Create Public Threads", "put what follows a card into its thread"},
	{1 << 38, "Send Messages in Threads", "put what follows a card into its thread"},
}

// administrator is the permission that includes every other.
const administrator = 1 << 3

// needed gives all permissions that the bot uses.
func needed() (bits int64) {
	for _, n := range needs {
		bits |= n.bit
	}
	return bits
}

// inviteURL is where somebody who manages a guild lets the bot into it.
func inviteURL(application string) string {
	q := url.Values{"client_id": {application}, "scope": {"bot applications.commands"}, "permissions": {strconv.FormatInt(needed(), 10)}, "integration_type": {"0"}}
	return "https://discord.com/oauth2/authorize?" + q.Encode()
}

// applicationOf gives the id of the application that a bot token is of, which
// stands in it, "" where it is none.
func applicationOf(token string) string {
	first, _, _ := strings.Cut(token, ".")
	raw, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(first, "="))
	if err != nil || !snowflake.Match(raw) {
		return ""
	}
	return string(raw)
}

// manifest is what an application needs, for programs.
type manifest struct {
	Application string   `json:"application,omitempty"`
	Invite      string   `json:"invite"`
	Permissions []string `json:"permissions"`
	Bits        string   `json:"permission_bits"`
	Scopes      []string `json:"scopes"`
	Intents     []string `json:"privileged_intents"` // none
	Public      bool     `json:"public_bot"`
	Endpoint    string   `json:"interactions_endpoint_url,omitempty"`
}

// Manifest implements bot.Manifester. Discord takes no description of an
// application: the text is the link that invites the bot with the least
// permissions, and the rest is ticked.
func (s *chat) Manifest(at string) (bot.Manifest, error) {
	if at != "" {
		u, err := url.Parse(at)
		if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
			return bot.Manifest{}, bot.Errorf(bot.Invalid, "%q is not where Discord can reach the bot; expected the https address of the public listener, such as \"https://ops.example.com\"", at)
		}
		at = strings.TrimSuffix(at, "/")
	}
	application := s.config.Application
	if token, err := s.botToken.Value(); application == "" && err == nil {
		application = applicationOf(token)
	}
	m := manifest{Application: application, Invite: inviteURL(orElse(application, "APPLICATION_ID")), Bits: strconv.FormatInt(needed(), 10), Scopes: []string{"bot", "applications.commands"}, Intents: []string{}}
	for _, n := range needs {
		m.Permissions = append(m.Permissions, n.name)
	}
	next := []string{
		"at https://discord.com/developers/applications choose New Application",
		"under Installation set Install Link to None; under Bot untick Public Bot, and leave all Privileged Gateway Intents off",
		"under Bot choose Reset Token; the token is DISCORD_BOT_TOKEN",
	}
	if at != "" {
		m.Endpoint = at + "/discord/interactions"
		next = append(next, "the Public Key under General Information is public_key in [chat.discord]; set mode = \"http\" there and public in [listen]",
			fmt.Sprintf("serve, and then save %s as Interactions Endpoint URL under General Information: Discord asks at once whether the bot is there", m.Endpoint))
	}
	if application == "" {
		next = append(next, "in the link put the Application ID, which is under General Information, in the place of APPLICATION_ID; with DISCORD_BOT_TOKEN set, this command does it")
	}
	next = append(next, "open the link and choose your server; it asks for: "+strings.Join(m.Permissions, ", "))
	body, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return bot.Manifest{}, fmt.Errorf("encode the manifest: %w", err)
	}
	return bot.Manifest{Text: m.Invite + "\n", JSON: body, Next: next}, nil
}
