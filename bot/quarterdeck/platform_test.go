//go:build linux || darwin

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// platformArg makes the test binary the team's own program for deployments.
const platformArg = "__platform"

// stagePlatform keeps what is live in files of its working directory: ENV/live,
// and ENV/deploying while it works. It appends everything it is asked to change
// to effects.log, before it does it. Files named slow, fail, refuse, silent in
// ENV make it hold up what is deployed, fail, refuse, or not answer; v4 never
// becomes healthy. A component is in a folder of its own, ENV/COMPONENT, and so
// is what a step before or after does, which has nothing live.
func stagePlatform(verb string, component ...string) (code int) {
	env := filepath.Join(append([]string{os.Getenv("OP_ENV")}, component...)...)
	at := func(name string) string { return filepath.Join(env, name) }
	there := func(name string) bool { _, err := os.Stat(at(name)); return err == nil }
	say := func(code int, phase, format string, args ...any) int {
		_ = json.NewEncoder(os.Stdout).Encode(map[string]any{"phase": phase, "message": fmt.Sprintf(format, args...)})
		return code
	}
	live, err := os.ReadFile(at("live"))
	if err != nil && verb != "step" {
		return say(1, "failed", "nothing is live")
	}
	switch verb {
	case "current":
		if there("silent") {
			return say(1, "failed", "the platform does not answer")
		}
		deploying, _ := os.ReadFile(at("deploying")) // empty when nothing is
		count := stageCount(env)
		_ = json.NewEncoder(os.Stdout).Encode(map[string]any{"version": string(live), "running": count, "healthy": count, "desired": count, "deploying": string(deploying)})
		return 0
	case "logs": // ENV/log, a line a second until now
		if there("silent") {
			return say(1, "failed", "the platform does not answer")
		}
		text, _ := os.ReadFile(at("log")) // none is empty
		written := strings.Split(strings.TrimSpace(string(text)), "\n")
		lines := []map[string]any{}
		for i, line := range written {
			if line != "" {
				lines = append(lines, map[string]any{"at": time.Now().Add(time.Duration(i-len(written)) * time.Second), "stream": "web-1", "text": line})
			}
		}
		_ = json.NewEncoder(os.Stdout).Encode(map[string]any{"lines": lines})
		return 0
	case "releases":
		var all []map[string]any
		for n, v := range []string{"v1", "v2", "v3", "v4"} {
			all = append(all, map[string]any{"version": v, "artefact": "sha256:" + strings.Repeat(fmt.Sprint(n+1), 64),
				"created": time.Date(2026, 11, 1+n, 0, 0, 0, 0, time.UTC)})
		}
		_ = json.NewEncoder(os.Stdout).Encode(all)
		return 0
	}

	term := make(chan os.Signal, 1)
	signal.Notify(term, syscall.SIGTERM)
	version := os.Getenv("OP_VERSION")
	log, err := os.OpenFile("effects.log", os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return say(1, "failed", "%v", err)
	}
	if verb == "scale" {
		version = os.Getenv("OP_COUNT")
	}
	if _, err := fmt.Fprintf(log, "%s %s %s by %s from %s because %q as %s\n", verb, env, version,
		os.Getenv("OP_ACTOR"), os.Getenv("OP_FROM"), os.Getenv("OP_REASON"), os.Getenv("OP_ID")); err != nil {
		return say(1, "failed", "%v", err)
	}
	switch {
	case there("refuse"):
		return say(2, "refused", "the release window is closed")
	case there("careless"): // it tells everybody its secret
		fmt.Fprintf(log, "signing in with %s\n", os.Getenv("TOKEN"))
		return say(1, "failed", "could not sign in with %s", os.Getenv("TOKEN"))
	case there("fail"):
		return say(1, "failed", "the disk is full")
	}
	if verb == "scale" {
		say(0, "scaling", "one after the other")
		for end := time.Now().Add(time.Minute); there("slow") && time.Now().Before(end); {
			select {
			case <-term:
				return say(1, "aborted", "stopped; there are %d", stageCount(env))
			case <-time.After(5 * time.Millisecond):
			}
		}
		if err := os.WriteFile(at("count.new"), []byte(version), 0o600); err != nil {
			return say(1, "failed", "%v", err)
		}
		if err := os.Rename(at("count.new"), at("count")); err != nil {
			return say(1, "failed", "%v", err)
		}
		return say(0, "done", "%s runs %s instances", env, version)
	}
	if err := os.WriteFile(at("deploying"), []byte(version), 0o600); err != nil {
		return say(1, "failed", "%v", err)
	}
	defer os.Remove(at("deploying"))
	say(0, "rolling", "replacing 1 of 2")
	for end := time.Now().Add(time.Minute); verb != "rollback" && there("slow") && time.Now().Before(end); {
		select {
		case <-term:
			return say(1, "aborted", "stopped; %s is still live", live)
		case <-time.After(5 * time.Millisecond):
		}
	}
	if verb == "step" {
		return say(0, "done", "the step was done")
	}
	if version == "v4" {
		return say(1, "rolled-back", "v4 never became healthy: /healthz answered 503; %s is back", live)
	}
	if err := os.WriteFile(at("live.new"), []byte(version), 0o600); err != nil {
		return say(1, "failed", "%v", err)
	}
	if err := os.Rename(at("live.new"), at("live")); err != nil {
		return say(1, "failed", "%v", err)
	}
	return say(0, "done", "%s is live in %s", version, env)
}

// stageCount gives how many instances an environment is said to have.
func stageCount(env string) int {
	raw, err := os.ReadFile(filepath.Join(env, "count"))
	if err != nil {
		return 2 // as it was in the beginning
	}
	n, err := strconv.Atoi(string(raw))
	if err != nil {
		return -1
	}
	return n
}

// stageConfig is a small team's. The scripts change it with rewrite.
const stageConfig = `[bot]
database = "sqlite:quarterdeck.db"
socket = "q.sock"
state = "state"
rate = 10000

[audit]
channels = ["file:audit-channel.txt"]
key = "file:keys/audit.key"

[chat.terminal]
impersonate = true
[chat.file]
dir = "channels"

[[person]]
name = "dev"
accounts = ["terminal:dev", "terminal:dev-phone"]
roles = ["developer"]
[[person]]
name = "oncall"
accounts = ["terminal:oncall"]
roles = ["sre", "developer"]
[[person]]
name = "sre"
accounts = ["terminal:sre"]
roles = ["sre"]
[[person]]
name = "guest"
accounts = ["terminal:guest"]
roles = ["visitor"]
[[person]]
name = "owner"
accounts = ["os:UID"]
roles = ["visitor"]

[[grant]]
roles = ["developer"]
permissions = ["deploy", "rollback", "restart", "scale", "backup.read", "restore-test", "lock", "status", "history", "logs", "metrics", "run.read", "page.*", "oncall"]
targets = ["shop/*"]
flags = ["*/*"]
[[grant]]
roles = ["developer", "sre"]
permissions = ["audit"]
[[grant]]
roles = ["developer", "sre"]
permissions = ["flag.*"]
flags = ["*/*"]
[[grant]]
roles = ["sre"]
permissions = ["run.cancel", "release.override", "scale", "scale.override", "break-glass", "run.read", "lock", "lock.steal", "freeze", "freeze.override", "halt", "totp.reset", "page.*", "oncall", "oncall.override"]
targets = ["shop/*"]
flags = ["*/*"]
[[grant]]
roles = ["visitor"]
permissions = ["status"]
targets = ["shop/staging"]
[[digest]]
name = "daily"
at = "0 9 29 2 *" # no test waits for it
channel = "file:digests.txt"
[[grant]]
persons = ["digest:daily"]
permissions = ["digest", "history", "status", "run.read", "audit"]
targets = ["shop/*"]
[[grant]]
roles = ["sre"]
permissions = ["digest"]
[[require]]
permissions = ["deploy", "restart", "scale"]
targets = ["*/prod"]
confirm = true
approvals = { count = 1, from = ["sre"] }

[environment.staging]
[environment.prod]

[provider.platform]
type = "exec"
dir = "platform"
retry_after = "50ms"
[provider.embedded]
type = "flags"
rings = [{ name = "internal", attribute = "email", ends_with = ["@example.com"] }, { name = "beta", attribute = "plan", in = ["beta"] }]

[service.shop.staging]
deploy = DEPLOY
scale = SCALE
flags = { provider = "embedded", keys = ["file:keys/shop-staging"] }
[service.shop.prod]
deploy = DEPLOY
scale = SCALE
logs = LOGS
flags = { provider = "embedded", keys = ["file:keys/shop-prod"] }

[auth]
totp_key = "file:keys/totp.key"
`
