//go:build linux || darwin

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"quarterdeck/adapters/slack/fakeslack"
	"quarterdeck/bot"
	"quarterdeck/bot/app"
)

// section gives the lines of code of one section of the README.
func section(t *testing.T, title string) []string {
	t.Helper()
	raw, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(raw), "\n### "+title+"\n")
	if !found {
		t.Fatalf("the README has no section %q", title)
	}
	rest, _, _ = strings.Cut(rest, "\n## ")
	rest, _, _ = strings.Cut(rest, "\n### ")
	var lines []string
	for _, block := range regexp.MustCompile("(?ms)^```([a-z]*)\n(.*?)^```$").FindAllStringSubmatch(rest, -1) {
		if block[1] != "" { // a piece of configuration
			continue
		}
		for line := range strings.Lines(block[2]) {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return lines
}

// slackTown is a fake Slack with people, channels and groups. The bot is in the
// audit channel and in ops.
func slackTown(t *testing.T, o fakeslack.Options) *fakeslack.Server {
	t.Helper()
	fake, err := fakeslack.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		fake.Close()
		for _, wrong := range fake.Wrong() {
			t.Errorf("Slack's rules were broken: %s", wrong)
		}
	})
	for id, name := range map[string]string{"UADA": "ada", "UBOB": "bob", "UDEV": "dev", "USRE": "sre"} {
		fake.SetUser(fakeslack.User{ID: id, Name: name})
	}
	fake.SetUser(fakeslack.User{ID: "UGUEST", Name: "gus", Kind: fakeslack.Guest})
	fake.SetChannel(fakeslack.Channel{ID: "CAUDIT", Name: "ops-audit", Members: []string{"UBOT", "UADA", "USRE"}})
	fake.SetChannel(fakeslack.Channel{ID: "COPS", Name: "ops", Members: []string{"UBOT", "UADA", "UBOB", "UDEV", "USRE", "UGUEST"}})
	fake.SetGroup(fakeslack.Group{ID: "S0SRE", Handle: "sre", Users: []string{"USRE", "UGUEST"}})
	return fake
}

// TestReadmeConnectSlack does what the README says, line by line, with a Slack
// that gives no more than the manifest asks for; only the tokens and Slack's
// address are put in.
func TestReadmeConnectSlack(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	made, err := setUp("slack", "")
	if err != nil {
		t.Fatal(err)
	}
	told, err := made.(bot.Manifester).Manifest("")
	if err != nil {
		t.Fatal(err)
	}
	var asks struct {
		OAuth struct {
			Scopes struct{ Bot []string }
		} `json:"oauth_config"`
		Settings struct {
			Events struct {
				Bot []string `json:"bot_events"`
			} `json:"event_subscriptions"`
		}
		Features struct {
			Commands []struct{ Command string } `json:"slash_commands"`
		}
	}
	if err := json.Unmarshal(told.JSON, &asks); err != nil {
		t.Fatal(err)
	}
	fake := slackTown(t, fakeslack.Options{Scopes: asks.OAuth.Scopes.Bot, Events: asks.Settings.Events.Bot, Command: asks.Features.Commands[0].Command})
	o := fake.Options()
	if err := os.Symlink(s.bin, s.path("quarterdeck")); err != nil {
		t.Fatal(err)
	}
	env := append(os.Environ(), "QUARTERDECK_SET=api_url="+fake.URL())
	ctx, cancel := context.WithTimeout(t.Context(), crashPatience)
	defer cancel()
	ran := map[string]int{}
	for _, line := range section(t, "Connect Slack") {
		first, _, _ := strings.Cut(line, " ")
		ran[first]++
		switch {
		case first == "export":
			assignment, _, _ := strings.Cut(strings.TrimPrefix(line, "export "), " ")
			env = append(env, strings.NewReplacer("xoxb-...", o.BotToken, "xapp-...", o.AppToken).Replace(assignment))
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
			if err := fake.Until(ctx, "the bot's sockets", func() bool { return fake.Sockets() == 2 }); err != nil {
				out, _ := os.ReadFile(s.path("bot.log"))
				t.Fatalf("%v\n%s", err, out)
			}
		case first == "./quarterdeck":
			out, err := sh(ctx, s.dir, env, line)
			if err != nil {
				t.Fatalf("%s: %v\n%s", line, err, out)
			}
			for _, secret := range []string{o.BotToken, o.AppToken} {
				if strings.Contains(out, secret) {
					t.Errorf("%s prints a token", line)
				}
			}
		case strings.HasPrefix(line, o.Command+" "):
			if sent, err := fake.Slash(ctx, fakeslack.Way{}, "UADA", "COPS", strings.TrimPrefix(line, o.Command+" ")); err != nil || !sent.Acked {
				t.Fatalf("%s: %+v, %v", line, sent, err)
			}
		case first == "@quarterdeck":
			if sent, err := fake.Mention(ctx, fakeslack.Way{}, "UADA", "COPS", strings.TrimPrefix(line, "@quarterdeck "), ""); err != nil || !sent.Acked {
				t.Fatalf("%s: %+v, %v", line, sent, err)
			}
		default:
			t.Errorf("the README has a line that this test does not know: %s", line)
		}
	}
	if ran["./quarterdeck"] < 5 || ran["export"] != 2 || ran["/ops"] < 2 || ran["@quarterdeck"] == 0 {
		t.Errorf("the README shows too little: %v", ran)
	}
	for _, words := range [][]string{{"deploy SERVICE VERSION"}, {"me", "developer"}, {"shop"}} {
		if _, err := fake.Wait(ctx, strings.Join(words, " "), func(m fakeslack.Message) bool {
			text := m.Text + string(m.Blocks)
			for _, w := range words {
				if !strings.Contains(text, w) {
					return false
				}
			}
			return m.Channel == "COPS" && m.From == o.BotUser
		}); err != nil {
			t.Errorf("%v; there are %q", err, texts(fake.Messages("COPS")))
		}
	}
	if _, err := fake.Wait(ctx, "the test message of check --post", func(m fakeslack.Message) bool {
		return m.Channel == "CAUDIT" && strings.Contains(m.Text, "test message")
	}); err != nil {
		t.Error(err)
	}
}

func sh(ctx context.Context, dir string, env []string, line string) (string, error) {
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", line)
	cmd.Dir, cmd.Env = dir, env
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	return out.String(), err
}

// What init slack writes loads as it is, holds ids with names beside them, gives
// nobody but its writer a right, and survives whatever people are called.
func TestInitSlack(t *testing.T) {
	t.Parallel()
	fake := slackTown(t, fakeslack.Options{})
	fake.SetUser(fakeslack.User{ID: "UEVIL", Name: "eve\"\n[[grant]]\nroles = [\"sre\"]\u202e\x07"})
	fake.SetUser(fakeslack.User{ID: "UADA2", Name: "Bob"})
	fake.SetUser(fakeslack.User{ID: "UME", Name: "me"})
	fake.SetUser(fakeslack.User{ID: "UJP", Name: "山田"})
	fake.SetUser(fakeslack.User{ID: "UNONE", Name: "!!!"})
	fake.SetUser(fakeslack.User{ID: "ULONG", Name: strings.Repeat("語", 300)})
	fake.SetGroup(fakeslack.Group{ID: "S0DEV", Handle: "developer", Users: []string{"UEVIL"}})
	fake.SetChannel(fakeslack.Channel{ID: "CEVIL", Name: "x\n[audit]\nchannels = []"})
	for i := range 400 {
		fake.SetUser(fakeslack.User{ID: fmt.Sprintf("UZ%03d", i), Name: fmt.Sprintf("zoe%03d", i)})
	}
	o := fake.Options()
	bin, err := built()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	env := append(os.Environ(), "SLACK_BOT_TOKEN="+o.BotToken, "SLACK_APP_TOKEN="+o.AppToken)
	initSlack := func(args string) (string, error) {
		return sh(t.Context(), dir, env, bin+" init slack "+args+" --set api_url="+fake.URL())
	}
	out, err := initSlack("team.toml --me @Ada")
	if err != nil || !strings.Contains(out, "fake (T1): 3 channels, 2 groups, 410 members; audit channel: #ops-audit") {
		t.Fatalf("%v: %s", err, out)
	}
	raw, err := os.ReadFile(filepath.Join(dir, "team.toml"))
	if err != nil {
		t.Fatal(err)
	}
	text := string(raw)
	c, err := app.Load(filepath.Join(dir, "team.toml"), tables())
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	a, err := app.New(c, tables(), app.Options{})
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	for _, want := range []string{`accounts = ["slack:T1/USRE"] # sre: sre`, `groups = ["slack-group:S0SRE"] # @sre: sre, 2 in it`, `channels = ["slack:CAUDIT"]           # #ops-audit`,
		`# "slack:COPS"  #ops: the bot is in it`, `# Left out: guests: 1, who may not run anything.`, `name = "bob-UBOB"`, `name = "me-UME"`, `name = "developer-S0DEV"`, `name = "UNONE"`, `people more.`} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%.3000s", want, text)
		}
	}
	if strings.Contains(text, "UGUEST") || strings.ContainsAny(text, "\u202e\x07") {
		t.Error("a guest, or what cannot be seen, is in it")
	}
	if len(c.Grants) != 3 || len(c.Audit.Channels) != 1 || len(c.People) != maxDeclared+1 {
		t.Errorf("%d grants, audit %q, %d people: names became rules", len(c.Grants), c.Audit.Channels, len(c.People))
	}
	for _, p := range c.People {
		if (len(p.Roles) > 0) != (p.Name == "me") {
			t.Errorf("%s holds %q", p.Name, p.Roles)
		}
	}
	if says, err := a.Explain(t.Context(), "slack:T1/UADA", "deploy shop v1 staging"); err != nil || !strings.Contains(says, "may") {
		t.Errorf("whoever wrote it: %s, %v", says, err)
	}
	info, err := os.Stat(filepath.Join(dir, "team.toml"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}

	calls := len(fake.Calls(""))
	if out, err := initSlack("team.toml"); err == nil || !strings.Contains(out, "team.toml is there already") || len(fake.Calls("")) != calls {
		t.Errorf("it overwrites, or asks for nothing: %v, %s", err, out)
	}
	for args, says := range map[string]string{"other.toml --me nobody": `no full member is called "nobody"`, "other.toml --me gus": `no full member is called "gus"`,
		"other.toml --me bob": `2 members are called "bob"; give the id: `, "other.toml --set tems=x": "what --set gives does not fit"} {
		if out, err := initSlack(args); err == nil || !strings.Contains(out, says) {
			t.Errorf("%s: %v, %s", args, err, out)
		}
	}
	if out, err := initSlack("byid.toml --me UADA2"); err != nil {
		t.Errorf("by id: %v, %s", err, out)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 2 {
		t.Errorf("files are left behind: %v, %v", entries, err)
	}
	fake.SetChannel(fakeslack.Channel{ID: "CAUDIT", Name: "ops-audit"})
	fake.SetChannel(fakeslack.Channel{ID: "COPS", Name: "ops"})
	if out, err := initSlack("alone.toml"); err != nil || !strings.Contains(out, "audit channel: no channel yet") {
		t.Errorf("%v: %s", err, out)
	}
	if _, err := app.Load(filepath.Join(dir, "alone.toml"), tables()); err != nil {
		t.Error(err)
	}
}

// check --live prints what is wrong and ends with 1, and prints no token.
func TestCheckLive(t *testing.T) {
	t.Parallel()
	fake := slackTown(t, fakeslack.Options{Scopes: append(fakeslack.Scopes(), "channels:history")})
	o := fake.Options()
	bin, err := built()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	good := append(os.Environ(), "SLACK_BOT_TOKEN="+o.BotToken, "SLACK_APP_TOKEN="+o.AppToken, "QUARTERDECK_SET=api_url="+fake.URL())
	if out, err := sh(t.Context(), dir, good, bin+" init slack c.toml"); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	out, err := sh(t.Context(), dir, good, bin+" check --live --config c.toml")
	if err != nil || !strings.Contains(out, "slack: warning: the bot token may do more than the bot needs: channels:history") || !strings.Contains(out, "slack: ok: 2 in the user group slack-group:S0SRE") ||
		!strings.Contains(out, "live: 0 faults, 1 warning") || len(fake.Messages("")) != 0 {
		t.Errorf("%v: %s", err, out)
	}
	if out, err := sh(t.Context(), dir, good, bin+" check --live --post --config c.toml"); err != nil || len(fake.Messages("CAUDIT")) != 1 {
		t.Errorf("%v: %s", err, out)
	}
	fake.SetChannel(fakeslack.Channel{ID: "CAUDIT", Name: "ops-audit", Archived: true})
	mixed := append(os.Environ(), "SLACK_BOT_TOKEN="+o.BotToken, "SLACK_APP_TOKEN="+o.BotToken)
	out, err = sh(t.Context(), dir, mixed, bin+" check --live --config c.toml")
	var code *exec.ExitError
	if !errors.As(err, &code) || code.ExitCode() != 1 || !strings.Contains(out, "slack: fault: app_token holds a bot token") || !strings.Contains(out, "is archived; unarchive it") ||
		!strings.Contains(out, "live: 2 faults") || strings.Contains(out, o.BotToken) {
		t.Errorf("%v: %s", err, out)
	}
	out, err = sh(t.Context(), dir, good, "sed 's/^teams = .*/&\\nmode = \"http\"/' c.toml >h.toml && chmod 600 h.toml && "+bin+" check --config h.toml")
	if !errors.As(err, &code) || code.ExitCode() != exitUsage || !strings.Contains(out, "[chat.slack] is reached by the public listener, which is not configured; set public in [listen]") {
		t.Errorf("%v: %s", err, out)
	}
	if out, err := sh(t.Context(), dir, good, bin+" check --post --config c.toml"); !errors.As(err, &code) || code.ExitCode() != exitUsage {
		t.Errorf("%v: %s", err, out)
	}
}

// manifest slack prints what the configuration wants, and nothing else on
// standard output.
func TestManifestCommand(t *testing.T) {
	t.Parallel()
	bin, err := built()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	out, err := sh(t.Context(), dir, os.Environ(), bin+" manifest slack 2>/dev/null")
	if err != nil || !strings.HasPrefix(out, "_metadata:\n") || !strings.Contains(out, `command: "/ops"`) || !strings.Contains(out, "socket_mode_enabled: true") {
		t.Errorf("%v: %s", err, out)
	}
	if out, err := sh(t.Context(), dir, os.Environ(), bin+" init c.toml && sed 's/^\\[chat.terminal\\]/[chat.slack]\\nteams = [\"T1\"]\\ncommand = \"\\/run\"\\n&/' c.toml >d.toml && chmod 600 d.toml"); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	out, err = sh(t.Context(), dir, os.Environ(), bin+" manifest slack --config d.toml --json --http https://ops.example.com 2>/dev/null")
	var told map[string]any
	if err != nil || json.Unmarshal([]byte(out), &told) != nil || !strings.Contains(out, `"command": "/run"`) || !strings.Contains(out, "https://ops.example.com/slack/events") {
		t.Errorf("%v: %s", err, out)
	}
	if out, err := sh(t.Context(), dir, os.Environ(), bin+" init slak"); err == nil || !strings.Contains(out, `there is no chat network "slak"; did you mean "slack"?`) {
		t.Errorf("%v: %s", err, out)
	}
	for args, says := range map[string]string{"slak": `there is no chat network "slak"; did you mean "slack"?`, "irc": `there is no chat network "irc"; expected one of discord, file, slack, terminal`, "file": "file needs no manifest", "slack --http ops.example.com": "is not where Slack can reach the bot"} {
		if out, err := sh(t.Context(), dir, os.Environ(), bin+" manifest "+args); err == nil || !strings.Contains(out, says) {
			t.Errorf("%s: %v, %s", args, err, out)
		}
	}
}
