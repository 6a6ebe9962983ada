package discordchat

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/bwmarrin/discordgo"
)

const (
	// registerEvery is how often the bot looks whether its commands changed, as they
	// do with the configuration.
	registerEvery = 30 * time.Second
	registerAgain = 10 * time.Minute // after Discord did not take them
)

// shown is the command surface as it is now.
type shown struct {
	mu sync.Mutex
	is *surface
	at time.Time
}

// surface gives the command surface, at most registerEvery old.
func (s *chat) surface() surface {
	s.typed.mu.Lock()
	defer s.typed.mu.Unlock()
	now := s.o.Clock.Now()
	if s.typed.is == nil || now.Sub(s.typed.at).Abs() >= registerEvery {
		is := surfaceOf(nil)
		if s.o.Typed != nil {
			is = surfaceOf(s.o.Typed.Verbs())
		}
		s.typed.is, s.typed.at = &is, now
	}
	return *s.typed.is
}

// register keeps the slash commands of the configured guilds as the command table
// has them, until ctx ends. A guild's commands are there at once, and are replaced
// whole, and only where they differ.
func (s *chat) register(ctx context.Context) {
	done := map[string]string{} // by guild: what is registered
	next := map[string]time.Time{}
	for {
		is := s.surface()
		want := digest(is.commands)
		for _, guild := range s.config.Guilds {
			if s.o.Typed == nil || done[guild] == want || s.o.Clock.Now().Before(next[guild]) {
				continue
			}
			if err := s.registerIn(ctx, guild, is); err == nil {
				done[guild] = want
			} else if ctx.Err() == nil {
				next[guild] = s.o.Clock.Now().Add(registerAgain)
				s.logger().Error("the slash commands of a guild could not be registered", "guild", guild, "err", err, "again in", registerAgain)
			}
		}
		if !pause(ctx, registerEvery) {
			return
		}
	}
}

// registerIn has Discord show the commands in one guild.
func (s *chat) registerIn(ctx context.Context, guild string, is surface) error {
	path := "applications/" + s.own() + "/guilds/" + guild + "/commands"
	var there []*discordgo.ApplicationCommand
	if err := s.call(ctx, http.MethodGet, path, nil, &there); err != nil {
		return err
	}
	drift := is.drift(there)
	if drift == "" {
		return nil
	}
	if err := s.call(ctx, http.MethodPut, path, is.commands, nil); err != nil {
		return err
	}
	s.logger().Info("registered the slash commands", "guild", guild, "commands", len(is.commands), "changed", drift)
	for _, left := range is.left {
		s.logger().Warn("a command has no place in Discord", "why", left)
	}
	return nil
}
