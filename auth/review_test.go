package auth

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"quarterdeck/bot"
)

var (
	reviewedTargets = []bot.Target{{Service: "shop", Environment: "prod"}, {Service: "shop", Environment: "staging"}, {Service: "cart", Environment: "prod"}}
	reviewedPeople  = []Subject{{Name: "ada", Person: "ada", Roles: []string{"dev"}}, {Name: "bob", Person: "bob", Roles: []string{"dev", "sre"}}, {Name: "cyn", Person: "cyn", Roles: []string{"sre"}},
		{Name: "whoever is in g:1", Roles: []string{"sre"}}}
	reviewedChannels = []bot.ChannelID{"x:1", "x:2", "y:1"}
)

// drawRules gives random rules about few people, so that two of them often
// differ in something that matters.
func drawRules(t *rapid.T, name string, zone *time.Location) Rules {
	permissions := []string{"deploy", "rollback", "audit", "run.*", "run.approve", "*"}
	some := func(from []string, least int, what string) []string {
		return rapid.SliceOfNDistinct(rapid.SampledFrom(from), least, 2, rapid.ID[string]).Draw(t, name+what)
	}
	hours := []string{"mon 08:00-18:00", "tue 22:00-06:00", "sat"}
	r := Rules{Location: zone, Roles: []string{"dev", "sre"}, Persons: []string{"ada", "bob", "cyn"}, Targets: reviewedTargets}
	targets := []string{"*/*", "shop/*", "*/prod", "shop/prod"}
	for range rapid.IntRange(1, 3).Draw(t, name+"grants") {
		r.Grants = append(r.Grants, Grant{Roles: some(r.Roles, 1, "roles"), Persons: some(r.Persons, 0, "persons"), Permissions: some(permissions, 1, "permissions"),
			Targets: some(targets, 1, "targets"), Channels: some([]string{"x:1", "x:*", "y:1"}, 0, "channels"), Hours: some(hours, 0, "hours")})
	}
	for range rapid.IntRange(0, 2).Draw(t, name+"denies") {
		r.Denies = append(r.Denies, Deny{Persons: some(r.Persons, 1, "persons"), Permissions: some(permissions, 1, "permissions"),
			Targets: some(targets, 0, "targets"), Channels: some([]string{"x:2", "y:*"}, 0, "channels"), Hours: some(hours, 0, "hours")})
	}
	for range rapid.IntRange(0, 2).Draw(t, name+"requires") {
		r.Requires = append(r.Requires, Require{Permissions: some([]string{"deploy", "rollback"}, 1, "permissions"), Targets: some(targets, 0, "targets"),
			Confirm: true, Reason: rapid.Bool().Draw(t, name+"reason"), StepUp: rapid.Bool().Draw(t, name+"step-up")})
	}
	return r
}

// reviewable compiles rules; rules that a team could not have are left out.
func reviewable(t *rapid.T, r Rules) *Policy {
	for i := range r.Grants { // a grant of nothing about targets takes none
		if slices.Equal(r.Grants[i].Permissions, []string{"audit"}) {
			r.Grants[i].Targets = nil
		}
	}
	for i := range r.Denies {
		if slices.Equal(r.Denies[i].Permissions, []string{"audit"}) {
			r.Denies[i].Targets = nil
		}
	}
	p, err := New(r)
	if err != nil {
		t.Skip(err.Error())
	}
	return p
}

// TestReviewMissesNothing asks two random policies at random minutes, in random
// channels, what random people may do. Whatever one of them allows and the other
// does not is in the review, on the right side; and a review that says nothing
// is of rules that answer alike.
func TestReviewMissesNothing(t *testing.T) {
	t.Parallel()
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		was := reviewable(t, drawRules(t, "old ", time.UTC))
		is := reviewable(t, drawRules(t, "new ", berlin))
		changes := Review(Side{was, reviewedPeople, reviewedTargets}, Side{is, reviewedPeople, reviewedTargets})
		wider := slices.ContainsFunc(changes, func(c Change) bool { return c.Wider })
		narrower := slices.ContainsFunc(changes, func(c Change) bool { return !c.Wider || strings.Contains(c.Text, " other ") })
		for range 60 {
			who := rapid.SampledFrom(reviewedPeople).Draw(t, "who")
			info := rapid.SampledFrom(bot.Permissions()).Draw(t, "permission")
			on := bot.TheBot
			if info.Resource == bot.KindTarget {
				on = rapid.SampledFrom(reviewedTargets).Draw(t, "target").Resource()
			}
			q := request(who, info.Name, on, context{rapid.SampledFrom(reviewedChannels).Draw(t, "channel"),
				time.Date(2026, 1, 5, 0, rapid.IntRange(0, 7*24*60-1).Draw(t, "minute"), 30, 0, time.UTC)})
			before, after := was.Decide(q), is.Decide(q)
			if was.allows(q) != before.Allowed || is.allows(q) != after.Allowed {
				t.Fatalf("%+v is decided in two ways", q)
			}
			switch {
			case after.Allowed && !before.Allowed && !wider:
				t.Fatalf("%+v is allowed now, and nothing wider is said: %v", q, changes)
			case before.Allowed && !after.Allowed && !narrower:
				t.Fatalf("%+v is no longer allowed, and nothing narrower is said: %v", q, changes)
			case before.Allowed && after.Allowed && !atLeast(after.Needs, before.Needs) && !wider:
				t.Fatalf("%+v needs less, and nothing wider is said: %v", q, changes)
			}
		}
		if same := Review(Side{is, reviewedPeople, reviewedTargets}, Side{is, reviewedPeople, reviewedTargets}); len(same) > 0 {
			t.Fatalf("what is as it was changes: %v", same)
		}
	})
}

// TestReviewSays the sentences for changes that a person would describe so.
func TestReviewSays(t *testing.T) {
	t.Parallel()
	people := []Subject{{Name: "zoe", Person: "zoe", Roles: []string{"dev"}}}
	for i := range 12 {
		name := fmt.Sprintf("p%02d", i)
		people = append(people, Subject{Name: name, Person: name, Roles: []string{"ops"}})
	}
	base := func() Rules {
		return Rules{Roles: []string{"dev", "ops", "sre"}, Persons: names(people), Targets: reviewedTargets,
			Permissions: []bot.PermissionInfo{{Name: "action.reindex", Resource: bot.KindTarget}, {Name: "action.drill", Resource: bot.KindAction}},
			Grants:      []Grant{{Roles: []string{"dev"}, Permissions: []string{"deploy"}, Targets: []string{"*/*"}}, {Roles: []string{"sre"}, Permissions: []string{"halt"}}, {Persons: []string{"zoe"}, Permissions: []string{"run.approve"}, Targets: []string{"*/*"}}},
			Requires:    []Require{{Permissions: []string{"deploy"}, Targets: []string{"*/prod"}, Approvals: &bot.ApprovalRule{Count: 1}}}}
	}
	for name, c := range map[string]struct {
		with func(r *Rules)
		want []string
	}{
		"nothing": {func(*Rules) {}, nil},
		"a verb of the team's own": {func(r *Rules) { r.Grants[0].Permissions = []string{"deploy", "action.reindex"} },
			[]string{"+ 1 more person may action.reindex cart/prod, shop/prod, shop/staging: zoe"}},
		"a verb about no target": {func(r *Rules) { r.Grants[1].Roles, r.Grants[1].Permissions = []string{"dev"}, []string{"action.drill"} },
			[]string{"+ 1 more person may action.drill: zoe"}},
		"more people": {func(r *Rules) { r.Grants[0].Roles = []string{"dev", "ops"} },
			[]string{"+ 12 more people may deploy cart/prod, shop/prod, shop/staging: p00, p01, p02, p03, p04, p05, p06, p07 and 4 more"}},
		"one person": {func(r *Rules) { r.Grants[0].Persons = []string{"p03"} }, []string{"+ 1 more person may deploy cart/prod, shop/prod, shop/staging: p03"}},
		"hours":      {func(r *Rules) { r.Grants[0].Hours = []string{"mon-fri 08:00-18:00"} }, []string{"- 1 person may deploy cart/prod, shop/prod, shop/staging at fewer hours or in fewer channels: zoe"}},
		"nobody":     {func(r *Rules) { r.Grants = r.Grants[1:] }, []string{"- nobody may deploy cart/prod, shop/prod, shop/staging any more; before: zoe"}},
		"no approval": {func(r *Rules) { r.Requires[0] = Require{Permissions: []string{"deploy"}, Confirm: true} },
			[]string{"+ deploy of cart/prod, shop/prod no longer needs an approval", "- deploy of cart/prod, shop/prod, shop/staging needs a confirmation"}},
		"a code":         {func(r *Rules) { r.Requires[0].StepUp = true }, []string{"- deploy of cart/prod, shop/prod needs a one-time code"}},
		"more approvals": {func(r *Rules) { r.Requires[0].Approvals = &bot.ApprovalRule{Count: 2} }, []string{"- deploy of cart/prod, shop/prod needs 2 approvals"}},
		"other approvers": {func(r *Rules) { r.Requires[0].Approvals = &bot.ApprovalRule{Count: 1, From: []string{"ops"}} },
			[]string{"+ deploy of cart/prod, shop/prod needs 1 approval from ops, no longer 1 approval",
				"+ 12 more people may approve deploy of cart/prod, shop/prod: p00, p01, p02, p03, p04, p05, p06, p07 and 4 more",
				"- 1 person less may approve deploy of cart/prod, shop/prod: zoe"}},
		"no approver": {func(r *Rules) { r.Grants[2].Persons, r.Grants[2].Roles = nil, []string{"sre"} },
			[]string{"- nobody may approve deploy of cart/prod, shop/prod any more", "- nobody may run.approve cart/prod, shop/prod, shop/staging any more; before: zoe"}},
	} {
		was, err := New(base())
		if err != nil {
			t.Fatal(err)
		}
		rules := base()
		c.with(&rules)
		is, err := New(rules)
		if err != nil {
			t.Fatal(name, err)
		}
		var got []string
		for _, x := range Review(Side{was, people, reviewedTargets}, Side{is, people, reviewedTargets}) {
			got = append(got, map[bool]string{true: "+ ", false: "- "}[x.Wider]+x.Text)
		}
		slices.Sort(got)
		slices.Sort(c.want)
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: says\n%s\nwant\n%s", name, strings.Join(got, "\n"), strings.Join(c.want, "\n"))
		}
	}
}

// TestReviewPeople and targets that come, go, leave and change hands.
func TestReviewPeople(t *testing.T) {
	t.Parallel()
	p, err := New(Rules{Roles: []string{"dev"}, Persons: []string{"ada", "bob", "cyn"}, Targets: reviewedTargets,
		Grants: []Grant{{Roles: []string{"dev"}, Permissions: []string{"deploy"}, Targets: []string{"*/*"}}}})
	if err != nil {
		t.Fatal(err)
	}
	dev := []string{"dev"}
	got := Review(
		Side{p, []Subject{{Name: "ada", Person: "ada", Roles: dev, Accounts: []bot.AccountID{"x:1", "x:2"}}, {Name: "bob", Person: "bob", Roles: dev, Accounts: []bot.AccountID{"x:3"}}}, reviewedTargets[:2]},
		Side{p, []Subject{{Name: "ada", Person: "ada", Roles: dev, Accounts: []bot.AccountID{"x:1"}}, {Name: "bob", Person: "bob", Roles: dev, Accounts: []bot.AccountID{"x:3"}, Disabled: true}, {Name: "cyn", Person: "cyn", Roles: dev, Accounts: []bot.AccountID{"x:2", "x:4"}}}, reviewedTargets[1:]})
	want := []Change{
		{true, "x:2 acts as cyn, no longer as ada"},
		{true, "1 more account acts as cyn: x:4"},
		{true, "2 more people may deploy cart/prod: ada, cyn"},
		{true, "1 more person may deploy shop/staging: cyn"},
		{false, "bob is disabled"},
		{false, "1 person may no longer deploy shop/staging: bob"},
		{false, "1 target is new: cart/prod"},
		{false, "1 target is gone: shop/prod"},
	}
	if !slices.Equal(got, want) {
		t.Errorf("says\n%v\nwant\n%v", got, want)
	}
}
