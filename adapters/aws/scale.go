package awsprovider

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"quarterdeck/bot"
	"quarterdeck/bot/provider"
)

// tasks is the one dimension of a service: how many of its tasks are wanted.
const tasks = "tasks"

// scaler is one target's service bound to the provider. The number of tasks is
// absolute, so asking twice is asking once; and it is asked for only where the
// number is what it was when the change was planned.
type scaler struct {
	*awsProvider
	site
	target  bot.Target
	timeout time.Duration
}

// Timing is as that of a deployment.
func (s *scaler) Timing(bot.Target) bot.Timing { return timing }

// Dimensions asks how many tasks are wanted, how many run, and who else sets it.
func (s *scaler) Dimensions(ctx context.Context) ([]provider.Dimension, error) {
	service, err := s.describe(ctx, s.site, bot.Task{})
	if err != nil {
		return nil, err
	}
	if err := s.scalable(service); err != nil {
		return nil, err
	}
	d := provider.Dimension{Name: tasks, Unit: tasks, Current: strconv.Itoa(int(service.DesiredCount))}
	if service.RunningCount != service.DesiredCount {
		d.Actual = strconv.Itoa(int(service.RunningCount))
	}
	if err := s.autoscaled(ctx, &d); err != nil {
		return nil, err
	}
	return []provider.Dimension{d}, nil
}

func (s *scaler) scalable(service types.Service) error {
	if service.SchedulingStrategy == types.SchedulingStrategyDaemon {
		return bot.Errorf(bot.Invalid, "%s cannot be scaled: it runs one task on each machine", s.label())
	}
	return nil
}

// Begin prepares an operation. It does no I/O.
func (s *scaler) Begin(body provider.Scaling, t bot.Task) (bot.Handle, error) {
	switch {
	case body.Target != s.target:
		return bot.Handle{}, bot.Errorf(bot.Invalid, "a scaling of %s was given to %s", body.Target, s.target)
	case !goodKey(t.Key):
		return bot.Handle{}, bot.Errorf(bot.Invalid, "a scaling of %s needs a key without spaces", s.target)
	case body.Dimension != tasks:
		return bot.Handle{}, bot.Errorf(bot.Invalid, "%s has no dimension %q; it has: %s", s.target, body.Dimension, tasks)
	}
	for _, text := range []string{body.From, body.To} {
		if _, err := count(text); err != nil {
			return bot.Handle{}, err
		}
	}
	return pack(bot.Handle{Key: t.Key, Target: s.target}, state{Scaling: &body, Task: t, Stage: updating})
}

func count(text string) (int32, error) {
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil || n < 0 {
		return 0, bot.Errorf(bot.Invalid, "%q is no number of tasks", text)
	}
	return int32(n), nil
}

// Advance makes one call that acts or observes, and before it acts one that
// compares: ECS knows no condition on UpdateService.
func (s *scaler) Advance(ctx context.Context, h bot.Handle) (bot.Handle, bot.Progress, error) {
	return advance(ctx, h, s.step)
}

func (s *scaler) step(ctx context.Context, st *state) (bot.Progress, error) {
	if st.Scaling == nil {
		return bot.Progress{}, &bot.Error{Op: "aws", Kind: bot.Internal, Err: errors.New("a handle without a scaling")}
	}
	if st.Cancel && st.Stage == updating && !st.Doubt {
		return st.finish(bot.OpCancelled, "cancelled before ECS was asked")
	}
	from, err := count(st.Scaling.From)
	if err != nil {
		return bot.Progress{}, err
	}
	to, err := count(st.Scaling.To)
	if err != nil {
		return bot.Progress{}, err
	}
	service, err := s.describe(ctx, s.site, st.Task)
	if err != nil {
		return bot.Progress{}, err
	}
	if err := s.scalable(service); err != nil {
		return bot.Progress{}, err
	}
	if st.Stage == following {
		return s.follow(st, service, to)
	}
	switch wanted := service.DesiredCount; {
	case st.Doubt && wanted == to:
		st.Sent, st.Stage, st.Doubt = s.clock.Now(), following, false
		return s.follow(st, service, to)
	case wanted != from && st.Doubt:
		return s.unknown(st, fmt.Sprintf("%d tasks are wanted now, neither %d nor %d", wanted, from, to))
	case wanted != from:
		return st.finish(bot.OpFailed, fmt.Sprintf("%d tasks of %s are wanted now, not %d as when it was planned; nothing was changed", wanted, s.label(), from))
	case st.Doubt: // the settle time was waited: it was never asked
		st.Doubt = false
		return st.going("ECS was not asked yet", lookSoon), nil
	}
	what := s.call("ecs:UpdateService")
	c, err := s.ecs(ctx, st.Task)
	if err != nil {
		return bot.Progress{}, s.failed(what, err)
	}
	if _, err := c.UpdateService(ctx, &ecs.UpdateServiceInput{Cluster: aws.String(s.cluster), Service: aws.String(s.service), DesiredCount: aws.Int32(to)}); err != nil {
		return bot.Progress{}, s.failed(what, err)
	}
	st.Sent, st.Stage = s.clock.Now(), following
	return st.going(fmt.Sprintf("ECS is asked for %d tasks", to), lookFirst), nil
}

// follow tells what is wanted from what runs.
func (s *scaler) follow(st *state, service types.Service, to int32) (bot.Progress, error) {
	since := s.clock.Now().Sub(st.Sent)
	if service.DesiredCount != to {
		if since <= timing.Settle { // ECS shows an older service for some seconds
			return st.going("waits until ECS shows the service as it is", lookFirst), nil
		}
		return st.finish(bot.OpSuperseded, fmt.Sprintf("%d tasks of %s are wanted now: somebody, or its autoscaling, changed it after", service.DesiredCount, s.label()))
	}
	running := service.RunningCount
	if running == to && service.PendingCount == 0 {
		return st.finish(bot.OpSucceeded, fmt.Sprintf("%d tasks of %s run", to, s.label()))
	}
	if since > s.timeout {
		return st.finish(bot.OpPartlyDone, fmt.Sprintf("%d tasks of %s are wanted, and %d run after %s", to, s.label(), running, since.Round(time.Minute)))
	}
	text := fmt.Sprintf("%d are wanted, %d run", to, running)
	if st.Cancel {
		text += "; ECS was asked already, so set the old number to go back"
	}
	return st.going(text, st.pause(text)), nil
}

func (s *scaler) unknown(st *state, why string) (bot.Progress, error) {
	_, err := st.finish(bot.OpUnknown, "it is not known whether it was done: "+why)
	st.End.Check = fmt.Sprintf("look at ECS service %s in %s, how many tasks are wanted and who asked for them, for %s", s.label(), s.settings.Region, st.Task.Key)
	return st.last(), err
}

// Cancel asks for the end. What ECS was asked for is not taken back: that is a
// change of its own, with a run of its own.
func (s *scaler) Cancel(ctx context.Context, h bot.Handle) (bot.Handle, error) {
	st, err := unpack(h)
	if err != nil {
		return h, err
	}
	if err := ctx.Err(); err != nil {
		return h, outOfTime(err)
	}
	st.Cancel = true
	return packCancel(h, st)
}
