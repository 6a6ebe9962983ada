package flag_test

import (
	"encoding/json"
	"testing"

	"quarterdeck/bot/flag"
	"quarterdeck/bot/provider"
)

// TestFlagd holds the export against flags as flagd's own documentation writes
// them.
func TestFlagd(t *testing.T) {
	everybody, nobody, off, some, targeted := boolean("everybody"), boolean("nobody"), boolean("off"), boolean("some"), boolean("targeted")
	nobody.Percent, off.On, some.Percent, targeted.Percent = 0, false, 25, 25
	targeted.Rules = []provider.FlagRule{{If: provider.Condition{Attribute: "country", In: []string{"DE", "AT"}}, Variant: "off"}}
	targeted.Rings = []provider.Ring{{Name: "internal", If: provider.Condition{Attribute: "email", EndsWith: []string{"@a.com"}, StartsWith: []string{"x"}}}}
	raw, err := flag.Flagd([]*provider.Flag{&everybody, &nobody, &off, &some, &targeted})
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Flags map[string]struct {
			State, DefaultVariant string
			Variants              map[string]bool
			Targeting             json.RawMessage
		}
	}
	if err := json.Unmarshal(raw, &got); err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string][2]string{
		"everybody": {"on", ""}, "nobody": {"off", ""}, "off": {"off", ""},
		"some":     {"off", `{"fractional":[["on",25],["off",75]]}`},
		"targeted": {"off", `{"if":[{"in":[{"var":"country"},["DE","AT"]]},"off",{"or":[{"starts_with":[{"var":"email"},"x"]},{"ends_with":[{"var":"email"},"@a.com"]}]},"on",{"fractional":[["on",25],["off",75]]}]}`},
	} {
		f := got.Flags[key]
		var compact any
		if len(f.Targeting) > 0 {
			if err := json.Unmarshal(f.Targeting, &compact); err != nil {
				t.Fatal(err)
			}
		}
		targeting := ""
		if compact != nil {
			b, err := json.Marshal(compact)
			if err != nil {
				t.Fatal(err)
			}
			targeting = string(b)
		}
		if f.State != "ENABLED" || f.DefaultVariant != want[0] || targeting != want[1] || !f.Variants["on"] {
			t.Errorf("%s: %s %s %s, want %s", key, f.State, f.DefaultVariant, targeting, want)
		}
	}
}
