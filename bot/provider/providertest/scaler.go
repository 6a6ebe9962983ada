package providertest

import (
	"context"
	"strconv"

	"quarterdeck/bot"
	"quarterdeck/bot/provider"
)

// Scaler attaches a Scaler for a target, as a bot does when it starts. It has
// one dimension, the instances, from none to a hundred.
func (i *Infrastructure) Scaler(t bot.Target) provider.Scaler {
	return &scaler{&deployer{far: i, target: t}}
}

// scaler speaks to the far side as its deployer does: an operation is one.
type scaler struct {
	as *deployer
}

// Replicas is the dimension of every Scaler of an Infrastructure.
const Replicas = "replicas"

func (s *scaler) Dimensions(ctx context.Context) ([]provider.Dimension, error) {
	if err := ctx.Err(); err != nil {
		return nil, translate(err)
	}
	far := s.as.far
	far.mu.Lock()
	defer far.mu.Unlock()
	far.catchUp()
	site := far.site(s.as.target)
	return []provider.Dimension{{Name: Replicas, Unit: "instances", Current: site.count, Actual: site.actual, Max: 100}}, nil
}

func (s *scaler) Begin(body provider.Scaling, t bot.Task) (bot.Handle, error) {
	if body.Target != s.as.target {
		return bot.Handle{}, bot.Errorf(bot.Invalid, "a scaling of %s was given to %s", body.Target, s.as.target)
	}
	if body.Dimension != Replicas {
		return bot.Handle{}, bot.Errorf(bot.Invalid, "%s has no dimension %q; it has: %s", body.Target, body.Dimension, Replicas)
	}
	if n, err := strconv.Atoi(body.To); err != nil || n < 0 {
		return bot.Handle{}, bot.Errorf(bot.Invalid, "%q is no number of instances", body.To)
	}
	return pack(bot.Handle{Key: t.Key, Target: s.as.target}, state{Scaling: &body, Task: t})
}

func (s *scaler) Advance(ctx context.Context, h bot.Handle) (bot.Handle, bot.Progress, error) {
	return s.as.Advance(ctx, h)
}

func (s *scaler) Cancel(ctx context.Context, h bot.Handle) (bot.Handle, error) {
	return s.as.Cancel(ctx, h)
}

func (s *scaler) Timing(t bot.Target) bot.Timing { return s.as.Timing(t) }
