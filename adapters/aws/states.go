package awsprovider

import (
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"quarterdeck/bot"
)

// standing is what one remote state means.
type standing struct {
	state bot.OpState
	text  string // a part of a sentence
	// verify says that the service itself must be looked at first.
	verify bool
}

// deployments are the states of a service deployment. SUCCESSFUL alone is
// success, and then only when the service's primary deployment runs what was
// asked: a stable service may be one that the circuit breaker put back.
//
// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ServiceDeployment.html
var deployments = map[types.ServiceDeploymentStatus]standing{
	types.ServiceDeploymentStatusPending:            {bot.OpPending, "waits at ECS", false},
	types.ServiceDeploymentStatusInProgress:         {bot.OpWorking, "ECS replaces the tasks", false},
	types.ServiceDeploymentStatusStopRequested:      {bot.OpWorking, "ECS is asked to stop", false},
	types.ServiceDeploymentStatusRollbackRequested:  {bot.OpWorking, "ECS is asked to go back", false},
	types.ServiceDeploymentStatusRollbackInProgress: {bot.OpWorking, "ECS goes back to what ran before", false},
	types.ServiceDeploymentStatusSuccessful:         {bot.OpSucceeded, "ECS reports success", true},
	types.ServiceDeploymentStatusStopped:            {bot.OpFailed, "ECS stopped the deployment", true},
	types.ServiceDeploymentStatusRollbackSuccessful: {bot.OpRolledBack, "ECS went back to what ran before", false},
	types.ServiceDeploymentStatusRollbackFailed:     {bot.OpPartlyDone, "ECS could not go back to what ran before", false},
}

// ofDeployment says where a service deployment stands.
func ofDeployment(s types.ServiceDeploymentStatus) standing {
	if known, found := deployments[s]; found {
		return known
	}
	return standing{bot.OpUnknown, "ECS reports a state that this version does not know", false}
}

// stages are where a deployment that is in progress is; baking is being watched.
//
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/blue-green-deployment-stages.html
var stages = map[types.ServiceDeploymentLifecycleStage]standing{
	types.ServiceDeploymentLifecycleStageReconcileService:           {bot.OpWorking, "ECS takes stock of the service", false},
	types.ServiceDeploymentLifecycleStagePreScaleUp:                 {bot.OpWorking, "ECS prepares to start tasks", false},
	types.ServiceDeploymentLifecycleStageScaleUp:                    {bot.OpWorking, "ECS starts the new tasks", false},
	types.ServiceDeploymentLifecycleStagePostScaleUp:                {bot.OpWorking, "the new tasks are started", false},
	types.ServiceDeploymentLifecycleStageTestTrafficShift:           {bot.OpWorking, "ECS moves the test traffic", false},
	types.ServiceDeploymentLifecycleStagePostTestTrafficShift:       {bot.OpWorking, "the test traffic is moved", false},
	types.ServiceDeploymentLifecycleStageProductionTrafficShift:     {bot.OpWorking, "ECS moves the traffic", false},
	types.ServiceDeploymentLifecycleStagePostProductionTrafficShift: {bot.OpWorking, "the traffic is moved", false},
	types.ServiceDeploymentLifecycleStageBakeTime:                   {bot.OpBaking, "the traffic is moved, and ECS watches", false},
	types.ServiceDeploymentLifecycleStageCleanUp:                    {bot.OpWorking, "ECS stops the old tasks", false},
}

// hooks are the states of what runs or waits between two stages.
//
// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DeploymentLifecycleHookDetail.html
var hooks = map[types.DeploymentLifecycleHookStatus]standing{
	types.DeploymentLifecycleHookStatusAwaitingAction: {bot.OpWaitingExternal, "ECS waits for somebody there to let the deployment go on", false},
	types.DeploymentLifecycleHookStatusInProgress:     {bot.OpWorking, "a hook of the deployment runs", false},
	types.DeploymentLifecycleHookStatusSucceeded:      {bot.OpWorking, "", false},
	types.DeploymentLifecycleHookStatusFailed:         {bot.OpWorking, "a hook of the deployment failed", false},
	types.DeploymentLifecycleHookStatusTimedOut:       {bot.OpWorking, "a hook of the deployment ran out of time", false},
}

// rollouts are the states of the primary deployment in a service's own view.
//
// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_Deployment.html
var rollouts = map[types.DeploymentRolloutState]standing{
	types.DeploymentRolloutStateCompleted:  {bot.OpSucceeded, "completed", false},
	types.DeploymentRolloutStateFailed:     {bot.OpFailed, "failed", false},
	types.DeploymentRolloutStateInProgress: {bot.OpWorking, "in progress", false},
}

// monitors say why a deployment ended, or did not: of the circuit breaker and of
// the alarms. true is that they ended it.
//
// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ServiceDeploymentCircuitBreaker.html
var monitors = map[types.ServiceDeploymentRollbackMonitorsStatus]bool{
	types.ServiceDeploymentRollbackMonitorsStatusTriggered:          true,
	types.ServiceDeploymentRollbackMonitorsStatusMonitoring:         false,
	types.ServiceDeploymentRollbackMonitorsStatusMonitoringComplete: false,
	types.ServiceDeploymentRollbackMonitorsStatusDisabled:           false,
}

// controllers say of each deployment controller why the bot does not deploy by
// it; "" for the one that it does.
//
// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DeploymentController.html
var controllers = map[types.DeploymentControllerType]string{
	"":                                       "",
	types.DeploymentControllerTypeEcs:        "",
	types.DeploymentControllerTypeCodeDeploy: "it is deployed by CodeDeploy",
	types.DeploymentControllerTypeExternal:   "it is deployed by task sets of somebody else's",
}

// inProgress stays with the word of the deployment, unless its stage or a hook
// say more.
func inProgress(d types.ServiceDeployment) standing {
	s := ofDeployment(d.Status)
	if d.Status != types.ServiceDeploymentStatusInProgress {
		return s
	}
	if at, found := stages[d.LifecycleStage]; found {
		s = at
	}
	for _, h := range d.LifecycleHookDetails {
		if hooks[h.Status].state == bot.OpWaitingExternal {
			return hooks[h.Status]
		}
	}
	return s
}
