package shop

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"sync/atomic"
	"time"
)

const (
	maxBody        = 64 << 10
	requestTimeout = 8 * time.Second
	probeTimeout   = 2 * time.Second
)

// server answers for one instance.
type server struct {
	release release
	flags   flags
	env     string
	orders  *orders
	metrics *metrics
	log     *slog.Logger
	now     func() time.Time
	asked   atomic.Uint64 // orders asked for, whether taken or not
	// customers counts those who did not say who they are.
	customers atomic.Uint64
	stopping  atomic.Bool
}

func (s *server) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.measured("/", s.page))
	mux.HandleFunc("POST /orders", s.measured("/orders", s.placeOrder))
	mux.HandleFunc("GET /orders/count", s.measured("/orders/count", s.countOrders))
	mux.HandleFunc("GET /version", s.measured("/version", s.showVersion))
	mux.HandleFunc("GET /healthz", s.healthz)
	mux.HandleFunc("GET /metrics", s.showMetrics)
	return mux
}

// statusWriter remembers the status code for the metrics.
type statusWriter struct {
	http.ResponseWriter
	code int
}

// WriteHeader implements http.ResponseWriter.
func (w *statusWriter) WriteHeader(code int) {
	w.code = code
	w.ResponseWriter.WriteHeader(code)
}

func (s *server) measured(path string, next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		ctx, cancel := context.WithTimeout(r.Context(), requestTimeout)
		defer cancel()
		sw := &statusWriter{ResponseWriter: w, code: http.StatusOK}
		next(sw, r.WithContext(ctx))
		s.metrics.observe(path, sw.code, time.Since(began))
	}
}

func (s *server) page(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	fmt.Fprintf(w, `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>shop %[1]s %[2]s</title></head>
<body style="font-family:sans-serif;margin:4em auto;max-width:32em">
<h1>shop</h1>
<p>%[4]s</p>
<p>checkout: <b>%[5]s</b></p>
<p>version <b>%[1]s</b>, environment <b>%[2]s</b>, process <b>%[3]d</b></p>
<p><a href="/orders/count">orders</a> | <a href="/version">version</a> | <a href="/healthz">health</a> | <a href="/metrics">metrics</a></p>
</body></html>
`, s.release.version, s.env, os.Getpid(), s.release.headline, s.checkout(r.Context(), "passer-by"))
}

func (s *server) placeOrder(w http.ResponseWriter, r *http.Request) {
	in := order{Item: "coffee", Quantity: 1}
	err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody)).Decode(&in)
	if err != nil && !errors.Is(err, io.EOF) { // an empty body is the house order
		s.fail(w, http.StatusBadRequest, fmt.Errorf(`the body is not an order such as {"item":"coffee","quantity":1}: %w`, err))
		return
	}
	if in.Item == "" || in.Quantity < 1 {
		s.fail(w, http.StatusBadRequest, errors.New("an order needs an item and a quantity of at least 1"))
		return
	}
	if reason := s.unhealthy(r.Context()); reason != "" {
		s.fail(w, http.StatusServiceUnavailable, errors.New(reason))
		return
	}
	now := s.now()
	if n := s.asked.Add(1); s.release.duplicateCheck && n%duplicateSample == 0 {
		if err := s.orders.checkDuplicate(r.Context(), now); err != nil {
			s.fail(w, http.StatusInternalServerError, err)
			return
		}
	}
	if in.Customer == "" {
		in.Customer = fmt.Sprintf("customer-%d", s.customers.Add(1)%1000)
	}
	if err := s.creditPoints(r.Context(), in.Customer); err != nil {
		s.fail(w, http.StatusInternalServerError, err)
		return
	}
	id, err := s.orders.add(r.Context(), in, s.release.version, now)
	if err != nil {
		s.fail(w, http.StatusInternalServerError, err)
		return
	}
	s.metrics.ordered()
	s.reply(w, http.StatusCreated, map[string]any{"id": id, "version": s.release.version, "checkout": s.checkout(r.Context(), in.Customer)})
}

func (s *server) countOrders(w http.ResponseWriter, r *http.Request) {
	n, err := s.orders.count(r.Context())
	if err != nil {
		s.fail(w, http.StatusInternalServerError, fmt.Errorf("count orders: %w", err))
		return
	}
	s.reply(w, http.StatusOK, map[string]any{"orders": n})
}

func (s *server) showVersion(w http.ResponseWriter, _ *http.Request) {
	s.reply(w, http.StatusOK, map[string]any{
		"service": "shop", "version": s.release.version, "env": s.env, "pid": os.Getpid(),
	})
}

func (s *server) healthz(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	reason := s.unhealthy(r.Context())
	if s.stopping.Load() {
		reason = "shutting down"
	}
	if reason != "" {
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprintln(w, reason)
		return
	}
	fmt.Fprintln(w, "ok")
}

// unhealthy returns why this instance cannot work, or nothing if it can.
func (s *server) unhealthy(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	have, err := s.orders.schema(ctx)
	switch {
	case err != nil:
		return "orders database does not answer: " + err.Error()
	case have < s.release.schema:
		return fmt.Sprintf("orders database has schema %d, %s needs schema %d: migration %s has not been run",
			have, s.release.version, s.release.schema, s.release.migration)
	}
	return ""
}

func (s *server) showMetrics(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	if err := s.metrics.write(w); err != nil {
		s.log.Debug("metrics not written", "error", err)
	}
}

// fail answers with a sentence; what is the shop's own fault is also logged.
func (s *server) fail(w http.ResponseWriter, code int, err error) {
	if code >= http.StatusInternalServerError {
		s.log.Error("request failed", "code", code, "error", err.Error())
	}
	s.reply(w, code, map[string]any{"error": err.Error(), "version": s.release.version})
}

func (s *server) reply(w http.ResponseWriter, code int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	if err := json.NewEncoder(w).Encode(body); err != nil {
		s.log.Debug("reply not written", "error", err)
	}
}
