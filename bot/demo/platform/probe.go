package platform

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

const (
	probeEvery   = 50 * time.Millisecond
	probeTimeout = time.Second
)

// probe asks an instance for its health and returns nothing if it is well, and
// else which check said what.
func (s *Supervisor) probe(ctx context.Context, p *process) string {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.backend.addr+"/healthz", nil)
	if err != nil {
		return "GET /healthz cannot be asked: " + err.Error()
	}
	resp, err := s.client.Do(req)
	if err != nil {
		if errors.Is(err, context.DeadlineExceeded) {
			return fmt.Sprintf("GET /healthz did not answer within %s", probeTimeout)
		}
		return "GET /healthz failed: " + err.Error()
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
	if resp.StatusCode == http.StatusOK && err == nil {
		return ""
	}
	return fmt.Sprintf("GET /healthz answered %d: %s", resp.StatusCode, strings.TrimSpace(string(body)))
}

// awaitHealthy returns when the instance has been healthy for soak without a
// break. Where limit is not zero, an instance that is not healthy by then is an
// error that says what it answered.
func (s *Supervisor) awaitHealthy(ctx context.Context, p *process, limit, soak time.Duration) error {
	tick := time.NewTicker(probeEvery)
	defer tick.Stop()
	var expired <-chan time.Time
	if limit > 0 {
		timer := time.NewTimer(limit)
		defer timer.Stop()
		expired = timer.C
	}
	late := false
	var since time.Time
	for {
		answer := s.probe(ctx, p)
		now := time.Now()
		switch {
		case answer == "" && since.IsZero():
			since = now
		case answer != "":
			since = time.Time{}
		}
		if !since.IsZero() && now.Sub(since) >= soak {
			return nil
		}
		if late && since.IsZero() {
			return fmt.Errorf("did not become healthy within %s: instance %s: %s", limit, p.name, answer)
		}
		select {
		case <-p.exited:
			return fmt.Errorf("did not become healthy: instance %s %s", p.name, p.epitaph())
		case <-ctx.Done():
			return ctx.Err()
		case <-expired:
			late = true
		case <-tick.C:
		}
	}
}
