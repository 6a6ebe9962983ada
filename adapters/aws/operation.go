package awsprovider

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/provider"
)

// stage is what the next call of an operation is for.
type stage string

// The stages, in their order.
const (
	inspecting  stage = "inspect"  // the service: what it runs, and whether it may be changed
	registering stage = "register" // the copy of its task definition
	updating    stage = "update"   // the service; the one call that acts on production
	listing     stage = "list"     // its deployments, for that of the copy
	matching    stage = "match"    // which of them is
	following   stage = "follow"   // that deployment
	verifying   stage = "verify"   // that the service has it
	ended       stage = "ended"
)

// state is what a handle holds.
type state struct {
	Deployment *provider.Deployment `json:"deployment,omitempty"`
	Scaling    *provider.Scaling    `json:"scaling,omitempty"` // then there is no Deployment
	Task       bot.Task             `json:"task"`
	Stage      stage                `json:"stage"`
	// Doubt says that an earlier call of UpdateService may have acted.
	Doubt bool `json:"doubt,omitempty"`
	// Base is the task definition that is copied, Copy the run's own, made when
	// AWS's clock said Made.
	Base string    `json:"base,omitempty"`
	Copy string    `json:"copy,omitempty"`
	Made time.Time `json:"made,omitzero"`
	// Sent is when UpdateService was sent, by our clock.
	Sent time.Time `json:"sent,omitzero"`
	// Candidates are deployments that may be ours.
	Candidates []candidate `json:"candidates,omitempty"`
	ID         string      `json:"id,omitempty"` // the service deployment's ARN
	// Cancel is set once the end was asked for, Stopped once ECS knows it.
	Cancel  bool `json:"cancel,omitempty"`
	Stopped bool `json:"stopped,omitempty"`
	// Verdict is how it ends if the service agrees, with the reason.
	Verdict bot.OpState `json:"verdict,omitempty"`
	Why     string      `json:"why,omitempty"`
	// Since is when the service was first seen to disagree.
	Since time.Time `json:"since,omitzero"`
	// Looks counts the looks since anything changed.
	Looks int    `json:"looks,omitempty"`
	Seen  string `json:"seen,omitempty"`
	End   *end   `json:"end,omitempty"`
}

type candidate struct {
	Deployment string `json:"deployment"`
	Revision   string `json:"revision"`
}

// end is how an operation ended.
type end struct {
	State bot.OpState `json:"state"`
	Text  string      `json:"text"`
	Check string      `json:"check,omitempty"`
}

const (
	// appears is how long a deployment that ECS took may take to be listed, and a
	// service to show what its deployment did.
	appears   = 2 * time.Minute
	lookSoon  = time.Millisecond
	lookFirst = 2 * time.Second
	lookMost  = 15 * time.Second
)

// Begin prepares an operation. It does no I/O.
func (d *deployer) Begin(body provider.Deployment, t bot.Task) (bot.Handle, error) {
	if body.Target != d.target {
		return bot.Handle{}, bot.Errorf(bot.Invalid, "a deployment of %s was given to %s", body.Target, d.target)
	}
	if !goodKey(t.Key) {
		return bot.Handle{}, bot.Errorf(bot.Invalid, "a deployment of %s needs a key that a tag can hold", d.target)
	}
	if err := d.Can(body.Action); err != nil {
		return bot.Handle{}, err
	}
	if body.Action != provider.Restart && !digestForm.MatchString(body.To.ID) {
		return bot.Handle{}, bot.Errorf(bot.Invalid, "%s is no image by its digest, and nothing else is deployed to %s", body.To.Label(), d.label())
	}
	return pack(bot.Handle{Key: t.Key, Target: d.target}, state{Deployment: &body, Task: t, Stage: inspecting})
}

// goodKey reports whether a tag's value holds a key as it is.
func goodKey(key string) bool {
	return key != "" && !strings.Contains(key, " ") && tagValue(key) == key
}

func pack(h bot.Handle, s state) (bot.Handle, error) {
	raw, err := json.Marshal(s)
	if err != nil {
		return h, &bot.Error{Op: "aws", Kind: bot.Internal, Err: err}
	}
	h.State, h.Interrupted = raw, false
	return h, nil
}

func unpack(h bot.Handle) (state, error) {
	var s state
	if err := json.Unmarshal(h.State, &s); err != nil {
		return s, &bot.Error{Op: "aws", Kind: bot.Internal, Err: fmt.Errorf("handle %s: %w", h.Key, err)}
	}
	return s, nil
}

// advance drives an operation by one stage.
func advance(ctx context.Context, h bot.Handle, step func(context.Context, *state) (bot.Progress, error)) (bot.Handle, bot.Progress, error) {
	s, err := unpack(h)
	if err != nil {
		return h, bot.Progress{}, err
	}
	if s.Stage == ended {
		h, err := pack(h, s)
		return h, s.last(), err
	}
	if err := ctx.Err(); err != nil {
		return h, bot.Progress{}, outOfTime(err)
	}
	if s.Stage == updating && h.Interrupted {
		s.Doubt = true
	}
	p, err := step(ctx, &s)
	var e *bot.Error
	if errors.As(err, &e) && e.Kind == bot.Busy {
		// AWS did nothing, that much is certain, and waiting is no silence: an error
		// would end the operation's patience long before the throttling ends.
		p, err = s.going(e.Say, max(e.RetryAfter, lookFirst)), nil
	}
	if err != nil {
		return h, bot.Progress{}, err
	}
	h, err = pack(h, s)
	return h, p, err
}

func outOfTime(err error) error {
	return &bot.Error{Op: "aws", Kind: bot.Timeout, Say: "the call ran out of time", Err: err}
}

// Advance makes one call to AWS: that of the stage where the operation is. The
// task definition is read and registered in one, since it may hold what must not
// be kept in a handle.
func (d *deployer) Advance(ctx context.Context, h bot.Handle) (bot.Handle, bot.Progress, error) {
	return advance(ctx, h, d.step)
}

func (d *deployer) step(ctx context.Context, s *state) (bot.Progress, error) {
	switch {
	case s.Deployment == nil:
		return bot.Progress{}, &bot.Error{Op: "aws", Kind: bot.Internal, Err: errors.New("a handle without a deployment")}
	case s.Cancel && s.ID == "" && !s.Doubt && s.Sent.IsZero():
		return s.finish(bot.OpCancelled, "cancelled before ECS was asked to deploy")
	case s.Cancel && s.ID != "" && !s.Stopped && s.Stage == following:
		if err := d.stop(ctx, s); err != nil {
			return bot.Progress{}, err
		}
		return s.going("ECS is asked to stop and to go back", lookFirst), nil
	}
	switch s.Stage {
	case inspecting:
		return d.inspect(ctx, s)
	case registering:
		return d.register(ctx, s)
	case updating:
		return d.update(ctx, s)
	case listing:
		return d.list(ctx, s)
	case matching:
		return d.match(ctx, s)
	case following:
		return d.follow(ctx, s)
	case verifying:
		return d.verify(ctx, s)
	}
	return bot.Progress{}, &bot.Error{Op: "aws", Kind: bot.Internal, Err: fmt.Errorf("stage %q", s.Stage)}
}

// Cancel asks for the end. A deployment that is known is stopped at once, and ECS
// goes back by itself; anything earlier is not started, or stopped as soon as it
// is found.
func (d *deployer) Cancel(ctx context.Context, h bot.Handle) (bot.Handle, error) {
	s, err := unpack(h)
	if err != nil {
		return h, err
	}
	if err := ctx.Err(); err != nil {
		return h, outOfTime(err)
	}
	if s.ID != "" && s.End == nil && !s.Stopped && s.Stage == following {
		if err := d.stop(ctx, &s); err != nil {
			return h, err
		}
	}
	s.Cancel = true
	return packCancel(h, s)
}

// packCancel keeps open whether an Advance may have acted.
func packCancel(h bot.Handle, s state) (bot.Handle, error) {
	interrupted := h.Interrupted
	h, err := pack(h, s)
	h.Interrupted = interrupted
	return h, err
}

// finish notes how the operation ended.
func (s *state) finish(st bot.OpState, text string) (bot.Progress, error) {
	s.End, s.Stage, s.Doubt, s.Candidates = &end{State: st, Text: text}, ended, false, nil
	return s.last(), nil
}

// unknown says that nobody can tell how it ended.
func (d *deployer) unknown(s *state, why string) (bot.Progress, error) {
	_, err := s.finish(bot.OpUnknown, "it is not known how it ended: "+why)
	s.End.Check = d.check(s)
	return s.last(), err
}

// check says what a person is to look at.
func (d *deployer) check(s *state) string {
	what := "whether " + s.Deployment.To.Version + " is live"
	if s.Copy != "" {
		what = "whether it runs task definition " + short(s.Copy)
	}
	return fmt.Sprintf("look at the deployments of ECS service %s in %s, %s, for %s", d.label(), d.settings.Region, what, s.Task.Key)
}

// last is the settled progress.
func (s *state) last() bot.Progress {
	return bot.Progress{State: s.End.State, Text: s.End.Text, Check: s.End.Check}
}

// going is progress that is not settled.
func (s *state) going(text string, next time.Duration) bot.Progress {
	p := bot.Progress{State: bot.OpPending, Text: text, Next: next}
	if s.ID != "" || !s.Sent.IsZero() && !s.Doubt {
		p.State = bot.OpWorking
	}
	return p
}

// pause is how long to wait until the next look: longer the longer nothing
// happens.
func (s *state) pause(seen string) time.Duration {
	if s.Seen != seen {
		s.Seen, s.Looks = seen, 0
	}
	s.Looks++
	return min(lookFirst<<min(s.Looks/4, 10), lookMost)
}
