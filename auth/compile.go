package auth

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/nearest"
)

// New checks the rules and makes them ready to answer. Its error joins one
// bot.Error of kind Invalid for every fault found, each saying where it is,
// what is wrong and what was expected; errors.Join's Unwrap gives them one by
// one. The rules must not be changed afterwards.
func New(rules Rules) (*Policy, error) {
	return compile(rules, append(bot.Permissions(), rules.Permissions...), exact())
}

func compile(rules Rules, permissions []bot.PermissionInfo, m matcher) (*Policy, error) {
	p := &Policy{
		rules: rules, permissions: permissions, zone: rules.Location, match: m,
		numbers: make(map[bot.Permission]int, len(permissions)),
		persons: make(map[string]uint32), roles: make(map[string]uint32), segments: make(map[string]uint32),
	}
	if p.zone == nil {
		p.zone = time.UTC
	}
	for i, info := range permissions {
		p.numbers[info.Name] = i
	}
	for _, x := range []*index{&p.grantIndex, &p.denyIndex, &p.requireIndex} {
		x.permissions = len(permissions)
	}
	c := &compiler{p: p}
	for i, g := range rules.Grants {
		c.grant(i, g)
	}
	for i, d := range rules.Denies {
		c.deny(i, d)
	}
	for i, r := range rules.Requires {
		c.require(i, r)
	}
	if len(c.problems) > 0 {
		return nil, errors.Join(c.problems...)
	}
	return p, nil
}

// compiler turns rules into index entries and gathers what is wrong with them.
type compiler struct {
	p        *Policy
	where    string // of the rule at hand
	label    string
	problems []error
}

func (c *compiler) begin(what string, i int, where string) {
	c.label = fmt.Sprintf("%s %d", what, i+1)
	c.where = where
}

func (c *compiler) fail(format string, args ...any) {
	say := c.label + ": " + fmt.Sprintf(format, args...)
	if c.where != "" {
		say = c.where + ": " + say
	}
	c.problems = append(c.problems, &bot.Error{Op: "auth.New", Kind: bot.Invalid, Say: say})
}

// name gives the rule's name in decisions: "grant 3 (config.toml:41)".
func (c *compiler) name() string {
	if c.where == "" {
		return c.label
	}
	return c.label + " (" + c.where + ")"
}

func (c *compiler) grant(i int, g Grant) {
	c.begin("grant", i, g.Where)
	if len(g.Roles) == 0 && len(g.Persons) == 0 {
		c.fail("it names nobody; give roles or persons")
	}
	subjects := c.subjects(g.Roles, g.Persons)
	permissions, kinds := c.permissions(g.Permissions, c.p.match.covers)
	places := c.places(g.Targets, g.Flags)
	if kinds[bot.KindTarget] && len(g.Targets) == 0 {
		c.fail(`it has no targets; say targets = ["*/*"] if you mean all`)
	}
	// "*" beside targets means everything there is to do on them.
	if kinds[bot.KindFlag] && len(g.Flags) == 0 && !(slices.Contains(g.Permissions, wildcard) && len(g.Targets) > 0) {
		c.fail(`it has no flags; say flags = ["*/*"] if you mean all`)
	}
	c.reachable(g.Permissions, kinds, g.Targets, g.Flags)
	places = append(places, place{kind: others})
	for _, s := range subjects {
		for _, permission := range permissions {
			b := c.p.grantIndex.make(s, permission)
			for _, at := range places {
				b.add(int32(i), at)
			}
		}
	}
	r := rule{label: c.name(), because: c.p.grantSentence(g)}
	r.channels, r.windows = c.channels(g.Channels), c.hours(g.Hours)
	c.p.grants = append(c.p.grants, r)
}

func (c *compiler) deny(i int, d Deny) {
	c.begin("deny", i, d.Where)
	subjects := c.subjects(d.Roles, d.Persons)
	if len(d.Roles) == 0 && len(d.Persons) == 0 {
		subjects = []uint32{everybody}
	}
	permissions, kinds := c.permissions(d.Permissions, c.p.match.covers)
	places := c.places(d.Targets, d.Flags)
	c.reachable(d.Permissions, kinds, d.Targets, d.Flags)
	c.index(&c.p.denyIndex, int32(i), subjects, permissions, places, len(d.Targets)+len(d.Flags) == 0)
	r := rule{label: c.name(), because: c.p.denySentence(d)}
	r.channels, r.windows = c.channels(d.Channels), c.hours(d.Hours)
	r.everywhere = len(d.Targets)+len(d.Flags)+len(d.Channels)+len(d.Hours) == 0
	c.p.denies = append(c.p.denies, r)
}

func (c *compiler) require(i int, r Require) {
	c.begin("require", i, r.Where)
	permissions, kinds := c.permissions(r.Permissions, c.p.match.requires)
	places := c.places(r.Targets, r.Flags)
	c.reachable(r.Permissions, kinds, r.Targets, r.Flags)
	c.index(&c.p.requireIndex, int32(i), []uint32{everybody}, permissions, places, len(r.Targets)+len(r.Flags) == 0)
	needs := bot.Needs{Confirm: r.Confirm, Reason: r.Reason, StepUp: r.StepUp}
	if a := r.Approvals; a != nil {
		needs.Approvals = []bot.ApprovalRule{c.approvals(*a)}
	}
	if r.Ticket != "" {
		needs.Ticket = []string{r.Ticket}
		switch re, err := regexp.Compile(r.Ticket); {
		case err != nil:
			c.fail("ticket %q is not a regular expression: %s", r.Ticket, regexpFault(err))
		case re.MatchString(""):
			c.fail("ticket %q matches an empty reason, so it asks for nothing; describe what must be there, such as \"OPS-[0-9]+\"", r.Ticket)
		}
	}
	if needs.None() {
		c.fail("it asks for nothing; give confirm, approvals, reason, ticket or step_up")
	}
	c.p.requires = append(c.p.requires, requirement{label: c.name(), needs: needs})
}

func (c *compiler) approvals(a bot.ApprovalRule) bot.ApprovalRule {
	if a.Count < 1 {
		c.fail("approvals.count is %d; expected 1 or more", a.Count)
	}
	for _, role := range a.From {
		c.known("role", role, c.p.rules.Roles)
	}
	if len(a.From) == 0 && !c.approvable() {
		c.fail(`its approvals name no roles in "from", and no grant gives anybody %s; nobody could approve`, bot.MayApproveRun)
	}
	from := slices.Sorted(slices.Values(a.From))
	return bot.ApprovalRule{Count: a.Count, From: slices.Compact(from)}
}

// approvable reports whether some grant gives run.approve.
func (c *compiler) approvable() bool {
	return slices.ContainsFunc(c.p.rules.Grants, func(g Grant) bool {
		return slices.ContainsFunc(g.Permissions, func(pattern string) bool {
			return coversPermission(pattern, string(bot.MayApproveRun))
		})
	})
}

// index enters a rule that may speak of every resource.
func (c *compiler) index(x *index, rule int32, subjects []uint32, permissions []int, places []place, always bool) {
	for _, s := range subjects {
		for _, permission := range permissions {
			b := x.make(s, permission)
			if always {
				b.always = append(b.always, rule)
			}
			for _, at := range places {
				b.add(rule, at)
			}
		}
	}
}

// subjects gives the numbers of roles and persons, without repeats.
func (c *compiler) subjects(roles, persons []string) []uint32 {
	var numbers []uint32
	number := func(known map[string]uint32, name string) {
		n, ok := known[name]
		if !ok {
			n = uint32(1 + len(c.p.roles) + len(c.p.persons))
			known[name] = n
		}
		if !slices.Contains(numbers, n) {
			numbers = append(numbers, n)
		}
	}
	for _, role := range roles {
		c.known("role", role, c.p.rules.Roles)
		number(c.p.roles, role)
	}
	for _, person := range persons {
		c.known("person", person, c.p.rules.Persons)
		number(c.p.persons, person)
	}
	return numbers
}

func (c *compiler) known(what, name string, names []string) {
	if slices.Contains(names, name) {
		return
	}
	c.fail("there is no %s %q%s", what, name, hint(name, names))
}

// hint gives "; did you mean ..." or a list of what there is.
func hint(word string, candidates []string) string {
	if near := nearest.Of(word, candidates); near != "" {
		return fmt.Sprintf("; did you mean %q?", near)
	}
	if len(candidates) == 0 {
		return "; there are none"
	}
	const most = 12
	names := slices.Sorted(slices.Values(candidates))
	if len(names) > most {
		return fmt.Sprintf("; there are %s and %d more", strings.Join(names[:most], ", "), len(names)-most)
	}
	return "; there are " + strings.Join(names, ", ")
}

// permissions expands patterns to the numbers of permissions, without repeats,
// and says which kinds of resources those are asked about.
func (c *compiler) permissions(patterns []string, covers func(pattern, permission string) bool) (numbers []int, kinds map[string]bool) {
	kinds = make(map[string]bool)
	if len(patterns) == 0 {
		c.fail(`it names no permissions; say permissions = ["*"] if you mean all`)
	}
	names := make([]string, len(c.p.permissions))
	for i, info := range c.p.permissions {
		names[i] = string(info.Name)
	}
	for _, pattern := range patterns {
		if pattern == string(bot.MayAskSelf) {
			c.fail("%q is no permission to give or take: every declared person may ask about their own rights", pattern)
			continue
		}
		if problem := checkPermission(pattern); problem != "" {
			c.fail("permission %q: %s", pattern, problem)
			continue
		}
		if !slices.ContainsFunc(names, func(name string) bool { return coversPermission(pattern, name) }) {
			c.fail("there is no permission %q%s", pattern, hint(pattern, names))
		}
	}
	for i, info := range c.p.permissions {
		if slices.ContainsFunc(patterns, func(pattern string) bool { return covers(pattern, names[i]) }) {
			numbers = append(numbers, i)
		}
		if slices.ContainsFunc(patterns, func(pattern string) bool { return coversPermission(pattern, names[i]) }) {
			kinds[info.Resource] = true
		}
	}
	return numbers, kinds
}

func checkPermission(pattern string) string {
	for segment := range strings.SplitSeq(pattern, ".") {
		if segment == "" {
			return `it has an empty segment; write a name, a family such as "run.*", or "*"`
		}
		if problem := checkSegment(segment); problem != "" {
			return problem
		}
	}
	return ""
}

// places gives the index entries of target and flag patterns.
func (c *compiler) places(targetPatterns, flagPatterns []string) []place {
	var places []place
	for _, s := range targetPatterns {
		if pat, ok := c.pattern("target", "SERVICE/ENVIRONMENT", s); ok {
			c.existing(s, pat)
			places = append(places, place{targets, c.segment(pat.first), c.segment(pat.second)})
		}
	}
	for _, s := range flagPatterns {
		if pat, ok := c.pattern("flag", "ENVIRONMENT/FLAG", s); ok {
			places = append(places, place{flags, c.segment(pat.first), c.segment(pat.second)})
		}
	}
	return places
}

func (c *compiler) pattern(what, shape, s string) (pattern, bool) {
	pat, problem := parsePattern(s)
	if problem == "" {
		return pat, true
	}
	expected := `; expected ` + shape + `, such as "shop/prod", "shop/*" or "*/prod"`
	if what == "flag" {
		expected = `; expected ` + shape + `, such as "prod/new-checkout" or "staging/*"`
	}
	c.fail("%s %q: %s%s", what, s, problem, expected)
	return pattern{}, false
}

// existing refuses a pattern that matches nothing in the catalog.
func (c *compiler) existing(s string, pat pattern) {
	if len(c.p.rules.Targets) == 0 || slices.ContainsFunc(c.p.rules.Targets, func(t bot.Target) bool { return pat.matches(t.Service, t.Environment) }) {
		return
	}
	var candidates []string
	for _, t := range c.p.rules.Targets {
		for _, candidate := range []string{t.String(), wildcard + "/" + t.Environment, t.Service + "/" + wildcard} {
			if !slices.Contains(candidates, candidate) && strings.Count(candidate, wildcard) == strings.Count(s, wildcard) {
				candidates = append(candidates, candidate)
			}
		}
	}
	c.fail("no target matches %q%s", s, hint(s, candidates))
}

func (c *compiler) segment(s string) uint32 {
	if s == wildcard {
		return anySegment
	}
	n, ok := c.p.segments[s]
	if !ok {
		n = uint32(1 + len(c.p.segments))
		c.p.segments[s] = n
	}
	return n
}

// reachable refuses selectors that the rule's permissions are never asked
// about: they would look like a limit, or like a ban, and be neither.
func (c *compiler) reachable(permissions []string, kinds map[string]bool, targetPatterns, flagPatterns []string) {
	if len(kinds) == 0 {
		return
	}
	about := "the bot as a whole"
	for kind := range kinds {
		switch kind {
		case bot.KindBot:
		case bot.KindAction:
			about = "no target"
		default:
			return
		}
	}
	if what := selectors(targetPatterns, flagPatterns); what != "" {
		c.fail("it has %s, but %s is about %s; leave %s out", what, list(permissions, "and"), about, what)
	}
}

func selectors(targetPatterns, flagPatterns []string) string {
	switch {
	case len(targetPatterns) > 0 && len(flagPatterns) > 0:
		return "targets and flags"
	case len(targetPatterns) > 0:
		return "targets"
	case len(flagPatterns) > 0:
		return "flags"
	}
	return ""
}

func (c *compiler) channels(ids []string) []bot.ChannelID {
	var channels []bot.ChannelID
	for _, id := range ids {
		channel := bot.ChannelID(id)
		pattern := channel.Local() != wildcard && strings.Contains(channel.Local(), wildcard) || strings.Contains(channel.Network(), wildcard)
		if channel.Network() == "" || channel.Local() == "" || pattern || strings.ContainsFunc(id, strange) {
			c.fail("channel %q is not a channel's id; expected NETWORK:ID in full, such as \"slack:C0OPS\", or \"slack:*\" for the whole network", id)
		}
		channels = append(channels, channel)
	}
	return channels
}

func (c *compiler) hours(texts []string) []window {
	var windows []window
	for _, s := range texts {
		w, err := parseHours(s)
		if err != nil {
			c.fail("hours %q: %v; expected such as \"mon-fri 08:00-18:00\", \"22:00-06:00\" or \"sat,sun\"", s, err)
		}
		windows = append(windows, w...)
		c.p.timed = true
	}
	return windows
}

// regexpFault leaves out what regexp says before the fault itself.
func regexpFault(err error) string {
	return strings.TrimPrefix(err.Error(), "error parsing regexp: ")
}
