package grammar_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"quarterdeck/bot"
	"quarterdeck/bot/grammar"
)

func TestDraft(t *testing.T) {
	g := fake(t)
	for line, want := range map[string]string{
		"deploy":                          "deploy:",
		"deploy shop":                     "deploy: service=shop",
		"deploy shop/prod":                "deploy: environment=prod service=shop",
		"Deploy shop v2 to":               "deploy: service=shop version=v2",
		"deploy --dry-run —reason “a b”":  "deploy: dry-run=true reason=a b",
		"deploy shpo":                     `deploy: there is no service "shpo"; did you mean "shop"?`,
		"deploy shop ':'":                 `deploy: service=shop ":" is not a version; write one word of letters, digits and ._-+/:@~^ such as v2, latest or #12`,
		"scale shop prod --for 36h":       "scale: environment=prod for=36h service=shop",
		"run":                             "run:",
		"deploy shop v2 prod":             "",
		"status":                          "",
		"depoly":                          "",
		"deploy --loudly":                 "",
		`deploy "`:                        "",
		"deploy shop\nv2":                 "",
		"":                                "",
		"--dry-run":                       "",
		strings.Repeat("deploy shop ", 9): "",
	} {
		d, ok := g.Draft(line, nil)
		got := ""
		if ok {
			got = d.Command.Name + ":"
			for _, name := range slices.Sorted(maps.Keys(d.Given)) {
				got += " " + name + "=" + d.Given[name]
			}
			if d.Fault != "" {
				got += " " + d.Fault
			}
		}
		if got != want {
			t.Errorf("%q is the draft %q, want %q", line, got, want)
		}
	}
	if _, ok := g.Draft("deploy", only(bot.MayRestart)); ok {
		t.Error("a command that is hidden has a draft")
	}
}

func TestCompose(t *testing.T) {
	g := fake(t)
	for _, c := range []struct {
		command string
		given   map[string]string
		want    string // the line, or the faults
	}{
		{"deploy", map[string]string{"service": "shop", "version": "v2", "environment": "prod"}, "deploy shop v2 prod"},
		{"deploy", map[string]string{"service": "shop", "version": "v2", "environment": "prod", "reason": `x" --break-glass "y`, "dry-run": "false"},
			`deploy shop v2 prod --reason "x\" --break-glass \"y"`},
		{"deploy", map[string]string{"service": "shop", "version": "--break-glass", "environment": "prod"}, `version: "--break-glass" is not a version`},
		{"deploy", map[string]string{"service": "shop", "version": "v2 prod --override x", "environment": "prod"}, "version: "},
		{"deploy", map[string]string{"service": "shop", "version": "v2", "environment": "lab"}, `environment: shop has no environment "lab"`},
		{"deploy", map[string]string{"service": "shop", "version": "v2", "environment": "prod", "reason": "a\ndeploy shop v3 prod"}, "reason: character 2 is a line break"},
		{"deploy", map[string]string{"service": " ", "version": "v2"}, "environment: the ENV is missing; service: the SERVICE is missing"},
		{"scale", map[string]string{"service": "shop", "environment": "prod", "count": "–1", "for": "soon"}, `count: "-1" is not a count; write a whole number of 0 or more; for: "soon" is not a duration`},
		{"can", map[string]string{"command": "deploy shop v2 prod --dry-run"}, "can deploy shop v2 prod --dry-run"},
		{"can", map[string]string{"command": "--break-glass x"}, "command: this would be read as options"},
		{"status", map[string]string{"environment": "prod"}, "environment: the SERVICE has to be given with it"},
		{"depoly", nil, `: there is no command "depoly"`},
	} {
		got, faults := g.Compose(c.command, c.given)
		if got == "" {
			var all []string
			for _, name := range slices.Sorted(maps.Keys(faults)) {
				all = append(all, name+": "+faults[name])
			}
			got = strings.Join(all, "; ")
			if !strings.HasPrefix(got, c.want) || c.want == "" {
				t.Errorf("%s %v has the faults %q, want %q", c.command, c.given, got, c.want)
			}
			continue
		}
		if got != c.want {
			t.Errorf("%s %v is %q, want %q", c.command, c.given, got, c.want)
		}
	}
}

// Whatever is entered, the line holds each value where it was entered and
// nothing else.
func TestComposedValuesStayInTheirPlaces(t *testing.T) {
	g := fake(t)
	value := rapid.OneOf(
		rapid.SampledFrom([]string{"shop", "prod", "v2", "zoë", "lab", "3", "2h", "to", "true", "deploy", "on", "shop/prod", "--dry-run", "-x", `"`, `a" --break-glass "b`, `\`, "“", "a b", " ", "x\u00a0y", "\n"}),
		rapid.StringOf(rapid.OneOf(rapid.RuneFrom([]rune(`ab -=/\"'“”‘’–—`)), rapid.Rune())))
	commands := g.Commands(nil)
	whole := 0
	rapid.Check(t, func(t *rapid.T) {
		c := rapid.SampledFrom(commands).Draw(t, "command")
		given := map[string]string{}
		for _, a := range grammar.Options(c) {
			if rapid.IntRange(0, 3).Draw(t, "given") > 0 {
				given[a.Name] = value.Draw(t, a.Name)
			}
		}
		line, faults := g.Compose(c.Name, given)
		if line == "" {
			if len(faults) == 0 {
				t.Fatalf("%s %q has neither a line nor a fault", c.Name, given)
			}
			for name := range faults {
				if name == "" {
					t.Fatalf("%s %q has a fault of nothing: %q", c.Name, given, faults)
				}
			}
			return
		}
		whole++
		p, err := g.Parse(line)
		if err != nil || p.Command.Name != c.Name || p.Line != line {
			t.Fatalf("%q is read as %q, %v", line, p.Line, err)
		}
		for name, got := range map[string]string{"override": p.Override, "break-glass": p.BreakGlass, "reason": p.Reason} {
			if want := strings.Join(strings.Fields(given[name]), " "); c.Plan != nil && strings.Join(strings.Fields(got), " ") != want {
				t.Fatalf("%q has the %s %q; %q was entered", line, name, got, want)
			}
		}
		if p.DryRun != (c.Plan != nil && strings.TrimSpace(given["dry-run"]) == "true") {
			t.Fatalf("%q is a dry run by itself, or none", line)
		}
		for name := range p.Args {
			if strings.TrimSpace(given[name]) == "" {
				t.Fatalf("%q has a %s that nobody entered", line, name)
			}
		}
	})
	if whole == 0 {
		t.Error("no drawn form was whole: the test says nothing")
	}
}
