package release

import (
	"context"
	"fmt"

	"quarterdeck/bot"
	"quarterdeck/bot/provider"
)

// Order gives what stands against bringing an artefact to t before it was live
// in the environment that comes first, by our record or as it is live there
// now. What cannot be found out stands against it too.
func Order(ctx context.Context, c *provider.Catalog, l *Ledger, t bot.Target, to provider.Artefact) ([]bot.Obstacle, error) {
	before, ordered := c.Before(t)
	if !ordered {
		return nil, nil
	}
	entries, err := l.History(ctx, before, Depth)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if same(e.Artefact, to) || same(e.Before, to) {
			return nil, nil
		}
	}
	say := fmt.Sprintf("%s was not live in %s yet, and %s comes after %s", to.Version, before, t.Environment, before.Environment)
	deployer, err := c.Deployer(before)
	if err != nil {
		return nil, err
	}
	live, err := deployer.Current(ctx)
	switch {
	case err != nil:
		say = fmt.Sprintf("whether %s was live in %s is not known: %s", to.Version, before, bot.Sentence(err, "the bot's log"))
	case same(live.Artefact, to) && len(live.Mixed) == 0 && live.Deploying == "":
		return nil, nil
	}
	return []bot.Obstacle{{Permission: bot.MayOverrideOrder, Text: say}}, nil
}

// same reports whether two targets' artefacts are the same release. Where they
// do not consist of the same components, only its name can tell.
func same(a, b provider.Artefact) bool {
	if a.ID == b.ID {
		return true
	}
	alike := len(a.Parts) == len(b.Parts)
	for _, p := range a.Parts {
		_, both := b.Part(p.Component)
		alike = alike && both
	}
	return !alike && a.Version != "" && a.Version == b.Version
}
