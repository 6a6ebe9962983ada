package run

import (
	"context"
	"fmt"
	"slices"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/store"
)

// stated gives the sequels that a run's Spec states.
func stated(wf bot.Workflow, s bot.Spec) (list []bot.Sequel, err error) {
	f, ok := wf.(bot.Follower)
	if !ok {
		return nil, nil
	}
	err = guarded(s.Kind+".sequels", func() (err error) {
		list, err = f.Sequels(s)
		return err
	})
	return list, err
}

// responses gives what comes by itself after r, which failed.
func responses(wf bot.Workflow, r *bot.Run) (list []bot.Sequel, err error) {
	a, ok := wf.(bot.Responder)
	if !ok {
		return nil, nil
	}
	err = guarded(r.Plan.Spec.Kind+".responses", func() (err error) {
		list, err = a.Responses(*r)
		return err
	})
	return list, err
}

// expecting makes the runs that come after r, which ends at a time, and has
// r's result tell of them. They are written by follow, once r has ended.
func (e *Engine) expecting(tx store.Tx, r *bot.Run, list []bot.Sequel, at time.Time) ([]*current, error) {
	children := make([]*current, 0, len(list))
	for _, s := range list {
		number, err := tx.NextRun()
		if err != nil {
			return nil, err
		}
		call := r.Call
		call.Message, call.Bound, call.Line, call.Override, call.BreakGlass = "", "", s.Line, "", ""
		ask := r.Ask
		if s.Verb != "" {
			call.Command, ask.Permission = s.Verb, s.Permission
		}
		child := bot.Run{
			Number: number, Parent: r.Number, State: bot.Queued, Call: call, Ask: ask,
			Plan: s.Plan, Digest: s.Plan.Spec.Digest(), Created: at, NotBefore: at.Add(s.After), WakeAt: at.Add(s.After),
			// Who agreed to the parent agreed to this.
			Decision: bot.Decision{Allowed: true, Rule: r.Decision.Rule, Require: r.Decision.Require},
		}
		for _, p := range r.Places {
			child.Places = append(child.Places, bot.Place{Channel: p.Channel, Thread: p.Thread})
		}
		children = append(children, &current{run: child})
		if s.After == 0 {
			tell(r, fmt.Sprintf("#%d follows by itself: %s", number, s.Plan.Summary))
			continue
		}
		tell(r, fmt.Sprintf("at %s #%d will %s", bot.Moment(child.NotBefore), number, s.Plan.Summary))
	}
	return children, nil
}

// follow writes the sequels of r, which ended, in the same commit.
func (e *Engine) follow(tx store.Tx, r *bot.Run, children []*current) error {
	for _, c := range children {
		child := &c.run
		rec := bot.Record{Kind: bot.Requested, Text: map[string]string{"line": child.Call.Line, "summary": child.Plan.Summary},
			Detail: map[string]string{"parent": fmt.Sprint(r.Number), "not_before": child.NotBefore.Format(time.RFC3339Nano)}}
		if err := e.record(tx, child, rec); err != nil {
			return err
		}
		if err := e.show(tx, child); err != nil {
			return err
		}
		if err := e.put(tx, c); err != nil {
			return err
		}
	}
	return nil
}

// outdated gives the sequels of earlier runs that wait to set what r sets.
func (e *Engine) outdated(tx store.Tx, r *bot.Run) ([]*current, error) {
	subjects := subjectsOf(r)
	if len(subjects) == 0 {
		return nil, nil
	}
	rows, err := tx.Runs(bot.RunFilter{Target: r.Ask.Target, State: bot.Queued, Limit: maxQueue})
	if err != nil {
		return nil, err
	}
	var old []*current
	for _, row := range rows {
		c, err := e.another(row)
		if err != nil {
			return nil, err
		}
		if c.run.Pending() && slices.Contains(subjects, c.run.Plan.Subject) && row.Number != r.Number && !row.Holds {
			old = append(old, c)
		}
	}
	return old, nil
}

// subjectsOf names the values that a run sets.
func subjectsOf(r *bot.Run) []string {
	if r.Plan.Subject == "" {
		return r.Plan.Subjects
	}
	return append(slices.Clip(r.Plan.Subjects), r.Plan.Subject)
}

// supersede ends the sequels that r, which has ended with success, has taken the
// sense of. Those of its own are not written yet.
func (e *Engine) supersede(tx store.Tx, r *bot.Run) error {
	old, err := e.outdated(tx, r) // anew: the end of r has woken them
	if err != nil {
		return err
	}
	for _, c := range old {
		c.run.Replaced = r.Number
		c.run.Result = fmt.Sprintf("superseded by #%d, %s", r.Number, r.Plan.Summary)
		rec := by(r.Call, bot.Record{Kind: bot.CancelledKind, Detail: map[string]string{"by": fmt.Sprintf("run #%d", r.Number)}})
		if err := e.finish(tx, c, bot.Cancelled, rec, nil); err != nil {
			return err
		}
	}
	return nil
}

// tell adds a sentence to what the run ends with.
func tell(r *bot.Run, more string) {
	if r.Result != "" {
		r.Result += "; "
	}
	r.Result += more
}

// remind says at the end of a run without success what will not happen by
// itself although it was announced.
func remind(r *bot.Run, wf bot.Workflow, state bot.RunState) {
	if list, err := stated(wf, r.Plan.Spec); err == nil && len(list) > 0 && (state == bot.Unknown || r.Progress.State == bot.OpPartlyDone) {
		tell(r, "nothing comes back by itself")
	}
	if state != bot.Cancelled {
		missed(r)
	}
}

// missed says, at the end of a return that did not take place, what to type.
func missed(r *bot.Run) {
	if r.Parent != 0 && r.Plan.Returning {
		tell(r, "it is not tried again by itself; to return: "+r.Call.Line)
	}
}

// verifySequel is verify for a sequel. What it rests on is what its parent's
// plan stated, so nobody is asked anew: where that does not hold any more, it
// ends with nothing done.
//
// A way back is never stuck, and a return is one: it was agreed to with what it
// takes back, when the asker's right to both was judged. So it also takes place
// when its asker has since lost that right or was disabled, when a rule came that
// denies it, and past a lock of somebody else, a freeze and a halt. It pre-empts
// nobody, any person with the right to may cancel it before its time, and
// whatever it passes is told on its card and recorded as an override. What only
// watches needs no right either. Any other sequel needs the right anew.
func (e *Engine) verifySequel(ctx context.Context, c *current, wf bot.Workflow) error {
	r := &c.run
	if !r.Plan.Returning && !r.Plan.Watches {
		asker, err := e.asker(ctx, r)
		if err != nil {
			return e.refuse(ctx, c, err)
		}
		if d := e.Policy.Decide(e.request(r, asker)); !d.Allowed {
			return e.refuse(ctx, c, Refusal(d))
		}
	} else if against := e.lostRight(ctx, r); against != nil && r.Plan.Returning {
		r.Plan.Obstacles = append(slices.Clip(r.Plan.Obstacles), c.found(r.Plan.Obstacles, against)...)
	}
	err := guarded(r.Plan.Spec.Kind+".check", func() error {
		_, err := wf.Check(ctx, r.Plan.Spec, r.Plan.Preconditions)
		return err
	})
	switch bot.KindOf(err) {
	case bot.Conflict, bot.Invalid, bot.NotFound:
		if err == nil {
			break
		}
		r.Result = "not done: " + bot.Sentence(err, r.Call.ID)
		return e.drop(ctx, c)
	case bot.Unavailable, bot.Timeout, bot.Busy:
		if r.Silent.IsZero() || e.Clock.Now().Sub(r.Silent) < e.Patience {
			return e.lookLater(ctx, c, err)
		}
	}
	if err != nil {
		return e.refuse(ctx, c, err)
	}
	return e.intend(ctx, c, wf, r.Call.Who)
}

// lostRight says why its asker could not ask for r any more; nil when they could,
// or when who they are cannot be found out just now.
func (e *Engine) lostRight(ctx context.Context, r *bot.Run) []bot.Obstacle {
	asker, err := e.asker(ctx, r)
	if bot.KindOf(err) == bot.Denied {
		return []bot.Obstacle{{Permission: r.Ask.Permission, Text: bot.Sentence(err, r.Call.ID)}}
	}
	if err != nil {
		return nil
	}
	if d := e.Policy.Decide(e.request(r, asker)); !d.Allowed {
		return []bot.Obstacle{{Permission: r.Ask.Permission, Text: d.Because}}
	}
	return nil
}

// lookLater gives the slot back and looks again after a while: the other side did
// not say how things stand.
func (e *Engine) lookLater(ctx context.Context, c *current, why error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTimeout)
	defer cancel()
	return e.update(ctx, c, func(tx store.Tx, c *current) error {
		r, now := &c.run, e.Clock.Now()
		if r.Silent.IsZero() {
			r.Silent = now
		}
		r.WakeAt = now.Add(queueRecheck)
		r.Progress.Text = bot.Sentence(why, r.Call.ID) + "; trying again"
		c.row.Holds, c.row.Owner, c.row.Lease = false, "", time.Time{}
		if err := e.show(tx, r); err != nil {
			return err
		}
		return e.put(tx, c)
	})
}

// descent checks within tx, before a sequel's intent is committed, that its
// parent's Spec states it, and that the parent was asked for, agreed to, ended
// so that it comes, and was followed by it, as the log tells.
func (e *Engine) descent(tx store.Tx, c *current, asked []bot.Record) error {
	r := &c.run
	row, found, err := tx.Run(r.Parent)
	if err != nil {
		return err
	}
	if !found {
		return forged(r, "#%d, which it follows, is not there", r.Parent)
	}
	parent, err := e.another(row)
	if err != nil {
		return forged(r, "#%d, which it follows, cannot be trusted: %v", r.Parent, err)
	}
	p := &parent.run
	records, err := recordsOf(tx, p)
	if err != nil {
		return err
	}
	if err := e.agreed(p, records, false); err != nil {
		return err
	}
	end, word := bot.SucceededKind, "succeeded"
	if p.State == bot.Failed {
		end, word = bot.FailedKind, "failed"
	}
	var started, ended time.Time
	for _, rec := range records {
		switch {
		case rec.Spec != p.Digest:
		case rec.Kind == bot.Started:
			started = rec.At
		case rec.Kind == end:
			ended = rec.At
		}
	}
	if p.State != bot.Succeeded && p.State != bot.Failed || started.IsZero() || ended.IsZero() {
		return forged(r, "no record says that #%d, which it follows, %s", r.Parent, word)
	}
	told := ""
	for _, rec := range asked {
		if rec.Kind == bot.Requested && rec.Detail["parent"] == fmt.Sprint(p.Number) {
			told = rec.Detail["not_before"]
		}
	}
	if told != r.NotBefore.Format(time.RFC3339Nano) {
		return forged(r, "no record says that #%d is followed by it at that time", r.Parent)
	}
	wf, ok := e.Workflows(p.Plan.Spec.Kind)
	if !ok {
		return bot.Errorf(bot.Internal, "this version does not know %s", p.Plan.Spec.Kind)
	}
	list, err := stated(wf, p.Plan.Spec)
	if p.State == bot.Failed {
		list, err = responses(wf, p)
	}
	if err != nil {
		return err
	}
	for _, s := range list {
		if s.Plan.Spec.Digest() == r.Digest && !r.NotBefore.Before(started.Add(s.After)) {
			return nil
		}
	}
	return forged(r, "it is not what #%d stated", r.Parent)
}
