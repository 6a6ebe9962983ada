//go:build linux || darwin

package main

import (
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"quarterdeck/adapters/aws/fakeaws"
	"quarterdeck/bot"
)

const awsConfig = `
[provider.prod_aws]
type = "aws"
region = "eu-central-1"
endpoint = "URL"
role_arn = "arn:aws:iam::123456789012:role/deployer"
[service.web.staging]
deploy = { provider = "prod_aws", cluster = "prod", service = "web", image = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/web" }
scale = { provider = "prod_aws", cluster = "prod", service = "web", min = 1, max = 6 }
[[grant]]
roles = ["developer"]
permissions = ["deploy", "rollback", "restart", "scale", "status", "history", "run.read"]
targets = ["web/*"]
`

// TestAWS goes the whole road with the real program: a release is deployed, a
// bad one is told apart from it, and both are taken back and scaled as the person
// who asked.
func TestAWS(t *testing.T) {
	t.Parallel()
	const id, secret, image = "AKIATESTTEST00000000", "wJalrTESTnotarealsecret/bPxRfiCYTEST", "123456789012.dkr.ecr.eu-central-1.amazonaws.com/web"
	fake := fakeaws.New(fakeaws.Options{Clock: bot.SystemClock{}, Region: "eu-central-1", AccessKey: id, Takes: 10 * time.Millisecond})
	defer fake.Close()
	digest := func(v string) string { return fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(v))) }
	for n, v := range []string{"v1", "v2", "v3"} {
		fake.Push(fakeaws.Image{Repository: "web", Digest: digest(v), Tags: []string{v}, Pushed: time.Now().Add(time.Duration(n-10) * time.Hour)})
	}
	fake.Behave(digest("v3"), fakeaws.Outcome{Fails: true})
	fake.Service("prod", "web", image+"@"+digest("v1"), 2, nil)

	s := newStage(t)
	raw, err := os.ReadFile(s.path("config.toml"))
	if err != nil {
		t.Fatal(err)
	}
	fake.Bucket("audit-logs", true)
	s.write("config.toml", strings.Replace(string(raw), "[chat.terminal]", "[audit.copy]\nprovider = \"prod_aws\"\nbucket = \"audit-logs\"\nprefix = \"qd/\"\nretain = \"400d\"\n[chat.terminal]", 1)+strings.ReplaceAll(awsConfig, "URL", fake.URL()))
	aws := []string{"AWS_ACCESS_KEY_ID=" + id, "AWS_SECRET_ACCESS_KEY=" + secret, "AWS_EC2_METADATA_DISABLED=true",
		"AWS_CONFIG_FILE=" + os.DevNull, "AWS_SHARED_CREDENTIALS_FILE=" + os.DevNull}
	s.serve("config.toml", "q.sock", "", aws...)
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
	says("deploy web v22 staging", 2, `has no image "v22"; did you mean "v2"?`)
	says("deploy web v2 staging", 0, "v2 is deployed: web:2 runs")
	says("status web staging", 0, "v2")
	says("deploy web v3 staging", 1, "its circuit breaker was triggered by 3 failed tasks")
	says("restart web staging", 0, "a copy of web:2")
	says("scale web staging 4", 0, "4 tasks of prod/web run")
	says("rollback web staging", 0, "v1 is deployed")
	if acts := fake.Acts(); len(acts) != 5 {
		t.Errorf("AWS was asked to act %d times, want 5", len(acts))
	}
	for _, a := range fake.Acts() {
		if a.Person != "dev" || a.Session != "quarterdeck-dev" {
			t.Errorf("AWS was not told who acts: %+v", a)
		}
	}
	s.until("the log to be copied", func() bool { return len(fake.Objects("audit-logs")) > 0 })
	verify := func(code int, want string) {
		t.Helper()
		cmd := exec.Command(s.bin, "audit", "verify", "--copy", "--config", "config.toml")
		cmd.Dir, cmd.Env = s.dir, s.environ(aws...)
		out, _ := cmd.CombinedOutput() // how it ended is looked at below
		if got := cmd.ProcessState.ExitCode(); got != code || !strings.Contains(flat(string(out)), want) {
			t.Errorf("audit verify --copy ends with %d and says\n%s\nwant %d and %q", got, out, code, want)
		}
	}
	verify(0, "the audit log is intact: ")
	for key, o := range fake.Objects("audit-logs") {
		if o.Mode != "COMPLIANCE" || time.Until(o.Until) < 399*24*time.Hour || !strings.HasPrefix(key, "qd/audit-") {
			t.Errorf("%s is kept as %s until %v", key, o.Mode, o.Until)
		}
		fake.Tamper("audit-logs", key, []byte("nothing"))
	}
	verify(1, "there is no copy of the audit log in s3://audit-logs/qd/ that can be read; it holds 1 segment")
	log, err := os.ReadFile(s.path("bot.log"))
	if err != nil || strings.Contains(string(log), secret) {
		t.Errorf("the secret stands in the log (%v)", err)
	}
}
