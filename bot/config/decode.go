package config

import (
	"encoding"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"

	"quarterdeck/bot"
	"quarterdeck/bot/nearest"
)

// decoder fills structs from decoded values and gathers every fault, where the
// library would stop at the first wrong type, and would speak of Go types.
type decoder struct {
	file   string
	faults Errors
	// refuseEmpty refuses "" and []. In a rule an empty list reads as "nobody"
	// or "nowhere" and would mean everybody or everywhere.
	refuseEmpty bool
}

func (d *decoder) fail(at *node, what, remedy string) {
	f := Fault{File: d.file, What: what, Remedy: remedy}
	for n := at; n != nil && n.parent != nil; n = n.parent {
		if n.header != "" {
			f.header = n.line
		}
		if n.key != "" {
			f.top = n.key
		}
		if n.via != "" {
			f.What = FromTemplate(what, n.via)
		}
	}
	for at != nil && at.line == 0 {
		at = at.parent
	}
	if at != nil {
		f.Line, f.Column = at.line, at.column
		if at.src != nil {
			f.File, f.order = at.src.name, at.src.index
		}
	}
	d.faults = append(d.faults, f)
}

var textUnmarshaler = reflect.TypeFor[encoding.TextUnmarshaler]()

// decode puts v, which stands at n, into dst, which can be set. A pointer stays
// nil when there is a fault in what it would point to.
func (d *decoder) decode(v any, n *node, dst reflect.Value) {
	if dst.Kind() == reflect.Pointer {
		made, before := reflect.New(dst.Type().Elem()), len(d.faults)
		if d.decode(v, n, made.Elem()); len(d.faults) == before {
			dst.Set(made)
		}
		return
	}
	if reflect.PointerTo(dst.Type()).Implements(textUnmarshaler) {
		d.text(v, n, dst)
		return
	}
	switch value := v.(type) {
	case map[string]any:
		switch dst.Kind() {
		case reflect.Struct:
			d.table(value, n, dst)
			return
		case reflect.Map:
			d.names(value, n, dst)
			return
		}
	case []any:
		if dst.Kind() == reflect.Slice {
			d.list(value, n, dst)
			return
		}
	}
	d.scalar(v, n, dst)
}

// scalar puts a value that holds no others; it refuses all that does not fit.
func (d *decoder) scalar(v any, n *node, dst reflect.Value) {
	fits := true
	switch value := v.(type) {
	case string:
		if fits = dst.Kind() == reflect.String; fits {
			if value == "" && d.refuseEmpty {
				what := " is empty"
				if n.key == "" {
					what = " holds an empty text"
				}
				d.fail(n, n.path()+what, "give it a value or take it away")
			}
			dst.SetString(value)
		}
	case bool:
		if fits = dst.Kind() == reflect.Bool; fits {
			dst.SetBool(value)
		}
	case int64:
		switch {
		case dst.CanInt() && !dst.OverflowInt(value):
			dst.SetInt(value)
		case dst.CanUint() && value >= 0 && !dst.OverflowUint(uint64(value)):
			dst.SetUint(uint64(value))
		case dst.CanFloat():
			dst.SetFloat(float64(value))
		case dst.CanUint() && value < 0:
			d.fail(n, n.path()+" takes a whole number from 0 up", "it is negative")
			return
		case dst.CanInt() || dst.CanUint():
			d.fail(n, n.path()+" takes a smaller number", "")
			return
		default:
			fits = false
		}
	case float64:
		if fits = dst.CanFloat() && !math.IsNaN(value) && !math.IsInf(value, 0); fits {
			dst.SetFloat(value)
		}
	default:
		fits = false
	}
	switch {
	case fits:
	case dst.Kind() == reflect.Interface && dst.NumMethod() == 0:
		dst.Set(reflect.ValueOf(v))
	default:
		d.fail(n, n.path()+" takes "+expected(dst.Type(), n), "it is "+described(v))
	}
}

// text puts a text that a type reads by itself. What that type says is shown
// only when it is a sentence for people.
func (d *decoder) text(v any, n *node, dst reflect.Value) {
	s, ok := v.(string)
	if !ok {
		d.fail(n, n.path()+" takes a text in quotes", "it is "+described(v))
		return
	}
	err := dst.Addr().Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(s))
	var said *bot.Error
	switch {
	case err == nil:
	case errors.As(err, &said) && said.Say != "":
		d.fail(n, n.path()+": "+said.Say, "")
	default:
		d.fail(n, n.path()+" holds a text that it cannot take", "")
	}
}

func (d *decoder) list(values []any, n *node, dst reflect.Value) {
	if len(values) == 0 && d.refuseEmpty {
		d.fail(n, n.path()+" is an empty list", "name something or take the key away")
	}
	made := reflect.MakeSlice(dst.Type(), len(values), len(values))
	for i, v := range values {
		d.decode(v, n.elem(i), made.Index(i))
	}
	dst.Set(made)
}

func (d *decoder) names(values map[string]any, n *node, dst reflect.Value) {
	made := reflect.MakeMapWithSize(dst.Type(), len(values))
	for _, name := range inOrder(values, n) {
		v := reflect.New(dst.Type().Elem()).Elem()
		d.decode(values[name], n.at(name), v)
		made.SetMapIndex(reflect.ValueOf(name).Convert(dst.Type().Key()), v)
	}
	dst.Set(made)
}

func (d *decoder) table(values map[string]any, n *node, dst reflect.Value) {
	fields := fieldsOf(dst.Type())
	for _, name := range inOrder(values, n) {
		i := slices.IndexFunc(fields, func(f field) bool { return f.name == name })
		if i < 0 {
			d.unknown(name, n, names(fields))
			continue
		}
		d.decode(values[name], n.at(name), dst.Field(fields[i].index))
	}
}

// unknown refuses a key that the table n does not have.
func (d *decoder) unknown(name string, n *node, known []string) {
	what := fmt.Sprintf("unknown key %q", name)
	if table := n.table(); table != "" {
		what += " in " + table
	}
	remedy := "it takes no keys"
	if len(known) > 0 {
		remedy = meant(name, known, "it knows ")
	}
	d.fail(n.at(name), what, remedy)
}

// inOrder gives the names in the order of the file.
func inOrder[V any](values map[string]V, n *node) []string {
	var order []string
	for name := range values {
		order = append(order, name)
	}
	slices.SortFunc(order, func(a, b string) int {
		x, y := n.at(a), n.at(b)
		if x.src != nil && y.src != nil && x.src != y.src {
			return x.src.index - y.src.index
		}
		if x.line != y.line {
			return x.line - y.line
		}
		if x.column != y.column {
			return x.column - y.column
		}
		return strings.Compare(a, b)
	})
	return order
}

// field is one key of a struct.
type field struct {
	name  string
	index int
}

// fieldsOf gives the keys of a struct by its toml tags.
func fieldsOf(t reflect.Type) []field {
	var fields []field
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("toml"), ",")
		if f.IsExported() && name != "" && name != "-" {
			fields = append(fields, field{name, i})
		}
	}
	return fields
}

func names(fields []field) []string {
	var all []string
	for _, f := range fields {
		all = append(all, f.name)
	}
	return all
}

// thereAre introduces the names that are declared.
const thereAre = "there are "

// meant gives the name that was probably meant, or those there are.
func meant(word string, known []string, intro string) string {
	if near := nearest.Of(word, known); near != "" {
		return fmt.Sprintf("did you mean %q?", near)
	}
	switch {
	case len(known) == 0:
		return ""
	case len(known) == 1 && intro == thereAre:
		return "there is " + known[0] + " alone"
	}
	return intro + strings.Join(slices.Compact(slices.Sorted(slices.Values(known))), ", ")
}

// expected says in words what a type takes.
func expected(t reflect.Type, n *node) string {
	switch t.Kind() {
	case reflect.String:
		return "a text in quotes"
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return "a whole number"
	case reflect.Float32, reflect.Float64:
		return "a number"
	case reflect.Slice:
		switch t.Elem().Kind() {
		case reflect.String:
			return `a list, such as ["one", "two"]`
		case reflect.Struct:
			return fmt.Sprintf("tables, each under its own [[%s]]", n.path())
		}
		return "a list"
	case reflect.Struct:
		if known := names(fieldsOf(t)); len(known) > 0 {
			return "a table of " + strings.Join(known, ", ")
		}
	}
	return "a table"
}

// described says what is there by its kind alone: the value may be a secret
// that was put in the wrong place.
func described(v any) string {
	switch value := v.(type) {
	case string:
		return "a text"
	case bool:
		return fmt.Sprint(value)
	case int64:
		return "a whole number"
	case float64:
		if math.IsNaN(value) || math.IsInf(value, 0) {
			return "no number"
		}
		return "a number with a fraction"
	case []any:
		return "a list"
	case map[string]any:
		return "a table"
	}
	return "a date or a time"
}
