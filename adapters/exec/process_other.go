//go:build !linux && !darwin

package execprovider

import (
	"errors"
	"syscall"
	"time"
)

// supported says whether this system has what the provider needs.
const supported = false

var errUnsupported = errors.New("not on this operating system")

func ownGroup() *syscall.SysProcAttr             { return nil }
func ownSession() *syscall.SysProcAttr           { return nil }
func signalGroup(int, syscall.Signal) error      { return errUnsupported }
func groupEmpty(int) bool                        { return true }
func sinceBoot() (time.Duration, error)          { return 0, errUnsupported }
func ownExecutable() (string, error)             { return "", errUnsupported }
func systemBootID() (string, error)              { return "", errUnsupported }
func pidSpace() (string, error)                  { return "", errUnsupported }
func startOf(int) (s string, ok bool, err error) { return "", false, errUnsupported }
