//go:build !unix

package platform

import "syscall"

// processAttributes is nothing special here: an instance ends with the
// supervisor because its standard input ends.
func processAttributes() *syscall.SysProcAttr { return nil }
