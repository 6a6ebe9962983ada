package platform

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestBadInputGetsASentence(t *testing.T) {
	t.Parallel()
	r := start(t, 1)
	for _, c := range []struct {
		verb string
		with vars
		want string
	}{
		{"deplyo", nil, "is not known; expected one of deploy, rollback"},
		{"deploy", nil, "OP_VERSION is missing; the releases are v1, v2, v3 and v4"},
		{"deploy", vars{"OP_VERSION": "v9"}, `version \"v9\" is not known`},
		{"deploy", vars{"OP_VERSION": "v2", "OP_ENV": "qa"}, `there is no environment \"qa\"`},
		{"deploy", vars{"OP_VERSION": "v2", "OP_ENV": ""}, "OP_ENV is missing"},
		{"deploy", vars{"OP_VERSION": "v2", "OP_ID": ""}, "OP_ID is missing"},
		{"deploy", vars{"OP_VERSION": "v2", "OP_ACTOR": ""}, "OP_ACTOR is missing"},
		{"deploy", vars{"OP_VERSION": "v2", "OP_SERVICE": "till"}, `there is no service \"till\" here`},
		{"deploy", vars{"OP_VERSION": "v2", "OP_FROM": "v9"}, "prod is at v1 now, not at v9"},
		{"current", vars{"OP_ENV": "qa"}, `there is no environment \"qa\"`},
		{"status", vars{"OP_ID": ""}, "OP_ID is missing"},
		{"abort", vars{"OP_ENV": "qa"}, `there is no environment \"qa\"`},
	} {
		r.must(c.verb, c.with, ExitRefused, c.want)
	}
	r.counted(map[string]int{"create finished": 1, "deploy started": 0})

	var out bytes.Buffer
	if code := newClient(r.getenv(nil), &out).run(t.Context(), nil); code != ExitRefused || !strings.Contains(out.String(), "0 arguments are given") {
		t.Errorf("without a verb it ended with %d and %s", code, &out)
	}
	r.must("stats", vars{"PLATFORM_SOCK": filepath.Join(r.dir, "nowhere.sock")}, ExitTryAgain, "Nothing was done")
}

func TestReleasesAreFoundByWhatNamesThem(t *testing.T) {
	t.Parallel()
	for _, b := range builds() {
		for _, name := range []string{b.version, b.artefact(), b.commit, b.commit[:7]} {
			if found, ok := findRelease(name); !ok || found.version != b.version {
				t.Errorf("%q finds %q, want %s", name, found.version, b.version)
			}
		}
	}
	for _, name := range []string{"", "v", "v10", "sha256:", builds()[0].commit[:6]} {
		if found, ok := findRelease(name); ok {
			t.Errorf("%q finds %s, want nothing", name, found.version)
		}
	}
}

func TestBackupsAreWholeAndFew(t *testing.T) {
	t.Parallel()
	clock := make(chan time.Time, 1)
	clock <- time.Date(2026, 11, 21, 4, 0, 0, 0, time.UTC)
	tick := func() time.Time { // every look at the clock is a second later
		now := (<-clock).Add(time.Second)
		clock <- now
		return now
	}
	r := start(t, 1, func(c *Config) {
		c.Now, c.BackupEvery, c.Environments[0].LoadPerSecond = tick, 30*time.Millisecond, 50
	})
	dir := filepath.Join(r.dir, "backups", "shop-prod")
	list := func() []string {
		names, err := filepath.Glob(filepath.Join(dir, "orders-*.db"))
		if err != nil {
			t.Fatal(err)
		}
		return names
	}
	r.wait("there is a backup", func() bool { return len(list()) > 0 })
	oldest := list()[0]
	r.wait("the oldest has gone", func() bool { _, err := os.Stat(oldest); return err != nil })
	r.stop()
	names := list()
	if len(names) != keptBackups {
		t.Errorf("%d backups are kept, want %d", len(names), keptBackups)
	}
	for _, name := range names {
		db, err := sql.Open("sqlite", name)
		if err != nil {
			t.Fatal(err)
		}
		var check string
		var orders int
		if err := db.QueryRow(`PRAGMA integrity_check`).Scan(&check); err != nil || check != "ok" {
			t.Errorf("%s is %q (%v)", name, check, err)
		}
		if err := db.QueryRow(`SELECT count(*) FROM orders`).Scan(&orders); err != nil {
			t.Errorf("%s has no orders: %v", name, err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestNoDataIsNotZero(t *testing.T) {
	t.Parallel()
	now := time.Now()
	span := func(ago time.Duration, c counters) interval {
		return interval{from: now.Add(-ago - time.Second), to: now.Add(-ago), counters: c}
	}
	show := func(f *float64) string {
		if f == nil {
			return "none"
		}
		return fmt.Sprintf("%.2f", *f)
	}
	for _, c := range []struct {
		name        string
		intervals   []interval
		rate, ratio string
	}{
		{"never scraped", nil, "none", "none"},
		{"not scraped for long", []interval{span(time.Minute, counters{9, 9})}, "none", "none"},
		{"nothing asked", []interval{span(0, counters{})}, "0.00", "none"},
		{"no errors", []interval{span(0, counters{4, 0})}, "4.00", "0.00"},
		{"errors", []interval{span(1*time.Second, counters{4, 0}), span(0, counters{4, 2})}, "4.00", "0.25"},
		{"old figures are dropped", []interval{span(30*time.Second, counters{90, 90}), span(0, counters{4, 1})}, "4.00", "0.25"},
	} {
		w := newWindow()
		for _, i := range c.intervals {
			w.add(i)
		}
		got := w.traffic()
		if show(got.RequestsPerSecond) != c.rate || show(got.ErrorRatio) != c.ratio {
			t.Errorf("%s: %s requests/s and %s errors, want %s and %s", c.name,
				show(got.RequestsPerSecond), show(got.ErrorRatio), c.rate, c.ratio)
		}
	}
	c, err := parseCounters(strings.NewReader("# HELP x y\nhttp_requests_total{code=\"201\",path=\"/\"} 7\nhttp_requests_total{code=\"500\",path=\"/\"} 3\norders_total{} 9\n"))
	if err != nil || c != (counters{10, 3}) {
		t.Errorf("the counters are %v (%v), want 10 and 3", c, err)
	}
	if _, err := parseCounters(strings.NewReader("http_requests_total{code=\"201\"} seven\n")); err == nil {
		t.Error("a line that is no number was read")
	}
}

func TestTheFrontUsesHealthyInstancesOnly(t *testing.T) {
	t.Parallel()
	p := &pool{}
	if p.pick(nil) != nil {
		t.Error("an empty pool has an instance")
	}
	a, b := &backend{name: "a"}, &backend{name: "b"}
	p.add(a)
	p.add(b)
	seen := map[*backend]int{}
	for range 10 {
		got := p.pick(nil)
		seen[got]++
		p.release(got)
	}
	if seen[a] != 5 || seen[b] != 5 {
		t.Errorf("ten requests went %d and %d ways, want 5 and 5", seen[a], seen[b])
	}
	if !p.mark(a, false) || p.mark(a, false) || p.pick([]*backend{b}) != nil {
		t.Error("an ill instance is not left alone")
	}
	if got := p.pick(nil); got != b {
		t.Error("the healthy instance is not used")
	}
	drained := make(chan struct{})
	go func() {
		p.drain(t.Context(), b)
		close(drained)
	}()
	if !await(func() bool { return !p.serving(b) }) { // out of rotation comes first
		t.Fatal("a draining instance still gets requests")
	}
	select {
	case <-drained:
		t.Error("drained while a request is open")
	default:
	}
	p.release(b)
	<-drained
	p.mark(a, true)
	held := p.pick(nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	p.drain(ctx, held) // does not wait for ever
}

func TestConfigurationGetsASentence(t *testing.T) {
	t.Parallel()
	good := func() Config { return Config{Dir: "x", Self: []string{"shop"}, Environments: DefaultEnvironments()} }
	if c, err := good().complete(); err != nil || c.HealthTimeout != 5*time.Second || c.Log == nil || c.Now == nil {
		t.Errorf("the defaults are %+v (%v)", c, err)
	}
	for want, spoil := range map[string]func(*Config){
		"needs a folder":            func(c *Config) { c.Dir = "" },
		"needs a command line":      func(c *Config) { c.Self = nil },
		"at least one environment":  func(c *Config) { c.Environments = nil },
		"is named twice":            func(c *Config) { c.Environments[1].Name = "staging" },
		"lower-case letters":        func(c *Config) { c.Environments[0].Name = "../etc" },
		"wants 0 instances":         func(c *Config) { c.Environments[0].Desired = 0 },
		"wants 17 instances":        func(c *Config) { c.Environments[0].Desired = 17 },
		`starts with "v9"`:          func(c *Config) { c.Environments[0].StartVersion = "v9" },
		"expected a loopback addre": func(c *Config) { c.Environments[0].FrontAddr = "0.0.0.0:80" },
	} {
		c := good()
		spoil(&c)
		if err := New(c).Run(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the configuration was answered with %v, want %q", err, want)
		}
	}
	c := good()
	c.Dir = filepath.Join(t.TempDir(), strings.Repeat("long/", 30))
	if err := New(c).Run(t.Context()); err == nil || !strings.Contains(err.Error(), "choose a shorter folder") {
		t.Errorf("a long path was answered with %v", err)
	}
}

func TestTakenFrontAddressIsReplaced(t *testing.T) {
	t.Parallel()
	first := start(t, 1)
	taken := strings.TrimPrefix(first.status().URL, "http://")
	second := start(t, 1, func(c *Config) { c.Environments[0].FrontAddr = taken })
	if second.status().URL == first.status().URL {
		t.Error("two fronts have one address")
	}
	second.serves("v1", 1)
}

func TestInstallCLI(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "platform")
	for range 2 { // the second replaces the first
		path, err := InstallCLI(dir, self())
		if err != nil {
			t.Fatal(err)
		}
		to, err := os.Readlink(path)
		if err != nil || to != self() {
			t.Errorf("%s leads to %q (%v)", path, to, err)
		}
	}
}
