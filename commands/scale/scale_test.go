package scale_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"quarterdeck/bot"
	"quarterdeck/bot/capacity"
	"quarterdeck/bot/provider"
	"quarterdeck/commands/scale"
)

var target = bot.Target{Service: "db", Environment: "prod"}

// sized is a Scaler that only tells how much there is.
type sized struct {
	provider.Scaler
	all []provider.Dimension
}

func (s sized) Dimensions(context.Context) ([]provider.Dimension, error) { return s.all, nil }

// nothing is an engine without runs.
type nothing struct{ engine }

type engine = bot.Runs

func (nothing) Runs(context.Context, bot.RunFilter) ([]bot.Run, error) { return nil, nil }

func plan(t *testing.T, args bot.Args) (bot.Plan, error) {
	t.Helper()
	s := sized{all: []provider.Dimension{
		{Name: "replicas", Unit: "instances", Current: "4", Max: 50, Control: "the autoscaler"},
		{Name: "class", Current: "medium", Choices: []string{"small", "medium", "large", "huge"}, Disrupts: "every connection"},
		{Name: "storage", Unit: "GiB", Current: "100", OneWay: "storage only grows"},
		{Name: "limits", Current: "7"},
	}}
	c := provider.NewCatalog([]string{"prod"}, map[bot.Target]provider.Bindings{target: {Scale: s, Bounds: map[string]provider.Bounds{
		"": {Min: 2, Max: 90, Step: 6, Zero: true}, "class": {Choices: []string{"small", "medium", "large"}}, "storage": {Min: 20, Max: 500},
	}}})
	args["service"], args["environment"] = "db", "prod"
	return scale.New(c, nothing{}).Plan(t.Context(), bot.Call{Args: args})
}

func TestPlans(t *testing.T) {
	for _, c := range []struct {
		dimension, amount, last string
		from, to, back, undo    string
		obstacles               int
	}{
		{"", "6", "", "4", "6", "", "scale db prod replicas 4", 0},
		{"", "+3", "", "4", "7", "", "scale db prod replicas 4", 0},
		{"", "-2", "2h0m0s", "4", "2", "4", "scale db prod replicas 4", 0},
		{"replicas", "zero", "", "4", "0", "", "scale db prod replicas 4", 0},
		{"", "50", "", "4", "50", "", "scale db prod replicas 4", 1},
		{"class", "large", "", "medium", "large", "", "scale db prod class medium", 0},
		{"class", "-1", "1h0m0s", "medium", "small", "medium", "scale db prod class medium", 0},
		{"storage", "+50", "", "100", "150", "", "", 0},
	} {
		p, err := plan(t, bot.Args{"dimension": c.dimension, "amount": c.amount, "for": c.last})
		if err != nil {
			t.Errorf("%s %s: %v", c.dimension, c.amount, err)
			continue
		}
		var got capacity.Change
		if err := json.Unmarshal(p.Spec.Body, &got); err != nil {
			t.Fatal(err)
		}
		back := ""
		if got.Back != nil {
			back = got.Back.To
		}
		if got.From != c.from || got.To != c.to || back != c.back || p.Undo != c.undo || len(p.Obstacles) != c.obstacles || p.Slot != "db/prod capacity" {
			t.Errorf("%s %s gives %+v, back %q, undo %q, in the way %v", c.dimension, c.amount, got, back, p.Undo, p.Obstacles)
		}
		if strings.Contains(string(p.Spec.Body), "+") {
			t.Errorf("the Spec is relative: %s", p.Spec.Body)
		}
	}
}

func TestRefusals(t *testing.T) {
	for _, c := range []struct{ dimension, amount, last, says string }{
		{"", "0", "", "that takes all of db/prod away; if it is meant, write the word: scale db prod replicas zero"},
		{"", "-4", "", "write the word: scale db prod replicas zero"},
		{"", "-5", "", "replicas of db/prod is 4, so -5 would be less than nothing"},
		{"", "1", "", "replicas of db/prod may be 2 to 50, not 1"},
		{"", "51", "", "replicas of db/prod may be 2 to 50, not 51"},
		{"", "4.5", "", `"4.5" is no amount`},
		{"", "", "", `"" is no amount`},
		{"", "+", "", `"+" is no amount`},
		{"class", "huge", "", "class of db/prod may be small or medium or large, not huge"},
		{"class", "tiny", "", `"tiny" is no value of class; there are: small, medium, large, huge`},
		{"class", "+3", "", "class of db/prod is medium, and +3 goes past the end of: small, medium, large, huge"},
		{"class", "zero", "", `"zero" is no value of class`},
		{"storage", "90", "", "storage of db/prod cannot go from 100 to 90: storage only grows"},
		{"storage", "150", "1h0m0s", "storage of db/prod cannot come back: storage only grows; leave --for out"},
		{"storage", "0", "", "storage of db/prod may not go to zero; its configuration does not say zero = true, so it may be "},
		{"storage", "zero", "", "storage of db/prod may not go to zero"},
		{"limits", "8", "", "limits of db/prod has no bounds in the configuration"},
		{"memory", "8", "", `db/prod has no dimension "memory"; it has: replicas, class, storage, limits`},
		{"", "6", "1ms", "--for takes a second to 30 days"},
		{"", "6", "1000h0m0s", "--for takes a second to 30 days"},
		{"", "4", "1h0m0s", "is to come back to 4, so setting it to that for a while changes nothing"},
	} {
		_, err := plan(t, bot.Args{"dimension": c.dimension, "amount": c.amount, "for": c.last})
		if err == nil || !strings.Contains(bot.Sentence(err, "ref"), c.says) {
			t.Errorf("%s %s for %q: %v, want %q", c.dimension, c.amount, c.last, err, c.says)
		}
	}
}

// Who else sets it, and what it interrupts, stands in the plan.
func TestPlanTellsWhatItMeans(t *testing.T) {
	p, err := plan(t, bot.Args{"amount": "6"})
	if err != nil || len(p.Warnings) != 1 || !strings.Contains(p.Warnings[0], "the autoscaler also sets replicas") {
		t.Errorf("warnings %q (%v)", p.Warnings, err)
	}
	p, err = plan(t, bot.Args{"dimension": "class", "amount": "large"})
	if err != nil || len(p.Preview) == 0 || p.Preview[len(p.Preview)-1] != (bot.Field{Name: "interrupts", Value: "every connection"}) {
		t.Errorf("preview %+v (%v)", p.Preview, err)
	}
	if p, err = plan(t, bot.Args{"amount": "4"}); err != nil || p.Noop != "db/prod has 4 instances already" {
		t.Errorf("noop %q (%v)", p.Noop, err)
	}
}
