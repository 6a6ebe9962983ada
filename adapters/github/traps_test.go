package githubprovider

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"quarterdeck/adapters/github/fakegithub"
	"quarterdeck/bot"
	"quarterdeck/bot/provider"
)

// TestAnswersThatAreNoDeployment: GitHub says yes, or no, and nothing is
// deployed; nobody may be told that something was.
func TestAnswersThatAreNoDeployment(t *testing.T) {
	for name, c := range map[string]struct {
		make func(*world)
		want string
	}{
		"202": {func(w *world) { w.Merges() }, "GitHub merged branches instead of making a deployment; nothing was deployed"},
		"409": {func(w *world) {
			w.Inject(fakegithub.Fault{Path: routeCreate, Status: 409, Body: `{"message":"Conflict: Commit status checks failed"}`})
		}, "GitHub refuses to create a deployment: something else stands against it there"},
		"403": {func(w *world) {
			w.Inject(fakegithub.Fault{Path: routeCreate, Status: 403, Body: `{"message":"Resource not accessible by integration"}`, Header: map[string]string{"X-Accepted-GitHub-Permissions": "deployments=write"}})
		}, "GitHub denies to create a deployment: the credentials of provider gh lack the permission deployments: write in acme/shop"},
		"403 that does not say": {func(w *world) {
			w.Inject(fakegithub.Fault{Path: routeDispatch, Status: 403, Body: `{"message":"Resource not accessible"}`, Header: map[string]string{"X-Accepted-GitHub-Permissions": "<script>"}})
		}, "GitHub denies to start the workflow: the credentials of provider gh lack the permission actions: write in acme/shop"},
		"single sign-on": {func(w *world) {
			w.Inject(fakegithub.Fault{Path: routeCreate, Status: 403, Body: `{"message":"SAML"}`, Header: map[string]string{"X-GitHub-SSO": "required; url=https://x"}})
		}, "GitHub denies to create a deployment: the token of provider gh was not authorised for the organisation's single sign-on"},
		"moved": {func(w *world) {
			w.Inject(fakegithub.Fault{Path: routeCreate, Status: 307, Body: `{"message":"Moved"}`, Header: map[string]string{"Location": "https://evil.example.com/"}})
		}, "acme/shop was renamed or moved at GitHub; write its new name in the configuration"},
		"no trigger": {func(w *world) { w.Workflow("deploy.yml", fakegithub.Workflow{Manual: true}) },
			"deploy.yml of acme/shop has no workflow_dispatch trigger in main, so it cannot be started"},
		"undeclared input": {func(w *world) { w.Workflow("deploy.yml", fakegithub.Workflow{Inputs: []string{"key", "sha"}}) },
			"deploy.yml of acme/shop does not declare all the inputs that it is given: environment, key, sha"},
		"disabled": {func(w *world) { w.Workflow("deploy.yml", fakegithub.Workflow{Disabled: true}) }, "deploy.yml of acme/shop is disabled at GitHub"},
		"no workflow": {func(w *world) { w.mode = "workflow = \"other.yml\"\nchecks = []\n" },
			"acme/shop has no workflow other.yml that can be started, or the credentials of provider gh may not see it"},
		"no branch": {func(w *world) { w.mode += "ref = \"trunk\"\n" }, "acme/shop has no branch trunk to take deploy.yml from"},
		"skipped job": {func(w *world) {
			w.mode += "job = \"deploy\"\n"
			w.Behave(w.sha["v2"], fakegithub.Outcome{Jobs: []fakegithub.Job{{Name: "test", Conclusion: "success"}, {Name: "deploy", Conclusion: "skipped"}}})
		}, "the job deploy did not do its work: it ended as skipped"},
		"missing job": {func(w *world) { w.mode += "job = \"deploy\"\n" }, "the workflow succeeded without the job deploy, which was not run"},
		"failed job": {func(w *world) {
			w.Behave(w.sha["v2"], fakegithub.Outcome{Conclusion: "failure", Jobs: []fakegithub.Job{{Name: "roll out", Conclusion: "failure", Step: "kubectl apply"}}})
		}, "the workflow failed: roll out at kubectl apply"},
		"jobs unread": {func(w *world) {
			w.Behave(w.sha["v2"], fakegithub.Outcome{Conclusion: "failure"})
			w.Inject(fakegithub.Fault{Path: "GET /repos/{owner}/{repo}/actions/runs/{run_id}/jobs", Status: 403, Body: "{}"})
		}, "the workflow failed"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			c.make(w)
			p := w.deploy("v2", "run-1-abc")
			if p.State != bot.OpFailed || p.Text != c.want {
				t.Errorf("%s: %q\nwant failed: %q", p.State, p.Text, c.want)
			}
			for _, told := range w.Statuses("run-1-abc") {
				if strings.HasPrefix(told, "success") {
					t.Error("the deployment was told success")
				}
			}
		})
	}
}

// TestWhatIsSent holds the bodies against what must be explicit.
func TestWhatIsSent(t *testing.T) {
	w := newWorld(t)
	w.Status(w.sha["v2"], "ci/old", "failure") // whose override was recorded by the bot
	w.mode = "workflow = \"deploy.yml\"\ninputs = { tier = \"web\" }\nenvironment = \"prod\"\n"
	w.Workflow("deploy.yml", fakegithub.Workflow{Inputs: []string{"key", "sha", "environment", "tier"}, RunName: true})
	if p := w.deploy("main", "run-1-abc"); p.State != bot.OpFailed { // main is v4, which fails
		t.Fatalf("%+v", p)
	}
	if p := w.deploy("v2", "run-2-abc"); p.State != bot.OpSucceeded {
		t.Fatalf("%+v", p)
	}
	all := strings.Join(w.Bodies(), "\n")
	for _, want := range []string{
		`"ref":"` + w.sha["v2"] + `"`, `"auto_merge":false`, `"required_contexts":[]`, `"environment":"prod"`,
		`"payload":{"key":"run-2-abc","action":"deploy","person":"dev-one","login":"octodev","version":"v2","reason":"a test"}`,
		`"inputs":{"environment":"prod","key":"run-2-abc","sha":"` + w.sha["v2"] + `","tier":"web"}`, `"return_run_details":true`,
		`"description":"deploy v2 by dev-one"`, `"state":"in_progress"`, `"state":"success"`, `"state":"failure"`,
		`"ref":"` + w.sha["v4"] + `"`, // and not the branch, which moves
	} {
		if !strings.Contains(all, want) {
			t.Errorf("nothing that was sent has %s:\n%s", want, all)
		}
	}
	if strings.Contains(all, secret) {
		t.Error("the token stands in a body")
	}
}

// TestNeverTwice: after an interruption a run that may or may not be ours makes
// it unknown, and one that is another's for certain does not.
func TestNeverTwice(t *testing.T) {
	for name, c := range map[string]struct {
		title   string
		runName bool
		acts    bool
		want    bot.OpState
		runs    int
	}{
		"a run without a name":           {"Deploy", true, false, bot.OpUnknown, 0},
		"a run by hand":                  {"deploy shop-prod", true, false, bot.OpUnknown, 0},
		"another's run":                  {"deploy run-77-xyz", true, false, bot.OpSucceeded, 1},
		"ours, and its name is missing":  {"", false, true, bot.OpUnknown, 1},
		"ours, among another's":          {"deploy run-77-xyz", true, true, bot.OpSucceeded, 1},
		"nothing, and the call was lost": {"", true, false, bot.OpSucceeded, 1},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.Workflow("deploy.yml", fakegithub.Workflow{Inputs: []string{"key", "sha", "environment"}, RunName: c.runName})
			w.Inject(fakegithub.Fault{Path: routeDispatch, Times: 1, Acts: c.acts, Cut: true})
			d := w.attach()
			h, _ := w.run(d, w.begin(d, "v2", "run-1-abc"), func(p bot.Progress) bool { return strings.Contains(p.Text, "is made") })
			if c.title != "" {
				w.Dispatch("deploy.yml", c.title)
			}
			_, p := w.run(w.attach(), h, nil)
			if n := w.Dispatched("run-1-abc"); p.State != c.want || n != c.runs {
				t.Errorf("%s (%s) and %d runs, want %s and %d", p.State, p.Text, n, c.want, c.runs)
			}
		})
	}
}

// TestRunThatNeverAppears: GitHub took it, so it is not asked for again.
func TestRunThatNeverAppears(t *testing.T) {
	w := newWorld(t, func(o *fakegithub.Options) { o.NoDetails, o.Appears = true, 24*time.Hour })
	p := w.deploy("v2", "run-1-abc")
	if n := w.Dispatched("run-1-abc"); p.State != bot.OpUnknown || n != 1 || p.Check == "" {
		t.Errorf("%+v, %d runs", p, n)
	}
}

// TestEchoes: a job that names an environment makes GitHub note a deployment of
// the workflow's own commit, which is not what was deployed.
func TestEchoes(t *testing.T) {
	w := newWorld(t)
	w.Workflow("deploy.yml", fakegithub.Workflow{Inputs: []string{"key", "sha", "environment"}, RunName: true, Environment: "prod"})
	d := w.attach()
	h, _ := w.run(d, w.begin(d, "v2", "run-1-abc"), func(p bot.Progress) bool { return p.Text == "the workflow runs" })
	if live, err := w.attach().Current(t.Context()); err != nil || live.Artefact.ID != w.sha["v1"] || live.Deploying != "" {
		t.Errorf("while it runs: %+v, %v", live, err)
	}
	// GitHub's own success comes first, and makes inactive what was before it.
	w.pass(time.Minute)
	if live, err := w.attach().Current(t.Context()); err != nil || live.Artefact.ID != w.sha["v2"] {
		t.Errorf("before it is written back: %+v, %v", live, err)
	}
	w.run(d, h, nil)
	if live, err := w.attach().Current(t.Context()); err != nil || live.Artefact.ID != w.sha["v2"] || live.Artefact.Version != "v2" {
		t.Errorf("afterwards: %+v, %v", live, err)
	}
	// The job with the environment succeeded, and a later one did not.
	w.mode += "job = \"smoke\"\n"
	w.Behave(w.sha["v3"], fakegithub.Outcome{Jobs: []fakegithub.Job{{Name: "deploy", Conclusion: "success"}, {Name: "smoke", Conclusion: "skipped"}}})
	if p := w.deploy("v3", "run-2-abc"); p.State != bot.OpFailed {
		t.Fatal(p)
	}
	if live, err := w.attach().Current(t.Context()); err != nil || live.Artefact.ID != w.sha["v2"] {
		t.Errorf("after a failure: %+v, %v", live, err)
	}
	w.clock.pass(time.Minute)
	w.Deploy(w.sha["v4"], "v4", "prod", "success", "inactive") // somebody took the environment away
	if live, err := w.attach().Current(t.Context()); err != nil || live.Artefact.ID != "" {
		t.Errorf("after it was taken away: %+v, %v", live, err)
	}
}

// TestCurrent looks at what others do too.
func TestCurrent(t *testing.T) {
	for name, c := range map[string]struct {
		make      func(*world)
		live      string
		deploying bool
	}{
		"another's success": {func(w *world) { w.Deploy(w.sha["v3"], "v3", "prod", "in_progress", "success") }, "v3", false},
		"another's failure": {func(w *world) { w.Deploy(w.sha["v3"], "v3", "prod", "in_progress", "failure") }, "v1", false},
		"under way":         {func(w *world) { w.Deploy(w.sha["v3"], "v3", "prod", "in_progress") }, "v1", true},
		"forgotten":         {func(w *world) { w.Deploy(w.sha["v3"], "v3", "prod", "in_progress"); w.clock.pass(3 * time.Hour) }, "v1", false},
		"never taken up":    {func(w *world) { w.Deploy(w.sha["v3"], "v3", "prod"); w.clock.pass(time.Hour) }, "v1", false},
		"elsewhere":         {func(w *world) { w.Deploy(w.sha["v3"], "v3", "staging", "success") }, "v1", false},
		"made inactive":     {func(w *world) { w.Deploy(w.sha["v3"], "v3", "prod", "success", "inactive") }, "v1", false},
		"behind many that failed": {func(w *world) {
			for range 25 {
				w.Deploy(w.sha["v3"], "v3", "prod", "failure")
			}
		}, "v1", false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			c.make(w)
			live, err := w.attach().Current(t.Context())
			if err != nil || live.Artefact.ID != w.sha[c.live] || (live.Deploying != "") != c.deploying {
				t.Errorf("%+v, %v; want %s", live, err, c.live)
			}
		})
	}
	w := newWorld(t)
	w.mode += "environment = \"nowhere\"\n"
	if live, err := w.attach().Current(t.Context()); err != nil || live.Artefact.ID != "" || live.Artefact.Label() != "nothing" {
		t.Errorf("where nothing was deployed: %+v, %v", live, err)
	}
}

func TestResolve(t *testing.T) {
	w := newWorld(t)
	w.Pull(812, fakegithub.Pull{Head: w.sha["v3"], Title: "A change"})
	w.Pull(813, fakegithub.Pull{Head: w.sha["v3"], From: "stranger/shop"})
	w.Pull(814, fakegithub.Pull{Head: w.sha["v3"], State: "closed", Merged: w.sha["v2"], From: "stranger/shop"})
	w.Pull(815, fakegithub.Pull{Head: w.sha["v3"], State: "closed"})
	feature := w.Commit("feature/x", "Work", "dev-one", w.sha["v2"])
	if p := w.deploy("v2", "run-1-abc"); p.State != bot.OpSucceeded {
		t.Fatal(p)
	}
	d := w.attach()
	for version, want := range map[string]string{
		"v3": w.sha["v3"], "main": w.sha["v4"], "latest": w.sha["v4"], "feature/x": feature, w.sha["v3"]: w.sha["v3"], w.sha["v3"][:9]: w.sha["v3"],
		strings.ToUpper(w.sha["v3"][:12]): w.sha["v3"], "previous": w.sha["v1"], "#812": w.sha["v3"], "#814": w.sha["v2"], " v3 ": w.sha["v3"],
	} {
		if a, err := d.Resolve(t.Context(), version); err != nil || a.ID != want || a.Commit != want {
			t.Errorf("%q is %+v, %v; want %s", version, a, err, want)
		}
	}
	for version, want := range map[string]string{
		"v33": `acme/shop has no tag, branch or commit "v33"; did you mean "v3"?`, "mian": `acme/shop has no tag, branch or commit "mian"; did you mean "main"?`,
		"#813": "#813 comes from outside of acme/shop; it can be deployed once it is merged", "#815": "#815 of acme/shop was closed without being merged",
		"#999": "acme/shop has no pull request #999", "#x": `"#x" is no pull request; write it as #812`,
		"../../user":    `"../../user" is no version of acme/shop; write a tag, a branch, a commit, a pull request as #812, latest or previous`,
		"a b":           `"a b" is no version of acme/shop; write a tag, a branch, a commit, a pull request as #812, latest or previous`,
		w.sha["v3"][:5]: fmt.Sprintf(`acme/shop has no tag, branch or commit %q; tags are: v4, v3, v2, v1`, w.sha["v3"][:5]),
	} {
		if a, err := d.Resolve(t.Context(), version); err == nil || bot.Sentence(err, "") != want {
			t.Errorf("%q is %v, %v; want %s", version, a.ID, err, want)
		}
	}
	// A tag that moves afterwards does not move what was asked for.
	h := w.begin(d, "v3", "run-2-abc")
	w.Tag("v3", w.sha["v4"])
	w.run(d, h, nil)
	if live, err := d.Current(t.Context()); err != nil || live.Artefact.ID != w.sha["v3"] {
		t.Errorf("%s is live (%v), want v3 as it was", live.Artefact.Label(), err)
	}
}

func TestPreview(t *testing.T) {
	w := newWorld(t)
	art := func(sha string) provider.Artefact { return provider.Artefact{ID: sha, Version: short(sha)} }
	side := w.Commit("side", "Merge pull request #40 from acme/side", "dev-two", w.sha["v1"])
	d := w.attach()
	p, err := d.Preview(t.Context(), art(w.sha["v1"]), art(w.sha["v3"]))
	if err != nil || len(p.Warnings) > 0 || !slices.Equal(p.Contains, []string{w.sha["v2"], w.sha["v3"]}) {
		t.Errorf("ahead: %+v, %v", p, err)
	}
	text := fmt.Sprint(p.Fields)
	for _, want := range []string{"2: " + w.sha["v3"][:7] + " Change of v3 (#3), " + w.sha["v2"][:7] + " Change of v2 (#2)", "dev-v2, dev-v3", "#3, #2"} {
		if !strings.Contains(text, want) {
			t.Errorf("the preview %s lacks %q", text, want)
		}
	}
	if p, err = d.Preview(t.Context(), art(w.sha["v3"]), art(w.sha["v1"])); err != nil || len(p.Warnings) != 1 || !strings.Contains(p.Warnings[0], "is 2 commits older than what is live, and takes them away") {
		t.Errorf("behind: %+v, %v", p, err)
	}
	if p, err = d.Preview(t.Context(), art(w.sha["v2"]), art(side)); err != nil || len(p.Warnings) != 2 || !strings.Contains(p.Warnings[0], "is not in main, by 1 commit") || !strings.Contains(p.Warnings[1], "lacks 1 commit that is live") || !strings.Contains(fmt.Sprint(p.Fields), "#40") {
		t.Errorf("diverged: %+v, %v", p, err)
	}
	if p, err = d.Preview(t.Context(), art(strings.Repeat("a", 40)), art(side)); err != nil || !strings.Contains(fmt.Sprint(p.Warnings), "is not in acme/shop, so nothing can be compared") {
		t.Errorf("from elsewhere: %+v, %v", p, err)
	}
	w.Inject(fakegithub.Fault{Path: "GET /repos/{owner}/{repo}/compare/{basehead}", Status: 500})
	if _, err = d.Preview(t.Context(), art(w.sha["v1"]), art(w.sha["v4"])); bot.KindOf(err) != bot.Unavailable {
		t.Errorf("unreadable: %v", err)
	}
}

// TestLargeComparison: GitHub lists 300 files and pages the commits; what was not
// looked at is said.
func TestLargeComparison(t *testing.T) {
	w := newWorld(t)
	head := ""
	for n := range 1205 {
		head = w.Commit("main", fmt.Sprintf("Change %d", n), fmt.Sprintf("dev-%d", n%20))
	}
	p, err := w.attach().Preview(t.Context(), provider.Artefact{ID: w.sha["v4"], Version: "v4"}, provider.Artefact{ID: head, Version: "new"})
	if err != nil || len(p.Contains) != maxCompared || len(p.Warnings) != 1 || !strings.Contains(p.Warnings[0], "1205 commits are new, and the oldest 1000 of them were looked at") {
		t.Fatalf("%d contained, %q, %v", len(p.Contains), p.Warnings, err)
	}
	text := fmt.Sprint(p.Fields)
	if len(text) > 2000 || !strings.Contains(text, "300 or more; GitHub lists no more") || !strings.Contains(text, "and 1197 more") || !strings.Contains(text, "and 12 more") {
		t.Errorf("the preview is %s", text)
	}
}

func TestVet(t *testing.T) {
	for name, c := range map[string]struct {
		make   func(*world, string)
		checks string
		want   string // "" for nothing against it
	}{
		"none":           {func(*world, string) {}, "", "no check has reported on v2 yet; a repository without any says checks = [] in its deploy table"},
		"none are asked": {func(*world, string) {}, "checks = []", ""},
		"green": {func(w *world, sha string) {
			w.Check(sha, fakegithub.Check{Name: "build", Conclusion: "success"})
			w.Check(sha, fakegithub.Check{Name: "docs", Conclusion: "skipped"})
		}, "", ""},
		"red":     {func(w *world, sha string) { w.Check(sha, fakegithub.Check{Name: "build", Conclusion: "timed_out"}) }, "", "the checks of v2 are not green: build ended as timed out"},
		"running": {func(w *world, sha string) { w.Check(sha, fakegithub.Check{Name: "build", Status: "in_progress"}) }, "", "the checks of v2 are not green: build is not done"},
		"a status is red": {func(w *world, sha string) {
			w.Check(sha, fakegithub.Check{Name: "build", Conclusion: "success"})
			w.Status(sha, "ci/x", "error")
		}, "", "the checks of v2 are not green: ci/x ended as error"},
		"a status pends": {func(w *world, sha string) { w.Status(sha, "ci/x", "pending") }, "", "the checks of v2 are not green: ci/x is not done"},
		"a named one": {func(w *world, sha string) {
			w.Check(sha, fakegithub.Check{Name: "build", Conclusion: "success"})
			w.Status(sha, "ci/x", "error")
		}, "checks = [\"build\"]", ""},
		"a named one lacks": {func(w *world, sha string) { w.Status(sha, "ci/x", "success") }, "checks = [\"build\"]", "the checks of v2 are not green: build has not reported"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			c.make(w, w.sha["v2"])
			w.mode = "workflow = \"deploy.yml\"\n" + c.checks + "\n"
			got, err := w.attach().Vet(t.Context(), provider.Artefact{ID: w.sha["v2"], Version: "v2"})
			if err != nil || strings.Join(got, "|") != c.want {
				t.Errorf("%q, %v; want %q", got, err, c.want)
			}
		})
	}
	// A deployment that failed leaves a red check of its own on the branch's head.
	w := newWorld(t)
	w.deploy("v4", "run-1-abc")
	w.Check(w.sha["v4"], fakegithub.Check{Name: "build", Conclusion: "success"})
	w.Check(w.sha["v4"], fakegithub.Check{Name: "deploy", Conclusion: "failure", Suite: w.Suites("run-1-abc")[0]})
	w.mode = "workflow = \"deploy.yml\"\n"
	if got, err := w.attach().Vet(t.Context(), provider.Artefact{ID: w.sha["v4"], Version: "v4"}); err != nil || len(got) > 0 {
		t.Errorf("its own run is taken for a check: %q, %v", got, err)
	}
	w.Inject(fakegithub.Fault{Path: routeChecks, Status: 403, Body: "{}"})
	if _, err := w.attach().Vet(t.Context(), provider.Artefact{ID: w.sha["v2"], Version: "v2"}); bot.KindOf(err) != bot.Denied || !strings.Contains(bot.Sentence(err, ""), "checks: read") {
		t.Errorf("unreadable checks: %v", err)
	}
}

// TestLimits: both limits are obeyed by everybody who shares the credentials, and
// waiting for them loses no run.
func TestLimits(t *testing.T) {
	w := newWorld(t)
	d := w.attach()
	w.Budget(0, w.clock.Now().Add(20*time.Minute))
	_, err := d.Current(t.Context())
	var e *bot.Error
	if bot.KindOf(err) != bot.Busy || !asError(err, &e) || e.RetryAfter < 20*time.Minute || e.RetryAfter > 21*time.Minute {
		t.Fatalf("the primary limit: %v", err)
	}
	asked := len(w.Requests())
	if _, err := d.Current(t.Context()); bot.KindOf(err) != bot.Busy || len(w.Requests()) != asked {
		t.Errorf("GitHub was asked again though its limit is used up: %v", err)
	}
	w.clock.pass(21 * time.Minute)
	if _, err := d.Current(t.Context()); err != nil {
		t.Errorf("after the reset: %v", err)
	}

	h, _ := w.run(d, w.begin(d, "v2", "run-1-abc"), func(p bot.Progress) bool { return p.Text == "the workflow runs" })
	w.Budget(0, w.clock.Now().Add(30*time.Minute))
	waited := time.Duration(0)
	for {
		next, p, err := d.Advance(t.Context(), h)
		if err != nil {
			t.Fatalf("a used-up limit ends the patience of a run: %v", err)
		}
		if h = next; p.State.Settled() {
			if p.State != bot.OpSucceeded {
				t.Errorf("it ends as %+v", p)
			}
			break
		}
		waited += p.Next
		w.pass(p.Next)
	}
	if waited < 30*time.Minute {
		t.Errorf("it waited %s", waited)
	}
}

// TestPolls are unchanged answers as a rule, and come less often with time.
func TestPolls(t *testing.T) {
	w := newWorld(t)
	w.Behave(w.sha["v2"], fakegithub.Outcome{Status: "queued"})
	d := w.attach()
	n, last := 0, time.Duration(0)
	w.run(d, w.begin(d, "v2", "run-1-abc"), func(p bot.Progress) bool {
		if p.Text == "queued at GitHub" {
			n++
			last = p.Next
		}
		return n == 40
	})
	if last != lookMost {
		t.Errorf("after 40 looks the next comes in %s", last)
	}
	before := w.Unchanged()
	for range 5 {
		if _, err := d.Current(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if w.Unchanged() <= before {
		t.Error("nothing was asked for with its ETag")
	}
}

// TestCredentials: one sentence for what is wrong with them, and no token in it.
func TestCredentials(t *testing.T) {
	w := newWorld(t)
	path := filepath.Join(t.TempDir(), "token")
	write := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	w.token = "token = \"file:" + path + "\"\n"
	if lacks := w.attach().Lacks(); len(lacks) != 1 || lacks[0].Key[0] != "token" || !strings.Contains(lacks[0].Why, "cannot be read") {
		t.Errorf("before there is a token: %+v", lacks)
	}
	write("ghp_wrongwrongwrongwrongwrong")
	if lacks := w.attach().Lacks(); len(lacks) != 0 {
		t.Errorf("with a token: %+v", lacks)
	}
	w.token = "token = \"file:" + path + "\"\n"
	d := w.attach()
	_, err := d.Current(t.Context())
	if say := bot.Sentence(err, ""); bot.KindOf(err) != bot.Unavailable || say != "GitHub does not accept the credentials of provider gh; they may have expired or been withdrawn" || strings.Contains(err.Error(), "ghp_") {
		t.Errorf("a wrong token: %v", err)
	}
	write(secret)
	h, _ := w.run(d, w.begin(d, "v2", "run-1-abc"), func(p bot.Progress) bool { return p.Text == "the workflow runs" })
	write("ghp_expired_in_the_middle_of_it")
	if _, _, err := d.Advance(t.Context(), h); bot.KindOf(err) != bot.Unavailable {
		t.Errorf("expired in the middle: %v", err)
	}
	write(secret) // and renewed
	if _, p := w.run(d, h, nil); p.State != bot.OpSucceeded {
		t.Errorf("renewed: %+v", p)
	}
}

// TestApp gets tokens for its installation, renews them before they end, and
// after they were withdrawn.
func TestApp(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, func(o *fakegithub.Options) { o.Token, o.App, o.Installation, o.Key = "", 42, 77, &key.PublicKey })
	path := filepath.Join(t.TempDir(), "app.pem")
	raw := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	w.token = "app_id = 42\ninstallation_id = 77\nprivate_key = \"file:" + path + "\"\n"
	d := w.attach()
	ask := func(tokens int) {
		t.Helper()
		if _, err := d.Current(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := w.Issued(); n != tokens {
			t.Fatalf("%d tokens, want %d", n, tokens)
		}
	}
	ask(1)
	w.clock.pass(54 * time.Minute)
	ask(1)
	w.clock.pass(2 * time.Minute) // it would still hold for four
	ask(2)
	w.Revoke()
	ask(1)
	other := d.client.auth.(*app)
	skewed := newClock()
	skewed.now = w.clock.Now().Add(20 * time.Minute)
	d.client.auth = &app{name: "gh", id: other.id, installation: other.installation, key: other.key, base: other.base, clock: skewed, http: other.http}
	if _, err := d.Current(t.Context()); !strings.Contains(bot.Sentence(err, ""), "the clock of this machine, which is 20m0s off GitHub's") {
		t.Errorf("with a wrong clock: %v", err)
	}
	w.token = strings.Replace(w.token, "77", "78", 1)
	if _, err := w.attach().Current(t.Context()); !strings.Contains(bot.Sentence(err, ""), "knows no installation 78") {
		t.Errorf("without the installation: %v", err)
	}
}

// TestStrangeAnswers give sentences, and nothing is guessed from them.
func TestStrangeAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		fault fakegithub.Fault
		kind  bot.Kind
		want  string
	}{
		"HTML":     {fakegithub.Fault{Status: 200, Body: "<html>sign in</html>"}, bot.Unavailable, "GitHub's answer makes no sense; is api_url of provider gh the address of its API?"},
		"502":      {fakegithub.Fault{Status: 502, Body: "<html>Unicorn</html>"}, bot.Unavailable, "GitHub is out of order"},
		"cut":      {fakegithub.Fault{Cut: true}, bot.Unavailable, "GitHub"},
		"404":      {fakegithub.Fault{Status: 404, Body: "{}"}, bot.NotFound, "GitHub shows no such repository in acme/shop: it does not exist, or the credentials of provider gh may not see it"},
		"redirect": {fakegithub.Fault{Status: 302, Header: map[string]string{"Location": "https://evil.example.com/"}}, bot.Invalid, "acme/shop was renamed or moved at GitHub; write its new name in the configuration"},
		"too much": {fakegithub.Fault{Status: 200, Body: "[" + strings.Repeat(" ", maxBody) + "]"}, bot.Unavailable, "GitHub's answer is too large to be read"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			c.fault.Path = routeList
			w.Inject(c.fault)
			_, err := w.attach().Current(t.Context())
			if bot.KindOf(err) != c.kind || !strings.HasPrefix(bot.Sentence(err, ""), c.want) || strings.Contains(err.Error(), secret) {
				t.Errorf("%v", err)
			}
		})
	}
}

// TestHang: a GitHub that does not answer is timed out, and nothing is guessed.
func TestHang(t *testing.T) {
	w := newWorld(t)
	d := w.attach()
	d.client.far = newTransport() // which gives up with its context
	w.Inject(fakegithub.Fault{Hang: true})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := d.Current(ctx); bot.KindOf(err) != bot.Timeout || bot.Sentence(err, "") != "GitHub gave no answer in time" {
		t.Errorf("%v", err)
	}
}

// TestNothingStands: what is live is not guessed where it is too long ago.
func TestNothingStands(t *testing.T) {
	w := newWorld(t)
	for range maxHistory {
		w.Deploy(w.sha["v3"], "v3", "prod", "failure")
	}
	if live, err := w.attach().Current(t.Context()); bot.KindOf(err) != bot.Unavailable {
		t.Errorf("%+v, %v", live, err)
	}
}

// TestCancelAlone: a deployment that others carry out is let go, so that a way
// back need not wait for it.
func TestCancelAlone(t *testing.T) {
	w := newWorld(t)
	w.External()
	w.mode = "checks = []\n"
	w.Behave(w.sha["v2"], fakegithub.Outcome{Status: "untouched"})
	d := w.attach()
	h, _ := w.run(d, w.begin(d, "v2", "run-1-abc"), func(p bot.Progress) bool { return strings.HasPrefix(p.Text, "waits for somebody") })
	h, err := d.Cancel(t.Context(), h)
	if err != nil {
		t.Fatal(err)
	}
	if _, p := w.run(d, h, nil); p.State != bot.OpUnknown || p.Check == "" {
		t.Errorf("%+v", p)
	}
	if p := w.deploy("v2", "run-2-abc"); p.State != bot.OpUnknown || !strings.Contains(p.Text, "did not report within 1h") {
		t.Errorf("nobody took it up: %+v", p)
	}
}

// TestWriteBackThatFails does not make a success anything else.
func TestWriteBackThatFails(t *testing.T) {
	for _, f := range []fakegithub.Fault{{Status: 403, Body: "{}"}, {Status: 502}} {
		w := newWorld(t)
		f.Path = routeTell
		w.Inject(f)
		if p := w.deploy("v2", "run-1-abc"); p.State != bot.OpSucceeded || !strings.Contains(p.Text, "it could not be written back") {
			t.Errorf("%d: %+v", f.Status, p)
		}
	}
}

// TestTables: what cannot be meant is refused offline, with where and a remedy.
func TestTables(t *testing.T) {
	w := newWorld(t)
	for deploy, want := range map[string]string{
		"":                                  `the deploy table of shop/prod needs repo, the repository's name without its owner, such as "shop"`,
		"repo = \"acme/shop\"":              "needs repo",
		"repo = \"..\"":                     "needs repo",
		"repo = \"shop\"\nworkflow = \"x\"": `workflow of shop/prod is "x"; expected a file's name in .github/workflows, such as "deploy.yml"`,
		"repo = \"shop\"\nworkflow = \"../x.yml\"":                            "workflow of shop/prod",
		"repo = \"shop\"\nref = \"a..b\"":                                     `ref of shop/prod is "a..b"; expected a branch, such as "main"`,
		"repo = \"shop\"\njob = \"x\"":                                        "has inputs or a job and no workflow",
		"repo = \"shop\"\nworkflow = \"a.yml\"\ninputs = { key = \"x\" }":     "sets the input key, which every deployment gets from the bot",
		"repo = \"shop\"\nworkflow = \"a.yml\"\ninputs = { \"a b\" = \"x\" }": "which is no input's name",
		"repo = \"shop\"\nurl = \"javascript:x\"":                             "url of shop/prod",
		"repo = \"shop\"\ntimeout = \"-1s\"":                                  "is not a positive duration",
		"repo = \"shop\"\nchecks = [\"\"]":                                    "names an empty check",
		"repo = \"shop\"\nrepos = \"x\"":                                      "config.toml:41",
	} {
		if _, err := w.bind(deploy); bot.KindOf(err) != bot.Invalid || !strings.Contains(bot.Sentence(err, ""), want) || !strings.HasPrefix(bot.Sentence(err, ""), "config.toml:41: ") {
			t.Errorf("%q: %v, want %s", deploy, err, want)
		}
	}
	for settings, want := range map[string]string{
		"": "needs owner", "owner = \"a/b\"": "needs owner", "owner = \"acme\"": `needs token = "env:GITHUB_TOKEN", or app_id`,
		"owner = \"acme\"\ntoken = \"" + secret + "\"":                                    `write token = "env:GITHUB_TOKEN"`,
		"owner = \"acme\"\ntoken = \"env:A\"\napp_id = 1":                                 "a token and an App",
		"owner = \"acme\"\napp_id = 1":                                                    "needs all of app_id, installation_id and private_key",
		"owner = \"acme\"\ntoken = \"env:A\"\napi_url = \"http://ghe.example.com/\"":      "api_url of provider gh",
		"owner = \"acme\"\ntoken = \"env:A\"\napi_url = \"https://u:p@ghe.example.com/\"": "api_url of provider gh",
		"owner = \"acme\"\ntoken = \"env:A\"\nowners = \"x\"":                             "config.toml:41",
	} {
		_, err := Open(provider.Options{Name: "gh", Raw: table(settings), Secrets: &bot.Secrets{}})
		if bot.KindOf(err) != bot.Invalid || !strings.Contains(bot.Sentence(err, ""), want) || strings.Contains(err.Error(), secret) {
			t.Errorf("%q: %v, want %s", settings, err, want)
		}
	}
}

// TestReleases remembers what was live, for a rollback.
func TestReleases(t *testing.T) {
	w := newWorld(t)
	w.Release("v2", "The second")
	w.deploy("v2", "run-1-abc")
	w.deploy("v4", "run-2-abc")
	list, err := w.attach().Releases(t.Context(), 200)
	if err != nil {
		t.Fatal(err)
	}
	wasLive := map[string]bool{}
	for _, r := range list {
		wasLive[r.Version] = !r.LiveAt.IsZero()
	}
	if len(list) != 4 || !wasLive["v1"] || !wasLive["v2"] || wasLive["v3"] || wasLive["v4"] {
		t.Errorf("%+v", list)
	}
}
