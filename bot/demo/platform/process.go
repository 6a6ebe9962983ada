package platform

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// stopTimeout bounds the polite part of stopping a process.
const stopTimeout = 6 * time.Second

// spawner starts processes from one operating-system thread that lives as long
// as the supervisor. On Linux the parent-death signal follows the thread that
// forked; the Go runtime ends idle threads as it likes, and would take the
// instances with them.
type spawner struct {
	jobs chan func()
}

func newSpawner() *spawner { return &spawner{jobs: make(chan func())} }

func (s *spawner) run(ctx context.Context) {
	runtime.LockOSThread() // never unlocked: the thread ends with this goroutine
	for {
		select {
		case job := <-s.jobs:
			job()
		case <-ctx.Done():
			return
		}
	}
}

func (s *spawner) start(ctx context.Context, cmd *exec.Cmd) error {
	done := make(chan error, 1)
	select {
	case s.jobs <- func() { done <- cmd.Start() }:
		return <-done
	case <-ctx.Done():
		return ctx.Err()
	}
}

// process is one running instance.
type process struct {
	name, version string
	pid           int
	backend       *backend
	stdin         io.Closer
	cmd           *exec.Cmd
	output        *output
	exited        chan struct{}
	err           error // why it exited; read after exited is closed
	misses        int   // health checks missed in a row; the monitor's own
}

// launch starts an instance and waits until it says where it listens.
func (e *environment) launch(ctx context.Context, name, version string) (*process, error) {
	s := e.super
	args := append([]string{}, s.cfg.Self[1:]...)
	args = append(args, "--version", version, "--env", e.cfg.Name, "--listen", "127.0.0.1:0", "--db", e.database)
	cmd := exec.Command(s.cfg.Self[0], args...)
	cmd.Dir = s.cfg.Dir
	cmd.SysProcAttr = processAttributes()
	cmd.WaitDelay = time.Second
	announced := &announcement{address: make(chan string, 1)}
	p := &process{
		name: name, version: version, cmd: cmd,
		output: &output{log: e.log}, exited: make(chan struct{}),
	}
	cmd.Stdout, cmd.Stderr = announced, p.output
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("start instance %s: %w", name, err)
	}
	p.stdin = stdin
	if err := s.spawner.start(ctx, cmd); err != nil {
		return nil, errors.Join(fmt.Errorf("start instance %s: %w", name, err), stdin.Close())
	}
	p.pid = cmd.Process.Pid
	s.goroutines.Go(func() {
		p.err = cmd.Wait()
		close(p.exited)
	})
	select {
	case addr := <-announced.address:
		p.backend = &backend{name: name, addr: addr}
		return p, nil
	case <-p.exited:
		return nil, fmt.Errorf("instance %s %s", name, p.epitaph())
	case <-ctx.Done():
		p.terminate()
		return nil, fmt.Errorf("instance %s did not say where it listens: %w", name, ctx.Err())
	}
}

// terminate asks the process to end, then insists, and returns when it is gone.
func (p *process) terminate() {
	// Both are requests to end; where the system knows no SIGTERM the end of
	// its input tells the process. It may also have ended already.
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	_ = p.stdin.Close()
	limit := time.NewTimer(stopTimeout)
	defer limit.Stop()
	select {
	case <-p.exited:
	case <-limit.C:
		_ = p.cmd.Process.Kill()
		<-p.exited
	}
}

// epitaph says how a process that is gone has ended.
func (p *process) epitaph() string {
	how := "exited without an error"
	if p.err != nil {
		how = "exited: " + p.err.Error()
	}
	if last := p.output.last(); last != "" {
		how += "; it said last: " + last
	}
	return how
}

// announcement waits on a process's standard output for the line that says
// where it listens, and passes over everything else.
type announcement struct {
	address chan string
	line    []byte
	done    bool
}

// Write implements io.Writer.
func (a *announcement) Write(b []byte) (int, error) {
	if a.done || len(a.line) > 64<<10 {
		return len(b), nil
	}
	a.line = append(a.line, b...)
	for !a.done {
		line, rest, whole := bytes.Cut(a.line, []byte("\n"))
		if !whole {
			break
		}
		var said struct {
			Listening string `json:"listening"`
		}
		if json.Unmarshal(line, &said) == nil && said.Listening != "" {
			a.address <- said.Listening
			a.done = true
		}
		a.line = rest
	}
	return len(b), nil
}

// output passes a process's log on to its environment's and remembers the last line.
type output struct {
	log io.Writer

	mu   sync.Mutex
	part []byte
	line string
}

// Write implements io.Writer. It never fails: a full disk must not stop the service.
func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.part = append(o.part, b...)
	end := bytes.LastIndexByte(o.part, '\n')
	if end < 0 && len(o.part) < 64<<10 {
		return len(b), nil
	}
	whole := o.part
	if end >= 0 {
		whole = o.part[:end+1]
	}
	_, _ = o.log.Write(whole)
	trimmed := bytes.TrimSpace(whole)
	o.line = string(trimmed[bytes.LastIndexByte(trimmed, '\n')+1:])
	o.part = append([]byte(nil), o.part[len(whole):]...)
	return len(b), nil
}

// last returns the last line, or of a JSON log line what it says if that is a
// complaint.
func (o *output) last() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	line := o.line
	if rest := bytes.TrimSpace(o.part); len(rest) > 0 {
		line = string(rest)
	}
	var entry struct{ Level, Msg, Error string }
	if json.Unmarshal([]byte(line), &entry) != nil || entry.Msg == "" {
		return line
	}
	if entry.Level == "INFO" {
		return ""
	}
	if entry.Error != "" {
		return entry.Msg + ": " + entry.Error
	}
	return entry.Msg
}
