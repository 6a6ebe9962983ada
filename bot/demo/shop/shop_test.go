package shop

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience is how long a test waits for what must happen; nothing is expected
// to take that long.
const patience = 5 * time.Minute

// TestMain lets the test binary be the shop, so that a test can start it as the
// process it is in real life.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "shop" {
		os.Exit(Main(os.Args[2:]))
	}
	os.Exit(m.Run())
}

// instance is a shop run inside the test.
type instance struct {
	t      *testing.T
	url    string
	stdin  *io.PipeWriter
	stderr *lockedBuffer
	code   chan int
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func open(t *testing.T, version, db string) *instance {
	t.Helper()
	in, stdin := io.Pipe()
	out, stdout := io.Pipe()
	i := &instance{t: t, stdin: stdin, stderr: &lockedBuffer{}, code: make(chan int, 1)}
	go func() {
		i.code <- run(context.Background(), []string{"--version", version, "--env", "prod", "--db", db}, in, stdout, i.stderr)
		_ = stdout.Close()
	}()
	var said struct{ Listening string }
	if err := json.NewDecoder(out).Decode(&said); err != nil {
		t.Fatalf("%s does not say where it listens: %v; it said %s", version, err, i.stderr)
	}
	i.url = "http://" + said.Listening
	t.Cleanup(func() { _ = stdin.Close() })
	return i
}

// close ends the instance as its supervisor's death would.
func (i *instance) close() {
	i.t.Helper()
	if err := i.stdin.Close(); err != nil {
		i.t.Fatal(err)
	}
	select {
	case code := <-i.code:
		if code != 0 {
			i.t.Fatalf("exit code %d, want 0; it said %s", code, i.stderr)
		}
	case <-time.After(patience):
		i.t.Fatal("the shop outlives its standard input")
	}
}

func (i *instance) ask(method, path, body string) (int, string) {
	i.t.Helper()
	ctx, cancel := context.WithTimeout(i.t.Context(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, i.url+path, strings.NewReader(body))
	if err != nil {
		i.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		i.t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		i.t.Fatal(err)
	}
	return resp.StatusCode, strings.TrimSpace(string(answer))
}

func (i *instance) want(method, path, body string, code int, contains string) {
	i.t.Helper()
	got, answer := i.ask(method, path, body)
	if got != code || !strings.Contains(answer, contains) {
		i.t.Errorf("%s %s %s answered %d %s, want %d and %q", method, path, body, got, answer, code, contains)
	}
}

func TestAGoodRelease(t *testing.T) {
	i := open(t, "v1", filepath.Join(t.TempDir(), "orders.db"))
	i.want("GET", "/", "", 200, "version <b>v1</b>, environment <b>prod</b>, process <b>"+strconv.Itoa(os.Getpid())+"</b>")
	i.want("GET", "/healthz", "", 200, "ok")
	i.want("GET", "/version", "", 200, `"version":"v1"`)
	i.want("POST", "/orders", `{"item":"tea","quantity":2}`, 201, `{"checkout":"three pages","id":1,"version":"v1"}`)
	i.want("POST", "/orders", "", 201, `{"checkout":"three pages","id":2,"version":"v1"}`)
	i.want("GET", "/orders/count", "", 200, `{"orders":2}`)

	i.want("POST", "/orders", `{"item":`, 400, "is not an order such as")
	i.want("POST", "/orders", `{"item":"tea","quantity":0}`, 400, "at least 1")
	i.want("POST", "/orders", `{"item":"`+strings.Repeat("x", maxBody)+`"}`, 400, "too large")
	i.want("GET", "/orders", "", 405, "")
	i.want("GET", "/nowhere", "", 404, "")
	i.close()
}

// fill makes the shop busy: the orders count as recent for as long as the test lasts.
func fill(t *testing.T, db string, n int) {
	t.Helper()
	store, err := openOrders(t.Context(), db, true)
	if err != nil {
		t.Fatal(err)
	}
	for range n {
		if _, err := store.add(t.Context(), order{Item: "tea", Quantity: 1}, "v1", time.Now().Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	if err := store.close(); err != nil {
		t.Fatal(err)
	}
}

// v3 stays fine where there is little traffic, which is how it passes staging.
func TestTheDuplicateCheckGivesUpInABusyShop(t *testing.T) {
	db := filepath.Join(t.TempDir(), "orders.db")
	v1, v3 := open(t, "v1", db), open(t, "v3", db)
	v3.want("GET", "/healthz", "", 200, "ok")
	for range 30 {
		v3.want("POST", "/orders", "", 201, `"version":"v3"`)
	}
	fill(t, db, 120)
	failed := 0
	for range 30 {
		code, answer := v3.ask("POST", "/orders", "")
		if code == 500 {
			failed++
			if !strings.Contains(answer, "duplicate check gave up: 1") {
				t.Errorf("the order failed with %s", answer)
			}
		}
	}
	if failed != 10 {
		t.Errorf("%d of 30 orders failed, want one in three", failed)
	}
	v3.want("GET", "/healthz", "", 200, "ok") // nothing that a health check would notice
	v1.want("POST", "/orders", "", 201, "")
	if log := v3.stderr.String(); !strings.Contains(log, `"error":"duplicate check gave up`) {
		t.Errorf("the failed orders are not in the log: %s", log)
	}
	v1.close()
	v3.close()
}

func TestAReleaseWithoutItsMigration(t *testing.T) {
	db := filepath.Join(t.TempDir(), "orders.db")
	v1, v4 := open(t, "v1", db), open(t, "v4", db)
	const reason = "orders database has schema 3, v4 needs schema 4: migration 0004_add_currency has not been run"
	v4.want("GET", "/healthz", "", 503, reason)
	v4.want("POST", "/orders", "", 503, reason)
	v1.want("GET", "/healthz", "", 200, "ok")
	v1.close()
	v4.close()
}

// The switch of a new database to WAL does not wait for others; many instances
// that start at once once lost that race.
func TestManyInstancesStartOnANewDatabase(t *testing.T) {
	db := filepath.Join(t.TempDir(), "a folder with % and ?", "orders.db")
	if err := os.Mkdir(filepath.Dir(db), 0o700); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for range 6 {
		all.Go(func() {
			store, err := openOrders(t.Context(), db, true)
			if err != nil {
				t.Error(err)
				return
			}
			if _, err := store.add(t.Context(), order{Item: "tea", Quantity: 1}, "v1", time.Now()); err != nil {
				t.Error(err)
			}
			if err := store.close(); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if _, err := os.Stat(db); err != nil {
		t.Error(err)
	}
}

func TestOrdersAreBounded(t *testing.T) {
	store, err := openOrders(t.Context(), filepath.Join(t.TempDir(), "orders.db"), true)
	if err != nil {
		t.Fatal(err)
	}
	defer store.close()
	for _, id := range []int{1, pruneEvery, pruneEvery + 1, keptOrders + pruneEvery - 1} {
		if _, err := store.db.Exec(`INSERT INTO orders VALUES (?, 'tea', 1, 'v1', 0)`, id); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := store.add(t.Context(), order{Item: "tea", Quantity: 1}, "v1", time.Now()); err != nil {
		t.Fatal(err)
	}
	if n, err := store.count(t.Context()); err != nil || n != 3 {
		t.Errorf("%d orders are kept (%v), want the 3 within the newest %d", n, err, keptOrders)
	}
}

func TestMetrics(t *testing.T) {
	i := open(t, "v2", filepath.Join(t.TempDir(), "orders.db"))
	for range 3 {
		i.want("POST", "/orders", "", 201, "")
	}
	i.want("POST", "/orders", "{", 400, "")
	i.want("GET", "/healthz", "", 200, "")
	_, text := i.ask("GET", "/metrics", "")
	for _, line := range []string{
		`http_requests_total{code="201",path="/orders",env="prod",version="v2"} 3`,
		`http_requests_total{code="400",path="/orders",env="prod",version="v2"} 1`,
		`http_request_duration_seconds_bucket{le="+Inf",path="/orders",env="prod",version="v2"} 4`,
		`http_request_duration_seconds_count{path="/orders",env="prod",version="v2"} 4`,
		`orders_total{env="prod",version="v2"} 3`,
		`build_info{service="shop",env="prod",version="v2"} 1`,
	} {
		if !strings.Contains(text+"\n", line+"\n") {
			t.Errorf("metrics lack %s in\n%s", line, text)
		}
	}
	if strings.Contains(text, "healthz") {
		t.Error("probes are counted as traffic")
	}
	last, typed := 0.0, map[string]bool{}
	for lines := bufio.NewScanner(strings.NewReader(text)); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if fields[0] == "#" {
			typed[fields[2]] = true
			continue
		}
		name, _, _ := strings.Cut(fields[0], "{")
		base := strings.NewReplacer("_bucket", "", "_sum", "", "_count", "").Replace(name)
		value, err := strconv.ParseFloat(fields[1], 64)
		if err != nil || len(fields) != 2 || !typed[base] {
			t.Errorf("line %q is not the text format, or has no type", lines.Text())
		}
		if strings.HasSuffix(name, "_bucket") {
			if value < last {
				t.Errorf("bucket %q is below the one before", lines.Text())
			}
			last = value
		}
	}
	i.close()
}

func TestBadFlagsGetASentence(t *testing.T) {
	for args, want := range map[string]string{
		"":                        `--version is "", expected v1`,
		"--version v9":            `--version is "v9"`,
		"--version v1 --env qa":   `--env is "qa", expected staging or prod`,
		"--version v1 --env prod": "--db is missing",
		"--version v1 --env prod --db x --listen 0.0.0.0:80":  "expected a loopback address",
		"--version v1 --env prod --db x --listen example:80":  "expected a loopback address",
		"--version v1 --env prod --db x now":                  `"now" is not expected`,
		"--version v1 --env prod --db x --colour green":       "flag provided but not defined",
		"--version v1 --env prod --db x --listen 127.0.0.1:a": "listen",
	} {
		stdin, _ := io.Pipe()
		var stderr lockedBuffer
		code := run(t.Context(), strings.Fields(args), stdin, io.Discard, &stderr)
		if code == 0 || !strings.Contains(stderr.String(), want) || strings.Contains(stderr.String(), "goroutine") {
			t.Errorf("%q: exit code %d and %q, want %q", args, code, &stderr, want)
		}
	}
}

// A real process drains on SIGTERM and says where it listens before that.
func TestSIGTERMEndsTheProcess(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	t.Setenv("GORACE", "atexit_sleep_ms=0") // the race detector's own second at the end of a process
	cmd := exec.CommandContext(ctx, exe, "shop", "--version", "v1", "--env", "staging", "--db", filepath.Join(t.TempDir(), "orders.db"))
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var said struct{ Listening string }
	if err := json.NewDecoder(stdout).Decode(&said); err != nil || said.Listening == "" {
		t.Fatal(fmt.Errorf("no address: %w", err))
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("the shop ended with %v, want an orderly end", err)
	}
}
