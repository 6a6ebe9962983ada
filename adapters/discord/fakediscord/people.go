package fakediscord

import (
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// Kinds of channel (docs: resources/channel).
const (
	Text          = 0
	DM            = 1
	Announcement  = 5
	PublicThread  = 11
	PrivateThread = 12
)

// Permissions that matter to a bot (docs: topics/permissions).
const (
	Administrator         = 1 << 3
	ViewChannel           = 1 << 10
	SendMessages          = 1 << 11
	EmbedLinks            = 1 << 14
	AttachFiles           = 1 << 15
	ReadMessageHistory    = 1 << 16
	CreatePublicThreads   = 1 << 35
	SendMessagesInThreads = 1 << 38
	// Everything is what a bot of this kind is given.
	Everything = ViewChannel | SendMessages | EmbedLinks | AttachFiles | ReadMessageHistory | CreatePublicThreads | SendMessagesInThreads
)

// Guild is one server of Discord's. @everyone is a role of its id.
type Guild struct {
	ID, Name, Owner string
	Roles           []Role
	// BotIn says whether the bot was invited; SetGuild takes it from NoBot.
	NoBot bool
}

// Role is one role of a guild.
type Role struct {
	ID, Name    string
	Permissions int64
	Managed     bool // of an integration, such as a bot's own
}

// Channel is one place. The zero Denies leaves the bot every permission.
type Channel struct {
	ID, Guild, Name, Parent string
	Kind                    int
	Denies                  int64  // permissions that the bot lacks there
	User                    string // of a direct conversation
}

// User is somebody. Their roles are by guild; a guild that is no key has them not
// as a member.
type User struct {
	ID, Name string
	Bot      bool
	System   bool
	Roles    map[string][]string
	Pending  bool // has not yet agreed to the guild's rules
	Closed   bool // takes no direct messages
}

// SetGuild adds or changes a guild.
func (s *Server) SetGuild(g Guild) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.guilds[g.ID] = &g
	if !g.NoBot {
		if me := s.users[s.o.AppID]; me.Roles == nil {
			me.Roles = map[string][]string{g.ID: {}}
		} else {
			me.Roles[g.ID] = []string{}
		}
	}
}

// SetChannel adds or changes a channel.
func (s *Server) SetChannel(c Channel) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.channels[c.ID] = &c
}

// SetUser adds or changes a user.
func (s *Server) SetUser(u User) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.users[u.ID] = &u
}

// DeleteChannel takes a channel away, with what was said there.
func (s *Server) DeleteChannel(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.channels, id)
	s.messages = slices.DeleteFunc(s.messages, func(m *Message) bool { return m.Channel == id })
}

// DeleteMessage takes a message away.
func (s *Server) DeleteMessage(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.messages = slices.DeleteFunc(s.messages, func(m *Message) bool { return m.ID == id })
}

func (s *Server) userOf(id string) map[string]any {
	u := s.users[id]
	if u == nil {
		return map[string]any{"id": id, "username": "user" + id, "discriminator": "0", "global_name": nil, "avatar": nil}
	}
	out := map[string]any{"id": u.ID, "username": u.Name, "discriminator": "0", "global_name": u.Name, "avatar": nil}
	if u.Bot {
		out["bot"] = true
	}
	if u.System {
		out["system"] = true
	}
	return out
}

// memberOf gives a member as payloads show one; nil where the user is none.
func (s *Server) memberOf(guild, user string, withUser bool) map[string]any {
	u := s.users[user]
	if u == nil {
		return nil
	}
	roles, in := u.Roles[guild]
	if !in {
		return nil
	}
	if roles == nil {
		roles = []string{}
	}
	m := map[string]any{"roles": roles, "nick": nil, "avatar": nil, "joined_at": "2026-01-01T00:00:00+00:00", "premium_since": nil, "deaf": false, "mute": false,
		"flags": 0, "pending": u.Pending, "communication_disabled_until": nil}
	if withUser {
		m["user"] = s.userOf(user)
	}
	return m
}

// allowed gives what somebody may do in a guild by their roles.
func (s *Server) allowed(guild, user string) int64 {
	g, u := s.guilds[guild], s.users[user]
	if g == nil || u == nil {
		return 0
	}
	all := int64(ViewChannel | SendMessages)
	for _, r := range g.Roles {
		if r.ID == guild || slices.Contains(u.Roles[guild], r.ID) {
			all |= r.Permissions
		}
	}
	return all
}

// can reports whether the bot may do something in a channel.
func (s *Server) can(c *Channel, permission int64) bool { return c.Denies&permission == 0 }

func (s *Server) channelOf(c *Channel) map[string]any {
	out := map[string]any{"id": c.ID, "type": c.Kind, "flags": 0}
	if c.Kind == DM {
		out["recipients"] = []any{s.userOf(c.User)}
		return out
	}
	out["guild_id"], out["name"], out["position"], out["nsfw"] = c.Guild, c.Name, 0, false
	var over []any
	if c.Denies != 0 {
		over = append(over, map[string]any{"id": s.o.AppID, "type": 1, "allow": "0", "deny": strconv.FormatInt(c.Denies, 10)})
	}
	if c.Kind == PublicThread || c.Kind == PrivateThread {
		out["thread_metadata"] = map[string]any{"archived": false, "auto_archive_duration": 1440, "archive_timestamp": "2026-01-01T00:00:00+00:00", "locked": false}
	} else {
		out["permission_overwrites"] = append([]any{}, over...)
	}
	if c.Parent != "" {
		out["parent_id"] = c.Parent
	}
	return out
}

func (s *Server) application(ask) answer {
	return ok(map[string]any{"id": s.o.AppID, "name": "quarterdeck", "icon": nil, "description": "", "verify_key": s.PublicKey(), "flags": s.flags(),
		"bot_public": false, "bot_require_code_grant": false, "bot": s.userOf(s.o.AppID)})
}

// flags says which privileged intents are on (docs: resources/application).
func (s *Server) flags() int {
	if s.o.Content {
		return 1 << 19
	}
	return 0
}

// sorted gives the values of a map in the order of their keys.
func sorted[T any](m map[string]T) []T {
	var all []T
	for _, k := range slices.Sorted(maps.Keys(m)) {
		all = append(all, m[k])
	}
	return all
}

func (s *Server) ownGuilds(ask) answer {
	list := []any{}
	for _, g := range sorted(s.guilds) {
		if !g.NoBot {
			list = append(list, map[string]any{"id": g.ID, "name": g.Name, "icon": nil, "banner": nil, "owner": false, "permissions": strconv.FormatInt(s.allowed(g.ID, s.o.AppID)|Everything, 10), "features": []any{}})
		}
	}
	return ok(list)
}

func (s *Server) guildOf(g *Guild) map[string]any {
	return map[string]any{"id": g.ID, "name": g.Name, "owner_id": g.Owner, "roles": s.rolesOf(g), "features": []any{}, "preferred_locale": "en-US"}
}

func (s *Server) rolesOf(g *Guild) []any {
	list := []any{map[string]any{"id": g.ID, "name": "@everyone", "permissions": strconv.Itoa(Everything), "position": 0, "color": 0, "hoist": false, "managed": false, "mentionable": false, "flags": 0}}
	for i, r := range g.Roles {
		if r.ID != g.ID {
			list = append(list, map[string]any{"id": r.ID, "name": r.Name, "permissions": strconv.FormatInt(r.Permissions, 10), "position": i + 1, "color": 0, "hoist": false, "managed": r.Managed, "mentionable": false, "flags": 0})
		}
	}
	return list
}

// in gives a guild that the bot is in.
func (s *Server) in(a ask) (*Guild, answer) {
	g := s.guilds[a.path("guild_id")]
	switch {
	case g == nil:
		return nil, unknownGuild
	case g.NoBot:
		return nil, missingAccess
	}
	return g, answer{}
}

func (s *Server) guild(a ask) answer {
	g, fault := s.in(a)
	if g == nil {
		return fault
	}
	return ok(s.guildOf(g))
}

func (s *Server) guildRoles(a ask) answer {
	g, fault := s.in(a)
	if g == nil {
		return fault
	}
	return ok(s.rolesOf(g))
}

func (s *Server) guildChannels(a ask) answer {
	g, fault := s.in(a)
	if g == nil {
		return fault
	}
	list := []any{}
	for _, c := range sorted(s.channels) {
		if c.Guild == g.ID && c.Kind != PublicThread && c.Kind != PrivateThread {
			list = append(list, s.channelOf(c))
		}
	}
	return ok(list)
}

func (s *Server) activeThreads(a ask) answer {
	g, fault := s.in(a)
	if g == nil {
		return fault
	}
	list := []any{}
	for _, c := range sorted(s.channels) {
		if c.Guild == g.ID && (c.Kind == PublicThread || c.Kind == PrivateThread) {
			list = append(list, s.channelOf(c))
		}
	}
	return ok(map[string]any{"threads": list, "members": []any{}, "has_more": false})
}

// guildMembers lists members; all of them need a privileged intent, a search for
// a name does not.
func (s *Server) guildMembers(a ask) answer {
	g, fault := s.in(a)
	if g == nil {
		return fault
	}
	limit, err := strconv.Atoi(a.query.Get("limit"))
	if err != nil {
		limit = 1
	}
	after, prefix := a.query.Get("after"), a.query.Get("query")
	list := []any{}
	for _, u := range sorted(s.users) {
		if m := s.memberOf(g.ID, u.ID, true); m != nil && (after == "" || u.ID > after) && strings.HasPrefix(strings.ToLower(u.Name), strings.ToLower(prefix)) && len(list) < limit {
			list = append(list, m)
		}
	}
	return ok(list)
}

func (s *Server) guildMember(a ask) answer {
	g, fault := s.in(a)
	if g == nil {
		return fault
	}
	id := a.path("user_id")
	if s.users[id] == nil {
		return unknownUser
	}
	if m := s.memberOf(g.ID, id, true); m != nil {
		return ok(m)
	}
	return unknownMember
}

func (s *Server) user(a ask) answer {
	if s.users[a.path("user_id")] == nil {
		return unknownUser
	}
	return ok(s.userOf(a.path("user_id")))
}

func (s *Server) channel(a ask) answer {
	c := s.channels[a.path("channel_id")]
	switch {
	case c == nil:
		return unknownChannel
	case !s.can(c, ViewChannel):
		return missingAccess
	}
	return ok(s.channelOf(c))
}

// DirectWith gives the direct conversation of the bot with a user.
func (s *Server) DirectWith(user string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.directWith(user)
}

func (s *Server) directWith(user string) string {
	id := "7" + user
	if s.channels[id] == nil {
		s.channels[id] = &Channel{ID: id, Kind: DM, User: user}
	}
	return id
}

func (s *Server) direct(a ask) answer {
	body, _ := a.value.(map[string]any)
	user, _ := body["recipient_id"].(string)
	if s.users[user] == nil {
		return failed(http.StatusBadRequest, 50033, "Invalid Recipient(s)")
	}
	return ok(s.channelOf(s.channels[s.directWith(user)]))
}
