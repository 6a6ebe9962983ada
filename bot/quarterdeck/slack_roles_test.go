//go:build linux || darwin

package main

import (
	"context"
	"os"
	"strings"
	"testing"

	"quarterdeck/adapters/slack/fakeslack"
)

// A user group of Slack makes an approver. Whoever left it, was deactivated or
// cannot be asked about approves nothing, also when Slack's event about that was
// lost; and what somebody asked for who was deactivated since is not run.
func TestSlackGroupsApprove(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	fake := slackTown(t, fakeslack.Options{})
	o := fake.Options()
	raw, err := os.ReadFile(s.path("config.toml"))
	if err != nil {
		t.Fatal(err)
	}
	s.write("config.toml", strings.NewReplacer(
		"impersonate = true", "impersonate = false",
		"[chat.file]\n", "[chat.slack]\nteams = [\"T1\"]\napi_url = \""+fake.URL()+"\"\n[chat.file]\n",
		"[[grant]]\nroles = [\"developer\"]\npermissions = [\"deploy\"", "[[role]]\nname = \"sre\"\ngroups = [\"slack-group:S0SRE\"]\n[[grant]]\nroles = [\"developer\"]\npermissions = [\"deploy\"",
		`"terminal:dev", "terminal:dev-phone"`, `"slack:T1/UDEV"`,
		"accounts = [\"terminal:oncall\"]\nroles = [\"sre\", \"developer\"]", `accounts = ["terminal:oncall"]`,
		"accounts = [\"terminal:sre\"]\nroles = [\"sre\"]", `accounts = ["slack:T1/USRE"]`).Replace(string(raw)))
	s.serve("config.toml", "q.sock", "", "SLACK_BOT_TOKEN="+o.BotToken, "SLACK_APP_TOKEN="+o.AppToken)
	ctx, cancel := context.WithTimeout(t.Context(), crashPatience)
	defer cancel()
	shows := func(words ...string) fakeslack.Message {
		t.Helper()
		m, err := fake.Wait(ctx, strings.Join(words, ", "), func(m fakeslack.Message) bool {
			text := m.Text + string(m.Blocks)
			for _, w := range words {
				if !strings.Contains(text, w) {
					return false
				}
			}
			return m.Channel == "COPS" && m.From == o.BotUser
		})
		if err != nil {
			log, _ := os.ReadFile(s.path("bot.log"))
			t.Fatalf("%v; there are %q\n%s", err, texts(fake.Messages("COPS")), log)
		}
		return m
	}
	types := func(user, line string) {
		t.Helper()
		if sent, err := fake.Slash(ctx, fakeslack.Way{}, user, "COPS", line); err != nil || !sent.Acked {
			t.Fatalf("%s types %q: %+v, %v", user, line, sent, err)
		}
	}
	clicks := func(user string, m fakeslack.Message, button string) {
		t.Helper()
		if sent, err := fake.Click(ctx, fakeslack.Way{}, user, m, button); err != nil || !sent.Acked {
			t.Fatalf("%s presses %q: %+v, %v", user, button, sent, err)
		}
	}
	town := func(kind fakeslack.Kind, group ...string) {
		fake.SetUser(fakeslack.User{ID: "USRE", Name: "sre", Kind: kind})
		fake.SetGroup(fakeslack.Group{ID: "S0SRE", Handle: "sre", Users: group})
	}
	changed := func(inner map[string]any) {
		t.Helper()
		if sent, err := fake.Event(ctx, fakeslack.Way{}, "", inner); err != nil || !sent.Acked {
			t.Fatal(sent, err)
		}
	}

	types("USRE", "whoami")
	shows("sre", "slack:T1/USRE")
	types("UDEV", "deploy shop v2 prod")
	clicks("UDEV", shows("#1 deploy shop v2 to prod: confirm?"), "Confirm")
	waiting := shows("#1 deploy shop v2 to prod: waits for 1 approval from sre")

	town(fakeslack.Full) // they left the group
	clicks("USRE", waiting, "Approve")
	shows("there is no run #1")
	town(fakeslack.Full, "USRE")
	changed(map[string]any{"type": "subteam_members_changed", "subteam_id": "S0SRE", "added_users": []string{"USRE"}})

	town(fakeslack.Gone, "USRE") // they were deactivated
	clicks("USRE", waiting, "Approve")
	shows("denied: account disabled")
	back := func() {
		t.Helper()
		town(fakeslack.Full, "USRE")
		changed(map[string]any{"type": "user_change", "user": map[string]any{"id": "USRE"}})
		seen := len(fake.Messages("COPS"))
		types("USRE", "whoami")
		if err := fake.Until(ctx, "an answer to whoami", func() bool { return len(fake.Messages("COPS")) > seen }); err != nil {
			t.Fatal(err)
		}
	}
	back()
	town(fakeslack.Guest, "USRE") // they became a guest
	clicks("USRE", waiting, "Approve")
	shows("denied: guests may not run anything here")
	back()

	fake.Fail("usergroups.users.list", fakeslack.Outage{Status: 503})
	types("USRE", "approve 1")
	shows("whether sre is in slack-group:S0SRE, which gives the role sre, is not known right now: Slack cannot be reached")
	fake.Mend()
	if n := s.effects("deploy prod v2"); n != 0 {
		t.Fatalf("the platform was asked %d times before anybody approved", n)
	}
	clicks("USRE", waiting, "Approve")
	shows("#1 deploy shop v2 to prod: done", "approved by sre")

	types("UDEV", "deploy shop v3 prod")
	clicks("UDEV", shows("#2 deploy shop v3 to prod: confirm?"), "Confirm")
	waiting = shows("#2 deploy shop v3 to prod: waits for 1 approval from sre")
	fake.SetUser(fakeslack.User{ID: "UDEV", Name: "dev", Kind: fakeslack.Gone})
	clicks("USRE", waiting, "Approve")
	shows("#2 deploy shop v3 to prod", "account disabled")
	if n := s.effects("deploy prod v3"); n != 0 {
		t.Errorf("the platform was asked %d times for somebody who was deactivated", n)
	}
}
