package config

import (
	"fmt"
	"reflect"
	"slices"

	"quarterdeck/bot"
)

// Alerts says which alerts are about a target, and what to do about them.
type Alerts struct {
	Where      string
	Match      map[string]string // labels; all of them must be so
	Runbook    string            // an address
	Escalation string            // a policy of the pager; "" for the pager's own
}

// alerts gives the alerts table of a target, nil for one that is none.
func (l *loader) alerts(n *node, t bot.Target, v any) *Alerts {
	values, ok := v.(map[string]any)
	if !ok {
		l.failf(n, "it is "+described(v), `%s takes a table, such as { match = { service = %q } }`, n.path(), t.Service)
		return nil
	}
	var in struct {
		Match      map[string]string `toml:"match"`
		Runbook    string            `toml:"runbook"`
		Escalation string            `toml:"escalation"`
	}
	l.table(values, n, reflect.ValueOf(&in).Elem())
	if !n.has("match") || len(in.Match) == 0 {
		l.failf(n, fmt.Sprintf("say it by labels: match = { service = %q, env = %q }", t.Service, t.Environment), "alerts of %s does not say which alerts are about it", t)
	}
	if !l.root.has("pager") {
		l.failf(n, "add [pager]", "%s has alerts, and there is no pager to take them", t)
	}
	for _, other := range l.out.Services {
		if other.Alerts != nil && reflect.DeepEqual(other.Alerts.Match, in.Match) && len(in.Match) > 0 {
			l.failf(n.at("match"), "give each labels of its own", "alerts of %s and of %s are the same", t, other.Target)
		}
	}
	return &Alerts{Where: n.where(l.file), Match: in.Match, Runbook: in.Runbook, Escalation: in.Escalation}
}

// pager hands [pager] to whoever knows its keys.
func (l *loader) pager() {
	if !l.root.has("pager") {
		return
	}
	if !slices.ContainsFunc(l.out.Services, func(s Service) bool { return s.Alerts != nil }) && len(l.in.Pager) == 0 {
		l.failf(l.root.at("pager"), "", `[pager] needs channel = "NETWORK:CHANNEL": where pages are posted`)
	}
	l.out.Pager = l.raw(l.root.at("pager"), l.in.Pager, "")
}
