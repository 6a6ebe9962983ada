//go:build linux || darwin

package main

import (
	"context"
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"

	"quarterdeck/adapters/discord/fakediscord"
)

// Option types of Discord's commands.
const (
	discordText   = 3
	discordWhole  = 4
	discordSwitch = 5
)

// guildHall is the program as it is served, on a fake Discord of its own.
type guildHall struct {
	*stage
	fake *fakediscord.Server
	ctx  context.Context
	way  fakediscord.Way
	env  []string
	bot  *exec.Cmd
}

// Who is in the guild.
const (
	devThere, sreThere, eveThere = "101", "102", "103"
	opsThere, auditThere         = "611", "610"
)

// newGuildHall serves a bot in which approvals need a one-time code.
func newGuildHall(t *testing.T, overHTTP bool) *guildHall {
	t.Helper()
	s := newStage(t)
	o := fakediscord.Options{}
	if dir := os.Getenv("CONTRACTS_DIR"); dir != "" {
		o.Contract = filepath.Join(dir, "discord", "openapi.json")
	}
	fake, err := fakediscord.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(fake.Close)
	fake.SetGuild(fakediscord.Guild{ID: acme, Name: "Acme"})
	for id, name := range map[string]string{devThere: "dev", sreThere: "sre", eveThere: "eve"} {
		fake.SetUser(fakediscord.User{ID: id, Name: name, Roles: map[string][]string{acme: {}}})
	}
	fake.SetChannel(fakediscord.Channel{ID: opsThere, Guild: acme, Name: "ops"})
	fake.SetChannel(fakediscord.Channel{ID: auditThere, Guild: acme, Name: "audit"})
	g := &guildHall{stage: s, fake: fake, env: []string{"DISCORD_BOT_TOKEN=" + fake.Options().Token}}
	keys, listen := "", ""
	if overHTTP {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		keys, listen, g.way.HTTP = "mode = \"http\"\npublic_key = \""+fake.PublicKey()+"\"\n", "[listen]\npublic = \""+l.Addr().String()+"\"\n", "http://"+l.Addr().String()
		l.Close() // the bot listens there now
	}
	raw, err := os.ReadFile(s.path("config.toml"))
	if err != nil {
		t.Fatal(err)
	}
	s.write("config.toml", strings.NewReplacer(
		"impersonate = true", "impersonate = false",
		"[chat.file]\n", listen+"[chat.discord]\n"+keys+"guilds = [\""+acme+"\"]\napi_url = \""+fake.URL()+"\"\n[chat.file]\n",
		`channels = ["file:audit-channel.txt"]`, `channels = ["discord:`+auditThere+`"]`,
		`"terminal:dev", "terminal:dev-phone"`, `"discord:`+devThere+`"`,
		`accounts = ["terminal:sre"]`, `accounts = ["discord:`+sreThere+`"]`,
		`approvals = { count = 1, from = ["sre"] }`, "approvals = { count = 1, from = [\"sre\"] }\nstep_up = true").Replace(string(raw)))
	ctx, cancel := context.WithTimeout(t.Context(), crashPatience)
	t.Cleanup(cancel)
	g.ctx = ctx
	g.bot = g.serve("config.toml", "q.sock", "", g.env...)
	g.awaits("the bot's connection and commands", func() bool { return fake.Sessions() == 1 && len(fake.Commands(acme)) > 0 })
	return g
}

func (g *guildHall) awaits(what string, ok func() bool) {
	g.t.Helper()
	if err := g.fake.Until(g.ctx, what, ok); err != nil {
		log, _ := os.ReadFile(g.path("bot.log"))
		var said []string
		for _, m := range g.fake.Messages("") {
			said = append(said, readAs(m))
		}
		g.t.Fatalf("%v; there are %q\n%s", err, said, log)
	}
}

// readAs gives what a message shows, as it is read.
func readAs(m fakediscord.Message) string {
	var embeds []struct {
		Description string
		Footer      struct{ Text string }
	}
	text := m.Content
	if json.Unmarshal(m.Embeds, &embeds) == nil {
		for _, e := range embeds {
			text += "\n" + e.Description + "\n" + e.Footer.Text
		}
	}
	return strings.ReplaceAll(text, `\`, "")
}

// shows waits for a message of the bot in a channel that holds all of these words.
func (g *guildHall) shows(channel string, words ...string) (found fakediscord.Message) {
	g.t.Helper()
	g.awaits(strings.Join(words, ", "), func() bool {
		for _, m := range slices.Backward(g.fake.Messages(channel)) {
			if !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(readAs(m), w) }) {
				found = m
				return true
			}
		}
		return false
	})
	return found
}

func text(name, value string) fakediscord.Option {
	return fakediscord.Option{Name: name, Type: discordText, Value: value}
}

func (g *guildHall) slash(user, name string, options ...fakediscord.Option) fakediscord.Sent {
	g.t.Helper()
	sent, err := g.fake.Slash(g.ctx, g.way, user, opsThere, name, options...)
	if err != nil || !sent.Acked {
		log, _ := os.ReadFile(g.path("bot.log"))
		g.t.Fatalf("/%s: %+v, %v\n%s", name, sent, err, log)
	}
	return sent
}

func (g *guildHall) presses(user string, m fakediscord.Message, button string) fakediscord.Sent {
	g.t.Helper()
	sent, err := g.fake.Press(g.ctx, g.way, user, m, button)
	if err != nil || !sent.Acked {
		g.t.Fatalf("%s: %+v, %v", button, sent, err)
	}
	return sent
}

// sure presses a button that asks once more, and then the answer to that.
func (g *guildHall) sure(user string, m fakediscord.Message, button string) fakediscord.Sent {
	g.t.Helper()
	before := len(g.fake.Messages(opsThere))
	sent := g.presses(user, m, button)
	if sent.Answer.Type != 4 {
		g.t.Fatalf("%s does not ask once more: %+v", button, sent.Answer)
	}
	asked := g.fake.Messages(opsThere)[before:]
	i := slices.IndexFunc(asked, func(m fakediscord.Message) bool { return m.For == user })
	if i < 0 {
		g.t.Fatalf("%s: the question is shown to all: %+v", button, asked)
	}
	return g.presses(user, asked[i], button)
}

func (g *guildHall) submits(user string, form fakediscord.Sent, values map[string]string) fakediscord.Sent {
	g.t.Helper()
	sent, err := g.fake.Submit(g.ctx, g.way, user, opsThere, form, values)
	if err != nil || !sent.Acked {
		g.t.Fatalf("%+v, %v", sent, err)
	}
	return sent
}

// An evening in Discord with a second factor, by the gateway and by signed HTTP:
// enrolled by slash command with nobody looking, asked for in a form by the button
// and by the typed command, with what is wrong said beside a way to correct it. The
// code is nowhere afterwards.
func TestDiscordStepUp(t *testing.T) {
	for name, overHTTP := range map[string]bool{"gateway": false, "http": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newGuildHall(t, overHTTP)
			step, secret := time.Now().Unix()/30-1, ""
			var codes []string
			code := func() string {
				t.Helper()
				step++
				g.until("the next code comes", func() bool { return step <= time.Now().Unix()/30+1 })
				c, err := hotp.GenerateCodeCustom(secret, uint64(step), hotp.ValidateOpts{Digits: otp.DigitsSix})
				if err != nil {
					t.Fatal(err)
				}
				codes = append(codes, c)
				return c
			}
			sub := func(name string) fakediscord.Option { return fakediscord.Option{Name: name, Type: 1} }
			g.slash(sreThere, "totp", sub("enrol"))
			shown := g.shows(opsThere, "add this to your authenticator")
			found := regexp.MustCompile(`((?:[A-Z2-7]{4} ){7}[A-Z2-7]{4})`).FindString(readAs(shown))
			if found == "" || shown.For != sreThere {
				t.Fatalf("shown to %q: %s", shown.For, readAs(shown))
			}
			secret = strings.ReplaceAll(found, " ", "")
			form := g.slash(sreThere, "totp", sub("confirm")) // which takes no code: others would see it
			g.submits(sreThere, form, map[string]string{"code": code()})
			g.shows(opsThere, "enrolled: your codes count from now on")

			offered, _, err := g.fake.Complete(g.ctx, g.way, devThere, opsThere, "deploy", fakediscord.Option{Name: "service", Type: discordText, Value: "s", Focused: true})
			if err != nil || !slices.Equal(offered, []string{"shop"}) {
				t.Errorf("offered %q, %v", offered, err)
			}
			if offered, _, err = g.fake.Complete(g.ctx, g.way, eveThere, opsThere, "deploy", fakediscord.Option{Name: "service", Type: discordText, Value: "", Focused: true}); err != nil || len(offered) > 0 {
				t.Errorf("a stranger is offered %q, %v", offered, err)
			}
			g.slash(devThere, "deploy", text("service", "shop"), text("version", "v2"), text("environment", "prod"), text("reason", "fixes the basket"))
			g.presses(devThere, g.shows(opsThere, "#1 deploy shop v2 to prod: confirm?"), "Confirm")
			waits := g.shows(opsThere, "#1 deploy shop v2 to prod: waits for 1 approval")
			offered, _, err = g.fake.Complete(g.ctx, g.way, sreThere, opsThere, "approve", fakediscord.Option{Name: "run", Type: discordWhole, Value: "", Focused: true})
			if err != nil || !slices.Equal(offered, []string{"1"}) {
				t.Errorf("runs offered: %q, %v", offered, err)
			}
			if overHTTP { // by the typed command
				form = g.slash(sreThere, "approve", fakediscord.Option{Name: "run", Type: discordWhole, Value: 1})
			} else {
				form = g.sure(sreThere, waits, "Approve")
			}
			// Sent empty it is not used up: what is wrong is said, and it opens again.
			empty := g.submits(sreThere, form, map[string]string{"code": " "})
			if empty.Answer.Type != 4 || !strings.Contains(string(empty.Answer.Data), "the code is missing") {
				t.Errorf("an empty code: %d %s", empty.Answer.Type, empty.Answer.Data)
			}
			form = g.presses(sreThere, g.shows(opsThere, "the code is missing"), "Correct it")
			g.submits(sreThere, form, map[string]string{"code": code()})
			g.shows(opsThere, "#1 deploy shop v2 to prod: done", "approved by sre (totp)")
			g.slash(devThere, "deploy", text("service", "shop"), text("version", "v3"), text("environment", "prod"), fakediscord.Option{Name: "dry-run", Type: discordSwitch, Value: true})
			g.shows(opsThere, "dry run, nothing was done: deploy shop v3 to prod")

			// The command on a message asks what should be done, in a form too, and answers
			// in the message's thread.
			said, err := g.fake.Say(devThere, opsThere, fakediscord.Remark{Text: "what is going on?"})
			if err != nil {
				t.Fatal(err)
			}
			form, err = g.fake.On(g.ctx, g.way, devThere, "Ask Quarterdeck", said)
			if err != nil || !form.Acked {
				t.Fatalf("%+v, %v", form, err)
			}
			wrong := g.submits(devThere, form, map[string]string{"line": "statsu"})
			if !strings.Contains(string(wrong.Answer.Data), `did you mean \"status\"?`) {
				t.Errorf("a wrong line: %d %s", wrong.Answer.Type, wrong.Answer.Data)
			}
			form = g.presses(devThere, g.shows(opsThere, "did you mean"), "Correct it")
			g.submits(devThere, form, map[string]string{"line": "status shop"})
			g.shows("", "what is live", "shop/prod")

			if err := g.bot.Process.Signal(os.Interrupt); err != nil {
				t.Fatal(err)
			}
			_ = g.bot.Wait() // by a signal
			for _, wrong := range g.fake.Wrong() {
				t.Errorf("Discord's rules were broken: %s", wrong)
			}
			if out, err := exec.Command(g.bin, "audit", "verify", "--config", g.path("config.toml")).CombinedOutput(); err != nil {
				t.Errorf("%v: %s", err, out)
			}
			for _, name := range []string{"bot.log", "quarterdeck.db", "quarterdeck.db-wal"} {
				kept, err := os.ReadFile(g.path(name))
				if err != nil && name == "bot.log" {
					t.Fatal(err)
				}
				for _, hidden := range append([]string{g.fake.Options().Token, "interaction-token-"}, secret, found) {
					if strings.Contains(string(kept), hidden) {
						t.Errorf("%s holds %q", name, hidden)
					}
				}
				for _, c := range codes {
					if regexp.MustCompile(`(^|[^0-9a-f])` + c + `($|[^0-9a-f])`).Match(kept) {
						t.Errorf("%s holds the code %s", name, c)
					}
				}
			}
		})
	}
}
