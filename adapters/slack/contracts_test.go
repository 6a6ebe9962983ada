package slackchat

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"quarterdeck/bot"
)

// ignored says why nothing comes in of a sample that Slack documents.
var ignored = map[string]string{
	"MessageChanged":         "an edit, or an unfurl",
	"MessageDeleted":         "nothing is said by it",
	"MessageBot":             "a bot's",
	"MessageMe":              "an action, not a line",
	"MessageThreadBroadcast": "a copy of what was said in a thread",
	"MessageEkmAccessDenied": "its text is hidden from the bot",
	"UserChange":             "it has the person asked about anew",
	"SubteamUpdated":         "it has the group asked about anew",
	"SubteamMembersChanged":  "it has the group asked about anew",
	"AppHomeOpened":          "nothing is said by it",
	"AppRateLimited":         "it is logged",
	"AppUninstalled":         "it is an alarm",
	"TokensRevoked":          "it is an alarm",
	"ViewClosed":             "nothing is said by it",
	"ViewSubmission":         "the sample's form is nobody's",
	"MessageShortcut":        "the sample's shortcut is nobody's",
	"BlockAction":            "the sample's button is nobody's",
}

// Every payload that Slack's own descriptions hold is read, and comes in or is
// ignored on purpose. Their values are scrubbed; those by which a payload is
// told apart are filled in.
func TestSamples(t *testing.T) {
	dir := contracts(t)
	if dir == "" {
		t.Skip("the vendor's samples are not laid beside the project")
	}
	seen := 0
	for folder, kind := range map[string]string{"events": kindEvents, "interactive": kindInteractive} {
		files, err := filepath.Glob(filepath.Join(dir, folder, "*.json"))
		if err != nil || len(files) == 0 {
			t.Fatalf("%d samples, %v", len(files), err)
		}
		for _, file := range files {
			name := strings.TrimSuffix(filepath.Base(file), "Payload.json")
			t.Run(name, func(t *testing.T) {
				kind := kind
				if name == "SlashCommand" {
					kind = kindCommand
				}
				raw, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				s, err := open(bot.ChatOptions{Raw: table{Config{Teams: []string{"T1"}}}, Clock: bot.SystemClock{}})
				if err != nil {
					t.Fatal(err)
				}
				s.ownID = "UBOT"
				for _, payload := range [][]byte{raw, filled(t, raw)} {
					p, ours, err := s.decode(kind, payload)
					switch {
					case err != nil:
						t.Errorf("cannot be read: %v", err)
					case ours && ignored[name] != "":
						t.Errorf("comes in as %+v, though it is %s", p, ignored[name])
					}
				}
				if n := s.tally.unreadable.Load(); n != 0 {
					t.Errorf("counted as unreadable %d times", n)
				}
				p, ours, _ := s.decode(kind, filled(t, raw))
				if !ours && ignored[name] == "" {
					t.Errorf("does not come in, and nothing says why: %+v", p)
				}
				if ours && (p.user != "U1" || p.team != "T1" || p.id == "") {
					t.Errorf("comes in as %+v", p)
				}
			})
			seen++
		}
	}
	if seen < 21 {
		t.Errorf("%d samples", seen)
	}
}

// filled gives a scrubbed sample with the ids that its kind always has.
func filled(t *testing.T, raw []byte) []byte {
	t.Helper()
	var payload map[string]any
	if err := json.Unmarshal(raw, &payload); err != nil {
		t.Fatal(err)
	}
	set := func(in map[string]any, name string, value any) {
		if _, there := in[name]; there {
			in[name] = value
		}
	}
	for _, p := range []map[string]any{{"event_id": "Ev1"}, {"team_id": "T1"}, {"user_id": "U1"}, {"trigger_id": "1.2.3"}, {"command": "/ops"}, {"text": "status"}} {
		for name, value := range p {
			set(payload, name, value)
		}
	}
	for _, name := range []string{"user", "team"} {
		if in, ok := payload[name].(map[string]any); ok {
			set(in, "id", map[string]string{"user": "U1", "team": "T1"}[name])
			set(in, "team_id", "T1")
		}
	}
	if e, ok := payload["event"].(map[string]any); ok {
		for name, value := range map[string]any{"user": "U1", "text": "status", "channel": "D1", "channel_type": "im", "team": "T1", "user_team": "T1", "source_team": "T1", "bot_id": ""} {
			if _, isText := e[name].(string); isText {
				e[name] = value
			}
		}
		if e["type"] == "message" && e["subtype"] == nil {
			e["channel_type"] = "im"
		}
	}
	filled, err := json.Marshal(payload)
	if err != nil {
		t.Fatal(err)
	}
	return filled
}
