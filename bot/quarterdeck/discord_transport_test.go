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

	"quarterdeck/adapters/discord/fakediscord"
	"quarterdeck/bot/app"
	"quarterdeck/bot/grammar"
	"quarterdeck/commands"
)

// TestConversationsInDiscord plays the scripts that are played in Slack with every
// person in Discord: what they ask is a slash command, with its options filled in,
// or a message that mentions the bot, delivered by the gateway or by signed HTTP,
// and what they are told is what Discord shows them.
func TestConversationsInDiscord(t *testing.T) {
	t.Parallel()
	var files []string
	for _, name := range inSlack {
		files = append(files, filepath.Join("testdata", name+".txtar"))
	}
	for _, mode := range modes("gateway", "http") {
		n := &spoken{lines: map[string]bool{}}
		chosen := &slashed{verbs: map[string]bool{}}
		t.Run(mode, func(t *testing.T) {
			testscript.Run(t, testscript.Params{Files: files, Cmds: cast(), RequireUniqueNames: true,
				Setup: func(env *testscript.Env) error {
					if err := setStage(env); err != nil {
						return err
					}
					return n.setDiscord(env, mode, chosen)
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
			t.Errorf("%s: Discord's rules were broken: %s", mode, wrong)
		}
		if n.ended < len(files) {
			continue // only some were asked for
		}
		for _, c := range commands.All(app.CommandNeeds{}) {
			if strings.HasPrefix(c.Name, "totp ") {
				continue // a form asks for the code
			}
			if !slices.ContainsFunc(slices.Collect(maps.Keys(n.lines)), func(line string) bool { return line == c.Name || strings.HasPrefix(line, c.Name+" ") }) {
				t.Errorf("by %s nobody asks for %q in Discord", mode, c.Name)
				continue
			}
			if !chosen.verbs[c.Name] {
				t.Errorf("by %s nobody uses the slash command %q", mode, c.Name)
			}
		}
	}
}

// slashed is which verbs were slash commands.
type slashed struct {
	mu    sync.Mutex
	verbs map[string]bool
}

func (s *slashed) was(verb string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.verbs[verb]
}

// inDiscordNow is the Discord of one script.
type inDiscordNow struct {
	*fakediscord.Server
	all    *spoken
	chosen *slashed
	mode   string
	said   int
	by     *grammar.Grammar
}

const scriptGuild = "500"

// discordUser gives the id of a person of the scripts.
func discordUser(who string) string { return fmt.Sprint(100 + slices.Index(people, who)) }

func (n *inDiscordNow) account(who string) string { return "discord:" + discordUser(who) }

// scriptWords are what a script's configuration names, as far as it is needed to
// tell a line that is right.
type scriptWords struct{ services, environments, persons []string }

func (w scriptWords) Services() []string           { return w.services }
func (w scriptWords) Environments(string) []string { return w.environments }
func (w scriptWords) Persons() []string            { return w.persons }

func wordsIn(config string) (w scriptWords) {
	add := func(list *[]string, s string) {
		if !slices.Contains(*list, s) {
			*list = append(*list, s)
		}
	}
	for _, m := range regexp.MustCompile(`(?m)^\[service\.([\w-]+)\.([\w-]+)\]`).FindAllStringSubmatch(config, -1) {
		add(&w.services, m[1])
		add(&w.environments, m[2])
	}
	for _, m := range regexp.MustCompile(`(?m)^\[\[person\]\]\nname = "([\w-]+)"`).FindAllStringSubmatch(config, -1) {
		add(&w.persons, m[1])
	}
	return w
}

// setDiscord gives a script's bot a Discord, in which its people have accounts
// beside those they have in the terminal.
func (s *spoken) setDiscord(env *testscript.Env, mode string, chosen *slashed) error {
	o := fakediscord.Options{}
	if dir := os.Getenv("CONTRACTS_DIR"); dir != "" {
		o.Contract = filepath.Join(dir, "discord", "openapi.json")
	}
	fake, err := fakediscord.New(o)
	if err != nil {
		return err
	}
	n := &inDiscordNow{Server: fake, all: s, mode: mode, chosen: chosen}
	env.Values[worlds{}].(map[any]any)[networks{}] = n
	env.Defer(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.wrong = append(s.wrong, fake.Wrong()...)
		s.ended++
		fake.Close()
	})
	at := func(name string) string { return filepath.Join(env.WorkDir, name) }
	if err := os.WriteFile(at("discord-bot"), []byte(fake.Options().Token), 0o600); err != nil {
		return err
	}
	raw, err := os.ReadFile(at("config.toml"))
	if err != nil {
		return err
	}
	text := strings.Replace(string(raw), "impersonate = true", "impersonate = false", 1)
	for _, who := range []string{"dev", "dev-phone", "oncall", "sre", "guest"} {
		text = strings.Replace(text, fmt.Sprintf("%q", "terminal:"+who), fmt.Sprintf("%q, %q", "terminal:"+who, n.account(who)), 1)
	}
	fake.SetGuild(fakediscord.Guild{ID: scriptGuild, Name: "Acme"})
	for _, who := range people {
		fake.SetUser(fakediscord.User{ID: discordUser(who), Name: who, Roles: map[string][]string{scriptGuild: {}}})
	}
	text = strings.Replace(text, "[chat.file]", fmt.Sprintf(`[chat.discord]
guilds = [%q]
api_url = %q
mode = %q
public_key = %q
bot_token = "file:discord-bot"
[log]
level = "debug"
[chat.file]`, scriptGuild, fake.URL(), mode, fake.PublicKey()), 1)
	if mode == "http" {
		text = strings.Replace(text, "[chat.discord]", "[listen]\npublic = \"127.0.0.1:0\"\n[chat.discord]", 1)
	}
	if n.by, err = grammar.New(commands.All(app.CommandNeeds{}), wordsIn(text)); err != nil {
		return err
	}
	return os.WriteFile(at("config.toml"), []byte(text), 0o600)
}

func (n *inDiscordNow) connected(ts *testscript.TestScript, b *served) {
	eventually(ts, "the bot is connected", func() bool {
		select {
		case <-b.ended:
			ts.Fatalf("the bot ended: %s", ts.ReadFile("bot.log"))
		default:
		}
		return n.Sessions() == 1 && len(n.Commands(scriptGuild)) > 0
	})
}

// way gives how interactions reach the bot now.
func (n *inDiscordNow) way(ts *testscript.TestScript) fakediscord.Way {
	if n.mode == "gateway" {
		return fakediscord.Way{}
	}
	var base string
	for _, m := range listening.FindAllStringSubmatch(ts.ReadFile("bot.log"), -1) {
		if m[1] == "public" {
			base = "http://" + m[2]
		}
	}
	return fakediscord.Way{HTTP: base}
}

// slash gives the verb and the options that ask for what a line does; ok is false
// where a line is not right, which nobody can choose, and where a script looks for
// it as it was typed.
func (n *inDiscordNow) slash(line string) (verb string, values map[string]string, ok bool) {
	p, err := n.by.Parse(line)
	if err != nil || p.Line != line {
		return "", nil, false
	}
	values = maps.Clone(map[string]string(p.Args))
	for name, value := range map[string]string{"reason": p.Reason, "override": p.Override, "break-glass": p.BreakGlass} {
		if value != "" {
			values[name] = value
		}
	}
	if p.DryRun {
		values["dry-run"] = "true"
	}
	return p.Command.Name, values, true
}

func (n *inDiscordNow) ask(ts *testscript.TestScript, who, line string) (said string, code int) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	n.said++
	channel := fmt.Sprint(80000 + n.said)
	n.SetChannel(fakediscord.Channel{ID: channel, Guild: scriptGuild, Name: "line"})
	n.all.mu.Lock()
	n.all.lines[line] = true
	n.all.mu.Unlock()
	before := len(n.Messages(n.DirectWith(discordUser(who))))
	eventually(ts, line+" is taken", func() bool {
		if verb, values, ok := n.slash(line); ok && (n.said%3 != 0 || !n.chosen.was(verb)) {
			if sent, err := n.Typed(ctx, n.way(ts), discordUser(who), channel, verb, values); err != nil {
				ts.Logf("%s: %v", line, err)
			} else {
				n.chosen.mu.Lock()
				n.chosen.verbs[verb] = true
				n.chosen.mu.Unlock()
				return sent.Acked && sent.Answer.Type == 5
			}
		}
		_, err := n.Say(discordUser(who), channel, fakediscord.Remark{Text: "<@" + n.Options().AppID + "> " + line})
		return err == nil && n.Sessions() == 1
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
		said = n.seen(who, channel, before)
		return !strings.Contains(said, "… the rest ") || strings.Contains(said, "the rest, part 1") || strings.Contains(said, "answer.txt") || strings.Contains(said, "run-")
	})
	return said, code
}

// seen gives what a person is shown in a channel, its threads, and since the first
// so many messages in their direct conversation.
func (n *inDiscordNow) seen(who, channel string, before int) string {
	var b strings.Builder
	shown := n.Shown(discordUser(who), channel)
	for _, m := range shown {
		if m.Thread != "" {
			shown = append(shown, n.Shown(discordUser(who), m.Thread)...)
		}
	}
	for _, m := range append(shown, n.Messages(n.DirectWith(discordUser(who)))[before:]...) {
		if m.Author == n.Options().AppID {
			fmt.Fprintln(&b, readableDiscord(m))
		}
	}
	return b.String()
}

// unescaped takes away what keeps markup from being read.
var unescaped = regexp.MustCompile(`\\([^\w\s])`)

// readableDiscord gives what a person reads of a message.
func readableDiscord(m fakediscord.Message) string {
	var b strings.Builder
	said := func(s string) {
		if strings.Contains(s, " · ") { // how a row is shown that is too wide for a phone
			s += "\n" + strings.ReplaceAll(s, " · ", " ")
		}
		if s != "" {
			fmt.Fprintln(&b, unescaped.ReplaceAllString(strings.NewReplacer("**", "", "```", "", "<http", "http").Replace(s), "$1"))
		}
	}
	said(m.Content)
	var embeds []struct {
		Title, Description string
		Footer             struct{ Text string }
		Fields             []struct{ Name, Value string }
	}
	if err := json.Unmarshal(m.Embeds, &embeds); err == nil {
		for _, e := range embeds {
			said(e.Title)
			said(e.Description)
			for _, f := range e.Fields {
				said(f.Name + " " + f.Value)
			}
			said(e.Footer.Text)
		}
	}
	for _, button := range m.Buttons() {
		said(button.Label)
	}
	for _, f := range m.Files {
		if strings.HasSuffix(f.Name, ".txt") {
			said(string(f.Data))
		}
	}
	return b.String()
}
