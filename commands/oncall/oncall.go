// Package oncall is the verbs about who is on call.
package oncall

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/nearest"
	"quarterdeck/bot/oncall"
	"quarterdeck/bot/page"
)

const (
	shown   = 14 * 24 * time.Hour
	longest = 60 * 24 * time.Hour
	most    = 6 // turns of one schedule
)

// All makes the commands.
func All(k *page.Keeper, z bot.Zone) []bot.Command {
	return []bot.Command{who(k, z), override(k), end(k)}
}

func resource(name string) bot.Resource { return bot.Resource(bot.KindSchedule + ":" + name) }

func who(k *page.Keeper, z bot.Zone) bot.Command {
	return bot.Command{
		Name: "oncall", Summary: "who is on call, and who is next", Examples: []string{"oncall", "oncall primary"},
		Params:     []bot.Param{{Name: "schedule", Type: bot.TypeText, Optional: true, Help: "only this schedule"}},
		Permission: bot.MaySeeOnCall,
		Resolve: func(c bot.Call) (bot.Ask, error) {
			name := c.Args["schedule"]
			if name == "" {
				name = "all"
			}
			return bot.Ask{Permission: bot.MaySeeOnCall, Resources: []bot.Resource{resource(name)}}, nil
		},
		Read: func(ctx context.Context, c bot.Call) (bot.Reply, error) {
			if err := k.Configured(); err != nil {
				return bot.Reply{}, err
			}
			names := k.Schedules()
			if name := c.Args["schedule"]; name != "" {
				names = []string{name}
			}
			if len(names) == 0 {
				return bot.Reply{Card: bot.Card{Title: "there is no schedule; pages go to the persons that a policy names"}}, nil
			}
			table := &bot.Table{Columns: []string{"SCHEDULE", "WHO", "FROM", "UNTIL"}}
			for _, name := range names {
				turns, over, err := k.Turns(ctx, name, shown)
				if err != nil {
					return bot.Reply{}, err
				}
				for i, t := range turns[:min(len(turns), most)] {
					person := t.Person
					if person == "" {
						person = "nobody"
					}
					if slices.ContainsFunc(over, func(o oncall.Override) bool { return o.Schedule == name && o.Person == t.Person && o.Holds(t.From) }) {
						person += " (override)"
					}
					from := z.Minute(t.From)
					if i == 0 {
						from = "now"
					}
					table.Rows = append(table.Rows, []string{name, person, from, z.Minute(t.Until)})
				}
			}
			return bot.Reply{Card: bot.Card{Title: "on call", Table: table, Footer: z.Note()}}, nil
		},
	}
}

func override(k *page.Keeper) bot.Command {
	return bot.Command{
		Name: "oncall override", Summary: "put somebody on call for a while",
		Help:     "The newest override that holds at a time wins over the rotation. Times are of the schedule's zone.",
		Examples: []string{"oncall override primary dev-two --for 12h", `oncall override primary dev-two --from "2026-11-24 22:00" --for 8h`},
		Params: []bot.Param{
			{Name: "schedule", Type: bot.TypeText, Help: "which schedule"},
			{Name: "person", Type: bot.TypePerson, Help: "who is on call meanwhile"},
		},
		Options: []bot.Param{
			{Name: "for", Type: bot.TypeDuration, Help: "how long, a minute to 60 days; 12 hours unless given"},
			{Name: "from", Type: bot.TypeText, Help: `since when, such as "2026-11-24 22:00"; now unless given`},
		},
		Permission: bot.MayPutOnCall,
		Resolve: func(c bot.Call) (bot.Ask, error) {
			return bot.Ask{Permission: bot.MayPutOnCall, Resources: []bot.Resource{resource(c.Args["schedule"])}}, nil
		},
		Plan: func(_ context.Context, c bot.Call) (bot.Plan, error) {
			if err := k.Configured(); err != nil {
				return bot.Plan{}, err
			}
			name, person := c.Args["schedule"], c.Args["person"]
			if names := k.Schedules(); !slices.Contains(names, name) {
				say := fmt.Sprintf("there is no schedule %q", name)
				if near := nearest.Of(name, names); near != "" {
					say += fmt.Sprintf("; did you mean %q?", near)
				}
				return bot.Plan{}, bot.Errorf(bot.Invalid, "%s", say)
			}
			length := 12 * time.Hour
			if s := c.Args["for"]; s != "" {
				d, err := time.ParseDuration(s)
				if err != nil || d < time.Minute || d > longest {
					return bot.Plan{}, bot.Errorf(bot.Invalid, "an override lasts between a minute and 60 days; type --for 12h")
				}
				length = d
			}
			from := c.At
			if s := c.Args["from"]; s != "" {
				t, err := oncall.ParseStart(s)
				if err != nil {
					return bot.Plan{}, err
				}
				from = oncall.Wall(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), k.Zoned(name)).UTC()
			}
			o := oncall.Override{Schedule: name, Person: person, From: from, Until: from.Add(length)}
			if !o.Until.After(c.At) {
				return bot.Plan{}, bot.Errorf(bot.Invalid, "that override would be over already")
			}
			spec, err := bot.NewSpec(page.Kind, "oncall override", bot.Target{}, []bot.Resource{resource(name)}, page.Change{Action: page.ActOverride, Override: &o})
			return bot.Plan{Spec: spec, Slot: "overrides", Summary: fmt.Sprintf("put %s on call by %s for %s", person, name, bot.Span(length)),
				Preview: []bot.Field{{Name: "from", Value: o.From.In(k.Zoned(name)).Format("2006-01-02 15:04 MST")}, {Name: "until", Value: o.Until.In(k.Zoned(name)).Format("2006-01-02 15:04 MST")}}}, err
		},
	}
}

func end(k *page.Keeper) bot.Command {
	return bot.Command{
		Name: "oncall end", Summary: "end an override", Examples: []string{"oncall end 3"},
		Params:     []bot.Param{{Name: "number", Type: bot.TypeCount, Help: "its number, as it was said when it was made"}},
		Permission: bot.MayPutOnCall,
		Resolve: func(c bot.Call) (bot.Ask, error) {
			return bot.Ask{Permission: bot.MayPutOnCall, Resources: []bot.Resource{resource("override-" + c.Args["number"])}}, nil
		},
		Plan: func(_ context.Context, c bot.Call) (bot.Plan, error) {
			if err := k.Configured(); err != nil {
				return bot.Plan{}, err
			}
			n, err := strconv.ParseInt(c.Args["number"], 10, 64)
			if err != nil || n == 0 {
				return bot.Plan{}, bot.Errorf(bot.Invalid, "overrides are numbered from 1")
			}
			spec, err := bot.NewSpec(page.Kind, "oncall end", bot.Target{}, []bot.Resource{resource("override-" + c.Args["number"])}, page.Change{Action: page.ActEndOverride, Page: n})
			return bot.Plan{Spec: spec, Slot: "overrides", Summary: fmt.Sprintf("end override %d", n)}, err
		},
	}
}
