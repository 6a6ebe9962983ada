package execprovider

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

const bootClock = unix.CLOCK_MONOTONIC

func ownExecutable() (string, error) { return os.Executable() }

// systemBootID gives an identifier that changes with every boot.
func systemBootID() (string, error) { return unix.Sysctl("kern.bootsessionuuid") }

// pidSpace names the space in which process ids mean something; there is one.
func pidSpace() (string, error) { return "host", nil }

// zombie is SZOMB of sys/proc.h: ended, waiting to be reaped.
const zombie = 5

// startOf gives when a process started; ok is false for one that is gone or has
// ended and only waits to be reaped.
func startOf(pid int) (start string, ok bool, err error) {
	info, err := unix.SysctlKinfoProc("kern.proc.pid", pid)
	if errors.Is(err, unix.ESRCH) || errors.Is(err, unix.EIO) {
		return "", false, nil
	}
	if err != nil {
		return "", false, err
	}
	if int(info.Proc.P_pid) != pid || info.Proc.P_stat == zombie {
		return "", false, nil
	}
	return fmt.Sprintf("%d.%06d", info.Proc.P_starttime.Sec, info.Proc.P_starttime.Usec), true, nil
}
