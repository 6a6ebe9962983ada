package platform

import (
	"context"
	"fmt"
	"sync"
)

// The phases that end an operation; every other phase is progress.
const (
	phaseDone    = "done"
	phaseFailed  = "failed"
	phaseAborted = "aborted"
	phaseRefused = "refused" // bad input, or not what the caller believes any more
	phaseBusy    = "busy"    // may be asked again
	phaseUnknown = "unknown" // the connection broke: whether it was done is not known
)

// progress is one line of an operation's story, as the command line prints it.
type progress struct {
	Phase   string `json:"phase"`
	Percent int    `json:"percent"`
	Message string `json:"message"`
	URL     string `json:"url,omitempty"`
}

// final says whether the operation is over.
func (p progress) final() bool {
	switch p.Phase {
	case phaseDone, phaseFailed, phaseAborted, phaseRefused, phaseBusy, phaseUnknown:
		return true
	}
	return false
}

func refused(format string, args ...any) *progress {
	return &progress{Phase: phaseRefused, Message: fmt.Sprintf(format, args...)}
}

func busy(format string, args ...any) *progress {
	return &progress{Phase: phaseBusy, Message: fmt.Sprintf(format, args...)}
}

// request is what the command line asks for.
type request struct {
	Action  string `json:"action"`
	Op      string `json:"op"`
	Actor   string `json:"actor"`
	Env     string `json:"env"`
	Service string `json:"service"`
	Version string `json:"version"`
	From    string `json:"from"`
	Count   string `json:"count"`
	Reason  string `json:"reason"`
}

// operation is a change under way in one environment. It goes on when whoever
// asked for it goes away; only an abort or the platform's end stops it.
type operation struct {
	entry Entry // as started
	url   string
	ctx   context.Context
	abort context.CancelFunc

	mu      sync.Mutex
	story   []progress
	changed chan struct{} // closed and replaced with every line of the story
}

func newOperation(ctx context.Context, started Entry, url string) *operation {
	op := &operation{entry: started, url: url, changed: make(chan struct{})}
	op.ctx, op.abort = context.WithCancel(ctx)
	return op
}

// what names the operation in a sentence.
func (o *operation) what() string {
	e := o.entry
	what := fmt.Sprintf("%s of %s", e.Action, e.Version)
	if e.Action == ActionScale {
		what = fmt.Sprintf("scale from %d to %d", e.FromCount, e.Count)
	}
	return fmt.Sprintf("%s by %s (operation %s)", what, e.Actor, e.Op)
}

func (o *operation) tell(p progress) {
	o.mu.Lock()
	defer o.mu.Unlock()
	p.URL = o.url
	o.story = append(o.story, p)
	close(o.changed)
	o.changed = make(chan struct{})
}

// follow passes on the story from its beginning until it is over, or ctx is, or
// pass fails. It returns the last line.
func (o *operation) follow(ctx context.Context, pass func(progress) error) (progress, error) {
	for i := 0; ; {
		o.mu.Lock()
		fresh, changed := o.story[i:len(o.story):len(o.story)], o.changed
		o.mu.Unlock()
		for _, p := range fresh {
			if err := pass(p); err != nil {
				return p, err
			}
			if p.final() {
				return p, nil
			}
		}
		i += len(fresh)
		if len(fresh) > 0 {
			continue
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return progress{}, ctx.Err()
		}
	}
}
