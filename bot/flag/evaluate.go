// Package flag is feature flags as the bot itself keeps and serves them: what a
// flag gives to whom, the set of all flags in memory, and the workflows that
// change a flag at once or ring by ring.
package flag

import (
	"encoding/json"
	"strconv"

	"quarterdeck/bot/provider"
)

// Reason says how a value came about, in the words of the OpenFeature Remote
// Evaluation Protocol.
type Reason string

// The closed set of reasons.
const (
	Static         Reason = "STATIC" // the same for everybody
	TargetingMatch Reason = "TARGETING_MATCH"
	Split          Reason = "SPLIT" // by percentage
	Disabled       Reason = "DISABLED"
)

// TargetingKey is the attribute of a context that percentages go by.
const TargetingKey = "targetingKey"

// Context is what a service says of whom it evaluates a flag for: attributes by
// name, as JSON values.
type Context map[string]any

// text gives an attribute as conditions compare it; found is false for one that is
// not there, and for objects, lists and null.
func (c Context) text(attribute string) (s string, found bool) {
	switch v := c[attribute].(type) {
	case string:
		return v, true
	case bool:
		return strconv.FormatBool(v), true
	case json.Number:
		return v.String(), true
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64), true
	}
	return "", false
}

// Evaluation is what a flag gives.
type Evaluation struct {
	Variant string
	Reason  Reason
	// Keyless says that it goes by percentage and the context has no targeting
	// key, so that there is no answer.
	Keyless bool
}

// Evaluate gives what f gives in a context. It is pure, and allocates nothing.
func Evaluate(f *provider.Flag, c Context) Evaluation {
	if !f.On {
		return Evaluation{Variant: f.Off, Reason: Disabled}
	}
	for i := range f.Rules {
		if holds(&f.Rules[i].If, c) {
			return Evaluation{Variant: f.Rules[i].Variant, Reason: TargetingMatch}
		}
	}
	if f.Percent < 100 {
		for i := range f.Rings {
			if holds(&f.Rings[i].If, c) {
				return Evaluation{Variant: f.Variant, Reason: TargetingMatch}
			}
		}
	}
	switch {
	case f.Percent <= 0 || f.Percent >= 100:
		e := Evaluation{Variant: f.Off, Reason: TargetingMatch}
		if f.Percent >= 100 {
			e.Variant = f.Variant
		}
		if len(f.Rules) == 0 && (len(f.Rings) == 0 || f.Percent >= 100) {
			e.Reason = Static
		}
		return e
	default:
		key, found := c.text(TargetingKey)
		if !found || key == "" {
			return Evaluation{Reason: Split, Keyless: true}
		}
		e := Evaluation{Variant: f.Off, Reason: Split}
		if Bucket(f.Key, key, 100) < uint32(f.Percent) {
			e.Variant = f.Variant
		}
		return e
	}
}

func holds(c *provider.Condition, ctx Context) bool {
	v, found := ctx.text(c.Attribute)
	return found && c.Matches(v)
}
