// Package digest is the verb that has a digest gathered and posted.
package digest

import (
	"context"

	"quarterdeck/bot"
	"quarterdeck/bot/digest"
)

// New makes the command. A nil Desk is one where nothing is configured.
func New(d *digest.Desk) bot.Command {
	name := bot.Param{Name: "name", Type: bot.TypeText, Help: "which one"}
	if names := d.Names(); len(names) > 0 {
		name.Type, name.Choices = bot.TypeChoice, names
	}
	return bot.Command{
		Name:       "digest",
		Summary:    "post a digest to its channel now",
		Help:       "The same that the clock posts at its times, about as long a while back from now. With --dry-run it is posted nowhere and shown to you.",
		Examples:   []string{"digest daily", "digest daily --dry-run"},
		Params:     []bot.Param{name},
		Permission: bot.MayDigest,
		Posts:      true,
		Resolve: func(c bot.Call) (bot.Ask, error) {
			return bot.Ask{Permission: bot.MayDigest, Resources: []bot.Resource{digest.Definition{Name: c.Args["name"]}.Resource()}}, nil
		},
		Answer: func(ctx context.Context, c bot.Call) (bot.Reply, error) {
			return bot.Reply{}, d.Post(ctx, c, c.Args["name"])
		},
	}
}
