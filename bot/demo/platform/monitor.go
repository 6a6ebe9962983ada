package platform

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	scrapeEvery   = time.Second
	scrapeTimeout = 2 * time.Second
	windowLength  = 10 * time.Second
	// staleAfter is when the newest figure is too old to speak for now.
	staleAfter = 5 * time.Second
	// missesAllowed is how many health checks in a row an instance may miss
	// before it gets no more traffic.
	missesAllowed = 3
)

// counters is what an instance has counted since it started.
type counters struct {
	requests, errors float64
}

// interval is what all instances together counted between two scrapes.
type interval struct {
	from, to time.Time
	counters
}

// window keeps the intervals of the last seconds.
type window struct {
	mu        sync.Mutex
	intervals []interval
}

func newWindow() *window { return &window{} }

func (w *window) add(i interval) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.intervals = append(w.intervals, i)
	for len(w.intervals) > 1 && i.to.Sub(w.intervals[0].to) >= windowLength {
		w.intervals = w.intervals[1:]
	}
}

func (w *window) traffic() Traffic {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := len(w.intervals)
	if n == 0 || time.Since(w.intervals[n-1].to) > staleAfter {
		return Traffic{}
	}
	var sum counters
	var covered time.Duration
	for _, i := range w.intervals {
		sum.requests += i.requests
		sum.errors += i.errors
		covered += i.to.Sub(i.from)
	}
	var t Traffic
	if covered > 0 {
		rate := sum.requests / covered.Seconds()
		t.RequestsPerSecond = &rate
	}
	if sum.requests > 0 {
		ratio := sum.errors / sum.requests
		t.ErrorRatio = &ratio
	}
	return t
}

// monitor scrapes the instances and checks their health every second. An
// interval in which no instance could be scraped leaves no trace, so that it
// shows as no data.
func (e *environment) monitor(ctx context.Context) {
	tick := time.NewTicker(scrapeEvery)
	defer tick.Stop()
	known := map[*process]counters{}
	watched := map[*process]bool{}
	from, gap := time.Now(), false
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		fresh := e.scrapeAll(ctx)
		now := time.Now()
		for p := range fresh {
			watched[p] = true
		}
		for p := range watched {
			select {
			case <-p.exited:
				delete(watched, p)
				e.super.cfg.Scraped(e.cfg.Name, p.name, now, nil, true)
			default:
			}
		}
		switch {
		case len(fresh) == 0:
			gap = true
			continue
		case gap: // what was counted meanwhile belongs to no interval
			known, from, gap = fresh, now, false
			continue
		}
		step := interval{from: from, to: now}
		for p, c := range fresh { // a process unknown so far began at zero
			step.requests += c.requests - known[p].requests
			step.errors += c.errors - known[p].errors
			known[p] = c
		}
		for p := range known {
			select {
			case <-p.exited:
				delete(known, p)
			default:
			}
		}
		e.window.add(step)
		from = now
	}
}

// scrapeAll looks at all instances at once and returns what answered.
func (e *environment) scrapeAll(ctx context.Context) map[*process]counters {
	ctx, cancel := context.WithTimeout(ctx, scrapeTimeout)
	defer cancel()
	var (
		all sync.WaitGroup
		mu  sync.Mutex
	)
	fresh := map[*process]counters{}
	for _, r := range e.snapshot() {
		p := r.process()
		if p == nil {
			continue
		}
		all.Go(func() {
			e.checkHealth(ctx, p)
			exposition, err := e.super.scrape(ctx, p)
			e.super.cfg.Scraped(e.cfg.Name, p.name, time.Now(), exposition, false)
			if err != nil {
				return
			}
			c, err := parseCounters(bytes.NewReader(exposition))
			if err != nil {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			fresh[p] = c
		})
	}
	all.Wait()
	return fresh
}

// checkHealth takes an instance that is ill out of the front, and back in when
// it is well again.
func (e *environment) checkHealth(ctx context.Context, p *process) {
	answer := e.super.probe(ctx, p)
	if answer == "" {
		p.misses = 0
		if e.pool.mark(p.backend, true) {
			e.super.log.Info("instance is healthy again", "instance", p.name, "version", p.version)
		}
		return
	}
	if p.misses++; p.misses >= missesAllowed && e.pool.mark(p.backend, false) {
		e.super.log.Warn("instance gets no more traffic", "instance", p.name, "version", p.version, "check", answer)
	}
}

// maxExposition bounds what an instance may print of itself.
const maxExposition = 4 << 20

// scrape gives what an instance prints of itself; nil with an error.
func (s *Supervisor) scrape(ctx context.Context, p *process) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.backend.addr+"/metrics", nil)
	if err != nil {
		return nil, err
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("GET /metrics answered %d", resp.StatusCode)
	}
	exposition, err := io.ReadAll(io.LimitReader(resp.Body, maxExposition))
	if err != nil {
		return nil, err
	}
	return exposition, nil
}

// parseCounters adds up http_requests_total from the Prometheus text format.
func parseCounters(r io.Reader) (counters, error) {
	var c counters
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		labels, ok := strings.CutPrefix(lines.Text(), "http_requests_total{")
		if !ok {
			continue
		}
		labels, value, ok := strings.Cut(labels, "} ")
		n, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
		if !ok || err != nil {
			return counters{}, fmt.Errorf("metrics line %q cannot be read", lines.Text())
		}
		c.requests += n
		if strings.Contains(labels, `code="5`) {
			c.errors += n
		}
	}
	return c, lines.Err()
}
