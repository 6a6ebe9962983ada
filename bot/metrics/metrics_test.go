package metrics_test

import (
	"errors"
	"fmt"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"quarterdeck/adapters/sqlite"
	"quarterdeck/bot"
	"quarterdeck/bot/metrics"
	"quarterdeck/bot/store"
)

type clock struct{ now time.Time }

func (c clock) Now() time.Time { return c.now }

var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

// connected is a chat network whose connection was lost twice.
type connected struct{ bot.Chat }

func (connected) Connection() bot.Connection { return bot.Connection{Up: true, Reconnects: 2} }

func open(t *testing.T) store.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "q.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// busy gives metrics in which everything was counted once.
func busy(t *testing.T, s store.Store) *metrics.Metrics {
	t.Helper()
	m := metrics.New(metrics.Config{Version: "v1.2.3", Clock: clock{noon}})
	m.Verbs([]string{"deploy", "status"})
	m.Watch(metrics.Watched{Store: s, Writable: func() bool { return true },
		Checkpoint: func() (int64, time.Time, bool) { return 40, noon.Add(-time.Minute), true },
		Chats:      map[string]bot.Chat{"slack": connected{}}})
	m.Received(2 * time.Millisecond)
	m.Handled("deploy", "", true, time.Second)
	m.Handled("deploy", bot.Denied, true, time.Second)
	m.Handled("", bot.Denied, false, time.Second)
	m.Settled(bot.Run{State: bot.RolledBack, Call: bot.Call{Command: "deploy"}, Created: noon, Ended: noon.Add(time.Minute)})
	m.Panicked("router")
	m.Committed(3, time.Millisecond, nil)
	m.Committed(1, time.Millisecond, errors.New("disk full"))
	m.Beat("sent")
	return m
}

// The names, types and helps follow Prometheus' conventions, as promtool checks
// them.
func TestConventions(t *testing.T) {
	problems, err := testutil.GatherAndLint(busy(t, open(t)).Gatherer())
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

func page(t *testing.T, m *metrics.Metrics) string {
	t.Helper()
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", "/metrics", nil))
	if w.Code != 200 {
		t.Fatalf("status %d: %s", w.Code, w.Body)
	}
	return w.Body.String()
}

// What was done is counted, and what waits is read.
func TestPage(t *testing.T) {
	s := open(t)
	err := s.Update(t.Context(), func(tx store.Tx) error {
		_, err := tx.Receive(bot.Message{ID: "a", Received: noon.Add(-3 * time.Second)})
		if err == nil {
			_, err = tx.Enqueue(store.Outgoing{Channel: "file:a", Card: []byte("{}"), Created: noon.Add(-time.Minute), NextAt: noon})
		}
		if err == nil {
			_, err = tx.PutRun(store.RunRow{Number: 1, State: bot.Waiting, Created: noon.Add(-time.Hour), Body: []byte("{}")})
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	got := page(t, busy(t, s))
	for _, want := range []string{
		`quarterdeck_build_info{goversion="go`,
		`version="v1.2.3"} 1`,
		`quarterdeck_commands_total{outcome="ok",verb="deploy"} 1`,
		`quarterdeck_commands_total{outcome="denied",verb="deploy"} 1`,
		`quarterdeck_commands_total{outcome="denied",verb="none"} 1`,
		`quarterdeck_commands_total{outcome="ok",verb="status"} 0`,
		`quarterdeck_denials_total{sender="person"} 1`,
		`quarterdeck_denials_total{sender="unknown"} 1`,
		`quarterdeck_runs_settled_total{state="rolled_back",verb="deploy"} 1`,
		`quarterdeck_run_seconds_sum{verb="deploy"} 60`,
		`quarterdeck_message_acknowledgement_seconds_count 1`,
		`quarterdeck_panics_total{part="router"} 1`,
		`quarterdeck_store_commits_total{outcome="failed"} 1`,
		`quarterdeck_store_commit_updates_sum 3`,
		`quarterdeck_heartbeats_total{outcome="sent"} 1`,
		`quarterdeck_inbox_messages 1`,
		`quarterdeck_inbox_oldest_seconds 3`,
		`quarterdeck_outbox_cards 1`,
		`quarterdeck_outbox_oldest_seconds 60`,
		`quarterdeck_runs{state="waiting"} 1`,
		`quarterdeck_run_oldest_seconds{state="waiting"} 3600`,
		`quarterdeck_runs{state="running"} 0`,
		`quarterdeck_audit_head_sequence 0`,
		`quarterdeck_audit_checkpoint_sequence 40`,
		`quarterdeck_audit_checkpoint_age_seconds 60`,
		`quarterdeck_store_readable 1`,
		`quarterdeck_store_writable 1`,
		`quarterdeck_chat_up{network="slack"} 1`,
		`quarterdeck_chat_reconnects_total{network="slack"} 2`,
		`process_resident_memory_bytes `,
		`go_goroutines `,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%s is not in\n%s", want, got)
		}
	}
}

// However much people make up, there are no more series.
func TestLabelsAreBounded(t *testing.T) {
	m := busy(t, open(t))
	before := strings.Count(page(t, m), "\n")
	for i := range 500 {
		m.Handled(fmt.Sprintf("made-up-%d", i), bot.Denied, false, time.Second)
		m.Handled("deploy", bot.Denied, true, time.Second)
		m.Settled(bot.Run{State: bot.RolledBack, Call: bot.Call{Command: "deploy"}, Created: noon, Ended: noon})
	}
	if after := strings.Count(page(t, m), "\n"); after != before {
		t.Errorf("%d lines became %d", before, after)
	}
	m.Handled("deploy", bot.Kind("made up"), true, -time.Hour) // neither a new label nor a sum that goes down
	if got := page(t, m); strings.Contains(got, "made up") || !strings.Contains(got, `outcome="internal",verb="deploy"} 1`) {
		t.Errorf("a kind that is none shows in\n%s", got)
	}
}

// A store that does not answer is said to be so; nothing is drawn as zero, and
// the rest is there.
func TestStoreDown(t *testing.T) {
	s := open(t)
	m := busy(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	got := page(t, m)
	for _, want := range []string{"quarterdeck_store_readable 0", "quarterdeck_panics_total", "go_goroutines"} {
		if !strings.Contains(got, want) {
			t.Errorf("%s is missing", want)
		}
	}
	for _, not := range []string{"quarterdeck_outbox_cards", "quarterdeck_runs{", "quarterdeck_audit_head_sequence"} {
		if strings.Contains(got, not) {
			t.Errorf("%s is shown", not)
		}
	}
}
