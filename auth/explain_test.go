package auth

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"quarterdeck/bot"
)

func TestExplain(t *testing.T) {
	t.Parallel()
	p := mustNew(t, houseRules())
	both := member("contractor", "sre", "developer")
	tests := []struct {
		name string
		r    bot.Request
		want string
	}{
		{"allowed after needs", ask(member("dev-two", "developer"), bot.MayDeploy, shopProd), `
dev-two may deploy on shop/prod, after a confirmation and 1 approval from sre
decided by: grant 3 (config.toml:49)
because: dev-two may deploy and roll back on shop/prod, in slack:C0OPS, mon-fri 08:00-18:00 (UTC)
required by: require 1 (config.toml:80)
would change it: without grant 3 (config.toml:49) (it holds in slack:C0OPS, mon-fri 08:00-18:00 (UTC) only) it would be denied on shop/prod
roles of dev-two: developer`},
		{"allowed twice", ask(member("x", "sre", "developer"), bot.MayDeploy, shopStaging), `
x may deploy on shop/staging
decided by: grant 1 (config.toml:41)
because: developer may deploy, roll back, scale and use status on */staging
would change it: without grant 1 (config.toml:41) and grant 2 (config.toml:45) it would be denied on shop/staging
roles of x: sre, developer`},
		{"no grant", ask(member("dev-one", "developer"), bot.MayDeploy, shopProd), `
dev-one may not deploy on shop/prod
decided by: no grant
because: dev-one may not deploy on shop/prod
would change it: developer may deploy on */staging; shop/prod is not in it
would change it: a [[grant]] of deploy on shop/prod for developer or dev-one
roles of dev-one: developer`},
		{"deny", ask(both, bot.MayScale, paymentsProd), `
contractor may not scale on payments/prod
decided by: deny 1 (config.toml:70)
because: nobody may scale on payments/prod: autoscaled; change the policy instead
would change it: taking back deny 1 (config.toml:70), which wins over every grant
would change it: taking back deny 2 (config.toml:74), which wins over every grant
roles of contractor: sre, developer`},
		{"guest", bot.Request{Who: bot.Identity{Account: "slack:T1/G", Standing: bot.Guest}, Permission: bot.MayDeploy, Resources: []bot.Resource{shopProd}}, `
slack:T1/G may not deploy on shop/prod
decided by: guest
because: guests may not run anything here`},
		{"the bot", ask(member("dev-one"), bot.MayReadAudit, bot.TheBot), `
dev-one may not use audit
decided by: no grant
because: dev-one may not use audit
would change it: only sre and auditor may use audit
would change it: a [[grant]] of audit for dev-one
roles of dev-one: none`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := p.Explain(tt.r); got != strings.TrimPrefix(tt.want, "\n") {
				t.Errorf("got\n%s\nwant%s", got, tt.want)
			}
		})
	}
}

func TestNeedsText(t *testing.T) {
	t.Parallel()
	for want, n := range map[string]bot.Needs{
		"nothing":        {},
		"a confirmation": {Confirm: true},
		"2 approvals":    {Approvals: []bot.ApprovalRule{{Count: 2}}},
		"1 approval from lead or sre and a reason": {Reason: true, Approvals: []bot.ApprovalRule{{Count: 1, From: []string{"lead", "sre"}}}},
		"1 approval and a code of each approver":   {StepUp: true, Approvals: []bot.ApprovalRule{{Count: 1}}},
		"a confirmation and a code of the asker":   {StepUp: true, Confirm: true},
		"a reason that matches OPS-1":              {Reason: true, Ticket: []string{"OPS-1"}},
	} {
		if got := NeedsText(n); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestDiff(t *testing.T) {
	t.Parallel()
	people := map[string]string{"dev-one": "(slack:T1/U1): developer", "dev-two": "(slack:T1/U2): developer", "same": "(os:1): sre"}
	groups := map[string]string{"sre": "from slack-group:S0SRE"}
	old := mustNew(t, houseRules()).Snapshot(people, groups)

	rules := houseRules()
	slices.Reverse(rules.Grants)
	slices.Reverse(rules.Grants[0].Targets)
	rules.Grants[1].Where = "elsewhere.toml:1"
	same := mustNew(t, rules).Snapshot(people, groups)
	if lines := Diff(old, same); len(lines) > 0 {
		t.Errorf("another order and place is a difference: %q", lines)
	}
	a, _ := json.Marshal(old)
	b, _ := json.Marshal(same)
	if string(a) != string(b) {
		t.Errorf("equal rules give\n%s\nand\n%s", a, b)
	}
	var back Snapshot
	if err := json.Unmarshal(a, &back); err != nil || len(Diff(old, back)) > 0 || len(Diff(back, old)) > 0 {
		t.Errorf("after JSON: %v, %q", err, Diff(old, back))
	}

	rules = houseRules()
	rules.Location = time.FixedZone("Nowhere", 3600)
	rules.Grants[0].Targets = []string{"shop/*"}
	rules.Denies = rules.Denies[1:]
	rules.Requires[0].Approvals = &bot.ApprovalRule{Count: 2, From: []string{"sre"}}
	changed := mustNew(t, rules).Snapshot(map[string]string{"dev-one": "(slack:T1/U1): developer, sre", "dev-three": "(slack:T1/U3): developer", "same": "(os:1): sre"}, nil)
	want := []string{
		"~ hours are read in Nowhere, no longer in UTC",
		"+ person dev-three (slack:T1/U3): developer",
		"~ person dev-one (slack:T1/U1): developer, sre, was (slack:T1/U1): developer",
		"- person dev-two (slack:T1/U2): developer",
		"- role sre from slack-group:S0SRE",
		`- deny: permissions scale; targets payments/prod; reason "autoscaled; change the policy instead"`,
		"- grant: roles developer; permissions deploy, rollback, scale, status; targets */staging",
		"- require: permissions deploy, scale; targets */prod; a confirmation; approvals 1 from sre",
		"+ grant: roles developer; permissions deploy, rollback, scale, status; targets shop/*",
		"+ require: permissions deploy, scale; targets */prod; a confirmation; approvals 2 from sre",
	}
	got := Diff(old, changed)
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if first := Diff(Snapshot{}, old); slices.ContainsFunc(first, func(s string) bool { return !strings.HasPrefix(s, "+ ") }) || len(first) != len(old.Rules)+4 {
		t.Errorf("from nothing: %q", first)
	}
}

// TestNoChangeGoesUnseen changes every field of every kind of rule in turn:
// the snapshot has to differ each time, save for the place it stands at.
func TestNoChangeGoesUnseen(t *testing.T) {
	t.Parallel()
	full := func() *Rules {
		return &Rules{
			Grants:   []Grant{{"w", []string{"a"}, []string{"b"}, []string{"c"}, []string{"d"}, []string{"e"}, []string{"f"}, []string{"g"}}},
			Denies:   []Deny{{"w", []string{"a"}, []string{"b"}, []string{"c"}, []string{"d"}, []string{"e"}, []string{"f"}, []string{"g"}, "h"}},
			Requires: []Require{{"w", []string{"a"}, []string{"b"}, []string{"c"}, true, &bot.ApprovalRule{Count: 1, From: []string{"d"}}, true, "e", true}},
		}
	}
	describe := func(r *Rules) Snapshot { return (&Policy{rules: *r, zone: time.UTC}).Snapshot(nil, nil) }
	before := describe(full())
	for _, kind := range []string{"Grants", "Denies", "Requires"} {
		fields := reflect.TypeFor[Rules]()
		sf, _ := fields.FieldByName(kind)
		for i := range sf.Type.Elem().NumField() {
			name := sf.Type.Elem().Field(i).Name
			if name == "Where" {
				continue
			}
			r := full()
			switch f := reflect.ValueOf(r).Elem().FieldByName(kind).Index(0).Field(i); f.Kind() {
			case reflect.Slice, reflect.Bool, reflect.String, reflect.Pointer:
				f.SetZero()
			default:
				t.Fatalf("%s.%s: this test does not know how to change a %s", kind, name, f.Kind())
			}
			if len(Diff(before, describe(r))) != 2 {
				t.Errorf("%s.%s: emptying it gives %q", kind, name, Diff(before, describe(r)))
			}
		}
	}
	count, from := full(), full()
	count.Requires[0].Approvals.Count = 2
	from.Requires[0].Approvals.From = nil
	for _, r := range []*Rules{count, from} {
		if len(Diff(before, describe(r))) != 2 {
			t.Errorf("%+v: %q", *r.Requires[0].Approvals, Diff(before, describe(r)))
		}
	}
}

// Permissions that are no verbs are named together, behind one "use".
func TestSentenceNamesPermissionsOnce(t *testing.T) {
	t.Parallel()
	p := mustNew(t, Rules{
		Roles: []string{"sre"}, Targets: []bot.Target{{Service: "shop", Environment: "prod"}},
		Grants: []Grant{{Roles: []string{"sre"}, Permissions: []string{"status", "rollback", "run.*"}, Targets: []string{"*/*"}}},
	})
	d := p.Decide(ask(member("oncall", "sre"), bot.MayRollback, shopProd))
	if want := "sre may roll back and use status and run.* on */*"; d.Because != want {
		t.Errorf("got %q, want %q", d.Because, want)
	}
	if got := p.Explain(ask(member("oncall", "sre"), bot.MayAskSelf, bot.TheBot)); !strings.HasPrefix(got, "oncall may ask about their own rights\n") {
		t.Errorf("got %q", got)
	}
}
