//go:build linux

package main

import (
	"context"
	"database/sql"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"quarterdeck/adapters/slack/fakeslack"
)

// TestSlackEvening is an evening on which everything goes wrong that can: the
// connection goes in the middle of a run, the bot dies, Slack repeats itself,
// two people press at once, an approver has left, Slack fails and the store
// stands still. Each thing happens once, and no secret of Slack's is in any
// file afterwards, though everything was logged.
func TestSlackEvening(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	fake, err := fakeslack.New(fakeslack.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer fake.Close()
	o := fake.Options()
	everybody := []string{"UBOT", "UDEV", "USRE", "UONCALL", "UGUEST"}
	for _, id := range everybody[1:] {
		fake.SetUser(fakeslack.User{ID: id})
	}
	fake.SetChannel(fakeslack.Channel{ID: "CAUDIT", Members: everybody})
	raw, err := os.ReadFile(s.path("config.toml"))
	if err != nil {
		t.Fatal(err)
	}
	s.write("config.toml", strings.NewReplacer("impersonate = true", "impersonate = false",
		"[chat.file]\n", "[log]\nlevel = \"debug\"\n[chat.slack]\nteams = [\"T1\"]\napi_url = \""+fake.URL()+"\"\n[chat.file]\n",
		`channels = ["file:audit-channel.txt"]`, `channels = ["slack:CAUDIT", "file:audit-channel.txt"]`,
		`"terminal:dev", "terminal:dev-phone"`, `"slack:T1/UDEV"`, `accounts = ["terminal:oncall"]`, `accounts = ["slack:T1/UONCALL"]`,
		`accounts = ["terminal:sre"]`, `accounts = ["slack:T1/USRE"]`).Replace(string(raw)))
	env := []string{"SLACK_BOT_TOKEN=" + o.BotToken, "SLACK_APP_TOKEN=" + o.AppToken, "SLACK_SIGNING_SECRET=" + o.SigningSecret}
	bot := s.serve("config.toml", "q.sock", "", env...)
	ctx, cancel := context.WithTimeout(t.Context(), 2*crashPatience)
	defer cancel()

	lines := 0
	// types has somebody write in a channel of its own, which is given.
	types := func(user, line string) (channel string, sent fakeslack.Sent) {
		t.Helper()
		lines++
		channel = fmt.Sprintf("CLINE%d", lines)
		fake.SetChannel(fakeslack.Channel{ID: channel, Members: everybody})
		var err error
		if lines%2 == 0 {
			sent, err = fake.Mention(ctx, fakeslack.Way{}, user, channel, line, "")
		} else {
			sent, err = fake.Slash(ctx, fakeslack.Way{}, user, channel, line)
		}
		if err != nil || !sent.Acked {
			t.Fatalf("%s types %q: %+v, %v", user, line, sent, err)
		}
		return channel, sent
	}
	shows := func(channel string, words ...string) fakeslack.Message {
		t.Helper()
		m, err := fake.Wait(ctx, strings.Join(words, ", "), func(m fakeslack.Message) bool {
			for _, w := range words {
				if !strings.Contains(m.Text+string(m.Blocks), w) {
					return false
				}
			}
			return m.Channel == channel && m.From == o.BotUser
		})
		if err != nil {
			log, _ := os.ReadFile(s.path("bot.log"))
			t.Fatalf("%v; there are %q\n%.4000s", err, texts(fake.Messages(channel)), log)
		}
		return m
	}
	once := func(what string) {
		t.Helper()
		if n := s.effects(what); n != 1 {
			t.Errorf("%q happened %d times", what, n)
		}
	}

	// The connection goes in the middle of a run.
	s.write("platform/staging/slow", "")
	channel, deploy := types("UDEV", "deploy shop v2 staging")
	shows(channel, "#1 deploy shop v2 to staging")
	fake.Drop()
	if err := os.Remove(s.path("platform/staging/slow")); err != nil {
		t.Fatal(err)
	}
	shows(channel, "#1 deploy shop v2 to staging: done")
	// The bot dies, and Slack delivers what it has delivered already.
	statusIn, status := types("UDEV", "restart shop staging")
	shows(statusIn, "#2", "done")
	s.kill9(bot)
	bot = s.serve("config.toml", "q.sock", "", env...)
	for _, sent := range []fakeslack.Sent{deploy, status, deploy} {
		if again, err := fake.Again(ctx, fakeslack.Way{Twice: true}, sent.ID); err != nil || !again.Acked {
			t.Fatalf("%+v, %v", again, err)
		}
	}
	once("deploy staging v2")
	once("restart staging")

	// An approver has left; two others press at once.
	channel, _ = types("UDEV", "deploy shop v2 prod")
	ask := shows(channel, "#3 deploy shop v2 to prod: confirm?")
	if _, err := fake.Click(ctx, fakeslack.Way{}, "UDEV", ask, "Confirm"); err != nil {
		t.Fatal(err)
	}
	waiting := shows(channel, "waits for 1 approval")
	fake.SetUser(fakeslack.User{ID: "UONCALL", Kind: fakeslack.Gone})
	if _, err := fake.Event(ctx, fakeslack.Way{}, "", map[string]any{"type": "user_change", "user": map[string]any{"id": "UONCALL"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := fake.Click(ctx, fakeslack.Way{}, "UONCALL", waiting, "Approve"); err != nil {
		t.Fatal(err)
	}
	shows(channel, "denied")
	if n := s.effects("deploy prod"); n != 0 {
		t.Errorf("somebody who has left approved: %d deployments", n)
	}
	fake.SetUser(fakeslack.User{ID: "UONCALL"})
	if _, err := fake.Event(ctx, fakeslack.Way{}, "", map[string]any{"type": "user_change", "user": map[string]any{"id": "UONCALL"}}); err != nil {
		t.Fatal(err)
	}
	var both sync.WaitGroup
	for _, user := range []string{"USRE", "UONCALL"} {
		both.Go(func() {
			if sent, err := fake.Click(ctx, fakeslack.Way{Twice: true}, user, waiting, "Approve"); err != nil || !sent.Acked {
				t.Errorf("%s presses: %+v, %v", user, sent, err)
			}
		})
	}
	both.Wait()
	shows(channel, "#3 deploy shop v2 to prod: done")
	once("deploy prod v2")
	// The buttons of before are still on somebody's screen.
	for _, old := range []struct {
		m      fakeslack.Message
		button string
	}{{ask, "Confirm"}, {waiting, "Approve"}} {
		if _, err := fake.Click(ctx, fakeslack.Way{}, "USRE", old.m, old.button); err != nil {
			t.Fatal(err)
		}
	}
	once("deploy prod")

	// Slack fails while there is something to say; it is said when it is over.
	for _, outage := range []fakeslack.Outage{{Status: 500}, {HTML: true, Status: 502}, {Status: 429, RetryAfter: time.Second}} {
		channel, _ = types("UDEV", "status shop prod") // the channel is known to be the team's own from then on
		shows(channel, "v2")
		tried := len(fake.Calls("chat.postMessage"))
		fake.Fail("", outage)
		if sent, err := fake.Mention(ctx, fakeslack.Way{}, "UDEV", channel, "history shop prod", ""); err != nil || !sent.Acked {
			t.Fatal(sent, err)
		}
		if err := fake.Until(ctx, "it is tried", func() bool { return len(fake.Calls("chat.postMessage")) > tried }); err != nil {
			t.Fatal(err)
		}
		fake.Mend()
		shows(channel, "deploy shop v2 to prod")
	}

	// The store stands still for longer than Slack waits.
	stall := 5 * time.Second
	if all() {
		stall = 20 * time.Second
	}
	if s.address == "" {
		db, err := sql.Open("sqlite", "file:"+s.path("quarterdeck.db")+"?_pragma=busy_timeout(20000)")
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		held, err := db.Conn(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := held.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
			t.Fatal(err)
		}
		fake.SetChannel(fakeslack.Channel{ID: "CSTALL", Members: everybody})
		var said sync.WaitGroup
		var command fakeslack.Sent
		said.Go(func() {
			sent, err := fake.Mention(ctx, fakeslack.Way{NoRetry: true}, "UDEV", "CSTALL", "restart shop staging --reason stalled", "")
			for err == nil && !sent.Acked { // as Slack does, for longer than the fake
				sent, err = fake.Again(ctx, fakeslack.Way{}, sent.ID)
			}
			if err != nil {
				t.Error(err)
			}
		})
		said.Go(func() {
			var err error
			if command, err = fake.Slash(ctx, fakeslack.Way{Socket: 1}, "UDEV", "CSTALL", "deploy shop v3 staging"); err != nil {
				t.Error(err)
			}
		})
		time.Sleep(stall) // it is the length of the stall that is shown to be borne
		opened := fake.Opened()
		if _, err := held.ExecContext(ctx, "ROLLBACK"); err != nil {
			t.Fatal(err)
		}
		_ = held.Close()
		said.Wait()
		shows("CSTALL", "restart shop in staging: done")
		once(`restart staging v2 by dev from v2 because "stalled"`)
		if command.Acked && strings.Contains(string(command.Answer), "not run") && s.effects("deploy staging v3") > 0 {
			t.Error("what was said not to be run was run")
		}
		if fake.Opened() != opened {
			t.Error("the sockets did not stay up")
		}
	}

	// Before the end, so that what the database has not yet moved from its log is
	// looked at too, and after it.
	secrets := []string{o.BotToken, o.AppToken, o.SigningSecret, "/hook/", "trigger."}
	scan(t, s.dir, secrets)
	if err := bot.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	_ = bot.Wait() // by a signal
	scan(t, s.dir, secrets)
	for _, wrong := range fake.Wrong() {
		t.Errorf("Slack's rules were broken: %s", wrong)
	}
}

// scan looks for secrets in every file below a folder.
func scan(t *testing.T, dir string, secrets []string) {
	t.Helper()
	looked := map[string]bool{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		looked[d.Name()] = len(raw) > 0
		for _, secret := range secrets {
			if at := strings.Index(string(raw), secret); at >= 0 {
				t.Errorf("%s holds %q: %q", path, secret, raw[max(0, at-80):min(len(raw), at+80)])
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"bot.log", "quarterdeck.db", "audit-channel.txt"} {
		if !looked[name] && (name != "quarterdeck.db" || os.Getenv("QUARTERDECK_POSTGRES") == "") {
			t.Errorf("there is no %s to look at: %v", name, looked)
		}
	}
}
