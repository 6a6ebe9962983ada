package platform

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

const (
	firstBackoff = 200 * time.Millisecond
	maxBackoff   = 30 * time.Second
	// steadyAfter is how long an instance must have lived for its death to
	// count as a new story rather than as the next turn of a crash loop.
	steadyAfter = 10 * time.Second
)

// replica is one place among an environment's instances. Its version never
// changes; its process does when it dies and is started again.
type replica struct {
	env     *environment
	name    string
	version string
	ctx     context.Context // ends when the replica is to go
	cancel  context.CancelFunc
	up      chan struct{} // closed when it took traffic for the first time
	upOnce  sync.Once
	done    chan struct{} // closed when its process is gone for good

	mu   sync.Mutex
	proc *process
}

// newReplica registers a replica; first or keep gives it a process.
func (e *environment) newReplica(version string) *replica {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.numbered++
	r := &replica{
		env: e, version: version, name: fmt.Sprintf("%s-%s-%d", service, e.cfg.Name, e.numbered),
		up: make(chan struct{}), done: make(chan struct{}),
	}
	r.ctx, r.cancel = context.WithCancel(e.super.life)
	e.replicas = append(e.replicas, r)
	return r
}

// keepNew registers a replica that is started, and started again, until it works.
func (e *environment) keepNew(version string) *replica {
	r := e.newReplica(version)
	e.super.goroutines.Go(func() { r.keep(nil) })
	return r
}

// startReplica brings up one replica for an operation. If it does not become
// healthy it is taken away again, and the error says why.
func (e *environment) startReplica(ctx context.Context, version string) (*replica, error) {
	r := e.newReplica(version)
	p, err := r.first(ctx)
	if err != nil {
		r.cancel()
		close(r.done)
		e.forget(r)
		return nil, err
	}
	e.super.goroutines.Go(func() { r.keep(p) })
	return r, nil
}

// first starts the replica's first process and returns when it takes traffic.
func (r *replica) first(ctx context.Context) (*process, error) {
	s := r.env.super
	// A process that does not even say where it listens gets the same time.
	within, cancel := context.WithTimeout(ctx, s.cfg.HealthTimeout)
	defer cancel()
	p, err := r.env.launch(within, r.name, r.version)
	switch {
	case ctx.Err() != nil && err != nil:
		return nil, ctx.Err()
	case errors.Is(err, context.DeadlineExceeded):
		return nil, fmt.Errorf("%s in %s did not become healthy within %s: %w", r.version, r.env.cfg.Name, s.cfg.HealthTimeout, err)
	case err != nil:
		return nil, fmt.Errorf("%s in %s did not become healthy: %w", r.version, r.env.cfg.Name, err)
	}
	r.set(p)
	if err := s.awaitHealthy(ctx, p, s.cfg.HealthTimeout, s.cfg.MinReady); err != nil {
		p.terminate()
		r.set(nil)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, fmt.Errorf("%s in %s %w", r.version, r.env.cfg.Name, err)
	}
	r.rotate(p)
	return p, nil
}

// keep watches the replica's process, starts it again when it dies, and ends
// when the replica is to go. Without a process it begins by starting one.
func (r *replica) keep(p *process) {
	defer close(r.done)
	s := r.env.super
	backoff := firstBackoff
	if p == nil {
		if p = r.revive(0, &backoff); p == nil {
			return
		}
	}
	for {
		began := time.Now()
		select {
		case <-r.ctx.Done():
			r.put(p)
			return
		case <-p.exited:
		}
		r.env.pool.remove(p.backend)
		r.set(nil)
		s.log.Warn("instance died", "instance", r.name, "version", r.version, "pid", p.pid, "how", p.epitaph())
		if time.Since(began) > steadyAfter {
			backoff = firstBackoff
		}
		if p = r.revive(backoff, &backoff); p == nil {
			return
		}
	}
}

// revive starts the process, after wait and then as often as it takes, and puts
// it into rotation. It returns nothing if the replica is to go.
func (r *replica) revive(wait time.Duration, backoff *time.Duration) *process {
	s := r.env.super
	for ; ; wait = *backoff {
		if wait > 0 {
			*backoff = min(*backoff*2, maxBackoff)
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-r.ctx.Done():
			timer.Stop()
			return nil
		}
		p, err := r.env.launch(r.ctx, r.name, r.version)
		if err == nil {
			r.set(p)
			if err = s.awaitHealthy(r.ctx, p, 0, 0); err == nil {
				r.rotate(p)
				s.log.Info("instance takes traffic", "instance", r.name, "version", r.version, "pid", p.pid)
				return p
			}
			p.terminate()
			r.set(nil)
		}
		if r.ctx.Err() != nil {
			return nil
		}
		s.log.Warn("instance did not start", "instance", r.name, "version", r.version, "error", err)
	}
}

func (r *replica) rotate(p *process) {
	r.env.pool.add(p.backend)
	r.upOnce.Do(func() { close(r.up) })
}

// put drains the process and stops it.
func (r *replica) put(p *process) {
	s := r.env.super
	ctx, cancel := context.WithTimeout(s.life, s.cfg.DrainTimeout)
	defer cancel()
	r.env.pool.drain(ctx, p.backend)
	// A connection that was opened ahead and never used counts as busy for some
	// seconds to a server that shuts down. The other instances' idle ones go
	// too, and are opened again when needed.
	s.transport.CloseIdleConnections()
	p.terminate()
	r.set(nil)
}

// retire drains and stops the replica and returns when it is gone.
func (r *replica) retire() {
	r.cancel()
	<-r.done
	r.env.forget(r)
}

func (r *replica) set(p *process) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.proc = p
}

// process returns the replica's present process, if it has one.
func (r *replica) process() *process {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.proc
}

// healthy says whether the replica takes traffic now.
func (r *replica) healthy() bool {
	p := r.process()
	return p != nil && r.env.pool.serving(p.backend)
}
