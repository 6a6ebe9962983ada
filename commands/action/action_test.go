package action_test

import (
	"math/rand/v2"
	"reflect"
	"testing"

	"quarterdeck/bot"
	"quarterdeck/bot/action"
	"quarterdeck/bot/grammar"
	commands "quarterdeck/commands/action"
)

type words struct{}

func (words) Services() []string           { return []string{"shop"} }
func (words) Environments(string) []string { return []string{"staging", "prod"} }
func (words) Persons() []string            { return nil }

func table() *action.Table {
	return action.NewTable([]action.Action{{Digest: "d1", Definition: action.Definition{
		Name: "tag", Summary: "tag it", Permission: "action.tag", Slot: action.SlotTarget, Undo: "untag {target} {text}",
		Parameters: []action.Parameter{
			{Name: "target", Type: action.TypeTarget, Help: "where"},
			{Name: "text", Type: action.TypeText, Help: "the tag", MaxLength: 200},
			{Name: "by", Type: action.TypeNumber, Help: "how often", Optional: true},
			{Name: "for", Type: action.TypeDuration, Help: "how long", Optional: true, Default: "1h0m0s"},
			{Name: "now", Type: action.TypeSwitch, Help: "at once", Optional: true},
		}}}, {Definition: action.Definition{
		Name: "untag", Summary: "take it back", Permission: "action.tag", Slot: action.SlotAction,
		Parameters: []action.Parameter{
			{Name: "target", Type: action.TypeTarget, Help: "where"}, {Name: "text", Type: action.TypeText, Help: "the tag", MaxLength: 200},
		}}}, {Definition: action.Definition{Name: "look", Summary: "look", Permission: "action.look", Reads: true}}})
}

func planOf(t *testing.T, line string) (bot.Plan, grammar.Parsed) {
	t.Helper()
	g, err := grammar.New(commands.All(table()), words{})
	if err != nil {
		t.Fatal(err)
	}
	p, err := g.Parse(line)
	if err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	plan, err := p.Command.Plan(t.Context(), bot.Call{ID: "c1", Args: p.Args, Line: p.Line, Command: p.Command.Name})
	if err != nil {
		t.Fatal(err)
	}
	return plan, p
}

func TestPlan(t *testing.T) {
	plan, p := planOf(t, `tag shop/prod "a b" --by -3 --now`)
	ask, err := p.Command.Resolve(bot.Call{Args: p.Args})
	if err != nil || ask.Permission != "action.tag" || !reflect.DeepEqual(ask.Resources, []bot.Resource{"target:shop/prod"}) || ask.Target.String() != "shop/prod" {
		t.Errorf("it asks for %+v, %v", ask, err)
	}
	if want := `{"action":"tag","target":"shop/prod","values":{"by":"-3","for":"1h0m0s","now":"true","text":"a b"}}`; string(plan.Spec.Body) != want {
		t.Errorf("the spec's body is %s, want %s", plan.Spec.Body, want)
	}
	if plan.Slot != "shop/prod action" || !plan.Guarded || plan.Undo != `untag shop/prod "a b"` || plan.Summary != `tag shop/prod "a b" --by "-3" --for 1h --now` {
		t.Errorf("the plan is %+v", plan)
	}
	if again, _ := planOf(t, plan.Summary); again.Spec.Digest() != plan.Spec.Digest() {
		t.Errorf("typed back, %s is another plan: %+v", plan.Summary, again)
	}
	if f := plan.Preconditions; len(f) != 1 || f[0].Name != action.FactBinding || f[0].Want != "d1" {
		t.Errorf("its facts are %+v", f)
	}
	if plan, _ := planOf(t, "untag shop prod x"); plan.Slot != "action untag" || plan.Undo != "" {
		t.Errorf("the plan is %+v", plan)
	}
	if plan, p := planOf(t, "look"); plan.Guarded || plan.Slot != "reading c1" || plan.Spec.Resources[0] != "action:look" || p.Args.Target() != (bot.Target{}) {
		t.Errorf("the plan is %+v", plan)
	}
}

// TestSameValuesSameDigest: what is agreed to is the values, however they are
// typed, and other values are something else.
func TestSameValuesSameDigest(t *testing.T) {
	digest := func(line string) string { plan, _ := planOf(t, line); return plan.Spec.Digest() }
	same := digest("tag shop prod x --for 60m")
	for _, line := range []string{"tag shop/prod x", "tag --for 1h shop prod x", `tag shop prod "x"`, `tag shop prod x --reason "why"`} {
		if digest(line) != same {
			t.Errorf("%s is something else", line)
		}
	}
	for _, line := range []string{"tag shop staging x", "tag shop prod y", "tag shop prod x --by 1", "tag shop prod x --now", "tag shop prod x --for 2h"} {
		if digest(line) == same {
			t.Errorf("%s is the same", line)
		}
	}
}

// TestUndoIsOneLineOfOneCommand: whatever a value is, the way back is a line of
// the command that the configuration names, with that value, and nothing more.
func TestUndoIsOneLineOfOneCommand(t *testing.T) {
	g, err := grammar.New(commands.All(table()), words{})
	if err != nil {
		t.Fatal(err)
	}
	signs := []rune(`ab1 "'\-{}target/;$` + "“”„«»＂‘–😀" + ` --override --steal`)
	random := rand.New(rand.NewPCG(1, 2))
	tried := 0
	for range 5000 {
		var value []rune
		for range 1 + random.IntN(12) {
			value = append(value, signs[random.IntN(len(signs))])
		}
		line := grammar.Join([]string{"tag", "shop", "prod", string(value)})
		p, err := g.Parse(line)
		if err != nil {
			continue // nobody can type it
		}
		plan, err := p.Command.Plan(t.Context(), bot.Call{Args: p.Args})
		if err != nil {
			t.Fatal(err)
		}
		if plan.Undo == "" {
			continue // it is not shown rather than wrong
		}
		tried++
		back, err := g.Parse(plan.Undo)
		if err != nil || back.Command.Name != "untag" || back.Args["text"] != p.Args["text"] || back.Args.Target() != p.Args.Target() || back.Override != "" {
			t.Fatalf("the way back of %q is %s: %+v, %v", p.Args["text"], plan.Undo, back.Args, err)
		}
	}
	if tried < 500 {
		t.Errorf("only %d were tried", tried)
	}
}
