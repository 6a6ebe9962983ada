package release

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/provider"
)

// The names of the steps around the components; no component is called so.
const (
	before = "before"
	after  = "after"
)

// Reserved are the names that no component may have.
var Reserved = []string{before, after}

// stepState is how one step of a composed operation stands.
type stepState struct {
	Name   string      `json:"name"`
	Handle bot.Handle  `json:"handle"`
	State  bot.OpState `json:"state,omitempty"` // "" before it was called
	Text   string      `json:"text,omitempty"`
	Check  string      `json:"check,omitempty"`
	Called bool        `json:"called,omitempty"`    // a call was made and its answer noted
	Same   bool        `json:"unchanged,omitempty"` // it has what it is to get
}

func (s *stepState) isComponent() bool { return !slices.Contains(Reserved, s.Name) }

func (s *stepState) done() bool { return s.Same || s.State == bot.OpSucceeded }

// composedState is what the handle of a composed operation holds. One Advance
// makes one call for the step At, so that an interrupted call is that step's.
type composedState struct {
	Action  provider.Action `json:"action"`
	Service string          `json:"service"`
	Env     string          `json:"env"`
	Version string          `json:"version"`
	Steps   []stepState     `json:"steps"`
	At      int             `json:"at"`
	Stop    bool            `json:"stop,omitempty"` // what was not begun is not begun any more
	Over    bool            `json:"over,omitempty"` // it ended, and a later look changes nothing
}

// Begin prepares every step, without I/O. Each has a key of its own that
// follows from the task's, so that its provider finds it again by itself. An
// artefact that does not say what every component gets is Invalid.
func (c *Components) Begin(d provider.Deployment, t bot.Task) (bot.Handle, error) {
	if !c.Fits(d.To) {
		return bot.Handle{}, bot.Errorf(bot.Invalid, "%s of %s does not say what %s get", d.To.Version, d.Target, c.names(c.list))
	}
	s := composedState{Action: d.Action, Service: d.Target.Service, Env: d.Target.Environment, Version: d.To.Version}
	add := func(name string, op provider.Step, x provider.Deployment, same bool) error {
		key := t
		key.Key = t.Key + "." + name
		h, err := op.Begin(x, key)
		if err != nil {
			return of(name, err)
		}
		h.Key, h.Target = key.Key, d.Target
		s.Steps = append(s.Steps, stepState{Name: name, Handle: h, Same: same})
		return nil
	}
	around := func(name string, op provider.Step, a provider.Action) error {
		if op == nil || d.Action != provider.Deploy {
			return nil
		}
		return add(name, op, provider.Deployment{Action: a, Target: d.Target, From: d.From, To: d.To}, false)
	}
	if err := around(before, c.before, provider.Before); err != nil {
		return bot.Handle{}, err
	}
	order := slices.Clone(c.list)
	if d.Action == provider.Rollback {
		slices.Reverse(order)
	}
	for _, x := range order {
		from, _ := d.From.Part(x.Name)
		to, _ := d.To.Part(x.Name)
		err := add(x.Name, x.Deployer, provider.Deployment{Action: d.Action, Target: d.Target, From: from, To: to},
			d.Action == provider.Deploy && d.From.ID != d.To.ID && unchanged(from, to))
		if err != nil {
			return bot.Handle{}, err
		}
	}
	if err := around(after, c.after, provider.After); err != nil {
		return bot.Handle{}, err
	}
	s.next(0)
	return s.pack(bot.Handle{Key: t.Key, Target: d.Target})
}

func (s *composedState) pack(h bot.Handle) (bot.Handle, error) {
	raw, err := json.Marshal(s)
	if err != nil {
		return h, &bot.Error{Op: "release", Kind: bot.Internal, Err: err}
	}
	h.State, h.Interrupted = raw, false
	return h, nil
}

// unpackComposed refuses the handle of an operation that was begun when the
// target was one piece.
func unpackComposed(h bot.Handle) (composedState, error) {
	var s composedState
	err := json.Unmarshal(h.State, &s)
	if err == nil && (len(s.Steps) == 0 || s.At < 0 || s.At > len(s.Steps)) {
		err = errors.New("it holds no steps")
	}
	if err != nil {
		return s, &bot.Error{Op: "release", Kind: bot.Conflict, Err: err,
			Say: fmt.Sprintf("%s was begun before %s had these components", h.Key, h.Target)}
	}
	return s, nil
}

// next makes the first step from i on that has something to do the present one.
func (s *composedState) next(i int) {
	for i < len(s.Steps) && s.Steps[i].Same {
		i++
	}
	s.At = i
}

// operation gives what does a step.
func (c *Components) operation(name string) (provider.Step, error) {
	switch {
	case name == before && c.before != nil:
		return c.before, nil
	case name == after && c.after != nil:
		return c.after, nil
	}
	for _, x := range c.list {
		if x.Name == name {
			return x.Deployer, nil
		}
	}
	return nil, bot.Errorf(bot.Conflict, "the configuration has no %q any more", name)
}

// Advance makes one call for the step that is under way.
func (c *Components) Advance(ctx context.Context, h bot.Handle) (bot.Handle, bot.Progress, error) {
	s, err := unpackComposed(h)
	if err != nil {
		return h, bot.Progress{}, err
	}
	if s.Over || s.At == len(s.Steps) || s.Stop && !s.Steps[s.At].Called {
		s.Over = true
		return s.answer(h, s.outcome())
	}
	step := &s.Steps[s.At]
	p, err := c.call(ctx, h, step)
	if err != nil {
		return h, bot.Progress{}, err
	}
	step.Called, step.State, step.Text, step.Check = true, p.State, p.Text, p.Check
	if !p.State.Settled() {
		now := bot.Progress{State: p.State, Text: step.Name + ": " + under(step), Lines: p.Lines, Link: p.Link, Next: p.Next, Parts: s.parts()}
		if len(s.Steps) == 1 {
			now.Percent = p.Percent
		}
		return s.answer(h, now)
	}
	// A failure ends a deployment there; a way back goes on, since every
	// component that is back is one less that is broken.
	ended := s.At
	goesOn := p.State == bot.OpSucceeded || s.Action == provider.Rollback
	s.next(s.At + 1)
	if goesOn && !s.Stop && s.At < len(s.Steps) {
		return s.answer(h, bot.Progress{State: bot.OpWorking, Text: fmt.Sprintf("%s %s; %s is next", s.Steps[ended].Name, s.says(ended), s.Steps[s.At].Name), Lines: p.Lines, Link: p.Link, Next: time.Millisecond, Parts: s.parts()})
	}
	s.Over = true
	end := s.outcome()
	end.Lines, end.Link = p.Lines, p.Link
	return s.answer(h, end)
}

func (s *composedState) answer(h bot.Handle, p bot.Progress) (bot.Handle, bot.Progress, error) {
	p.Parts = s.parts()
	next, err := s.pack(h)
	return next, p, err
}

// call advances one step. An error comes back only where the same call may be
// tried again; any other tells how the step ended.
func (c *Components) call(ctx context.Context, h bot.Handle, step *stepState) (bot.Progress, error) {
	op, err := c.operation(step.Name)
	if err == nil {
		handle := step.Handle
		handle.Interrupted = h.Interrupted
		var p bot.Progress
		if handle, p, err = op.Advance(ctx, handle); err == nil {
			handle.Key, handle.Target, handle.Interrupted = step.Handle.Key, step.Handle.Target, false
			step.Handle = handle
			return p, nil
		}
	}
	switch bot.KindOf(err) {
	case bot.Unavailable, bot.Timeout, bot.Busy:
		return bot.Progress{}, of(step.Name, err)
	case bot.Invalid, bot.Denied, bot.NotFound, bot.Conflict:
		if !step.Called && !h.Interrupted {
			return bot.Progress{State: bot.OpFailed, Text: bot.Sentence(err, step.Handle.Key)}, nil
		}
	}
	return bot.Progress{State: bot.OpUnknown, Text: bot.Sentence(err, step.Handle.Key),
		Check: "look at the provider itself for " + step.Handle.Key}, nil
}

// Cancel keeps every step that was not begun from being begun, and asks the one
// under way to stop. That one may refuse: then it is the last.
func (c *Components) Cancel(ctx context.Context, h bot.Handle) (bot.Handle, error) {
	s, err := unpackComposed(h)
	if err != nil {
		return h, err
	}
	interrupted := h.Interrupted
	s.Stop = true
	if !s.Over && s.At < len(s.Steps) && (s.Steps[s.At].Called || interrupted) {
		step := &s.Steps[s.At]
		op, err := c.operation(step.Name)
		if err != nil {
			return h, err
		}
		handle := step.Handle
		handle.Interrupted = interrupted
		handle, err = op.Cancel(ctx, handle)
		switch bot.KindOf(err) {
		case bot.Unavailable, bot.Timeout, bot.Busy, bot.Internal:
			return h, of(step.Name, err)
		}
		if err == nil {
			handle.Key, handle.Target, handle.Interrupted = step.Handle.Key, step.Handle.Target, false
			step.Handle = handle
		}
	}
	next, err := s.pack(h)
	next.Interrupted = interrupted // whether an Advance may have acted is still open
	return next, err
}

// under says what a step that is under way does.
func under(s *stepState) string {
	if s.Text == "" {
		return "under way"
	}
	return s.Text
}

// parts says how every step stands, for people.
func (s *composedState) parts() []bot.ProgressPart {
	var list []bot.ProgressPart
	for i := range s.Steps {
		list = append(list, bot.ProgressPart{Name: s.Steps[i].Name, Text: s.says(i)})
	}
	return list
}

func (s *composedState) says(i int) string {
	step := &s.Steps[i]
	with := func(word string) string { return strings.TrimSuffix(word+": "+step.Text, ": ") }
	switch step.State {
	case "":
		switch {
		case step.Same:
			return "has it already"
		case i == s.At && !s.Stop && !s.failed():
			return "next"
		case s.Stop || s.failed():
			return "not begun, unchanged"
		}
		return "waits"
	case bot.OpSucceeded:
		return with("done")
	case bot.OpFailed:
		return with("failed")
	case bot.OpRolledBack:
		return with("failed, the old release is back")
	case bot.OpPartlyDone:
		return with("done in part")
	case bot.OpSuperseded:
		return with("something else took its place")
	case bot.OpCancelled:
		return with("stopped")
	case bot.OpUnknown:
		return with("not known")
	}
	return under(step)
}

// failed reports whether a step ended otherwise than well, which ends a
// deployment.
func (s *composedState) failed() bool {
	return s.Action != provider.Rollback && slices.ContainsFunc(s.Steps, func(x stepState) bool { return x.State.Settled() && x.State != "" && x.State != bot.OpSucceeded })
}

// outcome says how the whole ended.
func (s *composedState) outcome() bot.Progress {
	var done, open []string // components
	var why, checks []string
	states := map[bot.OpState]bool{} // of what did not succeed
	for i := range s.Steps {
		step := &s.Steps[i]
		ended := step.State != "" && step.State.Settled()
		switch {
		case step.done() && step.isComponent():
			done = append(done, step.Name)
		case step.done():
		case ended || step.isComponent():
			if step.isComponent() {
				open = append(open, step.Name)
			}
			if ended {
				states[step.State] = true
				why = append(why, step.Name+" "+s.says(i))
			}
		}
		if step.State == bot.OpUnknown {
			checks = append(checks, step.Name+": "+step.Check)
		}
	}
	changed := slices.ContainsFunc(s.Steps, func(x stepState) bool {
		return x.isComponent() && (x.State == bot.OpSucceeded || x.State == bot.OpPartlyDone)
	})
	first := &s.Steps[0]
	p := bot.Progress{Check: strings.Join(checks, "; ")}
	reason := strings.Join(why, "; ")
	if len(why) == 0 && (s.Stop && s.At < len(s.Steps)) {
		reason = "stopped on request before " + s.Steps[s.At].Name
	}
	switch {
	case reason == "":
		p.State, p.Text = bot.OpSucceeded, fmt.Sprintf("%s is live in %s", s.Version, listed(done))
		if s.Action == provider.Restart {
			p.Text = "restarted: " + listed(done)
		}
		return p
	case states[bot.OpUnknown]:
		p.State = bot.OpUnknown
	case changed:
		p.State = bot.OpPartlyDone
	case len(states) == 0:
		p.State = bot.OpCancelled
	case len(states) == 1:
		for state := range states {
			p.State = state
		}
	default:
		p.State = bot.OpFailed
	}
	told := []string{reason}
	if first.Name == before && (first.done() || first.State == bot.OpPartlyDone || first.State == bot.OpUnknown) {
		told = append(told, "the step before is not undone")
	}
	switch {
	case first.Name == before && !first.done():
		told = append(told, "no component was changed")
		if p.State == bot.OpRolledBack || p.State == bot.OpSuperseded {
			p.State = bot.OpFailed
		}
	case changed && s.Action == provider.Deploy:
		stays := s.Version + " is in " + listed(done)
		if len(open) > 0 {
			stays += ", and not in " + listed(open)
		}
		told = append(told, stays, fmt.Sprintf("to bring all back: rollback %s %s", s.Service, s.Env))
	case changed && len(open) > 0:
		told = append(told, fmt.Sprintf("%s is in %s, and not in %s; it may be tried again", s.Version, listed(done), listed(open)))
	}
	p.Text = strings.Join(told, "; ")
	return p
}
