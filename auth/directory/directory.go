// Package directory knows which person owns an account and which roles that
// person holds now: roles declared with the person, and roles that a group of
// a chat network or an on-call schedule gives.
package directory

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/sourcegraph/conc"

	"quarterdeck/bot"
)

// Person is one declared person. Accounts are the only way by which a message
// becomes that person's; Email and GitHub are for pagers and deploy markers
// and never identify anybody who asks.
type Person struct {
	Where    string // "config.toml:30"
	Name     string
	Accounts []bot.AccountID
	Roles    []string
	Email    string
	GitHub   string
	// Disabled says that the person left: whichever account they ask from, they
	// stand as bot.Disabled, hold no role and no group is asked about them. The
	// person stays declared, so that the log goes on naming them.
	Disabled bool
}

// Role is a role that groups give to their members. Roles that persons are
// declared with need no Role of their own.
type Role struct {
	Where  string // "config.toml:37"
	Name   string
	Groups []string // "slack-group:S0SRE"
}

// Groups is a source of group membership, such as the user groups of a chat
// network or an on-call schedule.
//
// Holds reports whether the account is a member of the group now; group is the
// part after the source's prefix: "S0SRE". It answers false for accounts that
// cannot be members, such as those of another network. It must return when ctx
// ends, be safe for concurrent use, and keep its own cache: it is asked for
// every message. An error leaves the role out and in doubt.
//
// A source that also has GroupFault and HoldsNow, as bot.Memberships has, is
// asked whether an id can be one, and asked afresh by Recall.
type Groups interface {
	Holds(ctx context.Context, group string, account bot.AccountID) (bool, error)
}

// groupTimeout bounds all questions to group sources for one identity, so that
// a message is still acknowledged within a chat network's three seconds when a
// source hangs.
const groupTimeout = 2 * time.Second

// Directory answers who owns an account. It implements bot.Directory, is never
// changed after New and is safe for concurrent use.
type Directory struct {
	people   map[string]*Person
	accounts map[bot.AccountID]*Person
	roles    []Role // those with groups
	sources  map[string]Groups
	vouching map[string]bot.Vouching // by network
	clock    []string                // principals of the clock; see Clocked
	logger   *slog.Logger
}

// New checks people and roles and makes a Directory of them. sources are keyed
// by the prefix of the groups they answer for: "slack-group". A source that
// fails is reported to logger; nil logs nothing. It does no I/O.
//
// Its error joins one bot.Error of kind Invalid for every fault found: an
// account, a name, an e-mail address or a GitHub login that two persons claim,
// a person without accounts, a malformed account, a role declared twice or
// held by nobody, a group without a source.
func New(people []Person, roles []Role, sources map[string]Groups, logger *slog.Logger) (*Directory, error) {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	d := &Directory{
		people:   make(map[string]*Person, len(people)),
		accounts: make(map[bot.AccountID]*Person),
		sources:  sources,
		logger:   logger,
	}
	c := &checker{claimed: make(map[string]string)}
	for i := range people {
		p := people[i]
		p.Accounts, p.Roles = slices.Clone(p.Accounts), slices.Clone(p.Roles)
		c.person(i, &p)
		d.people[p.Name] = &p
		for _, a := range p.Accounts {
			d.accounts[a] = &p
		}
	}
	for i, r := range roles {
		c.role(i, r, d)
		if len(r.Groups) > 0 {
			d.roles = append(d.roles, Role{Where: r.Where, Name: r.Name, Groups: slices.Clone(r.Groups)})
		}
	}
	if len(c.problems) > 0 {
		return nil, errors.Join(c.problems...)
	}
	return d, nil
}

// checker gathers what is wrong.
type checker struct {
	claimed  map[string]string // "account slack:T1/U1" -> whose it is
	label    string
	problems []error
}

func (c *checker) begin(what string, i int, name, where string) {
	c.label = fmt.Sprintf("%s %d", what, i+1)
	if name != "" {
		c.label = fmt.Sprintf("%s %q", what, name)
	}
	if where != "" {
		c.label = where + ": " + c.label
	}
}

func (c *checker) fail(format string, args ...any) {
	c.problems = append(c.problems, &bot.Error{Op: "directory.New", Kind: bot.Invalid, Say: c.label + ": " + fmt.Sprintf(format, args...)})
}

// claim notes that value belongs to owner, and refuses it to a second one.
// Values that differ only in case count as the same: nobody could tell them
// apart reliably.
func (c *checker) claim(what, value, owner string) {
	key := what + " " + strings.ToLower(value)
	if other, taken := c.claimed[key]; taken {
		if other == owner {
			c.fail("%s %q is given twice", what, value)
		} else {
			c.fail("%s %q belongs to %s already; one %s belongs to one person", what, value, other, what)
		}
		return
	}
	c.claimed[key] = owner
}

func (c *checker) person(i int, p *Person) {
	c.begin("person", i, p.Name, p.Where)
	if problem := checkName(p.Name); problem != "" {
		c.fail("its name %s", problem)
	}
	key := "name " + strings.ToLower(p.Name)
	if other, taken := c.claimed[key]; taken {
		c.fail("there is another person of that name: %s", other)
	}
	owner := fmt.Sprintf("%q", p.Name)
	if p.Where != "" {
		owner += " (" + p.Where + ")"
	}
	c.claimed[key] = owner
	if len(p.Accounts) == 0 {
		c.fail("it has no accounts, so nobody could act as it; give at least one, such as \"slack:T0123/U0001\"")
	}
	for _, a := range p.Accounts {
		network, local, _ := strings.Cut(string(a), ":")
		if !plain(network) || local == "" || strings.ContainsFunc(local, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) || r == '*' }) {
			c.fail("account %q is not an account's id; expected NETWORK:ID, such as \"slack:T0123/U0001\" or \"os:1000\"", string(a))
			continue
		}
		c.claim("account", string(a), owner)
	}
	for n, role := range p.Roles {
		if problem := checkName(role); problem != "" {
			c.fail("role %q %s", role, problem)
		}
		if slices.Contains(p.Roles[:n], role) {
			c.fail("role %q is given twice", role)
		}
	}
	if p.Email != "" {
		if at := strings.Index(p.Email, "@"); at < 1 || at == len(p.Email)-1 || strings.ContainsFunc(p.Email, unicode.IsSpace) {
			c.fail("email %q is not an address; expected such as \"dev-one@example.com\"", p.Email)
		}
		c.claim("email", p.Email, owner)
	}
	if p.GitHub != "" {
		if !plain(p.GitHub) {
			c.fail("github %q is not a login; expected the name alone, such as \"dev-one\"", p.GitHub)
		}
		c.claim("github", p.GitHub, owner)
	}
}

func (c *checker) role(i int, r Role, d *Directory) {
	c.begin("role", i, r.Name, r.Where)
	if problem := checkName(r.Name); problem != "" {
		c.fail("its name %s", problem)
	}
	key := "role " + strings.ToLower(r.Name)
	if other, taken := c.claimed[key]; taken {
		c.fail("there is another role of that name: %s", other)
	}
	c.claimed[key] = fmt.Sprintf("%q", r.Name)
	if r.Where != "" {
		c.claimed[key] += " (" + r.Where + ")"
	}
	if len(r.Groups) == 0 && !slices.Contains(d.Roles(), r.Name) {
		c.fail("nobody can hold it; give it groups, or name it in the roles of a person")
	}
	for n, group := range r.Groups {
		prefix, local, _ := strings.Cut(group, ":")
		if prefix == "" || local == "" || strings.ContainsFunc(group, unicode.IsSpace) {
			c.fail("group %q is not a group's id; expected SOURCE:ID, such as \"slack-group:S0SRE\"", group)
			continue
		}
		if l, ok := d.sources[prefix].(lister); ok && !slices.Contains(l.Names(), local) {
			c.fail("group %q: there is no such %s; there are %s", group, prefix, strings.Join(slices.Sorted(slices.Values(l.Names())), ", "))
		}
		if s, ok := d.sources[prefix].(discerning); ok {
			if fault := s.GroupFault(local); fault != "" {
				c.fail("group %q %s", group, fault)
			}
		}
		if d.sources[prefix] == nil {
			c.fail("group %q: nothing configured knows groups of %q%s", group, prefix, known(d.sources))
		}
		if slices.Contains(r.Groups[:n], group) {
			c.fail("group %q is given twice", group)
		}
	}
}

func known(sources map[string]Groups) string {
	if len(sources) == 0 {
		return "; there are no sources of groups, such as a [chat.slack]"
	}
	return "; there are " + strings.Join(slices.Sorted(maps.Keys(sources)), ", ")
}

// checkName says what is wrong with the name of a person or a role.
func checkName(s string) string {
	if s == "" {
		return "is missing"
	}
	if len(s) > 64 {
		return "is longer than 64 bytes"
	}
	if !plain(s) {
		return `holds other characters than letters, digits, ".", "_" and "-"`
	}
	return ""
}

func plain(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '.' && r != '_' && r != '-'
	})
}

// Identify gives the person who owns the account, with the roles held now.
// Roles are given to full members only, so that a source of groups is never
// asked about a stranger and a guest holds nothing. It never fails: a source
// that does leaves its roles out, and in doubt.
func (d *Directory) Identify(ctx context.Context, account bot.AccountID, standing bot.Standing) (bot.Identity, error) {
	return d.identify(ctx, account, standing, false), nil
}

func (d *Directory) identify(ctx context.Context, account bot.AccountID, standing bot.Standing, now bool) bot.Identity {
	who := bot.Identity{Account: account, Standing: standing}
	if account.IsClock() {
		return d.ofClock(who)
	}
	p, ok := d.accounts[account]
	if !ok {
		return who
	}
	who.Person = p.Name
	if p.Disabled {
		who.Standing = bot.Disabled
		return who
	}
	if standing == bot.Member {
		who.Roles, who.Doubts = d.rolesOf(ctx, p, now)
	}
	return who
}

// rolesOf gives declared roles and those of groups that any account of the
// person is in, sorted, and which roles are in doubt; now has the groups asked
// afresh.
func (d *Directory) rolesOf(ctx context.Context, p *Person, now bool) ([]string, []bot.Doubt) {
	roles := slices.Clone(p.Roles)
	var doubts []bot.Doubt
	if len(d.roles) > 0 {
		ctx, cancel := context.WithTimeout(ctx, groupTimeout)
		defer cancel()
		held, whys := make([]bool, len(d.roles)), make([]*bot.Doubt, len(d.roles))
		var wg conc.WaitGroup
		for i, r := range d.roles {
			if !slices.Contains(roles, r.Name) {
				whys[i] = &bot.Doubt{Role: r.Name, Say: fmt.Sprintf("whether %s holds the role %s is not known right now", p.Name, r.Name)} // should it panic
				wg.Go(func() { held[i], whys[i] = d.inAny(ctx, p, r, now) })
			}
		}
		if panicked := wg.WaitAndRecover(); panicked != nil {
			d.logger.Error("source of groups panicked", "person", p.Name, "err", panicked.AsError())
		}
		for i, r := range d.roles {
			if held[i] {
				roles = append(roles, r.Name)
			} else if whys[i] != nil {
				doubts = append(doubts, *whys[i])
			}
		}
	}
	slices.Sort(roles)
	return slices.Compact(roles), doubts
}

// inAny reports whether an account of the person is in a group of the role;
// where it is in none that is known of, doubt says of which it is not known.
func (d *Directory) inAny(ctx context.Context, p *Person, r Role, now bool) (in bool, doubt *bot.Doubt) {
	for _, group := range r.Groups {
		prefix, local, _ := strings.Cut(group, ":")
		source := d.sources[prefix]
		holds := func(in bool, err error) bool {
			if err != nil {
				d.logger.Warn("group not known, role left out", "group", group, "role", r.Name, "person", p.Name, "err", err)
				doubt = &bot.Doubt{Role: r.Name, Say: fmt.Sprintf("whether %s is in %s, which gives the role %s, is not known right now%s", p.Name, group, r.Name, because(err))}
			}
			return in && err == nil
		}
		if persons, ok := source.(personGroups); ok {
			if holds(persons.holdsPerson(ctx, local, p.Name)) {
				return true, nil
			}
			continue
		}
		ask := source.Holds
		if s, ok := source.(fresh); ok && now {
			ask = s.HoldsNow
		}
		for _, account := range p.Accounts {
			if holds(ask(ctx, local, account)) {
				return true, nil
			}
		}
	}
	return false, doubt
}

// Person gives a declared person by name. The value shares its slices with the
// Directory and must not be changed.
func (d *Directory) Person(name string) (Person, bool) {
	p, ok := d.people[name]
	if !ok {
		return Person{}, false
	}
	return *p, true
}

// Persons lists the names of all declared persons, sorted.
func (d *Directory) Persons() []string { return slices.Sorted(maps.Keys(d.people)) }

// Roles lists the roles that somebody can hold, sorted: a role that a rule
// names and this does not list is held by nobody.
func (d *Directory) Roles() []string {
	var roles []string
	for _, p := range d.people {
		roles = append(roles, p.Roles...)
	}
	for _, r := range d.roles {
		roles = append(roles, r.Name)
	}
	slices.Sort(roles)
	return slices.Compact(roles)
}

// CanBeHeld reports whether a person is declared with the role or a group
// gives it.
func (d *Directory) CanBeHeld(role string) bool { return slices.Contains(d.Roles(), role) }

// Holders lists the persons declared with the role, sorted, without those who
// are disabled. Members of groups are not among them; see [Directory.GroupsOf].
func (d *Directory) Holders(role string) []string {
	var names []string
	for name, p := range d.people {
		if !p.Disabled && slices.Contains(p.Roles, role) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// GroupsOf lists the groups whose members hold the role, as configured.
func (d *Directory) GroupsOf(role string) []string {
	for _, r := range d.roles {
		if r.Name == role {
			return slices.Clone(r.Groups)
		}
	}
	return nil
}

// Describe writes people and roles in one canonical form each, by name: for a
// snapshot of the configuration and the differences between two of them.
func (d *Directory) Describe() (people, roles map[string]string) {
	people, roles = make(map[string]string), make(map[string]string)
	for name, p := range d.people {
		accounts := make([]string, len(p.Accounts))
		for i, a := range p.Accounts {
			accounts[i] = string(a)
		}
		slices.Sort(accounts)
		s := "(" + strings.Join(accounts, ", ") + "): "
		if len(p.Roles) == 0 {
			s += "no roles"
		} else {
			s += strings.Join(slices.Sorted(slices.Values(p.Roles)), ", ")
		}
		if p.Disabled {
			s += ", disabled"
		}
		if p.Email != "" {
			s += ", email " + p.Email
		}
		if p.GitHub != "" {
			s += ", github " + p.GitHub
		}
		people[name] = s
	}
	for _, r := range d.roles {
		roles[r.Name] = "from " + strings.Join(slices.Sorted(slices.Values(r.Groups)), ", ")
	}
	return people, roles
}
