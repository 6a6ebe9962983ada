//go:build linux || darwin

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// stagePay is the service of several components; scripts that want it add it.
const stagePay = `
[[grant]]
roles = ["developer"]
permissions = ["deploy", "rollback", "restart", "status", "history", "run.read"]
targets = ["pay/staging"]
[[grant]]
roles = ["sre"]
permissions = ["release.override"]
targets = ["pay/staging"]
[service.pay.staging.deploy]
order = ["web", "worker", "cron"]
before = STEP before
after = STEP after
[service.pay.staging.deploy.components]
web = PIECE web
worker = PIECE worker
cron = PIECE cron
`

// withPieces gives the configuration of pay/staging, and makes the folders of its
// components with v1 live.
func withPieces(self, dir string) (string, error) {
	text := stagePay
	argv := func(verb, component string) string {
		return fmt.Sprintf("[%q, %q, %q, %q]", self, platformArg, verb, component)
	}
	for _, step := range []string{"before", "after"} {
		text = strings.Replace(text, "STEP "+step, fmt.Sprintf(`{ provider = "platform", argv = %s }`, argv("step", step)), 1)
		if err := os.MkdirAll(filepath.Join(dir, "platform", "staging", step), 0o700); err != nil {
			return "", err
		}
	}
	for _, c := range []string{"web", "worker", "cron"} {
		text = strings.Replace(text, "PIECE "+c, fmt.Sprintf(`{ provider = "platform", argv = %s, rollback = %s, restart = %s, current = %s, releases = %s, kill_after = "10s" }`,
			argv("deploy", c), argv("rollback", c), argv("restart", c), argv("current", c), argv("releases", c)), 1)
		live := filepath.Join(dir, "platform", "staging", c, "live")
		if err := os.MkdirAll(filepath.Dir(live), 0o700); err != nil {
			return "", err
		}
		if err := os.WriteFile(live, []byte("v1"), 0o600); err != nil {
			return "", err
		}
	}
	return text, nil
}
