package capacity

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

// Watch is the observe.Source of what every target is scaled to. A dimension
// that somebody else controls, such as an autoscaler, is left out: that it
// changes is its purpose. Safe for concurrent use.
type Watch struct {
	catalog func() *provider.Catalog
}

// NewWatch makes a Watch. catalog gives the one there is at the time; a reload
// brings another.
func NewWatch(catalog func() *provider.Catalog) *Watch { return &Watch{catalog} }

var _ observe.Source = (*Watch)(nil)

// Fact implements observe.Source.
func (w *Watch) Fact() string { return "capacity" }

// Subjects gives every target that is bound to something that scales.
func (w *Watch) Subjects() []observe.Subject {
	var all []observe.Subject
	c := w.catalog()
	for _, t := range c.Targets() {
		if _, err := c.Scaler(t); err == nil {
			all = append(all, observe.Subject{Name: t.String(), Target: t, Slot: Slot(t), Basis: c.Digest(t)})
		}
	}
	return all
}

// value is one dimension as it was seen.
type value struct {
	Dimension string `json:"dimension"`
	Unit      string `json:"unit,omitempty"`
	Value     string `json:"value"`
}

// size gives the value as people say it.
func (v value) size() string { return Change{Unit: v.Unit}.sizeOf(v.Dimension, v.Value) }

// Look reads what is wanted now.
func (w *Watch) Look(ctx context.Context, s observe.Subject) (observe.Seen, error) {
	scaler, err := w.catalog().Scaler(s.Target)
	if err != nil {
		return observe.Seen{}, err
	}
	all, err := scaler.Dimensions(ctx)
	if err != nil {
		return observe.Seen{}, err
	}
	var values []value
	var texts []string
	for _, d := range all {
		if d.Control == "" && d.Current != "" {
			values = append(values, value{d.Name, d.Unit, d.Current})
			texts = append(texts, values[len(values)-1].size())
		}
	}
	if len(values) == 0 {
		return observe.Seen{}, nil
	}
	body, err := json.Marshal(values)
	if err != nil {
		return observe.Seen{}, fmt.Errorf("encode what %s is scaled to: %w", s.Target, err)
	}
	return observe.Seen{Value: string(body), Text: strings.Join(texts, ", "), Body: body}, nil
}

// Settle implements observe.Source.
func (w *Watch) Settle(s observe.Subject) time.Duration {
	return NewWorkflow(w.catalog()).Timing(s.Target).Settle
}

// Explains reports whether a run left its dimension as it is seen: where it
// succeeded at what it set, and otherwise at that or at what was before.
func (w *Watch) Explains(r bot.Run, now observe.Seen) bool {
	c, err := Body(r.Plan.Spec)
	if err != nil {
		return false
	}
	for _, v := range valuesOf(now) {
		if v.Dimension == c.Dimension {
			return v.Value == c.To || r.State != bot.Succeeded && v.Value == c.From
		}
	}
	return false
}

// Left gives the one dimension that a run which succeeded set; of the others it
// knows nothing.
func (w *Watch) Left(r bot.Run) (observe.Seen, bool) {
	c, err := Body(r.Plan.Spec)
	if err != nil || r.State != bot.Succeeded {
		return observe.Seen{}, false
	}
	v := value{c.Dimension, c.Unit, c.To}
	body, err := json.Marshal([]value{v})
	return observe.Seen{Value: string(body), Text: v.size(), Body: body}, err == nil
}

func valuesOf(s observe.Seen) []value {
	var all []value
	if json.Unmarshal(s.Body, &all) != nil {
		return nil
	}
	return all
}

// Says implements observe.Source.
func (w *Watch) Says(c observe.Change) string {
	was := map[string]value{}
	for _, v := range valuesOf(c.Was) {
		was[v.Dimension] = v
	}
	var parts []string
	for _, v := range valuesOf(c.Now) {
		if old, known := was[v.Dimension]; known && old.Value != v.Value {
			parts = append(parts, v.size()+", no longer "+old.size())
		}
	}
	if len(parts) == 0 {
		parts = []string{c.Now.Text}
	}
	return fmt.Sprintf("%s is scaled to %s; that was not done through the bot", c.Subject.Target, strings.Join(parts, "; "))
}

// Keep implements observe.Source: nothing but the record needs to know.
func (w *Watch) Keep(observe.Change) ([]bot.Document, error) { return nil, nil }
