package fakeslack

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// scopes says which scopes a method takes: one of those listed is enough. A
// method that is not here needs none of its own.
var scopes = map[string][]string{
	"chat.postMessage": {"chat:write"}, "chat.postEphemeral": {"chat:write"}, "chat.update": {"chat:write"}, "chat.delete": {"chat:write"},
	"users.info": {"users:read"}, "users.list": {"users:read"},
	"conversations.open":         {"im:write"},
	"conversations.info":         {"channels:read", "groups:read", "im:read"},
	"conversations.list":         {"channels:read", "groups:read"},
	"usergroups.list":            {"usergroups:read"},
	"usergroups.users.list":      {"usergroups:read"},
	"files.getUploadURLExternal": {"files:write"}, "files.completeUploadExternal": {"files:write"},
	"team.info":             {"team:read"},
	"conversations.members": {"channels:read", "groups:read"},
}

// eventScopes says which scope the subscription to an event takes.
var eventScopes = map[string]string{"app_mention": "app_mentions:read", "message": "im:history", "user_change": "users:read",
	"subteam_updated": "usergroups:read", "subteam_members_changed": "usergroups:read"}

// lacks gives the scope that a call needs and the token does not have, "" for
// none.
func (s *Server) lacks(method string, args url.Values) string {
	need := scopes[method]
	if method == "conversations.list" { // each type by itself
		for kind, scope := range map[string]string{"public_channel": "channels:read", "private_channel": "groups:read", "im": "im:read"} {
			if slices.Contains(types(args), kind) && !slices.Contains(s.o.Scopes, scope) {
				return scope
			}
		}
		return ""
	}
	for _, scope := range need {
		if slices.Contains(s.o.Scopes, scope) {
			return ""
		}
	}
	if len(need) == 0 {
		return ""
	}
	return need[0]
}

// subscribed reports whether the app is sent the event.
func (s *Server) subscribed(inner map[string]any) bool {
	kind, _ := inner["type"].(string)
	if scope := eventScopes[kind]; scope != "" && !slices.Contains(s.o.Scopes, scope) {
		return false
	}
	if s.o.Events == nil {
		return true
	}
	if channel, _ := inner["channel_type"].(string); kind == "message" {
		kind += "." + channel
	}
	return slices.Contains(s.o.Events, kind)
}

// types gives which types of conversations are asked for.
func types(args url.Values) []string {
	if t := args.Get("types"); t != "" {
		return strings.Split(t, ",")
	}
	return []string{"public_channel"}
}

// team checks the workspace that a token of a whole organisation has to name.
func (s *Server) team(args url.Values) (code string) {
	switch {
	case !s.o.OrgWide:
		return ""
	case args.Get("team_id") == "":
		return "missing_argument"
	case args.Get("team_id") != s.o.TeamID:
		return "team_access_not_granted"
	}
	return ""
}

// page gives the part of a list that the cursor and the limit ask for, and the
// next cursor. No page is longer than 200, whatever is asked for.
func page[T any](list []T, args url.Values) (part []T, next string, code string) {
	from, limit := 0, 200
	if c := args.Get("cursor"); c != "" {
		n, err := strconv.Atoi(strings.TrimPrefix(c, "cursor-"))
		if err != nil || n < 0 || n > len(list) {
			return nil, "", "invalid_cursor"
		}
		from = n
	}
	if l := args.Get("limit"); l != "" && l != "0" {
		n, err := strconv.Atoi(l)
		if err != nil || n < 1 || n > 1000 {
			return nil, "", "invalid_limit"
		}
		limit = min(n, limit)
	}
	to := min(from+limit, len(list))
	if to < len(list) {
		next = fmt.Sprintf("cursor-%d", to)
	}
	return list[from:to], next, ""
}

func (s *Server) userList(args url.Values) (map[string]any, string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if code := s.team(args); code != "" {
		return nil, code
	}
	members := []any{}
	for _, id := range sortedKeys(s.users) {
		members = append(members, s.describe(s.users[id]))
	}
	part, next, code := page(members, args)
	return map[string]any{"members": part, "response_metadata": map[string]any{"next_cursor": next}}, code
}

func (s *Server) channelList(args url.Values) (map[string]any, string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if code := s.team(args); code != "" {
		return nil, code
	}
	list := []any{}
	for _, id := range sortedKeys(s.channels) {
		c := s.channels[id]
		kind := "public_channel"
		if c.Private {
			kind = "private_channel"
		}
		if c.User == "" && slices.Contains(types(args), kind) && (!c.Private || slices.Contains(c.Members, s.o.BotUser)) && !(c.Archived && args.Get("exclude_archived") == "true") {
			list = append(list, s.tell(c))
		}
	}
	part, next, code := page(list, args)
	return map[string]any{"channels": part, "response_metadata": map[string]any{"next_cursor": next}}, code
}

func (s *Server) groupList(args url.Values) (map[string]any, string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if code := s.team(args); code != "" {
		return nil, code
	}
	list := []any{}
	for _, id := range sortedKeys(s.groups) {
		g := s.groups[id]
		if g.Disabled && args.Get("include_disabled") != "true" {
			continue
		}
		d := map[string]any{"id": g.ID, "handle": g.Handle, "name": g.Handle, "team_id": s.o.TeamID}
		if g.Disabled {
			d["date_delete"] = 1790000000
		}
		if args.Get("include_users") == "true" {
			d["users"] = g.Users
		}
		if args.Get("include_count") == "true" {
			d["user_count"] = len(g.Users)
		}
		list = append(list, d)
	}
	return map[string]any{"usergroups": list}, ""
}

func (s *Server) groupUsers(args url.Values) (map[string]any, string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if code := s.team(args); code != "" {
		return nil, code
	}
	g, ok := s.groups[args.Get("usergroup")]
	if !ok {
		return nil, "no_such_subteam"
	}
	if g.Disabled && args.Get("include_disabled") != "true" {
		return map[string]any{"users": []string{}}, ""
	}
	return map[string]any{"users": g.Users}, ""
}
