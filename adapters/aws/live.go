package awsprovider

import (
	"context"
	"fmt"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"quarterdeck/bot"
	"quarterdeck/bot/provider"
)

// maxSides bounds the deployments of a service that are told apart.
const maxSides = 5

// Current asks what the service runs. While ECS replaces tasks, what most of
// them run is live, and the older where it is even.
func (d *deployer) Current(ctx context.Context) (provider.Live, error) {
	s, err := d.describe(ctx, d.site, bot.Task{})
	if err != nil {
		return provider.Live{}, err
	}
	first, err := d.deployable(s)
	if err != nil {
		return provider.Live{}, err
	}
	live := provider.Live{Running: int(s.RunningCount), Healthy: int(s.RunningCount), Desired: int(s.DesiredCount), Link: d.link()}
	most := first
	var sides []types.Deployment // that run something
	for _, one := range s.Deployments {
		if one.RunningCount == 0 || len(sides) == maxSides {
			continue
		}
		sides = append(sides, one)
		if one.RunningCount > most.RunningCount || one.RunningCount == most.RunningCount && aws.ToTime(one.CreatedAt).Before(aws.ToTime(most.CreatedAt)) {
			most = one
		}
	}
	if live.Artefact, err = d.artefactOf(ctx, s, aws.ToString(most.TaskDefinition)); err != nil {
		return provider.Live{}, err
	}
	live.Since = aws.ToTime(most.CreatedAt)
	for _, one := range sides {
		arn := aws.ToString(one.TaskDefinition)
		a := live.Artefact
		if arn != aws.ToString(most.TaskDefinition) {
			if a, err = d.artefactOf(ctx, s, arn); err != nil {
				return provider.Live{}, err
			}
		}
		if !slices.Contains(live.Mixed, a.Version) {
			live.Mixed = append(live.Mixed, a.Version)
		}
	}
	if len(live.Mixed) < 2 {
		live.Mixed = nil
	}
	if first.RolloutState == types.DeploymentRolloutStateInProgress {
		next, err := d.artefactOf(ctx, s, aws.ToString(first.TaskDefinition))
		if err != nil {
			return provider.Live{}, err
		}
		live.Deploying = next.Version
	}
	return live, nil
}

// link is where the service can be looked at.
func (d *deployer) link() string {
	if d.settings.Endpoint != "" {
		return ""
	}
	return fmt.Sprintf("https://%s.console.aws.amazon.com/ecs/v2/clusters/%s/services/%s", d.settings.Region, short(d.cluster), d.service)
}

// artefactOf gives the image that a task definition of the service stands for. A
// definition that names it by a tag stands for what ECS found there when it
// deployed; where ECS does not say, the artefact's ID is the image's name, which
// is equal to no digest.
func (d *deployer) artefactOf(ctx context.Context, s types.Service, arn string) (provider.Artefact, error) {
	def, tags, err := d.definition(ctx, arn, bot.Task{})
	if err != nil {
		return provider.Artefact{}, err
	}
	image, found := imageOf(def, d.table.Container)
	if !found {
		return provider.Artefact{}, bot.Errorf(bot.NotFound, "task definition %s has no container %q; is container of %s right?", short(arn), d.table.Container, d.target)
	}
	_, tag, digest := cutImage(image)
	if digest == "" {
		if digest, err = d.pulled(ctx, s, arn); err != nil {
			return provider.Artefact{}, err
		}
	}
	a := provider.Artefact{ID: digest, Version: taggedVersion(tags, digest), Origin: d.table.Image, Notes: short(arn)}
	if digest == "" {
		a.ID, a.Version = image, image
	}
	if a.Version == "" {
		a.Version = tag
	}
	if a.Version == "" {
		// Only the name is missing: a registry that does not answer changes nothing
		// of what is live.
		if named, err := d.byDigest(ctx, digest); err == nil {
			a.Version = named.Version
		} else {
			a.Version = shortDigest(digest)
		}
	}
	return a, nil
}

// pulled asks which digest ECS found under the tag of a definition that the
// service runs; "" where it does not say.
func (d *deployer) pulled(ctx context.Context, s types.Service, definition string) (string, error) {
	var arns []string
	for _, r := range s.CurrentServiceRevisions {
		if arn := aws.ToString(r.Arn); arn != "" && len(arns) < maxRevisions {
			arns = append(arns, arn)
		}
	}
	if len(arns) == 0 {
		return "", nil
	}
	revisions, _, err := d.revisions(ctx, arns, bot.Task{})
	if err != nil {
		return "", err
	}
	for _, r := range revisions {
		if aws.ToString(r.TaskDefinition) != definition {
			continue
		}
		for _, c := range r.ContainerImages {
			if digest := aws.ToString(c.ImageDigest); aws.ToString(c.ContainerName) == d.table.Container && digestForm.MatchString(digest) {
				return digest, nil
			}
		}
	}
	return "", nil
}

// maxRevisions is how many service revisions ECS describes at once.
const maxRevisions = 20

// revisions describes service revisions; whole is false where ECS did not know
// some of them (yet).
func (d *deployer) revisions(ctx context.Context, arns []string, t bot.Task) (all []types.ServiceRevision, whole bool, err error) {
	c, err := d.ecs(ctx, t)
	if err != nil {
		return nil, false, d.failed(d.call("ecs:DescribeServiceRevisions"), err)
	}
	out, err := c.DescribeServiceRevisions(ctx, &ecs.DescribeServiceRevisionsInput{ServiceRevisionArns: arns})
	if err != nil {
		return nil, false, d.failed(d.call("ecs:DescribeServiceRevisions"), err)
	}
	return out.ServiceRevisions, len(out.ServiceRevisions) == len(arns), nil
}

// Preview says what is copied, what replaces what, and what ECS will do when it
// fails.
func (d *deployer) Preview(ctx context.Context, from, to provider.Artefact) (provider.Preview, error) {
	s, err := d.describe(ctx, d.site, bot.Task{})
	if err != nil {
		return provider.Preview{}, err
	}
	first, err := d.deployable(s)
	if err != nil {
		return provider.Preview{}, err
	}
	p := provider.Preview{Fields: []bot.Field{
		{Name: "image", Value: d.table.Image + "@" + shortDigest(to.ID)},
		{Name: "task definition", Value: "a copy of " + short(aws.ToString(first.TaskDefinition)) + " in which only the image of " + d.table.Container + " changes"},
	}}
	c := s.DeploymentConfiguration
	switch {
	case c == nil || c.DeploymentCircuitBreaker == nil || !c.DeploymentCircuitBreaker.Enable:
		p.Warnings = append(p.Warnings, d.label()+" has no deployment circuit breaker: ECS goes on trying when the new tasks do not come up")
	case !c.DeploymentCircuitBreaker.Rollback:
		p.Warnings = append(p.Warnings, "the circuit breaker of "+d.label()+" stops a bad deployment and does not go back")
	}
	if first.RolloutState == types.DeploymentRolloutStateInProgress {
		p.Warnings = append(p.Warnings, "a deployment of "+d.label()+" is under way")
	}
	if d.registry() == nil || !digestForm.MatchString(from.ID) || !digestForm.MatchString(to.ID) || from.ID == to.ID {
		return p, nil
	}
	old, err := d.byDigest(ctx, from.ID)
	if err != nil {
		return p, nil // what is live may be gone from the registry
	}
	next, err := d.byDigest(ctx, to.ID)
	if err != nil {
		return provider.Preview{}, err
	}
	if next.Created.Before(old.Created) {
		p.Warnings = append(p.Warnings, fmt.Sprintf("%s was pushed before %s, which is live", to.Version, from.Version))
	}
	return p, nil
}
