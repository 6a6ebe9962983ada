//go:build unix

package terminal

import (
	"errors"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// errLocked says that another process holds the lock.
var errLocked = errors.New("locked by another process")

// errNotOurs says that something else than a file is where the lock should be.
var errNotOurs = errors.New("not a file of its own")

// lockFile takes an exclusive lock that ends with the process, or errLocked. It
// follows no link: the file is made where its name says, or not at all.
func lockFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0o600)
	if errors.Is(err, unix.ELOOP) || errors.Is(err, unix.EISDIR) || errors.Is(err, unix.ENXIO) {
		return nil, errNotOurs
	}
	if err != nil {
		return nil, err
	}
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		f.Close()
		return nil, errors.Join(errNotOurs, err)
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

// ownersOf gives the user and the group of a file.
func ownersOf(info fs.FileInfo) (uid, gid uint32, ok bool) {
	s, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, 0, false
	}
	return s.Uid, s.Gid, true
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
