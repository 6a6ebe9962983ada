//go:build linux || darwin

package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"quarterdeck/adapters/discord/fakediscord"
	"quarterdeck/adapters/slack/fakeslack"
)

// TestBothNetworks has a run asked for in Discord, approved in Slack and watched in
// the terminal, by one process: the bot dies while it waits, both cards become the
// same end, and no token is in what it leaves behind.
func TestBothNetworks(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	slack, err := fakeslack.New(fakeslack.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer slack.Close()
	discord, err := fakediscord.New(fakediscord.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer discord.Close()
	slack.SetUser(fakeslack.User{ID: "USRE"})
	slack.SetChannel(fakeslack.Channel{ID: "COPS", Name: "ops", Members: []string{"UBOT", "USRE"}})
	discord.SetGuild(fakediscord.Guild{ID: scriptGuild, Name: "Acme"})
	discord.SetUser(fakediscord.User{ID: "101", Name: "dev", Roles: map[string][]string{scriptGuild: {}}})
	discord.SetChannel(fakediscord.Channel{ID: "600", Guild: scriptGuild, Name: "ops"})
	discord.SetChannel(fakediscord.Channel{ID: "601", Guild: scriptGuild, Name: "audit"})
	raw, err := os.ReadFile(s.path("config.toml"))
	if err != nil {
		t.Fatal(err)
	}
	s.write("config.toml", strings.NewReplacer(
		"impersonate = true", "impersonate = false",
		"[chat.file]\n", fmt.Sprintf("[log]\nlevel = \"debug\"\n[chat.slack]\nteams = [\"T1\"]\napi_url = %q\n[chat.discord]\nguilds = [%q]\napi_url = %q\n[chat.file]\n", slack.URL(), scriptGuild, discord.URL()),
		`channels = ["file:audit-channel.txt"]`, `channels = ["discord:601", "file:audit-channel.txt"]`,
		`"terminal:dev", "terminal:dev-phone"`, `"discord:101"`,
		fmt.Sprintf(`"os:%d"`, os.Getuid()), `"os:99999"`,
		`accounts = ["terminal:sre"]`, fmt.Sprintf(`accounts = ["slack:T1/USRE", "os:%d"]`, os.Getuid())).Replace(string(raw)))
	env := []string{"SLACK_BOT_TOKEN=" + slack.Options().BotToken, "SLACK_APP_TOKEN=" + slack.Options().AppToken, "DISCORD_BOT_TOKEN=" + discord.Options().Token}
	bot := s.serve("config.toml", "q.sock", "", env...)
	ctx, cancel := context.WithTimeout(t.Context(), crashPatience)
	defer cancel()

	inDiscord := func(channel string, words ...string) (found fakediscord.Message) {
		t.Helper()
		s.until(strings.Join(words, ", "), func() bool {
			for _, m := range slices.Backward(discord.Messages(channel)) {
				text := readableDiscord(m)
				if !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(text, w) }) {
					found = m
					return true
				}
			}
			return false
		})
		return found
	}
	inSlack := func(words ...string) fakeslack.Message {
		t.Helper()
		m, err := slack.Wait(ctx, strings.Join(words, ", "), func(m fakeslack.Message) bool {
			return m.Channel == "COPS" && !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(m.Text+string(m.Blocks), w) })
		})
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	inTerminal := func(words ...string) {
		t.Helper()
		out, err := exec.Command(s.bin, "run", "--config", s.path("config.toml"), "--", "run", "1").CombinedOutput()
		if err != nil || slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(flat(string(out)), w) }) {
			t.Errorf("%v: the terminal shows no %q:\n%s", err, words, out)
		}
	}
	s.until("the commands are there", func() bool { return discord.Sessions() == 1 && len(discord.Commands(scriptGuild)) > 0 })
	sent, err := discord.Typed(ctx, fakediscord.Way{}, "101", "600", "deploy", map[string]string{"service": "shop", "version": "v2", "environment": "prod"})
	if err != nil || !sent.Acked {
		t.Fatal(sent, err)
	}
	asked := inDiscord("600", "#1 deploy shop v2 to prod: confirm?")
	if _, err := discord.Press(ctx, fakediscord.Way{}, "101", asked, "Confirm"); err != nil {
		t.Fatal(err)
	}
	waiting := inDiscord("600", "#1 deploy shop v2 to prod: waits for 1 approval from sre")
	inTerminal("#1 deploy shop v2 to prod: waiting", "confirmed")

	s.kill9(bot)
	bot = s.serve("config.toml", "q.sock", "", env...)
	if sent, err := slack.Slash(ctx, fakeslack.Way{}, "USRE", "COPS", "approve 1"); err != nil || !sent.Acked {
		t.Fatal(sent, err)
	}
	done := inDiscord("600", "#1 deploy shop v2 to prod: done", "approved by sre")
	if done.ID != waiting.ID || done.ID != asked.ID {
		t.Errorf("the run has several messages: %s, %s, %s", asked.ID, waiting.ID, done.ID)
	}
	inSlack("#1 deploy shop v2 to prod: done", "approved by sre")
	inTerminal("#1 deploy shop v2 to prod: done", "sre")
	inDiscord("601", "#1 dev: deploy shop v2 to prod")
	if n := s.effects("deploy prod v2"); n != 1 {
		t.Errorf("the platform was asked %d times", n)
	}
	for _, b := range done.Buttons() {
		if b.Label == "Approve" || b.Label == "Confirm" {
			t.Errorf("%s can still be pressed", b.Label)
		}
	}
	if err := bot.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	_ = bot.Wait() // by a signal
	files, err := filepath.Glob(s.path("*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		left, err := os.ReadFile(name)
		if err != nil {
			continue // a folder
		}
		for _, secret := range []string{discord.Options().Token, "interaction-token-", slack.Options().BotToken} {
			if bytes.Contains(left, []byte(secret)) {
				t.Errorf("%s holds %q", filepath.Base(name), secret)
			}
		}
	}
	for _, wrong := range append(slack.Wrong(), discord.Wrong()...) {
		t.Errorf("a network's rules were broken: %s", wrong)
	}
}
