package backupprovider

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"syscall"
	"time"
)

// watcherArg is the private first argument by which the executable becomes a
// watcher.
const watcherArg = "__restore-watcher"

// The files that a watcher inherits beside the three that everybody has.
const (
	lifelineFD = 3 // a pipe that ends when the bot closes it, or ends itself
	lockFD     = 4 // of the place; what it starts holds it too
)

// killAfter is how long a process that was told to end has before it is killed.
const killAfter = 5 * time.Second

// Exit codes of a watcher, beside those of the program.
const (
	codeNotStarted = 126
	codeSignalled  = 125
)

// Main makes the process a watcher if args (os.Args without the program) say so.
// Every main that opens backup providers calls it before anything else, and exits
// with code when handled is true:
//
//	if code, handled := backupprovider.Main(os.Args[1:]); handled {
//		os.Exit(code)
//	}
//
// A watcher runs one program in a group of its own, and ends that group when its
// lifeline ends: so nothing of a restore outlives the bot, however that ends.
func Main(args []string) (code int, handled bool) {
	if len(args) < 3 || args[0] != watcherArg {
		return 0, false
	}
	sig, err := strconv.Atoi(args[1])
	if err != nil || !supported {
		return codeNotStarted, true
	}
	return watch(syscall.Signal(sig), args[2], args[3:]), true
}

func watch(end syscall.Signal, program string, args []string) int {
	closeOnExec(lifelineFD)
	lifeline := os.NewFile(lifelineFD, "lifeline")
	lock := os.NewFile(lockFD, "lock")
	cmd := exec.Command(program, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.ExtraFiles = []*os.File{nil, lock} // at its place: 4
	cmd.SysProcAttr = ownGroup()
	if err := cmd.Start(); err != nil {
		fmt.Fprintln(os.Stderr, "it cannot be started:", err)
		return codeNotStarted
	}
	_ = os.Stdin.Close() // the program has its own; nobody else may keep it open
	ended := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, lifeline) // nothing is ever written to it
		_ = signalOne(cmd.Process, end)
		select {
		case <-ended:
		case <-time.After(killAfter):
		}
		_ = signalGroup(cmd.Process.Pid, syscall.SIGKILL)
	}()
	err := cmd.Wait()
	close(ended)
	// What it left behind in its group ends with it.
	_ = signalGroup(cmd.Process.Pid, syscall.SIGKILL)
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit) && exit.ExitCode() >= 0:
		return exit.ExitCode()
	}
	return codeSignalled
}

// ownExecutable is this program, also when its file was replaced meanwhile.
func ownExecutable() (string, error) {
	if runtime.GOOS == "linux" {
		return "/proc/self/exe", nil
	}
	return os.Executable()
}
