package app_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"quarterdeck/adapters/sqlite"
	"quarterdeck/bot"
	"quarterdeck/bot/app"
	"quarterdeck/bot/audit"
	"quarterdeck/bot/bottest"
	"quarterdeck/bot/config"
	"quarterdeck/bot/provider"
	"quarterdeck/bot/provider/providertest"
	"quarterdeck/bot/store"
	"quarterdeck/commands"
)

// TestMain runs more tests at once than there are processors: a bot among
// faults waits far more than it works.
func TestMain(m *testing.M) {
	if err := flag.Set("test.parallel", "4"); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m)
}

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

// far is a provider type over one infrastructure, which every target shares.
type far struct{ *providertest.Infrastructure }

func (far) Name() string { return "far" }

func (f far) BindDeploy(t bot.Target, raw provider.Raw) (provider.Deployer, error) {
	var none struct{}
	if err := raw.Decode(&none); err != nil {
		return nil, err
	}
	return f.Deployer(t), nil
}

// idle is a provider that can do nothing.
type idle struct{}

func (idle) Name() string { return "idle" }

// standard is a configuration in which everything holds that package bottest
// asks of a World. Besides, trainee is declared and granted nothing.
const standard = `[bot]
database = "sqlite:q.db"
socket = "q.sock"
rate = 100000
[audit]
channels = ["x:audit"]
key = "file:audit.key"
redact = ["house-[0-9]+"]
[chat.x]
[chat.y]

[[person]]
name = "dev"
accounts = ["x:dev"]
roles = ["developer"]
[[person]]
name = "sre"
accounts = ["x:sre", "y:sre"]
roles = ["sre", "developer"]
[[person]]
name = "visitor"
accounts = ["x:guest"]
roles = ["developer"]
[[person]]
name = "trainee"
accounts = ["x:trainee"]

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

// The targets of the standard configuration.
var (
	staging = bot.Target{Service: "shop", Environment: "staging"}
	prod    = bot.Target{Service: "shop", Environment: "prod"}
)

// chat is a fake network: what the bot sees of it and what people do on it.
type chat interface {
	bot.Chat
	bottest.Talker
	SetStanding(bot.AccountID, bot.Standing)
	Send(ctx context.Context, m bot.Message) (bot.Receipt, error)
}

// world is the whole bot, from the assembly that is shipped, on fake networks
// and a fake infrastructure.
type world struct {
	bottest.World
	t      *testing.T
	x, y   chat
	far    *providertest.Infrastructure
	clock  *clock
	dir    string
	path   string       // of the configuration
	output output       // all that the bot logs for its operator
	store  store.Store  // see view
	stores []store.Type // in place of SQLite's
	stop   func()
	app    *app.App // that runs
	groups *groupsOfX
	serve  bool             // the clock asks for what is due
	opened *bot.ChatOptions // when set, what the network x was opened with first
}

// output keeps what is written to it. Safe for concurrent use.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// How a World is made: what its network and its platform are like.
type (
	network  func(bot.Clock) chat
	platform func(bot.Clock) *providertest.Infrastructure
)

func friendly(c bot.Clock) chat { return bottest.NewFakeChat("x", c) }

func hostile(c bot.Clock) chat { return bottest.NewHostileChat("x", c) }

func faulty(f providertest.Fault) platform {
	return func(c bot.Clock) *providertest.Infrastructure { return providertest.NewHostile(c, f) }
}

// newWorld makes a World that does not run yet.
func newWorld(t *testing.T, n network, p platform) *world {
	t.Helper()
	dir, err := os.MkdirTemp("", "qd") // short enough for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	now := &clock{}
	w := &world{t: t, clock: now, x: n(now), y: bottest.NewFakeChat("y", now), far: p(now), dir: dir, path: filepath.Join(dir, "config.toml")}
	w.x.SetStanding("x:guest", bot.Guest)
	w.configure(standard)
	w.World = bottest.World{Chat: w.x, Dev: "x:dev", SRE: "x:sre", Guest: "x:guest", Stranger: "x:stranger",
		Effects: func() ([]string, error) { return effects(w.far), nil }}
	return w
}

// start makes a World with the standard configuration and runs its bot until
// the test ends.
func start(t *testing.T, n network, p platform) *world {
	t.Helper()
	w := newWorld(t, n, p)
	w.run()
	return w
}

// configure writes the configuration, for the next start.
func (w *world) configure(text string) {
	w.t.Helper()
	if err := os.WriteFile(w.path, []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) tables() app.Tables {
	opens := func(c bot.Chat) func(bot.ChatOptions) (bot.Chat, error) {
		if network, ok := c.(interface {
			Open(o bot.ChatOptions) (bot.Chat, error)
		}); ok {
			return network.Open
		}
		return func(o bot.ChatOptions) (bot.Chat, error) {
			var none struct{}
			if err := o.Raw.Decode(&none); err != nil {
				return nil, err
			}
			if c == bot.Chat(w.x) && w.opened != nil && w.opened.Home == nil { // a reload opens another, which is never run
				*w.opened = o
			}
			return c, nil
		}
	}
	stores := w.stores
	if stores == nil {
		stores = []store.Type{sqlite.Type()}
	}
	return app.Tables{
		Chats: []bot.ChatType{w.groups.row(bot.ChatType{Name: w.x.Network(), Open: opens(w.x)}), {Name: "y", Open: opens(w.y)}},
		Providers: []provider.Type{
			{Name: "far", Open: func(provider.Options) (provider.Provider, error) { return far{w.far}, nil }},
			{Name: "idle", Open: func(provider.Options) (provider.Provider, error) { return idle{}, nil }},
			{Name: "broken", Open: func(provider.Options) (provider.Provider, error) {
				return nil, &bot.Error{Op: "broken.Open", Kind: bot.Invalid, Say: "the moon is in the way", Err: context.Canceled}
			}},
		},
		Stores:   stores,
		Commands: commands.All,
	}
}

// assemble loads the configuration and makes an App of it.
func (w *world) assemble() (*app.App, error) {
	tables := w.tables()
	c, err := config.Load(w.path, tables.Known())
	if err != nil {
		return nil, err
	}
	return app.New(c, tables, app.Options{Version: "v9.9.9", Clock: w.clock, Serve: w.serve,
		Logger: slog.New(slog.NewTextHandler(&w.output, &slog.HandlerOptions{Level: slog.LevelDebug}))})
}

// run starts the bot; w.stop, or the end of the test, stops it.
func (w *world) run() {
	w.t.Helper()
	a, err := w.assemble()
	if err != nil {
		w.t.Fatal(err)
	}
	w.app = a
	ctx, cancel := context.WithCancel(context.WithoutCancel(w.t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	w.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			w.t.Errorf("the bot ended with %v", err)
		}
	})
	w.t.Cleanup(w.stop)
	select {
	case <-a.Ready():
	case err := <-ended:
		ended <- err
		w.t.Fatalf("the bot did not get ready: %v", err)
	}
}

// effects gives what the infrastructure was made to do.
func effects(far *providertest.Infrastructure) []string {
	var list []string
	for _, a := range far.Acts() {
		list = append(list, fmt.Sprintf("%s %s", a.Target, a.To))
	}
	return list
}

// says has an account type a line and gives the answer.
func (w *world) says(a bot.AccountID, line string) bottest.Post {
	w.t.Helper()
	said, err := w.x.Say(w.t.Context(), a, line)
	if err != nil {
		w.t.Fatal(err)
	}
	return w.answer(said.ID)
}

// gets is says for an answer of which the outcome is known.
func (w *world) gets(a bot.AccountID, line string, want bot.Outcome) bottest.Post {
	w.t.Helper()
	p := w.says(a, line)
	if p.Card.Outcome != want {
		w.t.Fatalf("%s says %q: answered %q %q, outcome %q; want %q", a, line, p.Card.Title, p.Card.Text, p.Card.Outcome, want)
	}
	return p
}

func (w *world) answer(id string) bottest.Post {
	w.t.Helper()
	return w.wait("the answer to "+id, func(p bottest.Post) bool { return bottest.Answers(p, id) })
}

func (w *world) wait(what string, ok func(bottest.Post) bool) bottest.Post {
	w.t.Helper()
	p, err := w.x.Wait(w.t.Context(), what, ok)
	if err != nil {
		w.t.Fatal(err)
	}
	return p
}

// view runs f on a snapshot of the bot's database, through a store of its own.
func (w *world) view(f func(r store.Reader) error) {
	w.t.Helper()
	if w.store == nil {
		tables := w.tables()
		tables.Stores = []store.Type{sqlite.Type()}
		c, err := config.Load(w.path, tables.Known())
		if err != nil {
			w.t.Fatal(err)
		}
		if w.store, err = app.OpenStore(w.t.Context(), c, tables); err != nil {
			w.t.Fatal(err)
		}
		w.t.Cleanup(func() { w.store.Close() })
	}
	if err := w.store.View(w.t.Context(), f); err != nil {
		w.t.Fatal(err)
	}
}

// records gives the whole log, oldest first.
func (w *world) records() []bot.Record {
	w.t.Helper()
	var all []bot.Record
	w.view(func(r store.Reader) error {
		sealed, err := r.RecordsFrom(1, 100_000)
		if err != nil {
			return err
		}
		for _, s := range sealed {
			rec, err := audit.Decode(s)
			if err != nil {
				return err
			}
			all = append(all, rec)
		}
		return nil
	})
	return all
}

// runs gives the state of every run, oldest first.
func (w *world) runs() []bot.RunState {
	w.t.Helper()
	var states []bot.RunState
	w.view(func(r store.Reader) error {
		rows, err := r.Runs(bot.RunFilter{Limit: 10_000})
		for _, row := range rows {
			states = append([]bot.RunState{row.State}, states...)
		}
		return err
	})
	return states
}

// until waits for a condition of which nothing tells when it comes true.
func (w *world) until(what string, ok func() bool) {
	w.t.Helper()
	for end := time.Now().Add(120 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			w.t.Fatalf("waited in vain for %s", what)
		}
	}
}

// violations reports what a hostile network saw the bot do wrong.
func (w *world) violations() {
	w.t.Helper()
	if h, ok := w.x.(interface{ Violations() []string }); ok {
		for _, v := range h.Violations() {
			w.t.Errorf("the bot broke a rule of the network: %s", v)
		}
	}
}

// shown gives everything that people can read of a card.
func shown(c bot.Card) string {
	parts := []string{c.Title, c.Text, c.Footer, c.Link, strings.Join(c.Lines, "\n")}
	for _, f := range c.Fields {
		parts = append(parts, f.Name, f.Value)
	}
	if c.Table != nil {
		for _, row := range append([][]string{c.Table.Columns}, c.Table.Rows...) {
			parts = append(parts, row...)
		}
	}
	if c.Progress != nil {
		parts = append(parts, c.Progress.Text)
	}
	for _, b := range c.Buttons {
		parts = append(parts, b.Label, b.Line)
	}
	return strings.Join(parts, "\n")
}
