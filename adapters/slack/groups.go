package slackchat

import (
	"context"
	"encoding/json"
	"regexp"
	"strings"
	"time"

	"github.com/slack-go/slack"

	"quarterdeck/bot"
	"quarterdeck/bot/memo"
)

const (
	// groupPrefix begins the ids of Slack's user groups in [[role]].
	groupPrefix = "slack-group"
	// groupLife is how long a group's members are remembered. Changes are told by
	// events too; this bounds how long a missed one matters.
	groupLife = 5 * time.Minute
	// maxGroups bounds how many groups are remembered; only configured ones are
	// asked about.
	maxGroups = 1000
)

var groupID = regexp.MustCompile(`^S[A-Z0-9]{1,20}$`)

// groups knows who is in the workspace's user groups.
type groups struct {
	s  *chat
	by *memo.Table[members]
}

// members are the users of one group.
type members struct {
	users map[string]bool
	gone  bool // Slack knows no such group
}

func newGroups(s *chat) *groups {
	return &groups{s: s, by: memo.New[members](s.o.Clock, maxGroups, lookUp)}
}

// GroupFault implements bot.Memberships.
func (s *chat) GroupFault(group string) string {
	if groupID.MatchString(group) {
		return ""
	}
	return `is not a user group's id; expected such as "` + groupPrefix + `:S0SRE", and "quarterdeck init slack" lists them`
}

// Holds implements bot.Memberships.
func (s *chat) Holds(ctx context.Context, group string, account bot.AccountID) (bool, error) {
	return s.holds(ctx, group, account, groupLife, standingLife)
}

// HoldsNow implements bot.Memberships. That somebody was not in the group is
// taken from memory: Slack lets a group be asked about some twenty times a
// minute, and what a missed event kept from somebody is theirs in minutes.
func (s *chat) HoldsNow(ctx context.Context, group string, account bot.AccountID) (bool, error) {
	if in, err := s.Holds(ctx, group, account); err != nil || !in {
		return in, err
	}
	return s.holds(ctx, group, account, memo.Afresh, memo.Afresh)
}

func (s *chat) holds(ctx context.Context, group string, account bot.AccountID, groupLife, standingLife time.Duration) (bool, error) {
	home, user, ok := apart(account)
	if !ok || !s.ours(home) {
		return false, nil
	}
	of, err := s.groups.members(ctx, group, groupLife)
	switch {
	case err != nil:
		return false, err
	case of.gone:
		return false, bot.Errorf(bot.NotFound, "Slack knows no user group %s", group)
	case !of.users[user]:
		return false, nil
	}
	standing, err := s.people.know(ctx, user, standingLife)
	return standing == bot.Member && err == nil, err
}

// members gives who is in a group, as Slack said at most life ago.
func (g *groups) members(ctx context.Context, group string, life time.Duration) (members, error) {
	return g.by.Get(ctx, group, life, func(ctx context.Context) (members, error) { return g.ask(ctx, group) })
}

// forget has a group asked about anew.
func (g *groups) forget(group string) { g.by.Forget(group) }

// ask asks each workspace for the group until one knows it. The workspace is
// always named: a token of a whole organisation needs it, and for others Slack
// does not look at it.
func (g *groups) ask(ctx context.Context, group string) (members, error) {
	api, err := g.s.client()
	if err != nil {
		return members{}, &bot.Error{Op: "slack.groups", Kind: bot.Unavailable, Say: "Slack cannot be used", Err: err}
	}
	for _, team := range g.s.workspaces() {
		users, err := api.GetUserGroupMembersContext(ctx, group, slack.GetUserGroupMembersOptionTeamID(team))
		if code(err) == "no_such_subteam" {
			continue
		}
		if err != nil {
			return members{}, g.s.unanswered("slack.groups", err)
		}
		in := make(map[string]bool, len(users))
		for _, user := range users {
			in[user] = true
		}
		return members{users: in}, nil
	}
	return members{gone: true}, nil
}

// workspaces gives the workspaces among the teams, or one that is not named
// where the configuration names organisations alone.
func (s *chat) workspaces() []string {
	var all []string
	for _, team := range s.config.Teams {
		if strings.HasPrefix(team, "T") {
			all = append(all, team)
		}
	}
	if len(all) == 0 {
		return []string{""}
	}
	return all
}

// changed forgets what an event says is no longer so.
func (s *chat) changed(event json.RawMessage) {
	var e struct {
		User      json.RawMessage `json:"user"` // the whole user
		SubteamID string          `json:"subteam_id"`
		Subteam   struct {
			ID string `json:"id"`
		} `json:"subteam"`
	}
	if json.Unmarshal(event, &e) != nil {
		return
	}
	var u struct {
		ID string `json:"id"`
	}
	if json.Unmarshal(e.User, &u) == nil {
		s.people.forget(u.ID)
	}
	s.groups.forget(e.SubteamID)
	s.groups.forget(e.Subteam.ID)
}
