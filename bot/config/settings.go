package config

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"quarterdeck/bot"
)

// Settings gives every key of the configuration that is not about people and
// rules, by its path, such as "service.shop.prod.deploy", each with its value
// as JSON with sorted keys: equal configurations give equal Settings. It holds
// whatever the file holds, secrets that were written there too.
func (c *Config) Settings() map[string]string {
	if c.settings == nil {
		return nil
	}
	return c.settings()
}

// told are the tables that the policy and the directory describe themselves,
// and templates, which are told with the services that use them.
var told = []string{"person", "role", "grant", "deny", "require", "template"}

// settingsOf flattens tables down to their keys; below a service's key, and in
// arrays, a value stays whole.
func settingsOf(values map[string]any) map[string]string {
	out := map[string]string{}
	flatten(out, nil, values)
	return out
}

func flatten(out map[string]string, path []string, v any) {
	deep := 2
	if len(path) > 0 && path[0] == "service" {
		deep = 4
	} else if len(path) > 0 && (path[0] == "chat" || path[0] == "provider" || path[0] == "environment") {
		deep = 3
	}
	t, isTable := v.(map[string]any)
	if !isTable || len(path) >= deep {
		raw, err := json.Marshal(v)
		if err != nil {
			raw = []byte("a value that cannot be shown")
		}
		out[strings.Join(path, ".")] = string(raw)
		return
	}
	for _, k := range slices.Sorted(maps.Keys(t)) {
		if len(path) > 0 || !slices.Contains(told, k) {
			flatten(out, append(slices.Clip(path), k), t[k])
		}
	}
}

// Text gives the table's content as JSON with sorted keys.
func (t *table) Text() string {
	raw, err := json.Marshal(t.values)
	if err != nil {
		return ""
	}
	return string(raw)
}

// Texter is implemented by the Raw tables of this package: Text tells one
// content from another.
type Texter interface {
	bot.Raw
	Text() string
}
