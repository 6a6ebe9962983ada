//go:build unix

package platform

import (
	"context"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestSIGTERMPutsTheOldVersionBack(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := startIn(t, dir, 2, withGate(dir))
	cmd, story := r.process("deploy", vars{"OP_VERSION": "v2"})
	r.until(story, "draining") // one instance is replaced, the next waits at the gate
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	end := r.until(story, phaseAborted)
	if !strings.Contains(end.Message, "deploy of v2 in prod was aborted; v1 serves prod again with 2 of 2 instances") {
		t.Errorf("the abort ends with %q", end.Message)
	}
	if err := cmd.Wait(); cmd.ProcessState.ExitCode() != ExitFailed {
		t.Errorf("the command ended with %v, want exit code 1", err)
	}
	r.serves("v1", 2)
	r.counted(map[string]int{"deploy started": 1, "deploy aborted": 1, "deploy finished": 0})
}

func TestADeadInstanceIsStartedAgain(t *testing.T) {
	t.Parallel()
	r := start(t, 2)
	dead := r.s.Targets()[0].PID
	if err := syscall.Kill(dead, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	r.wait("another process takes its place", func() bool {
		for _, target := range r.s.Targets() {
			if target.PID == dead {
				return false
			}
		}
		return r.status().Healthy == 2
	})
	r.serves("v1", 2)
	r.counted(map[string]int{"create finished": 1, "restart started": 0})
}

// The platform is killed with nothing said to anybody; what it started must not
// stay behind, and the roll it was in must not count as done.
func TestInstancesDieWithTheirPlatform(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cmd := exec.Command(self(), "supervise", filepath.Join(dir, "platform"))
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, s: New(Config{}), dir: filepath.Join(dir, "platform")}
	var addresses []string
	r.wait("it runs", func() bool {
		lines, code := r.cli("stats", nil)
		return code == ExitOK && strings.Contains(lines[0], `"healthy":2`)
	})
	data, err := os.ReadFile(filepath.Join(r.dir, "logs", "shop-prod.log"))
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range strings.Split(string(data), `"address":"`)[1:] {
		address, _, _ := strings.Cut(part, `"`)
		addresses = append(addresses, address)
	}
	if len(addresses) != 2 {
		t.Fatalf("the instances listen on %q, want two addresses", addresses)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // killed
	for _, address := range addresses {
		r.wait(address+" is silent", func() bool {
			conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(t.Context(), "tcp", address)
			if err == nil {
				_ = conn.Close()
			}
			return err != nil
		})
	}
	r.must("current", nil, ExitTryAgain, "the platform cannot be reached")

	// As if it had died in a roll.
	j, err := openJournal(filepath.Join(r.dir, LogName), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := j.append(Entry{Action: ActionDeploy, State: StateStarted, Op: "op-1", Actor: "anna", Env: "prod", Version: "v2", From: "v1"}); err != nil {
		t.Fatal(err)
	}
	if err := j.close(); err != nil {
		t.Fatal(err)
	}
	r = startIn(t, dir, 2)
	r.serves("v1", 2)
	r.counted(map[string]int{"deploy started": 1, "deploy aborted": 1, "deploy finished": 0})
	if last := r.status().Last; last == nil || !strings.Contains(last.Message, "the platform died in the middle") {
		t.Errorf("the ending is %+v", last)
	}
}

// Not parallel: it looks at every goroutine there is.
func TestRunLeavesNothingBehind(t *testing.T) {
	dir := t.TempDir()
	r := startIn(t, dir, 2, withGate(dir), func(c *Config) { c.Environments[0].LoadPerSecond = 50 })
	targets := r.s.Targets()
	_, story := r.process("deploy", vars{"OP_VERSION": "v2"})
	r.until(story, "draining")
	r.stop() // in the middle of a roll
	if end := r.until(story, phaseAborted); !strings.Contains(end.Message, "the platform stops, and starts again with v1") {
		t.Errorf("the deploy ends with %q", end.Message)
	}
	r.counted(map[string]int{"deploy started": 1, "deploy aborted": 1})
	for _, target := range targets {
		if err := syscall.Kill(target.PID, 0); err == nil {
			t.Errorf("process %d is left", target.PID)
		}
	}
	if _, err := os.Stat(filepath.Join(r.dir, SocketName)); err == nil {
		t.Error("the socket is left")
	}
	stacks := func() string {
		buf := make([]byte, 1<<20)
		return string(buf[:runtime.Stack(buf, true)])
	}
	r.wait("no goroutine is left", func() bool {
		for _, g := range strings.Split(stacks(), "\n\n") {
			if strings.Contains(g, "platform.(*") && !strings.Contains(g, "testing.tRunner(") {
				return false
			}
		}
		return true
	})
	if err := r.s.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "has been run already") {
		t.Errorf("a second run ended with %v", err)
	}
}

func TestOnePlatformPerFolder(t *testing.T) {
	t.Parallel()
	r := start(t, 1)
	err := New(testConfig(r.dir, testEnvironment(1))).Run(t.Context())
	if err == nil || !strings.Contains(err.Error(), "another platform runs in this folder") {
		t.Errorf("a second platform ended with %v", err)
	}
	r.serves("v1", 1) // and has not taken the first one's socket
	r.must("current", nil, ExitOK, `"version":"v1"`)
	info, err := os.Stat(filepath.Join(r.dir, SocketName))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the socket is %v (%v), want it for its owner only", info, err)
	}
}

// A platform that dies while somebody waits for its answer leaves that one in
// the dark, and the command line must say so rather than guess.
func TestABrokenConnectionIsUnknown(t *testing.T) {
	t.Parallel()
	socket := filepath.Join(t.TempDir(), "s")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		buf := make([]byte, 1)
		_, _ = io.ReadFull(conn, buf)
		_ = conn.Close()
	}()
	r := &rig{t: t, s: New(Config{}), dir: t.TempDir()}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var out strings.Builder
	c := newClient(r.getenv(vars{"PLATFORM_SOCK": socket, "OP_VERSION": "v2"}), &out)
	if code := c.run(ctx, []string{"deploy"}); code != ExitFailed || !strings.Contains(out.String(), `"phase":"unknown"`) {
		t.Errorf("the command ended with %d and %s", code, &out)
	}
}
