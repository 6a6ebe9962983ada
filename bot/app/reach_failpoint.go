//go:build failpoint && linux

package app

import (
	"os"
	"runtime"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"
)

// In a build with the tag failpoint, the process stops for good at the point
// named by QUARTERDECK_STOP_AT the first time it gets there, or that one of
// which QUARTERDECK_STOP_NTH gives the number, after writing the point's name to
// the file QUARTERDECK_STOP_FILE. A test then kills it there.
// With QUARTERDECK_STOP_HOLD set, only what reached the point waits there, until
// the file is gone.
var (
	reached atomic.Int64
	reach   = func(point string) {
		if point == "" || point != os.Getenv("QUARTERDECK_STOP_AT") {
			return
		}
		nth, err := strconv.ParseInt(os.Getenv("QUARTERDECK_STOP_NTH"), 10, 64)
		if err != nil {
			nth = 1
		}
		if reached.Add(1) != nth {
			return
		}
		if err := os.WriteFile(os.Getenv("QUARTERDECK_STOP_FILE"), []byte(point), 0o600); err != nil {
			panic(err)
		}
		if os.Getenv("QUARTERDECK_STOP_HOLD") != "" {
			for {
				if _, err := os.Stat(os.Getenv("QUARTERDECK_STOP_FILE")); err != nil {
					return
				}
				time.Sleep(5 * time.Millisecond)
			}
		}
		// The whole process stops, not this goroutine alone: nothing else of it
		// may go on as if it had not died here. The signal goes to this thread, so
		// that it is stopped before it returns.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		if err := syscall.Tgkill(os.Getpid(), syscall.Gettid(), syscall.SIGSTOP); err != nil {
			panic(err)
		}
	}
)
