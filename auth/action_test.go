package auth

import (
	"strings"
	"testing"

	"quarterdeck/bot"
)

// TestPermissionsOfActions: what the configuration adds is granted, denied and
// required as what is built in, on targets or, where there are none, as a whole.
func TestPermissionsOfActions(t *testing.T) {
	t.Parallel()
	base := func() Rules {
		return Rules{
			Roles: []string{"dev", "sre"},
			Permissions: []bot.PermissionInfo{
				{Name: "action.reindex", Resource: bot.KindTarget, Help: "rebuild an index"},
				{Name: "action.cache", Resource: bot.KindAction, Help: "flush a cache"},
			},
			Grants: []Grant{
				{Roles: []string{"dev"}, Permissions: []string{"action.reindex"}, Targets: []string{"shop/staging"}},
				{Roles: []string{"sre"}, Permissions: []string{"action.*"}, Targets: []string{"shop/*"}},
			},
			Denies:   []Deny{{Permissions: []string{"action.cache"}, Hours: []string{"fri 16:00-24:00"}}},
			Requires: []Require{{Permissions: []string{"action.reindex"}, Targets: []string{"*/prod"}, Confirm: true}},
		}
	}
	p, err := New(base())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		role       string
		permission bot.Permission
		resource   bot.Resource
		want       string
	}{
		{"dev", "action.reindex", "target:shop/staging", "yes | grant 1"},
		{"dev", "action.reindex", "target:shop/prod", "no | no grant"},
		{"dev", "action.cache", "action:cache-flush", "no | no grant"},
		{"sre", "action.cache", "action:cache-flush", "yes | grant 2"},
		{"sre", "action.cache", "action:", "no | no grant"},
		{"sre", "action.other", "target:shop/prod", "no | no grant"},
		{"sre", "deploy", "target:shop/prod", "no | no grant"},
	} {
		if got := say(p.Decide(ask(member("ann", c.role), c.permission, c.resource))); !strings.HasPrefix(got, c.want) {
			t.Errorf("%s %s on %s: %s, want %s", c.role, c.permission, c.resource, got, c.want)
		}
	}
	if d := p.Decide(ask(member("ann", "sre"), "action.reindex", "target:shop/prod")); !d.Allowed || !d.Needs.Confirm {
		t.Errorf("in prod it needs %+v", d.Needs)
	}
	if !p.Holds(member("ann", "dev"), "action.reindex") || p.Holds(member("ann", "dev"), "action.cache") {
		t.Error("what help shows is wrong")
	}
	if !p.Sees(member("ann", "dev"), bot.Target{Service: "shop", Environment: "staging"}) || p.Sees(member("ann", "dev"), bot.Target{Service: "shop", Environment: "prod"}) {
		t.Error("what completion tells is wrong")
	}
	for _, c := range []struct {
		change func(*Rules)
		says   string
	}{
		{func(r *Rules) { r.Grants[0].Targets = nil }, `it has no targets`},
		{func(r *Rules) { r.Grants[0].Permissions = []string{"action.cache"} }, "it has targets, but action.cache is about no target; leave targets out"},
		{func(r *Rules) { r.Denies[0].Targets = []string{"shop/prod"} }, "it has targets, but action.cache is about no target; leave targets out"},
		{func(r *Rules) { r.Grants[0].Permissions = []string{"action.reindx"} }, `there is no permission "action.reindx"; did you mean "action.reindex"?`},
	} {
		r := base()
		c.change(&r)
		if _, err := New(r); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("it says %v, want %s", err, c.says)
		}
	}
}
