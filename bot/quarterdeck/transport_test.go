//go:build linux || darwin

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"quarterdeck/adapters/slack/fakeslack"
	"quarterdeck/bot/app"
	"quarterdeck/commands"
)

// inSlack are the terminal's scripts that are played in Slack as well, by each
// way in which it delivers. Those that are left out are about the terminal, the
// command line or the database alone. Every command is in one of them.
var inSlack = []string{"everyday", "action", "glass", "scale", "evidence", "expired", "order", "rescue", "refused", "digest", "pages", "metrics-anywhere", "flags", "backups", "logs"}

// modes are the ways in which a network delivers: all of them where everything is
// tested, else the first.
func modes(list ...string) []string {
	if all() {
		return list
	}
	return list[:1]
}

// TestConversationsInSlack plays scripts of the terminal with every person in
// Slack: what they type is delivered by Socket Mode or by signed HTTP, and what
// they are told is what Slack shows them.
func TestConversationsInSlack(t *testing.T) {
	t.Parallel()
	var files []string
	for _, name := range inSlack {
		files = append(files, filepath.Join("testdata", name+".txtar"))
	}
	for _, mode := range modes("socket", "http") {
		n := &spoken{lines: map[string]bool{}}
		t.Run(mode, func(t *testing.T) {
			testscript.Run(t, testscript.Params{Files: files, Cmds: cast(), RequireUniqueNames: true,
				Setup: func(env *testscript.Env) error {
					if err := setStage(env); err != nil {
						return err
					}
					return n.setSlack(env, mode)
				},
				Condition: func(name string) (bool, error) {
					if name == "terminal" {
						return false, nil
					}
					if name == "sqlite" || name == "postgres" {
						return name == "sqlite", nil
					}
					return condition(name)
				}})
		})
		for _, wrong := range n.wrong {
			t.Errorf("%s: Slack's rules were broken: %s", mode, wrong)
		}
		if n.ended < len(files) {
			continue // only some were asked for
		}
		for _, c := range commands.All(app.CommandNeeds{}) {
			if strings.HasPrefix(c.Name, "totp ") {
				continue // TestSlackStepUp types them
			}
			if !slices.ContainsFunc(slices.Collect(maps.Keys(n.lines)), func(line string) bool { return line == c.Name || strings.HasPrefix(line, c.Name+" ") }) {
				t.Errorf("by %s nobody types %q in Slack", mode, c.Name)
			}
		}
	}
}

// people are those of the scripts; the last two are nobody's.
var people = []string{"dev", "dev-phone", "oncall", "sre", "guest", "newcomer", "attacker"}

// spoken is what was typed in the scripts of one transport.
type spoken struct {
	mu    sync.Mutex
	lines map[string]bool
	wrong []string
	ended int
}

// network is where the people of one script are.
type network interface {
	// ask has a person type a line in a channel of its own, waits until the answer
	// there is complete or waits for a person, and gives what they are shown of it
	// and the exit code that the same line has in the terminal.
	ask(ts *testscript.TestScript, who, line string) (said string, code int)
	// connected waits until the bot receives.
	connected(ts *testscript.TestScript, b *served)
	// account gives the account of a person there.
	account(who string) string
}

// inSlackNow is the Slack of one script.
type inSlackNow struct {
	*fakeslack.Server
	all  *spoken
	mode string
	said int
}

type networks struct{}

func networkOf(ts *testscript.TestScript) network {
	n, _ := world(ts)[networks{}].(network)
	return n
}

// slackUser gives the id of a person of the scripts.
func slackUser(who string) string { return "U" + strings.ToUpper(strings.ReplaceAll(who, "-", "")) }

// setSlack gives a script's bot a Slack, in which its people have accounts
// beside those they have in the terminal.
func (s *spoken) setSlack(env *testscript.Env, mode string) error {
	fake, err := fakeslack.New(fakeslack.Options{})
	if err != nil {
		return err
	}
	n := &inSlackNow{Server: fake, all: s, mode: mode}
	env.Values[worlds{}].(map[any]any)[networks{}] = n
	env.Defer(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.wrong = append(s.wrong, fake.Wrong()...)
		s.ended++
		fake.Close()
	})
	o := fake.Options()
	at := func(name string) string { return filepath.Join(env.WorkDir, name) }
	for name, secret := range map[string]string{"slack-bot": o.BotToken, "slack-app": o.AppToken, "slack-signing": o.SigningSecret} {
		if err := os.WriteFile(at(name), []byte(secret), 0o600); err != nil {
			return err
		}
	}
	raw, err := os.ReadFile(at("config.toml"))
	if err != nil {
		return err
	}
	text := strings.Replace(string(raw), "impersonate = true", "impersonate = false", 1)
	for _, who := range []string{"dev", "dev-phone", "oncall", "sre", "guest"} {
		text = strings.Replace(text, fmt.Sprintf("%q", "terminal:"+who), fmt.Sprintf("%q, %q", "terminal:"+who, "slack:T1/"+slackUser(who)), 1)
	}
	for _, who := range people {
		fake.SetUser(fakeslack.User{ID: slackUser(who), Name: who})
	}
	text = strings.Replace(text, "[chat.file]", fmt.Sprintf(`[chat.slack]
teams = ["T1"]
api_url = %q
mode = %q
bot_token = "file:slack-bot"
app_token = "file:slack-app"
signing_secret = "file:slack-signing"
[log]
level = "debug"
[chat.file]`, fake.URL(), mode), 1)
	if mode == "http" {
		text = strings.Replace(text, "[chat.slack]", "[listen]\npublic = \"127.0.0.1:0\"\n[chat.slack]", 1)
	}
	return os.WriteFile(at("config.toml"), []byte(text), 0o600)
}

// inNetwork gives the text that a script looks for as it is in the network: an
// account of the terminal is another there.
func inNetwork(ts *testscript.TestScript, text string) string {
	n := networkOf(ts)
	if n == nil {
		return text
	}
	return regexp.MustCompile(`\bterminal:([a-z-]+)`).ReplaceAllStringFunc(text, func(account string) string {
		return n.account(strings.TrimPrefix(account, "terminal:"))
	})
}

func (n *inSlackNow) account(who string) string { return "slack:T1/" + slackUser(who) }

func (n *inSlackNow) connected(ts *testscript.TestScript, b *served) {
	eventually(ts, "the bot is connected", func() bool {
		select {
		case <-b.ended:
			ts.Fatalf("the bot ended: %s", ts.ReadFile("bot.log"))
		default:
		}
		return n.mode == "http" || n.Sockets() == 2
	})
}

// way gives how payloads reach the bot now.
func (n *inSlackNow) way(ts *testscript.TestScript) fakeslack.Way {
	if n.mode == "socket" {
		return fakeslack.Way{}
	}
	var base string
	for _, m := range listening.FindAllStringSubmatch(ts.ReadFile("bot.log"), -1) {
		if m[1] == "public" {
			base = "http://" + m[2]
		}
	}
	return fakeslack.Way{HTTP: base}
}

// answered finds in the bot's log that a card was delivered to a channel.
var answered = regexp.MustCompile(`msg="a card was delivered" channel=(?:slack|discord):(\w+) .* phase=(\S+) outcome=(\S+) state=`)

func (n *inSlackNow) ask(ts *testscript.TestScript, who, line string) (said string, code int) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	n.said++
	channel := fmt.Sprintf("CLINE%d", n.said)
	members := []string{n.Options().BotUser}
	for _, p := range people {
		members = append(members, slackUser(p))
	}
	n.SetChannel(fakeslack.Channel{ID: channel, Members: members})
	n.all.mu.Lock()
	n.all.lines[line] = true
	n.all.mu.Unlock()
	eventually(ts, line+" is taken", func() bool {
		sent, err := n.Line(ctx, n.way(ts), slackUser(who), channel, line)
		return err == nil && sent.Acked && len(sent.Answer) == 0
	})
	eventually(ts, "an answer to "+line, func() bool {
		code = -1
		for _, m := range answered.FindAllStringSubmatch(ts.ReadFile("bot.log"), -1) {
			if m[1] == channel && (code <= 0 || m[3] != `""`) { // the rest of an answer has no outcome
				code = exitOf(m[2], m[3])
			}
		}
		return code >= 0
	})
	// What the answer's own message has no room for follows, and is waited for.
	eventually(ts, "the rest of the answer to "+line, func() bool {
		var b strings.Builder
		messages := n.Messages(channel)
		for _, m := range messages {
			fmt.Fprintln(&b, readable(m))
		}
		files := 0
		for _, f := range n.Files() {
			if f.Channel == channel {
				fmt.Fprintf(&b, "%s\n", f.Data)
				files++
			}
		}
		said = b.String()
		return !strings.Contains(said, "… the rest ") || len(messages)+files > 1
	})
	return said, code
}

// speakIn has a person type a line and checks how it ended.
func speakIn(n network, ts *testscript.TestScript, neg bool, want int, who, line string) {
	said, code := n.ask(ts, who, line)
	fmt.Fprint(ts.Stdout(), said)
	if (code == want) == neg {
		ts.Fatalf("%s %s ended with %d; expected %d (not: %v):\n%s", who, line, code, want, neg, said)
	}
}

// awaitIn repeats a reading line until the answer holds a text.
func awaitIn(n network, ts *testscript.TestScript, text, who, line string) {
	var said string
	eventually(ts, fmt.Sprintf("%q", text), func() bool {
		said, _ = n.ask(ts, who, line)
		return strings.Contains(flat(said), text)
	})
	fmt.Fprint(ts.Stdout(), said)
}

// exitOf gives the exit code of a line whose card is so, -1 while it is under
// way.
func exitOf(phase, outcome string) int {
	switch phase {
	case "working":
		return -1
	case "waiting":
		return 4
	}
	code, known := map[string]int{"ok": 0, `""`: 0, "failed": 1, "invalid": 2, "denied": 3, "waiting": 4, "unknown": 5}[outcome]
	if !known {
		return -1
	}
	return code
}

// readable gives what a person reads of a message.
func readable(m fakeslack.Message) string {
	var blocks any
	if json.Unmarshal(m.Blocks, &blocks) != nil {
		return m.Text
	}
	var b strings.Builder
	read(&b, blocks)
	return strings.NewReplacer("&lt;", "<", "&gt;", ">", "&amp;", "&").Replace(b.String())
}

// read writes the texts of blocks in the order in which they are shown.
func read(b *strings.Builder, v any) {
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			read(b, e)
		}
	case map[string]any:
		if text, is := v["text"].(string); is {
			if v["type"] == "mrkdwn" {
				text = strings.ReplaceAll(text, "*", "")
			}
			b.WriteString(text)
		}
		for _, name := range []string{"text", "fields", "elements", "rows", "accessory", "url"} {
			read(b, v[name])
		}
		if kind, _ := v["type"].(string); kind != "text" && kind != "emoji" {
			b.WriteByte('\n')
		}
	}
}
