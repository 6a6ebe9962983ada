package flag

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/provider"
)

// Kind is the workflow of all Specs whose body is Changes.
const Kind = "flag@1"

// FactRevision begins the name of the precondition that a flag is as it was when
// the change was planned; the environment and the flag's name follow.
const FactRevision = "revision "

// Changes is the body of the Specs: what is done to one flag, in one environment or
// in several.
type Changes struct {
	Changes []provider.FlagChange `json:"changes"`
}

// Slot gives the slot that runs changing one flag share.
func Slot(t bot.Target, key string) string { return t.String() + " flag " + key }

// Subject names the value that a change sets.
func Subject(t bot.Target, key string) string { return Slot(t, key) }

// Facts gives the precondition of a change: that nobody else changed the flag.
func Facts(c *provider.Catalog, f provider.FlagChange) []bot.Fact {
	if f.To == nil {
		return nil // a kill is meant whatever there is
	}
	facts := []bot.Fact{{Name: FactRevision + provider.FlagID(f.Target.Environment, f.Key), Want: f.From, Text: fmt.Sprintf("%s in %s is as it was", f.Key, f.Target.Environment)}}
	if digest := c.Digest(f.Target); digest != "" {
		facts = append(facts, bot.Fact{Name: provider.FactBinding, Want: digest, Text: "the configuration of " + f.Target.String()})
	}
	return facts
}

// Meanwhile is the Error for a flag that is no longer as it was.
func Meanwhile(now provider.Flag) *bot.Error {
	say := fmt.Sprintf("%s in %s was changed meanwhile", now.Key, now.Target.Environment)
	if m := now.Changed; m.Person != "" {
		say += fmt.Sprintf(" by %s: %s", m.Person, m.Text)
	}
	return bot.Errorf(bot.Conflict, "%s", say)
}

// Unchanged gives nil when a flag has the revision that facts want, and otherwise
// an Error of kind Conflict that says who changed what.
func Unchanged(ctx context.Context, c *provider.Catalog, t bot.Target, key, want string) (provider.Flag, error) {
	flagger, err := c.Flagger(t)
	if err != nil {
		return provider.Flag{}, err
	}
	f, err := flagger.Get(ctx, key)
	switch {
	case bot.KindOf(err) == bot.NotFound && want == provider.NoFlag:
		return f, nil
	case bot.KindOf(err) == bot.NotFound:
		return f, bot.Errorf(bot.Conflict, "%s in %s was taken out of use meanwhile", key, t.Environment)
	case err != nil:
		return f, err
	case f.Revision != want:
		return f, Meanwhile(f)
	}
	return f, nil
}

// Workflow executes Changes, one after the other. It implements bot.Workflow; safe
// for concurrent use. What cannot be reached keeps the others waiting for nothing:
// it is tried again when they are through.
type Workflow struct {
	catalog *provider.Catalog
}

// NewWorkflow makes the Workflow.
func NewWorkflow(c *provider.Catalog) *Workflow { return &Workflow{c} }

// Kind implements bot.Workflow.
func (w *Workflow) Kind() string { return Kind }

// part is how one change stands.
type part struct {
	Change provider.FlagChange `json:"change"`
	Handle *bot.Handle         `json:"handle,omitempty"` // nil before it began
	Unsure bool                `json:"unsure,omitempty"` // its last call may have happened
	Done   bool                `json:"done,omitempty"`
	Fault  string              `json:"fault,omitempty"` // why it will not be done
	Text   string              `json:"text,omitempty"`
}

// state is what a Handle carries.
type state struct {
	Parts     []part   `json:"parts"`
	Task      bot.Task `json:"task"`
	Cancelled bool     `json:"cancelled,omitempty"`
}

func pack(h bot.Handle, s any) (bot.Handle, error) {
	raw, err := json.Marshal(s)
	h.State = raw
	return h, err
}

// Check implements bot.Workflow: nobody changed the flags meanwhile.
func (w *Workflow) Check(ctx context.Context, s bot.Spec, facts []bot.Fact) ([]bot.Obstacle, error) {
	var body Changes
	if err := json.Unmarshal(s.Body, &body); err != nil {
		return nil, fmt.Errorf("decode %s: %w", s.Kind, err)
	}
	for _, c := range body.Changes {
		if c.To == nil {
			continue
		}
		if err := checkFacts(ctx, w.catalog, c, facts); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

func checkFacts(ctx context.Context, catalog *provider.Catalog, c provider.FlagChange, facts []bot.Fact) error {
	for _, f := range facts {
		switch {
		case f.Name == provider.FactBinding:
			if catalog.Digest(c.Target) != f.Want {
				return bot.Errorf(bot.Conflict, "the configuration of %s was changed meanwhile", c.Target)
			}
		case f.Name == FactRevision+provider.FlagID(c.Target.Environment, c.Key):
			if _, err := Unchanged(ctx, catalog, c.Target, c.Key, f.Want); err != nil {
				return err
			}
		case strings.HasPrefix(f.Name, FactRevision): // of another part
		default:
			return bot.Errorf(bot.Internal, "this version does not know the precondition %q", f.Name)
		}
	}
	return nil
}

// Begin implements bot.Workflow.
func (w *Workflow) Begin(s bot.Spec, t bot.Task) (bot.Handle, error) {
	var body Changes
	if err := json.Unmarshal(s.Body, &body); err != nil {
		return bot.Handle{}, fmt.Errorf("decode %s: %w", s.Kind, err)
	}
	st := state{Task: t}
	for _, c := range body.Changes {
		if _, err := w.catalog.Flagger(c.Target); err != nil {
			return bot.Handle{}, err
		}
		st.Parts = append(st.Parts, part{Change: c})
	}
	return pack(bot.Handle{Key: t.Key, Target: s.Target}, st)
}

// Cancel implements bot.Workflow: what was not begun is not done.
func (w *Workflow) Cancel(_ context.Context, h bot.Handle) (bot.Handle, error) {
	var s state
	if err := json.Unmarshal(h.State, &s); err != nil {
		return h, fmt.Errorf("decode handle: %w", err)
	}
	s.Cancelled = true
	return pack(h, s)
}

// Advance implements bot.Workflow with one call for one of the changes.
func (w *Workflow) Advance(ctx context.Context, h bot.Handle) (bot.Handle, bot.Progress, error) {
	var s state
	if err := json.Unmarshal(h.State, &s); err != nil {
		return h, bot.Progress{}, fmt.Errorf("decode handle: %w", err)
	}
	i := s.next()
	if i < 0 {
		return w.end(h, s, nil)
	}
	p := &s.Parts[i]
	if s.Cancelled && p.Handle == nil {
		p.Fault = "cancelled"
		return w.end(h, s, nil)
	}
	flagger, err := w.catalog.Flagger(p.Change.Target)
	if err != nil {
		return h, bot.Progress{}, err
	}
	if p.Handle == nil {
		task := s.Task
		task.Key += "/" + p.Change.Target.Environment
		inner, err := flagger.Begin(p.Change, task)
		if err != nil {
			p.Fault = bot.Sentence(err, task.Key)
			return w.end(h, s, nil)
		}
		p.Handle = &inner
	}
	p.Handle.Interrupted = h.Interrupted || p.Unsure
	inner, progress, err := flagger.Advance(ctx, *p.Handle)
	kind := bot.KindOf(err)
	if err != nil && (kind == bot.Unavailable || kind == bot.Timeout || kind == bot.Busy) && s.open() > 1 {
		p.Unsure, p.Text = true, bot.Sentence(err, h.Key)
		s.Parts = append(append(s.Parts[:i:i], s.Parts[i+1:]...), *p) // the others first
		h, err := pack(h, s)
		return h, bot.Progress{State: bot.OpWorking, Parts: s.told(), Next: time.Millisecond}, err
	}
	if err != nil {
		return h, bot.Progress{}, err
	}
	inner.Interrupted = false
	p.Handle, p.Unsure, p.Text = &inner, false, progress.Text
	if !progress.State.Settled() {
		progress.Parts = s.told()
		h, err := pack(h, s)
		return h, progress, err
	}
	switch progress.State {
	case bot.OpSucceeded:
		p.Done = true
	case bot.OpUnknown:
		return h, progress, nil
	default:
		p.Fault = progress.Text
	}
	return w.end(h, s, progress.Documents)
}

// next gives the first change that is not at its end, -1 for none.
func (s *state) next() int {
	for i, p := range s.Parts {
		if !p.Done && p.Fault == "" {
			return i
		}
	}
	return -1
}

func (s *state) open() (n int) {
	for _, p := range s.Parts {
		if !p.Done && p.Fault == "" {
			n++
		}
	}
	return n
}

// told says how each change stands, where there are several.
func (s *state) told() []bot.ProgressPart {
	if len(s.Parts) < 2 {
		return nil
	}
	var all []bot.ProgressPart
	for _, p := range s.Parts {
		text := "waits"
		switch {
		case p.Done:
			text = "done"
		case p.Fault != "":
			text = "failed: " + p.Fault
		case p.Text != "":
			text = p.Text
		}
		all = append(all, bot.ProgressPart{Name: p.Change.Target.Environment, Text: text})
	}
	return all
}

// end says how all of it stands after one change came to its end.
func (w *Workflow) end(h bot.Handle, s state, docs []bot.Document) (bot.Handle, bot.Progress, error) {
	p := bot.Progress{State: bot.OpWorking, Parts: s.told(), Documents: docs, Next: time.Millisecond}
	var did, not []string
	for _, part := range s.Parts {
		if part.Done {
			did = append(did, part.Text)
		}
		if part.Fault != "" {
			not = append(not, part.Fault)
		}
	}
	p.Text = strings.Join(did, "; ")
	if s.next() < 0 {
		switch {
		case len(not) == 0:
			p.State = bot.OpSucceeded
		case s.Cancelled && len(did) == 0:
			p.State, p.Text = bot.OpCancelled, "nothing was changed"
		case len(did) == 0:
			p.State, p.Text = bot.OpFailed, strings.Join(not, "; ")
		default:
			p.State, p.Text = bot.OpPartlyDone, strings.Join(append(did, not...), "; ")
		}
	}
	h, err := pack(h, s)
	return h, p, err
}
