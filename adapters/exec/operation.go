package execprovider

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/provider"
)

const (
	// maxAttempts bounds how often one operation is tried: after exit status
	// 75, and after a shim that died before it started anything.
	maxAttempts = 5
	// maxLaunches bounds the shims that may fail to take their claim.
	maxLaunches = 5
	// tooOld is when an interrupted operation without a claim is no longer
	// taken for one that never began: its folder may have been swept.
	tooOld = 24 * time.Hour

	lookAgain   = 300 * time.Millisecond
	lookSoon    = 100 * time.Millisecond
	fallbackEnd = 5 * time.Second // of a call whose context has no end
	settle      = time.Second
)

// state is what a handle holds. Everything else is in the folder.
type state struct {
	Deployment provider.Deployment `json:"deployment,omitzero"`
	// Invocation is what an action was asked for, in place of a Deployment.
	Invocation *provider.Invocation `json:"invocation,omitempty"`
	// Scaling is what a scaler was asked for, in place of a Deployment.
	Scaling *provider.Scaling `json:"scaling,omitempty"`
	Task    bot.Task          `json:"task"`
	Host    string            `json:"host"`
	Begun   time.Time         `json:"begun"`
	// Seen is set once a claim was seen: a folder without one is then a loss.
	Seen bool `json:"seen,omitempty"`
	// The newest launch: which attempt, in which boot, and until when since
	// boot its shim may claim.
	Launches int           `json:"launches,omitempty"`
	Launched int           `json:"launched,omitempty"`
	Boot     string        `json:"boot,omitempty"`
	Until    time.Duration `json:"until,omitempty"`
	// Cancel is set once the end was asked for: the wish moves with the handle.
	Cancel bool `json:"cancel,omitempty"`
	// How far the log of LogOf has been passed on.
	LogOf  int   `json:"log_of,omitempty"`
	Offset int64 `json:"offset,omitempty"`
}

// Begin prepares an operation. It does no I/O; a restart where none is
// configured, and a deployment for another target, are Invalid.
func (d *deployer) Begin(body provider.Deployment, t bot.Task) (bot.Handle, error) {
	if body.Target != d.target {
		return bot.Handle{}, bot.Errorf(bot.Invalid, "a deployment of %s was given to %s", body.Target, d.target)
	}
	if t.Key == "" {
		return bot.Handle{}, bot.Errorf(bot.Invalid, "a deployment of %s needs a key", d.target)
	}
	if _, err := d.argv(body.Action); err != nil {
		return bot.Handle{}, err
	}
	return pack(bot.Handle{Key: t.Key, Target: d.target}, state{Deployment: body, Task: t, Host: d.host, Begun: d.clock.Now()})
}

// Can implements provider.Limited.
func (d *deployer) Can(a provider.Action) error {
	_, err := d.argv(a)
	return err
}

func (d *deployer) argv(a provider.Action) ([]string, error) {
	switch a {
	case provider.Before, provider.After:
		if len(d.step) > 0 {
			return d.step, nil
		}
	case provider.Deploy:
		if len(d.table.Argv) > 0 {
			return d.table.Argv, nil
		}
	case provider.Rollback:
		if len(d.table.Rollback) > 0 {
			return d.table.Rollback, nil
		}
	case provider.Restart:
		if len(d.table.Restart) == 0 {
			return nil, bot.Errorf(bot.Invalid, "%s cannot be restarted: its deploy table names no program for it; give it restart = [\"PROGRAM\"]", d.target)
		}
		return d.table.Restart, nil
	}
	return nil, bot.Errorf(bot.Invalid, "%q is nothing that %s can do; expected deploy, rollback or restart", a, d.target)
}

func pack(h bot.Handle, s state) (bot.Handle, error) {
	raw, err := json.Marshal(s)
	if err != nil {
		return h, &bot.Error{Op: "exec", Kind: bot.Internal, Err: err}
	}
	h.State, h.Interrupted = raw, false
	return h, nil
}

func unpack(h bot.Handle) (state, error) {
	var s state
	if err := json.Unmarshal(h.State, &s); err != nil {
		return s, &bot.Error{Op: "exec", Kind: bot.Internal, Err: fmt.Errorf("handle %s: %w", h.Key, err)}
	}
	return s, nil
}

// safeKey matches keys that are file names as they are.
var safeKey = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]{0,99}$`)

// folder is where the operation with this key has its files.
func (d *deployer) folder(key string) folder {
	if !safeKey.MatchString(key) {
		key = "x-" + digest(key)
	}
	return folder{filepath.Join(d.state, key)}
}

// look is one Advance under way.
type look struct {
	*deployer
	h      bot.Handle
	s      state
	f      folder
	boot   string
	st     standing
	cancel bool
	asked  time.Time // when the cancel was asked
}

// Advance looks at the operation's folder and, where nothing runs yet, starts
// a shim. A state folder or boot id that cannot be read gives Unavailable, a
// context that has ended Timeout.
func (d *deployer) Advance(ctx context.Context, h bot.Handle) (bot.Handle, bot.Progress, error) {
	l := &look{deployer: d, h: h, f: d.folder(h.Key)}
	var err error
	if l.s, err = unpack(h); err != nil {
		return h, bot.Progress{}, err
	}
	if err := ctx.Err(); err != nil {
		return h, bot.Progress{}, timeoutError(err)
	}
	if l.s.Host != d.host {
		if !h.Interrupted && l.s.Launches == 0 && !l.s.Seen {
			// Nothing was called there, so this host takes over. It acts only
			// in the next call: only once the new host is in the stored handle
			// may anything start here.
			l.s.Host = d.host
			return l.answer(bot.Progress{State: bot.OpPending, Next: time.Millisecond})
		}
		return l.unknown("only "+l.s.Host+" can tell what became of it", "on "+l.s.Host)
	}
	if l.boot, err = d.bootID(); err != nil {
		return h, bot.Progress{}, stateError("the host's boot id cannot be read", err)
	}
	if l.s.Cancel {
		err = l.f.cancel(d.clock.Now())
	}
	if err == nil {
		l.st, err = l.f.look(l.boot)
	}
	if err == nil {
		l.asked, l.cancel, err = l.f.cancelled()
	}
	if err != nil {
		return h, bot.Progress{}, stateError("the state of the operation cannot be read", err)
	}
	if l.st.attempt == 0 {
		if l.s.Seen {
			return l.unknown("its state folder is gone", "")
		}
		if h.Interrupted && d.clock.Now().Sub(l.s.Begun) > tooOld {
			return l.unknown("it is so old that its state may have been removed", "")
		}
	} else {
		l.s.Seen = true
	}
	return l.step(ctx)
}

func (l *look) step(ctx context.Context) (bot.Handle, bot.Progress, error) {
	switch l.st.phase {
	case phaseNone, phaseAbandoned:
		return l.next(ctx)
	case phaseWithdrawn:
		return l.settleWithdrawn(l.st.claim.Withdrawn)
	case phaseClaimed:
		return l.answer(bot.Progress{State: bot.OpPending, Text: "starting", Next: lookSoon})
	case phaseStale:
		// Whoever creates this file first decides; the shim may be suspended
		// rather than dead.
		if _, err := l.f.once(startFile(l.st.attempt), start{Verdict: verdictAbandoned, At: l.clock.Now()}); err != nil {
			return l.h, bot.Progress{}, stateError("the state of the operation cannot be written", err)
		}
		return l.answer(bot.Progress{State: bot.OpPending, Text: "looking again: the start was interrupted", Next: time.Millisecond})
	case phaseRunning:
		return l.running("")
	case phaseOrphaned:
		if err := l.stopOrphan(); err != nil {
			return l.h, bot.Progress{}, stateError("the command cannot be stopped", err)
		}
		return l.running("its watcher is gone; waiting for the command to end")
	case phaseEnded:
		if l.st.exit.Code == codeTryAgain && l.st.exit.Cause == "" && l.st.attempt < maxAttempts {
			return l.again(ctx)
		}
		return l.ended()
	case phaseRestarted:
		return l.unknown("the host was restarted in the middle", "")
	}
	return l.unknown("the process that watched it was killed", "")
}

// next starts the next attempt, or makes sure that there is none.
func (l *look) next(ctx context.Context) (bot.Handle, bot.Progress, error) {
	n := l.st.attempt + 1
	if l.cancel {
		return l.withdraw(n, withdrawnCancel)
	}
	if n > maxAttempts {
		return l.withdraw(n, withdrawnGiveUp)
	}
	now, err := sinceBoot()
	if err != nil {
		return l.h, bot.Progress{}, stateError("the time since boot cannot be read", err)
	}
	if !l.h.Interrupted && l.s.Launched == n && l.s.Boot == l.boot && now < l.s.Until+settle {
		return l.answer(bot.Progress{State: bot.OpPending, Text: "starting", Next: lookSoon})
	}
	if l.s.Launches >= maxLaunches {
		return l.withdraw(n, withdrawnGiveUp)
	}
	until, err := l.launch(ctx, n, now)
	if err != nil {
		return l.h, bot.Progress{}, err
	}
	l.s.Launches++
	l.s.Launched, l.s.Boot, l.s.Until = n, l.boot, until
	return l.answer(bot.Progress{State: bot.OpPending, Text: "starting", Next: lookSoon})
}

// again waits a while after exit status 75 and then starts the next attempt.
func (l *look) again(ctx context.Context) (bot.Handle, bot.Progress, error) {
	if l.cancel {
		return l.next(ctx)
	}
	pause := l.settings.RetryAfter.or(defaultRetryAfter) << (l.st.attempt - 1)
	// The program's own clock wrote At; the system's is the one to compare with.
	if left := time.Until(l.st.exit.At.Add(pause)); left > 0 && left <= pause {
		return l.answer(bot.Progress{
			State: bot.OpPending, Next: min(left, time.Second), Lines: l.lines(true),
			Text: l.sentence("busy: "+l.said()) + fmt.Sprintf("; asking again (%d of %d)", l.st.attempt+1, maxAttempts),
		})
	}
	return l.next(ctx)
}

// withdraw claims an attempt so that nobody can run it any more.
func (l *look) withdraw(n int, why string) (bot.Handle, bot.Progress, error) {
	won, err := l.f.withdraw(n, why, l.host, l.boot, l.clock.Now())
	if err != nil {
		return l.h, bot.Progress{}, stateError("the state of the operation cannot be written", err)
	}
	if !won { // a shim was faster: the next look sees it
		return l.answer(bot.Progress{State: bot.OpPending, Next: lookSoon})
	}
	l.s.Seen = true
	return l.settleWithdrawn(why)
}

func (l *look) settleWithdrawn(why string) (bot.Handle, bot.Progress, error) {
	p := bot.Progress{State: bot.OpCancelled, Text: "cancelled before anything was started"}
	if l.st.attempt > 1 {
		p.Text = "cancelled before it was tried again; nothing was done"
	}
	if why != withdrawnCancel {
		p.State, p.Text = bot.OpFailed, "the command could not be started; "+shimLog+" in the provider's state folder says why"
	}
	return l.answer(p)
}

func (l *look) running(text string) (bot.Handle, bot.Progress, error) {
	var said progress
	if _, err := l.f.read(progressFile(l.st.attempt), &said); err != nil {
		return l.h, bot.Progress{}, stateError("the state of the operation cannot be read", err)
	}
	if text == "" {
		text = l.sentence(said.Message)
		if text == "" {
			text = l.sentence(said.Phase)
		}
		if l.cancel {
			text = strings.TrimPrefix(text+"; stopping it", "; ")
		}
	}
	return l.answer(bot.Progress{
		State: bot.OpWorking, Percent: said.Percent, Text: text,
		Lines: l.lines(false), Link: l.sentenceOf(said.URL, maxLink), Next: lookAgain,
	})
}

// answer stores the state in the handle.
func (l *look) answer(p bot.Progress) (bot.Handle, bot.Progress, error) {
	h, err := pack(l.h, l.s)
	return h, p, err
}

// unknown says that the outcome cannot be known; where names the only place to
// look at, "" for any.
func (l *look) unknown(why, where string) (bot.Handle, bot.Progress, error) {
	return l.answer(bot.Progress{
		State: bot.OpUnknown, Text: "it is not known how it ended: " + why,
		Check: strings.TrimSuffix(l.check()+", "+where, ", "),
	})
}

// check says what a person is to look at.
func (l *look) check() string {
	if s := l.s.Scaling; s != nil {
		return fmt.Sprintf("look whether %s of %s is %s, and what its platform's own log says about operation %s", s.Dimension, s.Target, s.To, l.h.Key)
	}
	if in := l.s.Invocation; in != nil {
		return fmt.Sprintf("look what %s did, and what the log of whatever it works on says about operation %s", l.subject(), l.h.Key)
	}
	dep := l.s.Deployment
	what := fmt.Sprintf("whether %s is live in %s", dep.To.Version, dep.Target)
	switch dep.Action {
	case provider.Before, provider.After:
		what = fmt.Sprintf("whether the step %s %s was done for %s", dep.Action, dep.To.Version, dep.Target)
	case provider.Restart:
		what = fmt.Sprintf("whether %s was restarted", dep.Target)
	}
	return fmt.Sprintf("look %s, and what its platform's own log says about operation %s", what, l.h.Key)
}

// Cancel asks for the end of the operation; repeating it changes nothing. The
// shim sends TERM to the command's process group, and KILL after kill_after.
func (d *deployer) Cancel(ctx context.Context, h bot.Handle) (bot.Handle, error) {
	s, err := unpack(h)
	if err != nil {
		return h, err
	}
	if err := ctx.Err(); err != nil {
		return h, timeoutError(err)
	}
	if s.Host != d.host && (h.Interrupted || s.Launches > 0 || s.Seen) {
		return h, bot.Errorf(bot.Conflict, "only %s can stop it: its process runs there", s.Host)
	}
	if err := d.folder(h.Key).cancel(d.clock.Now()); err != nil {
		return h, stateError("the wish to cancel cannot be written", err)
	}
	s.Cancel = true
	interrupted := h.Interrupted // whether an Advance may have acted is still open
	h, err = pack(h, s)
	h.Interrupted = interrupted
	return h, err
}

// bootID identifies the present boot of the host.
func (d *deployer) bootID() (string, error) {
	if d.settings.BootID == "" {
		return systemBootID()
	}
	raw, err := os.ReadFile(d.settings.BootID)
	if err != nil {
		return "", err
	}
	id := strings.TrimSpace(string(raw))
	if id == "" {
		return "", errors.New("it is empty")
	}
	return id, nil
}

func stateError(say string, cause error) error {
	if errors.Is(cause, fs.ErrPermission) {
		say += ": no permission"
	}
	return &bot.Error{Op: "exec", Kind: bot.Unavailable, Say: say, Err: cause}
}

func timeoutError(cause error) error {
	return &bot.Error{Op: "exec", Kind: bot.Timeout, Say: "the call ran out of time", Err: cause}
}
