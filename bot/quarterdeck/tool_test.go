//go:build linux || darwin

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// toolArg makes the test binary the program of the team's own verbs.
const toolArg = "__tool"

// stageTool appends how it was called to effects.log, before it does anything:
// the arguments, each in quotes, and who asked for what. Files named slow and
// fail in the target's folder make it hold up, and fail.
func stageTool(args []string) (code int) {
	say := func(code int, phase, format string, args ...any) int {
		_ = json.NewEncoder(os.Stdout).Encode(map[string]any{"phase": phase, "message": fmt.Sprintf(format, args...)})
		return code
	}
	there := func(name string) bool {
		_, err := os.Stat(filepath.Join(os.Getenv("OP_ENV"), name))
		return os.Getenv("OP_ENV") != "" && err == nil
	}
	term := make(chan os.Signal, 1)
	signal.Notify(term, syscall.SIGTERM)
	log, err := os.OpenFile("effects.log", os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return say(1, "failed", "%v", err)
	}
	if _, err := fmt.Fprintf(log, "tool %s %q by %s for %s/%s as %s\n", os.Getenv("OP_ACTION"), args, os.Getenv("OP_ACTOR"),
		os.Getenv("OP_SERVICE"), os.Getenv("OP_ENV"), os.Getenv("OP_ID")); err != nil {
		return say(1, "failed", "%v", err)
	}
	if args[0] == "peek" {
		for n := range 500 {
			fmt.Println("line", n)
		}
		fmt.Println("connected with password=hunter2")
		fmt.Println("3 sessions \x1b[2J\x1b[31mopen")
		return say(0, "done", "3 sessions")
	}
	if err := os.WriteFile("tool-"+args[0], nil, 0o600); err != nil {
		return say(1, "failed", "%v", err)
	}
	defer os.Remove("tool-" + args[0])
	say(0, "working", "%s begins", args[0])
	for end := time.Now().Add(time.Minute); there("slow") && time.Now().Before(end); {
		select {
		case <-term:
			return say(1, "aborted", "stopped half-way; the old one stays")
		case <-time.After(5 * time.Millisecond):
		}
	}
	if strings.Join(args[len(args)-1:], "") == "puzzled" {
		return say(1, "unknown", "the connection broke")
	}
	if there("fail") {
		return say(1, "failed", "the disk is full")
	}
	return say(0, "done", "%s is done", args[0])
}

// stageActions are the verbs of the team's own; TOOL is its program.
const stageActions = `
[[action]]
name = "reindex"
summary = "rebuild a search index"
help = "Searches go on meanwhile."
undo = "reindex {target} {index}"
run = { provider = "platform", argv = [TOOL, "reindex", "--index={index}", "--batch={batch}", "--since={since}", "--full={full}", "{note}"] }
arguments = [
  { name = "target", type = "target", help = "where" },
  { name = "index", type = "choice", choices = ["orders", "customers"], help = "which index" },
  { name = "batch", type = "number", default = "500", min = 1, max = 5000, help = "rows at a time" },
  { name = "since", type = "duration", optional = true, longest = "48h", help = "only what changed lately" },
  { name = "note", type = "text", optional = true, max_length = 40, help = "for the index's log" },
  { name = "full", type = "switch", help = "from nothing" },
]
[[action]]
name = "cache flush"
summary = "throw cached pages away"
permission = "action.cache"
run = { provider = "platform", argv = [TOOL, "flush", "{prefix}"] }
arguments = [ { name = "prefix", type = "text", pattern = "/[a-z/]*", help = "pages whose path begins so" } ]
[[action]]
name = "peek"
summary = "list open sessions"
reads = true
run = { provider = "platform", argv = [TOOL, "peek"] }
arguments = [ { name = "target", type = "target", help = "where" } ]

[[grant]]
roles = ["developer"]
permissions = ["action.reindex", "action.peek"]
targets = ["shop/*"]
[[grant]]
roles = ["sre"]
permissions = ["action.cache"]
[[require]]
permissions = ["action.reindex"]
targets = ["*/prod"]
confirm = true
approvals = { count = 1, from = ["sre"] }
`

// addVerbs FILE gives a configuration the team's own verbs.
func addVerbs(ts *testscript.TestScript, _ bool, args []string) {
	self, err := os.Executable()
	ts.Check(err)
	text := ts.ReadFile(args[0]) + strings.ReplaceAll(stageActions, "TOOL", fmt.Sprintf("%q, %q", self, toolArg))
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(text), 0o600))
}
