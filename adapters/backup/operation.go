package backupprovider

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/provider"
)

const (
	// maxAttempts bounds how often one trial is begun anew after the bot was killed
	// in the middle: what kills it may be the trial.
	maxAttempts = 3
	// unwatched is after how long without a look a trial ends by itself: its bot
	// lost its lease, and a successor elsewhere does not see it.
	unwatched = 5 * time.Minute

	lookAgain = 250 * time.Millisecond
)

// state is what a handle holds.
type state struct {
	Trial    provider.Trial    `json:"trial"`
	Findings provider.Findings `json:"findings"`
	Attempts int               `json:"attempts,omitempty"`
	// Ended is set once the trial came to its end; then Findings are complete.
	Ended     bool `json:"ended,omitempty"`
	Cancelled bool `json:"cancelled,omitempty"`
}

// Begin prepares a trial. It does no I/O.
func (b *tester) Begin(body provider.Trial, t bot.Task) (bot.Handle, error) {
	if body.Target != b.target {
		return bot.Handle{}, bot.Errorf(bot.Invalid, "a restore test of %s was given to %s", body.Target, b.target)
	}
	if t.Key == "" {
		return bot.Handle{}, bot.Errorf(bot.Invalid, "a restore test of %s needs a key", b.target)
	}
	if !b.named(body.Backup.ID) {
		return bot.Handle{}, bot.Errorf(bot.Invalid, "%q is no backup of %s", body.Backup.ID, b.target)
	}
	return pack(bot.Handle{Key: t.Key, Target: b.target}, state{Trial: body})
}

func pack(h bot.Handle, s state) (bot.Handle, error) {
	raw, err := json.Marshal(s)
	h.State = raw
	return h, err
}

func unpack(h bot.Handle) (s state, err error) {
	if err := json.Unmarshal(h.State, &s); err != nil {
		return s, &bot.Error{Op: "backup.trial", Kind: bot.Internal, Err: err}
	}
	return s, nil
}

// Findings implements provider.RestoreTester.
func (b *tester) Findings(h bot.Handle) (provider.Findings, error) {
	s, err := unpack(h)
	return s.Findings, err
}

// Cancel asks the trial to end.
func (b *tester) Cancel(ctx context.Context, h bot.Handle) (bot.Handle, error) {
	if err := ctx.Err(); err != nil {
		return h, err
	}
	s, err := unpack(h)
	if err != nil || s.Ended {
		return h, err
	}
	s.Cancelled = true
	process.mu.Lock()
	if j := process.jobs[b.at(tagOf(h.Key))]; j != nil {
		j.cancel()
	}
	process.mu.Unlock()
	return pack(h, s)
}

// Advance starts the trial where it does not run in this process, and says how far
// it is. Whatever an earlier process left is removed first, so it does not matter
// whether that was interrupted.
func (b *tester) Advance(ctx context.Context, h bot.Handle) (bot.Handle, bot.Progress, error) {
	s, err := unpack(h)
	if err != nil {
		return h, bot.Progress{}, err
	}
	if err := ctx.Err(); err != nil {
		return h, bot.Progress{}, err
	}
	if s.Ended {
		return h, outcome(s), nil
	}
	tag := tagOf(h.Key)
	process.mu.Lock()
	j := process.jobs[b.at(tag)]
	process.mu.Unlock()
	if j == nil {
		switch {
		case s.Cancelled:
			s.Ended = true
			h, err = pack(h, s)
			return h, outcome(s), err
		case s.Attempts >= maxAttempts:
			s.Ended = true
			s.Findings.Rungs = append(s.Findings.Rungs, provider.Rung{Name: provider.RungRestored, State: provider.RungFailed,
				Text: fmt.Sprintf("it was begun %d times, and each time the bot ended before it did", s.Attempts)})
			h, err = pack(h, s)
			return h, outcome(s), err
		}
		if err := b.start(ctx, h.Key, tag, s); err != nil {
			return h, bot.Progress{}, err
		}
		s.Attempts++
		h, err = pack(h, s)
		return h, bot.Progress{State: bot.OpWorking, Text: "a throw-away place is made", Next: lookAgain}, err
	}
	f, ended := j.look()
	f.Attempts = s.Attempts
	s.Findings, s.Ended = f, ended
	h, err = pack(h, s)
	if ended {
		return h, outcome(s), err
	}
	p := bot.Progress{State: bot.OpWorking, Next: lookAgain}
	if n := len(f.Rungs); n > 0 {
		p.Text = fmt.Sprintf("%s: %s", f.Rungs[n-1].Name, f.Rungs[n-1].Text)
	}
	return h, p, err
}

// outcome says how a trial that came to its end stands.
func outcome(s state) bot.Progress {
	if s.Cancelled {
		return bot.Progress{State: bot.OpCancelled, Text: "the restore was stopped"}
	}
	for _, r := range s.Findings.Rungs {
		if r.State == provider.RungFailed {
			return bot.Progress{State: bot.OpFailed, Text: fmt.Sprintf("%s: %s", r.Name, r.Text)}
		}
	}
	return bot.Progress{State: bot.OpSucceeded}
}

// start begins the trial in the background.
func (b *tester) start(ctx context.Context, key, tag string, s state) error {
	if err := os.MkdirAll(b.scratch, 0o700); err != nil {
		return stateError("the scratch folder cannot be made", err)
	}
	p, err := seize(b.scratch, tag)
	if err == nil {
		if err = b.remove(ctx, p); err == nil { // what an earlier attempt left
			p, err = seize(b.scratch, tag)
		}
	}
	switch {
	case errors.Is(err, errInUse):
		e := bot.Errorf(bot.Busy, "an earlier attempt still ends")
		e.RetryAfter = time.Second
		return e
	case err != nil:
		return removalError(err)
	}
	if err := p.prepare(intent{Key: key, Target: b.target, At: b.clock.Now(), Databases: b.databases(tag)}); err != nil {
		return errors.Join(stateError("a throw-away place cannot be made", err), p.release())
	}
	// It outlives the call, and ends when nobody looks at it any more.
	run, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Duration(b.settings.Timeout))
	j := &job{tester: b, place: p, trial: s.Trial, cancel: cancel, done: make(chan struct{})}
	j.alone = time.AfterFunc(unwatched, func() { b.abandon(tag, j) })
	process.mu.Lock()
	defer process.mu.Unlock()
	if process.jobs[b.at(tag)] != nil || process.removing[b.at(tag)] != nil { // another call was quicker, which only a stale caller can be
		cancel()
		return errors.Join(bot.Errorf(bot.Busy, "an earlier attempt still ends"), p.release())
	}
	process.jobs[b.at(tag)] = j
	go j.run(run)
	return nil
}

// databases names what a trial may make on a server that outlives it.
func (b *tester) databases(tag string) map[string][]string {
	all := map[string][]string{}
	for i, m := range b.members {
		if m.Engine == "postgres" && b.postgres != nil || m.Engine == "mariadb" && b.mariadb != nil {
			all[m.Engine] = append(all[m.Engine], fmt.Sprintf("%s_%d", tag, i))
		}
	}
	return all
}

// abandon ends a trial that nobody looks at, and removes what it made.
func (b *tester) abandon(tag string, j *job) {
	process.mu.Lock()
	mine := process.jobs[b.at(tag)] == j
	process.mu.Unlock()
	if !mine {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), removeWithin)
	defer cancel()
	_ = b.destroy(ctx, tag) // what fails here, a sweep finds and reports
}

// job is one trial under way in this process.
type job struct {
	*tester
	place  *place
	trial  provider.Trial
	cancel context.CancelFunc
	alone  *time.Timer
	done   chan struct{} // closed at its end, when none of its processes lives

	mu       sync.Mutex
	findings provider.Findings
	ended    bool
}

// look gives what there is to say so far. While it runs, the last rung is the one
// that it is at.
func (j *job) look() (f provider.Findings, ended bool) {
	j.alone.Reset(unwatched)
	j.mu.Lock()
	defer j.mu.Unlock()
	f = j.findings
	f.Rungs = append([]provider.Rung(nil), f.Rungs...)
	return f, j.ended
}

func (j *job) run(ctx context.Context) {
	defer close(j.done)
	defer j.cancel()
	defer j.place.release() // the kernel gives it up with the process anyway
	defer func() {
		if r := recover(); r != nil { // one trial must not end the bot
			j.settle(provider.Rung{State: provider.RungFailed, Text: "internal error while it was checked"})
		}
		j.mu.Lock()
		j.ended = true
		j.mu.Unlock()
	}()
	c := &climb{job: j}
	defer c.close()
	c.climb(ctx)
}

// at notes the rung that is being climbed.
func (j *job) reach(name provider.RungName, doing string) {
	j.mu.Lock()
	j.findings.Rungs = append(j.findings.Rungs, provider.Rung{Name: name, State: provider.RungNotRun, Text: doing})
	j.mu.Unlock()
	j.reached(name)
}

// settle says what became of the rung that was being climbed.
func (j *job) settle(r provider.Rung) {
	j.mu.Lock()
	defer j.mu.Unlock()
	n := len(j.findings.Rungs)
	if n == 0 {
		return
	}
	r.Name = j.findings.Rungs[n-1].Name
	j.findings.Rungs[n-1] = r
}

// note changes the findings beside the rungs.
func (j *job) note(f func(*provider.Findings)) {
	j.mu.Lock()
	defer j.mu.Unlock()
	f(&j.findings)
}
