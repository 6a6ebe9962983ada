package grammar_test

import (
	"slices"
	"strings"
	"testing"

	"quarterdeck/bot"
)

func TestComplete(t *testing.T) {
	g := fake(t)
	for _, row := range []struct {
		typed string
		want  string // separated by spaces
	}{
		{"dep", "deploy"},
		{"DEP", "deploy"},
		{"de", "deploy deny"},
		{"r", "rollback restart releases runs run"},
		{"xyzzy", ""},
		{"fl", "flag"},
		{"flag o", "on off"},
		{"page ", "list ack"},
		{"page a", "ack"},
		{"page ack ", "quietly loudly"},
		{"page ack l", "loudly"},
		{"deploy ", `billing shop "zoë"`},
		{"deploy s", "shop"},
		{"deploy\u00a0s", "shop"},
		{"deploy shop/", "shop/staging shop/prod"},
		{"deploy shop/p", "shop/prod"},
		{"deploy nothing/", ""},
		{"deploy shop ", ""}, // a version: only its provider knows
		{"deploy shop v2 ", "staging prod"},
		{"deploy shop v2 to ", "staging prod"},
		{"deploy shop v2 to p", "prod"},
		{"deploy billing v2 ", "prod"},
		{"deploy shop/prod v2 ", ""},
		{"deploy shop v2 prod ", ""},
		{"deploy shop v2 prod -", "--dry-run --reason --override --break-glass --code"},
		{"deploy shop v2 prod --", "--dry-run --reason --override --break-glass --code"},
		{"deploy shop v2 prod --r", "--reason"},
		{"deploy shop v2 prod -r", "-reason"},
		{"deploy shop v2 prod —d", "—dry-run"},
		{"deploy shop v2 prod --dry-run --", "--reason --override --break-glass --code"},
		{"deploy --dry-run ", `billing shop "zoë"`},
		{"deploy --reason ", ""},
		{"deploy --reason why s", "shop"},
		{"flag on x ", "staging prod lab"},
		{"lock shop --environment ", "staging prod"},
		{"lock --environment ", "staging prod lab"},
		{"lock shop --environment=p", "--environment=prod"},
		{"audit --by ", "dev-one admin sre"},
		{"audit --by s", "sre"},
		{"audit --by=d", "--by=dev-one"},
		{"audit --target shop/s", "shop/staging"},
		{"audit --fast ", ""},
		{"oncall shop/", ""},
		{"run ", ""},
		{"can dep", "deploy"},
		{"can deploy shop v2 ", "staging prod"},
		{"can deploy shop v2 prod --d", "--dry-run"},
		{"can can flag o", "on off"},
		{"help fl", "flag"},
		{"help flag ", "on off"},
		{"help deploy ", ""},
		{"note 3 d", ""},
		{"note --d", "--dry-run"},
		{`note 3 it's "do`, ""},
		{`deploy "sh`, ""},
		{`deploy "shop" v2 "stag`, ""},
	} {
		t.Run(row.typed, func(t *testing.T) {
			got := strings.Join(g.Complete(row.typed, nil), " ")
			if got != row.want {
				t.Errorf("completes to %q, want %q", got, row.want)
			}
		})
	}
	if got := g.Complete("", nil); len(got) != 22 || !slices.Contains(got, "flag") {
		t.Errorf("an empty line completes to %d words: %q", len(got), got)
	}
}

func TestCompleteLine(t *testing.T) {
	g := fake(t)
	got := g.CompleteLine("Deploy shop v2 to p", nil)
	if !slices.Equal(got, []string{"Deploy shop v2 to prod"}) {
		t.Errorf("%q", got)
	}
	if got := g.CompleteLine("can  page ", nil); !slices.Equal(got, []string{"can  page list", "can  page ack"}) {
		t.Errorf("%q", got)
	}
}

func TestCompleteKeepsWhatIsHidden(t *testing.T) {
	g := fake(t)
	visible := only(bot.MaySeeStatus, bot.MayAskSelf)
	for typed, want := range map[string]string{
		"":             "status confirm whoami can help",
		"dep":          "",
		"deploy ":      "",
		"page ":        "",
		"can dep":      "",
		"help fl":      "",
		"status shop ": "staging prod",
	} {
		if got := strings.Join(g.Complete(typed, visible), " "); got != want {
			t.Errorf("%q completes to %q, want %q", typed, got, want)
		}
	}
}
