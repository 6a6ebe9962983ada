//go:build linux || darwin

package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"quarterdeck/adapters/prometheus/fakeprometheus"
)

// stagePanels measures the stage's targets. Beyond the third service there is one
// whose source is another, so that each can fail by itself.
const stagePanels = `
[panels.web.orders]
expr = 'orders{env="{env}"}'
unit = "orders/min"
level = "business"
below = 1
[panels.web.requests]
expr = 'requests{env="{env}"}'
unit = "req/s"
signal = "traffic"
[panels.web.errors]
expr = 'errors{env="{env}"}'
unit = "%%"
signal = "errors"
above = 2
[panels.web.p50]
expr = 'p50{env="{env}"}'
unit = "ms"
panel = "latency"
[panels.web.p95]
expr = 'p95{env="{env}"}'
unit = "ms"
panel = "latency"
signal = "latency"
above = 500
[panels.web.cpu]
expr = 'cpu{env="{env}"}'
unit = "%%"
level = "technical"
[provider.prom]
type = "prometheus"
api_url = %q
timeout = "2s"
scrape_interval = "15s"
[provider.other]
type = "prometheus"
api_url = %q
timeout = "2s"
`

// stageMetrics is the key of a script's fake Prometheus servers, by provider.
type stageMetrics struct{}

type stageServer struct {
	*fakeprometheus.Server
	http *httptest.Server
	hung chan struct{}
}

// with-metrics binds the stage's shop to a Prometheus of its own in each
// environment: staging to "other", prod to "prom".
func withMetrics(ts *testscript.TestScript, _ bool, _ []string) {
	servers := map[string]*stageServer{}
	for _, name := range []string{"prom", "other"} {
		s := &stageServer{Server: &fakeprometheus.Server{}, hung: make(chan struct{})}
		s.http = httptest.NewServer(s)
		ts.Defer(func() { close(s.hung); s.http.CloseClientConnections(); s.http.Close() })
		servers[name] = s
		env := map[string]string{"prom": "prod", "other": "staging"}[name]
		for metric, value := range map[string]float64{"orders": 120, "requests": 40, "errors": 0.5, "p50": 12, "p95": 45, "cpu": 20} {
			s.measures(metric, env, value)
		}
	}
	world(ts)[stageMetrics{}] = servers
	text := ts.ReadFile("config.toml")
	for env, name := range map[string]string{"prod": "prom", "staging": "other"} {
		header := "[service.shop." + env + "]\n"
		if strings.Count(text, header) != 1 {
			ts.Fatalf("%s does not stand once in the configuration", header)
		}
		text = strings.Replace(text, header, fmt.Sprintf("%smetrics = { provider = %q, panels = \"web\" }\n", header, name), 1)
	}
	text += fmt.Sprintf(stagePanels, servers["prom"].http.URL, servers["other"].http.URL)
	ts.Check(os.WriteFile(ts.MkAbs("config.toml"), []byte(text), 0o600))
}

// measures gives a metric a value.
func (s *stageServer) measures(metric, env string, value float64) {
	s.Set(fmt.Sprintf("%s{env=%q}", metric, env), fakeprometheus.Line{Value: func(time.Time) (float64, bool) { return value, true }})
}

// prometheus NAME measures METRIC ENV VALUE|nothing, or NAME hangs|refuses|breaks|
// answers: what becomes of a server.
func tellPrometheus(ts *testscript.TestScript, _ bool, args []string) {
	servers, ok := world(ts)[stageMetrics{}].(map[string]*stageServer)
	if !ok || len(args) < 2 || servers[args[0]] == nil {
		ts.Fatalf("usage: with-metrics first, then prometheus prom|other measures METRIC ENV VALUE|nothing, or hangs, refuses, denies, answers, unasked")
	}
	s := servers[args[0]]
	switch args[1] {
	case "measures":
		if args[4] == "nothing" {
			s.Set(fmt.Sprintf("%s{env=%q}", args[2], args[3]))
			return
		}
		v, err := strconv.ParseFloat(args[4], 64)
		ts.Check(err)
		s.measures(args[2], args[3], v)
	case "hangs":
		s.Respond(func(w http.ResponseWriter, r *http.Request) bool {
			select {
			case <-s.hung:
			case <-r.Context().Done():
			}
			return true
		})
	case "denies":
		s.Respond(func(w http.ResponseWriter, r *http.Request) bool {
			http.Error(w, "no", http.StatusUnauthorized)
			return true
		})
	case "refuses":
		s.Respond(func(w http.ResponseWriter, r *http.Request) bool {
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprint(w, `{"status":"error","errorType":"bad_data","error":"invalid parameter \"query\": 1:4: parse error: unclosed left parenthesis"}`)
			return true
		})
	case "answers":
		s.Respond(nil)
	case "unasked":
		if n := len(s.Asked()); n > 0 {
			ts.Fatalf("%s was asked %d times", args[0], n)
		}
	default:
		ts.Fatalf("a Prometheus does not %s", args[1])
	}
}
