package release

import (
	"context"
	"fmt"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/provider"
)

// Vet gives what others found out against deploying an artefact, such as a CI
// system. What cannot be found out stands against it too.
func Vet(ctx context.Context, d provider.Deployer, to provider.Artefact) []bot.Obstacle {
	vetted, ok := d.(provider.Vetted)
	if !ok {
		return nil
	}
	against, err := vetted.Vet(ctx, to)
	if err != nil {
		against = []string{fmt.Sprintf("whether the checks of %s are green is not known: %s", to.Version, bot.Sentence(err, "the bot's log"))}
	}
	var found []bot.Obstacle
	for _, say := range against {
		found = append(found, bot.Obstacle{Permission: bot.MayOverrideBad, Text: say})
	}
	return found
}

// Vet implements provider.Vetted: what deploys is what is asked.
func (s *Split) Vet(ctx context.Context, a provider.Artefact) ([]string, error) {
	if vetted, ok := s.Deployer.(provider.Vetted); ok {
		return vetted.Vet(ctx, a)
	}
	return nil, nil
}

// Committed implements provider.Dated: what deploys is what is asked.
func (s *Split) Committed(ctx context.Context, a provider.Artefact) (time.Time, error) {
	if dated, ok := s.Deployer.(provider.Dated); ok {
		return dated.Committed(ctx, a)
	}
	return time.Time{}, bot.Errorf(bot.NotFound, "when %s was committed is not known", a.Label())
}

// Vet implements provider.Vetted: every component is asked about its part, under
// its name.
func (c *Components) Vet(ctx context.Context, a provider.Artefact) ([]string, error) {
	var against []string
	for _, one := range c.list {
		vetted, ok := one.Deployer.(provider.Vetted)
		part, has := a.Part(one.Name)
		if !ok || !has {
			continue
		}
		says, err := vetted.Vet(ctx, part)
		if err != nil {
			return nil, of(one.Name, err)
		}
		for _, say := range says {
			against = append(against, one.Name+": "+say)
		}
	}
	return against, nil
}
