//go:build linux || darwin

package execprovider

import (
	"errors"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// supported says whether this system has what the provider needs.
const supported = true

// ownGroup puts a process into a group of its own, so that it and its children
// can be signalled together.
func ownGroup() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// ownSession cuts a process off from the terminal and group of its parent.
func ownSession() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }

// signalGroup sends a signal to a process group; a group that is gone is no error.
func signalGroup(pgid int, sig syscall.Signal) error {
	if pgid <= 1 {
		return errors.New("not a process group")
	}
	err := syscall.Kill(-pgid, sig)
	if errors.Is(err, syscall.ESRCH) {
		return nil
	}
	return err
}

// groupEmpty reports whether no process is left in the group.
func groupEmpty(pgid int) bool { return errors.Is(syscall.Kill(-pgid, 0), syscall.ESRCH) }

// sinceBoot is a clock that all processes of one boot share and that nobody can
// set. It goes on while the machine sleeps where the system offers that.
func sinceBoot() (time.Duration, error) {
	var ts unix.Timespec
	if err := unix.ClockGettime(bootClock, &ts); err != nil {
		return 0, err
	}
	return time.Duration(ts.Nano()), nil
}
