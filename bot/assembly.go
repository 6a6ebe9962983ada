package bot

import (
	"context"
	"log/slog"
)

// Raw is one table of the configuration, not yet decoded: what an adapter
// defines the keys of by itself.
type Raw interface {
	// Decode fills dst, a pointer to a struct with toml tags, and gives an
	// Error of kind Invalid for unknown keys and wrong types, with file, line
	// and the nearest known key.
	Decode(dst any) error
	// Dir is the folder that relative paths are taken from.
	Dir() string
	// Where gives "config.toml:41" for messages.
	Where() string
}

// ChatOptions is what a chat network is opened with.
type ChatOptions struct {
	Raw    Raw    // its own [chat.NAME] table
	Socket string // path of the local socket, for the network that serves it
	// SocketGroup names the group of this machine that may open the socket
	// beside its owner; "" for none.
	SocketGroup string
	Clock       Clock
	Logger      *slog.Logger
	// Secrets opens what the table names as "env:NAME" or "file:PATH", so that it
	// is hidden everywhere.
	Secrets *Secrets
	// Complete gives the completions of a half-typed line for an account, each
	// a whole line.
	Complete func(ctx context.Context, account AccountID, line string) []string
	// Describe says in a few words who an account is: "dev (developer)".
	Describe func(ctx context.Context, account AccountID) string
	// Forms asks for what lines lack; nil where there are none.
	Forms Forms
	// Typed is the command surface for networks with typed commands; nil where
	// there is none.
	Typed Typed
	// Home is what an account sees when it opens the bot by itself.
	Home Home
	// Setup opens the network before there is a configuration, for Manifester and
	// Surveyor alone: keys that these find out may be missing from Raw.
	Setup   bool
	Version string
}

// ChatType is one row of the table of chat networks. Open checks its
// configuration offline; the network is first used by Chat.Run.
type ChatType struct {
	Name string
	Open func(o ChatOptions) (Chat, error)
	// NoRule says why a rule about this channel could never hold, as the rest of
	// a sentence, and gives "" where it can; "NETWORK:*" is every channel of the
	// network. Nil where every channel may be one that somebody writes in.
	NoRule func(c ChannelID) string
	// Groups is what the ids of this network's groups begin with in [[role]],
	// "slack-group"; then its Chat has Memberships. "" where it has none.
	Groups string
}
