package auth

import (
	"fmt"
	"slices"
	"strings"

	"quarterdeck/bot"
)

// list writes "a, b and c".
func list(words []string, last string) string {
	switch len(words) {
	case 0:
		return ""
	case 1:
		return words[0]
	}
	return strings.Join(words[:len(words)-1], ", ") + " " + last + " " + words[len(words)-1]
}

// few is list of at most five words, saying how many were left out.
func few(words []string, last string) string {
	const most = 5
	if len(words) <= most+1 {
		return list(words, last)
	}
	return fmt.Sprintf("%s %s %d more", strings.Join(words[:most], ", "), last, len(words)-most)
}

// act writes a permission as what one does: "deploy", "use run.approve".
func (p *Policy) act(permission bot.Permission) string {
	verb, name := p.verb(permission)
	if verb == "" {
		return "use " + name
	}
	return verb
}

// verb gives what one does with a permission, or its name where that is no
// verb: those of families, and those that only look.
func (p *Policy) verb(permission bot.Permission) (verb, name string) {
	name = string(permission)
	switch {
	case permission == bot.MayAskSelf:
		return "ask about their own rights", name
	case permission == bot.MayRollback:
		return "roll back", name
	case permission == bot.MayBreakGlass:
		return "break glass", name
	case permission == bot.MayResetTOTP:
		return "end another's second factor", name
	case strings.Contains(name, "."):
		return "", name
	}
	if i, ok := p.numbers[permission]; ok {
		help := p.permissions[i].Help
		if strings.HasPrefix(help, "see ") || strings.HasPrefix(help, "read ") {
			return "", name
		}
	}
	return name, name
}

// on writes " on shop/prod", or "" for the bot itself.
func on(r bot.Resource) string {
	if r == bot.TheBot {
		return ""
	}
	return " on " + display(r)
}

// display writes a resource the way people do.
func display(r bot.Resource) string {
	if r.Kind() == bot.KindTarget {
		return r.Name()
	}
	return strings.Replace(string(r), ":", " ", 1)
}

func who(roles, persons []string) string {
	return few(append(slices.Clone(roles), persons...), "and")
}

// acts writes the permissions of a rule: "deploy and use status and
// run.approve"; all is what "*" is called.
func (p *Policy) acts(patterns []string, all string) string {
	var words, names []string
	for _, pattern := range patterns {
		switch {
		case pattern == wildcard:
			words = append(words, all)
		case strings.Contains(pattern, wildcard):
			names = append(names, pattern)
		default:
			if verb, name := p.verb(bot.Permission(pattern)); verb == "" {
				names = append(names, name)
			} else {
				words = append(words, verb)
			}
		}
	}
	if len(names) > 0 {
		words = append(words, "use "+list(names, "and"))
	}
	return list(words, "and")
}

func places(targetPatterns, flagPatterns []string) string {
	var words []string
	words = append(words, targetPatterns...)
	for _, f := range flagPatterns {
		words = append(words, "flag "+f)
	}
	if len(words) == 0 {
		return ""
	}
	return " on " + few(words, "and")
}

// grantSentence says what a grant gives, for allowed decisions.
func (p *Policy) grantSentence(g Grant) string {
	s := who(g.Roles, g.Persons) + " may " + p.acts(g.Permissions, "do everything") + places(g.Targets, g.Flags)
	if c := conditionText(g.Channels, g.Hours, p.zone.String()); c != "" {
		s += ", " + c
	}
	return s
}

// denySentence says what a deny forbids, and its reason.
func (p *Policy) denySentence(d Deny) string {
	s := "nobody may "
	if subject := who(d.Roles, d.Persons); subject != "" {
		s = subject + " may not "
	}
	s += p.acts(d.Permissions, "do anything") + places(d.Targets, d.Flags)
	if d.Reason != "" {
		s += ": " + d.Reason
	}
	return s
}

// conditionText writes channels and hours: "in slack:C0OPS, mon-fri
// 08:00-18:00 (Europe/Berlin)".
func conditionText(channels, hours []string, zone string) string {
	var parts []string
	if len(channels) > 0 {
		parts = append(parts, "in "+few(channels, "or"))
	}
	if len(hours) > 0 {
		parts = append(parts, few(hours, "or")+" ("+zone+")")
	}
	return strings.Join(parts, ", ")
}

func (p *Policy) conditions(r rule, hours []string) string {
	channels := make([]string, len(r.channels))
	for i, c := range r.channels {
		channels[i] = string(c)
	}
	return conditionText(channels, hours, p.zone.String())
}

// near says what came nearest to permitting the resource: a grant of the
// asker's own in another channel or hour, then one on other resources, then
// who else may, as far as the asker is to know of the resource.
func (p *Policy) near(q *question, resource bot.Resource, known bool) string {
	var conditions, elsewhere, holders, subjects []string
	add := func(words *[]string, more ...string) {
		for _, w := range more {
			if w != "" && !slices.Contains(*words, w) {
				*words = append(*words, w)
			}
		}
	}
	for i := range p.rules.Grants {
		g := &p.rules.Grants[i]
		if !slices.ContainsFunc(g.Permissions, func(pattern string) bool { return coversPermission(pattern, string(q.Permission)) }) {
			continue
		}
		own := ownSubjects(q.Who, g)
		covered := coversResource(g, resource)
		switch {
		case len(own) > 0 && covered:
			add(&conditions, p.unmet(q, g, p.grants[i]))
		case len(own) > 0:
			add(&subjects, own...)
			add(&elsewhere, selected(g, resource)...)
		case covered:
			add(&holders, g.Roles...)
			add(&holders, g.Persons...)
		}
	}
	switch {
	case len(conditions) > 0:
		return "allowed " + few(conditions, "or") + " only"
	case len(elsewhere) > 0:
		return fmt.Sprintf("%s may %s on %s; %s is not in it", few(subjects, "and"), p.act(q.Permission), few(elsewhere, "and"), display(resource))
	case !known:
		return "no grant gives you anything to do" + on(resource)
	case len(holders) > 0:
		return fmt.Sprintf("only %s may %s%s", few(holders, "and"), p.act(q.Permission), on(resource))
	}
	return fmt.Sprintf("no grant lets anybody %s%s", p.act(q.Permission), on(resource))
}

// unmet writes those conditions of a grant that the request did not meet.
func (p *Policy) unmet(q *question, g *Grant, r rule) string {
	channels, hours := g.Channels, g.Hours
	if inChannel(r.channels, q.Channel) {
		channels = nil
	}
	if inWindows(r.windows, minuteOfWeek(q.At, p.zone)) {
		hours = nil
	}
	return conditionText(channels, hours, p.zone.String())
}

// ownSubjects gives the roles of who that a grant names, or the person.
func ownSubjects(who bot.Identity, g *Grant) []string {
	var own []string
	for _, role := range g.Roles {
		if who.HasRole(role) {
			own = append(own, role)
		}
	}
	if slices.Contains(g.Persons, who.Person) {
		own = append(own, who.Person)
	}
	return own
}

func coversResource(g *Grant, r bot.Resource) bool {
	patterns := selected(g, r)
	if patterns == nil {
		return r.Kind() != bot.KindTarget && r.Kind() != bot.KindFlag
	}
	first, second, ok := splitName(r.Name())
	return ok && slices.ContainsFunc(patterns, func(s string) bool {
		pat, problem := parsePattern(s)
		return problem == "" && pat.matches(first, second)
	})
}

// selected gives the grant's patterns for the kind of the resource.
func selected(g *Grant, r bot.Resource) []string {
	switch r.Kind() {
	case bot.KindTarget:
		return g.Targets
	case bot.KindFlag:
		return g.Flags
	}
	return nil
}
