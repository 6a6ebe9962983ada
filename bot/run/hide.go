package run

import (
	"slices"

	"quarterdeck/bot"
)

// hide takes secrets out of what a run says to people, before it is stored: what
// was typed with it, its plan's words, and what came of it. What it does is not
// touched, that is its Spec, its arguments, its handle and what its
// preconditions compare; the router lets no secret into those. Nothing is
// changed that other copies of r share.
func (e *Engine) hide(r *bot.Run) {
	all := func(list ...*string) {
		for _, s := range list {
			if *s != "" {
				*s = e.Recorder.Redact(*s)
			}
		}
	}
	c, p := &r.Call, &r.Plan
	all(&c.Line, &c.Reason, &c.Override, &c.BreakGlass, &r.Anew, &r.Result, &r.Decision.Because,
		&p.Summary, &p.Noop, &r.Progress.Text, &r.Progress.Check, &r.Progress.Link)
	if undo := e.Recorder.Redact(p.Undo); undo != p.Undo {
		p.Undo = "" // it would not take back what was done
	}
	p.Preview, p.Warnings, p.Obstacles, p.Preconditions = slices.Clone(p.Preview), slices.Clone(p.Warnings), slices.Clone(p.Obstacles), slices.Clone(p.Preconditions)
	for i := range p.Preview {
		all(&p.Preview[i].Value)
	}
	for i := range p.Warnings {
		all(&p.Warnings[i])
	}
	for i := range p.Obstacles {
		all(&p.Obstacles[i].Text)
	}
	for i := range p.Preconditions {
		all(&p.Preconditions[i].Text)
	}
}
