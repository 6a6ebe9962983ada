package action

import (
	"context"
	"encoding/json"
	"fmt"

	"quarterdeck/bot"
	"quarterdeck/bot/provider"
)

// Kind is the workflow of all Specs whose body is a provider.Invocation.
const Kind = "action@1"

// FactBinding is the precondition that an action is configured as it was: what
// its name stands for is part of what was agreed to.
const FactBinding = "binding"

// Workflow runs actions at their providers. It implements bot.Workflow; safe
// for concurrent use.
type Workflow struct{ table *Table }

// NewWorkflow makes the Workflow.
func NewWorkflow(t *Table) *Workflow { return &Workflow{t} }

// Kind implements bot.Workflow.
func (w *Workflow) Kind() string { return Kind }

// state is what a Handle carries: which action the rest is of.
type state struct {
	Action string          `json:"action"`
	State  json.RawMessage `json:"state,omitempty"`
}

func (w *Workflow) action(name string) (Action, error) {
	a, ok := w.table.Lookup(name)
	if !ok {
		return a, bot.Errorf(bot.NotFound, "there is no action %q in the configuration any more", name)
	}
	return a, nil
}

func (w *Workflow) body(s bot.Spec) (Action, provider.Invocation, error) {
	var body provider.Invocation
	if err := json.Unmarshal(s.Body, &body); err != nil {
		return Action{}, body, fmt.Errorf("decode %s: %w", s.Kind, err)
	}
	a, err := w.action(body.Action)
	return a, body, err
}

// Check implements bot.Workflow: the action must still stand for what it stood
// for, and take the values that it is to get.
func (w *Workflow) Check(_ context.Context, s bot.Spec, facts []bot.Fact) ([]bot.Obstacle, error) {
	a, body, err := w.body(s)
	if err != nil {
		return nil, err
	}
	for _, f := range facts {
		if f.Name != FactBinding {
			return nil, bot.Errorf(bot.Internal, "this version does not know the precondition %q", f.Name)
		}
		if f.Want != a.Digest {
			return nil, bot.Errorf(bot.Conflict, "the configuration of %s was changed meanwhile", a.Name)
		}
	}
	for _, p := range a.Parameters {
		if v, given := body.Values[p.Name]; given {
			if err := p.Check(v); err != nil {
				return nil, err
			}
		}
	}
	return nil, nil
}

// Begin implements bot.Workflow.
func (w *Workflow) Begin(s bot.Spec, t bot.Task) (bot.Handle, error) {
	a, body, err := w.body(s)
	if err != nil {
		return bot.Handle{}, err
	}
	h, err := a.Actor.Begin(body, t)
	if err != nil {
		return bot.Handle{}, err
	}
	return wrap(bot.Handle{Key: t.Key, Target: body.Target}, a.Name, h.State)
}

func wrap(h bot.Handle, name string, inner json.RawMessage) (bot.Handle, error) {
	raw, err := json.Marshal(state{Action: name, State: inner})
	if err != nil {
		return h, fmt.Errorf("encode handle: %w", err)
	}
	h.State = raw
	return h, nil
}

// inner gives the action of a handle and the handle as its provider made it.
func (w *Workflow) inner(h bot.Handle) (Action, bot.Handle, error) {
	var s state
	if err := json.Unmarshal(h.State, &s); err != nil {
		return Action{}, h, fmt.Errorf("decode handle: %w", err)
	}
	a, err := w.action(s.Action)
	h.State = s.State
	return a, h, err
}

// Advance implements bot.Workflow.
func (w *Workflow) Advance(ctx context.Context, h bot.Handle) (bot.Handle, bot.Progress, error) {
	a, in, err := w.inner(h)
	if err != nil {
		return h, bot.Progress{}, err
	}
	next, p, err := a.Actor.Advance(ctx, in)
	if err != nil {
		return h, p, err
	}
	out, err := wrap(bot.Handle{Key: h.Key, Target: h.Target}, a.Name, next.State)
	return out, p, err
}

// Cancel implements bot.Workflow.
func (w *Workflow) Cancel(ctx context.Context, h bot.Handle) (bot.Handle, error) {
	a, in, err := w.inner(h)
	if err != nil {
		return h, err
	}
	next, err := a.Actor.Cancel(ctx, in)
	if err != nil {
		return h, err
	}
	out, err := wrap(bot.Handle{Key: h.Key, Target: h.Target}, a.Name, next.State)
	out.Interrupted = next.Interrupted
	return out, err
}

// Timing implements bot.Timed: the longest that any action asks for, since the
// engine asks by target alone.
func (w *Workflow) Timing(t bot.Target) bot.Timing {
	longest := bot.DefaultTiming
	for _, a := range w.table.All() {
		if timed, ok := a.Actor.(bot.Timed); ok {
			at := timed.Timing(t)
			longest.Call, longest.Settle = max(longest.Call, at.Call), max(longest.Settle, at.Settle)
		}
	}
	return longest
}
