package config

import (
	"encoding/json"
	"maps"
)

// judging are the tables by which it is decided what may be done and what that
// does, and ownKeys are the keys of a provider that are each machine's own.
var (
	judging = []string{"person", "role", "grant", "deny", "require", "freeze", "environment", "service", "action", "provider"}
	limits  = []string{"timezone", "confirm_expires", "approval_expires"}
	ownKeys = []string{"host", "boot_id", "dir"}
)

// Common gives what all replicas of one bot must agree on, as JSON with sorted
// keys: people, rules, services, providers, actions, freezes, and the limits of
// [bot] that are about runs. What may be each replica's own, such as its socket
// and its listeners, is not in it. It holds whatever the file holds, secrets that
// were written there too.
func (c *Config) Common() string {
	if c.common == nil {
		return ""
	}
	return c.common()
}

func commonOf(values map[string]any) string {
	out := map[string]any{}
	for _, name := range judging {
		if v, there := values[name]; there {
			out[name] = v
		}
	}
	if providers, ok := values["provider"].(map[string]any); ok {
		kept := map[string]any{}
		for name, v := range providers {
			t, ok := v.(map[string]any)
			if t = maps.Clone(t); ok {
				for _, key := range ownKeys {
					delete(t, key)
				}
				v = t
			}
			kept[name] = v
		}
		out["provider"] = kept
	}
	if b, ok := values["bot"].(map[string]any); ok {
		for _, key := range limits {
			if v, there := b[key]; there {
				out["bot."+key] = v
			}
		}
	}
	raw, err := json.Marshal(out)
	if err != nil {
		return ""
	}
	return string(raw)
}
