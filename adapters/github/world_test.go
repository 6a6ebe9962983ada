package githubprovider

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/pelletier/go-toml/v2"

	"quarterdeck/adapters/github/fakegithub"
	"quarterdeck/bot"
	"quarterdeck/bot/provider"
	"quarterdeck/bot/provider/providertest"
)

var prod = bot.Target{Service: "shop", Environment: "prod"}

const secret = "github_pat_11TESTTESTTEST0000_notarealtoken"

// clock stands still until a test moves it.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// table is a configuration table in memory.
type table string

func (t table) Dir() string   { return "." }
func (t table) Where() string { return "config.toml:41" }

func (t table) Decode(dst any) error {
	dec := toml.NewDecoder(bytes.NewReader([]byte(t))).DisallowUnknownFields()
	if err := dec.Decode(dst); err != nil {
		var bad *bot.Error
		if errors.As(err, &bad) {
			return bot.Errorf(bot.Invalid, "%s: %s", t.Where(), bad.Say)
		}
		return bot.Errorf(bot.Invalid, "%s: %v", t.Where(), err)
	}
	return nil
}

// contract gives the path of GitHub's own description, or "" where it is not
// laid beside the project.
func contract(t testing.TB) string {
	dir := os.Getenv("CONTRACTS_DIR")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared", "contracts")
	}
	path := filepath.Join(dir, "github", "openapi.json")
	if _, err := os.Stat(path); err != nil {
		if os.Getenv("CONTRACTS_REQUIRED") != "" {
			t.Fatalf("the contracts are not there: %v", err)
		}
		return ""
	}
	return path
}

// world is a fake GitHub with a repository whose tags v1 to v4 follow one
// another on main; v1 is live in prod, and v4 fails.
type world struct {
	*fakegithub.Server
	t     testing.TB
	clock *clock
	under sync.WaitGroup // requests
	sha   map[string]string
	token string // what the table says, with the credentials
	mode  string // the deploy table beside the repository
}

const withWorkflow = "workflow = \"deploy.yml\"\nchecks = []\nurl = \"https://shop.example.com\"\n"

func newWorld(t testing.TB, change ...func(*fakegithub.Options)) *world {
	t.Helper()
	w := &world{t: t, clock: newClock(), sha: map[string]string{}, mode: withWorkflow}
	o := fakegithub.Options{Clock: w.clock, Contract: contract(t), Owner: "acme", Repo: "shop", Token: secret, Appears: 5 * time.Second}
	for _, c := range change {
		c(&o)
	}
	var err error
	if w.Server, err = fakegithub.New(o); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		w.under.Wait()
		w.Close()
		for _, wrong := range w.Wrong() {
			t.Errorf("against GitHub's description: %s", wrong)
		}
	})
	path := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(path, []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	w.token = "token = \"file:" + path + "\"\n"
	for _, v := range []string{"v1", "v2", "v3", "v4"} {
		w.sha[v] = w.Commit("main", "Change of "+v+" (#"+v[1:]+")", "dev-"+v)
		w.Tag(v, w.sha[v])
	}
	w.Workflow("deploy.yml", fakegithub.Workflow{Inputs: []string{"key", "sha", "environment"}, RunName: true})
	w.Behave(w.sha["v4"], fakegithub.Outcome{Conclusion: "failure", Jobs: []fakegithub.Job{{Name: "deploy", Conclusion: "failure", Step: "kubectl apply"}}})
	w.Deploy(w.sha["v1"], "v1", "prod", "success")
	w.clock.pass(time.Hour)
	return w
}

// attach gives a Deployer as after a restart.
func (w *world) attach() *deployer {
	w.t.Helper()
	d, err := w.bind("repo = \"shop\"\n" + w.mode)
	if err != nil {
		w.t.Fatal(err)
	}
	return d
}

func (w *world) bind(deploy string) (*deployer, error) {
	p, err := Type().Open(provider.Options{Name: "gh", Raw: table("owner = \"acme\"\napi_url = \"" + w.URL() + "\"\n" + w.token), Clock: w.clock,
		Secrets: &bot.Secrets{}, Login: func(person string) string { return map[string]string{"dev-one": "octodev"}[person] }})
	if err != nil {
		return nil, err
	}
	d, err := p.(provider.DeployBinder).BindDeploy(prod, table(deploy))
	if err != nil {
		return nil, err
	}
	made := d.(*deployer)
	made.client.far = &wire{far: made.client.far, under: &w.under}
	return made, nil
}

// wire carries requests to their end also when nobody waits for the answer any
// more, and counts those under way: no request may act in a later hour of a
// clock that has nothing to do with it.
type wire struct {
	far   http.RoundTripper
	under *sync.WaitGroup
}

func (c *wire) RoundTrip(req *http.Request) (*http.Response, error) {
	type result struct {
		resp *http.Response
		err  error
	}
	got := make(chan result, 1)
	c.under.Go(func() {
		resp, err := c.far.RoundTrip(req.WithContext(context.WithoutCancel(req.Context())))
		if err == nil {
			var body []byte
			body, err = io.ReadAll(resp.Body)
			resp.Body.Close()
			resp.Body = io.NopCloser(bytes.NewReader(body))
		}
		got <- result{resp, err}
	})
	select {
	case r := <-got:
		return r.resp, r.err
	case <-req.Context().Done():
		return nil, req.Context().Err()
	}
}

// pass lets time pass once everything that was asked was answered.
func (w *world) pass(d time.Duration) {
	w.under.Wait()
	w.clock.pass(d)
}

func (w *world) harness() providertest.Harness {
	return providertest.Harness{
		Target: prod, Attach: func() provider.Deployer { return w.attach() },
		Effects: w.Dispatched, Pass: w.pass, Good: "v2", Failing: "v4", Points: 8,
	}
}

// begin prepares a deployment of a version.
func (w *world) begin(d *deployer, version, key string) bot.Handle {
	w.t.Helper()
	to, err := d.Resolve(w.t.Context(), version)
	if err != nil {
		w.t.Fatal(err)
	}
	h, err := d.Begin(provider.Deployment{Action: provider.Deploy, Target: prod, To: to.Identity()}, bot.Task{Key: key, Actor: "dev-one", Reason: "a test"})
	if err != nil {
		w.t.Fatal(err)
	}
	return h
}

// run advances until the operation is settled, or until is true.
func (w *world) run(d *deployer, h bot.Handle, until func(bot.Progress) bool) (bot.Handle, bot.Progress) {
	w.t.Helper()
	for range 500 {
		ctx, cancel := context.WithTimeout(w.t.Context(), 10*time.Second)
		next, p, err := d.Advance(ctx, h)
		cancel()
		if err != nil {
			h.Interrupted = true
			w.pass(callTimeout + settleTime)
			continue
		}
		if h = next; p.State.Settled() || until != nil && until(p) {
			return h, p
		}
		w.pass(p.Next)
	}
	w.t.Fatal("not settled after 500 calls")
	return h, bot.Progress{}
}

// deploy deploys a version to its end.
func (w *world) deploy(version, key string) bot.Progress {
	w.t.Helper()
	d := w.attach()
	_, p := w.run(d, w.begin(d, version, key), nil)
	return p
}

func asError(err error, into **bot.Error) bool { return errors.As(err, into) }
