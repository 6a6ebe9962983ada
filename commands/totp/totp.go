// Package totp is the verbs about one's own authenticator, whose one-time codes
// rules with step_up ask for, and the one that ends another person's.
package totp

import (
	"context"

	"quarterdeck/bot"
	"quarterdeck/bot/stepup"
)

// All gives the commands. A nil Keeper is one where nothing is configured.
func All(k *stepup.Keeper) []bot.Command {
	return []bot.Command{enrol(k), confirm(k), reset(k)}
}

func enrol(k *stepup.Keeper) bot.Command {
	return bot.Command{
		Name:       "totp enrol",
		Summary:    "enrol your authenticator",
		Help:       "Shows a secret to you alone, once, for an authenticator app. It counts when you have typed its first code: totp confirm 123456. To enrol another one, show a code of the present one with --code.",
		Examples:   []string{"totp enrol", "totp enrol --code 123456"},
		Permission: bot.MayAskSelf,
		Private:    true,
		Resolve:    bot.AskSelf,
		Answer: func(ctx context.Context, c bot.Call) (bot.Reply, error) {
			return bot.Reply{}, k.Enrol(ctx, c)
		},
	}
}

func confirm(k *stepup.Keeper) bot.Command {
	return bot.Command{
		Name:       "totp confirm",
		Summary:    "confirm your authenticator by its first code",
		Examples:   []string{"totp confirm 123456"},
		Params:     []bot.Param{{Name: "code", Type: bot.TypeCode, Optional: true, Help: "what the authenticator shows now"}},
		Permission: bot.MayAskSelf,
		Private:    true,
		Resolve:    bot.AskSelf,
		Answer: func(ctx context.Context, c bot.Call) (bot.Reply, error) {
			return bot.Reply{}, k.Confirm(ctx, c)
		},
	}
}

func reset(k *stepup.Keeper) bot.Command {
	return bot.Command{
		Name:       "totp reset",
		Summary:    "end another person's second factor",
		Help:       "For somebody who lost their authenticator, or whose codes are locked: they can enrol anew then. Nobody resets their own. Be sure who asks, by a call or in person.",
		Examples:   []string{`totp reset dev-one --reason "lost their phone, I called them"`},
		Params:     []bot.Param{{Name: "person", Type: bot.TypePerson, Help: "whose"}},
		Permission: bot.MayResetTOTP,
		Resolve: func(bot.Call) (bot.Ask, error) {
			return bot.Ask{Permission: bot.MayResetTOTP, Resources: []bot.Resource{bot.TheBot}}, nil
		},
		Plan: func(ctx context.Context, c bot.Call) (bot.Plan, error) {
			return k.PlanReset(ctx, c, c.Args["person"])
		},
		Workflows: []bot.Workflow{stepup.NewResetWorkflow(k)},
	}
}
