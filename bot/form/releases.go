package form

import (
	"context"
	"errors"
	"sync"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/grammar"
)

const (
	// freshFor is how long the releases of a target are offered before they are
	// asked for again: somebody types several letters.
	freshFor = 15 * time.Second
	// askWithin bounds the question: what is known has to be shown within three
	// seconds, and what is typed is a choice in any case.
	askWithin   = 1500 * time.Millisecond
	maxReleases = 100
	maxTargets  = 1000 // that are remembered
)

// releases remembers for a moment which releases there are.
type releases struct {
	mu sync.Mutex
	by map[bot.Target]*fresh
}

type fresh struct {
	mu    sync.Mutex // held while it is asked, so that many ask once
	names []string
	at    time.Time
}

// of gives what is remembered of a target.
func (r *releases) of(t bot.Target) *fresh {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.by == nil || len(r.by) >= maxTargets {
		r.by = map[bot.Target]*fresh{}
	}
	if r.by[t] == nil {
		r.by[t] = &fresh{}
	}
	return r.by[t]
}

// versions gives the releases that a form with these values may ask for: of its
// target, or of the service's first where only that is chosen. Nothing where
// none is known; g tells the targets on which the person may run the command.
func (f *Forms) versions(ctx context.Context, g *grammar.Grammar, c bot.Command, values map[string]string) []string {
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	for _, p := range c.Params {
		if p.Type != bot.TypeEnvironment {
			continue
		}
		for _, env := range g.Candidates(c, p, values) {
			if chosen := values[p.Name]; chosen == "" || chosen == env {
				if names := f.releasesOf(ctx, bot.Target{Service: values["service"], Environment: env}); names != nil {
					return names
				}
			}
		}
	}
	return nil
}

func (f *Forms) releasesOf(ctx context.Context, t bot.Target) []string {
	deployer, err := f.Catalog.Deployer(t)
	if err != nil {
		return nil
	}
	known := f.releases.of(t)
	known.mu.Lock()
	defer known.mu.Unlock()
	now := f.Router.Clock.Now()
	if !known.at.IsZero() && now.Sub(known.at).Abs() < freshFor {
		return known.names
	}
	all, err := deployer.Releases(ctx, maxReleases)
	known.at, known.names = now, nil // one that does not answer is not asked for every letter either
	if errors.Is(ctx.Err(), context.Canceled) {
		known.at = time.Time{} // nobody waited for the answer
	}
	if err != nil {
		f.log().WarnContext(ctx, "the releases of a target cannot be offered", "target", t.String(), "err", err)
		return nil
	}
	for _, r := range all {
		known.names = append(known.names, r.Artefact.Version)
	}
	return known.names
}
