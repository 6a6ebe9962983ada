//go:build unix && !linux

package platform

import "syscall"

// processAttributes gives an instance a process group of its own, so that a
// Ctrl-C at the terminal reaches the supervisor alone and the instances are
// drained by it. That they end with the supervisor is left to their standard
// input, which ends then.
func processAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}
