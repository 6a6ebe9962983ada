package grammar_test

import (
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"quarterdeck/bot"
)

// What is left of a line without its secrets reads as the same command with the
// same names: nothing moves into another argument, whatever was hidden.
func TestHiddenLinesReadTheSame(t *testing.T) {
	g := fake(t)
	hide := func(s string) string { return strings.ReplaceAll(s, "e", bot.Redacted) }
	rapid.Check(t, func(t *rapid.T) {
		p, err := g.Parse(typedLine().Draw(t, "line"))
		if err != nil {
			return
		}
		safe := g.Hide(p, hide)
		again, err := g.Parse(safe.Line)
		if err != nil {
			return // a value that is checked may not be hidden; the line is refused
		}
		if again.Command.Name != p.Command.Name || again.DryRun != p.DryRun || again.Reason != safe.Reason || again.Override != safe.Override ||
			again.BreakGlass != safe.BreakGlass || !reflect.DeepEqual(again.Args, safe.Args) {
			t.Fatalf("%q became %q: %+v, and reads as %+v", p.Line, safe.Line, safe, again)
		}
		for _, name := range []string{"service", "environment", "person", "run"} {
			if safe.Args[name] != p.Args[name] {
				t.Fatalf("%q became %q", p.Args[name], safe.Args[name])
			}
		}
	})
}

func TestHiddenByItsOption(t *testing.T) {
	g := fake(t)
	hide := func(s string) string { return strings.ReplaceAll(s, "--reason abcdef", "--reason "+bot.Redacted) }
	p, err := g.Parse(`deploy shop v2 to prod --reason abcdef`)
	if err != nil {
		t.Fatal(err)
	}
	if safe := g.Hide(p, hide); safe.Reason != bot.Redacted || safe.Line != `deploy shop v2 prod --reason "[redacted]"` {
		t.Errorf("hidden: %q in %q", safe.Reason, safe.Line)
	}
}
