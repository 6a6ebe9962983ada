package provider

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"quarterdeck/bot"
)

// FlagType is what the values of a flag are.
type FlagType string

// The closed set of types, as OpenFeature calls them.
const (
	BooleanFlag FlagType = "boolean"
	StringFlag  FlagType = "string"
	NumberFlag  FlagType = "number"
	ObjectFlag  FlagType = "object"
)

// FlagTypes gives the types in the order in which they are told of.
func FlagTypes() []FlagType { return []FlagType{BooleanFlag, StringFlag, NumberFlag, ObjectFlag} }

// FlagVariant is one value that a flag can have, with the name by which people and
// rules call it.
type FlagVariant struct {
	Name  string          `json:"name"`
	Value json.RawMessage `json:"value"` // canonical JSON of the flag's type
}

// Condition holds for whoever's attribute is one of In, or begins or ends with one
// of the others. Numbers and booleans are compared as they are written in JSON. An
// attribute that is not there matches nothing.
type Condition struct {
	Attribute  string   `json:"attribute" toml:"attribute"`
	In         []string `json:"in,omitempty" toml:"in"`
	StartsWith []string `json:"starts_with,omitempty" toml:"starts_with"`
	EndsWith   []string `json:"ends_with,omitempty" toml:"ends_with"`
}

// Matches reports whether an attribute's value matches.
func (c Condition) Matches(value string) bool {
	return slices.Contains(c.In, value) ||
		slices.ContainsFunc(c.StartsWith, func(s string) bool { return strings.HasPrefix(value, s) }) ||
		slices.ContainsFunc(c.EndsWith, func(s string) bool { return strings.HasSuffix(value, s) })
}

// FlagRule gives a variant to those for whom the condition holds, before any
// rollout.
type FlagRule struct {
	If      Condition `json:"if"`
	Variant string    `json:"variant"`
}

// Ring is a named circle of people that a rollout reaches before it goes by
// percentage, such as "internal".
type Ring struct {
	Name string    `json:"name"`
	If   Condition `json:"if"`
}

// FlagMark says who changed a flag last.
type FlagMark struct {
	At     time.Time `json:"at"`
	Person string    `json:"person"`
	Key    string    `json:"key,omitempty"` // of the operation; see bot.Task
	Text   string    `json:"text"`          // what changed, as people read it: "5% -> 25%"
	Reason string    `json:"reason,omitempty"`
}

// Flag is one flag in one environment, whole. Off is served while it is off and to
// whom nothing else gives a variant. While it is on, the first of Rules that holds
// decides; then whoever is in one of Rings gets Variant, and of the others Percent
// of a hundred, by a hash of the flag's name and the targeting key.
type Flag struct {
	Key         string     `json:"key"`
	Target      bot.Target `json:"target"` // the service that it belongs to, and the environment
	Type        FlagType   `json:"type"`
	Description string     `json:"description,omitempty"`
	Owner       string     `json:"owner,omitempty"` // a declared person
	// Lifetime is how long a temporary flag is meant to be there; 0 for a
	// permanent one.
	Lifetime time.Duration `json:"lifetime,omitempty"`
	Created  time.Time     `json:"created"`
	Variants []FlagVariant `json:"variants"`
	On       bool          `json:"on"`
	Off      string        `json:"off"`     // variant
	Variant  string        `json:"variant"` // what the rollout gives
	Rules    []FlagRule    `json:"rules,omitempty"`
	Rings    []Ring        `json:"rings,omitempty"` // that the rollout has reached
	Percent  int           `json:"percent"`
	Archived bool          `json:"archived,omitempty"` // out of use: as if it were not there
	Changed  FlagMark      `json:"changed"`
	// Revision tells one state of the flag from another; "" for one that is not
	// there. It is no part of what is set.
	Revision string `json:"-"`
}

// Resource gives what policy is asked about.
func (f Flag) Resource() bot.Resource { return bot.FlagResource(f.Target.Environment, f.Key) }

// Value gives the value of a variant; found is false where there is none of that
// name.
func (f Flag) Value(variant string) (v json.RawMessage, found bool) {
	for _, one := range f.Variants {
		if one.Name == variant {
			return one.Value, true
		}
	}
	return nil, false
}

// VariantNames lists the variants.
func (f Flag) VariantNames() []string {
	names := make([]string, 0, len(f.Variants))
	for _, v := range f.Variants {
		names = append(names, v.Name)
	}
	return names
}

// Reach says in a word or two whom the flag reaches: "off", "on", "25%", "ring
// beta", "dark for 25%".
func (f Flag) Reach() string {
	if !f.On {
		return "off"
	}
	what := ""
	if f.Variant != "on" {
		what = f.Variant + " for "
	}
	reach := fmt.Sprintf("%d%%", f.Percent)
	switch {
	case f.Percent == 100 && what == "":
		reach = "on"
	case f.Percent == 100:
		what, reach = "", f.Variant
	case f.Percent == 0 && len(f.Rings) > 0:
		reach = "ring " + f.Rings[len(f.Rings)-1].Name
	}
	if len(f.Rules) > 0 {
		reach += fmt.Sprintf(" and %d rule", len(f.Rules))
		if len(f.Rules) > 1 {
			reach += "s"
		}
	}
	return what + reach
}

// Copy gives the flag with nothing shared.
func (f Flag) Copy() Flag {
	f.Variants, f.Rules, f.Rings = slices.Clone(f.Variants), slices.Clone(f.Rules), slices.Clone(f.Rings)
	return f
}

// FlagChange is what a Flagger executes: absolute, and compared with what is there.
type FlagChange struct {
	Target bot.Target `json:"target"`
	Key    string     `json:"key"`
	// From is the revision it was planned from, NoFlag for none. It is not looked
	// at for a kill.
	From string `json:"from,omitempty"`
	// To is the whole flag as it is to be, without Changed and Revision; nil to
	// turn it off, whatever it is now: a kill.
	To   *Flag  `json:"to,omitempty"`
	Text string `json:"text"` // what changes, for FlagMark
}

// NoFlag is the revision of a flag that is not there yet.
const NoFlag = "none"

// FlagPowers is what a Flagger can do.
type FlagPowers struct {
	Create bool       // make flags and take them out of use
	Types  []FlagType // of the flags it makes
	Rules  bool       // targeting by attribute
	// Rings are the circles that a rollout goes through before it goes by
	// percentage, in order; nil where it knows none.
	Rings []Ring
	// Steps reports whether a rollout may stop at a percentage.
	Steps bool
}

// Flagger reads and changes the flags of one target. Safe for concurrent use. Get
// gives NotFound with the nearest name for a flag that is not there or archived;
// both reads give Unavailable or Timeout when the other side does not answer, and
// never guess. Of the operation: a change whose From is not what is there ends as
// OpFailed with a sentence that says what changed meanwhile and who did it; one
// that must be approved on the other side is OpWaitingExternal until it is.
type Flagger interface {
	// Flags gives all that are not archived, sorted by Key.
	Flags(ctx context.Context) ([]Flag, error)
	Get(ctx context.Context, key string) (Flag, error)
	Powers() FlagPowers
	bot.Operation[FlagChange]
}

// FlagHistorian is a Flagger that keeps what flags were before.
type FlagHistorian interface {
	// Versions gives up to limit states of a flag, the newest, which is the
	// present one, first.
	Versions(ctx context.Context, key string, limit int) ([]Flag, error)
}

// FlagReader is a Flagger whose flags the bot itself answers services with. Keys
// are what a service of this target may show to read them.
type FlagReader interface {
	Keys() []bot.Secret
}

// FlagBinder is a Provider that can bind a Flagger to a target from the target's
// flags table.
type FlagBinder interface {
	BindFlags(t bot.Target, raw Raw) (Flagger, error)
}

// The documents in which the bot itself keeps flags. A flag is at
// FlagID(environment, key); every state it ever had is a FlagVersionDocument too,
// whose ID is that followed by "#" and the revision with twelve digits.
const (
	FlagDocument        = "flag"
	FlagVersionDocument = "flag-version"
)

// FlagID gives the ID of a flag's document.
func FlagID(environment, key string) string { return environment + "/" + key }

// Flagger gives the Flagger of a target, or an Error of kind NotFound.
func (c *Catalog) Flagger(t bot.Target) (Flagger, error) {
	b, ok := c.bindings[t]
	if !ok {
		return nil, bot.Errorf(bot.NotFound, "there is no target %s", t)
	}
	if b.Flags == nil {
		return nil, bot.Errorf(bot.NotFound, "%s has no flags; give [service.%s.%s] a flags table, as config.example.toml shows", t, t.Service, t.Environment)
	}
	return b.Flags, nil
}

// Flagged lists the targets with flags in an environment, "" for all.
func (c *Catalog) Flagged(environment string) []bot.Target {
	return slices.DeleteFunc(c.Matching("", environment), func(t bot.Target) bool { return c.bindings[t].Flags == nil })
}
