package auth

import (
	"slices"
	"testing"

	"quarterdeck/bot"
)

// TestUnused holds what is said to be unused against what was used: by whom, of
// what, and where.
func TestUnused(t *testing.T) {
	t.Parallel()
	p := mustNew(t, Rules{Roles: []string{"developer", "sre"}, Persons: []string{"dev-one", "digest:daily"}, Targets: []bot.Target{{Service: "shop", Environment: "prod"}, {Service: "shop", Environment: "staging"}},
		Grants: []Grant{
			{Where: "c:1", Roles: []string{"developer"}, Permissions: []string{"deploy", "rollback"}, Targets: []string{"*/staging"}},
			{Where: "c:2", Roles: []string{"sre"}, Permissions: []string{"deploy", "scale", "scale.*"}, Targets: []string{"shop/prod"}},
			{Where: "c:3", Persons: []string{"digest:daily"}, Permissions: []string{"digest"}},
			{Where: "c:4", Persons: []string{"dev-one"}, Permissions: []string{"audit"}},
			{Where: "c:5", Roles: []string{"sre"}, Permissions: []string{"*"}, Targets: []string{"*/*"}, Flags: []string{"*/*"}},
		}})
	used := []Use{
		{Person: "dev-one", Roles: []string{"developer"}, Permission: bot.MayDeploy, Resource: "target:shop/staging"},
		{Person: "dev-one", Roles: []string{"developer"}, Permission: bot.MayRollback, Resource: "target:shop/prod"}, // by no grant that there is
		{Person: "sre-one", Roles: []string{"sre"}, Permission: bot.MayScale, Resource: "target:shop/prod"},
		{Person: "digest:daily", Permission: bot.MayDigest, Resource: "digest:daily"},
		{Person: "sre-one", Roles: []string{"sre"}, Permission: bot.MayReadAudit, Resource: "bot"},
	}
	want := []string{
		"grant 1 (c:1), developer on */staging: rollback",
		"grant 2 (c:2), sre on shop/prod: deploy, scale.override",
		"grant 4 (c:4), dev-one: audit",
		"grant 5 (c:5), sre on */*, */*: deploy, rollback, restart, status, history, run.read and 15 more",
	}
	got := p.Unused(used)
	if len(got) != 4 || !slices.Equal(got[:3], want[:3]) {
		t.Errorf("unused are %q\nwant %q", got, want)
	}
	if none := p.Unused(nil); len(none) != 5 || none[0] != "grant 1 (c:1), developer on */staging: all of it" || none[4] != "grant 5 (c:5), sre on */*, */*: all of it" {
		t.Errorf("when nobody did anything unused are %q", none)
	}
}
