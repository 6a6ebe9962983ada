//go:build linux

package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
)

// freePort gives an address that nobody listens on now.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// TestRealAlertmanager: a rule of a real Prometheus fires, and its real
// Alertmanager tells the bot: the page arrives, is taken, and ends with the alert.
// What fired while the bot was down arrives by Alertmanager's retries, once.
func TestRealAlertmanager(t *testing.T) {
	prometheus, alertmanager := os.Getenv("QUARTERDECK_PROMETHEUS"), os.Getenv("QUARTERDECK_ALERTMANAGER")
	if prometheus == "" || alertmanager == "" {
		if all() {
			t.Fatal("QUARTERDECK_PROMETHEUS and QUARTERDECK_ALERTMANAGER are not set; run it by .ci/alertmanager")
		}
		t.Skip("it needs Prometheus and Alertmanager; .ci/alertmanager installs them")
	}
	t.Parallel()
	s := newStage(t)
	var failing atomic.Int64
	shop := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, "# TYPE orders_failing gauge\norders_failing %d\n", failing.Load())
	}))
	t.Cleanup(shop.Close)
	internal, promAt, amAt := freePort(t), freePort(t), freePort(t)

	raw, err := os.ReadFile(s.path("config.toml"))
	if err != nil {
		t.Fatal(err)
	}
	pager := strings.Replace(strings.ReplaceAll(stagePager, "WAIT", "1h"), "127.0.0.1:0", internal, 1)
	s.write("config.toml", strings.Replace(string(raw), "[auth]\n", pager, 1))
	s.write("monitor-token", "let-me-in")
	if err := os.Chmod(s.path("monitor-token"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.write("alertmanager.yml", fmt.Sprintf(`route:
  receiver: bot
  group_by: [alertname]
  group_wait: 1s
  group_interval: 1s
  repeat_interval: 1h
receivers:
- name: bot
  webhook_configs:
  - url: http://%s/webhooks/alertmanager
    http_config:
      authorization:
        credentials: let-me-in
`, internal))
	s.write("prometheus.yml", fmt.Sprintf(`global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: [rules.yml]
alerting:
  alertmanagers:
  - static_configs: [{targets: [%q]}]
scrape_configs:
- job_name: shop
  static_configs: [{targets: [%q]}]
`, amAt, strings.TrimPrefix(shop.URL, "http://")))
	s.write("rules.yml", `groups:
- name: shop
  rules:
  - alert: OrdersFail
    expr: orders_failing > 0
    labels: {service: shop, env: prod, severity: critical}
    annotations: {summary: "{{ $value }} orders fail", runbook_url: "https://wiki.example.com/orders"}
`)
	start := func(program string, args ...string) {
		ctx, cancel := context.WithCancel(context.Background())
		cmd := exec.CommandContext(ctx, program, args...)
		var said bytes.Buffer
		cmd.Dir, cmd.Stdout, cmd.Stderr = s.dir, &said, &said
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			cancel()
			_ = cmd.Wait() // it was killed
			if t.Failed() {
				t.Logf("%s says:\n%s", program, said.String())
			}
		})
	}
	start(alertmanager, "--config.file=alertmanager.yml", "--storage.path=am", "--web.listen-address="+amAt, "--cluster.listen-address=")
	start(prometheus, "--config.file=prometheus.yml", "--storage.tsdb.path=tsdb", "--web.listen-address="+promAt)
	list := func() string {
		a := s.ask("page list --all")
		s.end(a, 0)
		return a.out.String()
	}

	bot := s.serve("config.toml", "q.sock", "")
	failing.Store(1)
	s.until("the page arrives", func() bool { return strings.Contains(list(), "OrdersFail") })
	show := s.ask("page show 1")
	s.end(show, 0)
	for _, want := range []string{"1 orders fail", "https://wiki.example.com/orders", "critical"} {
		if !strings.Contains(show.out.String(), want) {
			t.Errorf("the page does not say %q:\n%s", want, show.out.String())
		}
	}
	s.end(s.ask("page ack 1"), 0)
	failing.Store(0)
	s.until("the page is resolved", func() bool { return strings.Contains(list(), "resolved") })

	s.kill9(bot)
	failing.Store(1)
	s.until("Alertmanager tells nobody", func() bool {
		r, err := http.Get("http://" + amAt + "/metrics")
		if err != nil {
			return false
		}
		defer r.Body.Close()
		raw, err := io.ReadAll(r.Body)
		for line := range strings.Lines(string(raw)) {
			if rest, ok := strings.CutPrefix(line, `alertmanager_notification_requests_failed_total{integration="webhook"} `); ok && strings.TrimSpace(rest) != "0" {
				return err == nil
			}
		}
		return false
	})
	s.serve("config.toml", "q.sock", "")
	s.until("the second page arrives", func() bool { return strings.Contains(list(), "triggered") })
	failing.Store(0)
	s.until("both pages are resolved", func() bool { return strings.Count(list(), "resolved") == 2 })
	if n := strings.Count(list(), "OrdersFail"); n != 2 {
		t.Errorf("there are %d pages:\n%s", n, list())
	}
}
