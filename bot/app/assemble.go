package app

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"maps"
	"slices"
	"strings"

	"quarterdeck/auth"
	"quarterdeck/auth/directory"
	"quarterdeck/bot"
	"quarterdeck/bot/action"
	"quarterdeck/bot/audit"
	"quarterdeck/bot/config"
	"quarterdeck/bot/nearest"
	"quarterdeck/bot/provider"
	"quarterdeck/bot/store"
)

func peopleOf(c *config.Config) ([]directory.Person, []directory.Role) {
	var people []directory.Person
	for _, p := range c.People {
		people = append(people, directory.Person{Where: p.Where, Name: p.Name, Accounts: p.Accounts, Roles: p.Roles, Email: p.Email, GitHub: p.GitHub, Disabled: p.Disabled})
	}
	var roles []directory.Role
	for _, r := range c.Roles {
		roles = append(roles, directory.Role{Where: r.Where, Name: r.Name, Groups: r.Groups})
	}
	return people, roles
}

func rulesOf(c *config.Config, d *directory.Directory, catalog *provider.Catalog, actions *action.Table) auth.Rules {
	r := auth.Rules{Location: c.Bot.Location, Roles: d.Roles(), Persons: append(d.Persons(), d.Principals()...), Targets: catalog.Targets(),
		Permissions: actions.Permissions()}
	for _, g := range c.Grants {
		r.Grants = append(r.Grants, auth.Grant{Where: g.Where, Roles: g.Roles, Persons: g.Persons, Permissions: g.Permissions,
			Targets: g.Targets, Flags: g.Flags, Channels: g.Channels, Hours: g.Hours})
	}
	for _, x := range c.Denies {
		r.Denies = append(r.Denies, auth.Deny{Where: x.Where, Roles: x.Roles, Persons: x.Persons, Permissions: x.Permissions,
			Targets: x.Targets, Flags: x.Flags, Channels: x.Channels, Hours: x.Hours, Reason: x.Reason})
	}
	for _, q := range c.Requires {
		rule := auth.Require{Where: q.Where, Permissions: q.Permissions, Targets: q.Targets, Flags: q.Flags, Confirm: q.Confirm, Reason: q.Reason, Ticket: q.Ticket, StepUp: q.StepUp}
		if q.Approvals != nil {
			rule.Approvals = &bot.ApprovalRule{Count: q.Approvals.Count, From: q.Approvals.From}
		}
		r.Requires = append(r.Requires, rule)
	}
	return r
}

// tooFewApprovers refuses approvals that fewer people can give than are asked
// for: a rule that can only be met by its absence is a mistake. Whom a group
// lets approve is not known before the bot runs, so that a rule about one
// passes. What is said of a role that does not exist is the policy's to say.
//
// Where only those are missing who are disabled, it is a warning: that somebody
// left must take effect at once, and until the rule is mended nobody passes it.
func tooFewApprovers(c *config.Config, d *directory.Directory, p *auth.Policy, f *faults) (warnings []string) {
	for _, q := range c.Requires {
		if q.Approvals == nil {
			continue
		}
		able, left, groups := approvers(d, p, q.Approvals.From)
		if groups || able >= q.Approvals.Count {
			continue
		}
		if able+left >= q.Approvals.Count {
			warnings = append(warnings, fmt.Sprintf("%s: of those who could give the %d approvals that are required, %d are disabled and %d are left; nothing that needs them can be done until more people may approve",
				q.Where, q.Approvals.Count, left, able))
			continue
		}
		able += left
		asked, from, holds := "approvals", "", "persons hold that"
		if q.Approvals.Count == 1 {
			asked = "approval"
		}
		if len(q.Approvals.From) > 0 {
			from = " from " + strings.Join(q.Approvals.From, ", ")
		} else {
			holds = "persons hold " + string(bot.MayApproveRun)
		}
		if able == 1 {
			holds = strings.Replace(holds, "persons hold", "person holds", 1)
		}
		say := fmt.Sprintf("%d %s%s are required, but only %d %s; give it to more people or lower the count",
			q.Approvals.Count, asked, from, able, holds)
		f.add(q.Where, bot.Errorf(bot.Invalid, "%s", say))
	}
	return warnings
}

// idleRoles refuses a role of a person that nothing else names: it gives
// nothing, so that it is a slip.
func idleRoles(c *config.Config, f *faults) {
	var named []string
	for _, r := range c.Roles {
		named = append(named, r.Name)
	}
	for _, g := range c.Grants {
		named = append(named, g.Roles...)
	}
	for _, d := range c.Denies {
		named = append(named, d.Roles...)
	}
	for _, q := range c.Requires {
		if q.Approvals != nil {
			named = append(named, q.Approvals.From...)
		}
	}
	slices.Sort(named)
	named = slices.Compact(named)
	for _, p := range c.People {
		for _, role := range p.Roles {
			if slices.Contains(named, role) {
				continue
			}
			meant := "name it in a rule or take it away"
			if near := nearest.Of(role, named); near != "" {
				meant = fmt.Sprintf("did you mean %q?", near)
			}
			f.add(p.RolesAt, bot.Errorf(bot.Invalid, "%s has the role %q, which no rule and no [[role]] names; %s", p.Name, role, meant))
		}
	}
}

// approvers counts the declared persons who can approve by one of the roles,
// or by a grant when none is named, apart from them those who are disabled, and
// says whether members of a group can.
func approvers(d *directory.Directory, p *auth.Policy, from []string) (able, left int, groups bool) {
	count := func(p directory.Person) {
		if p.Disabled {
			left++
		} else {
			able++
		}
	}
	if len(from) == 0 {
		holds := func(person string, roles []string) bool {
			return p.Holds(bot.Identity{Standing: bot.Member, Person: person, Roles: roles}, bot.MayApproveRun)
		}
		for _, name := range d.Persons() {
			if person, _ := d.Person(name); holds(name, person.Roles) {
				count(person)
			}
		}
		for _, role := range d.Roles() {
			groups = groups || len(d.GroupsOf(role)) > 0 && holds("anybody", []string{role})
		}
		return able, left, groups
	}
	for _, role := range from {
		groups = groups || len(d.GroupsOf(role)) > 0
	}
	for _, name := range d.Persons() {
		person, _ := d.Person(name)
		if slices.ContainsFunc(from, func(role string) bool { return slices.Contains(person.Roles, role) }) {
			count(person)
		}
	}
	return able, left, groups
}

// bindAll opens the configured providers and binds every service to them. What
// could not be bound is a fault; the target is in the catalog all the same, so
// that nothing else is said of rules that name it.
func bindAll(c *config.Config, t Tables, o Options, redact func(string) string, f *faults) (opened map[string]provider.Provider, _ *provider.Catalog, _ *action.Table) {
	opened = map[string]provider.Provider{}
	for _, p := range c.Providers {
		for _, pt := range t.Providers {
			if pt.Name != p.Type {
				continue
			}
			made, err := pt.Open(provider.Options{Name: p.Name, Raw: p.Raw, State: c.Bot.State, Clock: o.Clock, Redact: redact, Secrets: o.Secrets, Login: c.Login})
			if err != nil {
				f.add(p.Raw.Where(), err)
				continue
			}
			opened[p.Name] = made
		}
	}
	bindings := map[bot.Target]provider.Bindings{}
	for _, s := range c.Services {
		var b provider.Bindings
		bind := &binder{opened: opened, target: s.Target, faults: f}
		b.Deploy = bind.release(s)
		b.Flags = bind.flags(s)
		if d := s.Scale; d != nil {
			b.Bounds = boundsOf(d)
			if p, ok := opened[d.Provider]; ok {
				if binder, can := p.(provider.ScaleBinder); !can {
					f.addBound(d.Raw, bot.Errorf(bot.Invalid, "provider %q cannot scale", d.Provider))
				} else if bound, err := binder.BindScale(s.Target, d.Raw); err != nil {
					f.addBound(d.Raw, err)
				} else {
					b.Scale = bound
				}
			}
		}
		b.Logs = bind.logs(s.Logs)
		if b.Metrics = bind.metrics(s); b.Metrics != nil {
			b.MetricsFrom = s.Metrics.Provider
		}
		if s.Guard != nil {
			b.Guard = &s.Guard.Guard
		}
		bind.backup(s, &b)
		b.Digest = bindingDigest(c, s)
		bindings[s.Target] = b
	}
	return opened, provider.NewCatalog(c.Environments, bindings).InOrder(c.After), bindActions(c, opened, f)
}

// boundsOf gives what a target's scale table allows.
func boundsOf(s *config.Scale) map[string]provider.Bounds {
	all := make(map[string]provider.Bounds, len(s.Bounds))
	for name, b := range s.Bounds {
		all[name] = provider.Bounds{Min: b.Min, Max: b.Max, Step: b.Step, Zero: b.Zero, Choices: b.Choices}
	}
	return all
}

// bindingDigest tells what a target's bindings and their providers say.
func bindingDigest(c *config.Config, s config.Service) string {
	var all []string
	if s.Deploy != nil {
		sum := sha256.New()
		fmt.Fprintf(sum, "deploy %q %s", s.Deploy.Provider, textOf(s.Deploy.Raw))
		if s.Rollback != nil {
			fmt.Fprintf(sum, "rollback %q %s", s.Rollback.Provider, textOf(s.Rollback.Raw))
		}
		all = append(all, sumProviders(sum, c, releaseProviders(s)))
	}
	if s.Scale != nil { // its bounds are checked by themselves
		all = append(all, boundDigest(c, "scale", &s.Scale.Binding))
	}
	if s.Backup != nil {
		all = append(all, boundDigest(c, "backup", &s.Backup.Binding))
	}
	if s.Flags != nil {
		all = append(all, boundDigest(c, "flags", s.Flags))
	}
	return strings.Join(all, " ")
}

// boundDigest tells what one binding and its provider say.
func boundDigest(c *config.Config, kind string, b *config.Binding) string {
	sum := sha256.New()
	fmt.Fprintf(sum, "%s %q %s", kind, b.Provider, textOf(b.Raw))
	return sumProviders(sum, c, []string{b.Provider})
}

// sumProviders adds to sum what the providers of these names say, and ends it.
func sumProviders(sum hash.Hash, c *config.Config, names []string) string {
	for _, p := range c.Providers {
		if slices.Contains(names, p.Name) {
			fmt.Fprintf(sum, "provider %q %s", p.Type, textOf(p.Raw))
		}
	}
	return "sha256:" + hex.EncodeToString(sum.Sum(nil))
}

func textOf(r bot.Raw) string {
	if t, ok := r.(config.Texter); ok {
		return t.Text()
	}
	return ""
}

// kindRules is the document that keeps who there was and what the rules were
// at the last start.
const kindRules = "rules"

// setting is one key of the configuration as it may be kept: without secrets,
// and with a mark that tells one value from another.
type setting struct {
	Text string `json:"text"`
	Mark string `json:"mark"`
}

func (a *App) settings(log *audit.Log, seal store.Seal) map[string]setting {
	kept := map[string]setting{}
	for key, value := range a.Config.Settings() {
		text := log.Redact(value)
		if key == "heartbeat.url" && !strings.HasPrefix(text, `"env:`) && !strings.HasPrefix(text, `"file:`) {
			text = `"redacted"` // the address itself is the secret
		}
		kept[key] = setting{Text: text, Mark: seal.Mark("setting "+key, []byte(value))}
	}
	return kept
}

// diffSettings says what changed, a line each.
func diffSettings(old, now map[string]setting) []string {
	var lines []string
	for _, key := range slices.Sorted(maps.Keys(old)) {
		if _, kept := now[key]; !kept {
			lines = append(lines, fmt.Sprintf("- %s = %s", key, old[key].Text))
		}
	}
	for _, key := range slices.Sorted(maps.Keys(now)) {
		was, found := old[key]
		switch {
		case !found:
			lines = append(lines, fmt.Sprintf("+ %s = %s", key, now[key].Text))
		case was.Mark == now[key].Mark:
		case was.Text == now[key].Text:
			lines = append(lines, fmt.Sprintf("~ %s has another secret in it", key))
		default:
			lines = append(lines, fmt.Sprintf("~ %s = %s, no longer %s", key, now[key].Text, was.Text))
		}
	}
	return lines
}

// recordStart records, when people, roles, rules or settings are not what they
// were at the last start or reload, what changed, and gives how much that is.
func (a *App) recordStart(ctx context.Context, s store.Store, log *audit.Log, seal store.Seal) (changes int, err error) {
	people, roles := a.Directory.Describe()
	snapshot := a.Policy.Snapshot(people, roles)
	body, err := json.Marshal(snapshot)
	if err != nil {
		return 0, fmt.Errorf("encode the rules: %w", err)
	}
	settings := a.settings(log, seal)
	settingsBody, err := json.Marshal(settings)
	if err != nil {
		return 0, fmt.Errorf("encode the settings: %w", err)
	}
	err = s.Update(ctx, func(tx store.Tx) error {
		changes = 0
		if gives, err := a.givesWay(tx, seal); err != nil || gives {
			return err
		}
		old, found, err := tx.Document(kindRules, "now")
		if err != nil {
			return err
		}
		oldSettings, settingsFound, err := tx.Document(kindRules, "settings")
		if err != nil {
			return err
		}
		if found && string(old.Body) == string(body) && string(oldSettings.Body) == string(settingsBody) {
			return a.putForce(tx, seal)
		}
		var were map[string]setting
		if settingsFound {
			if err := json.Unmarshal(oldSettings.Body, &were); err != nil {
				return fmt.Errorf("decode the settings of the last start: %w", err)
			}
		}
		var before auth.Snapshot
		if found {
			if err := json.Unmarshal(old.Body, &before); err != nil {
				return fmt.Errorf("decode the rules of the last start: %w", err)
			}
		}
		diff := append(auth.Diff(before, snapshot), diffSettings(were, settings)...)
		changes = len(diff)
		rec := bot.Record{Kind: bot.ConfiguredKind, Resources: []bot.Resource{bot.TheBot},
			Detail: map[string]string{"changes": fmt.Sprint(len(diff)), "version": a.options.Version},
			Text:   map[string]string{"difference": strings.Join(diff, "\n")}}
		if err := recordRules(tx, log, rec, snapshot, settings); err != nil {
			return err
		}
		if _, err := tx.PutDocument(bot.Document{Kind: kindRules, ID: "settings", Rev: oldSettings.Rev, Body: settingsBody}); err != nil {
			return err
		}
		if _, err = tx.PutDocument(bot.Document{Kind: kindRules, ID: "now", Rev: old.Rev, Body: body}); err != nil {
			return err
		}
		return a.putForce(tx, seal)
	})
	if err != nil {
		return 0, fmt.Errorf("record the configuration: %w", err)
	}
	return changes, nil
}
