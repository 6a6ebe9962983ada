package platform

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

// SocketName is the control socket's file name in the platform's folder.
const SocketName = "platform.sock"

// Supervisor runs the platform. Make one with New and start it with Run.
type Supervisor struct {
	given Config
	ready chan struct{}

	// Set by Run before anything else runs.
	cfg       Config
	log       *slog.Logger
	running   context.Context // ends when the platform is asked to stop
	life      context.Context // ends when everything has been stopped
	spawner   *spawner
	transport *http.Transport
	client    *http.Client
	control   net.Listener
	closers   []func() error

	operations sync.WaitGroup // changes under way
	background sync.WaitGroup // load, monitor, backups
	goroutines sync.WaitGroup // everything else

	mu      sync.Mutex
	used    bool
	journal *journal
	envs    []*environment
}

// New returns a Supervisor that has not done anything yet.
func New(cfg Config) *Supervisor {
	return &Supervisor{given: cfg, ready: make(chan struct{})}
}

// Ready is closed when every instance takes traffic and the control socket answers.
func (s *Supervisor) Ready() <-chan struct{} { return s.ready }

// Run runs the platform until ctx ends, then drains and stops all of it. When
// it returns, no process and no goroutine of it is left. An orderly end is no
// error. A Supervisor runs once.
func (s *Supervisor) Run(ctx context.Context) error {
	s.mu.Lock()
	used := s.used
	s.used = true
	s.mu.Unlock()
	if used {
		return errors.New("run platform: this supervisor has been run already")
	}
	cfg, err := s.given.complete()
	if err != nil {
		return fmt.Errorf("run platform: %w", err)
	}
	running, stop := context.WithCancel(ctx)
	defer stop()
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	s.cfg, s.log, s.running, s.life = cfg, cfg.Log, running, life
	s.spawner = newSpawner()
	// No proxy and no HTTP/2: everything here is loopback.
	s.transport = &http.Transport{
		DialContext:         (&net.Dialer{Timeout: 2 * time.Second}).DialContext,
		MaxIdleConnsPerHost: 32,
		IdleConnTimeout:     30 * time.Second,
		DisableCompression:  true,
	}
	s.client = &http.Client{Transport: s.transport}

	if err := s.open(ctx); err != nil {
		return errors.Join(fmt.Errorf("run platform: %w", err), s.close())
	}
	failed := make(chan error, 1+len(s.envs))
	servers := s.start(failed)
	var broken error
	select {
	case <-ctx.Done():
	case broken = <-failed:
	}
	stop()
	broken = errors.Join(broken, s.stop(ctx, servers))
	end()
	s.transport.CloseIdleConnections()
	s.goroutines.Wait()
	return errors.Join(broken, s.close())
}

// open claims the folder and opens everything in it.
func (s *Supervisor) open(ctx context.Context) error {
	for _, dir := range []string{s.cfg.Dir, filepath.Join(s.cfg.Dir, "logs"), filepath.Join(s.cfg.Dir, "backups")} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("make platform folder: %w", err)
		}
	}
	// The socket comes first: whoever holds it is the only writer of the log.
	listener, err := listenControl(ctx, filepath.Join(s.cfg.Dir, SocketName))
	if err != nil {
		return err
	}
	s.control = listener
	s.onClose(func() error { _ = listener.Close(); return nil }) // closed already unless the start failed
	j, err := openJournal(filepath.Join(s.cfg.Dir, LogName), s.cfg.Now)
	if err != nil {
		return err
	}
	s.onClose(j.close)
	s.mu.Lock()
	s.journal = j
	s.mu.Unlock()
	var envs []*environment
	for _, cfg := range s.cfg.Environments {
		e, err := s.openEnvironment(ctx, cfg)
		if err != nil {
			return err
		}
		envs = append(envs, e)
	}
	s.mu.Lock()
	s.envs = envs
	s.mu.Unlock()
	return nil
}

// start sets everything going and returns the servers that have to be stopped.
func (s *Supervisor) start(failed chan<- error) []*http.Server {
	s.goroutines.Go(func() { s.spawner.run(s.life) })
	serve := func(server *http.Server, listener net.Listener) {
		s.goroutines.Go(func() {
			if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
				failed <- fmt.Errorf("serve %s: %w", listener.Addr(), err)
			}
		})
	}
	var servers []*http.Server
	var first []*replica
	for _, e := range s.envs {
		serve(e.front.server, e.front.listener)
		servers = append(servers, e.front.server)
		own := make([]*replica, e.standing.desired)
		for i := range own {
			own[i] = e.keepNew(e.standing.live)
		}
		first = append(first, own...)
		s.background.Go(func() { e.monitor(s.running) })
		s.background.Go(func() {
			if !s.awaitUp(own[:1]) { // before that there is nobody to ask and nothing to back up
				return
			}
			s.background.Go(func() { e.load(s.running) })
			e.keepBackups(s.running)
		})
	}
	control := s.controlServer()
	serve(control, s.control)
	s.background.Go(func() {
		if s.awaitUp(first) {
			close(s.ready)
		}
	})
	return append(servers, control)
}

// awaitUp returns true when all of the replicas have taken traffic, and false
// when the platform stops first.
func (s *Supervisor) awaitUp(replicas []*replica) bool {
	for _, r := range replicas {
		select {
		case <-r.up:
		case <-s.running.Done():
			return false
		}
	}
	return true
}

// stop takes the platform down in the order in which nothing is missed: no new
// operations, the ones under way to their end, no more load, no more requests,
// then the instances.
func (s *Supervisor) stop(ctx context.Context, servers []*http.Server) error {
	for _, e := range s.envs {
		e.shut()
	}
	s.operations.Wait()
	s.background.Wait()
	s.transport.CloseIdleConnections() // the servers wait for nobody then
	ends := make(chan error, len(servers))
	for _, server := range servers {
		s.goroutines.Go(func() { ends <- stopServer(ctx, server) })
	}
	var err error
	for range servers {
		err = errors.Join(err, <-ends)
	}
	var retiring sync.WaitGroup
	for _, e := range s.envs {
		for _, r := range e.snapshot() {
			retiring.Go(r.retire)
		}
	}
	retiring.Wait()
	return err
}

func (s *Supervisor) onClose(f func() error) { s.closers = append(s.closers, f) }

func (s *Supervisor) close() error {
	var err error
	for _, f := range slices.Backward(s.closers) {
		err = errors.Join(err, f())
	}
	return err
}

func (s *Supervisor) environments() []*environment {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.envs
}

// environment finds one by name, or says which there are.
func (s *Supervisor) environment(name string) (*environment, *progress) {
	var names []string
	for _, e := range s.environments() {
		if e.cfg.Name == name {
			return e, nil
		}
		names = append(names, e.cfg.Name)
	}
	if name == "" {
		return nil, refused("OP_ENV is missing; the environments are %q", names)
	}
	return nil, refused("there is no environment %q; the environments are %q", name, names)
}
