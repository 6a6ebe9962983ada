package discordchat

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// What of a guild, its roles, channels and members is looked at for setting up and
// checking (docs.discord.com/developers/resources/guild and /channel).
type (
	guildInfo struct {
		ID   string `json:"id"`
		Name string `json:"name"`
	}
	roleInfo struct {
		ID          string `json:"id"`
		Name        string `json:"name"`
		Permissions string `json:"permissions"`
		Managed     bool   `json:"managed"`
		Position    int    `json:"position"`
	}
	channelInfo struct {
		ID         string      `json:"id"`
		Guild      string      `json:"guild_id"`
		Name       string      `json:"name"`
		Type       int         `json:"type"`
		Parent     string      `json:"parent_id"`
		Overwrites []overwrite `json:"permission_overwrites"`
	}
	overwrite struct {
		ID    string `json:"id"`
		Type  int    `json:"type"` // 0 of a role, 1 of a member
		Allow string `json:"allow"`
		Deny  string `json:"deny"`
	}
	memberInfo struct {
		Roles []string `json:"roles"`
		Nick  string   `json:"nick"`
		User  struct {
			ID     string `json:"id"`
			Name   string `json:"username"`
			Global string `json:"global_name"`
			Bot    bool   `json:"bot"`
		} `json:"user"`
	}
)

// Types of channels in which people write.
const (
	channelText         = 0
	channelDirect       = 1
	channelAnnouncement = 5
	threadAnnouncement  = 10
	threadPublic        = 11
	threadPrivate       = 12
)

func bitsOf(s string) int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// standing is what the bot may do in a guild.
type standing struct {
	guild guildInfo
	roles []roleInfo
	me    memberInfo
}

// stand asks what the bot is in a guild.
func (s *chat) stand(ctx context.Context, guild string) (g standing, err error) {
	if err = s.patiently(ctx, "guilds/"+guild, &g.guild); err != nil {
		return g, err
	}
	if err = s.patiently(ctx, "guilds/"+guild+"/roles", &g.roles); err != nil {
		return g, err
	}
	return g, s.patiently(ctx, "guilds/"+guild+"/members/"+s.own(), &g.me)
}

// base gives the bot's permissions in the guild, before a channel's own.
func (g standing) base() (bits int64) {
	for _, r := range g.roles {
		if r.ID == g.guild.ID || slices.Contains(g.me.Roles, r.ID) { // @everyone has the guild's id
			bits |= bitsOf(r.Permissions)
		}
	}
	return bits
}

// in gives the bot's permissions in a channel, by Discord's own order: of
// @everyone, then of all roles, then its own.
func (g standing) in(c channelInfo, own string) int64 {
	bits := g.base()
	if bits&administrator != 0 {
		return -1
	}
	apply := func(allow, deny int64) { bits = bits&^deny | allow }
	var allow, deny int64
	for _, o := range c.Overwrites {
		if o.ID == g.guild.ID {
			apply(bitsOf(o.Allow), bitsOf(o.Deny))
		} else if o.Type == 0 && slices.Contains(g.me.Roles, o.ID) {
			allow, deny = allow|bitsOf(o.Allow), deny|bitsOf(o.Deny)
		}
	}
	apply(allow, deny)
	for _, o := range c.Overwrites {
		if o.Type == 1 && o.ID == own {
			apply(bitsOf(o.Allow), bitsOf(o.Deny))
		}
	}
	return bits
}

// lacking gives the names of the permissions that the bot uses and lacks.
func lacking(bits int64) (names []string) {
	for _, n := range needs {
		if bits&n.bit == 0 {
			names = append(names, n.name)
		}
	}
	return names
}

const (
	maxWaits    = 10 // how often Discord may ask to wait for one answer
	longestWait = time.Minute
)

// patiently asks for something and, where Discord asks to wait, waits and asks
// again.
func (s *chat) patiently(ctx context.Context, path string, out any) error {
	for waits := 0; ; waits++ {
		err := s.call(ctx, http.MethodGet, path, nil, out)
		var wait *limited
		if !errors.As(err, &wait) || waits == maxWaits {
			return err
		}
		if !pause(ctx, min(max(wait.wait, 100*time.Millisecond), longestWait)) {
			return ctx.Err()
		}
	}
}
