//go:build linux || darwin

package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"quarterdeck/bot/demo/platform"
)

// patience bounds every wait; it is far more than a loaded machine needs.
const patience = 5 * time.Minute

var program struct {
	once sync.Once
	path string
	out  []byte
	err  error
}

// TestMain removes what build made.
func TestMain(m *testing.M) {
	code := m.Run()
	if program.path != "" {
		_ = os.RemoveAll(filepath.Dir(program.path))
	}
	os.Exit(code)
}

// build makes the demo's program, once, as a newcomer does.
func build(t *testing.T) string {
	t.Helper()
	program.once.Do(func() {
		dir, err := os.MkdirTemp("", "qd")
		if err != nil {
			program.err = err
			return
		}
		program.path = filepath.Join(dir, "demo")
		program.out, program.err = exec.Command("go", "build", "-o", program.path, ".").CombinedOutput()
	})
	if program.err != nil {
		t.Fatalf("build the demo: %v\n%s", program.err, program.out)
	}
	return program.path
}

// session is one demo under way, talked to through a pipe.
type session struct {
	t   *testing.T
	cmd *exec.Cmd
	in  io.WriteCloser
	dir string

	mu   sync.Mutex
	said bytes.Buffer
	seen int // up to where expect has read
	done chan struct{}
}

func (s *session) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.said.Write(p)
}

// begin starts a demo that keeps its data until the test ends.
func begin(t *testing.T) *session {
	t.Helper()
	dir, err := os.MkdirTemp("", "qd") // short enough for a socket
	if err != nil {
		t.Fatal(err)
	}
	s := &session{t: t, cmd: exec.Command(build(t), "--data", dir), dir: dir, done: make(chan struct{})}
	s.cmd.Stdout, s.cmd.Stderr = s, s
	s.in, err = s.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = s.cmd.Wait() // its state is looked at by end
		close(s.done)
	}()
	t.Cleanup(func() {
		_ = s.cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-s.done:
		case <-time.After(patience):
			_ = s.cmd.Process.Kill()
			<-s.done
		}
		os.RemoveAll(dir)
	})
	return s
}

// types types lines.
func (s *session) types(lines ...string) {
	s.t.Helper()
	if _, err := io.WriteString(s.in, strings.Join(lines, "\n")+"\n"); err != nil {
		s.t.Fatalf("type %q: %v; it said:\n%s", lines, err, s.all())
	}
}

func (s *session) all() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.said.String()
}

// expect waits until the demo has said something that matches, after what was
// expected before, and gives the match.
func (s *session) expect(pattern string) []string {
	s.t.Helper()
	re := regexp.MustCompile(pattern)
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		text := s.all()
		if at := re.FindStringSubmatchIndex(text[s.seen:]); at != nil {
			found := re.FindStringSubmatch(text[s.seen:])
			s.seen += at[1]
			return found
		}
		select {
		case <-s.done:
			s.t.Fatalf("the demo ended before it said %q; it said:\n%s", pattern, s.all())
		default:
		}
	}
	s.t.Fatalf("the demo never said %q; it said:\n%s", pattern, s.all())
	return nil
}

// end closes the input and expects the demo to end well.
func (s *session) end() {
	s.t.Helper()
	if err := s.in.Close(); err != nil {
		s.t.Fatal(err)
	}
	select {
	case <-s.done:
	case <-time.After(patience):
		s.t.Fatalf("the demo did not end; it said:\n%s", s.all())
	}
	if code := s.cmd.ProcessState.ExitCode(); code != 0 {
		s.t.Errorf("the demo ended with %d; it said:\n%s", code, s.all())
	}
}

// served fetches which version answers at an address of the first screen.
func (s *session) served(url, want string) {
	s.t.Helper()
	client := http.Client{Timeout: 10 * time.Second}
	r, err := client.Get(url + "/version")
	if err != nil {
		s.t.Fatal(err)
	}
	defer r.Body.Close()
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil {
		s.t.Fatal(err)
	}
	if !regexp.MustCompile(`\b` + want + `\b`).Match(body) {
		s.t.Errorf("%s/version answers %s, want %s", url, body, want)
	}
}

// started counts what the platform itself began, by its own log.
func (s *session) started(action, env, version string) int {
	s.t.Helper()
	raw, err := os.ReadFile(filepath.Join(s.dir, "platform", platform.LogName))
	if err != nil {
		s.t.Fatal(err)
	}
	n := 0
	for line := range strings.Lines(string(raw)) {
		var e platform.Entry
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			s.t.Fatalf("%s: %q: %v", platform.LogName, line, err)
		}
		if e.State == platform.StateStarted && e.Action == action && e.Env == env && e.Version == version {
			n++
		}
	}
	return n
}

// TestIncident is what a newcomer does in the first minutes, while a browser
// looks at the addresses that the first screen names.
func TestIncident(t *testing.T) {
	s := begin(t)
	staging := s.expect(`shop/staging +v1 .*(http://127\.0\.0\.1:\d+)`)[1]
	prod := s.expect(`shop/prod +v1 .*(http://127\.0\.0\.1:\d+)`)[1]
	s.served(staging, "v1")
	s.served(prod, "v1")

	s.types("deploy shop v2 to staging")
	s.expect(`#1 deploy shop v2 to staging: done`)
	s.served(staging, "v2")
	s.types("status")
	s.expect(`shop/staging +v2 +1/1`)
	s.expect(`shop/prod +v1 +2/2`)
	s.types("deploy shop v2 to prod")
	s.expect(`#2 deploy shop v2 to prod: confirm\?`)
	s.types("confirm")
	s.expect(`#2 deploy shop v2 to prod: waits for 1 approval from sre`)
	s.types("approve")
	s.expect(`denied: you asked for #2 yourself; another person must approve it`)
	s.served(prod, "v1")
	s.types("/as sre", "approve")
	s.expect(`#2 deploy shop v2 to prod: done`)
	s.served(prod, "v2")
	s.types("/as dev", "rollback shop prod")
	s.expect(`#4 roll back shop in prod to v1: done`) // #3 watches over v2
	s.served(prod, "v1")

	// v4 never becomes healthy: it says why, and prod is as it was.
	s.types("deploy shop v4 prod", "confirm", "/as sre", "approve")
	s.expect(`#5 deploy shop v4 to prod: failed`)
	s.expect(`v4 .*health`)
	s.served(prod, "v1")
	s.types("status shop/prod")
	s.expect(`shop/prod +v1 +2/2`)
	// The team's own verb takes the same road.
	s.types("snapshot shop staging")
	copied := s.expect(`orders-(\w+)\.db is in`)[1]
	if _, err := os.Stat(filepath.Join(s.dir, "platform", "backups", "shop-staging", "orders-"+copied+".db")); err != nil {
		t.Errorf("the backup is not there: %v", err)
	}
	s.types("audit")
	s.expect(`the last 20 records`)
	s.expect(`approve`)
	s.end()

	for _, c := range []struct {
		action, env, version string
		want                 int
	}{{"deploy", "staging", "v2", 1}, {"deploy", "prod", "v2", 1}, {"rollback", "prod", "v1", 1}, {"deploy", "prod", "v4", 1}} {
		if n := s.started(c.action, c.env, c.version); n != c.want {
			t.Errorf("the platform began %s %s %s %d times, want %d", c.action, c.env, c.version, n, c.want)
		}
	}
	posts, err := os.ReadFile(filepath.Join(s.dir, "audit-channel.txt"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"#1 dev: deploy shop v2 to staging", "denied: dev tried", "approved by sre", "roll back shop in prod to v1", "#5 "} {
		if !bytes.Contains(posts, []byte(want)) {
			t.Errorf("the audit channel does not say %q:\n%s", want, posts)
		}
	}
}

// TestCrashAndTamper attacks the demo in the two ways that it offers.
func TestCrashAndTamper(t *testing.T) {
	s := begin(t)
	s.expect(`audit-channel.txt`)
	s.types("crash")
	s.expect(`armed`)
	s.types("deploy shop v2 staging")
	s.expect(`killed the bot with -9 \(pid \d+\) in the middle of a deployment`)
	s.expect(`#1 deploy shop v2 to staging: done`)
	if n := s.started("deploy", "staging", "v2"); n != 1 {
		t.Errorf("the platform began it %d times, want once", n)
	}
	s.types("status shop/staging", "audit verify")
	s.expect(`shop/staging +v2 +1/1`)
	s.expect(`the audit log is intact`)
	s.types("tamper")
	record := s.expect(`edited record (\d+) in the database`)[1]
	s.types("audit verify")
	s.expect(`the audit log is not intact`)
	s.expect(`edited.*\b` + record + `\b`)
	s.end()
}

// TestEmptyScript is a demo that nobody talks to.
func TestEmptyScript(t *testing.T) {
	s := begin(t)
	s.end()
}

// TestArgumentIsRefused tells what it takes instead of ignoring it.
func TestArgumentIsRefused(t *testing.T) {
	out, err := exec.Command(build(t), "prod").CombinedOutput()
	if exit, ok := err.(*exec.ExitError); !ok || exit.ExitCode() != 2 || !strings.Contains(string(out), "it takes --data DIR") {
		t.Errorf("ended with %v: %s", err, out)
	}
}

// hasty starts a demo in a temporary folder of its own and gives that folder's
// place once the bot's process was started.
func hasty(t *testing.T) (cmd *exec.Cmd, data string) {
	t.Helper()
	tmp, err := os.MkdirTemp("", "qd")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(tmp) })
	cmd = exec.Command(build(t))
	cmd.Env = append(os.Environ(), "TMPDIR="+tmp)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if cmd.ProcessState == nil {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	})
	await(t, "the bot's process", func() bool {
		found, err := filepath.Glob(filepath.Join(tmp, "quarterdeck-*", "bot.log"))
		if err != nil || len(found) == 0 {
			return false
		}
		data = filepath.Dir(found[0])
		return true
	})
	return cmd, data
}

func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not within %s", what, patience)
		}
	}
}

// A newcomer who changes their mind in the first second leaves nothing behind.
func TestInterruptedWhileStarting(t *testing.T) {
	for _, after := range []time.Duration{0, 100 * time.Millisecond, 500 * time.Millisecond} {
		cmd, data := hasty(t)
		time.Sleep(after)
		if err := syscall.Kill(-cmd.Process.Pid, syscall.SIGINT); err != nil { // as a terminal does
			t.Fatal(err)
		}
		_ = cmd.Wait() // its state is looked at
		if code := cmd.ProcessState.ExitCode(); code != 0 {
			t.Errorf("after %s it ended with %s", after, cmd.ProcessState)
		}
		if _, err := os.Stat(data); !os.IsNotExist(err) {
			t.Errorf("after %s the folder is left (%v)", after, err)
		}
	}
}

// A demo that is killed takes its bot with it.
func TestKilled(t *testing.T) {
	cmd, data := hasty(t)
	listens := func() bool {
		conn, err := net.DialTimeout("unix", filepath.Join(data, "quarterdeck.sock"), time.Second)
		if err == nil {
			conn.Close()
		}
		return err == nil
	}
	await(t, "the bot", listens)
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
	await(t, "the bot's end", func() bool { return !listens() })
}

// A folder with other files in it stays as it is.
func TestForeignFolder(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "thesis.tex"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(build(t), "--data", dir).CombinedOutput()
	if exit, ok := err.(*exec.ExitError); !ok || exit.ExitCode() != 1 || !strings.Contains(string(out), "is not empty and no earlier demo's folder (it holds thesis.tex)") {
		t.Errorf("ended with %v: %s", err, out)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("the folder holds %v (%v)", entries, err)
	}
}

// What is wrong with a configuration that somebody changed is said here, not
// only in a log.
func TestSpoiltConfiguration(t *testing.T) {
	s := begin(t)
	s.end()
	path := filepath.Join(s.dir, "config.toml")
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, bytes.Replace(raw, []byte("impersonate"), []byte("impersonat"), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(program.path, "--data", s.dir).CombinedOutput()
	if err == nil || !strings.Contains(string(out), `did you mean "impersonate"?`) {
		t.Errorf("ended with %v: %s", err, out)
	}
}
