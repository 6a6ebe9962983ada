//go:build linux || darwin

package backupprovider

import (
	"errors"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// supported says whether this system has what the provider needs.
const supported = true

// ownGroup puts a process into a group of its own, so that it and its children
// can be killed together.
func ownGroup() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// signalGroup sends a signal to a process group; one that is gone is no error.
func signalGroup(pgid int, sig syscall.Signal) error {
	if pgid <= 1 {
		return errors.New("not a process group")
	}
	if err := syscall.Kill(-pgid, sig); !errors.Is(err, syscall.ESRCH) {
		return err
	}
	return nil
}

// signalOne sends a signal to one process.
func signalOne(p *os.Process, sig syscall.Signal) error {
	if err := p.Signal(sig); !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return nil
}

// tryLock takes the lock of a file that no process has, and gives false for one
// that a process has. Processes that inherit the file share it.
func tryLock(f *os.File) (won bool, err error) {
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return false, nil
	}
	return err == nil, err
}

// freeBytes is how much room the file system of a folder has for us.
func freeBytes(dir string) (int64, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, err
	}
	return int64(uint64(s.Bavail) * uint64(s.Bsize)), nil
}

func closeOnExec(fd uintptr) { unix.CloseOnExec(int(fd)) }
