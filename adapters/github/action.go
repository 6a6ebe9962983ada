package githubprovider

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/google/go-github/v60/github"

	"quarterdeck/bot"
	"quarterdeck/bot/provider"
)

// ActionTable is an action's run table: a workflow that gets every argument as
// the input of the same name, key beside them, and service and environment of a
// target. An argument that was left out is no input.
type ActionTable struct {
	Provider string `toml:"provider"`
	Repo     string `toml:"repo"`     // required
	Workflow string `toml:"workflow"` // required; the file in .github/workflows
	// Job, Ref and Inputs are as in DeployTable.
	Job    string            `toml:"job"`
	Ref    string            `toml:"ref"`
	Inputs map[string]string `toml:"inputs"`
}

// actor is one action bound to a workflow.
type actor struct {
	run   *deployer
	shape provider.ActionShape
}

var (
	_ provider.ActionBinder = (*githubProvider)(nil)
	_ provider.Actor        = (*actor)(nil)
	_ bot.Timed             = (*actor)(nil)
)

// BindAction checks an action's run table offline and binds it.
func (p *githubProvider) BindAction(s provider.ActionShape, raw provider.Raw) (provider.Actor, error) {
	var table ActionTable
	if err := raw.Decode(&table); err != nil {
		return nil, err
	}
	wrong := func(format string, args ...any) (provider.Actor, error) {
		return nil, bot.Errorf(bot.Invalid, "%s: the action %s "+format, append([]any{raw.Where(), s.Name}, args...)...)
	}
	if table.Ref == "" {
		table.Ref = defaultRef
	}
	switch {
	case !repoName.MatchString(table.Repo) || table.Repo == "." || table.Repo == "..":
		return wrong(`needs repo, the repository's name without its owner, such as "shop"`)
	case !workflowName.MatchString(table.Workflow):
		return wrong(`has the workflow %q; expected a file's name in .github/workflows, such as "reindex.yml"`, table.Workflow)
	case !refName(table.Ref):
		return wrong(`has the ref %q; expected a branch, such as "main"`, table.Ref)
	}
	taken := []string{inputKey}
	for name := range table.Inputs {
		if !inputName.MatchString(name) || slices.Contains(taken, name) {
			return wrong("has the input %q, which is no input's name, or the bot's own", name)
		}
		taken = append(taken, name)
	}
	for _, a := range s.Arguments {
		names := []string{a.Name}
		if a.Target {
			names = []string{inputService, inputEnvironment}
		}
		for _, name := range names {
			if !inputName.MatchString(name) || slices.Contains(taken, name) {
				return wrong("has the argument %s, whose input %s is the bot's own or there twice", a.Name, name)
			}
			taken = append(taken, name)
		}
	}
	if len(taken) > maxInputs {
		return wrong("has %d inputs; GitHub takes %d", len(taken), maxInputs)
	}
	return &actor{shape: s, run: &deployer{githubProvider: p,
		table: DeployTable{Repo: table.Repo, Workflow: table.Workflow, Job: table.Job, Ref: table.Ref, Inputs: table.Inputs}}}, nil
}

// maxValue bounds one value; GitHub takes 65,535 characters for all of them.
const maxValue = 2000

// Begin prepares an invocation. It does no I/O.
func (a *actor) Begin(in provider.Invocation, t bot.Task) (bot.Handle, error) {
	if in.Action != a.shape.Name {
		return bot.Handle{}, bot.Errorf(bot.Invalid, "the action %s was given to %s", in.Action, a.shape.Name)
	}
	if !goodKey(t.Key) {
		return bot.Handle{}, bot.Errorf(bot.Invalid, "the action %s needs a key without spaces", in.Action)
	}
	known := map[string]bool{}
	for _, arg := range a.shape.Arguments {
		known[arg.Name] = !arg.Target
		if arg.Target && in.Target == (bot.Target{}) {
			return bot.Handle{}, bot.Errorf(bot.Invalid, "the action %s needs a target", in.Action)
		}
		if _, given := in.Values[arg.Name]; !given && !arg.Optional && !arg.Target {
			return bot.Handle{}, bot.Errorf(bot.Invalid, "the action %s needs a value for %s", in.Action, arg.Name)
		}
	}
	values := map[string]string{}
	for name, value := range in.Values {
		if len(value) > maxValue {
			return bot.Handle{}, bot.Errorf(bot.Invalid, "%s is longer than %d characters", name, maxValue)
		}
		if known[name] {
			values[name] = value
		}
	}
	in.Values = values
	return pack(bot.Handle{Key: t.Key, Target: in.Target}, state{Invocation: &in, Task: t, Stage: asking})
}

// Advance makes one call to GitHub, as that of a deployment does.
func (a *actor) Advance(ctx context.Context, h bot.Handle) (bot.Handle, bot.Progress, error) {
	return a.run.Advance(ctx, h)
}

// Cancel asks for the end of the run.
func (a *actor) Cancel(ctx context.Context, h bot.Handle) (bot.Handle, error) {
	return a.run.Cancel(ctx, h)
}

// Timing is that of a deployment.
func (a *actor) Timing(t bot.Target) bot.Timing { return a.run.Timing(t) }

// now learns what time it is at GitHub, from which on the action's run is looked
// for: our own clock may be another. It also shows whether the workflow is there.
func (d *deployer) now(ctx context.Context, s *state) (bot.Progress, error) {
	s.Doubt = false // it only reads
	if s.Cancel {
		return s.finish(bot.OpCancelled, "cancelled before the workflow was started")
	}
	_, resp, err := d.client.api().Actions.ListWorkflowRunsByFileName(ctx, d.owner, d.table.Repo, d.table.Workflow, &github.ListWorkflowRunsOptions{ListOptions: github.ListOptions{PerPage: 1}})
	if err != nil {
		return d.refuse(s, callRuns, err)
	}
	at, err := http.ParseTime(resp.Header.Get("Date"))
	if err != nil {
		at = d.clock.Now().Add(-time.Hour) // a server that does not say
	}
	s.Made, s.Stage = at, dispatching
	return s.going("the workflow is there", lookSoon), nil
}
