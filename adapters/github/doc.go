// Package githubprovider deploys commits through GitHub: a deployment that says
// what goes where and for whom, and a workflow that does the work, or somebody
// else's deployer that takes the deployment up.
//
// # One operation, one run
//
// GitHub has no idempotency token. The operation's key stands in the payload of
// the deployment, and as an input in the name of the run ("deploy KEY"). After an
// interruption the key is looked for before anything is asked for again: among
// the deployments of the commit, and among the workflow's runs since the
// deployment was made, by GitHub's own clock. A newer GitHub names the run at
// once (return_run_details). Not found is proof only when every run that could be
// it carries another of the bot's keys; otherwise the outcome is unknown.
//
// # What is live
//
// The commit of the deployment that succeeded last in the environment, whoever
// made it. GitHub makes a deployment of its own for a job that names an
// environment; where the job belongs to a run of ours, that one is left out, as
// it is of the commit that the workflow's file was taken from.
//
// # What is not done
//
// Nothing is ever approved with the bot's credentials. A restart is refused.
// Going back is a new deployment of an earlier commit; it takes back no
// migration and no secret.
package githubprovider
