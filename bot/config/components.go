package config

import (
	"slices"
	"strings"
	"time"

	"quarterdeck/bot"
)

// steps are the keys of a deploy table that run once around its components, so
// that no component has such a name.
var steps = []string{"before", "after"}

const orderShape = `write order = ["web", "worker"]: the components in the order in which a deployment goes through them`

// composed reports whether a deploy table is one over components.
func composed(values map[string]any) bool {
	for _, key := range []string{"components", "order", "before", "after"} {
		if _, written := values[key]; written {
			return true
		}
	}
	return false
}

// components reads a deploy table over several components. Which comes first
// is stated, since the order of keys in TOML means nothing.
func (l *loader) components(n *node, t bot.Target, values map[string]any) (*Binding, *Components) {
	known := append([]string{"order", "components"}, steps...)
	for _, key := range inOrder(values, n) {
		if !slices.Contains(known, key) {
			l.unknown(key, n, known)
		}
	}
	c := &Components{Of: map[string]*Binding{}}
	list, ok := values["components"].(map[string]any)
	at := n.at("components")
	switch _, written := values["components"]; {
	case !written:
		l.failf(n, `name at least one: components = { web = { provider = "NAME" } }`, "deploy of %s has no components", t)
	case !ok:
		l.failf(at, "it is "+described(values["components"]), `%s takes a table of components, such as { web = { provider = "NAME" } }`, at.path())
	case len(list) == 0:
		l.failf(at, `name at least one: components = { web = { provider = "NAME" } }`, "deploy of %s has no components", t)
	}
	for _, name := range inOrder(list, at) {
		l.name(at.at(name), "a component", name, true)
		if slices.Contains(steps, name) {
			l.failf(at.at(name), "give it another name", "a component of %s is called %q, which is the name of a step", t, name)
		}
		c.Of[name] = l.binding(at.at(name), t, "component "+name, list[name])
	}
	c.Order = l.order(n, t, values, list)
	for _, step := range steps {
		v, written := values[step]
		if !written {
			continue
		}
		b := l.binding(n.at(step), t, "the step "+step, v)
		if step == "before" {
			c.Before = b
		} else {
			c.After = b
		}
	}
	return &Binding{Raw: l.raw(n, values, "")}, c
}

// order reads in which order a deployment goes through the components: each of
// them once.
func (l *loader) order(n *node, t bot.Target, values, list map[string]any) []string {
	names := inOrder(list, n.at("components"))
	v, written := values["order"]
	if !written {
		if len(list) > 1 {
			l.failf(n, orderShape, "deploy of %s does not say in which order its components are deployed", t)
		}
		return names
	}
	at := n.at("order")
	elements, ok := v.([]any)
	if !ok {
		l.failf(at, "it is "+described(v), `%s takes a list, such as ["web", "worker"]`, at.path())
		return names
	}
	var order []string
	for i, e := range elements {
		name, text := e.(string)
		switch {
		case !text:
			l.failf(at.elem(i), "it is "+described(e), "%s takes texts in quotes", at.path())
		case list[name] == nil:
			l.failf(at.elem(i), meant(name, names, thereAre), "the order of %s names %q, which is no component", t, name)
		case slices.Contains(order, name):
			l.failf(at.elem(i), "leave one", "the order of %s names %q twice", t, name)
		default:
			order = append(order, name)
		}
	}
	var missing []string
	for _, name := range names {
		if !slices.Contains(order, name) {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 && len(order) == len(elements) {
		l.failf(at, "name every component once", "the order of %s leaves out %s", t, strings.Join(missing, ", "))
	}
	return order
}

// alone gives the bindings that mean something by themselves.
func alone(bindings []string) []string {
	return slices.DeleteFunc(slices.Clone(bindings), func(b string) bool { return b == "rollback" })
}

// back refuses a rollback table that has nothing to go back from.
func (l *loader) back(n *node, s Service, values map[string]any) {
	if _, written := values["rollback"]; !written {
		return
	}
	switch _, deploys := values["deploy"]; {
	case !deploys:
		l.failf(n.at("rollback"), "add deploy beside it", "%s can be rolled back and not deployed", s.Target)
	case s.Components != nil:
		l.failf(n.at("rollback"), "take it away: each component goes back through its own provider", "%s has a rollback beside components", s.Target)
	}
}

// observe reads how what is live is watched.
func (l *loader) observe() {
	o, at := l.in.Observe, l.root.at("observe")
	l.out.Observe.Every = l.duration(at.at("every"), o.Every, "1m", time.Second, time.Hour, "1s to 1h")
	l.out.Observe.Timeout = l.duration(at.at("timeout"), o.Timeout, "10s", time.Second, time.Minute, "1s to 1m")
}
