package githubprovider

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/google/go-github/v60/github"

	"quarterdeck/bot"
	"quarterdeck/bot/nearest"
	"quarterdeck/bot/provider"
)

const (
	shortSHA  = 12 // characters of a commit that people see
	leastSHA  = 7  // and that they must write
	maxNotes  = 100
	maxListed = 5 // names in a sentence
)

// Resolve takes a tag, a branch, a commit or the beginning of one (7 characters
// or more), "latest" (the head of ref), "previous" (what was live before) or
// "#812", a pull request. All of them become one commit, which is the artefact's
// ID: where a branch or tag goes later changes nothing any more. A tag is looked
// for before a branch of the same name. A pull request from a fork is refused:
// nobody here has read it.
func (d *deployer) Resolve(ctx context.Context, version string) (provider.Artefact, error) {
	version = strings.TrimSpace(version)
	number, isPull := strings.CutPrefix(version, "#")
	switch {
	case isPull:
		return d.pull(ctx, number)
	case version == "latest":
		a, found, err := d.commit(ctx, "heads/"+d.table.Ref)
		if err == nil && !found {
			err = bot.Errorf(bot.NotFound, "there is no latest of %s: it has no branch %s", d.slug(), d.table.Ref)
		}
		a.Origin = d.slug() + " " + d.table.Ref
		return a, err
	case version == "previous":
		return d.previous(ctx)
	case !refName(version):
		return provider.Artefact{}, bot.Errorf(bot.NotFound, "%q is no version of %s; write a tag, a branch, a commit, a pull request as #812, latest or previous", plain(version, 60), d.slug())
	}
	if !isSHA(version) {
		for _, kind := range []string{"tags", "heads"} {
			a, found, err := d.commit(ctx, kind+"/"+version)
			if err != nil {
				return provider.Artefact{}, err
			}
			if found {
				if kind == "tags" {
					a.Version = version
				}
				a.Origin = d.slug() + " " + version
				return a, nil
			}
		}
	}
	if isHex(strings.ToLower(version)) && len(version) >= leastSHA && len(version) <= 40 {
		version = strings.ToLower(version)
		a, found, err := d.commit(ctx, version)
		if err != nil {
			return provider.Artefact{}, err
		}
		if found && strings.HasPrefix(a.ID, version) { // and no branch that is named like it
			return a, nil
		}
	}
	return provider.Artefact{}, d.noVersion(ctx, version)
}

// commit reads the commit that a name stands for.
func (d *deployer) commit(ctx context.Context, name string) (a provider.Artefact, found bool, err error) {
	c, _, err := d.client.api().Repositories.GetCommit(ctx, d.owner, d.table.Repo, escaped(name), &github.ListOptions{PerPage: 1})
	switch {
	case notThere(err):
		return provider.Artefact{}, false, nil
	case err != nil:
		return provider.Artefact{}, false, d.failed(callCommit, err)
	case !isSHA(c.GetSHA()):
		return provider.Artefact{}, false, d.failed(callCommit, fmt.Errorf("the commit %q: %w", plain(c.GetSHA(), 60), errSense))
	}
	return d.artefact(c), true, nil
}

// Committed gives when the commit was made that an artefact is.
func (d *deployer) Committed(ctx context.Context, a provider.Artefact) (time.Time, error) {
	if !isSHA(a.ID) {
		return time.Time{}, bot.Errorf(bot.NotFound, "%s is no commit of %s", plain(a.ID, 60), d.slug())
	}
	c, _, err := d.client.api().Repositories.GetCommit(ctx, d.owner, d.table.Repo, a.ID, &github.ListOptions{PerPage: 1})
	switch at := c.GetCommit().GetCommitter().GetDate().Time; {
	case notThere(err):
		return time.Time{}, bot.Errorf(bot.NotFound, "%s has no commit %s", d.slug(), a.ID)
	case err != nil:
		return time.Time{}, d.failed(callCommit, err)
	case c.GetSHA() != a.ID || at.IsZero():
		return time.Time{}, d.failed(callCommit, fmt.Errorf("the commit %q: %w", plain(c.GetSHA(), 60), errSense))
	default:
		return at.UTC(), nil
	}
}

var errSense = bot.Errorf(bot.Unavailable, "GitHub's answer makes no sense")

// escaped makes a name a part of an address, and keeps its slashes.
func escaped(name string) string {
	parts := strings.Split(name, "/")
	for i, p := range parts {
		parts[i] = url.PathEscape(p)
	}
	return strings.Join(parts, "/")
}

func (d *deployer) artefact(c *github.RepositoryCommit) provider.Artefact {
	subject, _, _ := strings.Cut(c.GetCommit().GetMessage(), "\n")
	return provider.Artefact{ID: c.GetSHA(), Version: short(c.GetSHA()), Commit: c.GetSHA(), Origin: d.slug(), Notes: plain(subject, maxNotes)}
}

func short(sha string) string { return sha[:min(shortSHA, len(sha))] }

// pull gives what a pull request brings: its merge where it was merged, its head
// while it is open.
func (d *deployer) pull(ctx context.Context, number string) (provider.Artefact, error) {
	n, err := strconv.Atoi(number)
	if err != nil || n <= 0 || len(number) > 9 {
		return provider.Artefact{}, bot.Errorf(bot.NotFound, "%q is no pull request; write it as #812", "#"+plain(number, 30))
	}
	pr, _, err := d.client.api().PullRequests.Get(ctx, d.owner, d.table.Repo, n)
	switch {
	case isStatus(err, http.StatusNotFound):
		return provider.Artefact{}, bot.Errorf(bot.NotFound, "%s has no pull request #%d", d.slug(), n)
	case err != nil:
		return provider.Artefact{}, d.failed(callPull, err)
	}
	sha := pr.GetHead().GetSHA()
	switch {
	case pr.GetMerged():
		sha = pr.GetMergeCommitSHA()
	case pr.GetState() != "open":
		return provider.Artefact{}, bot.Errorf(bot.Conflict, "#%d of %s was closed without being merged", n, d.slug())
	case !strings.EqualFold(pr.GetHead().GetRepo().GetFullName(), d.slug()):
		return provider.Artefact{}, bot.Errorf(bot.Denied, "#%d comes from outside of %s; it can be deployed once it is merged", n, d.slug())
	}
	if !isSHA(sha) {
		return provider.Artefact{}, d.failed(callPull, errSense)
	}
	return provider.Artefact{ID: sha, Version: short(sha), Commit: sha, Origin: fmt.Sprintf("%s #%d", d.slug(), n), Notes: plain(pr.GetTitle(), maxNotes)}, nil
}

// noVersion says that there is no such version, and what there is.
func (d *deployer) noVersion(ctx context.Context, version string) error {
	api := d.client.api()
	branches, _, err := api.Repositories.ListBranches(ctx, d.owner, d.table.Repo, &github.BranchListOptions{ListOptions: github.ListOptions{PerPage: perPage}})
	if err != nil {
		return d.failed(callNames, err) // it may be the repository that is not there
	}
	tags, _, err := api.Repositories.ListTags(ctx, d.owner, d.table.Repo, &github.ListOptions{PerPage: perPage})
	if err != nil {
		return d.failed(callNames, err)
	}
	names := []string{"latest", "previous"}
	for _, t := range tags {
		names = append(names, t.GetName())
	}
	for _, b := range branches {
		names = append(names, b.GetName())
	}
	say := fmt.Sprintf("%s has no tag, branch or commit %q", d.slug(), version)
	if near := nearest.Of(version, names); near != "" {
		say += fmt.Sprintf("; did you mean %q?", plain(near, 100))
	} else if len(tags) > 0 {
		newest := make([]string, 0, maxListed)
		for _, t := range tags[:min(maxListed, len(tags))] {
			newest = append(newest, plain(t.GetName(), 60))
		}
		say += "; tags are: " + strings.Join(newest, ", ")
	}
	return &bot.Error{Op: "github.resolve", Kind: bot.NotFound, Say: say}
}

// previous gives what was live before what is live now.
func (d *deployer) previous(ctx context.Context) (provider.Artefact, error) {
	all, err := d.history(ctx, maxHistory)
	if err != nil {
		return provider.Artefact{}, err
	}
	live, before := all.live(), (*happened)(nil)
	for i := range all {
		h := &all[i]
		if !h.success.IsZero() && (live == nil || h.sha() != live.sha()) && (before == nil || h.success.After(before.success)) {
			before = h
		}
	}
	if before == nil {
		return provider.Artefact{}, bot.Errorf(bot.NotFound, "GitHub knows nothing that was live in %s of %s before", d.table.Environment, d.slug())
	}
	return d.deployed(before), nil
}
