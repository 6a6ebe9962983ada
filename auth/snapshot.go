package auth

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// SnapshotVersion is the version of the form that Snapshot has.
const SnapshotVersion = 1

// Snapshot is who there is and what the rules say, in a canonical form: equal
// configurations give equal JSON, whatever the order they are written in. It
// is kept from one start to the next so that a change can be recorded.
type Snapshot struct {
	V      int               `json:"v"`
	Zone   string            `json:"zone"`
	People map[string]string `json:"people"` // name -> accounts and roles
	Roles  map[string]string `json:"roles"`  // name -> groups
	Rules  []string          `json:"rules"`  // sorted
}

// Snapshot describes the policy together with what the directory describes.
func (p *Policy) Snapshot(people, roles map[string]string) Snapshot {
	return Snapshot{V: SnapshotVersion, Zone: p.zone.String(), People: people, Roles: roles, Rules: p.Describe()}
}

// Describe writes every rule in full as one line, sorted. Where a rule stands
// is not in it.
func (p *Policy) Describe() []string {
	var lines []string
	for _, g := range p.rules.Grants {
		lines = append(lines, canonical("grant", part("roles", g.Roles), part("persons", g.Persons), part("permissions", g.Permissions),
			part("targets", g.Targets), part("flags", g.Flags), part("channels", g.Channels), part("hours", g.Hours)))
	}
	for _, d := range p.rules.Denies {
		lines = append(lines, canonical("deny", part("roles", d.Roles), part("persons", d.Persons), part("permissions", d.Permissions),
			part("targets", d.Targets), part("flags", d.Flags), part("channels", d.Channels), part("hours", d.Hours), quoted("reason", d.Reason)))
	}
	for _, r := range p.rules.Requires {
		asks := []string{part("permissions", r.Permissions), part("targets", r.Targets), part("flags", r.Flags)}
		if r.Confirm {
			asks = append(asks, "a confirmation")
		}
		if a := r.Approvals; a != nil {
			s := fmt.Sprintf("approvals %d", a.Count)
			if len(a.From) > 0 {
				s += " " + part("from", a.From)
			}
			asks = append(asks, s)
		}
		if r.Reason {
			asks = append(asks, "a reason")
		}
		if r.StepUp {
			asks = append(asks, "step-up")
		}
		lines = append(lines, canonical("require", append(asks, quoted("ticket", r.Ticket))...))
	}
	slices.Sort(lines)
	return lines
}

func canonical(what string, parts ...string) string {
	parts = slices.DeleteFunc(parts, func(s string) bool { return s == "" })
	return what + ": " + strings.Join(parts, "; ")
}

func part(name string, values []string) string {
	if len(values) == 0 {
		return ""
	}
	sorted := slices.Compact(slices.Sorted(slices.Values(values)))
	return name + " " + strings.Join(sorted, ", ")
}

func quoted(name, value string) string {
	if value == "" {
		return ""
	}
	return fmt.Sprintf("%s %q", name, value)
}

// Diff lists, for people, what changed from old to new: "+ person dev-two
// (slack:T1/U2): developer", "- grant: ...", "~ person ...". It is empty when
// nothing did.
func Diff(old, new Snapshot) []string {
	var lines []string
	if old.Zone != new.Zone && old.V != 0 {
		lines = append(lines, fmt.Sprintf("~ hours are read in %s, no longer in %s", new.Zone, old.Zone))
	}
	lines = append(lines, diffNamed("person", old.People, new.People)...)
	lines = append(lines, diffNamed("role", old.Roles, new.Roles)...)
	count := make(map[string]int)
	for _, r := range old.Rules {
		count[r]--
	}
	for _, r := range new.Rules {
		count[r]++
	}
	for _, r := range slices.Sorted(maps.Keys(count)) {
		for range -count[r] {
			lines = append(lines, "- "+r)
		}
	}
	for _, r := range slices.Sorted(maps.Keys(count)) {
		for range count[r] {
			lines = append(lines, "+ "+r)
		}
	}
	return lines
}

func diffNamed(what string, old, new map[string]string) []string {
	var lines []string
	names := slices.AppendSeq(slices.Collect(maps.Keys(old)), maps.Keys(new))
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		before, was := old[name]
		after, is := new[name]
		switch {
		case !was:
			lines = append(lines, fmt.Sprintf("+ %s %s %s", what, name, after))
		case !is:
			lines = append(lines, fmt.Sprintf("- %s %s %s", what, name, before))
		case before != after:
			lines = append(lines, fmt.Sprintf("~ %s %s %s, was %s", what, name, after, before))
		}
	}
	return lines
}
