package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"
)

// strangerUID is a user that is nobody on this machine.
const strangerUID = 4242

// dialAsStranger opens the socket as another user of the machine, through a
// socket that was opened to everybody by a slip.
func dialAsStranger(ts *testscript.TestScript, socket string) net.Conn {
	ts.Check(os.Chmod(socket, 0o666))
	for dir := filepath.Dir(socket); dir != filepath.Clean(os.TempDir()) && dir != "/"; dir = filepath.Dir(dir) {
		ts.Check(os.Chmod(dir, 0o755))
	}
	var conn net.Conn
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // for good: the thread, and who it is, end with the goroutine
		keep := ^uintptr(0)
		if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, keep, strangerUID, keep); errno != 0 {
			done <- fmt.Errorf("become another user: %w", errno)
			return
		}
		var err error
		conn, err = net.Dial("unix", socket)
		done <- err
	}()
	ts.Check(<-done)
	return conn
}
