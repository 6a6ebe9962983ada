package execprovider

import "os"

// process names one process for good: its id alone is used again later.
type process struct {
	PID   int    `json:"pid"`
	Start string `json:"start"`
	Space string `json:"space"`
}

// processOf describes a process that the caller knows to be alive.
func processOf(pid int) (process, error) {
	space, err := pidSpace()
	if err != nil {
		return process{}, err
	}
	start, ok, err := startOf(pid)
	if err != nil {
		return process{}, err
	}
	if !ok {
		return process{}, os.ErrProcessDone
	}
	return process{PID: pid, Start: start, Space: space}, nil
}

type life int

const (
	dead life = iota
	alive
	hidden // it cannot be seen from here: another container's, or no permission
)

// life looks whether the process runs.
func (p process) life() life {
	space, err := pidSpace()
	if err != nil || space != p.Space {
		return hidden
	}
	start, ok, err := startOf(p.PID)
	switch {
	case err != nil:
		return hidden
	case ok && start == p.Start:
		return alive
	}
	return dead
}
