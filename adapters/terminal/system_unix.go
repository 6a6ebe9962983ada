//go:build unix

package terminal

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// errLocked says that another process holds the lock.
var errLocked = errors.New("locked by another process")

// lockFile takes an exclusive lock that ends with the process, or errLocked.
func lockFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, errLocked
		}
		return nil, err
	}
	return f, nil
}

// windowSize gives the columns and rows of the terminal behind f; ok is false
// when f is none.
func windowSize(f *os.File) (columns, rows int, ok bool) {
	size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return 0, 0, false
	}
	return int(size.Col), int(size.Row), true
}

// redrawPrompt makes the line editor draw its line again: it does so whenever
// the window is said to have changed.
func redrawPrompt() {
	_ = unix.Kill(os.Getpid(), unix.SIGWINCH) // to ourselves; cannot fail
}

// openTTY opens the terminal behind standard input a second time, so that a
// read of it can be given a deadline without changing the mode of the file
// that other processes share.
func openTTY() (*os.File, error) {
	return os.OpenFile("/dev/tty", os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
}
