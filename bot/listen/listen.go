// Package listen answers HTTP on up to three addresses: public, internal and
// flags, each with what belongs there and nothing else. It knows no handler: the
// assembly gives it the table of routes.
package listen

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/sourcegraph/conc/pool"

	"quarterdeck/bot"
)

// Bounds of one listener. The senders are chat networks, monitors and flag
// clients: their requests are small, and all of them try again.
const (
	headerWithin = 5 * time.Second  // until the headers are there
	readWithin   = 10 * time.Second // until the whole request is there
	answerWithin = 15 * time.Second // for the handler
	writeWithin  = 20 * time.Second // from the headers to the end of the answer
	idleWithin   = 60 * time.Second // between two requests of a connection
	maxHeader    = 16 << 10         // bytes of all headers; net/http adds 4 KiB
	maxOpen      = 512              // connections of one listener at once
	stopWithin   = 5 * time.Second  // for answers under way, when it stops
)

// Config is what Listeners work with; Logger may be nil, the rest but Meter is
// needed.
type Config struct {
	// Addresses gives "HOST:PORT" of each listener that is on.
	Addresses map[bot.Listener]string
	Routes    []bot.Route
	IDs       bot.IDs // for the references of internal errors
	Logger    *slog.Logger
	Meter     bot.Meter
	MaxOpen   int // connections of one listener at once; default 512
}

// Listeners are the configured listeners. Make them with New, open them with
// Open, then Run.
type Listeners struct {
	c     Config
	muxes map[bot.Listener]*http.ServeMux
	open  map[bot.Listener]net.Listener
}

// New checks the table: a route that is on the wrong listener, stands there
// twice or has no handler is an Error of kind Internal, because only a
// programmer can have written it. Routes of listeners that are off are checked
// too. It opens nothing.
func New(c Config) (*Listeners, error) {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Meter == nil {
		c.Meter = bot.NoMeter{}
	}
	if c.MaxOpen <= 0 {
		c.MaxOpen = maxOpen
	}
	l := &Listeners{c: c, muxes: map[bot.Listener]*http.ServeMux{}, open: map[bot.Listener]net.Listener{}}
	for _, on := range bot.Listeners() {
		l.muxes[on] = http.NewServeMux()
	}
	for _, r := range c.Routes {
		if err := l.mount(r); err != nil {
			return nil, &bot.Error{Op: "listen.new", Kind: bot.Internal, Err: fmt.Errorf("route %s %s on %q: %w", r.Method, r.Path, r.On, err)}
		}
	}
	return l, nil
}

func (l *Listeners) mount(r bot.Route) (err error) {
	mux, known := l.muxes[r.On]
	switch {
	case !known:
		return errors.New("there is no such listener")
	case r.Handler == nil:
		return errors.New("it has no handler")
	case r.Method == "":
		return errors.New("it names no method")
	case !r.On.Holds(r.Path):
		return errors.New("its path does not belong there")
	case strings.HasSuffix(r.Path, "/"):
		return errors.New("its path is not a whole one")
	}
	defer func() { // ServeMux panics on two patterns of which neither is the more specific
		if p := recover(); p != nil {
			err = fmt.Errorf("%v", p)
		}
	}()
	mux.Handle(r.Method+" "+r.Path, bounded(r))
	return nil
}

// bounded holds the request to its route's bounds.
func bounded(r bot.Route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if q.ContentLength > r.MaxBody {
			say(w, http.StatusRequestEntityTooLarge, fmt.Sprintf("the body is larger than %d bytes", r.MaxBody))
			return
		}
		q.Body = http.MaxBytesReader(w, q.Body, r.MaxBody)
		if r.Stream {
			r.Handler.ServeHTTP(w, q)
			return
		}
		ctx, cancel := context.WithTimeout(q.Context(), answerWithin)
		defer cancel()
		r.Handler.ServeHTTP(w, q.WithContext(ctx))
	})
}

// say answers with one line of text.
func say(w http.ResponseWriter, status int, text string) {
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = fmt.Fprintln(w, text) // who asked may be gone
}

// Open takes the configured addresses. One that cannot be had is an Error of
// kind Invalid whose sentence names the key; none stays open then.
func (l *Listeners) Open(ctx context.Context) error {
	for _, on := range bot.Listeners() {
		address := l.c.Addresses[on]
		if address == "" {
			continue
		}
		var lc net.ListenConfig
		open, err := lc.Listen(ctx, "tcp", address)
		if err != nil {
			l.Close()
			return notOpened(on, address, err)
		}
		l.open[on] = open
	}
	return nil
}

func notOpened(on bot.Listener, address string, err error) error {
	say := fmt.Sprintf("listen.%s = %q cannot be listened on", on, address)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		say = fmt.Sprintf("listen.%s = %q is in use by another program; give it another port, or stop that one", on, address)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		say = fmt.Sprintf("listen.%s = %q is no address of this machine", on, address)
	case errors.Is(err, syscall.EACCES):
		say = fmt.Sprintf("listen.%s = %q is not allowed to this user; take a port above 1023", on, address)
	}
	return &bot.Error{Op: "listen.open", Kind: bot.Invalid, Say: say, Err: err}
}

// Address gives where a listener listens, for a port that the system chose; nil
// when it is off.
func (l *Listeners) Address(on bot.Listener) net.Addr {
	if open, ok := l.open[on]; ok {
		return open.Addr()
	}
	return nil
}

// Close closes what Open opened and Run did not take.
func (l *Listeners) Close() {
	for _, open := range l.open {
		_ = open.Close() // Run may have closed it
	}
}

// Run answers until ctx ends, then takes no more, gives the answers under way a
// few seconds, and returns nil. A listener that breaks is an error.
func (l *Listeners) Run(ctx context.Context) error {
	all := pool.New().WithContext(ctx).WithCancelOnError().WithFirstError()
	for on, open := range l.open {
		all.Go(func(ctx context.Context) error { return l.serve(ctx, on, open) })
	}
	return all.Wait()
}

func (l *Listeners) serve(ctx context.Context, on bot.Listener, open net.Listener) error {
	logger := l.c.Logger.With("listener", string(on))
	// What answers is cut off only after stopWithin, not with ctx.
	base, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	s := &http.Server{
		Handler:           l.guarded(on, logger),
		ReadHeaderTimeout: headerWithin,
		ReadTimeout:       readWithin,
		WriteTimeout:      writeWithin,
		IdleTimeout:       idleWithin,
		MaxHeaderBytes:    maxHeader,
		BaseContext:       func(net.Listener) context.Context { return base },
		// What net/http has to say is about strangers' connections.
		ErrorLog: slog.NewLogLogger(logger.Handler(), slog.LevelDebug),
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(&limited{Listener: open, places: make(chan struct{}, l.c.MaxOpen)}) }()
	select {
	case err := <-ended:
		return &bot.Error{Op: "listen.serve", Kind: bot.Internal, Err: fmt.Errorf("listener %s: %w", on, err)}
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(base, stopWithin)
	defer cancel()
	if err := s.Shutdown(grace); err != nil {
		cut()
		_ = s.Close() // what is cut off is asked for again by its sender
	}
	<-ended
	return nil
}

// guarded answers what no route does, and turns panics into a sentence.
func (l *Listeners) guarded(on bot.Listener, logger *slog.Logger) http.Handler {
	mux := l.muxes[on]
	return http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		a := &answer{ResponseWriter: w}
		defer func() {
			p := recover()
			if p == nil {
				return
			}
			if p == http.ErrAbortHandler { // the way to cut an answer off on purpose
				panic(p)
			}
			ref := l.c.IDs.New()
			l.c.Meter.Panicked("http")
			logger.Error("panic while answering", "ref", ref, "method", q.Method, "pattern", q.Pattern, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			if a.begun {
				panic(http.ErrAbortHandler) // half an answer must not look like a whole one
			}
			clear(w.Header())
			say(w, http.StatusInternalServerError, "internal error, ref "+ref)
		}()
		handler, pattern := mux.Handler(q)
		if pattern != "" {
			mux.ServeHTTP(a, q) // once more, because this alone gives the names in the path
			return
		}
		// The mux's own answer tells a wrong method from a wrong path.
		var own unanswered
		handler.ServeHTTP(&own, q)
		if own.status == http.StatusMethodNotAllowed {
			w.Header().Set("Allow", own.Header().Get("Allow"))
			say(w, http.StatusMethodNotAllowed, "use "+own.Header().Get("Allow"))
			return
		}
		say(w, http.StatusNotFound, "not found")
	})
}

// answer notes whether anything of it is on its way.
type answer struct {
	http.ResponseWriter
	begun bool
}

func (a *answer) WriteHeader(status int) {
	a.begun = true
	a.ResponseWriter.WriteHeader(status)
}

func (a *answer) Write(b []byte) (int, error) {
	a.begun = true
	return a.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController through.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// unanswered takes an answer that nobody is to see.
type unanswered struct {
	header http.Header
	status int
	bytes.Buffer
}

func (u *unanswered) Header() http.Header {
	if u.header == nil {
		u.header = http.Header{}
	}
	return u.header
}

func (u *unanswered) WriteHeader(status int) { u.status = status }

// limited refuses connections beyond its places by closing them: they would
// otherwise wait in the system's queue until their sender gives up.
type limited struct {
	net.Listener
	places chan struct{}
}

func (l *limited) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		select {
		case l.places <- struct{}{}:
			return &placed{Conn: conn, leave: l.places}, nil
		default:
			_ = conn.Close()
		}
	}
}

type placed struct {
	net.Conn
	left  atomic.Bool
	leave chan struct{}
}

func (p *placed) Close() error {
	err := p.Conn.Close()
	if p.left.CompareAndSwap(false, true) {
		<-p.leave
	}
	return err
}
