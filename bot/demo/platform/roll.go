package platform

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// restoreTimeout bounds how long an operation waits for the old version to be
// back before it says that it is not; the instances go on trying.
const restoreTimeout = 15 * time.Second

// roll replaces the environment's instances one by one: a new one must be
// healthy and take traffic before an old one is drained and stopped. If a new
// one is not, or the operation is aborted, the old version is put back.
func (e *environment) roll(op *operation) progress {
	olds := e.snapshot()
	e.mu.Lock()
	want := e.standing.desired
	e.mu.Unlock()
	steps := max(want, len(olds))
	version := op.entry.Version
	op.tell(progress{Phase: "started", Message: fmt.Sprintf("%s of %s in %s begins: %s", op.entry.Action, version, e.cfg.Name, e.serving("serves %s"))})

	var fresh []*replica
	for i := range steps {
		percent := func(part int) int { return (100*i + part) / steps }
		if i < want {
			op.tell(progress{Phase: "starting", Percent: percent(0), Message: fmt.Sprintf("%d/%d: %s starts", i+1, steps, version)})
			r, err := e.startReplica(op.ctx, version)
			if err != nil {
				return e.restore(op, olds, min(i, len(olds)), fresh, err)
			}
			fresh = append(fresh, r)
			op.tell(progress{Phase: "serving", Percent: percent(60), Message: fmt.Sprintf("%d/%d: %s (%s) is healthy and takes traffic", i+1, steps, r.name, version)})
		}
		if i < len(olds) {
			olds[i].retire()
			op.tell(progress{Phase: "draining", Percent: percent(95), Message: fmt.Sprintf("%d/%d: %s (%s) is drained and stopped", i+1, steps, olds[i].name, olds[i].version)})
		}
		if op.ctx.Err() != nil {
			return e.restore(op, olds, min(i+1, len(olds)), fresh, op.ctx.Err())
		}
	}
	if err := e.confirm(op.ctx, fresh); err != nil {
		return e.restore(op, olds, len(olds), fresh, err)
	}
	message := fmt.Sprintf("%s is live in %s: %d of %d instances are healthy", version, e.cfg.Name, len(fresh), want)
	if err := e.commit(op, message); err != nil {
		return e.restore(op, olds, len(olds), fresh, err)
	}
	return progress{Phase: phaseDone, Percent: 100, Message: message}
}

// confirm makes sure that every new instance still takes traffic, and gives one
// that does not the time a new one has.
func (e *environment) confirm(ctx context.Context, fresh []*replica) error {
	limit := time.NewTimer(e.super.cfg.HealthTimeout)
	defer limit.Stop()
	tick := time.NewTicker(probeEvery)
	defer tick.Stop()
	for {
		var ill *replica
		for _, r := range fresh {
			if !r.healthy() {
				ill = r
			}
		}
		if ill == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		case <-limit.C:
			return fmt.Errorf("%s in %s did not stay healthy: instance %s died or stopped answering", ill.version, e.cfg.Name, ill.name)
		}
	}
}

// restore ends a roll that did not succeed. replaced old instances are gone;
// for each a new process of the old version takes the place of one of fresh.
func (e *environment) restore(op *operation, olds []*replica, replaced int, fresh []*replica, cause error) progress {
	end := progress{Phase: phaseFailed, Message: cause.Error()}
	if errors.Is(cause, context.Canceled) {
		end.Phase = phaseAborted
		end.Message = fmt.Sprintf("%s of %s in %s was aborted", op.entry.Action, op.entry.Version, e.cfg.Name)
	}
	if e.super.running.Err() != nil {
		end.Message += fmt.Sprintf("; the platform stops, and starts again with %s", op.entry.From)
		return end
	}
	if op.entry.Version == op.entry.From && replaced == len(fresh) { // a restart: the new ones are as good
		end.Message += "; " + e.serving("serves %s")
		return end
	}
	how := "still serves %s"
	if replaced > 0 {
		how = "serves %s again"
		op.tell(progress{Phase: "restoring", Message: fmt.Sprintf("%s: %s is put back on %d of %d instances", end.Message, op.entry.From, replaced, len(olds))})
	}
	limit := time.NewTimer(restoreTimeout)
	defer limit.Stop()
	for i := range max(replaced, len(fresh)) {
		if i < replaced {
			back := e.keepNew(olds[i].version)
			select {
			case <-back.up:
				op.tell(progress{Phase: "restoring", Message: fmt.Sprintf("%s (%s) is healthy and takes traffic", back.name, back.version)})
			case <-limit.C:
				limit.Reset(0) // no time for the others either; they are started all the same
			case <-e.super.running.Done():
			}
		}
		if i < len(fresh) {
			fresh[i].retire()
		}
	}
	end.Message += "; " + e.serving(how)
	return end
}

// scale changes how many instances there are.
func (e *environment) scale(op *operation) progress {
	from, to := op.entry.FromCount, op.entry.Count
	op.tell(progress{Phase: "started", Message: fmt.Sprintf("%s goes from %d to %d instances: %s", e.cfg.Name, from, to, e.serving("serves %s"))})
	var added []*replica
	undo := func(cause error) progress {
		end := progress{Phase: phaseFailed, Message: cause.Error()}
		if errors.Is(cause, context.Canceled) {
			end.Phase, end.Message = phaseAborted, fmt.Sprintf("scaling %s to %d was aborted", e.cfg.Name, to)
		}
		for _, r := range added {
			r.retire()
		}
		end.Message += "; " + e.serving("still serves %s")
		return end
	}
	for have := len(e.snapshot()); have < to; have++ {
		r, err := e.startReplica(op.ctx, op.entry.Version)
		if err != nil {
			return undo(err)
		}
		added = append(added, r)
		op.tell(progress{Phase: "serving", Percent: 90 * (have + 1 - from) / max(to-from, 1), Message: fmt.Sprintf("%s (%s) is healthy and takes traffic", r.name, r.version)})
	}
	if err := op.ctx.Err(); err != nil {
		return undo(err)
	}
	// The decision is recorded before instances are taken away: should the
	// platform die in between, it comes back with the number that was asked for.
	message := fmt.Sprintf("%s runs %s on %d instances", e.cfg.Name, op.entry.Version, to)
	if err := e.commit(op, message); err != nil {
		return undo(err)
	}
	all := e.snapshot()
	for i := len(all) - 1; i >= to; i-- {
		all[i].retire()
		op.tell(progress{Phase: "draining", Percent: 90 * (len(all) - i) / (len(all) - to), Message: all[i].name + " is drained and stopped"})
	}
	return progress{Phase: phaseDone, Percent: 100, Message: message}
}
