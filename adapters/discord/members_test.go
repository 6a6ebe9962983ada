package discordchat

import (
	"testing"
	"time"

	"quarterdeck/adapters/discord/fakediscord"
	"quarterdeck/bot"
	"quarterdeck/bot/bottest"
)

// A role is what the payload says, remembered for minutes, and asked about afresh
// when somebody acts by it. It counts in its own guild alone, and only there.
func TestRoles(t *testing.T) {
	clock := bottest.NewClock(time.Now())
	w := newWorld(t, func(s *setting) { s.o.Clock, s.fake.Clock = clock, clock })
	const ask = "GET /guilds/{guild_id}/members/{user_id}"
	group, account := guild+"/"+sreRole, bot.AccountID("discord:"+sre)
	holds := func(now bool) bool {
		t.Helper()
		f := w.chat.Holds
		if now {
			f = w.chat.HoldsNow
		}
		in, err := f(w.ctx, group, account)
		if err != nil {
			t.Error(err)
		}
		return in
	}
	w.asks(t, sre, ops)
	if !holds(false) || len(w.Calls(ask)) != 0 {
		t.Errorf("the payload said so, and Discord was asked %d times", len(w.Calls(ask)))
	}
	if !holds(true) || len(w.Calls(ask)) != 1 {
		t.Errorf("asked %d times for acting", len(w.Calls(ask)))
	}
	w.SetUser(fakediscord.User{ID: sre, Name: "sre", Roles: map[string][]string{guild: {}}})
	if !holds(false) || holds(true) || holds(false) {
		t.Error("a role that was taken away")
	}
	w.SetUser(fakediscord.User{ID: sre, Name: "sre", Roles: map[string][]string{guild: {sreRole}}})
	if holds(false) {
		t.Error("asked again at once")
	}
	clock.Advance(memberLife)
	if !holds(false) {
		t.Error("a role that was given")
	}
	w.SetUser(fakediscord.User{ID: sre, Name: "sre", Roles: map[string][]string{guild: {sreRole}}, Pending: true})
	if holds(true) {
		t.Error("somebody who has not agreed to the rules holds a role")
	}
	w.SetUser(fakediscord.User{ID: sre, Name: "sre"})
	if holds(true) {
		t.Error("somebody who left holds a role")
	}
	if standing, err := w.chat.Vouch(w.ctx, account); err != nil || standing != bot.External {
		t.Errorf("%q, %v", standing, err)
	}
	// The same role's id in a guild that is not configured is none.
	w.SetUser(fakediscord.User{ID: stranger, Name: "stranger", Roles: map[string][]string{otherGuild: {sreRole}}})
	for _, group := range []string{guild + "/" + sreRole, otherGuild + "/" + sreRole} {
		if in, err := w.chat.Holds(w.ctx, group, "discord:"+stranger); in || err != nil {
			t.Errorf("%s: %v %v", group, in, err)
		}
	}
	for _, account := range []bot.AccountID{"slack:T1/U1", "discord:dev", "discord:"} {
		if in, err := w.chat.Holds(w.ctx, group, account); in || err != nil {
			t.Errorf("%s: %v %v", account, in, err)
		}
	}
	w.Fail(ask, fakediscord.Outage{Status: 500})
	if _, err := w.chat.HoldsNow(w.ctx, guild+"/"+adminRole, "discord:"+admin); bot.KindOf(err) != bot.Unavailable {
		t.Errorf("while Discord is down: %v", err)
	}
}

func TestGroupFault(t *testing.T) {
	w := newWorld(t, func(s *setting) { s.idle = true })
	for group, ok := range map[string]bool{guild + "/" + sreRole: true, guild: false, sreRole: false, guild + "/sre": false, "acme/" + sreRole: false,
		guild + "/" + guild: false, otherGuild + "/" + sreRole: false, "": false} {
		if got := w.chat.GroupFault(group); (got == "") != ok {
			t.Errorf("%q: %q", group, got)
		}
	}
}
