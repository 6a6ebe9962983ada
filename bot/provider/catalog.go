package provider

import (
	"slices"
	"strings"

	"quarterdeck/bot"
)

// Bindings is what one target is bound to; nil where nothing is.
type Bindings struct {
	Deploy  Deployer
	Scale   Scaler
	Logs    LogSource
	Metrics MetricSource
	// MetricsFrom names the provider that Metrics is of: what is slow or down there
	// is so for all of its targets.
	MetricsFrom string
	Guard       *Guard // what watches over deployments
	// Bounds of what Scale may set, by dimension; "" for its first.
	Bounds map[string]Bounds
	Backup RestoreTester
	// Objectives is what is wanted of Backup.
	Objectives Objectives
	Flags      Flagger
	// Digest tells one configuration of these bindings and their providers
	// from another; "" where nobody asks.
	Digest string
}

// Catalog maps targets to their bindings. It is built once and then only read,
// so it is safe for concurrent use.
type Catalog struct {
	bindings map[bot.Target]Bindings
	order    []string // environments, first to last
	after    map[string]string
	// What is asked for with every letter that somebody types.
	services     []string
	environments map[string][]string // by service; of all under ""
}

// NewCatalog makes a Catalog. environments gives the order in which they are
// shown; bindings is kept, not copied.
func NewCatalog(environments []string, bindings map[bot.Target]Bindings) *Catalog {
	return (&Catalog{bindings: bindings, order: environments}).indexed()
}

// indexed finds the names once, which many thousands of targets take their time for.
func (c *Catalog) indexed() *Catalog {
	all := map[string]bool{}
	c.environments = map[string][]string{}
	for t := range c.bindings {
		if c.environments[t.Service] == nil {
			c.services = append(c.services, t.Service)
		}
		c.environments[t.Service] = append(c.environments[t.Service], t.Environment)
		all[t.Environment] = true
	}
	for env := range all {
		c.environments[""] = append(c.environments[""], env)
	}
	slices.Sort(c.services)
	for _, names := range c.environments {
		slices.SortFunc(names, c.compareEnvironments)
	}
	return c
}

// Services lists the service names, sorted.
func (c *Catalog) Services() []string { return slices.Clone(c.services) }

// Environments lists the environments of a service, in the configured order;
// of all services when service is "".
func (c *Catalog) Environments(service string) []string {
	return slices.Clone(c.environments[service])
}

// Targets lists all targets by service and then environment order.
func (c *Catalog) Targets() []bot.Target {
	targets := make([]bot.Target, 0, len(c.bindings))
	for t := range c.bindings {
		targets = append(targets, t)
	}
	slices.SortFunc(targets, func(a, b bot.Target) int {
		if n := strings.Compare(a.Service, b.Service); n != 0 {
			return n
		}
		return c.compareEnvironments(a.Environment, b.Environment)
	})
	return targets
}

func (c *Catalog) compareEnvironments(a, b string) int {
	ai, bi := slices.Index(c.order, a), slices.Index(c.order, b)
	switch {
	case ai < 0 && bi < 0:
		return strings.Compare(a, b)
	case ai < 0:
		return 1
	case bi < 0:
		return -1
	}
	return ai - bi
}

// InOrder sets, before the catalog is used, after which environment a version
// may go to another.
func (c *Catalog) InOrder(after map[string]string) *Catalog {
	c.after = after
	return c
}

// Before gives where a version must have been live before it may go to t;
// found is false where it need not, or where the service is not there.
func (c *Catalog) Before(t bot.Target) (before bot.Target, found bool) {
	before = bot.Target{Service: t.Service, Environment: c.after[t.Environment]}
	return before, before.Environment != "" && c.Has(before)
}

// Only gives the catalog of those targets alone that keep is true for; c itself
// when that is all of them.
func (c *Catalog) Only(keep func(bot.Target) bool) *Catalog {
	kept := map[bot.Target]Bindings{}
	for t, b := range c.bindings {
		if keep(t) {
			kept[t] = b
		}
	}
	if len(kept) == len(c.bindings) {
		return c
	}
	return (&Catalog{bindings: kept, order: c.order, after: c.after}).indexed()
}

// Has reports whether the target is in the catalog.
func (c *Catalog) Has(t bot.Target) bool {
	_, ok := c.bindings[t]
	return ok
}

// FactBinding is the precondition that a target's bindings are configured as
// they were: what is run there is part of what was agreed to.
const FactBinding = "binding"

// Digest tells the configuration of a target's bindings from an earlier one.
func (c *Catalog) Digest(t bot.Target) string { return c.bindings[t].Digest }

// Deployer gives the Deployer of a target, or an Error of kind NotFound.
func (c *Catalog) Deployer(t bot.Target) (Deployer, error) {
	b, ok := c.bindings[t]
	if !ok {
		return nil, bot.Errorf(bot.NotFound, "there is no target %s", t)
	}
	if b.Deploy == nil {
		return nil, bot.Errorf(bot.NotFound, "%s has no deploy provider configured", t)
	}
	return b.Deploy, nil
}

// Matching lists the targets of a service and an environment, each "" for any.
func (c *Catalog) Matching(service, environment string) []bot.Target {
	return slices.DeleteFunc(c.Targets(), func(t bot.Target) bool {
		return service != "" && t.Service != service || environment != "" && t.Environment != environment
	})
}
