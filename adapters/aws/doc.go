// Package awsprovider deploys, takes back, restarts and scales services of
// Amazon ECS.
//
// An artefact is an image by its digest. A deployment registers a copy of the task
// definition that the service runs, with that image in one container, and gives
// it to the service. The copy belongs to one run alone: its tags name the run and
// the person, and its ARN is the marker by which the deployment is found again
// among the service's own. That is why a restart is a copy too, and not
// ForceNewDeployment, after which nothing tells whose deployment it was.
//
// A copy that is registered twice, after an answer was lost, changes nothing in
// production; UpdateService is called once, or again only when ECS lists no
// deployment of the copy after the settle time. Nothing is retried behind the
// engine's back.
//
// Going back is a new deployment of the older image: whatever else the task
// definition holds stays as it is, and so do databases and secrets.
package awsprovider
