package auth

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"quarterdeck/bot"
)

// problems gives the sentences of an error of New.
func problems(t *testing.T, err error) []string {
	t.Helper()
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		t.Fatalf("%v is no joined error", err)
	}
	var says []string
	for _, e := range joined.Unwrap() {
		var be *bot.Error
		if !errors.As(e, &be) || be.Kind != bot.Invalid {
			t.Fatalf("%v is no bot.Error of kind Invalid", e)
		}
		if strings.HasSuffix(be.Say, ".") || strings.Contains(be.Say, "\n") {
			t.Errorf("%q is no single sentence without a full stop", be.Say)
		}
		says = append(says, be.Say)
	}
	return says
}

// faultyRules are rules with one fault each: the field that is wrong, how, and
// the sentence expected about it.
// firstPermissions lists the permissions as a sentence does that has no near match:
// the first dozen, by name, and how many more there are.
func firstPermissions() string {
	var names []string
	for _, p := range bot.Permissions() {
		names = append(names, string(p.Name))
	}
	slices.Sort(names)
	return fmt.Sprintf("%s and %d more", strings.Join(names[:12], ", "), len(names)-12)
}

var faultyRules = []struct {
	field string
	with  func(r *Rules)
	want  string
}{
	{"Grant.Roles", func(r *Rules) { r.Grants[0].Roles = nil },
		`config.toml:41: grant 1: it names nobody; give roles or persons`},
	{"Grant.Roles", func(r *Rules) { r.Grants[0].Roles = []string{"develper"} },
		`config.toml:41: grant 1: there is no role "develper"; did you mean "developer"?`},
	{"Grant.Roles", func(r *Rules) { r.Grants[0].Roles = []string{""} },
		`config.toml:41: grant 1: there is no role ""; there are auditor, developer, night, release-manager, sre`},
	{"Grant.Roles", func(r *Rules) { r.Grants[0].Roles = []string{"*"} },
		`config.toml:41: grant 1: there is no role "*"; there are auditor, developer, night, release-manager, sre`},
	{"Grant.Persons", func(r *Rules) { r.Grants[2].Persons = []string{"dev-tow"} },
		`config.toml:49: grant 3: there is no person "dev-tow"; did you mean "dev-two"?`},
	{"Grant.Permissions", func(r *Rules) { r.Grants[0].Permissions = nil },
		`config.toml:41: grant 1: it names no permissions; say permissions = ["*"] if you mean all`},
	{"Grant.Permissions", func(r *Rules) { r.Grants[0].Permissions = []string{"deplyo"} },
		`config.toml:41: grant 1: there is no permission "deplyo"; did you mean "deploy"?`},
	{"Grant.Permissions", func(r *Rules) { r.Grants[0].Permissions = []string{"deploy", "dep*"} },
		`config.toml:41: grant 1: permission "dep*": "*" stands for one whole segment and cannot be a part of one`},
	{"Grant.Permissions", func(r *Rules) { r.Grants[0].Permissions = []string{"deploy", "run..*"} },
		`config.toml:41: grant 1: permission "run..*": it has an empty segment; write a name, a family such as "run.*", or "*"`},
	{"Grant.Permissions", func(r *Rules) { r.Grants[0].Permissions = []string{"deploy", "planet.*"} },
		`config.toml:41: grant 1: there is no permission "planet.*"; there are ` + firstPermissions()},
	{"Grant.Permissions", func(r *Rules) { r.Grants[0].Permissions = []string{"deploy", "self"} },
		`config.toml:41: grant 1: "self" is no permission to give or take: every declared person may ask about their own rights`},
	{"Grant.Targets", func(r *Rules) { r.Grants[0].Targets = nil },
		`config.toml:41: grant 1: it has no targets; say targets = ["*/*"] if you mean all`},
	{"Grant.Targets", func(r *Rules) { r.Grants[0].Targets = []string{"shop"} },
		`config.toml:41: grant 1: target "shop": it needs two segments with one slash between them; expected SERVICE/ENVIRONMENT, such as "shop/prod", "shop/*" or "*/prod"`},
	{"Grant.Targets", func(r *Rules) { r.Grants[0].Targets = []string{"*"} },
		`config.toml:41: grant 1: target "*": it needs two segments with one slash between them; expected SERVICE/ENVIRONMENT, such as "shop/prod", "shop/*" or "*/prod"`},
	{"Grant.Targets", func(r *Rules) { r.Grants[0].Targets = []string{"shop/prod/eu"} },
		`config.toml:41: grant 1: target "shop/prod/eu": it needs two segments with one slash between them; expected SERVICE/ENVIRONMENT, such as "shop/prod", "shop/*" or "*/prod"`},
	{"Grant.Targets", func(r *Rules) { r.Grants[0].Targets = []string{"shop/prod*"} },
		`config.toml:41: grant 1: target "shop/prod*": "*" stands for one whole segment and cannot be a part of one; expected SERVICE/ENVIRONMENT, such as "shop/prod", "shop/*" or "*/prod"`},
	{"Grant.Targets", func(r *Rules) { r.Grants[0].Targets = []string{"shop/ prod"} },
		`config.toml:41: grant 1: target "shop/ prod": it holds a character that no name can have; expected SERVICE/ENVIRONMENT, such as "shop/prod", "shop/*" or "*/prod"`},
	{"Grant.Targets", func(r *Rules) { r.Grants[0].Targets = []string{"shpo/prod"} },
		`config.toml:41: grant 1: no target matches "shpo/prod"; did you mean "shop/prod"?`},
	{"Grant.Targets", func(r *Rules) { r.Grants[0].Targets = []string{"*/stagign"} },
		`config.toml:41: grant 1: no target matches "*/stagign"; did you mean "*/staging"?`},
	{"Grant.Targets", func(r *Rules) { r.Grants[3].Targets = []string{"shop/prod"} },
		`config.toml:55: grant 4: it has targets, but audit is about the bot as a whole; leave targets out`},
	{"Grant.Flags", func(r *Rules) { r.Grants[0].Flags = []string{"new-checkout"} },
		`config.toml:41: grant 1: flag "new-checkout": it needs two segments with one slash between them; expected ENVIRONMENT/FLAG, such as "prod/new-checkout" or "staging/*"`},
	{"Grant.Flags", func(r *Rules) { r.Grants[3].Flags = []string{"*/*"} },
		`config.toml:55: grant 4: it has flags, but audit is about the bot as a whole; leave flags out`},
	{"Grant.Channels", func(r *Rules) { r.Grants[0].Channels = []string{"#ops"} },
		`config.toml:41: grant 1: channel "#ops" is not a channel's id; expected NETWORK:ID in full, such as "slack:C0OPS", or "slack:*" for the whole network`},
	{"Grant.Channels", func(r *Rules) { r.Grants[0].Channels = []string{"slack:C*"} },
		`config.toml:41: grant 1: channel "slack:C*" is not a channel's id; expected NETWORK:ID in full, such as "slack:C0OPS", or "slack:*" for the whole network`},
	{"Grant.Hours", func(r *Rules) { r.Grants[0].Hours = []string{"mno-fri 08:00-18:00"} },
		`config.toml:41: grant 1: hours "mno-fri 08:00-18:00": "mno" is not a day; did you mean "mon"?; expected such as "mon-fri 08:00-18:00", "22:00-06:00" or "sat,sun"`},
	{"Deny.Roles", func(r *Rules) { r.Denies[2].Roles = []string{"sres"} },
		`config.toml:78: deny 3: there is no role "sres"; did you mean "sre"?`},
	{"Deny.Persons", func(r *Rules) { r.Denies[1].Persons = []string{"contracter"} },
		`config.toml:74: deny 2: there is no person "contracter"; did you mean "contractor"?`},
	{"Deny.Permissions", func(r *Rules) { r.Denies[0].Permissions = []string{} },
		`config.toml:70: deny 1: it names no permissions; say permissions = ["*"] if you mean all`},
	{"Deny.Targets", func(r *Rules) { r.Denies[0].Targets = []string{"paymnets/prod"} },
		`config.toml:70: deny 1: no target matches "paymnets/prod"; did you mean "payments/prod"?`},
	{"Deny.Targets", func(r *Rules) { r.Denies[0].Permissions = []string{"audit"} },
		`config.toml:70: deny 1: it has targets, but audit is about the bot as a whole; leave targets out`},
	{"Deny.Flags", func(r *Rules) { r.Denies[0].Flags = []string{"prod/*new"} },
		`config.toml:70: deny 1: flag "prod/*new": "*" stands for one whole segment and cannot be a part of one; expected ENVIRONMENT/FLAG, such as "prod/new-checkout" or "staging/*"`},
	{"Deny.Channels", func(r *Rules) { r.Denies[0].Channels = []string{":C0"} },
		`config.toml:70: deny 1: channel ":C0" is not a channel's id; expected NETWORK:ID in full, such as "slack:C0OPS", or "slack:*" for the whole network`},
	{"Deny.Hours", func(r *Rules) { r.Denies[0].Hours = []string{"25:00-26:00"} },
		`config.toml:70: deny 1: hours "25:00-26:00": "25:00" is not a time from 00:00 to 24:00; expected such as "mon-fri 08:00-18:00", "22:00-06:00" or "sat,sun"`},
	{"Require.Permissions", func(r *Rules) { r.Requires[0].Permissions = []string{"scael"} },
		`config.toml:80: require 1: there is no permission "scael"; did you mean "scale"?`},
	{"Require.Targets", func(r *Rules) { r.Requires[0].Targets = []string{"*/prdo"} },
		`config.toml:80: require 1: no target matches "*/prdo"; did you mean "*/prod"?`},
	{"Require.Flags", func(r *Rules) { r.Requires[0].Flags = []string{"/"} },
		`config.toml:80: require 1: flag "/": it needs two segments with one slash between them; expected ENVIRONMENT/FLAG, such as "prod/new-checkout" or "staging/*"`},
	{"Require.Confirm", func(r *Rules) { r.Requires[2].Confirm = false },
		`config.toml:90: require 3: it asks for nothing; give confirm, approvals, reason, ticket or step_up`},
	{"Require.Reason", func(r *Rules) {
		r.Requires[2] = Require{Where: "config.toml:90", Permissions: []string{"deploy"}, Reason: false}
	},
		`config.toml:90: require 3: it asks for nothing; give confirm, approvals, reason, ticket or step_up`},
	{"Require.StepUp", func(r *Rules) {
		r.Requires[2] = Require{Where: "config.toml:90", Permissions: []string{"deploy"}, StepUp: false}
	},
		`config.toml:90: require 3: it asks for nothing; give confirm, approvals, reason, ticket or step_up`},
	{"Require.Approvals", func(r *Rules) { r.Requires[0].Approvals.Count = 0 },
		`config.toml:80: require 1: approvals.count is 0; expected 1 or more`},
	{"Require.Approvals", func(r *Rules) { r.Requires[0].Approvals.From = []string{"ser"} },
		`config.toml:80: require 1: there is no role "ser"; did you mean "sre"?`},
	{"Require.Approvals", func(r *Rules) { r.Requires[0].Approvals.From = nil; r.Grants[1].Permissions = []string{"deploy"} },
		`config.toml:80: require 1: its approvals name no roles in "from", and no grant gives anybody run.approve; nobody could approve`},
	{"Require.Ticket", func(r *Rules) { r.Requires[1].Ticket = "OPS-[0-9" },
		"config.toml:85: require 2: ticket \"OPS-[0-9\" is not a regular expression: missing closing ]: `[0-9`"},
	{"Require.Ticket", func(r *Rules) { r.Requires[1].Ticket = "(OPS-[0-9]+)?" },
		`config.toml:85: require 2: ticket "(OPS-[0-9]+)?" matches an empty reason, so it asks for nothing; describe what must be there, such as "OPS-[0-9]+"`},
}

func TestFaultyRules(t *testing.T) {
	t.Parallel()
	for _, tt := range faultyRules {
		rules := houseRules()
		tt.with(&rules)
		_, err := New(rules)
		if err == nil {
			t.Errorf("%s: accepted, though %s", tt.field, tt.want)
			continue
		}
		if got := problems(t, err); !slices.Equal(got, []string{tt.want}) {
			t.Errorf("%s:\ngot  %s\nwant %s", tt.field, strings.Join(got, "\n     "), tt.want)
		}
	}
}

// TestEveryFieldHasAFault keeps the table above complete when rules grow.
func TestEveryFieldHasAFault(t *testing.T) {
	t.Parallel()
	anything := []string{"Grant.Where", "Deny.Where", "Require.Where", "Deny.Reason"} // where every value is right
	for _, kind := range []reflect.Type{reflect.TypeFor[Grant](), reflect.TypeFor[Deny](), reflect.TypeFor[Require]()} {
		for i := range kind.NumField() {
			field := kind.Name() + "." + kind.Field(i).Name
			covered := slices.Contains(anything, field)
			for _, tt := range faultyRules {
				covered = covered || tt.field == field
			}
			if !covered {
				t.Errorf("no fault of %s is tried", field)
			}
		}
	}
}

// TestAllFaultsAtOnce checks that one start shows everything that is wrong.
func TestAllFaultsAtOnce(t *testing.T) {
	t.Parallel()
	rules := houseRules()
	rules.Grants[0].Roles = []string{"develper", "sre"}
	rules.Grants[0].Targets = []string{"shop"}
	rules.Grants[5].Hours = []string{"8-18"}
	rules.Denies[0].Permissions = []string{"scael"}
	rules.Requires[0].Approvals.Count = -1
	_, err := New(rules)
	if err == nil {
		t.Fatal("accepted")
	}
	got := problems(t, err)
	if len(got) != 5 {
		t.Errorf("%d problems:\n%s", len(got), strings.Join(got, "\n"))
	}
	for i, where := range []string{"config.toml:41: grant 1: ", "config.toml:41: grant 1: ", "config.toml:62: grant 6: ", "config.toml:70: deny 1: ", "config.toml:80: require 1: "} {
		if i < len(got) && !strings.HasPrefix(got[i], where) {
			t.Errorf("problem %d is %q, expected it at %s", i+1, got[i], where)
		}
	}
}

// TestFlagRules tries the rules about flags, which have no permission yet.
func TestFlagRules(t *testing.T) {
	t.Parallel()
	base := func() Rules {
		return Rules{Roles: []string{"dev"}, Grants: []Grant{{Roles: []string{"dev"}, Permissions: []string{"flag.*"}, Flags: []string{"staging/*", "prod/new"}}}}
	}
	p, err := compile(base(), testPermissions(), exact())
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		permission bot.Permission
		resource   bot.Resource
		want       string
	}{
		{"flag.set", "flag:staging/anything", "yes | grant 1 | dev may use flag.* on flag staging/* and flag prod/new"},
		{"flag.kill", "flag:prod/new", "yes | grant 1 | dev may use flag.* on flag staging/* and flag prod/new"},
		{"flag.set", "flag:prod/newer", "no | no grant | ann may not use flag.set on flag prod/newer | dev may use flag.set on staging/* and prod/new; flag prod/newer is not in it"},
		{"flag.set.all", "flag:prod/new", "no | no grant | ann may not use flag.set.all on flag prod/new | no grant lets anybody use flag.set.all on flag prod/new"},
		{"flag.set", "target:shop/prod", "no | no grant | ann may not use flag.set on shop/prod | no grant gives you anything to do on shop/prod"},
	} {
		if got := say(p.Decide(ask(member("ann", "dev"), tt.permission, tt.resource))); got != tt.want {
			t.Errorf("got  %s\nwant %s", got, tt.want)
		}
	}
	rules := base()
	rules.Grants[0].Flags = nil
	if _, err := compile(rules, testPermissions(), exact()); err == nil || !strings.Contains(err.Error(), `it has no flags; say flags = ["*/*"] if you mean all`) {
		t.Errorf("a grant of flag.* without flags: %v", err)
	}
}

func TestEmptyRulesDenyAll(t *testing.T) {
	t.Parallel()
	p := mustNew(t, Rules{})
	for _, info := range bot.Permissions() {
		r := bot.Resource("target:shop/prod")
		if info.Resource == bot.KindBot {
			r = bot.TheBot
		}
		if d := p.Decide(ask(member("root", "admin"), info.Name, r)); d.Allowed || d.Rule != noGrant {
			t.Errorf("%s: %s", info.Name, say(d))
		}
	}
}
