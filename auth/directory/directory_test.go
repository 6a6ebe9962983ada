package directory

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"quarterdeck/bot"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeGroups answers from a map of group and account. Other ways to answer are
// put in by its fields.
type fakeGroups struct {
	mu      sync.Mutex
	members map[string]bool // "S0SRE slack:T1/U1"
	asked   []string
	err     error
	panics  bool
	hangs   bool
}

func (f *fakeGroups) Holds(ctx context.Context, group string, account bot.AccountID) (bool, error) {
	f.mu.Lock()
	f.asked = append(f.asked, group+" "+string(account))
	held, err, panics, hangs := f.members[group+" "+string(account)], f.err, f.panics, f.hangs
	f.mu.Unlock()
	switch {
	case panics:
		panic("a fault in the adapter")
	case hangs:
		<-ctx.Done()
		return true, ctx.Err()
	}
	// A true beside an error must not count.
	return held || err != nil, err
}

func (f *fakeGroups) set(change func(f *fakeGroups)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(f)
}

func housePeople() []Person {
	return []Person{
		{Where: "config.toml:30", Name: "dev-one", Accounts: []bot.AccountID{"slack:T1/U1", "os:1000"}, Roles: []string{"developer"}, Email: "dev-one@example.com", GitHub: "dev-one"},
		{Where: "config.toml:36", Name: "oncall", Accounts: []bot.AccountID{"slack:T1/U2", "discord:42"}, Roles: []string{"lead", "developer"}},
		{Where: "config.toml:40", Name: "plain", Accounts: []bot.AccountID{"terminal:plain"}},
	}
}

func houseRoles() []Role {
	return []Role{
		{Where: "config.toml:50", Name: "sre", Groups: []string{"slack-group:S0SRE", "discord-role:9/1"}},
		{Where: "config.toml:54", Name: "lead", Groups: []string{"slack-group:S0LEAD"}},
		{Where: "config.toml:58", Name: "developer"},
	}
}

func houseSources() (slack, discord *fakeGroups, sources map[string]Groups) {
	slack, discord = &fakeGroups{members: map[string]bool{}}, &fakeGroups{members: map[string]bool{}}
	return slack, discord, map[string]Groups{"slack-group": slack, "discord-role": discord}
}

func identify(t *testing.T, d *Directory, account bot.AccountID, standing bot.Standing) bot.Identity {
	t.Helper()
	who, err := d.Identify(t.Context(), account, standing)
	if err != nil {
		t.Fatal(err)
	}
	return who
}

func TestIdentify(t *testing.T) {
	t.Parallel()
	slack, discord, sources := houseSources()
	slack.members["S0SRE slack:T1/U1"] = true
	discord.members["9/1 discord:42"] = true
	d, err := New(housePeople(), houseRoles(), sources, nil)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		account  bot.AccountID
		standing bot.Standing
		person   string
		roles    []string
	}{
		{"slack:T1/U1", bot.Member, "dev-one", []string{"developer", "sre"}},
		{"os:1000", bot.Member, "dev-one", []string{"developer", "sre"}}, // by the person's other account
		{"slack:T1/U2", bot.Member, "oncall", []string{"developer", "lead", "sre"}},
		{"terminal:plain", bot.Member, "plain", nil},
		{"slack:T1/U1", bot.Guest, "dev-one", nil},
		{"slack:T1/U1", bot.External, "dev-one", nil},
		{"slack:T1/U1", bot.Automated, "dev-one", nil},
		{"slack:T1/U1", bot.Disabled, "dev-one", nil},
		{"slack:T1/U1", bot.Unvouched, "dev-one", nil},
		{"slack:T1/U1", "owner", "dev-one", nil},
		{"slack:T1/U9", bot.Member, "", nil},
		{"slack:T1/u1", bot.Member, "", nil},
		{"slack:T1/U", bot.Member, "", nil},
		{"slack:T1/U10", bot.Member, "", nil},
		{"discord:T1/U1", bot.Member, "", nil},
		{"", bot.Member, "", nil},
	}
	for _, tt := range tests {
		got := identify(t, d, tt.account, tt.standing)
		if want := (bot.Identity{Account: tt.account, Standing: tt.standing, Person: tt.person, Roles: tt.roles}); !reflect.DeepEqual(got, want) {
			t.Errorf("%s as %q: %+v, want %+v", tt.account, tt.standing, got, want)
		}
	}
}

// TestStrangersAreNotAskedAbout keeps accounts that may not run anything from
// costing a call to a chat network.
func TestStrangersAreNotAskedAbout(t *testing.T) {
	t.Parallel()
	slack, discord, sources := houseSources()
	d, err := New(housePeople(), houseRoles(), sources, nil)
	if err != nil {
		t.Fatal(err)
	}
	identify(t, d, "slack:T1/U9", bot.Member)
	for _, s := range []bot.Standing{bot.Guest, bot.External, bot.Automated, bot.Disabled, bot.Unvouched} {
		identify(t, d, "slack:T1/U1", s)
	}
	if n := len(slack.asked) + len(discord.asked); n != 0 {
		t.Errorf("asked %d times: %q %q", n, slack.asked, discord.asked)
	}
	identify(t, d, "slack:T1/U2", bot.Member)
	if slices.ContainsFunc(slack.asked, func(s string) bool { return strings.HasPrefix(s, "S0LEAD") }) {
		t.Error("asked for a role that the person is declared with")
	}
}

// TestRolesComeAndGo checks that roles are found out afresh each time: an
// approver who left the group is no approver when it counts.
func TestRolesComeAndGo(t *testing.T) {
	t.Parallel()
	slack, _, sources := houseSources()
	d, err := New(housePeople(), houseRoles(), sources, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, in := range []bool{false, true, false} {
		slack.set(func(f *fakeGroups) { f.members["S0SRE slack:T1/U1"] = in })
		who, err := d.Recall(t.Context(), "os:1000")
		if err != nil || who.HasRole("sre") != in || who.Standing != bot.Member || who.Person != "dev-one" || who.Account != "os:1000" {
			t.Errorf("member of the group: %t; recalled as %+v, %v", in, who, err)
		}
	}
	who, err := d.Recall(t.Context(), "slack:T1/U9")
	if err != nil || who.Known() || who.Standing != bot.Unvouched || who.Account != "slack:T1/U9" {
		t.Errorf("an account nobody declares is recalled as %+v, %v", who, err)
	}
}

// TestSourcesFailClosed checks that a source that errs, panics or hangs leaves
// its roles out, is reported, and keeps nobody else's roles away.
func TestSourcesFailClosed(t *testing.T) {
	t.Parallel()
	for name, broken := range map[string]func(f *fakeGroups){
		"error": func(f *fakeGroups) { f.err = errors.New("invalid_auth") },
		"panic": func(f *fakeGroups) { f.panics = true },
		"hang":  func(f *fakeGroups) { f.hangs = true },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			slack, discord, sources := houseSources()
			discord.members["9/1 discord:42"] = true
			slack.members["S0SRE slack:T1/U2"] = true
			slack.set(broken)
			var out bytes.Buffer
			roles := append(houseRoles(), Role{Name: "ops", Groups: []string{"discord-role:9/1"}})
			d, err := New(housePeople(), roles, sources, slog.New(slog.NewTextHandler(&out, nil)))
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			who, err := d.Identify(ctx, "slack:T1/U2", bot.Member)
			if err != nil || who.Person != "oncall" || !who.HasRole("lead") || !who.HasRole("developer") || !who.HasRole("ops") {
				t.Errorf("%+v, %v: what does not depend on the source is missing", who, err)
			}
			only, err := d.Identify(ctx, "slack:T1/U1", bot.Member)
			if err != nil || only.HasRole("sre") || only.HasRole("lead") {
				t.Errorf("%+v, %v: a source that fails gave a role", only, err)
			}
			if !strings.Contains(out.String(), "dev-one") {
				t.Errorf("the failure is not reported: %s", out.String())
			}
		})
	}
}

// TestIdentifyAtOnce lets many callers ask, for the race detector.
func TestIdentifyAtOnce(t *testing.T) {
	t.Parallel()
	slack, _, sources := houseSources()
	slack.members["S0SRE slack:T1/U1"] = true
	d, err := New(housePeople(), houseRoles(), sources, nil)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			who, err := d.Identify(t.Context(), "slack:T1/U1", bot.Member)
			if err != nil || !slices.Equal(who.Roles, []string{"developer", "sre"}) {
				t.Errorf("%+v, %v", who, err)
			}
			who.Roles[0] = "changed by the caller"
		})
	}
	wg.Wait()
}

func TestLists(t *testing.T) {
	t.Parallel()
	_, _, sources := houseSources()
	d, err := New(housePeople(), houseRoles(), sources, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := d.Roles(); !slices.Equal(got, []string{"developer", "lead", "sre"}) {
		t.Errorf("roles %q", got)
	}
	if got := d.Persons(); !slices.Equal(got, []string{"dev-one", "oncall", "plain"}) {
		t.Errorf("persons %q", got)
	}
	for role, want := range map[string][]string{"developer": {"dev-one", "oncall"}, "lead": {"oncall"}, "sre": nil, "king": nil} {
		if got := d.Holders(role); !slices.Equal(got, want) {
			t.Errorf("holders of %s: %q", role, got)
		}
	}
	if !d.CanBeHeld("sre") || d.CanBeHeld("king") || d.CanBeHeld("") {
		t.Error("sre can be held and king cannot")
	}
	if got := d.GroupsOf("sre"); !slices.Equal(got, []string{"slack-group:S0SRE", "discord-role:9/1"}) || d.GroupsOf("developer") != nil {
		t.Errorf("groups of sre: %q", got)
	}
	if p, ok := d.Person("dev-one"); !ok || p.Email != "dev-one@example.com" || len(p.Accounts) != 2 {
		t.Errorf("dev-one is %+v", p)
	}
	if _, ok := d.Person("Dev-One"); ok {
		t.Error("names are compared without case")
	}
	people, roles := d.Describe()
	wantPeople := map[string]string{
		"dev-one": "(os:1000, slack:T1/U1): developer, email dev-one@example.com, github dev-one",
		"oncall":  "(discord:42, slack:T1/U2): developer, lead",
		"plain":   "(terminal:plain): no roles",
	}
	wantRoles := map[string]string{"sre": "from discord-role:9/1, slack-group:S0SRE", "lead": "from slack-group:S0LEAD"}
	if !maps.Equal(people, wantPeople) || !maps.Equal(roles, wantRoles) {
		t.Errorf("described as %q and %q", people, roles)
	}
}

// fault is one thing wrong with people or roles, and the sentence about it.
type fault struct {
	field string
	with  func(p []Person, r []Role)
	want  string
}

var faulty = []fault{
	{"Person.Name", func(p []Person, r []Role) { p[0].Name = "" }, `config.toml:30: person 1: its name is missing`},
	{"Person.Name", func(p []Person, r []Role) { p[0].Name = "dev one" },
		`config.toml:30: person "dev one": its name holds other characters than letters, digits, ".", "_" and "-"`},
	{"Person.Name", func(p []Person, r []Role) { p[0].Name = strings.Repeat("x", 65) },
		`config.toml:30: person "` + strings.Repeat("x", 65) + `": its name is longer than 64 bytes`},
	{"Person.Name", func(p []Person, r []Role) { p[2].Name = "Oncall" },
		`config.toml:40: person "Oncall": there is another person of that name: "oncall" (config.toml:36)`},
	{"Person.Accounts", func(p []Person, r []Role) { p[2].Accounts = nil },
		`config.toml:40: person "plain": it has no accounts, so nobody could act as it; give at least one, such as "slack:T0123/U0001"`},
	{"Person.Accounts", func(p []Person, r []Role) { p[2].Accounts[0] = "os:1000" },
		`config.toml:40: person "plain": account "os:1000" belongs to "dev-one" (config.toml:30) already; one account belongs to one person`},
	{"Person.Accounts", func(p []Person, r []Role) { p[0].Accounts[1] = "slack:T1/U1" },
		`config.toml:30: person "dev-one": account "slack:T1/U1" is given twice`},
	{"Person.Accounts", func(p []Person, r []Role) { p[2].Accounts[0] = "plain" },
		`config.toml:40: person "plain": account "plain" is not an account's id; expected NETWORK:ID, such as "slack:T0123/U0001" or "os:1000"`},
	{"Person.Accounts", func(p []Person, r []Role) { p[2].Accounts[0] = "slack:*" },
		`config.toml:40: person "plain": account "slack:*" is not an account's id; expected NETWORK:ID, such as "slack:T0123/U0001" or "os:1000"`},
	{"Person.Accounts", func(p []Person, r []Role) { p[2].Accounts[0] = ":U1" },
		`config.toml:40: person "plain": account ":U1" is not an account's id; expected NETWORK:ID, such as "slack:T0123/U0001" or "os:1000"`},
	{"Person.Roles", func(p []Person, r []Role) { p[2].Roles = []string{"a,b"} },
		`config.toml:40: person "plain": role "a,b" holds other characters than letters, digits, ".", "_" and "-"`},
	{"Person.Roles", func(p []Person, r []Role) { p[2].Roles = []string{"developer", "developer"} },
		`config.toml:40: person "plain": role "developer" is given twice`},
	{"Person.Email", func(p []Person, r []Role) { p[2].Email = "plain" },
		`config.toml:40: person "plain": email "plain" is not an address; expected such as "dev-one@example.com"`},
	{"Person.Email", func(p []Person, r []Role) { p[2].Email = "Dev-One@example.com" },
		`config.toml:40: person "plain": email "Dev-One@example.com" belongs to "dev-one" (config.toml:30) already; one email belongs to one person`},
	{"Person.GitHub", func(p []Person, r []Role) { p[2].GitHub = "@plain" },
		`config.toml:40: person "plain": github "@plain" is not a login; expected the name alone, such as "dev-one"`},
	{"Person.GitHub", func(p []Person, r []Role) { p[2].GitHub = "dev-one" },
		`config.toml:40: person "plain": github "dev-one" belongs to "dev-one" (config.toml:30) already; one github belongs to one person`},
	{"Role.Name", func(p []Person, r []Role) { r[1].Name = "" }, `config.toml:54: role 2: its name is missing`},
	{"Role.Name", func(p []Person, r []Role) { r[1].Name = "sre" },
		`config.toml:54: role "sre": there is another role of that name: "sre" (config.toml:50)`},
	{"Role.Groups", func(p []Person, r []Role) { r[0].Groups = nil },
		`config.toml:50: role "sre": nobody can hold it; give it groups, or name it in the roles of a person`},
	{"Role.Groups", func(p []Person, r []Role) { r[1].Groups[0] = "S0LEAD" },
		`config.toml:54: role "lead": group "S0LEAD" is not a group's id; expected SOURCE:ID, such as "slack-group:S0SRE"`},
	{"Role.Groups", func(p []Person, r []Role) { r[1].Groups[0] = "slack-grp:S0LEAD" },
		`config.toml:54: role "lead": group "slack-grp:S0LEAD": nothing configured knows groups of "slack-grp"; there are discord-role, slack-group`},
	{"Role.Groups", func(p []Person, r []Role) { r[0].Groups[1] = "slack-group:S0SRE" },
		`config.toml:50: role "sre": group "slack-group:S0SRE" is given twice`},
}

func TestFaulty(t *testing.T) {
	t.Parallel()
	for _, tt := range faulty {
		people, roles := housePeople(), houseRoles()
		tt.with(people, roles)
		_, _, sources := houseSources()
		_, err := New(people, roles, sources, nil)
		if err == nil {
			t.Errorf("accepted, though %s", tt.want)
			continue
		}
		var says []string
		for _, e := range err.(interface{ Unwrap() []error }).Unwrap() {
			var be *bot.Error
			if !errors.As(e, &be) || be.Kind != bot.Invalid {
				t.Fatalf("%v is no bot.Error of kind Invalid", e)
			}
			says = append(says, be.Say)
		}
		if !slices.Equal(says, []string{tt.want}) {
			t.Errorf("%s:\ngot  %s\nwant %s", tt.field, strings.Join(says, "\n     "), tt.want)
		}
	}
	for _, kind := range []reflect.Type{reflect.TypeFor[Person](), reflect.TypeFor[Role]()} {
		for i := range kind.NumField() {
			name := kind.Name() + "." + kind.Field(i).Name
			// Either value of Disabled is in order; see TestDisabled.
			if !strings.HasSuffix(name, ".Where") && name != "Person.Disabled" && !slices.ContainsFunc(faulty, func(f fault) bool { return f.field == name }) {
				t.Errorf("no fault of %s is tried", name)
			}
		}
	}
}

func TestAllFaultsAtOnce(t *testing.T) {
	t.Parallel()
	people, roles := housePeople(), houseRoles()
	people[0].Accounts[0] = "nothing"
	people[1].Name = "dev-one"
	roles[0].Groups[0] = "slack"
	_, err := New(people, roles, nil, nil)
	if err == nil {
		t.Fatal("accepted")
	}
	if n := len(err.(interface{ Unwrap() []error }).Unwrap()); n != 5 { // two groups have no source besides
		t.Errorf("%d problems:\n%v", n, err)
	}
}
