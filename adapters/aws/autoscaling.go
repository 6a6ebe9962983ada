package awsprovider

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/applicationautoscaling"
	"github.com/aws/aws-sdk-go-v2/service/applicationautoscaling/types"

	"quarterdeck/bot"
	"quarterdeck/bot/provider"
)

// autoscaled notes in a dimension who else sets it. Application Auto Scaling
// pulls a number outside its limits back into them, so they bound what may be
// asked for, unless all of it is suspended.
//
// https://docs.aws.amazon.com/autoscaling/application/APIReference/API_ScalableTarget.html
func (s *scaler) autoscaled(ctx context.Context, d *provider.Dimension) error {
	what := s.call("application-autoscaling:DescribeScalableTargets")
	c, err := s.session(ctx, "")
	if err != nil {
		return s.failed(what, err)
	}
	client := applicationautoscaling.NewFromConfig(c, func(o *applicationautoscaling.Options) { o.Retryer = retrier(bot.Task{}) })
	out, err := client.DescribeScalableTargets(ctx, &applicationautoscaling.DescribeScalableTargetsInput{
		ServiceNamespace: types.ServiceNamespaceEcs, ScalableDimension: types.ScalableDimensionECSServiceDesiredCount,
		ResourceIds: []string{"service/" + s.label()},
	})
	if err != nil {
		err := s.failed(what, err)
		if bot.KindOf(err) != bot.Denied {
			return err
		}
		d.Control = "Application Auto Scaling perhaps (the bot may not ask it)"
		return nil
	}
	for _, t := range out.ScalableTargets {
		if p := t.SuspendedState; p != nil && aws.ToBool(p.DynamicScalingInSuspended) && aws.ToBool(p.DynamicScalingOutSuspended) && aws.ToBool(p.ScheduledScalingSuspended) {
			continue
		}
		d.Min, d.Max = int64(aws.ToInt32(t.MinCapacity)), int64(aws.ToInt32(t.MaxCapacity))
		d.Control = fmt.Sprintf("Application Auto Scaling (%d to %d)", d.Min, d.Max)
	}
	return nil
}
