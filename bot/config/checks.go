package config

import (
	"fmt"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
	_ "time/tzdata" // a zone that is right here is right in a container without zones

	"quarterdeck/bot"
)

const (
	channelShape = `write NETWORK:CHANNEL, such as "file:audit.txt"`
	accountShape = `write NETWORK:ID, such as "os:1000"`
	nameShape    = "letters, digits, dots, dashes and underscores, a letter or digit first"
)

func (l *loader) bot() {
	b, at := l.in.Bot, l.root.at("bot")
	scheme, rest, found := strings.Cut(b.Database, ":")
	server := scheme == "postgres" || scheme == "postgresql"
	switch {
	case !l.root.has("bot", "database"):
		l.failf(at, "", `[bot] needs database = "sqlite:PATH"`)
	case b.Database == "":
	case !found || rest == "":
		l.failf(at.at("database"), fmt.Sprintf("it is %q", b.Database), `bot.database takes "sqlite:PATH"`)
	case server && !strings.HasPrefix(rest, "//"):
		l.failf(at.at("database"), "", `bot.database takes "postgres://USER@HOST/NAME"`)
	case server && holdsPassword(rest):
		l.failf(at.at("database"), "write env:NAME or file:PATH in place of the address, set PGPASSWORD, or add ?passfile=PATH", "bot.database holds a password")
	case server:
		l.out.Bot.Database = "postgres:" + rest
		l.out.Bot.State = l.path("state")
	case scheme == "env":
		l.out.Bot.Database, l.out.Bot.State = b.Database, l.path("state")
	case scheme == "file":
		l.out.Bot.Database, l.out.Bot.State = "file:"+l.path(rest), l.path("state")
	case scheme != "sqlite":
		l.failf(at.at("database"), `it takes "sqlite:PATH", "postgres://USER@HOST/NAME", or "env:NAME" or "file:PATH" where such an address is`, "bot.database names the unknown store %q", scheme)
	default:
		l.out.Bot.Database = "sqlite:" + l.path(rest)
		l.out.Bot.State = filepath.Join(filepath.Dir(l.path(rest)), "state")
	}
	if scheme == "sqlite" && l.out.Bot.Database != "" {
		l.out.Bot.Journal = strings.TrimSuffix(strings.TrimPrefix(l.out.Bot.Database, "sqlite:"), ".db") + ".emergency"
	}
	if b.Journal != "" {
		l.out.Bot.Journal = l.path(b.Journal)
	}
	if b.State != "" {
		l.out.Bot.State = l.path(b.State)
	}
	l.out.Bot.Socket = l.path(defaultSocket)
	if b.Socket != "" {
		l.out.Bot.Socket = l.path(b.Socket)
	}
	l.out.Bot.SocketGroup = b.SocketGroup
	l.out.Bot.Location = time.UTC
	if b.Timezone != "" {
		zone, err := time.LoadLocation(b.Timezone)
		if err != nil || b.Timezone == "Local" { // what "Local" means differs from machine to machine
			l.failf(at.at("timezone"), fmt.Sprintf("there is none called %q", b.Timezone), `bot.timezone takes a zone such as "Europe/Berlin"`)
		} else {
			l.out.Bot.Location = zone
		}
	}
	l.out.Bot.ConfirmExpires = l.duration(at.at("confirm_expires"), b.ConfirmExpires, "2m", 10*time.Second, time.Hour, "10s to 1h")
	l.out.Bot.ApprovalExpires = l.duration(at.at("approval_expires"), b.ApprovalExpires, "30m", 10*time.Second, 24*time.Hour, "10s to 24h")
	l.out.Bot.Rate = 60
	if b.Rate != nil {
		if *b.Rate < 1 || *b.Rate > 100_000 {
			l.failf(at.at("rate"), fmt.Sprintf("it is %d", *b.Rate), "bot.rate takes 1 to 100000 commands a minute")
		}
		l.out.Bot.Rate = *b.Rate
	}
}

func (l *loader) duration(n *node, s, standard string, least, most time.Duration, bounds string) time.Duration {
	if s == "" {
		s = standard
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < least || d > most {
		l.failf(n, fmt.Sprintf("it is %q", s), "%s takes a time from %s, such as %q", n.path(), bounds, standard)
	}
	return d
}

func (l *loader) audit() {
	a, at := l.in.Audit, l.root.at("audit")
	if !l.root.has("audit", "channels") {
		l.failf(at, "", `[audit] needs channels = ["NETWORK:CHANNEL"]: every action is written back there`)
	}
	for i, c := range a.Channels {
		id, n := bot.ChannelID(c), at.at("channels").elem(i)
		if l.channel(n, "the audit channel", c) && id.Local() == "*" {
			l.failf(n, "name one", "the audit channel %q is not one channel", c)
		}
		if slices.Contains(l.out.Audit.Channels, id) && c != "" {
			l.failf(n, "leave one", "the audit channel %q is named twice", c)
		}
		l.out.Audit.Channels = append(l.out.Audit.Channels, id)
	}
	key, found := strings.CutPrefix(a.Key, "file:")
	switch {
	case !l.root.has("audit", "key"):
		l.failf(at, "", `[audit] needs key = "file:PATH": the key that signs checkpoints; it is made at the first start`)
	case a.Key == "":
	case !found || key == "":
		// What is there is not repeated: it may be the key itself.
		l.failf(at.at("key"), "", `audit.key takes "file:PATH"`)
	default:
		l.out.Audit.Key = l.path(key)
		l.out.Audit.Checkpoints = filepath.Join(filepath.Dir(l.out.Audit.Key), "checkpoints.txt")
	}
	if a.Checkpoints != "" {
		l.out.Audit.Checkpoints = l.path(a.Checkpoints)
	}
	for i, s := range a.Redact {
		re, err := regexp.Compile(s)
		if err != nil || re.MatchString("") {
			if s != "" {
				l.failf(at.at("redact").elem(i), "", "audit.redact holds %q, which is not a regular expression that matches something", s)
			}
			continue
		}
		l.out.Audit.Redact = append(l.out.Audit.Redact, re)
	}
	l.archive()
	l.files()
}

// holdsPassword reports whether the address of a database may hold a password,
// also one that is not written as it should be.
func holdsPassword(address string) bool {
	if i := strings.LastIndexByte(address, '@'); i >= 0 && strings.Contains(address[:i], ":") {
		return true
	}
	_, query, _ := strings.Cut(address, "?")
	for pair := range strings.SplitSeq(query, "&") {
		key, _, _ := strings.Cut(pair, "=")
		if plain, err := url.QueryUnescape(key); err != nil || strings.Contains(strings.ToLower(plain), "password") {
			return true
		}
	}
	return false
}

// files refuses two files at one path: the second would destroy the first.
func (l *loader) files() {
	b, a := l.root.at("bot"), l.root.at("audit")
	taken := map[string]string{}
	for _, f := range []struct {
		key  string
		path string
		at   *node
	}{
		{"bot.database", strings.TrimPrefix(strings.TrimPrefix(l.out.Bot.Database, "sqlite:"), "file:"), b.at("database")},
		{"bot.socket", l.out.Bot.Socket, b.at("socket")},
		{"bot.state", l.out.Bot.State, b.at("state")},
		{"bot.journal", l.out.Bot.Journal, b.at("journal")},
		{"audit.key", l.out.Audit.Key, a.at("key")},
		{"audit.checkpoints", l.out.Audit.Checkpoints, a.at("checkpoints")},
		{"audit.archive", l.out.Audit.Archive, a.at("archive")},
		{"auth.totp_key", l.out.Auth.TOTPKey, l.root.at("auth").at("totp_key")},
	} {
		if other, found := taken[f.path]; found && f.path != "" {
			l.failf(f.at, "give each a path of its own", "%s and %s are the same path", f.key, other)
		}
		taken[f.path] = f.key
	}
}

// configured reports whether there is a table for the chat network.
func (l *loader) configured(network string) bool { return l.root.has("chat", network) }

// channel refuses a channel of a network that is not configured: nothing could
// be posted there, and a rule about it would never hold or never bind. It
// reports whether it is one.
func (l *loader) channel(n *node, what, c string) bool {
	id := bot.ChannelID(c)
	switch {
	case c == "":
	case id.Network() == "" || id.Local() == "":
		l.failf(n, channelShape, "%s %q is not a channel", what, c)
	case !l.configured(id.Network()):
		l.failf(n, meant(id.Network(), l.networks(), thereAre), "%s %q is on the network %q, which has no [chat.%s]", what, c, id.Network(), id.Network())
	default:
		return true
	}
	return false
}

// networks are the chat networks that are configured and known.
func (l *loader) networks() []string {
	var all []string
	for _, name := range l.known.Chats {
		if l.configured(name) {
			all = append(all, name)
		}
	}
	return all
}

func (l *loader) chats() {
	at := l.root.at("chat")
	l.out.Chats = map[string]bot.Raw{}
	for _, name := range inOrder(l.in.Chat, at) {
		if !slices.Contains(l.known.Chats, name) {
			l.failf(at.at(name), meant(name, l.known.Chats, thereAre), "there is no chat network %q", name)
			continue
		}
		l.out.Chats[name] = l.raw(at.at(name), l.in.Chat[name], "")
	}
	if on, _ := l.in.Chat["terminal"]["impersonate"].(bool); on {
		for _, name := range inOrder(l.in.Chat, at) {
			if name != "terminal" && name != "file" {
				l.failf(at.at("terminal", "impersonate"), "take one of them away",
					"impersonate = true makes everybody at this machine anybody, so it is refused beside [chat.%s]", name)
			}
		}
	}
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

// name refuses a name that cannot be typed. written is false where the name is
// a key that may have been left out.
func (l *loader) name(n *node, what, name string, written bool) {
	switch {
	case !written:
		l.failf(n, "", "%s needs a name", what)
	case name != "" && !isName(name), name == "" && n.key == "":
		l.failf(n, fmt.Sprintf("it is %q", name), "the name of %s takes %s, at most 64", what, nameShape)
	}
}

func (l *loader) people() {
	if !l.root.has("person") {
		l.failf(nil, "add a [[person]] with a name and accounts", "nobody is declared")
	}
	for i, p := range l.in.Person {
		at := l.root.at("person").elem(i)
		l.name(at.at("name"), "a person", p.Name, at.has("name"))
		person := Person{Where: at.where(l.file), Name: p.Name, Roles: p.Roles, RolesAt: at.at("roles").where(l.file), Email: p.Email, GitHub: p.GitHub, Disabled: p.Disabled}
		for j, a := range p.Accounts {
			l.account(at.at("accounts").elem(j), p.Name, bot.AccountID(a))
			person.Accounts = append(person.Accounts, bot.AccountID(a))
		}
		l.out.People = append(l.out.People, person)
	}
	for i, r := range l.in.Role {
		at := l.root.at("role").elem(i)
		l.name(at.at("name"), "a role", r.Name, at.has("name"))
		l.out.Roles = append(l.out.Roles, Role{Where: at.where(l.file), Name: r.Name, Groups: r.Groups})
	}
}

// account refuses an account that no message could ever come from.
func (l *loader) account(n *node, owner string, id bot.AccountID) {
	network, local, found := strings.Cut(string(id), ":")
	switch {
	case id == "":
	case !found || network == "" || local == "":
		l.failf(n, accountShape, "%q of %s is not an account", id, owner)
	case network == "os":
		if strings.Trim(local, "0123456789") != "" {
			l.failf(n, `write "os:" and the number that this prints: id -u `+local, "%s has the account %q, but the operating system knows people by number", owner, id)
		}
	case network != "terminal" && !l.configured(network):
		l.failf(n, meant(network, append(l.networks(), "os", "terminal"), thereAre), "%s has the account %q, but there is no [chat.%s]", owner, id, network)
	}
}

func (l *loader) rules() {
	for i, g := range l.in.Grant {
		at := l.root.at("grant").elem(i)
		l.channels(at, g.Channels)
		l.out.Grants = append(l.out.Grants, Grant{Where: at.where(l.file), Roles: g.Roles, Persons: g.Persons,
			Permissions: g.Permissions, Targets: g.Targets, Flags: g.Flags, Channels: g.Channels, Hours: g.Hours})
	}
	for i, d := range l.in.Deny {
		at := l.root.at("deny").elem(i)
		l.channels(at, d.Channels)
		l.out.Denies = append(l.out.Denies, Deny{Where: at.where(l.file), Roles: d.Roles, Persons: d.Persons,
			Permissions: d.Permissions, Targets: d.Targets, Flags: d.Flags, Channels: d.Channels, Hours: d.Hours, Reason: d.Reason})
	}
	for i, r := range l.in.Require {
		at := l.root.at("require").elem(i)
		rule := Require{Where: at.where(l.file), Permissions: r.Permissions, Targets: r.Targets, Flags: r.Flags, Confirm: r.Confirm, Reason: r.Reason, Ticket: r.Ticket, StepUp: r.StepUp}
		l.stepUp(at, r.StepUp)
		if r.Approvals != nil {
			rule.Approvals = &bot.ApprovalRule{Count: r.Approvals.Count, From: r.Approvals.From}
		}
		l.out.Requires = append(l.out.Requires, rule)
	}
}

func (l *loader) channels(rule *node, ids []string) {
	for i, c := range ids {
		n, id := rule.at("channels").elem(i), bot.ChannelID(c)
		if !l.channel(n, "the channel", c) {
			continue
		}
		if no := l.known.NoRule[id.Network()]; no != nil {
			if why := no(id); why != "" {
				l.failf(n, "", "the channel %q %s", c, why)
			}
		}
	}
}

func (l *loader) targets() {
	at := l.root.at("environment")
	for _, name := range inOrder(l.in.Environment, at) {
		l.name(at.at(name), "an environment", name, true)
		l.out.Environments = append(l.out.Environments, name)
	}
	l.after(at)
	l.freezes()
	at = l.root.at("provider")
	for _, name := range inOrder(l.in.Provider, at) {
		l.provider(at.at(name), name, l.in.Provider[name])
	}
	at = l.root.at("service")
	for _, service := range inOrder(l.in.Service, at) {
		l.name(at.at(service), "a service", service, true)
		for _, env := range inOrder(l.in.Service[service], at.at(service)) {
			l.service(at.at(service, env), bot.Target{Service: service, Environment: env}, l.in.Service[service][env])
		}
	}
}

func (l *loader) freezes() {
	for i, f := range l.in.Freeze {
		n := l.root.at("freeze").elem(i)
		if len(f.Environments) == 0 {
			l.failf(n, "name them: environments = [\"prod\"]", "freeze %d is about no environments", i+1)
		}
		for j, name := range f.Environments {
			if !slices.Contains(l.out.Environments, name) {
				l.failf(n.at("environments").elem(j), meant(name, l.out.Environments, thereAre), "there is no environment %q", name)
			}
		}
		if f.Every == "" {
			l.failf(n, "say it: every = \"fri 16:00 - mon 08:00\"", "freeze %d does not say when", i+1)
		}
		l.out.Freezes = append(l.out.Freezes, Freeze{Where: n.where(l.file), Environments: f.Environments, Every: f.Every, Reason: f.Reason})
	}
}

// after reads in which order a version goes through the environments. A circle
// would let nothing through.
func (l *loader) after(at *node) {
	l.out.After = map[string]string{}
	for _, name := range l.out.Environments {
		before := l.in.Environment[name].After
		if before == "" {
			continue
		}
		n := at.at(name).at("after")
		if !slices.Contains(l.out.Environments, before) {
			l.failf(n, meant(before, l.out.Environments, thereAre), "there is no environment %q", before)
			continue
		}
		l.out.After[name] = before
		for next, steps := before, 0; next != "" && steps <= len(l.out.Environments); next, steps = l.out.After[next], steps+1 {
			if next == name {
				l.failf(n, "take one of them away", "%s comes after itself", name)
				delete(l.out.After, name)
				break
			}
		}
	}
}

func (l *loader) provider(n *node, name string, values map[string]any) {
	l.name(n, "a provider", name, true)
	var kind string
	if v, written := values["type"]; !written {
		l.failf(n, meant("", l.known.Providers, thereAre), "provider %q has no type", name)
	} else if s, ok := v.(string); !ok {
		l.failf(n.at("type"), "it is "+described(v), "%s takes a text in quotes", n.at("type").path())
	} else if kind = s; !slices.Contains(l.known.Providers, kind) {
		l.failf(n.at("type"), meant(kind, l.known.Providers, thereAre), "provider %q has the unknown type %q", name, kind)
	}
	l.out.Providers = append(l.out.Providers, Provider{Name: name, Type: kind, Raw: l.raw(n, values, "type")})
}

func (l *loader) service(n *node, t bot.Target, values map[string]any) {
	if !slices.Contains(l.out.Environments, t.Environment) {
		l.failf(n, meant(t.Environment, l.out.Environments, thereAre), "%s is in the environment %q, which has no [environment.%s]", t, t.Environment, t.Environment)
	}
	if len(values) == 0 {
		l.failf(n, "bind it with "+strings.Join(alone(l.known.Bindings), " or "), "%s is bound to nothing", t)
	}
	s := Service{Where: n.where(l.file), Target: t}
	for _, kind := range inOrder(values, n) {
		if kind == "guard" {
			s.Guard = l.guard(n.at(kind), t, values[kind], values)
			continue
		}
		if !slices.Contains(l.known.Bindings, kind) {
			l.unknown(kind, n, append([]string{"guard"}, l.known.Bindings...))
			continue
		}
		if table, ok := values[kind].(map[string]any); ok && kind == "deploy" && composed(table) {
			s.Deploy, s.Components = l.components(n.at(kind), t, table)
			continue
		}
		if kind == "alerts" {
			s.Alerts = l.alerts(n.at(kind), t, values[kind])
			continue
		}
		if kind == "scale" {
			s.Scale = l.scale(n.at(kind), t, values[kind])
			continue
		}
		if kind == "metrics" {
			s.Metrics = l.metrics(n.at(kind), t, values[kind])
			continue
		}
		if kind == "backup" {
			s.Backup = l.backup(n.at(kind), t, values[kind])
			continue
		}
		switch b := l.binding(n.at(kind), t, kind, values[kind]); kind {
		case "deploy":
			s.Deploy = b
		case "rollback":
			s.Rollback = b
		case "logs":
			s.Logs = b
		case "flags":
			s.Flags = b
		}
	}
	l.back(n, s, values)
	l.out.Services = append(l.out.Services, s)
}

// binding gives nil for a value that is no table.
func (l *loader) binding(n *node, t bot.Target, kind string, v any) *Binding {
	values, ok := v.(map[string]any)
	if !ok {
		l.failf(n, "it is "+described(v), `%s takes a table, such as { provider = "NAME" }`, n.path())
		return nil
	}
	providers := inOrder(l.in.Provider, l.root.at("provider"))
	var name string
	if v, written := values["provider"]; !written {
		l.failf(n, meant("", providers, thereAre), "%s of %s names no provider", kind, t)
	} else if s, ok := v.(string); !ok {
		l.failf(n.at("provider"), "it is "+described(v), "%s takes a text in quotes", n.at("provider").path())
	} else if name = s; !slices.Contains(providers, name) {
		l.failf(n.at("provider"), meant(name, providers, thereAre), "%s of %s names the provider %q, which has no [provider.%s]", kind, t, name, name)
	}
	return &Binding{Provider: name, Raw: l.raw(n, values, "provider")}
}
