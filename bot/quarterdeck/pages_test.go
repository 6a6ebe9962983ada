//go:build linux || darwin

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// stagePager is what scripts about pages add to the configuration: whoever is on
// call is asked first, then the next level, by chat and by a program.
const stagePager = `[listen]
internal = "127.0.0.1:0"
[service.shop.prod.alerts]
match = { service = "shop", env = "prod" }
runbook = "https://wiki.example.com/shop"
[pager]
channel = "file:pages.txt"
wider = "file:everybody.txt"
updates = "file:status.txt"
escalation = "default"
notify_delay = "50ms"
[pager.alertmanager]
bearer = "file:monitor-token"
[pager.schedule.primary]
[[pager.schedule.primary.rotation]]
persons = ["oncall"]
start = "2026-11-02 09:00"
[pager.policy.default]
repeat = 0
[[pager.policy.default.level]]
schedule = "primary"
wait = "WAIT"
ways = ["siren"]
[[pager.policy.default.level]]
persons = ["sre"]
wait = "WAIT"
[pager.way.siren]
type = "exec"
argv = ["/bin/sh", "-c", "echo $PAGE $PAGE_PERSON $PAGE_TITLE >>siren.log"]
[auth]
`

// withPager WAIT adds a pager whose levels wait so long for an answer.
func withPager(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: with-pager WAIT")
	}
	text, more := ts.ReadFile("config.toml"), strings.ReplaceAll(stagePager, "WAIT", args[0])
	if strings.Contains(text, "[listen]\n") { // it listens elsewhere too
		on := "[listen]\ninternal = \"127.0.0.1:0\"\n"
		text, more = strings.Replace(text, "[listen]\n", on, 1), strings.TrimPrefix(more, on)
	}
	text = strings.Replace(text, "[auth]\n", more, 1)
	ts.Check(os.WriteFile(ts.MkAbs("config.toml"), []byte(text), 0o600))
	ts.Check(os.WriteFile(ts.MkAbs("monitor-token"), []byte("let-me-in"), 0o600))
}

// monitor STATUS CODE NAME [LABEL=VALUE...] sends an alert as Alertmanager does,
// until the bot answers with the code. With the status "stranger" it fires, and
// the token is wrong.
func monitor(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 3 {
		ts.Fatalf("usage: monitor firing|resolved|stranger CODE NAME [LABEL=VALUE...]")
	}
	token, status := "let-me-in", args[0]
	if status == "stranger" {
		token, status = "let-me-out", "firing"
	}
	labels := map[string]string{"alertname": args[2], "severity": "critical"}
	for _, pair := range args[3:] {
		name, value, _ := strings.Cut(pair, "=")
		labels[name] = value
	}
	body, err := json.Marshal(map[string]any{"version": "4", "groupKey": "{}:{alertname=\"" + args[2] + "\"}", "status": status, "receiver": "bot", "notification_reason": "new here",
		"groupLabels": map[string]string{"alertname": args[2]}, "commonLabels": labels, "commonAnnotations": map[string]string{"summary": "one order in three fails"}, "externalURL": "http://alertmanager.example.com",
		"alerts": []any{map[string]any{"status": status, "labels": labels, "annotations": map[string]string{}, "startsAt": time.Date(2026, 11, 21, 3, 0, 0, 0, time.UTC), "fingerprint": "f" + args[2]}}})
	ts.Check(err)
	var url string
	for _, m := range listening.FindAllStringSubmatch(ts.ReadFile("bot.log"), -1) {
		if m[1]+m[3] == "internal" {
			url = "http://" + m[2] + m[4] + "/webhooks/alertmanager" // the newest process speaks last
		}
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	last := ""
	eventually(ts, fmt.Sprintf("%s from %s, last %s", args[1], url, last), func() bool {
		q, err := http.NewRequest(http.MethodPost, url, bytes.NewReader(body))
		ts.Check(err)
		q.Header.Set("Authorization", "Bearer "+token)
		r, err := client.Do(q)
		if err != nil {
			last = err.Error()
			return false
		}
		defer r.Body.Close()
		last = r.Status
		return fmt.Sprint(r.StatusCode) == args[1]
	})
}
