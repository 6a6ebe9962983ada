package release

import (
	"context"
	"encoding/json"

	"quarterdeck/bot"
	"quarterdeck/bot/provider"
)

// Split is a Deployer that goes back through another provider than the one it
// deploys by: what is live, what there is, deployments and restarts are the
// Deployer's, rollbacks the Roller's. Safe for concurrent use.
type Split struct {
	provider.Deployer
	back provider.Roller
	name string
}

// NewSplit makes a Split; name is the provider that back belongs to.
func NewSplit(d provider.Deployer, back provider.Roller, name string) *Split {
	return &Split{Deployer: d, back: back, name: name}
}

var (
	_ provider.Deployer  = (*Split)(nil)
	_ provider.Limited   = (*Split)(nil)
	_ provider.Inspected = (*Split)(nil)
	_ bot.Timed          = (*Split)(nil)
)

// mark is the one key of the state of a handle that is the Roller's. What the
// Deployer began stays as it is, so that a rollback that was begun before the
// target had a Roller is still finished by who began it.
const mark = "rolled_back_by_another"

// Ways are the Roller's.
func (s *Split) Ways() []provider.Way { return s.back.Ways() }

// By names the provider that takes the target back.
func (s *Split) By() string { return s.name }

// Can implements provider.Limited.
func (s *Split) Can(a provider.Action) error {
	var asked any = s.Deployer
	if a == provider.Rollback {
		asked = s.back
	}
	if l, ok := asked.(provider.Limited); ok {
		return l.Can(a)
	}
	return nil
}

// Inspect implements provider.Inspected.
func (s *Split) Inspect() []string {
	var lines []string
	for _, p := range []any{s.Deployer, s.back} {
		if d, ok := p.(provider.Inspected); ok {
			lines = append(lines, d.Inspect()...)
		}
	}
	return lines
}

// Timing implements bot.Timed: the longer of the two.
func (s *Split) Timing(t bot.Target) bot.Timing {
	a, b := timingOf(s.Deployer, t), timingOf(s.back, t)
	return bot.Timing{Call: max(a.Call, b.Call), Settle: max(a.Settle, b.Settle)}
}

func timingOf(p any, t bot.Target) bot.Timing {
	if timed, ok := p.(bot.Timed); ok {
		return timed.Timing(t)
	}
	return bot.DefaultTiming
}

// Begin gives a rollback to the Roller and all else to the Deployer.
func (s *Split) Begin(d provider.Deployment, t bot.Task) (bot.Handle, error) {
	if d.Action != provider.Rollback {
		return s.Deployer.Begin(d, t)
	}
	h, err := s.back.Begin(d, t)
	if err != nil {
		return h, err
	}
	return wrap(h)
}

func wrap(h bot.Handle) (bot.Handle, error) {
	inner := h.State
	if len(inner) == 0 {
		inner = json.RawMessage("null")
	}
	raw, err := json.Marshal(map[string]json.RawMessage{mark: inner})
	if err != nil {
		return h, &bot.Error{Op: "release", Kind: bot.Internal, Err: err}
	}
	h.State = raw
	return h, nil
}

// whose gives what drives a handle, and the handle as that one knows it.
func (s *Split) whose(h bot.Handle) (op provider.Step, inner bot.Handle, wrapped bool) {
	var state map[string]json.RawMessage
	if json.Unmarshal(h.State, &state) != nil { // another's state, of whatever shape
		return s.Deployer, h, false
	}
	back, found := state[mark]
	if !found || len(state) != 1 {
		return s.Deployer, h, false
	}
	h.State = back
	return s.back, h, true
}

// Advance makes one call to whoever began the operation.
func (s *Split) Advance(ctx context.Context, h bot.Handle) (bot.Handle, bot.Progress, error) {
	op, inner, wrapped := s.whose(h)
	next, p, err := op.Advance(ctx, inner)
	if err != nil {
		return h, p, err
	}
	if wrapped {
		next, err = wrap(next)
	}
	return next, p, err
}

// Cancel asks whoever began the operation to stop.
func (s *Split) Cancel(ctx context.Context, h bot.Handle) (bot.Handle, error) {
	op, inner, wrapped := s.whose(h)
	next, err := op.Cancel(ctx, inner)
	if err != nil {
		return h, err
	}
	if wrapped {
		interrupted := next.Interrupted
		next, err = wrap(next)
		next.Interrupted = interrupted
	}
	return next, err
}
