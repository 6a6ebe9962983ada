//go:build linux || darwin

package main

import (
	"os"
	"strings"
	"testing"
	"time"

	"quarterdeck/adapters/github/fakegithub"
	"quarterdeck/bot"
)

const githubConfig = `
[provider.gh]
type = "github"
owner = "acme"
token = "env:GITHUB_TOKEN"
api_url = "URL"
[service.web.staging]
deploy = { provider = "gh", repo = "web", workflow = "deploy.yml" }
[service.web.prod]
deploy = { provider = "gh", repo = "web", workflow = "deploy.yml" }
[[grant]]
roles = ["developer"]
permissions = ["deploy", "rollback", "restart", "status", "history", "run.read"]
targets = ["web/*"]
[[grant]]
roles = ["sre"]
permissions = ["deploy", "release.override", "run.read"]
targets = ["web/*"]
`

// TestGitHub goes the whole road with the real program: checks that are not
// green stop a deployment, a release is deployed once and taken back, and is
// then refused by the name of who took it back.
func TestGitHub(t *testing.T) {
	t.Parallel()
	const token = "github_pat_11TESTTESTTEST0000_notarealtoken"
	fake, err := fakegithub.New(fakegithub.Options{Clock: bot.SystemClock{}, Owner: "acme", Repo: "web", Token: token, Queue: time.Millisecond, Takes: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer fake.Close()
	sha := map[string]string{}
	for _, v := range []string{"v1", "v2"} {
		sha[v] = fake.Commit("main", "Change of "+v, "dev")
		fake.Tag(v, sha[v])
	}
	fake.Workflow("deploy.yml", fakegithub.Workflow{Inputs: []string{"key", "sha", "environment"}, RunName: true, Environment: "staging"})
	fake.Deploy(sha["v1"], "v1", "staging", "success")

	s := newStage(t)
	raw, err := os.ReadFile(s.path("config.toml"))
	if err != nil {
		t.Fatal(err)
	}
	s.write("config.toml", strings.Replace(string(raw), "[[person]]\nname = \"dev\"\n", "[[person]]\nname = \"dev\"\ngithub = \"octodev\"\n", 1)+strings.ReplaceAll(githubConfig, "URL", fake.URL()))
	s.serve("config.toml", "q.sock", "", "GITHUB_TOKEN="+token)
	says := func(line string, code int, want ...string) {
		t.Helper()
		a := s.ask(line)
		s.end(a, code)
		for _, w := range want {
			if !strings.Contains(flat(a.out.String()), w) {
				t.Errorf("%s says\n%s\nwithout %q", line, a.out.String(), w)
			}
		}
	}
	says("deploy web v3 staging", 2, `acme/web has no tag, branch or commit "v3"; tags are: v2, v1`)
	says("deploy web v2 staging", 3, "no check has reported on v2 yet")
	fake.Check(sha["v2"], fakegithub.Check{Name: "build", Conclusion: "failure"})
	says("deploy web v2 staging", 3, "the checks of v2 are not green: build ended as failure")
	fake.Green(sha["v2"])
	says("deploy web v2 staging", 0, "v2 is deployed")
	says("status web staging", 0, "v2")
	says("restart web staging", 2, "cannot be restarted through GitHub")
	says("rollback web staging", 0)
	says("deploy web v2 staging", 3, "v2 is marked bad in web/staging since run #", "by dev")
	// A tag that moves does not change what is taken over from staging.
	fake.Check(sha["v1"], fakegithub.Check{Name: "build", Conclusion: "success"})
	fake.Tag("v1", fake.Commit("main", "Another v1", "dev"))
	says("deploy web staging prod --dry-run", 0, sha["v1"][:12], "nothing")
	if keys := fake.Keys(); len(keys) != 2 {
		t.Errorf("the workflow was started for %q, want two", keys)
	}
	if all := strings.Join(fake.Bodies(), "\n"); !strings.Contains(all, `"person":"dev","login":"octodev"`) || !strings.Contains(all, `"action":"rollback"`) {
		t.Errorf("GitHub was not told who acts:\n%s", all)
	}
	log, err := os.ReadFile(s.path("bot.log"))
	if err != nil || strings.Contains(string(log), token) {
		t.Errorf("the token stands in the log (%v)", err)
	}
}
