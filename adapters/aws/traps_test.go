package awsprovider

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"quarterdeck/adapters/aws/fakeaws"
	"quarterdeck/bot"
	"quarterdeck/bot/provider"
)

// TestEnds has deployments end in every way there is.
func TestEnds(t *testing.T) {
	for name, c := range map[string]struct {
		outcome fakeaws.Outcome
		state   bot.OpState
		says    string
		live    string
	}{
		"success":                    {fakeaws.Outcome{}, bot.OpSucceeded, "v2 is deployed: web:2 runs", "v2"},
		"circuit breaker goes back":  {fakeaws.Outcome{Fails: true}, bot.OpRolledBack, "its circuit breaker was triggered by 3 failed tasks", "v1"},
		"circuit breaker only stops": {fakeaws.Outcome{NoRollback: true}, bot.OpPartlyDone, "nothing was put back", "v1"},
		"success that is none":       {fakeaws.Outcome{Reverts: true}, bot.OpRolledBack, "and yet the service has task definition web:1", "v1"},
		"rollback failed":            {fakeaws.Outcome{Status: "ROLLBACK_FAILED"}, bot.OpPartlyDone, "ECS could not go back", ""},
		"a state that is new":        {fakeaws.Outcome{Status: "RECONCILING"}, bot.OpUnknown, "a state that this version does not know", ""},
		"never":                      {fakeaws.Outcome{Hangs: true}, bot.OpUnknown, "has not ended the deployment after 30m0s", "v1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.Behave(digestOf("v2"), c.outcome)
			d := w.attach()
			_, p, err := w.run(d, w.begin(d, provider.Deploy, "v2", "run-1"), nil)
			if err != nil || p.State != c.state || !strings.Contains(p.Text, c.says) {
				t.Fatalf("it ends as %s (%s), %v; want %s (%s)", p.State, p.Text, err, c.state, c.says)
			}
			w.clock.pass(time.Minute)
			if live, err := d.Current(t.Context()); c.live != "" && (err != nil || live.Artefact.Version != c.live) {
				t.Errorf("%s is live (%v), want %s", live.Artefact.Version, err, c.live)
			}
		})
	}
}

// TestWaits shows what a deployment waits for.
func TestWaits(t *testing.T) {
	for state, o := range map[bot.OpState]fakeaws.Outcome{
		bot.OpBaking:          {Stage: "BAKE_TIME"},
		bot.OpWaitingExternal: {Hook: "AWAITING_ACTION"},
	} {
		w := newWorld(t)
		w.Behave(digestOf("v2"), o)
		d := w.attach()
		seen := false
		_, p, err := w.run(d, w.begin(d, provider.Deploy, "v2", "run-1"), func(p bot.Progress) { seen = seen || p.State == state })
		if err != nil || p.State != bot.OpSucceeded || !seen {
			t.Errorf("%s was seen: %v; it ends as %s (%v)", state, seen, p.State, err)
		}
	}
}

// TestRestart pins what is live: a copy whose image stands under its digest, even
// where the tag that it had stands for another by now.
func TestRestart(t *testing.T) {
	w := newWorld(t)
	w.Service("prod", "web", image+":v1", 2, nil)
	w.clock.pass(time.Hour)
	d := w.attach()
	live, err := d.Current(t.Context())
	if err != nil || live.Artefact.ID != digestOf("v1") || live.Artefact.Version != "v1" {
		t.Fatalf("live is %+v (%v)", live.Artefact, err)
	}
	h := w.begin(d, provider.Restart, "", "run-1")
	w.Push(fakeaws.Image{Repository: "web", Digest: digestOf("v9"), Tags: []string{"v1"}, Pushed: w.clock.Now()})
	_, p, err := w.run(d, h, nil)
	if err != nil || p.State != bot.OpSucceeded || w.Effects("run-1") != 1 {
		t.Fatalf("it ends as %s (%s), %v", p.State, p.Text, err)
	}
	if live, err = d.Current(t.Context()); err != nil || live.Artefact.ID != digestOf("v1") || live.Artefact.Version != "v1" {
		t.Errorf("live is %+v (%v)", live.Artefact, err)
	}
	if tags := w.Tags("web"); tags[tagRun] != "run-1" || tags[tagPerson] != "dev-one" || tags["team"] != "shop" {
		t.Errorf("the tags are %v", tags)
	}
}

// TestOthersDeployment is not run over, except by going back.
func TestOthersDeployment(t *testing.T) {
	w := newWorld(t)
	d := w.attach()
	deploy, back := w.begin(d, provider.Deploy, "v2", "run-1"), w.begin(d, provider.Rollback, "v1", "run-2")
	w.Deploy("prod", "web", image+"@"+digestOf("v3"))
	w.clock.pass(10 * time.Second)
	if live, err := d.Current(t.Context()); err != nil || live.Deploying != "v3" || live.Artefact.Version != "v1" {
		t.Errorf("%+v is live (%v)", live, err)
	}
	_, p, err := w.run(d, deploy, nil)
	if err != nil || p.State != bot.OpFailed || !strings.Contains(p.Text, "under way") || w.Effects("run-1") != 0 {
		t.Errorf("a deployment ends as %s (%s), %v", p.State, p.Text, err)
	}
	if _, p, err = w.run(d, back, nil); err != nil || p.State != bot.OpSucceeded {
		t.Errorf("going back ends as %s (%s), %v", p.State, p.Text, err)
	}
}

// TestOvertaken says so when somebody deploys over a deployment.
func TestOvertaken(t *testing.T) {
	w := newWorld(t)
	d := w.attach()
	over := false
	_, p, err := w.run(d, w.begin(d, provider.Deploy, "v2", "run-1"), func(p bot.Progress) {
		if p.Percent != nil && !over {
			over = true
			w.Deploy("prod", "web", image+"@"+digestOf("v3"))
		}
	})
	if err != nil || p.State != bot.OpSuperseded || !strings.Contains(p.Text, "web:3 has taken the place of web:2") {
		t.Errorf("it ends as %s (%s), %v", p.State, p.Text, err)
	}
}

// TestCancel stops a deployment and has ECS go back.
func TestCancel(t *testing.T) {
	w := newWorld(t)
	d := w.attach()
	h := w.begin(d, provider.Deploy, "v2", "run-1")
	for range 50 {
		var p bot.Progress
		var err error
		if h, p, err = d.Advance(t.Context(), h); err != nil {
			t.Fatal(err)
		}
		if p.Percent != nil {
			break
		}
		w.clock.pass(p.Next)
	}
	h, err := d.Cancel(t.Context(), h)
	if err != nil {
		t.Fatal(err)
	}
	_, p, err := w.run(d, h, nil)
	if err != nil || p.State != bot.OpCancelled || w.Calls("StopServiceDeployment") != 1 {
		t.Errorf("it ends as %s (%s), %v, after %d stops", p.State, p.Text, err, w.Calls("StopServiceDeployment"))
	}
}

// TestRefusals has a sentence for each thing that AWS refuses.
func TestRefusals(t *testing.T) {
	for name, c := range map[string]struct {
		fault fakeaws.Fault
		kind  bot.Kind
		says  string
	}{
		"denied":      {fakeaws.Fault{Status: 400, Code: "AccessDeniedException", Message: "User: arn:aws:iam::1:user/x is not authorized to perform: ecs:DescribeServices on resource"}, bot.Denied, "provider prod-aws lacks the permission ecs:DescribeServices for service prod/web in eu-central-1"},
		"denied else": {fakeaws.Fault{Status: 400, Code: "AccessDeniedException", Message: "User x is not authorized to perform: iam:PassRole on resource"}, bot.Denied, "lacks the permission iam:PassRole"},
		"denied mute": {fakeaws.Fault{Status: 400, Code: "AccessDeniedException"}, bot.Denied, "lacks the permission ecs:DescribeServices"},
		"expired":     {fakeaws.Fault{Status: 400, Code: "ExpiredTokenException"}, bot.Unavailable, "may have expired"},
		"clock":       {fakeaws.Fault{Status: 403, Code: "InvalidSignatureException", Message: "Signature expired"}, bot.Unavailable, "or this machine's clock is"},
		"throttled":   {fakeaws.Fault{Status: 400, Code: "ThrottlingException"}, bot.Busy, "AWS asks for a pause"},
		"500":         {fakeaws.Fault{Status: 500, Code: "ServerException"}, bot.Unavailable, "AWS is out of order"},
		"502 HTML":    {fakeaws.Fault{Status: 502, Message: "Bad Gateway"}, bot.Unavailable, "AWS is out of order"},
		"200 HTML":    {fakeaws.Fault{Status: 200, Message: "sign in"}, bot.Unavailable, "makes no sense; is endpoint of provider prod-aws"},
		"cut":         {fakeaws.Fault{}, bot.Unavailable, "AWS cannot be reached"},
		"no cluster":  {fakeaws.Fault{Status: 400, Code: "ClusterNotFoundException"}, bot.NotFound, "no such cluster for service prod/web in eu-central-1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			c.fault.Op = "DescribeServices"
			w.Inject(c.fault)
			_, err := w.attach().Current(t.Context())
			if bot.KindOf(err) != c.kind || !strings.Contains(bot.Sentence(err, "r"), c.says) {
				t.Errorf("it says %q (%s), want %q (%s)", bot.Sentence(err, "r"), bot.KindOf(err), c.says, c.kind)
			}
			if n := w.Calls("DescribeServices"); n > readAttempts {
				t.Errorf("it asked %d times", n)
			}
		})
	}
}

// TestWrongRegion says where it looked.
func TestWrongRegion(t *testing.T) {
	w := newWorld(t)
	p, err := Type().Open(provider.Options{Name: "prod-aws", Clock: w.clock, Raw: table("region = \"us-east-1\"\nendpoint = \"" + w.URL() + "\"\n")})
	if err != nil {
		t.Fatal(err)
	}
	d, err := p.(provider.DeployBinder).BindDeploy(prod, table("cluster = \"prod\"\nservice = \"web\"\n"+w.deploy))
	if err != nil {
		t.Fatal(err)
	}
	if _, err = d.Current(t.Context()); bot.KindOf(err) != bot.NotFound || !strings.Contains(bot.Sentence(err, ""), "us-east-1") {
		t.Errorf("it says %v", err)
	}
}

// TestCredentialsExpireMidway: nothing is lost while they are refused, and
// nothing done twice.
func TestCredentialsExpireMidway(t *testing.T) {
	w := newWorld(t)
	d := w.attach()
	calls := 0
	_, p, err := w.run(d, w.begin(d, provider.Deploy, "v2", "run-1"), func(bot.Progress) {
		calls++
		w.Expire(calls == 2)
		if calls == 2 {
			if _, _, err := d.Advance(t.Context(), w.begunAt(d)); bot.KindOf(err) != bot.Unavailable {
				t.Errorf("refused credentials give %v", err)
			}
			w.Expire(false)
		}
	})
	if err != nil || p.State != bot.OpSucceeded || w.Effects("run-1") != 1 {
		t.Errorf("it ends as %s (%s), %v", p.State, p.Text, err)
	}
}

// begunAt gives a handle of another operation that was just begun.
func (w *world) begunAt(d provider.Deployer) bot.Handle {
	h, err := d.Begin(provider.Deployment{Action: provider.Restart, Target: prod}, bot.Task{Key: "run-2", Actor: "dev-one"})
	if err != nil {
		w.t.Fatal(err)
	}
	return h
}

// TestRole has every call made in a session that names the person.
func TestRole(t *testing.T) {
	w := newWorld(t)
	w.settings = "role_arn = \"arn:aws:iam::123456789012:role/deployer\"\n"
	d := w.attach()
	_, p, err := w.run(d, w.begin(d, provider.Deploy, "v2", "run-1"), nil)
	if err != nil || p.State != bot.OpSucceeded {
		t.Fatalf("it ends as %s (%s), %v", p.State, p.Text, err)
	}
	if acts := w.Acts(); len(acts) != 1 || acts[0] != (fakeaws.Act{Key: "run-1", Session: "quarterdeck-dev-one", Person: "dev-one"}) {
		t.Errorf("AWS saw %+v", acts)
	}
	if n := w.Calls("AssumeRole"); n != 2 { // the bot's own, and the person's
		t.Errorf("%d sessions were asked for", n)
	}
	w.Inject(fakeaws.Fault{Op: "AssumeRole", Status: 403, Code: "AccessDenied", Message: "User x is not authorized to perform: sts:TagSession on resource"})
	if _, err := w.attach().Current(t.Context()); bot.KindOf(err) != bot.Denied || !strings.Contains(bot.Sentence(err, ""), "sts:TagSession for role arn:aws:iam::123456789012:role/deployer") {
		t.Errorf("a role that is denied gives %v", err)
	}
}

// TestResolve tells what can be resolved, with and without ECR.
func TestResolve(t *testing.T) {
	w := newWorld(t)
	w.Push(fakeaws.Image{Repository: "web", Digest: digestOf("odd"), Tags: []string{"latest", "z-old"}, Pushed: w.clock.Now().Add(-900 * time.Hour)})
	d := w.attach()
	for version, want := range map[string]string{
		"v2": "v2", "latest": "v4", digestOf("v3"): "v3", "web:1": "web:1", "z-old": "z-old", digestOf("odd"): "z-old",
	} {
		if a, err := d.Resolve(t.Context(), version); err != nil || a.Version != want || !digestForm.MatchString(a.ID) {
			t.Errorf("%q is %+v (%v), want %s", version, a, err, want)
		}
	}
	for version, says := range map[string]string{
		"v22": `has no image "v22"; did you mean "v2"?`, "web:9": `there is no task definition "web:9"`, "../x": `has no image "../x"`,
		digestOf("v7"): "AWS knows no image web:sha256:",
	} {
		if _, err := d.Resolve(t.Context(), version); bot.KindOf(err) != bot.NotFound || !strings.Contains(bot.Sentence(err, ""), says) {
			t.Errorf("%q gives %v, want %s", version, err, says)
		}
	}
	w.deploy = "image = \"registry.example.com:5000/web\"\n"
	w.Service("prod", "web", "registry.example.com:5000/web@"+digestOf("v1"), 2, nil)
	w.Service("prod", "other", "registry.example.com:5000/web:v1", 2, nil)
	w.clock.pass(time.Minute)
	d = w.attach()
	if _, err := d.Resolve(t.Context(), "v2"); bot.KindOf(err) != bot.NotFound || !strings.Contains(bot.Sentence(err, ""), `name a digest, or a revision of the task definition such as "web:41"`) {
		t.Errorf("a tag outside ECR gives %v", err)
	}
	if a, err := d.Resolve(t.Context(), digestOf("v2")); err != nil || a.ID != digestOf("v2") {
		t.Errorf("a digest outside ECR is %+v (%v)", a, err)
	}
	if a, err := d.Resolve(t.Context(), "web:2"); err != nil || a.ID != digestOf("v1") {
		t.Errorf("a revision outside ECR is %+v (%v)", a, err)
	}
	all, err := d.Releases(t.Context(), 10)
	if err != nil || len(all) != 1 || all[0].ID != digestOf("v1") || all[0].Version != "web:2" {
		t.Errorf("the releases outside ECR are %+v (%v)", all, err)
	}
}

// TestTaggedRevision is not taken for the image that its tag stands for today.
func TestTaggedRevision(t *testing.T) {
	w := newWorld(t)
	w.Service("prod", "web", image+":v1", 2, nil)
	if _, err := w.attach().Resolve(t.Context(), "web:2"); bot.KindOf(err) != bot.Invalid || !strings.Contains(bot.Sentence(err, ""), `by the tag "v1"`) {
		t.Errorf("it gives %v", err)
	}
}

// TestManyImages pages through a repository, and stops at its bound.
func TestManyImages(t *testing.T) {
	w := newWorld(t)
	for i := range 2500 {
		w.Push(fakeaws.Image{Repository: "web", Digest: digestOf(fmt.Sprint("b", i)), Tags: []string{fmt.Sprint("b", i)}, Pushed: w.clock.Now().Add(-time.Duration(i+100) * time.Hour)})
	}
	all, err := w.attach().Releases(t.Context(), 5)
	if err != nil || len(all) != 5 || all[0].Version != "v4" || w.Calls("DescribeImages") != 3 {
		t.Errorf("%d releases (%v) in %d calls", len(all), err, w.Calls("DescribeImages"))
	}
}

// TestOtherControllers are refused before anything is done.
func TestOtherControllers(t *testing.T) {
	for by, says := range map[string]string{"CODE_DEPLOY": "it is deployed by CodeDeploy", "EXTERNAL": "task sets", "SOMETHING": "does not know"} {
		w := newWorld(t)
		w.Service("prod", "web", image+"@"+digestOf("v1"), 2, map[string]any{"deploymentController": map[string]any{"type": by}})
		if _, err := w.attach().Current(t.Context()); bot.KindOf(err) != bot.Invalid || !strings.Contains(bot.Sentence(err, ""), says) {
			t.Errorf("%s gives %v", by, err)
		}
	}
}

// TestPreview warns of what is missing and of what is older.
func TestPreview(t *testing.T) {
	w := newWorld(t)
	w.Service("prod", "web", image+"@"+digestOf("v2"), 2, map[string]any{"deploymentConfiguration": map[string]any{}})
	d := w.attach()
	from, _ := d.Resolve(t.Context(), "v2")
	to, _ := d.Resolve(t.Context(), "v1")
	p, err := d.Preview(t.Context(), from, to)
	if all := strings.Join(p.Warnings, "\n"); err != nil || !strings.Contains(all, "no deployment circuit breaker") || !strings.Contains(all, "v1 was pushed before v2, which is live") {
		t.Errorf("it warns of %q (%v)", all, err)
	}
}

// TestHandleHoldsNoDefinition: what a task definition holds may be secret.
func TestHandleHoldsNoDefinition(t *testing.T) {
	w := newWorld(t)
	d := w.attach()
	h := w.begin(d, provider.Deploy, "v2", "run-1")
	for range 20 {
		next, p, err := d.Advance(t.Context(), h)
		if err != nil {
			t.Fatal(err)
		}
		if h = next; strings.Contains(string(h.State), "sidecar") || strings.Contains(string(h.State), "envoy") {
			t.Fatalf("the handle holds the definition: %s", h.State)
		}
		w.clock.pass(p.Next)
	}
}

// TestScaling compares, says who was faster, and tells asked from reached.
func TestScaling(t *testing.T) {
	begin := func(w *world, s provider.Scaler) bot.Handle {
		h, err := s.Begin(provider.Scaling{Target: prod, Dimension: tasks, From: "2", To: "5"}, bot.Task{Key: "run-1", Actor: "dev-one"})
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	for name, c := range map[string]struct {
		before, during int // what somebody else sets
		state          bot.OpState
		says           string
		effects        int
	}{
		"done":        {0, 0, bot.OpSucceeded, "5 tasks of prod/web run", 1},
		"compared":    {3, 0, bot.OpFailed, "3 tasks of prod/web are wanted now, not 2", 0},
		"overwritten": {0, 4, bot.OpSuperseded, "4 tasks of prod/web are wanted now", 1},
	} {
		w := newWorld(t)
		s := w.scaler()
		h := begin(w, s)
		if c.before > 0 {
			w.SetCount("prod", "web", c.before)
			w.clock.pass(10 * time.Second)
		}
		_, p, err := w.run(s, h, func(p bot.Progress) {
			if c.during > 0 && p.State == bot.OpWorking {
				w.clock.pass(time.Second)
				w.SetCount("prod", "web", c.during)
				c.during = 0
			}
		})
		if err != nil || p.State != c.state || !strings.Contains(p.Text, c.says) || w.Effects("run-1") != c.effects {
			t.Errorf("%s: it ends as %s (%s), %v, %d effects", name, p.State, p.Text, err, w.Effects("run-1"))
		}
	}
	w := newWorld(t)
	w.Service("prod", "web", image+"@"+digestOf("v1"), 2, map[string]any{"runningCount": 1})
	w.clock.pass(time.Minute)
	s := w.scaler()
	_, p, err := w.run(s, begin(w, s), nil)
	if err != nil || p.State != bot.OpPartlyDone || !strings.Contains(p.Text, "5 tasks of prod/web are wanted, and 1 run after 15m") {
		t.Errorf("tasks that do not come: %s (%s), %v", p.State, p.Text, err)
	}
}

// TestDaemon cannot be scaled.
func TestDaemon(t *testing.T) {
	w := newWorld(t)
	w.Service("prod", "web", image+"@"+digestOf("v1"), 2, map[string]any{"schedulingStrategy": "DAEMON"})
	if _, err := w.scaler().Dimensions(t.Context()); bot.KindOf(err) != bot.Invalid {
		t.Errorf("it gives %v", err)
	}
}

// TestTables has a sentence for each wrong table.
func TestTables(t *testing.T) {
	for settings, says := range map[string]string{
		"": "needs region", `region = "mars"`: `it is "mars"`,
		"region = \"eu-central-1\"\nrole_arn = \"me\"":                 "role_arn of provider prod-aws is",
		"region = \"eu-central-1\"\nendpoint = \"http://example.com\"": "expected https://HOST, or an address on loopback",
		"region = \"eu-central-1\"\nendpoint = \"https://u:p@host\"":   "expected https://HOST",
		"region = \"eu-central-1\"\nsecret_access_key = \"AKIA\"":      "strict mode",
	} {
		_, err := Type().Open(provider.Options{Name: "prod-aws", Raw: table(settings)})
		if bot.KindOf(err) != bot.Invalid || !strings.Contains(bot.Sentence(err, ""), says) || !strings.HasPrefix(bot.Sentence(err, ""), "config.toml:41: ") {
			t.Errorf("%q gives %v, want %s", settings, err, says)
		}
	}
	w := newWorld(t)
	p := w.provider()
	good := "cluster = \"prod\"\nservice = \"web\"\nimage = \"" + image + "\"\n"
	for text, says := range map[string]string{
		strings.Replace(good, `"prod"`, `""`, 1):     "needs cluster",
		strings.Replace(good, `"web"`, `"a b"`, 1):   "needs service",
		strings.Replace(good, image, image+":v1", 1): "needs image, a repository without tag",
		good + "container = \"a/b\"":                 "container of shop/prod",
		good + "timeout = \"0s\"":                    "not a positive duration",
	} {
		if _, err := p.(provider.DeployBinder).BindDeploy(prod, table(text)); bot.KindOf(err) != bot.Invalid || !strings.Contains(bot.Sentence(err, ""), says) {
			t.Errorf("%q gives %v, want %s", text, err, says)
		}
	}
	if _, err := p.(provider.ScaleBinder).BindScale(prod, table("cluster = \"prod\"\n")); bot.KindOf(err) != bot.Invalid {
		t.Errorf("a scale table without service gives %v", err)
	}
}

// TestMissing names what is not there.
func TestMissing(t *testing.T) {
	w := newWorld(t)
	d, err := w.provider().(provider.DeployBinder).BindDeploy(prod, table("cluster = \"prod\"\nservice = \"wbe\"\n"+w.deploy))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Current(context.Background()); bot.KindOf(err) != bot.NotFound || !strings.Contains(bot.Sentence(err, ""), "no service prod/wbe in eu-central-1") {
		t.Errorf("it gives %v", err)
	}
}

// TestAutoscaled shows who else sets the number, and its limits.
func TestAutoscaled(t *testing.T) {
	for name, c := range map[string]struct {
		set     func(*world)
		control string
		most    int64
		kind    bot.Kind
	}{
		"nobody":     {func(*world) {}, "", 0, ""},
		"registered": {func(w *world) { w.Autoscale("prod", "web", fakeaws.Target{Min: 2, Max: 10}) }, "Application Auto Scaling (2 to 10)", 10, ""},
		"suspended":  {func(w *world) { w.Autoscale("prod", "web", fakeaws.Target{Min: 2, Max: 10, Suspended: true}) }, "", 0, ""},
		"denied": {func(w *world) {
			w.Inject(fakeaws.Fault{Op: "DescribeScalableTargets", Status: 400, Code: "AccessDeniedException"})
		}, "Application Auto Scaling perhaps (the bot may not ask it)", 0, ""},
		"silent": {func(w *world) {
			w.Inject(fakeaws.Fault{Op: "DescribeScalableTargets", Status: 500, Code: "InternalServiceException"})
		}, "", 0, bot.Unavailable},
	} {
		w := newWorld(t)
		c.set(w)
		all, err := w.scaler().Dimensions(t.Context())
		if bot.KindOf(err) != c.kind {
			t.Errorf("%s: %v", name, err)
		}
		if err == nil && (all[0].Control != c.control || all[0].Max != c.most) {
			t.Errorf("%s: %+v", name, all[0])
		}
	}
}
