package run_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"quarterdeck/bot"
	"quarterdeck/bot/logging"
	"quarterdeck/bot/run"
)

// lines is a log that may be read while it is written.
type lines struct {
	mu  sync.Mutex
	out bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.out.Write(p)
}

func (l *lines) all(t *testing.T) (all []map[string]any) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.out.String()) {
		var m map[string]any
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatal(err)
		}
		all = append(all, m)
	}
	return all
}

// counted is a Meter that keeps the runs that settled.
type counted struct {
	bot.NoMeter
	mu      sync.Mutex
	settled []bot.Run
}

func (c *counted) Settled(r bot.Run) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.settled = append(c.settled, r)
}

// A line about a run says which run, whose, and what asked for it, and nothing of
// what was typed. Each run that ends is counted once.
func TestLinesAboutARun(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	log, meter := &lines{}, &counted{}
	h := r.host(func(c *run.Config) {
		c.Logger = logging.New(slog.New(slog.NewJSONHandler(log, nil)), func(s string) string { return s })
		c.Meter = meter
	})
	var once sync.Once
	h.hooks.set(func(k *hooks) {
		k.advance = func() (err error) {
			once.Do(func() { err = &bot.Error{Op: "far", Kind: bot.Unavailable, Say: "it does not answer"} })
			return err
		}
	})
	h.start()
	n := h.begin(dev, `deploy shop v2 to free --reason "the secret reason"`)
	got := h.reaches(n, bot.Succeeded)
	found := false
	for _, m := range log.all(t) {
		if m["run"] == nil {
			continue
		}
		found = true
		if m["run"] != float64(n) || m["person"] != dev || m["request"] != got.Call.ID || m["message"] != got.Call.Message {
			t.Errorf("the line %v is not told apart", m)
		}
		for key, v := range m {
			if s, is := v.(string); is && strings.Contains(s, "secret reason") {
				t.Errorf("%s holds what was typed: %s", key, s)
			}
		}
	}
	if !found {
		t.Error("no line is about the run")
	}
	r.await("it to be counted", func() bool {
		meter.mu.Lock()
		defer meter.mu.Unlock()
		return len(meter.settled) > 0
	})
	meter.mu.Lock()
	defer meter.mu.Unlock()
	if len(meter.settled) != 1 || meter.settled[0].Number != n || meter.settled[0].State != bot.Succeeded || meter.settled[0].Ended.IsZero() {
		t.Errorf("counted %+v", meter.settled)
	}
}
