package fakeaws

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Outcome is what comes of deploying an image.
type Outcome struct {
	Fails      bool // the circuit breaker goes back
	NoRollback bool // it fails, and the circuit breaker only stops it
	Reverts    bool // it reports success, and has the old one again
	Hangs      bool // it never ends
	Status     string
	Stage      string // the lifecycle stage while it is in progress
	Hook       string // the status of a lifecycle hook
}

// service is one ECS service. Its state at any time follows from what was asked
// and when.
type service struct {
	cluster, name string
	first         string // the definition at the beginning
	asked         []*deployment
	desired       []wanted
	settings      map[string]any
}

type wanted struct {
	at time.Time
	n  int
}

// deployment is one service deployment.
type deployment struct {
	n       int
	td      string
	digest  string
	created time.Time
	stopped time.Time // when it was asked to stop
}

type definition struct {
	arn, family string
	revision    int
	raw         map[string]any
	tags        []any
	at          time.Time
}

const account = "123456789012"

func (s *Server) arn(kind, rest string) string {
	return fmt.Sprintf("arn:aws:ecs:%s:%s:%s/%s", s.o.Region, account, kind, rest)
}

// Service adds one with its own task definition, running an image, and gives the
// definition's ARN. settings are further members of the service.
func (s *Server) Service(cluster, name, image string, count int, settings map[string]any) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := s.define(map[string]any{
		"family": name, "cpu": "256", "memory": "512", "networkMode": "awsvpc",
		"containerDefinitions": []any{map[string]any{"name": name, "image": image}, map[string]any{"name": "sidecar", "image": "envoy:1"}},
	}, []any{map[string]any{"key": "team", "value": "shop"}})
	s.services[cluster+"/"+name] = &service{cluster: cluster, name: name, first: d.arn, desired: []wanted{{s.born.Add(-time.Hour), count}}, settings: settings}
	return d.arn
}

// Behave says what comes of deploying an image.
func (s *Server) Behave(digest string, o Outcome) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.outcomes[digest] = o
}

// Deploy has somebody else deploy an image.
func (s *Server) Deploy(cluster, name, image string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := s.define(map[string]any{"family": name, "containerDefinitions": []any{map[string]any{"name": name, "image": image}}}, nil)
	s.deploy(s.services[cluster+"/"+name], d.arn, s.o.Clock.Now())
}

// SetCount has somebody else scale a service.
func (s *Server) SetCount(cluster, name string, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := s.services[cluster+"/"+name]
	at.desired = append(at.desired, wanted{s.o.Clock.Now(), n})
}

// Tags gives the tags of a task definition's newest revision.
func (s *Server) Tags(family string) map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	tags := map[string]string{}
	for _, d := range s.definitions {
		if d.family == family {
			clear(tags)
			for _, t := range d.tags {
				tag := t.(map[string]any)
				tags[tag["key"].(string)] = tag["value"].(string)
			}
		}
	}
	return tags
}

func (s *Server) define(raw map[string]any, tags []any) *definition {
	family, _ := raw["family"].(string)
	d := &definition{family: family, revision: 1, raw: raw, tags: tags, at: s.o.Clock.Now()}
	for _, o := range s.definitions {
		if o.family == family {
			d.revision++
		}
	}
	d.arn = s.arn("task-definition", fmt.Sprintf("%s:%d", family, d.revision))
	s.definitions = append(s.definitions, d)
	return d
}

func (s *Server) definition(name string) *definition {
	for _, d := range s.definitions {
		if d.arn == name || fmt.Sprintf("%s:%d", d.family, d.revision) == name {
			return d
		}
	}
	return nil
}

// image gives the image of the definition's first container.
func (d *definition) image() string {
	all, _ := d.raw["containerDefinitions"].([]any)
	if len(all) == 0 {
		return ""
	}
	image, _ := all[0].(map[string]any)["image"].(string)
	return image
}

func (s *Server) deploy(at *service, td string, when time.Time) {
	_, digest, _ := strings.Cut(s.definition(td).image(), "@")
	at.asked = append(at.asked, &deployment{n: len(at.asked) + 1, td: td, digest: digest, created: when})
}

// status gives what ECS calls the state of a deployment at a time.
func (s *Server) status(at *service, d *deployment, t time.Time) string {
	o, age := s.outcomes[d.digest], t.Sub(d.created)
	ends := s.o.Takes
	if o.Hangs {
		ends = 1000 * time.Hour
	}
	if o.Fails || o.NoRollback {
		ends *= 2
	}
	if i := slices.Index(at.asked, d); i+1 < len(at.asked) {
		if next := at.asked[i+1].created; !next.After(t) && next.Before(d.created.Add(ends)) && (d.stopped.IsZero() || next.Before(d.stopped)) {
			return "STOPPED"
		}
	}
	switch {
	case !d.stopped.IsZero() && !t.Before(d.stopped) && d.stopped.Before(d.created.Add(ends)):
		switch since := t.Sub(d.stopped); {
		case since < s.o.Takes/4:
			return "ROLLBACK_REQUESTED"
		case since < s.o.Takes/2:
			return "ROLLBACK_IN_PROGRESS"
		}
		return "ROLLBACK_SUCCESSFUL"
	case age < s.o.Takes/10:
		return "PENDING"
	case age < ends:
		return "IN_PROGRESS"
	case o.Status != "":
		return o.Status
	case o.NoRollback:
		return "STOPPED"
	case o.Fails && age < ends+s.o.Takes/2:
		return "ROLLBACK_IN_PROGRESS"
	case o.Fails:
		return "ROLLBACK_SUCCESSFUL"
	}
	return "SUCCESSFUL"
}

// runs gives the definition that the service is to have at a time, the deployment
// that brought it, and the definition before.
func (s *Server) runs(at *service, t time.Time) (td string, by *deployment, before string) {
	td = at.first
	for _, d := range at.asked {
		if d.created.After(t) {
			break
		}
		status := s.status(at, d, t)
		if strings.HasPrefix(status, "ROLLBACK_") || status == "SUCCESSFUL" && s.outcomes[d.digest].Reverts {
			continue
		}
		td, by, before = d.td, d, td
	}
	return td, by, before
}

func (w *service) count(t time.Time) int {
	n := 0
	for _, c := range w.desired {
		if !c.at.After(t) {
			n = c.n
		}
	}
	return n
}

// shown is the time of which ECS shows the state now.
func (s *Server) shown() time.Time { return s.o.Clock.Now().Add(-s.o.Appears) }

func (s *Server) find(c caller, cluster, name string) (*service, error) {
	cluster, name = cluster[strings.LastIndex(cluster, "/")+1:], name[strings.LastIndex(name, "/")+1:]
	known := false
	for _, at := range s.services {
		known = known || at.cluster == cluster
	}
	if !known || c.region != s.o.Region {
		return nil, refuse("ClusterNotFoundException", "Cluster not found.")
	}
	return s.services[cluster+"/"+name], nil
}

func (s *Server) revisionARN(at *service, d *deployment) string {
	n := 0
	if d != nil {
		n = d.n
	}
	return s.arn("service-revision", fmt.Sprintf("%s/%s/%019d", at.cluster, at.name, n))
}

func (s *Server) describeServices(c caller, body []byte) (any, error) {
	in, err := decode[struct {
		Cluster  string
		Services []string
	}](body)
	if err != nil {
		return nil, err
	}
	out := map[string]any{"services": []any{}, "failures": []any{}}
	for _, name := range in.Services {
		at, err := s.find(c, in.Cluster, name)
		if err != nil {
			return nil, err
		}
		if at == nil {
			out["failures"] = append(out["failures"].([]any), map[string]any{"arn": s.arn("service", in.Cluster+"/"+name), "reason": "MISSING"})
			continue
		}
		out["services"] = append(out["services"].([]any), s.show(at))
	}
	return out, nil
}

// show gives a service as it was a while ago.
func (s *Server) show(at *service) map[string]any {
	t := s.shown()
	td, by, before := s.runs(at, t)
	desired, running := at.count(t), at.count(t.Add(-s.o.Takes))
	one := map[string]any{"id": "ecs-svc/1", "status": "PRIMARY", "taskDefinition": td, "desiredCount": desired, "runningCount": running, "rolloutState": "COMPLETED", "createdAt": seconds(s.born)}
	list := []any{one}
	if by != nil {
		one["id"], one["createdAt"] = fmt.Sprintf("ecs-svc/%d", by.n+1), seconds(by.created)
		status := s.status(at, by, t)
		old := map[string]any{"id": "ecs-svc/0", "status": "ACTIVE", "taskDefinition": before, "desiredCount": desired, "runningCount": running, "createdAt": seconds(s.born)}
		switch {
		case status == "PENDING" || status == "IN_PROGRESS":
			one["rolloutState"], one["runningCount"] = "IN_PROGRESS", 0
			list = append(list, old)
		case status == "STOPPED":
			one["rolloutState"], one["runningCount"] = "FAILED", 0
			list = append(list, old)
		}
	}
	shown := map[string]any{
		"serviceName": at.name, "serviceArn": s.arn("service", at.cluster+"/"+at.name), "clusterArn": s.arn("cluster", at.cluster), "status": "ACTIVE",
		"desiredCount": desired, "runningCount": running, "pendingCount": max(0, desired-running), "taskDefinition": td, "deployments": list,
		"schedulingStrategy": "REPLICA", "deploymentController": map[string]any{"type": "ECS"},
		"deploymentConfiguration": map[string]any{"deploymentCircuitBreaker": map[string]any{"enable": true, "rollback": true}},
		"currentServiceRevisions": []any{map[string]any{"arn": s.revisionARN(at, by), "runningTaskCount": running}},
	}
	maps.Copy(shown, at.settings)
	return shown
}

func (s *Server) updateService(c caller, body []byte) (any, error) {
	in, err := decode[struct {
		Cluster, Service, TaskDefinition string
		DesiredCount                     *int
		ForceNewDeployment               bool
	}](body)
	if err != nil {
		return nil, err
	}
	at, err := s.find(c, in.Cluster, in.Service)
	if err != nil {
		return nil, err
	}
	if at == nil {
		return nil, refuse("ServiceNotFoundException", "Service not found.")
	}
	now := s.o.Clock.Now().Add(s.late)
	if in.TaskDefinition != "" {
		d := s.definition(in.TaskDefinition)
		if d == nil {
			return nil, refuse("ClientException", "Unable to describe task definition.")
		}
		if td, _, _ := s.runs(at, now); td != d.arn || in.ForceNewDeployment {
			s.deploy(at, d.arn, now)
		}
	}
	if in.DesiredCount != nil {
		at.desired = append(at.desired, wanted{now, *in.DesiredCount})
	}
	s.acts = append(s.acts, c.Act)
	return map[string]any{"service": s.show(at)}, nil
}

func (s *Server) describeTaskDefinition(_ caller, body []byte) (any, error) {
	in, err := decode[struct {
		TaskDefinition string
		Include        []string
	}](body)
	if err != nil {
		return nil, err
	}
	d := s.definition(in.TaskDefinition)
	if d == nil {
		return nil, refuse("ClientException", "Unable to describe task definition.")
	}
	out := map[string]any{"taskDefinition": d.shown()}
	if slices.Contains(in.Include, "TAGS") {
		out["tags"] = d.tags
	}
	return out, nil
}

func (d *definition) shown() map[string]any {
	shown := maps.Clone(d.raw)
	delete(shown, "tags")
	shown["taskDefinitionArn"], shown["revision"], shown["status"], shown["registeredAt"] = d.arn, d.revision, "ACTIVE", seconds(d.at)
	return shown
}

func (s *Server) registerTaskDefinition(_ caller, body []byte) (any, error) {
	raw, err := decode[map[string]any](body)
	if err != nil {
		return nil, err
	}
	tags, _ := raw["tags"].([]any)
	d := s.define(raw, tags)
	return map[string]any{"taskDefinition": d.shown(), "tags": tags}, nil
}

func (s *Server) listTaskDefinitions(_ caller, body []byte) (any, error) {
	in, err := decode[struct {
		FamilyPrefix string
		MaxResults   int
	}](body)
	if err != nil {
		return nil, err
	}
	var arns []string
	for _, d := range slices.Backward(s.definitions) {
		if d.family == in.FamilyPrefix && len(arns) < in.MaxResults {
			arns = append(arns, d.arn)
		}
	}
	return map[string]any{"taskDefinitionArns": arns}, nil
}

func (s *Server) deploymentARN(at *service, d *deployment) string {
	return s.arn("service-deployment", fmt.Sprintf("%s/%s/d%d", at.cluster, at.name, d.n))
}

func (s *Server) listServiceDeployments(c caller, body []byte) (any, error) {
	in, err := decode[struct {
		Cluster, Service string
		MaxResults       int
		CreatedAt        struct{ After float64 }
	}](body)
	if err != nil {
		return nil, err
	}
	at, err := s.find(c, in.Cluster, in.Service)
	if err != nil {
		return nil, err
	}
	if at == nil {
		return nil, refuse("ServiceNotFoundException", "Service not found.")
	}
	out := map[string]any{}
	var list []any
	for _, d := range slices.Backward(at.asked) {
		if d.created.After(s.shown()) || seconds(d.created) <= in.CreatedAt.After {
			continue
		}
		if len(list) == in.MaxResults {
			out["nextToken"] = "more"
			break
		}
		list = append(list, map[string]any{"serviceDeploymentArn": s.deploymentARN(at, d), "targetServiceRevisionArn": s.revisionARN(at, d), "status": s.status(at, d, s.shown()), "createdAt": seconds(d.created)})
	}
	out["serviceDeployments"] = list
	return out, nil
}

// each calls f for every deployment of every service.
func (s *Server) each(f func(*service, *deployment)) {
	for _, at := range s.services {
		for _, d := range at.asked {
			f(at, d)
		}
	}
}

func (s *Server) describeServiceDeployments(_ caller, body []byte) (any, error) {
	in, err := decode[struct{ ServiceDeploymentArns []string }](body)
	if err != nil {
		return nil, err
	}
	var list []any
	now := s.o.Clock.Now()
	s.each(func(at *service, d *deployment) {
		if !slices.Contains(in.ServiceDeploymentArns, s.deploymentARN(at, d)) {
			return
		}
		status, o := s.status(at, d, now), s.outcomes[d.digest]
		breaker := map[string]any{"status": "MONITORING", "failureCount": 0, "threshold": 3}
		if now.Sub(d.created) >= 2*s.o.Takes && (o.Fails || o.NoRollback) {
			breaker["status"], breaker["failureCount"] = "TRIGGERED", 3
		}
		shown := map[string]any{
			"serviceDeploymentArn": s.deploymentARN(at, d), "status": status, "createdAt": seconds(d.created), "deploymentCircuitBreaker": breaker,
			"targetServiceRevision": map[string]any{"arn": s.revisionARN(at, d), "requestedTaskCount": 2, "runningTaskCount": 1},
			"lifecycleStage":        "SCALE_UP",
		}
		if o.Stage != "" {
			shown["lifecycleStage"] = o.Stage
		}
		if o.Hook != "" {
			shown["lifecycleHookDetails"] = []any{map[string]any{"hookId": "h", "status": o.Hook}}
		}
		if o.Fails {
			shown["statusReason"] = "Service deployment rolled back because the circuit breaker threshold was exceeded."
		}
		list = append(list, shown)
	})
	return map[string]any{"serviceDeployments": list}, nil
}

func (s *Server) describeServiceRevisions(_ caller, body []byte) (any, error) {
	in, err := decode[struct{ ServiceRevisionArns []string }](body)
	if err != nil {
		return nil, err
	}
	if len(in.ServiceRevisionArns) > 20 {
		return nil, refuse("InvalidParameterException", "at most 20")
	}
	var list []any
	add := func(arn, td string) {
		image := s.definition(td).image()
		digest := ""
		if _, found, ok := strings.Cut(image, "@"); ok {
			digest = found
		} else {
			for _, i := range s.images {
				if slices.ContainsFunc(i.Tags, func(tag string) bool { return strings.HasSuffix(image, ":"+tag) }) {
					digest = i.Digest
				}
			}
		}
		family := s.definition(td).family
		list = append(list, map[string]any{"serviceRevisionArn": arn, "taskDefinition": td, "containerImages": []any{map[string]any{"containerName": family, "image": image, "imageDigest": digest}}})
	}
	for _, at := range s.services {
		if arn := s.revisionARN(at, nil); slices.Contains(in.ServiceRevisionArns, arn) {
			add(arn, at.first)
		}
	}
	s.each(func(at *service, d *deployment) {
		if arn := s.revisionARN(at, d); slices.Contains(in.ServiceRevisionArns, arn) {
			add(arn, d.td)
		}
	})
	return map[string]any{"serviceRevisions": list}, nil
}

func (s *Server) stopServiceDeployment(_ caller, body []byte) (any, error) {
	in, err := decode[struct{ ServiceDeploymentArn, StopType string }](body)
	if err != nil {
		return nil, err
	}
	now := s.o.Clock.Now()
	err = refuse("ServiceDeploymentNotFoundException", "The service deploy ARN that you specified in the StopServiceDeployment doesn't exist.")
	s.each(func(at *service, d *deployment) {
		if s.deploymentARN(at, d) != in.ServiceDeploymentArn {
			return
		}
		switch status := s.status(at, d, now); {
		case in.StopType != "ROLLBACK":
			err = refuse("InvalidParameterException", "stopType")
		case status != "PENDING" && status != "IN_PROGRESS":
			err = refuse("ConflictException", "The deployment is %s.", status)
		default:
			d.stopped, err = now, nil
		}
	})
	return map[string]any{"serviceDeploymentArn": in.ServiceDeploymentArn}, err
}
