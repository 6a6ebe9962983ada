package bot

import (
	"context"
	"time"
)

// Request is one question to the policy: may this identity use this permission
// on these resources, from this channel, at this time?
type Request struct {
	Who        Identity
	Permission Permission
	Resources  []Resource
	Channel    ChannelID
	At         time.Time
}

// ApprovalRule asks for Count approvals by different people who hold one of the
// roles in From; with From empty, by holders of MayApproveRun.
type ApprovalRule struct {
	Count int      `json:"count" toml:"count"`
	From  []string `json:"from,omitempty" toml:"from"`
}

// Needs is what must happen before a permitted action runs. Every approval
// rule must be met, so that the strictest of several requirements wins.
type Needs struct {
	Confirm   bool           `json:"confirm,omitempty"`
	Approvals []ApprovalRule `json:"approvals,omitempty"`
	Reason    bool           `json:"reason,omitempty"`
	Ticket    []string       `json:"ticket,omitempty"` // regular expressions the reason must match, every one
	// StepUp asks for a second factor, shown with the very message that lets the
	// action run: each approval that counts, or what its asker says where nobody
	// else is asked. Break-glass does not do without it.
	StepUp bool `json:"step_up,omitempty"`
}

// None reports whether nothing is needed.
func (n Needs) None() bool {
	return !n.Confirm && len(n.Approvals) == 0 && !n.Reason && len(n.Ticket) == 0 && !n.StepUp
}

// Decision is the answer: may, may not, or may once Needs are met; with the
// rule that decided and, for a refusal, what came nearest.
type Decision struct {
	Allowed bool   `json:"allowed"`
	Needs   Needs  `json:"needs,omitzero"`
	Rule    string `json:"rule"`              // "grant 3 (config.toml:41)", "deny 1 (config.toml:77)", "no grant"
	Because string `json:"because"`           // one sentence for the person
	Near    string `json:"near,omitempty"`    // what would have changed the answer, when that may be told
	Require string `json:"require,omitempty"` // the [[require]] rules that set Needs
}

// Policy answers requests. It is pure: the same request and rules give the
// same answer, it does no I/O and is safe for concurrent use.
type Policy interface {
	// Decide answers for the asker of an action.
	Decide(r Request) Decision
	// MayApprove answers whether r.Who counts towards rule for an action
	// described by r, whose Permission and Resources are those of the action.
	MayApprove(r Request, rule ApprovalRule) Decision
}

// Directory knows which person owns an account and what roles that person
// holds now. Identify must not fail open: what it cannot find out it leaves
// out, and it returns an error only when nothing can be said.
type Directory interface {
	Identify(ctx context.Context, account AccountID, standing Standing) (Identity, error)
	// Recall gives the identity afresh for a person who acted through account
	// earlier; used to check rights again at the moment of acting.
	Recall(ctx context.Context, account AccountID) (Identity, error)
}

// Permitted gives the targets for which the caller holds the permission now,
// without further needs. Commands over many targets show only these.
func Permitted(p Policy, c Call, permission Permission, targets []Target) []Target {
	var kept []Target
	for _, t := range targets {
		d := p.Decide(Request{Who: c.Who, Permission: permission, Resources: []Resource{t.Resource()}, Channel: c.Channel, At: c.At})
		if d.Allowed {
			kept = append(kept, t)
		}
	}
	return kept
}

// Schedules knows who is on call. A pager provides it; roles taken from
// "schedule:NAME" follow it, so that whoever is on call may act. Safe for
// concurrent use; it is asked for every message and keeps its own cache.
type Schedules interface {
	// Names lists the schedules, so that a role from one that does not exist
	// refuses to start.
	Names() []string
	// OnCall gives the persons, by name, who are on call on the schedule now.
	// It returns when ctx ends. An error leaves the role out.
	OnCall(ctx context.Context, schedule string) ([]string, error)
}
