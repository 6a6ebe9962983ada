package config_test

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"quarterdeck/adapters"
	"quarterdeck/adapters/aws"
	"quarterdeck/adapters/backup"
	"quarterdeck/adapters/discord"
	execprovider "quarterdeck/adapters/exec"
	"quarterdeck/adapters/file"
	"quarterdeck/adapters/github"
	"quarterdeck/adapters/prometheus"
	"quarterdeck/adapters/terminal"
	"quarterdeck/bot/app"
	"quarterdeck/bot/config"
	"quarterdeck/bot/page"
	"quarterdeck/commands"
)

// commentedOut finds keys and tables that the example shows as comments.
var commentedOut = regexp.MustCompile(`(?m)^# ([a-z_]+ = .+|\[+[a-z_.]+\]+)$`)

// example gives the example as it is, and with what it shows as comments made
// part of it.
func example(t *testing.T) (plain, full string) {
	t.Helper()
	raw, err := os.ReadFile("../../config.example.toml")
	if err != nil {
		t.Fatal(err)
	}
	plain = string(raw)
	return plain, commentedOut.ReplaceAllString(plain, "$1")
}

// TestExampleIsInOrder checks the example as `quarterdeck check` does, with
// the policy and the adapters of the real program.
func TestExampleIsInOrder(t *testing.T) {
	plain, full := example(t)
	// The copy is needed because a checkout may be writable by a group.
	path := filepath.Join(t.TempDir(), "config.toml")
	if err := os.WriteFile(path, []byte(plain), 0o600); err != nil {
		t.Fatal(err)
	}
	tables := app.Tables{Chats: adapters.Chats(), Providers: adapters.Providers(), Stores: adapters.Stores(), Commands: commands.All}
	c, err := config.Load(path, tables.Known())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := app.New(c, tables, app.Options{}); err != nil {
		t.Fatal(err)
	}
	if len(c.People) < 2 || len(c.Services) < 2 || len(c.Grants) == 0 || len(c.Denies) == 0 || len(c.Requires) == 0 {
		t.Errorf("the example shows too little: %+v", c)
	}
	// What it shows as comments is written correctly too.
	if full == plain {
		t.Fatal("no key is found that the example shows as a comment")
	}
	dir := t.TempDir()
	write(t, dir, "conf.d/more.toml", "")
	write(t, dir, "config.toml", full)
	if _, err := config.Load(filepath.Join(dir, "config.toml"), known); err != nil {
		t.Errorf("with its comments: %v", err)
	}
}

// TestExampleShowsEveryKey of the file and of the adapters, each in its own
// table, and says what it is for: a comment stands on its line, or above.
func TestExampleShowsEveryKey(t *testing.T) {
	_, full := example(t)
	at := lines(full)
	text := strings.Split(full, "\n")
	shown := func(path string) {
		table, name, _ := cutLast(path)
		line := at[path]
		if line == 0 { // it may stand in an inline table
			if in := at[table]; in > 0 && regexp.MustCompile(`[{,] `+name+` = `).MatchString(text[in-1]) {
				line = in
			}
		}
		if line == 0 {
			t.Errorf("the example does not show %s", path)
			return
		}
		if !strings.Contains(text[line-1], "#") && !commentAbove(text, line-1) {
			t.Errorf("the example does not say what %s is for (line %d)", path, line)
		}
	}
	count := 0
	for _, s := range []struct {
		table string
		typ   reflect.Type
	}{
		{"", config.FileType},
		{"chat.terminal", reflect.TypeFor[terminal.Settings]()},
		{"chat.file", reflect.TypeFor[file.Settings]()},
		{"chat.discord", reflect.TypeFor[discordchat.Config]()},
		{"provider.scripts", reflect.TypeFor[execprovider.Settings]()},
		{"provider.gh", reflect.TypeFor[githubprovider.Settings]()},
		{"service.web.prod.deploy", reflect.TypeFor[githubprovider.DeployTable]()},
		{"provider.prod_aws", reflect.TypeFor[awsprovider.Settings]()},
		{"provider.prom", reflect.TypeFor[prometheusprovider.Settings]()},
		{"service.shop.prod.metrics", config.MetricsType},
		{"panels.web.errors", config.MetricType},
		{"service.billing.prod.deploy", reflect.TypeFor[awsprovider.DeployTable]()},
		{"service.billing.prod.scale", reflect.TypeFor[awsprovider.ScaleTable]()},
		{"service.shop.prod.deploy", reflect.TypeFor[execprovider.DeployTable]()},
		{"service.shop.prod.scale", reflect.TypeFor[execprovider.ScaleTable]()},
		{"service.shop.prod.scale", config.BoundsType},
		{"provider.backups", reflect.TypeFor[backupprovider.Settings]()},
		{"service.shop.prod.backup", reflect.TypeFor[backupprovider.BackupTable]()},
		{"service.cms.prod.backup.members.db", reflect.TypeFor[backupprovider.MemberTable]()},
		{"service.cms.prod.backup.across", reflect.TypeFor[backupprovider.AcrossTable]()},
		{"pager", reflect.TypeFor[page.Table]()},
		{"pager.schedule.primary", reflect.TypeFor[page.ScheduleTable]()},
		{"pager.policy.default", reflect.TypeFor[page.PolicyTable]()},
		{"service.shop.prod.guard", config.GuardType},
		{"action.run", reflect.TypeFor[execprovider.ActionTable]()},
	} {
		walk(s.typ, s.table, func(path string, _ reflect.Type) {
			if sets.MatchString(path) { // shown where there is a set
				return
			}
			count++
			shown(path)
		})
	}
	if count < 60 {
		t.Errorf("only %d keys found", count)
	}
}

// sets are keys of a backup table that one without members does not show.
var sets = regexp.MustCompile(`^service\.shop\.prod\.backup\.(members|across|source|queries\.)`)

// commentAbove reports whether a comment stands above the line in its block.
func commentAbove(text []string, line int) bool {
	for i := line - 1; i >= 0 && text[i] != ""; i-- {
		if strings.HasPrefix(text[i], "#") {
			return true
		}
	}
	return false
}
