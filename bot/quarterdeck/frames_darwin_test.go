package main

import (
	"net"

	"github.com/rogpeppe/go-internal/testscript"
)

// dialAsStranger needs a thread that is another user.
func dialAsStranger(ts *testscript.TestScript, _ string) net.Conn {
	ts.Fatalf("only Linux lets one thread be another user")
	return nil
}
