package discordchat

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"quarterdeck/adapters/discord/fakediscord"
	"quarterdeck/bot"
)

// standStill is a setting of a world whose bot is not run, as when it is set up or
// checked.
func standStill(s *setting) { s.idle = true }

// between puts a proxy before the fake that changes what it answers.
func between(t *testing.T, w *world, change map[string]func(m map[string]any)) {
	t.Helper()
	to, err := url.Parse(w.URL())
	if err != nil {
		t.Fatal(err)
	}
	to.Path = ""
	p := httputil.NewSingleHostReverseProxy(to)
	p.ModifyResponse = func(r *http.Response) error {
		do := change[strings.TrimPrefix(r.Request.URL.Path, "/api/v10/")]
		if do == nil || r.StatusCode != http.StatusOK {
			return nil
		}
		var m map[string]any
		if err := json.NewDecoder(r.Body).Decode(&m); err != nil {
			return err
		}
		do(m)
		raw, err := json.Marshal(m)
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(raw)), int64(len(raw))
		r.Header.Set("Content-Length", strconv.Itoa(len(raw)))
		return err
	}
	server := httptest.NewServer(p)
	t.Cleanup(server.Close)
	w.chat.base = server.URL + "/api/v10/"
}

func idsOf(all []bot.Surveyed) (list []string) {
	for _, s := range all {
		list = append(list, s.ID)
	}
	return list
}

// TestSurvey lists what a configuration names: the guild, the channels that the bot
// can post to before others and one for the log first, roles that people give each
// other, and people.
func TestSurvey(t *testing.T) {
	w := newWorld(t, standStill, func(s *setting) { s.o.Setup, s.config.Guilds = true, nil })
	w.SetGuild(fakediscord.Guild{ID: otherGuild, Name: "Others", NoBot: true})
	w.SetGuild(fakediscord.Guild{ID: guild, Name: "Acme", Owner: admin, Roles: []fakediscord.Role{{ID: sreRole, Name: "sre"}, {ID: "303", Name: "quarterdeck", Managed: true}}})
	w.SetChannel(fakediscord.Channel{ID: "603", Guild: guild, Name: "zz-audit"})
	w.SetChannel(fakediscord.Channel{ID: "604", Guild: guild, Name: "audit-mute", Denies: fakediscord.AttachFiles})
	w.SetChannel(fakediscord.Channel{ID: "605", Guild: guild, Name: "voice", Kind: 2})
	w.Fail("GET /guilds/{guild_id}/roles", fakediscord.Outage{Status: 429, RetryAfter: 10 * time.Millisecond, Times: 1})
	found, err := w.chat.Survey(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if found.Where != "Acme (500)" || !slices.Contains(found.Keys, `guilds = ["500"]`) || !slices.Contains(found.Keys, fmt.Sprintf("api_url = %q", w.URL())) {
		t.Errorf("%q, keys %q", found.Where, found.Keys)
	}
	if got := idsOf(found.Channels); !slices.Equal(got, []string{"discord:603", "discord:600", "discord:604", "discord:601"}) || !found.Channels[0].Audit || found.Channels[2].Audit {
		t.Errorf("channels %+v", found.Channels)
	}
	if note := found.Channels[2].Note; note != "the bot lacks: Attach Files" {
		t.Errorf("%q", note)
	}
	if got := idsOf(found.Groups); !slices.Equal(got, []string{"discord-role:500/301"}) || found.Groups[0].Name != "@sre" {
		t.Errorf("roles %+v", found.Groups)
	}
	members := idsOf(found.Members)
	if !slices.Contains(members, "discord:"+dev) || slices.Contains(members, "discord:"+otherBot) || slices.Contains(members, "discord:"+stranger) {
		t.Errorf("members %q", members)
	}
	// Without the privileged intent nobody is listed, and who is looked for is found.
	w.Fail("GET /guilds/{guild_id}/members", fakediscord.Outage{Status: 403, Code: missingAccess})
	found, err = w.chat.Survey(t.Context())
	if err != nil || len(found.Members) > 0 || !strings.Contains(strings.Join(found.Left, ";"), "Server Members intent") {
		t.Errorf("%+v, %v", found, err)
	}
	for _, name := range []string{"@DEV", dev} {
		if got, err := w.chat.Find(t.Context(), name); err != nil || !slices.Equal(idsOf(got), []string{"discord:" + dev}) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	for _, name := range []string{"nobody", "99", otherBot, "de"} {
		if got, err := w.chat.Find(t.Context(), name); err != nil || len(got) > 0 {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

// TestSurveyFails says what keeps a survey from being made, and what to do.
func TestSurveyFails(t *testing.T) {
	for name, c := range map[string]struct {
		token  string
		before func(f *fakediscord.Server)
		says   string
	}{
		"refused": {before: func(f *fakediscord.Server) {
			f.Fail("GET /applications/@me", fakediscord.Outage{Status: 401})
		}, says: "Discord refuses the bot token; choose Reset Token"},
		"down":       {before: func(f *fakediscord.Server) { f.Fail("", fakediscord.Outage{Status: 503}) }, says: "Discord has a fault"},
		"nowhere":    {before: func(f *fakediscord.Server) { noGuilds(f) }, says: "the bot is in none of your servers yet; whoever manages one opens https://discord.com/oauth2/authorize?client_id=9001"},
		"an id":      {token: "81384788765712384", says: "bot_token holds an id"},
		"prefixed":   {token: "Bot abc.def.ghi", says: `begins with "Bot "`},
		"a secret":   {token: strings.Repeat("a", 31) + "_", says: "a Client Secret"},
		"a key":      {token: strings.Repeat("ab", 32), says: "the Public Key"},
		"of Slack's": {token: "xoxb-1-2-3", says: "a token of Slack's"},
	} {
		t.Run(name, func(t *testing.T) {
			if c.token != "" {
				t.Setenv("DISCORD_OTHER_TOKEN", c.token)
			}
			w := newWorld(t, standStill, func(s *setting) {
				s.o.Setup, s.config.Guilds, s.before = true, nil, c.before
				if c.token != "" {
					s.config.BotToken = "env:DISCORD_OTHER_TOKEN"
				}
			})
			_, err := w.chat.Survey(t.Context())
			if err == nil || !strings.Contains(bot.Sentence(err, "x"), c.says) {
				t.Errorf("%v, want %s", err, c.says)
			}
			if c.token != "" && strings.Contains(fmt.Sprint(err), c.token) {
				t.Errorf("the token is told: %v", err)
			}
		})
	}
}

func noGuilds(f *fakediscord.Server) {
	f.SetGuild(fakediscord.Guild{ID: guild, Name: "Acme", NoBot: true})
	f.SetGuild(fakediscord.Guild{ID: otherGuild, Name: "Others", NoBot: true})
}

// TestManifest gives the invite link with the least permissions, and what to tick.
func TestManifest(t *testing.T) {
	t.Setenv("DISCORD_REAL_TOKEN", "MTU3NzMwNTkwNDkyMTk2ODY0.Gabcde.0123456789")
	s, err := open(bot.ChatOptions{Raw: settings{Config{BotToken: "env:DISCORD_REAL_TOKEN"}}, Setup: true})
	if err != nil {
		t.Fatal(err)
	}
	m, err := s.Manifest("")
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(strings.TrimSpace(m.Text))
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	if u.Host != "discord.com" || u.Path != "/oauth2/authorize" || q.Get("client_id") != "157730590492196864" || q.Get("scope") != "bot applications.commands" || q.Get("permissions") != "309237763072" || q.Get("integration_type") != "0" {
		t.Errorf("%s", m.Text)
	}
	if bits := needed(); bits&administrator != 0 || bits&(1<<17) != 0 || bits != int64(fakediscord.Everything) {
		t.Errorf("it asks for %d", bits)
	}
	next := strings.Join(m.Next, "\n")
	for _, want := range []string{"untick Public Bot", "Privileged Gateway Intents off", "DISCORD_BOT_TOKEN", "Send Messages in Threads"} {
		if !strings.Contains(next, want) {
			t.Errorf("it does not say %q:\n%s", want, next)
		}
	}
	if strings.Contains(m.Text+next+string(m.JSON), "Gabcde") {
		t.Error("the token is told")
	}
	s, err = open(bot.ChatOptions{Raw: settings{Config{BotToken: "env:DISCORD_NONE"}}, Setup: true})
	if err != nil {
		t.Fatal(err)
	}
	m, err = s.Manifest("https://ops.example.com/")
	if err != nil || !strings.Contains(m.Text, "APPLICATION_ID") || !strings.Contains(strings.Join(m.Next, "\n"), "https://ops.example.com/discord/interactions") || !strings.Contains(strings.Join(m.Next, "\n"), "APPLICATION_ID") {
		t.Errorf("%+v, %v", m, err)
	}
	http, err := open(bot.ChatOptions{Raw: settings{Config{Guilds: []string{guild}, Mode: modeHTTP, PublicKey: strings.Repeat("ab", 32)}}})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(http.Routes(), func(r bot.Route) bool { return r.Path == "/discord/interactions" }) {
		t.Error("the address is no route of the bot")
	}
	for _, at := range []string{"http://ops.example.com", "ops.example.com", "https://", "https://u:p@ops.example.com", "https://ops.example.com?x=1", "https://ops.example.com#x"} {
		if _, err := s.Manifest(at); bot.KindOf(err) != bot.Invalid {
			t.Errorf("%q: %v", at, err)
		}
	}
}

func says(found []bot.Finding, level bot.FindingLevel, part string) bool {
	return slices.ContainsFunc(found, func(f bot.Finding) bool { return f.Level == level && strings.Contains(f.Say, part) })
}

// TestProbe finds everything in order where it is, opens no connection, and posts
// only where that was asked for.
func TestProbe(t *testing.T) {
	w := newWorld(t, standStill)
	o := bot.ProbeOptions{Audit: []bot.ChannelID{"discord:" + ops}, Groups: []string{guild + "/" + sreRole}, Accounts: []bot.AccountID{"discord:" + dev}}
	found := w.chat.Probe(t.Context(), o)
	for _, want := range []string{"the bot is quarterdeck (9001)", "no privileged intent", "a connection can be opened", "the clock agrees", "the bot is in Acme (500) with the permissions", "can post to the audit channel discord:600 (#ops)",
		"discord-role:500/301 is @sre", "the people's accounts are members"} {
		if !says(found, bot.InOrder, want) {
			t.Errorf("it does not find %q", want)
		}
	}
	for _, f := range found {
		if f.Level == bot.Broken || f.Level == bot.Doubtful && !strings.Contains(f.Say, "no slash command is registered") {
			t.Errorf("%s: %s", f.Level, f.Say)
		}
	}
	if n := len(w.Messages(ops)); n != 0 || w.Sessions() != 0 {
		t.Errorf("%d messages, %d sessions", n, w.Sessions())
	}
	o.Post = true
	if found = w.chat.Probe(t.Context(), o); !says(found, bot.InOrder, "a test message was posted") || len(w.Messages(ops)) != 1 {
		t.Errorf("%+v", found)
	}
}

// TestProbeFinds each thing that is not as it should be, with what to do about it.
func TestProbeFinds(t *testing.T) {
	everything := fakediscord.Guild{ID: guild, Name: "Acme", Roles: []fakediscord.Role{{ID: sreRole, Name: "sre"}, {ID: "303", Name: "robot", Managed: true}}}
	application := func(change func(m map[string]any)) func(t *testing.T, w *world) {
		return func(t *testing.T, w *world) {
			between(t, w, map[string]func(m map[string]any){"applications/@me": change})
		}
	}
	for name, c := range map[string]struct {
		config func(c *Config)
		do     func(t *testing.T, w *world)
		o      bot.ProbeOptions
		level  bot.FindingLevel
		says   string
	}{
		"the token":           {do: func(t *testing.T, w *world) { w.Fail("GET /applications/@me", fakediscord.Outage{Status: 401}) }, level: bot.Broken, says: "refuses the bot token; choose Reset Token"},
		"the network":         {do: func(t *testing.T, w *world) { w.Fail("GET /applications/@me", fakediscord.Outage{Status: 502}) }, level: bot.Broken, says: "look at the network"},
		"another application": {config: func(c *Config) { c.Application = "7" }, level: bot.Broken, says: "belongs to the application 9001"},
		"a public bot":        {do: application(func(m map[string]any) { m["bot_public"] = true }), level: bot.Doubtful, says: "untick Public Bot"},
		"a code grant":        {do: application(func(m map[string]any) { m["bot_require_code_grant"] = true }), level: bot.Broken, says: "untick it"},
		"intents":             {do: application(func(m map[string]any) { m["flags"] = 1<<18 | 1<<14 }), level: bot.Doubtful, says: "the Server Members and the Message Content intent"},
		"posted elsewhere":    {do: application(func(m map[string]any) { m["interactions_endpoint_url"] = "https://x.example/i" }), level: bot.Broken, says: "none comes by the gateway"},
		"posted nowhere":      {config: func(c *Config) { c.Mode = modeHTTP }, level: bot.Broken, says: "does not know where to send interactions"},
		"another key": {config: func(c *Config) { c.Mode = modeHTTP }, do: application(func(m map[string]any) {
			m["interactions_endpoint_url"], m["verify_key"] = "https://x.example/discord/interactions", strings.Repeat("0", 64)
		}), level: bot.Broken, says: "public_key is another application's"},
		"posted here": {config: func(c *Config) { c.Mode = modeHTTP }, do: application(func(m map[string]any) {
			m["interactions_endpoint_url"] = "https://x.example/discord/interactions"
		}), level: bot.InOrder, says: "sends interactions to https://x.example"},
		"few connections": {do: func(t *testing.T, w *world) {
			between(t, w, map[string]func(m map[string]any){"gateway/bot": func(m map[string]any) {
				m["session_start_limit"] = map[string]any{"total": 1000, "remaining": 3, "reset_after": 3600000}
			}})
		}, level: bot.Doubtful, says: "only 3 of 1000 connections are left"},
		"no gateway":    {do: func(t *testing.T, w *world) { w.Fail("GET /gateway/bot", fakediscord.Outage{Status: 500}) }, level: bot.Broken, says: "no connection can be opened"},
		"not invited":   {do: func(t *testing.T, w *world) { noGuilds(w.Server) }, level: bot.Broken, says: "the bot is not in the server 500"},
		"no such guild": {config: func(c *Config) { c.Guilds = []string{"777"} }, level: bot.Broken, says: "the bot is not in the server 777"},
		"administrator": {do: func(t *testing.T, w *world) {
			g := everything
			g.Roles = append(g.Roles, fakediscord.Role{ID: "304", Name: "root", Permissions: fakediscord.Administrator})
			w.SetGuild(g)
			w.SetUser(fakediscord.User{ID: own, Name: "quarterdeck", Bot: true, Roles: map[string][]string{guild: {"304"}}})
		}, level: bot.Doubtful, says: "the bot is Administrator in Acme"},
		"old commands": {do: func(t *testing.T, w *world) {
			put := []map[string]any{{"name": "deplyo", "description": "x", "type": 1}}
			if err := w.chat.call(t.Context(), http.MethodPut, "applications/9001/guilds/500/commands", put, nil); err != nil {
				t.Fatal(err)
			}
		}, level: bot.Doubtful, says: "not the bot's any more: deplyo"},
		"commands everywhere": {do: func(t *testing.T, w *world) {
			put := []map[string]any{{"name": "deploy", "description": "x", "type": 1}}
			if err := w.chat.call(t.Context(), http.MethodPut, "applications/9001/commands", put, nil); err != nil {
				t.Fatal(err)
			}
		}, level: bot.Doubtful, says: "registered for every server as well"},
		"no commands": {do: func(t *testing.T, w *world) {
			w.Fail("GET /applications/{application_id}/guilds/{guild_id}/commands", fakediscord.Outage{Status: 403, Code: missingAccess})
		}, level: bot.Broken, says: "it was invited without them"},
		"a channel unseen":    {o: bot.ProbeOptions{Audit: []bot.ChannelID{"discord:" + quiet}}, level: bot.Broken, says: "does not see the audit channel discord:601"},
		"no such channel":     {o: bot.ProbeOptions{Channels: []bot.ChannelID{"discord:999"}}, level: bot.Broken, says: "does not see the channel discord:999"},
		"a channel elsewhere": {o: bot.ProbeOptions{Audit: []bot.ChannelID{"discord:" + elsewhere}}, level: bot.Broken, says: "in the server 501, which is not among guilds"},
		"a permission lacks": {do: func(t *testing.T, w *world) {
			w.SetChannel(fakediscord.Channel{ID: ops, Guild: guild, Name: "ops", Denies: fakediscord.EmbedLinks | fakediscord.AttachFiles})
		}, o: bot.ProbeOptions{Audit: []bot.ChannelID{"discord:" + ops}}, level: bot.Broken, says: "the bot lacks Embed Links, Attach Files in the audit channel"},
		"a voice channel": {do: func(t *testing.T, w *world) {
			w.SetChannel(fakediscord.Channel{ID: "606", Guild: guild, Name: "voice", Kind: 2})
		}, o: bot.ProbeOptions{Audit: []bot.ChannelID{"discord:606"}}, level: bot.Broken, says: "no channel in which people write"},
		"a thread": {do: func(t *testing.T, w *world) {
			w.SetChannel(fakediscord.Channel{ID: "606", Guild: guild, Parent: ops, Name: "talk", Kind: fakediscord.PublicThread})
		}, o: bot.ProbeOptions{Audit: []bot.ChannelID{"discord:606"}}, level: bot.Doubtful, says: "is a thread"},
		"no such role":   {o: bot.ProbeOptions{Groups: []string{guild + "/999"}}, level: bot.Broken, says: "there is no role discord-role:500/999"},
		"everyone":       {o: bot.ProbeOptions{Groups: []string{guild + "/" + guild}}, level: bot.Broken, says: "is @everyone"},
		"another's role": {o: bot.ProbeOptions{Groups: []string{otherGuild + "/1"}}, level: bot.Broken, says: "is of the server 501"},
		"a robot's role": {do: func(t *testing.T, w *world) { w.SetGuild(everything) }, o: bot.ProbeOptions{Groups: []string{guild + "/303"}}, level: bot.Doubtful, says: "given by an integration"},
		"who left":       {o: bot.ProbeOptions{Accounts: []bot.AccountID{"discord:" + dev, "discord:" + stranger, "discord:" + otherBot, "discord:x"}}, level: bot.Doubtful, says: "may not run anything: discord:104, discord:106, discord:x;"},
		"a post is refused": {do: func(t *testing.T, w *world) {
			w.Fail("POST /channels/{channel_id}/messages", fakediscord.Outage{Status: 403, Code: missingAccess})
		}, o: bot.ProbeOptions{Audit: []bot.ChannelID{"discord:" + ops}, Post: true}, level: bot.Broken, says: "the test message does not arrive"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, standStill, func(s *setting) {
				if c.config != nil {
					c.config(&s.config)
				}
			})
			if c.do != nil {
				c.do(t, w)
			}
			found := w.chat.Probe(t.Context(), c.o)
			if !says(found, c.level, c.says) {
				t.Errorf("it does not say %q:\n%+v", c.says, found)
			}
			for _, f := range found {
				if strings.Contains(f.Say, "discord-fake-token") {
					t.Errorf("the token is told: %s", f.Say)
				}
			}
		})
	}
}

// TestDrift finds no difference once serve has registered the commands.
func TestDrift(t *testing.T) {
	w := newWorld(t)
	w.until(t, "the commands", func() bool { return len(w.Commands(guild)) > 0 })
	if found := w.chat.Probe(t.Context(), bot.ProbeOptions{}); !says(found, bot.InOrder, "slash commands are registered in Acme (500)") {
		t.Errorf("%+v", found)
	}
}
