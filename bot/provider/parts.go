package provider

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"quarterdeck/bot"
)

// Part is the artefact of one component of a target.
type Part struct {
	Component string `json:"component"`
	ID        string `json:"id"` // "" where the component runs several at once
	Version   string `json:"version"`
	Commit    string `json:"commit,omitempty"`
}

// Composed gives the artefact that consists of parts, one for each component.
// Its ID follows from theirs alone, whatever the order; its Version is the one
// that all have, or lists them where they differ.
func Composed(parts []Part) Artefact {
	parts = slices.Clone(parts)
	slices.SortFunc(parts, func(a, b Part) int { return strings.Compare(a.Component, b.Component) })
	a := Artefact{Parts: parts}
	sum := sha256.New()
	var versions []string
	for _, p := range parts {
		fmt.Fprintf(sum, "%q %q\n", p.Component, p.ID)
		versions = append(versions, p.Component+" "+p.Version)
	}
	a.ID = "sha256:" + hex.EncodeToString(sum.Sum(nil))
	if a.Version = strings.Join(versions, ", "); !a.Mixed() && len(parts) > 0 {
		a.Version = parts[0].Version
	}
	return a
}

// Mixed reports whether the components do not all have the same release.
func (a Artefact) Mixed() bool {
	for _, p := range a.Parts {
		if p.Version != a.Parts[0].Version || p.ID == "" {
			return true
		}
	}
	return false
}

// Part gives the artefact of one component.
func (a Artefact) Part(component string) (Artefact, bool) {
	for _, p := range a.Parts {
		if p.Component == component {
			return Artefact{ID: p.ID, Version: p.Version, Commit: p.Commit}, true
		}
	}
	return Artefact{}, false
}

// Between reports whether every component of a has what it has in from or in
// to: as a deployment from one to the other leaves it when it ends half-way.
func (a Artefact) Between(from, to Artefact) bool {
	for _, p := range a.Parts {
		old, hadOld := from.Part(p.Component)
		next, hasNext := to.Part(p.Component)
		known := hadOld && p.ID == old.ID || hasNext && p.ID == next.ID
		if !known && p.ID != "" {
			return false
		}
	}
	return len(a.Parts) > 0
}

// Step is one program or job that is run once for a deployment: what is done
// before the components are changed, or after. Safe for concurrent use.
type Step = bot.Operation[Deployment]

// StepBinder is a Provider that can run a Step for a target, from the table
// before or after of its deploy table.
type StepBinder interface {
	BindStep(t bot.Target, raw Raw) (Step, error)
}

// Roller takes a target back: the part of a Deployer that a target's own
// rollback table binds. Ways says how it does so. Safe for concurrent use.
type Roller interface {
	Ways() []Way
	bot.Operation[Deployment]
}

// RollbackBinder is a Provider that can bind a Roller from a target's rollback
// table. One that is not, but can bind a Deployer, is bound as that.
type RollbackBinder interface {
	BindRollback(t bot.Target, raw Raw) (Roller, error)
}
