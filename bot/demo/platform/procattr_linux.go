package platform

import "syscall"

// processAttributes gives an instance a process group of its own, so that a
// Ctrl-C at the terminal reaches the supervisor alone and the instances are
// drained by it; and has the kernel end it should the supervisor be killed.
// The kernel watches the thread that started the instance, not the process:
// see spawner.
func processAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
