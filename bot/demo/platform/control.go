package platform

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"
)

// maxSocketPath is the shortest limit among the systems we know (macOS); a path
// above it is refused by the system with a message nobody understands.
const maxSocketPath = 103

// listenControl listens on the control socket, for its owner only. A socket
// that somebody answers belongs to another platform; one that nobody answers is
// left over from a crash.
func listenControl(ctx context.Context, path string) (net.Listener, error) {
	if len(path) > maxSocketPath {
		return nil, fmt.Errorf("the socket's path %s has %d characters, a system takes at most %d: choose a shorter folder", path, len(path), maxSocketPath)
	}
	dialer := net.Dialer{Timeout: time.Second}
	if conn, err := dialer.DialContext(ctx, "unix", path); err == nil {
		_ = conn.Close()
		return nil, fmt.Errorf("another platform runs in this folder: %s answers", path)
	}
	if err := removeIfThere(path); err != nil {
		return nil, fmt.Errorf("remove old control socket: %w", err)
	}
	var lc net.ListenConfig
	listener, err := lc.Listen(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("open control socket: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("protect control socket: %w", err), listener.Close())
	}
	return listener, nil
}

// controlServer is what the command line talks to.
//
//	POST /v1/operations    begins a deploy, rollback, restart or scale; streams its progress
//	POST /v1/abort         aborts the operation in env; answers when it has ended
//	POST /v1/backup        copies the orders database now
//	GET  /v1/current?env=  how an environment is
//	GET  /v1/operation?op= how an operation stands
//	GET  /v1/logs?env=     what its instances logged; with grep, since, until and limit
//	GET  /v1/releases
//	GET  /v1/stats
func (s *Supervisor) controlServer() *http.Server {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/operations", s.serveOperation)
	mux.HandleFunc("POST /v1/abort", s.serveAbort)
	mux.HandleFunc("POST /v1/backup", s.serveBackup)
	mux.HandleFunc("GET /v1/current", func(w http.ResponseWriter, r *http.Request) {
		e, no := s.environment(r.URL.Query().Get("env"))
		if no != nil {
			s.answer(w, http.StatusNotFound, no)
			return
		}
		s.answer(w, http.StatusOK, e.status())
	})
	mux.HandleFunc("GET /v1/operation", s.serveStanding)
	mux.HandleFunc("GET /v1/logs", s.serveLogs)
	mux.HandleFunc("GET /v1/releases", func(w http.ResponseWriter, _ *http.Request) {
		s.answer(w, http.StatusOK, s.Releases())
	})
	mux.HandleFunc("GET /v1/stats", func(w http.ResponseWriter, _ *http.Request) {
		s.answer(w, http.StatusOK, s.stats())
	})
	return &http.Server{
		Handler:           mux,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		IdleTimeout:       time.Minute,
		BaseContext:       func(net.Listener) context.Context { return s.life },
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
	}
}

func (s *Supervisor) readRequest(w http.ResponseWriter, r *http.Request) (request, *environment, *progress) {
	var in request
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 64<<10)).Decode(&in); err != nil {
		return in, nil, refused("the request cannot be read: %v", err)
	}
	if in.Service != "" && in.Service != service {
		return in, nil, refused("there is no service %q here, only %q", in.Service, service)
	}
	e, no := s.environment(in.Env)
	return in, e, no
}

func (s *Supervisor) serveOperation(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/x-ndjson")
	lines, flush := json.NewEncoder(w), http.NewResponseController(w)
	pass := func(p progress) error { return errors.Join(lines.Encode(p), flush.Flush()) }
	in, e, no := s.readRequest(w, r)
	var op *operation
	if no == nil {
		no = in.check()
	}
	if no == nil {
		op, no = e.begin(in)
	}
	if no != nil {
		_ = pass(*no) // nobody is left to be told
		return
	}
	if _, err := op.follow(r.Context(), pass); err != nil {
		s.log.Info("whoever asked went away; the operation goes on", "operation", op.what())
	}
}

// check refuses what no environment could do.
func (r request) check() *progress {
	switch r.Action {
	case ActionDeploy, ActionRollback, ActionRestart, ActionScale:
	default:
		return refused("action %q is not known", r.Action)
	}
	if r.Op == "" {
		return refused("OP_ID is missing: the platform's log names every operation")
	}
	if r.Actor == "" {
		return refused("OP_ACTOR is missing: the platform's log names who asked")
	}
	if r.Version == "" && r.Action == ActionDeploy {
		return refused("OP_VERSION is missing; the releases are %s", versionNames())
	}
	return nil
}

// serveAbort aborts what is under way, or only the operation named, and answers
// with the line that ended it.
func (s *Supervisor) serveAbort(w http.ResponseWriter, r *http.Request) {
	in, e, no := s.readRequest(w, r)
	if no != nil {
		s.answer(w, http.StatusBadRequest, no)
		return
	}
	op := e.underway()
	if op == nil {
		s.answer(w, http.StatusOK, refused("nothing is under way in %s", in.Env))
		return
	}
	if in.Op != "" && in.Op != op.entry.Op {
		s.answer(w, http.StatusOK, refused("what is under way in %s is another operation: %s", in.Env, op.what()))
		return
	}
	s.log.Info("abort asked for", "operation", op.what(), "by", in.Actor)
	op.abort()
	end, err := op.follow(r.Context(), func(progress) error { return nil })
	if err != nil {
		return // the caller went away; the abort goes on
	}
	s.answer(w, http.StatusOK, end)
}

// serveStanding says what the log knows about an operation.
func (s *Supervisor) serveStanding(w http.ResponseWriter, r *http.Request) {
	id := r.URL.Query().Get("op")
	if id == "" {
		s.answer(w, http.StatusBadRequest, refused("OP_ID is missing"))
		return
	}
	found, ok := s.journal.find(id)
	if !ok {
		s.answer(w, http.StatusOK, map[string]string{"op": id, "state": "absent"})
		return
	}
	s.answer(w, http.StatusOK, found)
}

// traffic as `stats` prints it.
type stats struct {
	Version string `json:"version"`
	Running int    `json:"running"`
	Healthy int    `json:"healthy"`
	Desired int    `json:"desired"`
	Traffic
	URL string `json:"url"`
}

func (s *Supervisor) stats() map[string]stats {
	out := map[string]stats{}
	for _, st := range s.Status() {
		out[st.Env] = stats{
			Version: st.Version, Running: st.Running, Healthy: st.Healthy, Desired: st.Desired,
			Traffic: st.Traffic, URL: st.URL,
		}
	}
	return out
}

func (s *Supervisor) answer(w http.ResponseWriter, code int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	if err := json.NewEncoder(w).Encode(body); err != nil {
		s.log.Debug("answer not written", "error", err)
	}
}
