package directory

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"quarterdeck/bot"
)

// rota is a pager's schedules: one, on which somebody is on call.
type rota struct {
	on  atomic.Value // string
	err error
}

func (*rota) Names() []string { return []string{"primary"} }

func (r *rota) OnCall(context.Context, string) ([]string, error) {
	return []string{r.on.Load().(string)}, r.err
}

// Whoever is on call holds the role, through every account of theirs, until
// the shift ends.
func TestRoleOfSchedule(t *testing.T) {
	r := &rota{}
	roles := []Role{{Where: "config.toml:50", Name: "first-responder", Groups: []string{"schedule:primary"}}}
	d, err := New(housePeople(), roles, map[string]Groups{"schedule": OnCall(r)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	holds := func(account bot.AccountID) bool {
		who, err := d.Identify(t.Context(), account, bot.Member)
		if err != nil {
			t.Fatal(err)
		}
		return who.HasRole("first-responder")
	}
	for _, on := range []string{"oncall", "dev-one", "nobody"} {
		r.on.Store(on)
		for account, person := range map[bot.AccountID]string{"slack:T1/U1": "dev-one", "os:1000": "dev-one", "slack:T1/U2": "oncall", "discord:42": "oncall", "terminal:plain": "plain"} {
			if got := holds(account); got != (person == on) {
				t.Errorf("%s is on call: %s of %s holds the role: %v", on, account, person, got)
			}
		}
	}
	r.on.Store("oncall")
	r.err = errors.New("the pager does not answer")
	if holds("discord:42") {
		t.Error("a role was given by a source that failed")
	}
	if who, err := d.Identify(t.Context(), "discord:42", bot.Guest); err != nil || slices.Contains(who.Roles, "first-responder") {
		t.Errorf("a guest holds %v, %v", who.Roles, err)
	}
}

// A role from a schedule that does not exist would be held by nobody; it is
// found at the start.
func TestRoleOfNoSchedule(t *testing.T) {
	roles := []Role{{Where: "config.toml:50", Name: "first-responder", Groups: []string{"schedule:primry"}}}
	_, err := New(housePeople(), roles, map[string]Groups{"schedule": OnCall(&rota{})}, nil)
	if err == nil || !strings.Contains(err.Error(), `config.toml:50: role "first-responder": group "schedule:primry": there is no such schedule; there are primary`) {
		t.Errorf("New gives %v", err)
	}
}
