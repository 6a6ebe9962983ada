//go:build linux || darwin

package execprovider

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"quarterdeck/bot"
)

// The test binary plays every part: the shim, the platform's program, and a bot
// that can be killed.
func TestMain(m *testing.M) {
	args := os.Args[1:]
	if len(args) == 2 && args[0] == shimArg && args[1] == watchArg {
		exitNow(report(watch(stopAt)))
	}
	if code, handled := Main(args); handled {
		exitNow(code)
	}
	if len(args) > 1 && args[0] == "platform" {
		exitNow(platform(args[1]))
	}
	if len(args) > 1 && args[0] == toolArg {
		exitNow(tool(args[1:]))
	}
	if len(args) > 1 && args[0] == "bot" {
		runBot(args[1])
	}
	os.Exit(m.Run())
}

// exitNow leaves without the second that the race detector waits at exit. What
// it finds in a shim stands in the shim's log, which every test looks at.
func exitNow(code int) { syscall.Exit(code) }

// stopAt blocks a watcher at a point for which the test has put up a sign, as
// SIGSTOP would, until the test removes the sign that it is there.
func stopAt(point string) {
	dir := os.Getenv("TMPDIR")
	if _, err := os.Stat(filepath.Join(dir, "stop-at-"+point)); err != nil {
		return
	}
	here := filepath.Join(dir, fmt.Sprintf("at-%s-%d", point, os.Getpid()))
	if err := os.WriteFile(here, nil, 0o600); err != nil {
		panic(err)
	}
	for {
		if _, err := os.Stat(here); err != nil {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

// runBot drives the operation whose handle is in a file of dir until it is
// killed. It stores no handle, as one that is killed early does not.
func runBot(dir string) {
	raw, err := os.ReadFile(filepath.Join(dir, "handle.json"))
	if err != nil {
		panic(err)
	}
	var h bot.Handle
	if err := json.Unmarshal(raw, &h); err != nil {
		panic(err)
	}
	d, err := bind(dir, h.Target, tableFor(dir), nil)
	if err != nil {
		panic(err)
	}
	call := 5 * time.Second
	if text := os.Getenv("BOT_CALL"); text != "" {
		if call, err = time.ParseDuration(text); err != nil {
			panic(err)
		}
	}
	for {
		ctx, cancel := context.WithTimeout(context.Background(), call)
		next, p, err := d.Advance(ctx, h)
		cancel()
		if err == nil {
			h = next
		}
		if p.State.Settled() && err == nil {
			exitNow(0)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// act is one line of the platform's own log.
type act struct{ Op, Action, Version, Actor, From, Reason string }

// platform is the team's program: it keeps what is live in a file of its
// working directory and appends what it does to acts.jsonl. The version says
// how it behaves.
func platform(verb string) int {
	switch verb {
	case "current":
		live, err := os.ReadFile("live")
		if err != nil {
			return say(1, "failed", 0, "no file live")
		}
		fmt.Printf(`{"version":%q,"running":2,"healthy":2,"desired":2,"since":"2026-11-20T08:00:00Z","url":"http://127.0.0.1:1/"}`+"\n", live)
		return 0
	case "releases":
		var out []map[string]any
		for n, v := range platformVersions() {
			out = append(out, map[string]any{
				"version": v, "artefact": artefactID(v), "commit": strings.Repeat(fmt.Sprintf("%x", n+1), 40),
				"created": time.Date(2026, 11, 1+n, 0, 0, 0, 0, time.UTC), "notes": "release " + v,
			})
		}
		if raw, err := os.ReadFile("last_live.json"); err == nil {
			out[0]["last_live"] = json.RawMessage(raw)
		}
		_ = json.NewEncoder(os.Stdout).Encode(out)
		return 0
	case "hang":
		select {}
	case "scale", "sizes":
		return platformScale(verb)
	}
	return platformChange(verb)
}

func platformVersions() []string {
	return []string{"v1", "v2", "v3", "v4", "slow", "stubborn", "family", "noisy", "secret", "busy", "refuse", "crash", "daemon", "puzzled", "chatty"}
}

func artefactID(version string) string { return "sha256:" + digest(version) }

func say(code int, phase string, percent int, message string) int {
	raw, _ := json.Marshal(map[string]any{"phase": phase, "percent": percent, "message": message, "url": "http://127.0.0.1:1/"})
	fmt.Println(string(raw))
	return code
}

func platformChange(verb string) int {
	term := make(chan os.Signal, 1)
	signal.Notify(term, syscall.SIGTERM)
	version := os.Getenv("OP_VERSION")
	log, err := os.OpenFile("acts.jsonl", os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return say(1, "failed", 0, err.Error())
	}
	line, _ := json.Marshal(act{os.Getenv("OP_ID"), verb, version, os.Getenv("OP_ACTOR"), os.Getenv("OP_FROM"), os.Getenv("OP_REASON")})
	if _, err := log.Write(append(line, '\n')); err != nil {
		return say(1, "failed", 0, err.Error())
	}
	fmt.Println("plain log line")
	say(0, "rolling", 10, "replacing 1 of 2")
	switch version {
	case "v4":
		return say(1, "rolled-back", 60, "v4 never became healthy; v1 is back")
	case "slow", "stubborn", "family":
		if version == "family" {
			child := exec.Command("sh", "-c", `trap "" TERM; echo $$ >child.pid.new; mv child.pid.new child.pid; while :; do sleep 0.05; done`)
			if err := child.Start(); err != nil {
				return say(1, "failed", 0, err.Error())
			}
		}
		for {
			select {
			case <-term:
				if version != "stubborn" {
					return say(1, "aborted", 20, "stopped; v1 is back")
				}
			case <-time.After(2 * time.Millisecond):
				if _, err := os.Stat("finish"); err == nil {
					return finishDeploy(version)
				}
			}
		}
	case "noisy":
		out := bufio.NewWriterSize(os.Stdout, 1<<16)
		for range 1 << 20 {
			_, _ = out.WriteString(strings.Repeat("x", 99) + "\n")
		}
		_ = out.Flush()
		fmt.Fprintln(os.Stderr, strings.Repeat("long", 100_000))
		fmt.Println("the very last line")
		return say(1, "failed", 90, "too much was said")
	case "chatty":
		for n := range 1000 {
			fmt.Println("line", n)
		}
	case "secret":
		fmt.Println("the token is " + os.Getenv("TOKEN") + " \x1b[31mred\x1b[0m password=hunter2\a")
		return say(1, "failed", 50, "cannot log in with "+os.Getenv("TOKEN"))
	case "busy":
		raw, _ := os.ReadFile("acts.jsonl")
		if strings.Count(string(raw), os.Getenv("OP_ID")) < 3 {
			return say(codeTryAgain, "busy", 0, "another deployment is under way")
		}
	case "refuse":
		return say(codeRefused, "refused", 0, "refuse is not signed")
	case "crash":
		fmt.Fprintln(os.Stderr, "segmentation of the market")
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	case "daemon":
		// Leaves a process behind that holds its output.
		if err := exec.Command("sh", "-c", `echo $$ >daemon.pid; exec sleep 30`).Start(); err != nil {
			return say(1, "failed", 0, err.Error())
		}
	case "puzzled":
		return say(1, "unknown", 70, "the connection broke")
	}
	return finishDeploy(version)
}

func finishDeploy(version string) int {
	time.Sleep(20 * time.Millisecond)
	if err := os.WriteFile("live.new", []byte(version), 0o600); err != nil {
		return say(1, "failed", 0, err.Error())
	}
	if err := os.Rename("live.new", "live"); err != nil {
		return say(1, "failed", 0, err.Error())
	}
	return say(0, "done", 100, version+" is live")
}
