package run

import (
	"time"

	"quarterdeck/bot/store"
)

// Several replicas look for due runs in one database. Whose write comes first
// works on a run; what follows only keeps them from all trying at the same
// moment, and a run where its operation is at home.

const (
	// reserved is how long a due run is left to the replica that worked on it
	// last, unless its lease ended, which nobody but its owner lets happen.
	reserved = time.Second
	// maxMine bounds the runs that are remembered as this process's own.
	maxMine = 10_000
)

// allowance is how far the clocks of replicas may differ: leases end that much
// later for others than for who holds them.
func (e *Engine) allowance() time.Duration { return store.Allowance(e.Store) }

// own notes that this process is the one that works on the run.
func (e *Engine) own(number int64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.mine) >= maxMine {
		clear(e.mine)
	}
	e.mine[number] = true
}

// disowned notes that the run is over, or another process's.
func (e *Engine) disowned(number int64) {
	e.mu.Lock()
	delete(e.mine, number)
	e.mu.Unlock()
}

// leave gives how long a due run is still to be left to another replica.
func (e *Engine) leave(row store.RunRow) time.Duration {
	if e.allowance() == 0 || row.Owner != "" {
		return 0
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.mine[row.Number] {
		return 0
	}
	return row.WakeAt.Add(reserved).Sub(e.Clock.Now())
}

// overslept reports whether the time of a call that was begun is over by the
// wall clock, which goes on while the machine sleeps.
func (e *Engine) overslept(begun time.Time, call time.Duration) bool {
	return e.Clock.Now().Round(0).Sub(begun.Round(0)) >= call
}
