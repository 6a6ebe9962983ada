package fakegithub

import (
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Commit is one commit; its SHA follows from the rest.
type Commit struct {
	SHA     string
	Parents []string
	Message string
	Author  string // login
	At      time.Time
}

type tag struct{ name, sha string }

type release struct {
	tag  string
	name string
	at   time.Time
}

// Pull is a pull request.
type Pull struct {
	Head   string // commit
	From   string // repository; the Server's own by default
	State  string // open or closed
	Merged string // the merge commit, "" where it was not merged
	Title  string
}

// Check is a check run, or a commit status, where Conclusion is its state.
type Check struct {
	Name       string
	Status     string
	Conclusion string
	Suite      int64
}

// Commit adds a commit to a branch, which is made where it is not there, and
// gives its SHA.
func (s *Server) Commit(branch, message, author string, parents ...string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(parents) == 0 && s.branches[branch] != "" {
		parents = []string{s.branches[branch]}
	}
	at := s.now().Add(-24*time.Hour + time.Duration(len(s.commits))*time.Second)
	sum := sha1.Sum([]byte(fmt.Sprint(branch, message, author, parents, len(s.commits))))
	c := &Commit{SHA: hex.EncodeToString(sum[:]), Parents: parents, Message: message, Author: author, At: at}
	s.commits[c.SHA] = c
	s.branches[branch] = c.SHA
	return c.SHA
}

// Tag names a commit.
func (s *Server) Tag(name, sha string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tags = slices.DeleteFunc(s.tags, func(t tag) bool { return t.name == name })
	s.tags = slices.Insert(s.tags, 0, tag{name, sha})
}

// Release publishes a tag.
func (s *Server) Release(tag, name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.releases = slices.Insert(s.releases, 0, release{tag, name, s.now()})
}

// Pull adds a pull request.
func (s *Server) Pull(number int, p Pull) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pulls[number] = p
}

// Check adds a check run to a commit, and Status a commit status.
func (s *Server) Check(sha string, c Check) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.checks[sha] = append(s.checks[sha], c)
}

// Green makes every check of a commit a success.
func (s *Server) Green(sha string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.checks[sha] {
		s.checks[sha][i] = Check{Name: s.checks[sha][i].Name, Conclusion: "success", Suite: s.checks[sha][i].Suite}
	}
}

// Status adds a commit status.
func (s *Server) Status(sha, context, state string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.statuses[sha] = append(s.statuses[sha], Check{Name: context, Conclusion: state})
}

func (s *Server) repositoryRoutes() {
	const repo = "/repos/{owner}/{repo}"
	s.handle("GET "+repo+"/commits", func(a ask) answer {
		var list []any
		for at := s.ref(or(a.query.Get("sha"), "main")); at != nil; at = s.parent(at) {
			list = append(list, s.commit(at))
		}
		if list == nil {
			return refuse(http.StatusNotFound, "Not Found")
		}
		some, header := page(s, a, list)
		return answer{http.StatusOK, some, header}
	})
	s.handle("GET "+repo+"/commits/{ref...}", func(a ask) answer {
		c := s.ref(a.PathValue("ref"))
		if c == nil {
			return refuse(http.StatusUnprocessableEntity, "No commit found for SHA: "+a.PathValue("ref"))
		}
		return ok(s.commit(c))
	})
	s.handle("GET "+repo+"/commits/{ref}/check-runs", func(a ask) answer {
		list := []any{}
		for i, c := range s.checks[a.PathValue("ref")] {
			var conclusion any
			if c.Conclusion != "" {
				conclusion = c.Conclusion
			}
			list = append(list, map[string]any{"id": 100 + i, "name": c.Name, "head_sha": a.PathValue("ref"), "status": or(c.Status, "completed"),
				"conclusion": conclusion, "check_suite": map[string]any{"id": c.Suite}})
		}
		some, header := page(s, a, list)
		return answer{http.StatusOK, map[string]any{"total_count": len(list), "check_runs": some}, header}
	})
	s.handle("GET "+repo+"/commits/{ref}/status", func(a ask) answer {
		list := []any{}
		state := "pending" // where there is none
		for i, c := range s.statuses[a.PathValue("ref")] {
			list = append(list, map[string]any{"id": 100 + i, "context": c.Name, "state": c.Conclusion})
			state = c.Conclusion
		}
		some, header := page(s, a, list)
		return answer{http.StatusOK, map[string]any{"state": state, "total_count": len(list), "statuses": some, "sha": a.PathValue("ref")}, header}
	})
	s.handle("GET "+repo+"/compare/{basehead}", s.compare)
	s.handle("GET "+repo+"/branches", func(a ask) answer {
		list := []any{}
		for name, sha := range s.branches {
			list = append(list, map[string]any{"name": name, "commit": map[string]any{"sha": sha, "url": "https://github.invalid/"}, "protected": false})
		}
		some, header := page(s, a, list)
		return answer{http.StatusOK, some, header}
	})
	s.handle("GET "+repo+"/tags", func(a ask) answer {
		list := []any{}
		for _, t := range s.tags {
			list = append(list, map[string]any{"name": t.name, "commit": map[string]any{"sha": t.sha, "url": "https://github.invalid/"}})
		}
		some, header := page(s, a, list)
		return answer{http.StatusOK, some, header}
	})
	s.handle("GET "+repo+"/releases", func(a ask) answer {
		list := []any{}
		for i, r := range s.releases {
			list = append(list, map[string]any{"id": 100 + i, "tag_name": r.tag, "name": r.name, "draft": false, "prerelease": false, "created_at": stamp(r.at), "published_at": stamp(r.at)})
		}
		some, header := page(s, a, list)
		return answer{http.StatusOK, some, header}
	})
	s.handle("GET "+repo+"/pulls/{pull_number}", func(a ask) answer {
		n, _ := strconv.Atoi(a.PathValue("pull_number"))
		p, found := s.pulls[n]
		if !found {
			return refuse(http.StatusNotFound, "Not Found")
		}
		body := map[string]any{"number": n, "state": or(p.State, "open"), "title": p.Title, "merged": p.Merged != "",
			"head": map[string]any{"sha": p.Head, "ref": "feature", "label": "x", "repo": map[string]any{"full_name": or(p.From, s.o.Owner+"/"+s.o.Repo)}}}
		if p.Merged != "" {
			body["merge_commit_sha"] = p.Merged
		}
		return ok(body)
	})
}

// ref finds the commit that a name stands for: GitHub takes any.
func (s *Server) ref(name string) *Commit {
	if t, isTag := strings.CutPrefix(name, "tags/"); isTag {
		return s.tagged(t)
	}
	if b, isBranch := strings.CutPrefix(name, "heads/"); isBranch {
		return s.commits[s.branches[b]]
	}
	if c := s.commits[name]; c != nil {
		return c
	}
	if c := s.commits[s.branches[name]]; c != nil {
		return c
	}
	if c := s.tagged(name); c != nil {
		return c
	}
	var found *Commit
	for sha, c := range s.commits {
		if len(name) >= 4 && strings.HasPrefix(sha, name) {
			if found != nil {
				return nil
			}
			found = c
		}
	}
	return found
}

func (s *Server) tagged(name string) *Commit {
	for _, t := range s.tags {
		if t.name == name {
			return s.commits[t.sha]
		}
	}
	return nil
}

func (s *Server) parent(c *Commit) *Commit {
	if len(c.Parents) == 0 {
		return nil
	}
	return s.commits[c.Parents[0]]
}

func (s *Server) commit(c *Commit) map[string]any {
	who := map[string]any{"name": c.Author, "email": c.Author + "@example.com", "date": stamp(c.At)}
	parents := []any{}
	for _, p := range c.Parents {
		parents = append(parents, map[string]any{"sha": p, "url": "https://github.invalid/"})
	}
	return map[string]any{"sha": c.SHA, "parents": parents, "author": map[string]any{"login": c.Author, "id": 1, "type": "User", "site_admin": false},
		"commit": map[string]any{"message": c.Message, "author": who, "committer": who, "comment_count": 0, "tree": map[string]any{"sha": c.SHA, "url": "https://github.invalid/"}}}
}

// ancestors gives a commit and all before it.
func (s *Server) ancestors(c *Commit) map[string]bool {
	all := map[string]bool{}
	list := []*Commit{c}
	for len(list) > 0 {
		c, list = list[0], list[1:]
		if c == nil || all[c.SHA] {
			continue
		}
		all[c.SHA] = true
		for _, p := range c.Parents {
			list = append(list, s.commits[p])
		}
	}
	return all
}

func (s *Server) compare(a ask) answer {
	b, h, _ := strings.Cut(a.PathValue("basehead"), "...")
	base, head := s.ref(b), s.ref(h)
	if base == nil || head == nil {
		return refuse(http.StatusNotFound, "Not Found")
	}
	before, after := s.ancestors(base), s.ancestors(head)
	var ahead []*Commit
	for sha := range after {
		if !before[sha] {
			ahead = append(ahead, s.commits[sha])
		}
	}
	behind := 0
	for sha := range before {
		if !after[sha] {
			behind++
		}
	}
	slices.SortFunc(ahead, func(a, b *Commit) int { return a.At.Compare(b.At) })
	status := "identical"
	switch {
	case len(ahead) > 0 && behind > 0:
		status = "diverged"
	case len(ahead) > 0:
		status = "ahead"
	case behind > 0:
		status = "behind"
	}
	list := []any{}
	for _, c := range ahead {
		list = append(list, s.commit(c))
	}
	some, header := page(s, a, list)
	if a.query.Get("per_page") == "" && a.query.Get("page") == "" {
		some, header = list[:min(250, len(list))], nil
	}
	files := []any{}
	if a.query.Get("page") == "" || a.query.Get("page") == "1" {
		for i := range min(len(ahead), 300) {
			files = append(files, map[string]any{"filename": fmt.Sprintf("file%d", i), "status": "modified", "sha": base.SHA})
		}
	}
	return answer{http.StatusOK, map[string]any{"status": status, "ahead_by": len(ahead), "behind_by": behind, "total_commits": len(ahead),
		"commits": some, "files": files, "base_commit": s.commit(base), "merge_base_commit": s.commit(base), "html_url": "https://github.invalid/compare"}, header}
}

func or(a, b string) string {
	if a == "" {
		return b
	}
	return a
}
