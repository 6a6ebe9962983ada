package discordchat

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"quarterdeck/bot"
)

// Bounds of a survey.
const (
	maxGuilds  = 20
	maxPages   = 20 // of members: twenty thousand
	membersIn  = 1000
	guildsPage = 200
)

var (
	_ bot.Surveyor   = (*chat)(nil)
	_ bot.Finder     = (*chat)(nil)
	_ bot.Prober     = (*chat)(nil)
	_ bot.Manifester = (*chat)(nil)
)

// Survey implements bot.Surveyor. Where guilds are configured it lists those alone.
func (s *chat) Survey(ctx context.Context) (bot.Survey, error) {
	var found bot.Survey
	guilds, err := s.guilds(ctx)
	if err != nil {
		return found, err
	}
	var names, ids []string
	for _, g := range guilds {
		names, ids = append(names, fmt.Sprintf("%s (%s)", g.Name, g.ID)), append(ids, fmt.Sprintf("%q", g.ID))
	}
	found.Where = strings.Join(names, ", ")
	found.Keys = []string{"guilds = [" + strings.Join(ids, ", ") + "]"}
	if s.base != defaultAPI {
		found.Keys = append(found.Keys, fmt.Sprintf("api_url = %q", s.base))
	}
	if s.config.Mode == modeHTTP {
		found.Keys = append(found.Keys, fmt.Sprintf("mode = %q", modeHTTP), fmt.Sprintf("public_key = %q", s.config.PublicKey))
	}
	several := len(guilds) > 1
	for _, g := range guilds {
		st, err := s.stand(ctx, g.ID)
		if err != nil {
			return found, unsurveyed("what there is in "+g.Name, err)
		}
		of := ""
		if several {
			of = "of " + g.Name
		}
		if err := s.surveyChannels(ctx, st, of, &found); err != nil {
			return found, err
		}
		for _, r := range st.roles {
			if r.ID == g.ID || r.Managed { // everybody; and a bot's own
				continue
			}
			found.Groups = append(found.Groups, bot.Surveyed{ID: groupPrefix + ":" + g.ID + "/" + r.ID, Name: "@" + r.Name, Note: of})
		}
		if err := s.surveyMembers(ctx, g, of, &found); err != nil {
			return found, err
		}
	}
	for _, list := range [][]bot.Surveyed{found.Groups, found.Members} {
		slices.SortStableFunc(list, func(a, b bot.Surveyed) int { return strings.Compare(a.Name, b.Name) })
	}
	rank := func(c bot.Surveyed) int {
		switch {
		case c.Audit && strings.Contains(strings.ToLower(c.Name), "audit"):
			return 0
		case c.Audit:
			return 1
		}
		return 2
	}
	slices.SortStableFunc(found.Channels, func(a, b bot.Surveyed) int {
		if d := rank(a) - rank(b); d != 0 {
			return d
		}
		return strings.Compare(a.Name, b.Name)
	})
	return found, nil
}

// guilds gives the guilds that the bot is in, of the configured ones where there
// are any. It also finds out who the bot is.
func (s *chat) guilds(ctx context.Context) ([]guildInfo, error) {
	token, err := s.botToken.Value()
	if err != nil {
		return nil, err
	}
	if fault := misplaced(token); fault != "" {
		return nil, bot.Errorf(bot.Invalid, "%s", fault)
	}
	var me guildInfo
	if err := s.patiently(ctx, "applications/@me", &me); err != nil {
		return nil, unsurveyed("who the bot is", err)
	}
	s.mu.Lock()
	s.appID = me.ID
	s.mu.Unlock()
	var all, kept []guildInfo
	if err := s.patiently(ctx, fmt.Sprintf("users/@me/guilds?limit=%d", guildsPage), &all); err != nil {
		return nil, unsurveyed("which servers the bot is in", err)
	}
	for _, g := range all {
		if snowflake.MatchString(g.ID) && (len(s.config.Guilds) == 0 || s.ours(g.ID)) {
			kept = append(kept, g)
		}
	}
	switch {
	case len(kept) == 0:
		return nil, bot.Errorf(bot.Invalid, "the bot is in none of your servers yet; whoever manages one opens %s", inviteURL(me.ID))
	case len(kept) > maxGuilds:
		return nil, bot.Errorf(bot.Invalid, "the bot is in %d servers; name those that count with --set 'guilds=[\"%s\"]'", len(kept), kept[0].ID)
	}
	return kept, nil
}

// surveyChannels lists the channels of a guild in which people write.
func (s *chat) surveyChannels(ctx context.Context, st standing, of string, found *bot.Survey) error {
	var all []channelInfo
	if err := s.patiently(ctx, "guilds/"+st.guild.ID+"/channels", &all); err != nil {
		return unsurveyed("which channels there are in "+st.guild.Name, err)
	}
	for _, c := range all {
		if c.Type != channelText && c.Type != channelAnnouncement || !snowflake.MatchString(c.ID) {
			continue
		}
		lacks := lacking(st.in(c, s.own()))
		note := "the bot can post there"
		if len(lacks) > 0 {
			note = "the bot lacks: " + strings.Join(lacks, ", ")
		}
		found.Channels = append(found.Channels, bot.Surveyed{ID: Network + ":" + c.ID, Name: "#" + c.Name, Note: strings.Join(nonEmpty(of, note), "; "), Audit: len(lacks) == 0})
	}
	return nil
}

// surveyMembers lists the members of a guild, where Discord tells them: that takes
// a privileged intent, which the bot does not ask for and need not have.
func (s *chat) surveyMembers(ctx context.Context, g guildInfo, of string, found *bot.Survey) error {
	after, bots := "0", 0
	for page := 0; ; page++ {
		var all []memberInfo
		err := s.patiently(ctx, fmt.Sprintf("guilds/%s/members?limit=%d&after=%s", g.ID, membersIn, after), &all)
		if statusOf(err) == http.StatusForbidden {
			found.Left = append(found.Left, "the members of "+g.Name+", whom Discord lists only to applications with the Server Members intent; look somebody up by --me NAME, or copy their id, which Discord shows in Developer Mode")
			return nil
		}
		if err != nil {
			return unsurveyed("who is in "+g.Name, err)
		}
		for _, m := range all {
			switch {
			case !snowflake.MatchString(m.User.ID):
			case m.User.Bot:
				bots++
			case !slices.ContainsFunc(found.Members, func(s bot.Surveyed) bool { return s.ID == Network+":"+m.User.ID }):
				found.Members = append(found.Members, surveyed(m, of))
			}
			after = m.User.ID
		}
		if len(all) < membersIn {
			break
		}
		if page == maxPages {
			found.Left = append(found.Left, fmt.Sprintf("only the first %d people of %s were looked at", maxPages*membersIn, g.Name))
			break
		}
	}
	if bots > 0 {
		found.Left = append(found.Left, fmt.Sprintf("bots: %d, who may not run anything", bots))
	}
	return nil
}

func surveyed(m memberInfo, of string) bot.Surveyed {
	called := m.User.Global
	if m.Nick != "" {
		called = m.Nick
	}
	return bot.Surveyed{ID: Network + ":" + m.User.ID, Name: m.User.Name, Note: strings.Join(nonEmpty(called, of), ", ")}
}

// Find implements bot.Finder: by id, or by name among those whose name begins so.
func (s *chat) Find(ctx context.Context, name string) ([]bot.Surveyed, error) {
	guilds, err := s.guilds(ctx)
	if err != nil {
		return nil, err
	}
	name = strings.TrimPrefix(name, "@")
	var found []bot.Surveyed
	add := func(m memberInfo) {
		if !m.User.Bot && !slices.ContainsFunc(found, func(s bot.Surveyed) bool { return s.ID == Network+":"+m.User.ID }) {
			found = append(found, surveyed(m, ""))
		}
	}
	for _, g := range guilds {
		if snowflake.MatchString(name) {
			var m memberInfo
			err := s.patiently(ctx, "guilds/"+g.ID+"/members/"+name, &m)
			switch {
			case err == nil:
				add(m)
			case statusOf(err) != http.StatusNotFound:
				return nil, unsurveyed("who "+name+" is", err)
			}
			continue
		}
		var all []memberInfo
		if err := s.patiently(ctx, "guilds/"+g.ID+"/members/search?limit=100&query="+url.QueryEscape(name), &all); err != nil {
			return nil, unsurveyed("who "+name+" is", err)
		}
		for _, m := range all {
			if strings.EqualFold(m.User.Name, name) || strings.EqualFold(m.User.Global, name) || strings.EqualFold(m.Nick, name) {
				add(m)
			}
		}
	}
	return found, nil
}

// unsurveyed says what could not be found out, and what to do about it.
func unsurveyed(what string, err error) error {
	switch {
	case statusOf(err) == http.StatusUnauthorized:
		return bot.Errorf(bot.Denied, "Discord refuses the bot token; choose Reset Token under Bot and take the new one")
	case codeOf(err) == missingAccess:
		return bot.Errorf(bot.Denied, "Discord does not tell %s: the bot was not let in there", what)
	}
	var e *bot.Error
	if !errors.As(err, &e) && !errors.As(translated("discord.survey", err), &e) {
		return err
	}
	return &bot.Error{Op: e.Op, Kind: e.Kind, Say: "Discord does not tell " + what + ": " + e.Say, Err: e.Err}
}

// misplaced says what is wrong with what stands in the place of the bot token, ""
// for nothing. It never says what it is.
func misplaced(token string) string {
	const there = "bot_token holds %s; choose Reset Token under Bot and take what it shows"
	switch {
	case strings.HasPrefix(token, "Bot "):
		return "bot_token begins with \"Bot \"; leave that away, the bot puts it before the token itself"
	case strings.HasPrefix(token, "xox") || strings.HasPrefix(token, "xapp-"):
		return fmt.Sprintf(there, "a token of Slack's")
	case snowflake.MatchString(token):
		return fmt.Sprintf(there, "an id")
	case len(token) == 64 && strings.Trim(token, "0123456789abcdef") == "":
		return fmt.Sprintf(there, "the Public Key")
	case len(token) == 32 && !strings.Contains(token, "."):
		return fmt.Sprintf(there, "a Client Secret")
	}
	return ""
}
