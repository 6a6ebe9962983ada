package githubprovider

import (
	"testing"

	"quarterdeck/adapters/github/fakegithub"
	"quarterdeck/bot"
	"quarterdeck/bot/provider/providertest"
)

const (
	routeCreate   = "POST /repos/{owner}/{repo}/deployments"
	routeList     = "GET /repos/{owner}/{repo}/deployments"
	routeTell     = "POST /repos/{owner}/{repo}/deployments/{deployment_id}/statuses"
	routeDispatch = "POST /repos/{owner}/{repo}/actions/workflows/{workflow_id}/dispatches"
	routeRuns     = "GET /repos/{owner}/{repo}/actions/workflows/{workflow_id}/runs"
	routeRun      = "GET /repos/{owner}/{repo}/actions/runs/{run_id}"
	routeCommit   = "GET /repos/{owner}/{repo}/commits/{ref...}"
	routeChecks   = "GET /repos/{owner}/{repo}/commits/{ref}/check-runs"
)

// TestDeployer runs the conformance suite over every form of GitHub: new
// servers, ones that name no run, old ones, and deployers that are not ours.
func TestDeployer(t *testing.T) {
	for name, change := range map[string]func(*fakegithub.Options){
		"run details":    func(*fakegithub.Options) {},
		"no run details": func(o *fakegithub.Options) { o.NoDetails = true },
		"old server":     func(o *fakegithub.Options) { o.Old, o.NoDetails = true, true },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			providertest.Deployers(t, func(t *testing.T) providertest.Harness { return newWorld(t, change).harness() })
		})
	}
	t.Run("deployments alone", func(t *testing.T) {
		t.Parallel()
		providertest.Deployers(t, func(t *testing.T) providertest.Harness {
			w := newWorld(t)
			w.External()
			w.mode = "checks = []\n"
			h := w.harness()
			h.Effects = w.Deployed
			return h
		})
	})
}

// TestHostile runs the suite while GitHub misbehaves: whatever it does with a
// request that acts, one deployment comes of it or unknown is said.
func TestHostile(t *testing.T) {
	for name, fault := range map[string]fakegithub.Fault{
		"502 before acting":       {Status: 502, Body: "<html>Unicorn!</html>"},
		"502 after acting":        {Status: 502, Body: "<html>Unicorn!</html>", Acts: true},
		"cut before acting":       {Cut: true},
		"cut after acting":        {Cut: true, Acts: true},
		"200 HTML after acting":   {Status: 200, Body: "<html>sign in</html>", Acts: true},
		"503 to be asked again":   {Status: 503, Header: map[string]string{"Retry-After": "3"}, Body: "{}"},
		"secondary limit":         {Status: 403, Header: map[string]string{"Retry-After": "30"}, Body: `{"message":"You have exceeded a secondary rate limit"}`},
		"secondary limit, silent": {Status: 429, Body: `{"message":"Too many"}`},
	} {
		for _, route := range []string{routeCreate, routeDispatch} {
			t.Run(name+" "+route, func(t *testing.T) {
				t.Parallel()
				providertest.Deployers(t, func(t *testing.T) providertest.Harness {
					w := newWorld(t, func(o *fakegithub.Options) { o.NoDetails = route == routeDispatch })
					f := fault
					f.Path, f.Times = route, 1
					w.Inject(f)
					return w.harness()
				})
			})
		}
	}
}

// TestFlaky has every kind of request fail once in a deployment.
func TestFlaky(t *testing.T) {
	for _, route := range []string{routeCreate, routeList, routeTell, routeDispatch, routeRuns, routeRun} {
		for _, f := range []fakegithub.Fault{{Status: 500}, {Status: 502, Acts: true}, {Cut: true, Acts: true}} {
			for skip := range 3 {
				w := newWorld(t, func(o *fakegithub.Options) { o.NoDetails = true })
				f.Path, f.Times, f.Skip = route, 2, skip
				d := w.attach()
				h := w.begin(d, "v2", "run-7-abc")
				w.Inject(f)
				_, p := w.run(d, h, nil)
				if n := w.Dispatched("run-7-abc"); p.State != bot.OpSucceeded || n != 1 {
					t.Errorf("%s failing after %d: %s (%s), %d runs", route, skip, p.State, p.Text, n)
				}
			}
		}
	}
}
