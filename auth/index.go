package auth

import (
	"math"

	"quarterdeck/bot"
)

// kind is the group of resources that patterns are compared within.
type kind uint8

const (
	malformed kind = iota
	targets
	flags
	others // pages, schedules, digests, the bot: not selected by patterns
)

// place is a resource in the terms of the index: segments by their number.
type place struct {
	kind          kind
	first, second uint32
}

const (
	anySegment     uint32 = 0              // the wildcard, in patterns
	foreignSegment uint32 = math.MaxUint32 // a name that no pattern mentions
)

// everybody is the subject of rules that name no person and no role.
const everybody uint32 = 0

// The forms a pattern can have, as bits: which of its segments are wildcards.
const (
	formExact = 1 << iota
	formFirst
	formSecond
	formBoth
)

// bucket holds the rules of one subject about one permission, as their
// positions in ascending order.
type bucket struct {
	always []int32 // rules about every resource
	by     map[place][]int32
	forms  [others + 1]uint8 // which forms occur, by kind
}

func (b *bucket) add(rule int32, p place) {
	if b.by == nil {
		b.by = make(map[place][]int32)
	}
	if rules := b.by[p]; len(rules) > 0 && rules[len(rules)-1] == rule {
		return
	}
	b.by[p] = append(b.by[p], rule)
	switch {
	case p.first != anySegment && p.second != anySegment:
		b.forms[p.kind] |= formExact
	case p.second != anySegment:
		b.forms[p.kind] |= formFirst
	case p.first != anySegment:
		b.forms[p.kind] |= formSecond
	default:
		b.forms[p.kind] |= formBoth
	}
}

// found is what one bucket has for a place: at most one list per form of
// pattern, and the rules about everything.
type found [5][]int32

// lookUp gives the rules whose patterns match the place.
func lookUp(b *bucket, at place) (f found) {
	f[4] = b.always
	forms := b.forms[at.kind]
	if forms&formExact != 0 {
		f[0] = b.by[at]
	}
	if forms&formFirst != 0 {
		f[1] = b.by[place{at.kind, anySegment, at.second}]
	}
	if forms&formSecond != 0 {
		f[2] = b.by[place{at.kind, at.first, anySegment}]
	}
	if forms&formBoth != 0 {
		f[3] = b.by[place{at.kind, anySegment, anySegment}]
	}
	return f
}

// index finds rules by subject and permission. Subjects and permissions are
// small numbers, so that finding a bucket costs no hashing.
type index struct {
	buckets     [][]*bucket // by subject, then permission
	permissions int
}

func (x *index) at(subject uint32, permission int) *bucket {
	if int(subject) >= len(x.buckets) || x.buckets[subject] == nil {
		return nil
	}
	return x.buckets[subject][permission]
}

func (x *index) make(subject uint32, permission int) *bucket {
	for int(subject) >= len(x.buckets) {
		x.buckets = append(x.buckets, nil)
	}
	if x.buckets[subject] == nil {
		x.buckets[subject] = make([]*bucket, x.permissions)
	}
	b := x.buckets[subject][permission]
	if b == nil {
		b = &bucket{}
		x.buckets[subject][permission] = b
	}
	return b
}

// matcher is the elementary questions that a decision is made of. They are
// values so that a test can put a faulty one in place of each and see the
// comparison with an independent policy engine notice it.
type matcher struct {
	// While rules are compiled:
	covers   func(pattern, permission string) bool // a grant or deny names the permission
	requires func(pattern, permission string) bool // a require names it
	// While deciding:
	refuses   func(who bot.Identity) bool // it is nobody who may run anything
	subjects  func(p *Policy, who bot.Identity) subjects
	split     func(name string) (first, second string, ok bool)
	segment   func(known map[string]uint32, s string) uint32
	lookUp    func(b *bucket, at place) found
	inChannel func(channels []bot.ChannelID, channel bot.ChannelID) bool
	minute    func(p *Policy, r bot.Request) int
	inWindows func(windows []window, minute int) bool
	wins      func(deny int32) bool                         // a matching deny decides
	every     func(resources []bot.Resource) []bot.Resource // those that need a grant
	together  func(n int) (from, to int)                    // which of n matching requires count
}

// exact is the matcher that every policy outside of tests uses.
func exact() matcher {
	return matcher{
		covers:    coversPermission,
		requires:  coversRequired,
		refuses:   func(who bot.Identity) bool { return !who.Known() },
		subjects:  (*Policy).subjects,
		split:     splitName,
		segment:   segmentNumber,
		lookUp:    lookUp,
		inChannel: inChannel,
		minute:    func(p *Policy, r bot.Request) int { return minuteOfWeek(r.At, p.zone) },
		inWindows: inWindows,
		wins:      func(deny int32) bool { return deny >= 0 },
		every:     func(resources []bot.Resource) []bot.Resource { return resources },
		together:  func(n int) (int, int) { return 0, n },
	}
}

// coversRequired is coversPermission for a require: rollback and flag.kill have to
// be named in full, since the way back must not wait behind a rule about everything.
func coversRequired(pattern, permission string) bool {
	if permission == string(bot.MayRollback) || permission == string(bot.MayKillFlag) {
		return pattern == permission
	}
	return coversPermission(pattern, permission)
}

func segmentNumber(known map[string]uint32, s string) uint32 {
	if n, ok := known[s]; ok {
		return n
	}
	return foreignSegment
}

// inChannel reports whether the channel is listed, itself or with all of its
// network; an empty list lists all.
func inChannel(channels []bot.ChannelID, channel bot.ChannelID) bool {
	if len(channels) == 0 {
		return true
	}
	for _, c := range channels {
		if c == channel || c.Local() == wildcard && c.Network() == channel.Network() {
			return true
		}
	}
	return false
}

// subjects is the numbers that somebody is found under. It keeps those of all
// but the most roles in itself, so that a decision allocates nothing.
type subjects struct {
	few   [12]uint32
	count int
	many  []uint32 // all of them, once few is full
}

func (s *subjects) add(n uint32) {
	switch {
	case s.many != nil:
		s.many = append(s.many, n)
	case s.count < len(s.few):
		s.few[s.count] = n
		s.count++
	default:
		s.many = append(s.many, s.few[:]...)
		s.many = append(s.many, n)
	}
}

func (s *subjects) all() []uint32 {
	if s.many != nil {
		return s.many
	}
	return s.few[:s.count]
}

// subjects gives the numbers that who is found under: everybody, the person
// and each role.
func (p *Policy) subjects(who bot.Identity) (s subjects) {
	s.add(everybody)
	if n, ok := p.persons[who.Person]; ok {
		s.add(n)
	}
	for _, role := range who.Roles {
		if n, ok := p.roles[role]; ok {
			s.add(n)
		}
	}
	return s
}

// place reads a resource. A name that no pattern could match is malformed.
func (p *Policy) place(r bot.Resource) place {
	switch name := r.Name(); r.Kind() {
	case bot.KindTarget:
		return p.selected(targets, name)
	case bot.KindFlag:
		return p.selected(flags, name)
	case bot.KindPage, bot.KindSchedule, bot.KindDigest, bot.KindAction:
		if name != "" {
			return place{kind: others}
		}
	case bot.KindBot:
		if r == bot.TheBot {
			return place{kind: others}
		}
	}
	return place{}
}

func (p *Policy) selected(k kind, name string) place {
	first, second, ok := p.match.split(name)
	if !ok {
		return place{}
	}
	return place{k, p.match.segment(p.segments, first), p.match.segment(p.segments, second)}
}
