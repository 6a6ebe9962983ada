//go:build linux || darwin

package main

import (
	"context"
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"quarterdeck/adapters/slack/fakeslack"
)

// workplace is the bot in a fake Slack, reached by one of the two transports.
type workplace struct {
	*stage
	fake *fakeslack.Server
	way  fakeslack.Way
	ctx  context.Context
	env  []string
	bot  *exec.Cmd
}

func newWorkplace(t *testing.T, overHTTP bool) *workplace {
	t.Helper()
	s := newStage(t)
	fake, err := fakeslack.New(fakeslack.Options{Methods: methodsOf(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(fake.Close)
	o := fake.Options()
	for id, kind := range map[string]fakeslack.Kind{"UDEV": fakeslack.Full, "USRE": fakeslack.Full, "UEVE": fakeslack.Full, "UVISIT": fakeslack.Full, "UGUEST": fakeslack.Guest} {
		fake.SetUser(fakeslack.User{ID: id, Kind: kind, Name: strings.ToLower(id)})
	}
	fake.SetUser(fakeslack.User{ID: "UOUT", TeamID: "T9", Kind: fakeslack.Connected})
	fake.SetChannel(fakeslack.Channel{ID: "COPS", Name: "ops", Members: []string{"UBOT", "UDEV", "USRE", "UGUEST", "UEVE", "UVISIT"}})
	fake.SetChannel(fakeslack.Channel{ID: "CAUDIT", Name: "audit", Members: []string{"UBOT", "USRE"}})
	w := &workplace{stage: s, fake: fake, env: []string{"SLACK_BOT_TOKEN=" + o.BotToken, "SLACK_APP_TOKEN=" + o.AppToken, "SLACK_SIGNING_SECRET=" + o.SigningSecret}}
	mode, listen := "socket", ""
	if overHTTP {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		mode, listen, w.way.HTTP = "http", "[listen]\npublic = \""+l.Addr().String()+"\"\n", "http://"+l.Addr().String()
		l.Close() // the bot listens there now, and again after a restart
	}
	raw, err := os.ReadFile(s.path("config.toml"))
	if err != nil {
		t.Fatal(err)
	}
	s.write("config.toml", strings.NewReplacer(
		"impersonate = true", "impersonate = false",
		"[chat.file]\n", listen+"[chat.slack]\nmode = \""+mode+"\"\nteams = [\"T1\"]\napi_url = \""+fake.URL()+"\"\n[chat.file]\n",
		`channels = ["file:audit-channel.txt"]`, `channels = ["slack:CAUDIT"]`,
		`"terminal:dev", "terminal:dev-phone"`, `"slack:T1/UDEV"`,
		`accounts = ["terminal:sre"]`, `accounts = ["slack:T1/USRE"]`,
		`accounts = ["terminal:guest"]`, `accounts = ["slack:T1/UGUEST"]`,
		`accounts = ["terminal:oncall"]`, `accounts = ["slack:T1/UVISIT"]`,
		`roles = ["sre", "developer"]`, `roles = ["visitor"]`).Replace(string(raw)))
	ctx, cancel := context.WithTimeout(t.Context(), crashPatience)
	t.Cleanup(cancel)
	w.ctx = ctx
	w.starts()
	return w
}

// methodsOf gives the vendor's descriptions of methods, or "" where they are not
// laid beside the project.
func methodsOf(t *testing.T) string {
	dir := os.Getenv("CONTRACTS_DIR")
	if dir == "" {
		return ""
	}
	return filepath.Join(dir, "slack", "methods")
}

func (w *workplace) starts() {
	w.t.Helper()
	w.bot = w.serve("config.toml", "q.sock", "", w.env...)
	w.until("the bot takes what Slack sends", func() bool {
		sent, err := w.fake.Event(w.ctx, w.way, "", map[string]any{"type": "channel_rename"})
		return err == nil && sent.Acked
	})
}

// shows waits for a message of the bot in a channel that holds all of these words.
func (w *workplace) shows(channel string, words ...string) fakeslack.Message {
	w.t.Helper()
	m, err := w.fake.Wait(w.ctx, strings.Join(words, ", "), func(m fakeslack.Message) bool {
		text := m.Text + plainText(m.Blocks)
		return m.Channel == channel && m.From == "UBOT" && !slices.ContainsFunc(words, func(word string) bool { return !strings.Contains(text, word) })
	})
	if err != nil {
		log, _ := os.ReadFile(w.path("bot.log"))
		w.t.Fatalf("%v; there are %q\n%s", err, texts(w.fake.Messages("")), log)
	}
	return m
}

// plainText gives the texts in blocks, without how they are written in JSON.
func plainText(blocks json.RawMessage) string {
	var tree any
	if json.Unmarshal(blocks, &tree) != nil {
		return ""
	}
	var all strings.Builder
	var walk func(any)
	walk = func(v any) {
		switch v := v.(type) {
		case []any:
			for _, e := range v {
				walk(e)
			}
		case map[string]any:
			for name, e := range v {
				if s, ok := e.(string); ok && name == "text" {
					all.WriteString(s + "\n")
				} else {
					walk(e)
				}
			}
		}
	}
	walk(tree)
	return all.String()
}

func (w *workplace) types(user, line string) {
	w.t.Helper()
	if sent, err := w.fake.Slash(w.ctx, w.way, user, "COPS", line); err != nil || !sent.Acked {
		w.t.Fatalf("%s types %q: %+v, %v", user, line, sent, err)
	}
}

// asked gives the form that the line opens for the user.
func (w *workplace) asked(user, line string) fakeslack.View {
	w.t.Helper()
	w.types(user, line)
	return w.form(user)
}

func (w *workplace) form(user string) fakeslack.View {
	w.t.Helper()
	v, err := w.fake.Form(w.ctx, user)
	if err != nil {
		log, _ := os.ReadFile(w.path("bot.log"))
		w.t.Fatalf("%v; there are %q\n%s", err, texts(w.fake.Messages("")), log)
	}
	return v
}

// noForm checks that the user has none open; the answer to what could have opened
// one is there already.
func (w *workplace) noForm(user string) {
	w.t.Helper()
	for _, v := range w.fake.Views(user) {
		if v.Type == "modal" {
			w.t.Errorf("%s has a form open: %s", user, v.Raw)
		}
	}
}

func (w *workplace) sends(v fakeslack.View, values map[string]string) fakeslack.Sent {
	w.t.Helper()
	sent, err := w.fake.Submit(w.ctx, w.way, v, values)
	if err != nil || !sent.Acked {
		w.t.Fatalf("%s sends %v: %+v, %v", v.User, values, sent, err)
	}
	return sent
}

func (w *workplace) offers(v fakeslack.View, input, typed string, values map[string]string, want ...string) {
	w.t.Helper()
	got, sent, err := w.fake.Suggest(w.ctx, w.way, v, input+"/entry", typed, values)
	if err != nil || !sent.Acked || !slices.Equal(got, want) {
		w.t.Errorf("for %s and %q are offered %q, want %q: %+v, %v", input, typed, got, want, sent, err)
	}
}

// refused checks that what was sent was answered with a sentence in place of the
// form.
func (w *workplace) refused(sent fakeslack.Sent, words string) {
	w.t.Helper()
	if !strings.Contains(string(sent.Answer), words) || !strings.Contains(string(sent.Answer), `"update"`) {
		w.t.Errorf("the form was answered with %s, want %q", sent.Answer, words)
	}
}

// ends stops the bot and looks at what it leaves.
func (w *workplace) ends() {
	w.t.Helper()
	if err := w.bot.Process.Signal(os.Interrupt); err != nil {
		w.t.Fatal(err)
	}
	_ = w.bot.Wait() // by a signal
	if out, err := exec.Command(w.bin, "audit", "verify", "--config", w.path("config.toml")).CombinedOutput(); err != nil {
		w.t.Errorf("%v: %s", err, out)
	}
	o := w.fake.Options()
	for _, name := range []string{"bot.log", "quarterdeck.db", "quarterdeck.db-wal"} {
		kept, err := os.ReadFile(w.path(name))
		if err != nil && name == "bot.log" {
			w.t.Fatal(err)
		}
		for _, secret := range []string{o.BotToken, o.AppToken, o.SigningSecret, "/hook/", "trigger.0"} {
			if strings.Contains(string(kept), secret) {
				w.t.Errorf("%s holds %q", name, secret)
			}
		}
	}
	for _, wrong := range w.fake.Wrong() {
		w.t.Errorf("Slack's rules were broken: %s", wrong)
	}
}

// What a line lacks is asked for in a form, and what is entered takes the same
// road as what is typed, by both transports.
func TestSlackForms(t *testing.T) {
	for name, overHTTP := range map[string]bool{"socket": false, "http": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorkplace(t, overHTTP)

			// A developer fills one in. The choices are those they have, what is typed
			// is always one, and what is wrong is said beside the input.
			form := w.asked("UDEV", "deploy --dry-run")
			w.offers(form, "service", "", nil, "shop")
			w.offers(form, "environment", "", map[string]string{"service/entry": "shop"}, "staging", "prod")
			w.offers(form, "version", "", map[string]string{"service/entry": "shop"}, "v4", "v3", "v2", "v1")
			w.offers(form, "version", "v", map[string]string{"service/entry": "shop"}, "v", "v4", "v3", "v2", "v1")
			w.offers(form, "version", "sha-1", map[string]string{"service/entry": "shop", "environment/entry": "prod"}, "sha-1")
			if got := form.Entered()["dry-run/entry"]; got != "true" {
				t.Errorf("the option that was typed is %q in the form", got)
			}
			filled := map[string]string{"service/entry": "shop", "version/entry": "v2", "environment/entry": "staging", "dry-run/entry": "",
				"reason/entry": "a\ndeploy shop v3 prod"}
			if sent := w.sends(form, filled); !strings.Contains(sent.Errors["reason"], "line break") {
				t.Errorf("a reason of two lines was answered with %s", sent.Answer)
			}
			filled["reason/entry"] = `x" --break-glass "now`
			w.way.Twice = true // delivered twice, and pressed twice
			w.sends(form, filled)
			w.sends(form, filled)
			w.way.Twice = false
			w.shows("COPS", "#1 deploy shop v2 to staging: done")
			w.shows("CAUDIT", "#1 dev: deploy shop v2 to staging — requested", `x" --break-glass "now`)
			if n := w.effects("deploy staging v2"); n != 1 {
				t.Errorf("the platform was asked %d times", n)
			}
			replay := form
			replay.ID = "V999999"
			w.refused(w.sends(replay, filled), "expired or was sent already")

			// What was typed is filled in; another cannot send it; whoever opened it can,
			// also after a crash.
			form = w.asked("UDEV", "deploy shop/prod")
			for input, want := range map[string]string{"service/entry": "shop", "environment/entry": "prod", "version/entry": ""} {
				if got := form.Entered()[input]; got != want {
					t.Errorf("%s is %q in the form, want %q", input, got, want)
				}
			}
			stolen, forged := form, form
			stolen.User, stolen.ID = "UEVE", "V888888"
			filled = map[string]string{"version/entry": "v2"}
			w.refused(w.sends(stolen, filled), "another person's")
			w.offers(stolen, "service", "", nil)
			w.shows("CAUDIT", "slack:T1/UEVE", "can be sent by nobody else")
			forged.ID, forged.Raw = "V777777", json.RawMessage(strings.Replace(string(form.Raw), form.Private, strings.Repeat("f", len(form.Private)), 1))
			w.refused(w.sends(forged, filled), "expired or was sent already")
			if sent, err := w.fake.Dismiss(w.ctx, w.way, stolen); err != nil || !sent.Acked {
				t.Errorf("a form that is closed: %+v, %v", sent, err)
			}
			w.kill9(w.bot)
			w.starts()
			sent, err := w.fake.Forge(w.ctx, w.way, form, map[string]string{"version/entry": "v2", "break-glass/entry": "me", "override/entry": "me", "service/other": "x"})
			if err != nil || !sent.Acked || len(sent.Errors) > 0 {
				t.Fatalf("%+v, %v", sent, err)
			}
			w.shows("COPS", "#2 deploy shop v2 to prod: confirm?")

			// No form for a whole line, for what is no verb, for who may not, and for
			// one that came too late: the ordinary answer, for the asker alone.
			w.types("UDEV", "depoly")
			w.shows("COPS", `did you mean "deploy"?`)
			w.types("UVISIT", "deploy")
			w.shows("COPS", `there is no command "deploy"`)
			w.types("UGUEST", "deploy")
			w.shows("COPS", "denied: guests may not run anything here")
			w.types("UEVE", "deploy")
			w.shows("COPS", "denied: the account slack:T1/UEVE belongs to no declared person")
			w.fake.Fail("views.open", fakeslack.Outage{Error: "expired_trigger_id", Times: 1})
			w.types("UDEV", "deploy shop v3")
			if m := w.shows("COPS", "deploy needs an ENV: deploy SERVICE VERSION [to] ENV"); m.For != "UDEV" {
				t.Errorf("the usage is shown to %q", m.For)
			}
			for _, user := range []string{"UDEV", "UVISIT", "UGUEST"} {
				w.noForm(user)
			}

			// The message shortcut asks what should be done, and answers in the thread.
			alert, err := w.fake.Mention(w.ctx, w.way, "USRE", "COPS", "runs", "")
			if err != nil || !alert.Acked {
				t.Fatal(alert, err)
			}
			said := w.shows("COPS", "runs, newest first")
			if sent, err := w.fake.Shortcut(w.ctx, w.way, "UDEV", "ask_quarterdeck", said); err != nil || !sent.Acked {
				t.Fatal(sent, err)
			}
			form = w.form("UDEV")
			if sent := w.sends(form, map[string]string{"line/entry": "statsu"}); !strings.Contains(sent.Errors["line"], `did you mean "status"?`) {
				t.Errorf("a line that cannot be read was answered with %s", sent.Answer)
			}
			w.sends(form, map[string]string{"line/entry": "status shop prod"})
			if m := w.shows("COPS", "what is live"); m.Thread != said.TS {
				t.Errorf("the shortcut is answered in the thread %q, not %q", m.Thread, said.TS)
			}
			if sent, err := w.fake.Shortcut(w.ctx, w.way, "UEVE", "ask_quarterdeck", said); err != nil || !sent.Acked {
				t.Fatal(sent, err)
			}
			w.noForm("UEVE")
			w.ends()
		})
	}
}

// The App Home shows what waits for somebody, with buttons that work, what is
// under way and what is live, within their rights.
func TestSlackHome(t *testing.T) {
	for name, overHTTP := range map[string]bool{"socket": false, "http": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorkplace(t, overHTTP)
			opens := func(user string, words ...string) fakeslack.View {
				t.Helper()
				if sent, err := w.fake.OpenHome(w.ctx, w.way, user); err != nil || !sent.Acked {
					t.Fatal(sent, err)
				}
				return w.home(user, words...)
			}
			opens("UDEV", "nothing waits for you", "what is live", "shop/prod", "live v1")
			w.types("UDEV", "deploy shop v2 prod")
			confirm := w.shows("COPS", "#1 deploy shop v2 to prod: confirm?")
			if sent, err := w.fake.Click(w.ctx, w.way, "UDEV", confirm, "Confirm"); err != nil || !sent.Acked {
				t.Fatal(sent, err)
			}
			w.shows("COPS", "#1 deploy shop v2 to prod: waits for 1 approval from sre")

			// Who asked cannot approve, and has no button to.
			for user, says := range map[string]string{"UGUEST": "denied: guests may not run anything here", "UEVE": "belongs to no declared person", "UOUT": "denied: "} {
				if v := opens(user, says); strings.Contains(string(v.Raw), "shop") || strings.Contains(string(v.Raw), `"button"`) {
					t.Errorf("the home of %s holds %s", user, v.Raw)
				}
			}
			if v := opens("UVISIT", "shop/staging"); strings.Contains(string(v.Raw), "shop/prod") {
				t.Errorf("the home of somebody who may see staging alone holds %s", v.Raw)
			}
			home := opens("USRE", "waits for you", "#1 deploy shop v2 to prod: waits for 1 approval", "Approve")
			if sent, err := w.fake.ClickView(w.ctx, w.way, "USRE", home, "Approve"); err != nil || !sent.Acked {
				t.Fatal(sent, err)
			}
			w.shows("COPS", "#1 deploy shop v2 to prod: done", "approved by sre")
			w.shows("DUSRE", "#1 deploy shop v2 to prod: done")
			w.home("USRE", "nothing waits for you") // drawn anew by itself

			// The button of the old home is over.
			if sent, err := w.fake.ClickView(w.ctx, w.way, "USRE", home, "Approve"); err != nil || !sent.Acked {
				t.Fatal(sent, err)
			}
			w.shows("DUSRE", "#1 is over")
			if n := w.effects("deploy prod v2"); n != 1 {
				t.Errorf("the platform was asked %d times", n)
			}
			w.ends()
		})
	}
}

// home waits for a user's Home that holds all of these words.
func (w *workplace) home(user string, words ...string) fakeslack.View {
	w.t.Helper()
	v, err := w.fake.Home(w.ctx, user, strings.Join(words, ", "), func(v fakeslack.View) bool {
		text := plainText(v.Raw)
		return !slices.ContainsFunc(words, func(word string) bool { return !strings.Contains(text, word) })
	})
	if err != nil {
		log, _ := os.ReadFile(w.path("bot.log"))
		w.t.Fatalf("%v; there are %v\n%s", err, w.fake.Views(user), log)
	}
	return v
}
