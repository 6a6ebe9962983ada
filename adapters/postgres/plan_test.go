package postgres

import (
	"context"
	"database/sql"
	"errors"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"quarterdeck/bot/store/storetest"
)

// statements notes what connections prepare.
type statements struct {
	mu   sync.Mutex
	seen map[string]bool
}

func (s *statements) TracePrepareStart(ctx context.Context, _ *pgx.Conn, d pgx.TracePrepareStartData) context.Context {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen[d.SQL] = true
	return ctx
}

func (s *statements) TracePrepareEnd(context.Context, *pgx.Conn, pgx.TracePrepareEndData) {}

func (s *statements) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	return ctx
}

func (s *statements) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// fill makes a log of n records with all that goes with it, as years leave it.
func fill(t testing.TB, db *sql.DB, n int) {
	t.Helper()
	for _, q := range []string{
		`INSERT INTO records (seq, at, latest, kind, run, target, person, hash, body)
			SELECT n, n * 1000000, n * 1000000, CASE WHEN n % 5000 = 7 THEN 'denied' ELSE 'started' END, n / 3 + 1,
				'shop/' || (ARRAY['prod','staging','test','dev'])[n % 4 + 1], 'p' || n % 50, md5(n::text), sha256(n::text::bytea)
			FROM generate_series(1, $1::bigint) n`,
		`INSERT INTO runs (number, rev, state, open, target, person, slot, holds, owner, lease, wake_at, created, body)
			SELECT n, 1, CASE WHEN n % 2000 = 0 THEN 'queued' ELSE 'succeeded' END, CASE WHEN n % 2000 = 0 THEN 1 ELSE 0 END,
				'shop/' || (ARRAY['prod','staging','test','dev'])[n % 4 + 1], 'p' || n % 50, 's' || n, 0, '', 0, n, n, ''
			FROM generate_series(1, $1::bigint / 4) n`,
		`INSERT INTO documents (kind, id, rev, due, body)
			SELECT (ARRAY['lock','release','freeze'])[n % 3 + 1], 'd' || n, 1, 0, '' FROM generate_series(1, $1::bigint / 4) n`,
		`INSERT INTO inbox (id, state, received, message)
			SELECT 'm' || n, CASE WHEN n % 5000 = 0 THEN 'new' ELSE 'done' END, n * 1000000 + 1800000000000000, '{}' FROM generate_series(1, $1::bigint / 4) n`,
		`INSERT INTO outbox (channel, thread, under, account, key, version, ordered, card, created, next_at, tries)
			SELECT 'slack:C' || n % 7, '', '', '', CASE WHEN n % 2 = 0 THEN 'k' || n ELSE '' END, 1, n % 3 % 2, '', 0, n, 0
			FROM generate_series(1, $1::bigint / 20) n`,
	} {
		do(t, db, q, n)
	}
	do(t, db, `VACUUM (ANALYZE) records, runs, documents, inbox, outbox`)
}

// TestNoStatementScans looks at the plan of every statement as it is made
// without knowing the values, beside a long log: no table is read through, and
// nothing is put in order but what is given.
func TestNoStatementScans(t *testing.T) {
	t.Parallel()
	_, dsn := fresh(t)
	seen := &statements{seen: map[string]bool{}}
	s, err := opener{limits: usual, tracer: seen}.open(context.Background(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	c, err := parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	db := opener{limits: usual}.pool(c, usual, 1)
	defer db.Close()
	fill(t, db, 200_000)
	if err := storetest.Everything(s); err != nil {
		t.Fatal(err)
	}
	conn, err := db.Conn(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	exec := func(q string) {
		t.Helper()
		if _, err := conn.ExecContext(context.Background(), q); err != nil {
			t.Fatalf("%s: %v", q, err)
		}
	}
	exec(`SET plan_cache_mode = force_generic_plan`)
	looked := 0
	seen.mu.Lock()
	all := slices.Sorted(maps.Keys(seen.seen))
	seen.mu.Unlock()
	for _, q := range all {
		verb, _, _ := strings.Cut(strings.TrimSpace(q), " ")
		if !slices.Contains([]string{"SELECT", "WITH", "UPDATE", "DELETE", "INSERT"}, verb) || strings.Contains(q, "quarterdeck_version") || strings.Contains(q, "FROM counters WHERE name IN") || strings.Contains(q, "current_s") ||
			strings.Contains(q, "regclass") || strings.Contains(q, "pg_") {
			continue
		}
		looked++
		exec(`PREPARE looked AS ` + q)
		call := "EXECUTE looked"
		if n := parameters(q); n > 0 {
			call += "(NULL" + strings.Repeat(", NULL", n-1) + ")"
		}
		rows, err := conn.QueryContext(context.Background(), "EXPLAIN (COSTS OFF) "+call)
		if err != nil {
			t.Fatalf("%s: %v", q, err)
		}
		var plan []string
		for rows.Next() {
			var line string
			if err := rows.Scan(&line); err != nil {
				t.Fatal(err)
			}
			plan = append(plan, line)
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil {
			t.Fatal(err)
		}
		exec(`DEALLOCATE looked`)
		for _, line := range plan {
			if bad := wasteful(q, line); bad != "" {
				t.Errorf("%s\n%s\n%s", q, strings.Join(plan, "\n"), bad)
				break
			}
		}
	}
	if looked < 60 {
		t.Errorf("only %d statements were looked at", looked)
	}
}

var parameter = regexp.MustCompile(`\$\d+`)

func parameters(q string) int { return len(parameter.FindAllString(q, -1)) }

// wasteful says what is wrong with one line of a plan, "" for nothing.
func wasteful(q, line string) string {
	switch {
	case strings.Contains(line, "Seq Scan on ") && !strings.Contains(line, "Seq Scan on counters"):
		return "it reads a whole table"
	case strings.Contains(line, "Sort") && !strings.Contains(q, "WHERE seq IN (") && !strings.Contains(q, "FROM outbox o WHERE id IN ("):
		return "it sorts" // those are no more than is given, or one for a channel
	case strings.Contains(line, "Bitmap"):
		return "it gathers rows before it gives the first"
	}
	return ""
}
