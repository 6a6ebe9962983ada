package config

import (
	"maps"
	"reflect"
	"slices"
	"strings"

	"quarterdeck/bot"
)

// Scale is the scale key of a service's table: its binding, and what the team
// allows.
type Scale struct {
	Binding
	// Bounds by dimension; "" for the provider's first.
	Bounds map[string]Bounds
}

// Bounds is what may be set: the keys min, max, step, zero and choices.
type Bounds struct {
	Min, Max, Step int64
	Zero           bool
	Choices        []string
}

// bounds is Bounds as written.
type bounds struct {
	Min     *int64   `toml:"min"`
	Max     *int64   `toml:"max"`
	Step    *int64   `toml:"step"`
	Zero    bool     `toml:"zero"`
	Choices []string `toml:"choices"`
}

// maxAmount bounds every figure of a scale table, so that none of them can be a
// slip of the finger that a computer would take seriously.
const maxAmount = 1_000_000_000

// scale reads the scale key of a service, nil for a value that is no table.
func (l *loader) scale(n *node, t bot.Target, v any) *Scale {
	values, ok := v.(map[string]any)
	if !ok {
		l.binding(n, t, "scale", v) // says what is wrong
		return nil
	}
	ours, theirs := map[string]any{}, maps.Clone(values)
	for _, key := range []string{"min", "max", "step", "zero", "choices", "dimension"} {
		if value, written := values[key]; written {
			ours[key] = value
			delete(theirs, key)
		}
	}
	s := &Scale{Bounds: map[string]Bounds{}}
	if b := l.binding(n, t, "scale", theirs); b != nil {
		s.Binding = *b
	}
	dimensions := ours["dimension"]
	delete(ours, "dimension")
	var first bounds
	before := len(l.faults)
	l.table(ours, n, reflect.ValueOf(&first).Elem())
	if len(ours) > 0 && len(l.faults) == before {
		s.Bounds[""] = l.allowed(n, t, "", first)
	}
	if len(ours) == 0 && dimensions == nil {
		l.failf(n, "add max = N", "scale of %s says nothing of how much there may be", t)
	}
	if dimensions == nil {
		return s
	}
	named, ok := dimensions.(map[string]any)
	if !ok {
		l.failf(n.at("dimension"), "it is "+described(dimensions), "%s takes a table for each, such as { storage = { max = 500 } }", n.at("dimension").path())
		return s
	}
	for _, name := range inOrder(named, n.at("dimension")) {
		at := n.at("dimension", name)
		l.name(at, "a dimension", name, true)
		var b bounds
		inner, ok := named[name].(map[string]any)
		if !ok {
			l.failf(at, "it is "+described(named[name]), "%s takes a table, such as { max = 500 }", at.path())
			continue
		}
		before := len(l.faults)
		if l.table(inner, at, reflect.ValueOf(&b).Elem()); len(l.faults) == before {
			s.Bounds[name] = l.allowed(at, t, name, b)
		}
	}
	return s
}

// allowed checks what stands at n.
func (l *loader) allowed(n *node, t bot.Target, dimension string, b bounds) Bounds {
	what := strings.TrimSpace(dimension + " of " + t.String())
	if dimension == "" {
		what = "scale of " + t.String()
	}
	out := Bounds{Min: 1, Zero: b.Zero, Choices: b.Choices}
	if len(b.Choices) > 0 {
		if b.Min != nil || b.Max != nil || b.Step != nil || b.Zero {
			l.failf(n, "leave choices, or min, max, step and zero", "%s has choices and figures", what)
		}
		for i, c := range b.Choices {
			if slices.Contains(b.Choices[:i], c) {
				l.failf(n.at("choices").elem(i), "leave one", "%s has the choice %q twice", what, c)
			}
		}
		return out
	}
	figure := func(key string, least int64, into *int64, written *int64) {
		if written == nil {
			return
		}
		if *written < least || *written > maxAmount {
			l.failf(n.at(key), "", "%s of %s is %d; it takes %d to %d", key, what, *written, least, maxAmount)
		}
		*into = *written
	}
	if b.Max == nil {
		l.failf(n, "add max = N", "%s does not say how much there may be at most", what)
	}
	if b.Min != nil && *b.Min == 0 {
		l.failf(n.at("min"), "leave it at 1 and add zero = true", "min of %s is 0, but nothing at all is allowed by a word of its own", what)
	} else {
		figure("min", 1, &out.Min, b.Min)
	}
	figure("max", 1, &out.Max, b.Max)
	figure("step", 1, &out.Step, b.Step)
	if b.Max != nil && *b.Max >= 1 && out.Min > *b.Max {
		l.failf(n.at("min"), "", "min of %s is %d, which is more than its max of %d", what, out.Min, *b.Max)
	}
	return out
}
