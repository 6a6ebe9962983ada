package githubprovider

import (
	"strings"
	"testing"

	"quarterdeck/adapters/github/fakegithub"
	"quarterdeck/bot"
	"quarterdeck/bot/provider"
	"quarterdeck/bot/provider/providertest"
)

var reindex = provider.ActionShape{Name: "reindex", Arguments: []provider.ActionArgument{{Name: "target", Target: true}, {Name: "note"}, {Name: "batch", Optional: true}}}

func (w *world) actor(shape provider.ActionShape, run string) (provider.Actor, error) {
	w.t.Helper()
	return w.attach().BindAction(shape, table(run))
}

// TestActor runs the conformance suite of actions over workflows.
func TestActor(t *testing.T) {
	for _, details := range []bool{true, false} {
		providertest.Actors(t, func(t *testing.T) providertest.ActorHarness {
			w := newWorld(t, func(o *fakegithub.Options) { o.NoDetails = !details })
			w.Workflow("reindex.yml", fakegithub.Workflow{Inputs: []string{"key", "service", "environment", "note", "batch"}, RunName: true})
			return providertest.ActorHarness{
				Attach: func() provider.Actor {
					a, err := w.actor(reindex, "repo = \"shop\"\nworkflow = \"reindex.yml\"\n")
					if err != nil {
						t.Fatal(err)
					}
					return a
				},
				Effects: w.Dispatched, Pass: w.pass, Text: "note", Points: 6,
				Good:  provider.Invocation{Action: "reindex", Target: prod, Values: map[string]string{"note": "hello"}},
				Given: func(key string) string { return w.Input(key, "note") },
			}
		})
	}
}

// TestActionTables refuses what cannot be meant.
func TestActionTables(t *testing.T) {
	w := newWorld(t)
	for run, want := range map[string]string{
		"":                                     "needs repo",
		"repo = \"shop\"":                      `has the workflow ""`,
		"repo = \"shop\"\nworkflow = \"a.sh\"": `has the workflow "a.sh"`,
		"repo = \"shop\"\nworkflow = \"a.yml\"\nref = \"-..x\"":            `has the ref "-..x"`,
		"repo = \"shop\"\nworkflow = \"a.yml\"\ninputs = { key = \"x\" }":  `has the input "key"`,
		"repo = \"shop\"\nworkflow = \"a.yml\"\ninputs = { note = \"x\" }": "has the argument note",
		"repo = \"shop\"\nworkflow = \"a.yml\"\nargv = [\"x\"]":            "config.toml:41",
	} {
		if _, err := w.actor(reindex, run); bot.KindOf(err) != bot.Invalid || !strings.Contains(bot.Sentence(err, ""), want) {
			t.Errorf("%q: %v, want %s", run, err, want)
		}
	}
	a, err := w.actor(reindex, "repo = \"shop\"\nworkflow = \"other.yml\"\n")
	if err != nil {
		t.Fatal(err)
	}
	h, err := a.Begin(provider.Invocation{Action: "reindex", Target: prod, Values: map[string]string{"note": "x"}}, bot.Task{Key: "run-1-abc", Actor: "dev-one"})
	if err != nil {
		t.Fatal(err)
	}
	if _, p, err := a.Advance(t.Context(), h); err != nil || p.State != bot.OpFailed || !strings.Contains(p.Text, "no such workflow in acme/shop") {
		t.Errorf("without the workflow: %+v, %v", p, err)
	}
}
