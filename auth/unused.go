package auth

import (
	"fmt"
	"slices"
	"strings"

	"quarterdeck/bot"
)

// Use is one right that was used: by whom, with the roles that they hold now.
type Use struct {
	Person     string
	Roles      []string
	Permission bot.Permission
	Resource   bot.Resource // "" for whatever the right is held on
}

// Unused gives, in a sentence each and in the order of the configuration, what
// grants permit and none of the uses needed. It asks whether a grant would permit
// a use, and not which one did: where two do, neither is told of. Channels and
// hours are not asked about.
func (p *Policy) Unused(uses []Use) []string {
	const most = 6 // names of permissions in one sentence
	var lines []string
	for i, g := range p.rules.Grants {
		targets, flags := parsed(g.Targets), parsed(g.Flags)
		var idle []string
		held := 0
		for _, info := range p.permissions {
			name := string(info.Name)
			if !slices.ContainsFunc(g.Permissions, func(pattern string) bool { return p.match.covers(pattern, name) }) {
				continue
			}
			held++
			if !slices.ContainsFunc(uses, func(u Use) bool { return u.Permission == info.Name && speaksOf(g, u) && at(u.Resource, targets, flags) }) {
				idle = append(idle, name)
			}
		}
		if len(idle) == 0 {
			continue
		}
		what := strings.Join(idle[:min(most, len(idle))], ", ")
		switch {
		case len(idle) == held && held > 1:
			what = "all of it"
		case len(idle) > most:
			what += fmt.Sprintf(" and %d more", len(idle)-most)
		}
		who := strings.Join(slices.Concat(g.Roles, g.Persons), ", ")
		where := strings.Join(slices.Concat(g.Targets, g.Flags), ", ")
		if where != "" {
			where = " on " + where
		}
		lines = append(lines, fmt.Sprintf("%s, %s%s: %s", p.grants[i].label, who, where, what))
	}
	return lines
}

func parsed(patterns []string) (all []pattern) {
	for _, s := range patterns {
		if p, problem := parsePattern(s); problem == "" {
			all = append(all, p)
		}
	}
	return all
}

func speaksOf(g Grant, u Use) bool {
	return slices.Contains(g.Persons, u.Person) || slices.ContainsFunc(g.Roles, func(role string) bool { return slices.Contains(u.Roles, role) })
}

// at reports whether a grant with these patterns is about the resource.
func at(r bot.Resource, targets, flags []pattern) bool {
	patterns := targets
	switch r.Kind() {
	case bot.KindTarget:
	case bot.KindFlag:
		patterns = flags
	default:
		return true
	}
	first, second, ok := splitName(r.Name())
	return ok && slices.ContainsFunc(patterns, func(p pattern) bool { return p.matches(first, second) })
}
