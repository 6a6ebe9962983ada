package run

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"time"

	"quarterdeck/bot"
)

// decide asks the policy about the run's plan, checks the reason and the
// ticket, and notes the decision. Denials are Errors of kind Denied.
func (e *Engine) decide(r *bot.Run, who bot.Identity) error {
	d := e.Policy.Decide(e.request(r, who))
	r.Decision, r.Waived = d, bot.Needs{}
	if !d.Allowed {
		return Refusal(d)
	}
	if r.Call.BreakGlass != "" {
		return e.breakGlass(r, who)
	}
	if d.Needs.Reason && r.Call.Reason == "" {
		return bot.Errorf(bot.Denied, "%s needs a reason (%s); add --reason \"why\"", r.Plan.Summary, d.Require)
	}
	for _, ticket := range d.Needs.Ticket {
		re, err := regexp.Compile(ticket)
		if err != nil || !re.MatchString(r.Call.Reason) {
			return bot.Errorf(bot.Denied, "%s needs a ticket in its reason that matches %s (%s); add --reason \"TICKET why\"", r.Plan.Summary, ticket, d.Require)
		}
	}
	if askerShows(d.Needs) && !d.Needs.Confirm { // else it comes with the confirmation
		return shown(r.Call, r.Plan.Summary, r.Call.Line)
	}
	return nil
}

// request is the question whether who may do what the run's plan says, now.
func (e *Engine) request(r *bot.Run, who bot.Identity) bot.Request {
	return bot.Request{Who: who, Permission: r.Ask.Permission, Resources: r.Plan.Spec.Resources, Channel: r.Call.Channel, At: e.Clock.Now()}
}

// passObstacles lets an obstacle be passed by a holder of its permission who
// gave an override. A way back passes what stands against acting now, such as a
// freeze; that what it goes back to is marked bad stands against it as well.
func (e *Engine) passObstacles(r *bot.Run, who bot.Identity, obstacles []bot.Obstacle) error {
	for _, o := range obstacles {
		if (r.Plan.WayBack || r.Parent != 0 && r.Plan.Returning) && o.Permission != bot.MayOverrideBad {
			continue
		}
		if o.Permission == "" {
			return bot.Errorf(bot.Denied, "%s", o.Text+e.remedy(r, who, o))
		}
		if r.Call.Override == "" && r.Call.BreakGlass == "" {
			return bot.Errorf(bot.Denied, "%s", o.Text+e.passes(r, who, o))
		}
		d := e.mayOverride(r, who, o)
		if !d.Allowed && !(r.Call.BreakGlass != "" && breaks(o) && e.mayBreakGlass(r, who).Allowed) {
			return bot.Errorf(bot.Denied, "%s, and you may not override that: %s", o.Text, d.Because)
		}
	}
	return nil
}

// Refusal makes the error for a decision that says no.
func Refusal(d bot.Decision) *bot.Error {
	say := d.Because
	if d.Near != "" {
		say += "; " + d.Near
	}
	return &bot.Error{Op: d.Rule, Kind: bot.Denied, Say: say}
}

// wait puts the run into waiting for whoever it needs, with its deadline.
func (e *Engine) wait(r *bot.Run) {
	life := e.ApprovalExpires
	if r.Decision.Needs.Confirm && r.Confirmed.IsZero() {
		life = e.ConfirmExpires
	}
	r.State = bot.Waiting
	r.Expires = e.Clock.Now().Add(life)
	r.WakeAt = r.Expires
}

// missing says what the run still needs from people: "confirm", "approve" or
// "" for nothing. An asker confirms before anybody is asked to approve.
func missing(r *bot.Run) string {
	if r.Decision.Needs.Confirm && (r.Confirmed.IsZero() || askerShows(r.Decision.Needs) && !r.ConfirmFactor.Shown()) {
		return "confirm"
	}
	if len(unmet(r)) > 0 {
		return "approve"
	}
	return ""
}

// unmet gives the approval rules that the approvals so far do not meet. Which
// role an approver held was checked when the approval was taken, and is checked
// again when acting; here only people are counted.
func unmet(r *bot.Run) []bot.ApprovalRule {
	var open []bot.ApprovalRule
	for i, rule := range r.Decision.Needs.Approvals {
		if len(counted(r, i)) < rule.Count {
			open = append(open, rule)
		}
	}
	return open
}

// counted gives the approvals of the present digest that count towards rule i.
func counted(r *bot.Run, i int) []bot.Approval {
	var yes []bot.Approval
	for _, a := range r.Approvals {
		if a.Digest != r.Digest || r.Decision.Needs.StepUp && !a.Factor.Shown() {
			continue
		}
		for _, n := range a.Rules {
			if n == i {
				yes = append(yes, a)
			}
		}
	}
	return yes
}

// recheckRights asks afresh who asker and approvers are now and what they may.
// Approvals that no longer count are dropped, and a sentence says so; a denial
// of the asker is an Error.
func (e *Engine) recheckRights(ctx context.Context, r *bot.Run) (asker bot.Identity, say string, err error) {
	if asker, err = e.asker(ctx, r); err != nil {
		return asker, "", err
	}
	if err := e.decide(r, asker); err != nil {
		return asker, "", err
	}
	if err := e.passObstacles(r, asker, r.Plan.Obstacles); err != nil {
		return asker, "", err
	}
	var kept []bot.Approval
	var dropped, bare []string
	why := "the right to give it is gone"
	for _, a := range r.Approvals {
		if r.Decision.Needs.StepUp && !a.Factor.Shown() {
			bare = append(bare, a.Person)
			continue
		}
		who, err := e.Directory.Recall(ctx, a.Account)
		if len(who.Doubts) > 0 {
			why = who.Doubts[0].Say
		}
		if err != nil || who.Person != a.Person {
			dropped = append(dropped, a.Person)
			continue
		}
		a.Rules = e.approves(r, who)
		if len(a.Rules) == 0 {
			dropped = append(dropped, a.Person)
			continue
		}
		kept = append(kept, a)
	}
	r.Approvals = kept
	if len(bare) > 0 {
		say = fmt.Sprintf("the approval of %s came without a one-time code, which the rules ask for now", strings.Join(bare, " and "))
	}
	if len(dropped) > 0 {
		say = fmt.Sprintf("the approval of %s no longer counts: %s", strings.Join(dropped, " and "), why)
	}
	return asker, say, nil
}

// vouchedFor is how long it counts for a way back what a network vouched for when
// it was typed.
const vouchedFor = 2 * time.Minute

// asker gives who asked for the run, as the directory knows them now. A way back
// is not stuck behind a network that does not answer: who typed it a moment ago
// is then who they were to it at that moment.
func (e *Engine) asker(ctx context.Context, r *bot.Run) (bot.Identity, error) {
	who, err := e.Directory.Recall(ctx, r.Call.Who.Account)
	if age := e.Clock.Now().Sub(r.Call.At); err == nil && len(who.Doubts) > 0 && r.Plan.WayBack && age >= 0 && age < vouchedFor {
		who, err = e.Directory.Identify(ctx, r.Call.Who.Account, r.Call.Who.Standing)
	}
	if err == nil && who.Person != r.Call.Who.Person {
		err = bot.Errorf(bot.Denied, "%s no longer belongs to %s", r.Call.Who.Account, r.Call.Who.Person)
	}
	return who, err
}

// approves gives the indexes of the approval rules that who's yes counts
// towards. The asker's own never counts, whichever account it comes from.
func (e *Engine) approves(r *bot.Run, who bot.Identity) []int {
	if who.Person == "" || who.Person == r.Call.Who.Person || who.Account == r.Call.Who.Account {
		return nil
	}
	var rules []int
	for i, rule := range r.Decision.Needs.Approvals {
		if e.Policy.MayApprove(e.request(r, who), rule).Allowed {
			rules = append(rules, i)
		}
	}
	return rules
}
