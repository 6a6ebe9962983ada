package auth

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"quarterdeck/bot"
)

// fault is one way in which the matcher could be wrong. A condition is a fault
// that takes a whole condition away; it has to matter in at least 1 % of the
// cases, or the cases would say little about it.
type fault struct {
	name      string
	condition bool
	put       func(m *matcher)
}

// without leaves out one of the lists that a look-up finds.
func without(form int) func(m *matcher) {
	return func(m *matcher) {
		m.lookUp = func(b *bucket, at place) found {
			f := lookUp(b, at)
			f[form] = nil
			return f
		}
	}
}

// wholeKind gives every rule about the kind, whatever its patterns.
func wholeKind(k kind) func(m *matcher) {
	return func(m *matcher) {
		m.lookUp = func(b *bucket, at place) found {
			if at.kind != k {
				return lookUp(b, at)
			}
			var all []int32
			for p, rules := range b.by {
				if p.kind == k {
					all = append(all, rules...)
				}
			}
			slices.Sort(all)
			return found{slices.Compact(all), b.always}
		}
	}
}

// likeSegment takes the first known segment that is like the one asked about.
func likeSegment(like func(asked, known string) bool) func(m *matcher) {
	return func(m *matcher) {
		m.segment = func(known map[string]uint32, s string) uint32 {
			best, n := "", segmentNumber(known, s)
			for k, number := range known {
				if like(s, k) && (best == "" || k < best) {
					best, n = k, number
				}
			}
			return n
		}
	}
}

func faults() []fault {
	return []fault{
		{"standing", true, func(m *matcher) { m.refuses = func(who bot.Identity) bool { return who.Person == "" } }},
		{"declared person", true, func(m *matcher) { m.refuses = func(who bot.Identity) bool { return who.Standing != bot.Member } }},
		{"role", true, func(m *matcher) {
			m.subjects = func(p *Policy, who bot.Identity) subjects {
				who.Roles = worldRoles
				return p.subjects(who)
			}
		}},
		{"person", true, func(m *matcher) {
			m.subjects = func(p *Policy, who bot.Identity) subjects {
				s := p.subjects(who)
				for _, n := range p.persons {
					s.add(n)
				}
				return s
			}
		}},
		{"permission", true, func(m *matcher) { m.covers = func(string, string) bool { return true } }},
		{"permission of a require", true, func(m *matcher) { m.requires = func(string, string) bool { return true } }},
		{"target", true, wholeKind(targets)},
		{"flag", true, wholeKind(flags)},
		{"channel", true, func(m *matcher) { m.inChannel = func([]bot.ChannelID, bot.ChannelID) bool { return true } }},
		{"hours", true, func(m *matcher) { m.inWindows = func([]window, int) bool { return true } }},
		{"deny", true, func(m *matcher) { m.wins = func(int32) bool { return false } }},
		{"require", true, func(m *matcher) { m.together = func(int) (int, int) { return 0, 0 } }},
		{"every resource", true, func(m *matcher) { m.every = func(r []bot.Resource) []bot.Resource { return r[:1] } }},
		{"way back by name", true, func(m *matcher) { m.requires = coversPermission }},

		{"only the last resource", false, func(m *matcher) { m.every = func(r []bot.Resource) []bot.Resource { return r[len(r)-1:] } }},
		{"first require only", false, func(m *matcher) { m.together = func(int) (int, int) { return 0, 1 } }},
		{"last require only", false, func(m *matcher) { m.together = func(n int) (int, int) { return n - 1, n } }},
		{"prefix of a segment", false, likeSegment(strings.HasPrefix)},
		{"suffix of a segment", false, likeSegment(strings.HasSuffix)},
		{"case of a segment", false, likeSegment(strings.EqualFold)},
		{"star over two segments", false, func(m *matcher) {
			m.split = func(name string) (string, string, bool) { return cut(strings.Cut(name, "/")) }
		}},
		{"one segment is enough", false, func(m *matcher) {
			m.split = func(name string) (string, string, bool) {
				if first, second, ok := splitName(name); ok {
					return first, second, true
				}
				return name, name, true
			}
		}},
		{"exact patterns", false, without(0)},
		{"star first", false, without(1)},
		{"star second", false, without(2)},
		{"star alone", false, without(3)},
		{"rules about everything", false, without(4)},
		{"prefix of a permission", false, func(m *matcher) {
			m.covers = func(pattern, permission string) bool {
				return strings.HasPrefix(permission, strings.TrimSuffix(pattern, "*"))
			}
		}},
		{"star permission is one segment", false, func(m *matcher) {
			m.covers = func(pattern, permission string) bool {
				return coversPermission(pattern, permission) && (pattern != "*" || !strings.Contains(permission, "."))
			}
		}},
		{"only the first role", false, func(m *matcher) {
			m.subjects = func(p *Policy, who bot.Identity) subjects {
				who.Roles = who.Roles[:min(1, len(who.Roles))]
				return p.subjects(who)
			}
		}},
		{"rules about everybody", false, func(m *matcher) {
			m.subjects = func(p *Policy, who bot.Identity) subjects { return rest(p.subjects(who)) }
		}},
		{"rules about persons", false, func(m *matcher) {
			m.subjects = func(p *Policy, who bot.Identity) subjects {
				who.Person = ""
				return p.subjects(who)
			}
		}},
		{"case of a person", false, func(m *matcher) {
			m.subjects = func(p *Policy, who bot.Identity) subjects {
				who.Person = strings.ToLower(who.Person)
				return p.subjects(who)
			}
		}},
		{"prefix of a channel", false, func(m *matcher) {
			m.inChannel = func(channels []bot.ChannelID, c bot.ChannelID) bool {
				return len(channels) == 0 || slices.ContainsFunc(channels, func(x bot.ChannelID) bool { return strings.HasPrefix(string(c), string(x)) })
			}
		}},
		{"no channel is every channel", false, func(m *matcher) {
			m.inChannel = func(channels []bot.ChannelID, c bot.ChannelID) bool { return c == "" || inChannel(channels, c) }
		}},
		{"first channel only", false, func(m *matcher) {
			m.inChannel = func(channels []bot.ChannelID, c bot.ChannelID) bool {
				return inChannel(channels[:min(1, len(channels))], c)
			}
		}},
		{"zone", false, func(m *matcher) {
			m.minute = func(_ *Policy, r bot.Request) int { return minuteOfWeek(r.At, time.UTC) }
		}},
		{"no time is Monday", false, func(m *matcher) {
			m.minute = func(p *Policy, r bot.Request) int { return max(0, minuteOfWeek(r.At, p.zone)) }
		}},
		{"day of the week", false, func(m *matcher) {
			m.minute = func(p *Policy, r bot.Request) int {
				if n := minuteOfWeek(r.At, p.zone); n != noMinute {
					return n % minutesPerDay
				}
				return noMinute
			}
		}},
		{"the last minute belongs to it", false, func(m *matcher) {
			m.inWindows = func(ws []window, n int) bool {
				return slices.ContainsFunc(ws, func(w window) bool { return w.from <= n && n <= w.to })
			}
		}},
		{"first hours only", false, func(m *matcher) {
			m.inWindows = func(ws []window, n int) bool { return inWindows(ws[:1], n) }
		}},
		{"over midnight", false, func(m *matcher) {
			m.inWindows = func(ws []window, n int) bool {
				return slices.ContainsFunc(ws, func(w window) bool {
					return w.from <= n && n < min(w.to, (w.from/minutesPerDay+1)*minutesPerDay)
				})
			}
		}},
	}
}

// rest leaves out everybody, who comes first.
func rest(s subjects) (out subjects) {
	for _, n := range s.all()[1:] {
		out.add(n)
	}
	return out
}

func cut(first, second string, found bool) (string, string, bool) { return first, second, found }

// TestOracle asks 100,000 random questions of random policies, and cedar-go
// the same: the answers must be equal, and every seeded fault in our matcher
// must make them differ.
func TestOracle(t *testing.T) {
	t.Parallel()
	zone := time.FixedZone("half past", -(3*60+30)*60)
	random := rand.New(rand.NewPCG(1, 2026))
	const perSet = 250
	faulty := faults()
	flips := make([]int, len(faulty))
	outcomes := map[string]int{}
	for range oracleSets {
		w := randomWorld(random, zone)
		ours, err := compile(w.rules, testPermissions(), exact())
		if err != nil {
			t.Fatalf("random rules do not compile: %v", err)
		}
		wrong := make([]*Policy, len(faulty))
		for i, f := range faulty {
			m := exact()
			f.put(&m)
			if wrong[i], err = compile(w.rules, testPermissions(), m); err != nil {
				t.Fatalf("with fault %q: %v", f.name, err)
			}
		}
		cedar := newOracle(t, w)
		for range perSet {
			request, things := randomRequest(random)
			want, failed := cedar.answer(request, things)
			if failed != 0 {
				t.Fatalf("%d policies of Cedar failed on %+v", failed, request)
			}
			if got := verdictOf(ours.Decide(request)); got != want {
				t.Fatalf("we say %q and Cedar says %q\nrequest %+v\n%s\n%s", got, want, request, strings.Join(ours.Describe(), "\n"), ours.Explain(request))
			}
			switch {
			case want == "deny" || want == "allow":
				outcomes[want]++
			default:
				outcomes["allow after"]++
			}
			for i, p := range wrong {
				if verdictOf(p.Decide(request)) != want {
					flips[i]++
				}
			}
		}
	}
	cases := oracleSets * perSet
	for _, outcome := range []string{"deny", "allow", "allow after"} {
		share := 100 * float64(outcomes[outcome]) / float64(cases)
		t.Logf("%-32s %5.1f %%", outcome, share)
		if share < 10 {
			t.Errorf("only %.1f %% of the cases end in %q", share, outcome)
		}
	}
	for i, f := range faulty {
		share := 100 * float64(flips[i]) / float64(cases)
		t.Logf("%-32s %6d flips, %5.2f %%", f.name, flips[i], share)
		if flips[i] == 0 {
			t.Errorf("fault %q is not noticed", f.name)
		}
		if f.condition && share < 1 {
			t.Errorf("condition %q decides only %.2f %% of the cases", f.name, share)
		}
	}
}
