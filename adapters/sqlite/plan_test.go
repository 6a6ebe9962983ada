package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"quarterdeck/bot/store/storetest"
)

// statements collects what connections prepare.
type statements struct {
	mu   sync.Mutex
	seen map[string]bool
}

// noting is a connection that notes its statements.
type noting struct {
	driver.Conn
	to *statements
}

func (n noting) PrepareContext(ctx context.Context, q string) (driver.Stmt, error) {
	n.to.mu.Lock()
	n.to.seen[q] = true
	n.to.mu.Unlock()
	return n.Conn.(driver.ConnPrepareContext).PrepareContext(ctx, q)
}

// TestNoStatementScans looks at the plan of every statement: whatever the size
// of a table, a statement looks only at what it gives, at what is open or
// pending, at one value's entries of an index, or for a search of the log at
// the index made for that.
func TestNoStatementScans(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "quarterdeck.db")
	seen := &statements{seen: map[string]bool{}}
	note := func(c driver.Conn) (driver.Conn, error) { return noting{c, seen}, nil }
	s, err := opener{filesystem: local, onWriter: note, onReader: note}.open(context.Background(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := storetest.Everything(s); err != nil {
		t.Fatal(err)
	}
	db, err := connect(path, nil, "mode=rw")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	looked, found := 0, map[string]bool{}
	for _, q := range slices.Sorted(maps.Keys(seen.seen)) {
		switch verb, _, _ := strings.Cut(strings.TrimSpace(q), " "); verb {
		case "SELECT", "WITH", "UPDATE", "DELETE", "INSERT":
		default:
			continue // BEGIN and its like have no plan
		}
		if strings.Contains(q, "goose") || strings.Contains(q, "sqlite_") || strings.Contains(q, "PRAGMA") {
			continue
		}
		looked++
		rows, err := db.Query("EXPLAIN QUERY PLAN "+q, make([]any, strings.Count(q, "?"))...)
		if err != nil {
			t.Fatalf("%s: %v", q, err)
		}
		var plan []string
		for rows.Next() {
			var id, parent, unused int
			var detail string
			if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
				t.Fatal(err)
			}
			plan = append(plan, detail)
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil {
			t.Fatal(err)
		}
		for _, line := range plan {
			if bad := wasteful(q, line); bad != "" {
				t.Errorf("%s\n%s: %s", q, strings.Join(plan, "\n"), bad)
			}
		}
		for where, index := range chosen() {
			if strings.Contains(q, where) {
				found[where] = true
				if !strings.Contains(strings.Join(plan, "\n")+" ", "INDEX "+index+" ") {
					t.Errorf("%s\n%s: want it to use %s", q, strings.Join(plan, "\n"), index)
				}
			}
		}
	}
	if looked < 60 {
		t.Errorf("only %d statements were looked at", looked)
	}
	if len(found) != len(chosen()) {
		t.Errorf("only %v of the conditions were seen", found)
	}
}

// chosen says which index serves where several could: the one with the fewest
// entries for a value.
func chosen() map[string]string {
	return map[string]string{
		"records WHERE run = ? AND person = ? AND target = ? AND kind = ?":                 "records_run",
		"records WHERE run = ? AND kind = ?":                                               "records_run",
		"records WHERE run = ? AND at >= ?":                                                "records_run",
		"records WHERE latest >= ?":                                                        "records_search",
		"records WHERE latest >= ? AND person = ? AND target = ? AND kind = ? AND at >= ?": "records_search",
		"runs WHERE target = ? AND state = ?":                                              "runs_target_state",
		"runs WHERE target = ? AND open = 1":                                               "runs_open_target",
		"runs WHERE open = 1 AND wake_at <= ?":                                             "runs_wake",
		"runs WHERE open = 1 AND wake_at IS NOT NULL":                                      "runs_wake",
		"runs WHERE open = 1 ORDER BY number":                                              "runs_open",
		"inbox WHERE state = 'new'":                                                        "inbox_new",
	}
}

// wasteful says what is wrong with one line of a plan, "" for nothing.
func wasteful(q, line string) string {
	if strings.Contains(line, "TEMP B-TREE") && !strings.Contains(q, "WHERE seq IN (") { // those are no more than the limit
		return "it sorts"
	}
	if strings.Contains(line, "records_search") && !strings.Contains(line, "COVERING") {
		return "it reads records to find out whether it gives them"
	}
	rest, scan := strings.CutPrefix(line, "SCAN ")
	if !scan {
		return ""
	}
	table, how, _ := strings.Cut(rest, " ")
	switch {
	case table == "lane" || table == "head" || table == "due":
		return "" // made by the statement itself, one row for a channel
	case !strings.Contains(q, "WHERE") && strings.Contains(q, "ORDER BY") && strings.Contains(q, "LIMIT"):
		return "" // the newest of a table, by its key
	}
	for _, partial := range []string{"inbox_new", "runs_open", "runs_wake", "runs_open_target", "outbox_lane", "outbox_due"} {
		if strings.HasSuffix(how, "INDEX "+partial) {
			return "" // an index of what is open or pending alone
		}
	}
	return "it scans"
}
