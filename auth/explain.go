package auth

import (
	"fmt"
	"slices"
	"strings"

	"quarterdeck/bot"
)

// Explain answers r in several lines, without a final newline: the verdict,
// the rule that decided, what it needs and which rules say so, and what would
// change the answer. About unknown accounts it says no more than Decide does.
func (p *Policy) Explain(r bot.Request) string {
	d := p.Decide(r)
	if p.match.refuses(r.Who) || r.Permission == bot.MayAskSelf {
		return verdict(p, r, d) + "\ndecided by: " + d.Rule + "\nbecause: " + d.Because
	}
	lines := []string{verdict(p, r, d), "decided by: " + d.Rule, "because: " + d.Because}
	if d.Require != "" {
		lines = append(lines, "required by: "+d.Require)
	}
	for _, change := range p.changes(r, d) {
		lines = append(lines, "would change it: "+change)
	}
	roles := "none"
	if len(r.Who.Roles) > 0 {
		roles = strings.Join(r.Who.Roles, ", ")
	}
	return strings.Join(append(lines, "roles of "+r.Who.Name()+": "+roles), "\n")
}

func verdict(p *Policy, r bot.Request, d bot.Decision) string {
	names := make([]string, len(r.Resources))
	for i, resource := range r.Resources {
		names[i] = display(resource)
	}
	where := ""
	if len(names) > 0 && !slices.Equal(r.Resources, []bot.Resource{bot.TheBot}) {
		where = " on " + few(names, "and")
	}
	may := " may "
	if !d.Allowed {
		may = " may not "
	}
	s := r.Who.Name() + may + p.act(r.Permission) + where
	if d.Allowed && !d.Needs.None() {
		s += ", after " + NeedsText(d.Needs)
	}
	return s
}

// NeedsText writes what must happen first: "a confirmation, 1 approval from
// sre and a reason"; "nothing" when nothing must.
func NeedsText(n bot.Needs) string {
	var parts []string
	if n.Confirm {
		parts = append(parts, "a confirmation")
	}
	for _, a := range n.Approvals {
		s := fmt.Sprintf("%d approvals", a.Count)
		if a.Count == 1 {
			s = "1 approval"
		}
		if len(a.From) > 0 {
			s += " from " + list(a.From, "or")
		}
		parts = append(parts, s)
	}
	if n.Reason && len(n.Ticket) == 0 {
		parts = append(parts, "a reason")
	}
	for _, ticket := range n.Ticket {
		parts = append(parts, "a reason that matches "+ticket)
	}
	if n.StepUp {
		parts = append(parts, "a code of "+CodeOf(n))
	}
	if len(parts) == 0 {
		return "nothing"
	}
	return list(parts, "and")
}

// CodeOf says whose one-time code a step-up asks for: whoever approves, or the
// asker where nobody does.
func CodeOf(n bot.Needs) string {
	if len(n.Approvals) > 0 {
		return "each approver"
	}
	return "the asker"
}

// changes says what would have turned the answer.
func (p *Policy) changes(r bot.Request, d bot.Decision) []string {
	number, ok := p.numbers[r.Permission]
	if _, sound := p.checkResources(r); !ok || !sound {
		return nil
	}
	q := new(question)
	p.pose(q, r, number)
	if d.Allowed {
		return p.wouldDeny(q)
	}
	var lines []string
	var against []int32
	for _, resource := range r.Resources {
		against = append(against, p.all(&p.denyIndex, p.denies, q, p.place(resource))...)
	}
	slices.Sort(against)
	for _, n := range slices.Compact(against) {
		s := "taking back " + p.denies[n].label + ", which wins over every grant"
		if c := p.conditions(p.denies[n], p.rules.Denies[n].Hours); c != "" {
			s += " and holds " + c + " only"
		}
		lines = append(lines, s)
	}
	for _, resource := range r.Resources {
		if p.granted(q, p.place(resource)) >= 0 {
			continue
		}
		lines = append(lines, p.near(q, resource, true))
		lines = append(lines, fmt.Sprintf("a [[grant]] of %s%s for %s", r.Permission, on(resource), list(append(slices.Clone(r.Who.Roles), r.Who.Person), "or")))
	}
	return lines
}

// wouldDeny says which grants an allowed answer hangs on.
func (p *Policy) wouldDeny(q *question) []string {
	var lines []string
	for _, resource := range q.Resources {
		grants := p.all(&p.grantIndex, p.grants, q, p.place(resource))
		slices.Sort(grants)
		grants = slices.Compact(grants)
		labels := make([]string, len(grants))
		for i, n := range grants {
			labels[i] = p.grants[n].label
			if c := p.conditions(p.grants[n], p.rules.Grants[n].Hours); c != "" {
				labels[i] += " (it holds " + c + " only)"
			}
		}
		line := fmt.Sprintf("without %s it would be denied%s", list(labels, "and"), on(resource))
		if !slices.Contains(lines, line) {
			lines = append(lines, line)
		}
	}
	return lines
}

// all gives every rule that first chooses among.
func (p *Policy) all(x *index, rules []rule, q *question, at place) []int32 {
	var matching []int32
	for _, subject := range q.subjects.all() {
		b := x.at(subject, q.permission)
		if b == nil {
			continue
		}
		for _, l := range p.match.lookUp(b, at) {
			for _, n := range l {
				if p.holds(x, &rules[n], q) {
					matching = append(matching, n)
				}
			}
		}
	}
	return matching
}
