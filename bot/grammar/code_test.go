package grammar_test

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"quarterdeck/bot"
	"quarterdeck/bot/grammar"
)

// enrolling gives a grammar of a command whose argument is a code, one that
// answers a run and one that changes something.
func enrolling(t testing.TB) *grammar.Grammar {
	t.Helper()
	g, err := grammar.New([]bot.Command{
		read(bot.Command{Name: "totp confirm", Summary: "confirm it", Permission: "p", Params: []bot.Param{{Name: "code", Type: bot.TypeCode, Optional: true, Help: "the code"}}}),
		read(bot.Command{Name: "show", Summary: "show it", Permission: "p", Options: []bot.Param{{Name: "last", Type: bot.TypeText, Help: "how many"}}}),
		read(bot.Command{Name: "approve", Summary: "approve it", Permission: "p", Params: []bot.Param{{Name: "run", Type: bot.TypeRun, Optional: true, Help: "the run"}},
			Options: []bot.Param{{Name: "note", Type: bot.TypeText, Help: "a note"}, {Name: "quiet", Type: bot.TypeFlag, Help: "say nothing"}}}),
	}, names{})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func TestTakeCode(t *testing.T) {
	g := enrolling(t)
	for _, c := range []struct {
		line, rest, code string
		own              bool
	}{
		{"approve 12 --code 123456", "approve 12", "123456", false},
		{"approve --code=123456 12", "approve 12", "123456", false},
		{"approve 12 —code 123 456", "approve 12", "123456", false}, // as a phone and an authenticator write it
		{`approve 12 --code "123 456" --reason "why not"`, `approve 12 --reason "why not"`, "123456", false},
		{"approve 12 --CODE 123-456", "approve 12", "123456", false},
		{"approve 12 --code 111111 --code 222222", "approve 12", "111111", false},
		{"approve 12 --code", "approve 12", "", false},
		{"approve 12 --code --reason x", "approve 12 --reason x", "", false},
		{"approve 12", "approve 12", "", false},
		{"aprove 12 --code 123456", "aprove 12", "123456", false},
		{`approve 12 --reason "not closed --code 123456`, `approve 12 --reason "not closed`, "123456", false},
		{`approve 12 --reason "no"space --code 123456 --reason`, `approve 12 --reason "no"space --reason`, "123456", false},
		{`approve 12 --code "123456`, "approve 12", "123456", false},
		{`approve 12 --code "123 456 --reason x`, "approve 12 --reason x", "123456", false},
		{"approve 12 --cdoe 123456", "approve 12 --cdoe", "", false}, // for the grammar to say what is meant
		{"approve 12 --otp=123456", "approve 12 --otp", "", false},
		{"approve 12 123456", "approve 12", "123456", false}, // the option is forgotten
		{"approve #12 123 456", "approve #12", "123456", false},
		{"approve 12 code:123456", "approve 12", "123456", false},
		{"approve 12 Code=123456 --reason x", "approve 12 --reason x", "123456", false},
		{"approve 12 code 123456", "approve 12 code", "123456", false}, // for the grammar to say what is one too many
		{"approve 123456", "approve 123456", "", false},                // a run
		{"approve 12 --note 123456", "approve 12 --note 123456", "", false},
		{"approve 12 --quiet 123456", "approve 12 --quiet", "123456", false},
		{"approve 12 13", "approve 12 13", "", false},
		{"show 12 123456", "show 12 123456", "", false},
		{"show --last 123456", "show --last 123456", "", false},
		{`show --last "--code 123456"`, `show --last "--code 123456"`, "", false},
		{"totp confirm 123456", "totp confirm", "123456", true},
		{"TOTP Confirm 123 456", "TOTP Confirm", "123456", true},
		{"totp confirm --code 123456", "totp confirm", "123456", true},
		{"totp confirm", "totp confirm", "", true},
		{"totp cnofirm 123456", "totp cnofirm", "123456", false},
		{"deploy shop 123456 prod", "deploy shop 123456 prod", "", false}, // a version
		{"", "", "", false},
	} {
		rest, code, own := g.TakeCode(c.line)
		if rest != c.rest || code != c.code || own != c.own {
			t.Errorf("%q gives %q, %q, %v; want %q, %q, %v", c.line, rest, code, own, c.rest, c.code, c.own)
		}
	}
}

// TestNoCodeStays: wherever --code stands on whatever line, its six digits are
// not in what is stored, unless they are quoted as text.
func TestNoCodeStays(t *testing.T) {
	g := enrolling(t)
	rapid.Check(t, func(t *rapid.T) {
		word := rapid.SampledFrom([]string{"approve", "totp", "confirm", "show", "12", "--reason", "--last", "x", "\u00a0", `"`, "'", `a"b`, "—", "--", "=", "zoë", "--dry-run"})
		before := strings.Join(rapid.SliceOfN(word, 0, 5).Draw(t, "before"), " ")
		after := strings.Join(rapid.SliceOfN(word, 0, 5).Draw(t, "after"), " ")
		dash := rapid.SampledFrom([]string{"--", "-", "—", "–"}).Draw(t, "dash")
		line := before + " " + dash + "code" + rapid.SampledFrom([]string{" ", "=", "  "}).Draw(t, "gap") + "918273 " + after
		rest, _, _ := g.TakeCode(line)
		quoted := strings.ContainsAny(before, `"'`)
		if strings.Contains(rest, "918273") && !quoted {
			t.Fatalf("%q leaves %q", line, rest)
		}
		if again, code, _ := g.TakeCode(rest); again != rest && !quoted && code == "918273" {
			t.Fatalf("%q leaves %q, which leaves %q", line, rest, again)
		}
	})
}
