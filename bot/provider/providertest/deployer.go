package providertest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/provider"
)

// Deployer attaches a Deployer for a target, as a bot does when it starts. It
// keeps nothing itself: all of them see the same infrastructure.
func (i *Infrastructure) Deployer(t bot.Target) provider.Deployer {
	return &deployer{far: i, target: t}
}

// deployer is written as one for a real back-end would be, traps included.
type deployer struct {
	far    *Infrastructure
	target bot.Target
}

// state is what a handle holds. Op is the far side's name for the operation.
type state struct {
	Deployment provider.Deployment `json:"deployment"`
	Scaling    *provider.Scaling   `json:"scaling,omitempty"` // then there is no Deployment
	Task       bot.Task            `json:"task"`
	Op         string              `json:"op,omitempty"`
	Cancel     bool                `json:"cancel,omitempty"`
	Barred     bool                `json:"barred,omitempty"`
	Lost       bool                `json:"lost,omitempty"` // said to be unknown, and stays so
}

func (d *deployer) Timing(bot.Target) bot.Timing { return d.far.timing }

func (d *deployer) Ways() []provider.Way { return []provider.Way{provider.Redeploy} }

func (d *deployer) Resolve(ctx context.Context, version string) (provider.Artefact, error) {
	releases, err := d.Releases(ctx, 0)
	if err != nil {
		return provider.Artefact{}, err
	}
	if version == "latest" {
		return releases[0].Artefact, nil
	}
	for _, r := range releases {
		if version == r.Version || version == r.ID {
			return r.Artefact, nil
		}
	}
	return provider.Artefact{}, bot.Errorf(bot.NotFound,
		"there is no release %q of %s; did you mean %q?", version, d.target.Service, releases[0].Version)
}

func (d *deployer) Current(ctx context.Context) (provider.Live, error) {
	if err := ctx.Err(); err != nil {
		return provider.Live{}, translate(err)
	}
	d.far.mu.Lock()
	defer d.far.mu.Unlock()
	d.far.catchUp()
	s := d.far.site(d.target)
	live := provider.Live{
		Artefact: d.far.artefact(s.live), Mixed: slices.Clone(s.mixed),
		Running: 2, Healthy: 2, Desired: 2, Since: s.since,
	}
	if s.op != nil && s.op.state == rolling {
		live.Deploying = s.op.act.To
	}
	return live, nil
}

func (d *deployer) Releases(ctx context.Context, limit int) ([]provider.Release, error) {
	if err := ctx.Err(); err != nil {
		return nil, translate(err)
	}
	d.far.mu.Lock()
	defer d.far.mu.Unlock()
	s := d.far.site(d.target)
	var out []provider.Release
	for n, v := range slices.Backward(versions()) {
		out = append(out, provider.Release{
			Artefact: d.far.artefact(v), LiveAt: s.lastAt[v],
			Created: d.far.born.Add(-time.Duration(len(versions())-n) * 24 * time.Hour),
		})
	}
	if limit > 0 && len(out) > limit {
		out = out[:limit]
	}
	return out, nil
}

func (d *deployer) Preview(ctx context.Context, from, to provider.Artefact) (provider.Preview, error) {
	if err := ctx.Err(); err != nil {
		return provider.Preview{}, translate(err)
	}
	p := provider.Preview{Fields: []bot.Field{{Name: "notes", Value: to.Notes}}}
	if strings.Compare(to.Version, from.Version) < 0 {
		p.Warnings = []string{to.Version + " is older than " + from.Version}
	}
	return p, nil
}

func (d *deployer) Begin(body provider.Deployment, t bot.Task) (bot.Handle, error) {
	if body.Target != d.target {
		return bot.Handle{}, bot.Errorf(bot.Invalid, "a deployment of %s was given to %s", body.Target, d.target)
	}
	return pack(bot.Handle{Key: t.Key, Target: d.target}, state{Deployment: body, Task: t})
}

func pack(h bot.Handle, s state) (bot.Handle, error) {
	raw, err := json.Marshal(s)
	if err != nil {
		return h, err
	}
	h.State, h.Interrupted = raw, false
	return h, nil
}

func (d *deployer) Advance(ctx context.Context, h bot.Handle) (bot.Handle, bot.Progress, error) {
	var s state
	if err := json.Unmarshal(h.State, &s); err != nil {
		return h, bot.Progress{}, &bot.Error{Kind: bot.Internal, Err: err}
	}
	if err := ctx.Err(); err != nil {
		return h, bot.Progress{}, translate(err)
	}
	p, err := d.advance(ctx, h, &s)
	if err != nil {
		return h, bot.Progress{}, err
	}
	h, err = pack(h, s)
	return h, p, err
}

// advance makes one remote call.
func (d *deployer) advance(ctx context.Context, h bot.Handle, s *state) (bot.Progress, error) {
	soon := bot.Progress{State: bot.OpPending, Next: time.Millisecond}
	switch {
	case s.Op != "":
		return d.look(ctx, s)
	case d.far.tokens && s.Cancel && !s.Barred:
		d.far.bar(s.Task.Key)
		s.Barred = true
		return soon, nil
	case d.far.tokens:
		// Started again under its token it is found again, or refused for good.
	case s.Lost, h.Interrupted && d.far.fault == Unsearchable:
		s.Lost = true
		return bot.Progress{
			State: bot.OpUnknown, Text: "whether it was started cannot be known",
			Check: "look whether " + s.to() + " is live in " + d.target.String(),
		}, nil
	case h.Interrupted:
		if id, found := d.far.find(s.Task.Key); found {
			s.Op = id
			if s.Cancel {
				d.far.stop(id)
			}
			return bot.Progress{State: bot.OpWorking, Text: "found again", Next: time.Millisecond}, nil
		}
		return soon, nil // provably absent: the next call may act
	case s.Cancel:
		return bot.Progress{State: bot.OpCancelled, Text: "cancelled before it was started"}, nil
	}
	act := Act{
		Key: s.Task.Key, Actor: s.Task.Actor, Action: s.Deployment.Action, Target: d.target,
		From: s.Deployment.From.Version, To: s.to(),
	}
	if s.Scaling != nil {
		act.Action, act.From = Scale, s.Scaling.From
	}
	id, err := d.far.start(ctx, act)
	if errors.Is(err, errBarred) {
		return bot.Progress{State: bot.OpCancelled, Text: "cancelled before it was started"}, nil
	}
	if err != nil {
		return bot.Progress{}, translate(err)
	}
	s.Op = id
	return bot.Progress{State: bot.OpWorking, Text: "started", Next: time.Millisecond}, nil
}

// to is what the operation brings: a version, or a count.
func (s *state) to() string {
	if s.Scaling != nil {
		return s.Scaling.To
	}
	return s.Deployment.To.Version
}

func (d *deployer) look(ctx context.Context, s *state) (bot.Progress, error) {
	r, err := d.far.status(ctx, s.Op)
	if err != nil {
		return bot.Progress{}, translate(err)
	}
	to := s.to()
	p := bot.Progress{Percent: &r.percent, Text: "rolling out " + to, Next: time.Millisecond}
	switch r.state {
	case rolling:
		p.State = bot.OpWorking
	case done:
		p.State, p.Text = bot.OpSucceeded, to+" is live"
		// The far side's word is not enough: it may have gone back by itself.
		if r.live != to {
			p.State, p.Text = bot.OpRolledBack, "the platform put "+r.live+" back by itself"
		}
	case unhealthy:
		p.State, p.Text = bot.OpRolledBack, to+" never became healthy; "+r.live+" is back"
	case stopped:
		p.State, p.Text = bot.OpCancelled, "stopped; "+r.live+" is live"
	case stoppedMix:
		p.State, p.Text = bot.OpPartlyDone, "stopped half-way: "+r.live+" and "+to+" run side by side"
	case replaced:
		p.State, p.Text = bot.OpSuperseded, "another deployment took its place"
	default:
		p.State, p.Text = bot.OpUnknown, fmt.Sprintf("the platform reports %q", r.state)
		p.Check = "look whether " + to + " is live in " + d.target.String()
	}
	return p, nil
}

func (d *deployer) Cancel(ctx context.Context, h bot.Handle) (bot.Handle, error) {
	var s state
	if err := json.Unmarshal(h.State, &s); err != nil {
		return h, &bot.Error{Kind: bot.Internal, Err: err}
	}
	if err := ctx.Err(); err != nil {
		return h, translate(err)
	}
	interrupted := h.Interrupted
	s.Cancel = true
	if s.Op != "" {
		d.far.stop(s.Op)
	}
	h, err := pack(h, s)
	h.Interrupted = interrupted // whether an Advance may have acted is still open
	return h, err
}

// translate is the adapter's edge.
func translate(err error) error {
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded), errors.Is(err, errNoAnswer):
		return &bot.Error{Op: "memory", Kind: bot.Timeout, Say: "the platform gave no answer in time", Err: err}
	}
	return &bot.Error{Op: "memory", Kind: bot.Unavailable, Say: "the platform is out of order", Err: err}
}
