//go:build linux

package main

import (
	"fmt"
	"math/rand/v2"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"quarterdeck/adapters/prometheus/fakeprometheus"
)

// TestRestartStormDuringGuard kills the real program with -9 while a deployment
// is made, watched and taken back by itself: at a named point of each of the three
// roads, and at random in between. In the end there was one deployment and one way
// back, and the log tells of the watch between them.
func TestRestartStormDuringGuard(t *testing.T) { everywhere(t, restartStormDuringGuard) }

func restartStormDuringGuard(t *testing.T) {
	if !all() {
		t.Skip("make test-all kills it at every point; the script guard does so once")
	}
	points := []string{"slot taken", "intent committed", "call begun", "call returned", "outcome known"}
	if onServer(t) { // what differs there is tried at every point by TestKilledAtEveryPoint
		points = []string{"call begun", "outcome known"}
	}
	for _, point := range points {
		t.Run(point, func(t *testing.T) {
			t.Parallel()
			seed := uint64(time.Now().UnixNano())
			t.Logf("seed %d", seed)
			random := rand.New(rand.NewPCG(seed, 0))
			s := newStage(t)
			prometheus := &fakeprometheus.Server{}
			prometheus.Set("errors", fakeprometheus.Line{Value: func(time.Time) (float64, bool) { return 40, true }})
			web := httptest.NewServer(prometheus)
			t.Cleanup(web.Close)
			raw, err := os.ReadFile(s.path("config.toml"))
			if err != nil {
				t.Fatal(err)
			}
			const header = "[service.shop.staging]\n"
			text := strings.Replace(string(raw), header, header+"metrics = { provider = \"prom\", panels = \"web\" }\nguard = { metrics = [\"errors\"], bake = \"10s\", every = \"1s\", on_breach = \"rollback\" }\n", 1)
			s.write("config.toml", text+fmt.Sprintf("\n[provider.prom]\ntype = \"prometheus\"\napi_url = %q\n[panels.web.errors]\nexpr = \"errors\"\nunit = \"%%\"\nabove = 2\n", web.URL))
			over := func() bool {
				return s.effects("rollback staging v1") > 0 && strings.Join(s.kinds(3), " ") == "requested started succeeded"
			}
			var a *asked
			for range 3 {
				bot := s.serve("config.toml", "q.sock", point)
				if a == nil {
					a = s.ask("deploy shop v2 staging")
				}
				s.until("the bot stops, or is through", func() bool { return s.exists("stopped") || s.effects("rollback staging v1") > 0 })
				s.kill9(bot)
				if s.exists("stopped") {
					s.remove("stopped")
				}
				bot = s.serve("config.toml", "q.sock", "")
				<-time.After(time.Duration(random.Int64N(int64(200 * time.Millisecond))))
				s.kill9(bot)
			}
			s.serve("config.toml", "q.sock", "")
			s.end(a, 0)
			s.until("it is taken back", over)
			if there, back := s.effects("deploy staging v2"), s.effects("rollback staging v1"); there != 1 || back != 1 {
				t.Errorf("the platform was asked %d times for v2 and %d times to go back, want once each", there, back)
			}
			s.wantLog(1, "requested", "started", "succeeded")
			s.wantLog(2, "requested", "started", "failed")
			s.wantLog(3, "requested", "started", "succeeded")
		})
	}
}
