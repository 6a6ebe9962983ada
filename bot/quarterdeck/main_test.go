//go:build linux || darwin

package main

import (
	"flag"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"quarterdeck/adapters/exec"
)

// The test binary plays every part: the bot's program, the watcher of its exec
// provider, and the platform that the team deploys to.
func TestMain(m *testing.M) {
	if code, handled := execprovider.Main(os.Args[1:]); handled {
		syscall.Exit(code) // without the second that the race detector waits at exit
	}
	if len(os.Args) >= 3 && os.Args[1] == platformArg {
		syscall.Exit(stagePlatform(os.Args[2], os.Args[3:]...))
	}
	if len(os.Args) > 2 && os.Args[1] == toolArg {
		syscall.Exit(stageTool(os.Args[2:]))
	}
	if filepath.Base(os.Args[0]) == programName {
		main()
	}
	flag.Parse()
	// Most of a test is waiting, for leases and for processes, so that many fit
	// beside one another.
	asked := false
	flag.Visit(func(f *flag.Flag) { asked = asked || f.Name == "test.parallel" })
	if !asked {
		if err := flag.Set("test.parallel", "8"); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}

// programName is what the test binary is called as to be the program itself.
const programName = "quarterdeck"
