//go:build !linux && !darwin

package backupprovider

import (
	"errors"
	"os"
	"syscall"
)

// supported says whether this system has what the provider needs.
const supported = false

var errUnsupported = errors.New("not on this operating system")

func ownGroup() *syscall.SysProcAttr              { return nil }
func signalGroup(int, syscall.Signal) error       { return errUnsupported }
func signalOne(*os.Process, syscall.Signal) error { return errUnsupported }
func tryLock(*os.File) (won bool, err error)      { return false, errUnsupported }
func freeBytes(string) (int64, error)             { return 0, errUnsupported }
func closeOnExec(uintptr)                         {}
