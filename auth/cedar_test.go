package auth

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cedar-policy/cedar-go"
	"github.com/cedar-policy/cedar-go/types"

	"quarterdeck/bot"
)

// oracle answers the same questions as a Policy by way of cedar-go: grants are
// its permits, denies its forbids, and each require is a permit in a set of
// its own, so that the reasons of an answer are the requires that match.
type oracle struct {
	decide   *cedar.PolicySet
	require  *cedar.PolicySet
	requires []Require
	zone     *time.Location
	actions  types.EntityMap
}

func newOracle(t *testing.T, w world) *oracle {
	t.Helper()
	o := &oracle{requires: w.rules.Requires, zone: w.rules.Location, actions: actionEntities()}
	var decide, require strings.Builder
	decide.WriteString(`forbid(principal, action, resource) unless { context.standing == "member" && context.declared };`)
	for i, g := range w.rules.Grants {
		fmt.Fprintf(&decide, "permit(principal, action, resource) when { %s && %s && %s && %s && %s };\n",
			cedarSubjects(g.Roles, g.Persons), cedarActions(g.Permissions, false),
			"("+cedarSelectors(g.Targets, g.Flags)+` || resource.kind == "other")`,
			cedarChannels(g.Channels), cedarHours(w.grantHours[i], "context.timed && "))
	}
	for i, d := range w.rules.Denies {
		subjects, selectors := "true", "true"
		if len(d.Roles)+len(d.Persons) > 0 {
			subjects = cedarSubjects(d.Roles, d.Persons)
		}
		if len(d.Targets)+len(d.Flags) > 0 {
			selectors = cedarSelectors(d.Targets, d.Flags)
		}
		fmt.Fprintf(&decide, "forbid(principal, action, resource) when { %s && %s && %s && %s && %s };\n",
			subjects, cedarActions(d.Permissions, false), selectors, cedarChannels(d.Channels), cedarHours(w.denyHours[i], "!context.timed || "))
	}
	for _, q := range w.rules.Requires {
		selectors := "true"
		if len(q.Targets)+len(q.Flags) > 0 {
			selectors = cedarSelectors(q.Targets, q.Flags)
		}
		fmt.Fprintf(&require, "permit(principal, action, resource) when { %s && %s };\n", cedarActions(q.Permissions, true), selectors)
	}
	var err error
	if o.decide, err = cedar.NewPolicySetFromBytes("decide", []byte(decide.String())); err != nil {
		t.Fatalf("cedar: %v in\n%s", err, decide.String())
	}
	if o.require, err = cedar.NewPolicySetFromBytes("require", []byte(require.String())); err != nil {
		t.Fatalf("cedar: %v in\n%s", err, require.String())
	}
	return o
}

// actionEntities makes every permission a child of each pattern that covers
// it, by writing out all ways to put stars in place of its segments.
func actionEntities() types.EntityMap {
	entities := types.EntityMap{}
	for _, info := range testPermissions() {
		segments := strings.Split(string(info.Name), ".")
		parents := []types.EntityUID{types.NewEntityUID("Action", "*")}
		for mask := range 1 << len(segments) {
			written := slices.Clone(segments)
			for i := range written {
				if mask&(1<<i) != 0 {
					written[i] = "*"
				}
			}
			if name := strings.Join(written, "."); name != string(info.Name) {
				parents = append(parents, types.NewEntityUID("Action", types.String(name)))
			}
		}
		uid := types.NewEntityUID("Action", types.String(info.Name))
		entities[uid] = types.Entity{UID: uid, Parents: types.NewEntityUIDSet(parents...)}
	}
	return entities
}

func anyOf(alternatives []string) string { return "(" + strings.Join(alternatives, " || ") + ")" }

func cedarSubjects(roles, persons []string) string {
	var s []string
	for _, r := range roles {
		s = append(s, fmt.Sprintf("principal in Role::%q", r))
	}
	for _, p := range persons {
		s = append(s, fmt.Sprintf("principal in Person::%q", p))
	}
	return anyOf(s)
}

func cedarActions(patterns []string, wayBackByName bool) string {
	var s []string
	for _, p := range patterns {
		c := fmt.Sprintf("action in Action::%q", p)
		if wayBackByName && p != "rollback" {
			c = "(" + c + ` && action != Action::"rollback")`
		}
		s = append(s, c)
	}
	return anyOf(s)
}

func cedarSelectors(targetPatterns, flagPatterns []string) string {
	s := []string{"false"}
	add := func(kind, p string) {
		c := fmt.Sprintf("resource.kind == %q", kind)
		parts := strings.Split(p, "/")
		for i, attribute := range []string{"first", "second"} {
			if parts[i] != "*" {
				c += fmt.Sprintf(" && resource.%s == %q", attribute, parts[i])
			}
		}
		s = append(s, "("+c+")")
	}
	for _, p := range targetPatterns {
		add("target", p)
	}
	for _, p := range flagPatterns {
		add("flag", p)
	}
	return anyOf(s)
}

func cedarChannels(channels []string) string {
	if len(channels) == 0 {
		return "true"
	}
	var s []string
	for _, c := range channels {
		if strings.HasSuffix(c, ":*") {
			s = append(s, fmt.Sprintf("context.channel like %q", c))
			continue
		}
		s = append(s, fmt.Sprintf("context.channel == %q", c))
	}
	return anyOf(s)
}

func cedarHours(spans []span, timed string) string {
	if len(spans) == 0 {
		return "true"
	}
	var s []string
	for _, sp := range spans {
		for _, d := range sp.days {
			if sp.from < sp.to {
				s = append(s, fmt.Sprintf("(context.day == %d && context.minute >= %d && context.minute < %d)", d, sp.from, sp.to))
				continue
			}
			s = append(s, fmt.Sprintf("(context.day == %d && context.minute >= %d)", d, sp.from), fmt.Sprintf("(context.day == %d && context.minute < %d)", (d+1)%7, sp.to))
		}
	}
	return "(" + timed + anyOf(s) + ")"
}

// entities adds the two entities of one question to the actions.
type entities struct {
	actions             types.EntityMap
	principal, resource types.Entity
}

func (e *entities) Get(uid types.EntityUID) (types.Entity, bool) {
	switch uid {
	case e.principal.UID:
		return e.principal, true
	case e.resource.UID:
		return e.resource, true
	}
	return e.actions.Get(uid)
}

// answer gives Cedar's decision and how many of its policies failed.
func (o *oracle) answer(r bot.Request, things []thing) (verdict string, failed int) {
	var parents []types.EntityUID
	for _, role := range r.Who.Roles {
		parents = append(parents, types.NewEntityUID("Role", types.String(role)))
	}
	if r.Who.Person != "" {
		parents = append(parents, types.NewEntityUID("Person", types.String(r.Who.Person)))
	}
	principal := types.Entity{UID: types.NewEntityUID("Account", "asker"), Parents: types.NewEntityUIDSet(parents...)}
	local := r.At.In(o.zone)
	request := cedar.Request{
		Principal: principal.UID,
		Action:    types.NewEntityUID("Action", types.String(r.Permission)),
		Context: types.NewRecord(types.RecordMap{
			"standing": types.String(r.Who.Standing),
			"declared": types.Boolean(r.Who.Person != ""),
			"channel":  types.String(r.Channel),
			"timed":    types.Boolean(!r.At.IsZero()),
			"day":      types.Long([]int{6, 0, 1, 2, 3, 4, 5}[local.Weekday()]),
			"minute":   types.Long(local.Hour()*60 + local.Minute()),
		}),
	}
	allowed, matching := true, map[cedar.PolicyID]bool{}
	for _, th := range things {
		resource := types.Entity{UID: types.NewEntityUID("Resource", types.String(th.resource)), Attributes: types.NewRecord(types.RecordMap{
			"kind": types.String(th.kind), "first": types.String(th.first), "second": types.String(th.second)})}
		request.Resource = resource.UID
		known := &entities{o.actions, principal, resource}
		decision, diagnostic := cedar.Authorize(o.decide, known, request)
		failed += len(diagnostic.Errors)
		// Cedar skips a policy that fails, which may be the forbid: such an
		// answer counts as deny.
		if decision != cedar.Allow || len(diagnostic.Errors) > 0 {
			allowed = false
			break
		}
		_, diagnostic = cedar.Authorize(o.require, known, request)
		failed += len(diagnostic.Errors)
		for _, reason := range diagnostic.Reasons {
			matching[reason.PolicyID] = true
		}
	}
	if !allowed {
		return "deny", failed
	}
	var confirm, reason, code bool
	var tickets []string
	counts := map[string]int{}
	for i, q := range o.requires {
		if !matching[cedar.PolicyID(fmt.Sprintf("policy%d", i))] {
			continue
		}
		confirm, reason, code = confirm || q.Confirm, reason || q.Reason, code || q.StepUp
		if q.Ticket != "" {
			tickets = append(tickets, q.Ticket)
		}
		if a := q.Approvals; a != nil {
			from := slices.Sorted(slices.Values(a.From))
			counts[strings.Join(from, "+")] = max(a.Count, counts[strings.Join(from, "+")])
		}
	}
	return writeVerdict(confirm, reason, code, tickets, counts), failed
}

func writeVerdict(confirm, reason, code bool, tickets []string, counts map[string]int) string {
	if !confirm && !reason && !code && len(tickets) == 0 && len(counts) == 0 {
		return "allow"
	}
	slices.Sort(tickets)
	return fmt.Sprintf("allow after confirm=%t reason=%t code=%t tickets=%v approvals=%v", confirm, reason, code, slices.Compact(tickets), counts)
}

// verdictOf writes our decision in the oracle's words.
func verdictOf(d bot.Decision) string {
	if !d.Allowed {
		return "deny"
	}
	if d.Needs.None() {
		return "allow" // also of no matching require at all
	}
	counts := map[string]int{}
	for _, a := range d.Needs.Approvals {
		counts[strings.Join(a.From, "+")] = a.Count
	}
	return writeVerdict(d.Needs.Confirm, d.Needs.Reason, d.Needs.StepUp, slices.Clone(d.Needs.Ticket), counts)
}
