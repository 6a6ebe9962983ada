package auth

import (
	"strings"
	"testing"

	"quarterdeck/bot"
)

// A role that is in doubt permits nothing, denies what it would deny, and a
// refusal says what is not known.
func TestDoubts(t *testing.T) {
	shop := bot.Target{Service: "shop", Environment: "prod"}
	p, err := New(Rules{Roles: []string{"developer", "sre", "contractor"}, Persons: []string{"ada"}, Targets: []bot.Target{shop},
		Grants: []Grant{{Roles: []string{"developer"}, Permissions: []string{"deploy"}, Targets: []string{"*/*"}},
			{Roles: []string{"sre"}, Permissions: []string{"rollback"}, Targets: []string{"*/*"}}},
		Denies: []Deny{{Roles: []string{"contractor"}, Permissions: []string{"deploy"}, Targets: []string{"*/prod"}, Reason: "staff only"}}})
	if err != nil {
		t.Fatal(err)
	}
	ask := func(permission bot.Permission, doubts ...bot.Doubt) bot.Decision {
		who := bot.Identity{Account: "slack:T1/U1", Standing: bot.Member, Person: "ada", Roles: []string{"developer"}, Doubts: doubts}
		return p.Decide(bot.Request{Who: who, Permission: permission, Resources: []bot.Resource{shop.Resource()}})
	}
	doubt := func(role string) bot.Doubt { return bot.Doubt{Role: role, Say: "the role " + role + " is not known"} }
	if d := ask("deploy", doubt("sre")); !d.Allowed || d.Near != "" {
		t.Errorf("what another role permits: %+v", d)
	}
	if d := ask("rollback", doubt("sre")); d.Allowed || !strings.HasSuffix(d.Near, "the role sre is not known") {
		t.Errorf("what the doubtful role would permit: %+v", d)
	}
	if d := ask("deploy"); !d.Allowed {
		t.Errorf("without a doubt: %+v", d)
	}
	if d := ask("deploy", doubt("contractor")); d.Allowed || !strings.Contains(d.Because, "staff only") || !strings.Contains(d.Near, "the role contractor is not known") {
		t.Errorf("what the doubtful role would deny: %+v", d)
	}
	who := bot.Identity{Account: "slack:T1/U1", Standing: bot.Member, Person: "ada", Doubts: []bot.Doubt{doubt("sre")}}
	r := bot.Request{Who: who, Permission: "deploy", Resources: []bot.Resource{shop.Resource()}}
	if d := p.MayApprove(r, bot.ApprovalRule{Count: 1, From: []string{"sre"}}); d.Allowed || !strings.HasSuffix(d.Near, "the role sre is not known") {
		t.Errorf("an approval: %+v", d)
	}
	r.Who.Standing, r.Who.Doubts = bot.Unvouched, []bot.Doubt{{Say: "the standing is not known"}}
	if d := p.Decide(r); d.Allowed || d.Near != "the standing is not known" {
		t.Errorf("an account that is not vouched for: %+v", d)
	}
}
