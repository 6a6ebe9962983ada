// Package halt is the verb that stops all changes.
package halt

import (
	"context"

	"quarterdeck/bot"
	"quarterdeck/bot/guard"
)

// New makes the command.
func New(k *guard.Keeper) bot.Command {
	return bot.Command{
		Name:       "halt",
		Summary:    "halt all changes",
		Help:       "Nothing is deployed, restarted or scaled anywhere until somebody types resume. What runs already is finished or cancelled by hand; rollbacks, confirmations and cancellations go on.",
		Examples:   []string{`halt --reason "the payment provider is down"`},
		Permission: bot.MayHalt,
		Resolve: func(bot.Call) (bot.Ask, error) {
			return bot.Ask{Permission: bot.MayHalt, Resources: []bot.Resource{bot.TheBot}}, nil
		},
		Plan: func(ctx context.Context, c bot.Call) (bot.Plan, error) {
			s, err := k.Look(ctx, c.At)
			if err != nil {
				return bot.Plan{}, err
			}
			if s.Halt != "" {
				return bot.Plan{Summary: "halt all changes", Noop: s.Halt}, nil
			}
			spec, err := bot.NewSpec(guard.Kind, "halt", bot.Target{}, []bot.Resource{bot.TheBot}, guard.Change{Action: guard.SetHalt})
			return bot.Plan{Spec: spec, Slot: "halt", Summary: "halt all changes", Undo: "resume"}, err
		},
	}
}
