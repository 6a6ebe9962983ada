package config_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/config"
)

// pause is a type that reads itself, as adapters have.
type pause time.Duration

func (p *pause) UnmarshalText(text []byte) error {
	d, err := time.ParseDuration(string(text))
	switch {
	case err != nil:
		return err
	case d <= 0:
		return bot.Errorf(bot.Invalid, "%q is not a positive duration", text)
	}
	*p = pause(d)
	return nil
}

// settings has every type that an adapter may use.
type settings struct {
	Text   string            `toml:"text"`
	On     bool              `toml:"on"`
	Count  int               `toml:"count"`
	Small  uint8             `toml:"small"`
	Share  float64           `toml:"share"`
	Names  []string          `toml:"names"`
	Counts []int             `toml:"counts"`
	Env    map[string]string `toml:"env"`
	Nested struct {
		Deep string `toml:"deep"`
	} `toml:"nested"`
	Rules []struct {
		Name string `toml:"name,omitempty"`
	} `toml:"rules"`
	Wait   pause `toml:"wait"`
	Maybe  *int  `toml:"maybe"`
	Other  any   `toml:"other"`
	hidden string
	Untied string
}

// raw loads a configuration with these lines in [provider.scripts], whose
// first one is on line 11.
func raw(t *testing.T, lines string) bot.Raw {
	t.Helper()
	c, err := load(t, small+"[provider.scripts]\n"+lines+"\ntype = \"exec\"\n")
	if err != nil {
		t.Fatal(err)
	}
	return c.Providers[0].Raw
}

func TestDecode(t *testing.T) {
	r := raw(t, `text = ""
on = true
count = -7
small = 255
share = 2
names = []
counts = [1, 2]
env = { A = "1", "B.C" = "" }
nested.deep = "down"
rules = [{ name = "one" }, { }]
wait = "90s"
maybe = 0
other = { a = [1, "b"] }`)
	zero := 0
	want := settings{Text: "", On: true, Count: -7, Small: 255, Share: 2, Names: []string{}, Counts: []int{1, 2}, Env: map[string]string{"A": "1", "B.C": ""},
		Wait: pause(90 * time.Second), Maybe: &zero, Other: map[string]any{"a": []any{int64(1), "b"}}, Untied: "kept"}
	want.Nested.Deep = "down"
	want.Rules = append(want.Rules, struct {
		Name string `toml:"name,omitempty"`
	}{"one"}, struct {
		Name string `toml:"name,omitempty"`
	}{})
	for range 2 { // it may be decoded again
		got := settings{Text: "a default", Untied: "kept"}
		if err := r.Decode(&got); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("decoded\n%+v, want\n%+v", got, want)
		}
	}
	if r.Where() != "config.toml:10" {
		t.Errorf("it is at %s", r.Where())
	}
}

func TestDecodeFaults(t *testing.T) {
	for _, r := range []struct{ line, want string }{
		{`text = 1`, `text takes a text in quotes; it is a whole number`},
		{`on = "yes"`, `on takes true or false; it is a text`},
		{`count = 1.0`, `count takes a whole number; it is a number with a fraction`},
		{`small = 256`, `small takes a smaller number`},
		{`small = -1`, `small takes a whole number from 0 up; it is negative`},
		{`share = "half"`, `share takes a number; it is a text`},
		{`share = nan`, `share takes a number; it is no number`},
		{`names = "one"`, `names takes a list, such as ["one", "two"]; it is a text`},
		{`names = ["one", 2]`, `names takes a text in quotes; it is a whole number`},
		{`counts = ["one"]`, `counts takes a whole number; it is a text`},
		{`counts = 3`, `counts takes a list; it is a whole number`},
		{`env = { A = 1 }`, `env.A takes a text in quotes; it is a whole number`},
		{`env = { "A b" = 1 }`, `env."A b" takes a text in quotes; it is a whole number`},
		{`env = ["A"]`, `env takes a table; it is a list`},
		{`nested = "x"`, `nested takes a table of deep; it is a text`},
		{`nested = { deep = false }`, `nested.deep takes a text in quotes; it is false`},
		{`rules = 1`, `rules takes tables, each under its own [[provider.scripts.rules]]; it is a whole number`},
		{`rules = [{ name = 2000-01-01 }]`, `rules.name takes a text in quotes; it is a date or a time`},
		{`maybe = []`, `maybe takes a whole number; it is a list`},
		{`Untied = "x"`, `unknown key "Untied" in [provider.scripts]; it knows count, counts, env, maybe, names, nested, on, other, rules, share, small, text, wait`},
		{`hidden = "x"`, `unknown key "hidden" in [provider.scripts]; it knows count, counts, env, maybe, names, nested, on, other, rules, share, small, text, wait`},
		{`wait = 90`, `wait takes a text in quotes; it is a whole number`},
		{`wait = "-1s"`, `wait: "-1s" is not a positive duration`},
		{`wait = "soon"`, `wait holds a text that it cannot take`},
		{`nested = { dep = "x" }`, `unknown key "dep" in provider.scripts.nested; did you mean "deep"?`},
		{"[[provider.scripts.rules]]\nnmae = 1", `unknown key "nmae" in [[provider.scripts.rules]]; did you mean "name"?`},
	} {
		t.Run(r.line, func(t *testing.T) {
			text := r.line
			if strings.HasPrefix(text, "[[") {
				text = "type = \"exec\"\n" + text
			} else {
				text += "\ntype = \"exec\""
			}
			c, err := load(t, small+"[provider.scripts]\n"+text)
			if err != nil {
				t.Fatal(err)
			}
			want := "config.toml:11: provider.scripts." + r.want
			if strings.HasPrefix(r.want, "unknown") {
				want = "config.toml:11: " + r.want
			}
			if strings.HasPrefix(r.line, "[[") {
				want = "config.toml:13: " + r.want
			}
			err = c.Providers[0].Raw.Decode(&settings{hidden: "x"})
			if bot.KindOf(err) != bot.Invalid || err.Error() != want {
				t.Errorf("says\n%v, want\n%s", err, want)
			}
			if strings.Contains(fmt.Sprint(err), "hunter2") {
				t.Error("what may be a secret is repeated")
			}
		})
	}
}

// TestDecodeAllAtOnce: several faults, among them in what the adapter alone
// knows, are reported together.
func TestDecodeAllAtOnce(t *testing.T) {
	err := raw(t, "text = 1\nonn = true\ncount = \"x\"").Decode(&settings{})
	var all config.Errors
	if !errors.As(err, &all) || len(all) != 3 || all[0].Line != 11 || all[1].Line != 12 || all[2].Line != 13 {
		t.Errorf("says %v, want three faults", err)
	}
}

func TestDecodeIntoNothing(t *testing.T) {
	var none *settings
	for _, dst := range []any{nil, settings{}, none, new(int)} {
		if err := raw(t, "").Decode(dst); bot.KindOf(err) != bot.Internal {
			t.Errorf("%T: error is %v, want kind internal", dst, err)
		}
	}
}

// TestTablesAreNotPrinted: what an adapter's table holds is in no log, however
// the configuration gets there.
func TestTablesAreNotPrinted(t *testing.T) {
	c, err := load(t, strings.Replace(good, "argv = [", `password = "hunter2", argv = [`, 1))
	if err != nil {
		t.Fatal(err)
	}
	table := c.Services[0].Deploy.Raw
	const place = "service.shop.prod.deploy (config.toml:60)"
	if s := fmt.Sprint(table); s != place {
		t.Errorf("prints as %q, want %q", s, place)
	}
	for how, s := range printed(t, table) {
		if !strings.Contains(s, place) {
			t.Errorf("%s gives %q, want the place", how, s)
		}
	}
	for _, v := range []any{table, c, *c, c.Services, c.Services[0].Deploy} {
		for how, s := range printed(t, v) {
			if strings.Contains(s, "hunter2") {
				t.Errorf("%s of %T gives %q", how, v, s)
			}
		}
	}
}

// printed gives v in every way in which values get into logs.
func printed(t *testing.T, v any) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		all[verb] = fmt.Sprintf(verb, v)
	}
	j, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	all["json"] = string(j)
	var out bytes.Buffer
	slog.New(slog.NewTextHandler(&out, nil)).Info("x", "v", v)
	all["slog text"] = out.String()
	out.Reset()
	slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "v", v)
	all["slog json"] = out.String()
	return all
}
