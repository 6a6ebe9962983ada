package app_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"quarterdeck/bot"
	"quarterdeck/bot/bottest"
	"quarterdeck/bot/provider/providertest"
)

// wrongs are the ways in which one argument can be wrong, each with what is
// typed in its place; "" leaves it out.
func wrongs() map[string]string {
	return map[string]string{
		"missing":           "",
		"empty":             `""`,
		"blank":             `" "`,
		"unknown":           "zzzzzz",
		"other sort":        "#0",
		"too long":          strings.Repeat("9", 300),
		"far too long":      strings.Repeat("9", 5000),
		"control character": "sh\x07op",
		"reordered":         "shop\u202Epod",
		"not text":          "sh\xffop",
		"open quote":        `"shop`,
		"shell":             "$(reboot);`id`",
		"template":          "{{.}}%s%d%!v",
	}
}

// takes are wrong values that a type has nothing against: free text is free.
func takes(p bot.Param, wrong string) bool {
	switch wrong {
	case "missing":
		return p.Optional
	case "unknown", "other sort", "too long", "shell", "template":
		return p.Type == bot.TypeText || p.Type == bot.TypeWords || p.Type == bot.TypeFlag
	}
	return false
}

// broken gives every line in which one argument or option of a command is
// wrong, by what is wrong with it.
func broken(t *testing.T, c bot.Command) map[string]string {
	t.Helper()
	lines := map[string]string{}
	for i, p := range c.Params {
		for wrong, text := range wrongs() {
			if takes(p, wrong) {
				continue
			}
			words := []string{c.Name}
			for j, q := range c.Params {
				switch {
				case j == i && text == "":
				case j == i:
					words = append(words, text)
				case j > i && wrong == "missing":
				default:
					words = append(words, value(t, q))
				}
			}
			lines[p.Name+" "+wrong] = strings.Join(words, " ")
		}
	}
	options := slices.Clone(c.Options)
	if c.Changes() {
		options = append(options, bot.Param{Name: "reason", Type: bot.TypeText}, bot.Param{Name: "override", Type: bot.TypeText},
			bot.Param{Name: "dry-run", Type: bot.TypeFlag})
	}
	right := c.Name
	for _, p := range c.Params {
		right += " " + value(t, p)
	}
	rest := len(c.Params) > 0 && (c.Params[len(c.Params)-1].Type == bot.TypeLine || c.Params[len(c.Params)-1].Type == bot.TypeWords)
	for _, p := range options {
		for wrong, text := range wrongs() {
			if takes(p, wrong) || p.Type == bot.TypeFlag {
				continue
			}
			lines["--"+p.Name+" "+wrong] = strings.TrimSpace(right + " --" + p.Name + " " + text)
		}
		lines["--"+p.Name+" twice"] = fmt.Sprintf("%s --%s=x --%s=x", right, p.Name, p.Name)
	}
	if !rest {
		lines["surplus"] = right + " surplus"
		lines["unknown option"] = right + " --zzzzzz"
	}
	return lines
}

// TestBadInput has a person who may do everything type every command with
// every argument wrong in every way: a sentence comes back, nothing else.
func TestBadInput(t *testing.T) {
	for _, c := range surface() {
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			w := start(t, friendly, providertest.NewFriendly)
			w.waiting()
			before := len(w.records())
			lines := broken(t, c)
			if len(lines) < 2 {
				t.Fatalf("only %d lines were tried", len(lines))
			}
			for what, line := range lines {
				w.sentence(what, line, w.says(w.SRE, line))
			}
			after := w.records()[before:]
			if len(after) != len(lines) {
				t.Errorf("%d of %d lines are on record", len(after), len(lines))
			}
			for _, r := range after {
				if r.Kind != bot.FailedKind && r.Kind != bot.DeniedRecord || r.Error != bot.Invalid && r.Error != bot.NotFound && r.Error != bot.Denied {
					t.Errorf("%.80q is recorded as %s, %s: %s", r.Text["line"], r.Kind, r.Error, r.Text["result"])
				}
			}
			w.untouched()
		})
	}
}

// sentence checks that an answer to bad input is one: what was wrong and what
// was expected, bounded, and nothing of the machine's.
func (w *world) sentence(what, line string, p bottest.Post) {
	w.t.Helper()
	c := p.Card
	if c.Outcome != bot.OutcomeInvalid && c.Outcome != bot.OutcomeDenied {
		w.t.Errorf("%s: %.80q was answered %q %q, outcome %q", what, line, c.Title, c.Text, c.Outcome)
		return
	}
	text := shown(c)
	for _, never := range []string{"internal error", "panic", "goroutine", ".go:", "%!(", "sql:", "json:", "nil", "\x07", "\u202E", "toml"} {
		if strings.Contains(text, never) {
			w.t.Errorf("%s: the answer to %.80q holds %q: %q", what, line, never, text)
		}
	}
	if len(c.Title) == 0 || len(text) > 600 || strings.HasSuffix(c.Title, ".") && !strings.HasSuffix(c.Title, "...") {
		w.t.Errorf("%s: the answer to %.80q is no sentence: %q", what, line, text)
	}
	if p.To != w.SRE {
		w.t.Errorf("%s: the answer to %.80q is shown to %q", what, line, p.To)
	}
}
