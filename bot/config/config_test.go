package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"quarterdeck/bot"
	"quarterdeck/bot/config"
)

var known = config.Known{Chats: []string{"terminal", "file", "slack"}, Providers: []string{"exec"}, Bindings: []string{"deploy"}}

// good is a configuration in which every key stands, each on a line of its own,
// so that a test can put one fault into one of them.
const good = `[bot]
database = "sqlite:data/q.db"
socket = "data/q.sock"
state = "data/state"
timezone = "Europe/Berlin"
confirm_expires = "2m"
approval_expires = "30m"
rate = 60
[audit]
channels = ["file:audit.txt"]
key = "file:data/audit.key"
checkpoints = "data/checkpoints.txt"
redact = ["card=[0-9]+"]
[chat.terminal]
impersonate = false
[chat.file]
dir = "data"
[[person]]
name = "dev-one"
accounts = ["os:1000"]
roles = ["developer"]
email = "dev-one@example.com"
github = "dev-one"
[[role]]
name = "sre"
groups = ["slack-group:S1"]
[[grant]]
roles = ["developer"]
persons = ["dev-one"]
permissions = ["deploy"]
targets = ["*/*"]
channels = ["file:audit.txt"]
hours = ["mon-fri 08:00-18:00"]
[[deny]]
roles = ["developer"]
persons = ["dev-one"]
permissions = ["deploy"]
targets = ["*/*"]
channels = ["file:audit.txt"]
hours = ["sat"]
reason = "no"
[[require]]
permissions = ["deploy"]
targets = ["*/*"]
confirm = true
approvals = { count = 1, from = ["sre"] }
reason = true
ticket = "OPS-[0-9]+"
[environment.prod]
[provider.scripts]
type = "exec"
dir = "."
[service.shop.prod]
deploy = { provider = "scripts", argv = ["./deploy"] }
`

func load(t *testing.T, text string) (*config.Config, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.toml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return config.Load(path, known)
}

func TestGoodLoads(t *testing.T) {
	c, err := load(t, good)
	if err != nil {
		t.Fatal(err)
	}
	if c.People[0].Where != "config.toml:18" || c.Requires[0].Approvals.From[0] != "sre" || c.Services[0].Target.String() != "shop/prod" {
		t.Errorf("loaded %+v", c)
	}
	if !filepath.IsAbs(c.Bot.Socket) || !strings.HasSuffix(c.Bot.Database, "/data/q.db") || !filepath.IsAbs(strings.TrimPrefix(c.Bot.Database, "sqlite:")) {
		t.Errorf("paths are not taken from the file's folder: %q %q", c.Bot.Socket, c.Bot.Database)
	}
}

// fault puts one fault into good: the line that begins with from becomes to.
type fault struct {
	key  string // path of the key, as in the file's structure
	from string
	to   string
	want string // the whole sentence
}

// faults has a row for every key and kind of fault that this package can see
// by itself; patterns, permissions and hours are the policy's to check.
var faults = []fault{
	{"bot.database", `database =`, `database = 7`, `config.toml:2: bot.database takes a text in quotes`},
	{"bot.database", `database =`, ``, `config.toml:1: [bot] needs database = "sqlite:PATH"`},
	{"bot.database", `database =`, `database = "mysql:x"`, `config.toml:2: bot.database names the unknown store "mysql"; it takes "sqlite:PATH"`},
	{"bot.database", `database =`, `database = "here"`, `config.toml:2: bot.database takes "sqlite:PATH"; it is "here"`},
	{"bot.socket", `socket =`, `socket = true`, `config.toml:3: bot.socket takes a text in quotes`},
	{"bot.state", `state =`, `state = 1`, `config.toml:4: bot.state takes a text in quotes`},
	{"bot.timezone", `timezone =`, `timezone = "Berlin"`, `config.toml:5: bot.timezone takes a zone such as "Europe/Berlin"; there is none called "Berlin"`},
	{"bot.timezone", `timezone =`, `timezone = 1`, `config.toml:5: bot.timezone takes a text in quotes`},
	{"bot.confirm_expires", `confirm_expires =`, `confirm_expires = "soon"`, `config.toml:6: bot.confirm_expires takes a time from 10s to 1h0m0s, such as "2m0s"; it is "soon"`},
	{"bot.confirm_expires", `confirm_expires =`, `confirm_expires = "1s"`, `config.toml:6: bot.confirm_expires takes a time from 10s to 1h0m0s, such as "2m0s"; it is "1s"`},
	{"bot.approval_expires", `approval_expires =`, `approval_expires = "9999h"`, `config.toml:7: bot.approval_expires takes a time from 10s to 24h0m0s, such as "30m0s"; it is "9999h"`},
	{"bot.rate", `rate =`, `rate = "many"`, `config.toml:8: bot.rate takes a whole number`},
	{"bot.rate", `rate =`, `rate = 0`, `config.toml:8: bot.rate takes 1 to 100000 commands a minute; it is 0`},
	{"audit.channels", `channels = ["file:audit.txt"]`, ``, `config.toml:9: [audit] needs channels = ["NETWORK:CHANNEL"]: every action is written back there`},
	{"audit.channels", `channels = ["file:audit.txt"]`, `channels = ["audit"]`, `config.toml:10: "audit" is not a channel; write NETWORK:CHANNEL, such as "file:audit.txt"`},
	{"audit.channels", `channels = ["file:audit.txt"]`, `channels = ["slack:C1"]`, `config.toml:10: the audit channel "slack:C1" is on the network "slack", which has no [chat.slack]`},
	{"audit.channels", `channels = ["file:audit.txt"]`, `channels = "file:audit.txt"`, `config.toml:10: audit.channels takes a list, such as ["one", "two"]`},
	{"audit.key", `key =`, ``, `config.toml:9: [audit] needs key = "file:PATH": the key that signs checkpoints; it is made at the first start`},
	{"audit.key", `key =`, `key = "env:KEY"`, `config.toml:11: audit.key takes "file:PATH"`},
	{"audit.checkpoints", `checkpoints =`, `checkpoints = 1`, `config.toml:12: audit.checkpoints takes a text in quotes`},
	{"audit.redact", `redact =`, `redact = ["("]`, `config.toml:13: audit.redact holds "(", which is not a regular expression that matches something`},
	{"audit.redact", `redact =`, `redact = [".*"]`, `config.toml:13: audit.redact holds ".*", which is not a regular expression that matches something`},
	{"chat", `[chat.file]`, "[chat.slac]\n[chat.file]", `config.toml:16: there is no chat network "slac"; did you mean "slack"?`},
	{"chat", `impersonate =`, "impersonate = true\n[chat.slack]", `config.toml:15: impersonate = true makes everybody at this machine anybody, so it is refused beside [chat.slack]`},
	{"person.name", `name = "dev-one"`, `name = "dev one"`, `config.toml:19: a person needs a name of letters, digits, dots and dashes; it is "dev one"`},
	{"person.name", `name = "dev-one"`, ``, `config.toml:18: a person needs a name of letters, digits, dots and dashes; it is ""`},
	{"person.accounts", `accounts =`, `accounts = ["discord:42"]`, `config.toml:20: dev-one has the account "discord:42", but there is no [chat.discord]; accounts are written NETWORK:ID, such as "os:1000"`},
	{"person.roles", `roles = ["developer"]`, `roles = "developer"`, `config.toml:21: person.roles takes a list, such as ["one", "two"]`},
	{"person.email", `email =`, `email = 1`, `config.toml:22: person.email takes a text in quotes`},
	{"person.github", `github =`, `github = 1`, `config.toml:23: person.github takes a text in quotes`},
	{"role.name", `name = "sre"`, `name = ""`, `config.toml:25: a role needs a name of letters, digits, dots and dashes; it is ""`},
	{"role.groups", `groups =`, `groups = 1`, `config.toml:26: role.groups takes a list, such as ["one", "two"]`},
	{"grant.roles", "[[grant]]\nroles =", "[[grant]]\nroles = 1", `config.toml:28: grant.roles takes a list, such as ["one", "two"]`},
	{"grant.persons", "roles = [\"developer\"]\npersons =", "roles = [\"developer\"]\npersons = 1", `config.toml:29: grant.persons takes a list, such as ["one", "two"]`},
	{"grant.permissions", `permissions = ["deploy"]`, `permission = ["deploy"]`, `config.toml:30: unknown key "permission" in grant; did you mean "permissions"?`},
	{"grant.targets", `targets = ["*/*"]`, `targets = "*/*"`, `config.toml:31: grant.targets takes a list, such as ["one", "two"]`},
	{"grant.channels", "targets = [\"*/*\"]\nchannels =", "targets = [\"*/*\"]\nchannels = [\"slack:C1\"]", `config.toml:32: the channel "slack:C1" is on a network that is not configured; write NETWORK:CHANNEL`},
	{"grant.hours", `hours = ["mon-fri`, `hours = 8`, `config.toml:33: grant.hours takes a list, such as ["one", "two"]`},
	{"deny.roles", "[[deny]]\nroles =", "[[deny]]\nroles = 1", `config.toml:35: deny.roles takes a list, such as ["one", "two"]`},
	{"deny.persons", "[[deny]]\nroles = [\"developer\"]\npersons =", "[[deny]]\nroles = [\"developer\"]\npersons = 1", `config.toml:36: deny.persons takes a list, such as ["one", "two"]`},
	{"deny.permissions", "persons = [\"dev-one\"]\npermissions = [\"deploy\"]\ntargets = [\"*/*\"]\nchannels = [\"file:audit.txt\"]\nhours = [\"sat\"]", "permisions = []\nhours = [\"sat\"]", `config.toml:36: unknown key "permisions" in deny; did you mean "permissions"?`},
	{"deny.targets", "targets = [\"*/*\"]\nchannels = [\"file:audit.txt\"]\nhours = [\"sat\"]", "targets = 1\nhours = [\"sat\"]", `config.toml:38: deny.targets takes a list, such as ["one", "two"]`},
	{"deny.channels", "channels = [\"file:audit.txt\"]\nhours = [\"sat\"]", "channels = [\"ops\"]\nhours = [\"sat\"]", `config.toml:39: the channel "ops" is on a network that is not configured; write NETWORK:CHANNEL`},
	{"deny.hours", `hours = ["sat"]`, `hours = "sat"`, `config.toml:40: deny.hours takes a list, such as ["one", "two"]`},
	{"deny.reason", `reason = "no"`, `reason = true`, `config.toml:41: deny.reason takes a text in quotes`},
	{"require.permissions", "[[require]]\npermissions =", "[[require]]\npermissions = 1", `config.toml:43: require.permissions takes a list, such as ["one", "two"]`},
	{"require.targets", "targets = [\"*/*\"]\nconfirm", "targets = 1\nconfirm", `config.toml:44: require.targets takes a list, such as ["one", "two"]`},
	{"require.confirm", `confirm = true`, `confirm = "yes"`, `config.toml:45: require.confirm takes true or false`},
	{"require.approvals", `approvals =`, `approvals = 1`, `config.toml:46: require.approvals takes a table of count, from, each of its own kind`},
	{"require.approvals.count", `approvals =`, `approvals = { count = "one" }`, `config.toml:46: require.approvals takes a table of count, from, each of its own kind`},
	{"require.approvals.from", `approvals =`, `approvals = { count = 1, form = ["sre"] }`, `config.toml:46: unknown key "form" in require; did you mean "from"?`},
	{"require.reason", `reason = true`, `reason = "why"`, `config.toml:47: require.reason takes true or false`},
	{"require.ticket", `ticket =`, `ticket = 1`, `config.toml:48: require.ticket takes a text in quotes`},
	{"environment", `[environment.prod]`, "[environment.prod]\nafter = \"staging\"", `config.toml:50: unknown key "after" in environment.prod`},
	{"environment", `[environment.prod]`, `[environment.prd]`, `config.toml:53: shop/prod is in the environment "prod", which has no [environment.prod]; did you mean "prd"?`},
	{"provider", `type =`, `type = "exex"`, `config.toml:51: provider "scripts" has the unknown type "exex"; did you mean "exec"?`},
	{"service", `deploy =`, `deploi = { provider = "scripts" }`, `config.toml:54: unknown key "deploi" in [service.shop.prod]; did you mean "deploy"?`},
	{"service", `deploy =`, `deploy = { provider = "script" }`, `config.toml:54: deploy of shop/prod names the provider "script", which has no [provider.script]; did you mean "scripts"?`},
	{"bot", `[bot]`, "[bto]\n[bot]", `config.toml:1: unknown key "bto"; did you mean "bot"?`},
	{"bot", `[bot]`, `[bot`, ``},
}

// put replaces the line, or lines, that begin with f.from by f.to.
func (f fault) put(t *testing.T) string {
	t.Helper()
	i := strings.Index(good, "\n"+f.from)
	if strings.HasPrefix(good, f.from) {
		i = -1
	} else if i < 0 {
		t.Fatalf("%q is nowhere in the good configuration", f.from)
	}
	rest := good[i+1+len(f.from):]
	if j := strings.IndexByte(rest, '\n'); j >= 0 {
		rest = rest[j:]
	}
	if strings.Contains(f.from, "\n") || strings.HasSuffix(f.from, "confirm") {
		return good[:i+1] + f.to + rest
	}
	return good[:i+1] + f.to + rest
}

func TestFaults(t *testing.T) {
	for _, f := range faults {
		name := f.key + " " + f.to
		t.Run(name, func(t *testing.T) {
			_, err := load(t, f.put(t))
			if bot.KindOf(err) != bot.Invalid {
				t.Fatalf("error is %v, want kind invalid", err)
			}
			var e *bot.Error
			errors.As(err, &e)
			if f.want != "" && !strings.Contains("\n"+e.Say+"\n", "\n"+f.want+"\n") {
				t.Errorf("says\n%s\nwant\n%s", e.Say, f.want)
			}
			for _, leak := range []string{"struct", "[]string", "map[", "go-toml"} {
				if strings.Contains(e.Say, leak) {
					t.Errorf("%q shows %q, which is no word for people", e.Say, leak)
				}
			}
		})
	}
}

// keys lists every key of the file's structure.
func keys(t reflect.Type, prefix string, add func(string)) {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct {
		return
	}
	for i := range t.NumField() {
		f := t.Field(i)
		name := strings.Trim(prefix+"."+f.Tag.Get("toml"), ".")
		inner := f.Type
		for inner.Kind() == reflect.Pointer || inner.Kind() == reflect.Slice {
			inner = inner.Elem()
		}
		if inner.Kind() == reflect.Struct && name != "" {
			keys(inner, name, add)
			continue
		}
		add(name)
	}
}

// TestEveryKeyHasAFault fails when a key is added without a row above.
func TestEveryKeyHasAFault(t *testing.T) {
	tried := map[string]bool{}
	for _, f := range faults {
		tried[f.key] = true
	}
	n := 0
	keys(config.FileType, "", func(key string) {
		n++
		if !tried[key] {
			t.Errorf("no row puts a fault into %s", key)
		}
	})
	if n < 40 {
		t.Errorf("only %d keys found", n)
	}
}

// TestEveryKeyIsInTheExample holds config.example.toml against the structure.
func TestEveryKeyIsInTheExample(t *testing.T) {
	const path = "../../config.example.toml"
	c, err := config.Load(path, known)
	if err != nil {
		t.Fatal(err)
	}
	if len(c.People) < 2 || len(c.Services) < 2 {
		t.Errorf("the example loads to %+v", c)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	keys(config.FileType, "", func(key string) {
		last := key[strings.LastIndexByte(key, '.')+1:]
		if !strings.Contains(string(raw), last+" = ") && !strings.Contains(string(raw), "["+last+".") {
			t.Errorf("config.example.toml does not show %s", key)
		}
	})
}

func TestAllFaultsAtOnce(t *testing.T) {
	text := strings.NewReplacer(`"Europe/Berlin"`, `"Nowhere"`, `type = "exec"`, `type = "nope"`, `"os:1000"`, `"irc:x"`).Replace(good)
	_, err := load(t, text)
	var e *bot.Error
	if !errors.As(err, &e) || strings.Count(e.Say, "\n") != 2 {
		t.Errorf("want three lines, have %v", err)
	}
}

func TestWritableByOthersIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.toml")
	if err := os.WriteFile(path, []byte(good), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := config.Load(path, known); err == nil || !strings.Contains(err.Error(), "chmod go-w") {
		t.Errorf("error is %v", err)
	}
}

func TestRawSaysWhere(t *testing.T) {
	c, err := load(t, good)
	if err != nil {
		t.Fatal(err)
	}
	var dst struct {
		Args []string `toml:"args"`
	}
	err = c.Services[0].Deploy.Raw.Decode(&dst)
	want := `config.toml:54: unknown key "argv" in service.shop.prod.deploy; did you mean "args"?`
	if err == nil || err.Error() != want {
		t.Errorf("says %v, want %s", err, want)
	}
}

func FuzzLoad(f *testing.F) {
	f.Add(good)
	f.Add("[[person]]\nname = 1")
	f.Add("a.b.c = { d = [[]] }")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := load(t, text)
		if (c == nil) == (err == nil) {
			t.Fatal("neither a configuration nor an error, or both")
		}
	})
}
