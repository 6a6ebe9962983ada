package slackchat

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"quarterdeck/adapters/slack/fakeslack"
	"quarterdeck/bot"
)

func ids(all []bot.Surveyed) []string {
	var list []string
	for _, s := range all {
		list = append(list, s.ID)
	}
	return list
}

// A survey finds every page, waits when Slack asks it to, shows full members
// alone and puts a channel that is fit for the log first.
func TestSurvey(t *testing.T) {
	fake, s, _ := quiet(t, Config{})
	inHouse(fake)
	for i := range 650 {
		fake.SetUser(fakeslack.User{ID: fmt.Sprintf("UMANY%03d", i), Name: fmt.Sprintf("many%03d", i)})
		fake.SetChannel(fakeslack.Channel{ID: fmt.Sprintf("CMANY%03d", i), Name: fmt.Sprintf("many%03d", i)})
	}
	fake.SetChannel(fakeslack.Channel{ID: "CAUDIT", Name: "zz-audit", Members: []string{"UBOT"}})
	fake.SetChannel(fakeslack.Channel{ID: "COPS", Name: "ops", Private: true, Members: []string{"UBOT"}})
	fake.SetChannel(fakeslack.Channel{ID: "CSHARED", Name: "audit-shared", Shared: true, Members: []string{"UBOT"}})
	fake.SetChannel(fakeslack.Channel{ID: "CHIDDEN", Name: "hidden", Private: true})
	fake.SetChannel(fakeslack.Channel{ID: "COLD", Name: "audit-old", Archived: true, Members: []string{"UBOT"}})
	for _, method := range []string{"conversations.list", "usergroups.list", "users.list"} {
		fake.Fail(method, fakeslack.Outage{Status: 429, RetryAfter: time.Second, Times: 1})
	}
	found, err := s.Survey(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if found.Where != "fake (T1)" || !slices.Contains(found.Keys, `teams = ["T1"]`) || !slices.Contains(found.Keys, fmt.Sprintf("api_url = %q", fake.URL())) {
		t.Errorf("%q, keys %q", found.Where, found.Keys)
	}
	channels := ids(found.Channels)
	if len(channels) != 653 || !slices.Equal(channels[:2], []string{"slack:CAUDIT", "slack:COPS"}) || !found.Channels[0].Audit || slices.Contains(channels, "slack:CHIDDEN") || slices.Contains(channels, "slack:COLD") {
		t.Errorf("%d channels, first %q", len(channels), channels[:4])
	}
	for _, c := range found.Channels {
		if c.ID == "slack:CSHARED" && (c.Audit || !strings.Contains(c.Note, "another organisation")) {
			t.Errorf("a shared channel: %+v", c)
		}
	}
	if got := ids(found.Groups); !slices.Equal(got, []string{"slack-group:S0SRE"}) || found.Groups[0].Name != "@sre" {
		t.Errorf("groups %q", got)
	}
	members := ids(found.Members)
	if len(members) != 653 || slices.Contains(members, "slack:T1/UGUEST") || slices.Contains(members, "slack:T1/UBOT") || slices.Contains(members, "slack:T1/UCONNECT") {
		t.Errorf("%d members", len(members))
	}
	if left := strings.Join(found.Left, "; "); !strings.Contains(left, "guests: 1") || !strings.Contains(left, "people from outside: 1") || !strings.Contains(left, "deactivated accounts: 1") {
		t.Errorf("left out: %s", left)
	}
	if n := len(fake.Calls("users.list")); n != 5 { // one refused, four pages
		t.Errorf("%d calls of users.list", n)
	}
}

// What keeps a survey from being made is said with what to do.
func TestSurveyFails(t *testing.T) {
	for name, c := range map[string]struct {
		token  string
		change func(o *fakeslack.Options)
		outage *fakeslack.Outage
		says   string
	}{
		"an app token":       {token: "xapp-fake", says: "bot_token holds an app-level token (xapp-...); put the Bot User OAuth Token"},
		"a wrong token":      {token: "xoxb-other", says: "Slack refuses the bot token (invalid_auth)"},
		"no scope":           {change: func(o *fakeslack.Options) { o.Scopes = []string{"channels:read", "groups:read"} }, says: "lacks the scope usergroups:read"},
		"an outage":          {outage: &fakeslack.Outage{Status: 503}, says: "Slack does not tell who the bot is: Slack cannot be reached"},
		"of an organisation": {change: func(o *fakeslack.Options) { o.OrgWide, o.EnterpriseID = true, "E1" }, says: "for the whole organisation E1"},
	} {
		t.Run(name, func(t *testing.T) {
			var change []func(*fakeslack.Options)
			if c.change != nil {
				change = append(change, c.change)
			}
			fake, s, _ := quiet(t, Config{}, change...)
			if c.token != "" {
				t.Setenv("SLACK_BOT_TOKEN", c.token)
			}
			if c.outage != nil {
				fake.Fail("", *c.outage)
			}
			s.config.Teams = nil // as before there is a configuration
			_, err := s.Survey(t.Context())
			if err == nil || !strings.Contains(bot.Sentence(err, "x"), c.says) || strings.Contains(err.Error(), "fake-") {
				t.Errorf("%v, want %q", err, c.says)
			}
		})
	}
	fake, s, _ := quiet(t, Config{})
	fake.Fail("auth.test", fakeslack.Outage{Status: 429, RetryAfter: time.Hour})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := s.Survey(ctx); err == nil {
		t.Error("a survey does not end with its context")
	}
}

// Each thing that is wrong in Slack is one finding that says what to do; where
// all is well there is none.
func TestProbe(t *testing.T) {
	type world struct {
		fake *fakeslack.Server
		s    *chat
	}
	hex := strings.Repeat("0a", 16)
	for name, c := range map[string]struct {
		config  Config
		options func(o *fakeslack.Options)
		do      func(t *testing.T, w world)
		level   bot.FindingLevel
		says    string
	}{
		"all is well":     {level: bot.InOrder, says: "the bot is in the audit channel slack:CAUDIT (#audit)"},
		"the socket":      {level: bot.InOrder, says: "a socket can be opened"},
		"scopes in order": {level: bot.InOrder, says: "the scopes that are needed and no others"},
		"a group":         {level: bot.InOrder, says: "5 in the user group slack-group:S0SRE"},
		"people":          {level: bot.InOrder, says: "the people's accounts are full members"},
		"who left":        {do: func(_ *testing.T, w world) { w.fake.SetUser(fakeslack.User{ID: "USRE", Kind: fakeslack.Gone}) }, level: bot.Doubtful, says: "may not run anything: slack:T1/USRE (disabled); disable the person"},
		"tokens mixed up": {do: func(t *testing.T, _ world) {
			t.Setenv("SLACK_BOT_TOKEN", "xapp-fake")
			t.Setenv("SLACK_APP_TOKEN", "xoxb-fake")
		}, level: bot.Broken, says: "bot_token holds an app-level token (xapp-...); put the Bot User OAuth Token"},
		"mixed up too":      {do: func(t *testing.T, _ world) { t.Setenv("SLACK_APP_TOKEN", "xoxb-fake") }, level: bot.Broken, says: "app_token holds a bot token (xoxb-...); put an App-Level Token"},
		"a user's token":    {do: func(t *testing.T, _ world) { t.Setenv("SLACK_BOT_TOKEN", "xoxp-fake") }, level: bot.Broken, says: "bot_token holds a user's token"},
		"rubbish":           {do: func(t *testing.T, _ world) { t.Setenv("SLACK_BOT_TOKEN", "hunter2hunter2") }, level: bot.Broken, says: "bot_token holds no token of Slack's"},
		"no token":          {do: func(t *testing.T, _ world) { t.Setenv("SLACK_BOT_TOKEN", "") }, level: bot.Broken, says: "the environment variable SLACK_BOT_TOKEN is not set"},
		"refused":           {do: func(t *testing.T, _ world) { t.Setenv("SLACK_BOT_TOKEN", "xoxb-other") }, level: bot.Broken, says: "Slack refuses the bot token (invalid_auth)"},
		"app token refused": {do: func(t *testing.T, _ world) { t.Setenv("SLACK_APP_TOKEN", "xapp-other") }, level: bot.Broken, says: "Slack refuses the app-level token (invalid_auth)"},
		"app token's scope": {do: func(_ *testing.T, w world) {
			w.fake.Fail("apps.connections.open", fakeslack.Outage{Error: "missing_scope"})
		}, level: bot.Broken, says: "the app-level token lacks the scope connections:write"},
		"no socket": {do: func(_ *testing.T, w world) { w.fake.Fail("apps.connections.open", fakeslack.Outage{Status: 500}) }, level: bot.Broken, says: "no socket can be opened"},
		"outage":    {do: func(_ *testing.T, w world) { w.fake.Fail("auth.test", fakeslack.Outage{HTML: true, Status: 502}) }, level: bot.Broken, says: "Slack cannot be reached"},
		"asked to wait": {do: func(_ *testing.T, w world) {
			w.fake.Fail("auth.test", fakeslack.Outage{Status: 429, RetryAfter: time.Second, Times: 1})
		}, level: bot.InOrder, says: "the bot is UBOT in fake (T1)"},
		"another workspace": {config: Config{Teams: []string{"T5"}}, level: bot.Broken, says: "belongs to the workspace T1 (fake), which is not among teams"},
		"a scope lacks": {options: func(o *fakeslack.Options) {
			o.Scopes = slices.DeleteFunc(fakeslack.Scopes(), func(s string) bool { return s == "files:write" })
		}, level: bot.Broken, says: "the bot token lacks files:write (to post charts"},
		"a scope too many": {options: func(o *fakeslack.Options) { o.Scopes = append(fakeslack.Scopes(), "channels:history", "admin") }, level: bot.Doubtful, says: "may do more than the bot needs: channels:history, admin"},
		"not invited":      {do: func(_ *testing.T, w world) { w.fake.SetChannel(fakeslack.Channel{ID: "CAUDIT", Name: "audit"}) }, level: bot.Broken, says: "the bot is not in the audit channel slack:CAUDIT (#audit); type /invite"},
		"not visible": {do: func(_ *testing.T, w world) {
			w.fake.SetChannel(fakeslack.Channel{ID: "CAUDIT", Name: "audit", Private: true})
		}, level: bot.Broken, says: "the bot does not see the audit channel slack:CAUDIT"},
		"archived": {do: func(_ *testing.T, w world) {
			w.fake.SetChannel(fakeslack.Channel{ID: "CAUDIT", Name: "audit", Archived: true, Members: []string{"UBOT"}})
		}, level: bot.Broken, says: "is archived"},
		"shared": {do: func(_ *testing.T, w world) {
			w.fake.SetChannel(fakeslack.Channel{ID: "CAUDIT", Name: "audit", Shared: true, Members: []string{"UBOT"}})
		}, level: bot.Broken, says: "is shared with another organisation, which reads the log; choose"},
		"shared and meant": {config: Config{Shared: []string{"CAUDIT"}}, do: func(_ *testing.T, w world) {
			w.fake.SetChannel(fakeslack.Channel{ID: "CAUDIT", Name: "audit", PendingShared: true, Members: []string{"UBOT"}})
		}, level: bot.Doubtful, says: "is shared with another organisation"},
		"no group": {do: func(_ *testing.T, w world) {
			w.s.groups = newGroups(w.s)
			w.fake.SetGroup(fakeslack.Group{ID: "S0SRE", Disabled: true})
		}, level: bot.Doubtful, says: "nobody is in the user group slack-group:S0SRE"},
		"clock behind": {do: func(_ *testing.T, w world) { w.s.o.Clock = ahead{w.s.o.Clock, -time.Minute} }, level: bot.Doubtful, says: "this machine's clock is 1m0s behind Slack's"},
		"clock far ahead": {config: Config{Mode: "http"}, do: func(t *testing.T, w world) {
			t.Setenv("SLACK_SIGNING_SECRET", hex)
			w.s.o.Clock = ahead{w.s.o.Clock, 10 * time.Minute}
		}, level: bot.Broken, says: "10m0s ahead of Slack's, so that signed requests are refused"},
		"a little off":      {do: func(_ *testing.T, w world) { w.s.o.Clock = ahead{w.s.o.Clock, 20 * time.Second} }, level: bot.InOrder, says: "the clock agrees"},
		"signing secret":    {config: Config{Mode: "http"}, do: func(t *testing.T, _ world) { t.Setenv("SLACK_SIGNING_SECRET", hex) }, level: bot.InOrder, says: "the signing secret is there"},
		"no signing secret": {config: Config{Mode: "http"}, do: func(t *testing.T, _ world) { t.Setenv("SLACK_SIGNING_SECRET", "") }, level: bot.Broken, says: "SLACK_SIGNING_SECRET is not set; it is under Basic Information"},
		"a token for it":    {config: Config{Mode: "http"}, do: func(t *testing.T, _ world) { t.Setenv("SLACK_SIGNING_SECRET", "xoxb-fake") }, level: bot.Broken, says: "signing_secret holds a bot token"},
	} {
		t.Run(name, func(t *testing.T) {
			var change []func(*fakeslack.Options)
			if c.options != nil {
				change = append(change, c.options)
			}
			fake, s, _ := quiet(t, c.config, change...)
			inHouse(fake)
			fake.SetChannel(fakeslack.Channel{ID: "CAUDIT", Name: "audit", Members: []string{"UBOT"}})
			if c.do != nil {
				c.do(t, world{fake, s})
			}
			found := s.Probe(t.Context(), bot.ProbeOptions{Audit: []bot.ChannelID{"slack:CAUDIT"}, Groups: []string{"S0SRE"}, Accounts: []bot.AccountID{"slack:T1/USRE", "slack:T1/UDEV"}})
			hit := false
			for _, f := range found {
				hit = hit || f.Level == c.level && strings.Contains(f.Say, c.says)
				if c.level != bot.Broken && f.Level == bot.Broken {
					t.Errorf("besides, a fault: %s", f.Say)
				}
				for _, secret := range []string{"xoxb-fake", "xapp-fake", "xoxb-other", "hunter2", hex} {
					if strings.Contains(f.Say, secret) {
						t.Errorf("a finding holds a secret: %s", f.Say)
					}
				}
			}
			if !hit {
				t.Errorf("no %s that says %q among %+v", c.level, c.says, found)
			}
			if n := len(fake.Messages("")); n != 0 {
				t.Errorf("%d messages were posted unasked", n)
			}
			if fake.Sockets() != 0 {
				t.Error("a socket was opened, which takes messages from the bot that serves")
			}
		})
	}
}

// ahead is a clock that is off.
type ahead struct {
	bot.Clock
	by time.Duration
}

func (a ahead) Now() time.Time { return a.Clock.Now().Add(a.by) }

// A test message is posted when it is asked for, and where it can be.
func TestProbePosts(t *testing.T) {
	fake, s, _ := quiet(t, Config{})
	fake.SetChannel(fakeslack.Channel{ID: "CAUDIT", Name: "audit", Members: []string{"UBOT"}})
	fake.SetChannel(fakeslack.Channel{ID: "CAWAY", Name: "away"})
	found := s.Probe(t.Context(), bot.ProbeOptions{Audit: []bot.ChannelID{"slack:CAUDIT", "slack:CAWAY"}, Post: true})
	if all := fake.Messages("CAUDIT"); len(all) != 1 || !strings.Contains(all[0].Text, "test message") {
		t.Errorf("posted %+v", all)
	}
	if !slices.ContainsFunc(found, func(f bot.Finding) bool {
		return f.Level == bot.InOrder && f.Say == "a test message was posted to slack:CAUDIT"
	}) ||
		slices.ContainsFunc(found, func(f bot.Finding) bool {
			return strings.Contains(f.Say, "test message") && strings.Contains(f.Say, "CAWAY")
		}) {
		t.Errorf("found %+v", found)
	}
	fake.Fail("chat.postMessage", fakeslack.Outage{Error: "restricted_action"})
	found = s.Probe(t.Context(), bot.ProbeOptions{Audit: []bot.ChannelID{"slack:CAUDIT"}, Post: true})
	if !slices.ContainsFunc(found, func(f bot.Finding) bool {
		return f.Level == bot.Broken && strings.Contains(f.Say, "the test message does not arrive in slack:CAUDIT: Slack does not take it: restricted_action")
	}) {
		t.Errorf("found %+v", found)
	}
}
