package stepup

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/store"
)

// KindReset is the workflow that ends a person's enrolment.
const KindReset = "totp.reset@1"

// Reset is the body of its Specs. Enrolment is the one to end: who enrolled anew
// meanwhile keeps that.
type Reset struct {
	Person    string `json:"person"`
	Enrolment string `json:"enrolment"`
}

// PlanReset says what ending a person's enrolment would do. It needs no key, so
// that people can enrol anew when that was lost. Nobody ends their own: a stolen
// session could enrol anew then.
func (k *Keeper) PlanReset(ctx context.Context, c bot.Call, person string) (bot.Plan, error) {
	if k == nil {
		return bot.Plan{}, k.off()
	}
	if person == c.Who.Person {
		return bot.Plan{}, bot.Errorf(bot.Denied, "another person must reset your second factor; with your authenticator at hand, type: totp enrol --code 123456")
	}
	var e row
	err := k.Store.View(ctx, func(r store.Reader) (err error) {
		e, err = k.read(r, person)
		return err
	})
	if err != nil && !errors.Is(err, errKey) {
		return bot.Plan{}, err
	}
	summary := "reset the second factor of " + person
	if e.id == "" && err == nil {
		return bot.Plan{Summary: summary, Noop: person + " has no second factor"}, nil
	}
	now := "enrolled since " + e.Since.Format("2006-01-02")
	switch {
	case err != nil:
		now = "enrolled under a key that is not there"
	case e.Secret == "":
		now = "not enrolled yet"
	}
	if k.Clock.Now().Before(e.Locked) {
		now += ", locked until " + bot.Moment(e.Locked)
	}
	spec, err := bot.NewSpec(KindReset, "totp reset", bot.Target{}, []bot.Resource{bot.TheBot}, Reset{Person: person, Enrolment: e.id})
	return bot.Plan{Spec: spec, Slot: "totp " + person, Summary: summary, Preview: []bot.Field{{Name: "now", Value: now}},
		Warnings: []string{"be sure that it is " + person + " who asks, by a call or in person: whoever has their chat session can enrol then"}}, err
}

// ResetWorkflow ends enrolments. It implements bot.Workflow; safe for concurrent
// use. Doing it again changes nothing.
type ResetWorkflow struct{ keeper *Keeper }

// NewResetWorkflow makes the Workflow.
func NewResetWorkflow(k *Keeper) *ResetWorkflow { return &ResetWorkflow{k} }

// Kind implements bot.Workflow.
func (w *ResetWorkflow) Kind() string { return KindReset }

// Timing implements bot.Timed: what is written is seen at once.
func (w *ResetWorkflow) Timing(bot.Target) bot.Timing { return bot.Timing{Call: 5 * time.Second} }

// Check implements bot.Workflow; nothing has to hold.
func (w *ResetWorkflow) Check(context.Context, bot.Spec, []bot.Fact) ([]bot.Obstacle, error) {
	return nil, nil
}

// Begin implements bot.Workflow.
func (w *ResetWorkflow) Begin(s bot.Spec, t bot.Task) (bot.Handle, error) {
	return bot.Handle{Key: t.Key, State: s.Body}, nil
}

// Cancel implements bot.Workflow: there is nothing to stop.
func (w *ResetWorkflow) Cancel(_ context.Context, h bot.Handle) (bot.Handle, error) { return h, nil }

// Advance implements bot.Workflow.
func (w *ResetWorkflow) Advance(ctx context.Context, h bot.Handle) (bot.Handle, bot.Progress, error) {
	if w.keeper == nil {
		return h, bot.Progress{}, w.keeper.off()
	}
	var r Reset
	if err := json.Unmarshal(h.State, &r); err != nil {
		return h, bot.Progress{}, fmt.Errorf("decode handle: %w", err)
	}
	err := w.keeper.Store.Update(ctx, func(tx store.Tx) error {
		e, err := w.keeper.read(tx, r.Person)
		if err != nil && !errors.Is(err, errKey) {
			return err
		}
		if e.id != r.Enrolment || e.id == "" && err == nil {
			return nil // it is gone, and what is there is another
		}
		return tx.DeleteDocument(Kind, r.Person)
	})
	return h, bot.Progress{State: bot.OpSucceeded, Text: r.Person + " has no second factor now, and can enrol anew: totp enrol"}, err
}
