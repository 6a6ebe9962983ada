package page_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"quarterdeck/adapters"
	"quarterdeck/bot/app"
	"quarterdeck/bot/config"
	"quarterdeck/commands"
)

const whole = `[bot]
database = "sqlite:data/q.db"
[audit]
channels = ["file:audit.txt"]
key = "file:data/audit.key"
[chat.file]
[[person]]
name = "ann"
accounts = ["os:1000"]
roles = ["sre"]
[[person]]
name = "gone"
accounts = ["os:1001"]
disabled = true
[[role]]
name = "oncall"
groups = ["schedule:primary"]
[[grant]]
roles = ["sre", "oncall"]
permissions = ["page.*", "oncall"]
targets = ["*/*"]
[environment.prod]
[provider.p]
type = "exec"
[service.shop.prod]
deploy = { provider = "p", argv = ["./d"], current = ["./c"], releases = ["./r"] }
[service.shop.prod.alerts]
match = { service = "shop" }
[listen]
internal = "127.0.0.1:0"
[pager]
channel = "file:pages.txt"
escalation = "default"
notify_delay = "30s"
[pager.alertmanager]
bearer = "env:TOKEN"
watchdog = "Watchdog"
[pager.schedule.primary]
timezone = "Europe/Berlin"
[[pager.schedule.primary.rotation]]
persons = ["ann"]
start = "2026-11-02 09:00"
turn = "1w"
hours = ["00:00-24:00"]
[pager.policy.default]
repeat = 1
[[pager.policy.default.level]]
schedule = "primary"
wait = "5m"
ways = ["mail"]
[pager.way.mail]
type = "smtp"
server = "127.0.0.1:25"
from = "ops@example.com"
`

// check loads a configuration as the program does and gives its faults and
// warnings.
func check(t *testing.T, text string) (faults string, warnings []string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.toml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	tables := app.Tables{Chats: adapters.Chats(), Providers: adapters.Providers(), Stores: adapters.Stores(), Commands: commands.All}
	c, err := config.Load(path, tables.Known())
	if err != nil {
		return err.Error(), nil
	}
	a, err := app.New(c, tables, app.Options{})
	if err != nil {
		return err.Error(), nil
	}
	return "", a.Warnings()
}

// TestFaults: what is wrong with a pager is said at load, with its place and what to
// do, before anybody relies on it.
func TestFaults(t *testing.T) {
	t.Parallel()
	if faults, warnings := check(t, whole); faults != "" || strings.Contains(strings.Join(warnings, ""), "on call") {
		t.Fatalf("%s %q", faults, warnings)
	}
	for _, c := range []struct{ from, to, at, want string }{
		{`channel = "file:pages.txt"`, ``, `[pager]`, `[pager] needs channel = "NETWORK:CHANNEL"`},
		{`channel = "file:pages.txt"`, `channel = "pages"`, `channel = "pages"`, `"pages" is not a channel`},
		{`channel = "file:pages.txt"`, `channel = "slack:C1"`, `channel = "slack:C1"`, `which has no [chat.slack]`},
		{`escalation = "default"`, `escalation = "defautl"`, `escalation = "defautl"`, `did you mean "default"?`},
		{`escalation = "default"`, ``, `[pager]`, `[pager] needs escalation`},
		{`notify_delay = "30s"`, `notify_delay = "2h"`, `notify_delay`, `notify_delay takes a time from 0s to 1h`},
		{`notify_delay = "30s"`, `notify_dealy = "30s"`, `notify_dealy`, `did you mean "notify_delay"?`},
		{`internal = "127.0.0.1:0"`, `internal = "0.0.0.0:9"`, ``, ``},
		{`bearer = "env:TOKEN"`, `bearer = "hunter2"`, `bearer`, `a secret is written "env:NAME" or "file:PATH"`},
		{`bearer = "env:TOKEN"`, "user = \"am\"", `[pager.alertmanager]`, `user and password stand together`},
		{`timezone = "Europe/Berlin"`, `timezone = "Berlin"`, `timezone = "Berlin"`, `there is none called "Berlin"`},
		{"[[pager.schedule.primary.rotation]]\npersons = [\"ann\"]\nstart = \"2026-11-02 09:00\"\nturn = \"1w\"\nhours = [\"00:00-24:00\"]\n", "", `[pager.schedule.primary]`, `schedule "primary" has no rotation`},
		{`persons = ["ann"]`, ``, `[pager.schedule.primary]`, `rotation 1 of schedule "primary" is empty`},
		{`persons = ["ann"]`, `persons = ["anna"]`, `[[pager.schedule.primary.rotation]]`, `did you mean "ann"?`},
		{`persons = ["ann"]`, `persons = ["gone"]`, `[[pager.schedule.primary.rotation]]`, `gone is disabled`},
		{`start = "2026-11-02 09:00"`, `start = "monday"`, `[[pager.schedule.primary.rotation]]`, `needs its first handover`},
		{`turn = "1w"`, `turn = "1y"`, `[[pager.schedule.primary.rotation]]`, `no length of a turn`},
		{`hours = ["00:00-24:00"]`, `hours = ["mno"]`, `[[pager.schedule.primary.rotation]]`, `did you mean "mon"?`},
		{`repeat = 1`, `repeat = 99`, `repeat`, `repeat takes 0 to 20`},
		{"schedule = \"primary\"\n", "", `[[pager.policy.default.level]]`, `tells nobody`},
		{`schedule = "primary"`, `schedule = "primray"`, `[[pager.policy.default.level]]`, `did you mean "primary"?`},
		{`wait = "5m"`, `wait = "0s"`, `[[pager.policy.default.level]]`, `takes a time from 1s`},
		{`ways = ["mail"]`, `ways = ["male"]`, `[[pager.policy.default.level]]`, `no [pager.way.male]; there are mail`},
		{`type = "smtp"`, `type = "smpt"`, `[pager.way.mail]`, `there are "smtp", "webhook" and "exec"`},
		{`server = "127.0.0.1:25"`, `server = "mail"`, `[pager.way.mail]`, `needs server = "HOST:PORT"`},
		{`match = { service = "shop" }`, `match = {}`, `[service.shop.prod.alerts]`, `does not say which alerts`},
		{`match = { service = "shop" }`, "match = { service = \"shop\" }\nescalation = \"defualt\"", `[service.shop.prod.alerts]`, `did you mean "default"?`},
		{`groups = ["schedule:primary"]`, `groups = ["schedule:primray"]`, `[[role]]`, `primray`},
	} {
		if strings.Count(whole, c.from) != 1 {
			t.Fatalf("%q stands %d times", c.from, strings.Count(whole, c.from))
		}
		text := strings.Replace(whole, c.from, c.to, 1)
		faults, _ := check(t, text)
		if c.want == "" { // with a token, others may send
			if faults != "" {
				t.Errorf("%s: %s", c.to, faults)
			}
			continue
		}
		line := 0
		for i, l := range strings.Split(text, "\n") {
			if line == 0 && strings.HasPrefix(l, c.at) {
				line = i + 1
			}
		}
		if !strings.Contains(faults, c.want) || !strings.Contains(faults, fmt.Sprintf("config.toml:%d: ", line)) {
			t.Errorf("%s: says\n%s\nwant line %d and %q", c.to, faults, line, c.want)
		}
	}
	exposed := strings.Replace(strings.Replace(whole, `internal = "127.0.0.1:0"`, `internal = "0.0.0.0:9"`, 1), `bearer = "env:TOKEN"`, "", 1)
	if faults, _ := check(t, exposed); !strings.Contains(faults, "nothing says who may send alerts") {
		t.Errorf("anybody may send alerts: %s", faults)
	}
	gap := strings.Replace(whole, `hours = ["00:00-24:00"]`, `hours = ["mon-fri 08:00-24:00", "mon-fri 00:00-08:00"]`, 1)
	if faults, warnings := check(t, gap); faults != "" || !strings.Contains(strings.Join(warnings, "\n"), `nobody is on call by schedule "primary" on sat 00:00 - mon 00:00 (Europe/Berlin)`) {
		t.Errorf("of the weekend it says %s %q", faults, warnings)
	}
}
