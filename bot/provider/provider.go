// Package provider holds the ports to infrastructure and the catalog that maps
// a target to what is bound to it. Implementations live under adapters.
package provider

import (
	"context"
	"strings"
	"time"

	"quarterdeck/bot"
)

// Artefact is one immutable thing that can be live. ID is what equality means:
// a digest, a commit SHA, a task definition ARN; Version is what people say.
type Artefact struct {
	ID      string `json:"id"`
	Version string `json:"version"`
	Commit  string `json:"commit,omitempty"`
	Origin  string `json:"origin,omitempty"` // where it comes from: repository, image, path
	Notes   string `json:"notes,omitempty"`
	// Parts is what each component of a target gets, in the order of their
	// names; nil where the target is one piece. ID then follows from them.
	Parts []Part `json:"parts,omitempty"`
}

// Live is what a target runs now. Mixed lists the versions when there is more
// than one; then Artefact is the one that most instances run.
type Live struct {
	Artefact  Artefact
	Mixed     []string
	Running   int // instances up
	Healthy   int
	Desired   int
	Uncounted bool      // the provider does not know how many instances there are
	Since     time.Time // zero when the provider does not know
	Deploying string    // version of a deployment under way there, "" for none
	Link      string
}

// Release is one artefact that a target can be given. LiveAt is when it was
// last live there as far as the provider knows; zero for never or not known.
type Release struct {
	Artefact
	Created time.Time
	LiveAt  time.Time
}

// Preview is what a change from one artefact to another brings. It is shown
// and never part of a digest.
type Preview struct {
	Fields   []bot.Field
	Warnings []string
	// Contains lists IDs of releases that the new artefact is known to contain.
	Contains []string
}

// Action says what a deployment operation is for.
type Action string

// The closed set of actions a Deployer is asked for.
const (
	Deploy   Action = "deploy"
	Rollback Action = "rollback"
	Restart  Action = "restart"
	Before   Action = "before" // the step that precedes a deployment over components
	After    Action = "after"  // and the one that follows it
)

// Deployment is the body of the Specs that a Deployer executes: absolute and
// immutable. From is what was live when it was planned; To equals From for a
// restart.
type Deployment struct {
	Action Action     `json:"action"`
	Target bot.Target `json:"target"`
	From   Artefact   `json:"from"`
	To     Artefact   `json:"to"`
	// Guard is what watches over a deployment once it succeeded; nil for nothing.
	Guard *Guard `json:"guard,omitempty"`
	// Why is what a rollback that came by itself came from, "" for any other.
	Why string `json:"why,omitempty"`
}

// Way is a manner of going back.
type Way string

// The closed set of ways; see providers' own documentation for which they have.
const (
	Redeploy    Way = "redeploy"     // the older artefact as a new deployment
	Abort       Way = "abort"        // of the deployment in flight
	Undo        Way = "undo"         // a saved template is put back
	MovePointer Way = "move pointer" // an alias points to the older version
)

// Deployer deploys, rolls back and restarts one target. Safe for concurrent
// use. Resolve gives an Error of kind NotFound, with the nearest match, for a
// version it does not have. Current and Releases give Unavailable or Timeout
// when the other side does not answer; they never guess.
type Deployer interface {
	Resolve(ctx context.Context, version string) (Artefact, error)
	Current(ctx context.Context) (Live, error)
	Releases(ctx context.Context, limit int) ([]Release, error) // newest first
	Preview(ctx context.Context, from, to Artefact) (Preview, error)
	Ways() []Way
	bot.Operation[Deployment]
}

// Limited is a Deployer that was perhaps not given the means for every action.
// Can gives the Error of kind Invalid with which Begin would refuse the action,
// or nil, without I/O: so that nobody is asked to confirm what cannot be done.
type Limited interface {
	Can(a Action) error
}

// Inspected is a Deployer that can look whether what its binding names is there
// on this machine, without running any of it. Inspect gives a sentence for each
// thing that is not, with its key in front: "current: /srv/current.sh does not
// exist". It may be so on purpose: a configuration is also checked elsewhere.
type Inspected interface {
	Inspect() []string
}

// Vetted is a Deployer that knows what others found out about an artefact, such
// as the checks of a CI system. Vet gives a sentence without a full stop for
// each thing that stands against deploying it, which only an override passes; an
// error stands against it too.
type Vetted interface {
	Vet(ctx context.Context, a Artefact) ([]string, error)
}

// Dated is a Deployer that can tell when an artefact's newest change was made: the
// time of its commit. It gives an Error of kind NotFound where that is not known.
type Dated interface {
	Committed(ctx context.Context, a Artefact) (time.Time, error)
}

// Lacking is a Provider that can try whether the secrets that it will need can be
// read now. A bot that starts says which cannot: the first deployment of the night
// is late to learn of it. They may be there by then, so it is no fault.
type Lacking interface {
	Lacks() []Lack
}

// Lack is a secret that cannot be read. Key is where it is named within the
// provider's table; Why never holds its value.
type Lack struct {
	Key []string
	Why string
}

// Raw is a binding's own configuration table; see [bot.Raw].
type Raw = bot.Raw

// Options is what a provider is opened with: its name, its own [provider.NAME]
// table, and what it may use of the bot.
type Options struct {
	Name  string
	Raw   Raw
	State string // a folder of its own for durable state, made on demand
	Clock bot.Clock
	// Redact hides what must not leave the process's output.
	Redact func(string) string
	// Secrets opens what the table names as "env:NAME" or "file:PATH", so that it
	// is hidden everywhere.
	Secrets *bot.Secrets
	// Login gives the GitHub login of a person, "" where none is known; nil
	// where nobody asks.
	Login func(person string) string
}

// Provider is one configured system, from a [provider.NAME] table. Binding is
// checked offline: no network, no secrets.
type Provider interface {
	Name() string
}

// DeployBinder is a Provider that can bind a Deployer to a target from the
// target's deploy table.
type DeployBinder interface {
	BindDeploy(t bot.Target, raw Raw) (Deployer, error)
}

// Eraser is a Provider that keeps, outside the database, what its operations
// printed. Erase replaces each such text by what replace gives for it, durably,
// and names the places that it changed, or with dryRun would. An operation that
// goes on and holds such a text is an Error of kind Conflict, and nothing is
// changed.
type Eraser interface {
	Erase(ctx context.Context, replace func(string) string, dryRun bool) (places []string, err error)
}

// Type is one row of the table of provider types.
type Type struct {
	Name string // "exec"
	Open func(o Options) (Provider, error)
}

// Identity gives the artefact without what may be described otherwise another
// day, fit for a Spec.
func (a Artefact) Identity() Artefact {
	return Artefact{ID: a.ID, Version: a.Version, Commit: a.Commit, Parts: a.Parts}
}

// abbreviated reports whether the version is the beginning of the ID, as people
// write commits.
func (a Artefact) abbreviated() bool {
	const least = 7
	return a.ID == a.Version || len(a.Version) >= least && strings.HasPrefix(a.ID, a.Version)
}

// Label gives the version with as much of its ID as tells it apart for people:
// "v2 (sha256:8f434346)".
func (a Artefact) Label() string {
	if a.ID == "" || a.abbreviated() || len(a.Parts) > 0 { // the components' own say more
		return a.Version
	}
	id := a.ID
	if prefix, hex, found := strings.Cut(id, ":"); found && len(hex) > 8 {
		id = prefix + ":" + hex[:8]
	} else if len(id) > 12 {
		id = id[:12]
	}
	return a.Version + " (" + id + ")"
}
