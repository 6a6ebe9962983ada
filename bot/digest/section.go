// Package digest gathers what a team should read once a day or once a week, and
// posts it. A digest is made of sections, each of which answers by itself, side
// by side with the others and within a time; one that does not answer is named,
// and the others stand without it.
package digest

import (
	"context"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/schedule"
)

// Definition is one digest as it is configured.
type Definition struct {
	Name         string
	Channel      bot.ChannelID
	Times        schedule.Times
	Sections     []string
	Lines        int      // how many lines it has at most
	Environments []string // whose deployments the DORA metrics count
	Hosts        []string // HOST:PORT whose certificates are looked at
}

// Principal gives who the clock asks for the digest as, and by whose rights it
// is gathered, whoever asks: "digest:daily".
func (d Definition) Principal() string { return string(d.Resource()) }

// Resource gives what RBAC is asked about.
func (d Definition) Resource() bot.Resource { return bot.Resource(bot.KindDigest + ":" + d.Name) }

// Window is what a digest is about: what happened after From and up to To, and
// what stands now.
type Window struct {
	Definition
	From, To, Now time.Time
	Zone          bot.Zone
	// May says whether the digest's principal may use a permission on a target:
	// what it may not see is not in the digest. The zero Target asks about the bot.
	May func(p bot.Permission, t bot.Target) bool
}

// Within reports whether something happened in the window.
func (w Window) Within(at time.Time) bool { return at.After(w.From) && !at.After(w.To) }

// Block is what a section has to tell. The first line sums it up and is always
// shown; the others follow as far as there is room, so the important ones come
// first. None are for nothing to tell.
type Block struct {
	Lines []string
	Image *bot.Image // nil for none; of several the first is shown
}

// Section is one row of the table of sections. Gather reads and changes nothing,
// returns when ctx ends, and its Error says why it cannot tell.
type Section struct {
	Name string // as the configuration calls it
	Help string // a few words
	// Permission is what the digest's principal must hold somewhere for it.
	Permission bot.Permission
	Gather     func(ctx context.Context, w Window) (Block, error)
	Within     time.Duration // how long it may take; 0: 10 seconds
}

// within is how long a section may take that does not say.
const within = 10 * time.Second

// Daily are the sections of a digest that names none.
var Daily = []string{"oncall", "pages", "changes", "stuck", "reviews", "holds", "restores", "certificates", "log"}
