// Package lock is the verb that keeps others from changing a target for a while.
package lock

import (
	"context"
	"fmt"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/guard"
)

const (
	usual   = time.Hour
	longest = 7 * 24 * time.Hour
)

// New makes the command.
func New(k *guard.Keeper, clock bot.Clock) bot.Command {
	return bot.Command{
		Name:    "lock",
		Summary: "keep others from changing a target for a while",
		Help: "Nobody but you deploys, restarts or scales there until the lock ends, by itself after an hour unless --for says otherwise. " +
			"Rollbacks pass. When somebody else holds it you wait for it, in line; --steal takes it at once.",
		Examples: []string{`lock shop prod --reason "moving the database"`, "lock shop/prod --for 3h", `lock shop prod --steal --reason "they went home"`},
		Params: []bot.Param{
			{Name: "service", Type: bot.TypeService, Help: "what to lock"},
			{Name: "environment", Type: bot.TypeEnvironment, Help: "where"},
		},
		Options: []bot.Param{
			{Name: "for", Type: bot.TypeDuration, Help: "how long, at most a week; an hour unless given"},
			{Name: "steal", Type: bot.TypeFlag, Help: "take it from whoever holds it"},
		},
		Permission: bot.MayLock,
		Resolve: func(c bot.Call) (bot.Ask, error) {
			t := c.Args.Target()
			ask := bot.Ask{Permission: bot.MayLock, Resources: []bot.Resource{t.Resource()}, Target: t}
			if c.Args["steal"] != "" {
				ask.Permission = bot.MayStealLock
			}
			return ask, nil
		},
		Plan: func(ctx context.Context, c bot.Call) (bot.Plan, error) {
			t, last := c.Args.Target(), usual
			if s := c.Args["for"]; s != "" {
				d, err := time.ParseDuration(s)
				if err != nil || d < time.Minute || d > longest {
					return bot.Plan{}, bot.Errorf(bot.Invalid, "a lock lasts between a minute and a week; type --for 2h")
				}
				last = d
			}
			held, err := k.Lock(ctx, t)
			if err != nil {
				return bot.Plan{}, err
			}
			change := guard.Change{Action: guard.TakeLock, Target: t, For: last}
			slot := t.String() + " lock"
			if c.Args["steal"] != "" {
				change.Action, slot = guard.StealLock, t.String()+" lock taken"
			}
			spec, err := bot.NewSpec(guard.Kind, "lock", t, []bot.Resource{t.Resource()}, change)
			if err != nil {
				return bot.Plan{}, err
			}
			p := bot.Plan{Spec: spec, Slot: slot, Summary: fmt.Sprintf("lock %s", t), Undo: fmt.Sprintf("unlock %s %s", t.Service, t.Environment),
				Preview: []bot.Field{{Name: "for", Value: bot.Span(last)}}}
			if held.Standing(c.At) {
				p.Preview = append(p.Preview, bot.Field{Name: "now", Value: held.String()})
			}
			return p, nil
		},
		Workflows: []bot.Workflow{guard.NewWorkflow(k, clock)},
	}
}
