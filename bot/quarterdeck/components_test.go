//go:build linux

package main

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// TestKilledBetweenComponents kills the real program with -9 at one call after
// another of a deployment over components: afterwards each step and each
// component was done exactly once, in order, and the log tells of it whole.
func TestKilledBetweenComponents(t *testing.T) {
	points, calls := []string{"call begun", "call returned"}, []int{2, 6, 9}
	if all() {
		points, calls = append(points, "outcome known"), []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}
	}
	for _, point := range points {
		for _, nth := range calls {
			t.Run(fmt.Sprintf("%s %d", point, nth), func(t *testing.T) {
				t.Parallel()
				s := newStageOfPieces(t)
				bot := s.serve("config.toml", "q.sock", point, fmt.Sprint("QUARTERDECK_STOP_NTH=", nth))
				a := s.ask("deploy pay v2 staging")
				ended := false
				s.until("the bot stops, or is done before", func() bool {
					ended = len(a.done) > 0
					return ended || s.exists("stopped")
				})
				if !ended {
					s.kill9(bot)
					s.serve("config.toml", "q.sock", "")
				}
				s.end(a, 0)
				want := []string{"step staging/before v2", "deploy staging/web v2", "deploy staging/worker v2", "deploy staging/cron v2", "step staging/after v2"}
				s.wantEffects(want)
				s.wantLog(1, "requested", "started", "succeeded")
			})
		}
	}
}

// newStageOfPieces is newStage with pay/staging.
func newStageOfPieces(t *testing.T) *stage {
	t.Helper()
	s := newStage(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	text, err := withPieces(self, s.dir)
	if err != nil {
		t.Fatal(err)
	}
	config, err := os.ReadFile(s.path("config.toml"))
	if err != nil {
		t.Fatal(err)
	}
	s.write("config.toml", string(config)+text)
	return s
}

// wantEffects compares all that the platform was asked to do with what it was
// to be asked, in order.
func (s *stage) wantEffects(want []string) {
	s.t.Helper()
	raw, err := os.ReadFile(s.path("platform/effects.log"))
	if err != nil {
		s.t.Fatal(err)
	}
	var got []string
	for line := range strings.Lines(string(raw)) {
		what, _, _ := strings.Cut(line, " by ")
		got = append(got, what)
	}
	if strings.Join(got, "; ") != strings.Join(want, "; ") {
		s.t.Errorf("the platform was asked for %q, want %q", got, want)
	}
}

// TestKilledInMixture kills the bot while a component fails, after others were
// changed: what is told of each survives, and the rollback brings all back.
func TestKilledInMixture(t *testing.T) {
	t.Parallel()
	s := newStageOfPieces(t)
	s.write("platform/staging/worker/slow", "")
	s.write("platform/staging/worker/fail", "")
	bot := s.serve("config.toml", "q.sock", "outcome known")
	a := s.ask("deploy pay v2 staging")
	s.until("the bot stops", func() bool { return s.exists("stopped") })
	s.kill9(bot)
	bot = s.serve("config.toml", "q.sock", "call returned", "QUARTERDECK_STOP_NTH=4", "QUARTERDECK_STOP_FILE="+s.path("again"))
	s.end(a, 1)
	if out := a.out.String(); !strings.Contains(flat(out), "v2 is in web, and not in worker and cron") {
		t.Errorf("it said: %s", out)
	}
	s.remove("platform/staging/worker/fail")
	back := s.ask("rollback pay staging")
	s.until("the bot stops in the rollback", func() bool { return s.exists("again") })
	s.kill9(bot)
	s.serve("config.toml", "q.sock", "")
	s.end(back, 0)
	s.wantEffects([]string{"step staging/before v2", "deploy staging/web v2", "deploy staging/worker v2",
		"rollback staging/cron v1", "rollback staging/worker v1", "rollback staging/web v1"})
	s.wantLog(2, "requested", "started", "succeeded")
}
