package config

import (
	"fmt"
	"io"
	"log/slog"
	"reflect"

	"quarterdeck/bot"
)

// table is one table that its adapter decodes. It implements bot.Raw. However
// it is printed it shows its place alone, for what is in it may be secret.
type table struct {
	file   string
	dir    string
	at     *node
	values map[string]any
}

// Dir implements bot.Raw.
func (t *table) Dir() string { return t.dir }

// Where implements bot.Raw.
func (t *table) Where() string { return t.at.where(t.file) }

// Decode implements bot.Raw. Its error is of type Errors and has every fault.
// It may be called again, also with another dst.
func (t *table) Decode(dst any) error {
	v := reflect.ValueOf(dst)
	if v.Kind() != reflect.Pointer || v.IsNil() || v.Elem().Kind() != reflect.Struct {
		return bot.Errorf(bot.Internal, "%s is decoded into something that is no struct", t)
	}
	d := decoder{file: t.file}
	d.table(t.values, t.at, v.Elem())
	return d.faults.err()
}

// String gives the place: "provider.scripts (config.toml:51)".
func (t *table) String() string { return t.at.path() + " (" + t.Where() + ")" }

// Format writes String for every verb.
func (t *table) Format(f fmt.State, _ rune) { io.WriteString(f, t.String()) }

// MarshalText gives String, for JSON.
func (t *table) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// LogValue gives String.
func (t *table) LogValue() slog.Value { return slog.StringValue(t.String()) }
