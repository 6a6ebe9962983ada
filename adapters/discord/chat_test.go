package discordchat

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"quarterdeck/adapters/discord/fakediscord"
	"quarterdeck/bot"
)

func TestMain(m *testing.M) {
	// The fake's own default, set once, so that tests can run beside one another.
	if err := os.Setenv("DISCORD_BOT_TOKEN", "discord-fake-token"); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m)
}

// hub takes messages, once each, and can refuse to.
type hub struct {
	mu      sync.Mutex
	got     []bot.Message
	seen    map[string]bool
	err     error
	private bool
	panics  bool
	still   chan struct{} // while the store stands still, until it is closed
}

func (h *hub) Receive(ctx context.Context, m bot.Message) (bot.Receipt, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if still := h.still; still != nil {
		h.mu.Unlock()
		select {
		case <-still:
		case <-ctx.Done():
		}
		h.mu.Lock()
		if ctx.Err() != nil {
			return bot.Receipt{}, ctx.Err()
		}
	}
	switch {
	case h.panics:
		panic("as a hub never should")
	case h.err != nil:
		return bot.Receipt{}, h.err
	case h.seen[m.ID]:
		return bot.Receipt{Duplicate: true}, nil
	}
	if h.seen == nil {
		h.seen = map[string]bool{}
	}
	h.seen[m.ID] = true
	h.got = append(h.got, m)
	return bot.Receipt{Private: h.private}, nil
}

func (h *hub) messages() []bot.Message {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]bot.Message(nil), h.got...)
}

func (h *hub) set(change func(h *hub)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	change(h)
}

// settings is a configuration table.
type settings struct{ config Config }

func (t settings) Decode(dst any) error {
	c := dst.(*Config)
	c.Guilds, c.PublicKey, c.Application, c.Direct = t.config.Guilds, t.config.PublicKey, t.config.Application, t.config.Direct
	for from, to := range map[*string]*string{&t.config.Mode: &c.Mode, &t.config.APIURL: &c.APIURL, &t.config.BotToken: &c.BotToken} {
		if *from != "" {
			*to = *from
		}
	}
	return nil
}
func (settings) Dir() string   { return "." }
func (settings) Where() string { return "config.toml:9" }

// verbs is a small command table.
type verbs struct{}

func (verbs) Verbs() []bot.Verb {
	service := bot.Param{Name: "service", Type: bot.TypeService, Help: "which"}
	environment := bot.Param{Name: "environment", Type: bot.TypeEnvironment, Help: "where", Optional: true}
	return []bot.Verb{{Name: "deploy", Summary: "make a version live", Arguments: []bot.Param{service, {Name: "version", Type: bot.TypeVersion, Help: "which"}, environment}},
		{Name: "status", Summary: "what is live where", Arguments: []bot.Param{service, environment}}, {Name: "whoami", Summary: "who you are"}}
}

func (verbs) Line(verb string, values map[string]string) string {
	parts := []string{verb}
	for _, name := range []string{"service", "version", "environment"} {
		if v := values[name]; v != "" {
			parts = append(parts, v)
		}
	}
	return strings.Join(parts, " ")
}

func (verbs) Choices(_ context.Context, p bot.Picking) []bot.Choice {
	var all []bot.Choice
	for i := range 40 {
		all = append(all, bot.Choice{Value: fmt.Sprintf("%s-%d", p.Typed, i)})
	}
	return all[:min(len(all), p.Limit)]
}

// contract gives the vendor's description, or "" where it is not laid beside the
// project.
func contract(t testing.TB) string {
	dir := os.Getenv("CONTRACTS_DIR")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared", "contracts")
	}
	path := filepath.Join(dir, "discord", "openapi.json")
	if _, err := os.Stat(path); err != nil {
		if os.Getenv("CONTRACTS_REQUIRED") != "" {
			t.Fatalf("the contracts are not there: %v", err)
		}
		return ""
	}
	return path
}

// People, guilds and channels of the tests.
const (
	guild, otherGuild            = "500", "501"
	ops, quiet, elsewhere        = "600", "601", "602"
	dev, sre, guest, stranger    = "101", "102", "103", "104"
	admin, otherBot, system, own = "105", "106", "107", "9001"
	sreRole, adminRole           = "301", "302"
)

// populate gives a fake its people.
func populate(f *fakediscord.Server) {
	f.SetGuild(fakediscord.Guild{ID: guild, Name: "Acme", Owner: admin, Roles: []fakediscord.Role{{ID: sreRole, Name: "sre"}, {ID: adminRole, Name: "admin", Permissions: fakediscord.Administrator}}})
	f.SetGuild(fakediscord.Guild{ID: otherGuild, Name: "Others"})
	in := func(roles ...string) map[string][]string { return map[string][]string{guild: roles} }
	for _, u := range []fakediscord.User{{ID: dev, Name: "dev", Roles: in()}, {ID: sre, Name: "sre", Roles: in(sreRole)}, {ID: guest, Name: "guest", Roles: in(), Pending: true},
		{ID: stranger, Name: "stranger", Roles: map[string][]string{otherGuild: {}}}, {ID: admin, Name: "admin", Roles: in(adminRole)},
		{ID: otherBot, Name: "bot", Bot: true, Roles: in()}, {ID: system, Name: "system", System: true, Roles: in()}} {
		f.SetUser(u)
	}
	f.SetChannel(fakediscord.Channel{ID: ops, Guild: guild, Name: "ops"})
	f.SetChannel(fakediscord.Channel{ID: quiet, Guild: guild, Name: "quiet", Denies: fakediscord.ViewChannel | fakediscord.SendMessages})
	f.SetChannel(fakediscord.Channel{ID: elsewhere, Guild: otherGuild, Name: "elsewhere"})
}

// world is a fake Discord with people and the adapter on it.
type world struct {
	*fakediscord.Server
	chat *chat
	hub  *hub
	ctx  context.Context
	stop context.CancelFunc
	done chan error
}

// brisk is a rhythm that no test waits for.
var brisk = rhythm{10 * time.Millisecond, 200 * time.Millisecond, 10 * time.Millisecond, 50 * time.Millisecond, 400 * time.Millisecond}

type setting struct {
	fake   fakediscord.Options
	config Config
	o      bot.ChatOptions
	before func(f *fakediscord.Server)
	idle   bool // the bot is not run
}

func newWorld(t *testing.T, change ...func(*setting)) *world {
	t.Helper()
	set := setting{config: Config{Guilds: []string{guild}}, o: bot.ChatOptions{Clock: bot.SystemClock{}, Logger: slog.New(slog.NewTextHandler(testLog{t}, &slog.HandlerOptions{Level: slog.LevelDebug})), Typed: verbs{}}}
	set.fake.Contract = contract(t)
	for _, c := range change {
		c(&set)
	}
	fake, err := fakediscord.New(set.fake)
	if err != nil {
		t.Fatal(err)
	}
	populate(fake)
	set.config.APIURL = fake.URL()
	if set.config.Mode == modeHTTP {
		set.config.PublicKey = fake.PublicKey()
	}
	if set.before != nil {
		set.before(fake)
	}
	set.o.Raw = settings{set.config}
	c, err := open(set.o)
	if err != nil {
		t.Fatal(err)
	}
	c.rhythm = brisk
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	w := &world{Server: fake, chat: c, hub: &hub{}, ctx: ctx, stop: cancel, done: make(chan error, 1)}
	t.Cleanup(func() {
		cancel()
		if err := <-w.done; err != nil {
			t.Errorf("Run ended with %v", err)
		}
		fake.Close()
		web.CloseIdleConnections()
		for _, wrong := range fake.Wrong() {
			t.Errorf("Discord's rules were broken: %s", wrong)
		}
	})
	if set.idle {
		w.done <- nil
		return w
	}
	go func() { w.done <- c.Run(ctx, w.hub) }()
	w.until(t, "the gateway", func() bool { return fake.Sessions() == 1 && c.Connection().Up })
	return w
}

func (w *world) until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	// What is waited for may be the adapter's and not the fake's.
	for end := time.Now().Add(30 * time.Second); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited for %s", what)
		}
	}
}

type testLog struct{ t testing.TB }

func (l testLog) Write(p []byte) (int, error) {
	for _, secret := range []string{"discord-fake-token", "interaction-token-"} {
		if strings.Contains(string(p), secret) {
			l.t.Errorf("the log holds a secret: %s", p)
		}
	}
	return len(p), nil
}

// await waits for so many messages and gives them.
func (w *world) await(t *testing.T, n int) []bot.Message {
	t.Helper()
	w.until(t, fmt.Sprintf("%d messages", n), func() bool { return len(w.hub.messages()) >= n })
	return w.hub.messages()
}

func option(name, value string) fakediscord.Option {
	return fakediscord.Option{Name: name, Type: 3, Value: value}
}

// A slash command, a mention and a direct message come in once, as who wrote them,
// also when Discord delivers them twice.
func TestWaysIn(t *testing.T) {
	w := newWorld(t)
	for _, twice := range []bool{false, true} {
		way := fakediscord.Way{Twice: twice}
		sent, err := w.Slash(w.ctx, way, dev, ops, "deploy", option("version", "v2"), option("service", "shop"), option("environment", "prod"))
		if err != nil || !sent.Acked || sent.Answer.Type != sayLater {
			t.Fatalf("%+v, %v", sent, err)
		}
		for _, text := range []string{"<@" + own + "> status shop", "  <@!" + own + ">: status shop", "status <@" + own + "> shop"} {
			if _, err := w.Say(dev, ops, fakediscord.Remark{Text: text, Twice: twice}); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := w.Say(dev, w.DirectWith(dev), fakediscord.Remark{Text: "whoami", Twice: twice}); err != nil {
			t.Fatal(err)
		}
	}
	got := w.await(t, 10)
	want := map[string]int{"600 deploy shop v2 prod": 2, "600 status shop": 6, "7101 whoami": 2}
	for _, m := range got {
		if m.Account != "discord:"+dev || m.Standing != bot.Member || m.ID == "" || m.Aside != (m.Text == "whoami") {
			t.Errorf("%+v", m)
		}
		want[m.Channel.Local()+" "+m.Text]--
	}
	for what, n := range want {
		if n != 0 {
			t.Errorf("%d of %q are missing among %+v", n, what, got)
		}
	}
	if len(got) != 10 {
		t.Errorf("%d messages", len(got))
	}
}

// Whoever is no full member of a configured guild is known as what they are; who
// owns or administers it is a member like any other.
func TestStandings(t *testing.T) {
	w := newWorld(t)
	w.SetUser(fakediscord.User{ID: "199", Name: "gone"})
	for n, c := range []struct {
		user, channel string
		want          bot.Standing
	}{{dev, ops, bot.Member}, {admin, ops, bot.Member}, {guest, ops, bot.Guest}, {otherBot, ops, bot.Automated}, {system, ops, bot.Automated}, {stranger, elsewhere, bot.External},
		{dev, w.DirectWith(dev), bot.Member}, {guest, w.DirectWith(guest), bot.Guest}, {stranger, w.DirectWith(stranger), bot.External}} {
		if _, err := w.Slash(w.ctx, fakediscord.Way{}, c.user, c.channel, "whoami"); err != nil {
			t.Fatal(err)
		}
		if m := w.await(t, n+1)[n]; m.Standing != c.want || m.Account != bot.AccountID("discord:"+c.user) {
			t.Errorf("%s in %s is %q, want %q", m.Account, c.channel, m.Standing, c.want)
		}
	}
	// A webhook is nobody, whatever it is called, and a payload that shows no member
	// vouches for none.
	if _, err := w.Say(dev, ops, fakediscord.Remark{Text: "<@" + own + "> deploy shop v2 prod", Webhook: true}); err != nil {
		t.Fatal(err)
	}
	if m := w.await(t, 10)[9]; m.Standing != bot.Automated {
		t.Errorf("a webhook is %q", m.Standing)
	}
	if _, err := w.Slash(w.ctx, fakediscord.Way{Change: func(p map[string]any) { p["user"] = p["member"].(map[string]any)["user"]; delete(p, "member") }}, dev, ops, "whoami"); err != nil {
		t.Fatal(err)
	}
	if m := w.await(t, 11)[10]; m.Standing != bot.Unvouched {
		t.Errorf("without a member: %q", m.Standing)
	}
}

// Discord is down when somebody writes directly: they are refused, not trusted.
func TestStandingFailsClosed(t *testing.T) {
	w := newWorld(t)
	w.Fail("GET /guilds/{guild_id}/members/{user_id}", fakediscord.Outage{Status: 500})
	for n, want := range []bot.Standing{bot.Unvouched, bot.Member} {
		if _, err := w.Say(sre, w.DirectWith(sre), fakediscord.Remark{Text: "whoami"}); err != nil {
			t.Fatal(err)
		}
		if m := w.await(t, n+1)[n]; m.Standing != want {
			t.Errorf("standing %q, want %q", m.Standing, want)
		}
		w.Mend()
	}
}

// What is not said to the bot never comes in.
func TestNotForTheBot(t *testing.T) {
	w := newWorld(t)
	for _, r := range []fakediscord.Remark{{Text: "deploy shop v2 prod"}, {Text: "<@" + dev + "> deploy shop v2 prod"}, {Text: "<@&" + sreRole + "> deploy"}} {
		if _, err := w.Say(dev, ops, r); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.Say(own, ops, fakediscord.Remark{Text: "<@" + own + "> deploy shop v2 prod"}); err != nil {
		t.Fatal(err)
	}
	m, err := w.Say(dev, ops, fakediscord.Remark{Text: "<@" + own + "> first"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Say(dev, ops, fakediscord.Remark{Text: "<@" + own + "> deploy shop v2 prod", Edits: m.ID}); err != nil {
		t.Fatal(err)
	}
	w.Dispatch("SOMETHING_NEW", 0, map[string]any{"a": 1})
	if _, err := w.Say(dev, ops, fakediscord.Remark{Text: "<@" + own + "> last"}); err != nil {
		t.Fatal(err)
	}
	got := w.await(t, 2)
	if len(got) != 2 || got[0].Text != "first" && got[0].Text != "last" {
		t.Errorf("came in: %+v", got)
	}
}

// What is said in a thread is said in its channel, and answered in the thread; the
// command on a message is answered in a thread of that message.
func TestThreads(t *testing.T) {
	w := newWorld(t)
	w.SetChannel(fakediscord.Channel{ID: "777", Guild: guild, Name: "thread", Parent: ops, Kind: fakediscord.PublicThread})
	if _, err := w.Slash(w.ctx, fakediscord.Way{}, dev, "777", "status", option("service", "shop")); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Say(dev, "777", fakediscord.Remark{Text: "<@" + own + "> status shop"}); err != nil {
		t.Fatal(err)
	}
	m, err := w.Say(sre, ops, fakediscord.Remark{Text: "it is slow"})
	if err != nil {
		t.Fatal(err)
	}
	for _, got := range w.await(t, 2) {
		if got.Channel != "discord:"+ops || got.Thread != ops+"/777" {
			t.Errorf("%+v", got)
		}
	}
	if sent, err := w.On(w.ctx, fakediscord.Way{}, dev, askCommand, m); err != nil || !sent.Acked {
		t.Fatalf("%+v, %v", sent, err)
	}
	if got := w.await(t, 3)[2]; got.Thread != ops+"/"+m.ID || got.Text != "" {
		t.Errorf("%+v", got)
	}
}

// Whether the answer will be private is known at the acknowledgement.
func TestAcknowledgements(t *testing.T) {
	w := newWorld(t)
	for _, private := range []bool{false, true} {
		w.hub.set(func(h *hub) { h.private = private })
		sent, err := w.Slash(w.ctx, fakediscord.Way{}, dev, ops, "whoami")
		if err != nil || sent.Answer.Type != sayLater || strings.Contains(string(sent.Answer.Data), "64") != private {
			t.Errorf("private %v: %+v %s, %v", private, sent, sent.Answer.Data, err)
		}
	}
	w.hub.set(func(h *hub) { h.err = bot.Errorf(bot.Unavailable, "the disk is full") })
	sent, err := w.Slash(w.ctx, fakediscord.Way{}, dev, ops, "deploy", option("service", "shop"))
	if err != nil || sent.Answer.Type != sayNow || !strings.Contains(string(sent.Answer.Data), "not run") || !strings.Contains(string(sent.Answer.Data), `"flags":64`) {
		t.Errorf("%+v %s, %v", sent, sent.Answer.Data, err)
	}
	m, err := w.Say(dev, ops, fakediscord.Remark{Text: "<@" + own + "> deploy shop v2 prod"})
	if err != nil {
		t.Fatal(err)
	}
	w.until(t, "the sender to be told", func() bool {
		for _, said := range w.Messages(ops) {
			if said.ReplyTo == m.ID && said.Content == sorry {
				return true
			}
		}
		return false
	})
}
