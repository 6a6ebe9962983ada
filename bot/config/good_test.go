package config_test

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"quarterdeck/bot"
	"quarterdeck/bot/config"
)

var known = config.Known{Chats: []string{"terminal", "file", "slack", "discord"}, Providers: []string{"exec", "github", "aws", "backup", "prometheus", "flags"}, Bindings: []string{"deploy", "rollback", "scale", "backup", "metrics", "logs", "flags", "alerts"}, Verbs: []string{"deploy", "freeze add"},
	NoRule: map[string]func(bot.ChannelID) string{"terminal": func(c bot.ChannelID) string {
		if c.Local() == "*" {
			return ""
		}
		return "is no session's"
	}}}

// good is a configuration in which every key stands, each on a line of its own
// and no line twice, so that a test can put one fault into one of them.
const good = `[bot]
database = "sqlite:data/q.db"
socket = "data/q.sock"
state = "data/kept"
timezone = "Europe/Berlin"
confirm_expires = "2m"
approval_expires = "30m"
rate = 60
socket_group = "ops"
journal = "data/spare"
[audit]
channels = ["file:audit.txt"]
key = "file:data/audit.key"
checkpoints = "data/marks.txt"
redact = ["card=[0-9]+"]
retain = "400d"
archive = "data/archive"
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
roles = ["developer", "sre"]
persons = ["dev-one"]
permissions = ["deploy"]
targets = ["*/prod"]
channels = ["file:ops.txt"]
hours = ["mon-fri 08:00-18:00"]
[[deny]]
roles = ["contractor"]
persons = ["dev-two"]
permissions = ["rollback"]
targets = ["shop/*"]
channels = ["terminal:*"]
hours = ["sat"]
reason = "not on a Saturday"
[[require]]
permissions = ["restart"]
targets = ["shop/prod"]
confirm = true
reason = true
ticket = "OPS-[0-9]+"
[require.approvals]
count = 1
from = ["sre"]
[environment.prod]
[provider.scripts]
type = "exec"
dir = "."
[service.shop.prod]
deploy = { provider = "scripts", argv = ["./deploy"] }
[[freeze]]
environments = ["prod"]
every = "fri 16:00 - mon 08:00"
reason = "nobody is here"
[listen]
public = "127.0.0.1:8080"
internal = "127.0.0.1:8081"
flags = "127.0.0.1:8082"
[log]
format = "json"
level = "info"
[stop]
within = "20s"
[heartbeat]
url = "env:HEARTBEAT_URL"
every = "1m"
[observe]
every = "2m"
timeout = "9s"
` + goodStepUp + goodPanels + goodClock + goodFlags + goodPager + goodActions

// goodPager is a table whose keys are another's: what is in it is package page's to check.
const goodPager = `[pager]
escalation = "default"
`

const goodStepUp = `[[require]]
permissions = ["scale"]
step_up = true
[auth]
totp_key = "file:data/totp.key"
[audit.copy]
provider = 'scripts'
retain = "400d"
every = "15m"
`

const goodFlags = `[[grant]]
permissions = ["flag.read"]
flags = ["prod/*"]
[[deny]]
permissions = ["flag.set"]
flags = ["prod/risky"]
[[require]]
permissions = ["flag.create"]
flags = ["*/*"]
`

// load writes text as config.toml into a folder of its own and loads it.
func load(t testing.TB, text string) (*config.Config, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.toml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return config.Load(path, known)
}

// edited gives good with one piece of text replaced.
func edited(t testing.TB, from, to string) string {
	t.Helper()
	if n := strings.Count(good, from); n != 1 {
		t.Fatalf("%q stands %d times in the good configuration, want once", from, n)
	}
	return strings.Replace(good, from, to, 1)
}

// key is one key of the file: its path, its type and its line in good.
type key struct {
	path string
	name string
	typ  reflect.Type
	line int
}

// walk calls visit for every key of a struct of the file, in the order of its
// fields; those of tables inside come after the table itself.
func walk(t reflect.Type, prefix string, visit func(path string, typ reflect.Type)) {
	for i := range t.NumField() {
		f := t.Field(i)
		path := strings.TrimPrefix(prefix+"."+f.Tag.Get("toml"), ".")
		inner := f.Type
		for inner.Kind() == reflect.Pointer || inner.Kind() == reflect.Slice && inner.Elem().Kind() == reflect.Struct {
			inner = inner.Elem()
		}
		visit(path, f.Type)
		if inner.Kind() == reflect.Struct {
			walk(inner, path, visit)
		}
	}
}

// lines finds the line of every key in a text, by its path. What is in inline
// tables is not looked at.
func lines(text string) map[string]int {
	found := map[string]int{}
	table := ""
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[") {
			header, _, _ := strings.Cut(line, "#")
			table = strings.Trim(strings.TrimSpace(header), "[]")
			for path := table; path != ""; path, _, _ = cutLast(path) {
				if found[path] == 0 {
					found[path] = i + 1
				}
			}
		} else if name, _, isKey := strings.Cut(line, " = "); isKey && found[strings.TrimPrefix(table+"."+name, ".")] == 0 {
			found[strings.TrimPrefix(table+"."+name, ".")] = i + 1
		}
	}
	return found
}

func cutLast(path string) (before, after string, found bool) {
	i := strings.LastIndexByte(path, '.')
	if i < 0 {
		return "", path, false
	}
	return path[:i], path[i+1:], true
}

// values are the keys that hold a value of their own: all but tables.
func values(t testing.TB) []key {
	t.Helper()
	at := lines(good)
	var all []key
	walk(config.FileType, "", func(path string, typ reflect.Type) {
		switch path {
		case "include", "template":
			return // they make one text of several; include_test.go and template_test.go put the faults into them
		case "person.disabled":
			return // it takes a person of its own; see TestDisabled
		}
		if at[path] == 0 {
			t.Errorf("%s does not stand in the good configuration", path)
			return
		}
		for typ.Kind() == reflect.Pointer {
			typ = typ.Elem()
		}
		if typ.Kind() == reflect.Struct || typ.Kind() == reflect.Map || typ.Kind() == reflect.Slice && typ.Elem().Kind() == reflect.Struct {
			return
		}
		_, name, _ := cutLast(path)
		all = append(all, key{path, name, typ, at[path]})
	})
	if len(all) < 38 {
		t.Fatalf("only %d keys found", len(all))
	}
	return all
}

// onLine gives good with one line replaced; a line replaced by nothing stays
// as an empty one, so that the others keep their numbers.
func onLine(line int, edit func(string) string) string {
	all := strings.Split(good, "\n")
	all[line-1] = edit(all[line-1])
	return strings.Join(all, "\n")
}
