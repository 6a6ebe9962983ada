package slackchat

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"quarterdeck/adapters/slack/fakeslack"
	"quarterdeck/adapters/sqlite"
	"quarterdeck/bot"
	"quarterdeck/bot/app"
	"quarterdeck/bot/config"
	"quarterdeck/bot/provider"
	"quarterdeck/bot/provider/providertest"
	"quarterdeck/bot/store"
	"quarterdeck/commands"
)

// rules are those of a whole bot: prod needs a confirmation and an approval;
// "torn" has a platform that puts the old release back, "lost" one that reports
// what nobody has heard of, "half" one that stops half-way.
const rules = `[bot]
database = "sqlite:q.db"
socket = "q.sock"
timezone = "UTC"
[audit]
channels = ["slack:CAUDIT"]
key = "file:audit.key"
[chat.slack]
teams = ["T1"]
api_url = %q

[[person]]
name = "dev"
accounts = ["slack:T1/UDEV"]
roles = ["developer"]
[[person]]
name = "sre"
accounts = ["slack:T1/USRE"]
roles = ["sre", "developer"]
[[person]]
name = "oncall"
accounts = ["slack:T1/UONCALL"]
roles = ["sre", "developer", "glass"]

[[grant]]
roles = ["developer"]
permissions = ["deploy", "rollback", "restart", "lock", "status", "history", "run.read", "audit"]
targets = ["*/*"]
[[grant]]
roles = ["sre"]
permissions = ["run.cancel", "lock.steal", "freeze", "halt"]
targets = ["*/*"]
[[grant]]
roles = ["glass"]
permissions = ["break-glass"]
targets = ["*/*"]
[[require]]
permissions = ["deploy", "restart"]
targets = ["*/prod"]
confirm = true
approvals = { count = 1, from = ["sre"] }

[environment.staging]
[environment.prod]
[provider.far]
type = "far"
[provider.torn]
type = "torn"
[provider.lost]
type = "lost"
[service.shop.staging]
deploy = { provider = "far" }
[service.shop.prod]
deploy = { provider = "far" }
[service.torn.staging]
deploy = { provider = "torn" }
[service.lost.staging]
deploy = { provider = "lost" }
[provider.half]
type = "half"
[service.half.staging]
deploy = { provider = "half" }
`

// platform binds every target to one infrastructure.
type platform struct {
	name string
	far  *providertest.Infrastructure
}

func (p platform) Name() string { return p.name }

func (p platform) BindDeploy(t bot.Target, _ provider.Raw) (provider.Deployer, error) {
	return p.far.Deployer(t), nil
}

// watched is the adapter, with what it was told to deliver.
type watched struct {
	*chat
	mu   sync.Mutex
	all  []bot.Delivery // with the reference that came of it in Ref
	news chan struct{}
}

func (w *watched) Deliver(ctx context.Context, d bot.Delivery) (string, error) {
	ref, err := w.chat.Deliver(ctx, d)
	if err == nil {
		w.mu.Lock()
		d.Ref = ref
		w.all = append(w.all, d)
		close(w.news)
		w.news = make(chan struct{})
		w.mu.Unlock()
	}
	return ref, err
}

// await gives the newest delivery for which ok holds.
func (w *watched) await(t *testing.T, what string, ok func(d bot.Delivery) bool) bot.Delivery {
	t.Helper()
	patience := time.After(40 * time.Second)
	for {
		w.mu.Lock()
		all, news := w.all, w.news
		w.mu.Unlock()
		for _, d := range slices.Backward(all) {
			if ok(d) {
				return d
			}
		}
		select {
		case <-news:
		case <-patience:
			var titles []string
			for _, d := range all[max(0, len(all)-12):] {
				titles = append(titles, fmt.Sprintf("%s %s %s: %.90s", d.Channel, d.To, d.Card.Key, d.Card.Title))
			}
			t.Fatalf("waited for %s; there are\n%s", what, strings.Join(titles, "\n"))
		}
	}
}

// early is the system's clock put to three in the morning.
type early struct{ by time.Duration }

func newEarly() early {
	return early{time.Until(time.Date(2026, 11, 21, 3, 0, 0, 0, time.UTC))}
}

func (c early) Now() time.Time { return time.Now().Add(c.by).UTC() }

// hasty is a clock in whose time everybody else dawdles.
type hasty struct{ early }

func (c hasty) Now() time.Time {
	now := c.early.Now()
	return now.Add(100 * now.Sub(time.Date(2026, 11, 21, 3, 0, 0, 0, time.UTC)))
}

// whole is a running bot on a fake Slack.
type whole struct {
	*fakeslack.Server
	ctx  context.Context
	chat *watched
	far  *providertest.Infrastructure
	half *providertest.Infrastructure
}

func newWhole(t *testing.T) *whole {
	t.Helper()
	now := newEarly()
	o := fakeslack.Options{}
	if dir := contracts(t); dir != "" {
		o.Methods = filepath.Join(dir, "methods")
	}
	fake, err := fakeslack.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("SLACK_BOT_TOKEN", fake.Options().BotToken)
	t.Setenv("SLACK_APP_TOKEN", fake.Options().AppToken)
	for _, id := range []string{"UDEV", "USRE", "UONCALL", "USTRANGER"} {
		fake.SetUser(fakeslack.User{ID: id, Name: strings.ToLower(id)})
	}
	fake.SetUser(fakeslack.User{ID: "UGUEST", Kind: fakeslack.Guest})
	everybody := []string{"UBOT", "UDEV", "USRE", "UONCALL", "USTRANGER", "UGUEST"}
	fake.SetChannel(fakeslack.Channel{ID: "COPS", Name: "ops", Members: everybody})
	fake.SetChannel(fakeslack.Channel{ID: "CSRE", Name: "sre", Members: []string{"UBOT", "UDEV", "USRE", "UONCALL"}})
	fake.SetChannel(fakeslack.Channel{ID: "CAUDIT", Name: "audit", Members: []string{"UBOT", "USRE"}})

	dir, err := os.MkdirTemp("", "qd") // short enough for a socket
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "config.toml")
	if err := os.WriteFile(path, fmt.Appendf(nil, rules, fake.URL()), 0o600); err != nil {
		t.Fatal(err)
	}
	w := &whole{Server: fake, far: providertest.NewFriendly(now), half: providertest.NewHostile(now, providertest.CancelsPartly), chat: &watched{news: make(chan struct{})}}
	platforms := []platform{{"far", w.far}, {"half", w.half}, {"torn", providertest.NewHostile(now, providertest.Reverts)}, {"lost", providertest.NewHostile(now, providertest.UnknownState)}}
	tables := app.Tables{
		Chats: []bot.ChatType{{Name: Network, Open: func(o bot.ChatOptions) (bot.Chat, error) {
			s, err := open(o)
			if err == nil {
				s.pace = newPace(hasty{now}) // a fake Slack that does not limit
				w.chat.chat = s
			}
			return w.chat, err
		}}},
		Stores:   []store.Type{sqlite.Type()},
		Commands: commands.All,
	}
	for _, p := range platforms {
		tables.Providers = append(tables.Providers, provider.Type{Name: p.name, Open: func(provider.Options) (provider.Provider, error) { return p, nil }})
	}
	c, err := config.Load(path, tables.Known())
	if err != nil {
		t.Fatal(err)
	}
	a, err := app.New(c, tables, app.Options{Clock: now})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the bot ended with %v", err)
		}
		fake.Close()
		http.DefaultTransport.(*http.Transport).CloseIdleConnections()
		for _, wrong := range fake.Wrong() {
			t.Errorf("Slack's rules were broken: %s", wrong)
		}
		os.RemoveAll(dir)
	})
	patient, stop := context.WithTimeout(ctx, 2*time.Minute)
	t.Cleanup(stop)
	w.ctx = patient
	if err := fake.Until(w.ctx, "both sockets", func() bool { return fake.Sockets() == sockets }); err != nil {
		t.Fatal(err)
	}
	return w
}

// types has somebody type a line in a channel and gives the last answer to it.
func (w *whole) types(t *testing.T, user, channel, line string) bot.Delivery {
	t.Helper()
	sent, err := w.Slash(w.ctx, fakeslack.Way{}, user, channel, line)
	if err != nil || !sent.Acked {
		t.Fatalf("%s types %q: %+v, %v", user, line, sent, err)
	}
	for _, v := range w.Views(user) {
		if v.Type != "modal" || v.Closed {
			continue
		}
		// It asks for what the line lacks; a mention is answered at once.
		if sent, err := w.Dismiss(w.ctx, fakeslack.Way{}, v); err != nil || !sent.Acked {
			t.Fatalf("%s closes a form: %+v, %v", user, sent, err)
		}
		sent, err := w.Mention(w.ctx, fakeslack.Way{}, user, channel, line, "")
		if err != nil || !sent.Acked {
			t.Fatalf("%s says %q: %+v, %v", user, line, sent, err)
		}
		return w.answer(t, line, "slack:event/"+sent.ID)
	}
	return w.answer(t, line, "slack:"+once("command", sent.Trigger))
}

// clicks has somebody press a button on a message as they see it.
func (w *whole) clicks(t *testing.T, user string, m fakeslack.Message, button string) bot.Delivery {
	t.Helper()
	sent, err := w.Click(w.ctx, fakeslack.Way{}, user, m, button)
	if err != nil || !sent.Acked {
		t.Fatalf("%s presses %q: %+v, %v", user, button, sent, err)
	}
	return w.answer(t, button, "slack:"+once("press", sent.Trigger))
}

func (w *whole) answer(t *testing.T, what, id string) bot.Delivery {
	t.Helper()
	return w.chat.await(t, "the answer to "+what, func(d bot.Delivery) bool {
		return d.Card.ReplyTo == id && d.Card.Phase != bot.PhaseWorking
	})
}

// message gives what Slack shows of a delivery now.
func (w *whole) message(t *testing.T, d bot.Delivery) fakeslack.Message {
	t.Helper()
	channel, ts := split(d.Ref)
	for _, m := range w.Messages(channel) {
		if m.TS == ts {
			return m
		}
	}
	t.Fatalf("no message %s", d.Ref)
	return fakeslack.Message{}
}

// acts gives what the platform was made to do.
func (w *whole) acts() []string {
	var list []string
	for _, a := range w.far.Acts() {
		list = append(list, fmt.Sprintf("%s %s", a.Target, a.To))
	}
	return list
}

// run waits for a run's card in a state and gives it.
func (w *whole) run(t *testing.T, number int64, channel bot.ChannelID, state bot.RunState) bot.Delivery {
	t.Helper()
	return w.chat.await(t, fmt.Sprintf("#%d to be %s in %s", number, state, channel), func(d bot.Delivery) bool {
		return d.Card.Run == number && d.Card.State == state && d.Channel == channel && strings.HasPrefix(d.Card.Key, "run/")
	})
}
