package execprovider

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"
)

// tick is how often a shim looks whether it is to cancel, and writes progress.
const tick = 100 * time.Millisecond

// drain is how long a shim reads on when the command has ended and a process
// that it left behind still holds its output.
const drain = time.Second

// Main makes the process a shim if args (os.Args without the program) say so.
// Every main that opens exec providers calls it before anything else, and exits
// with code when handled is true:
//
//	if code, handled := execprovider.Main(os.Args[1:]); handled {
//		os.Exit(code)
//	}
func Main(args []string) (code int, handled bool) {
	if len(args) == 0 || args[0] != shimArg {
		return 0, false
	}
	if !supported {
		return 1, true
	}
	run := startWatcher
	if len(args) > 1 && args[1] == watchArg {
		run = func() error { return watch(func(string) {}) }
	}
	return report(run()), true
}

// report says on standard error, which is the shim's own log, what went wrong.
func report(err error) (code int) {
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s %d: %v\n", time.Now().UTC().Format(time.RFC3339), os.Getpid(), err)
		return 1
	}
	return 0
}

// startWatcher starts the watcher in a session of its own and leaves it to init.
func startWatcher() error {
	self, err := ownExecutable()
	if err != nil {
		return err
	}
	p, err := os.StartProcess(self, []string{os.Args[0], shimArg, watchArg}, &os.ProcAttr{
		Dir: "/", Env: os.Environ(), Files: []*os.File{os.Stdin, os.Stdout, os.Stderr}, Sys: ownSession(),
	})
	if err != nil {
		return err
	}
	return p.Release()
}

// The points between which a watcher may be killed or suspended.
const (
	pointOrdered = "ordered" // told what to do
	pointClaimed = "claimed"
	pointStarted = "started" // marked as started
	pointRunning = "running" // the command runs, and that is noted
)

// watch claims one attempt, runs its command and writes down how that ended. It
// calls at with every point it reaches, so that tests can kill it there.
func watch(at func(point string)) error {
	// Caught, not ignored: a command inherits what is ignored. They must not
	// end the watcher, or nobody writes down how the command ended.
	caught := make(chan os.Signal, 1)
	signal.Notify(caught, syscall.SIGHUP, syscall.SIGINT, syscall.SIGTERM, syscall.SIGPIPE)
	o, err := readOrder(os.Stdin)
	if err != nil {
		return err
	}
	w := &watcher{order: o, folder: folder{o.Folder}, at: at}
	at(pointOrdered)
	mine, err := w.claim()
	if err != nil || !mine {
		return err
	}
	return w.run()
}

type watcher struct {
	order
	folder folder
	at     func(point string)
}

// claim takes the attempt and decides that it is started; mine is false if
// somebody else decided first, or it is too late.
func (w *watcher) claim() (mine bool, err error) {
	now, err := sinceBoot()
	if err != nil {
		return false, err
	}
	if int64(now) > w.NotAfter {
		return false, fmt.Errorf("attempt %d: called %v too late, so nothing is started", w.Attempt, now-time.Duration(w.NotAfter))
	}
	self, err := processOf(os.Getpid())
	if err != nil {
		return false, err
	}
	mine, err = w.folder.once(claimFile(w.Attempt), claim{
		Host: w.Host, Boot: w.Boot, Shim: self, NotAfter: w.NotAfter, At: time.Now().UTC(),
	})
	if err != nil || !mine {
		return false, err
	}
	w.at(pointClaimed)
	_, cancelled, err := w.folder.cancelled()
	if err != nil {
		return false, err
	}
	verdict := verdictStarted
	if cancelled {
		verdict = verdictAbandoned
	}
	// Written before the command is started: what is not marked as started,
	// was not.
	mine, err = w.folder.once(startFile(w.Attempt), start{Verdict: verdict, At: time.Now().UTC()})
	return mine && !cancelled, err
}

// run starts the command and follows it to its end.
func (w *watcher) run() error {
	w.at(pointStarted)
	out, err := newOutput(w.folder.file(logFile(w.Attempt)), w.OutputBytes)
	if err != nil {
		return w.finish(exit{Code: -1, Error: "its output file cannot be opened"}, err)
	}
	cmd := exec.Command(w.Program, w.Argv[1:]...)
	cmd.Args[0] = w.Argv[0]
	cmd.Dir, cmd.Env = w.Dir, w.Env
	cmd.SysProcAttr = ownGroup()
	read, err := out.attach(cmd)
	if err == nil {
		err = cmd.Start()
	}
	out.started()
	if err != nil {
		out.close()
		return w.finish(exit{Code: -1, Error: notStarted(w.Program, w.Dir, err)}, err)
	}
	noted := w.noteCommand(cmd.Process.Pid)
	w.at(pointRunning)
	end := w.follow(cmd, out)
	select {
	case <-read:
	case <-time.After(drain):
		out.abandon()
		<-read
	}
	end.Progress, end.LastLine, end.LastError = out.close()
	return w.finish(end, noted)
}

// noteCommand lets a bot find the command should the watcher be killed.
func (w *watcher) noteCommand(pid int) error {
	p, err := processOf(pid)
	if errors.Is(err, os.ErrProcessDone) {
		return nil // it has ended already
	}
	if err != nil {
		return err
	}
	return w.folder.replace(commandFile(w.Attempt), p, true)
}

// follow waits for the command, and ends it when asked or when its time is up.
func (w *watcher) follow(cmd *exec.Cmd, out *output) exit {
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	pid := cmd.Process.Pid
	timeout := time.NewTimer(w.Timeout)
	defer timeout.Stop()
	ticks := time.NewTicker(tick)
	defer ticks.Stop()
	var kill <-chan time.Time
	var end exit
	stop := func(cause string) {
		if end.Cause != "" {
			return
		}
		end.Cause = cause
		kill = time.After(w.KillAfter)
		_ = signalGroup(pid, syscall.SIGTERM) // what came of it is seen by waiting
	}
	for {
		select {
		case <-ended:
			end.describe(cmd.ProcessState)
			if end.Cause != "" {
				w.endGroup(pid, kill)
			}
			return end
		case <-kill:
			end.Killed = true
			_ = signalGroup(pid, syscall.SIGKILL) // what came of it is seen by waiting
			kill = nil
		case <-timeout.C:
			stop(causeTimeout)
		case <-ticks.C:
			if _, asked, err := w.folder.cancelled(); err == nil && asked {
				stop(causeCancel)
			}
			if p, changed := out.latest(); changed {
				// Only for show: the exit file holds the last one again.
				_ = w.folder.replace(progressFile(w.Attempt), p, false)
			}
		}
	}
}

// endGroup waits until what the command left behind in its group has ended too,
// and kills it when the time for that is up.
func (w *watcher) endGroup(pgid int, kill <-chan time.Time) {
	ticks := time.NewTicker(tick / 4)
	defer ticks.Stop()
	for !groupEmpty(pgid) {
		if kill == nil { // the time was up before
			_ = signalGroup(pgid, syscall.SIGKILL)
			return
		}
		select {
		case <-kill:
			kill = nil
		case <-ticks.C:
		}
	}
}

func (e *exit) describe(state *os.ProcessState) {
	e.Code = state.ExitCode()
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		e.Signal = status.Signal().String()
	}
}

// finish writes the exit file, which is the operation's outcome. What went
// wrong besides is for the shim's own log.
func (w *watcher) finish(e exit, besides error) error {
	e.At = time.Now().UTC()
	return errors.Join(besides, w.folder.replace(exitFile(w.Attempt), e, true))
}
