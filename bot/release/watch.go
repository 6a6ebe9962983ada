package release

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/observe"
	"quarterdeck/bot/provider"
)

// Observed is the Action of a ledger's entry about a release that somebody
// else brought: it was live, and a rollback may go to it.
const Observed provider.Action = "observed"

// Watch is the observe.Source of what is live at every target. Safe for
// concurrent use.
type Watch struct {
	catalog func() *provider.Catalog
}

// NewWatch makes a Watch. catalog gives the one there is at the time; a reload
// brings another.
func NewWatch(catalog func() *provider.Catalog) *Watch { return &Watch{catalog} }

var _ observe.Source = (*Watch)(nil)

// Fact implements observe.Source.
func (w *Watch) Fact() string { return "release" }

// Subjects gives every target that is bound to something that deploys.
func (w *Watch) Subjects() []observe.Subject {
	var all []observe.Subject
	for _, t := range w.catalog().Targets() {
		if _, err := w.catalog().Deployer(t); err == nil {
			all = append(all, observe.Subject{Name: t.String(), Target: t, Slot: Slot(t), Basis: w.catalog().Digest(t)})
		}
	}
	return all
}

// Look reads what is live. Several versions side by side may be a rollout of
// somebody else's, so they count when they stay.
func (w *Watch) Look(ctx context.Context, s observe.Subject) (observe.Seen, error) {
	deployer, err := w.catalog().Deployer(s.Target)
	if err != nil {
		return observe.Seen{}, err
	}
	live, err := deployer.Current(ctx)
	if err != nil {
		return observe.Seen{}, err
	}
	a := live.Artefact.Identity()
	body, err := json.Marshal(a)
	if err != nil {
		return observe.Seen{}, fmt.Errorf("encode what is live: %w", err)
	}
	seen := observe.Seen{Value: a.ID, Text: a.Version, Body: body, Moving: live.Deploying != ""}
	if len(live.Mixed) > 0 && a.ID != "" {
		seen.Passing = true
		seen.Text = strings.Join(live.Mixed, ", ")
		if len(a.Parts) == 0 {
			seen.Value += " among " + strings.Join(live.Mixed, ", ")
		}
	}
	return seen, nil
}

// Settle implements observe.Source.
func (w *Watch) Settle(s observe.Subject) time.Duration {
	deployer, err := w.catalog().Deployer(s.Target)
	if err != nil {
		return 0
	}
	return timingOf(deployer, s.Target).Settle
}

// Explains reports whether a run left what is live: what it brought when it
// succeeded, and otherwise anything between what was and what it was bringing.
func (w *Watch) Explains(r bot.Run, now observe.Seen) bool {
	d, err := body(r.Plan.Spec)
	if err != nil {
		return false
	}
	a := artefactOf(now)
	if r.State == bot.Succeeded {
		return a.ID == d.To.ID && (!now.Passing || d.Action == provider.Restart)
	}
	return a.ID == d.To.ID || a.ID == d.From.ID || a.Between(d.From, d.To)
}

// Left gives what a run that succeeded brought.
func (w *Watch) Left(r bot.Run) (observe.Seen, bool) {
	d, err := body(r.Plan.Spec)
	if err != nil || r.State != bot.Succeeded {
		return observe.Seen{}, false
	}
	raw, err := json.Marshal(d.To)
	return observe.Seen{Value: d.To.ID, Text: d.To.Version, Body: raw}, err == nil
}

func artefactOf(s observe.Seen) provider.Artefact {
	var a provider.Artefact
	if json.Unmarshal(s.Body, &a) != nil {
		return provider.Artefact{}
	}
	return a
}

// Says implements observe.Source.
func (w *Watch) Says(c observe.Change) string {
	return fmt.Sprintf("%s is live in %s now, no longer %s; that was not done through the bot", c.Now.Text, c.Subject.Target, c.Was.Text)
}

// Keep notes the change in the ledger, so that a rollback knows what was live.
func (w *Watch) Keep(c observe.Change) ([]bot.Document, error) {
	e := Entry{Artefact: artefactOf(c.Now), Before: artefactOf(c.Was), Run: c.After, Action: Observed, At: c.At}
	if c.Now.Passing && len(e.Artefact.Parts) == 0 {
		e.Artefact = provider.Artefact{} // of several none is what is live
	}
	if c.Was.Passing && len(e.Before.Parts) == 0 {
		e.Before = provider.Artefact{}
	}
	d, err := document(kindLive, fmt.Sprintf("%s#%012d.%012d", c.Subject.Target, c.After, c.Seq), e)
	if err != nil {
		return nil, err
	}
	return []bot.Document{d}, nil
}
