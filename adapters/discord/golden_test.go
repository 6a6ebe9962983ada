package discordchat

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"quarterdeck/adapters/sqlite"
	"quarterdeck/adapters/terminal"
	"quarterdeck/bot"
	"quarterdeck/bot/app"
	"quarterdeck/bot/bottest"
	"quarterdeck/bot/config"
	"quarterdeck/bot/provider"
	"quarterdeck/bot/provider/providertest"
	"quarterdeck/bot/store"
	"quarterdeck/commands"
)

var update = flag.Bool("update", false, "write the renderings anew")

// showRules are those of the bot whose cards are kept: prod needs a confirmation
// and an approval; "torn" has a platform that puts the old release back, "lost" one
// that reports what nobody has heard of, "half" one that stops half-way.
const showRules = `[bot]
database = "sqlite:q.db"
socket = "q.sock"
timezone = "UTC"
[audit]
channels = ["discord:200"]
key = "file:audit.key"
[chat.discord]
[[person]]
name = "dev"
accounts = ["discord:1"]
roles = ["developer"]
[[person]]
name = "sre"
accounts = ["discord:2"]
roles = ["sre", "developer"]
[[person]]
name = "oncall"
accounts = ["discord:3"]
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
[provider.half]
type = "half"
[service.shop.staging]
deploy = { provider = "far" }
[service.shop.prod]
deploy = { provider = "far" }
[service.torn.staging]
deploy = { provider = "torn" }
[service.lost.staging]
deploy = { provider = "lost" }
[service.half.staging]
deploy = { provider = "half" }
`

// atThree is the system's clock put to three in the morning.
type atThree struct{ by time.Duration }

func (c atThree) Now() time.Time { return time.Now().Add(c.by).UTC() }

// onePlatform binds every target to one infrastructure.
type onePlatform struct {
	name string
	far  *providertest.Infrastructure
}

func (p onePlatform) Name() string { return p.name }

func (p onePlatform) BindDeploy(t bot.Target, _ provider.Raw) (provider.Deployer, error) {
	return p.far.Deployer(t), nil
}

// show is a running bot whose network draws as Discord does, and keeps what it was
// told to deliver.
type show struct {
	*bottest.FakeChat
	ctx       context.Context
	far, half *providertest.Infrastructure
	mu        sync.Mutex
	all       []bot.Delivery
	news      chan struct{}
}

func (s *show) Spill(c bot.Card, _ bool) []bot.Card { return spill(c) }

func (s *show) LinkTo(ref string) string { return "https://fake.example/channels/9/" + ref }

func (s *show) Deliver(ctx context.Context, d bot.Delivery) (string, error) {
	ref, err := s.FakeChat.Deliver(ctx, d)
	if err == nil {
		s.mu.Lock()
		d.Ref = ref
		s.all = append(s.all, d)
		close(s.news)
		s.news = make(chan struct{})
		s.mu.Unlock()
	}
	return ref, err
}

// await gives the newest delivery for which ok holds.
func (s *show) await(t *testing.T, what string, ok func(d bot.Delivery) bool) bot.Delivery {
	t.Helper()
	for {
		s.mu.Lock()
		all, news := s.all, s.news
		s.mu.Unlock()
		for _, d := range slices.Backward(all) {
			if ok(d) {
				return d
			}
		}
		select {
		case <-news:
		case <-s.ctx.Done():
			t.Fatalf("waited for %s", what)
		}
	}
}

func newShow(t *testing.T) *show {
	t.Helper()
	now := atThree{time.Until(time.Date(2026, 11, 21, 3, 0, 0, 0, time.UTC))}
	dir, err := os.MkdirTemp("", "qd") // short enough for a socket
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "config.toml")
	if err := os.WriteFile(path, []byte(showRules), 0o600); err != nil {
		t.Fatal(err)
	}
	s := &show{FakeChat: bottest.NewFakeChat(Network, now), far: providertest.NewFriendly(now), half: providertest.NewHostile(now, providertest.CancelsPartly), news: make(chan struct{})}
	s.SetStanding("discord:4", bot.Guest)
	tables := app.Tables{Chats: []bot.ChatType{{Name: Network, Open: func(bot.ChatOptions) (bot.Chat, error) { return s, nil }}}, Stores: []store.Type{sqlite.Type()}, Commands: commands.All}
	for _, p := range []onePlatform{{"far", s.far}, {"half", s.half}, {"torn", providertest.NewHostile(now, providertest.Reverts)}, {"lost", providertest.NewHostile(now, providertest.UnknownState)}} {
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
		os.RemoveAll(dir)
	})
	patient, stop := context.WithTimeout(ctx, 2*time.Minute)
	t.Cleanup(stop)
	s.ctx = patient
	return s
}

// types has somebody type a line in the channel and gives the last answer to it.
func (s *show) types(t *testing.T, who bot.AccountID, line string) bot.Delivery {
	t.Helper()
	said, err := s.Say(s.ctx, who, line)
	if err != nil {
		t.Fatal(err)
	}
	return s.answer(t, line, said.ID)
}

// presses has somebody press a button of a card.
func (s *show) presses(t *testing.T, who bot.AccountID, d bot.Delivery, label string) bot.Delivery {
	t.Helper()
	i := slices.IndexFunc(d.Card.Buttons, func(b bot.Button) bool { return b.Label == label })
	if i < 0 {
		t.Fatalf("no button %q on %q", label, d.Card.Title)
	}
	said, err := s.Press(s.ctx, who, d.Card.Buttons[i].Token)
	if err != nil {
		t.Fatal(err)
	}
	return s.answer(t, label, said.ID)
}

func (s *show) answer(t *testing.T, what, id string) bot.Delivery {
	t.Helper()
	return s.await(t, "the answer to "+what, func(d bot.Delivery) bool { return d.Card.ReplyTo == id && d.Card.Phase != bot.PhaseWorking })
}

func (s *show) run(t *testing.T, number int64, state bot.RunState) bot.Delivery {
	t.Helper()
	return s.await(t, fmt.Sprintf("#%d to be %s", number, state), func(d bot.Delivery) bool {
		return d.Card.Run == number && d.Card.State == state && d.Channel == s.Main() && strings.HasPrefix(d.Card.Key, "run/")
	})
}

// TestRenderings keeps how every kind of card looks, in Discord and in a terminal
// side by side, made by the whole bot from what people do. Run with -update after
// a change, and read the difference aloud as the one who is on call.
func TestRenderings(t *testing.T) {
	const dev, sre, oncall, guest, stranger = bot.AccountID("discord:1"), bot.AccountID("discord:2"), bot.AccountID("discord:3"), bot.AccountID("discord:4"), bot.AccountID("discord:5")
	s := newShow(t)
	drawn := map[string]bool{}
	keep := func(name string, d bot.Delivery) {
		t.Helper()
		drawn[name+".txt"] = true
		compare(t, name, sideBySide(t, d))
	}
	keep("help", s.types(t, dev, "help"))
	keep("help-of-a-verb", s.types(t, dev, "help deploy"))
	keep("who-am-i", s.types(t, dev, "whoami"))
	keep("denied", s.types(t, guest, "deploy shop v2 prod"))
	keep("denied-stranger", s.types(t, stranger, "deploy shop v2 prod"))
	keep("not-understood", s.types(t, dev, "deplyo shop v2 prod"))
	keep("dry-run", s.types(t, dev, "deploy shop v2 prod --dry-run"))

	release := s.far.Hold()
	if _, err := s.Say(s.ctx, dev, "deploy shop v2 staging --reason 'fixes the basket'"); err != nil {
		t.Fatal(err)
	}
	running := s.await(t, "the run's progress", func(d bot.Delivery) bool {
		return d.Card.State == bot.Running && d.Card.Progress != nil && strings.Contains(d.Card.Progress.Text, "rolling")
	})
	keep("running", running)
	percent := 40
	running.Card.Progress = &bot.Gauge{Percent: &percent, Text: "2 of 5 instances are new"}
	keep("running-percent", running)
	if _, err := s.Say(s.ctx, sre, "deploy shop v3 staging"); err != nil {
		t.Fatal(err)
	}
	keep("queued", s.run(t, 2, bot.Queued))
	release()
	keep("succeeded", s.run(t, 1, bot.Succeeded))
	s.run(t, 2, bot.Succeeded)

	keep("confirmation", s.types(t, dev, "deploy shop v2 prod --reason 'fixes the basket'"))
	keep("approval", s.presses(t, dev, s.run(t, 3, bot.Waiting), "Confirm"))
	s.presses(t, sre, s.await(t, "the approval", func(d bot.Delivery) bool {
		return strings.Contains(d.Card.Title, "#3") && strings.Contains(d.Card.Title, "waits for") && d.Channel == s.Main() && d.To == ""
	}), "Approve")
	keep("succeeded-approved", s.run(t, 3, bot.Succeeded))
	release = s.half.Hold()
	if _, err := s.Say(s.ctx, dev, "deploy half v2 staging"); err != nil {
		t.Fatal(err)
	}
	s.await(t, "#4 to roll out", func(d bot.Delivery) bool {
		return d.Card.Run == 4 && d.Card.Progress != nil && strings.Contains(d.Card.Progress.Text, "rolling")
	})
	keep("failed", s.types(t, dev, "cancel 4"))
	release()
	keep("rolled-back", s.types(t, dev, "deploy torn v2 staging"))
	keep("unknown", s.types(t, dev, "deploy lost v2 staging"))
	keep("way-back", s.types(t, dev, "rollback shop prod"))
	s.types(t, dev, "deploy shop v3 prod")
	keep("cancelled", s.types(t, dev, "cancel"))

	keep("status", s.types(t, dev, "status"))
	keep("status-of-one", s.types(t, dev, "status shop prod"))
	keep("history", s.types(t, dev, "history shop"))
	keep("runs", s.types(t, dev, "runs"))
	keep("run", s.types(t, dev, "run 3"))
	keep("lock", s.types(t, dev, "lock shop staging --for 2h --reason 'load test'"))
	keep("denied-by-a-lock", s.types(t, sre, "deploy shop v1 staging"))
	keep("freeze", s.types(t, sre, "freeze add prod --for 12h --reason 'the weekend'"))
	keep("freeze-list", s.types(t, sre, "freeze list"))
	keep("break-glass", s.types(t, oncall, "deploy shop v3 prod --break-glass 'checkout is down, nobody answers'"))
	keep("review", s.types(t, sre, "review --reason 'right call; add it to the runbook'"))
	keep("halt", s.types(t, sre, "halt --reason 'the network is down'"))
	keep("audit", s.types(t, dev, "audit --last 1h"))
	keep("audit-post", s.await(t, "the audit channel to tell of #3", func(d bot.Delivery) bool {
		return d.Card.Link != "" && d.Channel == "discord:200" && strings.HasPrefix(d.Card.Key, "audit/run/3") && strings.Contains(d.Card.Title, "succeeded")
	}))
	keep("audit-thread", s.await(t, "the approval of #3 in the audit channel", func(d bot.Delivery) bool {
		return d.Channel == "discord:200" && d.Thread != "" && strings.Contains(d.Card.Title+d.Card.Text, "#3 approved by sre")
	}))
	keep("chart", bot.Delivery{Channel: s.Main(), Card: bot.Card{Title: "orders of shop/prod, last hour", Fields: []bot.Field{{Name: "now", Value: "14 a second"}}, Image: bottest.Picture()}})

	there, err := filepath.Glob("testdata/cards/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range there {
		if !drawn[filepath.Base(path)] {
			t.Errorf("%s is of no card any more", path)
		}
	}
	alike(t, drawn)
}

// alike fails when a kind of card is kept for Slack and not for Discord, or the
// other way round. What Slack posts as a message of its own, Discord shows in the
// card's.
func alike(t *testing.T, drawn map[string]bool) {
	t.Helper()
	slack, err := filepath.Glob("../slack/testdata/cards/*.txt")
	if err != nil || len(slack) < 30 {
		t.Fatalf("%d cards are kept for Slack, %v", len(slack), err)
	}
	for _, path := range slack {
		if name := filepath.Base(path); !drawn[name] && name != "chart-in-the-thread.txt" {
			t.Errorf("%s is kept for Slack and not for Discord", name)
		}
	}
	for name := range drawn {
		if !slices.Contains(slack, "../slack/testdata/cards/"+name) {
			t.Errorf("%s is kept for Discord and not for Slack", name)
		}
	}
}

// unsteady finds what differs between two runs of the bot: times and how long
// something took.
var unsteady = []struct {
	find *regexp.Regexp
	put  string
}{
	{regexp.MustCompile(`\b(0[0-9]|1[0-9]):0\d:\d\d\b`), "$1:00:00"},
	{regexp.MustCompile(`\b(0[0-9]|1[0-9]):0\d\b`), "$1:00"},
	{regexp.MustCompile(`took [\d.]+m?s`), "took 1s"},
	{regexp.MustCompile(`expires in \w+`), "expires in 10m"},
	{regexp.MustCompile(`\b\d+(\.\d+)?m?s ago`), "1s ago"},
	{regexp.MustCompile(`for \d+(\.\d+)?m?s\b`), "for 1s"},
	{regexp.MustCompile(`( *)\b\d+ s\b`), "  9 s"},
	{regexp.MustCompile(`(?m)^( *|\*\*)\d+(\*\* · | · |  )(11-21 )?03:`), "${1}9$2${3}03:"}, // how many records there are before
	{regexp.MustCompile(`\baudit \d+`), "audit 9"},
	{regexp.MustCompile(`ref [0-9a-f]+`), "ref 4f2a"},
	{regexp.MustCompile(`/channels/9/[\w:-]+`), "/channels/9/1"},
	{regexp.MustCompile(`(/\S*)?shop-prod(-[0-9a-f]{8})?\.png`), "/tmp/shop-prod.png"},
}

func sideBySide(t *testing.T, d bot.Delivery) string {
	t.Helper()
	var b strings.Builder
	d.Card.Version = 0
	where, at := "in the channel", inChannel
	switch {
	case d.To != "":
		where, at = "to "+string(d.To)+" alone", inPrivate
	case d.Channel == "discord:200":
		where = "in the audit channel"
	}
	m := render(d.Card, at)
	fmt.Fprintf(&b, "--- Discord, %s\n%s", where, readable(asSent(t, m)))
	fmt.Fprintf(&b, "--- terminal\n%s\n", terminal.Render(d.Card, 80, false))
	text := b.String()
	for _, u := range unsteady {
		text = u.find.ReplaceAllString(text, u.put)
	}
	return regexp.MustCompile(`(?m) +$`).ReplaceAllString(text, "")
}

// readable writes a message as it looks, with its markup.
func readable(s sent) string {
	var b strings.Builder
	if s.Content != "" {
		b.WriteString(s.Content + "\n")
	}
	for _, e := range s.Embeds {
		fmt.Fprintf(&b, "| colour %06x\n", e.Color)
		for line := range strings.SplitSeq(e.Description, "\n") {
			if e.Description != "" {
				b.WriteString("| " + line + "\n")
			}
		}
		if e.Image != nil {
			b.WriteString("| [image " + e.Image.URL + "]\n")
		}
		if e.Footer != nil {
			b.WriteString("| (small) " + e.Footer.Text + "\n")
		}
	}
	for _, row := range s.Components {
		for _, c := range row.Components {
			fmt.Fprintf(&b, "[%s", c.Label)
			if c.Style == 4 {
				b.WriteString(", red")
			}
			if p, ok := pressed(c.CustomID); ok && p.ask {
				b.WriteString(", asks once more")
			}
			b.WriteString("] ")
		}
		b.WriteString("\n")
	}
	return b.String()
}

func compare(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", "cards", name+".txt")
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s looks different; it is now\n%s", name, got)
	}
}
