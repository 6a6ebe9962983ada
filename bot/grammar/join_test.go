package grammar

import (
	"slices"
	"strings"
	"testing"
	"unicode"

	"pgregory.net/rapid"
)

func TestJoin(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"deploy", "shop", "v1", "staging", "--dry-run"}, "deploy shop v1 staging --dry-run"},
		{[]string{"--reason", "ok\u00a0--dry-run"}, "--reason \"ok\u00a0--dry-run\""},
		{[]string{"--reason=ok --dry-run"}, `--reason="ok --dry-run"`},
		{[]string{"--reason=“ok” --dry-run"}, `--reason="\“ok\” --dry-run"`},
		{[]string{"--reason=it's", "a=b c"}, `--reason=it's "a=b c"`},
		{[]string{"", "—dry-run", "-dry-run", "--", "-5", "–5"}, `"" "—dry-run" -dry-run -- -5 "–5"`},
		{[]string{"“a", "'b", `"c`, `d\`, `e"f`, `g\ h`}, `"\“a" "'b" "\"c" d\ e"f "g\\ h"`},
		{[]string{"--dry run=x", "--=x", "---x", "--é"}, `"--dry run=x" --=x "---x" "--é"`},
	} {
		if got := Join(c.args); got != c.want {
			t.Errorf("%q\n got %s\nwant %s", c.args, got, c.want)
		}
	}
}

// Whatever arguments a line is made of, the scanner gives the same again:
// options where one was typed in ASCII, and text everywhere else.
func TestJoinIsReadBack(t *testing.T) {
	char := rapid.OneOf(rapid.SampledFrom([]rune("ab1-=\\\"' \u00a0\u2003\u3000—‑–“”„«»‘’‹›＂＇")), rapid.Rune())
	arg := rapid.OneOf(rapid.StringOfN(char, 0, 8, -1),
		rapid.SampledFrom([]string{"--dry-run", "—dry-run", "-reason", "ok\u00a0--dry-run", "--reason=a --dry-run", "--reason=“a", "-5"}))
	rapid.Check(t, func(t *rapid.T) {
		args := rapid.SliceOfN(arg, 0, 6).Draw(t, "args")
		line := Join(args)
		if checkLine(line) != nil {
			if slices.ContainsFunc(args, func(a string) bool { return checkLine(a) != nil }) {
				return
			}
			for _, a := range args { // a joiner may be fine where it stands and not behind a quotation mark
				if strings.ContainsAny(a, "\u200c\u200d") {
					return
				}
			}
			t.Fatalf("%q gives the line %q, which nobody may type", args, line)
		}
		s := scanner{line: line}
		for _, a := range args {
			s.skipSpace()
			if s.done() {
				t.Fatalf("%q gives %q, in which %q is missing", args, line, a)
			}
			w, err := s.next()
			if err != nil {
				t.Fatalf("%q gives %q: %v", args, line, err)
			}
			name, value, valued := strings.Cut(a, "=")
			want := word{text: a}
			if asciiOption(name) {
				want = word{text: value, option: strings.ToLower(strings.TrimLeft(name, "-")), valued: valued}
			}
			want.text = strings.Map(func(r rune) rune {
				if unicode.IsSpace(r) {
					return ' '
				}
				return r
			}, want.text)
			if w.text != want.text || w.option != want.option || w.valued != want.valued {
				t.Fatalf("%q gives %q, in which %q is read as %+v", args, line, a, w)
			}
		}
		if s.skipSpace(); !s.done() {
			t.Fatalf("%q gives %q, of which %q is left", args, line, s.rest())
		}
	})
}
