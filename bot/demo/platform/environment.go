package platform

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// environment is one environment at work.
type environment struct {
	super    *Supervisor
	cfg      Environment
	database string
	pool     *pool
	front    *front
	window   *window
	log      *logFile
	copying  sync.Mutex // one backup at a time

	mu       sync.Mutex
	standing standing
	replicas []*replica
	numbered int        // replicas named so far
	op       *operation // under way
	closing  bool
}

// target is the environment's name in full, such as shop/prod.
func (e *environment) target() string { return service + "/" + e.cfg.Name }

// openEnvironment opens what the environment needs and reads where it stands.
// Nothing runs yet.
func (s *Supervisor) openEnvironment(ctx context.Context, cfg Environment) (*environment, error) {
	e := &environment{
		super: s, cfg: cfg, pool: &pool{}, window: newWindow(),
		database: filepath.Join(s.cfg.Dir, fmt.Sprintf("%s-%s.db", service, cfg.Name)),
	}
	var err error
	if e.log, err = openLogFile(filepath.Join(s.cfg.Dir, "logs", fmt.Sprintf("%s-%s.log", service, cfg.Name))); err != nil {
		return nil, err
	}
	s.onClose(e.log.close)
	if e.front, err = openFront(ctx, e.target(), cfg.FrontAddr, e.pool, s.transport, s.log); err != nil {
		return nil, err
	}
	s.onClose(func() error { _ = e.front.listener.Close(); return nil }) // closed already unless the start failed
	return e, e.recall()
}

// recall takes the environment's standing from the log. An operation that the
// platform did not survive ends here: the old version is what is started again.
func (e *environment) recall() error {
	journal := e.super.journal
	st := journal.standing(e.cfg.Name)
	if st.live == "" {
		_, err := journal.append(Entry{
			Action: ActionCreate, State: StateFinished, Actor: "platform", Env: e.cfg.Name,
			Version: e.cfg.StartVersion, Count: e.cfg.Desired,
		})
		if err != nil {
			return err
		}
	}
	if st.open != nil {
		ended := *st.open
		ended.State, ended.Message = StateAborted, fmt.Sprintf("the platform died in the middle; %s is started again in %s", st.live, e.cfg.Name)
		if _, err := journal.append(ended); err != nil {
			return err
		}
	}
	e.standing = journal.standing(e.cfg.Name)
	return nil
}

// begin starts an operation, or says why not. Only one runs at a time.
func (e *environment) begin(r request) (*operation, *progress) {
	e.mu.Lock()
	defer e.mu.Unlock()
	entry := Entry{
		Action: r.Action, State: StateStarted, Op: r.Op, Actor: r.Actor, Env: e.cfg.Name,
		From: e.standing.live, Reason: r.Reason,
	}
	if no := e.check(r, &entry); no != nil {
		return nil, no
	}
	entry, err := e.super.journal.append(entry)
	if err != nil { // no record, no action
		return nil, &progress{Phase: phaseFailed, Message: "nothing was done, because it could not be recorded: " + err.Error()}
	}
	op := newOperation(e.super.running, entry, e.front.url())
	e.op = op
	e.super.operations.Go(func() { e.perform(op) })
	return op, nil
}

// check fills in what the operation will do. Bad input is refused however busy
// the environment is; what the caller believes is compared at the last moment.
func (e *environment) check(r request, entry *Entry) *progress {
	name := e.cfg.Name
	entry.Version = e.standing.live
	switch r.Action {
	case ActionDeploy, ActionRollback:
		wanted := r.Version
		if wanted == "" && r.Action == ActionRollback {
			if wanted = e.standing.previous(); wanted == "" {
				return refused("there is nothing to roll back to: %s has had no other version than %s", name, e.standing.live)
			}
		}
		b, ok := findRelease(wanted)
		if !ok {
			return refused("version %q is not known; the releases are %s", wanted, versionNames())
		}
		entry.Version = b.version
	case ActionScale:
		n, err := strconv.Atoi(r.Count)
		if err != nil || n < 1 || n > maxInstances {
			return refused("count %q is not a whole number from 1 to %d", r.Count, maxInstances)
		}
		entry.Count, entry.FromCount = n, e.standing.desired
	}
	if e.closing {
		return busy("the platform is stopping; nothing was done")
	}
	if e.op != nil {
		return busy("%s is busy: %s is under way; nothing was done", name, e.op.what())
	}
	if r.From == "" {
		return nil
	}
	if r.Action == ActionScale {
		if r.From != strconv.Itoa(e.standing.desired) {
			return refused("%s wants %d instances now, not %s; nothing was done", name, e.standing.desired, r.From)
		}
		return nil
	}
	if b, ok := findRelease(r.From); !ok || b.version != e.standing.live {
		return refused("%s is at %s now, not at %s; nothing was done", name, e.standing.live, r.From)
	}
	return nil
}

// perform runs the operation to its end and records how it ended.
func (e *environment) perform(op *operation) {
	defer op.abort()
	var end progress
	if op.entry.Action == ActionScale {
		end = e.scale(op)
	} else {
		end = e.roll(op)
	}
	if end.Phase != phaseDone {
		ended := op.entry
		ended.State, ended.Message = StateFailed, end.Message
		if end.Phase == phaseAborted {
			ended.State = StateAborted
		}
		if _, err := e.super.journal.append(ended); err != nil {
			e.super.log.Error("end of operation not recorded", "operation", op.entry.Op, "error", err)
			end.Message += "; and that could not be recorded: " + err.Error()
		}
	}
	e.mu.Lock()
	e.standing = e.super.journal.standing(e.cfg.Name)
	e.op = nil
	e.mu.Unlock()
	e.super.log.Info("operation ended", "env", e.cfg.Name, "operation", op.what(), "phase", end.Phase, "message", end.Message)
	op.tell(end) // last, so that whoever reads it can ask for the next thing
}

// commit records that the operation has succeeded; from here on it has.
func (e *environment) commit(op *operation, message string) error {
	ended := op.entry
	ended.State, ended.Message = StateFinished, message
	_, err := e.super.journal.append(ended)
	return err
}

// underway returns the operation in progress, if there is one.
func (e *environment) underway() *operation {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.op
}

// shut lets no further operation begin.
func (e *environment) shut() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.closing = true
}

func (e *environment) liveVersion() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.standing.live
}

func (e *environment) snapshot() []*replica {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.replicas)
}

func (e *environment) forget(r *replica) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.replicas = slices.DeleteFunc(e.replicas, func(o *replica) bool { return o == r })
}

// serving says in words what serves now, such as "v1 still serves prod with 2
// of 2 instances"; how is the middle of it, with a place for the environment.
func (e *environment) serving(how string) string {
	st := e.status()
	version := st.Version
	if len(st.Mixed) > 0 {
		version = strings.Join(st.Mixed, " and ")
	}
	return fmt.Sprintf("%s %s with %d of %d instances", version, fmt.Sprintf(how, st.Env), st.Healthy, st.Desired)
}

// status returns how the environment is.
func (e *environment) status() Status {
	e.mu.Lock()
	st, op := e.standing, e.op
	replicas := slices.Clone(e.replicas)
	e.mu.Unlock()
	out := Status{
		Env: e.cfg.Name, Version: st.live, Desired: st.desired, Since: st.since, Op: st.op,
		URL: e.front.url(), Traffic: e.window.traffic(),
	}
	var versions []string
	for _, r := range replicas {
		if r.process() == nil {
			continue
		}
		out.Running++
		versions = append(versions, r.version)
		if r.healthy() {
			out.Healthy++
		}
	}
	slices.Sort(versions)
	if versions = slices.Compact(versions); len(versions) > 1 {
		out.Mixed = versions
	}
	if op != nil {
		out.Busy = op.what()
		if op.entry.Action == ActionDeploy || op.entry.Action == ActionRollback {
			out.Deploying, out.DeployingOp = op.entry.Version, op.entry.Op
		}
	}
	if st.last != nil {
		out.Last = &Ending{Op: st.last.Op, Action: st.last.Action, State: st.last.State, At: st.last.At, Message: st.last.Message}
	}
	return out
}

// targets returns where the environment's instances can be scraped.
func (e *environment) targets() []Target {
	var out []Target
	for _, r := range e.snapshot() {
		if p := r.process(); p != nil {
			out = append(out, Target{
				Service: service, Env: e.cfg.Name, Version: p.version, Instance: p.name,
				PID: p.pid, URL: "http://" + p.backend.addr + "/metrics",
			})
		}
	}
	return out
}
