package shop

import (
	"fmt"
	"io"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"
)

// bounds returns the upper bounds of the latency histogram, in seconds.
func bounds() []float64 {
	return []float64{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5}
}

// metrics counts what customers asked for. Probes and scrapes are not counted:
// they would drown a quiet service's own figures.
type metrics struct {
	env, version string
	started      time.Time
	bounds       []float64

	mu       sync.Mutex
	requests map[requestKey]uint64
	latency  map[string]*histogram // by path
	orders   uint64
}

type requestKey struct {
	path string
	code int
}

type histogram struct {
	buckets []uint64 // one per bound, not cumulative
	count   uint64
	sum     float64
}

func newMetrics(env, version string, started time.Time) *metrics {
	return &metrics{
		env: env, version: version, started: started, bounds: bounds(),
		requests: map[requestKey]uint64{}, latency: map[string]*histogram{},
	}
}

func (m *metrics) observe(path string, code int, took time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.requests[requestKey{path, code}]++
	h := m.latency[path]
	if h == nil {
		h = &histogram{buckets: make([]uint64, len(m.bounds))}
		m.latency[path] = h
	}
	s := took.Seconds()
	if i := sort.SearchFloat64s(m.bounds, s); i < len(h.buckets) {
		h.buckets[i]++
	}
	h.count++
	h.sum += s
}

func (m *metrics) ordered() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.orders++
}

// write prints everything in the Prometheus text format.
func (m *metrics) write(w io.Writer) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	var b strings.Builder
	common := fmt.Sprintf("env=%q,version=%q", m.env, m.version)

	head(&b, "http_requests_total", "counter", "Requests answered, by path and status code; probes and scrapes are left out.")
	keys := make([]requestKey, 0, len(m.requests))
	for k := range m.requests {
		keys = append(keys, k)
	}
	sort.Slice(keys, func(i, j int) bool {
		if keys[i].path != keys[j].path {
			return keys[i].path < keys[j].path
		}
		return keys[i].code < keys[j].code
	})
	for _, k := range keys {
		fmt.Fprintf(&b, "http_requests_total{code=\"%d\",path=%q,%s} %d\n", k.code, k.path, common, m.requests[k])
	}

	const latency = "http_request_duration_seconds"
	head(&b, latency, "histogram", "Time to answer a request, by path.")
	paths := make([]string, 0, len(m.latency))
	for p := range m.latency {
		paths = append(paths, p)
	}
	sort.Strings(paths)
	for _, p := range paths {
		h, sum := m.latency[p], uint64(0)
		for i, bound := range m.bounds {
			sum += h.buckets[i]
			fmt.Fprintf(&b, "%s_bucket{le=\"%s\",path=%q,%s} %d\n", latency, number(bound), p, common, sum)
		}
		fmt.Fprintf(&b, "%s_bucket{le=\"+Inf\",path=%q,%s} %d\n", latency, p, common, h.count)
		fmt.Fprintf(&b, "%s_sum{path=%q,%s} %s\n", latency, p, common, number(h.sum))
		fmt.Fprintf(&b, "%s_count{path=%q,%s} %d\n", latency, p, common, h.count)
	}

	head(&b, "orders_total", "counter", "Orders taken.")
	fmt.Fprintf(&b, "orders_total{%s} %d\n", common, m.orders)
	head(&b, "build_info", "gauge", "Which release this process is; always 1.")
	fmt.Fprintf(&b, "build_info{service=\"shop\",%s} 1\n", common)
	head(&b, "process_start_time_seconds", "gauge", "When this process started, in seconds since 1970.")
	fmt.Fprintf(&b, "process_start_time_seconds %s\n", number(float64(m.started.UnixMilli())/1000))
	_, err := io.WriteString(w, b.String())
	return err
}

func head(b *strings.Builder, name, kind, help string) {
	fmt.Fprintf(b, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind)
}

func number(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }
