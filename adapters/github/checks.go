package githubprovider

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/google/go-github/v60/github"

	"quarterdeck/bot"
	"quarterdeck/bot/provider"
)

// verdict is what one check or commit status says.
type verdict struct {
	name string
	says string // "" for green
}

// green are the conclusions of a check that stand in nobody's way; a check that
// was skipped on purpose is one of them, as GitHub's own rules have it.
var green = []string{"success", "neutral", "skipped"}

// Vet reads what the checks and commit statuses say of a commit. Each that is
// not green stands against it, and so does there being none: a commit that was
// pushed a moment ago has none yet. The runs of the workflow that deploys are no
// checks, though GitHub lists them among them.
func (d *deployer) Vet(ctx context.Context, a provider.Artefact) ([]string, error) {
	if d.table.Checks != nil && len(*d.table.Checks) == 0 || !isSHA(a.ID) {
		return nil, nil
	}
	all, err := d.verdicts(ctx, a.ID)
	if err != nil {
		return nil, err
	}
	var against []string
	if d.table.Checks == nil {
		if len(all) == 0 {
			return []string{fmt.Sprintf("no check has reported on %s yet; a repository without any says checks = [] in its deploy table", a.Version)}, nil
		}
		for _, v := range all {
			if v.says != "" {
				against = append(against, v.name+" "+v.says)
			}
		}
	} else {
		for _, name := range *d.table.Checks {
			i := slices.IndexFunc(all, func(v verdict) bool { return v.name == name })
			switch {
			case i < 0:
				against = append(against, name+" has not reported")
			case all[i].says != "":
				against = append(against, name+" "+all[i].says)
			}
		}
	}
	if len(against) == 0 {
		return nil, nil
	}
	slices.Sort(against)
	against = slices.Compact(against)
	return []string{fmt.Sprintf("the checks of %s are not green: %s", a.Version, some(against, len(against)))}, nil
}

// verdicts reads all checks and statuses of a commit.
func (d *deployer) verdicts(ctx context.Context, sha string) ([]verdict, error) {
	own, err := d.ownSuites(ctx, sha)
	if err != nil {
		return nil, err
	}
	var all []verdict
	o := &github.ListCheckRunsOptions{Filter: github.String("latest"), ListOptions: github.ListOptions{PerPage: perPage}}
	for page := 0; ; page++ {
		if page == maxPages {
			return nil, bot.Errorf(bot.Unavailable, "%s has too many checks to read", short(sha))
		}
		list, resp, err := d.client.api().Checks.ListCheckRunsForRef(ctx, d.owner, d.table.Repo, sha, o)
		if err != nil {
			return nil, d.failed(callChecks, err)
		}
		for _, c := range list.CheckRuns {
			if slices.Contains(own, c.GetCheckSuite().GetID()) {
				continue
			}
			v := verdict{name: plain(c.GetName(), 60)}
			switch {
			case c.GetStatus() != "completed":
				v.says = "is not done"
			case !slices.Contains(green, c.GetConclusion()):
				v.says = "ended as " + plain(strings.ReplaceAll(c.GetConclusion(), "_", " "), 40)
			}
			all = append(all, v)
		}
		if resp.NextPage == 0 {
			break
		}
		o.Page = resp.NextPage
	}
	so := &github.ListOptions{PerPage: perPage}
	for page := 0; ; page++ {
		if page == maxPages {
			return nil, bot.Errorf(bot.Unavailable, "%s has too many commit statuses to read", short(sha))
		}
		// Its combined state is pending where there is no status at all, so each
		// counts by itself.
		list, resp, err := d.client.api().Repositories.GetCombinedStatus(ctx, d.owner, d.table.Repo, sha, so)
		if err != nil {
			return nil, d.failed(callCommitSays, err)
		}
		for _, s := range list.Statuses {
			v := verdict{name: plain(s.GetContext(), 60)}
			switch s.GetState() {
			case "success":
			case "pending":
				v.says = "is not done"
			default:
				v.says = "ended as " + plain(s.GetState(), 40)
			}
			all = append(all, v)
		}
		if resp.NextPage == 0 {
			return all, nil
		}
		so.Page = resp.NextPage
	}
}

// ownSuites gives the check suites of the deploying workflow's own runs of a
// commit: an earlier deployment that failed says nothing of the commit.
func (d *deployer) ownSuites(ctx context.Context, sha string) ([]int64, error) {
	if d.table.Workflow == "" {
		return nil, nil
	}
	list, _, err := d.client.api().Actions.ListWorkflowRunsByFileName(ctx, d.owner, d.table.Repo, d.table.Workflow,
		&github.ListWorkflowRunsOptions{HeadSHA: sha, Event: "workflow_dispatch", ListOptions: github.ListOptions{PerPage: perPage}})
	if err != nil {
		return nil, d.failed(callRuns, err)
	}
	var ids []int64
	for _, run := range list.WorkflowRuns {
		ids = append(ids, run.GetCheckSuiteID())
	}
	return ids, nil
}
