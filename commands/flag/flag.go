// Package flag is the verbs about feature flags.
package flag

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"quarterdeck/bot"
	"quarterdeck/bot/flag"
	"quarterdeck/bot/provider"
)

// Needs is what the commands are made with.
type Needs struct {
	Catalog *provider.Catalog
	Flags   *flag.Set
	Policy  bot.Policy
	Judge   provider.Judge // nil where there are no metrics
	Clock   bot.Clock
	Zone    bot.Zone
}

// All makes the commands.
func All(n Needs) []bot.Command {
	v := &verbs{n}
	change := flag.NewWorkflow(n.Catalog)
	ramp := flag.NewRampWorkflow(n.Catalog, n.Judge, n.Clock)
	all := []bot.Command{v.list(), v.stale(), v.show(), v.history(), v.create(), v.on(), v.off(), v.set(), v.ramp(ramp), v.kill(), v.undo(), v.archive()}
	all[4].Workflows = []bot.Workflow{change}
	all[8].Workflows = []bot.Workflow{ramp}
	return all
}

type verbs struct{ Needs }

// Help is asked of commands that were made with nothing.

func (v *verbs) flagged(environment string) []bot.Target {
	if v.Catalog == nil {
		return nil
	}
	return v.Catalog.Flagged(environment)
}

func (v *verbs) environments() []string {
	if v.Catalog == nil {
		return nil
	}
	return v.Catalog.Environments("")
}

func (v *verbs) now() *flag.Snapshot {
	if v.Flags == nil {
		return &flag.Snapshot{}
	}
	now, _ := v.Flags.Now()
	return now
}

// flagParam is the name of a flag. One that could be no flag's is refused before
// anything is asked about it.
func flagParam() bot.Param {
	return bot.Param{Name: "flag", Type: bot.TypeText, Help: "which flag", Check: func(s string) error {
		for i, r := range s {
			letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
			if !letter && (i == 0 || r != '-' && r != '_' && r != '.') || i >= 64 {
				return bot.Errorf(bot.Invalid, "%q is no name of a flag; write letters, digits, dots, dashes and underscores, a letter or digit first, at most 64", s)
			}
		}
		return nil
	}}
}

// knownParam is the name of a flag that there is.
func (v *verbs) knownParam() bot.Param {
	p := flagParam()
	p.Known = v.known
	return p
}

// known gives the flags that whoever calls may see, in the environment that is
// named or in all.
func (v *verbs) known(c bot.Call) (names []string) {
	now := v.now()
	for _, t := range v.flagged(c.Args["environment"]) {
		served := now.Of(t)
		if served == nil {
			continue
		}
		for _, f := range served.Flags {
			if !slices.Contains(names, f.Key) && v.may(c, bot.MayReadFlag, f.Resource()) {
				names = append(names, f.Key)
			}
		}
	}
	return names
}

func environmentParam(optional bool) bot.Param {
	return bot.Param{Name: "environment", Type: bot.TypeEnvironment, Optional: optional, Help: "where"}
}

// target gives whose flag it is, from memory alone; the zero Target where that
// cannot be known.
func (v *verbs) target(environment, key string) bot.Target {
	flagged := v.flagged(environment)
	now := v.now()
	if f, found := now.Get(environment, key); found && slices.Contains(flagged, f.Target) {
		return f.Target
	}
	var elsewhere []bot.Target // kept by somebody else, whose names are not known here
	for _, t := range flagged {
		flagger, err := v.Catalog.Flagger(t)
		if _, ours := flagger.(provider.FlagReader); err == nil && !ours {
			elsewhere = append(elsewhere, t)
		}
	}
	switch {
	case len(elsewhere) == 1:
		return elsewhere[0]
	case len(flagged) == 1:
		return flagged[0]
	}
	return bot.Target{}
}

// resolve asks about one flag in one environment.
func (v *verbs) resolve(p bot.Permission) func(bot.Call) (bot.Ask, error) {
	return func(c bot.Call) (bot.Ask, error) {
		environment, key := c.Args["environment"], c.Args["flag"]
		return bot.Ask{Permission: p, Resources: []bot.Resource{bot.FlagResource(environment, key)}, Target: v.target(environment, key)}, nil
	}
}

// everywhere asks about one flag in the environment that is named, or in all where
// it is.
func (v *verbs) everywhere(p bot.Permission) func(bot.Call) (bot.Ask, error) {
	one := v.resolve(p)
	return func(c bot.Call) (bot.Ask, error) {
		if c.Args["environment"] != "" {
			return one(c)
		}
		ask := bot.Ask{Permission: p}
		where := v.where(c.Args["flag"])
		ask.Resources = resources(where, c.Args["flag"])
		if len(where) == 1 {
			ask.Target = v.target(where[0], c.Args["flag"])
		}
		return ask, nil
	}
}

// where lists the environments in which there is the flag, in the order of the
// configuration; all that have flags where it is not known.
func (v *verbs) where(key string) []string {
	now := v.now()
	known := now.Environments(key)
	var all, found []string
	for _, t := range v.flagged("") {
		if !slices.Contains(all, t.Environment) {
			all = append(all, t.Environment)
		}
	}
	for _, environment := range v.environments() {
		if slices.Contains(all, environment) && slices.Contains(known, environment) {
			found = append(found, environment)
		}
	}
	switch {
	case len(found) > 0:
		return found
	case len(all) > 0:
		return all
	}
	return v.environments() // Plan says that there are no flags there
}

// resources gives what is asked about a flag in environments; without any, the bot
// itself.
func resources(environments []string, key string) []bot.Resource {
	if len(environments) == 0 {
		return []bot.Resource{bot.TheBot}
	}
	var all []bot.Resource
	for _, e := range environments {
		all = append(all, bot.FlagResource(e, key))
	}
	return all
}

// get gives one flag as it is, and what its Flagger can do.
func (v *verbs) get(ctx context.Context, environment, key string) (provider.Flag, provider.Flagger, error) {
	t := v.target(environment, key)
	if t == (bot.Target{}) {
		if len(v.flagged(environment)) == 0 {
			return provider.Flag{}, nil, bot.Errorf(bot.NotFound, "%s has no flags; give a service there a flags table, as config.example.toml shows", environment)
		}
		t = v.flagged(environment)[0] // which says what there is instead
	}
	flagger, err := v.Catalog.Flagger(t)
	if err != nil {
		return provider.Flag{}, nil, err
	}
	f, err := flagger.Get(ctx, key)
	return f, flagger, err
}

// may reports whether the caller holds the permission on a flag now.
func (v *verbs) may(c bot.Call, p bot.Permission, r bot.Resource) bool {
	return v.Policy.Decide(bot.Request{Who: c.Who, Permission: p, Resources: []bot.Resource{r}, Channel: c.Channel, At: c.At}).Allowed
}

// planned makes the plan of one change.
func (v *verbs) planned(c bot.Call, verb string, was, to provider.Flag, preview ...bot.Field) (bot.Plan, error) {
	change := provider.FlagChange{Target: to.Target, Key: to.Key, From: was.Revision, To: &to, Text: flag.Difference(was, to)}
	if was.Revision == "" {
		change.From = provider.NoFlag
	}
	spec, err := bot.NewSpec(flag.Kind, verb, to.Target, []bot.Resource{to.Resource()}, flag.Changes{Changes: []provider.FlagChange{change}})
	if err != nil {
		return bot.Plan{}, err
	}
	return bot.Plan{
		Spec: spec, Slot: flag.Slot(to.Target, to.Key), Subject: flag.Subject(to.Target, to.Key), Guarded: true,
		Preconditions: flag.Facts(v.Catalog, change),
		Summary:       fmt.Sprintf("%s %s in %s", verb, to.Key, to.Target.Environment),
		Preview:       append([]bot.Field{{Name: to.Key, Value: change.Text}}, preview...),
		Undo:          undo(was, to),
	}, nil
}

// undo gives the line that takes a change back.
func undo(was, to provider.Flag) string {
	only := to.Copy()
	only.On = was.On
	at := to.Key + " " + to.Target.Environment
	switch {
	case was.Revision == "":
		return "flag archive " + to.Key
	case flag.Difference(was, only) != "" || was.On == to.On:
		return "flag undo " + at
	case was.On:
		return "flag on " + at
	}
	return "flag off " + at
}

// reaches says in words whom a flag reaches, for show.
func reaches(f provider.Flag) []bot.Field {
	fields := []bot.Field{{Name: f.Target.Environment, Value: f.Reach()}}
	for _, r := range f.Rules {
		fields = append(fields, bot.Field{Name: "rule", Value: fmt.Sprintf("%s: %s", flag.Says(r.If), r.Variant)})
	}
	if f.On && len(f.Rings) > 0 {
		var names []string
		for _, r := range f.Rings {
			names = append(names, r.Name)
		}
		fields = append(fields, bot.Field{Name: "rings", Value: strings.Join(names, ", ")})
	}
	return fields
}
