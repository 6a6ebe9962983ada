package config

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The bounds of audit.retain: less than a month would take from the database
// what people still look for in chat.
const (
	leastRetain = 30
	mostRetain  = 3650
)

// archive checks how long the log stays in the database, and where it goes then.
func (l *loader) archive() {
	a, at := l.in.Audit, l.root.at("audit")
	if a.Copy != nil {
		l.out.Audit.Copy = l.copy(at.at("copy"), a.Copy)
	}
	if a.Archive != "" {
		l.out.Audit.Archive = l.path(a.Archive)
	}
	if a.Retain != "" {
		l.out.Audit.Retain = l.days(at.at("retain"), a.Retain)
		if a.Archive == "" {
			l.failf(at.at("retain"), `add archive = "PATH"`, "audit.retain needs a folder to move old records to")
		}
	}
}

// days gives a number of days; 0 after a fault.
func (l *loader) days(n *node, text string) time.Duration {
	days, err := strconv.Atoi(strings.TrimSuffix(text, "d"))
	if err != nil || !strings.HasSuffix(text, "d") || days < leastRetain || days > mostRetain {
		l.failf(n, "it is \""+text+"\"", "%s takes days from %dd to %dd, such as \"400d\"", n.path(), leastRetain, mostRetain)
		return 0
	}
	return time.Duration(days) * 24 * time.Hour
}

// copy reads where the log is copied to. How long it is kept there is asked for:
// nobody can shorten it afterwards.
func (l *loader) copy(n *node, values map[string]any) *AuditCopy {
	word := func(key string) string {
		v, written := values[key]
		s, ok := v.(string)
		if written && !ok {
			l.failf(n.at(key), "it is "+described(v), "%s takes a text in quotes", n.at(key).path())
		}
		return s
	}
	name, retain := word("provider"), word("retain")
	theirs := maps.Clone(values)
	delete(theirs, "retain")
	delete(theirs, "every")
	providers := inOrder(l.in.Provider, l.root.at("provider"))
	switch {
	case values["provider"] == nil:
		l.failf(n, meant("", providers, thereAre), "audit.copy names no provider")
	case name != "" && !slices.Contains(providers, name):
		l.failf(n.at("provider"), meant(name, providers, thereAre), "audit.copy names the provider %q, which has no [provider.%s]", name, name)
	}
	c := &AuditCopy{Binding: Binding{Provider: name, Raw: l.raw(n, theirs, "provider")}}
	if values["retain"] == nil {
		l.failf(n, `say it: retain = "400d"`, "audit.copy does not say how long the copy is kept")
	} else if retain != "" {
		c.Retain = l.days(n.at("retain"), retain)
	}
	c.Every = l.duration(n.at("every"), word("every"), "15m", time.Minute, 24*time.Hour, "1m to 24h")
	return c
}
