package directory

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"quarterdeck/bot"
)

// network remembers what it was told, and can be asked afresh.
type network struct {
	mu       sync.Mutex
	then     map[string]bool // "GROUP ACCOUNT", remembered
	now      map[string]bool
	standing map[bot.AccountID]bot.Standing
	err      error
	panics   bool
}

func (n *network) Holds(_ context.Context, group string, a bot.AccountID) (bool, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.then[group+" "+string(a)], nil
}

func (n *network) HoldsNow(_ context.Context, group string, a bot.AccountID) (bool, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.now[group+" "+string(a)], n.err
}

func (n *network) GroupFault(group string) string {
	if strings.HasPrefix(group, "S") {
		return ""
	}
	return `is not a user group's id; expected such as "slack-group:S0SRE"`
}

func (n *network) Vouch(_ context.Context, a bot.AccountID) (bot.Standing, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.panics {
		panic("vouch")
	}
	return n.standing[a], n.err
}

func fromNetwork(t *testing.T, n *network) *Directory {
	t.Helper()
	d, err := New([]Person{{Name: "ada", Accounts: []bot.AccountID{"slack:T1/U1", "os:1000"}, Roles: []string{"developer"}}},
		[]Role{{Name: "sre", Groups: []string{"slack-group:S0SRE"}}}, map[string]Groups{"slack-group": n}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return d.Vouched(map[string]bot.Vouching{"slack": n})
}

// What counts while reading is what is remembered; at the moment of acting the
// network is asked afresh about the group and about the account.
func TestRecallAsksAfresh(t *testing.T) {
	n := &network{then: map[string]bool{"S0SRE slack:T1/U1": true}, now: map[string]bool{}, standing: map[bot.AccountID]bot.Standing{"slack:T1/U1": bot.Member}}
	d := fromNetwork(t, n)
	if who, _ := d.Identify(t.Context(), "slack:T1/U1", bot.Member); !slices.Equal(who.Roles, []string{"developer", "sre"}) {
		t.Errorf("while reading, roles %q", who.Roles)
	}
	if who, _ := d.Recall(t.Context(), "slack:T1/U1"); who.Standing != bot.Member || !slices.Equal(who.Roles, []string{"developer"}) || len(who.Doubts) != 0 {
		t.Errorf("when acting: %+v", who)
	}
	n.now["S0SRE slack:T1/U1"] = true
	if who, _ := d.Recall(t.Context(), "os:1000"); !slices.Equal(who.Roles, []string{"developer", "sre"}) {
		t.Errorf("through another account of theirs, roles %q", who.Roles)
	}
	for _, standing := range []bot.Standing{bot.Guest, bot.Disabled, bot.External, bot.Unvouched} {
		n.standing["slack:T1/U1"] = standing
		if who, _ := d.Recall(t.Context(), "slack:T1/U1"); who.Standing != standing || len(who.Roles) != 0 {
			t.Errorf("as %q: %+v", standing, who)
		}
	}
}

// A network that does not say permits nothing, and a sentence tells of it.
func TestRecallFailsClosed(t *testing.T) {
	for name, n := range map[string]*network{
		"error": {then: map[string]bool{"S0SRE slack:T1/U1": true}, now: map[string]bool{"S0SRE slack:T1/U1": true}, standing: map[bot.AccountID]bot.Standing{"slack:T1/U1": bot.Member},
			err: &bot.Error{Kind: bot.Unavailable, Say: "Slack cannot be reached", Err: errors.New("dial 10.0.0.1")}},
		"panic": {panics: true},
	} {
		t.Run(name, func(t *testing.T) {
			d := fromNetwork(t, n)
			who, err := d.Recall(t.Context(), "slack:T1/U1")
			if err != nil || who.Standing != bot.Unvouched || len(who.Roles) != 0 || len(who.Doubts) != 1 {
				t.Fatalf("%+v, %v", who, err)
			}
			if name == "error" && who.Doubts[0].Say != "whether slack:T1/U1 is still a full member is not known right now: Slack cannot be reached" {
				t.Errorf("said: %s", who.Doubts[0].Say)
			}
			if name == "panic" {
				return
			}
			who, err = d.Recall(t.Context(), "os:1000") // whom the system vouches for
			want := "whether ada is in slack-group:S0SRE, which gives the role sre, is not known right now: Slack cannot be reached"
			if err != nil || who.Standing != bot.Member || !slices.Equal(who.Roles, []string{"developer"}) || len(who.Doubts) != 1 || who.Doubts[0] != (bot.Doubt{Role: "sre", Say: want}) {
				t.Errorf("%+v, %v", who, err)
			}
		})
	}
}

// A name in place of a group's id refuses to start.
func TestGroupNames(t *testing.T) {
	_, err := New(nil, []Role{{Where: "config.toml:5", Name: "sre", Groups: []string{"slack-group:oncall"}}}, map[string]Groups{"slack-group": &network{}}, nil)
	if err == nil || !strings.Contains(err.Error(), `config.toml:5: role "sre": group "slack-group:oncall" is not a user group's id`) {
		t.Errorf("got %v", err)
	}
}
