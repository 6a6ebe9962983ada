package platform

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"quarterdeck/bot/demo/shop"
)

// patience is how long a test waits for what must happen; nothing is expected
// to take that long.
const patience = 5 * time.Minute

// TestMain lets the test binary be every program that takes part: an instance,
// an instance with a fault of the test's making, the command line, and a
// platform that a test can kill.
func TestMain(m *testing.M) {
	var role string
	if len(os.Args) > 1 {
		role = os.Args[1]
	}
	switch role {
	case "shop":
		os.Exit(shop.Main(os.Args[2:]))
	case "gated":
		os.Exit(gated(os.Args[2], os.Args[3:]))
	case "platform":
		os.Exit(Main(os.Args[2:]))
	case "supervise":
		cfg := testConfig(os.Args[2], testEnvironment(2))
		if err := New(cfg).Run(context.Background()); err != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	// The race detector holds every process for a second at its end.
	if err := os.Setenv("GORACE", "atexit_sleep_ms=0"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// gated is a shop of which only the first process of v2 starts. A second one
// waits until the file "open" lies in dir, or dies if "die" lies there.
func gated(dir string, args []string) int {
	if strings.Contains(strings.Join(args, " "), "--version v2") {
		first, err := os.OpenFile(filepath.Join(dir, "first"), os.O_CREATE|os.O_EXCL, 0o600)
		if err == nil {
			_ = first.Close()
			return shop.Main(args)
		}
		if _, err := os.Stat(filepath.Join(dir, "die")); err == nil {
			_, _ = io.WriteString(os.Stderr, "cannot find its licence\n")
			return 3
		}
		gone := make(chan struct{})
		go func() {
			_, _ = io.Copy(io.Discard, os.Stdin)
			close(gone)
		}()
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for {
			if _, err := os.Stat(filepath.Join(dir, "open")); err == nil {
				break
			}
			select {
			case <-gone:
				return 0
			case <-tick.C:
			}
		}
	}
	return shop.Main(args)
}

func self() string {
	exe, err := os.Executable()
	if err != nil {
		panic(err)
	}
	return exe
}

func testEnvironment(desired int) Environment {
	return Environment{Name: "prod", Desired: desired, StartVersion: "v1"}
}

func testConfig(dir string, envs ...Environment) Config {
	return Config{
		Dir: dir, Self: []string{self(), "shop"}, Environments: envs,
		HealthTimeout: patience, MinReady: time.Millisecond, BackupEvery: time.Hour,
	}
}

// rig is a platform under test.
type rig struct {
	t    *testing.T
	s    *Supervisor
	dir  string
	gate string // where a gated instance looks
	stop func()
}

// start runs a platform with these instances of v1 in prod.
func start(t *testing.T, desired int, change ...func(*Config)) *rig {
	t.Helper()
	return startIn(t, t.TempDir(), desired, change...)
}

func startIn(t *testing.T, dir string, desired int, change ...func(*Config)) *rig {
	t.Helper()
	r := &rig{t: t, dir: filepath.Join(dir, "platform"), gate: dir}
	cfg := testConfig(r.dir, testEnvironment(desired))
	for _, c := range change {
		c(&cfg)
	}
	if os.Getenv("PLATFORM_TEST_LOG") != "" {
		cfg.Log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	r.s = New(cfg)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.s.Run(ctx) }()
	stopped := false
	r.stop = func() {
		t.Helper()
		if stopped {
			return
		}
		stopped = true
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("the platform ended with %v", err)
			}
		case <-time.After(patience):
			t.Error("the platform does not stop")
		}
	}
	t.Cleanup(r.stop)
	select {
	case <-r.s.Ready():
	case err := <-ended:
		t.Fatalf("the platform does not start: %v", err)
	case <-time.After(patience):
		t.Fatal("the platform is not ready")
	}
	return r
}

// touch tells the gated instances something, see gated.
func (r *rig) touch(name string) {
	r.t.Helper()
	if err := os.WriteFile(filepath.Join(r.gate, name), nil, 0o600); err != nil {
		r.t.Fatal(err)
	}
}

// withGate has the instances started through gated.
func withGate(dir string) func(*Config) {
	return func(c *Config) { c.Self = []string{self(), "gated", dir} }
}

// vars are a command's environment variables.
type vars map[string]string

// cli runs the command line in the test's own process and returns the lines it
// printed and its exit code.
func (r *rig) cli(verb string, with vars) ([]string, int) {
	r.t.Helper()
	var out bytes.Buffer
	c := newClient(r.getenv(with), &out)
	defer c.http.CloseIdleConnections()
	code := c.run(r.t.Context(), []string{verb})
	return strings.Split(strings.TrimSpace(out.String()), "\n"), code
}

func (r *rig) getenv(with vars) func(string) string {
	all := vars{
		"OP_ID": "op-1", "OP_ACTOR": "anna", "OP_ENV": "prod", "OP_SERVICE": "shop",
		"PLATFORM_SOCK": filepath.Join(r.dir, SocketName),
	}
	for k, v := range with {
		all[k] = v
	}
	return func(k string) string { return all[k] }
}

// process starts the command line as a process in the platform's folder.
func (r *rig) process(verb string, with vars) (*exec.Cmd, *json.Decoder) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	r.t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, self(), "platform", verb)
	cmd.Dir, cmd.Env = r.dir, os.Environ()
	getenv := r.getenv(with)
	for _, k := range []string{"OP_ID", "OP_ACTOR", "OP_ENV", "OP_VERSION", "OP_FROM"} {
		cmd.Env = append(cmd.Env, k+"="+getenv(k))
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		r.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	return cmd, json.NewDecoder(out)
}

// must runs the command line and wants this exit code and last message.
func (r *rig) must(verb string, with vars, code int, contains string) {
	r.t.Helper()
	lines, got := r.cli(verb, with)
	if last := lines[len(lines)-1]; got != code || !strings.Contains(last, contains) {
		r.t.Fatalf("%s %v ended with %d and %s, want %d and %q", verb, with, got, last, code, contains)
	}
}

// until reads progress up to the first line of that phase.
func (r *rig) until(story *json.Decoder, phase string) progress {
	r.t.Helper()
	for {
		var p progress
		if err := story.Decode(&p); err != nil {
			r.t.Fatalf("the story ends before %q: %v", phase, err)
		}
		if p.Phase == phase {
			return p
		}
		if p.final() {
			r.t.Fatalf("the story ends with %+v before %q", p, phase)
		}
	}
}

func (r *rig) status() Status {
	r.t.Helper()
	return r.s.Status()[0]
}

// front asks the environment's front which version answers.
func (r *rig) front() (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.s.Status()[0].URL+"/version", nil)
	if err != nil {
		return "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	var said struct{ Version, Error string }
	if err := json.NewDecoder(resp.Body).Decode(&said); err != nil {
		return "", err
	}
	if said.Error != "" {
		return "", errors.New(said.Error)
	}
	return said.Version, nil
}

// serves wants every instance behind the front to be of that version.
func (r *rig) serves(version string, instances int) {
	r.t.Helper()
	st := r.status()
	if st.Version != version || st.Healthy != instances || st.Running != instances || st.Mixed != nil {
		r.t.Fatalf("the platform is %+v, want %d instances of %s", st, instances, version)
	}
	for range 2 * instances {
		if got, err := r.front(); err != nil || got != version {
			r.t.Fatalf("the front answers %q (%v), want %s", got, err, version)
		}
	}
}

// wait waits for a condition.
func (r *rig) wait(what string, met func() bool) {
	r.t.Helper()
	if !await(met) {
		r.t.Fatalf("waited in vain until %s; the platform is %+v", what, r.s.Status())
	}
}

// await looks at the condition again and again, and says whether it was met.
func await(met func() bool) bool {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	limit := time.NewTimer(patience)
	defer limit.Stop()
	for !met() {
		select {
		case <-tick.C:
		case <-limit.C:
			return false
		}
	}
	return true
}

// logged counts the lines of the platform's own log, by action and state.
func (r *rig) logged() map[string]int {
	r.t.Helper()
	data, err := os.ReadFile(filepath.Join(r.dir, LogName))
	if err != nil {
		r.t.Fatal(err)
	}
	counts := map[string]int{}
	for i, line := range strings.Split(strings.TrimSpace(string(data)), "\n") {
		var e Entry
		if err := json.Unmarshal([]byte(line), &e); err != nil || e.Seq != int64(i)+1 || e.At.IsZero() {
			r.t.Fatalf("line %d of the log is %s (%v)", i+1, line, err)
		}
		counts[e.Action+" "+e.State]++
	}
	return counts
}

func (r *rig) counted(want map[string]int) {
	r.t.Helper()
	got := r.logged()
	for what, n := range want {
		if got[what] != n {
			r.t.Errorf("the log counts %v, want %d of %q", got, n, what)
		}
	}
}
