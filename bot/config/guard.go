package config

import (
	"reflect"
	"slices"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/provider"
)

// Guard is the guard key of a service's table: what is watched after a deployment.
type Guard struct {
	provider.Guard
	Where string
}

// guardTable is Guard as written.
type guardTable struct {
	Metrics   []string `toml:"metrics"`
	Bake      string   `toml:"bake"`
	Every     string   `toml:"every"`
	OnBreach  string   `toml:"on_breach"`
	OnSilence string   `toml:"on_silence"`
}

// maxGuarded bounds how many metrics one guard looks at, each time side by side.
const maxGuarded = 20

// guard reads the guard key of a service, nil for a value that is no table. That
// its metrics are there and have thresholds is seen where they are bound.
func (l *loader) guard(n *node, t bot.Target, v any, beside map[string]any) *Guard {
	values, ok := v.(map[string]any)
	if !ok {
		l.failf(n, "it is "+described(v), `%s takes a table, such as { metrics = ["errors"], bake = "10m" }`, n.path())
		return nil
	}
	for _, needed := range []string{"deploy", "metrics"} {
		if _, written := beside[needed]; !written {
			l.failf(n, "", "guard of %s watches over its deployments by its metrics, and it has no %s", t, needed)
		}
	}
	var in guardTable
	before := len(l.faults)
	l.table(values, n, reflect.ValueOf(&in).Elem())
	if len(l.faults) > before {
		return nil
	}
	g := &Guard{Where: n.where(l.file), Guard: provider.Guard{Metrics: in.Metrics, OnBreach: provider.Consequence(in.OnBreach), OnSilence: provider.Consequence(in.OnSilence)}}
	if len(in.Metrics) == 0 {
		l.failf(n, `name them: metrics = ["errors"]`, "guard of %s watches no metric", t)
	}
	if len(in.Metrics) > maxGuarded {
		l.failf(n.at("metrics"), "", "guard of %s watches %d metrics; at most %d are looked at", t, len(in.Metrics), maxGuarded)
	}
	for i, m := range in.Metrics {
		if slices.Contains(in.Metrics[:i], m) {
			l.failf(n.at("metrics").elem(i), "leave one", "guard of %s names the metric %q twice", t, m)
		}
	}
	g.Bake = l.duration(n.at("bake"), in.Bake, "10m", time.Second, 24*time.Hour, "1s to 24h")
	g.Every = l.duration(n.at("every"), in.Every, "30s", time.Second, time.Hour, "1s to 1h")
	if in.Every == "" {
		g.Every = min(g.Every, g.Bake)
	} else if g.Every > g.Bake {
		l.failf(n.at("every"), "", "guard of %s looks every %s, and watches for %s only", t, bot.Span(g.Every), bot.Span(g.Bake))
	}
	for _, c := range []struct {
		key string
		is  *provider.Consequence
	}{{"on_breach", &g.OnBreach}, {"on_silence", &g.OnSilence}} {
		if *c.is == "" {
			*c.is = provider.Offer
		}
		l.oneOf(n.at(c.key), string(*c.is), textsOf(provider.Consequences()))
	}
	return g
}
