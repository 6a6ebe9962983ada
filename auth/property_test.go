package auth

import (
	"math/rand/v2"
	"regexp"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"quarterdeck/bot"
)

// drawWorld gives a random world and some questions about it.
func drawWorld(t *rapid.T) (Rules, []bot.Request) {
	r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
	w := randomWorld(r, time.UTC)
	var requests []bot.Request
	for range 60 {
		q, _ := randomRequest(r)
		requests = append(requests, q)
	}
	return w.rules, requests
}

func mustCompile(t *rapid.T, r Rules) *Policy {
	p, err := compile(r, testPermissions(), exact())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// atLeast reports whether needs a ask for all that b asks for.
func atLeast(a, b bot.Needs) bool {
	if b.Confirm && !a.Confirm || b.Reason && !a.Reason || b.StepUp && !a.StepUp {
		return false
	}
	for _, ticket := range b.Ticket {
		if !slices.Contains(a.Ticket, ticket) {
			return false
		}
	}
	for _, rule := range b.Approvals {
		if !slices.ContainsFunc(a.Approvals, func(x bot.ApprovalRule) bool { return slices.Equal(x.From, rule.From) && x.Count >= rule.Count }) {
			return false
		}
	}
	return true
}

// TestRulesOnlyTighten checks on random policies that taking a grant away and
// adding a deny never allow more, for asking and for approving, and that
// adding a require never asks for less and never changes who may.
func TestRulesOnlyTighten(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		rules, requests := drawWorld(t)
		full := mustCompile(t, rules)
		fewer := rules
		at := rapid.IntRange(0, len(rules.Grants)-1).Draw(t, "grant")
		fewer.Grants = slices.Delete(slices.Clone(rules.Grants), at, at+1)
		without := rules
		at = rapid.IntRange(0, len(rules.Denies)-1).Draw(t, "deny")
		without.Denies = slices.Delete(slices.Clone(rules.Denies), at, at+1)
		laxer := rules
		at = rapid.IntRange(0, len(rules.Requires)-1).Draw(t, "require")
		laxer.Requires = slices.Delete(slices.Clone(rules.Requires), at, at+1)
		noGrant, noDeny, noRequire := mustCompile(t, fewer), mustCompile(t, without), mustCompile(t, laxer)
		for _, q := range requests {
			d := full.Decide(q)
			if noGrant.Decide(q).Allowed && !d.Allowed {
				t.Fatalf("less is granted and %+v is allowed: %s", q, say(noGrant.Decide(q)))
			}
			if d.Allowed && !noDeny.Decide(q).Allowed {
				t.Fatalf("more is denied and %+v is allowed: %s", q, say(d))
			}
			less := noRequire.Decide(q)
			if less.Allowed != d.Allowed || !atLeast(d.Needs, less.Needs) {
				t.Fatalf("more is required of %+v and it needs %+v instead of %+v", q, d.Needs, less.Needs)
			}
			for _, rule := range []bot.ApprovalRule{{Count: 1}, {Count: 1, From: []string{"sre"}}} {
				if full.MayApprove(q, rule).Allowed && !noDeny.MayApprove(q, rule).Allowed || noGrant.MayApprove(q, rule).Allowed && !full.MayApprove(q, rule).Allowed {
					t.Fatalf("a tighter policy lets %+v approve for %+v", q.Who, rule)
				}
			}
		}
	})
}

// TestEveryDecisionSpeaks checks the form of decisions on random policies: a
// rule, one sentence, and a hint only for members.
func TestEveryDecisionSpeaks(t *testing.T) {
	t.Parallel()
	rule := regexp.MustCompile(`^((grant|deny) \d+ \([gd]:\d+\)(, )?)+$|^no grant$|^(guest|external account|bot account|disabled account|unvouched account|unknown account)$`)
	rapid.Check(t, func(t *rapid.T) {
		rules, requests := drawWorld(t)
		p := mustCompile(t, rules)
		for _, q := range requests {
			d := p.Decide(q)
			if !rule.MatchString(d.Rule) || d.Because == "" {
				t.Fatalf("%+v: %s", q, say(d))
			}
			if !q.Who.Known() && (d.Allowed || d.Near != "") {
				t.Fatalf("%+v: %s", q, say(d))
			}
			if d.Allowed && !p.Holds(q.Who, q.Permission) {
				t.Fatalf("%+v is allowed and not held", q)
			}
			if !d.Allowed && (!d.Needs.None() || d.Require != "") {
				t.Fatalf("%+v is denied and needs something: %s", q, say(d))
			}
			if d.Needs.None() != (d.Require == "") {
				t.Fatalf("%+v: %s", q, say(d))
			}
			if got := p.Explain(q); got == "" {
				t.Fatalf("%+v is not explained", q)
			}
		}
	})
}
