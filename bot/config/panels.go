package config

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"quarterdeck/bot"
	"quarterdeck/bot/provider"
)

// Metric is one metric of a [panels.SET] table.
type Metric struct {
	provider.Metric
	Where string
}

// Metrics is the metrics key of a service's table: its binding, and what is
// asked there.
type Metrics struct {
	Binding
	Panels    string // a set of [panels.SET]; "" for the provider's own
	Variables map[string]string
}

// metric is Metric as written.
type metric struct {
	Expr   string             `toml:"expr"`
	Unit   string             `toml:"unit"`
	Panel  string             `toml:"panel"`
	Level  string             `toml:"level"`
	Signal string             `toml:"signal"`
	Above  *float64           `toml:"above"`
	Below  *float64           `toml:"below"`
	Over   string             `toml:"over"`
	Needs  map[string]float64 `toml:"needs"`
}

const (
	// maxMetrics bounds a set: all of it is asked for at once.
	maxMetrics = 40
	// maxExpr bounds an expression, in characters.
	maxExpr = 4000
	// maxUnit bounds a unit, which stands behind every number.
	maxUnit = 20
	// maxVariable bounds what a variable stands for.
	maxVariable = 200
)

// panels reads the sets of metrics.
func (l *loader) panels() {
	at := l.root.at("panels")
	l.out.Panels = map[string][]Metric{}
	for _, set := range inOrder(l.in.Panels, at) {
		n, all := at.at(set), l.in.Panels[set]
		l.name(n, "a set of panels", set, true)
		if len(all) == 0 {
			l.failf(n, fmt.Sprintf(`add one: [panels.%s.errors] with expr = "..."`, quoted(set)), "the set of panels %q has no metric", set)
		}
		if len(all) > maxMetrics {
			l.failf(n, "make two sets of it", "the set of panels %q has %d metrics; at most %d are asked for at once", set, len(all), maxMetrics)
		}
		units, signals := map[string]provider.Metric{}, map[provider.Signal]string{}
		for _, name := range inOrder(all, n) {
			m := l.metric(n.at(name), name, all[name])
			if first, drawn := units[m.Panel]; !drawn {
				units[m.Panel] = m.Metric
			} else if first.Unit != m.Unit {
				l.failf(n.at(name), "give one of them another panel", "%s and %s share the panel %q, but not the unit", first.Name, name, m.Panel)
			}
			if first, taken := signals[m.Signal]; taken && m.Signal != "" {
				l.failf(n.at(name, "signal"), "leave one", "%s and %s are both the signal %q", first, name, m.Signal)
			}
			signals[m.Signal] = name
			l.out.Panels[set] = append(l.out.Panels[set], m)
		}
		for _, m := range l.out.Panels[set] {
			l.needs(n.at(m.Name, "needs"), m, all)
		}
	}
}

// metric checks one metric by itself.
func (l *loader) metric(n *node, name string, in metric) Metric {
	l.name(n, "a metric", name, true)
	m := Metric{Where: n.where(l.file), Metric: provider.Metric{Query: provider.Query{Name: name, Expr: strings.TrimSpace(in.Expr), Unit: in.Unit},
		Panel: name, Level: provider.Service, Signal: provider.Signal(in.Signal), Limits: provider.Limits{Above: in.Above, Below: in.Below}, Needs: in.Needs}}
	switch {
	case !n.has("expr"):
		l.failf(n, `add expr = "...": what its source is asked`, "the metric %q has no expr", name)
	case m.Expr == "" && in.Expr != "":
		l.failf(n.at("expr"), "give it a value or take it away", "%s is blank", n.at("expr").path())
	case utf8.RuneCountInString(m.Expr) > maxExpr:
		l.failf(n.at("expr"), "", "%s has more than %d characters", n.at("expr").path(), maxExpr)
	}
	if utf8.RuneCountInString(in.Unit) > maxUnit || strings.ContainsFunc(in.Unit, unicode.IsControl) {
		l.failf(n.at("unit"), "", "%s takes up to %d characters, such as \"req/s\"", n.at("unit").path(), maxUnit)
	}
	if in.Panel != "" {
		l.name(n.at("panel"), "a panel", in.Panel, true)
		m.Panel = in.Panel
	}
	if in.Level != "" {
		m.Level = provider.Level(in.Level)
		l.oneOf(n.at("level"), in.Level, textsOf(provider.Levels()))
	}
	if in.Signal != "" {
		l.oneOf(n.at("signal"), in.Signal, textsOf(provider.Signals()))
	}
	if in.Above != nil && in.Below != nil && *in.Below > *in.Above {
		l.failf(n.at("below"), "swap them", "%s is a breach below %v and above %v, which every value is", name, *in.Below, *in.Above)
	}
	m.Over = l.duration(n.at("over"), in.Over, "5m", 10*time.Second, 24*time.Hour, "10s to 24h")
	return m
}

// needs checks the names of other metrics that stand at n.
func (l *loader) needs(n *node, m Metric, all map[string]metric) {
	for _, other := range inOrder(m.Needs, n) {
		if _, found := all[other]; !found || other == m.Name {
			known := slices.DeleteFunc(slices.Sorted(maps.Keys(all)), func(s string) bool { return s == m.Name })
			l.failf(n.at(other), meant(other, known, thereAre), "%s needs the metric %q, which its set does not have beside it", m.Name, other)
		}
	}
}

// oneOf refuses a word that is not among those known.
func (l *loader) oneOf(n *node, word string, known []string) {
	if !slices.Contains(known, word) {
		l.failf(n, meant(word, known, "there are "), "%s does not know %q", n.path(), word)
	}
}

func textsOf[T ~string](all []T) []string {
	var texts []string
	for _, t := range all {
		texts = append(texts, string(t))
	}
	return texts
}

// metrics reads the metrics key of a service, nil for a value that is no table.
func (l *loader) metrics(n *node, t bot.Target, v any) *Metrics {
	values, ok := v.(map[string]any)
	if !ok {
		l.binding(n, t, "metrics", v) // says what is wrong
		return nil
	}
	theirs, ours := maps.Clone(values), map[string]any{}
	for _, key := range []string{"panels", "variables"} {
		if value, written := values[key]; written {
			ours[key] = value
			delete(theirs, key)
		}
	}
	m := &Metrics{Variables: map[string]string{}}
	if b := l.binding(n, t, "metrics", theirs); b != nil {
		m.Binding = *b
	}
	var written metrics
	l.table(ours, n, reflect.ValueOf(&written).Elem())
	if sets := inOrder(l.in.Panels, l.root.at("panels")); written.Panels != "" && !slices.Contains(sets, written.Panels) {
		l.failf(n.at("panels"), meant(written.Panels, sets, thereAre), "metrics of %s names the set of panels %q, which has no [panels.%s]", t, written.Panels, quoted(written.Panels))
	}
	m.Panels = written.Panels
	for _, name := range inOrder(written.Variables, n.at("variables")) {
		m.Variables[name] = l.variable(n.at("variables", name), name, written.Variables[name])
	}
	return m
}

// metrics is Metrics as written.
type metrics struct {
	Panels    string            `toml:"panels"`
	Variables map[string]string `toml:"variables"`
}

// variable refuses one that could end the text it is put into: neither quotes
// nor what escapes them pass, so that this holds in every source's language.
func (l *loader) variable(n *node, name, value string) string {
	odd := func(r rune) bool { return strings.ContainsRune("\"'`\\{}", r) || unicode.IsControl(r) }
	switch {
	case slices.Contains([]string{"service", "env", "window"}, name):
		l.failf(n, "give it another name", "%s is filled in by itself", n.path())
	case strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") != "" || name == "":
		l.failf(n, fmt.Sprintf("it is %q", name), "the name of a variable takes letters, digits and underscores")
	case strings.ContainsFunc(value, odd):
		l.failf(n, "", "%s takes a text without quotes, braces and backslashes", n.path())
	case utf8.RuneCountInString(value) > maxVariable:
		l.failf(n, "", "%s takes up to %d characters", n.path(), maxVariable)
	}
	return value
}
