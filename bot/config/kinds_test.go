package config_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"quarterdeck/bot"
	"quarterdeck/bot/config"
)

// place finds the line of good on which a key stands, and the type it takes.
type place struct {
	key  string
	line int // from 1
	kind reflect.Kind
}

// places walks good with the file's structure and gives every key's place.
func places(t *testing.T) []place {
	t.Helper()
	kinds := map[string]reflect.Kind{}
	var walk func(reflect.Type, string)
	walk = func(ty reflect.Type, prefix string) {
		for i := range ty.NumField() {
			f := ty.Field(i)
			name := strings.Trim(prefix+"."+f.Tag.Get("toml"), ".")
			inner := f.Type
			for inner.Kind() == reflect.Pointer || inner.Kind() == reflect.Slice && inner.Elem().Kind() == reflect.Struct {
				inner = inner.Elem()
			}
			kinds[name] = inner.Kind()
			if inner.Kind() == reflect.Struct && prefix == "" {
				walk(inner, name)
			}
		}
	}
	walk(config.FileType, "")
	var found []place
	table := ""
	for i, line := range strings.Split(good, "\n") {
		if strings.HasPrefix(line, "[") {
			table = strings.Trim(line, "[]")
			continue
		}
		name, _, isKey := strings.Cut(line, " = ")
		if kind, known := kinds[table+"."+name]; isKey && known {
			found = append(found, place{table + "." + name, i + 1, kind})
			delete(kinds, table+"."+name)
		}
	}
	for name, kind := range kinds {
		if strings.Contains(name, ".") {
			t.Errorf("%s (%s) does not stand in the good configuration", name, kind)
		}
	}
	return found
}

// replaced gives good with one line replaced.
func replaced(line int, f func(string) string) string {
	lines := strings.Split(good, "\n")
	lines[line-1] = f(lines[line-1])
	return strings.Join(lines, "\n")
}

// kindsOfFault is every fault that any key can have, whatever it means.
var kindsOfFault = []struct {
	name string
	make func(p place, line string) string
	want func(p place, name string) string
}{
	{"wrong type", func(p place, line string) string {
		name, _, _ := strings.Cut(line, " = ")
		if p.kind == reflect.Int {
			return name + " = [1.5]"
		}
		return name + " = 12:30:00" // a time of day, which no key takes
	}, func(p place, _ string) string { return p.key + " takes " }},
	{"misspelt", func(_ place, line string) string { return "x" + line },
		func(_ place, name string) string {
			return fmt.Sprintf("unknown key %q in", "x"+name)
		}},
	{"twice", func(_ place, line string) string { return line + "\n" + line },
		func(_ place, name string) string { return name + " stands here a second time; leave one" }},
	{"no value", func(_ place, line string) string {
		name, _, _ := strings.Cut(line, " = ")
		return name + " ="
	}, func(place, string) string { return "this is not TOML" }},
	{"a control character", func(_ place, line string) string { return line + "\x00" },
		func(place, string) string { return "this is not TOML" }},
}

// TestEveryKeyEveryKindOfFault puts every kind of fault into every key: each is
// refused with the file, the line and a sentence that names what is wrong.
func TestEveryKeyEveryKindOfFault(t *testing.T) {
	all := places(t)
	if len(all) < 35 {
		t.Fatalf("only %d keys", len(all))
	}
	for _, p := range all {
		name := p.key[strings.LastIndexByte(p.key, '.')+1:]
		for _, k := range kindsOfFault {
			t.Run(p.key+"/"+k.name, func(t *testing.T) {
				_, err := load(t, replaced(p.line, func(l string) string { return k.make(p, l) }))
				if bot.KindOf(err) != bot.Invalid {
					t.Fatalf("error is %v, want kind invalid", err)
				}
				say := err.Error()
				if !strings.Contains(say, k.want(p, name)) {
					t.Errorf("says %q, want %q in it", say, k.want(p, name))
				}
				at := p.line
				if k.name == "twice" {
					at++
				}
				if !strings.HasPrefix(say, fmt.Sprintf("config.toml:%d: ", at)) {
					t.Errorf("says %q, want it to begin with line %d", say, at)
				}
			})
		}
	}
}
