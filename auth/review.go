package auth

import (
	"maps"
	"slices"
	"strings"
	"time"

	"quarterdeck/bot"
)

// Side is one of two configurations that are compared.
type Side struct {
	Policy  *Policy
	People  []Subject
	Targets []bot.Target
}

// Subject is somebody the rules may speak of: a declared person, or whoever is
// in a group, who has no accounts here.
type Subject struct {
	Name     string // "dev-one", "whoever is in slack-group:S0SRE"
	Person   string // as rules name them; "" for a group
	Accounts []bot.AccountID
	Roles    []string
	Disabled bool
}

// Change is one sentence about what a new configuration changes.
type Change struct {
	Wider bool // more people may do more, or it takes less
	Text  string
}

// Review says what the new side lets people do that the old one did not, and the
// other way round. It is found out by asking both policies, for every person,
// permission and target, in every channel and at every hour that a rule on
// either side makes a difference for; how the rules are written does not matter.
// What alike people may do on alike targets is asked once. Changes that widen
// come first.
func Review(old, new Side) []Change {
	r := &review{old: old, new: new}
	r.classify()
	r.ask()
	changes := append(r.accounts(), r.say()...)
	slices.SortStableFunc(changes, func(a, b Change) int {
		switch {
		case a.Wider == b.Wider:
			return 0
		case a.Wider:
			return -1
		}
		return 1
	})
	return changes
}

// context is where and when something is asked.
type context struct {
	channel bot.ChannelID
	at      time.Time
}

// review is one comparison under way.
type review struct {
	old, new Side
	when     []context // of the permission that is being asked about
	cut      bool      // not every context is looked at
	people   []class[[2]Subject]
	targets  []class[bot.Target]
	asked    []compared
}

// class is what behaves alike: the first stands for all.
type class[T any] struct {
	was     T
	members []string
	had     bool // it is on the old side
	has     bool // it is on the new side
}

// maxContexts bounds the channels times the hours that are looked at.
const maxContexts = 1024

// elsewhere is a channel that no rule names.
const elsewhere = bot.ChannelID("elsewhere:0")

// contexts finds every channel and every hour at which a rule about a permission,
// or about approving, begins or ceases to hold: between two of them nothing
// changes.
func (r *review) contexts(permission bot.Permission) (when []context) {
	channels := map[bot.ChannelID]bool{elsewhere: true}
	times := map[time.Time]bool{}
	for _, p := range []*Policy{r.old.Policy, r.new.Policy} {
		about := func(patterns []string) bool {
			return slices.ContainsFunc(patterns, func(s string) bool {
				return coversPermission(s, string(permission)) || coversPermission(s, string(bot.MayApproveRun))
			})
		}
		var rules []rule
		for i, g := range p.rules.Grants {
			if about(g.Permissions) {
				rules = append(rules, p.grants[i])
			}
		}
		for i, d := range p.rules.Denies {
			if about(d.Permissions) {
				rules = append(rules, p.denies[i])
			}
		}
		for _, x := range rules {
			for _, c := range x.channels {
				if c.Local() == "*" {
					c = bot.ChannelID(c.Network() + ":elsewhere")
				}
				channels[c] = true
			}
			for _, w := range x.windows {
				for _, minute := range []int{w.from, w.to} {
					// A week in winter, so that no clock is changed in it.
					times[time.Date(2026, 1, 5, 0, minute, 0, 0, p.zone).UTC()] = true
				}
			}
		}
	}
	if len(times) == 0 {
		times[time.Date(2026, 1, 5, 0, 0, 0, 0, time.UTC)] = true
	}
	all := slices.SortedFunc(maps.Keys(times), time.Time.Compare)
	for _, c := range slices.Sorted(maps.Keys(channels)) {
		for _, at := range all {
			if len(when) == maxContexts {
				r.cut = true
				return when
			}
			when = append(when, context{c, at})
		}
	}
	return when
}

// classify puts together people and targets that no rule tells apart.
func (r *review) classify() {
	named, patterns := map[string]bool{}, map[string]bool{}
	for _, p := range []*Policy{r.old.Policy, r.new.Policy} {
		note := func(persons, targets []string) {
			for _, s := range persons {
				named[s] = true
			}
			for _, s := range targets {
				patterns[s] = true
			}
		}
		for _, x := range p.rules.Grants {
			note(x.Persons, x.Targets)
		}
		for _, x := range p.rules.Denies {
			note(x.Persons, x.Targets)
		}
		for _, x := range p.rules.Requires {
			note(nil, x.Targets)
		}
	}
	r.people = classes(names(r.old.People), names(r.new.People), func(name string) (c class[[2]Subject], key string) {
		was, had := subject(r.old.People, name)
		is, has := subject(r.new.People, name)
		had, has = had && !was.Disabled, has && !is.Disabled
		parts := []string{mark(had), mark(has)}
		for _, s := range []Subject{was, is} {
			parts = append(parts, strings.Join(slices.Sorted(slices.Values(s.Roles)), ","))
		}
		if named[name] {
			parts = append(parts, name)
		}
		return class[[2]Subject]{was: [2]Subject{was, is}, had: had, has: has}, strings.Join(parts, "\x00")
	})
	there := [2]map[bot.Target]bool{{}, {}}
	var written [2][]string
	for i, side := range []Side{r.old, r.new} {
		for _, t := range side.Targets {
			there[i][t] = true
			written[i] = append(written[i], t.String())
		}
	}
	r.targets = classes(written[0], written[1], func(name string) (c class[bot.Target], key string) {
		t, _ := bot.ParseTarget(name)
		parts := []string{mark(there[0][t]), mark(there[1][t])}
		for _, p := range []string{name, wildcard + "/" + t.Environment, t.Service + "/" + wildcard} {
			if patterns[p] {
				parts = append(parts, p)
			}
		}
		return class[bot.Target]{was: t, had: there[0][t], has: there[1][t]}, strings.Join(parts, "\x00")
	})
}

func mark(b bool) string {
	if b {
		return "+"
	}
	return "-"
}

func names(people []Subject) []string {
	var all []string
	for _, p := range people {
		all = append(all, p.Name)
	}
	return all
}

func subject(people []Subject, name string) (Subject, bool) {
	i := slices.IndexFunc(people, func(s Subject) bool { return s.Name == name })
	if i < 0 {
		return Subject{}, false
	}
	return people[i], true
}

// classes groups the names of both sides by their key, in the order of the
// names.
func classes[T any](old, new []string, of func(name string) (class[T], string)) []class[T] {
	all := slices.Concat(old, new)
	slices.Sort(all)
	at := map[string]int{}
	var found []class[T]
	for _, name := range slices.Compact(all) {
		c, key := of(name)
		i, seen := at[key]
		if !seen {
			i = len(found)
			at[key] = i
			found = append(found, c)
		}
		found[i].members = append(found[i].members, name)
	}
	return found
}

// reach is in how many contexts something is allowed, and how that changed.
type reach int

const (
	same reach = iota
	gained
	lost
	more // in further channels or at further hours
	less
	other // both
)

// compared is what one permission on alike resources comes to.
type compared struct {
	permission bot.Permission
	targets    []string // empty where it is about none
	had, has   bool     // the targets are on the old side, on the new one
	may        map[reach][]string
	nobody     bool // somebody could, and nobody can
	before     []string
	was, is    bot.Needs
	able       bool // somebody can on both sides, so that was and is are known
	approve    map[reach][]string
	noApprover bool
}

// permissions gives those that either side knows: with verbs of the team's own,
// they need not be the same.
func (r *review) permissions() []bot.PermissionInfo {
	all := slices.Clone(r.old.Policy.permissions)
	for _, info := range r.new.Policy.permissions {
		if _, there := r.old.Policy.numbers[info.Name]; !there {
			all = append(all, info)
		}
	}
	return all
}

// ask puts every question to both sides.
func (r *review) ask() {
	for _, info := range r.permissions() {
		r.when = r.contexts(info.Name)
		if info.Resource == bot.KindTarget {
			for _, t := range r.targets {
				r.judge(compared{permission: info.Name, targets: t.members, had: t.had, has: t.has}, t.was.Resource())
			}
			continue
		}
		resource := bot.TheBot
		if info.Resource != bot.KindBot {
			resource = bot.Resource(info.Resource + ":any/any")
		}
		r.judge(compared{permission: info.Name, had: true, has: true}, resource)
	}
}

// judge compares one permission on one resource for everybody.
func (r *review) judge(v compared, on bot.Resource) {
	v.may, v.approve = map[reach][]string{}, map[reach][]string{}
	var may, could bool
	for _, c := range r.people {
		was := r.holds(r.old.Policy, c.was[0], c.had && v.had, v.permission, on, &v.was)
		is := r.holds(r.new.Policy, c.was[1], c.has && v.has, v.permission, on, &v.is)
		if slices.Contains(was, true) {
			could = true
			v.before = append(v.before, c.members...)
		}
		may = may || slices.Contains(is, true)
		if change := compare(was, is); change != same {
			v.may[change] = append(v.may[change], c.members...)
		}
	}
	v.nobody, v.able = could && !may, could && may
	if v.able && len(v.was.Approvals) > 0 && len(v.is.Approvals) > 0 {
		r.judgeApprovers(&v, on)
	}
	r.asked = append(r.asked, v)
}

// holds says in which contexts somebody is allowed, and notes what it needs.
func (r *review) holds(p *Policy, who Subject, there bool, permission bot.Permission, on bot.Resource, needs *bot.Needs) []bool {
	allowed := make([]bool, len(r.when))
	if !there {
		return allowed
	}
	asked := false
	for i, c := range r.when {
		q := request(who, permission, on, c)
		if allowed[i] = p.allows(q); allowed[i] && !asked {
			asked = true
			*needs = p.Decide(q).Needs // the same for whoever asks, wherever and whenever
		}
	}
	return allowed
}

// allows is Decide without its words, which cost most of it.
func (p *Policy) allows(r bot.Request) bool {
	permission, known := p.numbers[r.Permission]
	if p.match.refuses(r.Who) || !known {
		return false
	}
	var q question
	p.pose(&q, r, permission)
	if _, ok := p.checkResources(r); !ok || p.match.wins(p.denied(&q)) {
		return false
	}
	return !slices.ContainsFunc(p.match.every(r.Resources), func(resource bot.Resource) bool { return p.granted(&q, p.place(resource)) < 0 })
}

func request(who Subject, permission bot.Permission, on bot.Resource, c context) bot.Request {
	person := who.Person
	if person == "" {
		person = who.Name // which no rule can name
	}
	return bot.Request{Who: bot.Identity{Account: "review:0", Standing: bot.Member, Person: person, Roles: who.Roles},
		Permission: permission, Resources: []bot.Resource{on}, Channel: c.channel, At: c.at}
}

// judgeApprovers compares whose yes counts.
func (r *review) judgeApprovers(v *compared, on bot.Resource) {
	var can, could bool
	for _, c := range r.people {
		counts := func(p *Policy, who Subject, there bool, rules []bot.ApprovalRule) []bool {
			allowed := make([]bool, len(r.when))
			for i, at := range r.when {
				for _, rule := range rules {
					allowed[i] = allowed[i] || there && p.MayApprove(request(who, v.permission, on, at), rule).Allowed
				}
			}
			return allowed
		}
		was := counts(r.old.Policy, c.was[0], c.had, v.was.Approvals)
		is := counts(r.new.Policy, c.was[1], c.has, v.is.Approvals)
		could, can = could || slices.Contains(was, true), can || slices.Contains(is, true)
		if change := compare(was, is); change != same {
			v.approve[change] = append(v.approve[change], c.members...)
		}
	}
	v.noApprover = could && !can
}

func compare(was, is []bool) reach {
	var up, down bool
	for i := range was {
		up, down = up || is[i] && !was[i], down || was[i] && !is[i]
	}
	switch {
	case up && !slices.Contains(was, true):
		return gained
	case down && !slices.Contains(is, true):
		return lost
	case up && down:
		return other
	case up:
		return more
	case down:
		return less
	}
	return same
}
