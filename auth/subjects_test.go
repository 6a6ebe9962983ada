package auth

import (
	"fmt"
	"testing"

	"quarterdeck/bot"
)

// TestManyRoles checks that every role counts, also of people who hold more
// than a decision keeps without allocating.
func TestManyRoles(t *testing.T) {
	t.Parallel()
	const most = 30
	var rules Rules
	for i := range most {
		rules.Roles = append(rules.Roles, fmt.Sprintf("role-%d", i))
	}
	rules.Roles = append(rules.Roles, "last")
	rules.Grants = []Grant{
		{Roles: rules.Roles[:most], Permissions: []string{"status"}, Targets: []string{"*/*"}},
		{Roles: []string{"last"}, Permissions: []string{"deploy"}, Targets: []string{"*/*"}},
	}
	rules.Denies = []Deny{{Roles: []string{"last"}, Permissions: []string{"restart"}}}
	p := mustNew(t, rules)
	for n := range most {
		who := member("ann", append(append([]string(nil), rules.Roles[:n]...), "last")...)
		if d := p.Decide(ask(who, bot.MayDeploy, shopProd)); !d.Allowed || d.Rule != "grant 2" {
			t.Errorf("%d roles before it: %s", n, say(d))
		}
		if d := p.Decide(ask(who, bot.MayRestart, shopProd)); d.Rule != "deny 1" {
			t.Errorf("%d roles before it: %s", n, say(d))
		}
	}
}
