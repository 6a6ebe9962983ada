package githubprovider

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/google/go-github/v60/github"

	"quarterdeck/bot"
	"quarterdeck/bot/provider"
)

const (
	maxCompared = 1000 // commits of a comparison that are read
	maxFiles    = 300  // that GitHub lists at most
	maxShown    = 8    // commits, people or pull requests in a field
)

// merged finds the pull requests in a commit's first line: as a merge and as a
// squash write them.
var merged = regexp.MustCompile(`^Merge pull request #([0-9]{1,9})\b|\(#([0-9]{1,9})\)$`)

// Preview shows the commits, people and pull requests between what is live and
// what is asked for, and warns of going back, sideways or to what ref does not
// have. Contains has every commit that would be new.
func (d *deployer) Preview(ctx context.Context, from, to provider.Artefact) (provider.Preview, error) {
	var p provider.Preview
	if to.Notes != "" {
		p.Fields = append(p.Fields, bot.Field{Name: "change", Value: to.Notes})
	}
	if !isSHA(to.ID) || from.ID == to.ID {
		return p, nil
	}
	if err := d.stray(ctx, to, &p); err != nil {
		return p, err
	}
	if !isSHA(from.ID) {
		p.Warnings = append(p.Warnings, "GitHub does not know what is live, so nothing can be compared")
		return p, nil
	}
	diff, err := d.compare(ctx, from.ID, to.ID)
	switch {
	case err != nil:
		return p, err
	case diff == nil:
		p.Warnings = append(p.Warnings, from.Version+" is not in "+d.slug()+", so nothing can be compared")
		return p, nil
	}
	var subjects, people, pulls []string
	for _, c := range diff.Commits {
		p.Contains = append(p.Contains, c.GetSHA())
		first, _, _ := strings.Cut(c.GetCommit().GetMessage(), "\n")
		subjects = append(subjects, short(c.GetSHA())[:leastSHA]+" "+plain(first, 60))
		who := c.GetAuthor().GetLogin()
		if who == "" {
			who = c.GetCommit().GetAuthor().GetName()
		}
		if who = plain(who, 40); who != "" && !slices.Contains(people, who) {
			people = append(people, who)
		}
		if m := merged.FindStringSubmatch(strings.TrimSpace(first)); m != nil {
			if n := "#" + m[1] + m[2]; !slices.Contains(pulls, n) {
				pulls = append(pulls, n)
			}
		}
	}
	slices.Reverse(subjects) // GitHub gives the oldest first
	slices.Reverse(pulls)
	field := func(name, value string) {
		if value != "" {
			p.Fields = append(p.Fields, bot.Field{Name: name, Value: value})
		}
	}
	if n := diff.GetAheadBy(); n > 0 {
		field("commits", fmt.Sprintf("%d: %s", n, some(subjects, n)))
		field("by", some(people, len(people)))
		field("pull requests", some(pulls, len(pulls)))
		files := fmt.Sprint(len(diff.Files))
		if len(diff.Files) >= maxFiles {
			files = fmt.Sprintf("%d or more; GitHub lists no more", maxFiles)
		}
		field("files", files)
	}
	if l := link(diff.GetHTMLURL()); l != "" {
		field("comparison", l)
	}
	switch diff.GetStatus() {
	case "behind":
		p.Warnings = append(p.Warnings, fmt.Sprintf("%s is %s older than what is live, and takes %s away", to.Version, commits(diff.GetBehindBy()), them(diff.GetBehindBy())))
	case "diverged":
		p.Warnings = append(p.Warnings, fmt.Sprintf("%s lacks %s that %s live", to.Version, commits(diff.GetBehindBy()), are(diff.GetBehindBy())))
	}
	if n := diff.GetTotalCommits(); n > len(diff.Commits) {
		p.Warnings = append(p.Warnings, fmt.Sprintf("%d commits are new, and the oldest %d of them were looked at: whether the rest contains a release that is marked bad is not known", n, len(diff.Commits)))
	}
	return p, nil
}

// stray warns of a commit that ref does not have: GitHub knows those of forks
// by their name too.
func (d *deployer) stray(ctx context.Context, to provider.Artefact, p *provider.Preview) error {
	c, _, err := d.client.api().Repositories.CompareCommits(ctx, d.owner, d.table.Repo, d.table.Ref, to.ID, &github.ListOptions{PerPage: 1})
	switch {
	case notThere(err):
		p.Warnings = append(p.Warnings, fmt.Sprintf("%s cannot be compared with %s", to.Version, d.table.Ref))
	case err != nil:
		return d.failed(callCompare, err)
	case c.GetStatus() == "ahead" || c.GetStatus() == "diverged":
		p.Warnings = append(p.Warnings, fmt.Sprintf("%s is not in %s, by %s", to.Version, d.table.Ref, commits(c.GetAheadBy())))
	}
	return nil
}

// compare reads a comparison whole, up to maxCompared commits; nil when one of
// the two is not in the repository.
func (d *deployer) compare(ctx context.Context, base, head string) (*github.CommitsComparison, error) {
	var whole *github.CommitsComparison
	o := &github.ListOptions{PerPage: perPage}
	for {
		c, resp, err := d.client.api().Repositories.CompareCommits(ctx, d.owner, d.table.Repo, base, head, o)
		switch {
		case isStatus(err, http.StatusNotFound):
			return nil, nil
		case err != nil:
			return nil, d.failed(callCompare, err)
		case whole == nil:
			whole = c // the files are on the first page alone
		default:
			whole.Commits = append(whole.Commits, c.Commits...)
		}
		if resp.NextPage == 0 || len(whole.Commits) >= maxCompared || len(c.Commits) == 0 {
			return whole, nil
		}
		o.Page = resp.NextPage
	}
}

// some lists the first few of n.
func some(list []string, n int) string {
	shown := list[:min(maxShown, len(list))]
	text := strings.Join(shown, ", ")
	if more := n - len(shown); more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

func commits(n int) string {
	if n == 1 {
		return "1 commit"
	}
	return fmt.Sprintf("%d commits", n)
}

func them(n int) string {
	if n == 1 {
		return "it"
	}
	return "them"
}

func are(n int) string {
	if n == 1 {
		return "is"
	}
	return "are"
}
