package app

import (
	"fmt"
	"slices"
	"strings"

	"quarterdeck/bot"
	"quarterdeck/bot/config"
	"quarterdeck/bot/nearest"
	"quarterdeck/bot/provider"
)

// blindGuards refuses a guard over a metric that its target does not have, or that
// has no threshold: it would watch nothing.
func blindGuards(c *config.Config, judge provider.Judge, f *faults) {
	for _, s := range c.Services {
		if s.Guard == nil || s.Metrics == nil { // that was a fault already
			continue
		}
		known := judge.Metrics(s.Target)
		for _, m := range s.Guard.Metrics {
			if slices.Contains(known, m) {
				continue
			}
			meant := "none of its metrics has one; give one above or below"
			if near := nearest.Of(m, known); near != "" {
				meant = fmt.Sprintf("did you mean %q?", near)
			} else if len(known) > 0 {
				meant = "those that have one are " + strings.Join(known, ", ")
			}
			f.add(s.Guard.Where, bot.Errorf(bot.Invalid, "guard of %s watches %q, which is no metric of it with a threshold; %s", s.Target, m, meant))
		}
	}
}
