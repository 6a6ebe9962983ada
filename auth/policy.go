package auth

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"quarterdeck/bot"
)

// Policy is a set of rules made ready to answer. It implements bot.Policy, is
// never changed after New and is safe for concurrent use.
type Policy struct {
	rules       Rules
	permissions []bot.PermissionInfo
	zone        *time.Location
	timed       bool // some rule has hours
	match       matcher

	// Numbers of names in the index.
	numbers  map[bot.Permission]int
	persons  map[string]uint32
	roles    map[string]uint32
	segments map[string]uint32

	grants   []rule
	denies   []rule
	requires []requirement

	grantIndex   index
	denyIndex    index
	requireIndex index
}

// rule is what a grant and a deny have in common once compiled.
type rule struct {
	label    string // "grant 3 (config.toml:41)"
	because  string
	channels []bot.ChannelID
	windows  []window
	// everywhere marks a deny that no resource, channel or hour escapes.
	everywhere bool
}

type requirement struct {
	label string
	needs bot.Needs
}

// noGrant is the rule that decides where no other does.
const noGrant = "no grant"

// question is a request in the terms of the index.
type question struct {
	bot.Request
	subjects   subjects
	permission int
	minute     int // of the week; noMinute when unknown or not asked about
}

// pose puts r into q in the terms of the index.
func (p *Policy) pose(q *question, r bot.Request, permission int) {
	q.Request, q.permission, q.minute = r, permission, noMinute
	q.subjects = p.match.subjects(p, r.Who)
	if p.timed {
		q.minute = p.match.minute(p, r)
	}
}

// Decide answers whether r.Who may use r.Permission on every one of
// r.Resources, and what must happen first. Unknown accounts and all standings
// but Member are refused without a hint. A request about no resource at all is
// refused, except for bot.MayAskSelf. Hours need r.At: without it grants with
// hours do not hold, and denies with hours do. A role that is in doubt is not
// held where it would permit, and is held where it would deny; a refusal says
// what is not known.
func (p *Policy) Decide(r bot.Request) bot.Decision {
	return doubted(p.decide(r), r.Who)
}

// doubted has a refusal say what about who could not be found out: it may be
// why.
func doubted(d bot.Decision, who bot.Identity) bot.Decision {
	if d.Allowed {
		return d
	}
	for _, doubt := range who.Doubts {
		if d.Near != "" {
			d.Near += "; "
		}
		d.Near += doubt.Say
	}
	return d
}

func (p *Policy) decide(r bot.Request) bot.Decision {
	if p.match.refuses(r.Who) {
		return refusal(r.Who)
	}
	if r.Permission == bot.MayAskSelf {
		return bot.Decision{Allowed: true, Rule: "every declared person", Because: "every declared person may ask about their own rights"}
	}
	permission, ok := p.numbers[r.Permission]
	if !ok {
		return bot.Decision{Rule: noGrant, Because: fmt.Sprintf("there is no permission %q", r.Permission)}
	}
	var q question
	p.pose(&q, r, permission)
	if d, ok := p.checkResources(r); !ok {
		return d
	}
	if deny := p.denied(&q); p.match.wins(deny) {
		return p.denial(&q, deny)
	}
	var decision bot.Decision
	last := int32(-1)
	for _, resource := range p.match.every(r.Resources) {
		grant := p.granted(&q, p.place(resource))
		if grant < 0 {
			return bot.Decision{
				Rule:    noGrant,
				Because: fmt.Sprintf("%s may not %s%s", r.Who.Name(), p.act(r.Permission), on(resource)),
				Near:    p.near(&q, resource, p.mayKnow(r.Who, resource)),
			}
		}
		if grant == last {
			continue
		}
		last = grant
		if !decision.Allowed {
			decision = bot.Decision{Allowed: true, Rule: p.grants[grant].label, Because: p.grants[grant].because}
		} else if !strings.Contains(decision.Rule, p.grants[grant].label) {
			decision.Rule += ", " + p.grants[grant].label
			decision.Because += "; " + p.grants[grant].because
		}
	}
	p.require(&q, &decision)
	return decision
}

// checkResources refuses requests about nothing or about what is no resource.
func (p *Policy) checkResources(r bot.Request) (bot.Decision, bool) {
	if len(r.Resources) == 0 {
		return bot.Decision{Rule: noGrant, Because: fmt.Sprintf("it was not said what to %s on", p.act(r.Permission))}, false
	}
	for _, resource := range r.Resources {
		if p.place(resource).kind == malformed {
			return bot.Decision{Rule: noGrant, Because: fmt.Sprintf("%q is nothing that a right can be held on", string(resource))}, false
		}
	}
	return bot.Decision{}, true
}

// granted gives the first grant in the configuration that permits the place,
// or -1.
func (p *Policy) granted(q *question, at place) int32 {
	return p.first(&p.grantIndex, p.grants, q, at)
}

// denied gives the first deny in the configuration that matches any resource
// of the question, or -1.
func (p *Policy) denied(q *question) int32 {
	best := int32(-1)
	if len(p.denies) == 0 {
		return best
	}
	if len(q.Who.Doubts) > 0 {
		feared, who := *q, q.Who
		who.Roles = slices.Clone(who.Roles)
		for _, doubt := range who.Doubts {
			who.Roles = append(who.Roles, doubt.Role)
		}
		feared.subjects = p.match.subjects(p, who)
		q = &feared
	}
	for _, resource := range q.Resources {
		if i := p.first(&p.denyIndex, p.denies, q, p.place(resource)); i >= 0 && (best < 0 || i < best) {
			best = i
		}
	}
	return best
}

// first gives the lowest rule that matches subject, permission, place, channel
// and hour, or -1.
func (p *Policy) first(x *index, rules []rule, q *question, at place) int32 {
	best := int32(-1)
	for _, subject := range q.subjects.all() {
		b := x.at(subject, q.permission)
		if b == nil {
			continue
		}
		lists := p.match.lookUp(b, at)
		for i := range lists {
			for _, n := range lists[i] {
				if best >= 0 && n >= best {
					break
				}
				if p.holds(x, &rules[n], q) {
					best = n
				}
			}
		}
	}
	return best
}

// holds reports whether the rule's channels and hours meet the question. A
// question without a time meets denies with hours, and no grants with hours.
func (p *Policy) holds(x *index, r *rule, q *question) bool {
	if !p.match.inChannel(r.channels, q.Channel) {
		return false
	}
	if len(r.windows) == 0 {
		return true
	}
	if q.minute == noMinute {
		return x == &p.denyIndex
	}
	return p.match.inWindows(r.windows, q.minute)
}

// require adds what all matching requirements ask for together.
func (p *Policy) require(q *question, d *bot.Decision) {
	if len(p.requires) == 0 {
		return
	}
	b := p.requireIndex.at(everybody, q.permission)
	if b == nil {
		return
	}
	var buffer [16]int32
	matching := buffer[:0]
	for _, resource := range q.Resources {
		for _, list := range p.match.lookUp(b, p.place(resource)) {
			matching = append(matching, list...)
		}
	}
	if len(matching) == 0 {
		return
	}
	slices.Sort(matching)
	matching = slices.Compact(matching)
	from, to := p.match.together(len(matching))
	var labels []string
	for _, n := range matching[from:to] {
		strengthen(&d.Needs, p.requires[n].needs)
		labels = append(labels, p.requires[n].label)
	}
	d.Require = strings.Join(labels, ", ")
}

// strengthen makes n ask for everything that more asks for too. Two approval
// rules about the same roles become one with the higher count.
func strengthen(n *bot.Needs, more bot.Needs) {
	n.Confirm = n.Confirm || more.Confirm
	n.Reason = n.Reason || more.Reason
	n.StepUp = n.StepUp || more.StepUp
	for _, ticket := range more.Ticket {
		if !slices.Contains(n.Ticket, ticket) {
			n.Ticket = append(n.Ticket, ticket)
		}
	}
	for _, rule := range more.Approvals {
		same := slices.IndexFunc(n.Approvals, func(a bot.ApprovalRule) bool { return slices.Equal(a.From, rule.From) })
		if same >= 0 {
			n.Approvals[same].Count = max(n.Approvals[same].Count, rule.Count)
			continue
		}
		n.Approvals = append(n.Approvals, bot.ApprovalRule{Count: rule.Count, From: slices.Clone(rule.From)})
	}
}

// denial answers for a deny that matched.
func (p *Policy) denial(q *question, n int32) bot.Decision {
	d := bot.Decision{Rule: p.denies[n].label, Because: p.denies[n].because}
	if c := p.conditions(p.denies[n], p.rules.Denies[n].Hours); c != "" {
		d.Near = "this is denied " + c + " only"
	}
	return d
}

// refusal answers for whoever may not run anything, with a sentence for each
// case and no word about any rule.
func refusal(who bot.Identity) bot.Decision {
	switch who.Standing {
	case bot.Guest:
		return bot.Decision{Rule: "guest", Because: "guests may not run anything here"}
	case bot.External:
		return bot.Decision{Rule: "external account", Because: "people from outside may not run anything here"}
	case bot.Automated:
		return bot.Decision{Rule: "bot account", Because: "other bots may not run anything here"}
	case bot.Disabled:
		return bot.Decision{Rule: "disabled account", Because: "account disabled"}
	case bot.Member:
		return bot.Decision{Rule: "unknown account", Because: fmt.Sprintf("the account %s belongs to no declared person; ask whoever runs this bot to add it", who.Account)}
	}
	return bot.Decision{Rule: "unvouched account", Because: "the chat network does not vouch for this account"}
}

// MayApprove answers whether r.Who's yes counts towards rule for the action
// that r describes. The approver must be a declared person; a deny of
// run.approve on any of the resources stops it; then it takes one of the roles
// in rule.From or, when that is empty, a grant of run.approve on every
// resource. That nobody approves their own action is checked by the caller,
// who knows the asker: by person and by account.
func (p *Policy) MayApprove(r bot.Request, rule bot.ApprovalRule) bot.Decision {
	return doubted(p.mayApprove(r, rule), r.Who)
}

func (p *Policy) mayApprove(r bot.Request, rule bot.ApprovalRule) bot.Decision {
	r.Permission = bot.MayApproveRun
	if len(rule.From) == 0 || p.match.refuses(r.Who) {
		d := p.decide(r)
		d.Needs, d.Require = bot.Needs{}, ""
		return d
	}
	if d, ok := p.checkResources(r); !ok {
		return d
	}
	var q question
	p.pose(&q, r, p.numbers[r.Permission])
	if deny := p.denied(&q); p.match.wins(deny) {
		return p.denial(&q, deny)
	}
	for _, role := range rule.From {
		if r.Who.HasRole(role) {
			return bot.Decision{Allowed: true, Rule: "role " + role, Because: fmt.Sprintf("approvals are taken from %s, and %s is %s", list(rule.From, "and"), r.Who.Name(), role)}
		}
	}
	return bot.Decision{Rule: noGrant,
		Because: fmt.Sprintf("%s may not approve this", r.Who.Name()),
		Near:    fmt.Sprintf("approvals are taken from %s", list(rule.From, "and"))}
}

// Holds reports whether who may use the permission on at least something, in
// some channel at some hour; what help shows follows from it. It is no
// decision: a request for one particular thing may still be denied.
func (p *Policy) Holds(who bot.Identity, permission bot.Permission) bool {
	if p.match.refuses(who) {
		return false
	}
	if permission == bot.MayAskSelf {
		return true
	}
	number, ok := p.numbers[permission]
	if !ok {
		return false
	}
	held := p.match.subjects(p, who)
	subjects := held.all()
	for _, s := range subjects {
		if b := p.denyIndex.at(s, number); b != nil && slices.ContainsFunc(b.always, func(n int32) bool { return p.denies[n].everywhere }) {
			return false
		}
	}
	for _, s := range subjects {
		if b := p.grantIndex.at(s, number); b != nil && len(b.by) > 0 {
			return true
		}
	}
	return false
}

// Sees reports whether a grant gives who anything to do on the target, in some
// channel at some hour; what hints and completions speak of follows from it.
// Like Holds it is no decision.
func (p *Policy) Sees(who bot.Identity, t bot.Target) bool {
	if p.match.refuses(who) {
		return false
	}
	at := p.place(t.Resource())
	held := p.match.subjects(p, who)
	for _, s := range held.all() {
		for _, info := range p.permissions {
			if info.Resource != bot.KindTarget {
				continue
			}
			b := p.grantIndex.at(s, p.numbers[info.Name])
			if b == nil {
				continue
			}
			for _, rules := range p.match.lookUp(b, at) {
				if len(rules) > 0 {
					return true
				}
			}
		}
	}
	return false
}

// mayKnow reports whether who may hear of others what they may do on the
// resource. A target on which they may do nothing themselves is answered as if
// nobody could.
func (p *Policy) mayKnow(who bot.Identity, r bot.Resource) bool {
	t, ok := bot.ParseTarget(r.Name())
	return r.Kind() != bot.KindTarget || ok && p.Sees(who, t)
}
