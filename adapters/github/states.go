package githubprovider

import (
	"quarterdeck/bot"
)

// standing is what one remote state means.
type standing struct {
	state bot.OpState
	text  string // a part of a sentence: "the run failed"
}

// statuses are the states of a run that has not ended. The list is GitHub's own,
// from the parameter "status" of "List workflow runs for a repository"; what is
// not in it is unknown.
//
// https://docs.github.com/rest/actions/workflow-runs
var statuses = map[string]standing{
	"queued":      {bot.OpPending, "queued at GitHub"},
	"requested":   {bot.OpPending, "asked for at GitHub"},
	"pending":     {bot.OpPending, "waits at GitHub for another run of the workflow"},
	"waiting":     {bot.OpWaitingExternal, "waits for the environment's approval at GitHub"},
	"in_progress": {bot.OpWorking, "the workflow runs"},
}

// conclusions are how a run that is completed ended. Success alone is success.
// The list is that of the parameter "status" too, with startup_failure, which
// GitHub gives for a workflow file that it cannot read.
var conclusions = map[string]standing{
	"success":         {bot.OpSucceeded, "the workflow succeeded"},
	"failure":         {bot.OpFailed, "the workflow failed"},
	"timed_out":       {bot.OpFailed, "the workflow ran out of its time"},
	"startup_failure": {bot.OpFailed, "the workflow could not be started"},
	"cancelled":       {bot.OpCancelled, "the workflow was cancelled; what it had done until then stays"},
	"skipped":         {bot.OpFailed, "the workflow was skipped: it did not deploy"},
	"neutral":         {bot.OpFailed, "the workflow ended neutral: it did not deploy"},
	"action_required": {bot.OpWaitingExternal, "waits for somebody at GitHub to let the workflow run"},
	"stale":           {bot.OpUnknown, "GitHub lost the workflow's run"},
}

// deployments are the states of a deployment's newest status, for one that
// somebody else's deployer takes up. The empty one is a deployment without any.
//
// https://docs.github.com/rest/deployments/statuses
var deployments = map[string]standing{
	"":            {bot.OpPending, "waits for somebody to take the deployment up"},
	"queued":      {bot.OpPending, "queued by the deployer"},
	"pending":     {bot.OpPending, "taken up by the deployer"},
	"waiting":     {bot.OpWaitingExternal, "waits for the environment's approval at GitHub"},
	"in_progress": {bot.OpWorking, "being deployed"},
	"success":     {bot.OpSucceeded, "the deployer reports success"},
	"failure":     {bot.OpFailed, "the deployer reports a failure"},
	"error":       {bot.OpFailed, "the deployer reports an error"},
	"inactive":    {bot.OpSuperseded, "the deployment was made inactive at GitHub before it succeeded"},
}

// ofRun says where a run stands.
func ofRun(status, conclusion string) standing {
	if status == "completed" {
		if s, known := conclusions[conclusion]; known {
			return s
		}
		return standing{bot.OpUnknown, "GitHub reports a conclusion that this version does not know"}
	}
	if s, known := statuses[status]; known {
		return s
	}
	return standing{bot.OpUnknown, "GitHub reports a state that this version does not know"}
}

// ofDeployment says where a deployment stands whose newest status is given.
func ofDeployment(state string) standing {
	if s, known := deployments[state]; known {
		return s
	}
	return standing{bot.OpUnknown, "GitHub reports a state that this version does not know"}
}

// told is what is written back as a deployment's status when it ended.
func told(s bot.OpState) string {
	switch s {
	case bot.OpSucceeded:
		return "success"
	case bot.OpFailed, bot.OpCancelled:
		return "failure"
	case bot.OpSuperseded:
		return "inactive"
	}
	return "error" // it is not known how it ended
}
