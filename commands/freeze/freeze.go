// Package freeze is the verbs about freezes: times during which an environment
// is left alone.
package freeze

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/guard"
	"quarterdeck/bot/provider"
)

const longest = 90 * 24 * time.Hour

func resolve(p bot.Permission) func(bot.Call) (bot.Ask, error) {
	return func(bot.Call) (bot.Ask, error) {
		return bot.Ask{Permission: p, Resources: []bot.Resource{bot.TheBot}}, nil
	}
}

// All makes the commands.
func All(k *guard.Keeper, c *provider.Catalog, p bot.Policy, z bot.Zone) []bot.Command {
	return []bot.Command{list(k, c, p, z), add(k), end(k)}
}

func list(k *guard.Keeper, c *provider.Catalog, policy bot.Policy, z bot.Zone) bot.Command {
	return bot.Command{
		Name:       "freeze list",
		Summary:    "which freezes stand",
		Examples:   []string{"freeze list"},
		Permission: bot.MaySeeStatus,
		Resolve:    bot.AskSelf, // every environment is checked by itself
		Read: func(ctx context.Context, call bot.Call) (bot.Reply, error) {
			seen := map[string]bool{}
			for _, t := range bot.Permitted(policy, call, bot.MaySeeStatus, c.Targets()) {
				seen[t.Environment] = true
			}
			if len(seen) == 0 {
				return bot.Reply{}, bot.Errorf(bot.Denied, "no grant lets you see the status of anything")
			}
			s, err := k.Look(ctx, call.At)
			if err != nil {
				return bot.Reply{}, err
			}
			s.Freezes = slices.DeleteFunc(s.Freezes, func(f guard.Freeze) bool { return !seen[f.Environment] })
			var weekly []string
			for environment, says := range s.Weekly {
				if seen[environment] {
					weekly = append(weekly, says...)
				}
			}
			slices.Sort(weekly)
			if len(s.Freezes) == 0 && len(weekly) > 0 {
				return bot.Reply{Card: bot.Card{Title: "freezes", Text: strings.Join(weekly, "\n")}}, nil
			}
			if len(s.Freezes) == 0 {
				return bot.Reply{Card: bot.Card{Title: "nothing is frozen"}}, nil
			}
			table := &bot.Table{Columns: []string{"FREEZE", "ENVIRONMENT", "BY", "UNTIL", "WHY"}}
			for _, f := range s.Freezes {
				until := "it is ended"
				if !f.Until.IsZero() {
					until = z.Minute(f.Until)
				}
				table.Rows = append(table.Rows, []string{strconv.FormatInt(f.Number, 10), f.Environment, f.Person, until, f.Reason})
			}
			return bot.Reply{Card: bot.Card{Title: "freezes", Table: table, Text: strings.Join(weekly, "\n"), Footer: z.Note()}}, nil
		},
	}
}

func add(k *guard.Keeper) bot.Command {
	return bot.Command{
		Name:    "freeze add",
		Summary: "leave an environment alone for a while",
		Help: "Nothing is deployed, restarted or scaled there until the freeze ends: after --for, or when somebody ends it. " +
			"It is judged when a change acts. Rollbacks pass; holders of freeze.override pass with --override.",
		Examples: []string{`freeze add prod --for 12h --reason "the sale"`, `freeze add prod --reason "the auditors are here"`},
		Params:   []bot.Param{{Name: "environment", Type: bot.TypeEnvironment, Help: "what to leave alone"}},
		Options:  []bot.Param{{Name: "for", Type: bot.TypeDuration, Help: "how long, at most 90 days; until it is ended unless given"}},

		Permission: bot.MayFreeze,
		Resolve:    resolve(bot.MayFreeze),
		Plan: func(_ context.Context, c bot.Call) (bot.Plan, error) {
			change := guard.Change{Action: guard.AddFreeze, Environment: c.Args["environment"]}
			last := "until it is ended"
			if s := c.Args["for"]; s != "" {
				d, err := time.ParseDuration(s)
				if err != nil || d < time.Minute || d > longest {
					return bot.Plan{}, bot.Errorf(bot.Invalid, "a freeze lasts between a minute and 90 days; type --for 12h")
				}
				change.For, last = d, bot.Span(d)
			}
			if c.Reason == "" {
				return bot.Plan{}, bot.Errorf(bot.Invalid, "whom it stops will ask why; add --reason \"why\"")
			}
			return plan("freeze "+change.Environment, change, bot.Field{Name: "for", Value: last})
		},
	}
}

func end(k *guard.Keeper) bot.Command {
	return bot.Command{
		Name:       "freeze end",
		Summary:    "end a freeze",
		Examples:   []string{"freeze end 2", "freeze end prod"},
		Params:     []bot.Param{{Name: "freeze", Type: bot.TypeText, Help: "its number, as freeze list shows it, or the environment when one stands there"}},
		Permission: bot.MayFreeze,
		Resolve:    resolve(bot.MayFreeze),
		Plan: func(ctx context.Context, c bot.Call) (bot.Plan, error) {
			s, err := k.Look(ctx, c.At)
			if err != nil {
				return bot.Plan{}, err
			}
			f, err := named(s, c.Args["freeze"])
			if err != nil {
				return bot.Plan{}, err
			}
			return plan(fmt.Sprintf("end freeze %d of %s", f.Number, f.Environment),
				guard.Change{Action: guard.EndFreeze, Environment: f.Environment, Freeze: f.Number}, bot.Field{Name: "now", Value: f.String()})
		},
	}
}

// named gives the freeze that people call by its number, or by its environment
// where it is the only one.
func named(s guard.Standing, name string) (guard.Freeze, error) {
	if n, err := strconv.ParseInt(name, 10, 64); err == nil {
		for _, f := range s.Freezes {
			if f.Number == n {
				return f, nil
			}
		}
		return guard.Freeze{}, bot.Errorf(bot.NotFound, "no freeze %d stands; freeze list shows those that do", n)
	}
	var there []guard.Freeze
	var numbers []string
	for _, f := range s.Freezes {
		if f.Environment == name {
			there, numbers = append(there, f), append(numbers, fmt.Sprint(f.Number))
		}
	}
	switch {
	case len(there) == 1:
		return there[0], nil
	case len(there) > 1:
		return guard.Freeze{}, bot.Errorf(bot.Invalid, "several freezes of %s stand; say which: %s", name, strings.Join(numbers, ", "))
	case len(s.Weekly[name]) > 0:
		return guard.Freeze{}, bot.Errorf(bot.NotFound, "%s; that one is the configuration's, and ends by itself", strings.Join(s.Weekly[name], "; "))
	}
	return guard.Freeze{}, bot.Errorf(bot.NotFound, "no freeze of %q stands; freeze list shows those that do", name)
}

// plan makes the plan of a change. What takes it back is said with its result: the
// number of a new freeze, or the reason of one that is made again, is not known
// before.
func plan(summary string, change guard.Change, preview bot.Field) (bot.Plan, error) {
	spec, err := bot.NewSpec(guard.Kind, "freeze", bot.Target{}, []bot.Resource{bot.TheBot}, change)
	return bot.Plan{Spec: spec, Slot: "freezes", Summary: summary, Preview: []bot.Field{preview}}, err
}
