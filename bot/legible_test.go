package bot_test

import (
	"testing"

	"quarterdeck/bot"
)

func TestLegible(t *testing.T) {
	for in, want := range map[string]string{
		"v2":                       "v2",
		"two\r\nlines\n":           "two\nlines\n",
		"a\tb\rc":                  "a b c",
		"v2\u202e3v":               `v2\u202e3v`,
		"zero\u200bwidth":          `zero\u200bwidth`,
		"bell\a":                   `bell\x07`,
		"tag\U000e0041":            `tag\U000e0041`,
		"👩\u200d💻":                 "👩\u200d💻",
		"bad \xff":                 "bad \uFFFD",
		"line\u2028separator":      `line\u2028separator`,
		"\\u202e typed in letters": "\\u202e typed in letters",
	} {
		if got := bot.Legible(in); got != want {
			t.Errorf("%q gives %q, want %q", in, got, want)
		}
	}
	if got := bot.LegibleLine(" two\nlines "); got != "two lines" {
		t.Errorf("one line is %q", got)
	}
}

func TestPlain(t *testing.T) {
	c := bot.Card{Key: "run/12/rest", Title: "a\u202etitle", Text: "\ntext\n", Fields: []bot.Field{{Name: "now", Value: "v1"}}, Lines: []string{"out"}, Footer: "times in UTC",
		Table: &bot.Table{Columns: []string{"A", "B"}, Rows: [][]string{{"1", "2"}}}}
	if got, want := c.Plain(), "a\\u202etitle\n\ntext\n\nnow: v1\nA\tB\n1\t2\nout\ntimes in UTC\n"; got != want {
		t.Errorf("got %q\nwant %q", got, want)
	}
	if c.FileName() != "run-12.txt" || (bot.Card{Key: "reply/1"}).FileName() != "answer.txt" {
		t.Errorf("it is named %s", c.FileName())
	}
}
