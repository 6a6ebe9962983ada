package fakegithub

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Workflow is a file in .github/workflows.
type Workflow struct {
	Inputs   []string // that it declares
	RunName  bool     // run-name: deploy ${{ inputs.key }}
	Manual   bool     // it has no workflow_dispatch
	Disabled bool
	// Environment is one that its job names, for which GitHub makes a deployment
	// of its own.
	Environment string
}

// Outcome is what becomes of a run, or of a deployment that others take up.
type Outcome struct {
	Status     string // it stays in; "" to end
	Conclusion string // success by default
	Jobs       []Job
}

// Job is a job of a run.
type Job struct{ Name, Conclusion, Step string }

// run is a workflow's run.
type run struct {
	id       int64
	workflow string
	title    string
	inputs   map[string]string
	sha      string // of the file
	at       time.Time
	outcome  Outcome
	status   string
	ended    string
	stop     bool
	echo     *deployment
	suite    int64
}

// deployment is one deployment with its statuses.
type deployment struct {
	id          int64
	sha, ref    string
	environment string
	task        string
	description string
	payload     any
	at          time.Time
	by          string
	statuses    []status // oldest first
}

type status struct {
	id                    int64
	state, text, log, url string
	at                    time.Time
}

// What Options.Queue and Options.Takes are by default.
const (
	queueTime = 2 * time.Second
	runTime   = 10 * time.Second
)

// Workflow adds or replaces a workflow's file.
func (s *Server) Workflow(file string, w Workflow) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.workflows[file] = w
}

// Behave says what becomes of deployments of a commit.
func (s *Server) Behave(sha string, o Outcome) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.outcomes[sha] = o
	for _, r := range s.runs {
		if r.inputs["sha"] == sha && r.ended == "" {
			r.outcome = o
		}
	}
}

// External has deployments taken up by a deployer of its own.
func (s *Server) External() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.external = &Outcome{}
}

// Merges makes the next deployments answer 202: GitHub merged its default branch
// instead.
func (s *Server) Merges() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.merges = true
}

// Dispatched counts the runs that were started with a key.
func (s *Server) Dispatched(key string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, r := range s.runs {
		if r.inputs["key"] == key {
			n++
		}
	}
	return n
}

// Deployed counts the deployments whose payload has a key.
func (s *Server) Deployed(key string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, d := range s.deployments {
		if p, ok := d.payload.(map[string]any); ok && p["key"] == key {
			n++
		}
	}
	return n
}

// Statuses lists the states and texts of the newest deployment with a key,
// oldest first.
func (s *Server) Statuses(key string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []string
	for _, d := range s.deployments {
		if p, ok := d.payload.(map[string]any); ok && p["key"] == key {
			list = nil
			for _, st := range d.statuses {
				list = append(list, strings.TrimSpace(st.state+" "+st.url))
			}
		}
	}
	return list
}

// Deploy makes a deployment as somebody else does, and gives its id.
func (s *Server) Deploy(sha, ref, environment string, states ...string) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := &deployment{id: s.id(), sha: sha, ref: ref, environment: environment, task: "deploy", payload: map[string]any{}, at: s.now(), by: "somebody"}
	s.deployments = append(s.deployments, d)
	for _, state := range states {
		s.tell(d, state, "", "", "")
	}
	return d.id
}

// Dispatch starts a workflow as somebody else does, by hand.
func (s *Server) Dispatch(file, title string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.runs = append(s.runs, &run{id: s.id(), workflow: file, title: title, at: s.now(), status: "queued", inputs: map[string]string{}, suite: s.id()})
}

// Suites gives the check suites of the runs that were started with a key.
func (s *Server) Suites(key string) []int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []int64
	for _, r := range s.runs {
		if r.inputs["key"] == key {
			list = append(list, r.suite)
		}
	}
	return list
}

// Input gives what the run that was started with a key got as an input.
func (s *Server) Input(key, name string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.runs {
		if r.inputs["key"] == key {
			return r.inputs[name]
		}
	}
	return ""
}

// Keys lists the keys of all runs that were dispatched.
func (s *Server) Keys() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []string
	for _, r := range s.runs {
		list = append(list, r.inputs["key"])
	}
	return list
}

func (s *Server) tell(d *deployment, state, text, log, url string) status {
	st := status{id: s.id(), state: state, text: text, log: log, url: url, at: s.now()}
	d.statuses = append(d.statuses, st)
	return st
}

func (s *Server) link(r *run) string {
	return fmt.Sprintf("https://github.invalid/%s/%s/actions/runs/%d", s.o.Owner, s.o.Repo, r.id)
}

// proceed brings everything up to the clock. The caller holds mu.
func (s *Server) proceed() {
	now := s.now()
	for _, r := range s.runs {
		if r.ended != "" {
			continue
		}
		began := r.at.Add(s.o.Queue)
		switch {
		case r.stop:
			r.status, r.ended = "completed", "cancelled"
		case r.outcome.Status != "":
			r.status = r.outcome.Status
		case now.Before(began):
			r.status = "queued"
		case now.Before(began.Add(s.o.Takes)):
			r.status = "in_progress"
		default:
			r.status, r.ended = "completed", or(r.outcome.Conclusion, "success")
		}
		if r.echo == nil && s.workflows[r.workflow].Environment != "" && r.status != "queued" {
			r.echo = &deployment{id: s.id(), sha: r.sha, ref: "main", environment: s.workflows[r.workflow].Environment, task: "deploy", payload: map[string]any{}, at: now, by: "github-actions[bot]"}
			s.deployments = append(s.deployments, r.echo)
			s.tell(r.echo, "in_progress", "", s.link(r)+"/job/7", "")
		}
		if r.echo != nil && r.ended != "" {
			state := "failure"
			if r.ended == "success" {
				state = "success"
			}
			s.tell(r.echo, state, "", s.link(r)+"/job/7", "")
			if state == "success" {
				s.supersede(r.echo)
			}
		}
	}
	if s.external == nil {
		return
	}
	for _, d := range s.deployments {
		o := s.outcomes[d.sha]
		last := ""
		if n := len(d.statuses); n > 0 {
			last = d.statuses[n-1].state
		}
		switch {
		case o.Status == "untouched", last == "success", last == "failure", last == "error", last == "inactive":
		case o.Status != "":
			if last != o.Status {
				s.tell(d, o.Status, "", "", "")
			}
		case last == "" && !now.Before(d.at.Add(s.o.Queue)):
			s.tell(d, "in_progress", "", "https://ci.example.com/7", "")
		case last == "in_progress" && !now.Before(d.at.Add(s.o.Queue+s.o.Takes)):
			s.tell(d, or(o.Conclusion, "success"), "", "https://ci.example.com/7", "")
		}
	}
}

// supersede makes the deployments before a successful one inactive.
func (s *Server) supersede(d *deployment) {
	if d.environment == "production" {
		return
	}
	for _, old := range s.deployments {
		if n := len(old.statuses); old.id < d.id && old.environment == d.environment && n > 0 && old.statuses[n-1].state != "inactive" {
			s.tell(old, "inactive", "", "", "")
		}
	}
}

func (s *Server) routes() {
	s.repositoryRoutes()
	const repo = "/repos/{owner}/{repo}"
	s.handle("POST "+repo+"/deployments", s.createDeployment)
	s.handle("GET "+repo+"/deployments", func(a ask) answer {
		list := []any{}
		for _, d := range slices.Backward(s.deployments) {
			if e := a.query.Get("environment"); e != "" && e != d.environment {
				continue
			}
			if sha := a.query.Get("sha"); sha != "" && sha != d.sha {
				continue
			}
			list = append(list, s.deployment(d))
		}
		some, header := page(s, a, list)
		return answer{http.StatusOK, some, header}
	})
	s.handle("GET "+repo+"/deployments/{deployment_id}/statuses", func(a ask) answer {
		d := s.byID(a.PathValue("deployment_id"))
		if d == nil {
			return refuse(http.StatusNotFound, "Not Found")
		}
		list := []any{}
		for _, st := range slices.Backward(d.statuses) {
			list = append(list, s.status(st))
		}
		some, header := page(s, a, list)
		return answer{http.StatusOK, some, header}
	})
	s.handle("POST "+repo+"/deployments/{deployment_id}/statuses", s.createStatus)
	s.handle("POST "+repo+"/actions/workflows/{workflow_id}/dispatches", s.dispatch)
	s.handle("GET "+repo+"/actions/workflows/{workflow_id}/runs", s.listRuns)
	s.handle("GET "+repo+"/actions/runs/{run_id}", func(a ask) answer {
		if r := s.run(a.PathValue("run_id")); r != nil {
			return ok(s.describe(r))
		}
		return refuse(http.StatusNotFound, "Not Found")
	})
	s.handle("GET "+repo+"/actions/runs/{run_id}/jobs", func(a ask) answer {
		r := s.run(a.PathValue("run_id"))
		if r == nil {
			return refuse(http.StatusNotFound, "Not Found")
		}
		list := []any{}
		for i, j := range r.outcome.Jobs {
			list = append(list, map[string]any{"id": 10 + i, "name": j.Name, "status": "completed", "conclusion": j.Conclusion, "run_id": r.id,
				"steps": []any{map[string]any{"name": or(j.Step, "deploy"), "number": 1, "status": "completed", "conclusion": j.Conclusion}}})
		}
		some, header := page(s, a, list)
		return answer{http.StatusOK, map[string]any{"total_count": len(list), "jobs": some}, header}
	})
	s.handle("GET "+repo+"/actions/runs/{run_id}/pending_deployments", func(a ask) answer {
		r := s.run(a.PathValue("run_id"))
		if r == nil {
			return refuse(http.StatusNotFound, "Not Found")
		}
		list := []any{}
		if r.status == "waiting" {
			list = append(list, map[string]any{"environment": map[string]any{"id": 1, "name": "prod"}, "wait_timer": 30, "current_user_can_approve": true,
				"reviewers": []any{map[string]any{"type": "User", "reviewer": map[string]any{"login": "octoboss", "id": 9, "type": "User", "site_admin": false}}}})
		}
		return ok(list)
	})
	s.handle("POST "+repo+"/actions/runs/{run_id}/cancel", func(a ask) answer {
		r := s.run(a.PathValue("run_id"))
		switch {
		case r == nil:
			return refuse(http.StatusNotFound, "Not Found")
		case r.ended != "":
			return refuse(http.StatusConflict, "Cannot cancel a workflow run that is completed.")
		}
		r.stop = true
		return answer{http.StatusAccepted, map[string]any{}, nil}
	})
	s.handle("POST /app/installations/{installation_id}/access_tokens", s.issue)
}

func (s *Server) createDeployment(a ask) answer {
	c := s.ref(text(a.body["ref"]))
	switch {
	case c == nil:
		return refuse(http.StatusUnprocessableEntity, "No ref found for: "+text(a.body["ref"]))
	case s.merges:
		return answer{http.StatusAccepted, map[string]any{"message": "Auto-merged main into the ref on deployment."}, nil}
	}
	// Left out, GitHub checks all contexts, and may merge.
	if _, explicit := a.body["required_contexts"]; !explicit {
		for _, c := range s.statuses[c.SHA] {
			if c.Conclusion != "success" {
				return refuse(http.StatusConflict, "Conflict: Commit status checks failed for "+text(a.body["ref"]))
			}
		}
	}
	if merge, explicit := a.body["auto_merge"].(bool); !explicit || merge {
		return answer{http.StatusAccepted, map[string]any{"message": "Auto-merged main into the ref on deployment."}, nil}
	}
	d := &deployment{id: s.id(), sha: c.SHA, ref: text(a.body["ref"]), environment: or(text(a.body["environment"]), "production"),
		task: or(text(a.body["task"]), "deploy"), description: text(a.body["description"]), payload: a.body["payload"], at: s.now(), by: "quarterdeck[bot]"}
	s.deployments = append(s.deployments, d)
	return answer{http.StatusCreated, s.deployment(d), nil}
}

func (s *Server) createStatus(a ask) answer {
	d := s.byID(a.PathValue("deployment_id"))
	if d == nil {
		return refuse(http.StatusNotFound, "Not Found")
	}
	if len([]rune(text(a.body["description"]))) > 140 {
		return refuse(http.StatusUnprocessableEntity, "Validation Failed")
	}
	st := s.tell(d, text(a.body["state"]), text(a.body["description"]), text(a.body["log_url"]), text(a.body["environment_url"]))
	if auto, said := a.body["auto_inactive"].(bool); st.state == "success" && (!said || auto) {
		s.supersede(d)
	}
	return answer{http.StatusCreated, s.status(st), nil}
}

func (s *Server) dispatch(a ask) answer {
	file := a.PathValue("workflow_id")
	w, found := s.workflows[file]
	inputs, _ := a.body["inputs"].(map[string]any)
	details, asked := a.body["return_run_details"]
	switch {
	case asked && s.o.Old:
		return refuse(http.StatusBadRequest, "Invalid request.\n\n\"return_run_details\" is not a permitted key.")
	case !found:
		return refuse(http.StatusNotFound, "Not Found")
	case w.Disabled:
		return refuse(http.StatusUnprocessableEntity, "Cannot trigger a 'workflow_dispatch' on a disabled workflow")
	case w.Manual:
		return refuse(http.StatusUnprocessableEntity, "Workflow does not have 'workflow_dispatch' trigger")
	case s.branches[text(a.body["ref"])] == "":
		return refuse(http.StatusUnprocessableEntity, "No ref found for: "+text(a.body["ref"]))
	}
	given := map[string]string{}
	for name, value := range inputs {
		if !slices.Contains(w.Inputs, name) {
			return refuse(http.StatusUnprocessableEntity, fmt.Sprintf("Unexpected inputs provided: [%q]", name))
		}
		given[name] = text(value)
	}
	title := file
	if w.RunName {
		title = "deploy " + given["key"]
	}
	r := &run{id: s.id(), workflow: file, title: title, inputs: given, sha: s.branches[text(a.body["ref"])], at: s.now(), status: "queued", outcome: s.outcomes[given["sha"]], suite: s.id()}
	s.runs = append(s.runs, r)
	if details == true && !s.o.NoDetails {
		return ok(map[string]any{"workflow_run_id": r.id, "run_url": s.http.URL + "/repos/x", "html_url": s.link(r)})
	}
	return answer{status: http.StatusNoContent}
}

func (s *Server) listRuns(a ask) answer {
	if _, found := s.workflows[a.PathValue("workflow_id")]; !found {
		return refuse(http.StatusNotFound, "Not Found")
	}
	since := time.Time{}
	if text, found := strings.CutPrefix(a.query.Get("created"), ">="); found {
		since, _ = time.Parse(time.RFC3339, text)
	}
	list := []any{}
	for _, r := range slices.Backward(s.runs) {
		if r.workflow != a.PathValue("workflow_id") || r.at.Truncate(time.Second).Before(since) || s.now().Before(r.at.Add(s.o.Appears)) {
			continue
		}
		if sha := a.query.Get("head_sha"); sha != "" && sha != r.sha {
			continue
		}
		list = append(list, s.describe(r))
	}
	some, header := page(s, a, list)
	return answer{http.StatusOK, map[string]any{"total_count": len(list), "workflow_runs": some}, header}
}

func (s *Server) run(id string) *run {
	n, _ := strconv.ParseInt(id, 10, 64)
	for _, r := range s.runs {
		if r.id == n {
			return r
		}
	}
	return nil
}

func (s *Server) byID(id string) *deployment {
	n, _ := strconv.ParseInt(id, 10, 64)
	for _, d := range s.deployments {
		if d.id == n {
			return d
		}
	}
	return nil
}

func (s *Server) describe(r *run) map[string]any {
	var conclusion any
	if r.ended != "" {
		conclusion = r.ended
	}
	return map[string]any{"id": r.id, "name": r.workflow, "display_title": r.title, "event": "workflow_dispatch", "status": r.status, "conclusion": conclusion,
		"head_branch": "main", "head_sha": r.sha, "path": ".github/workflows/" + r.workflow, "created_at": stamp(r.at), "updated_at": stamp(s.now()),
		"html_url": s.link(r), "run_number": 1, "check_suite_id": r.suite}
}

func (s *Server) deployment(d *deployment) map[string]any {
	return map[string]any{"id": d.id, "sha": d.sha, "ref": d.ref, "environment": d.environment, "task": d.task, "description": d.description, "payload": d.payload,
		"created_at": stamp(d.at), "updated_at": stamp(d.at), "creator": map[string]any{"login": d.by, "id": 2, "type": "Bot", "site_admin": false},
		"url": "https://github.invalid/", "statuses_url": "https://github.invalid/", "repository_url": "https://github.invalid/"}
}

func (s *Server) status(st status) map[string]any {
	return map[string]any{"id": st.id, "state": st.state, "description": st.text, "log_url": st.log, "target_url": st.log, "environment_url": st.url,
		"created_at": stamp(st.at), "updated_at": stamp(st.at)}
}

// issue checks an App's proof and gives a token for its installation.
func (s *Server) issue(a ask) answer {
	proof, _ := strings.CutPrefix(a.Header.Get("Authorization"), "Bearer ")
	parts := strings.Split(proof, ".")
	if len(parts) != 3 || s.o.Key == nil {
		return refuse(http.StatusUnauthorized, "A JSON web token could not be decoded")
	}
	signature, _ := base64.RawURLEncoding.DecodeString(parts[2])
	sum := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	if rsa.VerifyPKCS1v15(s.o.Key, crypto.SHA256, sum[:], signature) != nil {
		return refuse(http.StatusUnauthorized, "A JSON web token could not be decoded")
	}
	var claims struct {
		Iat, Exp int64
		Iss      string
	}
	raw, _ := base64.RawURLEncoding.DecodeString(parts[1])
	if json.Unmarshal(raw, &claims) != nil || claims.Iss != strconv.FormatInt(s.o.App, 10) {
		return refuse(http.StatusUnauthorized, "Integration not found")
	}
	now := s.now().Unix()
	if claims.Iat > now || claims.Exp <= now || claims.Exp > now+600 {
		return refuse(http.StatusUnauthorized, "'Expiration time' claim ('exp') is too far in the future")
	}
	if a.PathValue("installation_id") != strconv.FormatInt(s.o.Installation, 10) {
		return refuse(http.StatusNotFound, "Not Found")
	}
	token := fmt.Sprintf("ghs_%036d", s.id())
	until := s.now().Add(time.Hour)
	s.tokens[token] = until
	return answer{http.StatusCreated, map[string]any{"token": token, "expires_at": stamp(until)}, nil}
}

// Revoke makes every token that was issued useless, as when an installation is
// changed.
func (s *Server) Revoke() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.tokens)
}

// Issued counts the tokens that are known.
func (s *Server) Issued() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.tokens)
}

func text(v any) string {
	t, _ := v.(string)
	return t
}
