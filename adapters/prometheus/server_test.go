//go:build linux || darwin

package prometheusprovider

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/provider"
	"quarterdeck/bot/provider/providertest"
)

// server is a real Prometheus of one test.
type server struct {
	url string
	cmd *exec.Cmd
}

var listensOn = regexp.MustCompile(`msg="Listening on" address=(127\.0\.0\.1:\d+)`)

// started starts a real Prometheus on loopback that scrapes what is given, once a
// second; the test is skipped where there is none.
func started(t *testing.T, scrape string) *server {
	t.Helper()
	program := os.Getenv("QUARTERDECK_PROMETHEUS")
	if program == "" {
		if os.Getenv("QUARTERDECK_TEST_ALL") != "" {
			t.Fatal("QUARTERDECK_PROMETHEUS is not set; run .ci/prometheus go test")
		}
		t.Skip("needs a Prometheus server; make test-all has one")
	}
	dir := t.TempDir()
	config := "global: {scrape_interval: 1s}\nscrape_configs:\n- job_name: shop\n  static_configs: [{targets: [\"" + strings.TrimPrefix(scrape, "http://") + "\"], labels: {env: prod}}]\n"
	if err := os.WriteFile(filepath.Join(dir, "prometheus.yml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	s := &server{cmd: exec.Command(program, "--config.file="+filepath.Join(dir, "prometheus.yml"), "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address=127.0.0.1:0")}
	out, err := s.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = s.cmd.Process.Kill()
		_ = s.cmd.Wait() // killed
	})
	address, said := make(chan string, 1), &strings.Builder{}
	go func() {
		defer close(address)
		for lines, found := bufio.NewScanner(out), false; lines.Scan(); {
			if m := listensOn.FindStringSubmatch(lines.Text()); m != nil && !found {
				address <- m[1]
				found = true
			} else if !found {
				said.WriteString(lines.Text() + "\n")
			}
		}
	}()
	at, ok := <-address
	if !ok {
		t.Fatalf("Prometheus ended:\n%s", said)
	}
	s.url = "http://" + at
	// It answers queries once its database is open.
	for end := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		resp, err := http.Get(s.url + "/-/ready")
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return s
			}
		}
		if time.Now().After(end) {
			t.Fatalf("Prometheus is not ready: %v", err)
		}
	}
}

// TestRealConformance holds the adapter, and with it the fake that answers the
// same questions, against a real server.
func TestRealConformance(t *testing.T) {
	s := started(t, refusing(t))
	to := time.Now().UTC().Truncate(time.Hour)
	providertest.MetricSources(t, func(t *testing.T) providertest.MetricHarness {
		h := questions(to)
		h.Source = opened(t, s.url, "")
		return h
	})
}

// TestRealServer asks a real server about a real scrape: a range, an instant, what
// has no value, 20,000 points, and what it cannot read.
func TestRealServer(t *testing.T) {
	count := 0
	shop := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		count += 10 // one scrape at a time
		fmt.Fprintf(w, "http_requests_total{code=\"200\"} %d\nhttp_requests_total{code=\"500\"} %d\n", 3*count, count)
	}))
	t.Cleanup(shop.Close)
	s := started(t, shop.URL)
	source := opened(t, s.url, "")
	ctx := patient(t)
	errors := provider.Query{Name: "errors", Expr: `100 * sum(rate(http_requests_total{env="prod",code=~"5.."}[10s])) / sum(rate(http_requests_total{env="prod"}[10s]))`, Unit: "%"}
	for {
		m, err := source.Instant(ctx, errors, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if len(m.Series) == 1 && len(m.Series[0].Points) == 1 {
			if v := m.Series[0].Points[0].Value; v < 24 || v > 26 {
				t.Fatalf("the error rate is %v, want 25", v)
			}
			break
		}
		time.Sleep(100 * time.Millisecond) // until it has scraped twice
	}
	now := time.Now()
	m, err := source.Range(ctx, provider.Query{Name: "requests", Expr: `http_requests_total{env="prod"}`}, provider.Span{From: now.Add(-time.Minute), To: now, Step: time.Second})
	if err != nil || len(m.Series) != 2 || m.Series[0].Label != "code=200" || m.Series[1].Label != "code=500" {
		t.Fatalf("a range gives %+v, %v", m, err)
	}
	m, err = source.Range(ctx, provider.Query{Name: "time", Expr: "time()"}, provider.Span{From: now.Add(-20_000 * time.Second), To: now, Step: time.Second})
	if err != nil || len(m.Series) != 1 || m.Step != 2*time.Second || len(m.Series[0].Points) < 9_999 || len(m.Warnings) != 1 {
		t.Fatalf("20,000 points give %d lines, %s apart, %q, %v", len(m.Series), m.Step, m.Warnings, err)
	}
	for name, c := range map[string]struct{ expr, want string }{
		"a bad query":       {"sum(rate(", `prom refuses the query "x": invalid parameter "query": 1:10: parse error: unclosed left parenthesis`},
		"what is ambiguous": {"http_requests_total * on(env) up", `prom refuses the query "x": multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)`},
	} {
		if _, err := source.Instant(ctx, provider.Query{Name: "x", Expr: c.expr}, now); bot.KindOf(err) != bot.Invalid || bot.Sentence(err, "x") != c.want {
			t.Errorf("%s gives %v\nwant %s", name, err, c.want)
		}
	}
}

// TestRealServerInTrouble has the server stop in the middle of a query, and be
// killed in the middle of one.
func TestRealServerInTrouble(t *testing.T) {
	s := started(t, refusing(t))
	source := opened(t, s.url, `timeout = "400ms"`)
	q := provider.Query{Name: "known", Expr: "vector(time())"}
	if _, err := source.Instant(patient(t), q, time.Now()); err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	if _, err := source.Instant(patient(t), q, time.Now()); bot.KindOf(err) != bot.Timeout || bot.Sentence(err, "x") != "prom gives no answer in time" {
		t.Errorf("a server that hangs gives %v", err)
	}
	// The next one is under way when the server is killed.
	sent := make(chan struct{}, 1)
	ctx := httptrace.WithClientTrace(patient(t), &httptrace.ClientTrace{WroteRequest: func(httptrace.WroteRequestInfo) { sent <- struct{}{} }})
	long := opened(t, s.url, `timeout = "60s"`)
	answered := make(chan error, 1)
	go func() {
		_, err := long.Instant(ctx, q, time.Now())
		answered <- err
	}()
	<-sent
	if err := s.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := <-answered; bot.KindOf(err) != bot.Unavailable {
		t.Errorf("a server that is killed gives %v", err)
	}
	if _, err := long.Instant(patient(t), q, time.Now()); bot.KindOf(err) != bot.Unavailable || bot.Sentence(err, "x") != "prom cannot be reached" {
		t.Errorf("a server that is gone gives %v", err)
	}
}

func patient(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	t.Cleanup(cancel)
	return ctx
}
