package auth

import (
	"strings"
	"testing"
	"time"

	"quarterdeck/bot"
)

// houseRules is the policy that the sentences below are about.
func houseRules() Rules {
	return Rules{
		Roles:   []string{"developer", "sre", "release-manager", "auditor", "night"},
		Persons: []string{"dev-one", "dev-two", "oncall", "contractor", "watch"},
		Targets: []bot.Target{{Service: "shop", Environment: "staging"}, {Service: "shop", Environment: "prod"},
			{Service: "payments", Environment: "staging"}, {Service: "payments", Environment: "prod"}},
		Grants: []Grant{
			{Where: "config.toml:41", Roles: []string{"developer"}, Permissions: []string{"deploy", "rollback", "scale", "status"}, Targets: []string{"*/staging"}},
			{Where: "config.toml:45", Roles: []string{"sre"}, Permissions: []string{"*"}, Targets: []string{"*/*"}},
			{Where: "config.toml:49", Persons: []string{"dev-two"}, Permissions: []string{"deploy", "rollback"}, Targets: []string{"shop/prod"},
				Channels: []string{"slack:C0OPS"}, Hours: []string{"mon-fri 08:00-18:00"}},
			{Where: "config.toml:55", Roles: []string{"auditor"}, Permissions: []string{"audit"}},
			{Where: "config.toml:58", Roles: []string{"night"}, Permissions: []string{"restart"}, Targets: []string{"shop/*"}, Hours: []string{"fri 22:00-06:00"}},
			{Where: "config.toml:62", Roles: []string{"release-manager"}, Permissions: []string{"deploy"}, Targets: []string{"shop/prod", "shop/staging"}},
		},
		Denies: []Deny{
			{Where: "config.toml:70", Permissions: []string{"scale"}, Targets: []string{"payments/prod"}, Reason: "autoscaled; change the policy instead"},
			{Where: "config.toml:74", Persons: []string{"contractor"}, Permissions: []string{"*"}, Targets: []string{"*/prod"}},
			{Where: "config.toml:78", Roles: []string{"sre"}, Permissions: []string{"run.approve"}, Targets: []string{"payments/*"}, Channels: []string{"slack:C0RANDOM"}},
		},
		Requires: []Require{
			{Where: "config.toml:80", Permissions: []string{"deploy", "scale"}, Targets: []string{"*/prod"}, Confirm: true, Approvals: &bot.ApprovalRule{Count: 1, From: []string{"sre"}}},
			{Where: "config.toml:85", Permissions: []string{"*"}, Targets: []string{"payments/prod"}, Reason: true, Ticket: "OPS-[0-9]+", Approvals: &bot.ApprovalRule{Count: 2, From: []string{"sre"}}},
			{Where: "config.toml:90", Permissions: []string{"rollback"}, Targets: []string{"payments/prod"}, Confirm: true},
		},
	}
}

func mustNew(t testing.TB, r Rules) *Policy {
	t.Helper()
	p, err := New(r)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func member(person string, roles ...string) bot.Identity {
	return bot.Identity{Account: bot.AccountID("slack:T1/" + person), Standing: bot.Member, Person: person, Roles: roles}
}

var (
	workday  = time.Date(2026, 11, 18, 10, 0, 0, 0, time.UTC) // a Wednesday
	saturday = time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)
)

const (
	shopProd        bot.Resource = "target:shop/prod"
	shopStaging     bot.Resource = "target:shop/staging"
	paymentsProd    bot.Resource = "target:payments/prod"
	paymentsStaging bot.Resource = "target:payments/staging"
)

func ask(who bot.Identity, permission bot.Permission, resources ...bot.Resource) bot.Request {
	return bot.Request{Who: who, Permission: permission, Resources: resources, Channel: "slack:C0OPS", At: workday}
}

// say writes a decision as a person reads it.
func say(d bot.Decision) string {
	verdict := "no"
	if d.Allowed {
		verdict = "yes"
		if !d.Needs.None() {
			verdict += ", after " + NeedsText(d.Needs)
		}
	}
	s := verdict + " | " + d.Rule + " | " + d.Because
	if d.Near != "" {
		s += " | " + d.Near
	}
	if d.Require != "" {
		s += " | " + d.Require
	}
	return s
}

func TestDecideSentences(t *testing.T) {
	t.Parallel()
	p := mustNew(t, houseRules())
	in := func(r bot.Request, c bot.ChannelID) bot.Request { r.Channel = c; return r }
	at := func(r bot.Request, when time.Time) bot.Request { r.At = when; return r }
	standing := func(s bot.Standing) bot.Identity {
		who := member("oncall", "sre")
		who.Standing = s
		return who
	}
	dev, sre := member("dev-one", "developer"), member("oncall", "sre")
	tests := []struct {
		name string
		r    bot.Request
		want string
	}{
		{"granted", ask(dev, bot.MayDeploy, shopStaging),
			"yes | grant 1 (config.toml:41) | developer may deploy, roll back, scale and use status on */staging"},
		{"another target", ask(dev, bot.MayDeploy, shopProd),
			"no | no grant | dev-one may not deploy on shop/prod | developer may deploy on */staging; shop/prod is not in it"},
		{"another role", ask(dev, bot.MayRestart, shopStaging),
			"no | no grant | dev-one may not restart on shop/staging | only sre and night may restart on shop/staging"},
		{"another role, where the asker has nothing to do", ask(dev, bot.MayRestart, paymentsProd),
			"no | no grant | dev-one may not restart on payments/prod | no grant gives you anything to do on payments/prod"},
		{"one of two resources", ask(dev, bot.MayDeploy, shopStaging, shopProd),
			"no | no grant | dev-one may not deploy on shop/prod | developer may deploy on */staging; shop/prod is not in it"},
		{"no prefix", ask(dev, bot.MayDeploy, "target:shop/staging2"),
			"no | no grant | dev-one may not deploy on shop/staging2 | developer may deploy on */staging; shop/staging2 is not in it"},
		{"nobody may", ask(member("dev-one"), bot.MayDeploy, "flag:prod/new"),
			"no | no grant | dev-one may not deploy on flag prod/new | no grant lets anybody deploy on flag prod/new"},
		{"the wrong channel", in(ask(member("dev-two", "developer"), bot.MayDeploy, shopProd), "slack:C0RANDOM"),
			"no | no grant | dev-two may not deploy on shop/prod | allowed in slack:C0OPS only"},
		{"the wrong hour", at(ask(member("dev-two", "developer"), bot.MayDeploy, shopProd), saturday),
			"no | no grant | dev-two may not deploy on shop/prod | allowed mon-fri 08:00-18:00 (UTC) only"},
		{"the wrong channel and hour", in(at(ask(member("dev-two"), bot.MayDeploy, shopProd), saturday), "slack:C1"),
			"no | no grant | dev-two may not deploy on shop/prod | allowed in slack:C0OPS, mon-fri 08:00-18:00 (UTC) only"},
		{"an own grant, and what it needs", ask(member("dev-two"), bot.MayDeploy, shopProd),
			"yes, after a confirmation and 1 approval from sre | grant 3 (config.toml:49) | dev-two may deploy and roll back on shop/prod, in slack:C0OPS, mon-fri 08:00-18:00 (UTC) | require 1 (config.toml:80)"},
		{"the first of two grants", ask(member("x", "sre", "developer"), bot.MayDeploy, shopStaging),
			"yes | grant 1 (config.toml:41) | developer may deploy, roll back, scale and use status on */staging"},
		{"two grants for two resources", ask(member("dev-two", "developer", "release-manager"), bot.MayDeploy, paymentsStaging, shopStaging, shopProd),
			"yes, after a confirmation and 1 approval from sre | grant 1 (config.toml:41), grant 3 (config.toml:49) | developer may deploy, roll back, scale and use status on */staging; dev-two may deploy and roll back on shop/prod, in slack:C0OPS, mon-fri 08:00-18:00 (UTC) | require 1 (config.toml:80)"},
		{"the strictest of two requires", ask(sre, bot.MayDeploy, paymentsProd),
			"yes, after a confirmation, 2 approvals from sre and a reason that matches OPS-[0-9]+ | grant 2 (config.toml:45) | sre may do everything on */* | require 1 (config.toml:80), require 2 (config.toml:85)"},
		{"rollback is not held up by a rule about everything", ask(sre, bot.MayRollback, paymentsProd),
			"yes, after a confirmation | grant 2 (config.toml:45) | sre may do everything on */* | require 3 (config.toml:90)"},
		{"a deny wins", ask(sre, bot.MayScale, paymentsProd),
			"no | deny 1 (config.toml:70) | nobody may scale on payments/prod: autoscaled; change the policy instead"},
		{"a deny wins over one of several resources", ask(sre, bot.MayScale, shopProd, paymentsProd),
			"no | deny 1 (config.toml:70) | nobody may scale on payments/prod: autoscaled; change the policy instead"},
		{"a deny of a person", ask(member("contractor", "sre"), bot.MayRestart, shopProd),
			"no | deny 2 (config.toml:74) | contractor may not do anything on */prod"},
		{"that person elsewhere", ask(member("contractor", "sre"), bot.MayRestart, shopStaging),
			"yes | grant 2 (config.toml:45) | sre may do everything on */*"},
		{"a deny with a channel", in(ask(sre, bot.MayApproveRun, paymentsProd), "slack:C0RANDOM"),
			"no | deny 3 (config.toml:78) | sre may not use run.approve on payments/* | this is denied in slack:C0RANDOM only"},
		{"the bot itself", ask(member("a", "auditor"), bot.MayReadAudit, bot.TheBot),
			"yes | grant 4 (config.toml:55) | auditor may use audit"},
		{"not the bot itself", ask(dev, bot.MayReadAudit, bot.TheBot),
			"no | no grant | dev-one may not use audit | only sre and auditor may use audit"},
		{"friday night", at(ask(member("watch", "night"), bot.MayRestart, shopProd), time.Date(2026, 11, 21, 5, 59, 59, 0, time.UTC)),
			"yes | grant 5 (config.toml:58) | night may restart on shop/*, fri 22:00-06:00 (UTC)"},
		{"saturday morning", at(ask(member("watch", "night"), bot.MayRestart, shopProd), time.Date(2026, 11, 21, 6, 0, 0, 0, time.UTC)),
			"no | no grant | watch may not restart on shop/prod | allowed fri 22:00-06:00 (UTC) only"},
		{"no time", at(ask(member("watch", "night"), bot.MayRestart, shopProd), time.Time{}),
			"no | no grant | watch may not restart on shop/prod | allowed fri 22:00-06:00 (UTC) only"},
		{"one's own rights", ask(member("nobody-much"), bot.MayAskSelf, bot.TheBot),
			"yes | every declared person | every declared person may ask about their own rights"},
		{"one's own rights, though all is denied", ask(member("contractor"), bot.MayAskSelf),
			"yes | every declared person | every declared person may ask about their own rights"},
		{"guest", ask(standing(bot.Guest), bot.MayDeploy, shopStaging), "no | guest | guests may not run anything here"},
		{"external", ask(standing(bot.External), bot.MayDeploy, shopStaging), "no | external account | people from outside may not run anything here"},
		{"bot", ask(standing(bot.Automated), bot.MayDeploy, shopStaging), "no | bot account | other bots may not run anything here"},
		{"disabled", ask(standing(bot.Disabled), bot.MayDeploy, shopStaging), "no | disabled account | account disabled"},
		{"unvouched", ask(standing(bot.Unvouched), bot.MayDeploy, shopStaging), "no | unvouched account | the chat network does not vouch for this account"},
		{"a standing of tomorrow", ask(standing("owner"), bot.MayDeploy, shopStaging), "no | unvouched account | the chat network does not vouch for this account"},
		{"unknown account", ask(bot.Identity{Account: "slack:T1/U9", Standing: bot.Member, Roles: []string{"sre"}}, bot.MayDeploy, shopStaging),
			"no | unknown account | the account slack:T1/U9 belongs to no declared person; ask whoever runs this bot to add it"},
		{"a guest's own rights", ask(standing(bot.Guest), bot.MayAskSelf), "no | guest | guests may not run anything here"},
		{"nothing to act on", ask(sre, bot.MayDeploy), "no | no grant | it was not said what to deploy on"},
		{"a permission that is none", ask(sre, "launch", shopStaging), `no | no grant | there is no permission "launch"`},
		{"a resource that is none", ask(sre, bot.MayDeploy, shopStaging, "target:shop/prod/eu"),
			`no | no grant | "target:shop/prod/eu" is nothing that a right can be held on`},
		{"a kind that is none", ask(sre, bot.MayDeploy, "planet:mars"), `no | no grant | "planet:mars" is nothing that a right can be held on`},
		{"a star is no name", ask(dev, bot.MayDeploy, "target:*/prod"),
			"no | no grant | dev-one may not deploy on */prod | developer may deploy on */staging; */prod is not in it"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := say(p.Decide(tt.r)); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

// TestStrangersLearnNothing checks that no word of the rules reaches an
// account that may not run anything.
func TestStrangersLearnNothing(t *testing.T) {
	t.Parallel()
	p := mustNew(t, houseRules())
	secrets := []string{"developer", "sre", "shop", "payments", "staging", "prod", "config.toml", "C0OPS", "08:00", "grant 1", "dev-two"}
	for _, s := range []bot.Standing{bot.Member, bot.Guest, bot.External, bot.Automated, bot.Disabled, bot.Unvouched} {
		who := bot.Identity{Account: "slack:T1/U9", Standing: s}
		for _, permission := range []bot.Permission{bot.MayDeploy, bot.MayScale, bot.MayAskSelf, "launch"} {
			r := ask(who, permission, shopProd)
			d := p.Decide(r)
			approve := p.MayApprove(r, bot.ApprovalRule{Count: 1, From: []string{"sre"}})
			if d.Allowed || approve.Allowed || p.Holds(who, permission) {
				t.Fatalf("%q may %s", s, permission)
			}
			text := say(d) + say(approve)
			if permission != bot.MayAskSelf {
				text += p.Explain(bot.Request{Who: who, Permission: permission, Channel: "slack:C0OPS", At: workday})
			}
			for _, secret := range secrets {
				if strings.Contains(text, secret) {
					t.Errorf("%q learns %q from %q", s, secret, text)
				}
			}
		}
	}
}

func TestMayApprove(t *testing.T) {
	t.Parallel()
	rules := houseRules()
	rules.Denies = append(rules.Denies, Deny{Where: "config.toml:95", Persons: []string{"dev-two"}, Permissions: []string{"run.approve"}, Targets: []string{"payments/*"}, Reason: "not their service"})
	p := mustNew(t, rules)
	fromSRE := bot.ApprovalRule{Count: 1, From: []string{"lead", "sre"}}
	guest := member("oncall", "sre")
	guest.Standing = bot.Guest
	random := ask(member("oncall", "sre"), bot.MayDeploy, paymentsProd)
	random.Channel = "slack:C0RANDOM"
	tests := []struct {
		name string
		r    bot.Request
		rule bot.ApprovalRule
		want string
	}{
		{"of the role", ask(member("oncall", "sre"), bot.MayDeploy, shopProd), fromSRE,
			"yes | role sre | approvals are taken from lead and sre, and oncall is sre"},
		{"of another role", ask(member("dev-one", "developer"), bot.MayDeploy, shopProd), fromSRE,
			"no | no grant | dev-one may not approve this | approvals are taken from lead and sre"},
		{"the right to the action is not the right to approve it", ask(member("x", "release-manager"), bot.MayDeploy, shopProd), bot.ApprovalRule{Count: 1},
			"no | no grant | x may not use run.approve on shop/prod | only sre may use run.approve on shop/prod"},
		{"by grant", ask(member("oncall", "sre"), bot.MayDeploy, paymentsProd), bot.ApprovalRule{Count: 1},
			"yes | grant 2 (config.toml:45) | sre may do everything on */*"},
		{"denied there", ask(member("dev-two", "sre"), bot.MayDeploy, shopProd, paymentsProd), fromSRE,
			"no | deny 4 (config.toml:95) | dev-two may not use run.approve on payments/*: not their service"},
		{"denied there by grant", ask(member("dev-two", "sre"), bot.MayDeploy, paymentsProd), bot.ApprovalRule{Count: 1},
			"no | deny 4 (config.toml:95) | dev-two may not use run.approve on payments/*: not their service"},
		{"denied in the channel", random, fromSRE,
			"no | deny 3 (config.toml:78) | sre may not use run.approve on payments/* | this is denied in slack:C0RANDOM only"},
		{"not denied elsewhere", ask(member("dev-two", "sre"), bot.MayDeploy, shopProd), fromSRE,
			"yes | role sre | approvals are taken from lead and sre, and dev-two is sre"},
		{"a deny of everything", ask(member("contractor", "sre"), bot.MayDeploy, shopProd), fromSRE,
			"no | deny 2 (config.toml:74) | contractor may not do anything on */prod"},
		{"guest", ask(guest, bot.MayDeploy, shopProd), fromSRE, "no | guest | guests may not run anything here"},
		{"unknown", ask(bot.Identity{Account: "slack:T1/U9", Standing: bot.Member, Roles: []string{"sre"}}, bot.MayDeploy, shopProd), fromSRE,
			"no | unknown account | the account slack:T1/U9 belongs to no declared person; ask whoever runs this bot to add it"},
		{"nothing", ask(member("oncall", "sre"), bot.MayDeploy), fromSRE, "no | no grant | it was not said what to use run.approve on"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := say(p.MayApprove(tt.r, tt.rule)); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestHolds(t *testing.T) {
	t.Parallel()
	rules := houseRules()
	rules.Denies = append(rules.Denies,
		Deny{Persons: []string{"watch"}, Permissions: []string{"restart"}},
		Deny{Persons: []string{"dev-two"}, Permissions: []string{"deploy"}, Hours: []string{"sun"}})
	p := mustNew(t, rules)
	guest := member("oncall", "sre")
	guest.Standing = bot.Guest
	for _, tt := range []struct {
		name       string
		who        bot.Identity
		permission bot.Permission
		want       bool
	}{
		{"by role", member("dev-one", "developer"), bot.MayDeploy, true},
		{"by nothing", member("dev-one", "developer"), bot.MayRestart, false},
		{"by person, in some channel, denied at some hours", member("dev-two"), bot.MayDeploy, true},
		{"without a resource", member("a", "auditor"), bot.MayReadAudit, true},
		{"denied in places", member("contractor", "sre"), bot.MayDeploy, true},
		{"denied everywhere", member("watch", "night"), bot.MayRestart, false},
		{"self", member("anybody"), bot.MayAskSelf, true},
		{"guest", guest, bot.MayDeploy, false},
		{"no permission", member("oncall", "sre"), "launch", false},
	} {
		if got := p.Holds(tt.who, tt.permission); got != tt.want {
			t.Errorf("%s: %t", tt.name, got)
		}
	}
}

// TestNeedsAreTheAskersOwn checks that what one caller does to a decision
// does not reach the next.
func TestNeedsAreTheAskersOwn(t *testing.T) {
	t.Parallel()
	p := mustNew(t, houseRules())
	r := ask(member("oncall", "sre"), bot.MayDeploy, paymentsProd)
	first := p.Decide(r)
	want := say(first)
	first.Needs.Approvals[0].From[0] = "developer"
	first.Needs.Approvals[0].Count = 0
	first.Needs.Ticket[0] = ".*"
	if got := say(p.Decide(r)); got != want {
		t.Errorf("now %s, before %s", got, want)
	}
}

// TestZone checks that hours follow the wall clock of the zone through a
// change of it.
func TestZone(t *testing.T) {
	t.Parallel()
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	rules := houseRules()
	rules.Location = berlin
	p := mustNew(t, rules)
	for _, tt := range []struct {
		at   string
		want bool
	}{
		{"2026-10-23T05:59:59Z", false}, // Friday 07:59:59 in summer
		{"2026-10-23T06:00:00Z", true},
		{"2026-10-23T15:59:59Z", true},
		{"2026-10-23T16:00:00Z", false},
		{"2026-10-26T06:30:00Z", false}, // Monday 07:30 in winter
		{"2026-10-26T07:00:00Z", true},
		{"2026-10-26T16:59:59Z", true},
		{"2026-10-26T17:00:00Z", false},
	} {
		at, err := time.Parse(time.RFC3339, tt.at)
		if err != nil {
			t.Fatal(err)
		}
		r := ask(member("dev-two"), bot.MayDeploy, shopProd)
		r.At = at
		if got := p.Decide(r).Allowed; got != tt.want {
			t.Errorf("%s: %t", tt.at, got)
		}
	}
}
