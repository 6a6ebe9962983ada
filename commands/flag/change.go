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

func (v *verbs) on() bot.Command  { return v.turn("flag on", true) }
func (v *verbs) off() bot.Command { return v.turn("flag off", false) }

// turn makes the command that turns a flag on or off and leaves the rest as it is.
func (v *verbs) turn(name string, on bool) bot.Command {
	summary := "turn a flag off; nobody is asked twice by flag kill"
	help := "Everybody gets the value for off, and flag on brings back what was there."
	if on {
		summary = "turn a flag on, for those whom it is set to reach"
		help = "A flag that was never set to reach fewer people reaches everybody."
	}
	return bot.Command{
		Name: name, Summary: summary, Help: help,
		Examples:   []string{name + " new-checkout prod"},
		Params:     []bot.Param{v.knownParam(), environmentParam(false)},
		Permission: bot.MaySetFlag,
		Resolve:    v.resolve(bot.MaySetFlag),
		Plan: func(ctx context.Context, c bot.Call) (bot.Plan, error) {
			was, _, err := v.get(ctx, c.Args["environment"], c.Args["flag"])
			if err != nil {
				return bot.Plan{}, err
			}
			to := was.Copy()
			to.On = on
			return v.changing(c, name, was, to)
		},
	}
}

// changing is planned for a change that may be none.
func (v *verbs) changing(c bot.Call, verb string, was, to provider.Flag, preview ...bot.Field) (bot.Plan, error) {
	p, err := v.planned(c, verb, was, to, preview...)
	if err == nil && flag.Difference(was, to) == "" {
		p.Noop = fmt.Sprintf("%s in %s is %s already", to.Key, to.Target.Environment, to.Reach())
	}
	return p, err
}

func (v *verbs) set() bot.Command {
	return bot.Command{
		Name:    "flag set",
		Summary: "set whom a flag reaches: a ring, a percentage, a variant",
		Help: "STEP is a percentage such as 25%, a ring, on, off, or the name of a variant, which everybody gets then; a variant with a percentage " +
			"behind it goes to so many. Nobody who was reached leaves when a percentage is raised. With --if the variant goes to those alone for whom " +
			"it holds, before all else; --no-rules takes such rules away. --value gives the variant another value.",
		Examples: []string{"flag set new-checkout prod 25%", "flag set new-checkout prod beta", "flag set theme prod dark 10%",
			`flag set theme prod dark --if "country is DE, AT"`, `flag set theme prod dark --value '"#111"'`},
		Params: []bot.Param{v.knownParam(), environmentParam(false),
			{Name: "step", Type: bot.TypeText, Help: "25%, a ring, on, off or a variant"},
			{Name: "share", Type: bot.TypeText, Optional: true, Help: "of a variant: a percentage or a ring"}},
		Options: []bot.Param{
			{Name: "if", Type: bot.TypeText, Help: "whom the variant goes to: country is DE, AT; email ends @example.com; version begins 2."},
			{Name: "no-rules", Type: bot.TypeFlag, Help: "take the rules made by --if away"},
			{Name: "value", Type: bot.TypeText, Help: "another value of the variant, as JSON"},
		},
		Permission: bot.MaySetFlag,
		Resolve:    v.resolve(bot.MaySetFlag),
		Plan: func(ctx context.Context, c bot.Call) (bot.Plan, error) {
			was, flagger, err := v.get(ctx, c.Args["environment"], c.Args["flag"])
			if err != nil {
				return bot.Plan{}, err
			}
			to, err := stepped(was, flagger.Powers(), c.Args)
			if err != nil {
				return bot.Plan{}, err
			}
			return v.changing(c, "flag set", was, to)
		},
	}
}

// stepped gives the flag as the arguments of flag set want it.
func stepped(was provider.Flag, powers provider.FlagPowers, args bot.Args) (provider.Flag, error) {
	step, share := args["step"], args["share"]
	_, variant := was.Value(step)
	if args["no-rules"] != "" {
		was.Rules = nil
	}
	switch {
	case !variant && (args["if"] != "" || args["value"] != "" || share != ""):
		return was, bot.Errorf(bot.Invalid, "%q is no variant of %s, which that needs; it has: %s", step, was.Key, strings.Join(was.VariantNames(), ", "))
	case args["value"] != "":
		to := was.Copy()
		value, err := valueOf(was.Type, args["value"])
		if err != nil {
			return was, err
		}
		for i := range to.Variants {
			if to.Variants[i].Name == step {
				to.Variants[i].Value = value
			}
		}
		return to, nil
	case args["if"] != "":
		if !powers.Rules {
			return was, bot.Errorf(bot.Invalid, "where %s is kept there are no rules; leave --if out", was.Key)
		}
		rule, err := flag.ParseRule(args["if"], step)
		if err != nil {
			return was, err
		}
		to := was.Copy()
		to.On, to.Rules = true, append(to.Rules, rule)
		return to, nil
	case share != "":
		if step == was.Off {
			return was, bot.Errorf(bot.Invalid, "%s is what everybody else gets; say how many get another variant", step)
		}
		s, err := flag.Parse(share, was, powers)
		if err != nil {
			return was, err
		}
		if s.Rank < 0 {
			return was, bot.Errorf(bot.Invalid, "%q is no percentage and no ring", share)
		}
		to := s.Apply(was)
		to.Variant = step
		return to, nil
	}
	s, err := flag.Parse(step, was, powers)
	if err != nil {
		return was, err
	}
	return s.Apply(was), nil
}

func (v *verbs) kill() bot.Command {
	return bot.Command{
		Name:    "flag kill",
		Summary: "turn a flag off at once, everywhere unless ENV says where",
		Help: "The way back of flags: it waits for nothing, passes locks, freezes and a halt, and is asked about only where a rule names flag.kill itself. " +
			"A ramp that is under way is over.",
		Examples:   []string{"flag kill new-checkout", "flag kill new-checkout prod"},
		Params:     []bot.Param{v.knownParam(), environmentParam(true)},
		Permission: bot.MayKillFlag,
		Urgent:     true,
		Resolve:    v.everywhere(bot.MayKillFlag),
		Plan: func(ctx context.Context, c bot.Call) (bot.Plan, error) {
			key, where := c.Args["flag"], []string{c.Args["environment"]}
			if where[0] == "" {
				where = v.where(key)
			}
			p := bot.Plan{Slot: "flag " + key + " everywhere", Summary: "kill " + key + " everywhere", WayBack: true}
			var changes flag.Changes
			var resources []bot.Resource
			var missing error
			var target bot.Target
			slices.Reverse(where) // what is last in the order matters most
			for _, environment := range where {
				f, _, err := v.get(ctx, environment, key)
				switch bot.KindOf(err) {
				case bot.NotFound:
					missing = err
					continue
				case "":
					if !f.On {
						p.Preview = append(p.Preview, bot.Field{Name: environment, Value: "off already"})
						missing = nil
						continue
					}
					p.Preview = append(p.Preview, bot.Field{Name: environment, Value: f.Reach() + " -> off"})
				default: // it cannot be read, and is to be off all the same
					f = provider.Flag{Key: key, Target: v.target(environment, key)}
					p.Preview = append(p.Preview, bot.Field{Name: environment, Value: "off"})
					p.Warnings = append(p.Warnings, fmt.Sprintf("%s: %s", environment, bot.Sentence(err, c.ID)))
				}
				target = f.Target
				changes.Changes = append(changes.Changes, provider.FlagChange{Target: f.Target, Key: key, Text: "off"})
				resources = append(resources, bot.FlagResource(environment, key))
				p.Subjects = append(p.Subjects, flag.Subject(f.Target, key))
			}
			if len(changes.Changes) == 0 && len(p.Preview) == 0 {
				return bot.Plan{}, missing
			}
			if len(changes.Changes) == 0 {
				p.Noop, p.Slot = key+" is off already", ""
				return p, nil
			}
			p.Undo = "flag undo " + key
			if c.Args["environment"] != "" {
				p.Slot, p.Summary, p.Undo = flag.Slot(target, key), "kill "+key+" in "+where[0], "flag on "+key+" "+where[0]
			} else {
				target = bot.Target{}
			}
			var err error
			p.Spec, err = bot.NewSpec(flag.Kind, "flag kill", target, resources, changes)
			return p, err
		},
	}
}

func (v *verbs) undo() bot.Command {
	return bot.Command{
		Name:    "flag undo",
		Summary: "take back the last change of a flag",
		Help: "It becomes what it was before, whole. Without ENV that is done in every environment that the last change was made in. " +
			"Taken back twice, it is as it was.",
		Examples:   []string{"flag undo new-checkout prod", "flag undo new-checkout"},
		Params:     []bot.Param{v.knownParam(), environmentParam(true)},
		Permission: bot.MaySetFlag,
		Resolve:    v.everywhere(bot.MaySetFlag),
		Plan: func(ctx context.Context, c bot.Call) (bot.Plan, error) {
			was, before, err := v.last(ctx, c)
			if err != nil {
				return bot.Plan{}, err
			}
			if len(was) == 1 {
				p, err := v.changing(c, "flag undo", was[0], before[0])
				p.Undo = fmt.Sprintf("flag undo %s %s", was[0].Key, was[0].Target.Environment)
				return p, err
			}
			p := bot.Plan{Slot: "flag " + was[0].Key + " everywhere", Summary: "flag undo " + was[0].Key, Guarded: true, Undo: "flag undo " + was[0].Key}
			var changes flag.Changes
			var resources []bot.Resource
			for i := range was {
				one, err := v.planned(c, "flag undo", was[i], before[i])
				if err != nil {
					return p, err
				}
				p.Preconditions = append(p.Preconditions, one.Preconditions[:1]...)
				p.Preview = append(p.Preview, bot.Field{Name: was[i].Target.Environment, Value: flag.Difference(was[i], before[i])})
				p.Subjects = append(p.Subjects, one.Subject)
				changes.Changes = append(changes.Changes, provider.FlagChange{Target: was[i].Target, Key: was[i].Key, From: was[i].Revision, To: &before[i], Text: flag.Difference(was[i], before[i])})
				resources = append(resources, was[i].Resource())
			}
			p.Spec, err = bot.NewSpec(flag.Kind, "flag undo", bot.Target{}, resources, changes)
			return p, err
		},
	}
}

// last gives the flags of the newest change that the call is about, as they are and
// as they were before it.
func (v *verbs) last(ctx context.Context, c bot.Call) (was, before []provider.Flag, err error) {
	key, where := c.Args["flag"], []string{c.Args["environment"]}
	if where[0] == "" {
		where = v.where(key)
	}
	var newest provider.Flag
	for _, environment := range where {
		f, flagger, err := v.get(ctx, environment, key)
		if err != nil {
			return nil, nil, err
		}
		h, keeps := flagger.(provider.FlagHistorian)
		if !keeps {
			return nil, nil, bot.Errorf(bot.Invalid, "what %s was before is not kept in %s; set it as it is to be", key, environment)
		}
		versions, err := h.Versions(ctx, key, 2)
		if err != nil {
			return nil, nil, err
		}
		if len(versions) < 2 || versions[1].Archived {
			continue // it was made by its last change
		}
		if f.Changed.At.After(newest.Changed.At) {
			newest = f
		}
		old := versions[1]
		old.Revision = f.Revision // not compared, and so not a difference
		was, before = append(was, f), append(before, old)
	}
	made := func(f provider.Flag) string { s, _, _ := strings.Cut(f.Changed.Key, "/"); return s }
	for i := len(was) - 1; i >= 0; i-- {
		if made(was[i]) != made(newest) {
			was, before = slices.Delete(was, i, i+1), slices.Delete(before, i, i+1)
		}
	}
	if len(was) == 0 {
		return nil, nil, bot.Errorf(bot.NotFound, "nothing was changed since %s was made; flag archive takes it out of use", key)
	}
	return was, before, nil
}
