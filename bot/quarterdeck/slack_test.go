//go:build linux || darwin

package main

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"

	"quarterdeck/adapters/slack/fakeslack"
)

// An evening in Slack: a deployment is asked for by slash command, confirmed by
// button, approved by somebody else in the audit channel's place, survives a
// crash of the bot, and is taken back; strangers and guests get nowhere, and
// every card is one message.
func TestSlack(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	fake, err := fakeslack.New(fakeslack.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer fake.Close()
	o := fake.Options()
	for id, kind := range map[string]fakeslack.Kind{"UDEV": fakeslack.Full, "USRE": fakeslack.Full, "UNEW": fakeslack.Full, "UGUEST": fakeslack.Guest} {
		fake.SetUser(fakeslack.User{ID: id, Kind: kind, Name: strings.ToLower(id)})
	}
	fake.SetChannel(fakeslack.Channel{ID: "COPS", Name: "ops", Members: []string{"UBOT", "UDEV", "USRE", "UGUEST", "UNEW"}})
	fake.SetChannel(fakeslack.Channel{ID: "CAUDIT", Name: "audit", Members: []string{"UBOT", "USRE"}})
	raw, err := os.ReadFile(s.path("config.toml"))
	if err != nil {
		t.Fatal(err)
	}
	s.write("config.toml", strings.NewReplacer(
		"impersonate = true", "impersonate = false",
		"[chat.file]\n", "[chat.slack]\nteams = [\"T1\"]\napi_url = \""+fake.URL()+"\"\n[chat.file]\n",
		`channels = ["file:audit-channel.txt"]`, `channels = ["slack:CAUDIT"]`,
		`"terminal:dev", "terminal:dev-phone"`, `"slack:T1/UDEV"`,
		`accounts = ["terminal:sre"]`, `accounts = ["slack:T1/USRE"]`,
		`accounts = ["terminal:guest"]`, `accounts = ["slack:T1/UGUEST"]`).Replace(string(raw)))
	env := []string{"SLACK_BOT_TOKEN=" + o.BotToken, "SLACK_APP_TOKEN=" + o.AppToken}
	bot := s.serve("config.toml", "q.sock", "", env...)

	ctx, cancel := context.WithTimeout(t.Context(), crashPatience)
	defer cancel()
	way := fakeslack.Way{}
	// shows waits for a message in a channel that holds all of these words.
	shows := func(channel string, words ...string) fakeslack.Message {
		t.Helper()
		m, err := fake.Wait(ctx, strings.Join(words, ", "), func(m fakeslack.Message) bool {
			text := m.Text + string(m.Blocks)
			for _, w := range words {
				if !strings.Contains(text, w) {
					return false
				}
			}
			return m.Channel == channel && m.From == o.BotUser
		})
		if err != nil {
			log, _ := os.ReadFile(s.path("bot.log"))
			t.Fatalf("%v; there are %q\n%s", err, texts(fake.Messages(channel)), log)
		}
		return m
	}
	types := func(user, line string) {
		t.Helper()
		if sent, err := fake.Slash(ctx, way, user, "COPS", line); err != nil || !sent.Acked {
			t.Fatalf("%s types %q: %+v, %v", user, line, sent, err)
		}
	}
	clicks := func(user string, m fakeslack.Message, button string) {
		t.Helper()
		if sent, err := fake.Click(ctx, way, user, m, button); err != nil || !sent.Acked {
			t.Fatalf("%s presses %q: %+v, %v", user, button, sent, err)
		}
	}

	types("UDEV", "status shop prod")
	shows("COPS", "v1")
	types("UDEV", "deploy shop v2 prod")
	clicks("USRE", shows("COPS", "#1 deploy shop v2 to prod: confirm?"), "Confirm")
	if m := shows("COPS", "denied: only dev can confirm #1"); m.For != "USRE" {
		t.Errorf("a refusal is shown to %q", m.For)
	}
	clicks("UDEV", shows("COPS", "#1 deploy shop v2 to prod: confirm?"), "Confirm")
	waiting := shows("COPS", "#1 deploy shop v2 to prod: waits for 1 approval from sre")
	clicks("UDEV", waiting, "Approve")
	shows("COPS", "denied: you asked for #1 yourself")

	// The bot dies while it waits; the button of before still works, once.
	s.kill9(bot)
	bot = s.serve("config.toml", "q.sock", "", env...)
	way.Twice = true
	clicks("USRE", waiting, "Approve")
	way.Twice = false
	done := shows("COPS", "#1 deploy shop v2 to prod: done", "approved by sre")
	if done.TS != waiting.TS {
		t.Errorf("the run has two messages, %s and %s", waiting.TS, done.TS)
	}
	shows("CAUDIT", "#1 dev: deploy shop v2 to prod", "succeeded")
	if n := s.effects("deploy prod v2"); n != 1 {
		t.Errorf("the platform was asked %d times", n)
	}

	for user, says := range map[string]string{"UGUEST": "denied: guests may not run anything here", "UNEW": "denied: the account slack:T1/UNEW belongs to no declared person"} {
		types(user, "deploy shop v3 prod")
		if m := shows("COPS", says); m.For != user {
			t.Errorf("%s's refusal is shown to %q", user, m.For)
		}
	}
	if sent, err := fake.Mention(ctx, way, "UDEV", "COPS", "rollback shop prod", done.TS); err != nil || !sent.Acked {
		t.Fatal(sent, err)
	}
	if m := shows("COPS", "#2 roll back shop in prod to v1: done"); m.Thread != done.TS {
		t.Errorf("what was asked in a thread is answered in %q", m.Thread)
	}
	if n := s.effects("rollback prod"); n != 1 {
		t.Errorf("the platform was asked %d times to go back", n)
	}
	if err := bot.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	_ = bot.Wait() // by a signal
	out, err := exec.Command(s.bin, "audit", "verify", "--config", s.path("config.toml")).CombinedOutput()
	if err != nil {
		t.Errorf("%v: %s", err, out)
	}
	log, err := os.ReadFile(s.path("bot.log"))
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{o.BotToken, o.AppToken, "/hook/", "trigger."} {
		if strings.Contains(string(log), secret) {
			t.Errorf("the log holds %q", secret)
		}
	}
	for _, wrong := range fake.Wrong() {
		t.Errorf("Slack's rules were broken: %s", wrong)
	}
}

func texts(all []fakeslack.Message) []string {
	var said []string
	for _, m := range all {
		said = append(said, m.Text)
	}
	return said
}
