package app

import (
	"quarterdeck/bot"
	"quarterdeck/bot/config"
	"quarterdeck/bot/panel"
	"quarterdeck/bot/provider"
)

// metrics gives what a service's metrics are read from.
func (b *binder) metrics(s config.Service) provider.MetricSource {
	if s.Metrics == nil {
		return nil
	}
	return bound(b, &s.Metrics.Binding, "give metrics", func(p provider.MetricBinder, raw provider.Raw) (provider.MetricSource, error) {
		return p.BindMetrics(b.target, raw)
	})
}

// watchedBy gives the set of metrics of every target. What a target has no word
// for is a fault of the metric that asks for it.
func watchedBy(c *config.Config, opened map[string]provider.Provider, f *faults) []panel.Set {
	var sets []panel.Set
	for _, s := range c.Services {
		if s.Metrics == nil {
			continue
		}
		set := panel.Set{Target: s.Target, Variables: s.Metrics.Variables}
		add := func(m provider.Metric, where string) {
			if err := panel.Check(m, s.Target, set.Variables); err != nil {
				f.add(where, bot.Errorf(bot.Invalid, "the metric %q: %s", m.Name, bot.Sentence(err, "panels")))
				return
			}
			set.Metrics = append(set.Metrics, m)
		}
		switch p, ok := opened[s.Metrics.Provider]; {
		case s.Metrics.Panels != "":
			for _, m := range c.Panels[s.Metrics.Panels] {
				add(m.Metric, m.Where)
			}
		case ok:
			preset, has := p.(provider.Presetter)
			if !has {
				f.addBound(s.Metrics.Raw, bot.Errorf(bot.Invalid, `metrics of %s names no set of panels, and the provider %q brings none; add panels = "NAME"`, s.Target, s.Metrics.Provider))
				continue
			}
			for _, m := range preset.Preset() {
				add(m, s.Metrics.Raw.Where())
			}
		}
		sets = append(sets, set)
	}
	return sets
}
