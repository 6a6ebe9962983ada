package provider

import (
	"strings"
	"time"

	"quarterdeck/bot"
)

// Consequence is what a guard does about what it finds.
type Consequence string

// The closed set of consequences.
const (
	Offer  Consequence = "offer"    // the way back is offered to people
	GoBack Consequence = "rollback" // the way back is taken at once, without asking
)

// Consequences lists them, the default first.
func Consequences() []Consequence { return []Consequence{Offer, GoBack} }

// Guard is what is watched after a deployment succeeded, by a Judge, and what
// follows when that is not as it must be.
type Guard struct {
	Metrics []string      `json:"metrics"` // as the Judge names them
	Bake    time.Duration `json:"bake"`    // how long
	Every   time.Duration `json:"every"`   // how often they are looked at
	// OnBreach is what follows a metric over its threshold, and OnSilence one that
	// could not be measured at the end: what was not seen is not taken for good.
	OnBreach  Consequence `json:"on_breach"`
	OnSilence Consequence `json:"on_silence"`
}

// Guard gives what watches over deployments to t; nil for nothing.
func (c *Catalog) Guard(t bot.Target) *Guard { return c.bindings[t].Guard }

// Words says what the guard does, for people; back is the version that was live
// before, "" where there is none to go back to.
func (g Guard) Words(back string) string {
	s := strings.Join(g.Metrics, ", ") + " for " + bot.Span(g.Bake) + "; "
	does := func(c Consequence) string {
		if c == GoBack {
			return "goes back to " + back + " by itself"
		}
		return "offers the way back"
	}
	if g.OnBreach == g.OnSilence {
		return s + "a breach, or no data, " + does(g.OnBreach)
	}
	return s + "a breach " + does(g.OnBreach) + ", no data " + does(g.OnSilence)
}
