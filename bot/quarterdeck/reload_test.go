//go:build linux || darwin

package main

import (
	"os"
	"strings"
	"syscall"

	"github.com/rogpeppe/go-internal/testscript"
)

// reloadBot has the bot read its configuration again, as systemctl reload does, and
// waits for what it logs about it; with "!" in front it must refuse.
func reloadBot(ts *testscript.TestScript, neg bool, args []string) {
	name := configName(args)
	told := func() (done, refused int) {
		raw, err := os.ReadFile(ts.MkAbs("bot.log"))
		ts.Check(err)
		return strings.Count(string(raw), "msg=reloaded"), strings.Count(string(raw), `msg="reload refused`)
	}
	done, refused := told()
	ts.Check(running(ts)[name].cmd.Process.Signal(syscall.SIGHUP))
	eventually(ts, "the bot says what came of the reload", func() bool {
		nowDone, nowRefused := told()
		return nowDone > done || nowRefused > refused
	})
	if nowDone, _ := told(); (nowDone > done) == neg {
		ts.Fatalf("reloaded: %v, expected %v:\n%s", nowDone > done, !neg, ts.ReadFile("bot.log"))
	}
}
