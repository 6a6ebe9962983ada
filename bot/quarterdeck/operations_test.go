//go:build linux || darwin

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// watchers gives the commands of those who watch the bot from outside: a monitor,
// a dead man's switch, an init system.
func watchers() map[string]command {
	return map[string]command{"get": get, "switch": deadMansSwitch, "beats": beats, "logged": logged,
		"taken": taken, "unit": unit, "notified": notified, "terminate": terminate, "ended": ended}
}

var listening = regexp.MustCompile(`msg=listening listener=(\w+) address=(\S+)|"msg":"listening","listener":"(\w+)","address":"([^"]+)"`)

// get LISTENER PATH STATUS [TEXT...] asks until the answer has the status and
// every text, as a monitor does.
func get(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 3 {
		ts.Fatalf("usage: get LISTENER PATH STATUS [TEXT...]")
	}
	var url string
	for _, m := range listening.FindAllStringSubmatch(ts.ReadFile("bot.log"), -1) {
		if m[1]+m[3] == args[0] {
			url = "http://" + m[2] + m[4] + args[1] // the newest process speaks last
		}
	}
	if url == "" {
		ts.Fatalf("the bot does not listen on %s", args[0])
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	var last string
	defer func() { fmt.Fprint(ts.Stdout(), last) }()
	eventually(ts, fmt.Sprintf("%s %q from %s, which says last\n%s", args[2], args[3:], url, last), func() bool {
		r, err := client.Get(url)
		if err != nil {
			last = err.Error()
			return false
		}
		defer r.Body.Close()
		raw, err := io.ReadAll(r.Body)
		last = fmt.Sprintf("%d %s", r.StatusCode, raw)
		if err != nil || strconv.Itoa(r.StatusCode) != args[2] {
			return false
		}
		for _, text := range args[3:] {
			if !strings.Contains(string(raw), text) {
				return false
			}
		}
		return true
	})
}

// taken CONFIG has a second bot want the address of the one that runs.
func taken(ts *testscript.TestScript, _ bool, args []string) {
	var address string
	for _, m := range listening.FindAllStringSubmatch(ts.ReadFile("bot.log"), -1) {
		if m[1]+m[3] == "internal" {
			address = m[2] + m[4]
		}
	}
	rewrite(ts, false, []string{args[0], `internal = "127.0.0.1:0"`, fmt.Sprintf("internal = %q", address)})
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	out, err := program(ctx, ts, args[0], "serve").CombinedOutput()
	want := fmt.Sprintf("listen.internal = %q is in use by another program", address)
	if err == nil || !strings.Contains(string(out), want) {
		ts.Fatalf("it ended with %v and said %s, want %s", err, out, want)
	}
}

// heard is the key of the script's dead man's switch.
type heard struct{}

// switch FILE starts a dead man's switch and writes its address to a file.
func deadMansSwitch(ts *testscript.TestScript, _ bool, args []string) {
	beats := &atomic.Int64{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if q.URL.Path == "/ping/hunter2" {
			beats.Add(1)
		}
	}))
	ts.Defer(s.Close)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(s.URL+"/ping/hunter2\n"), 0o600))
	world(ts)[heard{}] = beats
}

// beats waits until a heartbeat was heard.
func beats(ts *testscript.TestScript, _ bool, _ []string) {
	n := world(ts)[heard{}].(*atomic.Int64)
	eventually(ts, "a heartbeat", func() bool { return n.Load() > 0 })
}

// logged KEY=VALUE... looks for a line of the bot's log, in JSON, that has them all.
func logged(ts *testscript.TestScript, neg bool, args []string) {
	found := false
	for line := range strings.Lines(ts.ReadFile("bot.log")) {
		var m map[string]any
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			ts.Fatalf("no JSON: %s", line)
		}
		has := true
		for _, a := range args {
			key, value, _ := strings.Cut(a, "=")
			has = has && m[key] != nil && strings.Contains(fmt.Sprint(m[key]), value)
		}
		found = found || has
	}
	if found == neg {
		ts.Fatalf("%v in a line (not: %v):\n%s", args, neg, ts.ReadFile("bot.log"))
	}
}

// unit makes what follows a service that its init system waits to hear from.
func unit(ts *testscript.TestScript, _ bool, _ []string) {
	path := ts.MkAbs("n.sock")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	ts.Check(err)
	states := make(chan string, 1000)
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 4096)
		for {
			n, err := conn.Read(buf)
			if err != nil {
				return
			}
			states <- string(buf[:n])
		}
	}()
	ts.Defer(func() { conn.Close(); <-done })
	ts.Setenv("NOTIFY_SOCKET", path)
	ts.Setenv("WATCHDOG_USEC", "200000")
	world(ts)[notify{}] = states
}

type notify struct{}

// notified STATE... waits until the init system heard each, in this order.
func notified(ts *testscript.TestScript, _ bool, args []string) {
	states := world(ts)[notify{}].(chan string)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for _, want := range args {
		for got := ""; got != want; {
			select {
			case got = <-states:
			case <-ctx.Done():
				ts.Fatalf("the init system never heard %s", want)
			}
		}
	}
}

// terminate [CONFIG] asks the bot to stop and does not wait.
func terminate(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(running(ts)[configName(args)].cmd.Process.Signal(syscall.SIGTERM))
}

// ended [CONFIG] waits until the bot has stopped by itself, with success.
func ended(ts *testscript.TestScript, _ bool, args []string) {
	config := configName(args)
	b := running(ts)[config]
	select {
	case <-b.ended:
	case <-time.After(patience):
		ts.Fatalf("the bot did not stop: %s", ts.ReadFile("bot.log"))
	}
	if code := b.cmd.ProcessState.ExitCode(); code != 0 {
		ts.Fatalf("the bot stopped with %d: %s", code, ts.ReadFile("bot.log"))
	}
	delete(running(ts), config)
}

// TestNoCommandIsShadowed keeps the scripts' own commands apart from those of the
// script engine, which come first: a script with "stop" in it once ended there.
func TestNoCommandIsShadowed(t *testing.T) {
	for _, name := range []string{"cd", "chmod", "cmp", "cmpenv", "cp", "env", "exec", "exists", "grep", "kill", "mkdir", "mv", "rm", "skip",
		"stderr", "stdin", "stdout", "stop", "symlink", "ttyin", "ttyout", "unix2dos", "unquote", "wait"} {
		if _, both := cast()[name]; both {
			t.Errorf("%q is the script engine's", name)
		}
	}
}

type worlds struct{}

// world keeps what the watchers of one script share.
func world(ts *testscript.TestScript) map[any]any { return ts.Value(worlds{}).(map[any]any) }
