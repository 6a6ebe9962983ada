package githubprovider

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/provider"
)

// stage is what the next call of an operation is for.
type stage string

// The stages, in their order. Those of creating and dispatching act, and are
// never repeated before their marker was looked for; the rest may be.
const (
	asking      stage = "ask"      // what time it is at GitHub, for an action
	creating    stage = "create"   // the deployment
	dispatching stage = "dispatch" // the workflow
	finding     stage = "find"     // the run, which GitHub did not name
	telling     stage = "tell"     // the deployment, that it runs
	following   stage = "follow"   // the run, or a deployment that others take up
	explaining  stage = "explain"  // which job failed, or whether the right one ran
	closing     stage = "close"    // the deployment's last status
	ended       stage = "ended"
)

// state is what a handle holds.
type state struct {
	Deployment provider.Deployment `json:"deployment"`
	// Invocation is what an action was asked for, in place of a Deployment.
	Invocation *provider.Invocation `json:"invocation,omitempty"`
	Task       bot.Task             `json:"task"`
	Stage      stage                `json:"stage"`
	// Doubt says that an earlier call of the stage may have acted: its marker must
	// be looked for before it is made again.
	Doubt bool `json:"doubt,omitempty"`
	// ID and Made are the deployment's, Made by GitHub's clock.
	ID   int64     `json:"id,omitempty"`
	Made time.Time `json:"made,omitzero"`
	// Plain is set for a server that does not know return_run_details.
	Plain bool `json:"plain,omitempty"`
	// Sent is when the workflow was taken by GitHub, by our clock.
	Sent time.Time `json:"sent,omitzero"`
	Run  int64     `json:"run,omitempty"`
	Link string    `json:"link,omitempty"`
	// Cancel is set once the end was asked for, Stopped once GitHub knows it.
	Cancel  bool `json:"cancel,omitempty"`
	Stopped bool `json:"stopped,omitempty"`
	// Looks counts the looks since anything changed, Tries the attempts to write
	// the last status.
	Looks int    `json:"looks,omitempty"`
	Seen  string `json:"seen,omitempty"`
	Tries int    `json:"tries,omitempty"`
	// Gate is who may let the run go on, as GitHub names them; AskGate that it is
	// to be asked.
	Gate    string `json:"gate,omitempty"`
	AskGate bool   `json:"ask_gate,omitempty"`
	End     *end   `json:"end,omitempty"`
}

// end is how an operation ended.
type end struct {
	State bot.OpState `json:"state"`
	Text  string      `json:"text"`
	Check string      `json:"check,omitempty"`
}

const (
	// appears is how long a run that GitHub promised may take to be listed.
	appears = 10 * time.Minute
	// maxTries bounds the attempts to write a deployment's last status.
	maxTries  = 10
	lookSoon  = time.Millisecond
	lookFirst = 2 * time.Second
	lookMost  = 30 * time.Second
	lookGate  = time.Minute // at what a person must open
)

// Can implements provider.Limited: GitHub deploys commits, and knows of nothing
// that it could restart.
func (d *deployer) Can(a provider.Action) error {
	switch a {
	case provider.Deploy, provider.Rollback:
		return nil
	case provider.Restart:
		return bot.Errorf(bot.Invalid, "%s cannot be restarted through GitHub, which deploys and nothing else", d.target)
	}
	return bot.Errorf(bot.Invalid, "%q is nothing that %s can do; expected deploy or rollback", a, d.target)
}

// Begin prepares an operation. It does no I/O.
func (d *deployer) Begin(body provider.Deployment, t bot.Task) (bot.Handle, error) {
	if body.Target != d.target {
		return bot.Handle{}, bot.Errorf(bot.Invalid, "a deployment of %s was given to %s", body.Target, d.target)
	}
	if !goodKey(t.Key) {
		return bot.Handle{}, bot.Errorf(bot.Invalid, "a deployment of %s needs a key without spaces", d.target)
	}
	if !isSHA(body.To.ID) {
		return bot.Handle{}, bot.Errorf(bot.Invalid, "%s is no commit, and GitHub deploys nothing else", body.To.Label())
	}
	if err := d.Can(body.Action); err != nil {
		return bot.Handle{}, err
	}
	return pack(bot.Handle{Key: t.Key, Target: d.target}, state{Deployment: body, Task: t, Stage: creating})
}

// goodKey reports whether a key is one word, as a run's name holds it.
func goodKey(key string) bool {
	return key != "" && !strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r > '~' })
}

func pack(h bot.Handle, s state) (bot.Handle, error) {
	raw, err := json.Marshal(s)
	if err != nil {
		return h, &bot.Error{Op: "github", Kind: bot.Internal, Err: err}
	}
	h.State, h.Interrupted = raw, false
	return h, nil
}

func unpack(h bot.Handle) (state, error) {
	var s state
	if err := json.Unmarshal(h.State, &s); err != nil {
		return s, &bot.Error{Op: "github", Kind: bot.Internal, Err: fmt.Errorf("handle %s: %w", h.Key, err)}
	}
	return s, nil
}

// Advance makes one call to GitHub: of the stage where the operation is, or to
// look for what an earlier one may have done.
func (d *deployer) Advance(ctx context.Context, h bot.Handle) (bot.Handle, bot.Progress, error) {
	s, err := unpack(h)
	if err != nil {
		return h, bot.Progress{}, err
	}
	if s.Stage == ended {
		h, err := pack(h, s)
		return h, s.last(), err
	}
	if err := ctx.Err(); err != nil {
		return h, bot.Progress{}, &bot.Error{Op: "github", Kind: bot.Timeout, Say: "the call ran out of time", Err: err}
	}
	s.Doubt = s.Doubt || h.Interrupted
	p, err := d.step(ctx, &s)
	var e *bot.Error
	if errors.As(err, &e) && e.Kind == bot.Busy && e.RetryAfter > 0 {
		// Nothing was done, that much is certain, and waiting is no silence: an
		// error would end the operation's patience long before the limit is reset.
		p, err = bot.Progress{State: bot.OpPending, Text: e.Say, Link: s.Link, Next: e.RetryAfter}, nil
		if s.Run != 0 {
			p.State = bot.OpWorking
		}
	}
	if err != nil {
		return h, bot.Progress{}, err
	}
	h, err = pack(h, s)
	return h, p, err
}

func (d *deployer) step(ctx context.Context, s *state) (bot.Progress, error) {
	switch s.Stage {
	case asking:
		return d.now(ctx, s)
	case creating:
		return d.create(ctx, s)
	case dispatching:
		return d.dispatch(ctx, s)
	case finding:
		return d.find(ctx, s)
	case telling:
		return d.tell(ctx, s)
	case following:
		if s.Run == 0 {
			return d.followDeployment(ctx, s)
		}
		return d.followRun(ctx, s)
	case explaining:
		return d.explain(ctx, s)
	case closing:
		return d.close(ctx, s)
	}
	return bot.Progress{}, &bot.Error{Op: "github", Kind: bot.Internal, Err: fmt.Errorf("stage %q", s.Stage)}
}

// Cancel asks for the end. A run that is known is told at once; anything earlier
// is not started, or told as soon as it is found.
func (d *deployer) Cancel(ctx context.Context, h bot.Handle) (bot.Handle, error) {
	s, err := unpack(h)
	if err != nil {
		return h, err
	}
	if err := ctx.Err(); err != nil {
		return h, &bot.Error{Op: "github", Kind: bot.Timeout, Say: "the call ran out of time", Err: err}
	}
	if s.Run != 0 && s.End == nil {
		if err := d.stop(ctx, &s); err != nil {
			return h, err
		}
	}
	s.Cancel = true
	interrupted := h.Interrupted // whether an Advance may have acted is still open
	h, err = pack(h, s)
	h.Interrupted = interrupted
	return h, err
}

// finish notes how the operation ended, which its deployment is then told.
func (s *state) finish(st bot.OpState, text string) (bot.Progress, error) {
	s.End = &end{State: st, Text: text}
	s.Stage, s.Doubt, s.Looks = closing, false, 0
	if s.ID == 0 {
		s.Stage = ended
		return s.last(), nil
	}
	return s.going("writing it back to GitHub", lookSoon), nil
}

// unknown says that nobody can tell how it ended.
func (d *deployer) unknown(s *state, why string) (bot.Progress, error) {
	p, err := s.finish(bot.OpUnknown, "it is not known how it ended: "+why)
	s.End.Check = d.check(s)
	if s.Stage == ended {
		p = s.last()
	}
	return p, err
}

// check says what a person is to look at.
func (d *deployer) check(s *state) string {
	where := "the deployments of " + d.table.Environment
	if d.table.Workflow != "" {
		where = "the runs of " + d.table.Workflow
	}
	if s.Link != "" {
		where = s.Link
	}
	if s.Invocation != nil {
		return fmt.Sprintf("look at %s in %s what %s did, for %s", where, d.slug(), s.Invocation.Action, s.Task.Key)
	}
	return fmt.Sprintf("look at %s in %s whether %s is live in %s, for %s", where, d.slug(), s.Deployment.To.Version, d.target, s.Task.Key)
}

// last is the settled progress.
func (s *state) last() bot.Progress {
	return bot.Progress{State: s.End.State, Text: s.End.Text, Check: s.End.Check, Link: s.Link}
}

// going is progress that is not settled.
func (s *state) going(text string, next time.Duration) bot.Progress {
	p := bot.Progress{State: bot.OpPending, Text: text, Link: s.Link, Next: next}
	if s.Run != 0 {
		p.State = bot.OpWorking
	}
	return p
}

// done begins the sentence of a success.
func (s *state) done() string {
	if s.Invocation != nil {
		return s.Invocation.Action + " is done: "
	}
	return s.Deployment.To.Version + " is deployed: "
}

// afterStart is the stage that comes once the run is known.
func (s *state) afterStart() stage {
	if s.ID == 0 { // no deployment that could be told
		return following
	}
	return telling
}

// pause is how long to wait until the next look: longer the longer nothing
// happens, since an hour's budget of requests is everybody's.
func (s *state) pause(seen string) time.Duration {
	if s.Seen != seen {
		s.Seen, s.Looks = seen, 0
	}
	s.Looks++
	return min(lookFirst<<min(s.Looks/4, 10), lookMost)
}

func isSHA(text string) bool { return len(text) == 40 && isHex(text) }

func isHex(text string) bool {
	for _, r := range text {
		if !(r >= '0' && r <= '9' || r >= 'a' && r <= 'f') {
			return false
		}
	}
	return text != ""
}

func itoa(n int64) string { return strconv.FormatInt(n, 10) }
