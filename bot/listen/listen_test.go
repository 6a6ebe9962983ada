package listen_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"quarterdeck/bot"
	"quarterdeck/bot/bottest"
	"quarterdeck/bot/listen"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// meter counts panics.
type meter struct {
	bot.NoMeter
	mu     sync.Mutex
	panics []string
}

func (m *meter) Panicked(part string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.panics = append(m.panics, part)
}

// up opens all three listeners on ports that the system chose.
func up(t *testing.T, c listen.Config) (urls map[bot.Listener]string, stop func()) {
	t.Helper()
	c.IDs = &bottest.IDs{}
	if c.Addresses == nil {
		c.Addresses = map[bot.Listener]string{bot.OnPublic: "127.0.0.1:0", bot.OnInternal: "127.0.0.1:0", bot.OnFlags: "127.0.0.1:0"}
	}
	l, err := listen.New(c)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- l.Run(ctx) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			if err := <-ended; err != nil {
				t.Errorf("it ended with %v", err)
			}
			http.DefaultClient.CloseIdleConnections()
		})
	}
	t.Cleanup(stop)
	urls = map[bot.Listener]string{}
	for on := range c.Addresses {
		urls[on] = "http://" + l.Address(on).String()
	}
	return urls, stop
}

func text(s string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, s) })
}

// ask gives status and body.
func ask(t *testing.T, method, url, body string) (status int, said string, header http.Header) {
	t.Helper()
	q, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.DefaultClient.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	raw, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r.StatusCode, string(raw), r.Header
}

// Each listener answers what belongs on it, and is a stranger to the rest.
func TestEachAnswersItsOwn(t *testing.T) {
	urls, _ := up(t, listen.Config{Routes: []bot.Route{
		{On: bot.OnInternal, Method: "GET", Path: "/healthz", Handler: text("well")},
		{On: bot.OnPublic, Method: "POST", Path: "/webhooks/{source}", MaxBody: 10, Handler: http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
			raw, err := io.ReadAll(q.Body)
			fmt.Fprint(w, q.PathValue("source"), " ", string(raw), " ", err)
		})},
		{On: bot.OnFlags, Method: "GET", Path: "/ofrep/v1/configuration", Handler: text("flags")},
	}})
	for _, c := range []struct {
		on           bot.Listener
		method, path string
		body         string
		status       int
		said         string
	}{
		{bot.OnInternal, "GET", "/healthz", "", 200, "well"},
		{bot.OnInternal, "GET", "/healthz?x=1", "", 200, "well"},
		{bot.OnPublic, "GET", "/healthz", "", 404, "not found\n"},
		{bot.OnFlags, "GET", "/healthz", "", 404, "not found\n"},
		{bot.OnInternal, "GET", "/", "", 404, "not found\n"},
		{bot.OnInternal, "GET", "/healthz/more", "", 404, "not found\n"},
		{bot.OnInternal, "GET", "/debug/pprof/", "", 404, "not found\n"},
		{bot.OnInternal, "POST", "/healthz", "", 405, "use GET, HEAD\n"},
		{bot.OnInternal, "GET", "/webhooks/github", "", 404, "not found\n"},
		{bot.OnPublic, "POST", "/webhooks/github", "0123456789", 200, "github 0123456789 <nil>"},
		{bot.OnPublic, "POST", "/webhooks/github", "0123456789x", 413, "the body is larger than 10 bytes\n"},
		{bot.OnPublic, "GET", "/webhooks/github", "", 405, "use POST\n"},
		{bot.OnFlags, "GET", "/ofrep/v1/configuration", "", 200, "flags"},
		{bot.OnFlags, "GET", "/ofrep/v1/configuration", "a body", 413, "the body is larger than 0 bytes\n"},
	} {
		status, said, header := ask(t, c.method, urls[c.on]+c.path, c.body)
		if status != c.status || said != c.said {
			t.Errorf("%s %s on %s: %d %q, want %d %q", c.method, c.path, c.on, status, said, c.status, c.said)
		}
		if header.Get("Server") != "" || header.Get("X-Powered-By") != "" {
			t.Errorf("%s tells what it is: %v", c.path, header)
		}
	}
}

// A body whose length is not told is cut off where it is read.
func TestUntoldLength(t *testing.T) {
	urls, _ := up(t, listen.Config{Routes: []bot.Route{{On: bot.OnPublic, Method: "POST", Path: "/slack/events", MaxBody: 4,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
			raw, err := io.ReadAll(q.Body)
			var much *http.MaxBytesError
			fmt.Fprint(w, len(raw), " ", errors.As(err, &much))
		})}}})
	q, err := http.NewRequestWithContext(t.Context(), "POST", urls[bot.OnPublic]+"/slack/events", io.MultiReader(strings.NewReader("0123456789")))
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.DefaultClient.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	if raw, err := io.ReadAll(r.Body); err != nil || string(raw) != "4 true" {
		t.Errorf("read %q, %v", raw, err)
	}
}

func TestTooLargeHeader(t *testing.T) {
	urls, _ := up(t, listen.Config{Routes: []bot.Route{{On: bot.OnInternal, Method: "GET", Path: "/healthz", Handler: text("well")}}})
	q, err := http.NewRequestWithContext(t.Context(), "GET", urls[bot.OnInternal]+"/healthz", nil)
	if err != nil {
		t.Fatal(err)
	}
	q.Header.Set("X-Long", strings.Repeat("x", 64<<10))
	r, err := http.DefaultClient.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	if r.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("status %d", r.StatusCode)
	}
}

// A panic is a sentence with a reference, which the log has too, and never a
// stack; one in the middle of an answer cuts it off.
func TestPanic(t *testing.T) {
	var log bytes.Buffer
	m := &meter{}
	urls, stop := up(t, listen.Config{Meter: m, Logger: slog.New(slog.NewTextHandler(&log, nil)), Routes: []bot.Route{
		{On: bot.OnInternal, Method: "GET", Path: "/healthz", Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Half", "made")
			panic("the secret cause")
		})},
		{On: bot.OnInternal, Method: "GET", Path: "/metrics", Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, "half")
			_ = http.NewResponseController(w).Flush()
			panic("later")
		})},
		{On: bot.OnInternal, Method: "GET", Path: "/readyz", Handler: text("ready")},
	}})
	status, said, header := ask(t, "GET", urls[bot.OnInternal]+"/healthz", "")
	ref, found := strings.CutPrefix(strings.TrimSpace(said), "internal error, ref ")
	if status != 500 || !found || ref == "" || header.Get("X-Half") != "" {
		t.Errorf("%d %q %v", status, said, header)
	}
	r, err := http.Get(urls[bot.OnInternal] + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(r.Body); err == nil {
		t.Error("half an answer looks like a whole one")
	}
	r.Body.Close()
	if status, said, _ := ask(t, "GET", urls[bot.OnInternal]+"/readyz", ""); status != 200 || said != "ready" {
		t.Errorf("after a panic: %d %q", status, said)
	}
	stop()
	if !strings.Contains(log.String(), "ref="+ref) || !strings.Contains(log.String(), "the secret cause") || len(m.panics) != 2 {
		t.Errorf("the log has %q, counted %v", log.String(), m.panics)
	}
}

// What is under way when it stops gets its answer; what comes later finds nobody.
func TestGracefulStop(t *testing.T) {
	begun, goOn := make(chan struct{}), make(chan struct{})
	urls, stop := up(t, listen.Config{Routes: []bot.Route{{On: bot.OnFlags, Method: "GET", Path: "/ofrep/v1/slow", Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(begun)
		<-goOn
		fmt.Fprint(w, "whole")
	})}}})
	got := make(chan string, 1)
	go func() {
		r, err := http.Get(urls[bot.OnFlags] + "/ofrep/v1/slow")
		if err != nil {
			got <- err.Error()
			return
		}
		defer r.Body.Close()
		raw, _ := io.ReadAll(r.Body) // what there is decides
		got <- string(raw)
	}()
	<-begun
	stopped := make(chan struct{})
	go func() { stop(); close(stopped) }()
	for { // until it takes no more
		c, err := net.Dial("tcp", strings.TrimPrefix(urls[bot.OnFlags], "http://"))
		if err != nil {
			break
		}
		c.Close()
	}
	close(goOn)
	if said := <-got; said != "whole" {
		t.Errorf("it got %q", said)
	}
	<-stopped
}

// Connections beyond the bound are closed, and their places are free again.
func TestConnectionLimit(t *testing.T) {
	urls, _ := up(t, listen.Config{MaxOpen: 2, Routes: []bot.Route{{On: bot.OnInternal, Method: "GET", Path: "/healthz", Handler: text("well")}}})
	address := strings.TrimPrefix(urls[bot.OnInternal], "http://")
	dial := func() net.Conn {
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	asked := func(c net.Conn) error {
		if err := c.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
			return err
		}
		if _, err := fmt.Fprint(c, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			return err
		}
		r, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err == nil {
			r.Body.Close()
		}
		return err
	}
	first, second := dial(), dial()
	if err := errors.Join(asked(first), asked(second)); err != nil {
		t.Fatal(err)
	}
	if err := asked(dial()); err == nil {
		t.Error("a third connection is served")
	}
	first.Close()
	for { // once the server has seen that the first is gone
		if asked(dial()) == nil {
			break
		}
		if t.Context().Err() != nil {
			t.Fatal("the place is never free again")
		}
	}
}

// What cannot be had is said with its key, and nothing stays open.
func TestInUse(t *testing.T) {
	other, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	l, err := listen.New(listen.Config{IDs: &bottest.IDs{}, Addresses: map[bot.Listener]string{bot.OnPublic: "127.0.0.1:0", bot.OnInternal: other.Addr().String()}})
	if err != nil {
		t.Fatal(err)
	}
	err = l.Open(t.Context())
	want := fmt.Sprintf("listen.internal = %q is in use by another program; give it another port, or stop that one", other.Addr())
	if bot.KindOf(err) != bot.Invalid || bot.Sentence(err, "") != want {
		t.Errorf("says %v, want %s", err, want)
	}
	if c, err := net.Dial("tcp", l.Address(bot.OnPublic).String()); err == nil {
		c.Close()
		t.Error("the other listener stayed open")
	}
}

// A route on the wrong listener is a mistake of ours, found at the start.
func TestWrongRoutes(t *testing.T) {
	well := text("well")
	for name, routes := range map[string][]bot.Route{
		"an unsigned path in public":  {{On: bot.OnPublic, Method: "GET", Path: "/metrics", Handler: well}},
		"a signed path inside":        {{On: bot.OnInternal, Method: "POST", Path: "/slack/events", Handler: well}},
		"everything":                  {{On: bot.OnFlags, Method: "GET", Path: "/", Handler: well}},
		"everything below":            {{On: bot.OnPublic, Method: "POST", Path: "/webhooks/", Handler: well}},
		"a listener that is not":      {{On: "admin", Method: "GET", Path: "/healthz", Handler: well}},
		"no method":                   {{On: bot.OnInternal, Path: "/healthz", Handler: well}},
		"no handler":                  {{On: bot.OnInternal, Method: "GET", Path: "/healthz"}},
		"one path twice":              {{On: bot.OnInternal, Method: "GET", Path: "/healthz", Handler: well}, {On: bot.OnInternal, Method: "GET", Path: "/healthz", Handler: well}},
		"a pattern that is not one":   {{On: bot.OnPublic, Method: "POST", Path: "/webhooks/{a", Handler: well}},
		"a neighbour of what belongs": {{On: bot.OnPublic, Method: "POST", Path: "/slackbot", Handler: well}},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := listen.New(listen.Config{IDs: &bottest.IDs{}, Routes: routes}); bot.KindOf(err) != bot.Internal {
				t.Errorf("error is %v", err)
			}
		})
	}
}
