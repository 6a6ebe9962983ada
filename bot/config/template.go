package config

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"quarterdeck/bot"
)

// templates gives every service that names a template the keys that it does not
// have itself, with its own names in their texts. It works on the values before
// they are decoded, so that what a service takes over is checked as what it
// says.
func (l *loader) templates(values map[string]any) {
	all, _ := values["template"].(map[string]any)
	at := l.root.at("template")
	faulty := map[string]bool{}
	for _, name := range inOrder(all, at) {
		n, before := at.at(name), len(l.faults)
		l.name(n, "a template", name, true)
		if t, ok := all[name].(map[string]any); ok {
			l.placeholders(n, t)
		}
		faulty[name] = len(l.faults) > before
	}
	services, _ := values["service"].(map[string]any)
	for service, v := range services {
		environments, _ := v.(map[string]any)
		for env, v := range environments {
			own, ok := v.(map[string]any)
			if !ok || own["template"] == nil {
				continue
			}
			n, t := l.root.at("service", service, env), bot.Target{Service: service, Environment: env}
			name, isText := own["template"].(string)
			delete(own, "template") // and what is left is as if it were written there
			shared, found := all[name].(map[string]any)
			switch {
			case !isText:
				l.failf(n.at("template"), "", "the template of %s is its name, a text in quotes", t)
			case !found:
				l.failf(n.at("template"), meant(name, inOrder(all, at), thereAre), "%s has the template %q, which has no [template.%s]", t, name, name)
			case !faulty[name]:
				inherit(own, n, shared, at.at(name), t)
			}
		}
	}
}

// inherit adds to own, at n, what it lacks and shared has; tables within are
// joined key by key, and what own says stays.
func inherit(own map[string]any, n *node, shared map[string]any, from *node, t bot.Target) {
	for key, v := range shared {
		mine, has := own[key]
		if !has {
			own[key] = filled(v, t)
			n.adopt(key, from.at(key).taken(t))
			continue
		}
		below, isTable := mine.(map[string]any)
		if more, areTables := v.(map[string]any); isTable && areTables {
			inherit(below, n.at(key), more, from.at(key), t)
		}
	}
}

// taken copies the places of a template for the target that takes them over.
func (n *node) taken(t bot.Target) *node {
	made := &node{src: n.src, via: t.String(), key: n.key, header: n.header, line: n.line, column: n.column}
	for key, child := range n.children {
		made.adopt(key, child.taken(t))
	}
	for _, e := range n.elems {
		copied := e.taken(t)
		copied.parent = made
		made.elems = append(made.elems, copied)
	}
	return made
}

// placeholder finds what is special in a template's text, and a brace that is
// not written as it should be.
var placeholder = regexp.MustCompile(`\{\{|\}\}|\{[^{}]*\}|\{|\}`)

// filled copies a value of a template with a target's names in its texts.
func filled(v any, t bot.Target) any {
	switch v := v.(type) {
	case string:
		return placeholder.ReplaceAllStringFunc(v, func(s string) string {
			switch s {
			case "{{":
				return "{"
			case "}}":
				return "}"
			case "{service}":
				return t.Service
			case "{env}":
				return t.Environment
			}
			return s
		})
	case []any:
		made := make([]any, len(v))
		for i := range v {
			made[i] = filled(v[i], t)
		}
		return made
	case map[string]any:
		made := make(map[string]any, len(v))
		for key := range v {
			made[key] = filled(v[key], t)
		}
		return made
	}
	return v
}

// placeholders refuses what cannot be filled in, once for each template and not
// for each service that uses it.
func (l *loader) placeholders(n *node, v any) {
	switch v := v.(type) {
	case string:
		for _, s := range placeholder.FindAllString(v, -1) {
			switch s {
			case "{{", "}}", "{service}", "{env}":
			case "{", "}":
				l.failf(n, fmt.Sprintf("write %s%s for the character itself", s, s), "%s holds a single %s", n.path(), s)
			default:
				l.failf(n, "it fills in {service} and {env}; write {{ for {", "%s holds the unknown placeholder %s", n.path(), s)
			}
		}
	case []any:
		for i := range v {
			l.placeholders(n.elem(i), v[i])
		}
	case map[string]any:
		for _, key := range inOrder(v, n) {
			l.placeholders(n.at(key), v[key])
		}
	}
}

// FromTemplate says of a fault in a template which target takes it over, where
// that is not said yet.
func FromTemplate(what, target string) string {
	if strings.Contains(what, byTemplate) {
		return what
	}
	return what + " (" + target + byTemplate
}

const byTemplate = " takes it from its template)"

// Via gives the target that takes the table from its template, "" where it is
// written for it.
func (t *table) Via() string { return t.at.via }

// templated finds in a fault's line its place, what comes before the target
// that takes it from a template, the target, and what comes after.
var templated = regexp.MustCompile(`^(.*?:[0-9]+: )(.*) \(([^ ()]+)` + regexp.QuoteMeta(byTemplate) + `(.*)$`)

// Gather makes one line of those that tell of one place in a template, so that
// a slip in a template of forty services is one fault and not forty. The order
// of the lines stays.
func Gather(lines []string) []string {
	type fault struct{ place, rest string }
	first, more := map[fault]int{}, map[int]int{}
	var kept []string
	for _, line := range lines {
		m := templated.FindStringSubmatch(line)
		if m == nil {
			kept = append(kept, line)
			continue
		}
		rest := strings.NewReplacer(m[3], "", strings.Replace(m[3], "/", ".", 1), "").Replace(m[2] + m[4])
		f := fault{m[1], rest}
		if i, seen := first[f]; seen {
			more[i]++
			continue
		}
		first[f] = len(kept)
		kept = append(kept, line)
	}
	for i, n := range more {
		kept[i] = strings.Replace(kept[i], byTemplate, fmt.Sprintf(" and %d more take it from their template)", n), 1)
	}
	return slices.Clip(kept)
}
