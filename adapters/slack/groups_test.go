package slackchat

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"quarterdeck/adapters/slack/fakeslack"
	"quarterdeck/bot"
	"quarterdeck/bot/bottest"
	"quarterdeck/bot/memo"
)

// quiet is a fake Slack and the adapter on it, which does not run: it is only
// asked. Its clock stands.
func quiet(t *testing.T, c Config, change ...func(*fakeslack.Options)) (*fakeslack.Server, *chat, *bottest.Clock) {
	t.Helper()
	clock := bottest.NewClock(time.Date(2026, 11, 2, 3, 0, 0, 0, time.UTC))
	o := fakeslack.Options{Clock: clock}
	if dir := contracts(t); dir != "" {
		o.Methods = filepath.Join(dir, "methods")
	}
	for _, change := range change {
		change(&o)
	}
	fake, err := fakeslack.New(o)
	if err != nil {
		t.Fatal(err)
	}
	o = fake.Options()
	t.Setenv("SLACK_BOT_TOKEN", o.BotToken)
	t.Setenv("SLACK_APP_TOKEN", o.AppToken)
	t.Setenv("SLACK_SIGNING_SECRET", o.SigningSecret)
	t.Cleanup(func() {
		fake.Close()
		web.CloseIdleConnections()
		for _, wrong := range fake.Wrong() {
			t.Errorf("Slack's rules were broken: %s", wrong)
		}
	})
	if c.Teams == nil {
		c.Teams = []string{o.TeamID}
	}
	c.APIURL = fake.URL()
	s, err := open(bot.ChatOptions{Raw: table{c}, Clock: clock})
	if err != nil {
		t.Fatal(err)
	}
	return fake, s, clock
}

func inHouse(fake *fakeslack.Server) {
	fake.SetUser(fakeslack.User{ID: "USRE"})
	fake.SetUser(fakeslack.User{ID: "WSRE"})
	fake.SetUser(fakeslack.User{ID: "UDEV"})
	fake.SetUser(fakeslack.User{ID: "UGUEST", Kind: fakeslack.Guest})
	fake.SetUser(fakeslack.User{ID: "UGONE", Kind: fakeslack.Gone})
	fake.SetUser(fakeslack.User{ID: "UCONNECT", TeamID: "T9", Kind: fakeslack.Connected})
	fake.SetGroup(fakeslack.Group{ID: "S0SRE", Handle: "sre", Users: []string{"USRE", "WSRE", "UGUEST", "UGONE", "UCONNECT"}})
	fake.SetGroup(fakeslack.Group{ID: "S0OLD", Handle: "old", Users: []string{"USRE"}, Disabled: true})
}

// Full members of the workspace who are in the group hold it, nobody else.
func TestGroupMembers(t *testing.T) {
	fake, s, _ := quiet(t, Config{})
	inHouse(fake)
	for account, want := range map[bot.AccountID]bool{"slack:T1/USRE": true, "slack:T1/WSRE": true, "slack:T1/UDEV": false, "slack:T1/UGUEST": false, "slack:T1/UGONE": false,
		"slack:T1/UCONNECT": false, "slack:T9/UCONNECT": false, "slack:T9/USRE": false, "discord:USRE": false, "os:1000": false, "slack:USRE": false, "slack:T1/": false} {
		for name, ask := range map[string]func() (bool, error){"Holds": func() (bool, error) { return s.Holds(t.Context(), "S0SRE", account) }, "HoldsNow": func() (bool, error) { return s.HoldsNow(t.Context(), "S0SRE", account) }} {
			if got, err := ask(); err != nil || got != want {
				t.Errorf("%s of %s: %v, %v", name, account, got, err)
			}
		}
	}
	if in, err := s.Holds(t.Context(), "S0OLD", "slack:T1/USRE"); in || err != nil {
		t.Errorf("a disabled group is held: %v, %v", in, err)
	}
	if in, err := s.Holds(t.Context(), "S0NONE", "slack:T1/USRE"); in || bot.KindOf(err) != bot.NotFound {
		t.Errorf("a group that is none: %v, %v", in, err)
	}
	for group, good := range map[string]bool{"S0SRE": true, "sre": false, "@sre": false, "": false, "S": false, "s0sre": false, "S0 SRE": false} {
		if fault := s.GroupFault(group); (fault == "") != good {
			t.Errorf("group %q: %q", group, fault)
		}
	}
}

// A thousand messages of twenty people at once ask Slack once about each of them
// and once about the group in a period.
func TestLookUpStorm(t *testing.T) {
	fake, s, clock := quiet(t, Config{})
	inHouse(fake)
	people := []string{}
	for i := range 20 {
		id := "U" + string(rune('A'+i)) + "STORM"
		fake.SetUser(fakeslack.User{ID: id})
		people = append(people, id)
	}
	fake.SetGroup(fakeslack.Group{ID: "S0SRE", Users: people})
	storm := func() {
		var all sync.WaitGroup
		for i := range 1000 {
			all.Go(func() {
				user := people[i%len(people)]
				if standing := s.people.standing(t.Context(), "T1", "", user); standing != bot.Member {
					t.Errorf("%s is %q", user, standing)
				}
				if in, err := s.Holds(t.Context(), "S0SRE", bot.AccountID("slack:T1/"+user)); !in || err != nil {
					t.Errorf("%s: %v, %v", user, in, err)
				}
			})
		}
		all.Wait()
	}
	for period := 1; period <= 3; period++ {
		storm()
		clock.Advance(groupLife - time.Second)
		storm()
		clock.Advance(2 * time.Second)
		if users, groups := len(fake.Calls("users.info")), len(fake.Calls("usergroups.users.list")); users != period*len(people) || groups != period {
			t.Errorf("after %d periods: %d calls about %d people, %d about the group", period, users, len(people), groups)
		}
	}
}

// What somebody was is remembered; when they act they are asked about afresh,
// and an event has it asked anew at once.
func TestAskedAfresh(t *testing.T) {
	fake, s, clock := quiet(t, Config{})
	inHouse(fake)
	holds := func() bool {
		t.Helper()
		in, err := s.Holds(t.Context(), "S0SRE", "slack:T1/USRE")
		if err != nil {
			t.Fatal(err)
		}
		return in
	}
	holdsNow := func() bool {
		t.Helper()
		in, err := s.HoldsNow(t.Context(), "S0SRE", "slack:T1/USRE")
		if err != nil {
			t.Fatal(err)
		}
		return in
	}
	if !holds() || !holdsNow() {
		t.Fatal("a member holds nothing")
	}
	fake.SetGroup(fakeslack.Group{ID: "S0SRE", Users: []string{"WSRE"}}) // and the event is lost
	clock.Advance(time.Minute)
	if !holds() {
		t.Error("what was told a minute ago is not remembered")
	}
	if holdsNow() {
		t.Error("when acting, somebody who left the group holds it")
	}
	for name, event := range map[string]string{"subteam_updated": `{"type":"subteam_updated","subteam":{"id":"S0SRE"}}`,
		"subteam_members_changed": `{"type":"subteam_members_changed","subteam_id":"S0SRE"}`} {
		users := []string{"USRE"}
		if was := holds(); was {
			users = nil
		}
		fake.SetGroup(fakeslack.Group{ID: "S0SRE", Users: users})
		if _, ok := s.event(outer{Event: json.RawMessage(event)}); ok {
			t.Errorf("%s is taken for a message", name)
		}
		if holds() != (users != nil) {
			t.Errorf("after %s the old members are believed", name)
		}
	}
	fake.SetGroup(fakeslack.Group{ID: "S0SRE", Users: []string{"USRE"}})
	s.groups.forget("S0SRE")
	if !holds() {
		t.Fatal("a member holds nothing")
	}
	// Deactivated, and made a guest: the account is asked about too.
	for _, kind := range []fakeslack.Kind{fakeslack.Gone, fakeslack.Guest} {
		fake.SetUser(fakeslack.User{ID: "USRE", Kind: kind})
		clock.Advance(time.Minute)
		if standing, err := s.Vouch(t.Context(), "slack:T1/USRE"); err != nil || standing == bot.Member {
			t.Errorf("as %q: %q, %v", kind, standing, err)
		}
		if holdsNow() {
			t.Errorf("as %q the group is held", kind)
		}
		fake.SetUser(fakeslack.User{ID: "USRE"})
		s.people.forget("USRE")
		if !holdsNow() {
			t.Fatal("a member holds nothing")
		}
	}
	for account, want := range map[bot.AccountID]bot.Standing{"slack:T1/USRE": bot.Member, "slack:T9/USRE": bot.External, "os:1": bot.Unvouched, "slack:T1/UNOBODY": bot.External} {
		if standing, err := s.Vouch(t.Context(), account); err != nil || standing != want {
			t.Errorf("%s is %q, %v", account, standing, err)
		}
	}
}

// An outage takes the role away with a sentence, and comes to an end.
func TestGroupsFailClosed(t *testing.T) {
	fake, s, clock := quiet(t, Config{})
	inHouse(fake)
	for method, outages := range map[string]map[string]fakeslack.Outage{
		"usergroups.users.list": {"500": {Status: 500}, "a page": {HTML: true}, "no answer": {Hang: true}, "429": {Status: 429, RetryAfter: 7 * time.Second}, "scope": {Error: "missing_scope"}, "its own word": {Error: "fatal_error"}},
		"users.info":            {"500": {Status: 500}, "429": {Status: 429, RetryAfter: 7 * time.Second}},
	} {
		for name, o := range outages {
			if in, err := s.HoldsNow(t.Context(), "S0SRE", "slack:T1/USRE"); !in || err != nil {
				t.Fatalf("before %s %s: %v, %v", method, name, in, err)
			}
			clock.Advance(2 * time.Second)
			fake.Fail(method, o)
			before := len(fake.Calls(method))
			in, err := s.HoldsNow(t.Context(), "S0SRE", "slack:T1/USRE")
			if in || err == nil || bot.Sentence(err, "") == "internal error, ref " {
				t.Errorf("%s %s: %v, %v", method, name, in, err)
			}
			fake.Mend()
			if o.Status == http.StatusTooManyRequests || o.Error == "missing_scope" {
				if in, err := s.HoldsNow(t.Context(), "S0SRE", "slack:T1/USRE"); in || err == nil || len(fake.Calls(method)) != before+1 {
					t.Errorf("%s %s: %v, %v after %d calls although it is to wait", method, name, in, err, len(fake.Calls(method))-before)
				}
				clock.Advance(memo.SorryFor)
				s.gate.forget() // which goes by the machine's clock
			}
		}
	}
}

// A token of a whole organisation names the workspace; each configured one is
// asked until one knows the group.
func TestGroupsOfAnOrganisation(t *testing.T) {
	fake, s, _ := quiet(t, Config{Teams: []string{"E1", "T1"}}, func(o *fakeslack.Options) { o.OrgWide, o.EnterpriseID = true, "E1" })
	inHouse(fake)
	fake.SetUser(fakeslack.User{ID: "WSRE", TeamID: "T7", Enterprise: "E1"})
	if in, err := s.Holds(t.Context(), "S0SRE", "slack:E1/WSRE"); !in || err != nil {
		t.Errorf("%v, %v", in, err)
	}
	if calls := fake.Calls("usergroups.users.list"); len(calls) != 1 || calls[0].Args.Get("team_id") != "T1" {
		t.Errorf("calls %+v", calls)
	}
	_, alone, _ := quiet(t, Config{Teams: []string{"E1"}}, func(o *fakeslack.Options) { o.OrgWide, o.EnterpriseID = true, "E1" })
	if in, err := alone.Holds(t.Context(), "S0SRE", "slack:E1/WSRE"); in || err == nil {
		t.Errorf("without a workspace: %v, %v", in, err)
	}
}

// Slack's own samples of a group that changed have it asked anew.
func TestGroupEventSamples(t *testing.T) {
	dir := contracts(t)
	if dir == "" {
		t.Skip("the contracts are not there")
	}
	fake, s, _ := quiet(t, Config{})
	inHouse(fake)
	for i, name := range []string{"SubteamMembersChangedPayload", "SubteamUpdatedPayload"} {
		raw, err := os.ReadFile(filepath.Join(dir, "events", name+".json"))
		if err != nil {
			t.Fatal(err)
		}
		var sample map[string]any
		if err := json.Unmarshal(raw, &sample); err != nil {
			t.Fatal(err)
		}
		event := sample["event"].(map[string]any)
		if subteam, ok := event["subteam"].(map[string]any); ok { // ids are scrubbed
			subteam["id"] = "S0SRE"
		} else {
			event["subteam_id"] = "S0SRE"
		}
		body, err := json.Marshal(sample)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if in, err := s.Holds(t.Context(), "S0SRE", "slack:T1/USRE"); !in || err != nil {
				t.Fatal(in, err)
			}
		}
		if _, ours, err := s.decode(kindEvents, body); ours || err != nil {
			t.Errorf("%s: taken for a message: %v, %v", name, ours, err)
		}
		if in, err := s.Holds(t.Context(), "S0SRE", "slack:T1/USRE"); !in || err != nil {
			t.Fatal(in, err)
		}
		if n := len(fake.Calls("usergroups.users.list")); n != i+2 {
			t.Errorf("%s: asked %d times", name, n)
		}
	}
}

// asking takes messages as the bot does: it asks which group their writer is in.
type asking struct {
	hub
	t *testing.T
	s *chat
}

func (a *asking) Receive(ctx context.Context, m bot.Message) (bot.Receipt, error) {
	if in, err := a.s.Holds(ctx, "S0SRE", m.Account); m.Standing != bot.Member || !in || err != nil {
		a.t.Errorf("%s is %q, in the group: %v, %v", m.Account, m.Standing, in, err)
	}
	return a.hub.Receive(ctx, m)
}

// Five hundred messages over the sockets cost one look-up for each of their ten
// writers and one for the group; five hundred more, once what was learnt is old,
// one more of each.
func TestStormOfMessages(t *testing.T) {
	fake, s, clock := quiet(t, Config{})
	users := []string{}
	for i := range 10 {
		users = append(users, fmt.Sprintf("USTORM%d", i))
		fake.SetUser(fakeslack.User{ID: users[i]})
	}
	fake.SetGroup(fakeslack.Group{ID: "S0SRE", Users: users})
	fake.SetChannel(fakeslack.Channel{ID: "C1", Name: "ops", Members: append(users, "UBOT")})
	in := &asking{t: t, s: s}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx, in) }()
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	if err := fake.Until(ctx, "both sockets", func() bool { return fake.Sockets() == sockets }); err != nil {
		t.Fatal(err)
	}
	for round := 1; round <= 2; round++ {
		var all sync.WaitGroup
		for w := range 50 {
			all.Go(func() {
				for i := range 10 {
					if sent, err := fake.Slash(ctx, fakeslack.Way{Socket: i % sockets}, users[(w+i)%len(users)], "C1", "status"); err != nil || !sent.Acked {
						t.Errorf("%+v, %v", sent, err)
					}
				}
			})
		}
		all.Wait()
		if n := len(in.messages()); n != round*500 {
			t.Fatalf("%d messages came in", n)
		}
		if people, groups := len(fake.Calls("users.info")), len(fake.Calls("usergroups.users.list")); people != round*len(users) || groups != round {
			t.Errorf("after %d messages: %d look-ups for %d people, %d for the group", round*500, people, len(users), groups)
		}
		clock.Advance(groupLife)
	}
}
