package githubprovider

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/google/go-github/v60/github"

	"quarterdeck/bot"
	"quarterdeck/bot/provider"
)

// payload is what the deployment carries for whoever deploys, and by which it is
// found again.
type payload struct {
	Key     string          `json:"key"`
	Action  provider.Action `json:"action"`
	Person  string          `json:"person"`
	Login   string          `json:"login,omitempty"`
	Version string          `json:"version"`
	From    string          `json:"from,omitempty"`
	Reason  string          `json:"reason,omitempty"`
}

// payloadOf reads a deployment's payload, which GitHub gives as an object or as
// a text that holds one; zero for one that is not ours.
func payloadOf(d *github.Deployment) payload {
	var p payload
	raw := d.Payload
	var text string
	if json.Unmarshal(raw, &text) == nil {
		raw = json.RawMessage(text)
	}
	if json.Unmarshal(raw, &p) != nil {
		return payload{}
	}
	return p
}

const (
	maxReason      = 500 // everybody who may read the repository sees it
	maxDescription = 140 // of a deployment's status, by GitHub's description
	perPage        = 100 // the most that GitHub gives at once
	maxPages       = 10
)

// create makes the deployment, or looks for the one that an earlier call may
// have made.
func (d *deployer) create(ctx context.Context, s *state) (bot.Progress, error) {
	if s.Doubt {
		made, err := d.made(ctx, s)
		switch {
		case err != nil:
			return bot.Progress{}, err
		case made == nil:
			s.Doubt = false
			return s.going("looked again: nothing was started yet", lookSoon), nil
		}
		return d.created(s, made)
	}
	if s.Cancel {
		return s.finish(bot.OpCancelled, "cancelled before anything was started")
	}
	dep := s.Deployment
	req := &github.DeploymentRequest{
		Ref:         github.String(dep.To.ID),
		Environment: github.String(d.table.Environment),
		Description: github.String(cut(fmt.Sprintf("%s %s by %s", dep.Action, dep.To.Version, s.Task.Actor), maxDescription)),
		// Left out, GitHub may merge its default branch into what was asked for.
		AutoMerge: github.Bool(false),
		// The checks were looked at by the bot, where an override is recorded. Left
		// out, GitHub would ask for all of them once more.
		RequiredContexts: &[]string{},
		Payload: payload{Key: s.Task.Key, Action: dep.Action, Person: s.Task.Actor, Login: d.login(s.Task.Actor),
			Version: dep.To.Version, From: dep.From.ID, Reason: cut(d.redact(s.Task.Reason), maxReason)},
	}
	made, _, err := d.client.api().Repositories.CreateDeployment(ctx, d.owner, d.table.Repo, req)
	var accepted *github.AcceptedError
	switch {
	case errors.As(err, &accepted):
		return s.finish(bot.OpFailed, "GitHub merged branches instead of making a deployment; nothing was deployed")
	case err != nil:
		return d.refuse(s, callCreate, err)
	case made.GetID() == 0:
		return bot.Progress{}, d.failed(callCreate, errors.New("a deployment without an id"))
	}
	return d.created(s, made)
}

// refuse ends the operation when GitHub said no for good; anything else may be
// tried again.
func (d *deployer) refuse(s *state, c call, err error) (bot.Progress, error) {
	err = d.failed(c, err)
	if retriable(err) || bot.KindOf(err) == bot.Internal {
		return bot.Progress{}, err
	}
	return s.finish(bot.OpFailed, bot.Sentence(err, "github"))
}

// made looks for the deployment with the operation's key.
func (d *deployer) made(ctx context.Context, s *state) (*github.Deployment, error) {
	o := &github.DeploymentsListOptions{SHA: s.Deployment.To.ID, Environment: d.table.Environment, ListOptions: github.ListOptions{PerPage: perPage}}
	for range maxPages {
		list, resp, err := d.client.api().Repositories.ListDeployments(ctx, d.owner, d.table.Repo, o)
		if err != nil {
			return nil, d.failed(callDeploys, err)
		}
		for _, one := range list {
			if payloadOf(one).Key == s.Task.Key {
				return one, nil
			}
		}
		if resp.NextPage == 0 {
			return nil, nil
		}
		o.Page = resp.NextPage
	}
	return nil, bot.Errorf(bot.Unavailable, "%s has too many deployments of %s to look through", d.slug(), s.Deployment.To.Version)
}

func (d *deployer) created(s *state, made *github.Deployment) (bot.Progress, error) {
	s.ID, s.Made, s.Doubt = made.GetID(), made.GetCreatedAt().Time, false
	s.Stage = dispatching
	if d.table.Workflow == "" {
		s.Stage, s.Sent = following, d.clock.Now()
	}
	return s.going("the deployment is made at GitHub", lookSoon), nil
}

// tell writes that the run is on its way, with its address. It is a courtesy:
// when it fails the run is followed all the same.
func (d *deployer) tell(ctx context.Context, s *state) (bot.Progress, error) {
	err := d.write(ctx, s, "in_progress", "started by "+s.Task.Actor, nil)
	if ctx.Err() != nil {
		return bot.Progress{}, d.failed(callTell, err)
	}
	s.Stage, s.Doubt = following, false
	return s.going("the workflow is asked for", lookFirst), nil
}

// close writes how it ended. What became of production does not depend on it,
// so after a while it ends without.
func (d *deployer) close(ctx context.Context, s *state) (bot.Progress, error) {
	var auto *bool
	if s.End.State != bot.OpSucceeded {
		auto = github.Bool(false)
	}
	err := d.write(ctx, s, told(s.End.State), s.End.Text, auto)
	if err != nil {
		if ctx.Err() != nil {
			return bot.Progress{}, d.failed(callTell, err)
		}
		err = d.failed(callTell, err)
		var e *bot.Error
		if s.Tries++; retriable(err) && s.Tries < maxTries {
			if errors.As(err, &e) && e.RetryAfter > 0 {
				return bot.Progress{}, err
			}
			return s.going("over; it could not be written back to GitHub yet", min(lookFirst<<s.Tries, lookMost)), nil
		}
		s.End.Text += "; it could not be written back: " + bot.Sentence(err, "github")
	}
	s.Stage = ended
	return s.last(), nil
}

func (d *deployer) write(ctx context.Context, s *state, state, text string, auto *bool) error {
	req := &github.DeploymentStatusRequest{State: &state, Description: github.String(cut(text, maxDescription)), AutoInactive: auto}
	if s.Link != "" {
		req.LogURL = &s.Link
	}
	if d.table.URL != "" {
		req.EnvironmentURL = &d.table.URL
	}
	_, _, err := d.client.api().Repositories.CreateDeploymentStatus(ctx, d.owner, d.table.Repo, s.ID, req)
	return err
}

// followDeployment looks at a deployment that somebody else takes up.
func (d *deployer) followDeployment(ctx context.Context, s *state) (bot.Progress, error) {
	list, _, err := d.client.api().Repositories.ListDeploymentStatuses(ctx, d.owner, d.table.Repo, s.ID, &github.ListOptions{PerPage: perPage})
	if err != nil {
		return bot.Progress{}, d.failed(callStatuses, err)
	}
	s.Doubt = false
	newest := latest(list)
	if url := newest.GetLogURL(); strings.HasPrefix(url, "https://") {
		s.Link = cut(url, 500)
	}
	now := ofDeployment(newest.GetState())
	switch {
	case now.state == bot.OpUnknown:
		p, err := d.unknown(s, now.text)
		s.Stage = ended
		return s.lastOr(p), err
	case now.state.Settled():
		s.End, s.Stage = &end{State: now.state, Text: now.text}, ended
		return s.last(), nil
	case s.Cancel:
		// Whoever deploys is not ours to stop, and a way back must not wait for it.
		return d.unknown(s, "it was cancelled here, and whoever deploys there may go on")
	case d.clock.Now().Sub(s.Sent) > time.Duration(d.table.Timeout):
		return d.unknown(s, "whoever deploys did not report within "+time.Duration(d.table.Timeout).String())
	}
	return bot.Progress{State: now.state, Text: now.text, Link: s.Link, Next: s.pause(newest.GetState())}, nil
}

// lastOr gives the settled progress once there is one.
func (s *state) lastOr(p bot.Progress) bot.Progress {
	if s.Stage == ended {
		return s.last()
	}
	return p
}

// latest gives the newest of a deployment's statuses; nil, which go-github's
// getters take, where there is none.
func latest(list []*github.DeploymentStatus) *github.DeploymentStatus {
	var newest *github.DeploymentStatus
	for _, one := range list {
		if newest == nil || one.GetCreatedAt().After(newest.GetCreatedAt().Time) ||
			one.GetCreatedAt().Equal(newest.GetCreatedAt()) && one.GetID() > newest.GetID() {
			newest = one
		}
	}
	return newest
}

// isStatus reports whether GitHub answered with a status.
func isStatus(err error, status int) bool {
	var answer *github.ErrorResponse
	return errors.As(err, &answer) && answer.Response != nil && answer.Response.StatusCode == status
}

func notThere(err error) bool {
	// A commit or ref that does not exist is 422 for some names and 404 for others.
	return isStatus(err, http.StatusNotFound) || isStatus(err, http.StatusUnprocessableEntity)
}
