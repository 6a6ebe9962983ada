package health_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"quarterdeck/adapters/sqlite"
	"quarterdeck/bot"
	"quarterdeck/bot/health"
	"quarterdeck/bot/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) forward(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

// sick is a store that takes no writes for as long as it is told to.
type sick struct {
	store.Store
	mu    sync.Mutex
	fault error
}

func (s *sick) set(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = err
}

func (s *sick) Update(ctx context.Context, f func(store.Tx) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fault != nil {
		return s.fault
	}
	return s.Store.Update(ctx, f)
}

// lost is a chat network whose connection is lost.
type lost struct{ bot.Chat }

func (lost) Connection() bot.Connection {
	return bot.Connection{Since: noon.Add(-90 * time.Second), Reconnects: 3}
}

// rig is a monitor over a real store.
type rig struct {
	*health.Monitor
	store  *sick
	clock  *clock
	turned *clock // when the engine last turned
	log    *buffer
}

type buffer struct {
	mu sync.Mutex
	bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.Write(p)
}

func (b *buffer) text() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.String()
}

func newRig(t *testing.T) *rig {
	t.Helper()
	s, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "q.db"))
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{store: &sick{Store: s}, clock: &clock{now: noon}, turned: &clock{now: noon}, log: &buffer{}}
	r.Monitor = health.NewMonitor(health.Config{Store: r.store, Clock: r.clock, Logger: slog.New(slog.NewTextHandler(r.log, nil)),
		Turned: map[string]func() time.Time{"engine": r.turned.Now}, Chats: map[string]bot.Chat{"slack": lost{}, "terminal": session{}}, Every: 5 * time.Millisecond})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); _ = r.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		<-ended
		s.Close()
	})
	<-r.First()
	return r
}

func (r *rig) ask(t *testing.T, path string) (status int, said string) {
	t.Helper()
	for _, route := range r.Routes() {
		if route.Path == path {
			w := httptest.NewRecorder()
			route.Handler.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", path, nil))
			return w.Code, w.Body.String()
		}
	}
	t.Fatalf("there is no %s", path)
	return 0, ""
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

func (r *rig) is(t *testing.T, ready, well int, in ...string) {
	t.Helper()
	if status, said := r.ask(t, "/readyz"); status != ready {
		t.Errorf("/readyz gives %d %s, want %d", status, said, ready)
	}
	status, said := r.ask(t, "/healthz")
	if status != well {
		t.Errorf("/healthz gives %d, want %d", status, well)
	}
	for _, text := range in {
		if !strings.Contains(said, text) {
			t.Errorf("/healthz does not say %q:\n%s", text, said)
		}
	}
}

// A lost chat connection is told of, and nothing is taken down for it.
func TestWell(t *testing.T) {
	r := newRig(t)
	r.is(t, 200, 200, "process: up for 0s\n", "store: writable", "chat slack: NOT connected for 1m30s, made anew 3 times", "outbox: nothing waits", "runs: none open")
	if err := r.Fault(); err != nil {
		t.Errorf("the fault is %v", err)
	}
}

// session is a network whose channels are there only while somebody is.
type session struct{ bot.Chat }

func (session) Kept() time.Duration { return 10 * time.Minute }

// What waits for a terminal that was closed is no lag.
func TestClosedTerminal(t *testing.T) {
	r := newRig(t)
	err := r.store.Update(t.Context(), func(tx store.Tx) error {
		_, err := tx.Enqueue(store.Outgoing{Channel: "terminal:s1", Card: []byte("{}"), Created: noon, NextAt: noon})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	r.is(t, 200, 200, "outbox: nothing waits; 1 for sessions that went away")
}

// What waits is told with its age.
func TestWaiting(t *testing.T) {
	r := newRig(t)
	err := r.store.Update(t.Context(), func(tx store.Tx) error {
		if _, err := tx.Enqueue(store.Outgoing{Channel: "file:a", Card: []byte("{}"), Created: noon, NextAt: noon}); err != nil {
			return err
		}
		_, err := tx.PutRun(store.RunRow{Number: 1, State: bot.Running, Created: noon.Add(-time.Hour), Body: []byte("{}")})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	r.clock.forward(10 * time.Second)
	r.is(t, 200, 200, "outbox: 1 wait, the oldest for 10s", "runs: 1 running, the oldest for 1h0m10s")
}

// A store that takes no writes makes the bot unready, which a restart would not
// mend, so /healthz stays well; it is told once, and once more when it is over.
func TestStoreTakesNoWrites(t *testing.T) {
	r := newRig(t)
	r.store.set(&bot.Error{Kind: bot.Unavailable, Say: "the disk is full"})
	eventually(t, "it is noticed", func() bool { return !r.Writable() })
	r.is(t, 503, 200, "store: takes no writes: the disk is full")
	if _, said := r.ask(t, "/readyz"); said != "not ready: the store takes no writes\n" {
		t.Errorf("/readyz says %q", said)
	}
	r.store.set(nil)
	eventually(t, "it is well again", r.Writable)
	r.is(t, 200, 200, "store: writable")
	if n := strings.Count(r.log.text(), "takes no writes"); n != 1 || !strings.Contains(r.log.text(), "takes writes again") {
		t.Errorf("the log has\n%s", r.log.text())
	}
}

// A loop that does not turn is a process that hangs: that a restart mends.
func TestHung(t *testing.T) {
	r := newRig(t)
	r.clock.forward(31 * time.Second)
	r.is(t, 503, 503, "process: hangs (engine)")
	if got := r.Hung(); !slices.Equal(got, []string{"engine"}) {
		t.Errorf("hung are %v", got)
	}
	r.turned.forward(20 * time.Second)
	r.is(t, 200, 200)
	r.Stopping()
	r.is(t, 503, 200, "stopping")
}

// beat runs a heartbeat against a switch.
type beat struct {
	mu       sync.Mutex
	outcomes []string
}

func (b *beat) note(outcome string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.outcomes = append(b.outcomes, outcome)
}

func (b *beat) has(outcome string, n int) func() bool {
	return func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		count := 0
		for _, o := range b.outcomes {
			if o == outcome {
				count++
			}
		}
		return count >= n
	}
}

// A heartbeat is sent while the bot can work, withheld when it hangs, and its
// address is in no line of the log, whatever goes wrong.
func TestHeartbeat(t *testing.T) {
	r := newRig(t)
	var mu sync.Mutex
	status, asked := 200, 0
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if q.URL.Path != "/hunter2" || q.Method != http.MethodGet {
			t.Errorf("asked %s %s", q.Method, q.URL.Path)
		}
		asked++
		if status == 302 {
			w.Header().Set("Location", "/elsewhere")
		}
		w.WriteHeader(status)
	}))
	answer := func(code int) {
		mu.Lock()
		defer mu.Unlock()
		status = code
	}
	b := &beat{}
	t.Setenv("BEAT", s.URL+"/hunter2")
	h := &health.Heartbeat{URL: "env:BEAT", Secrets: &bot.Secrets{}, Every: 5 * time.Millisecond, Logger: slog.New(slog.NewTextHandler(r.log, nil)), Fault: r.Fault,
		May: func(string) bool { return true }, Beat: b.note}
	if err := h.Check(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- h.Run(ctx) }()
	eventually(t, "heartbeats", b.has("sent", 3))
	answer(500)
	eventually(t, "failures", b.has("failed", 2))
	answer(302) // followed, the address would be told to who knows whom
	eventually(t, "more failures", b.has("failed", 5))
	answer(200)
	r.clock.forward(time.Minute) // the engine hangs
	eventually(t, "silence", b.has("withheld", 2))
	mu.Lock()
	before := asked
	mu.Unlock()
	eventually(t, "more silence", b.has("withheld", 5))
	mu.Lock()
	if asked > before {
		t.Errorf("a bot that hangs sent %d heartbeats", asked-before)
	}
	mu.Unlock()
	r.turned.forward(time.Minute)
	eventually(t, "it beats again", b.has("sent", 4))
	s.Close() // nobody is there
	eventually(t, "no connection", b.has("failed", 8))
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if log := r.log.text(); strings.Contains(log, "hunter2") || !strings.Contains(log, "does not get through") {
		t.Errorf("the log has\n%s", log)
	}
}

// An address that is not there, or none, is refused without being repeated.
func TestHeartbeatAddress(t *testing.T) {
	t.Setenv("EMPTY", "")
	t.Setenv("PLAIN", "http://example.com/hunter2")
	https := func(address string) bool { return strings.HasPrefix(address, "https://") }
	large := filepath.Join(t.TempDir(), "large")
	if err := os.WriteFile(large, []byte("https://hunter2/"+strings.Repeat("x", 1<<20)), 0o600); err != nil {
		t.Fatal(err)
	}
	for url, want := range map[string]string{
		"file:" + large:     "heartbeat.url cannot be had: the secret in large cannot be used: it is larger than 64 KiB",
		"env:EMPTY":         "heartbeat.url cannot be had: the environment variable EMPTY is not set",
		"env:PLAIN":         "what heartbeat.url refers to is no address that begins with https://",
		"file:/nowhere/url": "heartbeat.url cannot be had: the secret in url cannot be used: the file cannot be read",
		"https://x/hunter2": "",
	} {
		err := (&health.Heartbeat{URL: url, Secrets: &bot.Secrets{}, May: https}).Check()
		if want == "" && err != nil || want != "" && (bot.KindOf(err) != bot.Invalid || bot.Sentence(err, "") != want) {
			t.Errorf("%s: %v, want %q", url, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: the address is shown: %v", url, err)
		}
	}
}

// The init system hears what it asked to hear, and no longer when a loop hangs.
func TestNotify(t *testing.T) {
	if err := health.Notify(health.Ready); err != nil {
		t.Errorf("without an init system: %v", err)
	}
	path := filepath.Join(t.TempDir(), "n.sock")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	t.Setenv("NOTIFY_SOCKET", path)
	next := func() string {
		buf := make([]byte, 100)
		if err := conn.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
			t.Fatal(err)
		}
		n, err := conn.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		return string(buf[:n])
	}
	if err := health.Notify(health.Ready); err != nil || next() != "READY=1" {
		t.Errorf("ready: %v", err)
	}
	r := newRig(t)
	if err := r.Watchdog(t.Context()); err != nil { // nobody asked: it returns
		t.Error(err)
	}
	t.Setenv("WATCHDOG_USEC", "2000")
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.Watchdog(ctx) }()
	for range 3 {
		if got := next(); got != "WATCHDOG=1" {
			t.Errorf("it hears %q", got)
		}
	}
	r.store.set(errors.New("disk full")) // no reason to be restarted
	eventually(t, "it is noticed", func() bool { return !r.Writable() })
	next()
	r.clock.forward(time.Minute)
	// What was sent before is read; then there is silence.
	for quiet := false; !quiet; {
		if err := conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		_, err := conn.Read(make([]byte, 100))
		quiet = err != nil
	}
	r.turned.forward(time.Minute)
	if got := next(); got != "WATCHDOG=1" {
		t.Errorf("it hears %q", got)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
