package router_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"quarterdeck/adapters/file"
	"quarterdeck/adapters/sqlite"
	"quarterdeck/bot"
	"quarterdeck/bot/app"
	"quarterdeck/bot/bottest"
	"quarterdeck/bot/config"
	"quarterdeck/bot/provider"
	"quarterdeck/bot/provider/providertest"
	"quarterdeck/bot/store"
	"quarterdeck/commands"
)

// clock is the system's, put forward by hand, because the bot under test waits
// in real time.
type clock struct {
	mu    sync.Mutex
	ahead time.Duration
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return bot.SystemClock{}.Now().Add(c.ahead)
}

func (c *clock) forward(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ahead += d
}

// fakeProvider binds every target to one infrastructure.
type fakeProvider struct{ far *providertest.Infrastructure }

func (fakeProvider) Name() string { return "far" }

func (p fakeProvider) BindDeploy(t bot.Target, _ provider.Raw) (provider.Deployer, error) {
	return p.far.Deployer(t), nil
}

const rules = `[bot]
database = "sqlite:q.db"
socket = "q.sock"
%s
[audit]
channels = ["file:audit.txt", "x:audit"]
key = "file:audit.key"
[chat.x]
[chat.file]

[[person]]
name = "dev"
accounts = ["x:dev"]
roles = ["developer"]
[[person]]
name = "sre"
accounts = ["x:sre"]
roles = ["sre", "developer"]
[[person]]
name = "visitor"
accounts = ["x:guest"]
roles = ["developer"]

[[grant]]
roles = ["developer"]
permissions = ["deploy", "rollback", "restart", "status", "history", "run.read"]
targets = ["shop/*"]
[[grant]]
roles = ["developer"]
permissions = ["audit"]
[[require]]
permissions = ["deploy"]
targets = ["*/prod"]
confirm = true
approvals = { count = 1, from = ["sre"] }

[environment.staging]
[environment.prod]
[provider.far]
type = "far"
[service.shop.staging]
deploy = { provider = "far" }
[service.shop.prod]
deploy = { provider = "far" }
`

// chat is a fake network: what the bot sees of it and what people do on it.
type chat interface {
	bot.Chat
	bottest.Talker
	SetStanding(bot.AccountID, bot.Standing)
	Send(ctx context.Context, m bot.Message) (bot.Receipt, error)
}

// world is the whole bot, from the assembly that is shipped, on a fake network
// and a fake infrastructure.
type world struct {
	bottest.World
	chat  chat
	far   *providertest.Infrastructure
	clock *clock
	dir   string
	app   *app.App
	forms bot.Forms // as the network is given them
}

// friendly and hostile make a network and the clock of the bot on it.
func friendly() (*bottest.FakeChat, *clock) {
	now := &clock{}
	return bottest.NewFakeChat("x", now), now
}

func hostile() (*bottest.HostileChat, *clock) {
	now := &clock{}
	return bottest.NewHostileChat("x", now), now
}

// start runs a bot on the network until the test ends. settings are added to
// [bot], extra to the commands.
func start(t *testing.T, talk chat, now *clock, settings string, extra ...bot.Command) *world {
	t.Helper()
	dir, err := os.MkdirTemp("", "qd") // short enough for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "config.toml")
	if err := os.WriteFile(path, fmt.Appendf(nil, rules, settings), 0o600); err != nil {
		t.Fatal(err)
	}
	far := providertest.NewFriendly(now)
	var forms bot.Forms
	tables := app.Tables{
		Chats: []bot.ChatType{file.Type(), {Name: "x", Open: func(o bot.ChatOptions) (bot.Chat, error) { forms = o.Forms; return talk, nil }}},
		Providers: []provider.Type{{Name: "far", Open: func(provider.Options) (provider.Provider, error) {
			return fakeProvider{far}, nil
		}}},
		Stores:   []store.Type{sqlite.Type()},
		Commands: func(n app.CommandNeeds) []bot.Command { return append(commands.All(n), extra...) },
	}
	c, err := config.Load(path, tables.Known())
	if err != nil {
		t.Fatal(err)
	}
	a, err := app.New(c, tables, app.Options{Clock: now})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the bot ended with %v", err)
		}
	})
	talk.SetStanding("x:guest", bot.Guest)
	return &world{chat: talk, far: far, clock: now, dir: dir, app: a, forms: forms,
		World: bottest.World{Chat: talk, Dev: "x:dev", SRE: "x:sre", Guest: "x:guest", Stranger: "x:stranger",
			Effects: func() ([]string, error) { return effects(far), nil }}}
}

// effects gives what the infrastructure was made to do.
func effects(far *providertest.Infrastructure) []string {
	var list []string
	for _, a := range far.Acts() {
		list = append(list, fmt.Sprintf("%s %s", a.Target, a.To))
	}
	return list
}

// gets has an account type a line and gives the answer, of the outcome wanted.
func (w *world) gets(t *testing.T, a bot.AccountID, line string, want bot.Outcome) bottest.Post {
	t.Helper()
	said, err := w.chat.Say(t.Context(), a, line)
	if err != nil {
		t.Fatal(err)
	}
	return w.answer(t, said.ID, want)
}

// presses has an account press a button.
func (w *world) presses(t *testing.T, a bot.AccountID, token string, want bot.Outcome) bottest.Post {
	t.Helper()
	said, err := w.chat.Press(t.Context(), a, token)
	if err != nil {
		t.Fatal(err)
	}
	return w.answer(t, said.ID, want)
}

func (w *world) answer(t *testing.T, id string, want bot.Outcome) bottest.Post {
	t.Helper()
	p, err := w.chat.Wait(t.Context(), "the answer to "+id, func(p bottest.Post) bool { return bottest.Answers(p, id) })
	if err != nil {
		t.Fatal(err)
	}
	if p.Card.Outcome != want {
		t.Fatalf("%s was answered by %q %q, outcome %q; want %q", id, p.Card.Title, p.Card.Text, p.Card.Outcome, want)
	}
	return p
}
