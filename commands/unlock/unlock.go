// Package unlock is the verb that ends a lock.
package unlock

import (
	"context"
	"fmt"

	"quarterdeck/bot"
	"quarterdeck/bot/guard"
)

// New makes the command.
func New(k *guard.Keeper) bot.Command {
	return bot.Command{
		Name:    "unlock",
		Summary: "end a lock",
		Help:    "Ends your own lock; another person's with --override and the right to take locks.",
		Examples: []string{
			"unlock shop prod", `unlock shop prod --override "they went home"`,
		},
		Params: []bot.Param{
			{Name: "service", Type: bot.TypeService, Help: "what to unlock"},
			{Name: "environment", Type: bot.TypeEnvironment, Help: "where"},
		},
		Permission: bot.MayLock,
		Resolve: func(c bot.Call) (bot.Ask, error) {
			t := c.Args.Target()
			return bot.Ask{Permission: bot.MayLock, Resources: []bot.Resource{t.Resource()}, Target: t}, nil
		},
		Plan: func(ctx context.Context, c bot.Call) (bot.Plan, error) {
			t := c.Args.Target()
			held, err := k.Lock(ctx, t)
			if err != nil {
				return bot.Plan{}, err
			}
			if !held.Standing(c.At) {
				return bot.Plan{Summary: "unlock " + t.String(), Noop: t.String() + " is not locked"}, nil
			}
			spec, err := bot.NewSpec(guard.Kind, "unlock", t, []bot.Resource{t.Resource()}, guard.Change{Action: guard.ReleaseLock, Target: t})
			if err != nil {
				return bot.Plan{}, err
			}
			p := bot.Plan{Spec: spec, Slot: t.String() + " unlock", Summary: "unlock " + t.String(), Undo: fmt.Sprintf("lock %s %s", t.Service, t.Environment),
				Preview: []bot.Field{{Name: "now", Value: held.String()}}}
			if held.Next != "" {
				p.Preview = append(p.Preview, bot.Field{Name: "next", Value: held.Next})
			}
			if held.Person != c.Who.Person {
				p.Obstacles = []bot.Obstacle{{Permission: bot.MayStealLock, Text: fmt.Sprintf("%s is %s", t, held)}}
			}
			return p, nil
		},
	}
}
