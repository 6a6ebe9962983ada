package flagsprovider

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"

	"quarterdeck/bot"
	"quarterdeck/bot/provider"
)

// Bounds of one flag.
const (
	maxKey      = 64
	maxVariants = 20
	maxRules    = 50
	maxValue    = 16 << 10
	maxBody     = 64 << 10
)

// Key reports whether s can be the key of a flag: what can be typed as one word,
// stands in an address as it is, and is one segment of a rule's pattern.
func Key(s string) bool {
	if s == "" || len(s) > maxKey {
		return false
	}
	for i, r := range s {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
		if !letter && (i == 0 || r != '-' && r != '_' && r != '.') {
			return false
		}
	}
	return true
}

// Sound gives an Error of kind Invalid for a flag that could not be kept or
// served.
func Sound(f provider.Flag) error {
	bad := func(format string, args ...any) error { return bot.Errorf(bot.Invalid, format, args...) }
	switch {
	case !Key(f.Key):
		return bad("%q is no name of a flag; write letters, digits, dots, dashes and underscores, a letter or digit first, at most %d", f.Key, maxKey)
	case !slices.Contains(provider.FlagTypes(), f.Type):
		return bad("%s has the type %q; a flag is boolean, string, number or object", f.Key, f.Type)
	case len(f.Variants) == 0 || len(f.Variants) > maxVariants:
		return bad("%s has %d variants; it takes 1 to %d", f.Key, len(f.Variants), maxVariants)
	case f.Percent < 0 || f.Percent > 100:
		return bad("%s is to reach %d%%; a percentage is a whole number from 0%% to 100%%", f.Key, f.Percent)
	case len(f.Rules) > maxRules || len(f.Rings) > maxRings:
		return bad("%s has %d rules; the most is %d", f.Key, len(f.Rules), maxRules)
	}
	for i, v := range f.Variants {
		if !Named(v.Name) {
			return bad("%q is no name of a variant; write lower-case letters, digits and dashes, a letter first", v.Name)
		}
		if slices.ContainsFunc(f.Variants[:i], func(other provider.FlagVariant) bool { return other.Name == v.Name }) {
			return bad("%s has two variants named %q", f.Key, v.Name)
		}
		if len(v.Value) > maxValue {
			return bad("the value of %s is %d bytes long; the most is %d", v.Name, len(v.Value), maxValue)
		}
		if !of(f.Type, v.Value) {
			return bad("%s is no %s, which the flag %s is", short(v.Value), f.Type, f.Key)
		}
	}
	named := append([]string{f.Off, f.Variant}, variants(f.Rules)...)
	for _, name := range named {
		if _, found := f.Value(name); !found {
			return bad("%s has no variant %q; it has: %s", f.Key, name, strings.Join(f.VariantNames(), ", "))
		}
	}
	if body, err := json.Marshal(f); err != nil || len(body) > maxBody {
		return bad("%s is %d bytes long; the most is %d", f.Key, len(body), maxBody)
	}
	return nil
}

func variants(rules []provider.FlagRule) (names []string) {
	for _, r := range rules {
		names = append(names, r.Variant)
	}
	return names
}

func short(v json.RawMessage) string {
	if len(v) > 40 {
		return string(v[:40]) + "..."
	}
	return string(v)
}

// of reports whether a JSON value is of the type.
func of(t provider.FlagType, raw json.RawMessage) bool {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var v any
	if d.Decode(&v) != nil || d.More() {
		return false
	}
	switch v.(type) {
	case bool:
		return t == provider.BooleanFlag
	case string:
		return t == provider.StringFlag
	case json.Number:
		return t == provider.NumberFlag
	case map[string]any:
		return t == provider.ObjectFlag
	}
	return false
}
