package platform

import (
	"context"
	"database/sql"
	"encoding/json"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestDeployChangesWhatTheFrontAnswers(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := startIn(t, dir, 2)
	r.serves("v1", 2)

	// Customers keep asking while the instances are replaced; none may notice.
	asking, done := context.WithCancel(t.Context())
	var customer sync.WaitGroup
	customer.Go(func() {
		for asking.Err() == nil {
			if _, err := r.front(); err != nil {
				t.Errorf("a customer was turned away: %v", err)
			}
		}
	})
	lines, code := r.cli("deploy", vars{"OP_VERSION": "v2", "OP_FROM": "v1", "OP_REASON": "try"})
	done()
	customer.Wait()
	if code != ExitOK {
		t.Fatalf("deploy ended with %d: %s", code, lines)
	}
	percent := 0
	for _, line := range lines {
		var p progress
		if err := json.Unmarshal([]byte(line), &p); err != nil || p.Message == "" || p.URL == "" || p.Percent < percent {
			t.Errorf("progress line %s (%v) after %d percent", line, err, percent)
		}
		percent = p.Percent
	}
	r.serves("v2", 2)
	r.counted(map[string]int{"create finished": 1, "deploy started": 1, "deploy finished": 1})
	if st := r.status(); st.Op != "op-1" || st.Last == nil || st.Last.State != StateFinished || st.Deploying != "" {
		t.Errorf("after the deploy the status is %+v", st)
	}
	r.must("current", nil, ExitOK, `"version":"v2"`)
	r.must("releases", nil, ExitOK, `"notes":"starts fine, then fails 1 order in 3"`)
	r.must("status", nil, ExitOK, `"state":"finished"`)
	r.must("status", vars{"OP_ID": "op-9"}, ExitOK, `"state":"absent"`)

	// Compare-and-set: what the caller believes is live no longer is.
	r.must("deploy", vars{"OP_VERSION": "v3", "OP_FROM": "v1"}, ExitRefused, "prod is at v2 now, not at v1")
	r.counted(map[string]int{"deploy started": 1})

	// The platform does not forgive a caller who asks twice: it acts twice, and says so.
	r.must("deploy", vars{"OP_VERSION": "v2", "OP_FROM": "v2"}, ExitOK, "v2 is live in prod")
	r.counted(map[string]int{"deploy started": 2, "deploy finished": 2})

	// Started again, it is where it was, whatever the configuration begins with.
	r.stop()
	r = startIn(t, dir, 1)
	r.serves("v2", 2)
	r.must("rollback", nil, ExitOK, "v1 is live in prod")
	r.serves("v1", 2)
	r.must("rollback", nil, ExitRefused, "there is nothing to roll back to")
	r.counted(map[string]int{"create finished": 1, "rollback started": 1, "rollback finished": 1})
}

func TestAReleaseThatIsNeverHealthyIsTakenBack(t *testing.T) {
	t.Parallel()
	// Long enough for a process to start on a busy machine, and no longer.
	r := start(t, 2, func(c *Config) { c.HealthTimeout = 3 * time.Second })
	lines, code := r.cli("deploy", vars{"OP_VERSION": "v4"})
	last := lines[len(lines)-1]
	for _, want := range []string{
		"v4 in prod did not become healthy within 3s: instance shop-prod-3: GET /healthz answered 503: ",
		"migration 0004_add_currency has not been run; v1 still serves prod with 2 of 2 instances",
	} {
		if code != ExitFailed || !strings.Contains(last, want) {
			t.Errorf("the deploy ended with %d and %s, want %q", code, last, want)
		}
	}
	r.serves("v1", 2)
	r.counted(map[string]int{"deploy started": 1, "deploy failed": 1, "deploy finished": 0})
}

func TestAFaultyReleaseShowsInTheFigures(t *testing.T) {
	t.Parallel()
	r := start(t, 2)
	r.must("deploy", vars{"OP_VERSION": "v3"}, ExitOK, "v3 is live in prod")
	r.serves("v3", 2)

	// A busy shop: the orders count as recent for as long as the test lasts.
	db, err := sql.Open("sqlite", filepath.Join(r.dir, "shop-prod.db")+"?_pragma=busy_timeout(5000)")
	if err != nil {
		t.Fatal(err)
	}
	_, err = db.Exec(`
		WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 150)
		INSERT INTO orders (item, quantity, version, placed_at) SELECT 'tea', 1, 'v1', ? FROM n`,
		time.Now().Add(time.Hour).UnixMilli())
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	url := r.status().URL
	order := func() int {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/orders", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		return resp.StatusCode
	}
	codes := map[int]int{}
	for range 60 {
		codes[order()]++
	}
	if codes[500] < 18 || codes[500] > 22 || codes[201]+codes[500] != 60 {
		t.Errorf("60 orders were answered %v, want one in three to fail", codes)
	}
	r.wait("the monitor sees the errors", func() bool {
		order()
		traffic := r.status().Traffic
		return traffic.ErrorRatio != nil && *traffic.ErrorRatio > 0.2 && *traffic.RequestsPerSecond > 0
	})
}

func TestARollThatFailsHalfWayIsPutBack(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := startIn(t, dir, 2, withGate(dir))
	r.touch("die")
	r.must("deploy", vars{"OP_VERSION": "v2"}, ExitFailed,
		"v2 in prod did not become healthy: instance shop-prod-4 exited: exit status 3; it said last: cannot find its licence; v1 serves prod again with 2 of 2 instances")
	r.serves("v1", 2)
	r.counted(map[string]int{"deploy started": 1, "deploy failed": 1})
}

func TestOneOperationAtATime(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := startIn(t, dir, 2, withGate(dir))
	first, story := r.process("deploy", vars{"OP_VERSION": "v2"})
	r.until(story, "draining")
	r.wait("both versions run", func() bool { return r.status().Running >= 2 && len(r.status().Mixed) == 2 })
	if st := r.status(); st.Version != "v1" || st.Deploying != "v2" || st.DeployingOp != "op-1" {
		t.Errorf("in the middle of a deploy the status is %+v", st)
	}
	const busy = "prod is busy: deploy of v2 by anna (operation op-1) is under way"
	r.must("deploy", vars{"OP_ID": "op-2", "OP_VERSION": "v3"}, ExitTryAgain, busy)
	r.must("restart", vars{"OP_ID": "op-2"}, ExitTryAgain, busy)
	r.must("scale", vars{"OP_ID": "op-2", "OP_COUNT": "3"}, ExitTryAgain, busy)
	r.must("deploy", vars{"OP_ID": "op-2", "OP_VERSION": "v9"}, ExitRefused, `version \"v9\" is not known`)
	r.must("abort", vars{"OP_ID": "op-2"}, ExitRefused, "is another operation: deploy of v2 by anna")

	// The caller dies; what it asked for goes on to its end.
	if err := first.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = first.Wait() // killed
	r.touch("open")
	r.wait("the deploy has ended", func() bool { return r.status().Version == "v2" && r.status().Deploying == "" })
	r.serves("v2", 2)
	r.counted(map[string]int{"deploy started": 1, "deploy finished": 1})
	r.must("abort", nil, ExitRefused, "nothing is under way in prod")
}

func TestRestartReplacesTheProcesses(t *testing.T) {
	t.Parallel()
	r := start(t, 2)
	before := r.s.Targets()
	r.must("restart", vars{"OP_FROM": "v2"}, ExitRefused, "prod is at v1 now, not at v2")
	r.must("restart", nil, ExitOK, "v1 is live in prod: 2 of 2 instances are healthy")
	r.serves("v1", 2)
	for _, b := range before {
		for _, a := range r.s.Targets() {
			if a.PID == b.PID {
				t.Errorf("process %d is still there", a.PID)
			}
		}
	}
	r.counted(map[string]int{"restart started": 1, "restart finished": 1, "deploy started": 0})
}

func TestScale(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := startIn(t, dir, 1)
	r.must("scale", vars{"OP_COUNT": "3", "OP_FROM": "2"}, ExitRefused, "prod wants 1 instances now, not 2")
	for _, count := range []string{"", "0", "-1", "17", "many", "2.5"} {
		r.must("scale", vars{"OP_COUNT": count}, ExitRefused, "is not a whole number from 1 to 16")
	}
	r.must("scale", vars{"OP_COUNT": "3", "OP_FROM": "1"}, ExitOK, "prod runs v1 on 3 instances")
	r.serves("v1", 3)
	r.must("scale", vars{"OP_COUNT": "2"}, ExitOK, "prod runs v1 on 2 instances")
	r.serves("v1", 2)
	r.counted(map[string]int{"scale started": 2, "scale finished": 2})
	r.stop()
	r = startIn(t, dir, 1)
	r.serves("v1", 2)
}
