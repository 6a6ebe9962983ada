package awsprovider

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/pelletier/go-toml/v2"

	"quarterdeck/adapters/aws/fakeaws"
	"quarterdeck/bot"
	"quarterdeck/bot/provider"
	"quarterdeck/bot/provider/providertest"
)

const (
	region    = "eu-central-1"
	accessKey = "AKIATESTTEST00000000"
	secret    = "wJalrTESTnotarealsecret/bPxRfiCYTEST"
	image     = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/web"
)

var prod = bot.Target{Service: "shop", Environment: "prod"}

// TestMain gives the standard credential chain what it looks for in the
// environment, and nothing of this machine's own.
func TestMain(m *testing.M) {
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": accessKey, "AWS_SECRET_ACCESS_KEY": secret, "AWS_EC2_METADATA_DISABLED": "true",
		"AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull, "AWS_PROFILE": "", "AWS_SESSION_TOKEN": "", "AWS_ENDPOINT_URL": "", "AWS_CA_BUNDLE": "",
	} {
		if err := os.Setenv(name, value); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}

// clock stands still until a test moves it.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

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

// digestOf gives a digest for a version.
func digestOf(version string) string {
	return fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(version)))
}

// world is a fake AWS with the service prod/web, which runs v1 of v1 to v4; v4
// fails.
type world struct {
	*fakeaws.Server
	t        testing.TB
	clock    *clock
	under    sync.WaitGroup // requests
	settings string         // added to the provider table
	deploy   string         // added to the deploy table, in place of the image
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{t: t, clock: &clock{now: time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC)}, deploy: "image = \"" + image + "\"\n"}
	w.Server = fakeaws.New(fakeaws.Options{Clock: w.clock, Region: region, AccessKey: accessKey, Appears: 5 * time.Second, Takes: 40 * time.Second})
	t.Cleanup(func() {
		w.under.Wait()
		w.Close()
	})
	for n, v := range []string{"v1", "v2", "v3", "v4"} {
		w.Push(fakeaws.Image{Repository: "web", Digest: digestOf(v), Tags: []string{v}, Pushed: w.clock.Now().Add(time.Duration(n-10) * time.Hour)})
	}
	w.Behave(digestOf("v4"), fakeaws.Outcome{Fails: true})
	w.Service("prod", "web", image+"@"+digestOf("v1"), 2, nil)
	w.clock.pass(time.Hour)
	return w
}

func (w *world) provider() provider.Provider {
	w.t.Helper()
	p, err := Type().Open(provider.Options{Name: "prod-aws", Clock: w.clock,
		Raw: table("region = \"" + region + "\"\nendpoint = \"" + w.URL() + "\"\n" + w.settings)})
	if err != nil {
		w.t.Fatal(err)
	}
	made := p.(*awsProvider)
	made.http = &wire{far: made.http, under: &w.under}
	return made
}

// wire carries requests to their end also when nobody waits for the answer any
// more, and counts those under way: no request may act in a later hour of a
// clock that has nothing to do with it.
type wire struct {
	far   aws.HTTPClient
	under *sync.WaitGroup
}

// Do implements aws.HTTPClient.
func (c *wire) Do(req *http.Request) (*http.Response, error) {
	type result struct {
		resp *http.Response
		err  error
	}
	got := make(chan result, 1)
	c.under.Go(func() {
		resp, err := c.far.Do(req.WithContext(context.WithoutCancel(req.Context())))
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

// attach gives a Deployer as after a restart.
func (w *world) attach() provider.Deployer {
	w.t.Helper()
	d, err := w.provider().(provider.DeployBinder).BindDeploy(prod, table("cluster = \"prod\"\nservice = \"web\"\n"+w.deploy))
	if err != nil {
		w.t.Fatal(err)
	}
	return d
}

func (w *world) scaler() provider.Scaler {
	w.t.Helper()
	s, err := w.provider().(provider.ScaleBinder).BindScale(prod, table("cluster = \"prod\"\nservice = \"web\"\n"))
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

func (w *world) harness() providertest.Harness {
	return providertest.Harness{
		Target: prod, Attach: w.attach, Effects: w.Effects, Pass: w.pass,
		Good: "v2", Failing: "v4", Points: 8,
	}
}

// begin prepares an operation, as planned now.
func (w *world) begin(d provider.Deployer, a provider.Action, version, key string) bot.Handle {
	w.t.Helper()
	live, err := d.Current(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	to := live.Artefact
	if a != provider.Restart {
		if to, err = d.Resolve(w.t.Context(), version); err != nil {
			w.t.Fatal(err)
		}
	}
	h, err := d.Begin(provider.Deployment{Action: a, Target: prod, From: live.Artefact, To: to}, bot.Task{Key: key, Actor: "dev-one"})
	if err != nil {
		w.t.Fatal(err)
	}
	return h
}

// operation is what run drives.
type operation interface {
	Advance(ctx context.Context, h bot.Handle) (bot.Handle, bot.Progress, error)
}

// run advances until the operation is settled or an error cannot be retried;
// seen is called with every progress.
func (w *world) run(d operation, h bot.Handle, seen func(bot.Progress)) (bot.Handle, bot.Progress, error) {
	w.t.Helper()
	for range 3000 {
		next, p, err := d.Advance(w.t.Context(), h)
		switch bot.KindOf(err) {
		case "":
			h = next
			if p.State.Settled() {
				return h, p, nil
			}
			if seen != nil {
				seen(p)
			}
			w.clock.pass(max(p.Next, time.Millisecond))
		case bot.Unavailable, bot.Timeout:
			h.Interrupted = true
			w.clock.pass(timing.Call + timing.Settle)
		default:
			return h, p, err
		}
	}
	w.t.Fatal("it does not end")
	return h, bot.Progress{}, nil
}
