package platform

import "time"

// Status is how one environment is; it is also what `platform current` prints.
type Status struct {
	Env     string `json:"env"`
	Version string `json:"version"` // what was deployed last and is live
	Running int    `json:"running"` // instances with a process
	Healthy int    `json:"healthy"` // instances that take traffic
	Desired int    `json:"desired"`
	// Mixed names the versions that run side by side, if it is more than one.
	Mixed []string  `json:"mixed,omitempty"`
	Since time.Time `json:"since"` // when Version went live
	// Deploying and DeployingOp name the deployment or rollback under way.
	Deploying   string `json:"deploying,omitempty"`
	DeployingOp string `json:"deploying_op,omitempty"`
	// Busy says in words which operation, of any kind, is under way.
	Busy string `json:"busy,omitempty"`
	// Op is the id of the operation that made Version live.
	Op  string `json:"op,omitempty"`
	URL string `json:"url"`
	// Last is how the newest operation of any kind ended.
	Last    *Ending `json:"last,omitempty"`
	Traffic Traffic `json:"-"`
}

// Ending is how an operation ended.
type Ending struct {
	Op      string    `json:"op"`
	Action  string    `json:"action"`
	State   string    `json:"state"`
	At      time.Time `json:"at"`
	Message string    `json:"message"`
}

// Traffic is what an environment's instances answered over the last ten
// seconds. Nil is "no data", which is not the same as zero: no instance could
// be scraped, or, for the ratio, nothing was asked.
type Traffic struct {
	RequestsPerSecond *float64 `json:"requests_per_second"`
	ErrorRatio        *float64 `json:"error_ratio"`
}

// Target is one instance's metrics, for a monitor of the caller's own.
type Target struct {
	Service  string
	Env      string
	Version  string
	Instance string
	PID      int
	URL      string
}

// Status returns how the environments are, in the configuration's order.
// Before Run has opened them there are none.
func (s *Supervisor) Status() []Status {
	var out []Status
	for _, e := range s.environments() {
		out = append(out, e.status())
	}
	return out
}

// Targets returns the metrics address of every instance that has a process now.
func (s *Supervisor) Targets() []Target {
	var out []Target
	for _, e := range s.environments() {
		out = append(out, e.targets()...)
	}
	return out
}
