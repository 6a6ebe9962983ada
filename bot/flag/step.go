package flag

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/nearest"
	"quarterdeck/bot/provider"
)

// Step is where a rollout is to stand: what people type as "25%", "beta", "on",
// "off" or the name of a variant.
type Step struct {
	Word string
	// Rank orders steps by whom they reach; -1 where that cannot be said.
	Rank int
	to   func(f *provider.Flag)
}

// Apply gives the flag as it is at the step.
func (s Step) Apply(f provider.Flag) provider.Flag {
	f = f.Copy()
	s.to(&f)
	return f
}

// ranks of steps: rings come before percentages.
const (
	rankOff     = 0
	rankPercent = 1000
)

// Parse reads a step for a flag. Its errors are of kind Invalid and say what there
// is.
func Parse(word string, f provider.Flag, powers provider.FlagPowers) (Step, error) {
	if digits, is := strings.CutSuffix(word, "%"); is {
		n, err := strconv.Atoi(digits)
		switch {
		case err != nil:
			return Step{}, bot.Errorf(bot.Invalid, "%q is no percentage; write a whole number from 0%% to 100%%", word)
		case n < 0 || n > 100:
			return Step{}, bot.Errorf(bot.Invalid, "%s is more than there is; a percentage is a whole number from 0%% to 100%%", word)
		}
		return percent(n, powers), nil
	}
	for i, r := range powers.Rings {
		if r.Name == word {
			return Step{Word: word, Rank: 1 + i, to: func(f *provider.Flag) {
				f.On, f.Percent, f.Rings = true, 0, slices.Clone(powers.Rings[:i+1])
			}}, nil
		}
	}
	switch word {
	case "on":
		s := percent(100, powers)
		s.Word = word
		return s, nil
	case "off":
		return Step{Word: word, Rank: rankOff, to: func(f *provider.Flag) { f.On = false }}, nil
	}
	if _, found := f.Value(word); found {
		return Step{Word: word, Rank: -1, to: func(f *provider.Flag) {
			f.On, f.Rings = true, nil
			if f.Percent = 100; word == f.Off {
				f.Percent = 0
				return
			}
			f.Variant = word
		}}, nil
	}
	if n, err := strconv.Atoi(word); err == nil {
		return Step{}, bot.Errorf(bot.Invalid, "%q is no step; did you mean \"%d%%\"?", word, n)
	}
	words := []string{"on", "off"}
	for _, r := range powers.Rings {
		words = append(words, r.Name)
	}
	for _, v := range f.VariantNames() {
		if !slices.Contains(words, v) {
			words = append(words, v)
		}
	}
	if near := nearest.Of(word, words); near != "" {
		return Step{}, bot.Errorf(bot.Invalid, "%s has no ring or variant %q; did you mean %q?", f.Key, word, near)
	}
	return Step{}, bot.Errorf(bot.Invalid, "%s has no ring or variant %q; it takes a percentage such as 25%%, or %s", f.Key, word, strings.Join(words, ", "))
}

// percent is the step that reaches everybody in a ring and so many of the others,
// so that nobody who was in leaves.
func percent(n int, powers provider.FlagPowers) Step {
	return Step{Word: fmt.Sprintf("%d%%", n), Rank: rankPercent + n, to: func(f *provider.Flag) {
		f.On, f.Percent, f.Rings = true, n, nil
		if n > 0 && n < 100 {
			f.Rings = slices.Clone(powers.Rings)
		}
	}}
}

// Rank gives where a flag stands among steps.
func Rank(f provider.Flag, powers provider.FlagPowers) int {
	switch {
	case !f.On:
		return rankOff
	case f.Percent > 0:
		return rankPercent + f.Percent
	case len(f.Rings) > 0:
		last := f.Rings[len(f.Rings)-1].Name
		return 1 + slices.IndexFunc(powers.Rings, func(r provider.Ring) bool { return r.Name == last })
	}
	return rankOff
}

// ParseRule reads what --if takes: "ATTRIBUTE is VALUE, VALUE", "ATTRIBUTE begins
// VALUE", "ATTRIBUTE ends VALUE".
func ParseRule(text, variant string) (provider.FlagRule, error) {
	words := strings.Fields(text)
	if len(words) < 3 {
		return provider.FlagRule{}, bot.Errorf(bot.Invalid, `%q is no condition; write "country is DE, AT", "email ends @example.com" or "version begins 2."`, text)
	}
	var values []string
	for v := range strings.SplitSeq(strings.Join(words[2:], " "), ",") {
		if v = strings.TrimSpace(v); v != "" {
			values = append(values, v)
		}
	}
	r := provider.FlagRule{Variant: variant, If: provider.Condition{Attribute: words[0]}}
	switch words[1] {
	case "is", "in":
		r.If.In = values
	case "begins":
		r.If.StartsWith = values
	case "ends":
		r.If.EndsWith = values
	default:
		near := nearest.Of(words[1], []string{"is", "begins", "ends"})
		if near == "" {
			near = "is"
		}
		return r, bot.Errorf(bot.Invalid, "%q is no comparison; did you mean %q? There are is, begins and ends", words[1], near)
	}
	if len(values) == 0 {
		return r, bot.Errorf(bot.Invalid, "%q names no values", text)
	}
	return r, nil
}

// Says gives a condition as ParseRule reads it.
func Says(c provider.Condition) string {
	var parts []string
	for _, p := range []struct {
		word   string
		values []string
	}{{"is", c.In}, {"begins", c.StartsWith}, {"ends", c.EndsWith}} {
		if len(p.values) > 0 {
			parts = append(parts, fmt.Sprintf("%s %s %s", c.Attribute, p.word, strings.Join(p.values, ", ")))
		}
	}
	return strings.Join(parts, " or ")
}

// settledFor is how long a flag that is the same for everybody is left alone before
// it is called stale: the code could do without it.
const settledFor = 30 * 24 * time.Hour

// Stale says why a flag could be taken out of the code, "" when it could not.
func Stale(f provider.Flag, now time.Time) string {
	if f.Lifetime > 0 && now.Sub(f.Created) > f.Lifetime {
		return fmt.Sprintf("meant for %s, is there for %s", days(f.Lifetime), days(now.Sub(f.Created)))
	}
	same := !f.On || len(f.Rules) == 0 && (f.Percent == 100 || f.Percent == 0 && len(f.Rings) == 0)
	if age := now.Sub(f.Changed.At); f.Lifetime > 0 && same && age > settledFor {
		return fmt.Sprintf("%s for everybody since %s", f.Reach(), days(age))
	}
	return ""
}

func days(d time.Duration) string {
	if n := int(d / (24 * time.Hour)); n != 1 {
		return fmt.Sprintf("%d days", n)
	}
	return "1 day"
}

// Difference says what changes from one state of a flag to another, as people read
// it; "" for nothing.
func Difference(was, to provider.Flag) string {
	switch {
	case was.Revision == "" && was.Key == "":
		return "made, " + to.Reach()
	case to.Archived && !was.Archived:
		return was.Reach() + " -> out of use"
	}
	var parts []string
	if a, b := was.Reach(), to.Reach(); a != b {
		parts = append(parts, a+" -> "+b)
	} else if !sameRollout(was, to) {
		parts = append(parts, a+", for others than before")
	}
	if !slices.EqualFunc(was.Rules, to.Rules, func(a, b provider.FlagRule) bool { return a.Variant == b.Variant && Says(a.If) == Says(b.If) }) {
		parts = append(parts, fmt.Sprintf("rules: %s -> %s", rules(was), rules(to)))
	}
	for _, v := range to.Variants {
		if old, found := was.Value(v.Name); !found || string(old) != string(v.Value) {
			parts = append(parts, fmt.Sprintf("%s = %s", v.Name, v.Value))
		}
	}
	for _, v := range was.Variants {
		if _, kept := to.Value(v.Name); !kept {
			parts = append(parts, v.Name+" is gone")
		}
	}
	if was.Owner != to.Owner || was.Description != to.Description || was.Lifetime != to.Lifetime {
		parts = append(parts, "described anew")
	}
	return strings.Join(parts, "; ")
}

func sameRollout(a, b provider.Flag) bool {
	return a.On == b.On && a.Off == b.Off && a.Variant == b.Variant && a.Percent == b.Percent &&
		slices.EqualFunc(a.Rings, b.Rings, func(x, y provider.Ring) bool { return x.Name == y.Name && Says(x.If) == Says(y.If) })
}

func rules(f provider.Flag) string {
	if len(f.Rules) == 0 {
		return "none"
	}
	var all []string
	for _, r := range f.Rules {
		all = append(all, Says(r.If)+": "+r.Variant)
	}
	return strings.Join(all, ", ")
}
