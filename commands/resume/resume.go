// Package resume is the verb that ends a halt.
package resume

import (
	"context"

	"quarterdeck/bot"
	"quarterdeck/bot/guard"
)

// New makes the command.
func New(k *guard.Keeper) bot.Command {
	return bot.Command{
		Name:       "resume",
		Summary:    "end a halt: changes go on",
		Examples:   []string{`resume --reason "it is back"`},
		Permission: bot.MayHalt,
		Resolve: func(bot.Call) (bot.Ask, error) {
			return bot.Ask{Permission: bot.MayHalt, Resources: []bot.Resource{bot.TheBot}}, nil
		},
		Plan: func(ctx context.Context, c bot.Call) (bot.Plan, error) {
			s, err := k.Look(ctx, c.At)
			if err != nil {
				return bot.Plan{}, err
			}
			if s.Halt == "" {
				return bot.Plan{Summary: "resume changes", Noop: "nothing is halted"}, nil
			}
			spec, err := bot.NewSpec(guard.Kind, "resume", bot.Target{}, []bot.Resource{bot.TheBot}, guard.Change{Action: guard.EndHalt})
			return bot.Plan{Spec: spec, Slot: "halt", Summary: "resume changes", Undo: "halt"}, err
		},
	}
}
