package slackchat

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"quarterdeck/bot"
)

// askShortcut is the callback id of the shortcut on messages.
const askShortcut = "ask_quarterdeck"

// need is one thing that the bot uses of Slack, with the scopes that it takes.
type need struct {
	why    string // what the bot does with it
	method string // of the Web API, or ""
	event  string // of the Events API, or ""
	scopes []string
}

// needs is everything that the bot uses; the manifest and the check of a token's
// scopes follow from it. Reading the history of channels is not among it, and
// must not be: what is not said to the bot is none of its business.
var needs = []need{
	{why: "take slash commands and the shortcut", scopes: []string{"commands"}},
	{why: "hear mentions", event: "app_mention", scopes: []string{"app_mentions:read"}},
	{why: "hear direct messages", event: "message.im", scopes: []string{"im:history"}},
	{why: "hear that somebody was deactivated or became a guest", event: "user_change", scopes: []string{"users:read"}},
	{why: "hear that a user group changed", event: "subteam_members_changed", scopes: []string{"usergroups:read"}},
	{why: "hear that a user group changed", event: "subteam_updated", scopes: []string{"usergroups:read"}},
	{why: "show what waits and what runs", event: "app_home_opened"},
	{why: "say that Slack took the bot's rights away", event: "app_uninstalled"},
	{why: "say that Slack took the bot's rights away", event: "tokens_revoked"},
	{why: "say who it is", method: "auth.test"},
	{why: "post", method: "chat.postMessage", scopes: []string{"chat:write"}},
	{why: "answer in private", method: "chat.postEphemeral", scopes: []string{"chat:write"}},
	{why: "keep cards true", method: "chat.update", scopes: []string{"chat:write"}},
	{why: "write to people directly", method: "conversations.open", scopes: []string{"im:write"}},
	{why: "find channels, and whether outsiders are in them", method: "conversations.info", scopes: []string{"channels:read", "groups:read"}},
	{why: "find channels, and whether outsiders are in them", method: "conversations.list", scopes: []string{"channels:read", "groups:read"}},
	{why: "tell members from guests and outsiders", method: "users.info", scopes: []string{"users:read"}},
	{why: "find people", method: "users.list", scopes: []string{"users:read"}},
	{why: "find user groups", method: "usergroups.list", scopes: []string{"usergroups:read"}},
	{why: "take roles from user groups", method: "usergroups.users.list", scopes: []string{"usergroups:read"}},
	{why: "post charts and what is too long for a message", method: "files.getUploadURLExternal", scopes: []string{"files:write"}},
	{why: "post charts and what is too long for a message", method: "files.completeUploadExternal", scopes: []string{"files:write"}},
	{why: "ask for what a command lacks", method: "views.open"},
	{why: "show what waits and what runs", method: "views.publish"},
	{why: "receive without being reached from outside", method: "apps.connections.open"}, // by the app-level token
}

// scopes gives the scopes of the bot token, sorted, and what each is for.
func scopes() (names []string, why map[string]string) {
	why = map[string]string{}
	for _, n := range needs {
		for _, scope := range n.scopes {
			if why[scope] == "" {
				why[scope] = n.why
				names = append(names, scope)
			}
		}
	}
	slices.Sort(names)
	return names, why
}

// events gives the bot events, sorted.
func events() []string {
	var names []string
	for _, n := range needs {
		if n.event != "" {
			names = append(names, n.event)
		}
	}
	slices.Sort(names)
	return names
}

// The manifest's shape and limits are those of Slack's manifest schema, which a
// test holds it against.
type (
	manifest struct {
		Metadata metadata `json:"_metadata"`
		Display  display  `json:"display_information"`
		Features features `json:"features"`
		OAuth    oauth    `json:"oauth_config"`
		Settings settings `json:"settings"`
	}
	metadata struct {
		Major int `json:"major_version"`
		Minor int `json:"minor_version"`
	}
	display struct {
		Name        string `json:"name"`
		Description string `json:"description"`
		Background  string `json:"background_color"`
	}
	features struct {
		Home      home         `json:"app_home"`
		User      botUser      `json:"bot_user"`
		Shortcuts []shortcut   `json:"shortcuts"`
		Commands  []slashOfApp `json:"slash_commands"`
	}
	home struct {
		Tab      bool `json:"home_tab_enabled"`
		Messages bool `json:"messages_tab_enabled"`
		ReadOnly bool `json:"messages_tab_read_only_enabled"`
	}
	botUser struct {
		Name   string `json:"display_name"`
		Online bool   `json:"always_online"`
	}
	shortcut struct {
		Name        string `json:"name"`
		Type        string `json:"type"`
		Callback    string `json:"callback_id"`
		Description string `json:"description"`
	}
	slashOfApp struct {
		Command     string `json:"command"`
		URL         string `json:"url,omitempty"`
		Description string `json:"description"`
		Usage       string `json:"usage_hint"`
		Escape      bool   `json:"should_escape"`
	}
	oauth struct {
		Scopes struct {
			Bot []string `json:"bot"`
		} `json:"scopes"`
	}
	settings struct {
		Events struct {
			URL string   `json:"request_url,omitempty"`
			Bot []string `json:"bot_events"`
		} `json:"event_subscriptions"`
		Interactivity struct {
			Enabled bool   `json:"is_enabled"`
			URL     string `json:"request_url,omitempty"`
			Options string `json:"message_menu_options_url,omitempty"`
		} `json:"interactivity"`
		Org      bool `json:"org_deploy_enabled"`
		Socket   bool `json:"socket_mode_enabled"`
		Rotation bool `json:"token_rotation_enabled"`
	}
)

// Manifest implements bot.Manifester. Its text is YAML.
func (s *chat) Manifest(at string) (bot.Manifest, error) {
	if at != "" {
		u, err := url.Parse(at)
		if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
			return bot.Manifest{}, bot.Errorf(bot.Invalid, "%q is not where Slack can reach the bot; expected the https address of the public listener, such as \"https://ops.example.com\"", at)
		}
		at = strings.TrimSuffix(at, "/")
	}
	m := manifest{Metadata: metadata{1, 1}, Display: display{"Quarterdeck", "Runs and approves operations from chat", "#1d3557"}}
	m.Features = features{Home: home{Tab: true, Messages: true}, User: botUser{"quarterdeck", true},
		Shortcuts: []shortcut{{"Ask Quarterdeck", "message", askShortcut, "Run a command about this message"}},
		Commands:  []slashOfApp{{Command: s.config.Command, Description: "Run an operations command", Usage: "deploy shop v2 prod", Escape: true}}}
	m.OAuth.Scopes.Bot, _ = scopes()
	m.Settings.Events.Bot = events()
	m.Settings.Interactivity.Enabled = true
	m.Settings.Socket = at == ""
	if at != "" {
		m.Features.Commands[0].URL = at + "/slack/commands"
		m.Settings.Events.URL = at + "/slack/events"
		m.Settings.Interactivity.URL = at + "/slack/interactivity"
		m.Settings.Interactivity.Options = at + "/slack/interactivity"
	}
	body, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return bot.Manifest{}, fmt.Errorf("encode the manifest: %w", err)
	}
	text, err := yaml(body)
	if err != nil {
		return bot.Manifest{}, err
	}
	next := []string{
		"at https://api.slack.com/apps choose Create New App, From a manifest, your workspace, and paste it",
		"choose Install to Workspace; the Bot User OAuth Token (xoxb-...) under OAuth & Permissions is SLACK_BOT_TOKEN",
	}
	if at == "" {
		next = append(next, "under Basic Information, App-Level Tokens, generate one with the scope connections:write; it (xapp-...) is SLACK_APP_TOKEN")
	} else {
		next = append(next, "the Signing Secret under Basic Information is SLACK_SIGNING_SECRET; set mode = \"http\" in [chat.slack] and public in [listen]",
			"serve before you save the addresses: Slack asks them at once whether the bot is there")
	}
	return bot.Manifest{Text: text, JSON: body, Next: next}, nil
}

// yaml writes a JSON object as YAML in block style, keys in their order. Strings
// stay in double quotes, which mean the same in both.
func yaml(object []byte) (string, error) {
	d := json.NewDecoder(strings.NewReader(string(object)))
	d.UseNumber()
	var out strings.Builder
	if err := yamlValue(d, &out, "", false); err != nil {
		return "", fmt.Errorf("write the manifest as YAML: %w", err)
	}
	return strings.TrimPrefix(out.String(), "\n"), nil
}

// yamlValue writes the next value, which follows a key or a dash.
func yamlValue(d *json.Decoder, out *strings.Builder, indent string, item bool) error {
	token, err := d.Token()
	if err != nil {
		return err
	}
	opened, ok := token.(json.Delim)
	if !ok {
		scalar, err := json.Marshal(token)
		out.WriteString(" " + string(scalar) + "\n")
		return err
	}
	if !d.More() {
		out.WriteString(map[json.Delim]string{'{': " {}\n", '[': " []\n"}[opened])
		_, err := d.Token()
		return err
	}
	if !item {
		out.WriteString("\n")
	}
	for first := true; d.More(); first = false {
		switch {
		case item && first: // on the line of its dash
			out.WriteString(" ")
		default:
			out.WriteString(indent)
		}
		if opened == '[' {
			out.WriteString("-")
		} else {
			key, err := d.Token()
			if err != nil {
				return err
			}
			out.WriteString(fmt.Sprint(key) + ":")
		}
		if err := yamlValue(d, out, indent+"  ", opened == '['); err != nil {
			return err
		}
	}
	_, err = d.Token()
	return err
}
