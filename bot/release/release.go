// Package release is the ledger of what was live where: which artefact each
// run brought to a target, and which artefacts are marked bad there. It is
// kept as documents in the store; entries are only ever added, so that two
// runs can never overwrite one another's.
package release

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/provider"
	"quarterdeck/bot/store"
)

// The document kinds of the ledger.
const (
	kindLive = "release"     // ID: TARGET#RUN, zero-padded, and .SEQ for what was observed after that run
	kindBad  = "release-bad" // ID: TARGET@ARTEFACT
)

// Entry is one change of what is live at a target.
type Entry struct {
	// Artefact is what it made live; zero when it failed, or may have.
	Artefact provider.Artefact `json:"artefact,omitzero"`
	// Before is what was live until then, whoever had brought it there.
	Before provider.Artefact `json:"before,omitzero"`
	Run    int64             `json:"run"`
	Person string            `json:"person"`
	Action provider.Action   `json:"action"`
	At     time.Time         `json:"at"`
}

// Mark says that an artefact is bad at a target, since when and why.
type Mark struct {
	Artefact provider.Artefact `json:"artefact"`
	Run      int64             `json:"run"` // the rollback that left it
	Person   string            `json:"person"`
	Reason   string            `json:"reason,omitempty"`
	At       time.Time         `json:"at"`
}

// LiveDocument gives the document that notes e as live at t.
func LiveDocument(t bot.Target, e Entry) (bot.Document, error) {
	return document(kindLive, fmt.Sprintf("%s#%012d", t, e.Run), e)
}

// BadDocument gives the document that marks m's artefact bad at t.
func BadDocument(t bot.Target, m Mark) (bot.Document, error) {
	return document(kindBad, badID(t, m.Artefact.ID), m)
}

func badID(t bot.Target, artefact string) string { return t.String() + "@" + artefact }

func document(kind, id string, body any) (bot.Document, error) {
	raw, err := json.Marshal(body)
	if err != nil {
		return bot.Document{}, fmt.Errorf("encode %s %s: %w", kind, id, err)
	}
	return bot.Document{Kind: kind, ID: id, Body: raw}, nil
}

// Ledger reads the ledger. Safe for concurrent use.
type Ledger struct {
	store store.Store
}

// NewLedger makes a Ledger over s.
func NewLedger(s store.Store) *Ledger { return &Ledger{store: s} }

// History gives up to limit entries of a target, newest first.
func (l *Ledger) History(ctx context.Context, t bot.Target, limit int) ([]Entry, error) {
	var entries []Entry
	err := l.store.View(ctx, func(r store.Reader) error {
		docs, err := r.Documents(kindLive, t.String()+"#", max(limit, Depth), true)
		if err != nil {
			return err
		}
		entries = make([]Entry, 0, len(docs))
		for _, d := range docs {
			var e Entry
			if err := json.Unmarshal(d.Body, &e); err != nil {
				return fmt.Errorf("decode %s %s: %w", d.Kind, d.ID, err)
			}
			entries = append(entries, e)
		}
		// A run that waited for somebody was asked for before others that were
		// done before it: its number does not say when.
		slices.SortStableFunc(entries, func(a, b Entry) int { return b.At.Compare(a.At) })
		entries = entries[:min(limit, len(entries))]
		return nil
	})
	return entries, err
}

// Bad gives the marks of a target by artefact ID.
func (l *Ledger) Bad(ctx context.Context, t bot.Target) (map[string]Mark, error) {
	marks := map[string]Mark{}
	err := l.store.View(ctx, func(r store.Reader) error {
		docs, err := r.Documents(kindBad, t.String()+"@", maxMarks, false)
		if err != nil {
			return err
		}
		for _, d := range docs {
			var m Mark
			if err := json.Unmarshal(d.Body, &m); err != nil {
				return fmt.Errorf("decode %s %s: %w", d.Kind, d.ID, err)
			}
			marks[m.Artefact.ID] = m
		}
		return nil
	})
	return marks, err
}

// maxMarks bounds how many bad releases of one target are read.
const maxMarks = 10_000

// Previous gives the newest artefact on record that was live before, is not
// one of leaving, is not marked bad, and is one release in every component:
// what a deployment that ended half-way left is nothing to go back to. found is
// false when there is none. entries are newest first.
func Previous(entries []Entry, bad map[string]Mark, leaving ...string) (a provider.Artefact, found bool) {
	for _, e := range entries {
		for _, a := range []provider.Artefact{e.Artefact, e.Before} {
			if _, marked := bad[a.ID]; a.ID != "" && !marked && !a.Mixed() && !slices.Contains(leaving, a.ID) {
				return a, true
			}
		}
	}
	return provider.Artefact{}, false
}
