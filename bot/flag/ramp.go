package flag

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/provider"
)

// RampKind is the workflow of all Specs whose body is a Ramp.
const RampKind = "ramp@1"

// Ramp is the body of the Specs: a flag that goes step by step, and back by itself.
type Ramp struct {
	Base   provider.Flag   `json:"base"`   // as it is at the start
	From   string          `json:"from"`   // its revision
	Steps  []provider.Flag `json:"steps"`  // whole flags, each as it is to be then
	Every  time.Duration   `json:"every"`  // how long each step is watched
	Metric string          `json:"metric"` // what is judged meanwhile; "" for nothing
}

const (
	// lookEvery is how often a baking step is looked at, at most: a breach must not
	// wait for the end of a step that lasts for hours.
	lookEvery = 15 * time.Second
	lookLeast = time.Second
	// blind is how many looks in a row may find no answer before the flag goes
	// back. One query that was lost is no reason; what cannot be seen for longer is.
	blind = 3
)

// RampWorkflow executes Ramps. It implements bot.Workflow; safe for concurrent use.
//
// Each step is set, and then bakes without the run's slot: the flag is looked at,
// and the metric is judged. A breach, or no answer for three looks, has the flag
// set back to the last step that was baked to its end. A flag that somebody else
// changed meanwhile is left as they want it.
type RampWorkflow struct {
	catalog *provider.Catalog
	judge   provider.Judge
	clock   bot.Clock
}

// NewRampWorkflow makes the RampWorkflow. judge may be nil; then no Ramp with a
// metric begins.
func NewRampWorkflow(c *provider.Catalog, judge provider.Judge, clock bot.Clock) *RampWorkflow {
	return &RampWorkflow{c, judge, clock}
}

// Kind implements bot.Workflow.
func (w *RampWorkflow) Kind() string { return RampKind }

// ramping is what a Handle carries.
type ramping struct {
	Ramp  Ramp        `json:"ramp"`
	Task  bot.Task    `json:"task"`
	Step  int         `json:"step"`
	Inner *bot.Handle `json:"inner,omitempty"` // the change under way; nil while it bakes
	// Mine is the key of the change that made the flag what it is, and Revision
	// what it was seen as then, "" before the first look.
	Mine      string    `json:"mine,omitempty"`
	Revision  string    `json:"revision,omitempty"`
	Since     time.Time `json:"since,omitzero"` // it bakes since then; zero when it does not
	Text      string    `json:"text,omitempty"` // what is told of it meanwhile
	Blind     int       `json:"blind,omitempty"`
	Why       string    `json:"why,omitempty"` // it goes back; "" while all is well
	Cancelled bool      `json:"cancelled,omitempty"`
}

// Check implements bot.Workflow.
func (w *RampWorkflow) Check(ctx context.Context, s bot.Spec, facts []bot.Fact) ([]bot.Obstacle, error) {
	var r Ramp
	if err := json.Unmarshal(s.Body, &r); err != nil {
		return nil, fmt.Errorf("decode %s: %w", s.Kind, err)
	}
	if err := checkFacts(ctx, w.catalog, provider.FlagChange{Target: r.Base.Target, Key: r.Base.Key}, facts); err != nil {
		return nil, err
	}
	return nil, w.Watchable(ctx, r.Base.Target, r.Metric)
}

// Watchable gives an Error when a metric could not stop a ramp that began now.
func (w *RampWorkflow) Watchable(ctx context.Context, t bot.Target, metric string) error {
	if metric == "" {
		return nil
	}
	if w.judge == nil {
		return bot.Errorf(bot.Invalid, "%s has no metrics, so nothing could watch the ramp; leave \"while\" out", t)
	}
	j, err := w.judge.Judge(ctx, t, metric)
	if err != nil {
		return err
	}
	if j.Stand != provider.Within {
		return bot.Errorf(bot.Conflict, "the ramp would go back at once: %s", said(j))
	}
	return nil
}

// RampFacts gives the preconditions of a ramp.
func RampFacts(c *provider.Catalog, r Ramp) []bot.Fact {
	return Facts(c, provider.FlagChange{Target: r.Base.Target, Key: r.Base.Key, From: r.From, To: &r.Base})
}

// said gives a judgement as a sentence.
func said(j provider.Judgement) string {
	switch j.Stand {
	case provider.Within:
		return fmt.Sprintf("%s is %s, %s", j.Metric, amount(j), j.Threshold)
	case provider.Breached:
		return fmt.Sprintf("%s is %s, and may be %s", j.Metric, amount(j), j.Threshold)
	case provider.NoData:
		return fmt.Sprintf("%s has no data", j.Metric)
	}
	why := j.Why
	if why == "" {
		why = "no answer"
	}
	return fmt.Sprintf("%s cannot be read: %s", j.Metric, why)
}

func amount(j provider.Judgement) string {
	s := fmt.Sprintf("%.4g", j.Value)
	if j.Unit != "" {
		s += " " + j.Unit
	}
	return s
}

// Begin implements bot.Workflow.
func (w *RampWorkflow) Begin(s bot.Spec, t bot.Task) (bot.Handle, error) {
	var r Ramp
	if err := json.Unmarshal(s.Body, &r); err != nil {
		return bot.Handle{}, fmt.Errorf("decode %s: %w", s.Kind, err)
	}
	if len(r.Steps) == 0 {
		return bot.Handle{}, bot.Errorf(bot.Invalid, "a ramp needs steps")
	}
	return pack(bot.Handle{Key: t.Key, Target: r.Base.Target}, ramping{Ramp: r, Task: t})
}

// Cancel implements bot.Workflow: the flag stays as it is.
func (w *RampWorkflow) Cancel(_ context.Context, h bot.Handle) (bot.Handle, error) {
	var s ramping
	if err := json.Unmarshal(h.State, &s); err != nil {
		return h, fmt.Errorf("decode handle: %w", err)
	}
	s.Cancelled = true
	return pack(h, s)
}

// Advance implements bot.Workflow.
func (w *RampWorkflow) Advance(ctx context.Context, h bot.Handle) (bot.Handle, bot.Progress, error) {
	var s ramping
	if err := json.Unmarshal(h.State, &s); err != nil {
		return h, bot.Progress{}, fmt.Errorf("decode handle: %w", err)
	}
	flagger, err := w.catalog.Flagger(s.Ramp.Base.Target)
	if err != nil {
		return h, bot.Progress{}, err
	}
	p, err := w.advance(ctx, flagger, &s, h)
	if err != nil {
		return h, bot.Progress{}, err
	}
	h, err = pack(h, s)
	return h, p, err
}

func (w *RampWorkflow) advance(ctx context.Context, flagger provider.Flagger, s *ramping, h bot.Handle) (bot.Progress, error) {
	if s.Inner == nil && s.Since.IsZero() { // nothing was set yet
		if s.Cancelled {
			return bot.Progress{State: bot.OpCancelled, Text: "nothing was changed"}, nil
		}
		return s.begin(flagger, s.Ramp.From)
	}
	if s.Inner != nil {
		return w.set(ctx, flagger, s, h.Interrupted)
	}
	f, err := flagger.Get(ctx, s.Ramp.Base.Key)
	if bot.KindOf(err) == bot.NotFound {
		return s.leave(fmt.Sprintf("%s was taken out of use, so the ramp is over", s.Ramp.Base.Key)), nil
	}
	if err != nil {
		return bot.Progress{}, err
	}
	if s.Revision == "" {
		s.Revision = f.Revision
	}
	if f.Revision != s.Revision || f.Changed.Key != "" && f.Changed.Key != s.Mine {
		return s.leave("the ramp is over: " + Meanwhile(f).Say), nil
	}
	if s.Cancelled {
		return s.leave(fmt.Sprintf("%s stays at %s", s.Ramp.Base.Key, f.Reach())), nil
	}
	if s.Why == "" {
		if p, done := w.watch(ctx, s); !done {
			return p, nil
		}
		if s.Why == "" && s.Step == len(s.Ramp.Steps)-1 {
			return bot.Progress{State: bot.OpSucceeded, Text: s.reached(f)}, nil
		}
	}
	if h.Aside { // the slot comes first
		return bot.Progress{State: bot.OpWorking, Returning: s.Why != "", Percent: s.percent()}, nil
	}
	if s.Why == "" {
		s.Step++
	}
	return s.begin(flagger, f.Revision)
}

// begin makes the change that comes next: the step, or back to the one before. It
// is noted before the first call, so that a lost answer is looked for under its key.
func (s *ramping) begin(flagger provider.Flagger, from string) (bot.Progress, error) {
	to, key := s.Ramp.Steps[s.Step], fmt.Sprintf("%s/%d", s.Task.Key, s.Step)
	now := s.Ramp.Base
	if s.Step > 0 {
		now = s.Ramp.Steps[s.Step-1]
	}
	if s.Why != "" {
		to, now, key = now, to, key+"/back"
	}
	task := s.Task
	task.Key = key
	if s.Why != "" {
		task.Reason = s.Why
	}
	inner, err := flagger.Begin(provider.FlagChange{Target: to.Target, Key: to.Key, From: from, To: &to, Text: now.Reach() + " -> " + to.Reach()}, task)
	if err != nil {
		return bot.Progress{}, err
	}
	s.Inner, s.Mine, s.Revision = &inner, key, ""
	return bot.Progress{State: bot.OpWorking, Percent: s.percent(), Next: time.Millisecond}, nil
}

// set takes the change under way one call on.
func (w *RampWorkflow) set(ctx context.Context, flagger provider.Flagger, s *ramping, interrupted bool) (bot.Progress, error) {
	s.Inner.Interrupted = interrupted
	inner, p, err := flagger.Advance(ctx, *s.Inner)
	if err != nil {
		return bot.Progress{}, err
	}
	inner.Interrupted = false
	s.Inner = &inner
	p.Percent = s.percent()
	switch {
	case !p.State.Settled():
		return p, nil
	case p.State != bot.OpSucceeded:
		return p, nil
	case s.Why != "":
		p.State, p.Text, p.Tell = bot.OpRolledBack, fmt.Sprintf("%s; %s", s.Why, p.Text), s.owners()
		return p, nil
	}
	s.Inner, s.Since, s.Blind = nil, w.clock.Now(), 0
	if s.Step == len(s.Ramp.Steps)-1 && s.Ramp.Metric == "" {
		p.State = bot.OpSucceeded
		return p, nil
	}
	if s.Step < len(s.Ramp.Steps)-1 {
		p.Text += fmt.Sprintf("; %s at %s", s.Ramp.Steps[s.Step+1].Reach(), s.Since.Add(s.Ramp.Every).UTC().Format("15:04 UTC"))
	}
	p.State, p.Next, s.Text = bot.OpBaking, lookLeast, p.Text
	return p, nil
}

// watch judges the step that bakes; done says that it baked to its end, or that it
// goes back.
func (w *RampWorkflow) watch(ctx context.Context, s *ramping) (p bot.Progress, done bool) {
	sees := ""
	if s.Ramp.Metric != "" {
		j := provider.Judgement{Metric: s.Ramp.Metric, Stand: provider.Unread, Why: "it has no metrics any more"}
		if w.judge != nil {
			judged, err := w.judge.Judge(ctx, s.Ramp.Base.Target, s.Ramp.Metric)
			if err != nil {
				j.Why = bot.Sentence(err, s.Task.Key)
			} else {
				j = judged
			}
		}
		sees = said(j)
		switch j.Stand {
		case provider.Within:
			s.Blind = 0
		case provider.Breached:
			s.Why = sees
			return p, true
		default:
			if s.Blind++; s.Blind >= blind {
				s.Why = sees
				return p, true
			}
		}
	}
	if w.clock.Now().Sub(s.Since) >= s.Ramp.Every && s.Blind == 0 {
		return p, true
	}
	p = bot.Progress{State: bot.OpBaking, Percent: s.percent(), Next: s.nap(), Text: s.Text}
	if s.Blind > 0 {
		p.Text += "; " + sees
	}
	return p, false
}

// leave ends the ramp with the flag as it is.
func (s *ramping) leave(why string) bot.Progress {
	return bot.Progress{State: bot.OpCancelled, Text: why}
}

func (s *ramping) reached(f provider.Flag) string {
	text := fmt.Sprintf("%s is %s in %s", f.Key, f.Reach(), f.Target.Environment)
	if s.Ramp.Metric != "" {
		text += fmt.Sprintf("; %s held for %s", s.Ramp.Metric, bot.Span(s.Ramp.Every))
	}
	return text
}

func (s *ramping) percent() *int {
	n := s.Step * 100 / len(s.Ramp.Steps)
	return &n
}

func (s *ramping) owners() []string {
	if o := s.Ramp.Base.Owner; o != "" {
		return []string{o}
	}
	return nil
}

func (s *ramping) nap() time.Duration {
	return min(max(s.Ramp.Every/4, lookLeast), lookEvery)
}
