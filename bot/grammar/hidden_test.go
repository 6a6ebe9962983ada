package grammar_test

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"quarterdeck/bot"
	"quarterdeck/bot/grammar"
)

// Somebody who may only look: status, history and what is about themselves.
func onlooker() func(bot.Command) bool {
	return only(bot.MaySeeStatus, bot.MayAskSelf, "flag.read")
}

func TestHintsKeepWhatIsHidden(t *testing.T) {
	g := fake(t)
	for typed, says := range map[string]string{
		"depoly shop v2 prod":          `there is no command "depoly"; type help to see what there is`,
		"deploy shop v2":               `there is no command "deploy"; type help to see what there is`,
		"deploy shop v2 prd":           `there is no command "deploy"; type help to see what there is`,
		"deploy --fast":                `there is no command "deploy"; type help to see what there is`,
		"deploy \"shop":                `there is no command "deploy"; type help to see what there is`,
		"page":                         `there is no command "page"; type help to see what there is`,
		"page lsit":                    `there is no command "page"; type help to see what there is`,
		"page ack":                     `there is no command "page"; type help to see what there is`,
		"stauts":                       `there is no command "stauts"; did you mean "status"?`,
		"restart":                      `there is no command "restart"; type help to see what there is`,
		"flag on":                      "", // the visible "flag" with the argument "on", as if "flag on" were not
		"flag on --reason":             `flag has no option --reason; it has none`,
		"flag off x y z":               `"x" is one word too many: flag FLAG`,
		"status shpo":                  `there is no service "shpo"; did you mean "shop"?`,
		"deploy shop v2 prod --reason": `there is no command "deploy"; type help to see what there is`,
	} {
		_, err := g.ParseFor(typed, onlooker())
		if said := sentence(t, err); said != says {
			t.Errorf("%s: says %q\n want %q", typed, said, says)
		}
	}
}

// What is typed rightly is read, for the policy to refuse by name.
func TestHiddenCommandsParse(t *testing.T) {
	g := fake(t)
	for _, typed := range []string{"deploy shop v2 prod", "flag on x", "page list", "audit --by sre"} {
		p, err := g.ParseFor(typed, onlooker())
		if err != nil || p.Line != typed {
			t.Errorf("%s: %q, %v", typed, p.Line, err)
		}
	}
}

// A grammar without the hidden commands says exactly the same about every line
// that it refuses and that the whole one refuses too: an error tells nothing.
func TestHiddenIsAsIfNotThere(t *testing.T) {
	whole := fake(t)
	visible := onlooker()
	small, err := grammar.New(whole.Commands(visible), names{})
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		line := typedLine().Draw(t, "line")
		_, err := whole.ParseFor(line, visible)
		if err == nil {
			return
		}
		_, want := small.Parse(line)
		if want == nil || err.Error() != want.Error() {
			t.Fatalf("%q says %q; without the hidden commands %v", line, err, want)
		}
		if strings.Join(whole.Complete(line, visible), "\n") != strings.Join(small.Complete(line, nil), "\n") {
			t.Fatalf("%q completes to %q", line, whole.Complete(line, visible))
		}
	})
}

func TestHelpKeepsWhatIsHidden(t *testing.T) {
	g := fake(t)
	for _, name := range []string{"deploy", "page", "page ack", "xyzzy"} {
		_, err := g.HelpFor(name, onlooker())
		first, _, _ := strings.Cut(name, " ")
		want := `there is no command "` + first + `"; type help to see what there is`
		if said := sentence(t, err); said != want {
			t.Errorf("help %s: says %q\n want %q", name, said, want)
		}
	}
	card := g.Help(onlooker())
	var seen []string
	for _, row := range card.Table.Rows {
		seen = append(seen, row[0])
	}
	const want = "status [SERVICE] [ENV]|confirm [RUN]|flag FLAG|whoami|can COMMAND...|help [VERB]"
	if got := strings.Join(seen, "|"); got != want {
		t.Errorf("help lists %s\n want %s", got, want)
	}
	if strings.Contains(card.Footer, "dry-run") {
		t.Errorf("the footer %q speaks of changes to somebody who sees none", card.Footer)
	}
	nothing := g.Help(func(bot.Command) bool { return false })
	if nothing.Table != nil || nothing.Text != "There is no command that you may run." {
		t.Errorf("help for nobody: %+v", nothing)
	}
}
