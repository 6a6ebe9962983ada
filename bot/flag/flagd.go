package flag

import (
	"encoding/json"

	"quarterdeck/bot/provider"
)

// flagdFlag is one flag of flagd's own format.
type flagdFlag struct {
	State          string                     `json:"state"`
	Variants       map[string]json.RawMessage `json:"variants"`
	DefaultVariant string                     `json:"defaultVariant"`
	Targeting      any                        `json:"targeting,omitempty"`
}

type list = []any
type object = map[string]any

// Flagd gives flags as a file that flagd reads
// (https://flagd.dev/schema/v0/flags.json), with which it gives everybody what the
// bot gives them. A flag that is off is one that gives everybody its value for off:
// flagd's own state DISABLED would give the default of the code.
func Flagd(flags []*provider.Flag) ([]byte, error) {
	all := map[string]flagdFlag{}
	for _, f := range flags {
		out := flagdFlag{State: "ENABLED", Variants: map[string]json.RawMessage{}, DefaultVariant: f.Off}
		for _, v := range f.Variants {
			out.Variants[v.Name] = v.Value
		}
		if f.On {
			out.target(f)
		}
		all[f.Key] = out
	}
	return json.MarshalIndent(object{"$schema": "https://flagd.dev/schema/v0/flags.json", "flags": all}, "", "  ")
}

// target writes down whom the flag reaches.
func (out *flagdFlag) target(f *provider.Flag) {
	var branches list
	for _, r := range f.Rules {
		branches = append(branches, condition(r.If), r.Variant)
	}
	var rest any
	switch {
	case f.Percent >= 100:
		rest = f.Variant
	case f.Percent <= 0:
		rest = f.Off
	default:
		rest = object{"fractional": list{list{f.Variant, f.Percent}, list{f.Off, 100 - f.Percent}}}
	}
	if f.Percent < 100 {
		for _, r := range f.Rings {
			branches = append(branches, condition(r.If), f.Variant)
		}
	}
	name, everybody := rest.(string)
	switch {
	case len(branches) == 0 && everybody:
		out.DefaultVariant = name
	case len(branches) == 0:
		out.Targeting = rest
	default:
		out.Targeting = object{"if": append(branches, rest)}
	}
}

func condition(c provider.Condition) any {
	attribute := object{"var": c.Attribute}
	var any list
	if len(c.In) > 0 {
		any = append(any, object{"in": list{attribute, c.In}})
	}
	for _, s := range c.StartsWith {
		any = append(any, object{"starts_with": list{attribute, s}})
	}
	for _, s := range c.EndsWith {
		any = append(any, object{"ends_with": list{attribute, s}})
	}
	if len(any) == 1 {
		return any[0]
	}
	return object{"or": any}
}
