package config_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"quarterdeck/bot"
)

// mechanical is every kind of fault that a key can have whatever it means.
var mechanical = []struct {
	name  string
	fits  func(k key) bool
	edit  func(k key, line string) string
	wants func(k key) string // a part of the sentence
	below int                // lines between the key's and the one named
}{
	{name: "wrong type: a time of day", edit: func(k key, _ string) string { return k.name + " = 12:30:00" },
		wants: func(k key) string { return k.path + " takes " }},
	{name: "wrong type: a table", edit: func(k key, _ string) string { return k.name + " = { a = 1 }" },
		wants: func(k key) string { return "; it is a table" }},
	{name: "wrong type: a number with a fraction", edit: func(k key, _ string) string { return k.name + " = 1.5" },
		wants: func(k key) string { return "; it is a number with a fraction" }},
	{name: "wrong type inside", fits: isList, edit: func(k key, _ string) string { return k.name + " = [true]" },
		wants: func(k key) string { return k.path + " takes a text in quotes; it is true" }},
	{name: "empty", fits: isText, edit: func(k key, _ string) string { return k.name + ` = ""` },
		wants: func(k key) string { return k.path + " is empty; give it a value or take it away" }},
	{name: "empty", fits: isList, edit: func(k key, _ string) string { return k.name + " = []" },
		wants: func(k key) string { return k.path + " is an empty list; name something or take the key away" }},
	{name: "empty inside", fits: isList, edit: func(k key, _ string) string { return k.name + ` = [""]` },
		wants: func(k key) string { return k.path + " holds an empty text" }},
	{name: "misspelt", edit: func(_ key, line string) string { return "x" + line },
		wants: func(k key) string { return fmt.Sprintf("unknown key %q in ", "x"+k.name) }},
	{name: "misspelt, nearest", edit: func(_ key, line string) string { return "x" + line },
		wants: func(k key) string { return fmt.Sprintf("; did you mean %q?", k.name) }},
	{name: "unknown sibling", edit: func(_ key, line string) string { return line + "\nxyzzy = 1" },
		wants: func(k key) string { return `unknown key "xyzzy" in [` }, below: 1},
	{name: "twice", edit: func(_ key, line string) string { return line + "\n" + line },
		wants: func(k key) string { return k.name + " stands here a second time; leave one" }, below: 1},
	{name: "no value", edit: func(k key, _ string) string { return k.name + " =" },
		wants: func(key) string { return "this is not TOML" }},
	{name: "a control character", edit: func(_ key, line string) string { return line + "\x00" },
		wants: func(key) string { return "this is not TOML" }},
}

func isText(k key) bool { return k.typ.Kind() == reflect.String }
func isList(k key) bool { return k.typ.Kind() == reflect.Slice }

// TestEveryKeyEveryMechanicalFault puts every kind of fault into every key, as
// the structure has them: each is refused with its file, its line and a
// sentence that says what is wrong, in words for people.
func TestEveryKeyEveryMechanicalFault(t *testing.T) {
	for _, k := range values(t) {
		for _, m := range mechanical {
			if m.fits != nil && !m.fits(k) {
				continue
			}
			t.Run(k.path+"/"+m.name, func(t *testing.T) {
				_, err := load(t, onLine(k.line, func(line string) string { return m.edit(k, line) }))
				if bot.KindOf(err) != bot.Invalid {
					t.Fatalf("error is %v, want kind invalid", err)
				}
				begin := fmt.Sprintf("config.toml:%d: ", k.line+m.below)
				for line := range strings.SplitSeq(err.Error(), "\n") {
					if strings.HasPrefix(line, begin) && strings.Contains(line, m.wants(k)) {
						checkWords(t, err.Error())
						return
					}
				}
				t.Errorf("says %q, want a line that begins with %q and has %q", err, begin, m.wants(k))
			})
		}
	}
}

// checkWords refuses words of Go or of the library in what people read.
func checkWords(t *testing.T, say string) {
	t.Helper()
	for _, word := range []string{"struct", "[]string", "map[", "interface", "toml.", "go-toml", "int64", "bool", "nil", "unmarshal", "%!"} {
		if strings.Contains(strings.ReplaceAll(say, "config.toml", ""), word) {
			t.Errorf("%q shows %q, which is no word for people", say, word)
		}
	}
}
