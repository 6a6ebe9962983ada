package directory

import (
	"testing"

	"quarterdeck/bot"
)

// TestClocked: a principal of the clock is known by its one account and holds
// nothing; one that is not configured is nobody, also when it was once.
func TestClocked(t *testing.T) {
	groups := &fakeGroups{members: map[string]bool{"S0SRE clock:digest:daily": true}}
	d, err := New([]Person{{Name: "dev", Accounts: []bot.AccountID{"slack:T1/U1"}, Roles: []string{"sre"}}},
		[]Role{{Name: "sre", Groups: []string{"slack-group:S0SRE"}}}, map[string]Groups{"slack-group": groups}, nil)
	if err != nil {
		t.Fatal(err)
	}
	with := d.Clocked([]string{"digest:daily", "job:x"})
	for _, ask := range []func(bot.AccountID) (bot.Identity, error){
		func(a bot.AccountID) (bot.Identity, error) { return with.Identify(t.Context(), a, bot.Member) },
		func(a bot.AccountID) (bot.Identity, error) { return with.Recall(t.Context(), a) },
	} {
		who, err := ask("clock:digest:daily")
		if err != nil || who.Person != "digest:daily" || who.Standing != bot.Member || len(who.Roles) != 0 || !who.Known() {
			t.Errorf("the clock is %+v, %v", who, err)
		}
		for _, a := range []bot.AccountID{"clock:digest:weekly", "clock:", "clock:digest:daily ", "clock:dev"} {
			if who, _ := ask(a); who.Known() || who.Person != "" || who.Standing != bot.Unvouched {
				t.Errorf("%s is %+v", a, who)
			}
		}
	}
	if who, _ := d.Identify(t.Context(), "clock:digest:daily", bot.Member); who.Known() {
		t.Errorf("without it being configured it is %+v", who)
	}
	if len(groups.asked) != 0 {
		t.Errorf("groups were asked about the clock: %q", groups.asked)
	}
}
