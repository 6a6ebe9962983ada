package auth

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"quarterdeck/bot"
)

// testPermissions is the real catalog and a few permissions of kinds that it
// does not have yet.
func testPermissions() []bot.PermissionInfo {
	return append(bot.Permissions(),
		bot.PermissionInfo{Name: "flag.set", Resource: bot.KindFlag, Help: "set a flag"},
		bot.PermissionInfo{Name: "flag.kill", Resource: bot.KindFlag, Help: "kill a flag"},
		bot.PermissionInfo{Name: "flag.set.all", Resource: bot.KindFlag, Help: "set a flag everywhere"},
		bot.PermissionInfo{Name: "page.ack", Resource: bot.KindPage, Help: "acknowledge a page"},
	)
}

// The names of the random world. Some are beginnings of others, and some
// differ only in case, because matchers go wrong there.
var (
	worldRoles    = []string{"dev", "developer", "sre"}
	worldPersons  = []string{"ann", "anna", "Ann"}
	worldServices = []string{"shop", "shopping", "Shop", "workshop"}
	worldEnvs     = []string{"prod", "production", "staging"}
	worldFlags    = []string{"new", "newer"}
	worldChannels = []string{"slack:C0", "slack:C00", "discord:1"}
	worldAsked    = []string{"deploy", "rollback", "rollback", "status", "run.approve", "audit", "flag.set", "flag.set.all", "page.ack"}
	worldPatterns = []string{"deploy", "rollback", "status", "run.approve", "audit", "flag.set", "page.ack", "run.*", "flag.*", "*", "*"}
	worldStanding = []bot.Standing{bot.Guest, bot.External, bot.Automated, bot.Disabled, bot.Unvouched}
	worldMisnamed = []string{"target:shop/prod/eu", "target:shop", "target:", "flag:prod", "flag:prod/a/b", "page:", "bot:x", "planet:mars", ""}
)

// span is one stretch of hours, kept apart from the text that the policy
// parses.
type span struct {
	days     []int // 0 is Monday
	from, to int   // minutes of the day; to <= from runs into the next day
}

func (s span) text() string {
	names := make([]string, len(s.days))
	for i, d := range s.days {
		names[i] = []string{"mon", "tue", "wed", "thu", "fri", "sat", "sun"}[d]
	}
	clock := func(m int) string { return fmt.Sprintf("%02d:%02d", m/60, m%60) }
	return strings.Join(names, ",") + " " + clock(s.from) + "-" + clock(s.to)
}

// thing is a resource in parts, kept apart from the text that the policy
// splits.
type thing struct {
	resource      bot.Resource
	kind          string // target, flag, other, or misnamed
	first, second string
}

// world is one random policy, in the form that New takes and in parts.
type world struct {
	rules      Rules
	grantHours [][]span
	denyHours  [][]span
}

func pick[T any](r *rand.Rand, from []T) T { return from[r.IntN(len(from))] }

func chance(r *rand.Rand, percent int) bool { return r.IntN(100) < percent }

// some gives between least and most different elements.
func some[T comparable](r *rand.Rand, from []T, least, most int) []T {
	n := least + r.IntN(most-least+1)
	var out []T
	for range n {
		if v := pick(r, from); !slices.Contains(out, v) {
			out = append(out, v)
		}
	}
	return out
}

func randomPattern(r *rand.Rand, first, second []string) string {
	a, b := pick(r, first), pick(r, second)
	if chance(r, 40) {
		a = "*"
	}
	if chance(r, 40) {
		b = "*"
	}
	return a + "/" + b
}

func randomPatterns(r *rand.Rand, first, second []string, most int) []string {
	var out []string
	for range 1 + r.IntN(most) {
		out = append(out, randomPattern(r, first, second))
	}
	return out
}

func randomHours(r *rand.Rand) (texts []string, spans []span) {
	for range 1 + r.IntN(2) {
		s := span{days: some(r, []int{0, 1, 2, 3, 4, 5, 6}, 2, 6), from: r.IntN(4) * 6 * 60, to: (1 + r.IntN(4)) * 6 * 60}
		if s.from == s.to || chance(r, 10) {
			s.from, s.to = 22*60, 6*60+30
		}
		texts, spans = append(texts, s.text()), append(spans, s)
	}
	return texts, spans
}

func randomWorld(r *rand.Rand, zone *time.Location) world {
	w := world{rules: Rules{Location: zone, Roles: worldRoles, Persons: worldPersons}}
	for i := range 7 {
		g := Grant{Where: fmt.Sprintf("g:%d", i), Permissions: some(r, worldPatterns, 1, 3)}
		if chance(r, 85) {
			g.Roles = some(r, worldRoles, 1, 2)
		}
		if len(g.Roles) == 0 || chance(r, 15) {
			g.Persons = some(r, worldPersons, 1, 2)
		}
		g.Targets = randomPatterns(r, worldServices, worldEnvs, 3)
		g.Flags = randomPatterns(r, worldEnvs, worldFlags, 3)
		if slices.Equal(g.Permissions, []string{"audit"}) {
			g.Targets, g.Flags = nil, nil
		}
		if chance(r, 35) {
			g.Channels = some(r, append([]string{"slack:*"}, worldChannels...), 1, 2)
		}
		var spans []span
		if chance(r, 35) {
			g.Hours, spans = randomHours(r)
		}
		w.grantHours = append(w.grantHours, spans)
		w.rules.Grants = append(w.rules.Grants, g)
	}
	for i := range 3 {
		d := Deny{Where: fmt.Sprintf("d:%d", i), Permissions: some(r, worldPatterns, 1, 2), Reason: "because"}
		if chance(r, 75) {
			d.Roles = some(r, worldRoles, 1, 1)
		}
		if chance(r, 30) {
			d.Persons = some(r, worldPersons, 1, 1)
		}
		if chance(r, 85) && !slices.Equal(d.Permissions, []string{"audit"}) {
			d.Targets = randomPatterns(r, worldServices, worldEnvs, 2)
			if chance(r, 50) {
				d.Flags = randomPatterns(r, worldEnvs, worldFlags, 2)
			}
		}
		if chance(r, 30) {
			d.Channels = some(r, append([]string{"slack:*"}, worldChannels...), 1, 2)
		}
		var spans []span
		if chance(r, 30) {
			d.Hours, spans = randomHours(r)
		}
		w.denyHours = append(w.denyHours, spans)
		w.rules.Denies = append(w.rules.Denies, d)
	}
	for i := range 5 {
		q := Require{Where: fmt.Sprintf("r:%d", i), Permissions: some(r, worldPatterns, 1, 2)}
		if chance(r, 85) && !slices.Equal(q.Permissions, []string{"audit"}) {
			q.Targets = randomPatterns(r, worldServices, worldEnvs, 2)
			if chance(r, 50) {
				q.Flags = randomPatterns(r, worldEnvs, worldFlags, 2)
			}
		}
		switch r.IntN(5) {
		case 4:
			q.StepUp = true
		case 0:
			q.Confirm = true
		case 1:
			q.Reason = true
		case 2:
			q.Ticket = pick(r, []string{"OPS-[0-9]+", "INC-[0-9]+"})
		case 3:
			q.Approvals = &bot.ApprovalRule{Count: 1 + r.IntN(2), From: some(r, worldRoles, 1, 2)}
		}
		w.rules.Requires = append(w.rules.Requires, q)
	}
	return w
}

func randomThing(r *rand.Rand, permission string) thing {
	if chance(r, 2) {
		return thing{resource: bot.Resource(pick(r, worldMisnamed)), kind: "misnamed"}
	}
	switch {
	case permission == "audit":
		return thing{resource: bot.TheBot, kind: "other"}
	case permission == "page.ack" && chance(r, 70):
		return thing{resource: "page:12", kind: "other"}
	case strings.HasPrefix(permission, "flag.") && chance(r, 90):
		first, second := pick(r, worldEnvs), pick(r, worldFlags)
		return thing{bot.Resource("flag:" + first + "/" + second), "flag", first, second}
	}
	first, second := pick(r, worldServices), pick(r, worldEnvs)
	if chance(r, 5) {
		second = "elsewhere"
	}
	return thing{bot.Resource("target:" + first + "/" + second), "target", first, second}
}

func randomRequest(r *rand.Rand) (bot.Request, []thing) {
	q := bot.Request{Permission: bot.Permission(pick(r, worldAsked)), Channel: bot.ChannelID(pick(r, worldChannels))}
	if chance(r, 5) {
		q.Channel = ""
	}
	q.Who = bot.Identity{Account: "slack:T/U", Standing: bot.Member, Person: pick(r, worldPersons), Roles: some(r, worldRoles, 0, 3)}
	if chance(r, 12) {
		q.Who.Standing = pick(r, worldStanding)
	}
	if chance(r, 9) {
		q.Who.Person = ""
	}
	if !chance(r, 2) {
		q.At = time.Date(2026, 10, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(r.IntN(60*24*2)) * 30 * time.Minute)
	}
	count := 1
	if chance(r, 40) {
		count = 2 + r.IntN(2)
	}
	var things []thing
	for range count {
		t := randomThing(r, string(q.Permission))
		things = append(things, t)
		q.Resources = append(q.Resources, t.resource)
	}
	return q, things
}
