package config

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"quarterdeck/bot"
	"quarterdeck/bot/nearest"
)

// maxFile bounds the size of a configuration file.
const maxFile = 4 << 20

// Load reads the configuration at path and checks everything that can be
// checked from it alone, offline and without secrets. Its error is of kind
// Invalid and lists every fault, one a line: "config.toml:12: sentence".
func Load(path string, known Known) (*Config, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, bot.Errorf(bot.Invalid, "%s is not a path: %v", path, err)
	}
	info, err := os.Stat(abs)
	if err != nil {
		return nil, bot.Errorf(bot.Invalid, "there is no configuration at %s; make one with: quarterdeck init", path)
	}
	name := filepath.Base(abs)
	switch {
	case info.IsDir():
		return nil, bot.Errorf(bot.Invalid, "%s is a folder; name the configuration file in it", path)
	case info.Size() > maxFile:
		return nil, bot.Errorf(bot.Invalid, "%s is larger than %d MiB", name, maxFile>>20)
	case info.Mode().Perm()&0o022 != 0:
		return nil, bot.Errorf(bot.Invalid, "%s can be changed by others than its owner; run: chmod go-w %s", name, path)
	}
	raw, err := os.ReadFile(abs)
	if err != nil {
		return nil, bot.Errorf(bot.Invalid, "%s cannot be read: %v", path, err)
	}
	if !utf8.Valid(raw) {
		return nil, bot.Errorf(bot.Invalid, "%s is not UTF-8 text", name)
	}
	l := &loader{name: name, dir: filepath.Dir(abs), known: known, at: locate(raw)}
	l.problems = decode(raw, &l.file, func(_ []string, line int) string { return fmt.Sprintf("%s:%d", name, line) }, "")
	if len(l.problems) > 0 {
		return nil, join(l.problems)
	}
	l.c.Path = abs
	l.bot()
	l.audit()
	l.chats()
	l.people()
	l.rules()
	l.targets()
	if len(l.problems) > 0 {
		return nil, join(l.problems)
	}
	return &l.c, nil
}

// loader turns a decoded file into a checked Config.
type loader struct {
	name     string
	dir      string
	known    Known
	at       *positions
	file     file
	c        Config
	problems []string
}

func (l *loader) where(path string) string { return fmt.Sprintf("%s:%d", l.name, l.at.line(path)) }

func (l *loader) fail(path, format string, args ...any) {
	l.problems = append(l.problems, l.where(path)+": "+fmt.Sprintf(format, args...))
}

// path makes p absolute, from the configuration's folder.
func (l *loader) path(p string) string {
	if filepath.IsAbs(p) {
		return filepath.Clean(p)
	}
	return filepath.Join(l.dir, p)
}

func (l *loader) duration(path, s string, standard, least, most time.Duration) time.Duration {
	if s == "" {
		return standard
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < least || d > most {
		l.fail(path, "%s takes a time from %s to %s, such as %q; it is %q", path, least, most, standard.String(), s)
		return standard
	}
	return d
}

func (l *loader) bot() {
	b := l.file.Bot
	if b.Database == "" {
		l.fail("bot", "[bot] needs database = \"sqlite:PATH\"")
	} else if scheme, rest, found := strings.Cut(b.Database, ":"); !found || rest == "" || strings.ToLower(scheme) != scheme {
		l.fail("bot.database", "bot.database takes \"sqlite:PATH\"; it is %q", b.Database)
	} else if scheme == "sqlite" {
		l.c.Bot.Database = "sqlite:" + l.path(rest)
		if b.State == "" {
			b.State = filepath.Join(filepath.Dir(l.path(rest)), "state")
		}
	} else {
		l.fail("bot.database", "bot.database names the unknown store %q; it takes \"sqlite:PATH\"", scheme)
	}
	l.c.Bot.State = l.path(b.State)
	if b.Socket == "" {
		b.Socket = "quarterdeck.sock"
	}
	l.c.Bot.Socket = l.path(b.Socket)
	l.c.Bot.Location = time.UTC
	if b.Timezone != "" {
		loc, err := time.LoadLocation(b.Timezone)
		if err != nil || b.Timezone == "Local" {
			l.fail("bot.timezone", "bot.timezone takes a zone such as \"Europe/Berlin\"; there is none called %q", b.Timezone)
		} else {
			l.c.Bot.Location = loc
		}
	}
	l.c.Bot.ConfirmExpires = l.duration("bot.confirm_expires", b.ConfirmExpires, 2*time.Minute, 10*time.Second, time.Hour)
	l.c.Bot.ApprovalExpires = l.duration("bot.approval_expires", b.ApprovalExpires, 30*time.Minute, 10*time.Second, 24*time.Hour)
	l.c.Bot.Rate = 60
	if b.Rate != nil {
		if *b.Rate < 1 || *b.Rate > 100_000 {
			l.fail("bot.rate", "bot.rate takes 1 to 100000 commands a minute; it is %d", *b.Rate)
		}
		l.c.Bot.Rate = *b.Rate
	}
}

func (l *loader) audit() {
	a := l.file.Audit
	if len(a.Channels) == 0 {
		l.fail("audit", "[audit] needs channels = [\"NETWORK:CHANNEL\"]: every action is written back there")
	}
	for _, c := range a.Channels {
		id := bot.ChannelID(c)
		if id.Network() == "" || id.Local() == "" {
			l.fail("audit.channels", "%q is not a channel; write NETWORK:CHANNEL, such as \"file:audit.txt\"", c)
		} else if _, configured := l.file.Chat[id.Network()]; !configured {
			l.fail("audit.channels", "the audit channel %q is on the network %q, which has no [chat.%s]", c, id.Network(), id.Network())
		}
		if slices.Contains(l.c.Audit.Channels, id) {
			l.fail("audit.channels", "the audit channel %q is named twice", c)
		}
		l.c.Audit.Channels = append(l.c.Audit.Channels, id)
	}
	key, found := strings.CutPrefix(a.Key, "file:")
	switch {
	case a.Key == "":
		l.fail("audit", "[audit] needs key = \"file:PATH\": the key that signs checkpoints; it is made at the first start")
	case !found || key == "":
		l.fail("audit.key", "audit.key takes \"file:PATH\"")
	default:
		l.c.Audit.Key = l.path(key)
		l.c.Audit.Checkpoints = filepath.Join(filepath.Dir(l.c.Audit.Key), "checkpoints.txt")
	}
	if a.Checkpoints != "" {
		l.c.Audit.Checkpoints = l.path(a.Checkpoints)
	}
	for _, s := range a.Redact {
		re, err := regexp.Compile(s)
		if err != nil || s == "" || re.MatchString("") {
			l.fail("audit.redact", "audit.redact holds %q, which is not a regular expression that matches something", s)
			continue
		}
		l.c.Audit.Redact = append(l.c.Audit.Redact, re)
	}
}

func (l *loader) chats() {
	l.c.Chats = map[string]bot.Raw{}
	for _, name := range slices.Sorted(maps.Keys(l.file.Chat)) {
		path := "chat." + name
		if !slices.Contains(l.known.Chats, name) {
			l.fail(path, "there is no chat network %q%s", name, hint(name, l.known.Chats))
			continue
		}
		l.c.Chats[name] = &table{file: l.name, dir: l.dir, path: path, at: l.at, value: l.file.Chat[name]}
	}
	if on, _ := l.file.Chat["terminal"]["impersonate"].(bool); on {
		for _, name := range slices.Sorted(maps.Keys(l.file.Chat)) {
			if name != "terminal" && name != "file" {
				l.fail("chat.terminal.impersonate", "impersonate = true makes everybody at this machine anybody, so it is refused beside [chat.%s]", name)
			}
		}
	}
}

func hint(word string, candidates []string) string {
	if near := nearest.Of(word, candidates); near != "" {
		return fmt.Sprintf("; did you mean %q?", near)
	}
	if len(candidates) == 0 {
		return ""
	}
	return "; there are " + strings.Join(candidates, ", ")
}

// isName reports whether s can be typed as one word of a command.
func isName(s string) bool {
	if s == "" || len(s) > 64 {
		return false
	}
	for i, r := range s {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
		if !letter && (i == 0 || r != '-' && r != '_' && r != '.') {
			return false
		}
	}
	return true
}

func (l *loader) people() {
	if len(l.file.Person) == 0 {
		l.problems = append(l.problems, l.name+": nobody is declared; add a [[person]]")
	}
	for i, p := range l.file.Person {
		path := fmt.Sprintf("person[%d]", i)
		if !isName(p.Name) {
			l.fail(path+".name", "a person needs a name of letters, digits, dots and dashes; it is %q", p.Name)
		}
		person := Person{Where: l.where(path), Name: p.Name, Roles: p.Roles, Email: p.Email, GitHub: p.GitHub}
		for _, a := range p.Accounts {
			id := bot.AccountID(a)
			network := id.Network()
			if network != "os" && network != "terminal" {
				if _, configured := l.file.Chat[network]; !configured {
					l.fail(path+".accounts", "%s has the account %q, but there is no [chat.%s]; accounts are written NETWORK:ID, such as \"os:1000\"", p.Name, a, network)
				}
			}
			person.Accounts = append(person.Accounts, id)
		}
		l.c.People = append(l.c.People, person)
	}
	for i, r := range l.file.Role {
		path := fmt.Sprintf("role[%d]", i)
		if !isName(r.Name) {
			l.fail(path+".name", "a role needs a name of letters, digits, dots and dashes; it is %q", r.Name)
		}
		l.c.Roles = append(l.c.Roles, Role{Where: l.where(path), Name: r.Name, Groups: r.Groups})
	}
}

func (l *loader) rules() {
	for i, g := range l.file.Grant {
		l.c.Grants = append(l.c.Grants, Grant{Where: l.where(fmt.Sprintf("grant[%d]", i)), Roles: g.Roles, Persons: g.Persons,
			Permissions: g.Permissions, Targets: g.Targets, Channels: l.channels(fmt.Sprintf("grant[%d].channels", i), g.Channels), Hours: g.Hours})
	}
	for i, d := range l.file.Deny {
		l.c.Denies = append(l.c.Denies, Deny{Where: l.where(fmt.Sprintf("deny[%d]", i)), Roles: d.Roles, Persons: d.Persons,
			Permissions: d.Permissions, Targets: d.Targets, Channels: l.channels(fmt.Sprintf("deny[%d].channels", i), d.Channels), Hours: d.Hours, Reason: d.Reason})
	}
	for i, r := range l.file.Require {
		rule := Require{Where: l.where(fmt.Sprintf("require[%d]", i)), Permissions: r.Permissions, Targets: r.Targets,
			Confirm: r.Confirm, Reason: r.Reason, Ticket: r.Ticket}
		if r.Approvals != nil {
			rule.Approvals = &bot.ApprovalRule{Count: r.Approvals.Count, From: r.Approvals.From}
		}
		l.c.Requires = append(l.c.Requires, rule)
	}
}

// channels refuses channels of networks that are not configured: such a rule
// would never hold, or never bind.
func (l *loader) channels(path string, ids []string) []string {
	for _, c := range ids {
		network := bot.ChannelID(c).Network()
		if _, configured := l.file.Chat[network]; !configured {
			l.fail(path, "the channel %q is on a network that is not configured; write NETWORK:CHANNEL", c)
		}
	}
	return ids
}

func (l *loader) targets() {
	for _, path := range l.at.order {
		name, found := strings.CutPrefix(path, "environment.")
		if _, declared := l.file.Environment[name]; !found || !declared || slices.Contains(l.c.Environments, name) {
			continue
		}
		if !isName(name) {
			l.fail(path, "an environment needs a name of letters, digits, dots and dashes; it is %q", name)
		}
		l.c.Environments = append(l.c.Environments, name)
	}
	var names []string
	for _, name := range slices.Sorted(maps.Keys(l.file.Provider)) {
		path := "provider." + name
		raw := maps.Clone(l.file.Provider[name])
		kind, _ := raw["type"].(string)
		delete(raw, "type")
		if !slices.Contains(l.known.Providers, kind) {
			l.fail(path+".type", "provider %q has the unknown type %q%s", name, kind, hint(kind, l.known.Providers))
		}
		names = append(names, name)
		l.c.Providers = append(l.c.Providers, Provider{Name: name, Type: kind, Raw: &table{file: l.name, dir: l.dir, path: path, at: l.at, value: raw}})
	}
	for _, service := range slices.Sorted(maps.Keys(l.file.Service)) {
		if !isName(service) {
			l.fail("service."+service, "a service needs a name of letters, digits, dots and dashes; it is %q", service)
		}
		for _, env := range slices.Sorted(maps.Keys(l.file.Service[service])) {
			l.service(bot.Target{Service: service, Environment: env}, l.file.Service[service][env], names)
		}
	}
}

func (l *loader) service(t bot.Target, bindings map[string]map[string]any, providers []string) {
	path := "service." + t.Service + "." + t.Environment
	if !slices.Contains(l.c.Environments, t.Environment) {
		l.fail(path, "%s is in the environment %q, which has no [environment.%s]%s", t, t.Environment, t.Environment, hint(t.Environment, l.c.Environments))
	}
	s := Service{Where: l.where(path), Target: t}
	for _, kind := range slices.Sorted(maps.Keys(bindings)) {
		at := path + "." + kind
		if !slices.Contains(l.known.Bindings, kind) {
			l.fail(at, "unknown key %q in [%s]%s", kind, path, hint(kind, l.known.Bindings))
			continue
		}
		raw := maps.Clone(bindings[kind])
		name, _ := raw["provider"].(string)
		delete(raw, "provider")
		if !slices.Contains(providers, name) {
			l.fail(at+".provider", "%s of %s names the provider %q, which has no [provider.%s]%s", kind, t, name, name, hint(name, providers))
		}
		b := &Binding{Provider: name, Raw: &table{file: l.name, dir: l.dir, path: at, at: l.at, value: raw}}
		if kind == "deploy" {
			s.Deploy = b
		}
	}
	l.c.Services = append(l.c.Services, s)
}
