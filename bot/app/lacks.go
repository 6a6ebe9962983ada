package app

import (
	"fmt"
	"maps"
	"slices"

	"quarterdeck/bot/provider"
)

// Lacks gives a line for each secret of a provider that cannot be read now, with
// the place of its key and never its value. It reads them, so it is for a bot
// that serves, and not for the check of a configuration elsewhere.
func (a *App) Lacks() []string {
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(a.providers)) {
		p, can := a.providers[name].(provider.Lacking)
		if !can {
			continue
		}
		for _, l := range p.Lacks() {
			lines = append(lines, fmt.Sprintf("%s: %s; what needs it fails until it can be read", a.Config.At(append([]string{"provider", name}, l.Key...)...), l.Why))
		}
	}
	return lines
}
