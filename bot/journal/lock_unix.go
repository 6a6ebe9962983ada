//go:build unix

package journal

import (
	"os"

	"golang.org/x/sys/unix"
)

// syncFlag has every write be on disk when it returns.
const syncFlag = unix.O_DSYNC

// lock keeps other processes from using the file, as long as it is open.
func lock(f *os.File) error { return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) }
