//go:build linux || darwin

package execprovider

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"quarterdeck/bot"
)

// botProcess is a bot that can be killed.
type botProcess struct{ cmd *exec.Cmd }

// startBot starts a bot as a process of its own that drives the operation.
func (w *world) startBot(h bot.Handle, call string) *botProcess {
	w.t.Helper()
	raw, err := json.Marshal(h)
	if err != nil {
		w.t.Fatal(err)
	}
	w.write("handle.json", string(raw))
	self, err := os.Executable()
	if err != nil {
		w.t.Fatal(err)
	}
	cmd := exec.Command(self, "bot", w.dir)
	cmd.Env = append(os.Environ(), "TMPDIR="+w.dir, "BOT_CALL="+call)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	b := &botProcess{cmd}
	w.t.Cleanup(b.kill)
	return b
}

// kill is kill -9.
func (b *botProcess) kill() {
	_ = b.cmd.Process.Kill()
	_ = b.cmd.Wait()
}

// stopShims makes the shims of w stop at a point.
func (w *world) stopShims(point string) { w.write("stop-at-"+point, "") }

// letShims makes new ones go through.
func (w *world) letShims(point string) {
	w.t.Helper()
	if err := os.Remove(filepath.Join(w.dir, "stop-at-"+point)); err != nil {
		w.t.Fatal(err)
	}
}

// stopped waits for a shim that stands at the point and gives its process.
func (w *world) stopped(point string) (pid int, release func()) {
	w.t.Helper()
	var found string
	eventually(w.t, "a shim stands at "+point, func() bool {
		names, err := filepath.Glob(filepath.Join(w.dir, "at-"+point+"-*"))
		if err != nil || len(names) == 0 {
			return false
		}
		found = names[0]
		return true
	})
	pid, err := strconv.Atoi(found[strings.LastIndex(found, "-")+1:])
	if err != nil {
		w.t.Fatal(err)
	}
	return pid, func() {
		if err := os.Remove(found); err != nil && !errors.Is(err, os.ErrNotExist) {
			w.t.Fatal(err)
		}
	}
}

// recordedID reads the process id that a script wrote into a file.
func recordedID(t *testing.T, file string) int {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(raw)))
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

func recorded(t *testing.T, file string) process {
	t.Helper()
	p, err := processOf(recordedID(t, file))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func killRecorded(t *testing.T, file string) {
	p := recorded(t, file)
	if err := syscall.Kill(p.PID, syscall.SIGKILL); err != nil {
		t.Error(err)
	}
}

// The bot is killed while the shim stands at each point; the shim goes on, or
// is killed too. In every case the successor knows only the handle of Begin.
func TestKillNine(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		point    string
		killShim bool
		state    bot.OpState
		acts     int
	}{
		{pointOrdered, false, bot.OpSucceeded, 1},
		{pointOrdered, true, bot.OpSucceeded, 1},
		{pointClaimed, false, bot.OpSucceeded, 1},
		{pointClaimed, true, bot.OpSucceeded, 1},
		{pointStarted, false, bot.OpSucceeded, 1},
		{pointStarted, true, bot.OpUnknown, 0},
		{pointRunning, false, bot.OpSucceeded, 1},
		{pointRunning, true, bot.OpUnknown, 1},
	} {
		name := c.point + ", shim lives"
		if c.killShim {
			name = c.point + ", shim dies"
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, "", "")
			d := w.deployer()
			h := w.begin(d, "slow", "run-1")
			w.stopShims(c.point)
			b := w.startBot(h, "5s")
			pid, release := w.stopped(c.point)
			b.kill()
			w.letShims(c.point)
			switch {
			case c.killShim:
				if c.point == pointRunning { // its command has got that far
					eventually(t, "the command acts", func() bool { return len(w.acts("run-1")) == 1 })
				}
				if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
					t.Fatal(err)
				}
			default:
				release()
			}
			w.write("work/finish", "")
			h.Interrupted = true
			p, _ := w.run(w.deployer(), h)
			if p.State != c.state {
				t.Errorf("it ends %s: %q, want %s", p.State, p.Text, c.state)
			}
			if p.State == bot.OpUnknown && !strings.Contains(p.Check, "run-1") {
				t.Errorf("what to check: %q", p.Check)
			}
			w.wantActs("run-1", c.acts)
		})
	}
}

// The bot is killed in the middle of the command, which goes on, and is
// followed to its end by the successor.
func TestKillNineMidRun(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "", "")
	d := w.deployer()
	h := w.begin(d, "slow", "run-1")
	b := w.startBot(h, "5s")
	eventually(t, "the command acts", func() bool { return len(w.acts("run-1")) == 1 })
	b.kill()
	h.Interrupted = true
	d = w.deployer()
	h, p, _ := w.until(d, h, working)
	if p.Text != "replacing 1 of 2" || *p.Percent != 10 {
		t.Errorf("followed again: %q %v", p.Text, *p.Percent)
	}
	w.write("work/finish", "")
	if p, _ := w.run(d, h); p.State != bot.OpSucceeded {
		t.Errorf("it ends %s: %q", p.State, p.Text)
	}
	w.wantActs("run-1", 1)
}

// While the watcher is dead and the command is not, the operation is under way;
// it can be cancelled, and what came of it is not known.
func TestOrphanedCommand(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"slow", "stubborn"} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, `kill_after = "50ms"`, "")
			d := w.deployer()
			h, _, _ := w.until(d, w.begin(d, version, "run-1"), working)
			st, err := d.folder("run-1").look("boot-1")
			if err != nil || st.phase != phaseRunning {
				t.Fatalf("phase %d, %v", st.phase, err)
			}
			if err := syscall.Kill(st.claim.Shim.PID, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			h, p, _ := w.until(d, h, func(p bot.Progress) bool { return strings.HasPrefix(p.Text, "its watcher is gone") })
			if p.State != bot.OpWorking {
				t.Errorf("without its watcher: %s", p.State)
			}
			var command process
			if found, err := d.folder("run-1").read(commandFile(1), &command); !found || err != nil {
				t.Fatalf("the command is not noted: %v", err)
			}
			if h, err = d.Cancel(t.Context(), h); err != nil {
				t.Fatal(err)
			}
			end, _ := w.run(d, h)
			if end.State != bot.OpUnknown || !strings.Contains(end.Text, "the process that watched it was killed") {
				t.Errorf("it ends %s: %q", end.State, end.Text)
			}
			if command.life() != dead {
				t.Error("the command still runs")
			}
			w.wantActs("run-1", 1)
		})
	}
}

// A shim that comes to life after its deadline, as that of a suspended bot
// does, starts nothing, whether or not somebody else has done it meanwhile.
func TestTooLate(t *testing.T) {
	t.Parallel()
	for _, successor := range []bool{true, false} {
		t.Run(fmt.Sprintf("successor %v", successor), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, "", "")
			d := w.deployer()
			h := w.begin(d, "v2", "run-1")
			w.stopShims(pointOrdered)
			b := w.startBot(h, "1500ms")
			pid, release := w.stopped(pointOrdered)
			stale, err := processOf(pid)
			if err != nil {
				t.Fatal(err)
			}
			if err := b.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
				t.Fatal(err)
			}
			started, err := sinceBoot()
			if err != nil {
				t.Fatal(err)
			}
			eventually(t, "the deadline is over", func() bool {
				now, err := sinceBoot()
				return err == nil && now > started+1500*time.Millisecond
			})
			w.letShims(pointOrdered)
			want := 0
			if successor {
				want = 1
				again := h
				again.Interrupted = true
				if p, _ := w.run(w.deployer(), again); p.State != bot.OpSucceeded {
					t.Errorf("the successor ends %s: %q", p.State, p.Text)
				}
			}
			release()
			eventually(t, "the stale shim has ended", func() bool { return stale.life() == dead })
			w.wantActs("run-1", want)
			if !successor {
				raw, err := os.ReadFile(filepath.Join(w.dir, "state", "run-1", shimLog))
				if err != nil || !strings.Contains(string(raw), "too late") {
					t.Errorf("the shim's log says %q (%v)", raw, err)
				}
			}
			if err := b.cmd.Process.Signal(syscall.SIGCONT); err != nil {
				t.Fatal(err)
			}
			if successor { // the stale bot wakes up, and follows what is there
				if err := b.cmd.Wait(); err != nil {
					t.Errorf("the stale bot: %v", err)
				}
				w.wantActs("run-1", 1)
			}
		})
	}
}

// A shim is suspended between its claim and its start; the successor gives the
// attempt up, and the shim, once it wakes up, starts nothing.
func TestSuspendedShim(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "", "")
	d := w.deployer()
	h := w.begin(d, "v2", "run-1")
	w.stopShims(pointClaimed)
	b := w.startBot(h, "5s")
	pid, release := w.stopped(pointClaimed)
	b.kill()
	shim, err := processOf(pid)
	if err != nil {
		t.Fatal(err)
	}
	w.letShims(pointClaimed)
	// Another container of the same host cannot see the shim.
	f := d.folder("run-1")
	var c claim
	if _, err := f.read(claimFile(1), &c); err != nil {
		t.Fatal(err)
	}
	c.Shim.Space = "pid:[1]"
	if err := f.replace(claimFile(1), c, true); err != nil {
		t.Fatal(err)
	}
	h.Interrupted = true
	if p, _ := w.run(w.deployer(), h); p.State != bot.OpSucceeded {
		t.Errorf("it ends %s: %q", p.State, p.Text)
	}
	release()
	eventually(t, "the suspended shim has ended", func() bool { return shim.life() == dead })
	w.wantActs("run-1", 1)
}

func TestHostRestarted(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "", "")
	d := w.deployer()
	h, _, _ := w.until(d, w.begin(d, "slow", "run-1"), working)
	w.write("boot_id", "boot-2")
	p, _ := w.run(w.deployer(), h)
	if p.State != bot.OpUnknown || !strings.Contains(p.Text, "the host was restarted in the middle") {
		t.Errorf("it ends %s: %q", p.State, p.Text)
	}
	w.wantActs("run-1", 1)
	// What ended before the restart is still known.
	w.write("work/finish", "")
	w.write("boot_id", "boot-1")
	if p, _ := w.run(w.deployer(), h); p.State != bot.OpSucceeded {
		t.Errorf("it ends %s: %q", p.State, p.Text)
	}
	w.write("boot_id", "boot-2")
	if p, _ := w.run(w.deployer(), h); p.State != bot.OpSucceeded {
		t.Errorf("after a restart it is %s: %q", p.State, p.Text)
	}
	w.write("boot_id", "")
	if _, _, err := w.deployer().Advance(t.Context(), h); bot.KindOf(err) != bot.Unavailable {
		t.Errorf("without a boot id: %v", err)
	}
}

func TestAnotherHost(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "", "")
	here := w.deployer()
	there := w.deployer()
	there.host = "host-b"
	fresh := w.begin(here, "v2", "run-1")

	// A call that may have happened there: only there it is known.
	asked := fresh
	asked.Interrupted = true
	_, p, err := there.Advance(t.Context(), asked)
	if err != nil || p.State != bot.OpUnknown || !strings.Contains(p.Text, "only host-a can tell") {
		t.Errorf("%s %q %v", p.State, p.Text, err)
	}
	// No call yet: it moves here first, and acts in the next call only.
	moved, p, err := there.Advance(t.Context(), fresh)
	if err != nil || p.State != bot.OpPending {
		t.Fatalf("%s %q %v", p.State, p.Text, err)
	}
	if _, err := os.Stat(there.folder("run-1").path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("moving it made a folder: %v", err)
	}
	if end, _ := w.run(there, moved); end.State != bot.OpSucceeded {
		t.Errorf("it ends %s: %q", end.State, end.Text)
	}
	w.wantActs("run-1", 1)
	moved, _, err = there.Advance(t.Context(), moved)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := here.Cancel(t.Context(), moved); bot.KindOf(err) != bot.Conflict {
		t.Errorf("cancelled from elsewhere: %v", err)
	}
}

// The wish to cancel moves with a handle to another host.
func TestCancelMoves(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "", "")
	here, there := w.deployer(), w.deployer()
	there.host, there.state = "host-b", filepath.Join(w.dir, "state-b")
	h, err := here.Cancel(t.Context(), w.begin(here, "v2", "run-1"))
	if err != nil {
		t.Fatal(err)
	}
	if p, _ := w.run(there, h); p.State != bot.OpCancelled {
		t.Errorf("it ends %s: %q", p.State, p.Text)
	}
	w.wantActs("run-1", 0)
}

func TestStateThatIsLostOrBroken(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "", "")
	d := w.deployer()
	h, _, _ := w.until(d, w.begin(d, "v2", "run-1"), settled)
	f := d.folder("run-1")

	w.write("state/run-1/1.claim", "{")
	if _, _, err := d.Advance(t.Context(), h); bot.KindOf(err) != bot.Unavailable {
		t.Errorf("with a broken claim: %v", err)
	}
	if err := os.RemoveAll(f.path); err != nil {
		t.Fatal(err)
	}
	if p, _ := w.run(d, h); p.State != bot.OpUnknown || !strings.Contains(p.Text, "its state folder is gone") {
		t.Errorf("without its folder: %s %q", p.State, p.Text)
	}
	// Cancelled again, it is no operation that could be cancelled before it began.
	h, err := d.Cancel(t.Context(), h)
	if err != nil {
		t.Fatal(err)
	}
	if p, _ := w.run(d, h); p.State != bot.OpUnknown {
		t.Errorf("without its folder, cancelled: %s %q", p.State, p.Text)
	}
	w.write("state/run-2", "a file where a folder should be")
	if _, _, err := d.Advance(t.Context(), w.begin(d, "v2", "run-2")); bot.KindOf(err) != bot.Unavailable {
		t.Errorf("with a file in the folder's place: %v", err)
	}
	w.wantActs("run-1", 1)
	w.wantActs("run-2", 0)
}
