package config_test

import (
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/config"
)

func TestGoodLoads(t *testing.T) {
	c, err := load(t, good)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Dir(c.Path)
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	wantBot := config.Bot{Database: "sqlite:" + dir + "/data/q.db", Socket: dir + "/data/q.sock", State: dir + "/data/kept", Journal: dir + "/data/spare", Location: berlin,
		ConfirmExpires: 2 * time.Minute, ApprovalExpires: 30 * time.Minute, Rate: 60, SocketGroup: "ops"}
	if !reflect.DeepEqual(c.Bot, wantBot) {
		t.Errorf("[bot] is\n%+v, want\n%+v", c.Bot, wantBot)
	}
	a := c.Audit
	if !reflect.DeepEqual(a.Channels, []bot.ChannelID{"file:audit.txt"}) || a.Key != dir+"/data/audit.key" || a.Checkpoints != dir+"/data/marks.txt" ||
		a.Retain != 400*24*time.Hour || a.Archive != dir+"/data/archive" || len(a.Redact) != 1 || a.Redact[0].String() != "card=[0-9]+" {
		t.Errorf("[audit] is %+v", a)
	}
	for _, want := range []struct{ got, want any }{
		{c.People, []config.Person{{Where: "config.toml:22", Name: "dev-one", Accounts: []bot.AccountID{"os:1000"}, Roles: []string{"developer"}, RolesAt: "config.toml:25",
			Email: "dev-one@example.com", GitHub: "dev-one"}}},
		{c.Roles, []config.Role{{Where: "config.toml:28", Name: "sre", Groups: []string{"slack-group:S1"}}}},
		{c.Grants, []config.Grant{{Where: "config.toml:31", Roles: []string{"developer", "sre"}, Persons: []string{"dev-one"}, Permissions: []string{"deploy"},
			Targets: []string{"*/prod"}, Channels: []string{"file:ops.txt"}, Hours: []string{"mon-fri 08:00-18:00"}},
			{Where: "config.toml:120", Permissions: []string{"flag.read"}, Flags: []string{"prod/*"}}}},
		{c.Denies, []config.Deny{{Where: "config.toml:38", Roles: []string{"contractor"}, Persons: []string{"dev-two"}, Permissions: []string{"rollback"},
			Targets: []string{"shop/*"}, Channels: []string{"terminal:*"}, Hours: []string{"sat"}, Reason: "not on a Saturday"},
			{Where: "config.toml:123", Permissions: []string{"flag.set"}, Flags: []string{"prod/risky"}}}},
		{c.Requires, []config.Require{{Where: "config.toml:46", Permissions: []string{"restart"}, Targets: []string{"shop/prod"}, Confirm: true, Reason: true,
			Ticket: "OPS-[0-9]+", Approvals: &bot.ApprovalRule{Count: 1, From: []string{"sre"}}},
			{Where: "config.toml:80", Permissions: []string{"scale"}, StepUp: true},
			{Where: "config.toml:126", Permissions: []string{"flag.create"}, Flags: []string{"*/*"}}}},
		{c.Environments, []string{"prod"}},
	} {
		if !reflect.DeepEqual(want.got, want.want) {
			t.Errorf("loaded\n%+v, want\n%+v", want.got, want.want)
		}
	}
	if len(c.Chats) != 2 || c.Chats["terminal"].Where() != "config.toml:18" || c.Chats["file"].Where() != "config.toml:20" {
		t.Errorf("chats are %v", c.Chats)
	}
	if len(c.Providers) != 1 || c.Providers[0].Name != "scripts" || c.Providers[0].Type != "exec" || c.Providers[0].Raw.Where() != "config.toml:56" {
		t.Errorf("providers are %+v", c.Providers)
	}
	if len(c.Services) != 1 || c.Services[0].Where != "config.toml:59" || c.Services[0].Target.String() != "shop/prod" ||
		c.Services[0].Deploy.Provider != "scripts" || c.Services[0].Deploy.Raw.Where() != "config.toml:60" || c.Services[0].Deploy.Raw.Dir() != dir {
		t.Errorf("services are %+v", c.Services)
	}
}

const small = `[bot]
database = "sqlite:/srv/q/q.db"
[audit]
channels = ["file:audit.txt"]
key = "file:keys/audit.key"
[chat.file]
[[person]]
name = "dev-one"
accounts = ["os:1000"]
`

func TestDefaults(t *testing.T) {
	c, err := load(t, small)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Dir(c.Path)
	want := config.Bot{Database: "sqlite:/srv/q/q.db", Socket: dir + "/quarterdeck.sock", State: "/srv/q/state", Journal: "/srv/q/q.emergency", Location: time.UTC,
		ConfirmExpires: 2 * time.Minute, ApprovalExpires: 30 * time.Minute, Rate: 60}
	if !reflect.DeepEqual(c.Bot, want) {
		t.Errorf("[bot] is\n%+v, want\n%+v", c.Bot, want)
	}
	if c.Audit.Checkpoints != dir+"/keys/checkpoints.txt" {
		t.Errorf("checkpoints are at %s, want them beside the key", c.Audit.Checkpoints)
	}
}

// TestServer: a database on a server is named as it is, however its scheme is
// written, and what providers keep lies beside the configuration.
func TestServer(t *testing.T) {
	for _, scheme := range []string{"postgres", "postgresql"} {
		c, err := load(t, strings.Replace(small, "sqlite:/srv/q/q.db", scheme+"://bot@[::1]:5433/ops?sslmode=verify-full", 1))
		if err != nil {
			t.Fatal(err)
		}
		if want := "postgres://bot@[::1]:5433/ops?sslmode=verify-full"; c.Bot.Database != want || c.Bot.State != filepath.Dir(c.Path)+"/state" {
			t.Errorf("%s: database %s, state %s", scheme, c.Bot.Database, c.Bot.State)
		}
	}
}

// TestServerByReference: where the address is kept is what is configured, so
// that what check reads needs no secret.
func TestServerByReference(t *testing.T) {
	for _, c := range []struct{ written, database string }{
		{"env:QUARTERDECK_DATABASE", "env:QUARTERDECK_DATABASE"}, {"file:/run/secrets/db", "file:/run/secrets/db"}, {"file:db.url", "file:DIR/db.url"},
	} {
		got, err := load(t, strings.Replace(small, "sqlite:/srv/q/q.db", c.written, 1))
		if err != nil {
			t.Fatal(err)
		}
		dir := filepath.Dir(got.Path)
		if want := strings.Replace(c.database, "DIR", dir, 1); got.Bot.Database != want || got.Bot.State != dir+"/state" {
			t.Errorf("%s: database %s, state %s", c.written, got.Bot.Database, got.Bot.State)
		}
	}
}

// TestPathsAreTheFiles: a relative path means the same wherever it is asked
// from.
func TestPathsAreTheFiles(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "q.toml"), []byte(good), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Chdir(filepath.Dir(dir))
	c, err := config.Load(filepath.Join(filepath.Base(dir), "q.toml"), known)
	if err != nil {
		t.Fatal(err)
	}
	if resolved, _ := filepath.EvalSymlinks(dir); c.Bot.Socket != dir+"/data/q.sock" && c.Bot.Socket != resolved+"/data/q.sock" {
		t.Errorf("the socket is at %s, want it below %s", c.Bot.Socket, dir)
	}
	if c.Requires[0].Where != "q.toml:46" {
		t.Errorf("a rule is at %s, want the file's own name", c.Requires[0].Where)
	}
}

// TestEnvironmentsKeepTheirOrder, however they are written.
func TestEnvironmentsKeepTheirOrder(t *testing.T) {
	for _, text := range []string{
		"[environment.zeta]\n[environment.alpha]\n[environment.mid]\n",
		"[environment]\nzeta = {}\nalpha = {}\nmid = {}\n",
		"[environment]\nzeta = {}\n[environment.alpha]\n[environment.mid]\n",
		"[environment]\n[environment.zeta]\n[environment.\"alpha\"]\n[environment.'mid']\n",
	} {
		c, err := load(t, small+text)
		if err != nil {
			t.Fatal(err)
		}
		if want := []string{"zeta", "alpha", "mid"}; !reflect.DeepEqual(c.Environments, want) {
			t.Errorf("%s gives %v, want %v", text, c.Environments, want)
		}
	}
}

// TestOtherWaysOfWriting: what TOML allows to be written otherwise means the
// same, and is found where it stands.
func TestOtherWaysOfWriting(t *testing.T) {
	text := strings.Replace(small, "[[person]]\nname = \"dev-one\"\naccounts = [\"os:1000\"]\n", "", 1)
	for _, r := range []struct{ name, before, after, where string }{
		{"inline", "person = [{ name = \"dev-one\", accounts = [\"os:1000\"] }]\n", "", "config.toml:1"},
		{"quoted", "", "[[\"person\"]]\n\"name\" = 'dev-one'\naccounts = [\"\"\"os:1000\"\"\"]\n", "config.toml:7"},
		{"carriage returns", "", "\r\n\r\n[[person]]\r\nname = \"dev-one\"\r\naccounts = [\"os:1000\"]\r\n", "config.toml:9"},
		{"the second", "", "[[person]]\nname = \"dev-one\"\naccounts = [\"os:1000\"]\n[[person]]\nname = \"dev-two\"\naccounts = [\"os:1001\"]\n", "config.toml:7"},
	} {
		t.Run(r.name, func(t *testing.T) {
			c, err := load(t, r.before+text+r.after)
			if err != nil {
				t.Fatal(err)
			}
			if p := c.People[0]; p.Name != "dev-one" || p.Accounts[0] != "os:1000" || p.Where != r.where {
				t.Errorf("the person is %+v, want one at %s", p, r.where)
			}
			if n := len(c.People); n == 2 && c.People[1].Where != "config.toml:10" {
				t.Errorf("the second person is at %s", c.People[1].Where)
			}
		})
	}
}

func TestUnusableFiles(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	cases := []struct{ name, path, want string }{
		{"missing", filepath.Join(dir, "none.toml"), "there is no configuration at " + dir + "/none.toml; make one with: quarterdeck init"},
		{"a folder", dir, dir + " is a folder; name the configuration file in it"},
		{"a device", os.DevNull, os.DevNull + " is no regular file"},
		{"too large", write("large.toml", strings.Repeat("#", 4<<20+1), 0o600), dir + "/large.toml is larger than 4 MiB"},
		{"binary", write("binary.toml", "\xff\xfe", 0o600), dir + "/binary.toml is not UTF-8 text"},
	}
	if runtime.GOOS != "windows" {
		for _, mode := range []os.FileMode{0o620, 0o602, 0o666, 0o664} {
			cases = append(cases, struct{ name, path, want string }{mode.String(), write(mode.String(), good, mode),
				mode.String() + " can be changed by others than its owner; run: chmod go-w " + filepath.Join(dir, mode.String())})
		}
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, err := config.Load(c.path, known)
			if bot.KindOf(err) != bot.Invalid || err.Error() != c.want {
				t.Errorf("says %v, want %s", err, c.want)
			}
		})
	}
	if _, err := config.Load(write("readable.toml", good, 0o644), known); err != nil {
		t.Errorf("a file that others may read is refused: %v", err)
	}
}

// FuzzLoad: whatever is in the file, there is a configuration or an error of
// kind Invalid whose faults all say where they are.
func FuzzLoad(f *testing.F) {
	f.Add(good)
	f.Add(small)
	f.Add("[[person]]\nname = 1")
	f.Add("a.b.c = { d = [[]] }\n[x]\n[[x.y]]\n[x.y.z]\n[[x.y]]")
	f.Add("person = [[{ name = [] }], 1, {}]\nchat.terminal = 3\nservice = { shop = { prod = [] } }")
	f.Add("\"\".\"\" = { \"\" = nan }\n[\"bot\".'rate']\n")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := load(t, text)
		if (c == nil) == (err == nil) {
			t.Fatal("neither a configuration nor an error, or both")
		}
		if err == nil {
			for _, p := range c.Providers {
				if !strings.HasPrefix(p.Raw.Where(), "config.toml:") {
					t.Errorf("provider %s is at %s", p.Name, p.Raw.Where())
				}
			}
			return
		}
		if bot.KindOf(err) != bot.Invalid {
			t.Fatalf("error is %v, want kind invalid", err)
		}
		last := 0
		if all, ok := err.(config.Errors); ok {
			for _, fault := range all {
				if fault.File != "config.toml" || fault.What == "" || fault.Line < 0 || fault.Line > strings.Count(text, "\n")+1 || (fault.Line == 0) != (fault.Column == 0) {
					t.Errorf("a fault is %+v", fault)
				}
				if fault.Line > 0 && fault.Line < last {
					t.Errorf("faults are not in the order of the file: %v", err)
				}
				last = fault.Line
			}
		}
	})
}
