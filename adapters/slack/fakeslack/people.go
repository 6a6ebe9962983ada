package fakeslack

import (
	"net/url"
	"slices"
	"strings"
)

// Kind is what sort of user somebody is.
type Kind string

// The kinds of users.
const (
	Full      Kind = ""          // a full member
	Guest     Kind = "guest"     // of several channels
	Single    Kind = "single"    // of one channel
	Connected Kind = "connected" // from another organisation, by Slack Connect
	Bot       Kind = "bot"
	Workflow  Kind = "workflow"
	Gone      Kind = "gone" // deactivated
	Invited   Kind = "invited"
)

// User is one user; TeamID is the server's own unless set.
type User struct {
	ID, TeamID, Enterprise, Name string
	Kind                         Kind
}

// Channel is one conversation. User is set for a direct one with the bot.
type Channel struct {
	ID, Name      string
	Members       []string
	User          string
	Private       bool
	Shared        bool // with another organisation
	PendingShared bool
	OrgShared     bool
	Archived      bool
}

// Group is one user group.
type Group struct {
	ID, Handle string
	Users      []string
	Disabled   bool
}

// SetUser adds a user, or replaces the one of the same id.
func (s *Server) SetUser(u User) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if u.TeamID == "" {
		u.TeamID = s.o.TeamID
	}
	s.users[u.ID] = u
}

// SetChannel adds a channel, or replaces the one of the same id.
func (s *Server) SetChannel(c Channel) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.channels[c.ID] = c
}

// SetGroup adds a user group, or replaces the one of the same id.
func (s *Server) SetGroup(g Group) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.groups[g.ID] = g
}

// direct gives the direct conversation of the bot with the user. The lock is
// held.
func (s *Server) direct(user string) string {
	id := "D" + user
	if _, ok := s.channels[id]; !ok {
		if _, known := s.users[user]; !known {
			return ""
		}
		s.channels[id] = Channel{ID: id, User: user, Members: []string{user, s.o.BotUser}}
	}
	return id
}

func (s *Server) describe(u User) map[string]any {
	return map[string]any{
		"id": u.ID, "team_id": u.TeamID, "name": u.Name, "real_name": u.Name, "deleted": u.Kind == Gone,
		"is_bot": u.Kind == Bot || u.Kind == Workflow, "is_workflow_bot": u.Kind == Workflow, "is_restricted": u.Kind == Guest || u.Kind == Single,
		"is_ultra_restricted": u.Kind == Single, "is_invited_user": u.Kind == Invited,
		"is_stranger":     false, // Slack says so of outsiders whom the app cannot see only
		"profile":         map[string]any{"display_name": u.Name, "real_name": u.Name},
		"enterprise_user": map[string]any{"enterprise_id": u.Enterprise, "teams": []string{u.TeamID}},
	}
}

func (s *Server) userInfo(args url.Values) (map[string]any, string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u, ok := s.users[args.Get("user")]
	if !ok {
		return nil, "user_not_found"
	}
	return map[string]any{"user": s.describe(u)}, ""
}

func (s *Server) openDirect(args url.Values) (map[string]any, string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	user := args.Get("users")
	if u, ok := s.users[user]; !ok {
		return nil, "user_not_found"
	} else if u.Kind == Bot || u.Kind == Gone {
		return nil, "cannot_dm_bot"
	}
	return map[string]any{"channel": map[string]any{"id": s.direct(user)}}, ""
}

func (s *Server) tell(c Channel) map[string]any {
	return map[string]any{"id": c.ID, "name": c.Name, "is_channel": c.User == "", "is_im": c.User != "", "user": c.User, "is_private": c.Private,
		"is_ext_shared": c.Shared, "is_pending_ext_shared": c.PendingShared, "is_org_shared": c.OrgShared, "is_archived": c.Archived,
		"is_member": slices.Contains(c.Members, s.o.BotUser), "num_members": len(c.Members)}
}

func (s *Server) channelInfo(args url.Values) (map[string]any, string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, ok := s.channels[args.Get("channel")]
	if !ok || c.Private && !slices.Contains(c.Members, s.o.BotUser) {
		return nil, "channel_not_found"
	}
	return map[string]any{"channel": s.tell(c)}, ""
}

func (s *Server) channelMembers(args url.Values) (map[string]any, string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, ok := s.channels[args.Get("channel")]
	if !ok {
		return nil, "channel_not_found"
	}
	return map[string]any{"members": c.Members, "response_metadata": map[string]any{"next_cursor": ""}}, ""
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, strings.Compare)
	return keys
}
