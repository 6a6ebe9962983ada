package execprovider

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	bootClock     = unix.CLOCK_BOOTTIME
	defaultBootID = "/proc/sys/kernel/random/boot_id"
)

// ownExecutable is the running binary itself, also after an upgrade has put
// another one in its place.
func ownExecutable() (string, error) { return "/proc/self/exe", nil }

// systemBootID gives an identifier that changes with every boot.
func systemBootID() (string, error) {
	raw, err := os.ReadFile(defaultBootID)
	return strings.TrimSpace(string(raw)), err
}

// pidSpace names the space in which process ids mean something: two containers
// on one host share the boot, but not their process ids.
func pidSpace() (string, error) { return os.Readlink("/proc/self/ns/pid") }

// startOf gives when a process started, in the kernel's own ticks since boot;
// ok is false for one that is gone or has ended and only waits to be reaped.
func startOf(pid int) (start string, ok bool, err error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
		return "", false, nil
	}
	if err != nil {
		return "", false, err
	}
	// The second field is the program's name in brackets and may hold anything.
	fields := bytes.Fields(raw[bytes.LastIndexByte(raw, ')')+1:])
	if len(fields) < 20 {
		return "", false, fmt.Errorf("process %d: status has %d fields", pid, len(fields))
	}
	if state := fields[0][0]; state == 'Z' || state == 'X' {
		return "", false, nil
	}
	return string(fields[19]), true, nil
}
