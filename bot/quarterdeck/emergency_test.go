//go:build linux

package main

import (
	"database/sql"
	"strings"
	"testing"
)

// TestKilledInEmergency kills the real program with -9 in the middle of a way
// back that only its emergency journal knows of, because another process keeps
// the database locked. Once that is over and the bot is back, the way back was
// asked for once, and the log tells of it whole.
func TestKilledInEmergency(t *testing.T) {
	t.Parallel()
	for point, want := range map[string]struct {
		exit int
		asks bool
		log  string
	}{
		"journal: intent":        {4, true, "requested confirmed started succeeded"},
		"journal: outcome known": {0, false, "requested started succeeded"},
	} {
		t.Run(strings.TrimPrefix(point, "journal: "), func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			bot := s.serve("config.toml", "q.sock", point)
			s.end(s.ask("deploy shop v2 staging"), 0)
			unlock := s.lockDatabase()
			a := s.ask("rollback shop staging v1")
			s.until("the bot stops at: "+point, func() bool { return s.exists("stopped") })
			s.kill9(bot)
			unlock()
			s.serve("config.toml", "q.sock", "")
			s.end(a, want.exit)
			if want.asks {
				if n := s.effects("rollback"); n != 0 {
					t.Errorf("the platform was asked %d times before anybody confirmed", n)
				}
				s.end(s.ask("confirm 2"), 0)
			}
			if n := s.effects("rollback staging v1"); n != 1 {
				t.Errorf("the platform was asked %d times, want once", n)
			}
			s.wantLog(2, strings.Fields(want.log)...)
		})
	}
}

// lockDatabase keeps everybody else from writing the database, or reading it,
// until the function it gives is called.
func (s *stage) lockDatabase() (unlock func()) {
	s.t.Helper()
	db, err := sql.Open("sqlite", "file:"+s.path("quarterdeck.db")+"?_pragma=busy_timeout(60000)")
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { db.Close() })
	db.SetMaxOpenConns(1)
	if _, err := db.Exec("BEGIN EXCLUSIVE"); err != nil {
		s.t.Fatal(err)
	}
	return func() {
		s.t.Helper()
		if _, err := db.Exec("ROLLBACK"); err != nil {
			s.t.Fatal(err)
		}
		if err := db.Close(); err != nil {
			s.t.Fatal(err)
		}
	}
}
