package run

import (
	"context"
	"fmt"
	"strings"

	"quarterdeck/bot"
	"quarterdeck/bot/store"
)

// Answer implements bot.Runs. When it returns nil the answer is recorded, the
// message is finished and the run's card goes to where the answer was given;
// when it returns an error nothing was written.
func (e *Engine) Answer(ctx context.Context, c bot.Call, a bot.Answer, number int64) (bot.Reply, error) {
	if a == bot.AnswerApprove || a == bot.AnswerReview {
		if err := e.askAfresh(ctx, &c); err != nil {
			return bot.Reply{}, err
		}
	}
	if number == 0 {
		var err error
		if number, err = e.theOne(ctx, c, a); err != nil {
			return bot.Reply{}, doubted(err, c.Who)
		}
	}
	err := e.modify(ctx, number, func(tx store.Tx, cur *current) error {
		r := &cur.run
		if !e.mayKnow(r, c) {
			return noRun(number)
		}
		rule, err := e.apply(r, c, a)
		if err != nil {
			return err
		}
		if err := e.lookedAt(tx, r, c, a); err != nil {
			return err
		}
		if done, err := tx.Finish(c.Message); err != nil {
			return err
		} else if !done {
			return ErrHandled
		}
		addPlace(r, bot.Place{Channel: c.Channel, Thread: c.Thread, ReplyTo: c.Message, Ends: a == bot.AnswerCancel || a == bot.AnswerDeny, Reviews: a == bot.AnswerReview})
		rec := by(c, bot.Record{Kind: bot.Approved, Request: c.ID, Message: c.Message, Rule: rule,
			Detail: map[string]string{"answer": string(a)}, Text: map[string]string{}})
		if c.Reason != "" {
			rec.Text["reason"] = c.Reason
		}
		if c.Factor != bot.NoFactor {
			rec.Detail[detailFactor] = string(c.Factor)
		}
		switch {
		case a == bot.AnswerReview:
			rec.Kind = bot.ReviewedKind
			if err := closeReview(tx, r.Number); err != nil {
				return err
			}
		case a == bot.AnswerConfirm:
			rec.Kind = bot.ConfirmedKind
		case a == bot.AnswerDeny:
			rec.Kind = bot.DeniedRecord
			r.Result = "denied by " + c.Who.Name()
			if c.Reason != "" {
				r.Result += ": " + c.Reason
			}
			deny(r)
			return e.settle(tx, cur, bot.Cancelled, rec, nil)
		case a == bot.AnswerCancel && r.State != bot.Cancelling:
			rec.Kind = bot.CancelledKind
			r.Result = "cancelled by " + c.Who.Name() + " before it began"
			if r.Parent != 0 {
				r.Result = fmt.Sprintf("cancelled by %s: what #%d did stays", c.Who.Name(), r.Parent)
			}
			return e.settle(tx, cur, bot.Cancelled, rec, nil)
		case a == bot.AnswerCancel:
			rec.Kind = bot.Step
		}
		if err := e.record(tx, r, rec); err != nil {
			return err
		}
		if err := e.show(tx, r); err != nil {
			return err
		}
		return e.put(tx, cur)
	})
	return bot.Reply{}, doubted(err, c.Who)
}

// askAfresh replaces who gives an answer that counts for something by who they
// are now: what their network and its groups said minutes ago does not do.
func (e *Engine) askAfresh(ctx context.Context, c *bot.Call) error {
	now, err := e.Directory.Recall(ctx, c.Who.Account)
	if err != nil {
		return err
	}
	if now.Person != c.Who.Person {
		return bot.Errorf(bot.Denied, "%s no longer belongs to %s", c.Who.Account, c.Who.Person)
	}
	if d := e.Policy.Decide(bot.Request{Who: now, Permission: bot.MayAskSelf, Resources: []bot.Resource{bot.TheBot}, Channel: c.Channel, At: c.At}); !d.Allowed {
		return Refusal(d)
	}
	c.Who = now
	return nil
}

// doubted has it said to whoever is told that there is no such run that their
// roles are not known, which may be why.
func doubted(err error, who bot.Identity) error {
	if bot.KindOf(err) != bot.NotFound || len(who.Doubts) == 0 {
		return err
	}
	return bot.Errorf(bot.Denied, "%s; %s", bot.Sentence(err, ""), who.Doubts[0].Say)
}

// mayKnow reports whether the run's being there may be told to c's asker: it is
// theirs, or they may see, stop or approve it, or ask for the same. Who may not is answered as if
// there were no such run.
func (e *Engine) mayKnow(r *bot.Run, c bot.Call) bool {
	if c.Who.Person == r.Call.Who.Person || len(e.approves(r, c.Who)) > 0 || r.Broke && e.mayReview(r, c.Who).Allowed {
		return true
	}
	for _, p := range []bot.Permission{bot.MaySeeRuns, bot.MayCancelRun, r.Ask.Permission} {
		if e.Policy.Decide(bot.Request{Who: c.Who, Permission: p, Resources: r.Ask.Resources, Channel: c.Channel, At: e.Clock.Now()}).Allowed {
			return true
		}
	}
	return false
}

func noRun(number int64) *bot.Error {
	return bot.Errorf(bot.NotFound, "there is no run #%d; type runs to see which there are", number)
}

// apply checks that c's asker may give the answer now, changes the run, and
// gives the rule that permits the answer.
func (e *Engine) apply(r *bot.Run, c bot.Call, a bot.Answer) (rule string, err error) {
	now := e.Clock.Now()
	if c.Bound != "" && c.Bound != r.Digest {
		return "", bot.Errorf(bot.Conflict, "#%d was planned anew since that button was shown; look at its card again", r.Number)
	}
	if a == bot.AnswerReview {
		return e.review(r, c)
	}
	if r.State.Settled() {
		return "", bot.Errorf(bot.Conflict, "#%d is over: %s", r.Number, r.State)
	}
	if r.State == bot.Waiting && !now.Before(r.Expires) {
		return "", bot.Errorf(bot.Conflict, "#%d expired at %s; ask again if it is still wanted", r.Number, r.Expires.Format("15:04:05 MST"))
	}
	own := c.Who.Person == r.Call.Who.Person
	switch a {
	case bot.AnswerConfirm:
		if !own {
			return "", bot.Errorf(bot.Denied, "only %s can confirm #%d", r.Call.Who.Person, r.Number)
		}
		if r.State != bot.Waiting || missing(r) != "confirm" {
			return "", bot.Errorf(bot.Conflict, "#%d does not wait for a confirmation; it is %s", r.Number, standing(r))
		}
		if askerShows(r.Decision.Needs) {
			if err := shown(c, fmt.Sprintf("confirming #%d", r.Number), fmt.Sprintf("confirm %d", r.Number)); err != nil {
				return "", err
			}
		}
		r.Confirmed, r.ConfirmFactor = now, c.Factor
		if missing(r) != "" {
			e.wait(r) // the approvers' time begins
		}
	case bot.AnswerApprove:
		if own {
			return "", bot.Errorf(bot.Denied, "you asked for #%d yourself; another person must approve it", r.Number)
		}
		if r.State == bot.Waiting && missing(r) == "confirm" {
			return "", bot.Errorf(bot.Conflict, "%s has not confirmed #%d yet", r.Call.Who.Person, r.Number)
		}
		for _, yes := range r.Approvals {
			if yes.Person == c.Who.Person && yes.Digest == r.Digest {
				return "", bot.Errorf(bot.Conflict, "you approved #%d already; it is %s", r.Number, standing(r))
			}
		}
		if r.State != bot.Waiting {
			return "", bot.Errorf(bot.Conflict, "#%d does not wait for an approval; it is %s", r.Number, standing(r))
		}
		rules := e.approves(r, c.Who)
		if len(rules) == 0 {
			return "", bot.Errorf(bot.Denied, "your approval does not count for #%d: %s", r.Number, e.whyNot(r, c.Who))
		}
		if r.Decision.Needs.StepUp {
			if err := shown(c, fmt.Sprintf("approving #%d", r.Number), fmt.Sprintf("approve %d", r.Number)); err != nil {
				return "", err
			}
		}
		r.Approvals = append(r.Approvals, bot.Approval{Account: c.Who.Account, Person: c.Who.Person, Digest: r.Digest, Rules: rules, At: now, Factor: c.Factor})
	case bot.AnswerDeny:
		if r.State != bot.Waiting {
			return "", bot.Errorf(bot.Conflict, "#%d waits for nobody; it is %s; cancel %d stops it", r.Number, standing(r), r.Number)
		}
		if !own && len(e.approves(r, c.Who)) == 0 {
			return "", bot.Errorf(bot.Denied, "you may not deny #%d: %s", r.Number, e.whyNot(r, c.Who))
		}
		return r.Decision.Require, nil
	case bot.AnswerCancel:
		d := e.mayCancel(r, c, own)
		if !d.Allowed {
			return "", bot.Errorf(bot.Denied, "#%d is %s's: %s", r.Number, r.Call.Who.Person, d.Because)
		}
		switch r.State {
		case bot.Running:
			e.stop(r, c.Who)
		case bot.Cancelling:
			return "", bot.Errorf(bot.Conflict, "#%d is being cancelled already, by %s", r.Number, r.CancelBy)
		}
		return d.Rule, nil
	default:
		return "", bot.Errorf(bot.Internal, "unknown answer %q", a)
	}
	if missing(r) == "" {
		r.State, r.WakeAt = bot.Queued, now
	}
	return r.Decision.Require, nil
}

// stop has the provider asked to stop a run that is under way, for who. A call
// whose answer is not known keeps its time: what it may have done must be
// visible before anybody looks, and before anything is stopped.
func (e *Engine) stop(r *bot.Run, who bot.Identity) {
	r.State, r.CancelBy, r.CancelAt = bot.Cancelling, who.Name(), e.Clock.Now()
	if !r.InCall {
		r.WakeAt = e.Clock.Now()
	}
}

// mayCancel says whether c's asker may cancel the run: their own by the right
// to start it, and in any case while it has not begun; another's by a right of
// its own.
func (e *Engine) mayCancel(r *bot.Run, c bot.Call, own bool) bot.Decision {
	ask := func(p bot.Permission) bot.Decision {
		return e.Policy.Decide(bot.Request{Who: c.Who, Permission: p, Resources: r.Ask.Resources, Channel: c.Channel, At: e.Clock.Now()})
	}
	if own {
		if r.State != bot.Running {
			return bot.Decision{Allowed: true, Rule: "the asker", Because: "it is the asker's own and has not begun"}
		}
		if d := ask(r.Ask.Permission); d.Allowed {
			return d
		}
	}
	return ask(bot.MayCancelRun)
}

// whyNot says why an approval does not count, by the policy's own words.
func (e *Engine) whyNot(r *bot.Run, who bot.Identity) string {
	for _, rule := range r.Decision.Needs.Approvals {
		d := e.Policy.MayApprove(e.request(r, who), rule)
		if !d.Allowed {
			if len(who.Doubts) > 0 {
				return d.Because + "; " + who.Doubts[0].Say
			}
			return d.Because
		}
	}
	return "it needs nobody's approval"
}

// theOne finds the one run that waits for this answer of this person.
func (e *Engine) theOne(ctx context.Context, c bot.Call, a bot.Answer) (int64, error) {
	runs, err := e.Runs(ctx, bot.RunFilter{Open: a != bot.AnswerReview, ToReview: a == bot.AnswerReview, Limit: maxQueue})
	if err != nil {
		return 0, err
	}
	var fit, own []string
	var number int64
	for i := range runs {
		r := &runs[i]
		mine := r.Call.Who.Person == c.Who.Person
		ok := false
		switch a {
		case bot.AnswerConfirm:
			ok = mine && r.State == bot.Waiting && missing(r) == "confirm"
		case bot.AnswerApprove:
			ok = !mine && r.State == bot.Waiting && missing(r) == "approve" && len(e.approves(r, c.Who)) > 0
		case bot.AnswerDeny:
			ok = r.State == bot.Waiting && (mine || len(e.approves(r, c.Who)) > 0)
		case bot.AnswerCancel:
			ok = mine && !r.Pending() // one that comes by itself is ended by its number alone
		case bot.AnswerReview:
			ok = r.State.Settled() && e.mayReview(r, c.Who).Allowed
		}
		if ok {
			number = r.Number
			fit = append(fit, fmt.Sprintf("#%d %s", r.Number, r.Plan.Summary))
		} else if mine && (r.State == bot.Waiting || a == bot.AnswerReview) {
			own = append(own, fmt.Sprintf("#%d", r.Number))
		}
	}
	switch {
	case len(fit) == 1:
		return number, nil
	case len(fit) > 1:
		return 0, bot.Errorf(bot.Invalid, "several runs wait for that; say which: %s", strings.Join(fit, ", "))
	case a == bot.AnswerApprove && len(own) == 1:
		return 0, bot.Errorf(bot.Denied, "you asked for %s yourself; another person must approve it", own[0])
	case a == bot.AnswerReview && len(own) > 0:
		return 0, bot.Errorf(bot.Denied, "you broke the glass in %s yourself; another person must review it", strings.Join(own, ", "))
	case a == bot.AnswerReview:
		return 0, bot.Errorf(bot.NotFound, "nothing waits for your review")
	case a == bot.AnswerCancel:
		return 0, bot.Errorf(bot.NotFound, "you have no run under way")
	}
	return 0, bot.Errorf(bot.NotFound, "no run waits for you to %s it", a)
}

// addPlace notes where the run's card is shown too; a place that is there
// already only answers the newer message.
func addPlace(r *bot.Run, p bot.Place) {
	for i := range r.Places {
		if r.Places[i].Channel == p.Channel && r.Places[i].Thread == p.Thread {
			r.Places[i].ReplyTo, r.Places[i].Ends, r.Places[i].Reviews = p.ReplyTo, p.Ends, p.Reviews
			return
		}
	}
	r.Places = append(r.Places, p)
}
