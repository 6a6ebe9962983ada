package app_test

import (
	"slices"
	"strings"
	"testing"

	"quarterdeck/bot"
	"quarterdeck/bot/bottest"
	"quarterdeck/bot/provider/providertest"
)

// everything is what the first start finds new in the standard configuration.
var everything = []string{
	"+ person dev (x:dev): developer",
	"+ person sre (x:sre, y:sre): developer, sre",
	"+ person trainee (x:trainee): no roles",
	"+ person visitor (x:guest): developer",
	"+ grant: roles developer; permissions audit",
	"+ grant: roles developer; permissions deploy, history, restart, rollback, run.read, status; targets shop/*",
	"+ require: permissions deploy; targets */prod; a confirmation; approvals 1 from sre",
	`+ audit.channels = ["x:audit"]`,
	`+ audit.key = "file:audit.key"`,
	`+ audit.redact = ["house-[0-9]+"]`,
	`+ bot.database = "sqlite:q.db"`,
	`+ bot.rate = 100000`,
	`+ bot.socket = "q.sock"`,
	`+ provider.far.type = "far"`,
	`+ service.shop.prod.deploy = {"provider":"far"}`,
	`+ service.shop.staging.deploy = {"provider":"far"}`,
}

// TestStartRecord starts the bot again and again on one database. What changed
// of people, roles, rules and settings since the start before is one record and one post;
// where nothing did there is none.
func TestStartRecord(t *testing.T) {
	t.Parallel()
	w := newWorld(t, friendly, providertest.NewFriendly)
	grant := "[[grant]]\nroles = [\"developer\"]\npermissions = [\"audit\"]\n"
	for _, c := range []struct {
		name  string
		edits []edit
		want  []string
	}{
		{"the first", nil, everything},
		{"as before", nil, nil},
		{"other settings", []edit{{"rate = 100000", "rate = 50000\ntimezone = \"UTC\""}}, []string{"~ bot.rate = 50000, no longer 100000", "+ bot.timezone = \"UTC\""}},
		{"a secret", []edit{{"rate = 100000", "rate = 50000\ntimezone = \"UTC\""}, {`socket = "q.sock"`, `socket = "house-1.sock"`}},
			[]string{`~ bot.socket = "[redacted].sock", no longer "q.sock"`}},
		{"another secret", []edit{{"rate = 100000", "rate = 50000\ntimezone = \"UTC\""}, {`socket = "q.sock"`, `socket = "house-2.sock"`}},
			[]string{`~ bot.socket has another secret in it`}},
		{"back to the first settings", nil, []string{"- bot.timezone = \"UTC\"", "~ bot.rate = 100000, no longer 50000",
			`~ bot.socket = "q.sock", no longer "[redacted].sock"`}},
		{"the same in another order", []edit{
			{grant, ""}, {"[[require]]", grant + "[[require]]"},
			{`["deploy", "rollback",`, `["rollback", "deploy",`},
			{`roles = ["sre", "developer"]`, `roles = ["developer", "sre"]`}, {`"x:sre", "y:sre"`, `"y:sre", "x:sre"`}}, nil},
		{"somebody less, another's role, a rule gone and one more strict", []edit{
			{"[[person]]\nname = \"trainee\"\naccounts = [\"x:trainee\"]\n", ""},
			{"accounts = [\"x:dev\"]\nroles = [\"developer\"]", "accounts = [\"x:dev\"]\nroles = [\"developer\", \"sre\"]"},
			{grant, ""}, {"count = 1", "count = 2"}},
			[]string{
				"~ person dev (x:dev): developer, sre, was (x:dev): developer",
				"- person trainee (x:trainee): no roles",
				"- grant: roles developer; permissions audit",
				"- require: permissions deploy; targets */prod; a confirmation; approvals 1 from sre",
				"+ require: permissions deploy; targets */prod; a confirmation; approvals 2 from sre"}},
		{"back", nil, []string{
			"~ person dev (x:dev): developer, was (x:dev): developer, sre",
			"+ person trainee (x:trainee): no roles",
			"- require: permissions deploy; targets */prod; a confirmation; approvals 2 from sre",
			"+ grant: roles developer; permissions audit",
			"+ require: permissions deploy; targets */prod; a confirmation; approvals 1 from sre"}},
		{"as it was at first", nil, nil},
	} {
		before := 0
		if c.name != "the first" {
			before = len(w.records())
		}
		w.configure(edited(t, c.edits...))
		w.run()
		got := w.records()[before:]
		if len(c.want) == 0 {
			if len(got) != 0 {
				t.Errorf("%s: recorded %+v", c.name, got)
			}
			w.stop()
			continue
		}
		if len(got) != 1 {
			t.Fatalf("%s: %d records, want one", c.name, len(got))
		}
		r := got[0]
		if diff := strings.Split(r.Text["difference"], "\n"); !slices.Equal(diff, c.want) {
			t.Errorf("%s: the difference is\n%s\nwant\n%s", c.name, strings.Join(diff, "\n"), strings.Join(c.want, "\n"))
		}
		if r.Kind != bot.ConfiguredKind || r.Detail["version"] != "v9.9.9" || !slices.Equal(r.Resources, []bot.Resource{bot.TheBot}) || r.Person != "" {
			t.Errorf("%s: recorded as %+v", c.name, r)
		}
		w.wait("the post about it", func(p bottest.Post) bool {
			return p.Channel == "x:audit" && strings.Contains(p.Card.Title, "people, rules or settings changed") && strings.Contains(shown(p.Card), strings.Fields(c.want[0])[2])
		})
		w.stop()
	}
}
