package app

import (
	"fmt"
	"maps"
	"slices"

	"quarterdeck/auth"
	"quarterdeck/bot"
)

// Change is one sentence of a review.
type Change = auth.Change

// Review says what the configuration of a changes against that of old: who may
// do more and who less, and what it takes, by asking both policies; beside that
// the order of environments, freezes, and what is run for a target. What widens
// comes first.
func (a *App) Review(old *App) []Change {
	changes := auth.Review(old.side(), a.side())
	for _, env := range slices.Sorted(maps.Keys(old.Config.After)) {
		if a.Config.After[env] != old.Config.After[env] {
			changes = append(changes, Change{Wider: true, Text: fmt.Sprintf("%s no longer comes after %s", env, old.Config.After[env])})
		}
	}
	for _, env := range slices.Sorted(maps.Keys(a.Config.After)) {
		if a.Config.After[env] != old.Config.After[env] {
			changes = append(changes, Change{Text: fmt.Sprintf("%s comes after %s", env, a.Config.After[env])})
		}
	}
	was, is := old.frozen(), a.frozen()
	for _, f := range was {
		if !slices.Contains(is, f) {
			changes = append(changes, Change{Wider: true, Text: f + " no longer"})
		}
	}
	for _, f := range is {
		if !slices.Contains(was, f) {
			changes = append(changes, Change{Text: f})
		}
	}
	var other []string
	for _, t := range a.Catalog.Targets() {
		if old.Catalog.Has(t) && old.Catalog.Digest(t) != a.Catalog.Digest(t) {
			other = append(other, t.String())
		}
	}
	if n := len(other); n > 0 {
		const most = 6
		text := fmt.Sprintf("what is run to deploy is configured otherwise for %d: ", n)
		for i, t := range other[:min(n, most)] {
			if i > 0 {
				text += ", "
			}
			text += t
		}
		if n > most {
			text += fmt.Sprintf(" and %d more", n-most)
		}
		changes = append(changes, Change{Text: text})
	}
	slices.SortStableFunc(changes, func(x, y Change) int {
		switch {
		case x.Wider == y.Wider:
			return 0
		case x.Wider:
			return -1
		}
		return 1
	})
	return changes
}

// frozen says of each environment when it is frozen every week.
func (a *App) frozen() (all []string) {
	for _, f := range a.Config.Freezes {
		for _, env := range f.Environments {
			all = append(all, fmt.Sprintf("%s is frozen every %s (%s)", env, f.Every, a.Config.Bot.Location))
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// side gives people and rules as a review asks about them. Who is in a group is
// not known before the bot runs, so that a group stands for whoever is.
func (a *App) side() auth.Side {
	s := auth.Side{Policy: a.Policy, Targets: a.Catalog.Targets()}
	groups := map[string][]string{}
	for _, role := range a.Directory.Roles() {
		for _, g := range a.Directory.GroupsOf(role) {
			groups[g] = append(groups[g], role)
		}
	}
	for _, name := range a.Directory.Persons() {
		p, _ := a.Directory.Person(name)
		s.People = append(s.People, auth.Subject{Name: name, Person: name, Accounts: slices.Clone[[]bot.AccountID](p.Accounts), Roles: p.Roles, Disabled: p.Disabled})
	}
	for _, p := range a.Directory.Principals() {
		s.People = append(s.People, auth.Subject{Name: p, Person: p, Accounts: []bot.AccountID{bot.ClockAccount(p)}})
	}
	for _, g := range slices.Sorted(maps.Keys(groups)) {
		s.People = append(s.People, auth.Subject{Name: "whoever is in " + g, Roles: groups[g]})
	}
	return s
}
