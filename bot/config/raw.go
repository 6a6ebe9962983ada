package config

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"quarterdeck/bot"
	"quarterdeck/bot/nearest"
)

// table is one table that its adapter decodes. It implements bot.Raw.
type table struct {
	file  string
	dir   string
	path  string // "provider.platform"
	at    *positions
	value map[string]any
}

// Dir implements bot.Raw.
func (t *table) Dir() string { return t.dir }

// Where implements bot.Raw.
func (t *table) Where() string { return fmt.Sprintf("%s:%d", t.file, t.at.line(t.path)) }

// Decode implements bot.Raw.
func (t *table) Decode(dst any) error {
	raw, err := toml.Marshal(t.value)
	if err != nil {
		return bot.Errorf(bot.Invalid, "%s: [%s] cannot be read", t.Where(), t.path)
	}
	problems := decode(raw, dst, func(key []string, _ int) string {
		return fmt.Sprintf("%s:%d", t.file, t.at.line(strings.Join(append([]string{t.path}, key...), ".")))
	}, t.path)
	return join(problems)
}

// decode decodes strictly and gives one sentence for each fault.
func decode(raw []byte, dst any, where func(key []string, line int) string, table string) []string {
	err := toml.NewDecoder(bytes.NewReader(raw)).DisallowUnknownFields().Decode(dst)
	var strict *toml.StrictMissingError
	var wrong *toml.DecodeError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &strict):
		var problems []string
		for _, e := range strict.Errors {
			line, _ := e.Position()
			problems = append(problems, where(e.Key(), line)+": "+unknownKey(e.Key(), dst, table))
		}
		return problems
	case errors.As(err, &wrong):
		line, _ := wrong.Position()
		if strings.Contains(wrong.Error(), "already") {
			return []string{fmt.Sprintf("%s: %s stands here a second time; leave one", where(wrong.Key(), line), strings.Join(wrong.Key(), "."))}
		}
		if key := wrong.Key(); len(key) > 0 {
			return []string{fmt.Sprintf("%s: %s %s", where(key, line), strings.Join(key, "."), expected(dst, key))}
		}
		return []string{fmt.Sprintf("%s: this is not TOML: %s", where(nil, line), plain(wrong.Error()))}
	}
	return []string{fmt.Sprintf("%s: %s", where(nil, 1), plain(err.Error()))}
}

// plain gives the library's words without its name.
func plain(s string) string { return strings.TrimPrefix(s, "toml: ") }

func unknownKey(key []string, dst any, table string) string {
	name := key[len(key)-1]
	parent := strings.Join(key[:len(key)-1], ".")
	if table != "" {
		parent = strings.Trim(table+"."+parent, ".")
	}
	say := fmt.Sprintf("unknown key %q", name)
	if parent != "" {
		say += " in " + parent
	}
	names := keysAt(reflect.TypeOf(dst), key[:len(key)-1])
	near := nearest.Of(name, names)
	if near == "" {
		near = nearest.Of(name, inlineKeys(typeAt(reflect.TypeOf(dst), key[:len(key)-1])))
	}
	if near != "" {
		return say + fmt.Sprintf("; did you mean %q?", near)
	}
	if len(names) > 0 {
		return say + "; it knows " + strings.Join(names, ", ")
	}
	return say
}

// typeAt follows key into a struct type by its toml tags.
func typeAt(t reflect.Type, key []string) reflect.Type {
	for {
		for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Struct {
			t = t.Elem()
		}
		if len(key) == 0 {
			return t
		}
		switch t.Kind() {
		case reflect.Map:
			t = t.Elem()
		case reflect.Struct:
			found := false
			for i := range t.NumField() {
				if t.Field(i).Tag.Get("toml") == key[0] {
					t, found = t.Field(i).Type, true
					break
				}
			}
			if !found {
				return nil
			}
		default:
			return nil
		}
		key = key[1:]
	}
}

func keysAt(t reflect.Type, key []string) []string {
	at := typeAt(t, key)
	if at == nil || at.Kind() != reflect.Struct {
		return nil
	}
	var names []string
	for i := range at.NumField() {
		if tag := at.Field(i).Tag.Get("toml"); tag != "" {
			names = append(names, tag)
		}
	}
	slices.Sort(names)
	return names
}

// inlineKeys gives the keys of the tables directly inside t: for an unknown key
// of an inline table the library names the table around that one.
func inlineKeys(t reflect.Type) []string {
	if t == nil || t.Kind() != reflect.Struct {
		return nil
	}
	var names []string
	for i := range t.NumField() {
		names = append(names, keysAt(t.Field(i).Type, nil)...)
	}
	return names
}

// expected says what a key takes, in words.
func expected(dst any, key []string) string {
	t := typeAt(reflect.TypeOf(dst), key)
	if t == nil {
		return "has a value of the wrong type"
	}
	switch t.Kind() {
	case reflect.String:
		return `takes a text in quotes`
	case reflect.Bool:
		return "takes true or false"
	case reflect.Int, reflect.Int64:
		return "takes a whole number"
	case reflect.Slice:
		return `takes a list, such as ["one", "two"]`
	case reflect.Struct:
		// Inside an inline table the library names the table, not the key.
		return fmt.Sprintf("takes a table of %s, each of its own kind", strings.Join(keysAt(t, nil), ", "))
	case reflect.Map:
		return "takes a table"
	}
	return "has a value of the wrong type"
}

// Errors is everything that is wrong with a configuration, each as
// "config.toml:12: sentence".
type Errors []string

// Error gives one fault a line.
func (e Errors) Error() string { return strings.Join(e, "\n") }

func join(problems []string) error {
	if len(problems) == 0 {
		return nil
	}
	return &bot.Error{Kind: bot.Invalid, Say: Errors(problems).Error()}
}
