package platform

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

// LogName is the deployment log's file name in the platform's folder.
const LogName = "deployments.jsonl"

// What an Entry can be about.
const (
	ActionCreate   = "create" // an environment came to be
	ActionDeploy   = "deploy"
	ActionRollback = "rollback"
	ActionRestart  = "restart"
	ActionScale    = "scale"
)

// How far an Entry's action got. Every started has exactly one ending.
const (
	StateStarted  = "started"
	StateFinished = "finished"
	StateFailed   = "failed"
	StateAborted  = "aborted"
)

// Entry is one line of the deployment log. It is written and synced before an
// action begins, and again when it has ended.
type Entry struct {
	Seq     int64     `json:"seq"`
	At      time.Time `json:"at"`
	Action  string    `json:"action"`
	State   string    `json:"state"`
	Op      string    `json:"op,omitempty"`
	Actor   string    `json:"actor"`
	Service string    `json:"service"`
	Env     string    `json:"env"`
	Version string    `json:"version"`
	From    string    `json:"from,omitempty"`
	// Count and FromCount are set where the action changes the number of instances.
	Count     int    `json:"count,omitempty"`
	FromCount int    `json:"from_count,omitempty"`
	Reason    string `json:"reason,omitempty"`
	Message   string `json:"message,omitempty"`
}

// standing is what the log says about one environment.
type standing struct {
	live    string
	since   time.Time
	desired int
	op      string   // of the deployment or rollback that made live live
	stack   []string // what was live, oldest first; a rollback takes off what it left
	last    *Entry   // the newest ending
	open    *Entry   // started and not ended: the platform died in the middle
}

// previous returns what was live before live.
func (s standing) previous() string {
	for _, v := range slices.Backward(s.stack) {
		if v != s.live {
			return v
		}
	}
	return ""
}

// journal is the deployment log, in a file and in memory.
type journal struct {
	now func() time.Time

	mu      sync.Mutex
	file    *os.File
	size    int64
	entries []Entry
}

// openJournal reads the log at path. A last line that was cut off by a crash
// was never acted on, so it is removed; any other damage is for a person.
func openJournal(path string, now func() time.Time) (*journal, error) {
	data, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("read deployment log: %w", err)
	}
	j := &journal{now: now}
	for line := 1; ; line++ {
		end := bytes.IndexByte(data[j.size:], '\n')
		if end < 0 {
			break
		}
		var e Entry
		if err := json.Unmarshal(data[j.size:j.size+int64(end)], &e); err != nil {
			return nil, fmt.Errorf("line %d of %s cannot be read: %w; repair the line, or move the file away to begin anew", line, path, err)
		}
		j.entries = append(j.entries, e)
		j.size += int64(end) + 1
	}
	if j.file, err = os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600); err != nil {
		return nil, fmt.Errorf("open deployment log: %w", err)
	}
	if err := errors.Join(j.file.Truncate(j.size), j.file.Sync(), syncDir(filepath.Dir(path))); err != nil {
		return nil, errors.Join(fmt.Errorf("prepare deployment log: %w", err), j.file.Close())
	}
	return j, nil
}

// append makes the entry durable and returns it as written.
func (j *journal) append(e Entry) (Entry, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	e.Seq, e.At, e.Service = int64(len(j.entries))+1, j.now().UTC(), service
	line, err := json.Marshal(e)
	if err != nil {
		return e, fmt.Errorf("write deployment log: %w", err)
	}
	line = append(line, '\n')
	if _, err = j.file.Write(line); err == nil {
		err = j.file.Sync()
	}
	if err != nil { // what is half written must not be read as an entry later
		return e, fmt.Errorf("write deployment log: %w", errors.Join(err, j.file.Truncate(j.size)))
	}
	j.size += int64(len(line))
	j.entries = append(j.entries, e)
	return e, nil
}

// standing replays the log for one environment.
func (j *journal) standing(env string) standing {
	j.mu.Lock()
	defer j.mu.Unlock()
	var s standing
	for i := range j.entries {
		if j.entries[i].Env == env {
			s.apply(j.entries[i])
		}
	}
	return s
}

func (s *standing) apply(e Entry) {
	if e.State == StateStarted {
		s.open = &e
		return
	}
	s.open = nil
	if e.Action != ActionCreate {
		s.last = &e
	}
	if e.State != StateFinished {
		return
	}
	switch e.Action {
	case ActionCreate:
		s.live, s.since, s.desired, s.stack = e.Version, e.At, e.Count, []string{e.Version}
	case ActionScale:
		s.desired = e.Count
	case ActionDeploy:
		s.live, s.since, s.op = e.Version, e.At, e.Op
		s.stack = append(s.stack, e.Version)
	case ActionRollback:
		s.live, s.since, s.op = e.Version, e.At, e.Op
		if at := lastIndex(s.stack, e.Version); at >= 0 {
			s.stack = s.stack[:at+1]
		} else {
			s.stack = append(s.stack, e.Version)
		}
	}
}

func lastIndex(stack []string, version string) int {
	for i, v := range slices.Backward(stack) {
		if v == version {
			return i
		}
	}
	return -1
}

// find returns the newest entry of an operation.
func (j *journal) find(op string) (Entry, bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, e := range slices.Backward(j.entries) {
		if e.Op == op {
			return e, true
		}
	}
	return Entry{}, false
}

// lastLive returns when version went live in env last.
func (j *journal) lastLive(env, version string) time.Time {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, e := range slices.Backward(j.entries) {
		moved := e.Action == ActionCreate || e.Action == ActionDeploy || e.Action == ActionRollback
		if moved && e.State == StateFinished && e.Env == env && e.Version == version {
			return e.At
		}
	}
	return time.Time{}
}

// born returns when the platform was started for the first time.
func (j *journal) born() time.Time {
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.entries) == 0 {
		return j.now().UTC()
	}
	return j.entries[0].At
}

func (j *journal) close() error { return j.file.Close() }

// syncDir makes a new file's name durable. Not every system lets a folder be
// synced, and there the name is as durable as that system makes it.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	_ = d.Sync()
	return d.Close()
}
