package grammar_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"quarterdeck/bot"
	"quarterdeck/bot/grammar"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// golden compares text with a file under testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs (go test -update rewrites it):\n%s", path, got)
	}
}

// plainText writes every part of a card that help fills in.
func plainText(c bot.Card) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n", c.Title)
	if c.Text != "" {
		fmt.Fprintln(&b, c.Text)
	}
	if c.Table != nil {
		width := 0
		for _, row := range append([][]string{c.Table.Columns}, c.Table.Rows...) {
			width = max(width, len(row[0]))
		}
		for _, row := range append([][]string{c.Table.Columns}, c.Table.Rows...) {
			fmt.Fprintf(&b, "%-*s  %s\n", width, row[0], row[1])
		}
	}
	for _, f := range c.Fields {
		fmt.Fprintf(&b, "%s:\n  %s\n", f.Name, strings.ReplaceAll(f.Value, "\n", "\n  "))
	}
	if c.Footer != "" {
		fmt.Fprintf(&b, "-- %s\n", c.Footer)
	}
	return b.String()
}

func TestHelpGolden(t *testing.T) {
	g := fake(t)
	golden(t, "help.golden", plainText(g.Help(nil)))
	var all strings.Builder
	for _, name := range []string{"deploy", "ROLLBACK", "lock", "audit", "page ack", "approve", "flag", " flag  on ", "page", "deploy shop", "note"} {
		card, err := g.HelpFor(name, nil)
		if err != nil {
			t.Fatalf("help %s: %v", name, err)
		}
		fmt.Fprintf(&all, "> help %s\n%s\n", name, plainText(card))
	}
	golden(t, "help_for.golden", all.String())
}

func TestHelpForWhatIsNotThere(t *testing.T) {
	g := fake(t)
	for name, says := range map[string]string{
		"depoly":    `there is no command "depoly"; did you mean "deploy"?`,
		"page lsit": `there is no command "page lsit"; did you mean "page list"?`,
		"page x":    `"page" is not the whole command; write page list or page ack`,
		"xyzzy":     `there is no command "xyzzy"; type help to see what there is`,
		"":          "the line is empty; type help to see what there is",
		"\x00":      "character 1 is a control character (U+0000); type the line again without it",
	} {
		if _, err := g.HelpFor(name, nil); sentence(t, err) != says {
			t.Errorf("help %q: says %q\n want %q", name, sentence(t, err), says)
		}
	}
}

func TestUsage(t *testing.T) {
	g := fake(t)
	for name, want := range map[string]string{
		"deploy":   "deploy SERVICE VERSION [to] ENV",
		"rollback": "rollback SERVICE ENV [VERSION]",
		"restart":  "restart SERVICE ENV",
		"status":   "status [SERVICE] [ENV]",
		"history":  "history [SERVICE] [ENV] [--last 6h]",
		"scale":    "scale SERVICE ENV COUNT [--for 6h]",
		"confirm":  "confirm [RUN]",
		"runs":     "runs",
		"run":      "run RUN",
		"flag on":  "flag on FLAG [ENV]",
		"page ack": "page ack quietly|loudly",
		"lock":     "lock SERVICE [--environment ENV] [--steal]",
		"can":      "can COMMAND...",
		"help":     "help [VERB]",
		"audit":    "audit [--target TARGET] [--by PERSON] [--last 6h]",
	} {
		c, ok := g.Lookup(name)
		if !ok {
			t.Fatalf("no command %s", name)
		}
		if got := grammar.Usage(c); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	filled := good()
	if got, want := grammar.Usage(filled), "ship SERVICE [[in] red|blue] [--last 6h]"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// Forms of chat networks come from Options: everything that can be typed, in
// order, with what is automatic.
func TestOptions(t *testing.T) {
	g := fake(t)
	for name, want := range map[string]string{
		"deploy":  "service version environment --dry-run? --reason? --override? --break-glass? --code?",
		"status":  "service? environment?",
		"approve": "run? --reason? --code?",
		"lock":    "service --environment? --steal? --dry-run? --reason? --override? --break-glass? --code?",
		"audit":   "--target? --by? --last?",
		"whoami":  "",
	} {
		c, _ := g.Lookup(name)
		var got []string
		for _, a := range grammar.Options(c) {
			text := a.Name
			if a.Option {
				text = "--" + text
			}
			if a.Optional {
				text += "?"
			}
			if a.Help == "" {
				t.Errorf("%s: no help for %s", name, a.Name)
			}
			got = append(got, text)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s takes %q, want %q", name, got, want)
		}
	}
}
