package directory

import (
	"slices"
	"testing"

	"quarterdeck/bot"
)

// TestDisabled is about who left: from whichever of their accounts, whatever
// the network says of it, they are known by name and nothing else; no source
// of groups is asked about them.
func TestDisabled(t *testing.T) {
	t.Parallel()
	asked := &fakeGroups{members: map[string]bool{"S0LEAD slack:T1/U1": true}}
	d, err := New([]Person{
		{Name: "gone", Accounts: []bot.AccountID{"os:1000", "slack:T1/U1"}, Roles: []string{"sre"}, Disabled: true},
		{Name: "here", Accounts: []bot.AccountID{"os:1001"}, Roles: []string{"developer"}},
	}, []Role{{Name: "lead", Groups: []string{"slack-group:S0LEAD"}}, {Name: "sre"}}, map[string]Groups{"slack-group": asked}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, account := range []bot.AccountID{"os:1000", "slack:T1/U1"} {
		for _, standing := range []bot.Standing{bot.Member, bot.Guest, bot.Unvouched} {
			who, err := d.Identify(t.Context(), account, standing)
			if err != nil || who.Person != "gone" || who.Standing != bot.Disabled || len(who.Roles) > 0 || who.Known() {
				t.Errorf("%s as %q is %+v, %v", account, standing, who, err)
			}
		}
		if who, err := d.Recall(t.Context(), account); err != nil || who.Standing != bot.Disabled || len(who.Roles) > 0 {
			t.Errorf("%s is recalled as %+v, %v", account, who, err)
		}
	}
	if len(asked.asked) > 0 {
		t.Errorf("groups were asked: %q", asked.asked)
	}
	if who, err := d.Identify(t.Context(), "os:1001", bot.Guest); err != nil || who.Standing != bot.Guest {
		t.Errorf("another is %+v, %v", who, err)
	}
	if got := d.Holders("sre"); len(got) > 0 {
		t.Errorf("%v hold sre", got)
	}
	// The name and the role stay declared, so that rules that name them stand.
	if !slices.Contains(d.Persons(), "gone") || !d.CanBeHeld("sre") {
		t.Error("a disabled person is no longer declared")
	}
	if people, _ := d.Describe(); people["gone"] != "(os:1000, slack:T1/U1): sre, disabled" {
		t.Errorf("described as %q", people["gone"])
	}
}
