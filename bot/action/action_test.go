package action_test

import (
	"context"
	"encoding/json"
	"regexp"
	"strings"
	"testing"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/action"
	"quarterdeck/bot/provider"
	"quarterdeck/bot/provider/providertest"
)

func whole(n int64) *int64 { return &n }

func TestCheck(t *testing.T) {
	text := action.Parameter{Name: "note", Type: action.TypeText, MaxLength: 10}
	path := action.Parameter{Name: "path", Type: action.TypeText, MaxLength: 10, Pattern: regexp.MustCompile(`a|/ab`)}
	line := action.Parameter{Name: "line", Type: action.TypeText, MaxLength: 100, Pattern: regexp.MustCompile(`(?m)^[a-z]+$`)}
	kind := action.Parameter{Name: "kind", Type: action.TypeChoice, Choices: []string{"a", "b"}}
	keep := action.Parameter{Name: "keep", Type: action.TypeNumber, Min: whole(-2), Max: whole(5)}
	any := action.Parameter{Name: "any", Type: action.TypeNumber}
	age := action.Parameter{Name: "age", Type: action.TypeDuration, Shortest: time.Minute, Longest: time.Hour}
	for _, c := range []struct {
		p     action.Parameter
		value string
		says  string // "" when it is taken
	}{
		{text, "plain", ""}, {text, "a b;$(x)", ""}, {text, "0123456789", ""}, {text, "–rf", ""},
		{text, "0123456789x", "NOTE has 11 bytes; the most is 10"},
		{text, "-rf", `NOTE cannot begin with a dash: "-rf" could be taken for an option`},
		{text, "-", `NOTE cannot begin with a dash`},
		{text, "a\x00b", "NOTE is no text"}, {text, "a\xffb", "NOTE is no text"},
		{path, "/ab", ""}, {path, "a", ""},
		{path, "xa", "PATH must match a|/ab"}, {path, "/abc", "PATH must match"}, {path, "aa", "PATH must match"},
		{line, "good", ""}, {line, "good\n; evil", "LINE must match"},
		{kind, "a", ""}, {kind, "c", `KIND is one of a, b, not "c"`}, {kind, "", "KIND is one of"},
		{keep, "-2", ""}, {keep, "5", ""}, {keep, "-3", "KEEP is at least -2, not -3"}, {keep, "6", "KEEP is at most 5, not 6"},
		{keep, "x", "KEEP takes a whole number"}, {any, "-9", ""}, {any, "1e3", "ANY takes a whole number"},
		{age, "1m", ""}, {age, "59s", "AGE is at least 1m0s, not 59s"}, {age, "2h", "AGE is at most 1h0m0s"}, {age, "soon", "AGE takes a duration"}, {age, "-5m", "AGE takes a duration"},
	} {
		err := c.p.Check(c.value)
		switch {
		case c.says == "" && err != nil:
			t.Errorf("%s %q: %v", c.p.Name, c.value, err)
		case c.says != "" && (bot.KindOf(err) != bot.Invalid || !strings.Contains(err.Error(), c.says)):
			t.Errorf("%s %q: %v, want %q", c.p.Name, c.value, err, c.says)
		}
	}
}

func TestCanonical(t *testing.T) {
	for _, c := range []struct {
		p           action.Parameter
		value, want string
	}{
		{action.Parameter{Type: action.TypeDuration}, "90m", "1h30m0s"},
		{action.Parameter{Type: action.TypeNumber}, "+007", "7"},
		{action.Parameter{Type: action.TypeText, MaxLength: 9}, "x y", "x y"},
	} {
		if got, err := c.p.Canonical(c.value); err != nil || got != c.want {
			t.Errorf("%q gives %q, %v; want %q", c.value, got, err, c.want)
		}
	}
}

type clock struct{ now time.Time }

func (c *clock) Now() time.Time { return c.now }

var shop = bot.Target{Service: "shop", Environment: "prod"}

func reindex(actor provider.Actor, digest string) *action.Table {
	return action.NewTable([]action.Action{{Actor: actor, Digest: digest, Definition: action.Definition{Name: "reindex", Permission: "action.reindex",
		Parameters: []action.Parameter{{Name: "target", Type: action.TypeTarget}, {Name: "end", Type: action.TypeChoice, Choices: []string{"well", "fail"}}}}}})
}

func spec(t *testing.T, in provider.Invocation) bot.Spec {
	t.Helper()
	s, err := bot.NewSpec(action.Kind, in.Action, in.Target, []bot.Resource{in.Target.Resource()}, in)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestWorkflow runs one action to its end over stored handles, and one whose
// action is not configured any more.
func TestWorkflow(t *testing.T) {
	c := &clock{time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC)}
	far := providertest.NewFriendly(c)
	w := action.NewWorkflow(reindex(far.Actor("reindex"), "d1"))
	s := spec(t, provider.Invocation{Action: "reindex", Target: shop, Values: map[string]string{"end": "well"}})
	h, err := w.Begin(s, bot.Task{Key: "run-1", Actor: "dev"})
	if err != nil || h.Key != "run-1" || h.Target != shop {
		t.Fatalf("Begin gives %+v, %v", h, err)
	}
	gone := action.NewWorkflow(nil)
	if _, _, err := gone.Advance(t.Context(), h); bot.KindOf(err) != bot.NotFound || !strings.Contains(err.Error(), `no action "reindex"`) {
		t.Errorf("without the action: %v", err)
	}
	if _, err := gone.Cancel(t.Context(), h); bot.KindOf(err) != bot.NotFound {
		t.Errorf("cancelled without the action: %v", err)
	}
	for n := 0; ; n++ {
		raw, err := json.Marshal(h)
		if err != nil {
			t.Fatal(err)
		}
		h = bot.Handle{}
		if err := json.Unmarshal(raw, &h); err != nil {
			t.Fatal(err)
		}
		var p bot.Progress
		if h, p, err = w.Advance(t.Context(), h); err != nil {
			t.Fatal(err)
		}
		if p.State == bot.OpSucceeded {
			break
		}
		if p.State.Settled() || n > 100 {
			t.Fatalf("look %d shows %+v", n, p)
		}
	}
	if n := far.Effects("run-1"); n != 1 {
		t.Errorf("the far side acted %d times", n)
	}
	if got := w.Timing(shop); got.Call < bot.DefaultTiming.Call {
		t.Errorf("its timing is %+v", got)
	}
}

// TestCheckAtTheMomentOfActing: another program behind the name, or a value that
// is not taken any more, stops it.
func TestCheckAtTheMomentOfActing(t *testing.T) {
	far := providertest.NewFriendly(&clock{})
	w := action.NewWorkflow(reindex(far.Actor("reindex"), "d1"))
	ok := spec(t, provider.Invocation{Action: "reindex", Target: shop, Values: map[string]string{"end": "well"}})
	fact := func(name, want string) []bot.Fact { return []bot.Fact{{Name: name, Want: want}} }
	for _, c := range []struct {
		name  string
		spec  bot.Spec
		facts []bot.Fact
		want  bot.Kind
	}{
		{"the same", ok, fact(action.FactBinding, "d1"), ""},
		{"another program", ok, fact(action.FactBinding, "d0"), bot.Conflict},
		{"a fact of another version", ok, fact("weather", "fine"), bot.Internal},
		{"a value that is gone", spec(t, provider.Invocation{Action: "reindex", Target: shop, Values: map[string]string{"end": "odd"}}), nil, bot.Invalid},
		{"an action that is gone", spec(t, provider.Invocation{Action: "other", Target: shop}), nil, bot.NotFound},
	} {
		obstacles, err := w.Check(context.Background(), c.spec, c.facts)
		if c.want == "" && err != nil || c.want != "" && bot.KindOf(err) != c.want || len(obstacles) > 0 {
			t.Errorf("%s: %v, %v; want kind %q", c.name, obstacles, err, c.want)
		}
	}
	if n := len(far.Acts()); n != 0 {
		t.Errorf("the far side acted %d times", n)
	}
}

func TestTable(t *testing.T) {
	table := reindex(nil, "")
	if p := table.Permissions(); len(p) != 1 || p[0].Name != "action.reindex" || p[0].Resource != bot.KindTarget {
		t.Errorf("permissions %+v", p)
	}
	var none *action.Table
	if _, found := none.Lookup("reindex"); found || len(none.All()) != 0 || len(none.Permissions()) != 0 {
		t.Error("an empty table has something in it")
	}
	d := action.Definition{Name: "cache flush"}
	if d.Resource(bot.Target{}) != "action:cache-flush" || action.DefaultPermission(d.Name) != "action.cache-flush" {
		t.Errorf("%s, %s", d.Resource(bot.Target{}), action.DefaultPermission(d.Name))
	}
}
