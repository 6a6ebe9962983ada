//go:build linux

package main

import (
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"
)

// TestRestartStormDuringFor kills the real program with -9 while a change for a
// while is on its way, lasts, and comes back: at a named point of each road, and
// at random in between. In the end there was one change and one return.
func TestRestartStormDuringFor(t *testing.T) { everywhere(t, restartStormDuringFor) }

func restartStormDuringFor(t *testing.T) {
	points := []string{"slot taken", "intent committed", "call begun", "call returned", "outcome known"}
	if !all() || onServer(t) { // what differs there is tried at every point by TestKilledAtEveryPoint
		points = []string{"intent committed", "outcome known"}
	}
	for _, point := range points {
		t.Run(point, func(t *testing.T) {
			t.Parallel()
			seed := uint64(time.Now().UnixNano())
			t.Logf("seed %d", seed)
			random := rand.New(rand.NewPCG(seed, 0))
			s := newStage(t)
			count := func(want string) bool {
				raw, err := os.ReadFile(s.path("platform/staging/count"))
				return err == nil && string(raw) == want
			}
			storm := func(times int) {
				for range times {
					bot := s.serve("config.toml", "q.sock", "")
					<-time.After(time.Duration(random.Int64N(int64(200 * time.Millisecond))))
					s.kill9(bot)
				}
			}
			bot := s.serve("config.toml", "q.sock", point)
			a := s.ask("scale shop staging 5 --for 6s")
			s.until("the bot stops on the way up", func() bool { return s.exists("stopped") })
			s.kill9(bot)
			s.remove("stopped")
			storm(2)
			bot = s.serve("config.toml", "q.sock", "")
			s.end(a, 0)
			s.kill9(bot)
			storm(2)
			bot = s.serve("config.toml", "q.sock", point)
			s.until("the bot stops on the way back, or was back before it could", func() bool { return s.exists("stopped") || count("2") })
			s.kill9(bot)
			storm(2)
			s.serve("config.toml", "q.sock", "")
			s.until("it is back", func() bool {
				return count("2") && strings.Join(s.kinds(2), " ") == "requested started succeeded"
			})
			if up, back := s.effects("scale staging 5"), s.effects("scale staging 2"); up != 1 || back != 1 {
				t.Errorf("the platform was asked %d times for 5 and %d times for 2, want once each", up, back)
			}
			s.wantLog(1, "requested", "started", "succeeded")
			s.wantLog(2, "requested", "started", "succeeded")
		})
	}
}
