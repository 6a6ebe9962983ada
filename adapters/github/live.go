package githubprovider

import (
	"cmp"
	"context"
	"net/http"
	"regexp"
	"slices"
	"time"

	"github.com/google/go-github/v60/github"
	"github.com/sourcegraph/conc/iter"

	"quarterdeck/bot"
	"quarterdeck/bot/provider"
)

const (
	recent     = 10 // deployments that are looked at for what is live
	maxHistory = 50 // and at most, and for what was
	readers    = 8  // at a time
	// abandoned is from when a deployment that reports nothing any more is not
	// taken for one under way; untouched, for one that never reported.
	abandoned = 2 * time.Hour
	untouched = 10 * time.Minute
)

// happened is one deployment with what its statuses say.
type happened struct {
	*github.Deployment
	payload payload
	newest  *github.DeploymentStatus
	success time.Time // of its newest success; zero for none
	runs    []string  // of workflows, by its statuses' addresses
	stands  bool      // its success does, though it is not written yet
	echoed  bool      // it was made inactive by an echo of another's
}

func (h *happened) sha() string { return h.GetSHA() }

type happenings []happened

// runAddress finds the run in the address of its output.
var runAddress = regexp.MustCompile(`/actions/runs/([0-9]+)`)

// history reads the environment's newest deployments, newest first, each with
// its statuses: GitHub does not give them together.
func (d *deployer) history(ctx context.Context, most int) (happenings, error) {
	list, resp, err := d.client.api().Repositories.ListDeployments(ctx, d.owner, d.table.Repo,
		&github.DeploymentsListOptions{Environment: d.table.Environment, ListOptions: github.ListOptions{PerPage: maxHistory}})
	if err != nil {
		return nil, d.failed(callDeploys, err)
	}
	all := make(happenings, 0, len(list))
	for _, one := range list {
		if isSHA(one.GetSHA()) {
			all = append(all, happened{Deployment: one, payload: payloadOf(one)})
		}
	}
	slices.SortStableFunc(all, func(a, b happened) int { return cmp.Compare(b.GetID(), a.GetID()) })
	read := 0
	// What finished last need not have begun last, so some are read beyond the
	// first that is live.
	for read < len(all) && (read < most || slices.Clone(all[:read]).withoutEchoes().live() == nil) {
		next := min(read+recent, len(all))
		if err := d.read(ctx, all[read:next]); err != nil {
			return nil, err
		}
		read = next
	}
	if all = all[:read].withoutEchoes(); all.live() == nil && resp.NextPage != 0 {
		return nil, bot.Errorf(bot.Unavailable, "none of the newest %d deployments of %s to %s stands, so what is live is not known", maxHistory, d.slug(), d.table.Environment)
	}
	return all, nil
}

// read reads the statuses of some deployments.
func (d *deployer) read(ctx context.Context, some happenings) error {
	errs := make([]error, len(some))
	ask := iter.Iterator[happened]{MaxGoroutines: readers}
	ask.ForEachIdx(some, func(i int, h *happened) {
		list, _, err := d.client.api().Repositories.ListDeploymentStatuses(ctx, d.owner, d.table.Repo, h.GetID(), &github.ListOptions{PerPage: perPage})
		if err != nil {
			errs[i] = d.failed(callStatuses, err)
			return
		}
		h.newest = latest(list)
		for _, s := range list {
			if at := s.GetCreatedAt().Time; s.GetState() == "success" && at.After(h.success) {
				h.success = at
			}
			if m := runAddress.FindStringSubmatch(s.GetLogURL()); m != nil && !slices.Contains(h.runs, m[1]) {
				h.runs = append(h.runs, m[1])
			}
		}
	})
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// withoutEchoes leaves out the deployments that GitHub makes by itself for a job
// that names an environment, where that job is one of a run that a deployment of
// ours stands for: theirs is of the commit that the workflow's file was taken
// from, which is not what is deployed. Their success is ours until our own last
// status is written, and what it made inactive it did not replace.
func (all happenings) withoutEchoes() happenings {
	own := map[string]int{} // places of ours by their runs
	for i, h := range all {
		if h.payload.Key != "" {
			for _, run := range h.runs {
				own[run] = i
			}
		}
	}
	echo := make([]bool, len(all))
	for i, h := range all {
		for _, run := range h.runs {
			at, ours := own[run]
			if h.payload.Key != "" || !ours {
				continue
			}
			echo[i] = true
			if owner := &all[at]; h.success.After(owner.success) && slices.Contains(open, owner.newest.GetState()) {
				owner.success, owner.stands = h.success, true
			}
		}
	}
	kept := make(happenings, 0, len(all))
	for i, h := range all {
		if echo[i] {
			continue
		}
		h.echoed = h.newest.GetState() == "inactive" && slices.ContainsFunc(all, func(e happened) bool {
			late := h.newest.GetCreatedAt().Sub(e.success)
			return h.GetID() < e.GetID() && late >= 0 && late < hush && echo[slices.IndexFunc(all, func(o happened) bool { return o.GetID() == e.GetID() })]
		})
		kept = append(kept, h)
	}
	return kept
}

// open are the states of a deployment of ours whose last status is not written.
var open = []string{"", "queued", "pending", "in_progress", "inactive"}

// hush is how soon after a success GitHub makes the deployments before inactive.
const hush = 15 * time.Second

// live gives the deployment whose success is the newest and still stands; nil
// where none does.
func (all happenings) live() *happened {
	var live, newest *happened
	for i := range all {
		h := &all[i]
		if (h.stands || h.newest.GetState() == "success") && (live == nil || h.success.After(live.success)) {
			live = h
		}
		if !h.success.IsZero() && (newest == nil || h.success.After(newest.success)) {
			newest = h
		}
	}
	if live == nil && newest != nil && newest.echoed {
		return newest
	}
	return live
}

// deployed gives the artefact of a deployment: named as whoever asked for it
// named it.
func (d *deployer) deployed(h *happened) provider.Artefact {
	a := provider.Artefact{ID: h.sha(), Version: short(h.sha()), Commit: h.sha(), Origin: d.slug()}
	if v := h.payload.Version; h.payload.Key != "" && refName(v) {
		a.Version = v
	}
	return a
}

// Current gives the commit of the deployment that succeeded last in the
// environment, whoever made it. Where there is none the artefact has no ID. A
// deployment of somebody else's that is under way is told of; the bot's own are
// kept apart by its slots.
func (d *deployer) Current(ctx context.Context) (provider.Live, error) {
	all, err := d.history(ctx, recent)
	if err != nil {
		return provider.Live{}, err
	}
	live := provider.Live{Artefact: provider.Artefact{Version: "nothing"}, Uncounted: true}
	now := all.live()
	if now != nil {
		live.Artefact, live.Since = d.deployed(now), now.success
		live.Link = link(now.newest.GetEnvironmentURL())
	}
	for i := range all {
		h := &all[i]
		if h.payload.Key != "" || now != nil && h.GetID() <= now.GetID() {
			continue
		}
		at, patience := h.newest.GetCreatedAt().Time, abandoned
		if h.newest == nil {
			at, patience = h.GetCreatedAt().Time, untouched
		}
		if !ofDeployment(h.newest.GetState()).state.Settled() && d.clock.Now().Sub(at) < patience {
			live.Deploying = d.deployed(h).Version
			break
		}
	}
	return live, nil
}

// Releases gives the newest commits of ref, the published releases, and what was
// deployed to the environment, newest first. A tag gives its commit its name.
func (d *deployer) Releases(ctx context.Context, limit int) ([]provider.Release, error) {
	api, repos := d.client.api(), &github.ListOptions{PerPage: perPage}
	tags, _, err := api.Repositories.ListTags(ctx, d.owner, d.table.Repo, repos)
	if err != nil {
		return nil, d.failed(callNames, err)
	}
	commits, _, err := api.Repositories.ListCommits(ctx, d.owner, d.table.Repo, &github.CommitsListOptions{SHA: d.table.Ref, ListOptions: github.ListOptions{PerPage: maxHistory}})
	if err != nil && !isStatus(err, http.StatusNotFound) && !isStatus(err, http.StatusConflict) { // no such branch; no commit yet
		return nil, d.failed(callCommit, err)
	}
	published, _, err := api.Repositories.ListReleases(ctx, d.owner, d.table.Repo, &github.ListOptions{PerPage: maxHistory})
	if err != nil {
		return nil, d.failed(callNames, err)
	}
	all, err := d.history(ctx, maxHistory)
	if err != nil {
		return nil, err
	}
	found := map[string]*provider.Release{}
	add := func(a provider.Artefact, created time.Time) *provider.Release {
		r := found[a.ID]
		if r == nil {
			r = &provider.Release{Artefact: a, Created: created}
			found[a.ID] = r
		}
		return r
	}
	for _, c := range commits {
		if isSHA(c.GetSHA()) {
			add(d.artefact(c), c.GetCommit().GetCommitter().GetDate().Time)
		}
	}
	named := map[string]string{} // commits by tag
	for _, t := range tags {
		named[t.GetName()] = t.GetCommit().GetSHA()
	}
	for _, p := range published {
		if sha := named[p.GetTagName()]; isSHA(sha) && !p.GetDraft() {
			r := add(provider.Artefact{ID: sha, Version: short(sha), Commit: sha, Origin: d.slug()}, p.GetCreatedAt().Time)
			if name := plain(p.GetName(), maxNotes); name != "" {
				r.Notes = name
			}
		}
	}
	for i := range all {
		h := &all[i]
		r := add(d.deployed(h), h.GetCreatedAt().Time)
		r.Version = d.deployed(h).Version
		if h.success.After(r.LiveAt) {
			r.LiveAt = h.success
		}
	}
	for _, t := range slices.Backward(tags) { // the newest of several names stays
		if r := found[t.GetCommit().GetSHA()]; r != nil && refName(t.GetName()) {
			r.Version = t.GetName()
		}
	}
	out := make([]provider.Release, 0, len(found))
	for _, r := range found {
		out = append(out, *r)
	}
	slices.SortFunc(out, func(a, b provider.Release) int {
		return cmp.Or(b.Created.Compare(a.Created), cmp.Compare(b.ID, a.ID))
	})
	if limit > 0 && len(out) > limit {
		out = out[:limit]
	}
	return out, nil
}
