package auth

import (
	"fmt"
	"testing"

	"quarterdeck/bot"
)

// crowd gives rules with n grants, some denies and requires, and a request
// that one of the last grants permits. The person holds three roles; grants
// have every condition that there is.
func crowd(n int) (Rules, bot.Request) {
	var r Rules
	services := max(n/10, 1)
	for i := range services {
		r.Targets = append(r.Targets, bot.Target{Service: fmt.Sprintf("service-%d", i), Environment: "prod"},
			bot.Target{Service: fmt.Sprintf("service-%d", i), Environment: "staging"})
		r.Roles = append(r.Roles, fmt.Sprintf("team-%d", i))
	}
	for i := range n {
		r.Grants = append(r.Grants, Grant{
			Where:       fmt.Sprintf("config.toml:%d", i),
			Roles:       []string{r.Roles[i%services], r.Roles[(i+7)%services]},
			Permissions: []string{"deploy", "rollback", "run.*"},
			Targets:     []string{fmt.Sprintf("service-%d/staging", i%services), fmt.Sprintf("service-%d/prod", (i*3)%services)},
			Channels:    []string{"slack:C0OPS", "slack:C0DEV"},
			Hours:       []string{"mon-fri 08:00-18:00"},
		})
	}
	for i := range max(n/50, 1) {
		r.Denies = append(r.Denies, Deny{Roles: []string{r.Roles[(i+3)%services]}, Permissions: []string{"deploy"}, Targets: []string{fmt.Sprintf("service-%d/prod", i%services)}})
	}
	r.Requires = append(r.Requires, Require{Permissions: []string{"deploy"}, Targets: []string{"*/prod"}, Confirm: true, Approvals: &bot.ApprovalRule{Count: 1, From: []string{"team-0"}}})
	last := services - 1
	who := member("ann", r.Roles[0], r.Roles[last/2], r.Roles[last])
	return r, ask(who, bot.MayDeploy, bot.Resource(fmt.Sprintf("target:service-%d/staging", last)))
}

// sameRole gives n grants of one role and permission that differ in the
// target alone: the index must not depend on roles being many.
func sameRole(n int) (Rules, bot.Request) {
	r := Rules{Roles: []string{"dev"}}
	for i := range n {
		r.Grants = append(r.Grants, Grant{Roles: r.Roles, Permissions: []string{"deploy"}, Targets: []string{fmt.Sprintf("service-%d/prod", i)}})
	}
	return r, ask(member("ann", "dev"), bot.MayDeploy, bot.Resource(fmt.Sprintf("target:service-%d/prod", n-1)))
}

func BenchmarkDecide(b *testing.B) {
	for _, n := range []int{50, 500, 5000} {
		for name, make := range map[string]func(int) (Rules, bot.Request){"teams": crowd, "one role": sameRole} {
			rules, r := make(n)
			p := mustNew(b, rules)
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if !p.Decide(r).Allowed {
						b.Fatal("denied")
					}
				}
			})
		}
		rules, r := crowd(n)
		p := mustNew(b, rules)
		after, denied := r, r
		after.Resources = []bot.Resource{bot.Resource(fmt.Sprintf("target:service-%d/prod", 0))}
		denied.Permission = bot.MayScale
		b.Run(fmt.Sprintf("after needs/%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if d := p.Decide(after); !d.Allowed || d.Needs.None() {
					b.Fatal(say(d))
				}
			}
		})
		b.Run(fmt.Sprintf("denied, with a near miss/%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if p.Decide(denied).Allowed {
					b.Fatal("allowed")
				}
			}
		})
	}
}

// TestAllowedWithoutAllocation keeps the usual answer from costing memory,
// however many rules there are.
func TestAllowedWithoutAllocation(t *testing.T) {
	for name, make := range map[string]func(int) (Rules, bot.Request){"teams": crowd, "one role": sameRole} {
		rules, r := make(5000)
		p := mustNew(t, rules)
		if d := p.Decide(r); !d.Allowed {
			t.Fatal(say(d))
		}
		if n := testing.AllocsPerRun(200, func() { p.Decide(r) }); n != 0 {
			t.Errorf("%s: %v allocations a decision", name, n)
		}
	}
}
