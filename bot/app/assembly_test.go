package app_test

import (
	"errors"
	"strings"
	"testing"

	"quarterdeck/bot"
	"quarterdeck/bot/app"
	"quarterdeck/bot/bottest"
	"quarterdeck/bot/config"
	"quarterdeck/bot/provider/providertest"
)

// edit changes the standard configuration: what says is replaced, once.
type edit struct{ from, to string }

func edited(t *testing.T, edits ...edit) string {
	t.Helper()
	text := standard
	for _, e := range edits {
		if !strings.Contains(text, e.from) {
			t.Fatalf("the standard configuration has no %q", e.from)
		}
		text = strings.Replace(text, e.from, e.to, 1)
	}
	return text
}

// faultyConfigurations are the standard configuration with something wrong in
// it that shows only once everything it names is looked at together, and all
// that is said of it.
var faultyConfigurations = map[string]struct {
	edits []edit
	want  []string
}{
	"unknown provider type": {[]edit{{`type = "far"`, `type = "fra"`}},
		[]string{`config.toml:44: provider "far" has the unknown type "fra"; did you mean "far"?`}},
	"provider that cannot be opened": {[]edit{{`type = "far"`, `type = "broken"`}},
		[]string{`config.toml:43: the moon is in the way (context canceled)`}},
	"provider that cannot deploy": {[]edit{{`type = "far"`, `type = "idle"`}},
		[]string{`config.toml:46: provider "far" cannot deploy`, `config.toml:48: provider "far" cannot deploy`}},
	"unknown key in a deploy table": {[]edit{{`deploy = { provider = "far" }`, `deploy = { provider = "far", argv = ["x"], wait = 3 }`}},
		[]string{
			`config.toml:46: unknown key "argv" in service.shop.staging.deploy; it takes no keys`,
			`config.toml:46: unknown key "wait" in service.shop.staging.deploy; it takes no keys`}},
	"deploy names no such provider": {[]edit{{`deploy = { provider = "far" }`, `deploy = { provider = "near" }`}},
		[]string{`config.toml:46: deploy of shop/staging names the provider "near", which has no [provider.near]; there is far alone`}},
	"unknown key of a chat network": {[]edit{{"[chat.y]\n", "[chat.y]\ntoken = \"xoxb-123456789012\"\n"}},
		[]string{`config.toml:11: unknown key "token" in [chat.y]; it takes no keys`}},
	"chat network that is not there": {[]edit{{"[chat.y]\n", "[chat.z]\n"}, {`, "y:sre"`, ``}},
		[]string{`config.toml:10: there is no chat network "z"; there are x, y`}},
	"unknown role in a grant": {[]edit{{`roles = ["developer"]
permissions = ["deploy"`, `roles = ["develoepr"]
permissions = ["deploy"`}},
		[]string{`config.toml:28: grant 1: there is no role "develoepr"; did you mean "developer"?`}},
	"unknown role among approvers": {[]edit{{`from = ["sre"]`, `from = ["ser"]`}},
		[]string{`config.toml:35: require 1: there is no role "ser"; did you mean "sre"?`}},
	"unknown permission": {[]edit{{`permissions = ["audit"]`, `permissions = ["audti"]`}},
		[]string{`config.toml:32: grant 2: there is no permission "audti"; did you mean "audit"?`}},
	"pattern that matches no target": {[]edit{{`targets = ["*/prod"]`, `targets = ["*/prd"]`}},
		[]string{`config.toml:35: require 1: no target matches "*/prd"; did you mean "*/prod"?`}},
	"more approvals than approvers": {[]edit{{`count = 1`, `count = 3`}},
		[]string{`config.toml:35: 3 approvals from sre are required, but only 1 person holds that; give it to more people or lower the count`}},
	"more approvals than approvers of two roles": {[]edit{{`count = 1, from = ["sre"]`, `count = 4, from = ["sre", "developer"]`}},
		[]string{`config.toml:35: 4 approvals from sre, developer are required, but only 3 persons hold that; give it to more people or lower the count`}},
	"more approvals than holders of the permission": {[]edit{
		{`approvals = { count = 1, from = ["sre"] }`, `approvals = { count = 2 }`},
		{`permissions = ["audit"]`, "permissions = [\"audit\"]\n[[grant]]\nroles = [\"sre\"]\npermissions = [\"run.approve\"]\ntargets = [\"*/*\"]"}},
		[]string{`config.toml:39: 2 approvals are required, but only 1 person holds run.approve; give it to more people or lower the count`}},
	"approvals that nobody may give": {[]edit{{`approvals = { count = 1, from = ["sre"] }`, `approvals = { count = 1 }`}},
		[]string{`config.toml:35: require 1: its approvals name no roles in "from", and no grant gives anybody run.approve; nobody could approve`}},
	"role of a person that nothing names": {[]edit{{"name = \"trainee\"\n", "name = \"trainee\"\nroles = [\"developr\"]\n"}},
		[]string{`config.toml:26: trainee has the role "developr", which no rule and no [[role]] names; did you mean "developer"?`}},
	"role of a person that is like none": {[]edit{{"name = \"trainee\"\n", "name = \"trainee\"\nroles = [\"developer\", \"cook\"]\n"}},
		[]string{`config.toml:26: trainee has the role "cook", which no rule and no [[role]] names; name it in a rule or take it away`}},
	"account of two persons": {[]edit{{`accounts = ["x:trainee"]`, `accounts = ["x:trainee", "x:dev"]`}},
		[]string{`config.toml:24: person "trainee": account "x:dev" belongs to "dev" (config.toml:12) already; one account belongs to one person`}},
	"two persons of one name": {[]edit{{`name = "trainee"`, `name = "dev"`}},
		[]string{`config.toml:24: person "dev": there is another person of that name: "dev" (config.toml:12)`}},
	"person without accounts": {[]edit{{"accounts = [\"x:trainee\"]\n", ""}},
		[]string{`config.toml:24: person "trainee": it has no accounts, so nobody could act as it; give at least one, such as "slack:T0123/U0001"`}},
	"role of a group that nothing knows": {[]edit{{"[[grant]]", "[[role]]\nname = \"sre\"\ngroups = [\"x-group:S0SRE\"]\n[[grant]]"}},
		[]string{`config.toml:28: role "sre": group "x-group:S0SRE": nothing configured knows groups of "x-group"; there are no sources of groups, such as a [chat.slack]`}},
	"role that nobody can hold": {[]edit{{"[[grant]]", "[[role]]\nname = \"admin\"\n[[grant]]"}},
		[]string{`config.toml:28: role "admin": nobody can hold it; give it groups, or name it in the roles of a person`}},
	// Whatever finds them, all come at once and in the order of the file.
	"several at once": {[]edit{
		{"[chat.y]\n", "[chat.y]\nloud = true\n"},
		{`permissions = ["audit"]`, `permissions = ["audti"]`},
		{`targets = ["*/prod"]`, `targets = ["*/prd"]`},
		{`deploy = { provider = "far" }`, `deploy = { provider = "far", wait = 3 }`}},
		[]string{
			`config.toml:11: unknown key "loud" in [chat.y]; it takes no keys`,
			`config.toml:33: grant 2: there is no permission "audti"; did you mean "audit"?`,
			`config.toml:36: require 1: no target matches "*/prd"; did you mean "*/prod"?`,
			`config.toml:47: unknown key "wait" in service.shop.staging.deploy; it takes no keys`}},
}

func TestFaultyConfigurations(t *testing.T) {
	t.Parallel()
	for name, c := range faultyConfigurations {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, friendly, providertest.NewFriendly)
			w.configure(edited(t, c.edits...))
			a, err := w.assemble()
			if err == nil || a != nil {
				t.Fatalf("it was taken, error %v", err)
			}
			var said *bot.Error
			if !errors.As(err, &said) || said.Kind != bot.Invalid {
				t.Fatalf("the error is %v, of kind %q", err, bot.KindOf(err))
			}
			if want := strings.Join(c.want, "\n"); said.Say != want {
				t.Errorf("said\n%s\nwant\n%s", said.Say, want)
			}
			// Said or printed, it is the same lines and nothing before them.
			if got := strings.TrimPrefix(said.Error(), "config.Load: "); got != said.Say {
				t.Errorf("printed\n%s", got)
			}
			for line := range strings.SplitSeq(said.Say, "\n") {
				if !strings.HasPrefix(line, "config.toml:") {
					t.Errorf("%q does not say where", line)
				}
				if strings.HasSuffix(line, ".") || strings.Contains(line, "xoxb-") {
					t.Errorf("%q is no sentence for people", line)
				}
			}
		})
	}
}

// What the file alone shows and what only the whole assembly shows is said in one
// go, and nothing that merely follows from another fault.
func TestFaultsOfBothKindsAtOnce(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		edits []edit
		want  []string
	}{
		"a key and a name": {[]edit{{"rate = 100000\n", "rate = 100000\nconfirm_expire = \"2m\"\n"}, {`permissions = ["audit"]`, `persons = ["der"]` + "\n" + `permissions = ["audti"]`}},
			[]string{
				`config.toml:5: unknown key "confirm_expire" in [bot]; did you mean "confirm_expires"?`,
				`config.toml:33: grant 2: there is no person "der"; did you mean "dev"?`,
				`config.toml:33: grant 2: there is no permission "audti"; did you mean "audit"?`}},
		"two rules": {[]edit{{`permissions = ["audit"]`, `permission = ["audit"]`}, {`targets = ["*/prod"]`, `targets = ["*/prd"]`}},
			[]string{
				`config.toml:34: unknown key "permission" in [[grant]]; did you mean "permissions"?`,
				`config.toml:35: require 1: no target matches "*/prd"; did you mean "*/prod"?`}},
		"the only rule about a role": {[]edit{{`approvals = { count = 1, from = ["sre"] }`, `aprovals = { count = 1, from = ["sre"] }`}},
			[]string{`config.toml:39: unknown key "aprovals" in [[require]]; did you mean "approvals"?`}},
		"no database": {[]edit{{"database = \"sqlite:q.db\"\n", ""}, {`permissions = ["audit"]`, `permissions = ["audti"]`}},
			[]string{
				`config.toml:1: [bot] needs database = "sqlite:PATH"`,
				`config.toml:31: grant 2: there is no permission "audti"; did you mean "audit"?`}},
		"a person, on whom much depends": {[]edit{{"name = \"sre\"\n", "nmae = \"sre\"\n"}, {`permissions = ["audit"]`, `permissions = ["audti"]`}},
			[]string{
				`config.toml:16: a person needs a name`,
				`config.toml:17: unknown key "nmae" in [[person]]; did you mean "name"?`}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, friendly, providertest.NewFriendly)
			w.configure(edited(t, c.edits...))
			loaded, err := app.Load(w.path, w.tables())
			if loaded != nil || bot.KindOf(err) != bot.Invalid {
				t.Fatalf("it was taken: %v", err)
			}
			if got, want := bot.Sentence(err, ""), strings.Join(c.want, "\n"); got != want {
				t.Errorf("said\n%s\nwant\n%s", got, want)
			}
		})
	}
}

// TestStandardConfiguration keeps the faults above from being faults of the
// standard configuration.
func TestStandardConfiguration(t *testing.T) {
	t.Parallel()
	w := newWorld(t, friendly, providertest.NewFriendly)
	a, err := w.assemble()
	if err != nil {
		t.Fatal(err)
	}
	if got := a.Catalog.Targets(); len(got) != 2 || got[0] != staging || got[1] != prod {
		t.Errorf("targets are %v", got)
	}
}

// TestUnknownStore gives the assembly a configuration that names a store of
// another program's table.
func TestUnknownStore(t *testing.T) {
	t.Parallel()
	w := newWorld(t, friendly, providertest.NewFriendly)
	tables := w.tables()
	tables.Stores = nil
	c, err := config.Load(w.path, tables.Known())
	if err != nil {
		t.Fatal(err)
	}
	a, err := app.New(c, tables, app.Options{})
	if err != nil {
		t.Fatal(err)
	}
	err = a.Run(t.Context())
	if say := bot.Sentence(err, "ref"); bot.KindOf(err) != bot.Invalid || say != `no store is called "sqlite"; write database = "sqlite:PATH"` {
		t.Errorf("said %q", say)
	}
}

// TestExplain asks about accounts and persons without running anything.
func TestExplain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c bot.Clock) chat { return bottest.NewFakeChat("x", c) }, providertest.NewFriendly)
	a, err := w.assemble()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ who, line, want string }{
		{"dev", "deploy shop v2 staging", "yes: deploy shop v2 staging\n"},
		{"x:dev", "deploy shop v2 prod", "yes, after more is given: deploy shop v2 prod\n"},
		{"trainee", "deploy shop v2 prod", "no: deploy shop v2 prod\n"},
		{"x:stranger", "deploy shop v2 prod", "no: deploy shop v2 prod\n"},
	} {
		s, err := a.Explain(t.Context(), c.who, c.line)
		if err != nil || !strings.HasPrefix(s, c.want) {
			t.Errorf("%s, %q: %q, %v", c.who, c.line, s, err)
		}
	}
	if _, err := a.Explain(t.Context(), "nobody", "status"); bot.KindOf(err) != bot.NotFound {
		t.Errorf("a person who is not there gave %v", err)
	}
}
