package platform

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"slices"
	"sync"
	"time"
)

// backend is one instance as the front sees it.
type backend struct {
	name, addr string

	// Guarded by the pool.
	up       bool // healthy: gets new requests
	inflight int
	idle     chan struct{} // closed when the last request ends; set while draining
}

// pool holds the backends that take traffic.
type pool struct {
	mu       sync.Mutex
	backends []*backend
	next     int
}

// add puts a healthy instance into rotation.
func (p *pool) add(b *backend) {
	p.mu.Lock()
	defer p.mu.Unlock()
	b.up = true
	p.backends = append(p.backends, b)
}

// mark changes the health of an instance that is in rotation, and says whether
// that was news.
func (p *pool) mark(b *backend, up bool) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if b.up == up || !slices.Contains(p.backends, b) {
		return false
	}
	b.up = up
	return true
}

// serving says whether the instance gets new requests.
func (p *pool) serving(b *backend) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return b.up && slices.Contains(p.backends, b)
}

// remove takes the instance out of rotation at once.
func (p *pool) remove(b *backend) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if i := slices.Index(p.backends, b); i >= 0 {
		p.backends = slices.Delete(p.backends, i, i+1)
	}
}

// drain takes the instance out of rotation and waits for its open requests, or
// for ctx.
func (p *pool) drain(ctx context.Context, b *backend) {
	p.remove(b)
	p.mu.Lock()
	if b.inflight == 0 {
		p.mu.Unlock()
		return
	}
	idle := make(chan struct{})
	b.idle = idle
	p.mu.Unlock()
	select {
	case <-idle:
	case <-ctx.Done():
	}
}

// pick returns the next healthy instance that is not among tried.
func (p *pool) pick(tried []*backend) *backend {
	p.mu.Lock()
	defer p.mu.Unlock()
	for range p.backends {
		p.next++
		b := p.backends[p.next%len(p.backends)]
		if b.up && !slices.Contains(tried, b) {
			b.inflight++
			return b
		}
	}
	return nil
}

func (p *pool) release(b *backend) {
	p.mu.Lock()
	defer p.mu.Unlock()
	b.inflight--
	if b.inflight == 0 && b.idle != nil {
		close(b.idle)
		b.idle = nil
	}
}

var errNoInstance = errors.New("no healthy instance")

// RoundTrip implements http.RoundTripper: it sends the request to a healthy
// instance. Another one is tried only where no connection came about, because
// then the first one cannot have acted on the request.
func (f *front) RoundTrip(r *http.Request) (*http.Response, error) {
	body := r.Body
	if body != nil {
		defer body.Close()
		r.Body = io.NopCloser(body)
	}
	var tried []*backend
	for {
		b := f.pool.pick(tried)
		if b == nil {
			return nil, errNoInstance
		}
		r.URL.Scheme, r.URL.Host, r.Host = "http", b.addr, b.addr
		resp, err := f.transport.RoundTrip(r)
		if err == nil {
			resp.Header.Set("X-Instance", b.name)
			resp.Body = &releasing{ReadCloser: resp.Body, release: func() { f.pool.release(b) }}
			return resp, nil
		}
		f.pool.release(b)
		var op *net.OpError
		if !errors.As(err, &op) || op.Op != "dial" {
			return nil, err
		}
		tried = append(tried, b)
	}
}

// releasing ends a request's hold on its instance with the end of the answer.
type releasing struct {
	io.ReadCloser
	once    sync.Once
	release func()
}

// Close implements io.Closer.
func (r *releasing) Close() error {
	defer r.once.Do(r.release)
	return r.ReadCloser.Close()
}

// front is the address of an environment that stays the same while instances
// come and go.
type front struct {
	target    string
	pool      *pool
	transport http.RoundTripper
	listener  net.Listener
	server    *http.Server
}

// openFront listens on the preferred address, or on any free port where that is
// taken.
func openFront(ctx context.Context, target, preferred string, p *pool, transport http.RoundTripper, log *slog.Logger) (*front, error) {
	const anyPort = "127.0.0.1:0"
	if preferred == "" {
		preferred = anyPort
	}
	var lc net.ListenConfig
	listener, err := lc.Listen(ctx, "tcp", preferred)
	if err != nil && preferred != anyPort {
		log.Info("front address is taken, using another", "target", target, "address", preferred)
		listener, err = lc.Listen(ctx, "tcp", anyPort)
	}
	if err != nil {
		return nil, fmt.Errorf("open front of %s: %w", target, err)
	}
	f := &front{target: target, pool: p, transport: transport, listener: listener}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetXForwarded()
			r.Out.URL.Host = "instance" // RoundTrip chooses which
		},
		Transport:    f,
		ErrorHandler: f.fail,
		ErrorLog:     slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	f.server = &http.Server{
		Handler:           proxy,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       15 * time.Second,
		WriteTimeout:      20 * time.Second,
		IdleTimeout:       time.Minute,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	return f, nil
}

func (f *front) url() string { return "http://" + f.listener.Addr().String() }

func (f *front) fail(w http.ResponseWriter, _ *http.Request, err error) {
	code, said := http.StatusBadGateway, "the instance did not answer: "+err.Error()
	if errors.Is(err, errNoInstance) {
		code, said = http.StatusServiceUnavailable, f.target+" has no healthy instance"
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(map[string]string{"error": said}) // the caller may be gone
}

// stopServer ends the server, open requests first, within a bound.
func stopServer(ctx context.Context, server *http.Server) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	if err := server.Shutdown(ctx); err != nil {
		return server.Close()
	}
	return nil
}
