package grammar_test

import (
	"testing"
	"time"

	"quarterdeck/bot/grammar"
)

// A duration has one canonical value and one canonical spelling, and the
// spelling of time.Duration is read too.
func TestDurations(t *testing.T) {
	g := fake(t)
	for _, row := range []struct{ typed, value, spelt string }{
		{"90s", "1m30s", "90s"},
		{"60s", "1m0s", "1m"},
		{"30m", "30m0s", "30m"},
		{"6h", "6h0m0s", "6h"},
		{"6h0m0s", "6h0m0s", "6h"},
		{"1h30m", "1h30m0s", "90m"},
		{"1h0m1s", "1h0m1s", "3601s"},
		{"24h", "24h0m0s", "1d"},
		{"2d", "48h0m0s", "2d"},
		{"7d", "168h0m0s", "1w"},
		{"1w1d", "192h0m0s", "8d"},
		{"007m", "7m0s", "7m"},
		{"3650d", "87600h0m0s", "3650d"},
	} {
		p, err := g.Parse("history --last " + row.typed)
		if err != nil {
			t.Errorf("%s: %v", row.typed, err)
			continue
		}
		if got := p.Args["last"]; got != row.value || p.Line != "history --last "+row.spelt {
			t.Errorf("%s: %q, %q", row.typed, got, p.Line)
		}
		if _, err := time.ParseDuration(p.Args["last"]); err != nil {
			t.Errorf("%s: commands cannot read the value: %v", row.typed, err)
		}
		again(t, g, p)
	}
	for typed, says := range map[string]string{
		"3651d":                    `"3651d" is too long; the most is 3650d`,
		"521w4d":                   `"521w4d" is too long; the most is 3650d`,
		"99999999999999999999w":    `"99999999999999999999w" is too long; the most is 3650d`,
		"0s99999999999999999999w":  `"0s99999999999999999999w" is not a duration; write 90s, 30m, 6h, 2d or 1w`,
		"99999999999999999999w1.5": `"99999999999999999999w1.5" is not a duration; write 90s, 30m, 6h, 2d or 1w`,
		"1h1h":                     `"1h1h" is not a duration; write 90s, 30m, 6h, 2d or 1w`,
		"1.5h":                     `"1.5h" is not a duration; write 90s, 30m, 6h, 2d or 1w`,
		"h":                        `"h" is not a duration; write 90s, 30m, 6h, 2d or 1w`,
		"-6h":                      `"-6h" is not a duration; write 90s, 30m, 6h, 2d or 1w`,
		"0h0m":                     `"0h0m" is not a duration; write 90s, 30m, 6h, 2d or 1w`,
	} {
		if _, err := g.Parse("history --last " + typed); sentence(t, err) != says {
			t.Errorf("%s: says %q\n want %q", typed, sentence(t, err), says)
		}
	}
}

func TestVersions(t *testing.T) {
	g := fake(t)
	for typed, taken := range map[string]bool{
		"v2": true, "latest": true, "#812": true, "1.2.3+build.5": true, "feature/x": true, "HEAD~1": true, "HEAD^": true,
		"0f3c2a9": true, "repo@sha256:0f3c": true, "v1_2": true,
		"#": true, "v#1": false, "/x": false, ".v": false, `"v 2"`: false, "v2`id`": false, "$HOME": false, "v2|x": false, "vé": false, "-1": false,
	} {
		if _, err := g.Parse("deploy shop " + typed + " prod"); (err == nil) != taken {
			t.Errorf("%s: %v", typed, err)
		}
	}
}

// many has more names than a sentence should list.
type many struct{ names }

func (many) Services() []string { return []string{"a1", "b2", "c3", "d4", "e5", "f6", "g7", "h8"} }

func (many) Environments(string) []string { return []string{"prod"} }

func TestLongListsAreCut(t *testing.T) {
	g, err := grammar.New(table(), many{})
	if err != nil {
		t.Fatal(err)
	}
	for typed, says := range map[string]string{
		"status shop":        `there is no service "shop"; there are a1, b2, c3, d4, e5, f6 and 2 more`,
		"status a1 staging":  `a1 has no environment "staging"; it has prod`,
		"flag on x staging":  `there is no environment "staging"; there is prod`,
		"status a1 staging2": `a1 has no environment "staging2"; it has prod`,
	} {
		if _, err := g.Parse(typed); sentence(t, err) != says {
			t.Errorf("%s: says %q\n want %q", typed, sentence(t, err), says)
		}
	}
	// A service without a single environment.
	g, err = grammar.New(table(), deserted{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := g.Parse("status a1 prod"); sentence(t, err) != `a1 has no environment "prod"; it has none` {
		t.Errorf("says %q", sentence(t, err))
	}
}

type deserted struct{ many }

func (deserted) Environments(string) []string { return nil }
