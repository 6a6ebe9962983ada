package githubprovider

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/google/go-github/v60/github"

	"quarterdeck/bot"
)

// ours matches the keys that the bot makes, as they stand in a run's name. A run
// whose name holds another one is somebody else's for certain; a run whose name
// holds none may be anybody's.
var ours = regexp.MustCompile(`^(run-[0-9]+|journal)-[A-Za-z0-9]`)

// dispatch starts the workflow, or looks for the run that an earlier call may
// have started.
func (d *deployer) dispatch(ctx context.Context, s *state) (bot.Progress, error) {
	if s.Doubt {
		found, blind, err := d.search(ctx, s)
		switch {
		case err != nil:
			return bot.Progress{}, err
		case found != nil:
			return d.found(s, found)
		case blind != "":
			return d.unknown(s, "whether the workflow was started cannot be told: "+blind)
		}
		s.Doubt = false
		return s.going("looked again: the workflow was not started yet", lookSoon), nil
	}
	if s.Cancel {
		return s.finish(bot.OpCancelled, "cancelled before the workflow was started")
	}
	body := map[string]any{"ref": d.table.Ref, "inputs": d.given(s)}
	if !s.Plain {
		body["return_run_details"] = true
	}
	api := d.client.api()
	// go-github's own method drops the answer, which names the run.
	req, err := api.NewRequest(http.MethodPost, fmt.Sprintf("repos/%s/%s/actions/workflows/%s/dispatches", d.owner, d.table.Repo, url.PathEscape(d.table.Workflow)), body)
	if err != nil {
		return bot.Progress{}, &bot.Error{Op: "github", Kind: bot.Internal, Err: err}
	}
	var raw strings.Builder
	_, err = api.Do(ctx, req, &raw)
	switch {
	case isStatus(err, http.StatusBadRequest) && !s.Plain:
		s.Plain = true // an older server, which does not know the field
		return s.going("asking GitHub once more, as an older one wants it", lookSoon), nil
	case isStatus(err, http.StatusUnprocessableEntity), isStatus(err, http.StatusBadRequest):
		return s.finish(bot.OpFailed, d.misfit(s, err))
	case isStatus(err, http.StatusNotFound):
		return s.finish(bot.OpFailed, fmt.Sprintf("%s has no workflow %s that can be started, or the credentials of provider %s may not see it", d.slug(), d.table.Workflow, d.name))
	case err != nil:
		return d.refuse(s, callDispatch, err)
	}
	s.Sent, s.Doubt = d.clock.Now(), false
	var got struct {
		ID   int64  `json:"workflow_run_id"`
		HTML string `json:"html_url"`
	}
	if json.Unmarshal([]byte(raw.String()), &got) == nil && got.ID != 0 {
		s.Run, s.Link, s.Stage = got.ID, link(got.HTML), s.afterStart()
		return s.going("the workflow is asked for", lookSoon), nil
	}
	s.Stage = finding
	return s.going("the workflow is asked for", lookFirst), nil
}

// inputs names what the workflow is given.
func (d *deployer) inputs(s *state) []string {
	return slices.Sorted(maps.Keys(d.given(s)))
}

// given is what the workflow is given for one operation.
func (d *deployer) given(s *state) map[string]string {
	inputs := map[string]string{inputKey: s.Task.Key}
	maps.Copy(inputs, d.table.Inputs)
	if in := s.Invocation; in != nil {
		maps.Copy(inputs, in.Values)
		if in.Target != (bot.Target{}) {
			inputs[inputService], inputs[inputEnvironment] = in.Target.Service, in.Target.Environment
		}
		return inputs
	}
	inputs[inputSHA], inputs[inputEnvironment] = s.Deployment.To.ID, d.table.Environment
	return inputs
}

// misfit says why GitHub does not start a workflow with what it was given.
func (d *deployer) misfit(s *state, err error) string {
	var answer *github.ErrorResponse
	text := ""
	if errors.As(err, &answer) {
		text = strings.ToLower(vendor(answer))
	}
	switch {
	case strings.Contains(text, "disabled"):
		return fmt.Sprintf("%s of %s is disabled at GitHub", d.table.Workflow, d.slug())
	case strings.Contains(text, "workflow_dispatch"):
		return fmt.Sprintf("%s of %s has no workflow_dispatch trigger in %s, so it cannot be started", d.table.Workflow, d.slug(), d.table.Ref)
	case strings.Contains(text, "unexpected input"):
		return fmt.Sprintf("%s of %s does not declare all the inputs that it is given: %s", d.table.Workflow, d.slug(), strings.Join(d.inputs(s), ", "))
	case strings.Contains(text, "required input"):
		return fmt.Sprintf("%s of %s wants an input that it is not given; there are: %s", d.table.Workflow, d.slug(), strings.Join(d.inputs(s), ", "))
	case strings.Contains(text, "no ref found"):
		return fmt.Sprintf("%s has no branch %s to take %s from", d.slug(), d.table.Ref, d.table.Workflow)
	}
	return fmt.Sprintf("GitHub refuses to start %s of %s with what it is given", d.table.Workflow, d.slug())
}

// find looks for a run that GitHub took and did not name.
func (d *deployer) find(ctx context.Context, s *state) (bot.Progress, error) {
	found, _, err := d.search(ctx, s)
	switch {
	case err != nil:
		return bot.Progress{}, err
	case found != nil:
		return d.found(s, found)
	case d.clock.Now().Sub(s.Sent) > appears:
		return d.unknown(s, fmt.Sprintf("GitHub took the workflow, and no run of it is named deploy %s", s.Task.Key))
	}
	return s.going("waiting for the run to appear at GitHub", s.pause("")), nil
}

// search looks through the workflow's runs since the deployment was made, by
// GitHub's own clock. blind says why not finding it proves nothing; "" when it
// does.
func (d *deployer) search(ctx context.Context, s *state) (found *github.WorkflowRun, blind string, err error) {
	o := &github.ListWorkflowRunsOptions{Event: "workflow_dispatch", ListOptions: github.ListOptions{PerPage: perPage},
		Created: ">=" + s.Made.UTC().Format(time.RFC3339)}
	for range maxPages {
		list, resp, err := d.client.api().Actions.ListWorkflowRunsByFileName(ctx, d.owner, d.table.Repo, d.table.Workflow, o)
		if err != nil {
			return nil, "", d.failed(callRuns, err)
		}
		for _, run := range list.WorkflowRuns {
			switch key := keyOf(run.GetDisplayTitle(), s.Task.Key); {
			case key == s.Task.Key:
				return run, "", nil
			case key == "":
				blind = fmt.Sprintf("a run of %s since then does not name its key; give it run-name: deploy ${{ inputs.key }}", d.table.Workflow)
			}
		}
		if resp.NextPage == 0 {
			return nil, blind, nil
		}
		o.Page = resp.NextPage
	}
	return nil, "there are too many runs to look through", nil
}

// keyOf gives the key in a run's name: want if it is there, otherwise another of
// the bot's, "" for none.
func keyOf(title, want string) string {
	key := ""
	for _, word := range strings.Fields(title) {
		if word == want {
			return want
		}
		if ours.MatchString(word) {
			key = word
		}
	}
	return key
}

func (d *deployer) found(s *state, run *github.WorkflowRun) (bot.Progress, error) {
	s.Run, s.Link, s.Doubt = run.GetID(), link(run.GetHTMLURL()), false
	if s.Sent.IsZero() {
		s.Sent = d.clock.Now()
	}
	s.Stage = s.afterStart()
	return s.going("the workflow's run is found", lookSoon), nil
}

// stop asks GitHub to cancel the run. One that is over already cannot be, and
// says so when it is looked at.
func (d *deployer) stop(ctx context.Context, s *state) error {
	_, err := d.client.api().Actions.CancelWorkflowRunByID(ctx, d.owner, d.table.Repo, s.Run)
	var accepted *github.AcceptedError
	if err != nil && !errors.As(err, &accepted) && !isStatus(err, http.StatusConflict) {
		return d.failed(callCancel, err)
	}
	s.Stopped = true
	return nil
}

// followRun looks at the run, or passes on the wish to stop it.
func (d *deployer) followRun(ctx context.Context, s *state) (bot.Progress, error) {
	if s.Cancel && !s.Stopped {
		err := d.stop(ctx, s)
		switch {
		case err == nil:
			return s.going("asked GitHub to cancel the run", lookFirst), nil
		case retriable(err):
			return bot.Progress{}, err
		}
		s.Stopped = true
		return s.going("it cannot be cancelled: "+bot.Sentence(err, "github"), lookFirst), nil
	}
	if s.AskGate {
		return d.gate(ctx, s)
	}
	run, _, err := d.client.api().Actions.GetWorkflowRunByID(ctx, d.owner, d.table.Repo, s.Run)
	switch {
	case isStatus(err, http.StatusNotFound):
		return d.unknown(s, "the workflow's run is not there any more")
	case err != nil:
		err = d.failed(callRun, err)
		if bot.KindOf(err) == bot.Denied {
			// The run goes on whoever may look at it; the credentials can be mended.
			err = &bot.Error{Op: "github", Kind: bot.Unavailable, Say: bot.Sentence(err, "github"), Err: err}
		}
		return bot.Progress{}, err
	}
	s.Doubt = false
	if l := link(run.GetHTMLURL()); l != "" {
		s.Link = l
	}
	now := ofRun(run.GetStatus(), run.GetConclusion())
	switch {
	case now.state == bot.OpUnknown:
		return d.unknown(s, now.text)
	case now.state == bot.OpFailed, now.state == bot.OpSucceeded && d.table.Job != "":
		s.End, s.Stage = &end{State: now.state, Text: now.text}, explaining
		return s.going(now.text, lookSoon), nil
	case now.state == bot.OpSucceeded:
		return s.finish(bot.OpSucceeded, s.done()+now.text)
	case now.state.Settled():
		return s.finish(now.state, now.text)
	}
	p := bot.Progress{State: now.state, Text: now.text, Link: s.Link, Next: s.pause(run.GetStatus())}
	if now.state == bot.OpWaitingExternal {
		p.Next = lookGate
		if s.AskGate = s.Gate == "" && run.GetStatus() == "waiting"; s.AskGate {
			p.Next = lookSoon
		} else if s.Gate != "" && s.Gate != nobody {
			p.Text += ": " + s.Gate
		}
	} else {
		s.Gate = "" // another may come
	}
	if s.Cancel {
		p.Text += "; stopping it"
	}
	return p, nil
}

const maxNamed = 3 // jobs in a sentence

// explain looks at the run's jobs: which of them failed, and whether the one
// that deploys ran at all.
func (d *deployer) explain(ctx context.Context, s *state) (bot.Progress, error) {
	jobs, _, err := d.client.api().Actions.ListWorkflowJobs(ctx, d.owner, d.table.Repo, s.Run, &github.ListWorkflowJobsOptions{ListOptions: github.ListOptions{PerPage: perPage}})
	was := *s.End
	if err != nil {
		err = d.failed(callRun, err)
		switch {
		case was.State == bot.OpFailed && ctx.Err() == nil && bot.KindOf(err) != bot.Busy:
			return s.finish(was.State, was.Text) // which job it was is a courtesy
		case retriable(err):
			return bot.Progress{}, err
		}
		return d.unknown(s, "whether the job "+d.table.Job+" ran cannot be seen: "+bot.Sentence(err, "github"))
	}
	s.Doubt = false
	if was.State == bot.OpSucceeded {
		for _, j := range jobs.Jobs {
			if j.GetName() != d.table.Job {
				continue
			}
			if j.GetConclusion() == "success" {
				return s.finish(bot.OpSucceeded, s.done()+was.Text)
			}
			return s.finish(bot.OpFailed, fmt.Sprintf("the job %s did not do its work: it ended as %s", d.table.Job, plain(j.GetConclusion(), 40)))
		}
		return s.finish(bot.OpFailed, fmt.Sprintf("the workflow succeeded without the job %s, which was not run", d.table.Job))
	}
	var names []string
	for _, j := range jobs.Jobs {
		if c := j.GetConclusion(); c != "failure" && c != "timed_out" {
			continue
		}
		name := plain(j.GetName(), 60)
		for _, step := range j.Steps {
			if step.GetConclusion() == "failure" {
				name += " at " + plain(step.GetName(), 60)
				break
			}
		}
		if names = append(names, name); len(names) == maxNamed {
			break
		}
	}
	if len(names) > 0 {
		was.Text += ": " + strings.Join(names, ", ")
	}
	return s.finish(was.State, was.Text)
}
