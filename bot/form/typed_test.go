package form_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"quarterdeck/bot"
)

func (w *world) pick(who bot.AccountID, verb, argument, typed string, values map[string]string, limit int) []string {
	var all []string
	for _, c := range w.forms.Pick(w.t.Context(), bot.Picking{Account: who, Standing: bot.Member, Channel: "discord:1", Verb: verb, Values: values, Argument: argument, Typed: typed, Limit: limit}) {
		all = append(all, c.Value)
	}
	return all
}

// TestPick offers what continues the typed argument: what there is where the
// account may run the verb, and nothing else.
func TestPick(t *testing.T) {
	w := newWorld(t, nil)
	for _, c := range []struct {
		who                   bot.AccountID
		verb, argument, typed string
		values                map[string]string
		want                  string
	}{
		{"terminal:dev", "deploy", "service", "", nil, "shop"}, // not pay, where no grant lets them
		{"terminal:dev", "deploy", "service", "SH", nil, "shop"},
		{"terminal:dev", "deploy", "service", "pay", nil, ""},
		{"terminal:dev", "deploy", "environment", "", map[string]string{"service": "shop"}, "staging prod"},
		{"terminal:dev", "deploy", "environment", "p", map[string]string{"service": "shop"}, "prod"},
		{"terminal:dev", "deploy", "environment", "", map[string]string{"service": "pay"}, ""},
		{"terminal:dev", "deploy", "version", "", map[string]string{"service": "shop"}, "v2 v1"},
		{"terminal:dev", "deploy", "version", "a1b2", map[string]string{"service": "shop"}, "a1b2"}, // which its deployer may know
		{"terminal:dev", "deploy", "version", "", map[string]string{"service": "pay"}, ""},
		{"terminal:dev", "deploy", "speed", "f", nil, "fast"},
		{"terminal:dev", "look", "flag", "basket", map[string]string{"environment": "prod"}, "prod-new-basket"}, // what the command itself knows of
		{"terminal:visitor", "look", "flag", "old", nil, "visitor-old"},
		{"terminal:dev", "deploy", "nothing", "", nil, ""},
		{"terminal:dev", "deplyo", "service", "", nil, ""},
		{"terminal:visitor", "deploy", "service", "", nil, ""}, // who may not know of the verb
		{"terminal:eve", "deploy", "service", "", nil, ""},
		{"terminal:eve", "look", "service", "", nil, ""},
	} {
		if got := strings.Join(w.pick(c.who, c.verb, c.argument, c.typed, c.values, 25), " "); got != c.want {
			t.Errorf("%s %s %s %q: %q, want %q", c.who, c.verb, c.argument, c.typed, got, c.want)
		}
	}
	if got := w.pick("terminal:dev", "deploy", "environment", "", map[string]string{"service": "shop"}, 1); len(got) != 1 {
		t.Errorf("more than the limit: %q", got)
	}
	if got := w.pick("terminal:dev", "deploy", "service", strings.Repeat("x", 5000), nil, 25); got != nil {
		t.Errorf("%q", got)
	}
}

// TestPickAsksRarely asks a provider for releases once while somebody types, not
// for each letter.
func TestPickAsksRarely(t *testing.T) {
	w := newWorld(t, nil)
	for range 5 {
		w.pick("terminal:dev", "deploy", "version", "v", map[string]string{"service": "shop"}, 25)
	}
	if w.far.asked != 1 {
		t.Errorf("asked %d times", w.far.asked)
	}
	w.clock.Advance(time.Minute)
	w.pick("terminal:dev", "deploy", "version", "v", map[string]string{"service": "shop"}, 25)
	if w.far.asked != 2 {
		t.Errorf("asked %d times after a minute", w.far.asked)
	}
}

// TestVerbs names every command with all that it takes, but for one-time codes.
func TestVerbs(t *testing.T) {
	w := newWorld(t, nil)
	verbs := w.forms.Verbs()
	i := slices.IndexFunc(verbs, func(v bot.Verb) bool { return v.Name == "deploy" })
	if i < 0 {
		t.Fatalf("%+v", verbs)
	}
	var names []string
	for _, p := range verbs[i].Arguments {
		if p.Type == bot.TypeCode {
			t.Errorf("%s is a code", p.Name)
		}
		names = append(names, p.Name)
	}
	if got := strings.Join(names, " "); got != "service version environment steal speed dry-run reason override break-glass" {
		t.Errorf("deploy takes %s", got)
	}
	if got := w.forms.Line("deploy", map[string]string{"service": "shop", "version": "v2", "environment": "prod", "reason": "why not"}); got != `deploy shop v2 prod --reason "why not"` {
		t.Errorf("%s", got)
	}
}
