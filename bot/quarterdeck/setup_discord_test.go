//go:build linux || darwin

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"quarterdeck/adapters/discord/fakediscord"
	"quarterdeck/bot/app"
)

// The people and places of a fake Discord.
const (
	acme, acmeAudit, acmeOps   = "500", "610", "611"
	ada, bob, robot, sreInAcme = "201", "202", "203", "310"
)

// discordTown is a fake Discord with people, channels and roles. The bot can post to
// the audit channel and to ops.
func discordTown(t *testing.T, o fakediscord.Options) *fakediscord.Server {
	t.Helper()
	if dir := os.Getenv("CONTRACTS_DIR"); dir != "" {
		o.Contract = filepath.Join(dir, "discord", "openapi.json")
	}
	fake, err := fakediscord.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		fake.Close()
		for _, wrong := range fake.Wrong() {
			t.Errorf("Discord's rules were broken: %s", wrong)
		}
	})
	fake.SetGuild(fakediscord.Guild{ID: acme, Name: "Acme", Owner: ada, Roles: []fakediscord.Role{{ID: sreInAcme, Name: "sre"}}})
	in := map[string][]string{acme: nil}
	fake.SetUser(fakediscord.User{ID: ada, Name: "ada", Roles: in})
	fake.SetUser(fakediscord.User{ID: bob, Name: "bob", Roles: map[string][]string{acme: {sreInAcme}}})
	fake.SetUser(fakediscord.User{ID: robot, Name: "robot", Bot: true, Roles: in})
	fake.SetChannel(fakediscord.Channel{ID: acmeAudit, Guild: acme, Name: "ops-audit"})
	fake.SetChannel(fakediscord.Channel{ID: acmeOps, Guild: acme, Name: "ops"})
	return fake
}

// TestReadmeConnectDiscord does what the README says, line by line; only the token
// and Discord's address are put in.
func TestReadmeConnectDiscord(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	fake := discordTown(t, fakediscord.Options{})
	token := fake.Options().Token
	if err := os.Symlink(s.bin, s.path("quarterdeck")); err != nil {
		t.Fatal(err)
	}
	env := append(os.Environ(), "QUARTERDECK_SET=api_url="+fake.URL())
	ctx, cancel := context.WithTimeout(t.Context(), crashPatience)
	defer cancel()
	ran := map[string]int{}
	for _, line := range section(t, "Connect Discord") {
		if line == "" {
			continue
		}
		first, _, _ := strings.Cut(line, " ")
		ran[first[:1]]++
		switch {
		case first == "export":
			assignment, _, _ := strings.Cut(strings.TrimPrefix(line, "export "), " ")
			env = append(env, strings.Replace(assignment, "...", token, 1))
		case strings.Contains(line, " serve "):
			log, err := os.Create(s.path("bot.log"))
			if err != nil {
				t.Fatal(err)
			}
			served := exec.Command("/bin/sh", "-c", "exec "+line)
			served.Dir, served.Env, served.Stdout, served.Stderr = s.dir, env, log, log
			if err := served.Start(); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				_ = served.Process.Signal(os.Interrupt) // it may have ended
				_ = served.Wait()
				log.Close()
			})
			if err := fake.Until(ctx, "the bot's connection and commands", func() bool { return fake.Sessions() == 1 && len(fake.Commands(acme)) > 0 }); err != nil {
				out, _ := os.ReadFile(s.path("bot.log"))
				t.Fatalf("%v\n%s", err, out)
			}
		case first == "./quarterdeck":
			out, err := sh(ctx, s.dir, env, line)
			if err != nil {
				t.Fatalf("%s: %v\n%s", line, err, out)
			}
			if strings.Contains(out, token) {
				t.Errorf("%s prints the token", line)
			}
		case strings.HasPrefix(line, "/"):
			if sent, err := fake.Slash(ctx, fakediscord.Way{}, ada, acmeOps, strings.TrimPrefix(line, "/")); err != nil || !sent.Acked {
				t.Fatalf("%s: %+v, %v", line, sent, err)
			}
		case first == "@quarterdeck":
			if _, err := fake.Say(ada, acmeOps, fakediscord.Remark{Text: "<@" + fake.Options().AppID + "> " + strings.TrimPrefix(line, "@quarterdeck ")}); err != nil {
				t.Fatalf("%s: %v", line, err)
			}
		default:
			t.Errorf("the README has a line that this test does not know: %s", line)
		}
	}
	if ran["."] < 6 || ran["e"] != 1 || ran["/"] < 2 || ran["@"] == 0 {
		t.Errorf("the README shows too little: %v", ran)
	}
	shows := func(channel string, words ...string) bool {
		for _, m := range fake.Shown(ada, channel) {
			text, all := m.Content+string(m.Embeds), true
			for _, w := range words {
				all = all && strings.Contains(text, w)
			}
			if all {
				return true
			}
		}
		return false
	}
	for _, words := range [][]string{{"deploy SERVICE VERSION"}, {"you are me", "developer"}, {"what is live", "shop"}} {
		if err := fake.Until(ctx, strings.Join(words, " "), func() bool { return shows(acmeOps, words...) }); err != nil {
			t.Errorf("%v; there are %+v", err, fake.Shown(ada, acmeOps))
		}
	}
	if err := fake.Until(ctx, "the test message of check --post", func() bool { return shows(acmeAudit, "A test message") }); err != nil {
		t.Error(err)
	}
}

// What init discord writes loads as it is, holds ids with names beside them, gives
// nobody but its writer a right, and survives whatever people are called.
func TestInitDiscord(t *testing.T) {
	t.Parallel()
	fake := discordTown(t, fakediscord.Options{})
	fake.SetUser(fakediscord.User{ID: "204", Name: "eve\"\n[[grant]]\nroles = [\"sre\"]\u202e\x07", Roles: map[string][]string{acme: nil}})
	fake.SetGuild(fakediscord.Guild{ID: acme, Name: "Acme\n[audit]", Owner: ada, Roles: []fakediscord.Role{{ID: sreInAcme, Name: "sre"}, {ID: "311", Name: "developer"}, {ID: "312", Name: "quarterdeck", Managed: true}}})
	bin, err := built()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	env := append(os.Environ(), "DISCORD_BOT_TOKEN="+fake.Options().Token)
	initDiscord := func(args string) (string, error) {
		return sh(t.Context(), dir, env, bin+" init discord "+args+" --set api_url="+fake.URL())
	}
	for i, name := range []string{"team.toml", "few.toml"} {
		listed := i == 0
		if !listed { // as it is without a privileged intent
			fake.Fail("GET /guilds/{guild_id}/members", fakediscord.Outage{Status: 403, Code: 50001})
		}
		out, err := initDiscord(name + " --me @Ada")
		if err != nil || !strings.Contains(out, "2 channels, 2 groups") || !strings.Contains(out, "audit channel: #ops-audit") {
			t.Fatalf("%v: %s", err, out)
		}
		raw, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		text := string(raw)
		c, err := app.Load(filepath.Join(dir, name), tables())
		if err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
		a, err := app.New(c, tables(), app.Options{})
		if err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
		wants := []string{`guilds = ["500"]`, `accounts = ["os:` + fmt.Sprint(os.Getuid()) + `", "discord:201"] # ada`, `groups = ["discord-role:500/310"] # @sre`, `channels = ["discord:610"]           # #ops-audit`,
			`# "discord:611"  #ops: the bot can post there`, `name = "developer-311"`}
		if listed {
			wants = append(wants, `accounts = ["discord:202"] # bob`, "# Left out: bots: 2")
		} else {
			wants = append(wants, "Server Members intent")
		}
		for _, want := range wants {
			if !strings.Contains(text, want) {
				t.Errorf("%s: no %q in\n%.3000s", name, want, text)
			}
		}
		if strings.ContainsAny(text, "\u202e\x07") || strings.Contains(text, "312") {
			t.Errorf("%s: a bot's role, or what cannot be seen, is in it", name)
		}
		if len(c.Grants) != 3 || len(c.Audit.Channels) != 1 {
			t.Errorf("%d grants, audit %q: names became rules", len(c.Grants), c.Audit.Channels)
		}
		for _, p := range c.People {
			if (len(p.Roles) > 0) != (p.Name == "me") {
				t.Errorf("%s holds %q", p.Name, p.Roles)
			}
		}
		if says, err := a.Explain(t.Context(), "discord:"+ada, "deploy shop v1 staging"); err != nil || !strings.Contains(says, "may") {
			t.Errorf("whoever wrote it: %s, %v", says, err)
		}
	}
	for args, says := range map[string]string{"other.toml --me nobody": `no full member is called "nobody"`, "other.toml --me robot": `no full member is called "robot"`} {
		if out, err := initDiscord(args); err == nil || !strings.Contains(out, says) {
			t.Errorf("%s: %v, %s", args, err, out)
		}
	}
	if out, err := initDiscord("byid.toml --me " + bob); err != nil {
		t.Errorf("by id: %v, %s", err, out)
	}
}
