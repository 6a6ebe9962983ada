//go:build unix

package sqlite

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// turnstile makes busy processes on one database take turns. SQLite's lock
// alone goes to whoever looks at the right moment, which is nearly always the
// one that gave it up just now; the others look less and less often and give
// up at last. Who passes here holds the folder's lock until it has SQLite's
// own, so whoever gave that up has to queue behind. The lock is a courtesy:
// nothing but waiting times depends on it.
type turnstile struct {
	folder *os.File
}

const (
	// turnPatience bounds the wait, in case a stopped process holds the lock.
	turnPatience = 250 * time.Millisecond
	turnInterval = 200 * time.Microsecond
)

func newTurnstile(folder string) (*turnstile, error) {
	f, err := os.Open(folder)
	if err != nil {
		return nil, fileError(folder, err)
	}
	return &turnstile{folder: f}, nil
}

// pass waits for the turn and gives what to call once the database is locked.
func (t *turnstile) pass() (done func()) {
	fd := int(t.folder.Fd())
	for end := time.Now().Add(turnPatience); ; time.Sleep(turnInterval) {
		switch err := unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB); {
		case err == nil:
			return t.leave
		case err != unix.EWOULDBLOCK && err != unix.EINTR, time.Now().After(end):
			return func() {}
		}
	}
}

func (t *turnstile) leave() {
	// There is nothing to do about an error, and closing frees the lock.
	_ = unix.Flock(int(t.folder.Fd()), unix.LOCK_UN)
}

func (t *turnstile) close() error { return t.folder.Close() }
