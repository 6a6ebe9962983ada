package awsprovider

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"quarterdeck/bot"
	"quarterdeck/bot/provider"
)

// inspect looks at what the service runs. Others' deployments are not run over,
// except by going back, which nothing stands in the way of.
func (d *deployer) inspect(ctx context.Context, s *state) (bot.Progress, error) {
	service, err := d.describe(ctx, d.site, s.Task)
	if err != nil {
		return bot.Progress{}, err
	}
	first, err := d.deployable(service)
	if err != nil {
		return bot.Progress{}, err
	}
	if first.RolloutState == types.DeploymentRolloutStateInProgress && s.Deployment.Action != provider.Rollback {
		return s.finish(bot.OpFailed, fmt.Sprintf("another deployment of %s is under way, of task definition %s; nothing was changed", d.label(), short(aws.ToString(first.TaskDefinition))))
	}
	s.Base, s.Stage = aws.ToString(first.TaskDefinition), registering
	return s.going("copies task definition "+short(s.Base), lookSoon), nil
}

// register makes the run's own copy. One whose answer was lost stays behind
// unused, and another is made: it changes nothing that runs.
func (d *deployer) register(ctx context.Context, s *state) (bot.Progress, error) {
	from, tags, err := d.definition(ctx, s.Base, s.Task)
	if err != nil {
		return bot.Progress{}, err
	}
	image, own := "", map[string]string{tagRun: s.Task.Key, tagPerson: s.Task.Actor}
	if to := s.Deployment.To; digestForm.MatchString(to.ID) {
		image = d.table.Image + "@" + to.ID
		own[tagVersion] = versionTag(to.Version, to.ID)
	}
	in, err := clone(from, tags, d.table.Container, image, own)
	if err != nil {
		return bot.Progress{}, err
	}
	what := call{"ecs:RegisterTaskDefinition", "task definition", aws.ToString(from.Family)}
	c, err := d.ecs(ctx, s.Task)
	if err != nil {
		return bot.Progress{}, d.failed(what, err)
	}
	out, err := c.RegisterTaskDefinition(ctx, in)
	if err != nil {
		return bot.Progress{}, d.failed(what, err)
	}
	if out.TaskDefinition == nil || aws.ToString(out.TaskDefinition.TaskDefinitionArn) == "" || out.TaskDefinition.RegisteredAt == nil {
		return bot.Progress{}, &bot.Error{Op: "aws", Kind: bot.Unavailable, Say: "AWS's answer about the new task definition makes no sense"}
	}
	s.Copy, s.Made, s.Stage = *out.TaskDefinition.TaskDefinitionArn, *out.TaskDefinition.RegisteredAt, updating
	return s.going("task definition "+short(s.Copy)+" is registered", lookSoon), nil
}

// update gives the service its new task definition. After a call whose outcome is
// in doubt, its deployments are looked at first.
func (d *deployer) update(ctx context.Context, s *state) (bot.Progress, error) {
	if s.Doubt {
		s.Stage = listing
		return d.list(ctx, s)
	}
	what := d.call("ecs:UpdateService")
	c, err := d.ecs(ctx, s.Task)
	if err != nil {
		return bot.Progress{}, d.failed(what, err)
	}
	if _, err := c.UpdateService(ctx, &ecs.UpdateServiceInput{Cluster: aws.String(d.cluster), Service: aws.String(d.service), TaskDefinition: aws.String(s.Copy)}); err != nil {
		return bot.Progress{}, d.failed(what, err)
	}
	s.Sent, s.Stage, s.Doubt = d.clock.Now(), listing, false
	return s.going("ECS is asked to run task definition "+short(s.Copy), lookFirst), nil
}

// maxDeployments is how many of a service's deployments ECS lists at once.
const maxDeployments = 100

// list looks for deployments that began after the copy was made, by AWS's clock.
func (d *deployer) list(ctx context.Context, s *state) (bot.Progress, error) {
	what := d.call("ecs:ListServiceDeployments")
	c, err := d.ecs(ctx, s.Task)
	if err != nil {
		return bot.Progress{}, d.failed(what, err)
	}
	out, err := c.ListServiceDeployments(ctx, &ecs.ListServiceDeploymentsInput{
		Cluster: aws.String(d.cluster), Service: aws.String(d.service), MaxResults: aws.Int32(maxDeployments),
		CreatedAt: &types.CreatedAt{After: aws.Time(s.Made.Add(-time.Second))},
	})
	if err != nil {
		return bot.Progress{}, d.failed(what, err)
	}
	if aws.ToString(out.NextToken) != "" {
		return d.unknown(s, fmt.Sprintf("%s had more than %d deployments meanwhile", d.label(), maxDeployments))
	}
	s.Candidates = nil
	for _, b := range out.ServiceDeployments {
		s.Candidates = append(s.Candidates, candidate{aws.ToString(b.ServiceDeploymentArn), aws.ToString(b.TargetServiceRevisionArn)})
	}
	if len(s.Candidates) == 0 {
		return d.absent(s)
	}
	s.Stage = matching
	return s.going("looks for the deployment", lookSoon), nil
}

// match asks which of the candidates runs the copy.
func (d *deployer) match(ctx context.Context, s *state) (bot.Progress, error) {
	some := s.Candidates[:min(len(s.Candidates), maxRevisions)]
	var arns []string
	for _, c := range some {
		arns = append(arns, c.Revision)
	}
	revisions, whole, err := d.revisions(ctx, arns, s.Task)
	if err != nil {
		return bot.Progress{}, err
	}
	for _, r := range revisions {
		if aws.ToString(r.TaskDefinition) != s.Copy {
			continue
		}
		for _, c := range some {
			if c.Revision == aws.ToString(r.ServiceRevisionArn) {
				s.ID, s.Candidates, s.Doubt, s.Stage = c.Deployment, nil, false, following
				if s.Sent.IsZero() {
					s.Sent = d.clock.Now()
				}
				return s.going("ECS deploys task definition "+short(s.Copy), lookSoon), nil
			}
		}
	}
	if !whole { // what is not shown yet may be ours
		s.Stage = listing
		return d.wait(s)
	}
	if s.Candidates = s.Candidates[len(some):]; len(s.Candidates) > 0 {
		return s.going("looks for the deployment", lookSoon), nil
	}
	return d.absent(s)
}

// absent is what follows when ECS lists no deployment of the copy: after a doubt,
// for which the settle time was waited, it was never asked.
func (d *deployer) absent(s *state) (bot.Progress, error) {
	if s.Doubt {
		s.Doubt, s.Stage = false, updating
		return s.going("ECS was not asked yet", lookSoon), nil
	}
	s.Stage = listing
	return d.wait(s)
}

// wait gives what ECS does not show yet its time.
func (d *deployer) wait(s *state) (bot.Progress, error) {
	if s.Since.IsZero() {
		s.Since = d.clock.Now()
	}
	if d.clock.Now().Sub(s.Since) > appears {
		return d.unknown(s, "ECS took the request and shows no deployment of it")
	}
	return s.going("waits until ECS shows the deployment", lookFirst), nil
}

// follow looks at the deployment.
func (d *deployer) follow(ctx context.Context, s *state) (bot.Progress, error) {
	what := d.call("ecs:DescribeServiceDeployments")
	c, err := d.ecs(ctx, s.Task)
	if err != nil {
		return bot.Progress{}, d.failed(what, err)
	}
	out, err := c.DescribeServiceDeployments(ctx, &ecs.DescribeServiceDeploymentsInput{ServiceDeploymentArns: []string{s.ID}})
	if err != nil {
		return bot.Progress{}, d.failed(what, err)
	}
	if len(out.ServiceDeployments) != 1 {
		return d.wait(s)
	}
	s.Since = time.Time{}
	it := out.ServiceDeployments[0]
	at := inProgress(it)
	why := d.why(it)
	if at.state == bot.OpUnknown {
		return d.unknown(s, at.text)
	}
	if !at.state.Settled() {
		if over := d.clock.Now().Sub(s.Sent); over > d.table.Timeout.or(defaultTimeout) {
			return d.unknown(s, fmt.Sprintf("ECS has not ended the deployment after %s", over.Round(time.Minute)))
		}
		p := s.going(at.text, s.pause(string(it.Status)+string(it.LifecycleStage)))
		p.State = at.state
		if r := it.TargetServiceRevision; r != nil && r.RequestedTaskCount > 0 && at.state == bot.OpWorking && it.Status == types.ServiceDeploymentStatusInProgress {
			percent := int(min(max(0, r.RunningTaskCount), r.RequestedTaskCount) * 100 / r.RequestedTaskCount)
			p.Percent, p.Text = &percent, fmt.Sprintf("%s: %d of %d run", at.text, r.RunningTaskCount, r.RequestedTaskCount)
		}
		return p, nil
	}
	if at.verify {
		s.Verdict, s.Why, s.Stage = at.state, strings.TrimPrefix(at.text+why, "; "), verifying
		return s.going(at.text, lookSoon), nil
	}
	text := fmt.Sprintf("%s was not deployed: %s%s", s.Deployment.To.Version, at.text, why)
	p := bot.Progress{}
	switch {
	case at.state == bot.OpRolledBack && s.Stopped && why == "":
		p, err = s.finish(bot.OpCancelled, "stopped; "+at.text)
	default:
		p, err = s.finish(at.state, text)
	}
	if said := clean(d.redact(aws.ToString(it.StatusReason)), maxText); said != "" {
		p.Lines = []string{said}
	}
	return p, err
}

// why says what ended a deployment, as ECS's own monitors show it.
func (d *deployer) why(it types.ServiceDeployment) string {
	if b := it.DeploymentCircuitBreaker; b != nil && monitors[b.Status] {
		return fmt.Sprintf("; its circuit breaker was triggered by %d failed tasks", b.FailureCount)
	}
	if a := it.Alarms; a != nil && monitors[a.Status] {
		return "; the alarm " + clean(d.redact(strings.Join(a.TriggeredAlarmNames, ", ")), maxText) + " went off"
	}
	return ""
}

// verify looks whether the service agrees with its deployment.
func (d *deployer) verify(ctx context.Context, s *state) (bot.Progress, error) {
	service, err := d.describe(ctx, d.site, s.Task)
	if err != nil {
		return bot.Progress{}, err
	}
	first, found := primaryOf(service)
	has := aws.ToString(first.TaskDefinition)
	to := s.Deployment.To.Version
	others := 0
	for _, o := range service.Deployments {
		if aws.ToString(o.TaskDefinition) != s.Copy && o.RunningCount > 0 {
			others++
		}
	}
	if s.Since.IsZero() {
		s.Since = d.clock.Now()
	}
	// ECS shows an older service for some seconds. After that it is what it says.
	stale := d.clock.Now().Sub(s.Since) <= timing.Settle
	switch {
	case stale && has == s.Copy && (s.Verdict != bot.OpSucceeded || rollouts[first.RolloutState].state == bot.OpWorking):
		return s.going("waits until ECS shows the service as it is", lookFirst), nil
	case found && has == s.Copy && s.Verdict == bot.OpSucceeded:
		text := to + " is deployed: " + short(s.Copy) + " runs"
		if s.Deployment.Action == provider.Restart {
			text = "restarted: " + short(s.Copy) + ", a copy of " + short(s.Base) + ", runs"
		}
		return s.finish(bot.OpSucceeded, text)
	case found && has == s.Copy && others > 0:
		return s.finish(bot.OpPartlyDone, fmt.Sprintf("%s was not deployed: %s; nothing was put back, and old and new tasks run side by side", to, s.Why))
	case found && has == s.Copy:
		return s.finish(s.Verdict, fmt.Sprintf("%s was not deployed: %s; nothing was put back", to, s.Why))
	case found && has != s.Base:
		return s.finish(bot.OpSuperseded, fmt.Sprintf("%s; task definition %s has taken the place of %s", s.Why, short(has), short(s.Copy)))
	}
	if stale {
		return s.going("waits until ECS shows the service as it is", lookFirst), nil
	}
	return s.finish(bot.OpRolledBack, fmt.Sprintf("%s, and yet the service has task definition %s: ECS or somebody put it back", s.Why, short(s.Base)))
}

// stop asks ECS to stop the deployment and to go back. One that has ended is
// stopped no more.
func (d *deployer) stop(ctx context.Context, s *state) error {
	what := d.call("ecs:StopServiceDeployment")
	c, err := d.ecs(ctx, s.Task)
	if err != nil {
		return d.failed(what, err)
	}
	_, err = c.StopServiceDeployment(ctx, &ecs.StopServiceDeploymentInput{ServiceDeploymentArn: aws.String(s.ID), StopType: types.StopServiceDeploymentStopTypeRollback})
	if err != nil {
		switch err := d.failed(what, err); bot.KindOf(err) {
		case bot.Conflict, bot.Invalid: // it has ended, or stops already: the next look says which
		default:
			return err
		}
	}
	s.Stopped = true
	return nil
}
