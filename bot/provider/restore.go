package provider

import (
	"context"
	"time"

	"quarterdeck/bot"
)

// Backup is one backup of a target, as its provider lists it. ID names it for
// good and may be typed: no space, no slash.
type Backup struct {
	ID      string    `json:"id"`
	Created time.Time `json:"created"`
	Bytes   int64     `json:"bytes"` // 0 where the provider does not know
	// Described says that what it should hold was written down when it was made,
	// so that a restored copy can be held against that.
	Described bool `json:"described"`
}

// Trial is the body of what a RestoreTester executes: one backup, restored into
// a throw-away place and looked at there. It is absolute: the backup that was
// planned, as it was then.
type Trial struct {
	Target bot.Target `json:"target"`
	Backup Backup     `json:"backup"`
}

// RungName is one rung of the ladder that a restore test climbs.
type RungName string

// The rungs, in the order in which they are climbed. The first is the hub's, as
// are the last three; what lies between is the provider's to climb. A test that
// stops below content has shown that bytes can be copied, and no more.
const (
	RungAge      RungName = "age"      // the backup is no older than the RPO
	RungSpace    RungName = "space"    // there is room for a copy of it
	RungIntact   RungName = "intact"   // fetched; sizes and checksums are those of backup time
	RungEngine   RungName = "engine"   // the engine to restore into is there, and new enough
	RungRestored RungName = "restored" // the restore ended well and the engine answers
	RungContent  RungName = "content"  // tables and row counts, or files, are those of backup time
	RungQueries  RungName = "queries"  // the application's own questions have the expected answers
	RungAcross   RungName = "across"   // the members of a set agree with one another
	RungFresh    RungName = "fresh"    // measured RPO against its objective
	RungInTime   RungName = "in time"  // measured RTO against its objective
	RungRemoved  RungName = "removed"  // nothing of it is left
)

// Ladder gives every rung in order.
func Ladder() []RungName {
	return []RungName{RungAge, RungSpace, RungIntact, RungEngine, RungRestored, RungContent, RungQueries, RungAcross, RungFresh, RungInTime, RungRemoved}
}

// RungState is what became of a rung.
type RungState string

// The closed set of rung states. Only RungPassed counts as passed: a check that
// could not be made failed, for no news of a backup is not good news.
const (
	RungPassed   RungState = "passed"
	RungFailed   RungState = "failed"
	RungNotRun   RungState = "not run"   // an earlier rung failed
	RungNotAsked RungState = "not asked" // the configuration asks for no such check
)

// Rung is one rung and what became of it.
type Rung struct {
	Name  RungName  `json:"name"`
	State RungState `json:"state"`
	Text  string    `json:"text"` // one sentence without a full stop
	// Checks are the single checks with what they gave, a line each, bounded.
	Checks []string `json:"checks,omitempty"`
}

// Findings is what a Trial has shown so far: complete once its operation is
// settled. It is kept as evidence, so it holds no secret and is bounded.
type Findings struct {
	Rungs   []Rung   `json:"rungs"`
	Scratch string   `json:"scratch,omitempty"` // where it was restored
	Tools   []string `json:"tools,omitempty"`   // "pg_restore 15.18"
	Source  string   `json:"source,omitempty"`  // "sha256:..." over what was fetched
	// Began is when fetching began, and Ready how long it took from then until
	// the data could be queried: the measured RTO. 0 when that never came.
	Began time.Time     `json:"began,omitzero"`
	Ready time.Duration `json:"ready,omitempty"`
	// Newest is the time of the newest data in it, zero where nobody asked.
	Newest time.Time `json:"newest,omitzero"`
	// Attempts counts how often it was begun: a bot that was killed begins anew.
	Attempts int `json:"attempts,omitempty"`
}

// Leftover is a scratch place that no test uses any more.
type Leftover struct {
	Tag  string // its exact tag
	Text string // "shop/prod, begun 11-21 14:05 UTC"
	Err  error  // why it is still there; nil for one that is gone
}

// RestoreTester restores backups of one target into a throw-away place, never
// over anything that is used. Safe for concurrent use.
//
// The operation restores and looks; it ends as OpSucceeded when no rung failed,
// as OpFailed when one did, and leaves its scratch place to Destroy. Begin for
// another target, or for a backup that cannot be named so, is Invalid. After an
// interruption it may begin anew, because a trial has no effect outside of its
// scratch place; what an earlier attempt left there is removed first.
type RestoreTester interface {
	// Backups lists what there is, newest first; Unavailable when that cannot be
	// read. An empty list is an answer.
	Backups(ctx context.Context, limit int) ([]Backup, error)
	bot.Operation[Trial]
	// Findings reads, from the handle alone, what the trial has shown.
	Findings(h bot.Handle) (Findings, error)
	// Destroy removes the scratch place of h's key, whether there is one or not.
	// nil says that it looked and there is none any more; Busy that it goes on.
	Destroy(ctx context.Context, h bot.Handle) error
	// Sweep removes what earlier trials of this target left, except of keys that
	// keep is true for. It touches nothing but what carries the exact tag of one.
	Sweep(ctx context.Context, keep func(key string) bool) ([]Leftover, error)
}

// Describer is a RestoreTester that can write down, at backup time, what a backup
// holds: sizes, checksums, row counts. Describe gives where that lies.
type Describer interface {
	Describe(ctx context.Context, id string) (path string, err error)
}

// BackupBinder is a Provider that can bind a RestoreTester to a target from the
// target's backup table, without the keys that are the bot's own: rpo, rto and
// every.
type BackupBinder interface {
	BindBackup(t bot.Target, raw Raw) (RestoreTester, error)
}

// Objectives is what a team wants of a target's backups; 0 for nothing said.
type Objectives struct {
	RPO   time.Duration `json:"rpo,omitempty"`   // how much data may be lost
	RTO   time.Duration `json:"rto,omitempty"`   // how long a restore may take
	Every time.Duration `json:"every,omitempty"` // how often a restore test must pass
}

// RestoreTester gives the RestoreTester of a target, or an Error of kind NotFound.
func (c *Catalog) RestoreTester(t bot.Target) (RestoreTester, error) {
	b, ok := c.bindings[t]
	if !ok {
		return nil, bot.Errorf(bot.NotFound, "there is no target %s", t)
	}
	if b.Backup == nil {
		return nil, bot.Errorf(bot.NotFound, "%s has no backups configured: give [service.%s.%s] a backup table, as config.example.toml shows", t, t.Service, t.Environment)
	}
	return b.Backup, nil
}

// Objectives gives what is wanted of a target's backups.
func (c *Catalog) Objectives(t bot.Target) Objectives { return c.bindings[t].Objectives }
