package grammar_test

import (
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"quarterdeck/bot"
)

// typedLine draws lines that are right or nearly right: half of them are whole
// commands, to which words that fit arguments, options, quotation marks and
// phones' characters are added in any order; the others are such words alone.
func typedLine() *rapid.Generator[string] {
	word := rapid.SampledFrom([]string{
		"deploy", "Deploy", "depoly", "rollback", "status", "releases", "flag", "on", "off", "page", "ack", "lock", "note", "can", "help", "audit", "scale",
		"shop", "shop/prod", "zoë/lab", `"shop/prod"`, "billing", "shpo", "prod", "lab", "v2", "to", "TO", `"to"`, "12", "#12", "0", "3",
		"--dry-run", "—dry‑run", "-reason", "--reason=", "--reason", "--override", "--for", "--last=1d12h", "2h", "--target", "--by", "@sre", "--environment", "--steal",
		`"two words"`, "“it’s \\\" here”", "‘don’t’", `'`, `"`, `\`, `"\\"`, "-", "—", "--", "–5", "=", "it's", "”", "👩‍🚒", "é\u200d", "loudly", "",
	})
	space := rapid.SampledFrom([]string{" ", " ", " ", "  ", "\u00a0", "\u3000"})
	whole := rapid.SampledFrom([]string{
		"deploy shop v2 to prod", "deploy shop/prod v2", "releases shop/prod", `flag "on" `, "flag on x prod", "note 3 text", "can deploy shop v2 prod",
		"help flag on", "lock shop/prod --steal", "scale shop prod 3 --for=36h", `restart shop prod --reason “it’s on fire”`, "run #12", "status shop",
	})
	return rapid.Custom(func(t *rapid.T) string {
		var line strings.Builder
		most := 8
		if rapid.Bool().Draw(t, "begins whole") {
			line.WriteString(whole.Draw(t, "whole"))
			line.WriteString(space.Draw(t, "space"))
			most = 2
		}
		for range rapid.IntRange(0, most).Draw(t, "words") {
			if rapid.IntRange(0, 9).Draw(t, "odd") == 0 {
				line.WriteString(rapid.String().Draw(t, "text"))
			} else {
				line.WriteString(word.Draw(t, "word"))
			}
			line.WriteString(space.Draw(t, "space"))
		}
		return line.String()
	})
}

// Whatever can be read has a canonical line that means the same, and whatever
// cannot gets one sentence.
func TestRoundTripOfTypedLines(t *testing.T) {
	g := fake(t)
	read := 0
	rapid.Check(t, func(t *rapid.T) {
		p, err := g.Parse(typedLine().Draw(t, "line"))
		if err != nil {
			oneSentence(t, err)
			return
		}
		read++
		again(t, g, p)
	})
	if read == 0 {
		t.Error("no drawn line could be read: the test says nothing")
	}
}

// Any text whatever survives quoting, if it can be typed at all.
func TestRoundTripOfText(t *testing.T) {
	g := fake(t)
	escape := strings.NewReplacer(`\`, `\\`, `"`, `\"`, "“", `\“`, "”", `\”`, "„", `\„`, "‟", `\‟`, "«", `\«`, "»", `\»`)
	text := rapid.StringOf(rapid.OneOf(rapid.RuneFrom([]rune(`abc XYZ 0-=/\"'“”„‟«»‘’‹›—–#:@`)), rapid.Rune()))
	read := 0
	rapid.Check(t, func(t *rapid.T) {
		reason := strings.Join(strings.Fields(text.Draw(t, "reason")), " ")
		p, err := g.Parse(`restart shop prod --reason "` + escape.Replace(reason) + `"`)
		if err != nil {
			oneSentence(t, err)
			return
		}
		read++
		if p.Reason != reason {
			t.Fatalf("%q reads %q", reason, p.Reason)
		}
		again(t, g, p)
	})
	if read == 0 {
		t.Error("no drawn text could be read: the test says nothing")
	}
}

// A line with its arguments in every style of writing means one and the same.
func TestStylesMeanTheSame(t *testing.T) {
	g := fake(t)
	const want = `deploy shop v2 prod --dry-run --reason "why not"`
	rapid.Check(t, func(t *rapid.T) {
		positional := rapid.SampledFrom([][]string{
			{"shop", "v2", "prod"}, {"shop", "v2", "to", "prod"}, {"shop/prod", "v2"}, {`"shop"`, "‘v2’", "To", "“prod”"},
		}).Draw(t, "arguments")
		options := rapid.Permutation([]string{
			rapid.SampledFrom([]string{"--dry-run", "-dry-run", "—dry-run", "–Dry‑Run", "−−dry−run"}).Draw(t, "switch"),
			rapid.SampledFrom([]string{`--reason "why not"`, `—reason=“why not”`, `-reason 'why not'`, "--REASON «\u00a0why\u00a0not\u00a0»"}).Draw(t, "text"),
		}).Draw(t, "options")
		words := append([]string(nil), positional...)
		for _, o := range options {
			at := rapid.IntRange(0, len(words)).Draw(t, "at")
			words = append(words[:at], append([]string{o}, words[at:]...)...)
		}
		space := rapid.SampledFrom([]string{" ", "  ", "\u00a0", "\u2009"}).Draw(t, "space")
		line := rapid.SampledFrom([]string{"deploy", "Deploy", "DEPLOY"}).Draw(t, "command") + space + strings.Join(words, space)
		p, err := g.Parse(line)
		if err != nil || p.Line != want {
			t.Fatalf("%q reads %q, %v", line, p.Line, err)
		}
	})
}

// oneSentence checks the form that every refusal has.
func oneSentence(t interface {
	Helper()
	Fatalf(string, ...any)
}, err error) {
	t.Helper()
	var e *bot.Error
	if !errors.As(err, &e) || e.Kind != bot.Invalid || e.Say == "" {
		t.Fatalf("%v is no *bot.Error of kind Invalid with a sentence", err)
	}
	if strings.HasSuffix(e.Say, ".") && !strings.HasSuffix(e.Say, "...") || strings.ContainsAny(e.Say, "\n\x00") {
		t.Fatalf("%q is not one sentence without a full stop", e.Say)
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"", " ", "deploy shop v2 to prod", "deploy shop/prod v2 —dry‑run --reason “it’s on fire”", "releases shop/prod", "releases zoë/lab",
		`flag "on"`, "flag on x prod", `"flag" on x`, `flag --reason on`, "note 3 --dry-run it's \"done", "can deploy \"", `can "deploy`, "help flag on",
		"lock shop/prod --steal", "audit --target=shop/prod --by @sre --last 1w1s", "scale shop prod 3 --for=36h", "restart shop prod --reason –5",
		`restart shop prod --reason '\\\'`, "restart shop prod --reason «\u00a0\u200dx»", "run #00012", "status\x00", "status \xff", "\u202e",
		"restart shop prod --reason=", "deploy shop v2 to to", "page ack loudly", "restart shop prod --reason \"\\“\"", "K\u212a", "flag oN", "—", "--",
	} {
		f.Add(seed)
	}
	g := fake(f)
	f.Fuzz(func(t *testing.T, line string) {
		for _, visible := range []func(bot.Command) bool{nil, onlooker()} {
			for _, completed := range g.CompleteLine(line, visible) {
				if len(completed) < len(line) {
					t.Errorf("%q completes to the shorter %q", line, completed)
				}
			}
			if _, err := g.HelpFor(line, visible); err != nil {
				oneSentence(t, err)
			}
			p, err := g.ParseFor(line, visible)
			if err != nil {
				oneSentence(t, err)
				continue
			}
			again(t, g, p)
		}
	})
}
