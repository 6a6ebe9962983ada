package app

import (
	"quarterdeck/bot"
	"quarterdeck/bot/config"
	"quarterdeck/bot/provider"
	"quarterdeck/bot/release"
)

// binder binds one target to opened providers. What cannot be bound is a fault
// and gives nil.
type binder struct {
	opened map[string]provider.Provider
	target bot.Target
	faults *faults
}

// release gives what deploys a service and takes it back.
func (b *binder) release(s config.Service) provider.Deployer {
	switch {
	case s.Components != nil:
		return b.components(s.Components)
	case s.Deploy == nil:
		return nil
	}
	d := b.deployer(s.Deploy)
	if d == nil || s.Rollback == nil {
		return d
	}
	if back := b.roller(s.Rollback); back != nil {
		return release.NewSplit(d, back, s.Rollback.Provider)
	}
	return nil
}

func (b *binder) components(c *config.Components) provider.Deployer {
	var list []release.Component
	whole := true
	for _, name := range c.Order {
		d := b.deployer(c.Of[name])
		whole = whole && d != nil
		list = append(list, release.Component{Name: name, Deployer: d})
	}
	before, after := b.step(c.Before), b.step(c.After)
	if !whole || len(list) == 0 || c.Before != nil && before == nil || c.After != nil && after == nil {
		return nil
	}
	return release.NewComponents(list, before, after)
}

// bound has a provider bind a table, if it is one that can.
func bound[B, D any](b *binder, t *config.Binding, cannot string, bind func(B, provider.Raw) (D, error)) (made D) {
	if t == nil {
		return made
	}
	p, opened := b.opened[t.Provider]
	if !opened {
		return made // that was a fault already
	}
	can, ok := p.(B)
	if !ok {
		b.faults.add(t.Raw.Where(), bot.Errorf(bot.Invalid, "provider %q cannot %s", t.Provider, cannot))
		return made
	}
	d, err := bind(can, t.Raw)
	if err != nil {
		b.faults.add(t.Raw.Where(), err)
		return made
	}
	return d
}

func (b *binder) flags(s config.Service) provider.Flagger {
	return bound(b, s.Flags, "keep flags", func(p provider.FlagBinder, raw provider.Raw) (provider.Flagger, error) {
		return p.BindFlags(b.target, raw)
	})
}

func (b *binder) deployer(t *config.Binding) provider.Deployer {
	return bound(b, t, "deploy", func(p provider.DeployBinder, raw provider.Raw) (provider.Deployer, error) {
		return p.BindDeploy(b.target, raw)
	})
}

func (b *binder) step(t *config.Binding) provider.Step {
	return bound(b, t, "run a step", func(p provider.StepBinder, raw provider.Raw) (provider.Step, error) { return p.BindStep(b.target, raw) })
}

func (b *binder) logs(t *config.Binding) provider.LogSource {
	return bound(b, t, "read logs", func(p provider.LogBinder, raw provider.Raw) (provider.LogSource, error) {
		return p.BindLogs(b.target, raw)
	})
}

// roller prefers what a provider binds for the way back alone.
func (b *binder) roller(t *config.Binding) provider.Roller {
	if _, ok := b.opened[t.Provider].(provider.RollbackBinder); !ok {
		if d := b.deployer(t); d != nil {
			return d
		}
		return nil
	}
	return bound(b, t, "roll back", func(p provider.RollbackBinder, raw provider.Raw) (provider.Roller, error) {
		return p.BindRollback(b.target, raw)
	})
}

// releaseProviders names the providers that a service is released through.
func releaseProviders(s config.Service) []string {
	var names []string
	add := func(t *config.Binding) {
		if t != nil {
			names = append(names, t.Provider)
		}
	}
	add(s.Deploy)
	add(s.Rollback)
	if c := s.Components; c != nil {
		for _, t := range c.Of {
			add(t)
		}
		add(c.Before)
		add(c.After)
	}
	return names
}
