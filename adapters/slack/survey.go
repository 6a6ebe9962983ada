package slackchat

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/slack-go/slack"

	"quarterdeck/bot"
)

// Bounds of a survey.
const (
	pageSize    = 200 // what Slack recommends
	maxPages    = 50  // of one list: ten thousand entries
	maxWaits    = 10  // how often Slack may ask to wait for one page
	longestWait = time.Minute
)

var userID = regexp.MustCompile(`^[UW][A-Z0-9]{1,20}$`)

var (
	_ bot.Surveyor    = (*chat)(nil)
	_ bot.Prober      = (*chat)(nil)
	_ bot.Manifester  = (*chat)(nil)
	_ bot.Memberships = (*chat)(nil)
	_ bot.Vouching    = (*chat)(nil)
)

// Survey implements bot.Surveyor.
func (s *chat) Survey(ctx context.Context) (bot.Survey, error) {
	var found bot.Survey
	token, err := s.botToken.Value()
	if err != nil {
		return found, err
	}
	if fault := misplaced("bot_token", token); fault != "" {
		return found, bot.Errorf(bot.Invalid, "%s", fault)
	}
	api, err := s.client()
	if err != nil {
		return found, err
	}
	var me *slack.AuthTestResponse
	if err := patient(ctx, func(ctx context.Context) (err error) { me, err = api.AuthTestContext(ctx); return err }); err != nil {
		return found, unsurveyed("who the bot is", err)
	}
	team := me.TeamID
	for _, t := range s.config.Teams { // a token of an organisation does not say which
		if strings.HasPrefix(t, "T") && !strings.HasPrefix(team, "T") {
			team = t
		}
	}
	if !strings.HasPrefix(team, "T") {
		return found, bot.Errorf(bot.Invalid, "the bot token is for the whole organisation %s; install the app into one workspace, or name it with --set 'teams=[\"T0123\"]'", me.EnterpriseID)
	}
	found.Where = fmt.Sprintf("%s (%s)", me.Team, team)
	found.Keys = []string{fmt.Sprintf("teams = [%q]", team)}
	if s.config.Command != "/ops" {
		found.Keys = append(found.Keys, fmt.Sprintf("command = %q", s.config.Command))
	}
	if s.base != slack.APIURL {
		found.Keys = append(found.Keys, fmt.Sprintf("api_url = %q", s.base))
	}
	if found.Channels, err = s.surveyChannels(ctx, api, team, &found); err != nil {
		return found, err
	}
	if found.Groups, err = s.surveyGroups(ctx, api, team); err != nil {
		return found, err
	}
	found.Members, err = s.surveyMembers(ctx, api, team, &found)
	return found, err
}

// unsurveyed says what could not be listed, and what to do about it.
func unsurveyed(what string, err error) error {
	var known slack.SlackErrorResponse
	switch {
	case errors.As(err, &known) && known.Err == "missing_scope":
		return bot.Errorf(bot.Denied, "Slack does not tell %s: the bot token lacks the scope %s; add it, or paste the manifest again, and reinstall the app", what, known.Needed)
	case refused(err):
		return bot.Errorf(bot.Denied, "Slack refuses the bot token (%s); copy the Bot User OAuth Token (xoxb-...) from OAuth & Permissions anew", code(err))
	}
	var e *bot.Error
	if !errors.As(err, &e) {
		errors.As(translated("slack.survey", err), &e)
	}
	return &bot.Error{Op: e.Op, Kind: e.Kind, Say: "Slack does not tell " + what + ": " + e.Say, Err: e.Err}
}

// patient makes a call and, where Slack asks to wait, waits and makes it again.
func patient(ctx context.Context, call func(ctx context.Context) error) error {
	for waits := 0; ; waits++ {
		once, cancel := context.WithTimeout(ctx, callTimeout)
		err := call(once)
		cancel()
		var limited *slack.RateLimitedError
		if !errors.As(err, &limited) || waits == maxWaits {
			return err
		}
		if !pause(ctx, min(max(limited.RetryAfter, time.Second), longestWait)) {
			return ctx.Err()
		}
	}
}

// surveyChannels lists the channels that the bot can see. The one that is fittest
// for the audit log comes first.
func (s *chat) surveyChannels(ctx context.Context, api *slack.Client, team string, found *bot.Survey) ([]bot.Surveyed, error) {
	var list []bot.Surveyed
	cursor := ""
	for page := 0; ; page++ {
		if page == maxPages {
			found.Left = append(found.Left, fmt.Sprintf("only the first %d channels were looked at", len(list)))
			break
		}
		var channels []slack.Channel
		next := ""
		err := patient(ctx, func(ctx context.Context) (err error) {
			channels, next, err = api.GetConversationsContext(ctx, &slack.GetConversationsParameters{Cursor: cursor, Limit: pageSize, TeamID: team,
				ExcludeArchived: true, Types: []string{"public_channel", "private_channel"}})
			return err
		})
		if err != nil {
			return nil, unsurveyed("which channels there are", err)
		}
		for _, c := range channels {
			if !channelID.MatchString(c.ID) {
				continue
			}
			list = append(list, channelOf(c))
		}
		if cursor = next; cursor == "" {
			break
		}
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
	slices.SortStableFunc(list, func(a, b bot.Surveyed) int {
		if d := rank(a) - rank(b); d != 0 {
			return d
		}
		return strings.Compare(a.Name, b.Name)
	})
	return list, nil
}

func channelOf(c slack.Channel) bot.Surveyed {
	outsiders := c.IsExtShared || c.IsPendingExtShared
	var notes []string
	if c.IsPrivate {
		notes = append(notes, "private")
	}
	if c.IsMember {
		notes = append(notes, "the bot is in it")
	} else {
		notes = append(notes, "the bot is not in it")
	}
	if outsiders {
		notes = append(notes, "shared with another organisation")
	}
	return bot.Surveyed{ID: Network + ":" + c.ID, Name: "#" + c.Name, Note: strings.Join(notes, ", "), Audit: c.IsMember && !outsiders}
}

// surveyGroups lists the user groups that are in use.
func (s *chat) surveyGroups(ctx context.Context, api *slack.Client, team string) ([]bot.Surveyed, error) {
	var all []slack.UserGroup
	err := patient(ctx, func(ctx context.Context) (err error) {
		all, err = api.GetUserGroupsContext(ctx, slack.GetUserGroupsOptionTeamID(team), slack.GetUserGroupsOptionIncludeCount(true))
		return err
	})
	if err != nil {
		return nil, unsurveyed("which user groups there are", err)
	}
	var list []bot.Surveyed
	for _, g := range all {
		if g.DateDelete != 0 || !groupID.MatchString(g.ID) {
			continue
		}
		note := g.Name + ", " + strconv.Itoa(g.UserCount) + " in it"
		list = append(list, bot.Surveyed{ID: groupPrefix + ":" + g.ID, Name: "@" + g.Handle, Note: note})
	}
	slices.SortFunc(list, func(a, b bot.Surveyed) int { return strings.Compare(a.Name, b.Name) })
	return list, nil
}

// surveyMembers lists the full members of the workspace.
func (s *chat) surveyMembers(ctx context.Context, api *slack.Client, team string, found *bot.Survey) ([]bot.Surveyed, error) {
	home := &people{s: &chat{config: Config{Teams: []string{team}}}}
	var list []bot.Surveyed
	others := map[bot.Standing]int{}
	pages := api.GetUsersPaginated(slack.GetUsersOptionLimit(pageSize), slack.GetUsersOptionTeamID(team))
	for page := 0; ; page++ {
		if page == maxPages {
			found.Left = append(found.Left, fmt.Sprintf("only the first %d people were looked at", maxPages*pageSize))
			break
		}
		err := patient(ctx, func(ctx context.Context) error {
			next, err := pages.Next(ctx)
			if err == nil {
				pages = next
			}
			return err
		})
		if pages.Done(err) {
			break
		}
		if err != nil {
			return nil, unsurveyed("who there is", err)
		}
		for _, u := range pages.Users {
			if !userID.MatchString(u.ID) {
				continue
			}
			standing := home.of(&u)
			if standing != bot.Member {
				others[standing]++
				continue
			}
			list = append(list, bot.Surveyed{ID: Network + ":" + team + "/" + u.ID, Name: u.Name, Note: realName(u)})
		}
		if pages.Cursor == "" {
			break
		}
	}
	for _, standing := range []struct {
		of   bot.Standing
		they string
	}{{bot.Guest, "guests"}, {bot.External, "people from outside"}, {bot.Automated, "bots"}, {bot.Disabled, "deactivated accounts"}} {
		if n := others[standing.of]; n > 0 {
			found.Left = append(found.Left, fmt.Sprintf("%s: %d, who may not run anything", standing.they, n))
		}
	}
	slices.SortFunc(list, func(a, b bot.Surveyed) int { return strings.Compare(a.Name, b.Name) })
	return list, nil
}

// realName gives what else a user is called.
func realName(u slack.User) string {
	if u.RealName != "" {
		return u.RealName
	}
	return u.Profile.DisplayName
}
