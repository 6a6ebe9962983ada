package config

import (
	"maps"
	"time"

	"quarterdeck/bot"
)

// Backup is the backup key of a service's table: its binding, and what the team
// wants of its backups; 0 where it says nothing.
type Backup struct {
	Binding
	RPO, RTO, Every time.Duration
}

// backup reads the backup key of a service, nil for a value that is no table.
func (l *loader) backup(n *node, t bot.Target, v any) *Backup {
	values, ok := v.(map[string]any)
	if !ok {
		l.binding(n, t, "backup", v) // says what is wrong
		return nil
	}
	b := &Backup{}
	theirs := maps.Clone(values)
	for _, key := range []struct {
		name     string
		into     *time.Duration
		standard string
		least    time.Duration
		most     time.Duration
		bounds   string
	}{
		{"rpo", &b.RPO, "24h", time.Second, 365 * 24 * time.Hour, "1s to 8760h"},
		{"rto", &b.RTO, "1h", time.Microsecond, 30 * 24 * time.Hour, "1us to 720h"},
		{"every", &b.Every, "168h", time.Minute, 400 * 24 * time.Hour, "1m to 9600h"},
	} {
		value, written := values[key.name]
		if !written {
			continue
		}
		delete(theirs, key.name)
		text, ok := value.(string)
		if !ok {
			l.failf(n.at(key.name), "it is "+described(value), "%s takes a text in quotes", n.at(key.name).path())
			continue
		}
		if text == "" {
			l.failf(n.at(key.name), "give it a value or take it away", "%s is empty", n.at(key.name).path())
			continue
		}
		*key.into = l.duration(n.at(key.name), text, key.standard, key.least, key.most, key.bounds)
	}
	if bound := l.binding(n, t, "backup", theirs); bound != nil {
		b.Binding = *bound
	}
	return b
}
