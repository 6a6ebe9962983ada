//go:build linux

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"quarterdeck/bot/store"
)

// built gives the real program, built once with the points at which it can be
// made to stop itself.
var built = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "quarterdeck-failpoint-")
	if err != nil {
		return "", err
	}
	bin := filepath.Join(dir, "quarterdeck")
	if out, err := exec.Command("go", "build", "-tags", "failpoint", "-o", bin, ".").CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return bin, nil
})

// crashPatience bounds every wait; no test asserts how long anything took.
const crashPatience = 90 * time.Second

// stage is one folder with a platform and a bot's configuration.
type stage struct {
	t   *testing.T
	bin string
	dir string
	// address is where the bots' database is, "" for a file in dir.
	address string
}

func newStage(t *testing.T) *stage {
	t.Helper()
	bin, err := built()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "qd") // short, for the socket's sake
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	s := &stage{t: t, bin: bin, dir: dir}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	argv := func(verb string) string { return fmt.Sprintf("[%q, %q, %q]", self, platformArg, verb) }
	deploy := fmt.Sprintf(`{ provider = "platform", argv = %s, rollback = %s, restart = %s, current = %s, releases = %s, kill_after = "20s" }`,
		argv("deploy"), argv("rollback"), argv("restart"), argv("current"), argv("releases"))
	scale := fmt.Sprintf(`{ provider = "platform", argv = %s, current = %s, min = 1, max = 8, step = 4, kill_after = "20s" }`, argv("scale"), argv("current"))
	s.write("config.toml", strings.NewReplacer("DEPLOY", deploy, "SCALE", scale, "LOGS", fmt.Sprintf(`{ provider = "platform", argv = %s }`, argv("logs")), "os:UID", fmt.Sprintf("os:%d", os.Getuid()),
		`dir = "platform"`, "dir = \"platform\"\nboot_id = \"boot_id\"").Replace(stageConfig))
	if onServer(t) {
		s.useServer()
	}
	s.write("boot_id", "the first boot\n")
	s.write("platform/staging/live", "v1")
	s.write("platform/prod/live", "v1")
	return s
}

func (s *stage) path(name string) string { return filepath.Join(s.dir, name) }

func (s *stage) write(name, text string) {
	s.t.Helper()
	if err := os.MkdirAll(filepath.Dir(s.path(name)), 0o700); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(s.path(name), []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

func (s *stage) remove(name string) {
	s.t.Helper()
	if err := os.Remove(s.path(name)); err != nil {
		s.t.Fatal(err)
	}
}

// until waits for a condition.
func (s *stage) until(what string, ok func() bool) {
	s.t.Helper()
	for end := time.Now().Add(crashPatience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			log, _ := os.ReadFile(s.path("bot.log"))
			s.t.Fatalf("never happened: %s\nbot.log:\n%s", what, log)
		}
	}
}

func (s *stage) exists(name string) bool { _, err := os.Stat(s.path(name)); return err == nil }

// serve starts the bot, stopping at point if one is named, and waits until its
// socket answers.
func (s *stage) serve(config, socket, point string, env ...string) *exec.Cmd {
	s.t.Helper()
	log, err := os.OpenFile(s.path("bot.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		s.t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command(s.bin, "serve", "--config", s.path(config))
	cmd.Env = s.environ("QUARTERDECK_STOP_AT="+point, "QUARTERDECK_STOP_FILE="+s.path("stopped"))
	cmd.Env = append(cmd.Env, env...)
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	s.until("the bot answers", func() bool {
		conn, err := net.Dial("unix", s.path(socket))
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
	return cmd
}

// kill9 ends the bot as a crash would.
func (s *stage) kill9(bot *exec.Cmd) {
	s.t.Helper()
	if err := bot.Process.Kill(); err != nil {
		s.t.Fatal(err)
	}
	_ = bot.Wait() // its error is the signal
}

// asked is one command under way, typed by dev.
type asked struct {
	out  bytes.Buffer
	done chan int
}

// ask types a line in the background; the client waits over restarts.
func (s *stage) ask(line string) *asked {
	a := &asked{done: make(chan int, 1)}
	ctx, cancel := context.WithTimeout(context.Background(), 2*crashPatience)
	s.t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, s.bin, "run", "--as", "dev", "--config", s.path("config.toml"), "--", line)
	cmd.Env, cmd.Stdout, cmd.Stderr = s.environ(), &a.out, &a.out
	go func() {
		_ = cmd.Run()
		a.done <- cmd.ProcessState.ExitCode()
	}()
	return a
}

// end waits for the command's exit code.
func (s *stage) end(a *asked, want int) {
	s.t.Helper()
	select {
	case code := <-a.done:
		if code != want {
			s.t.Errorf("exit %d, want %d\n%s", code, want, a.out.String())
		}
	case <-time.After(crashPatience):
		log, _ := os.ReadFile(s.path("bot.log"))
		s.t.Fatalf("the command never ended\nbot.log:\n%s", log)
	}
}

// effects counts, in the platform's own log, how often it was asked to do
// something that begins with what.
func (s *stage) effects(what string) int {
	raw, err := os.ReadFile(s.path("platform/effects.log"))
	if err != nil && !os.IsNotExist(err) {
		s.t.Fatal(err)
	}
	n := 0
	for line := range strings.Lines(string(raw)) {
		if strings.HasPrefix(line, what+" ") {
			n++
		}
	}
	return n
}

// kinds gives the kinds of the records of a run, in order, from an export of
// the log; the log must verify.
func (s *stage) kinds(run int64) []string {
	s.t.Helper()
	audit := func(verb string) *exec.Cmd {
		cmd := exec.Command(s.bin, "audit", verb, "--config", s.path("config.toml"))
		cmd.Env = s.environ()
		return cmd
	}
	if out, err := audit("verify").CombinedOutput(); err != nil {
		s.t.Errorf("the log does not verify: %v\n%s", err, out)
	}
	out, err := audit("export").Output()
	if err != nil {
		s.t.Fatal(err)
	}
	var kinds []string
	lines := bufio.NewScanner(bytes.NewReader(out))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var l struct {
			Record struct {
				Kind string `json:"kind"`
				Run  int64  `json:"run"`
			} `json:"record"`
		}
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			s.t.Fatal(err)
		}
		if l.Record.Run == run && l.Record.Kind != "step" {
			kinds = append(kinds, l.Record.Kind)
		}
	}
	return kinds
}

func (s *stage) wantLog(run int64, want ...string) {
	s.t.Helper()
	if got := s.kinds(run); strings.Join(got, " ") != strings.Join(want, " ") {
		s.t.Errorf("the log tells of run #%d: %v, want %v", run, got, want)
	}
}

// all reports whether the whole matrix was asked for; make test-all does.
func all() bool { return os.Getenv("QUARTERDECK_TEST_ALL") != "" }

// TestKilledAtEveryPoint kills the real program with -9 at every point of the
// road, for a deployment and for a rollback: afterwards each was done exactly
// once, and the log tells of it whole.
func TestKilledAtEveryPoint(t *testing.T) { everywhere(t, killedAtEveryPoint) }

func killedAtEveryPoint(t *testing.T) {
	points := []string{"message received", "slot taken", "intent committed", "call begun", "call returned", "outcome known"}
	if !all() {
		points = points[2:5:5]
	}
	for _, point := range points {
		t.Run("deploy/"+point, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			bot := s.serve("config.toml", "q.sock", point)
			a := s.ask("deploy shop v2 staging")
			s.until("the bot stops at: "+point, func() bool { return s.exists("stopped") })
			s.kill9(bot)
			killed := time.Now()
			s.serve("config.toml", "q.sock", "")
			s.end(a, 0)
			t.Logf("done %v after the kill", time.Since(killed).Round(100*time.Millisecond))
			if n := s.effects("deploy staging v2"); n != 1 {
				t.Errorf("the platform was asked %d times, want once", n)
			}
			s.wantLog(1, "requested", "started", "succeeded")
		})
		t.Run("rollback/"+point, func(t *testing.T) {
			if !all() {
				point = points[0] // one is enough here
			}
			t.Parallel()
			s := newStage(t)
			bot := s.serve("config.toml", "q.sock", "")
			s.end(s.ask("deploy shop v2 staging"), 0)
			s.kill9(bot)
			bot = s.serve("config.toml", "q.sock", point)
			a := s.ask("rollback shop staging")
			s.until("the bot stops at: "+point, func() bool { return s.exists("stopped") })
			s.kill9(bot)
			s.serve("config.toml", "q.sock", "")
			s.end(a, 0)
			if n := s.effects("rollback staging v1"); n != 1 {
				t.Errorf("the platform was asked %d times, want once", n)
			}
			s.wantLog(2, "requested", "started", "succeeded")
		})
	}
}

// TestKilledMidRun kills the bot while the platform's program works and has
// not answered: the program goes on, and its end is found.
func TestKilledMidRun(t *testing.T) { everywhere(t, killedMidRun) }

func killedMidRun(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.write("platform/staging/slow", "")
	bot := s.serve("config.toml", "q.sock", "")
	a := s.ask("deploy shop v2 staging")
	for range 3 { // again and again
		s.until("the platform was asked", func() bool { return s.effects("deploy staging v2") == 1 })
		s.kill9(bot)
		bot = s.serve("config.toml", "q.sock", "")
	}
	s.remove("platform/staging/slow")
	s.end(a, 0)
	if n := s.effects("deploy staging v2"); n != 1 {
		t.Errorf("the platform was asked %d times, want once", n)
	}
	s.wantLog(1, "requested", "started", "succeeded")
}

// TestStoppedPastItsLease stops the bot in the middle of its first call for
// longer than its lease, and lets it go on.
func TestStoppedPastItsLease(t *testing.T) { everywhere(t, stoppedPastItsLease) }

func stoppedPastItsLease(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	bot := s.serve("config.toml", "q.sock", "call begun")
	a := s.ask("deploy shop v2 staging")
	s.until("the bot stops in its call", func() bool { return s.exists("stopped") })
	// The lease is the call's 5 s and the 1 s in which its effects may show.
	past := time.Now().Add(7 * time.Second)
	s.until("the lease is over", func() bool { return time.Now().After(past) })
	s.signal(bot, syscall.SIGCONT)
	s.end(a, 0)
	if n := s.effects("deploy staging v2"); n != 1 {
		t.Errorf("the platform was asked %d times, want once", n)
	}
	s.wantLog(1, "requested", "started", "succeeded")
}

func (s *stage) signal(bot *exec.Cmd, sig os.Signal) {
	s.t.Helper()
	if err := bot.Process.Signal(sig); err != nil {
		s.t.Fatal(err)
	}
}

// TestSuccessorDidItMeanwhile stops the bot in the middle of its first call; a
// second one takes the run over and ends it. The first, let go on, has lost its
// lease: it must neither act nor write.
func TestSuccessorDidItMeanwhile(t *testing.T) { everywhere(t, successorDidItMeanwhile) }

func successorDidItMeanwhile(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	bot := s.serve("config.toml", "q.sock", "call begun", "QUARTERDECK_STOP_HOLD=1")
	a := s.ask("deploy shop v2 staging")
	s.until("the bot waits in its call", func() bool { return s.exists("stopped") })
	// A process that is stopped while it commits holds the database's lock, and
	// then nobody goes on; so it is stopped again until it holds none.
	s.until("the bot is stopped and holds no lock", func() bool {
		s.signal(bot, syscall.SIGSTOP)
		if s.writable() {
			return true
		}
		s.signal(bot, syscall.SIGCONT)
		return false
	})
	raw, err := os.ReadFile(s.path("config.toml"))
	if err != nil {
		t.Fatal(err)
	}
	s.write("other.toml", strings.Replace(string(raw), `"q.sock"`, `"other.sock"`, 1))
	s.serve("other.toml", "other.sock", "")
	s.until("the successor has done it", func() bool {
		live, _ := os.ReadFile(s.path("platform/staging/live"))
		return string(live) == "v2" && len(s.kinds(1)) == 3
	})
	s.remove("stopped")
	s.signal(bot, syscall.SIGCONT)
	s.end(a, 0)
	if n := s.effects("deploy staging v2"); n != 1 {
		t.Errorf("the platform was asked %d times, want once", n)
	}
	s.wantLog(1, "requested", "started", "succeeded")
}

// writable reports whether the database takes a write within a moment.
func (s *stage) writable() bool {
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Second)
	defer cancel()
	db, err := s.open(ctx)
	if err != nil {
		return false
	}
	defer db.Close()
	return db.Update(ctx, func(tx store.Tx) error { return tx.DeleteDocument("probe", "probe") }) == nil
}

// TestHostRestartedMidRun changes the boot id under a deployment that was under
// way: what came of it cannot be known, and that is what the bot says.
func TestHostRestartedMidRun(t *testing.T) { everywhere(t, hostRestartedMidRun) }

func hostRestartedMidRun(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.write("platform/staging/slow", "")
	bot := s.serve("config.toml", "q.sock", "")
	a := s.ask("deploy shop v2 staging")
	s.until("the platform was asked", func() bool { return s.effects("deploy staging v2") == 1 })
	s.kill9(bot)
	s.write("boot_id", "the second boot\n")
	s.serve("config.toml", "q.sock", "")
	s.end(a, 5)
	if out := a.out.String(); !strings.Contains(out, "unknown, please look") || !strings.Contains(out, "check:") {
		t.Errorf("the asker reads\n%s", out)
	}
	if n := s.effects("deploy staging v2"); n != 1 {
		t.Errorf("the platform was asked %d times, want once", n)
	}
	s.wantLog(1, "requested", "started", "unknown")
	s.remove("platform/staging/slow")
}

// TestKilledAtRandom deploys again and again and kills the bot at a random
// moment of each deployment, and once more soon after it came back: every one
// is done exactly once, and the log tells of each whole.
func TestKilledAtRandom(t *testing.T) { everywhere(t, killedAtRandom) }

func killedAtRandom(t *testing.T) {
	storms, each := 1, 2
	if all() {
		storms, each = 2, 6
	}
	for storm := range storms {
		t.Run(fmt.Sprint(storm), func(t *testing.T) {
			t.Parallel()
			seed := uint64(time.Now().UnixNano())
			t.Logf("seed %d", seed)
			random := rand.New(rand.NewPCG(seed, 0))
			moment := func() <-chan time.Time {
				return time.After(time.Duration(random.Int64N(int64(400 * time.Millisecond))))
			}
			s := newStage(t)
			bot := s.serve("config.toml", "q.sock", "")
			for run := range each {
				version := []string{"v2", "v1"}[run%2]
				a := s.ask(fmt.Sprintf("deploy shop %s staging --reason \"attempt %d\"", version, run+1))
				for range 1 + random.IntN(2) {
					<-moment()
					s.kill9(bot)
					bot = s.serve("config.toml", "q.sock", "")
				}
				s.end(a, 0)
				if n, want := s.effects("deploy staging "+version), run/2+1; n != want {
					t.Errorf("the platform was asked %d times for %s, want %d", n, version, want)
				}
				s.wantLog(int64(run+1), "requested", "started", "succeeded")
			}
		})
	}
}
