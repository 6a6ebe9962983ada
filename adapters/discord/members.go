package discordchat

import (
	"context"
	"slices"
	"strings"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/memo"
)

const (
	// groupPrefix begins the ids of Discord's roles in [[role]].
	groupPrefix = "discord-role"
	// memberLife is how long what Discord said of a member counts. Every payload of
	// theirs says it anew; this bounds how long it matters that none came.
	memberLife = 5 * time.Minute
	// memberPatience bounds how long it is waited for what Discord says of one.
	memberPatience = 3 * time.Second
	// lookUp bounds one question. Two may be put one after the other, about a member
	// and about a channel, and the answer to an interaction is due after three
	// seconds.
	lookUp     = 1200 * time.Millisecond
	maxMembers = 20000
)

// member is what somebody is in a guild.
type member struct {
	in        bool // a member at all
	pending   bool // has not yet agreed to the guild's rules
	automated bool
	roles     []string
}

// standing says what Discord vouches for about a member. A role gives no standing,
// and neither does owning or administering the guild.
func (m member) standing() bot.Standing {
	switch {
	case m.automated:
		return bot.Automated
	case !m.in:
		return bot.External
	case m.pending:
		return bot.Guest
	}
	return bot.Member
}

// members knows who is what in the configured guilds.
type members struct {
	s  *chat
	by *memo.Table[member] // by "GUILD/USER"
}

func newMembers(s *chat) *members {
	return &members{s: s, by: memo.New[member](s.o.Clock, maxMembers, lookUp)}
}

// know gives what a user is in a guild, as Discord said at most life ago.
func (m *members) know(ctx context.Context, guild, user string, life time.Duration) (member, error) {
	return m.by.Get(ctx, guild+"/"+user, life, func(ctx context.Context) (member, error) {
		var p memberPayload
		// Somebody's act waits for the answer: a short pause that Discord asks for is
		// no reason to refuse it.
		ctx, cancel := context.WithTimeout(ctx, memberPatience)
		defer cancel()
		err := m.s.patiently(ctx, "guilds/"+guild+"/members/"+user, &p)
		switch codeOf(err) {
		case unknownMember, unknownUser:
			return member{}, nil
		}
		if err != nil {
			return member{}, translated("discord.members", err)
		}
		return p.member(p.User), nil
	})
}

// GroupFault implements bot.Memberships.
func (s *chat) GroupFault(group string) string {
	guild, role, found := strings.Cut(group, "/")
	const expected = `expected such as "` + groupPrefix + `:81384788765712384/9001", and "quarterdeck init discord" lists them`
	switch {
	case !found || !snowflake.MatchString(guild) || !snowflake.MatchString(role):
		return "is not a role's id with its guild's; " + expected
	case guild == role:
		return "is everyone in the guild; " + expected
	case !s.ours(guild):
		return "is of a guild that is not among the guilds of [chat.discord]"
	}
	return ""
}

// Holds implements bot.Memberships.
func (s *chat) Holds(ctx context.Context, group string, account bot.AccountID) (bool, error) {
	return s.holds(ctx, group, account, memberLife)
}

// HoldsNow implements bot.Memberships.
func (s *chat) HoldsNow(ctx context.Context, group string, account bot.AccountID) (bool, error) {
	if in, err := s.Holds(ctx, group, account); err != nil || !in {
		return in, err
	}
	return s.holds(ctx, group, account, memo.Afresh)
}

func (s *chat) holds(ctx context.Context, group string, account bot.AccountID, life time.Duration) (bool, error) {
	guild, role, found := strings.Cut(group, "/")
	user, ok := userOf(account)
	if !ok || !found || !s.ours(guild) || guild == role {
		return false, nil
	}
	m, err := s.members.know(ctx, guild, user, life)
	if err != nil {
		return false, err
	}
	return m.standing() == bot.Member && slices.Contains(m.roles, role), nil
}

// Vouch implements bot.Vouching: a member of one of the guilds is one.
func (s *chat) Vouch(ctx context.Context, account bot.AccountID) (bot.Standing, error) {
	user, ok := userOf(account)
	if !ok {
		return bot.Unvouched, nil
	}
	return s.anywhere(ctx, user, memo.Afresh)
}

// anywhere says what Discord vouches for about a user who is met outside of the
// guilds: what they are in the one where they are most.
func (s *chat) anywhere(ctx context.Context, user string, life time.Duration) (bot.Standing, error) {
	best := bot.External
	var fault error
	for _, guild := range s.config.Guilds {
		m, err := s.members.know(ctx, guild, user, life)
		switch standing := m.standing(); {
		case err != nil:
			fault = err
		case standing == bot.Member, standing == bot.Automated:
			return standing, nil
		case standing == bot.Guest:
			best = standing
		}
	}
	if fault != nil {
		return bot.Unvouched, fault
	}
	return best, nil
}

// userOf takes an account "discord:USER" apart.
func userOf(account bot.AccountID) (user string, ok bool) {
	user, ours := strings.CutPrefix(string(account), Network+":")
	return user, ours && snowflake.MatchString(user)
}
