package backup

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/provider"
)

// Workflow executes Tests: it judges the age, has the provider restore and look,
// has the copy removed whatever came of that, and writes the evidence down. A test
// has passed only when all of these did. It implements bot.Workflow, bot.Timed and
// bot.Settler; safe for concurrent use.
type Workflow struct {
	catalog *provider.Catalog
	ledger  *Ledger
	clock   bot.Clock
}

// NewWorkflow makes the Workflow.
func NewWorkflow(c *provider.Catalog, l *Ledger, clock bot.Clock) *Workflow {
	return &Workflow{c, l, clock}
}

// stage is what the next call is for.
type stage string

const (
	stageAge      stage = "age"
	stageTrial    stage = "trial"
	stageRemove   stage = "remove"
	stageEvidence stage = "evidence"
	stageEnd      stage = "end"
)

// maxRemovals bounds how often one run asks for the removal; then it says that
// something is left, and the hourly sweep goes on.
const maxRemovals = 40

// state is what a Handle carries.
type state struct {
	Test      Test              `json:"test"`
	Task      bot.Task          `json:"task"`
	Stage     stage             `json:"stage"`
	Begun     time.Time         `json:"begun"`
	Trial     bot.Handle        `json:"trial"` // the provider's
	Findings  provider.Findings `json:"findings"`
	Rungs     []provider.Rung   `json:"rungs,omitempty"`
	Cancelled bool              `json:"cancelled,omitempty"`
	Removals  int               `json:"removals,omitempty"`
	Evidence  string            `json:"evidence,omitempty"` // where it lies
	Digest    string            `json:"digest,omitempty"`   // of it
}

// Kind implements bot.Workflow.
func (w *Workflow) Kind() string { return Kind }

// Timing implements bot.Timed by asking the target's RestoreTester.
func (w *Workflow) Timing(t bot.Target) bot.Timing {
	if tester, err := w.catalog.RestoreTester(t); err == nil {
		if timed, ok := tester.(bot.Timed); ok {
			return timed.Timing(t)
		}
	}
	return bot.DefaultTiming
}

// Check implements bot.Workflow: the backup must be what it was.
func (w *Workflow) Check(ctx context.Context, s bot.Spec, facts []bot.Fact) ([]bot.Obstacle, error) {
	t, err := Body(s)
	if err != nil {
		return nil, err
	}
	tester, err := w.catalog.RestoreTester(t.Target)
	if err != nil {
		return nil, err
	}
	for _, f := range facts {
		switch f.Name {
		case provider.FactBinding:
			if w.catalog.Digest(t.Target) != f.Want {
				return nil, bot.Errorf(bot.Conflict, "the configuration of %s was changed meanwhile", t.Target)
			}
		case FactBackup:
			all, err := tester.Backups(ctx, maxListed)
			if err != nil {
				return nil, err
			}
			now, err := Find(t.Target, all, t.Backup.ID)
			if err != nil {
				return nil, err
			}
			if mark(now) != f.Want {
				return nil, bot.Errorf(bot.Conflict, "the backup %s was written over meanwhile", t.Backup.ID)
			}
		default:
			return nil, bot.Errorf(bot.Internal, "this version does not know the precondition %q", f.Name)
		}
	}
	return nil, nil
}

// Begin implements bot.Workflow.
func (w *Workflow) Begin(s bot.Spec, t bot.Task) (bot.Handle, error) {
	test, err := Body(s)
	if err != nil {
		return bot.Handle{}, err
	}
	tester, err := w.catalog.RestoreTester(test.Target)
	if err != nil {
		return bot.Handle{}, err
	}
	trial, err := tester.Begin(test.Trial, t)
	if err != nil {
		return bot.Handle{}, err
	}
	trial.Key, trial.Target = t.Key, test.Target
	return pack(bot.Handle{Key: t.Key, Target: test.Target}, state{Test: test, Task: t, Stage: stageAge, Begun: w.clock.Now(), Trial: trial})
}

func pack(h bot.Handle, s state) (bot.Handle, error) {
	raw, err := json.Marshal(s)
	h.State = raw
	return h, err
}

func unpack(h bot.Handle) (s state, err error) {
	if err := json.Unmarshal(h.State, &s); err != nil {
		return s, fmt.Errorf("decode handle: %w", err)
	}
	return s, nil
}

// Cancel implements bot.Workflow. What was restored is removed all the same.
func (w *Workflow) Cancel(ctx context.Context, h bot.Handle) (bot.Handle, error) {
	s, err := unpack(h)
	if err != nil {
		return h, err
	}
	if s.Stage == stageTrial {
		tester, err := w.catalog.RestoreTester(h.Target)
		if err != nil {
			return h, err
		}
		if s.Trial, err = tester.Cancel(ctx, s.Trial); err != nil {
			return h, err
		}
		s.Trial.Key, s.Trial.Target = h.Key, h.Target
	}
	if s.Stage == stageAge || s.Stage == stageTrial {
		s.Cancelled = true
	}
	return pack(h, s)
}

// Advance implements bot.Workflow.
func (w *Workflow) Advance(ctx context.Context, h bot.Handle) (bot.Handle, bot.Progress, error) {
	s, err := unpack(h)
	if err != nil {
		return h, bot.Progress{}, err
	}
	tester, err := w.catalog.RestoreTester(h.Target)
	if err != nil {
		return h, bot.Progress{}, err
	}
	var p bot.Progress
	switch s.Stage {
	case stageAge:
		p, err = w.begin(&s)
	case stageTrial:
		p, err = w.trial(ctx, tester, &s, h.Interrupted)
	case stageRemove:
		p, err = w.remove(ctx, tester, &s)
	case stageEvidence:
		p, err = w.evidence(&s)
	default:
		p = w.end(s)
	}
	if err != nil {
		return h, bot.Progress{}, err
	}
	p.Parts = parts(s)
	next, err := pack(h, s)
	return next, p, err
}

// begin judges the age.
func (w *Workflow) begin(s *state) (bot.Progress, error) {
	first := age(s.Test, w.clock.Now())
	s.Rungs = climbed(s.Test, first, s.Findings, false)
	if s.Cancelled || first.State == provider.RungFailed { // nothing was restored
		s.Stage = stageEvidence
		return bot.Progress{State: bot.OpWorking, Text: first.Text}, nil
	}
	s.Stage = stageTrial
	return bot.Progress{State: bot.OpWorking, Text: "restoring " + s.Test.Backup.ID}, nil
}

// trial has the provider go on.
func (w *Workflow) trial(ctx context.Context, tester provider.RestoreTester, s *state, interrupted bool) (bot.Progress, error) {
	s.Trial.Interrupted = interrupted
	next, p, err := tester.Advance(ctx, s.Trial)
	if err != nil {
		switch bot.KindOf(err) {
		case bot.Unavailable, bot.Timeout, bot.Busy:
			return p, err
		}
		// It has no effect outside of its place, so what cannot be gone on with has
		// failed, and is removed.
		s.Findings.Rungs = append(s.Findings.Rungs, failed(provider.RungRestored, "%s", sentence(err)))
		s.Rungs, s.Stage = climbed(s.Test, s.Rungs[0], s.Findings, true), stageRemove
		return bot.Progress{State: bot.OpWorking, Text: "removing what was restored"}, nil
	}
	next.Interrupted, next.Key, next.Target = false, s.Trial.Key, s.Trial.Target
	s.Trial = next
	found, err := tester.Findings(s.Trial)
	if err != nil {
		return p, err
	}
	s.Findings = found
	s.Rungs = climbed(s.Test, s.Rungs[0], s.Findings, p.State.Settled())
	if !p.State.Settled() {
		return bot.Progress{State: bot.OpWorking, Text: p.Text, Percent: p.Percent, Lines: p.Lines, Next: p.Next}, nil
	}
	if p.State != bot.OpSucceeded && fault(s.Rungs) == nil && !s.Cancelled {
		// It says that it failed, and no rung did: that is no success either.
		if p.Text == "" {
			p.Text = "it ended as " + string(p.State)
		}
		s.Findings.Rungs = append(s.Findings.Rungs, failed(provider.RungRestored, "%s", p.Text))
		s.Rungs = climbed(s.Test, s.Rungs[0], s.Findings, true)
	}
	s.Stage = stageRemove
	return bot.Progress{State: bot.OpWorking, Text: "removing what was restored"}, nil
}

// remove has the copy removed, again and again within bounds.
func (w *Workflow) remove(ctx context.Context, tester provider.RestoreTester, s *state) (bot.Progress, error) {
	err := tester.Destroy(ctx, s.Trial)
	if err != nil && s.Removals < maxRemovals {
		s.Removals++
		return bot.Progress{State: bot.OpWorking, Text: "removing what was restored", Next: time.Duration(min(s.Removals, 10)) * 500 * time.Millisecond}, nil
	}
	r := provider.Rung{Name: provider.RungRemoved, State: provider.RungPassed, Text: "nothing of it is left"}
	if err != nil {
		r = failed(provider.RungRemoved, "what was restored is still there and needs a person: %s", sentence(err))
	}
	s.Rungs = append(s.Rungs, r)
	s.Stage = stageEvidence
	return bot.Progress{State: bot.OpWorking, Text: r.Text}, nil
}

func sentence(err error) string { return bot.Sentence(err, "restore-test") }

// evidence writes down what was found. It comes before the outcome: a test that
// left no evidence has not passed.
func (w *Workflow) evidence(s *state) (bot.Progress, error) {
	e := evidenceOf(*s, w.clock.Now())
	path, digest, err := w.ledger.write(e)
	if err != nil {
		return bot.Progress{}, &bot.Error{Op: "backup.evidence", Kind: bot.Unavailable, Err: err, Say: "the evidence cannot be written down"}
	}
	s.Evidence, s.Digest, s.Stage = path, digest, stageEnd
	return bot.Progress{State: bot.OpWorking, Text: fmt.Sprintf("evidence %s in %s", digest, path)}, nil
}

// end says how it went.
func (w *Workflow) end(s state) bot.Progress {
	bad := fault(s.Rungs)
	text := ""
	switch {
	case s.Cancelled && (bad == nil || bad.Name != provider.RungRemoved):
		text = "it was stopped; nothing of it is left"
		return bot.Progress{State: bot.OpCancelled, Text: text + "; " + where(s)}
	case bad != nil:
		if last := s.Rungs[len(s.Rungs)-1]; last.Name == provider.RungRemoved && last.State == provider.RungFailed && bad.Name != provider.RungRemoved {
			text = "; and " + last.Text
		}
		return bot.Progress{State: bot.OpFailed, Text: fmt.Sprintf("%s: %s%s; %s", bad.Name, bad.Text, text, where(s))}
	}
	return bot.Progress{State: bot.OpSucceeded, Text: fmt.Sprintf("%s was restored and is good (%s); %s", s.Test.Backup.ID, reached(s.Rungs), where(s))}
}

// where tells the evidence apart. Its whole digest is in the log, in the record of
// the step before.
func where(s state) string {
	return fmt.Sprintf("evidence %s…", s.Digest[:min(len(s.Digest), len("sha256:")+8)])
}

// parts shows on the card what was climbed, and what is: not what is still to come,
// nor what nobody asked for.
func parts(s state) []bot.ProgressPart {
	var all []bot.ProgressPart
	for _, r := range s.Rungs {
		switch {
		case r.State == provider.RungPassed || r.State == provider.RungFailed:
			all = append(all, bot.ProgressPart{Name: string(r.Name), Text: fmt.Sprintf("%s: %s", r.State, r.Text)})
		case r.State == provider.RungNotRun && r.Text != "":
			all = append(all, bot.ProgressPart{Name: string(r.Name), Text: r.Text})
		}
	}
	if s.Evidence != "" {
		all = append(all, bot.ProgressPart{Name: "evidence", Text: s.Evidence})
	}
	return all
}

// Settle implements bot.Settler: what a target's backups were last seen to be worth.
func (w *Workflow) Settle(r bot.Run, p bot.Progress, at time.Time) ([]bot.Document, error) {
	if p.State == bot.OpCancelled { // it says nothing of the backups
		return nil, nil
	}
	t, err := Body(r.Plan.Spec)
	if err != nil {
		return nil, err
	}
	s, err := unpack(r.Handle)
	if err != nil && len(r.Handle.State) > 0 {
		return nil, err
	}
	return documents(Result{Run: r.Number, Target: t.Target, Backup: t.Backup.ID, Created: t.Backup.Created, At: at, Passed: p.State == bot.OpSucceeded,
		Text: p.Text, Evidence: s.Evidence, Digest: s.Digest, RTO: s.Findings.Ready})
}

var errNoFolder = errors.New("no folder for evidence is configured")
