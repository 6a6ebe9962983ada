package grammar_test

import (
	"testing"

	"quarterdeck/bot"
	"quarterdeck/bot/grammar"
)

// TestCheckOfAValue: a command's own check sees the canonical value, and its
// sentence is the answer.
func TestCheckOfAValue(t *testing.T) {
	seen := ""
	p := bot.Param{Name: "batch", Type: bot.TypeNumber, Help: "rows", Check: func(v string) error {
		if seen = v; v == "7" {
			return nil
		}
		return bot.Errorf(bot.Invalid, "BATCH is 7, not %s", v)
	}}
	g, err := grammar.New([]bot.Command{read(bot.Command{Name: "take", Summary: "take it", Permission: "p", Options: []bot.Param{p}})}, names{})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := g.Parse("take --batch +007"); err != nil || seen != "7" || got.Line != "take --batch 7" {
		t.Errorf("it reads %q, checked %q, %v", got.Line, seen, err)
	}
	if _, err := g.Parse("take --batch –8"); err == nil || err.Error() != "BATCH is 7, not -8" {
		t.Errorf("it says %v", err)
	}
	if _, err := g.Parse("take"); err != nil {
		t.Errorf("one that was left out is checked: %v", err)
	}
}
