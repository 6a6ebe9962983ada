package run_test

import (
	"context"
	"sync"
	"time"

	"quarterdeck/bot"
)

// drill is a command whose workflow does what a test says.
type drill struct {
	mu      sync.Mutex
	timing  bot.Timing
	plan    func() error
	check   func() ([]bot.Obstacle, error)
	begin   func() error
	advance func(ctx context.Context, h bot.Handle) (bot.Progress, error)
	cancel  func() error
	settle  func() error
	needs   []bot.Obstacle
	slot    string // shared by all targets, where it is set
	calls   int
	found   []bool // handle.Interrupted of every call of advance
}

func (d *drill) set(f func(*drill)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f(d)
}

func (d *drill) command() bot.Command {
	return bot.Command{Name: "drill", Summary: "do what the test says", Permission: bot.MayRestart,
		Params: []bot.Param{{Name: "service", Type: bot.TypeService, Help: "what"}, {Name: "environment", Type: bot.TypeEnvironment, Help: "where"}},
		Resolve: func(c bot.Call) (bot.Ask, error) {
			t := c.Args.Target()
			return bot.Ask{Permission: bot.MayRestart, Resources: []bot.Resource{t.Resource()}, Target: t}, nil
		},
		Plan: func(_ context.Context, c bot.Call) (bot.Plan, error) {
			d.mu.Lock()
			defer d.mu.Unlock()
			if d.plan != nil {
				if err := d.plan(); err != nil {
					return bot.Plan{}, err
				}
			}
			t := c.Args.Target()
			s, err := bot.NewSpec("drill@1", "drill", t, []bot.Resource{t.Resource()}, nil)
			slot := t.String() + " drill"
			if d.slot != "" {
				slot = d.slot
			}
			return bot.Plan{Spec: s, Slot: slot, Summary: "drill " + t.String(), Obstacles: d.needs}, err
		},
		Workflows: []bot.Workflow{d}}
}

func (d *drill) Kind() string { return "drill@1" }

func (d *drill) Timing(bot.Target) bot.Timing {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timing == (bot.Timing{}) {
		return bot.Timing{Call: time.Second, Settle: 10 * time.Millisecond}
	}
	return d.timing
}

func (d *drill) Check(context.Context, bot.Spec, []bot.Fact) ([]bot.Obstacle, error) {
	d.mu.Lock()
	f := d.check
	d.mu.Unlock()
	if f == nil {
		return nil, nil
	}
	return f()
}

func (d *drill) Begin(_ bot.Spec, t bot.Task) (bot.Handle, error) {
	d.mu.Lock()
	f := d.begin
	d.mu.Unlock()
	if f != nil {
		if err := f(); err != nil {
			return bot.Handle{}, err
		}
	}
	return bot.Handle{Key: t.Key}, nil
}

func (d *drill) Advance(ctx context.Context, h bot.Handle) (bot.Handle, bot.Progress, error) {
	d.mu.Lock()
	d.calls++
	d.found = append(d.found, h.Interrupted)
	f := d.advance
	d.mu.Unlock()
	if f == nil {
		return h, bot.Progress{State: bot.OpSucceeded, Text: "drilled"}, nil
	}
	p, err := f(ctx, h)
	return h, p, err
}

func (d *drill) Cancel(_ context.Context, h bot.Handle) (bot.Handle, error) {
	d.mu.Lock()
	f := d.cancel
	d.mu.Unlock()
	if f == nil {
		return h, nil
	}
	return h, f()
}

func (d *drill) Settle(bot.Run, bot.Progress, time.Time) ([]bot.Document, error) {
	d.mu.Lock()
	f := d.settle
	d.mu.Unlock()
	if f == nil {
		return nil, nil
	}
	return nil, f()
}
