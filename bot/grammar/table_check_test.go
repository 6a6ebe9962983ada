package grammar_test

import (
	"slices"
	"strings"
	"testing"

	"quarterdeck/bot"
	"quarterdeck/bot/grammar"
)

// good is a command that New accepts; every row of the next test spoils one
// thing about it.
func good() bot.Command {
	return plan(bot.Command{Name: "ship", Summary: "ship it", Permission: "ship",
		Examples: []string{"ship", "ship v2"},
		Params: []bot.Param{{Name: "service", Type: bot.TypeService, Help: "which"},
			{Name: "colour", Type: bot.TypeChoice, Choices: []string{"red", "blue"}, Filler: "in", Help: "which", Optional: true}},
		Options: []bot.Param{{Name: "last", Type: bot.TypeDuration, Help: "how far back"}}})
}

func TestNewRefuses(t *testing.T) {
	if _, err := grammar.New([]bot.Command{good()}, names{}); err != nil {
		t.Fatalf("the good table is refused: %v", err)
	}
	line := bot.Param{Name: "rest", Type: bot.TypeLine, Help: "the rest", Optional: true}
	for _, row := range []struct {
		why   string
		spoil func(c *bot.Command)
		says  string
	}{
		{"no name", func(c *bot.Command) { c.Name, c.Examples = "", nil }, "command number 1 has no name"},
		{"name in capitals", func(c *bot.Command) { c.Name, c.Examples = "Ship", nil }, `command "Ship" is not named by lower-case words with single spaces between`},
		{"name with two spaces", func(c *bot.Command) { c.Name, c.Examples = "ship  it", nil }, `command "ship  it" is not named by lower-case words with single spaces between`},
		{"name like an option", func(c *bot.Command) { c.Name, c.Examples = "-ship", nil }, `command "-ship" is not named by lower-case words with single spaces between`},
		{"no road", func(c *bot.Command) { c.Plan = nil }, `command "ship" has 0 of Read, Plan and Answer; exactly one is needed`},
		{"two roads", func(c *bot.Command) { c.Read = read(bot.Command{}).Read }, `command "ship" has 2 of Read, Plan and Answer; exactly one is needed`},
		{"three roads", func(c *bot.Command) { c.Read, c.Answer = read(bot.Command{}).Read, answer(bot.Command{}).Answer },
			`command "ship" has 3 of Read, Plan and Answer; exactly one is needed`},
		{"no resolve", func(c *bot.Command) { c.Resolve = nil }, `command "ship" has no Resolve`},
		{"no permission", func(c *bot.Command) { c.Permission = "" }, `command "ship" has no permission`},
		{"no summary", func(c *bot.Command) { c.Summary = "" }, `command "ship" has no summary`},
		{"summary of two lines", func(c *bot.Command) { c.Summary = "ship\nit" }, `command "ship" has a summary that is more than one line, or ends in a full stop`},
		{"summary with a full stop", func(c *bot.Command) { c.Summary = "ship it." }, `command "ship" has a summary that is more than one line, or ends in a full stop`},
		{"example of another", func(c *bot.Command) { c.Examples = []string{"shipping"} }, `command "ship" has the example "shipping", which is of another command`},
		{"argument without name", func(c *bot.Command) { c.Params[0].Name = "" }, `command "ship" has an argument without a name`},
		{"option without name", func(c *bot.Command) { c.Options[0].Name = "" }, `command "ship" has an option without a name`},
		{"argument of two words", func(c *bot.Command) { c.Params[0].Name = "the service" }, `command "ship" has an argument "the service" that is not named by one lower-case word`},
		{"argument twice", func(c *bot.Command) { c.Options[0].Name = "service" }, `command "ship" has two arguments named "service"`},
		{"automatic dry-run", func(c *bot.Command) { c.Options[0].Name = "dry-run" }, `command "ship" has two arguments named "dry-run"`},
		{"automatic reason", func(c *bot.Command) { c.Options[0].Name = "reason" }, `command "ship" has two arguments named "reason"`},
		{"automatic override", func(c *bot.Command) { c.Params[0].Name = "override" }, `command "ship" has two arguments named "override"`},
		{"break-glass", func(c *bot.Command) { c.Options[0].Name = "break-glass" }, `command "ship" has two arguments named "break-glass"`},
		{"argument without help", func(c *bot.Command) { c.Params[1].Help = "" }, `command "ship" has no help for "colour"`},
		{"option without help", func(c *bot.Command) { c.Options[0].Help = "" }, `command "ship" has no help for "last"`},
		{"unknown type", func(c *bot.Command) { c.Params[0].Type = "colour" }, `command "ship" has an argument "service" of the unknown type "colour"`},
		{"no type", func(c *bot.Command) { c.Options[0].Type = "" }, `command "ship" has an option "last" of the unknown type ""`},
		{"switch by position", func(c *bot.Command) { c.Params[0].Type = bot.TypeFlag }, `command "ship" has an argument "service" of type switch, which cannot be one`},
		{"line as an option", func(c *bot.Command) { c.Options[0].Type = bot.TypeLine }, `command "ship" has an option "last" of type line, which cannot be one`},
		{"optional before required", func(c *bot.Command) { c.Params[0].Optional, c.Params[1].Optional = true, false },
			`command "ship" needs "colour" after "service", which may be left out`},
		{"line before another", func(c *bot.Command) { c.Params = append([]bot.Param{line}, c.Params[1:]...) },
			`command "ship" has arguments after "rest", which takes the rest of the line`},
		{"two lines", func(c *bot.Command) {
			second := line
			second.Name = "more"
			c.Params = append(c.Params, line, second)
		}, `command "ship" has arguments after "rest", which takes the rest of the line`},
		{"two services", func(c *bot.Command) { c.Options[0].Type = bot.TypeService }, `command "ship" has 2 arguments of type service; at most one can be told apart`},
		{"two environments", func(c *bot.Command) { c.Params[0].Type, c.Options[0].Type = bot.TypeEnvironment, bot.TypeEnvironment },
			`command "ship" has 2 arguments of type environment; at most one can be told apart`},
		{"choice without choices", func(c *bot.Command) { c.Params[1].Choices = nil }, `command "ship" has 0 choices for "colour" of type choice`},
		{"choices for another type", func(c *bot.Command) { c.Params[0].Choices = []string{"a"} }, `command "ship" has 1 choices for "service" of type service`},
		{"choice twice", func(c *bot.Command) { c.Params[1].Choices = []string{"red", "red"} }, `command "ship" has the choice "red" for "colour" twice`},
		{"choice of two words", func(c *bot.Command) { c.Params[1].Choices = []string{"dark red"} },
			`command "ship" has the choice "dark red" for "colour", which cannot be typed as one word`},
		{"choice like an option", func(c *bot.Command) { c.Params[1].Choices = []string{"--red"} },
			`command "ship" has the choice "--red" for "colour", which cannot be typed as one word`},
		{"filler of two words", func(c *bot.Command) { c.Params[1].Filler = "as of" }, `command "ship" has the filler "as of", which is not one lower-case word`},
		{"filler that is a choice", func(c *bot.Command) { c.Params[1].Filler = "red" }, `command "ship" has the filler "red", which is also a choice`},
		{"filler before an option", func(c *bot.Command) { c.Options[0].Filler = "of" }, `command "ship" has a filler before "last", where none can stand`},
		{"filler before a line", func(c *bot.Command) {
			filled := line
			filled.Filler = "as"
			c.Params = append(c.Params, filled)
		}, `command "ship" has a filler before "rest", where none can stand`},
	} {
		t.Run(row.why, func(t *testing.T) {
			c := good()
			row.spoil(&c)
			_, err := grammar.New([]bot.Command{c}, names{})
			if said := faultsOf(t, err); !slices.Equal(said, []string{row.says}) {
				t.Errorf("says %q\n want %q", said, row.says)
			}
		})
	}
}

func TestNewRefusesTables(t *testing.T) {
	_, err := grammar.New([]bot.Command{good(), good()}, names{})
	if said := faultsOf(t, err); !slices.Equal(said, []string{`command "ship" is in the table twice`}) {
		t.Errorf("a name twice: %q", said)
	}
	_, err = grammar.New([]bot.Command{good()}, nil)
	if said := faultsOf(t, err); !slices.Equal(said, []string{"the grammar needs words"}) {
		t.Errorf("no words: %q", said)
	}
	if g, err := grammar.New(nil, names{}); err != nil {
		t.Errorf("an empty table: %v", err)
	} else if _, err := g.Parse("deploy"); sentence(t, err) != `there is no command "deploy"; type help to see what there is` {
		t.Errorf("an empty table says %v", err)
	}
	// All faults at once, so that one start shows them all.
	one, two := good(), good()
	one.Summary, two.Name, two.Permission = "", "sail", ""
	two.Examples = nil
	_, err = grammar.New([]bot.Command{one, two}, names{})
	want := []string{`command "ship" has no summary`, `command "sail" has no permission`}
	if said := faultsOf(t, err); !slices.Equal(said, want) {
		t.Errorf("says %q\n want %q", said, want)
	}
}

// faultsOf gives the sentence of each joined error.
func faultsOf(t *testing.T, err error) []string {
	t.Helper()
	if err == nil {
		return nil
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		t.Fatalf("%v joins nothing", err)
	}
	var said []string
	for _, e := range joined.Unwrap() {
		said = append(said, sentence(t, e))
	}
	return said
}

func TestNewKeepsItsOwnTable(t *testing.T) {
	commands := table()
	g, err := grammar.New(commands, names{})
	if err != nil {
		t.Fatal(err)
	}
	commands[0].Name = "changed"
	if _, ok := g.Lookup("deploy"); !ok {
		t.Error("the table changed under the grammar")
	}
	if c, ok := g.Lookup(" Flag  ON "); !ok || c.Name != "flag on" {
		t.Errorf("Lookup found %q, %v", c.Name, ok)
	}
	if _, ok := g.Lookup("flag no"); ok {
		t.Error("Lookup found what is not there")
	}
	if n := len(g.Commands(func(c bot.Command) bool { return strings.HasPrefix(c.Name, "flag") })); n != 3 {
		t.Errorf("%d commands begin with flag", n)
	}
}
