package directory

import (
	"context"
	"slices"

	"quarterdeck/bot"
)

// personGroups is a source whose members are persons and not accounts.
type personGroups interface {
	holdsPerson(ctx context.Context, group, person string) (bool, error)
}

// lister is a source that can list its groups, so that one which does not exist
// is found before anybody is denied by it.
type lister interface {
	Names() []string
}

// OnCall makes a source of groups of on-call schedules: the person who is on
// call, through whichever account, is a member. Its prefix is "schedule".
func OnCall(s bot.Schedules) Groups { return onCall{s} }

type onCall struct{ bot.Schedules }

// Holds implements Groups: no account is on call by itself.
func (onCall) Holds(context.Context, string, bot.AccountID) (bool, error) { return false, nil }

func (s onCall) holdsPerson(ctx context.Context, group, person string) (bool, error) {
	persons, err := s.OnCall(ctx, group)
	return slices.Contains(persons, person), err
}
