package adapters_test

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	toml "github.com/pelletier/go-toml/v2"

	"quarterdeck/adapters"
	"quarterdeck/adapters/discord/fakediscord"
	"quarterdeck/adapters/slack/fakeslack"
	"quarterdeck/adapters/terminal"
	"quarterdeck/bot"
	"quarterdeck/bot/app"
	"quarterdeck/bot/bottest"
	"quarterdeck/bot/grammar"
	"quarterdeck/commands"
)

// table is a network's table as lines of TOML.
type table string

func (t table) Decode(dst any) error {
	d := toml.NewDecoder(strings.NewReader(string(t)))
	d.DisallowUnknownFields()
	return d.Decode(dst)
}
func (table) Dir() string   { return "." }
func (table) Where() string { return "config.toml:1" }

// network is a chat network as people see it: what is shown of a card, with all
// that follows it, as words.
type network struct {
	name  string
	chat  bot.Chat // nil for one that only draws
	shows func(t *testing.T, c bot.Card) string
}

func opened(t *testing.T, name, config string) bot.Chat {
	t.Helper()
	for _, ct := range adapters.Chats() {
		if ct.Name == name {
			chat, err := ct.Open(bot.ChatOptions{Raw: table(config), Clock: bot.SystemClock{}})
			if err != nil {
				t.Fatal(err)
			}
			return chat
		}
	}
	t.Fatalf("there is no network %s", name)
	return nil
}

// deliver delivers a card and all that follows it, as the outbox does; it waits
// where the network paces itself.
func deliver(t *testing.T, chat bot.Chat, channel bot.ChannelID, c bot.Card) {
	t.Helper()
	post := func(d bot.Delivery) string {
		for {
			ref, err := chat.Deliver(t.Context(), d)
			if bot.KindOf(err) != bot.Busy {
				if err != nil {
					t.Errorf("%s: %v", chat.Network(), err)
				}
				return ref
			}
			timer := time.NewTimer(100 * time.Millisecond)
			select {
			case <-timer.C:
			case <-t.Context().Done():
				t.Fatal("the test ended")
			}
		}
	}
	ref := post(bot.Delivery{Channel: channel, Card: c})
	for _, more := range chat.(bot.Spiller).Spill(c, false) {
		more.Rest = true
		post(bot.Delivery{Channel: channel, Thread: ref, Card: more})
	}
}

// networks gives the three that have to be equal.
func networks(t *testing.T) []network {
	t.Helper()
	slack, err := fakeslack.New(fakeslack.Options{})
	if err != nil {
		t.Fatal(err)
	}
	discord, err := fakediscord.New(fakediscord.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { slack.Close(); discord.Close() })
	t.Setenv("SLACK_BOT_TOKEN", slack.Options().BotToken)
	t.Setenv("DISCORD_BOT_TOKEN", discord.Options().Token)
	slack.SetUser(fakeslack.User{ID: "UDEV", Name: "dev"})
	room := 0 // each card in a channel of its own, because Slack wants a second between those in one
	discord.SetGuild(fakediscord.Guild{ID: "500", Name: "Acme"})
	discord.SetUser(fakediscord.User{ID: "101", Name: "dev", Roles: map[string][]string{"500": nil}})
	discord.SetChannel(fakediscord.Channel{ID: "600", Guild: "500", Name: "ops"})

	onSlack := opened(t, "slack", fmt.Sprintf("teams = [\"T1\"]\napi_url = %q", slack.URL()))
	onDiscord := opened(t, "discord", fmt.Sprintf("guilds = [\"500\"]\napplication = %q\napi_url = %q", discord.Options().AppID, discord.URL()))
	return []network{
		{"slack", onSlack, func(t *testing.T, c bot.Card) string {
			before, files := len(slack.Messages("")), len(slack.Files())
			room++
			channel := fmt.Sprintf("C%d", room)
			slack.SetChannel(fakeslack.Channel{ID: channel, Name: "ops", Members: []string{"UBOT", "UDEV"}})
			deliver(t, onSlack, bot.ChannelID("slack:"+channel), c)
			var b strings.Builder
			for _, m := range slack.Messages("")[before:] {
				b.WriteString(m.Text + "\n" + inJSON(t, m.Blocks))
			}
			for _, f := range slack.Files()[files:] {
				fmt.Fprintf(&b, "%s\n%s\n%s\n", f.Name, f.Alt, f.Data)
			}
			return b.String()
		}},
		{"discord", onDiscord, func(t *testing.T, c bot.Card) string {
			before := len(discord.Messages("600"))
			room++
			c.Key = fmt.Sprintf("reply/%d", room)
			deliver(t, onDiscord, "discord:600", c)
			var b strings.Builder
			for _, m := range discord.Messages("600")[before:] {
				b.WriteString(m.Content + "\n" + inJSON(t, m.Embeds) + inJSON(t, m.Components))
				for _, f := range m.Files {
					fmt.Fprintf(&b, "%s\n%s\n", f.Name, f.Alt)
				}
			}
			return strings.ReplaceAll(b.String(), `\`, "") // before what Discord would read as more
		}},
		{"terminal", nil, func(_ *testing.T, c bot.Card) string { return terminal.Render(c, 200, false) }},
	}
}

// inJSON gives all strings of a JSON value.
func inJSON(t *testing.T, raw json.RawMessage) string {
	t.Helper()
	if len(raw) == 0 {
		return ""
	}
	var v any
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case string:
			b.WriteString(v + "\n")
		case []any:
			for _, e := range v {
				walk(e)
			}
		case map[string]any:
			for _, e := range v {
				walk(e)
			}
		}
	}
	walk(v)
	return b.String()
}

// TestEveryPartOfACardIsShown walks over everything that a card can hold, and over
// every tone and outcome: what one network shows of it, the others show.
func TestEveryPartOfACardIsShown(t *testing.T) {
	half := 50
	// By the field of bot.Card: a card that has it, and what is to be seen of it.
	parts := map[string]struct {
		card bot.Card
		want []string
	}{
		"Title":    {bot.Card{Title: "a-title"}, []string{"a-title"}},
		"Text":     {bot.Card{Title: "x", Text: "a-text\nof two"}, []string{"a-text", "of two"}},
		"Fields":   {bot.Card{Title: "x", Fields: []bot.Field{{Name: "a-name", Value: "a-value"}}}, []string{"a-name", "a-value"}},
		"Table":    {bot.Card{Title: "x", Table: &bot.Table{Columns: []string{"COLUMN", "OTHER"}, Rows: [][]string{{"a-cell", "b-cell"}}}}, []string{"COLUMN", "OTHER", "a-cell", "b-cell"}},
		"Progress": {bot.Card{Title: "x", Progress: &bot.Gauge{Percent: &half, Text: "half-way"}}, []string{"50", "half-way"}},
		"Lines":    {bot.Card{Title: "x", Lines: []string{"line-one", "line-two"}}, []string{"line-one", "line-two"}},
		"Footer":   {bot.Card{Title: "x", Footer: "a-footer"}, []string{"a-footer"}},
		"Link":     {bot.Card{Title: "x", Link: "https://ci.example/7"}, []string{"https://ci.example/7"}},
		"Image":    {bot.Card{Title: "x", Image: bottest.Picture()}, []string{"12 to 15, then none"}},
	}
	// What is not for showing, and why.
	unseen := map[string]string{"Key": "it names the message", "Version": "it orders edits", "ReplyTo": "it says what is answered", "Run": "the title says it", "State": "the title says it",
		"Phase": "it says whether more comes", "About": "the outbox makes a link of it", "Rest": "it says that a card follows another", "Tone": "below", "Outcome": "below", "Buttons": "below", "Mention": "below"}
	card := reflect.TypeFor[bot.Card]()
	for i := range card.NumField() {
		if _, there := parts[card.Field(i).Name]; !there && unseen[card.Field(i).Name] == "" {
			t.Errorf("this test does not know what is to be seen of a card's %s", card.Field(i).Name)
		}
	}
	for _, n := range networks(t) {
		for name, p := range parts {
			shown := n.shows(t, p.card)
			for _, want := range p.want {
				if !strings.Contains(shown, want) {
					t.Errorf("%s does not show %q of a card's %s:\n%s", n.name, want, name, shown)
				}
			}
		}
		buttons := n.shows(t, bot.Card{Title: "x", Buttons: []bot.Button{{Label: "Approve", Line: "approve 3", Token: "tok1", Danger: true, Twice: true}, {Label: "Deny", Line: "deny 3", Token: "tok2"}}})
		if n.chat == nil { // it has none, and says what to type
			if !strings.Contains(buttons, "approve 3") || !strings.Contains(buttons, "deny 3") {
				t.Errorf("%s does not say what to type:\n%s", n.name, buttons)
			}
			continue
		}
		drawn := n.shows(t, bot.Card{Title: "x", Mention: []bot.AccountID{"slack:T1/UDEV", "discord:101"}})
		if !strings.Contains(drawn, map[string]string{"slack": "UDEV", "discord": "<@101>"}[n.name]) {
			t.Errorf("%s draws nobody's attention:\n%s", n.name, drawn)
		}
		for _, want := range []string{"Approve", "Deny", "tok1", "tok2"} {
			if !strings.Contains(buttons, want) {
				t.Errorf("%s does not show the button's %q:\n%s", n.name, want, buttons)
			}
		}
		// Where there are no words for it, every look differs from every other.
		looks := map[string]string{}
		for _, c := range []bot.Card{{Tone: bot.Plain}, {Tone: bot.Working}, {Tone: bot.Good}, {Tone: bot.Warning}, {Tone: bot.Bad}, {Tone: bot.Question}, {Tone: bot.Bad, Outcome: bot.OutcomeUnknown}} {
			c.Title, c.Text = "x", "y"
			look := n.shows(t, c)
			if other, taken := looks[look]; taken {
				t.Errorf("%s shows %s as it does %s", n.name, string(c.Tone)+string(c.Outcome), other)
			}
			looks[look] = string(c.Tone) + string(c.Outcome)
		}
	}
}

// TestChatsHaveTheSamePowers fails when one of the networks can do what the other
// cannot.
func TestChatsHaveTheSamePowers(t *testing.T) {
	all := networks(t)
	for name, has := range map[string]func(c bot.Chat) bool{
		"Spiller":      func(c bot.Chat) bool { _, ok := c.(bot.Spiller); return ok },
		"Direct":       func(c bot.Chat) bool { _, ok := c.(bot.Direct); return ok },
		"Linker":       func(c bot.Chat) bool { _, ok := c.(bot.Linker); return ok },
		"Confidential": func(c bot.Chat) bool { _, ok := c.(bot.Confidential); return ok },
		"Memberships":  func(c bot.Chat) bool { _, ok := c.(bot.Memberships); return ok },
		"Vouching":     func(c bot.Chat) bool { _, ok := c.(bot.Vouching); return ok },
		"Connected":    func(c bot.Chat) bool { _, ok := c.(bot.Connected); return ok },
		"Routed":       func(c bot.Chat) bool { _, ok := c.(bot.Routed); return ok },
		"Manifester":   func(c bot.Chat) bool { _, ok := c.(bot.Manifester); return ok },
		"Surveyor":     func(c bot.Chat) bool { _, ok := c.(bot.Surveyor); return ok },
		"Prober":       func(c bot.Chat) bool { _, ok := c.(bot.Prober); return ok },
	} {
		for _, n := range all {
			if n.chat != nil && !has(n.chat) {
				t.Errorf("%s is no %s", n.name, name)
			}
		}
	}
}

// nobodyKnown are the words of a grammar in which nothing is known.
type nobodyKnown struct{}

func (nobodyKnown) Services() []string           { return nil }
func (nobodyKnown) Environments(string) []string { return nil }
func (nobodyKnown) Persons() []string            { return nil }

// typedTable is a command table for a network with typed commands.
type typedTable struct{ *grammar.Grammar }

func (g typedTable) Line(verb string, values map[string]string) string { return g.Typed(verb, values) }
func (typedTable) Choices(context.Context, bot.Picking) []bot.Choice   { return nil }

// commandsOfDiscord are the names of commands, with those below them, and of their
// options as Discord was told them.
func commandsOfDiscord(t *testing.T, raw []json.RawMessage) map[string][]string {
	t.Helper()
	type option struct {
		Name    string
		Type    int
		Options []option
	}
	paths := map[string][]string{}
	var walk func(path string, options []option)
	walk = func(path string, options []option) {
		if len(options) > 0 && options[0].Type <= 2 {
			for _, o := range options {
				walk(path+" "+o.Name, o.Options)
			}
			return
		}
		paths[path] = []string{}
		for _, o := range options {
			paths[path] = append(paths[path], o.Name)
		}
	}
	for _, r := range raw {
		var c option
		if err := json.Unmarshal(r, &c); err != nil {
			t.Fatal(err)
		}
		if c.Type == 1 {
			walk(c.Name, c.Options)
		}
	}
	return paths
}

// TestEveryCommandIsEverywhere walks over the command table: whatever can be typed
// into Slack and the terminal, which take lines, Discord registers as a command
// with an option for each argument; and nothing besides. A one-time code alone is
// asked for in a form, because what is typed into a command is shown to others.
func TestEveryCommandIsEverywhere(t *testing.T) {
	g, err := grammar.New(commands.All(app.CommandNeeds{}), nobodyKnown{})
	if err != nil {
		t.Fatal(err)
	}
	fake, err := fakediscord.New(fakediscord.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer fake.Close()
	t.Setenv("DISCORD_BOT_TOKEN", fake.Options().Token)
	fake.SetGuild(fakediscord.Guild{ID: "500", Name: "Acme"})
	var chat bot.Chat
	for _, ct := range adapters.Chats() {
		if ct.Name == "discord" {
			if chat, err = ct.Open(bot.ChatOptions{Raw: table(fmt.Sprintf("guilds = [\"500\"]\napi_url = %q", fake.URL())), Clock: bot.SystemClock{}, Typed: typedTable{g}}); err != nil {
				t.Fatal(err)
			}
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	ended := make(chan error, 1)
	go func() { ended <- chat.Run(ctx, nobody{}) }()
	if err := fake.Until(ctx, "the commands", func() bool { return len(fake.Commands("500")) > 0 }); err != nil {
		t.Error(err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	there := commandsOfDiscord(t, fake.Commands("500"))
	for _, c := range g.Commands(nil) {
		name := c.Name
		options, found := there[name]
		if !found { // Discord cannot run the first word of others, which is below itself then
			name = c.Name + " " + c.Name
			options, found = there[name]
		}
		if !found {
			t.Errorf("Discord lacks %q; it has %q", c.Name, options)
			continue
		}
		delete(there, name)
		for _, a := range grammar.Options(c) {
			if has := slices.Contains(options, a.Name); has == (a.Type == bot.TypeCode) {
				t.Errorf("%s: the option %s is there: %v", c.Name, a.Name, has)
			}
		}
		if len(options) > len(grammar.Options(c)) {
			t.Errorf("%s takes more on Discord: %q", c.Name, options)
		}
	}
	for name := range there {
		t.Errorf("Discord has %q, which the others have not", name)
	}
}

// nobody takes messages, of which there are none.
type nobody struct{}

func (nobody) Receive(context.Context, bot.Message) (bot.Receipt, error) { return bot.Receipt{}, nil }
