package bot

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
)

// Spec is the normalised, immutable statement of what will be done. Approval
// binds to its digest, so it holds immutable artefacts and absolute values and
// nothing that drifts by itself.
type Spec struct {
	Kind      string          `json:"kind"` // the workflow: "deploy@1"
	Verb      string          `json:"verb"`
	Target    Target          `json:"target"`
	Resources []Resource      `json:"resources"`
	Body      json.RawMessage `json:"body"` // the workflow's own canonical JSON
}

// NewSpec makes a Spec with body encoded as JSON. Struct bodies encode in
// field order and maps in key order, so equal bodies give equal digests.
func NewSpec(kind, verb string, target Target, resources []Resource, body any) (Spec, error) {
	raw, err := json.Marshal(body)
	if err != nil {
		return Spec{}, fmt.Errorf("encode spec of %s: %w", kind, err)
	}
	return Spec{Kind: kind, Verb: verb, Target: target, Resources: resources, Body: raw}, nil
}

// Digest gives "sha256:" and 64 hexadecimal digits over the Spec's JSON.
func (s Spec) Digest() string {
	raw, err := json.Marshal(s)
	if err != nil { // only possible with a Body that is not JSON, which NewSpec rules out
		panic(fmt.Sprintf("spec of %s does not encode: %v", s.Kind, err))
	}
	sum := sha256.Sum256(raw)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// Fact is one precondition: something that was so when the plan was made and
// must be so at the moment of acting.
type Fact struct {
	Name string `json:"name"` // "live"
	Want string `json:"want"` // the exact value compared
	Text string `json:"text"` // for people: "v1 is live"
}

// Obstacle is what stands against a plan and can be passed only by a holder of
// Permission who gives an override: a release marked bad, a freeze.
type Obstacle struct {
	// Permission is empty for what nobody can override, such as another's lock.
	Permission Permission `json:"permission"`
	Text       string     `json:"text"`
	// Remedy is what ends the obstacle; it is told to those who may.
	Remedy Remedy `json:"remedy,omitzero"`
}

// Remedy is a line that ends an obstacle, and the right that it takes.
type Remedy struct {
	Line       string     `json:"line"` // "lock shop staging --steal"
	Does       string     `json:"does"` // "to take it"
	Permission Permission `json:"permission"`
	Resource   Resource   `json:"resource"`
}

// Plan is what a command would do. Making it reads only.
type Plan struct {
	Spec          Spec       `json:"spec"`
	Slot          string     `json:"slot"` // one run at a time per slot: "shop/prod release"
	Preconditions []Fact     `json:"preconditions,omitempty"`
	Summary       string     `json:"summary"` // "deploy shop v2 to prod"
	Preview       []Field    `json:"preview,omitempty"`
	Warnings      []string   `json:"warnings,omitempty"`
	Obstacles     []Obstacle `json:"obstacles,omitempty"`
	Undo          string     `json:"undo,omitempty"` // the line that takes it back
	Noop          string     `json:"noop,omitempty"` // why there is nothing to do; then nothing runs
	// WayBack marks rollback and its like: it pre-empts the run that holds the
	// slot, and no freeze, order, lock or halt stops it.
	WayBack bool `json:"way_back,omitempty"`
	// OffLog marks what, like a way back, may go through the emergency journal while
	// the log cannot be written.
	OffLog bool `json:"off_log,omitempty"`
	// Shows marks what is asked for to see its output: the newest lines of it are
	// shown also when all went well.
	Shows bool `json:"shows,omitempty"`
	// Guarded marks what a lock, a freeze or a halt stops.
	Guarded bool `json:"guarded,omitempty"`
	// Subject names the value that is set, such as "shop/prod replicas": once
	// it was set, no Sequel of an earlier run that waits to set it comes any more.
	Subject string `json:"subject,omitempty"`
	// Subjects are further values that are set.
	Subjects []string `json:"subjects,omitempty"`
	// Returning marks an automatic return, which only a Sequel can be: no
	// freeze, lock or halt stops it, but it pre-empts nothing.
	Returning bool `json:"returning,omitempty"`
	// Watches marks a Sequel that only looks: it changes nothing, so that it takes
	// place also when its asker has since lost the right to what it watches over.
	Watches bool `json:"watches,omitempty"`
}
