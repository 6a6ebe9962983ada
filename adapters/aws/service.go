package awsprovider

import (
	"context"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"quarterdeck/bot"
)

// site is one ECS service.
type site struct {
	cluster string
	service string
}

// label names the service to people: "prod/web".
func (s site) label() string { return short(s.cluster) + "/" + s.service }

// call names one thing asked of the service.
func (s site) call(need string) call { return call{need, "service", s.label()} }

// The Status of a service's deployments; the model has no enum for it.
//
// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_Deployment.html
const primary = "PRIMARY"

// describe gives the service as ECS shows it now.
func (p *awsProvider) describe(ctx context.Context, at site, t bot.Task) (types.Service, error) {
	c, err := p.ecs(ctx, t)
	if err != nil {
		return types.Service{}, p.failed(at.call("ecs:DescribeServices"), err)
	}
	out, err := c.DescribeServices(ctx, &ecs.DescribeServicesInput{Cluster: aws.String(at.cluster), Services: []string{at.service}})
	if err != nil {
		return types.Service{}, p.failed(at.call("ecs:DescribeServices"), err)
	}
	if len(out.Services) != 1 {
		return types.Service{}, bot.Errorf(bot.NotFound, "AWS knows no service %s in %s", at.label(), p.settings.Region)
	}
	s := out.Services[0]
	if status := aws.ToString(s.Status); status != "ACTIVE" {
		return s, bot.Errorf(bot.Conflict, "service %s is not active any more", at.label())
	}
	return s, nil
}

// primaryOf gives the deployment that the service is to have.
func primaryOf(s types.Service) (types.Deployment, bool) {
	i := slices.IndexFunc(s.Deployments, func(d types.Deployment) bool { return aws.ToString(d.Status) == primary })
	if i < 0 {
		return types.Deployment{}, false
	}
	return s.Deployments[i], true
}

// deployable gives the primary deployment of a service that ECS itself deploys,
// and otherwise an Error that says who does.
func (d *deployer) deployable(s types.Service) (types.Deployment, error) {
	var by types.DeploymentControllerType
	if s.DeploymentController != nil {
		by = s.DeploymentController.Type
	}
	why, known := controllers[by]
	if !known {
		why = "its deployment controller is one that this version does not know"
	}
	if why != "" {
		return types.Deployment{}, bot.Errorf(bot.Invalid, "the bot cannot deploy %s: %s", d.label(), why)
	}
	first, found := primaryOf(s)
	if !found {
		return first, bot.Errorf(bot.Conflict, "service %s has no primary deployment", d.label())
	}
	return first, nil
}

// definition gives a task definition and its tags.
func (d *deployer) definition(ctx context.Context, arn string, t bot.Task) (types.TaskDefinition, []types.Tag, error) {
	what := call{"ecs:DescribeTaskDefinition", "task definition", short(arn)}
	c, err := d.ecs(ctx, t)
	if err != nil {
		return types.TaskDefinition{}, nil, d.failed(what, err)
	}
	out, err := c.DescribeTaskDefinition(ctx, &ecs.DescribeTaskDefinitionInput{TaskDefinition: aws.String(arn), Include: []types.TaskDefinitionField{types.TaskDefinitionFieldTags}})
	if err != nil {
		return types.TaskDefinition{}, nil, d.failed(what, err)
	}
	if out.TaskDefinition == nil {
		return types.TaskDefinition{}, nil, bot.Errorf(bot.NotFound, "AWS knows no task definition %s in %s", short(arn), d.settings.Region)
	}
	return *out.TaskDefinition, out.Tags, nil
}
