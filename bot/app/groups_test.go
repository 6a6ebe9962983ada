package app_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"quarterdeck/bot"
	"quarterdeck/bot/bottest"
	"quarterdeck/bot/provider/providertest"
)

// groupsOfX gives network x groups and has it asked about accounts.
type groupsOfX struct {
	mu       sync.Mutex
	members  map[string]bool // "GROUP ACCOUNT"
	standing map[bot.AccountID]bot.Standing
	err      error
	opened   int
}

// row gives the row of the table with the groups, or as it is without any.
func (g *groupsOfX) row(ct bot.ChatType) bot.ChatType {
	if g == nil {
		return ct
	}
	open := ct.Open
	ct.Groups = "x-group"
	ct.Open = func(o bot.ChatOptions) (bot.Chat, error) {
		c, err := open(o)
		if err != nil {
			return nil, err
		}
		g.mu.Lock()
		defer g.mu.Unlock()
		g.opened++
		return groupedChat{c, g}, nil
	}
	return ct
}

type groupedChat struct {
	bot.Chat
	*groupsOfX
}

func (g *groupsOfX) GroupFault(group string) string {
	if strings.HasPrefix(group, "G") {
		return ""
	}
	return "is not a group's id"
}

func (g *groupsOfX) Holds(_ context.Context, group string, a bot.AccountID) (bool, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.err == nil && g.members[group+" "+string(a)], g.err
}

func (g *groupsOfX) HoldsNow(ctx context.Context, group string, a bot.AccountID) (bool, error) {
	return g.Holds(ctx, group, a)
}

func (g *groupsOfX) Vouch(_ context.Context, a bot.AccountID) (bot.Standing, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if s, ok := g.standing[a]; ok {
		return s, nil
	}
	return bot.Member, nil
}

func (g *groupsOfX) set(change func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	change()
}

// A role comes and goes with a network's group, before and after a reload, and a
// network that does not answer gives none and is named.
func TestRolesFromGroups(t *testing.T) {
	t.Parallel()
	w := newWorld(t, friendly, providertest.NewFriendly)
	w.groups = &groupsOfX{members: map[string]bool{"G1 x:trainee": true}, standing: map[bot.AccountID]bot.Standing{}}
	text := standard + "\n[[role]]\nname = \"lead\"\ngroups = [\"x-group:G1\"]\n[[grant]]\nroles = [\"lead\"]\npermissions = [\"lock\", \"deploy\"]\ntargets = [\"shop/*\"]\n"
	w.configure(strings.ReplaceAll(text, "x-group:G1", "x-group:leads"))
	if _, err := w.assemble(); err == nil || !strings.Contains(bot.Sentence(err, ""), `config.toml:50: role "lead": group "x-group:leads" is not a group's id`) {
		t.Fatalf("a name for an id: %v", err)
	}
	w.configure(text)
	w.groups.opened = 0
	w.run()
	hours := 0
	lock := func(want bot.Outcome) bottest.Post { // never the same line twice, which would be asked about
		t.Helper()
		hours++
		return w.gets("x:trainee", fmt.Sprintf("lock shop staging --for %dh", hours), want)
	}
	lock(bot.OutcomeOK)
	for round, change := range []string{"", "rate = 99999"} {
		if change != "" {
			w.configure(strings.Replace(text, "rate = 100000", change, 1))
			if _, _, err := w.app.Reload(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		w.groups.set(func() { w.groups.members["G1 x:trainee"] = false })
		lock(bot.OutcomeDenied)
		w.groups.set(func() { w.groups.members["G1 x:trainee"] = true })
		lock(bot.OutcomeOK)
		w.groups.set(func() { w.groups.err = bot.Errorf(bot.Unavailable, "the moon is in the way") })
		p := lock(bot.OutcomeDenied)
		if said := shown(p.Card); !strings.Contains(said, "whether trainee is in x-group:G1, which gives the role lead, is not known right now: the moon is in the way") {
			t.Errorf("round %d: said %s", round, said)
		}
		w.groups.set(func() { w.groups.err = nil })
		// What the network vouches for now counts when it acts.
		w.groups.set(func() { w.groups.standing["x:trainee"] = bot.Disabled })
		if said := shown(w.gets("x:trainee", fmt.Sprintf("deploy shop v%d staging", 2+round), bot.OutcomeDenied).Card); !strings.Contains(said, "account disabled") {
			t.Errorf("round %d: said %s", round, said)
		}
		w.groups.set(func() { delete(w.groups.standing, "x:trainee") })
	}
	if w.groups.opened != 1 {
		t.Errorf("the network was opened %d times; what it hears reaches one of them", w.groups.opened)
	}
	if acts := effects(w.far); len(acts) != 0 {
		t.Errorf("done for somebody disabled: %q", acts)
	}
}
